"""Files that may be compressed: first bytes, lines, and how large they get, which may be past any memory."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path

import polars as pl

from klimit._errors import DataError
from klimit.rollouts.formats.parquet import memory
from klimit.rollouts.formats.zstd import MAGIC, longer_than
from klimit.rollouts.words import shown

GZIP, ZSTD = b"\x1f\x8b", MAGIC
_HEAD = 4096  # bytes that tell what a file is
_MOST_OF_GZIP = 1032  # bytes that deflate makes of one, at most
_CHUNK = 1 << 20
_DENSEST = 900  # no dump packs so well
_SMALL = 1 << 28  # bytes that are no bomb however they are packed


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


def check(path: Path) -> None:
    """Refuse a .gz or .zst file that would not fit into memory, without unpacking it there.

    Blocks of zstd say how large they get. A gzip stream has to be unpacked to know, which is done
    only where it could be too large, piece by piece. What unpacks to hundreds of times its size holds
    no samples, and is refused before it takes minutes.
    """
    packed, room, how = path.stat().st_size, memory(), packing(path)
    dense = max(_DENSEST * packed, _SMALL)
    with path.open("rb") as file:
        if how == ZSTD and longer_than(file, min(room, dense)):
            _refuse(path, min(room, dense))
        file.seek(max(packed - 4, 0))
        said = int.from_bytes(file.read(4), "little")  # by the last member, if nothing is cut off
    if how == GZIP:
        if said > dense and _gets_larger(path, dense):
            _refuse(path, dense)
        if packed * _MOST_OF_GZIP > room and _gets_larger(path, room):
            _refuse(path, room)


def _gets_larger(path: Path, room: int) -> bool:
    """Whether a gzip file unpacks to more; one that is damaged before does not, and is told later."""
    size = 0
    with suppress(EOFError, OSError, zlib.error), gzip.open(path) as unpacked:
        while size <= room and (chunk := unpacked.read(_CHUNK)):
            size += len(chunk)
    return size > room


def _refuse(path: Path, room: int) -> None:
    what = "hundreds of times their size, as no dump does"
    if room == memory():
        what = "the memory of this machine"
    raise DataError(
        f"{shown(path)} is {path.stat().st_size:,} bytes that unpack to more than "
        f"{room / 1e9:,.1f} GB, {what}. If it is sound, unpack it and read parts."
    )
