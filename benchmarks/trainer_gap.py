"""Where a KL penalty in the loss comes to rest, at the coefficient that is exact in the reward.

Run ``python -m benchmarks.trainer_gap`` from the repository root; it writes
``docs/tables/trainers.md``.  A completion is 64 fair coin flips and its reward depends on the
number of heads, so every policy is exact: backward over (flip, heads) for the policy, forward for
its gain and its KL.  No sampling, no seed.
"""

from __future__ import annotations

from collections.abc import Callable

import click
import numpy as np
from scipy import optimize, stats

from benchmarks.shapes import Array
from benchmarks.tables import write_table

FLIPS = 64
BUDGETS = (0.1, 0.5, 1.0, 2.0)
HEADS = np.arange(FLIPS + 1)
SCORE = (HEADS - FLIPS / 2) / np.sqrt(FLIPS / 4)
BASE = stats.binom.pmf(HEADS, FLIPS, 0.5)
REWARDS = {
    "heads": SCORE,
    "concave in heads": -np.exp(-SCORE / 2),
    "convex in heads": np.exp(SCORE / 4),
    "0/1, passed by 55 %": (SCORE >= 0) * 1.0,
    "0/1, passed by 10 %": (SCORE > 1.3) * 1.0,
    "0/1, passed by 1 %": (SCORE > 2.3) * 1.0,
}
TEXT = """\
`python -m benchmarks.trainer_gap` (exact, no seed). A completion is 64 coin flips and its reward
depends on the number of heads. beta is that of the tilt at the budget, which a KL penalty in the
reward trains. Beside it: the KL at which the same coefficient comes to rest when the penalty stands
in the loss (large groups), and what it gains there as a share of the limit at that KL."""
Step = Callable[[Array, Array, float], tuple[Array, Array]]


def in_the_reward(tails: Array, heads: Array, beta: float) -> tuple[Array, Array]:
    """Chance of heads and the value behind: the tilt (soft values)."""
    top = np.maximum(tails, heads)
    value = top + beta * np.log((np.exp((tails - top) / beta) + np.exp((heads - top) / beta)) / 2)
    return np.exp((heads - value) / beta) / 2, value


def in_the_loss(tails: Array, heads: Array, beta: float) -> tuple[Array, Array]:
    """k2, or k3 with importance weights: base * exp(mean reward from here / beta)."""
    chance = 1 / (1 + np.exp(np.clip((tails - heads) / beta, -700, 700)))
    return chance, (1 - chance) * tails + chance * heads


def plain_k3(tails: Array, heads: Array, beta: float) -> tuple[Array, Array]:
    """base * beta / (beta + mean - reward): a quadratic equation for beta + mean."""
    total = tails + heads
    inside = (total + beta) ** 2 - 4 * (tails * heads + beta * total / 2)
    chance = beta / 2 / ((total + beta + np.sqrt(inside)) / 2 - heads)
    return chance, (1 - chance) * tails + chance * heads


def spent_and_gained(step: Step, reward: Array, beta: float) -> tuple[float, float]:
    """KL and gain of the policy that a step makes."""
    value, chances = reward, []
    for _ in range(FLIPS):
        chance, value = step(value[:-1], value[1:], beta)
        chances.append(np.clip(chance, 1e-300, 1 - 1e-16))
    mass, kl = np.ones(1), 0.0
    for chance in chances[::-1]:
        kl += float(mass @ (chance * np.log(2 * chance) + (1 - chance) * np.log(2 - 2 * chance)))
        mass = np.append(mass * (1 - chance), 0.0) + np.append(0.0, mass * chance)
    return kl, float(mass @ reward - BASE @ reward)


def beta_for(kl: float, reward: Array) -> float:
    """The beta whose tilt spends `kl` nats."""

    def short(log_beta: float) -> float:
        return spent_and_gained(in_the_reward, reward, float(np.exp(log_beta)))[0] - kl

    return float(np.exp(optimize.brentq(short, -6.0, 6.0)))


def rows() -> list[tuple[str, float, float, float, float, float, float]]:
    """Reward, budget, beta; then for each loss the KL and the share of the limit at that KL."""
    found = []
    for name, reward in REWARDS.items():
        most = -np.log(BASE[reward == reward.max()].sum())
        for budget in BUDGETS:
            if budget >= 0.9 * most:
                continue
            beta = beta_for(budget, reward)
            row: list[float] = [budget, beta]
            for step in (in_the_loss, plain_k3):
                kl, gain = spent_and_gained(step, reward, beta)
                limit = reward.max() - BASE @ reward
                if kl < 0.999 * most:
                    limit = spent_and_gained(in_the_reward, reward, beta_for(kl, reward))[1]
                row += [kl, gain / limit]
            found.append((name, *row))
    return found


@click.command()
@click.option("--output", default="docs/tables/trainers.md", show_default=True)
def main(output: str) -> None:
    """Write the table."""
    head = (
        "reward",
        "budget, nats",
        "beta",
        "k3 with ratio, or k2: KL",
        "share",
        "plain k3: KL",
        "share",
    )
    body = [
        (
            name,
            f"{budget:g}",
            f"{beta:.3f}",
            f"{kl:.2f}",
            f"{share:.0%}",
            f"{plain:.2f}",
            f"{own:.0%}",
        )
        for name, budget, beta, kl, share, plain, own in rows()
    ]
    title = "A KL penalty in the loss, at the coefficient that is exact in the reward"
    click.echo(write_table(output, title, TEXT, head, body), nl=False)


if __name__ == "__main__":
    main()
