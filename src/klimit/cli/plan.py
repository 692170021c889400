"""``klimit plan``: what to set, and how much to sample, for a budget."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from klimit.cli import options
from klimit.cli.source import Source, from_source, reading


@click.command(short_help="What to set, and how much to sample, for a budget.")
@click.option("--kl", type=float, metavar="NATS", help="Plan for this KL.")
@click.option("--gain", type=float, metavar="G", help="Plan for this gain in reward.")
@click.option("-n", "--n", type=int, metavar="N", help="Plan for what best-of-N spends.")
@click.option("--beta", type=float, metavar="B", help="Plan for this KL coefficient.")
@reading
@click.option(
    "--error", type=float, default=0.05, show_default=True, help="Relative error of the gain."
)
@click.option(
    "--group-size",
    type=int,
    default=8,
    show_default=True,
    help="Completions of a prompt in a training batch.",
)
@options.reward_range
@options.intervals
@options.answering
@from_source
def plan(source: Source, as_json: bool, output: Path | None, **how: Any) -> None:
    """Which beta and N spend a budget, what do they gain, and how many samples show it?

    Give exactly one of --kl, --gain, -n and --beta. PATH is a file, a folder or a glob with
    samples of the base model and their rewards.

    \b
    klimit plan rollouts.parquet --kl 3 --error 0.05
    klimit plan rollouts.parquet -n 16 --reward rm
    """
    import klimit
    from klimit._progress import steps
    from klimit.cli.output import answer
    from klimit.view import plan as view
    from klimit.view import records

    source.keep(output)
    with steps("reading", "planning") as job:
        rollouts = source.load()
        job.next()
        found = klimit.plan(rollouts, reward=source.reward, **how)
    answer(found, rollouts, records.plan_record, view.text, as_json=as_json, output=output)
