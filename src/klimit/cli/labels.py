"""``klimit labels``: which samples people should label, or which pairs they should judge."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from klimit.cli import options
from klimit.cli.source import Source, from_source, reading_where


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
    import klimit
    from klimit._progress import steps
    from klimit.cli.output import print_text, write_table
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
    written = words.counted(frame.height, what)
    prompts = words.counted(frame["prompt_id"].n_unique(), "prompt")
    said = f"Wrote {written} to {'judge' if pairs else 'label'} in {prompts} to {output}."
    if frame.height == number - 1:
        said += " Labels are drawn two to a prompt, so an odd one is left."
    elif frame.height < number:
        said += " No other sample would say more at this KL."
    print_text(str(rollouts), said)
