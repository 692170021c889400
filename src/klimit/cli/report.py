"""``klimit report``: everything about a base and its policies on one page."""

from __future__ import annotations

import shlex
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from klimit._errors import DataWarning, KlimitError
from klimit._extras import need
from klimit.cli import options
from klimit.cli.audit import Asked, asked, reading

if TYPE_CHECKING:
    from klimit.rollouts import Rollouts
    from klimit.view.report import Report

judging = options.several(
    click.option("--gold", metavar="NAME", help="The reward that is really wanted, if another."),
    click.option("--focus", type=click.FloatRange(min=0, min_open=True), metavar="NATS",
                 help="The KL budget that the page starts at."),
)  # fmt: skip


@click.command(short_help="Everything about a base and its policies on one page.")
@reading
@judging
@click.option("-o", "--output", type=options.Target(".html", ".htm"), default="report.html",
              show_default=True, metavar="FILE", help="Where to write the page.")  # fmt: skip
@asked
@click.pass_obj
def report(
    typed: Sequence[str], source: Asked, gold: str | None, focus: float | None, output: Path
) -> None:
    """What is there to gain, how did the policies do, and what should be done next?

    Writes one HTML file that needs no network and no other file. BASE holds samples of the base
    model with rewards, each POLICY samples of a trained one. With one path, policies are looked for
    inside it; without any, the page is about the base.

    \b
    klimit report base.parquet --reward rm -o report.html
    klimit report base.parquet grpo/ dpo/ --reward rm --gold human
    """
    from klimit._progress import steps
    from klimit.cli.output import print_text
    from klimit.view.report.findings import STAGES

    need("report", "jinja2", what="a report")
    source.keep(output)
    with steps("reading", *STAGES, "writing the page") as job:
        found, read = build(source, gold=gold, focus=focus, typed=typed, done=job.next)
    written = found.write(output)
    size = f"{len(found.html.encode()) / 1000:,.0f} kB"
    print_text(read, f"{found.verdict}\n\nwrote {written} ({size}); open it in a browser")


def build(
    source: Asked, *, gold: str | None, focus: float | None, typed: Sequence[str],
    live: str = "", done: Callable[[], object] = lambda: None,
) -> tuple[Report, str]:  # fmt: skip
    """Read, measure and write; also the lines that say what was read."""
    from klimit.view.report import Made
    from klimit.view.report import report as make

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        base, policies = _sides(source)
        done()
        lines = [str(base)]
        if isinstance(policies, dict):
            lines += [f"{name}: {one}" for name, one in policies.items() if name]
        made = Made(
            command=shlex.join(["klimit", *typed]), source=source.again(source.paths[:1]), paths=source.paths,
            read=lines, live=live, warned=_said(caught),
        )  # fmt: skip
        found = make(
            base, policies, reward=source.reward, gold=gold, kl=source.kl, focus=focus,
            paired=False if source.unpaired else None, made=made, done=done, **source.how,
        )  # fmt: skip
    for one in caught:
        warnings.warn_explicit(one.message, one.category, one.filename, one.lineno)
    return found, "\n".join(lines)


def _sides(source: Asked) -> tuple[Rollouts, Any]:
    """Base and policies with all their rewards; where none is found by itself, with the one named."""
    if source.reward is None:
        return source.sides()
    try:
        base, policies = replace(source, reward=None).sides()
        base.one_reward(source.reward)
    except KlimitError:
        return source.sides()
    return base, policies


def _said(caught: Sequence[warnings.WarningMessage]) -> list[str]:
    """What was warned of while reading."""
    return list(dict.fromkeys(str(one.message) for one in caught if one.category is DataWarning))
