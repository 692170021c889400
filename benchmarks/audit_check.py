"""Whether `klimit.audit` finds what is known exactly: efficiency, nats from optimal, least KL.

Run ``python -m benchmarks.audit_check --seed 1`` from the repository root; it writes
``docs/tables/audit.md``. Prompts are drawn from a population whose policies `benchmarks.audit_laws`
knows by heart; base and policy are sampled on them, and audited as any user would.
"""

from __future__ import annotations

import json
import shlex
import warnings
import zlib
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import click
import numpy as np

from benchmarks.audit_laws import KINDS, Known, Population, draw, policies, populations
from benchmarks.tables import write_table

TEXT = """\
`{command}`. {prompts} prompts drawn from a population, {samples} samples of the base and {answers} of
the policy on each, audited with the KL measured from log-probabilities (k1), {repeats} times.
*Truth* is exact, by enumeration. *Bias* is the mean error: of the efficiency absolute, of the nats
from optimal in units of G/beta, of the least KL over the KL that was spent. *Covered* is the share
of 95 % intervals that hold the truth ({repeats} draws leave it {error:.1f} points of error), of audits
that trusted their limit. *Trusted* is the share of those, *carried* of audits whose limit samples of
the policies carry{together}. `log M - 2` is {wall:.2f} nats.
{more}"""
HEAD = ("rewards", "policy", "KL", "efficiency", "bias", "covered", "nats", "bias", "covered",
        "least KL", "bias", "covered", "trusted", "carried")  # fmt: skip


@dataclass(frozen=True)
class Job:
    """One population at one KL."""

    population: int
    kl: float
    prompts: int
    samples: int
    answers: int
    repeats: int
    seed: int
    paired: bool
    fixed: bool
    alone: bool
    kinds: tuple[str, ...]


@dataclass
class Outcome:
    """What the audits of one policy found: errors over their scale, and whether the truth was held."""

    population: str
    truth: Known
    audits: list[Found]

    def row(self) -> list[str]:
        """A line of the table."""
        truth = self.truth
        sure = [one for one in self.audits if one.trusted]
        cells = [self.population, truth.name, f"{truth.kl:g}"]
        errors, held = (np.array([getattr(one, x) for one in sure]) for x in ("errors", "held"))
        for i, true in enumerate((truth.efficiency, truth.nats, truth.least)):
            cells += [
                f"{true:.3f}",
                f"{np.nanmean(errors[:, i].astype(float)):+.3f}" if sure else "-",
                f"{100 * held[:, i].mean():.0f} %" if sure else "-",
            ]
        shares = (np.mean([getattr(one, x) for one in self.audits]) for x in ("trusted", "carried"))
        return [*cells, *(f"{100 * x:.0f} %" for x in shares)]


class Found(NamedTuple):
    """One audit: of efficiency, nats and least KL the error over its scale, and if the truth is held."""

    errors: list[float]
    held: list[bool]
    trusted: bool
    carried: bool

    @classmethod
    def of(cls, audit: Any, truth: Known) -> Found:
        """`truth` is that of its prompts, where these are asked about."""
        scales = (1.0, truth.limit / truth.beta, truth.kl)
        numbers = [audit.efficiency, audit.gap_nats, audit.least_kl]
        true = [truth.efficiency, truth.nats, truth.least]
        return cls(
            [float(e.value - x) / s for e, x, s in zip(numbers, true, scales, strict=True)],
            [bool(e.low <= x <= e.high) for e, x in zip(numbers, true, strict=True)],
            bool(audit.limit.trusted), not audit.case.limit.alone,
        )  # fmt: skip


def run(job: Job, keep: str | None) -> list[Outcome]:
    """Draw prompts and samples, audit every policy, as often as was asked.

    Parameters
    ----------
    keep : a file of repeats that are done, to which those are added that are not
    """
    population = populations(job.seed)[job.population]
    truths = [one for one in policies(population, job.kl, job.seed) if one.name in job.kinds]
    known = _kept(job, keep)
    found = [
        known.get(at) or _again(job, population, truths, at, keep) for at in range(job.repeats)
    ]
    by_policy = zip(*found, strict=True)
    return [
        Outcome(population.name, one, list(x)) for one, x in zip(truths, by_policy, strict=True)
    ]


