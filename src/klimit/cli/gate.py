"""``klimit gate``: exits 3 when a run falls short, for use in automated checks."""

from __future__ import annotations

import click

from klimit.cli import options
from klimit.cli.audit import Asked, asked, reading

SHORT = 3


@click.command(short_help="Exit with code 3 when a run falls short, for automated checks.")
@reading
@click.option(
    "--min-efficiency", type=float, metavar="SHARE", help="Least share of the limit, such as 0.7."
)
@click.option("--max-kl", type=float, metavar="NATS", help="Largest KL, nats per answer.")
@click.option("--min-gain", type=float, metavar="REWARD", help="Least gain over the base.")
@click.option("--sure", is_flag=True, help="Ask it of the whole interval, not of the estimate.")
@options.json_flag
@asked
def gate(
    source: Asked,
    min_efficiency: float | None,
    max_kl: float | None,
    min_gain: float | None,
    sure: bool,
    as_json: bool,
) -> int:
    """Does a run do well enough? Exits 0 if it does, 3 if it falls short, and says why in one line.

    Reads base and policies as `klimit audit` does; each policy and each step has to pass.

    \b
    klimit gate base.parquet grpo.parquet --min-efficiency 0.7 --max-kl 10
    """
    from klimit._progress import steps
    from klimit.audit.gate import gate as held
    from klimit.cli.output import print_json
    from klimit.cli.program import one_line, say
    from klimit.view.records import gate_record

    if min_efficiency is None and max_kl is None and min_gain is None:
        raise click.UsageError("nothing is asked; give --min-efficiency, --max-kl or --min-gain")
    with steps("reading and placing"):
        audits, read = source.audits()
    checks = [
        check
        for audit in audits
        for check in held(
            audit, min_efficiency=min_efficiency, max_kl=max_kl, min_gain=min_gain, sure=sure
        )
    ]
    failed = [check for check in checks if not check.passed]
    if as_json:
        print_json(gate_record(checks, read=read))
    else:
        word = "falls short" if failed else "passes"
        say(one_line(f"{word}: {'; '.join(str(check) for check in failed or checks)}"))
    return SHORT if failed else 0
