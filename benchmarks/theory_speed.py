"""How long the exact frontiers of many prompts take, against what is promised of them.

Run ``python -m benchmarks.theory_speed`` from the repository root. CPU time is given beside wall
time, since other programs may share the cores.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click
import numpy as np

from benchmarks.tables import write_table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HEAD = ("", "wall, s", "CPU, s", "target, s", "")
AVERAGE, PER_PROMPT = 1.0, 5.0


@click.command()
@click.option("--prompts", default=10_000, show_default=True)
@click.option("--outcomes", default=100, show_default=True)
@click.option("--budgets", default=50, show_default=True)
@click.option("--repeat", default=3, show_default=True, help="The fastest of so many counts.")
@click.option("--output", default="docs/tables/theory_speed.md", show_default=True)
def main(*, prompts: int, outcomes: int, budgets: int, repeat: int, output: str) -> None:
    """Time gains, least KLs, slopes and what each prompt spends; write and print the table."""
    rows = [
        (name, f"{wall:.2f}", f"{cpu:.2f}", *verdict(target, wall, cpu))
        for name, target, wall, cpu in measured(prompts, outcomes, budgets, repeat)
    ]
    text = (
        f"{prompts:,} prompts x {outcomes} outcomes x {budgets} budgets from .05 to 3 nats, rewards "
        "normal with a standard deviation that differs between prompts; the fastest of "
        f"{repeat}, by `python -m benchmarks.theory_speed`."
    )
    click.echo(write_table(output, "How fast the theory room is", text, HEAD, rows))


def verdict(target: float | None, wall: float, cpu: float) -> tuple[str, str]:
    """The target, and whether it is kept; on shared cores CPU time may pass where wall does not."""
    if target is None:
        return "", ""
    kept = "pass" if wall <= target else "pass in CPU time" if cpu <= target else "fail"
    return f"{target:g}", kept


def measured(
    prompts: int, outcomes: int, budgets: int, repeat: int
) -> Iterator[tuple[str, float | None, float, float]]:
    """Each question with its target and its times."""
    from klimit.theory import frontier

    random = np.random.default_rng(0)
    base = random.dirichlet(np.ones(outcomes), prompts)
    reward = random.normal(size=(prompts, outcomes)) * random.gamma(4, 0.25, size=(prompts, 1))
    kl = np.linspace(0.05, 3.0, budgets)

    def timed(ask: Callable[[], object]) -> tuple[float, float]:
        wall, cpu = [], []
        for _ in range(repeat):
            begun, spent = time.perf_counter(), time.process_time()
            ask()
            wall.append(time.perf_counter() - begun)
            cpu.append(time.process_time() - spent)
        return min(wall), min(cpu)

    yield "checking and centring", None, *timed(lambda: frontier(base, reward))
    for budget, target in (("average", AVERAGE), ("per-prompt", PER_PROMPT)):
        limit = frontier(base, reward, budget=budget)
        gain = limit.gain(kl)
        yield f"{budget} budget: gain(kl)", target, *timed(lambda limit=limit: limit.gain(kl))
        yield (
            f"{budget} budget: kl(gain)",
            target,
            *timed(lambda limit=limit, gain=gain: limit.kl(gain)),
        )
        yield f"{budget} budget: beta(kl)", target, *timed(lambda limit=limit: limit.beta(kl))
        yield (
            f"{budget} budget: kl_by_prompt(kl)",
            target,
            *timed(lambda limit=limit: limit.kl_by_prompt(kl)),
        )


if __name__ == "__main__":
    main()
