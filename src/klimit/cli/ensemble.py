"""``klimit ensemble``: what several proxies buy together, and what they all get wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from klimit._progress import steps
from klimit.cli import options
from klimit.cli.output import give
from klimit.cli.source import Source, from_source, reading_where


@click.command(short_help="What several proxies buy together, and what they all get wrong.")
@click.option(
    "--proxies", type=options.Names(), metavar="NAME,...",
    help="The members; all rewards but gold if left out.",
)  # fmt: skip
@click.option(
    "--gold", metavar="NAME", help="The reward that counts, known for some samples or all."
)
@options.budgets
@click.option(
    "--member-weights", type=options.Weights(), metavar="NAME=W,...",
    help="Weights of an aggregate of your own.",
)  # fmt: skip
@click.option(
    "--penalty", type=options.Numbers(), default="0.1,0.5", show_default=True, metavar="K,...",
    help="K of the mean less K times the variance between proxies.",
)  # fmt: skip
@click.option(
    "--scale", type=click.Choice(["pooled", "prompt", "none"]), default="pooled", show_default=True,
    help="Divide proxies by their spread within prompts, by that of each prompt, or not at all.",
)  # fmt: skip
@reading_where("--proxies and --gold name the rewards", "name the members: --proxies a,b")
@options.reward_range
@options.intervals
@options.answering
@from_source
def ensemble(
    source: Source,
    proxies: list[str] | None,
    gold: str | None,
    kl: list[float] | None,
    member_weights: dict[str, float] | None,
    as_json: bool,
    output: Path | None,
    **how: Any,
) -> None:
    """What do several proxy rewards buy together, and what do they all get wrong?

    PATH is a file, a folder or a glob with samples of the base model, each scored by every proxy.
    With a gold reward of the same samples, or some of them, it is told what averaging gains, what
    part of the error all proxies share, and which beta or N to set for each way of averaging.

    \b
    klimit ensemble rollouts.parquet --proxies rm1,rm2,rm3 --gold human
    klimit ensemble rollouts.parquet --proxies rm1,rm2,rm3
    """
    import klimit
    from klimit.view import ensemble as view
    from klimit.view.ensemble import record

    source.keep(output)
    with steps("reading", "errors of the proxies", "gold along each aggregate", "writing") as job:
        named = dict.fromkeys([*(proxies or []), *([] if gold is None else [gold])])
        rollouts = source.load(rewards=list(named) if proxies is not None else None)
        job.next()
        found = klimit.ensemble(rollouts, proxies=proxies, gold=gold, weights=member_weights, **how)
        job.next()
        frame = found.to_frame(kl)
        said: Any = record(found, kl, read=str(rollouts)) if as_json else view.text(found, kl)
        job.next()
    give(rollouts, said, output, lambda: frame)
