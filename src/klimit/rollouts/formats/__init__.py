"""Files on disk -> lazy tables, one small module per format.

A format knows its suffixes and how to scan one file; which column is what is none of its business
(`klimit.rollouts.layout`), nor whose dump it is (`klimit.rollouts.sources`), unless the file is no
plain table: an archive, or records too nested for one.

Care
----
A scan can be repeated with more care when the first one fails: 0 trusts a sample of the rows for
the types, 1 looks at every row, 2 goes line by line and finds the line at fault.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePath

from klimit._errors import DataError
from klimit.rollouts.formats import (
    delimited,
    inflated,
    inspect_file,
    jsonlines,
    numpy_,
    parquet,
    refused,
)
from klimit.rollouts.formats.inflated import opening
from klimit.rollouts.guard import reading
from klimit.rollouts.table import Scan
from klimit.rollouts.words import shown

CAREFUL = 3  # levels of care


@dataclass(frozen=True)
class Format:
    """One kind of file.

    Attributes
    ----------
    name : as users call it
    suffixes : lower case, without what a compression adds
    scan : (path, care) -> Scan
    packed : whether it may be compressed as a whole (.gz, .zst)
    """

    name: str
    suffixes: tuple[str, ...]
    scan: Callable[[Path, int], Scan]
    packed: bool = False


PARQUET = Format("Parquet", (".parquet", ".pq"), parquet.scan)
JSON = Format("JSON", (".jsonl", ".ndjson", ".json"), jsonlines.scan, packed=True)
CSV = Format("CSV", (".csv", ".tsv"), delimited.scan, packed=True)
ARROW = Format("Arrow", (".arrow", ".feather", ".ipc"), parquet.scan_arrow)
NUMPY = Format("NumPy", (".npy", ".npz"), numpy_.scan)
INSPECT = Format("Inspect", (".eval",), inspect_file.scan)
FORMATS = (PARQUET, JSON, CSV, ARROW, NUMPY, INSPECT)
ENDINGS = ", ".join(word for one in FORMATS for word in one.suffixes)
PACKED = (".gz", ".zst", ".zstd")


def suffix(path: PurePath) -> str:
    """The suffix that names the format, without what a compression adds.

    Examples
    --------
    >>> suffix(Path("run.v2/rollouts.jsonl.gz")), suffix(Path("a.PARQUET"))
    ('.jsonl', '.parquet')
    """
    parts = [part.lower() for part in path.suffixes if part.lower() not in PACKED]
    return parts[-1] if parts else ""


def by_suffix(path: PurePath) -> Format | None:
    """The format that a file's name promises, if any."""
    found = suffix(path)
    return next((one for one in FORMATS if found in one.suffixes), None)


def scan_file(path: Path, *, care: int = 0, keys: tuple[str, ...] = ()) -> Scan:
    """A lazy table of one file; its content is believed over its name where they differ.

    `keys` are columns that the caller calls keys; where a file holds nothing but text they stay text.
    """
    with reading(path):
        inflated.check(path)
        head = opening(path)
    refused.check(path, head)
    if not head.strip():
        raise DataError(f"{shown(path)} is empty; rollouts were expected.")
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise DataError(
            f"{shown(path)} is UTF-16; UTF-8 was expected. "
            "Convert it: iconv -f UTF-16 -t UTF-8 FILE > NEW."
        )
    found = _by_content(head) or by_suffix(path)
    if found is None:
        raise DataError(
            f"{shown(path)} is none of the files that klimit reads ({ENDINGS}; "
            "JSON and CSV also with .gz or .zst). Convert it to one of these."
        )
    if path.suffix.lower() in PACKED and not found.packed:
        raise DataError(
            f"{shown(path)} is a {found.name} file compressed once more. Unpack it first."
        )
    with reading(path):
        if found is CSV:
            return delimited.scan(path, care, keys)
        return found.scan(path, care)


def _by_content(head: bytes) -> Format | None:
    if head[:4] == b"PAR1":
        return PARQUET
    if head[:6] == b"ARROW1" or head[:4] == b"\xff\xff\xff\xff":
        return ARROW
    if head[:6] == b"\x93NUMPY":
        return NUMPY
    if head.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] in (b"{", b"["):
        return JSON
    return None
