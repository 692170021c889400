"""What leaves the program: text for people, JSON for programs, tables in files."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import redirect_stdout
from itertools import groupby
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
    said = record(found, read=str(read)) if as_json else text(found)
    give(read, said, output, found.to_frame)


def give(
    read: object,
    said: str | Mapping[str, Any],
    output: Path | None,
    table: Callable[[], pl.DataFrame],
) -> None:
    """The table to a file, where one is named, and what is said of it: words, or a JSON document."""
    if output is not None:
        write_table(table(), output)
    if isinstance(said, str):
        print_text(str(read), said)
    else:
        print_json(said)


def print_text(read: str, result: str) -> None:
    """Print what was read and what came of it; the first line of that is bold, given colours."""
    if sys.stdout.isatty():
        result = fitted(result, shutil.get_terminal_size().columns)
    first, rest = result.partition("\n")[::2]
    if colours(sys.stdout):
        first = click.style(first, bold=True)
    say(f"{read}\n\n{first}\n{rest}".rstrip("\n"))


def fitted(text: str, width: int) -> str:
    r"""Sentences broken anew for a terminal narrower than `words.WIDTH`; tables are left as they are.

    Examples
    --------
    >>> print(fitted("note: one two\n      three.\n\n  a    table of numbers", 16))
    note: one two
          three.
    <BLANKLINE>
      a    table of numbers
    """
    from klimit.view import words

    def broken(lines: Iterable[str]) -> Iterator[str]:
        for part in re.split(r"\n(?=note: )", "\n".join(lines)):
            lead = "note: " if part.startswith("note: ") else ""
            for line in words.sentences(part.removeprefix(lead)):
                yield words.paragraph(line, lead=lead, width=width)

    def lines(block: str) -> Iterator[str]:
        notes = block.startswith("note: ")  # whose lines after the first stand further in
        rows = groupby(block.split("\n"), lambda line: line.startswith("  ") and not notes)
        for table, some in rows:
            yield from some if table else broken(some)

    if not 0 < width < words.WIDTH:
        return text
    return "\n\n".join("\n".join(lines(block)) for block in text.split("\n\n"))


def print_json(document: Mapping[str, Any]) -> None:
    """Print one JSON document."""
    say(json_text(document, indent=2))


def json_text(value: Mapping[str, Any], indent: int | None = None) -> str:
    """JSON with no NaN, no Infinity, and no byte that a terminal would obey."""
    return json.dumps(value, indent=indent, allow_nan=False).replace("\x7f", "\\u007f")


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
