"""Files that are whole or not there: written under another name, which they lose when all is in."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from klimit._errors import DataError
from klimit._text import safe

unfinished: list[Path] = []
"""Files that are being written, for who ends the program in between."""


@contextmanager
def whole_file(path: Path) -> Iterator[IO[bytes]]:
    """A file to write into, which takes its name when all of it is written.

    A link stays, and leads to the new file; a file that was there before keeps its mode.

    Raises
    ------
    DataError
        Where it cannot be written; then nothing is there that was not there before.
    """
    part: Path | None = None
    try:
        if path.exists() and not path.is_file():  # a device or a pipe would be gone
            raise DataError(f"{safe(path, longest=200)} is no regular file; name another.")
        target = path.resolve()
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=target.parent)
        part = Path(name)
        unfinished.append(part)
        with os.fdopen(handle, "wb") as file:
            # mkstemp gives the file to its owner alone
            part.chmod(target.stat().st_mode & 0o777 if target.exists() else 0o666 & ~_umask())
            yield file
        os.replace(part, target)
    except Exception as problem:
        if not isinstance(problem, OSError) and type(problem).__module__ != "polars.exceptions":
            raise
        why = safe(getattr(problem, "strerror", None) or problem, longest=200).lower()
        raise DataError(
            f"{safe(path, longest=200)} cannot be written: {why}. Name a file in a folder that is yours."
        ) from None
    finally:
        if part is not None:
            part.unlink(missing_ok=True)
            unfinished.remove(part)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
