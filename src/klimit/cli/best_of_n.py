"""``klimit best-of-n``: what serving the best of N answers gains, spends and costs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from klimit._progress import steps
from klimit.cli import options
from klimit.cli.output import answer, log_to
from klimit.cli.source import Source, from_source, reading, usual_size


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
    import klimit
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
