"""What leaves the program: text for people, JSON for programs, tables in files."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from klimit._files import whole_file
from klimit.cli.program import colours, say

if TYPE_CHECKING:
    import polars as pl


def answer(
    found: Any, read: object, record: Callable[..., Mapping[str, Any]], text: Callable[[Any], str],
    *, as_json: bool, output: Path | None,
) -> None:  # fmt: skip
    """Give a result as `options.answering` asks: its table to a file, and JSON or text."""
    if output is not None:
        write_table(found.to_frame(), output)
    if as_json:
        print_json(record(found, read=str(read)))
    else:
        print_text(str(read), text(found))


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


def log_to(tracker: str | None, result: Any) -> None:
    """Log a result where ``--track`` says; what the tracker says goes to stderr."""
    if tracker is not None:
        from klimit.integrations import trackers

        with redirect_stdout(sys.stderr):
            trackers.log(result, to=tracker)
