"""``klimit audit`` and ``gate``: how near trained policies come to the best that their KL could buy."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import klimit
from klimit._progress import steps
from klimit.cli import options
from klimit.cli.output import give, log_to, print_json
from klimit.cli.program import one_line, say
from klimit.cli.source import Typed, gathered, naming, only, warn_of_sampling

if TYPE_CHECKING:
    from klimit.audit import Audit
    from klimit.rollouts import Rollouts


reading = options.several(
    click.argument("paths", metavar="BASE [POLICY...]", nargs=-1, required=True),
    naming(),
    click.option("--base-step", metavar="N", help="The training step that is the base."),
    click.option("--base-policy", metavar="NAME", help="The policy in the files that is the base."),
    click.option("--kl", type=options.Numbers(), metavar="NATS",
                 help="KL of each policy, per answer, if not measured."),
    click.option("--unpaired", is_flag=True,
                 help="Base and policy are two samples from one population of prompts."),
    options.prompts,
    options.reward_range,
    options.intervals,
)  # fmt: skip


@dataclass(frozen=True)
class Asked(Typed):
    """What was said about base and policies, as it was typed."""

    base_step: str | None
    base_policy: str | None
    kl: list[float] | None
    unpaired: bool
    prompts: str
    reward_range: list[float] | None
    level: float
    seed: int

    @property
    def how(self) -> dict[str, Any]:
        """What verbs take as it is."""
        return {name: getattr(self, name) for name in ("prompts", "reward_range", "level", "seed")}

    def audits(self) -> tuple[list[Audit], str]:
        """Place everything; also the line that says what was read."""
        from klimit.audit.verb import audit

        base, policies = self.sides()
        paired = False if self.unpaired else None
        found = audit(base, policies, reward=self.reward, kl=self.kl, paired=paired, **self.how)
        lines = [str(base)]
        if isinstance(policies, dict):
            lines += [f"{name}: {one}" if name else str(one) for name, one in policies.items()]
        return list(found.each()), "\n".join(lines)

    def sides(self, rewards: list[str] | None = None) -> tuple[Rollouts, Any]:
        """Read the base and, by name, policies; None: both are found in the one path."""
        from klimit.audit.runs import say_nameless
        from klimit.rollouts.words import UNNAMED

        base = self.read(self.paths[0], rewards)
        if len(self.paths) > 1:
            return self._base(base), self.policies(rewards)
        chosen = self._base(base)
        if self.base_step is None and self.base_policy is None:
            return chosen, None
        column = "policy" if self.base_policy is not None else "step"
        used = chosen.policies if column == "policy" else chosen.steps
        known = base.policies if column == "policy" else base.steps
        rest = [one for one in known if one is not None and one not in used]
        if rest and used:  # else those without a name are one of the two
            say_nameless(base, column)
        elif used and None in known:
            rest = [UNNAMED]
        if not rest:
            raise click.UsageError(f"{self.paths[0]} holds nothing but the base; name a POLICY")
        return chosen, {"": base.filter(**{column: rest})}

    def one_kl(self) -> float | None:
        """The number of --kl, where there can be but one."""
        if self.kl is not None and len(self.kl) != 1:
            raise click.UsageError(f"--kl has {len(self.kl)} numbers; one was expected")
        return None if self.kl is None else self.kl[0]

    def base(self) -> Rollouts:
        """Samples of the base alone, from the first path."""
        base = self._base(self.read(self.paths[0]))
        base.check_one_policy("--base-")
        return base

    def _base(self, base: Rollouts) -> Rollouts:
        found = only(base, self.base_policy, self.base_step)
        warn_of_sampling(found)
        return found


asked = gathered(Asked)

at_numbers = click.option(
    "--at", type=options.Numbers(exactly=2), multiple=True, metavar="KL,GAIN",
    help="Place a policy known by its numbers only.",
)  # fmt: skip


@click.command(short_help="How near trained policies come to the best that their KL could buy.")
@reading
@at_numbers
@options.track
@options.answering
@asked
def audit(
    source: Asked, at: tuple[tuple[float, float], ...], track: str | None, as_json: bool,
    output: Path | None,
) -> None:  # fmt: skip
    """How near do trained policies come to the best that any method could do with their KL?

    BASE holds samples of the base model with rewards, each POLICY samples of a trained one, best on
    the same prompts. With one path, base and policies are found inside it: step 0 or 1 of a run, or
    the policy called base, is the base.

    \b
    klimit audit base.parquet grpo.parquet --reward rm
    klimit audit runs/grpo/completions
    klimit audit base.parquet --at 5.1,0.61
    """
    from klimit.audit.audits import Audits, best_of_n_beside
    from klimit.view import audit as view
    from klimit.view import records

    source.keep(output)
    with steps("reading and placing", "best-of-N beside it") as job:
        found, read = placed(source, at)
        job.next()
        beside = best_of_n_beside(found)
    log_to(track, Audits(tuple(found)))
    said: Any = (
        records.audit_record(found, read=read, beside=beside)
        if as_json
        else view.text(found, beside)
    )
    give(read, said, output, partial(records.audit_frame, found, beside))


def placed(source: Asked, at: tuple[tuple[float, float], ...] = ()) -> tuple[list[Audit], str]:
    """Place what was named, or numbers; also the line that says what was read."""
    if not at:
        return source.audits()
    if len(source.paths) > 1 or source.kl is not None or source.unpaired:
        raise click.UsageError(
            "--at places numbers on the limit of one BASE; leave POLICY and --kl"
        )
    base = source.base()
    limit = klimit.frontier(base, reward=source.reward, **source.how)
    found = [limit.place(kl, gain) for kl, gain in at]
    if len(found) > 1:
        found = [replace(one, name=f"point {i + 1}") for i, one in enumerate(found)]
    return found, str(base)


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
    sure: bool,
    as_json: bool,
    **least: float | None,
) -> int:
    """Does a run do well enough? Exits 0 if it does, 3 if it falls short, and says why in one line.

    Reads base and policies as `klimit audit` does; each policy and each step has to pass.

    \b
    klimit gate base.parquet grpo.parquet --min-efficiency 0.7 --max-kl 10
    """
    from klimit.audit.gate import gate as held
    from klimit.view.records import gate_record

    if all(bound is None for bound in least.values()):
        raise click.UsageError("nothing is asked; give --min-efficiency, --max-kl or --min-gain")
    with steps("reading and placing"):
        audits, read = source.audits()
    checks = [check for audit in audits for check in held(audit, sure=sure, **least)]
    failed = [check for check in checks if not check.passed]
    if as_json:
        print_json(gate_record(checks, read=read))
    else:
        word = "falls short" if failed else "passes"
        say(one_line(f"{word}: {'; '.join(str(check) for check in failed or checks)}"))
    return 3 if failed else 0
