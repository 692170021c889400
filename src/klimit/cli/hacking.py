"""``klimit hacking``, ``labels`` and ``ensemble``: how much of what proxies gain is real, and how to know."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import click

import klimit
from klimit._progress import steps
from klimit.cli import options
from klimit.cli.output import give, print_text, write_table
from klimit.cli.source import Source, from_source, reading_where


@click.command(short_help="How much of a proxy's gain is real, and at which KL to stop.")
@click.option("--proxy", required=True, metavar="NAME", help="The reward that is optimised.")
@click.option("--gold", metavar="NAME", help="The reward that counts; it may be missing for most.")
@click.option("--labels", metavar="FILE", help="Gold in a table: prompt_id, sample, gold.")
@click.option("--judgements", metavar="FILE", help="Judged pairs in a table, instead of gold.")
@options.budgets
@click.option(
    "--policy-kl", type=options.Numbers(), multiple=True, metavar="NATS",
    help="KL of each policy, per answer, if not measured.",
)  # fmt: skip
@click.option("--nuisance", metavar="NAME", help="A column the proxy may reward, such as length.")
@reading_where("--proxy and --gold name the rewards")
@options.prompts
@options.range_of("gold rewards")
@options.intervals
@options.answering
@from_source
def hacking(
    source: Source,
    proxy: str,
    gold: str | None,
    labels: str | None,
    judgements: str | None,
    kl: list[float] | None,
    policy_kl: tuple[list[float], ...],
    nuisance: str | None,
    as_json: bool,
    output: Path | None,
    **how: Any,
) -> None:
    """How much of a proxy reward's gain does the gold reward confirm, and at which KL should one stop?

    The first PATH is a file, a folder or a glob with samples of the base model and both rewards of
    each; no training run is needed. Further ones are trained policies, whose steps are checkpoints;
    a single PATH of several steps is a run whose first step is the base, one of several policies
    a run whose base is called so. --output writes a row per KL budget, or per checkpoint if there
    are trained policies.

    \b
    klimit hacking rollouts.parquet --proxy rm --gold human
    klimit hacking rollouts.parquet --proxy rm --gold human --nuisance length --kl 0.5,1
    klimit hacking rollouts.parquet grpo/ --proxy rm --gold human
    """
    from klimit.view import hacking as of_all
    from klimit.view import labels as of_few

    if sum(x is not None for x in (gold, labels, judgements)) != 1:
        raise click.UsageError("give exactly one of --gold, --labels and --judgements")
    source.keep(output, labels, judgements)
    with steps("reading", "following the proxy", "looking for the peak") as job:
        scored = [proxy] if gold is None else [proxy, gold]
        named = scored if nuisance is None else [*scored, nuisance]
        rollouts = replace(source, paths=source.paths[:1]).load(rewards=named)
        policies = source.policies(scored)
        job.next()
        found = klimit.hacking(
            rollouts,
            policies or None,
            proxy=proxy,
            gold=gold if labels is None else Path(labels),
            judgements=judgements,
            nuisance=nuisance,
            kl=[x for given in policy_kl for x in given] or None,
            **how,
        )
        job.next()
        view: Any = of_all if isinstance(found, klimit.Hacking) else of_few
        kl = view.budgets(found) if kl is None else kl
        found.proxy_gain(kl)  # a budget that cannot be is an error before more work is done
        read = str(rollouts)
        said: Any = view.record(found, kl, read=read) if as_json else view.text(found, kl)
    run = getattr(found, "run", None)
    give(read, said, output, partial(view.frame, found, kl) if run is None else run.to_frame)


@click.command(short_help="Which samples to label to know a proxy's gold gain.")
@click.option("--proxy", required=True, metavar="NAME", help="The reward that is optimised.")
@click.option("-n", "number", type=int, required=True, metavar="N", help="How many labels.")
@click.option("--kl", type=float, default=1.0, show_default=True, help="The KL of interest, nats.")
@click.option("--gold", metavar="NAME", help="A column of labels that are there already.")
@click.option("--labels", metavar="FILE", help="The same in a table: prompt_id, sample, gold.")
@click.option("--judgements", metavar="FILE", help="Judged pairs that are there already.")
@click.option("--pairs", is_flag=True, help="Pairs to judge instead.")
@options.seed
@click.option("-o", "--output", type=options.Target(), required=True, metavar="FILE",
              help="Where the table goes: .csv or .parquet.")  # fmt: skip
@reading_where("--proxy names the reward")
@from_source
def labels(
    source: Source, proxy: str, number: int, kl: float, gold: str | None, labels: str | None,
    judgements: str | None, pairs: bool, seed: int, output: Path,
) -> None:  # fmt: skip
    """Which samples tell most about a proxy's gold gain at a KL?

    PATH is a file, a folder or a glob with samples of the base model and the proxy's reward of each.
    Fill a column with gold and hand the table to klimit hacking --labels. For a second round, hand
    over the first one too: what it taught decides what to ask next.

    \b
    klimit labels rollouts.parquet --proxy rm -n 200 --kl 1 --output to-label.csv
    klimit labels rollouts.parquet --proxy rm -n 100 --kl 1 --labels labelled.csv --output next.csv
    """
    from klimit.estimate.labels.entry import LEAST, LEAST_PROMPTS
    from klimit.view import words

    known = [x for x in (gold, labels, judgements) if x is not None]
    if len(known) > 1:
        raise click.UsageError("give one of --gold, --labels and --judgements")
    if pairs and known and judgements is None:
        raise click.UsageError(
            "labels do not say which pairs to judge; with --pairs give --judgements"
        )
    source.keep(output, labels, judgements)
    with steps("reading", "choosing") as job:
        rollouts = source.load(rewards=[x for x in (proxy, gold) if x is not None])
        job.next()
        if not known:
            frame = klimit.first_labels(
                rollouts, proxy=proxy, n=number, kl=kl, pairs=pairs, seed=seed
            )
        else:
            found: Any = klimit.hacking(
                rollouts,
                proxy=proxy,
                gold=gold if labels is None else Path(labels),
                judgements=judgements,
            )
            if isinstance(found, klimit.Hacking):
                raise click.UsageError(
                    f"{gold} is known of so many samples, or prompts are so few, that these are read alone"
                )
            frame = found.next(number, kl=kl, seed=seed)
    if not frame.height:
        raise klimit.DataError(
            f"no sample of {proxy} is worth a label: within every prompt all its rewards are equal."
        )
    write_table(frame, output)
    pairs = pairs or judgements is not None
    what = "pair" if pairs else "sample"
    written, asked = words.counted(frame.height, what), frame["prompt_id"].n_unique()
    prompts = words.counted(asked, "prompt")
    said = f"Wrote {written} to {'judge' if pairs else 'label'} in {prompts} to {output}."
    if not known and (frame.height < LEAST or asked < LEAST_PROMPTS):
        said += (
            f" That is too little to be read: ask for {LEAST} in {LEAST_PROMPTS} prompts or more."
        )
    if frame.height == number - 1:
        said += " Labels are drawn two to a prompt, so an odd one is left."
    elif frame.height < number:
        said += " One round asks for no more; with these labels, another can ask for the rest."
    said += (
        " Fill a column preferred (a, b or tie) and read it with klimit hacking --judgements."
        if pairs
        else " Fill a column of gold and read it with klimit hacking --labels."
    )
    print_text(str(rollouts), words.paragraph(said))


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
@options.choice(
    "--scale", "pooled", "prompt", "none",
    text="Divide proxies by their spread within prompts, by that of each prompt, or not at all.",
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
    from klimit.view import ensemble as view

    source.keep(output)
    with steps("reading", "errors of the proxies", "gold along each aggregate", "writing") as job:
        named = dict.fromkeys([*(proxies or []), *([] if gold is None else [gold])])
        rollouts = source.load(rewards=list(named) if proxies is not None else None)
        job.next()
        found = klimit.ensemble(rollouts, proxies=proxies, gold=gold, weights=member_weights, **how)
        job.next()
        frame = found.to_frame(kl)
        read = str(rollouts)
        said: Any = view.record(found, kl, read=read) if as_json else view.text(found, kl)
        job.next()
    give(read, said, output, lambda: frame)
