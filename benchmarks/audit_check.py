"""Whether `klimit.audit` finds what is known exactly: efficiency, nats from optimal, least KL.

Run ``python -m benchmarks.audit_check --seed 1`` from the repository root; it writes
``docs/tables/audit.md``. Prompts are drawn from a population whose policies `benchmarks.audit_laws`
knows by heart; base and policy are sampled on them, and audited as any user would.
"""

from __future__ import annotations

import warnings
import zlib
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field

import click
import numpy as np

from benchmarks.audit_laws import Known, Population, draw, policies, populations
from benchmarks.tables import write_table

TEXT = """\
`{command}`. {prompts} prompts drawn from a population, {samples} samples of the base and {answers} of
the policy on each, audited with the KL measured from log-probabilities (k1), {repeats} times.
*Truth* is exact, by enumeration. *Bias* is the mean error: of the efficiency absolute, of the nats
from optimal in units of G/beta, of the least KL over the KL that was spent. *Covered* is the share
of 95 % intervals that hold the truth ({repeats} draws leave it {error:.1f} points of error).
*Trusted* is the share of audits that trusted their limit. `log M - 2` is {wall:.2f} nats.
{unpaired}"""
HEAD = ("rewards", "policy", "KL", "efficiency", "bias", "covered", "nats", "bias", "covered",
        "least KL", "bias", "covered", "trusted")  # fmt: skip


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


@dataclass
class Outcome:
    """What the audits of one policy found."""

    population: str
    truth: Known
    found: list[tuple[float, ...]] = field(default_factory=list)

    def row(self) -> list[str]:
        """A line of the table."""
        truth = self.truth
        cells = [self.population, truth.name, f"{truth.kl:g}"]
        values = np.array(self.found)
        scales = (1.0, truth.limit / truth.beta, truth.kl)
        for i, (true, scale) in enumerate(
            zip((truth.efficiency, truth.nats, truth.least), scales, strict=True)
        ):
            value, low, high = values[:, 3 * i : 3 * i + 3].T
            with np.errstate(invalid="ignore"):
                covered = np.mean((low <= true) & (true <= high))
            bias = np.nanmean(value - true) / scale
            cells += [f"{true:.3f}", f"{bias:+.3f}", f"{100 * covered:.0f} %"]
        return [*cells, f"{100 * values[:, -1].mean():.0f} %"]


def run(job: Job) -> list[Outcome]:
    """Draw prompts and samples, audit every policy, as often as was asked."""
    import klimit

    population = populations(job.seed)[job.population]
    truths = policies(population, job.kl, job.seed)
    outcomes = [Outcome(population.name, truth) for truth in truths]
    tag = zlib.crc32(f"{population.name} {job.kl} {job.paired}".encode())
    rng = np.random.default_rng([job.seed, tag])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(job.repeats):
            chosen = rng.integers(len(population.base), size=job.prompts)
            base = rewards(rng, population, population.base, chosen, job.samples)
            others = chosen if job.paired else rng.integers(len(population.base), size=job.prompts)
            dumps = {
                truth.name: dump(rng, population, truth.table, others, job.answers, job.paired)
                for truth in truths
            }
            found = klimit.audit(
                klimit.read(rows(base, "p")), dumps, paired=None if job.paired else False
            )
            for outcome, audit in zip(outcomes, found, strict=True):
                numbers = (audit.efficiency, audit.gap_nats, audit.least_kl)
                flat = [x for e in numbers for x in (e.value, e.low, e.high)]
                outcome.found.append((*flat, float(audit.limit.trusted)))
    return outcomes


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
@click.option("--only", default="0,1,2,3", help="Populations, by number.")
@click.option("--workers", default=1, show_default=True)
@click.option("--output", default="docs/tables/audit.md", show_default=True)
def main(seed: int, kl: str, prompts: int, samples: int, answers: int, repeats: int,
         unpaired: bool, only: str, workers: int, output: str) -> None:  # fmt: skip
    """Write the table of biases and coverages."""
    jobs = [
        Job(int(which), float(budget), prompts, samples, answers, repeats, seed, not unpaired)
        for which in only.split(",")
        for budget in kl.split(",")
        if not (which == "3" and float(budget) > 0.5)  # few pass rates can spend so much
    ]
    table = []
    with ProcessPoolExecutor(workers) as pool:
        for outcomes in pool.map(run, jobs):
            for outcome in outcomes:
                table.append(outcome.row())
                click.echo("  ".join(table[-1]), err=True)
    command = f"python -m benchmarks.audit_check --seed {seed}" + (
        " --unpaired" if unpaired else ""
    )
    text = TEXT.format(
        command=command, prompts=prompts, samples=samples, answers=answers, repeats=repeats,
        error=100 * np.sqrt(0.95 * 0.05 / repeats), wall=np.log(samples) - 2,
        unpaired="Base and policy are on different prompts." if unpaired else "",
    )  # fmt: skip
    click.echo(write_table(output, "Audits of known policies", text, list(HEAD), table), nl=False)


if __name__ == "__main__":
    main()
