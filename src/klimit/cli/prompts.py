"""``klimit prompts``: lists of prompts to train on, or to leave out, as JSON lines."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import klimit
from klimit._files import whole_file
from klimit._progress import steps
from klimit.cli import options
from klimit.cli.output import json_text, print_text, write_table
from klimit.cli.program import one_line, say
from klimit.cli.source import Source, from_source, reading, short_names

if TYPE_CHECKING:
    import polars as pl

    from klimit.audit import Audit
    from klimit.rollouts import Rollouts

LISTS = {
    "headroom": "by headroom, the largest first",
    "zero-signal": "whose samples all have one reward: a group of them gives no gradient",
    "saturated": "at least {nearly} of whose samples have the best possible reward",
    "wasteful": "on which {policy} seems to spend more KL than the optimum, at a loss; the worst first",
}


@click.command(short_help="Lists of prompts to train on or to leave out, as JSON lines.")
@reading
@options.choice("--by", *LISTS, text="Which prompts, and in which order.")
@click.option("--kl", type=float, metavar="NATS", help="Budget for the gain and KL of each prompt.")
@click.option("--top", type=click.IntRange(min=1), metavar="N", help="The first N of them only.")
@click.option("--nearly", type=float, default=0.9, show_default=True, metavar="SHARE",
              help="Share of samples at the best reward that makes a prompt saturated.")  # fmt: skip
@click.option("--group-size", type=int, default=8, show_default=True,
              help="Completions of a prompt in a batch, for no_signal.")  # fmt: skip
@click.option("--policy-path", multiple=True, metavar="PATH",
              help="Samples of a trained policy, for wasteful ones.")  # fmt: skip
@click.option("--text", is_flag=True, help="Add the text of each prompt.")
@options.reward_range
@options.seed
@click.option("-o", "--output", type=options.Target(".jsonl", ".csv", ".parquet"), metavar="FILE",
              help="Write to FILE, .jsonl, .csv or .parquet, instead of stdout.")  # fmt: skip
@from_source
def prompts(
    source: Source,
    by: str,
    kl: float | None,
    top: int | None,
    nearly: float,
    group_size: int,
    policy_path: tuple[str, ...],
    text: bool,
    output: Path | None,
    **how: Any,
) -> None:
    """Which prompts have the most to gain, and which teach nothing?

    PATH is a file, a folder or a glob with samples of the base model and their rewards. One JSON
    object per prompt goes to stdout, and a line that says how many to stderr. Prompts are by
    headroom (best sample above the mean), or only those with zero signal (all rewards equal),
    saturated ones (nearly all samples have the best possible reward), or those on which a policy
    wastes KL.

    \b
    klimit prompts base.parquet --by headroom --top 1000 -o train.jsonl
    klimit prompts base.parquet --by zero-signal
    klimit prompts base.parquet --by wasteful --policy-path grpo.parquet
    """
    from klimit.view.limit import budgets, worthwhile
    from klimit.view.words import nats

    if (by == "wasteful") != bool(policy_path):
        raise click.UsageError("--by wasteful and --policy-path go together; give both or neither")
    source.keep(output, *policy_path)
    with steps("reading", "finding the limit") as job:
        base = source.load()
        job.next()
        if policy_path:
            placed = _placed(source, base, list(policy_path), how)
            frame, said, at = placed.prompts("wasteful"), placed.label, ""
        else:
            limit = klimit.frontier(base, reward=source.reward, **how)
            budget = worthwhile(limit, budgets(limit)) if kl is None else kl
            frame, said = limit.prompts(budget, by, nearly=nearly, group=group_size), ""
            at = "" if kl is not None else f"; gain and KL at a budget of {nats(budget)} (--kl)"
    total, found = len(base.ids), frame.height
    frame = frame if top is None else frame.head(top)
    frame = with_text(frame, base) if text else frame
    listed = LISTS[by].format(policy=said, nearly=f"{100 * nearly:g} %")
    line = f"{found:,} of {total:,} prompts {listed}"
    are = "one is" if frame.height == 1 else f"{frame.height:,} are"
    cut = f"; the first {are} listed{at}" if frame.height < found else at
    if output is None:
        for row in rows(frame):
            say(row)
        say(one_line(f"{line}{cut}"), sys.stderr)
        return
    if output.suffix.lower() == ".jsonl":
        with whole_file(output) as file:
            file.writelines(f"{row}\n".encode() for row in rows(frame))
    else:
        write_table(frame, output)
    print_text(str(base), one_line(f"{line}{cut}"))


def rows(frame: pl.DataFrame) -> list[str]:
    """A JSON object a row."""
    import polars as pl

    known = frame.with_columns(pl.selectors.float().fill_nan(None))
    return [json_text(row) for row in known.to_dicts()]


def with_text(frame: pl.DataFrame, base: Rollouts) -> pl.DataFrame:
    """The same with the prompt's text beside its id, null where the data has none."""
    import polars as pl

    from klimit.view.report.prompts import texts_of

    column = texts_of(base, frame["prompt_id"])
    if column is None:
        column = pl.Series([None] * frame.height, dtype=pl.String)
    return frame.insert_column(1, column.alias("prompt"))


def _placed(source: Source, base: Rollouts, paths: list[str], how: dict[str, Any]) -> Audit:
    """The policy against the base: of several steps the last one."""
    from klimit.audit.verb import audit
    from klimit.rollouts.steps import present

    path, name = paths[0] if len(paths) == 1 else paths, short_names(tuple(paths[:1]))[0]
    policy = source.read(path)
    if len(policy.steps) > 1:
        policy = policy.filter(step=present(policy.steps)[-1])
    found = audit(base, {name: policy}, reward=source.reward, **how).each()
    if len(found) != 1:
        raise click.UsageError(
            f"--policy-path holds {len(found)} policies; give the files of one of them"
        )
    return found[0]
