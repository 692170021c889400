"""``klimit choose``: which rule of choosing among N answers keeps the best ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from klimit._progress import steps
from klimit.cli import options
from klimit.cli.output import answer
from klimit.cli.source import Source, from_source, reading_where


@click.command(short_help="Which rule of choosing among N answers keeps the best ones.")
@click.option("--proxy", required=True, metavar="NAME", help="The reward that chooses.")
@click.option("--gold", required=True, metavar="NAME", help="The reward that counts.")
@options.sizes
@click.option(
    "--candidates", type=int, metavar="N", help="Answers that the other rules choose among."
)
@click.option(
    "--beta", type=options.Numbers(), metavar="B,...",
    help="Settings of soft best-of-N and pessimism, in units of the proxy.",
)  # fmt: skip
@reading_where("--proxy and --gold name the rewards")
@options.intervals
@options.answering
@from_source
def choose(
    source: Source, proxy: str, gold: str, as_json: bool, output: Path | None, **how: Any
) -> None:
    """Which rule of choosing among N answers by a proxy keeps the best answers by gold?

    PATH is a file, a folder or a glob with samples of the base model and both rewards of each.
    Best-of-N, soft best-of-N and pessimism are compared at every setting and at the best one of
    each, which other prompts have chosen.

    \b
    klimit choose rollouts.parquet --proxy rm --gold human
    klimit choose rollouts.parquet --proxy rm --gold human -n 1,4,16 --candidates 16
    """
    from klimit import select
    from klimit.view import choices as view

    source.keep(output)
    with steps("reading", "choosing") as job:
        rollouts = source.load(rewards=[proxy, gold])
        job.next()
        found = select.compare(rollouts, proxy=proxy, gold=gold, **how)
    answer(found, rollouts, view.record, view.text, as_json=as_json, output=output)
