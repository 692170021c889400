"""How large a compressed file gets: a small one may fill the memory of any machine."""

from __future__ import annotations

import gzip
import zlib
from contextlib import suppress
from pathlib import Path

from klimit._errors import DataError
from klimit.rollouts.formats.parquet import memory
from klimit.rollouts.formats.streams import GZIP, ZSTD, packing
from klimit.rollouts.formats.zstd import longer_than
from klimit.rollouts.words import shown

_MOST_OF_GZIP = 1032  # bytes that deflate makes of one, at most
_CHUNK = 1 << 20
_DENSEST = 900  # no dump packs so well
_SMALL = 1 << 28  # bytes that are no bomb however they are packed


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
