"""Whether a run's peak of gold lies where `klimit.audit.path` says, on curves that it was not made for.

Run ``python -m benchmarks.trained_path --seed 1`` from the repository root; it writes
``docs/tables/trained_path.md``. Runs are simulated prompt by prompt: each has checkpoints of a known
mean gold gain at known KLs, prompts that gain and spend more or less than the mean, noise of few
answers, and a training that strays from its curve by `wander` at each checkpoint.
"""

from __future__ import annotations

from dataclasses import dataclass

import click
import numpy as np

from benchmarks.tables import write_table
from klimit.audit.path.points import Points, points
from klimit.audit.path.turn import turn

LEAST, MOST, SEEN = 0.5, 20.0, 400.0  # KL of the first and the last checkpoint; of the true curve
CURVES = {
    "d (a - b log d)": lambda k: np.sqrt(k) * (0.25 - 0.12 * np.log(np.sqrt(np.maximum(k, 1e-12)))),
    "d (a - b d)": lambda k: np.sqrt(k) * (0.25 - 0.05 * np.sqrt(k)),
    "early, then linear": lambda k: 0.5 * (1 - np.exp(-k / 2)) - 0.03 * k,
    "bump": lambda k: 0.5 * (k / 6) * np.exp(1 - k / 6),
    "cliff": lambda k: 0.3 * np.tanh(k / 3) - 0.4 / (1 + np.exp(-(k - 14) / 1.5)),
    "root, no peak": lambda k: 0.12 * np.sqrt(k),
    "plateau, no peak": lambda k: 0.4 * (1 - np.exp(-k / 4)),
    "peak beyond the run": lambda k: np.sqrt(k) * (0.25 - 0.022 * np.sqrt(k)),
    "tent": lambda k: 0.12 * np.minimum(k, 3) - 0.018 * np.maximum(k - 3, 0),
    "slow decay": lambda k: 0.12 * k**0.7 * np.exp(-k / 12),
    "sudden fall": lambda k: 0.3 - 0.3 * np.exp(-k) - 0.3 / (1 + np.exp((10 - k) / 0.3)),
    "logarithm less a power": lambda k: 0.3 * np.log1p(k) - 0.02 * k**1.2,
    "saturating, then linear": lambda k: 0.35 * k / (k + 2) - 0.006 * k,
}
HEAD = ("gold", "peak", "checkpoints", "wander", "curves: covered", "shown", "median width",
        "bracket: covered", "shown", "median width")  # fmt: skip
TEXT = """\
`{command}`. Runs of {prompts} prompts x {answers} answers, checkpoints from {least:g} to {most:g}
nats, {repeats} runs a row ({error:.1f} points of error where the truth is 95 %). *Curves* is `peak_kl`, by
the forms of Gao et al. that fit, or the bracket where none does; *bracket* needs no form. *Covered*:
the interval holds the peak; where there is none within the run, its end is open. *Shown*: the interval
is closed. *Wander* is the standard deviation, in reward units, of how far training strays from its
curve at each checkpoint (gold rises to .2 to .5). Only the first two curves are of the forms fitted, and the
last two were not simulated while the intervals were made."""


@dataclass(frozen=True)
class Case:
    """A row: what gold does, and how often one looks."""

    curve: str
    checkpoints: int
    wander: float
    prompts: int
    answers: int
    seed: int

    def draw(self, rng: np.random.Generator) -> Points:
        """One run."""
        number, curve = self.prompts, CURVES[self.curve]
        kl = np.geomspace(LEAST, MOST, self.checkpoints)[:, None]
        spending = kl * np.exp(0.3 * rng.standard_normal(number) - 0.045)
        gaining = np.exp(0.4 * rng.standard_normal(number) - 0.08)
        noise = 0.2 / np.sqrt(self.answers) * rng.standard_normal(spending.shape)
        own = 0.05 * rng.standard_normal(spending.shape)
        gold = gaining * curve(spending) + own + noise - 0.2 / 16 * rng.standard_normal(number)
        gold += self.wander * rng.standard_normal(kl.shape)
        seen = spending * np.exp(0.1 * rng.standard_normal(spending.shape))
        return points(seen, gold, np.zeros(self.checkpoints))

    @property
    def peak(self) -> float:
        """KL at which mean gold is highest; infinite where that is beyond the run."""
        rng = np.random.default_rng(0)
        spread = np.exp(0.3 * rng.standard_normal(2000) - 0.045)
        kl = np.geomspace(0.05, SEEN, 2000)
        mean = np.array([CURVES[self.curve](one * spread).mean() for one in kl])
        best = kl[mean.argmax()]
        return float(best) if best <= MOST else float("inf")

    def row(self, repeats: int) -> list[str]:
        """A line of the table."""
        tag = [self.seed, list(CURVES).index(self.curve), self.checkpoints, int(1e3 * self.wander)]
        rng = np.random.default_rng(tag)
        truth, cells = self.peak, []
        turns = [turn(self.draw(rng), 0.95) for _ in range(repeats)]
        for name in ("peak_kl", "bracket"):
            low, high = np.array(
                [(getattr(one, name).low, getattr(one, name).high) for one in turns]
            ).T
            covered = (low <= truth) & (truth <= high)
            shown = np.isfinite(high)
            width = f"{np.median((high - low)[shown]):.1f}" if shown.any() else "-"
            cells += [f"{100 * covered.mean():.0f} %", f"{100 * shown.mean():.0f} %", width]
        where = "none" if np.isinf(truth) else f"{truth:.1f}"
        return [self.curve, where, str(self.checkpoints), f"{self.wander:g}", *cells]


@click.command()
@click.option("--seed", default=1, show_default=True)
@click.option("--repeats", default=200, show_default=True)
@click.option("--prompts", default=40, show_default=True)
@click.option("--answers", default=8, show_default=True)
@click.option("--only", type=int, default=None, help="One curve, by place; prints, writes nothing.")
@click.option("--output", default="docs/tables/trained_path.md", show_default=True)
def main(
    seed: int, repeats: int, prompts: int, answers: int, only: int | None, output: str
) -> None:
    """Simulate runs and write the table."""
    chosen = list(CURVES) if only is None else [list(CURVES)[only]]
    cases = [
        Case(curve, number, wander, prompts, answers, seed)
        for curve in chosen
        for number in (5, 7, 12)
        for wander in (0.0, 0.02)
    ]
    rows = []
    for case in cases:
        rows.append(case.row(repeats))
        click.echo("  ".join(rows[-1]))
    if only is None:
        command = f"python -m benchmarks.trained_path --seed {seed} --repeats {repeats}"
        text = TEXT.format(
            command=command, prompts=prompts, answers=answers, least=LEAST, most=MOST,
            repeats=repeats, error=100 * np.sqrt(0.95 * 0.05 / repeats),
        )  # fmt: skip
        write_table(output, "Where gold turns down along a run: coverage", text, HEAD, rows)


if __name__ == "__main__":
    main()
