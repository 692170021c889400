"""Options that several commands share, and the values that they read."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click

from klimit._extras import need

F = TypeVar("F", bound=Callable[..., Any])

if TYPE_CHECKING:
    _ParamType = click.ParamType[Any]
else:
    _ParamType = click.ParamType  # generic since click 8.5


class Numbers(_ParamType):
    """Numbers with commas between them, such as ``0.5,1,2``."""

    name = "numbers"

    def __init__(
        self,
        kind: type[float] | type[int] = float,
        *,
        exactly: int | None = None,
        finite: bool = True,
    ) -> None:
        self.kind, self.exactly, self.finite = kind, exactly, finite

    def convert(self, value: Any, param: Any, ctx: Any) -> list[float] | list[int]:
        """Read the numbers, or say what was seen."""
        what = "numbers" if self.kind is float else "whole numbers"
        example = "0,1" if self.exactly else "0.5,1,2" if self.kind is float else "1,4,16"

        def refuse(kind: str = "") -> NoReturn:
            asked = f"{kind}{what} were expected, such as {example}"
            self.fail(f"{value[:80]!r} was given; {asked}", param, ctx)

        try:
            found = [self.kind(part) for part in value.split(",")]
        except ValueError:
            refuse()
        if self.finite and math.inf in map(abs, found):
            refuse("finite ")
        if self.exactly and len(found) != self.exactly:
            refuse("two ")
        return found


class Names(_ParamType):
    """Names with commas between them; a name with a comma in it cannot be given."""

    name = "names"

    def convert(self, value: Any, param: Any, ctx: Any) -> list[str]:
        """Split at commas."""
        found = [part.strip() for part in value.split(",")]
        if not all(found):
            self.fail(f"{value[:80]!r} was given; names were expected, such as rm1,rm2", param, ctx)
        return found


class Weights(_ParamType):
    """Names with weights, such as ``acc=1,format=0.2``."""

    name = "weights"

    def convert(self, value: Any, param: Any, ctx: Any) -> dict[str, float]:
        """Read the weights, or say what was seen."""
        found: dict[str, float] = {}
        rest = value
        while rest:  # a name may hold commas ("exact_match,strict"), a weight holds none
            name, _, after = rest.partition("=")
            weight, _, rest = after.partition(",")
            try:
                found[name.strip()] = float(weight)
            except ValueError:
                name = ""
            if not name.strip():
                self.fail(
                    f"{value[:80]!r} was given; names with weights were expected, such as "
                    "acc=1,format=0.2", param, ctx,
                )  # fmt: skip
        return found


class Target(_ParamType):
    """A file to write to, whose suffix says how: a table if not said otherwise."""

    name = "file"

    def __init__(self, *suffixes: str) -> None:
        self.suffixes = suffixes or (".csv", ".parquet")

    def convert(self, value: Any, param: Any, ctx: Any) -> Path:
        """Check what can be checked before the work is done."""
        path = Path(value)
        given = repr(str(path)[-80:])
        if path.suffix.lower() not in self.suffixes:
            ends = f"{', '.join(self.suffixes[:-1])} or {self.suffixes[-1]}"
            self.fail(f"{given} was given; name a file that ends in {ends}", param, ctx)
        irregular = path.exists() and not path.is_file()
        if irregular or not path.parent.is_dir():
            what = "a file in a folder that does not exist"
            if irregular:
                what = "a folder" if path.is_dir() else "no regular file"
            self.fail(f"{given} is {what}; name a file in a folder that exists", param, ctx)
        return path


def several(*options: Callable[[F], F]) -> Callable[[F], F]:
    """Bundle options, in the order in which ``--help`` shows them."""

    def add(command: F) -> F:
        for option in reversed(options):
            command = option(command)
        return command

    return add


def choice(name: str, *values: str, text: str | None = None) -> Callable[[F], F]:
    """An option that is one of these values, the first where none is given."""
    return click.option(
        name, type=click.Choice(values), default=values[0], show_default=True, help=text
    )


seed = click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True,
                    help="Of what is drawn by chance.")  # fmt: skip

intervals = several(
    click.option(
        "--level", type=float, default=0.95, show_default=True, help="Coverage of intervals."
    ),
    seed,
)

budgets = click.option("--kl", type=Numbers(), metavar="NATS", help="KL budgets, such as 0.5,1,2.")

sizes = click.option("-n", "--n", type=Numbers(int), metavar="N", help="Sizes, such as 1,4,16.")

prompts = choice(
    "--prompts", "drawn", "fixed",
    text="Intervals for the population of the prompts, or for these very prompts.",
)  # fmt: skip


def range_of(rewards: str) -> Callable[[F], F]:
    """The option that says what they can be."""
    return click.option(
        "--reward-range", type=Numbers(exactly=2, finite=False), metavar="LO,HI",
        help=f"What {rewards} can be, if known; 0/1 rewards imply 0,1.",
    )  # fmt: skip


reward_range = range_of("rewards")


def _installed(context: click.Context, option: click.Parameter, tracker: str | None) -> str | None:
    """Refuse a tracker that is not there before anything is measured."""
    if tracker is not None:
        need("trackers", tracker, "matplotlib", what=f"logging to {tracker}")
    return tracker


track = click.option(
    "--track", type=click.Choice(["trackio", "wandb"]), callback=_installed,
    help="Also log numbers and picture to the tracker.",
)  # fmt: skip

json_flag = click.option("--json", "as_json", is_flag=True, help="Print JSON (docs/cli.md).")

answering = several(
    json_flag,
    click.option("-o", "--output", type=Target(), metavar="FILE",
                 help="Also write the table to FILE: .csv or .parquet."),
)  # fmt: skip
