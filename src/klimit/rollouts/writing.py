"""Rollouts -> a file, whole or not at all."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

import polars as pl

from klimit._errors import ArgumentError
from klimit._files import whole_file
from klimit.rollouts.formats import CSV, JSON, PARQUET, suffix
from klimit.rollouts.formats.parquet import KEY
from klimit.rollouts.words import shown

if TYPE_CHECKING:
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
            f"cannot write {shown(path)}: a name that ends in {', '.join(known)} was "
            "expected (JSON lines and CSV also with .gz)."
        )
    stated = {"rewards": list(rollouts.rewards), **rollouts.metadata}
    frame = rollouts.frame()
    with whole_file(path) as file:
        if kind in PARQUET.suffixes:
            frame.write_parquet(file, metadata={KEY: json.dumps(stated)})
        elif packed:
            with gzip.GzipFile(path.stem, "wb", fileobj=file) as inside:
                _write_text(
                    _with_metadata(frame, rollouts.metadata), cast("IO[bytes]", inside), kind
                )
        else:
            _write_text(_with_metadata(frame, rollouts.metadata), file, kind)
    return path


def _write_text(frame: pl.DataFrame, file: IO[bytes], kind: str) -> None:
    if kind in JSON.suffixes:
        frame.write_ndjson(file)
        return
    nested = [name for name, dtype in frame.schema.items() if dtype.is_nested()]
    flat = frame.with_columns(pl.Series(name, [_json(x) for x in frame[name]]) for name in nested)
    flat.write_csv(file, separator="\t" if kind == ".tsv" else ",")


def _with_metadata(frame: pl.DataFrame, metadata: dict[str, Any]) -> pl.DataFrame:
    """Text files have no place for metadata but columns."""
    return frame.with_columns(
        pl.lit(value).alias(name) for name, value in metadata.items() if name not in frame.columns
    )


def _json(value: Any) -> str | None:
    return None if value is None else json.dumps(getattr(value, "to_list", lambda: value)())
