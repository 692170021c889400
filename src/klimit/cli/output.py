"""What leaves the program: text for people, JSON for programs, tables in files."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

from klimit._errors import DataError
from klimit.cli.program import colours, say

if TYPE_CHECKING:
    import polars as pl


def print_text(read: str, result: str) -> None:
    """Print what was read and what came of it; the first line of that is bold, given colours."""
    first, rest = result.partition("\n")[::2]
    if colours(sys.stdout):
        first = click.style(first, bold=True)
    say(f"{read}\n\n{first}\n{rest}".rstrip("\n"))


def print_json(document: Mapping[str, Any]) -> None:
    """Print one JSON document; no NaN, no Infinity, and no byte that a terminal would obey."""
    text = json.dumps(document, indent=2, allow_nan=False)
    say(text.replace("\x7f", "\\u007f"))


def write_table(frame: pl.DataFrame, path: Path) -> None:
    """Write a CSV or Parquet file that is either whole or not there."""
    with whole_file(path) as file:
        write = frame.write_csv if path.suffix.lower() == ".csv" else frame.write_parquet
        write(file)


@contextmanager
def whole_file(path: Path) -> Iterator[IO[bytes]]:
    """A file to write into, which takes its name when all of it is written.

    Raises
    ------
    DataError
        Where it cannot be written; then nothing is there that was not there before.
    """
    part: Path | None = None
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
        part = Path(name)
        with os.fdopen(handle, "wb") as file:
            part.chmod(0o666 & ~_umask())  # mkstemp gives the file to its owner alone
            yield file
        os.replace(part, path)
    except OSError as problem:
        why = (problem.strerror or str(problem)).lower()
        raise DataError(
            f"{path} cannot be written: {why}. Name a file in a folder that is yours."
        ) from None
    finally:
        if part is not None:
            part.unlink(missing_ok=True)


def log_to(tracker: str | None, result: Any) -> None:
    """Log a result where ``--track`` says; what the tracker says goes to stderr."""
    if tracker is not None:
        from klimit.integrations import trackers

        with redirect_stdout(sys.stderr):
            trackers.log(result, to=tracker)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
