"""A Parquet footer, decoded far enough to see whether its sizes can be true.

polars believes the byte ranges of a footer; one that points outside the file makes it panic. The
footer is a Thrift struct in the compact protocol (parquet-format, `parquet.thrift`): fields of a
struct are numbered, and only a handful of them matter here. Damage inside a compressed page is left to
polars, which refuses most of it and stops the process over the rest (lengths of runs that no memory
holds).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

Struct = dict[int, Any]

_MAGIC = b"PAR1"
_LONGEST = 16 << 20  # bytes; a longer footer is left to polars
_DEEPEST = 32
# Kinds of values in the compact protocol; between byte and i64 are i16 and i32.
_STOP, _TRUE, _FALSE, _BYTE, _I64, _DOUBLE = 0, 1, 2, 3, 6, 7
_BINARY, _LIST, _SET, _MAP, _STRUCT = 8, 9, 10, 11, 12


def problem(path: Path) -> str:
    """What in the footer cannot be true; empty where nothing is wrong, or polars says so better."""
    size = path.stat().st_size
    with path.open("rb") as file:
        file.seek(max(size - 8, 0))
        tail = file.read()
        length = int.from_bytes(tail[:4], "little")
        if tail[4:] != _MAGIC or length + 12 > size or length > _LONGEST:
            return ""
        file.seek(size - 8 - length)
        footer = file.read(length)
    try:
        return next(_impossible(Decoder(footer).struct(), size - 8 - length), "")
    except (IndexError, ValueError, AttributeError, TypeError):  # the latter: not of its type
        return "its footer is damaged"


def _impossible(footer: Struct, data: int) -> Iterator[str]:
    """Sentences about counts and byte ranges that do not fit into `data` bytes."""
    rows, groups = footer.get(3), footer.get(4)
    if not isinstance(rows, int) or not isinstance(groups, list):
        return
    if rows < 0 or sum(group.get(3, 0) for group in groups) != rows:
        yield "its footer contradicts itself about the number of rows"
    for group in groups:
        for chunk in group.get(1, ()):
            column = chunk.get(3)
            if column is None:
                continue
            starts = [column[at] for at in (9, 11) if at in column]  # data, dictionary
            packed, plain = column.get(7, 0), column.get(6, 0)
            if not starts or min(*starts, packed, plain, column.get(5, 0)) < 0:
                yield "its footer declares negative sizes"
            elif min(starts) + packed > data:
                end = min(starts) + packed
                yield f"its footer declares a column that ends at byte {end:,} of {data:,}"


class Decoder:
    """The compact protocol, from the first byte on; damage raises IndexError or ValueError."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at, self.depth = data, 0, 0

    def struct(self) -> Struct:
        """Field number -> value."""
        fields: Struct = {}
        number = 0
        while (head := self._byte()) != _STOP:
            number = number + (head >> 4) if head >> 4 else self._signed()
            kind = head & 15
            fields[number] = kind == _TRUE if kind in (_TRUE, _FALSE) else self._value(kind)
        return fields

    def _value(self, kind: int) -> Any:
        if kind in (_TRUE, _FALSE, _BYTE):
            return self._byte()
        if _BYTE < kind <= _I64:
            return self._signed()
        if kind == _DOUBLE:
            return self._bytes(8)
        if kind == _BINARY:
            return self._bytes(self._unsigned())
        self.depth += 1
        if self.depth > _DEEPEST:
            raise ValueError("nested too deeply")
        found: Any
        if kind in (_LIST, _SET):
            head = self._byte()
            count = head >> 4 if head >> 4 < 15 else self._unsigned()
            found = [self._value(head & 15) for _ in range(self._possible(count))]
        elif kind == _MAP:
            count = self._possible(self._unsigned())
            kinds = self._byte() if count else 0
            found = [(self._value(kinds >> 4), self._value(kinds & 15)) for _ in range(count)]
        elif kind == _STRUCT:
            found = self.struct()
        else:
            raise ValueError(f"type {kind}")
        self.depth -= 1
        return found

    def _possible(self, count: int) -> int:
        if count > len(self.data) - self.at:  # every entry takes a byte or more
            raise ValueError(f"{count} entries")
        return count

    def _byte(self) -> int:
        self.at += 1
        return self.data[self.at - 1]

    def _bytes(self, count: int) -> bytes:
        self._possible(count)
        self.at += count
        return self.data[self.at - count : self.at]

    def _unsigned(self) -> int:
        number = shift = 0
        while (part := self._byte()) & 128:
            number |= (part & 127) << shift
            shift += 7
            if shift > 63:
                raise ValueError("a number of more than 64 bits")
        return number | part << shift

    def _signed(self) -> int:
        number = self._unsigned()
        return number >> 1 ^ -(number & 1)
