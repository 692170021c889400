"""Gold along a proxy on real rewards: some samples of a prompt against all 2,048 of it.

Run ``python -m benchmarks.proxy_real --seed 1`` from the repository root; it writes
docs/tables/proxy_real.md. Samples are drawn with replacement from the ten posts that
`examples/truth.parquet` has three rewards of, so that all of them are the exact truth, and each of its
rewards is judged by each other one.
"""

from __future__ import annotations

import warnings
import zlib
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray

from benchmarks.proxy_check import BUDGETS, measured, section, summary
from benchmarks.proxy_laws import Truth
from benchmarks.tables import write_page

Array = NDArray[np.float64]

WHERE = Path("examples/truth.parquet")
SAMPLES = (16, 64, 256)

TEXT = """# Gold along a proxy on real rewards

`{command}`. From the 2,048 answers of SmolLM2-135M-Instruct to each of ten posts, 16, 64 or 256 are drawn
anew, {repeats} times for each pair of rewards, and `klimit.hacking` is asked for these very prompts; the
truth is that of all 2,048. Budgets: {budgets} nats. The columns are those of
[proxy.md](proxy.md).
"""


@dataclass(frozen=True)
class Prompts:
    """All that is known of some prompts, (prompts, answers): proxy and gold."""

    proxy: Array
    gold: Array

    @property
    def scale(self) -> Array:
        """(prompts, 1) standard deviation of the proxy."""
        return self.proxy.std(axis=1, keepdims=True)


@dataclass(frozen=True)
class RealFamily:
    """Two rewards of real answers, each answer as likely as the next."""

    name: str

    def draw(self, rng: np.random.Generator, prompts: Prompts, samples: int) -> tuple[Array, Array]:
        """(prompts, samples) proxy and gold."""
        place = rng.integers(prompts.proxy.shape[1], size=(len(prompts.proxy), samples))
        proxy, gold = (np.take_along_axis(x, place, axis=1) for x in (prompts.proxy, prompts.gold))
        return proxy, gold

    def truth(self, prompts: Prompts, tilts: Array) -> tuple[Array, Array, Array]:
        """KL, proxy gain and gold gain at shared tilts, the mean over prompts; (tilts,) each."""
        kl, proxy, gold = (np.empty(len(tilts)) for _ in range(3))
        above = prompts.proxy - prompts.proxy.max(axis=1, keepdims=True)
        for at, tilt in enumerate(tilts):
            weights = np.exp(tilt * above)
            ratio = weights / weights.mean(axis=1, keepdims=True)
            proxy[at], gold[at] = (
                ((ratio - 1) * x).mean(axis=1).mean() for x in (prompts.proxy, prompts.gold)
            )
            kl[at] = (ratio * np.log(np.maximum(ratio, 1e-300))).mean(axis=1).mean()
        return kl, proxy, gold

    def best_of_n(self, prompts: Prompts, sizes: Array) -> Array:
        """Mean gold gain of best-of-N selected by the proxy, at each N; ties are shared."""
        found = np.zeros(len(sizes))
        for proxy, gold in zip(prompts.proxy, prompts.gold, strict=True):
            levels, level, counts = np.unique(proxy, return_inverse=True, return_counts=True)
            mean = np.bincount(level, gold, len(levels)) / counts
            above = counts.cumsum() / counts.sum()
            below = np.r_[0.0, above[:-1]]
            chances = np.stack([above**n - below**n for n in sizes])
            found += chances @ mean - gold.mean()
        return np.asarray(found / len(prompts.proxy))


def prompts_of(proxy: str, gold: str) -> Prompts:
    """Both rewards of every answer."""
    import polars as pl

    kept = pl.read_parquet(WHERE).group_by("prompt_id", maintain_order=True).agg(proxy, gold)
    rows = (
        np.stack([np.asarray(x, float) for x in kept[name].to_list()]) for name in (proxy, gold)
    )
    return Prompts(*rows)


def run(family: RealFamily, prompts: Prompts, samples: int, seed: int, repeat: int) -> dict:
    """Draw a data set and ask."""
    import klimit

    rng = np.random.default_rng([seed, zlib.crc32(family.name.encode()), samples, repeat])
    proxy, gold = family.draw(rng, prompts, samples)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        hack = klimit.hacking(proxy, gold=gold, prompts="fixed", seed=repeat)
        return measured(hack, Truth.of(family, prompts), family, prompts)


@click.command()
@click.option("--seed", default=1, show_default=True)
@click.option("--repeats", default=40, show_default=True)
@click.option("--output", default="docs/tables/proxy_real.md", show_default=True)
def main(seed: int, repeats: int, output: str) -> None:
    """Draw, ask, and write the table."""
    parts, pairs = [], list(permutations(("quality", "similarity", "rouge"), 2))
    for samples in SAMPLES:
        lines = []
        for proxy, gold in pairs:
            family, prompts = RealFamily(f"{proxy}, judged by {gold}"), prompts_of(proxy, gold)
            runs = [run(family, prompts, samples, seed, repeat) for repeat in range(repeats)]
            lines.append((family.name, runs))
        lines.append(("all", [x for _, runs in lines for x in runs]))
        rows = [summary(name, runs) for name, runs in lines]
        parts.append(section(f"10 x {samples}", rows, "proxy and gold"))
    command = f"python -m benchmarks.proxy_real --seed {seed}"
    command += "" if repeats == 40 else f" --repeats {repeats}"
    text = TEXT.format(
        command=command, repeats=repeats, budgets=", ".join(f"{x:g}" for x in BUDGETS)
    )
    write_page(output, "\n".join([text, *parts]))


if __name__ == "__main__":
    main()
