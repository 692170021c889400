"""Bytes and lines of a file that may be compressed."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import polars as pl

from klimit.rollouts.formats import zstd

GZIP, ZSTD = b"\x1f\x8b", zstd.MAGIC
_HEAD = 4096  # bytes that tell what a file is


def packing(path: Path) -> bytes:
    """By what the file is compressed as a whole, `GZIP` or `ZSTD`; empty where by nothing."""
    with path.open("rb") as file:
        head = file.read(4)
    return next((magic for magic in (GZIP, ZSTD) if head.startswith(magic)), b"")


def opening(path: Path) -> bytes:
    """The first bytes, unpacked; fewer where the file is shorter."""
    how = packing(path)
    if how == ZSTD:
        return next(lines(path, 1), b"")[:_HEAD]
    with gzip.open(path) if how else path.open("rb") as file:
        return file.read(_HEAD)


def lines(path: Path, most: int | None = None) -> Iterator[bytes]:
    """The file's lines, unpacked, one after the other; the first `most` of them if given."""
    how = packing(path)
    if how != ZSTD:
        with gzip.open(path) if how else path.open("rb") as file:
            yield from islice(file, most)
        return
    # Python before 3.14 has no zstd, polars has: a table of one column, a row per line
    table = pl.scan_csv(
        path,
        has_header=False,
        schema={"line": pl.String},
        separator="\x1e",  # the record separator: in JSON always escaped, in CSV unheard of
        quote_char=None,
        truncate_ragged_lines=True,
        n_rows=most,
    ).collect()
    for line in table["line"]:
        yield (line or "").encode() + b"\n"
