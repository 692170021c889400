"""``klimit best-of-n`` and ``choose``: what serving one of N answers brings, and which to keep."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

import klimit
from klimit._progress import steps
from klimit.cli import options
from klimit.cli.output import answer, log_to
from klimit.cli.source import Source, from_source, reading, reading_where, usual_size


@click.command("best-of-n", short_help="What serving the best of N answers gains and spends.")
@options.sizes
@reading
@click.option("--judge", metavar="NAME", help="Select by the reward, read the gain in this one.")
@options.reward_range
@options.intervals
@options.track
@options.answering
@from_source
def best_of_n(
    source: Source,
    n: list[int] | None,
    judge: str | None,
    track: str | None,
    as_json: bool,
    output: Path | None,
    **how: Any,
) -> None:
    """What does serving the best of N answers gain, spend and cost, beside the limit?

    PATH is a file, a folder or a glob with samples of the base model and their rewards. Every N up
    to the samples of a prompt is estimated from the same samples, without bias.

    \b
    klimit best-of-n rollouts.parquet -n 1,4,16
    klimit best-of-n rollouts.parquet -n 4 --reward rm --judge gold
    """
    from klimit.view import best_of_n as view
    from klimit.view import records

    source.keep(output)
    with steps("reading", "best-of-N and the limit") as job:
        rollouts = source.load(judge=judge)
        job.next()
        if n is None:
            most = usual_size(rollouts, source.reward, judge)
            n = [2**k for k in range(7) if 2**k <= most]
        found = klimit.best_of_n(rollouts, n=n, reward=source.reward, judge=judge, **how)
    log_to(track, found)
    answer(found, rollouts, records.best_of_n_record, view.text, as_json=as_json, output=output)


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
