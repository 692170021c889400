"""Rollouts -> a file, whole or not at all."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

from klimit._errors import ArgumentError, DataError
from klimit._text import safe
from klimit.rollouts.formats import CSV, JSON, PARQUET, suffix
from klimit.rollouts.formats.parquet import KEY

if TYPE_CHECKING:
    import polars as pl

    from klimit.rollouts.rollouts import Rollouts


def write(rollouts: Rollouts, path: Path) -> Path:
    """See `Rollouts.write`: into a temporary file beside `path`, which then takes its name."""
    kind = suffix(path)
    packed = path.suffix.lower() == ".gz"
    known = (*PARQUET.suffixes, ".jsonl", ".ndjson", *CSV.suffixes)
    if (
        kind not in known
        or (kind in PARQUET.suffixes and packed)
        or path.suffix.lower() in (".zst", ".zstd")
    ):
        raise ArgumentError(
            f"cannot write {safe(path, longest=200)}: a name that ends in {', '.join(known)} was "
            "expected (JSON lines and CSV also with .gz)."
        )
    stated = {"rewards": list(rollouts.rewards), **rollouts.metadata}
    frame = rollouts.frame()
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        if kind in PARQUET.suffixes:
            frame.write_parquet(temporary, metadata={KEY: json.dumps(stated)})
        else:
            _write_text(_with_metadata(frame, rollouts.metadata), temporary, kind, packed=packed)
        os.replace(temporary, path)
    except OSError as error:
        reason = safe(error.strerror or error)
        raise DataError(
            f"cannot write {safe(path, longest=200)}: {reason}. "
            "Check that its folder exists and may be written, and that there is room."
        ) from None
    finally:
        temporary.unlink(missing_ok=True)
    return path


def _write_text(frame: pl.DataFrame, path: Path, kind: str, *, packed: bool) -> None:
    import polars as pl

    with cast("IO[bytes]", gzip.open(path, "wb") if packed else path.open("wb")) as file:
        if kind in JSON.suffixes:
            frame.write_ndjson(file)
        else:
            nested = [name for name, dtype in frame.schema.items() if dtype.is_nested()]
            flat = frame.with_columns(
                pl.Series(name, [_json(x) for x in frame[name]]) for name in nested
            )
            flat.write_csv(file, separator="\t" if kind == ".tsv" else ",")


def _with_metadata(frame: pl.DataFrame, metadata: dict[str, Any]) -> pl.DataFrame:
    """Text files have no place for metadata but columns."""
    import polars as pl

    return frame.with_columns(
        pl.lit(value).alias(name) for name, value in metadata.items() if name not in frame.columns
    )


def _json(value: Any) -> str | None:
    return None if value is None else json.dumps(getattr(value, "to_list", lambda: value)())
