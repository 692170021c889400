"""How far samples of a policy carry the limit, and whether those that cannot are refused.

Run ``python -m benchmarks.bridge_check --seed 1`` from the repository root; it writes
``docs/tables/bridge.md`` (about six minutes of one core).
"""

from __future__ import annotations

import warnings
import zlib
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

import click
import numpy as np

from benchmarks.bridge_laws import Case, parameters, population, sample, truth
from benchmarks.tables import row, write_page
from klimit.estimate.bridge import bridge
from klimit.estimate.frontier import frontier

BUDGETS = np.array([0.5, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0])
NEEDED = 0.05
HEAD = ("rewards", "samples", "policy", "noise", "base scored", "used", "base to", "bridge to",
        "5 % up to", "base alone", "error", "drawn", "these")  # fmt: skip
TEXT = """\
# The limit carried further by samples of a policy

`{command}`. {prompts} prompts with scales drawn from .5, 1, 1.5, 1 (pass rates from Beta(.6, 1.2)),
samples of base + policy on each, {repeats} repeats. The policy is the optimal tilt at so many nats,
with `noise` s in its log-ratio that the reward does not decide, which costs it s²/2 nats more: a
policy that was tilted on another normal reward of correlation c with this one, at KL D, is the row of
c²D nats and noise sqrt(2 (1 - c²) D).
*Base scored*: whether the base's samples have log-probabilities under the policy too. *Used*: repeats
in which the bridge was not refused and reached further than the base. *Base to*, *bridge to*: median
trusted nats of the base alone and of what is answered with the bridge.
*5 % up to*: largest of {budgets} nats with a root mean square error of at most 5 % over the repeats
that used the bridge, trusted or not (8 is the end of the grid); *base alone* the same of
`klimit.frontier` in all repeats. *Error*: the worst root mean square error at a budget that at least
a quarter of the repeats trusted, over those.
*Drawn*, *these*: how many of the 95 % intervals inside trust hold the truth, of the population of
prompts and of these prompts (`prompts="fixed"`), mean over those budgets; half of the repeats ask for
each, so a single row is good to about 8 points.
"""


FLAWS = """\
## Policies that should be refused, or that can do little

*half*, *top-p*: the policy never draws half of what the base draws, or 31 % of it, whatever its reward;
*not renormalised*: nor do its log-probabilities know. *Stale scores*: log-ratios of another checkpoint,
15 % steeper in the reward. *Never the best*: nothing above 1.5 standard deviations. *Narrow*: half of
the base's spread. What passes the test passes because it does little harm at so many prompts and
samples, and *error* says how much; *these* may then cover less than they say.
"""


@dataclass(frozen=True)
class Job:
    """A case at some numbers of samples."""

    case: Case
    base: int
    policy: int
    prompts: int
    repeats: int
    seed: int


@dataclass(frozen=True)
class Outcome:
    """What a case came to; arrays (repeats, budgets) or (repeats,)."""

    job: Job
    used: np.ndarray
    reach: np.ndarray
    base_reach: np.ndarray
    error: np.ndarray
    base_error: np.ndarray
    covered: np.ndarray

    @property
    def trusted(self) -> np.ndarray:
        """(repeats, budgets) whether the bridge answers and is trusted there."""
        return (self.reach[:, None] >= BUDGETS) & self.used[:, None]

    def coverage(self, part: int) -> float:
        """Of drawn (0) or fixed (1) prompts."""
        inside = self.trusted[part::2]
        return float(self.covered[part::2][inside].mean()) if inside.any() else float("nan")

    def cells(self) -> list[str]:
        """A line of the table."""
        job, case = self.job, self.job.case
        many = self.trusted.mean(axis=0) >= 0.25
        worst = float("nan")
        if many.any():
            squares = np.where(self.trusted, self.error**2, 0.0).sum(axis=0)
            worst = float(np.sqrt(squares[many] / self.trusted.sum(axis=0)[many]).max())
        used = self.used
        return [
            case.rewards, f"{job.base}+{job.policy}", f"{case.kl:g}{', ' * bool(case.flaw)}{case.flaw}",
            f"{case.noise:g}", "yes" if case.scored else "no", f"{100 * used.mean():.0f} %",
            f"{np.median(self.base_reach):.1f}", f"{np.median(self.reach):.1f}",
            _reached(self.error[used]) if used.any() else "-", _reached(self.base_error),
            _percent(worst, 1), _percent(self.coverage(0)), _percent(self.coverage(1)),
        ]  # fmt: skip


def _percent(value: float, digits: int = 0) -> str:
    return f"{100 * value:.{digits}f} %" if np.isfinite(value) else "-"


def _reached(errors: np.ndarray) -> str:
    fine = np.sqrt((errors**2).mean(axis=0)) <= NEEDED
    number = len(fine) if fine.all() else int(fine.argmin())
    return f"{BUDGETS[number - 1]:g}" if number else "-"


