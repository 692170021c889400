"""Parquet and Arrow: columns are read when they are asked for, and only those."""

from __future__ import annotations

import glob
import json
import os
import re
from pathlib import Path
from typing import Any

import polars as pl

from klimit._errors import DataError
from klimit.rollouts.formats import footer
from klimit.rollouts.table import Scan
from klimit.rollouts.words import shown

KEY = "klimit"
"""Key of the file's metadata under which klimit keeps its own, as JSON."""

_ROW_BYTES = 12  # a prompt's number and one reward


def scan(path: Path, care: int = 0) -> Scan:
    """A lazy table of one file, whose footer has been looked at."""
    wrong = footer.problem(path)
    if wrong:
        raise DataError(f"{shown(path)} cannot be read: {wrong}. Copy, download or write it again.")
    lazy = pl.scan_parquet(path, glob=False, hive_partitioning=False)
    try:
        check_rows(path, int(lazy.select(pl.len()).collect().item()))
    except pl.exceptions.ComputeError as error:  # more than polars can number
        claim = re.search(r"produces (\d+) rows", str(error))
        if claim:
            check_rows(path, int(claim[1]))
        raise
    return Scan(lazy, metadata(path))


def scan_arrow(path: Path, care: int = 0) -> Scan:
    """A lazy table of an Arrow file, memory-mapped, or of an Arrow stream, read whole."""
    with path.open("rb") as file:
        mapped = file.read(6) == b"ARROW1"
    # Not every polars can be told that a path is no glob, so it is escaped.
    named = glob.escape(str(path))
    return Scan(pl.scan_ipc(named) if mapped else pl.read_ipc_stream(path).lazy())


def check_rows(path: Path, rows: int) -> None:
    """Refuse a file that says it holds more rows than fit into this machine's memory."""
    room = memory()
    if rows * _ROW_BYTES > room:
        raise DataError(
            f"{shown(path)} declares {rows:,} rows; one reward of that many needs "
            f"{rows * _ROW_BYTES / 1e9:,.0f} GB, and this machine has {room / 1e9:,.0f} GB. "
            "If the file is sound, read it in parts."
        )


def metadata(path: Path) -> dict[str, Any]:
    """What klimit wrote about the samples; empty for files of others."""
    try:
        known = json.loads(pl.read_parquet_metadata(path).get(KEY, "{}"))
    except ValueError:
        return {}
    return known if isinstance(known, dict) else {}


def memory() -> int:
    """Bytes of memory of this machine."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # not every system says
        return 1 << 40
