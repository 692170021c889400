"""How large a compressed file gets: a small one may fill the memory of any machine."""

from __future__ import annotations

import gzip
from pathlib import Path

from klimit._errors import DataError
from klimit._text import safe
from klimit.rollouts.formats import zstd
from klimit.rollouts.formats.parquet import memory
from klimit.rollouts.formats.streams import GZIP

_MOST_OF_GZIP = 1032  # bytes that deflate makes of one, at most
_CHUNK = 1 << 20


def check(path: Path) -> None:
    """Refuse a .gz or .zst file that would not fit into memory, without unpacking it there.

    Blocks of zstd say how large they get. A gzip stream has to be unpacked to know, which is done
    only where it could be too large, piece by piece.

    Raises
    ------
    DataError
        Where the unpacked file is larger than this machine's memory.
    """
    room = memory()
    with path.open("rb") as file:
        head = file.read(4)
        file.seek(0)
        if head == zstd.MAGIC and zstd.longer_than(file, room):
            _refuse(path, room)
    if head[:2] == GZIP and path.stat().st_size * _MOST_OF_GZIP > room:
        with gzip.open(path) as unpacked:
            size = 0
            while chunk := unpacked.read(_CHUNK):
                size += len(chunk)
                if size > room:
                    _refuse(path, room)


def _refuse(path: Path, room: int) -> None:
    raise DataError(
        f"{safe(path, longest=200)} is {path.stat().st_size:,} bytes that unpack to more than the "
        f"{room / 1e9:,.0f} GB of memory of this machine. If it is sound, unpack it and read parts."
    )
