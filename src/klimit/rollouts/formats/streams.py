"""Bytes and lines of a file that may be compressed."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import polars as pl

from klimit.rollouts.formats.zstd import MAGIC as ZSTD

GZIP = b"\x1f\x8b"


def opening(path: Path, size: int = 4096) -> bytes:
    """The first bytes, unpacked; fewer where the file is shorter."""
    with path.open("rb") as file:
        head = file.read(size)
    if head[:2] == GZIP:
        with gzip.open(path) as file:
            return file.read(size)
    if head[:4] == ZSTD:
        return next(_unpacked_lines(path, most=1), b"")[:size]
    return head


def packed(path: Path) -> bool:
    """Whether the file is compressed as a whole."""
    with path.open("rb") as file:
        head = file.read(4)
    return head[:2] == GZIP or head == ZSTD


def lines(path: Path, most: int | None = None) -> Iterator[bytes]:
    """The file's lines, unpacked, one after the other; the first `most` of them if given."""
    with path.open("rb") as file:
        head = file.read(4)
    if head == ZSTD:
        yield from _unpacked_lines(path, most)
    else:
        with gzip.open(path) if head[:2] == GZIP else path.open("rb") as file:
            yield from islice(file, most)


def _unpacked_lines(path: Path, most: int | None = None) -> Iterator[bytes]:
    """Python before 3.14 has no zstd, polars has: a table of one column, a row per line."""
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
