"""What `klimit.hacking` says beside the gold gain: do its intervals hold what is true?

Run ``python -m benchmarks.proxy_beside --seed 1`` from the repository root; it writes
docs/tables/proxy_beside.md. Proxy and gold are normal together within a prompt, with a length that the
proxy rewards, so that correlation, efficiency, gaps and what the length carries have closed forms.
"""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING

import click
import numpy as np
from numpy.typing import NDArray

from benchmarks.tables import row, write_page

if TYPE_CHECKING:
    from klimit import Estimate

Array = NDArray[np.float64]

SETTINGS = (
    (15, 128, "drawn"),
    (40, 32, "drawn"),
    (100, 64, "drawn"),
    (30, 64, "fixed"),
    (200, 16, "fixed"),
)
BUDGETS = np.array([0.1, 0.25, 0.5, 1.0])
CORRELATION, LENGTH = 0.7, 0.6
EVEN = 0.5 + (np.arange(2000) + 0.5) / 2000  # scales of a population of prompts

TEXT = """# What stands beside the gold gain

`{command}`. {repeats} data sets of each of {settings} (prompts x samples). Proxy and gold are normal within
prompts of scales .5 to 1.5 and correlate at .7; the proxy is (quality + .6 length) / 1.17. Budgets: .1, .25,
.5 and 1 nats. *Trusted*: share that is; *coverage*: trusted 95 % intervals that hold the truth, then by
setting; *half length*: median of trusted intervals, as a share of the truth; *error*: median, likewise.
"""


def answers(
    rng: np.random.Generator, prompts: int, samples: int, about: str, seed: int
) -> Iterator[tuple[str, Estimate, Array]]:
    """Name, estimate and truth of every number, of one data set; arrays over `BUDGETS` or single."""
    import klimit

    own = rng.uniform(0.5, 1.5, prompts)
    square = float(((EVEN if about == "drawn" else own) ** 2).mean())
    quality, length, noise = own[:, None] * rng.normal(size=(3, prompts, samples))
    proxy = (quality + LENGTH * length) / np.sqrt(1 + LENGTH**2)
    gold = CORRELATION * proxy + np.sqrt(1 - CORRELATION**2) * noise
    base = {"proxy": proxy, "gold": gold, "length": length}
    hack = klimit.hacking(
        base, proxy="proxy", gold="gold", nuisance="length", prompts=about, seed=seed
    )
    gain = np.sqrt(2 * BUDGETS * square)
    yield "correlation", hack.correlation, np.array(CORRELATION)
    yield "efficiency", hack.efficiency(BUDGETS), np.full(len(BUDGETS), CORRELATION)
    yield "beta", hack.beta(BUDGETS), square / gain
    gaps = hack.gaps(kl=BUDGETS)
    for name in ("fixed_kl", "fixed_beta", "regularised"):
        yield f"gaps.{name}", getattr(gaps, name), (1 - CORRELATION) * gain
    soft = hack.soft_best(BUDGETS)
    kept = softened(EVEN if about == "drawn" else own, samples)
    yield "soft_best.proxy_gain", soft.proxy_gain, kept
    yield "soft_best.gold_gain", soft.gold_gain, CORRELATION * kept
    sure = hack.certified(BUDGETS)
    for name in ("moment", "sub_gaussian"):
        bound = (1 - np.sqrt(1 - CORRELATION**2)) / CORRELATION * gain
        yield f"certified.{name}", getattr(sure, name), bound
    carried = LENGTH / np.sqrt(1 + LENGTH**2)
    for kl, most in zip(BUDGETS, gain, strict=True):
        found = hack.nuisance(float(kl))
        left = np.sqrt(1 - carried**2) * most
        yield "nuisance.shift", found.shift, np.asarray(carried * most)
        yield "nuisance.share", found.share, np.asarray(carried**2)
        yield "nuisance.correlation", found.correlation, np.asarray(carried)
        yield "nuisance.price", found.price, np.asarray(carried)
        yield "nuisance.fixed_proxy_gain", found.fixed_proxy_gain, np.asarray(left)
        yield "nuisance.fixed_gold_gain", found.fixed_gold_gain, np.asarray(CORRELATION * left)


