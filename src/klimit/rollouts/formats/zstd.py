"""Zstandard without a library of its own: polars unpacks it, and its frames say how large it gets.

A frame is a header and blocks, each of which unpacks to at most 128 KiB and says its kind and size
in three bytes (RFC 8878, section 3.1.1). So the size of what comes out is bounded without unpacking.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import IO

import polars as pl

MAGIC = b"\x28\xb5\x2f\xfd"
_SKIPPABLE = range(0x184D2A50, 0x184D2A60)
_BLOCK = 1 << 17
_RAW, _RLE, _RESERVED = 0, 1, 3


def unpack(packed: bytes) -> bytes:
    """All frames, one after the other."""
    try:
        table = pl.read_csv(
            packed,
            has_header=False,
            schema={"line": pl.String},
            separator="\x1e",  # control characters are always escaped in JSON, so that
            eol_char="\x1f",  # all of it is one field
            quote_char=None,
        )
    except (pl.exceptions.PolarsError, OSError) as error:
        raise ValueError(str(error)) from None
    text: str = table.item() or ""  # a ValueError where there is more, or nothing
    return text.encode()


def largest(packed: bytes) -> int:
    """How many bytes may come out, at most.

    Examples
    --------
    >>> one_block = MAGIC + bytes([0x00, 0x58]) + (5 << 3 | 1).to_bytes(3, "little") + b"hello"
    >>> largest(one_block)
    5
    """
    return sum(_blocks(io.BytesIO(packed)))


def longer_than(file: IO[bytes], most: int) -> bool:
    """Whether more than `most` bytes may come out of an open file; False where it is broken."""
    size = 0
    try:
        for block in _blocks(file):
            size += block
            if size > most:
                return True
    except ValueError:
        pass  # said by who unpacks it
    return False


def _blocks(file: IO[bytes]) -> Iterator[int]:
    """What each block unpacks to, at most."""
    while magic := file.read(4):
        if int.from_bytes(magic, "little") in _SKIPPABLE:
            file.seek(int.from_bytes(_exactly(file, 4), "little"), 1)
            continue
        if magic != MAGIC:
            raise ValueError("no zstd frame where one was expected")
        checksum = _skip_header(file)
        last = False
        while not last:
            head = int.from_bytes(_exactly(file, 3), "little")
            last, kind, size = bool(head & 1), head >> 1 & 3, head >> 3
            if kind == _RESERVED:
                raise ValueError("a zstd block of no known kind")
            yield size if kind in (_RAW, _RLE) else _BLOCK
            file.seek(1 if kind == _RLE else size, 1)
        file.seek(4 if checksum else 0, 1)


def _skip_header(file: IO[bytes]) -> bool:
    """Pass over a frame's header; whether a checksum follows its blocks."""
    flags = _exactly(file, 1)[0]
    single, checksum = flags >> 5 & 1, flags >> 2 & 1
    size = (1 if single else 0, 2, 4, 8)[flags >> 6]
    dictionary = (0, 1, 2, 4)[flags & 3]
    _exactly(file, size + dictionary + (0 if single else 1))
    return bool(checksum)


def _exactly(file: IO[bytes], count: int) -> bytes:
    found = file.read(count)
    if len(found) < count:
        raise ValueError("the zstd stream is cut short")
    return found
