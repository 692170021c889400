"""The program around the commands: exit codes, errors and warnings of one line, quiet ends."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar, NoReturn, TextIO

import click

import klimit
from klimit._errors import ArgumentError, DataWarning, EstimateWarning, KlimitError
from klimit._text import safe

LONGEST = 1000  # characters of a message


class Program(click.Group):
    """A click group that ends as this project ends: one line, one code, no traceback."""

    aliases: ClassVar[dict[str, str]] = {"frontier": "limit"}

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Find a command by its name or by an alias, which ``--help`` does not repeat."""
        return super().get_command(ctx, self.aliases.get(cmd_name, cmd_name))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, and refuse an option given twice: click would keep the last one silently."""
        name, command, rest = super().resolve_command(ctx, args)
        if command is not None:
            within = click.Context(command, info_name=name, parent=ctx)
            _, _, order = command.make_parser(within).parse_args(list(rest))
            for option in order:
                once = isinstance(option, click.Option) and not (option.multiple or option.is_flag)
                if once and order.count(option) > 1:
                    raise click.UsageError(
                        f"{option.opts[-1]} was given twice; give it once", within
                    )
        return name, command, rest

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands in the order in which people need them."""
        return list(self.commands)

    def main(self, args: Sequence[str] | None = None, *rest: Any, **extra: Any) -> NoReturn:
        """Run a command and exit."""
        for name in ("stdout", "stderr"):
            if getattr(sys, name) is None:  # closed by who started this: nobody reads it
                setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115
            stream = getattr(sys, name)
            # a terminal that cannot show a letter shows its code
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="backslashreplace")
        extra["standalone_mode"] = False
        # as typed, for reports to repeat
        extra["obj"] = list(sys.argv[1:] if args is None else args)
        try:
            with one_line_warnings():
                code = self._code(args, *rest, **extra)
        except KeyboardInterrupt:  # polars raises one of its own, and then Python the other
            code = 130
        sys.exit(code)

    def _code(self, args: Sequence[str] | None, *rest: Any, **extra: Any) -> int:
        try:
            code = super().main(args, *rest, **extra)
        except click.UsageError as problem:
            where = problem.ctx.command_path if problem.ctx else "klimit"
            said = problem.format_message()
            stop = "" if said.endswith((".", "?")) else "."
            return complain(f"{said}{stop} See {where} --help.", 2)
        except ArgumentError as problem:
            return complain(str(problem), 2)
        except (KlimitError, OSError) as problem:
            return complain(reason(problem), 1)
        except MemoryError:
            return complain("there is not enough memory for this much data; pass fewer files.", 1)
        except (click.Abort, KeyboardInterrupt):
            return 130
        return code if isinstance(code, int) else 0


@click.group(
    cls=Program,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    invoke_without_command=True,
)
@click.version_option(klimit.__version__, package_name="klimit", message="%(prog)s %(version)s")
@click.pass_context
def program(context: click.Context) -> None:
    """How much reward can any alignment method buy for a KL budget?

    Commands read samples of a base model with their rewards (JSONL, JSON, CSV or Parquet) and
    answer with an interval, and with the range in which the answer can be trusted.
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


def complain(message: str, code: int) -> int:
    """Say what went wrong on one line of stderr."""
    say(f"error: {one_line(message)}", sys.stderr)
    return code


def reason(problem: Exception) -> str:
    """What an error says; for one of the system's: which file, what is wrong, what to do."""
    if isinstance(problem, OSError) and problem.strerror:
        name = f"{problem.filename}: " if problem.filename else ""
        return f"{name}{problem.strerror.lower()}; check the path, its permissions and the disk."
    return str(problem) or type(problem).__name__


def one_line(message: str) -> str:
    """`message` without what would break a line or steer a terminal."""
    return safe(" ".join(message.split()), longest=LONGEST)


@contextmanager
def one_line_warnings() -> Iterator[None]:
    """Print what klimit warns of as single lines of stderr, when the command is done."""
    seen: dict[str, None] = {}

    def keep(
        message: Warning | str, category: type[Warning], *where: object, **more: object
    ) -> None:
        ours = issubclass(category, (DataWarning, EstimateWarning))
        line = one_line(str(message) if ours else f"{message} ({category.__name__}, {where[0]})")
        seen[line] = None

    with warnings.catch_warnings():
        warnings.showwarning = keep
        for category in (DataWarning, EstimateWarning):
            warnings.simplefilter("always", category)
        try:
            yield
        finally:
            for line in seen:
                say(f"warning: {line}", sys.stderr)


def colours(stream: TextIO) -> bool:
    """Whether colour is welcome: a terminal, and no NO_COLOR."""
    return stream.isatty() and not os.environ.get("NO_COLOR")


def say(text: str, stream: TextIO | None = None) -> None:
    """Print; if nobody reads any more, end quietly."""
    stream = stream or sys.stdout
    try:
        click.echo(text, file=stream, color=colours(stream))
    except BrokenPipeError:
        # for what Python flushes at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        raise click.exceptions.Exit(0) from None
