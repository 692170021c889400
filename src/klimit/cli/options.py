"""Options that several commands share, and the values that they read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


class Numbers(click.ParamType):
    """Numbers with commas between them, such as ``0.5,1,2``."""

    name = "numbers"

    def __init__(self, kind: type[float] | type[int] = float, *, exactly: int | None = None) -> None:
        self.kind, self.exactly = kind, exactly

    def convert(self, value: Any, param: Any, ctx: Any) -> list[float] | list[int]:
        """Read the numbers, or say what was seen."""
        if not isinstance(value, str):
            return list(value)
        example = "0,1" if self.exactly else "0.5,1,2" if self.kind is float else "1,4,16"
        what = "numbers" if self.kind is float else "whole numbers"
        try:
            found = [self.kind(part) for part in value.split(",")]
        except ValueError:
            self.fail(f"{value[:80]!r} was given; {what} were expected, such as {example}", param, ctx)
        if self.exactly and len(found) != self.exactly:
            self.fail(f"{value[:80]!r} was given; two {what} were expected, such as {example}", param, ctx)
        return found


class Target(click.ParamType):
    """A file to write a table to, whose suffix says how."""

    name = "file"

    def convert(self, value: Any, param: Any, ctx: Any) -> Path:
        """Check what can be checked before the work is done."""
        path = Path(value)
        if path.suffix.lower() not in (".csv", ".parquet"):
            self.fail(f"{str(path)[-80:]!r} was given; name a file that ends in .csv or .parquet", param, ctx)
        if path.is_dir() or not path.parent.is_dir():
            what = "a folder" if path.is_dir() else "a file in a folder that does not exist"
            self.fail(f"{str(path)[-80:]!r} is {what}; name a file in a folder that exists", param, ctx)
        return path


def several(*options: Callable[[F], F]) -> Callable[[F], F]:
    """Bundle options, in the order in which ``--help`` shows them."""

    def add(command: F) -> F:
        for option in reversed(options):
            command = option(command)
        return command

    return add


paths = click.argument("paths", metavar="PATH...", nargs=-1, required=True)

reading = several(
    click.option("-r", "--reward", metavar="NAME", help="The reward column, where there are several."),
    click.option("-p", "--prompt", metavar="NAME", help="The column that says which samples share a prompt."),
    click.option("--step", type=int, metavar="N", help="Only samples of this training step."),
)

intervals = several(
    click.option("--level", type=float, default=0.95, show_default=True, help="Coverage of intervals."),
    click.option("--seed", type=int, default=0, show_default=True, help="Of random splits."),
)

reward_range = click.option(
    "--reward-range", type=Numbers(exactly=2), metavar="LO,HI",
    help="What rewards can be, if known; 0/1 rewards imply 0,1.",
)  # fmt: skip

answering = several(
    click.option("--json", "as_json", is_flag=True, help="Print JSON instead of words (docs/cli.md)."),
    click.option(
        "-o", "--output", type=Target(), metavar="FILE",
        help="Also write the table to FILE: .csv or .parquet.",
    ),
)  # fmt: skip
