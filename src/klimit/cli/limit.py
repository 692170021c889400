"""``klimit limit`` and ``plan``: the most reward that any method can buy for a KL budget, and what to set."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import click

import klimit
from klimit._progress import steps
from klimit.cli import options
from klimit.cli.output import answer, give, log_to
from klimit.cli.program import one_line
from klimit.cli.source import Source, from_source, reading


@click.command(short_help="The most reward that any method can buy for a KL budget.")
@options.budgets
@reading
@options.choice(
    "--budget", "average", "per-prompt",
    text="Whether prompts share the KL, as under one KL penalty, or each spends it.",
)  # fmt: skip
@options.prompts
@options.choice(
    "--objective", "reward", "win-rate",
    text="What to gain: reward, or the chance to beat an answer of the base model.",
)  # fmt: skip
@options.reward_range
@options.choice(
    "--estimator", "corrected", "plugin",
    text="With the bias of few samples removed, or the papers' own, which is low.",
)  # fmt: skip
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
    from klimit.estimate.plan.verb import plannable
    from klimit.view import limit as view
    from klimit.view import records
    from klimit.view.best_of_n import best_of_n_beside

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
    said: Any
    if as_json:
        said = records.limit_record(found, kl, read=str(rollouts), best_of_n=beside.sizes)
    else:
        said = view.text(found, kl, beside.shown, beside.sentence, beside.notes)
        budget = view.worthwhile(found, [one for one in kl if one > 0] or kl)
        if plannable(found) and found.beta(budget).value > 0 < budget:
            trusted = budget <= found.trusted_kl
            what = "settings for trainers" if trusted else "how much to sample first"
            command = one_line(f"klimit plan {source} --kl {budget:.2g}{_same(how)}")
            said += f"\n\nnext: {command}   ({what})"
    give(rollouts, said, output, partial(records.limit_frame, found, kl))


def _same(how: dict[str, Any]) -> str:
    """The options that a plan takes as well, where they were given."""
    usual = {"level": 0.95, "seed": 0}
    said = [f" --{name} {how[name]:g}" for name in usual if how[name] != usual[name]]
    if how["reward_range"] is not None:
        said.append(" --reward-range={:g},{:g}".format(*how["reward_range"]))
    return "".join(said)


@click.command(short_help="What to set, and how much to sample, for a budget.")
@click.option("--kl", type=float, metavar="NATS", help="Plan for this KL.")
@click.option("--gain", type=float, metavar="G", help="Plan for this gain in reward.")
@click.option("-n", "--n", type=int, metavar="N", help="Plan for what best-of-N spends.")
@click.option("--beta", type=float, metavar="B", help="Plan for this KL coefficient.")
@reading
@click.option(
    "--error", type=float, default=0.05, show_default=True, help="Relative error of the gain."
)
@click.option("--group-size", type=int, default=8, show_default=True,
              help="Completions of a prompt in a training batch.")  # fmt: skip
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
    from klimit.view import plan as view
    from klimit.view import records

    source.keep(output)
    with steps("reading", "planning") as job:
        rollouts = source.load()
        job.next()
        found = klimit.plan(rollouts, reward=source.reward, **how)
    answer(found, rollouts, records.plan_record, view.text, as_json=as_json, output=output)