def run(job: Job) -> Outcome:
    """Draw, carry, compare."""
    case = job.case
    tag = zlib.crc32(repr((case.rewards, case.flaw, case.kl, case.noise, job.base)).encode())
    rng = np.random.default_rng([job.seed, tag])
    everyone = truth(case.rewards, population(case.rewards), BUDGETS)
    rows = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for repeat in range(job.repeats):
            at = parameters(case.rewards, rng, job.prompts)
            base, policy = sample(case, at, job.base, job.policy, rng)
            fixed = repeat % 2 == 1
            limit = frontier(base.rewards.reshape(job.prompts, job.base),
                             prompts="fixed" if fixed else "drawn")  # fmt: skip
            carried = bridge(limit, base, [policy])
            true = truth(case.rewards, at, BUDGETS)
            found = carried.gain(BUDGETS)
            aim = true if fixed else everyone
            inside = (found.low <= aim) & (aim <= found.high)
            rows.append((carried.used, carried.trusted_kl, limit.trusted_kl, found.value / true - 1,
                         limit.gain(BUDGETS).value / true - 1, inside))  # fmt: skip
    return Outcome(job, *(np.array(part) for part in zip(*rows, strict=True)))


def sound(sizes: list[tuple[int, int]]) -> list[tuple[Case, int, int]]:
    """Policies whose samples are what their log-probabilities say."""
    found = []
    for base, policy in sizes:
        for kl in (1.0, 3.0, 6.0):
            for noise in (0.0, 0.5, 1.0, 2.0):
                found.append((Case("normal", "", kl, noise, False), base, policy))
                if noise == 2:
                    found.append((Case("normal", "", kl, noise, True), base, policy))
        found += [(Case("uniform", "", kl, 1.0, False), base, policy) for kl in (1.0, 3.0)]
        found += [(Case("pass rates", "", kl, 0.5, False), base, policy) for kl in (0.5, 1.0)]
    found += [(Case("normal", "", 1.0, noise, False), 256, 64) for noise in (0.0, 2.0)]
    found += [(Case("pass rates", "", 1.0, 0.5, False), n, n) for n in (8, 16)]
    return found


def flawed() -> list[tuple[Case, int, int]]:
    """Policies that should be refused, or reach little."""
    found = []
    for flaw in ("half", "top-p", "top-p, not renormalised", "stale scores"):
        for kl in (1.0, 6.0):
            found += [(Case("normal", flaw, kl, 1.0, scored), 64, 64) for scored in (False, True)]
        found.append((Case("normal", flaw, 3.0, 1.0, False), 32, 8))
    for flaw in ("never the best", "narrow"):
        found += [(Case("normal", flaw, 3.0, 0.0, scored), 64, 64) for scored in (False, True)]
        found.append((Case("normal", flaw, 3.0, 0.0, False), 32, 8))
    found += [(Case("normal", "", kl, 4.0, False), 64, 64) for kl in (1.0, 3.0)]
    found += [(Case("normal", "", 3.0, 1.0, False), 64, m) for m in (2, 4)]
    found += [(Case("normal", "", 3.0, 1.0, False), 8, 4)]
    return found


@click.command()
@click.option("--seed", default=1, show_default=True)
@click.option("--prompts", default=48, show_default=True)
@click.option("--repeats", default=32, show_default=True)
@click.option("--workers", default=1, show_default=True)
@click.option("--output", default="docs/tables/bridge.md", show_default=True)
def main(seed: int, prompts: int, repeats: int, workers: int, output: str) -> None:
    """Write both tables."""
    parts = (sound([(64, 64), (32, 8)]), flawed())
    jobs = [Job(*one, prompts, repeats, seed) for part in parts for one in part]
    outcomes = []
    with ProcessPoolExecutor(workers) as pool:
        for outcome in pool.map(run, jobs):
            outcomes.append(outcome)
            click.echo("  ".join(outcome.cells()), err=True)
    split = len(parts[0])
    text = TEXT.format(
        command=f"python -m benchmarks.bridge_check --seed {seed}", prompts=prompts,
        repeats=repeats, budgets=", ".join(f"{x:g}" for x in BUDGETS),
    )  # fmt: skip
    head = [row(HEAD), "|---" * len(HEAD) + "|"]
    page = [text, *head, *(row(x.cells()) for x in outcomes[:split]), "", _summary(outcomes[:split]),
            "", FLAWS, *head, *(row(x.cells()) for x in outcomes[split:])]  # fmt: skip
    click.echo(write_page(output, "\n".join(page) + "\n"), nl=False)


def _summary(outcomes: list[Outcome]) -> str:
    """Coverage over all sound policies, by rewards."""
    lines = []
    for name in dict.fromkeys(x.job.case.rewards for x in outcomes):
        ours = [x for x in outcomes if x.job.case.rewards == name]
        answers = [[x.covered[part::2][x.trusted[part::2]] for x in ours] for part in (0, 1)]
        drawn, these = (float(np.concatenate(part).mean()) for part in answers)
        lines.append(f"{name} {_percent(drawn, 1)} drawn, {_percent(these, 1)} these")
    return f"Coverage of all trusted answers above: {'; '.join(lines)}."


if __name__ == "__main__":
    main()
