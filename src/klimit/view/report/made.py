"""What was read and with what, so that the page can be made again, digit for digit."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from klimit._errors import KlimitError
from klimit._text import safe

LIBRARIES = ("numpy", "scipy", "polars", "jinja2")
MOST_BYTES = 2**30  # past that, files are named without a hash


@dataclass(frozen=True)
class Source:
    """One path that was read.

    Attributes
    ----------
    name : as it was typed
    files, size : how many files, and their bytes
    sha256 : of the file, or of the files one after the other; empty where there are too many bytes
    """

    name: str
    files: int
    size: int
    sha256: str


def sources(paths: Iterable[str]) -> list[Source]:
    """What is on disk under these paths; those that stand for no file are left out."""
    from klimit.rollouts.paths import files

    found = []
    for path in dict.fromkeys(paths):
        try:
            inside = files(path)
            size = sum(one.stat().st_size for one in inside)
            digest = _hash(inside) if size <= MOST_BYTES else ""
        except (KlimitError, OSError):
            continue
        found.append(Source(safe(path, longest=200), len(inside), size, digest))
    return found


def _hash(paths: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            while block := file.read(2**20):
                digest.update(block)
    return digest.hexdigest()


def versions() -> list[tuple[str, str]]:
    """klimit, Python and the libraries that the numbers depend on."""
    import klimit

    found = [("klimit", klimit.__version__), ("Python", platform.python_version())]
    for name in LIBRARIES:
        try:
            found.append((name, version(name)))
        except PackageNotFoundError:
            continue
    return found
