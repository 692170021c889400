"""Whether `klimit.plan` keeps its promise: the error that its prompts and samples really reach.

Run ``python -m benchmarks.plan_check --seed 1`` from the repository root; it writes
``docs/tables/plan.md``.  A pilot is drawn from a family of `benchmarks.families`, `klimit.plan`
says how many prompts and samples it takes to know the gain to a given error, and data sets of that
size are drawn afresh.  Their root mean square error, over the true gain, is what was reached.
"""

from __future__ import annotations

import warnings
import zlib
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

import click
import numpy as np

from benchmarks.simulate import find_family
from benchmarks.tables import write_table

FAMILIES = (
    *("dev/normal", "dev/uniform", "dev/beta25", "dev/mix3", "dev/likert7", "dev/bern.1"),
    *("dev/betamix", "heldout/sigmoid", "heldout/bimodal", "heldout/rubric5"),
    *("heldout/weibull1.5", "heldout/normal.6", "dev/exp"),
)
LARGEST = 400_000  # rewards in a planned data set; plans beyond are counted, not drawn
TEXT = """\
`{command}`. A pilot of {pilot} samples is drawn, `klimit.plan(pilot, kl=..., error=...)` says how
many prompts and samples it takes, and {redraws} data sets of that size are drawn afresh, for
{pilots} pilots. *Reached* is the root mean square of all their errors over the true gain (so bias
counts), *bias* their mean; *kept* counts the pilots whose own data sets reached the promise within
a quarter. Plans above {largest:,} rewards are counted, not drawn. Budgets at which the true
frontier is flat are left out. weibull1.5 and normal.6 have prompts whose scales differ widely
(lognormal); exp has exponential tails, of which the plan says that its samples are the least."""


@dataclass(frozen=True)
class Job:
    """One row of the table."""

    family: str
    kl: float
    error: float
    prompts: int
    samples: int
    pilots: int
    redraws: int
    seed: int


@dataclass(frozen=True)
class Outcome:
    """What the pilots planned, and what came of it; errors (pilots drawn, redraws)."""

    job: Job
    plans: list[tuple[int, int]]
    errors: list[list[float]]

    def row(self) -> list[str]:
        """A line of the table."""
        job, errors = self.job, np.array(self.errors)
        prompts, samples = (int(np.median(side)) for side in np.array(self.plans).T)
        cells = [
            job.family.split("/")[1],
            f"{job.kl:g}",
            f"{job.error:.0%}",
            f"{prompts} x {samples}",
        ]
        huge = len(self.plans) - len(errors)
        if not len(errors):
            return [*cells, "-", "-", "-", str(huge)]
        reached = np.sqrt(np.mean(errors**2))
        each = np.sqrt(np.mean(errors**2, axis=1))
        kept = int((each <= 1.25 * job.error).sum())
        return [
            *cells,
            f"{reached:.1%}",
            f"{errors.mean():+.1%}",
            f"{kept} of {len(errors)}",
            str(huge),
        ]


def run(job: Job) -> Outcome | None:
    """Draw pilots, plan, draw what was planned; None where the frontier is flat at this budget."""
    import klimit

    family = find_family(job.family)
    front = family.front(np.array([job.kl]))
    if not front.beta[0] > 0:
        return None
    truth = float(front.gain[0])
    tag = zlib.crc32(f"{job.family} {job.kl} {job.error}".encode())
    rng = np.random.default_rng([job.seed, tag])
    plans, errors = [], []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(job.pilots):
            pilot = family.draw(rng, family.prompts(rng, job.prompts), job.samples)
            found = klimit.plan(pilot, kl=job.kl, error=job.error)
            plans.append((found.prompts, found.samples))
            if found.prompts * found.samples > LARGEST:
                continue
            gains = [
                klimit.frontier(family.draw(rng, family.prompts(rng, found.prompts), found.samples))
                .gain(job.kl)
                .value
                for _ in range(job.redraws)
            ]
            errors.append([float(gain / truth - 1) for gain in gains])
    return Outcome(job, plans, errors)


@click.command()
@click.option("--seed", default=1, show_default=True)
@click.option("--families", default=",".join(FAMILIES), help="Commas between.")
@click.option("--kl", default="0.5,1,2", show_default=True)
@click.option("--error", default="0.05", show_default=True)
@click.option("--prompts", default=50, show_default=True, help="Prompts of a pilot.")
@click.option("--samples", default=64, show_default=True, help="Samples of each.")
@click.option("--pilots", default=12, show_default=True)
@click.option("--redraws", default=4, show_default=True)
@click.option("--workers", default=1, show_default=True)
@click.option("--output", default="docs/tables/plan.md", show_default=True)
def main(seed: int, families: str, kl: str, error: str, prompts: int, samples: int, pilots: int,
         redraws: int, workers: int, output: str) -> None:  # fmt: skip
    """Write the table of promised and reached errors."""
    jobs = [
        Job(family, float(budget), float(share), prompts, samples, pilots, redraws, seed)
        for share in error.split(",")
        for budget in kl.split(",")
        for family in families.split(",")
    ]
    with ProcessPoolExecutor(workers) as pool:
        found = []
        for outcome in pool.map(run, jobs):
            if outcome is not None:
                found.append(outcome)
                click.echo("  ".join(outcome.row()), err=True)
    command = f"python -m benchmarks.plan_check --seed {seed}"
    changed = {
        "families": (families, ",".join(FAMILIES)),
        "kl": (kl, "0.5,1,2"),
        "error": (error, "0.05"),
        "prompts": (prompts, 50),
        "samples": (samples, 64),
        "pilots": (pilots, 12),
        "redraws": (redraws, 4),
    }
    command += "".join(f" --{name} {now}" for name, (now, usual) in changed.items() if now != usual)
    text = TEXT.format(command=command, pilot=f"{prompts} prompts x {samples}", pilots=pilots,
                       redraws=redraws, largest=LARGEST)  # fmt: skip
    head = ["family", "KL", "promised", "planned (median)", "reached", "bias", "kept", "too large"]
    click.echo(write_table(output, "Errors promised and reached", text, head,
                           [outcome.row() for outcome in found]), nl=False)  # fmt: skip


if __name__ == "__main__":
    main()
