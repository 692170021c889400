"""``klimit limit``: the most reward that any method can buy for a KL budget."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from klimit.cli import options


@click.command(short_help="The most reward that any method can buy for a KL budget.")
@options.paths
@click.option("--kl", type=options.Numbers(), metavar="NATS", help="KL budgets, such as 0.5,1,2.")
@options.reading
@click.option(
    "--budget", type=click.Choice(["average", "per-prompt"]), default="average", show_default=True,
    help="Whether prompts share the KL, as under one KL penalty, or each spends it.",
)  # fmt: skip
@click.option(
    "--prompts", type=click.Choice(["drawn", "fixed"]), default="drawn", show_default=True,
    help="Intervals for the population of the prompts, or for these very prompts.",
)  # fmt: skip
@click.option(
    "--objective", type=click.Choice(["reward", "win-rate"]), default="reward", show_default=True,
    help="What to gain: reward, or the chance to beat an answer of the base model.",
)  # fmt: skip
@options.reward_range
@click.option(
    "--estimator", type=click.Choice(["corrected", "plugin"]), default="corrected", show_default=True,
    help="With the bias of few samples removed, or the papers' own, which is low.",
)  # fmt: skip
@options.intervals
@options.answering
def limit(
    paths: tuple[str, ...], kl: list[float] | None, reward: str | None, prompt: str | None,
    step: int | None, as_json: bool, output: Path | None, **how: Any,
) -> None:  # fmt: skip
    """How much reward can any method gain over the base model for a KL budget?

    PATH is a file, a folder or a glob with samples of the base model and their rewards: several
    answers to every prompt, drawn at temperature 1. No training run is needed.

    \b
    klimit limit rollouts.parquet --kl 0.5,1,2
    klimit limit 'dumps/*.jsonl' --reward score --prompt uid --json
    """
    import klimit
    from klimit.cli.beside import Beside, best_of_n_beside
    from klimit.cli.data import keep_inputs, load, summary
    from klimit.cli.output import print_json, print_text, write_table
    from klimit.cli.progress import steps
    from klimit.view import limit as view
    from klimit.view import records

    keep_inputs(paths, output)
    with steps("reading", "finding the limit", "best-of-N beside it") as job:
        rollouts = load(paths, reward=reward, prompt=prompt, step=step)
        job.next()
        found = klimit.frontier(rollouts, reward=reward, **how)
        kl = view.budgets(found) if kl is None else kl
        found.gain(kl)  # a budget that cannot be is an error before more work is done
        job.next()
        beside = best_of_n_beside(rollouts, found, kl)
    if output is not None:
        write_table(records.limit_frame(found, kl), output)
    if as_json:
        document = records.limit_record(found, kl)
        for row in document["limit"]:
            row["best_of_n"] = beside.record(row["kl"])
        print_json(document | {"read": summary(rollouts)})
        return
    print_text(f"{summary(rollouts)}\n\n{view.text(found, kl, beside.spends, beside.sentence)}")
