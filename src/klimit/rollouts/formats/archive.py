"""Members of a zip archive, unpacked in memory and never larger than they say.

Nothing is written to disk and no member's name is ever used as a path. What a member declares is
believed only as a limit: a deflate stream is stopped there, and a zstd stream (method 93, which
zipfile reads from Python 3.14 on) is measured block by block before it is unpacked.
"""

from __future__ import annotations

import struct
import zipfile
import zlib
from pathlib import Path

from klimit._errors import DataError
from klimit._text import safe
from klimit.rollouts.formats.zstd import largest, unpack
from klimit.rollouts.guard import Unreadable
from klimit.rollouts.words import shown

MOST = 1 << 30  # bytes of one member; 10,000 samples of an evaluation take some 10 MB
IN_ALL = 16 * MOST  # bytes that are unpacked of one archive, one member after the other
_MEMBERS = 1_000_000
_STORED, _DEFLATED, _ZSTD = 0, 8, 93
_LOCAL = struct.Struct("<4s5H3L2H")  # what precedes a member's bytes
_ENCRYPTED = 1


class Archive:
    """A zip file's members by name."""

    def __init__(self, path: Path) -> None:
        self.path, self.name = path, shown(path)
        self.unpacked = 0
        try:
            with zipfile.ZipFile(path) as archive:
                found = archive.infolist()
        except zipfile.BadZipFile:
            raise Unreadable(
                f"{self.name} is cut short or damaged: the directory at its end is missing. "
                "Copy or download it again, or let the run that writes it finish."
            ) from None
        if len(found) > _MEMBERS:
            raise DataError(
                f"{self.name} lists {len(found):,} members; at most {_MEMBERS:,} are read."
            )
        self.members: dict[str, zipfile.ZipInfo] = {}
        for member in found:
            name = member.filename
            if name.startswith(("/", "\\")) or ".." in name.replace("\\", "/").split("/"):
                raise DataError(
                    f"{self.name} holds a member that points outside of it ({safe(name)}); "
                    "no log does. It is not read."
                )
            if name in self.members:
                raise DataError(f"{self.name} holds {safe(name)} twice; which one counts is open.")
            self.members[name] = member

    def __contains__(self, name: str) -> bool:
        return name in self.members

    def read(self, name: str) -> bytes:
        """One member, whole.

        Raises
        ------
        DataError
            Where it is larger than it declares or than 1 GiB, or does not unpack.
        """
        member = self.members[name]
        if member.file_size > MOST:
            raise self._wrong(name, f"declares {member.file_size:,} bytes, over {MOST:,}")
        if member.flag_bits & _ENCRYPTED:
            raise self._wrong(name, "is encrypted")
        self.unpacked += member.file_size
        if self.unpacked > IN_ALL:
            raise self._wrong(name, f"is one of too many: together over {IN_ALL:,} bytes")
        packed = self._packed(member)
        try:
            data = self._unpacked(member, packed)
        except (zlib.error, ValueError):
            raise self._wrong(name, "does not unpack") from None
        if len(data) != member.file_size:
            raise self._wrong(name, f"is not the {member.file_size:,} bytes that it declares")
        if zlib.crc32(data) != member.CRC:
            raise self._wrong(name, "fails its checksum")
        return data

    def _packed(self, member: zipfile.ZipInfo) -> bytes:
        with self.path.open("rb") as file:
            file.seek(member.header_offset)
            head = file.read(_LOCAL.size)
            if len(head) < _LOCAL.size or head[:4] != b"PK\x03\x04":
                raise self._wrong(member.filename, "is not where the directory says")
            *_, name, extra = _LOCAL.unpack(head)
            file.seek(name + extra, 1)
            packed = file.read(member.compress_size)
        if len(packed) < member.compress_size:
            raise self._wrong(member.filename, "is cut short")
        return packed

    def _unpacked(self, member: zipfile.ZipInfo, packed: bytes) -> bytes:
        if member.compress_type == _STORED:
            return packed
        if member.compress_type == _DEFLATED:
            return zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, member.file_size + 1)
        if member.compress_type == _ZSTD:
            if largest(packed) > MOST:
                raise self._wrong(member.filename, f"may unpack to more than {MOST:,} bytes")
            return unpack(packed)
        raise self._wrong(
            member.filename, f"is packed by method {member.compress_type}; deflate or zstd is read"
        )

    def _wrong(self, name: str, what: str) -> DataError:
        return DataError(
            f"{self.name}: member {safe(name)} {what}. The archive is damaged or no log; "
            "write or download it again."
        )
