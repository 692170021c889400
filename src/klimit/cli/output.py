"""What leaves the program: text for people, JSON for programs, tables in files."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from klimit.cli.program import colours, say

if TYPE_CHECKING:
    import polars as pl


def print_text(text: str) -> None:
    """Print a result, its first line bold where there are colours."""
    if colours(sys.stdout):
        first, rest = text.partition("\n")[::2]
        text = f"{click.style(first, bold=True)}\n{rest}"
    say(text)


def print_json(document: Mapping[str, Any]) -> None:
    """Print one JSON document; no NaN, no Infinity, and no byte that a terminal would obey."""
    text = json.dumps(document, indent=2, allow_nan=False)
    say(text.replace("\x7f", "\\u007f"))


def write_table(frame: pl.DataFrame, path: Path) -> None:
    """Write a CSV or Parquet file that is either whole or not there."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    os.close(handle)
    part = Path(name)
    try:
        part.chmod(0o666 & ~_umask())  # mkstemp gives the file to its owner alone
        if path.suffix.lower() == ".csv":
            frame.write_csv(part)
        else:
            frame.write_parquet(part)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