def _again(
    job: Job, population: Population, truths: list[Known], repeat: int, keep: str | None
) -> list[Found]:
    import klimit

    tag = zlib.crc32(f"{population.name} {job.kl} {job.paired}".encode())
    rng = np.random.default_rng([job.seed, tag, repeat])
    chosen = rng.integers(len(population.base), size=job.prompts)
    base = klimit.read(rows(rewards(rng, population, population.base, chosen, job.samples), "p"))
    others = chosen if job.paired else rng.integers(len(population.base), size=job.prompts)
    dumps = {
        truth.name: dump(rng, population, truth.table, others, job.answers, job.paired)
        for truth in truths
    }
    asked = {"paired": None if job.paired else False, "prompts": "fixed" if job.fixed else "drawn"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if job.alone:
            audits = [klimit.audit(base, one, **asked) for one in dumps.values()]
        else:
            audits = list(klimit.audit(base, dumps, **asked))
    found = [
        Found.of(audit, truth.of(population, chosen) if job.fixed else truth)
        for audit, truth in zip(audits, truths, strict=True)
    ]
    if keep:
        with Path(keep).open("a") as file:
            file.write(json.dumps([_mark(job), repeat, found]) + "\n")
    return found


def _kept(job: Job, keep: str | None) -> dict[int, list[Found]]:
    if not keep or not Path(keep).exists():
        return {}
    lines = map(json.loads, Path(keep).read_text().splitlines())
    return {at: [Found(*one) for one in found] for mark, at, found in lines if mark == _mark(job)}


def _mark(job: Job) -> str:
    return repr(replace(job, repeats=0))


def rewards(
    rng: np.random.Generator, population: Population, table: np.ndarray, chosen: np.ndarray, n: int
) -> np.ndarray:
    """(prompts, n) rewards of answers drawn from a table."""
    return np.take_along_axis(population.reward[chosen], draw(rng, table[chosen], n), axis=1)


def rows(values: np.ndarray, mark: str, **columns: np.ndarray) -> dict[str, object]:
    """A row per sample, as a dump has them."""
    prompts, samples = values.shape
    named = {name: column.ravel() for name, column in columns.items()}
    ids = np.repeat([f"{mark}{i}" for i in range(prompts)], samples)
    return {"prompt_id": ids, "reward": values.ravel(), **named}


def dump(
    rng: np.random.Generator, population: Population, table: np.ndarray, chosen: np.ndarray,
    n: int, paired: bool,
) -> object:  # fmt: skip
    """Samples of a policy with both log-probabilities."""
    import klimit

    drawn = draw(rng, table[chosen], n)
    reward = np.take_along_axis(population.reward[chosen], drawn, axis=1)
    logs = [
        np.log(np.take_along_axis(one[chosen], drawn, axis=1)) for one in (table, population.base)
    ]
    mark = "p" if paired else "q"
    return klimit.read(rows(reward, mark, logprob=logs[0], ref_logprob=logs[1]))


@click.command()
@click.option("--seed", default=1, show_default=True)
@click.option("--kl", default="0.5,1,2", show_default=True)
@click.option("--prompts", default=60, show_default=True)
@click.option("--samples", default=64, show_default=True, help="Of the base, per prompt.")
@click.option("--answers", default=8, show_default=True, help="Of the policy, per prompt.")
@click.option("--repeats", default=200, show_default=True)
@click.option("--unpaired", is_flag=True, help="Policy sampled on other prompts.")
@click.option("--fixed", is_flag=True, help="Ask about these very prompts.")
@click.option("--alone", is_flag=True, help="Audit each policy without the others.")
@click.option("--only", default="0,1,2,3", help="Populations, by number.")
@click.option("--kinds", default=",".join(KINDS), help="Policies, by name.")
@click.option("--workers", default=1, show_default=True)
@click.option(
    "--keep", metavar="FILE", help="Repeats that are done: stopped, the same command goes on."
)
@click.option("--title", default="Audits of known policies", show_default=True)
@click.option("--output", default="docs/tables/audit.md", show_default=True)
def main(only: str, kl: str, kinds: str, workers: int, keep: str | None, title: str, output: str,
         unpaired: bool, **asked: Any) -> None:  # fmt: skip
    """Write the table of biases and coverages."""
    jobs = [
        Job(int(which), float(budget), paired=not unpaired, kinds=tuple(kinds.split(",")), **asked)
        for which in only.split(",")
        for budget in kl.split(",")
        if not (which == "3" and float(budget) > 0.5)  # few pass rates can spend so much
    ]
    table = []
    with ProcessPoolExecutor(workers) as pool:
        for outcomes in pool.map(partial(run, keep=keep), jobs):
            for outcome in outcomes:
                table.append(outcome.row())
                click.echo("  ".join(table[-1]), err=True)
    more = [
        "Base and policy are on different prompts." if unpaired else "",
        'Asked with `prompts="fixed"`: the truth is that of the prompts drawn.'
        if asked["fixed"] else "",
    ]  # fmt: skip
    text = TEXT.format(
        command=_command(), error=100 * np.sqrt(0.95 * 0.05 / asked["repeats"]),
        wall=np.log(asked["samples"]) - 2, more=" ".join(filter(None, more)),
        together="" if asked["alone"] else ", all of a row's KL together", **asked,
    )  # fmt: skip
    click.echo(write_table(output, title, text, list(HEAD), table), nl=False)


def _command() -> str:
    """The command as it was typed, without what changes nothing."""
    said, skip, context = [], ("workers", "keep"), click.get_current_context()
    for option in context.command.params:
        name = str(option.name)
        value = context.params[name]
        if name in skip or not value or (value == option.default and name != "seed"):
            continue
        said.append(f"--{name}" if value is True else f"--{name} {shlex.quote(str(value))}")
    return " ".join(["python -m benchmarks.audit_check", *said])


if __name__ == "__main__":
    main()
