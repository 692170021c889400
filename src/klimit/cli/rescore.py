"""``klimit rescore``: log-probabilities of samples under policy and base checkpoints."""

from __future__ import annotations

from pathlib import Path

import click

from klimit._extras import need
from klimit.cli.output import print_text
from klimit.cli.source import Source, from_source, reading


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
@click.option(
    "--dtype", type=click.Choice(["float32", "bfloat16"]), default="float32", show_default=True
)
@from_source
def rescore(
    source: Source,
    policy_model: Path,
    base_model: Path,
    output: Path,
    batch_size: int,
    chat: bool,
    device: str | None,
    dtype: str,
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
        rollouts, policy=policy_model, base=base_model, output=output, batch_size=batch_size,
        chat=chat or None, device=device, dtype=dtype,
    )  # fmt: skip
    one = len(scored.steps) < 2 and len(scored.policies) < 2
    print_text(str(scored), f"{measured_kl(scored)}" if one else f"wrote {output}")
