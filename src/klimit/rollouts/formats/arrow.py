"""Arrow files, also those that `datasets` saves."""

from __future__ import annotations

import glob
from pathlib import Path

import polars as pl

from klimit.rollouts.formats.scan import Scan


def scan(path: Path, care: int = 0) -> Scan:
    """A lazy table of an Arrow file, memory-mapped, or of an Arrow stream, read whole."""
    with path.open("rb") as file:
        mapped = file.read(6) == b"ARROW1"
    # Not every polars can be told that a path is no glob, so it is escaped.
    named = glob.escape(str(path))
    return Scan(pl.scan_ipc(named) if mapped else pl.read_ipc_stream(path).lazy())
