"""``klimit describe`` and ``rescore``: what klimit reads in files, and how likely models find the samples."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from klimit._extras import need
from klimit._progress import steps
from klimit.cli import options
from klimit.cli.output import print_json, print_text
from klimit.cli.source import Source, from_source, reading


@click.command(short_help="What klimit reads in these files.")
@reading
@options.json_flag
@from_source
def describe(source: Source, as_json: bool) -> None:
    """What does klimit read in these files: prompts, samples, rewards, and how they were drawn?"""
    from klimit.view import records

    with steps("reading", "describing") as job:
        rollouts = source.load(base=False)
        job.next()
        found = records.rollouts_record(rollouts) if as_json else str(rollouts.describe())
    if isinstance(found, str):
        first, _, rest = found.partition("\n")
        print_text(first, rest)
    else:
        print_json(found)


@click.command(short_help="Score samples of a policy under policy and base checkpoints.")
@reading
@click.option("--policy-model", type=click.Path(path_type=Path), required=True, metavar="DIR",
              help="Checkpoint that drew the samples.")  # fmt: skip
@click.option("--base-model", type=click.Path(path_type=Path), required=True, metavar="DIR",
              help="Checkpoint that the KL is measured to.")  # fmt: skip
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, metavar="FILE",
              help="Where to write: .parquet, .jsonl or .csv.")  # fmt: skip
@click.option("--batch-size", type=click.IntRange(min=1), default=256, show_default=True,
              help="Samples between two saves.")  # fmt: skip
@click.option(
    "--chat", is_flag=True, help="Prompts are what a user says: render the chat template."
)
@click.option("--device", metavar="NAME", help="Such as cpu or cuda; found if not given.")
@options.choice("--dtype", "float32", "bfloat16")
@from_source
def rescore(
    source: Source,
    policy_model: Path,
    base_model: Path,
    output: Path,
    chat: bool,
    **how: Any,
) -> None:
    """How likely are these samples under the policy and under the base?

    PATH is a file, a folder or a glob with samples of the policy. FILE gets them with columns
    logprob, ref_logprob, kl_rb (nats per completion) and tokens. Stopped, the same command goes on
    where it stopped. Needs torch and transformers.

    \b
    klimit rescore grpo/ --policy-model checkpoint-500 --base-model Qwen -o scored.parquet
    """
    from klimit.audit.kl import measured_kl
    from klimit.audit.rescore import rescore as score

    need("hf", "torch", "transformers", what="scoring checkpoints")
    source.keep(output)
    rollouts = source.load(base=False)
    scored = score(
        rollouts, policy=policy_model, base=base_model, output=output, chat=chat or None, **how
    )
    one = len(scored.steps) < 2 and len(scored.policies) < 2
    print_text(str(scored), f"{measured_kl(scored)}" if one else f"wrote {output}")