@cache
def soft_normal(samples: int) -> tuple[Array, Array, Array]:
    """Tilts, and what so many normal samples tilted by them spend and gain on average; (80,) each."""
    drawn = np.random.default_rng(samples).normal(size=(40_000_000 // samples // 100, samples))
    drawn = np.concatenate([drawn, -drawn])
    tilts = np.geomspace(0.02, 12, 80)
    spent, gained = np.empty((2, 80))
    for at, tilt in enumerate(tilts):
        weights = np.exp(tilt * drawn)
        mean = (weights * drawn).sum(axis=1) / weights.sum(axis=1)
        gained[at] = mean.mean()
        spent[at] = (tilt * mean - np.log(weights.mean(axis=1))).mean()
    return tilts, spent, gained


def softened(scales: Array, samples: int) -> Array:
    """Proxy gain of soft best-of-M where its weights spend each budget, of prompts of these scales."""
    tilts, spent, gained = soft_normal(samples)
    shared = np.geomspace(0.02, 12, 200)
    along = [np.interp(shared[:, None] * scales, tilts, x) for x in (spent, gained)]
    gain = np.mean(scales * along[1], axis=1)
    return np.interp(np.sqrt(BUDGETS), np.sqrt(along[0].mean(axis=1)), gain)


@click.command()
@click.option("--seed", default=1, show_default=True)
@click.option("--repeats", default=40, show_default=True)
@click.option("--output", default="docs/tables/proxy_beside.md", show_default=True)
def main(seed: int, repeats: int, output: str) -> None:
    """Draw, ask, and write the table."""
    said: dict[str, dict[str, list[Array]]] = defaultdict(lambda: defaultdict(list))
    for prompts, samples, about in SETTINGS:
        for repeat in range(repeats):
            rng = np.random.default_rng([seed, prompts, samples, repeat])
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                for name, found, truth in answers(rng, prompts, samples, about, repeat):
                    parts = found.value, found.low, found.high, found.trusted, truth
                    kept = np.stack([np.ravel(np.asarray(x, float)) for x in parts])
                    said[name][f"{prompts} x {samples} {about}"].append(kept)
    sizes = [f"{k} x {m} {about}" for k, m, about in SETTINGS]
    head = ("number", "trusted", "coverage", *sizes, "half length", "error")
    lines = [row(head), "|---" * len(head) + "|"]
    lines += [row(line(name, [np.concatenate(of[size], axis=1) for size in sizes]))
              for name, of in said.items()]  # fmt: skip
    command = f"python -m benchmarks.proxy_beside --seed {seed}"
    command += "" if repeats == 40 else f" --repeats {repeats}"
    text = TEXT.format(command=command, repeats=repeats, settings=", ".join(sizes))
    write_page(output, "\n".join([text, *lines, ""]))


def line(name: str, of: list[Array]) -> list[str]:
    """A row; (5, numbers) value, low, high, trusted and truth for each setting."""

    def held(found: Array) -> str:
        _, low, high, trusted, truth = found
        inside = ((low <= truth) & (truth <= high))[trusted > 0]
        return f"{100 * inside.mean():.0f} %" if len(inside) else "-"

    every = np.concatenate(of, axis=1)
    value, low, high, _, truth = every[:, every[3] > 0]
    sizes = (np.median(x / truth) for x in ((high - low) / 2, np.abs(value - truth)))
    shares = [f"{100 * every[3].mean():.0f} %", held(every), *map(held, of)]
    return [name, *shares, *(f"{100 * x:.1f} %" for x in sizes)]


if __name__ == "__main__":
    main()
