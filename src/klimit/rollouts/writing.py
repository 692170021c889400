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
    stated, frame = rollouts.metadata, rollouts.frame()
    if kind not in PARQUET.suffixes:  # text files have no place for metadata but columns
        frame = frame.with_columns(
            pl.lit(value).alias(name) for name, value in stated.items() if name not in frame.columns
        )
    with whole_file(path) as file:
        if kind in PARQUET.suffixes:
            about = {"rewards": list(rollouts.rewards), **stated}
            frame.write_parquet(file, metadata={KEY: json.dumps(about)})
        elif packed:
            with gzip.GzipFile(path.stem, "wb", fileobj=file) as inside:
                _write_text(frame, cast("IO[bytes]", inside), kind)
        else:
            _write_text(frame, file, kind)
    return path


def _write_text(frame: pl.DataFrame, file: IO[bytes], kind: str) -> None:
    if kind in JSON.suffixes:
        frame.write_ndjson(file)
        return
    nested = [name for name, dtype in frame.schema.items() if dtype.is_nested()]
    flat = frame.with_columns(pl.Series(name, [_json(x) for x in frame[name]]) for name in nested)
    flat.write_csv(file, separator="\t" if kind == ".tsv" else ",")


def _json(value: Any) -> str | None:
    return None if value is None else json.dumps(getattr(value, "to_list", lambda: value)())
