"""``klimit limit``: the most reward that any method can buy for a KL budget."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from klimit.cli import options
from klimit.cli.program import one_line
from klimit.cli.source import Source, from_source, reading


@click.command(short_help="The most reward that any method can buy for a KL budget.")
@options.budgets
@reading
@click.option(
    "--budget",
    type=click.Choice(["average", "per-prompt"]),
    default="average",
    show_default=True,
    help="Whether prompts share the KL, as under one KL penalty, or each spends it.",
)
@options.prompts
@click.option(
    "--objective",
    type=click.Choice(["reward", "win-rate"]),
    default="reward",
    show_default=True,
    help="What to gain: reward, or the chance to beat an answer of the base model.",
)
@options.reward_range
@click.option(
    "--estimator",
    type=click.Choice(["corrected", "plugin"]),
    default="corrected",
    show_default=True,
    help="With the bias of few samples removed, or the papers' own, which is low.",
)
@options.intervals
@options.track
@options.answering
@from_source
def limit(
    source: Source, kl: list[float] | None, track: str | None, as_json: bool,
    output: Path | None, **how: Any,
) -> None:  # fmt: skip
    """How much reward can any method gain over the base model for a KL budget?

    PATH is a file, a folder or a glob with samples of the base model and their rewards: several
    answers to every prompt, drawn at temperature 1. No training run is needed. `klimit frontier`
    is the same command.

    \b
    klimit limit rollouts.parquet --kl 0.5,1,2
    klimit limit 'dumps/*.jsonl' --reward score --prompt uid --json
    """
    import klimit
    from klimit._progress import steps
    from klimit.cli.output import log_to, print_json, print_text, write_table
    from klimit.estimate.plan.verb import plannable
    from klimit.view import limit as view
    from klimit.view import records
    from klimit.view.beside import best_of_n_beside

    source.keep(output)
    with steps("reading", "finding the limit", "best-of-N beside it") as job:
        rollouts = source.load()
        job.next()
        found = klimit.frontier(rollouts, reward=source.reward, **how)
        kl = view.budgets(found) if kl is None else kl
        found.gain(kl)  # a budget that cannot be is an error before more work is done
        job.next()
        beside = best_of_n_beside(rollouts, found, kl, reward_range=how["reward_range"])
    log_to(track, found)
    if output is not None:
        write_table(records.limit_frame(found, kl), output)
    if as_json:
        print_json(records.limit_record(found, kl, read=str(rollouts), best_of_n=beside.sizes))
        return
    said = view.text(found, kl, beside.shown, beside.sentence, beside.notes)
    if plannable(found) and max(kl) > 0:
        command = one_line(
            f"klimit plan {source} --kl {view.worthwhile(found, kl):.2g}{_same(how)}"
        )
        said += f"\n\nnext: {command}   (settings for trainers)"
    print_text(str(rollouts), said)


def _same(how: dict[str, Any]) -> str:
    """The options that a plan takes as well, where they were given."""
    said = [f" --{name} {how[name]:g}" for name, usual in _USUAL.items() if how[name] != usual]
    if how["reward_range"] is not None:
        said.append(" --reward-range={:g},{:g}".format(*how["reward_range"]))
    return "".join(said)


_USUAL = {"level": 0.95, "seed": 0}
