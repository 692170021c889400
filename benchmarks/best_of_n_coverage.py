"""Is best-of-N estimated without bias, and do its intervals hold the truth?

Run ``python -m benchmarks.best_of_n_coverage --help`` from the repository root. The first table has
gain, KL and win rate (fast: no frontier is needed), the second the efficiency against the limit at
the same KL.
"""

from __future__ import annotations

import sys
import zlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np
from scipy import special

from benchmarks import truth as limits
from benchmarks.families import DEV, HELDOUT, RLVR, TIES, Family
from benchmarks.laws import Laws, Levels, Mixture, Part
from benchmarks.shapes import NORMAL
from benchmarks.tables import write_page

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from benchmarks.shapes import Array
    from klimit import Estimate

SIZES = (2, 4, 8)
PROMPTS, SAMPLES = (50, 200), (8, 16, 64)


def _clipped(u: Array) -> Laws:
    """Scores between 0 and 1, continuous but for what is clipped to either end."""
    return Mixture(len(u), (Part(NORMAL, loc=0.2 + 0.6 * u[:, 0], scale=0.35),), (0.0, 1.0))


def _two_scales(u: Array) -> Laws:
    return Mixture(len(u), (Part(NORMAL, scale=np.where(u[:, 0] < 0.5, 0.5, 1.5)),))


CLIPPED = Family("clipped", _clipped, light_tailed=True)
TWO_SCALES = Family("normal .5 1.5", _two_scales)
ONE_SCALE = Family("normal 1", lambda u: Mixture(len(u), (Part(NORMAL, scale=1.0 + 0 * u[:, 0]),)))


def named(name: str) -> Family:
    """A family of the benchmarks, or one of this file's own."""
    own = (CLIPPED, TWO_SCALES, ONE_SCALE)
    return next(f for f in (*DEV, *HELDOUT, *RLVR, *TIES, *own) if f.name == name)


TIED = ("bern.1", "beta.3.7", "beta1.3", "unsolved20", "likert7", "rubric5", "clipped",
        "rounded", "floored")  # fmt: skip
EFFICIENT = ("normal 1", "normal .5 1.5", "uniform", "mix3", "exp", "likert7", "rubric5",
             "clipped", "bern.1", "beta.3.7", "beta1.3", "unsolved20")  # fmt: skip


@dataclass(frozen=True)
class Truth:
    """What best-of-N does to a population of prompts; (sizes,)."""

    gain: Array
    kl: Array
    win_rate: Array
    limit: Array


@lru_cache(maxsize=64)
def truth_of(name: str, sizes: tuple[int, ...]) -> Truth:
    """Exact for levels, by quadrature over quantiles for the others."""
    family = named(name)
    laws = family.population()
    rows = [_levels(laws, n) if isinstance(laws, Levels) else _mixture(laws, n) for n in sizes]
    gain, kl, win = (np.array([row[i] for row in rows]) for i in range(3))
    return Truth(gain, kl, win, limits.average(laws, np.maximum(kl, 1e-9)).gain)


def _levels(laws: Levels, n: int) -> tuple[float, float, float]:
    from klimit.theory import best_of_n

    rows = best_of_n(laws.probs, np.broadcast_to(laws.values, laws.probs.shape), n)
    return float(rows.gain.mean()), float(rows.kl.mean()), float(rows.win_rate.mean())


def _mixture(laws: Mixture, n: int) -> tuple[float, float, float]:
    """One part, clipped or not: integrals over the probability u of the reward's quantile."""
    (part,) = laws.parts if len(laws.parts) == 1 else (None,)
    if part is None:
        return _mixed(laws, n)
    z = np.arange(-40.0, 40.0, 0.01)
    u, weight = special.expit(z), special.expit(z) * special.expit(-z) * 0.01
    nodes = part.shape.nodes(
        0.01, np.ones((1, 1)) * np.mean(part.a), np.ones((1, 1)) * np.mean(part.b)
    )
    values = np.interp(u, np.cumsum(nodes[1][0]) - nodes[1][0] / 2, nodes[0][0])
    column = [
        np.broadcast_to(np.asarray(x, float), (laws.prompts,))[:, None]
        for x in (part.loc, part.scale)
    ]
    low, high = (
        np.broadcast_to(np.asarray(c, float).reshape(-1, 1), (laws.prompts, 1)) for c in laws.cap
    )
    ratio = n * u ** (n - 1) * weight
    gain = [float(np.clip(loc + s * values, lo, hi) @ (ratio - weight))
            for loc, s, lo, hi in zip(*column, low, high, strict=True)]  # fmt: skip
    if not laws.has_atoms():
        return float(np.mean(gain)), float(np.log(n) - (n - 1) / n), n / (n + 1)
    bottom, top = (
        special.ndtr((low - column[0]) / column[1]),
        special.ndtr((high - column[0]) / column[1]),
    )
    return float(np.mean(gain)), *_atoms(bottom[:, 0], top[:, 0], n)


def _atoms(low: Array, high: Array, n: int) -> tuple[float, float]:
    """KL and win rate where the lowest `low` and highest ``1 - high`` of the chances are atoms."""

    def inside(u: Array) -> Array:
        return u**n * np.log(n) + (n - 1) * (special.xlogy(u**n, u) - u**n / n)

    def atom(a: Array, b: Array) -> Array:
        return (b**n - a**n) * np.log((b**n - a**n) / (b - a))

    one, zero = np.ones_like(low), np.zeros_like(low)
    kl = atom(zero, low) + inside(high) - inside(low) + atom(high, one)
    win = (high ** (n + 1) - low ** (n + 1)) * n / (n + 1)
    win = win + low**n * low / 2 + (1 - high**n) * (1 + high) / 2
    return float(kl.mean()), float(win.mean())


def _mixed(laws: Mixture, n: int) -> tuple[float, float, float]:
    """Several parts: from the distribution function on a fine grid of rewards."""
    low, high = laws.support()
    spread = 8.0
    x = np.linspace(max(low, -spread), min(high, spread), 40_001)
    gains = []
    for i in range(0, laws.prompts, 8):
        cdf = np.zeros_like(x)
        for part in laws.parts:
            w, loc, s, _, _ = (float(c[i, 0]) for c in laws._columns(part))
            cdf += w * special.ndtr((x - loc) / s)
        gains.append(np.trapezoid(cdf - cdf**n, x))
    return float(np.mean(gains)), float(np.log(n) - (n - 1) / n), n / (n + 1)


def prompt_numbers(
    family: str, prompts: int, samples: int, sizes: tuple[int, ...], reps: int, seed: int
) -> Array:
    """(reps, gain / KL / win rate, value / low / high, sizes)."""
    found = []
    for data in _data(family, prompts, samples, reps, seed):
        estimates = prompt_estimates(data, sizes)
        found.append([[e.value, e.low, e.high] for e in estimates])
    return np.array(found, dtype=float)


def prompt_estimates(rewards: Array, sizes: tuple[int, ...]) -> tuple[Estimate, ...]:
    """Gain, KL and win rate without the frontier."""
    from klimit.estimate.best_of_n.prompts import by_prompt
    from klimit.estimate.best_of_n.ranked import ranked_samples
    from klimit.estimate.best_of_n.verb import gain_kl_wins
    from klimit.estimate.samples import collect

    samples = collect(rewards.reshape(-1), np.full(len(rewards), rewards.shape[1]))
    found = by_prompt(ranked_samples(samples), sizes, samples.prompts, judged=False)
    return gain_kl_wins(found, np.array(sizes, dtype=float), 0.95)


def _data(family: str, prompts: int, samples: int, reps: int, seed: int) -> Iterator[Array]:
    known = named(family)
    for rep in range(reps):
        rng = np.random.default_rng([seed, zlib.crc32(family.encode()), prompts, samples, rep])
        yield known.draw(rng, known.prompts(rng, prompts), samples)


def first_table(prompts: Sequence[int], samples: Sequence[int], reps: int, seed: int) -> list[str]:
    """Bias and coverage of gain, KL and win rate."""
    lines = [
        "| rewards | prompts x samples | N | KL | gain: bias, coverage | KL: bias, coverage "
        "| plug-in KL: bias | win rate: bias, coverage |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name in TIED:
        for k in prompts:
            for m in samples:
                sizes = (*(n for n in SIZES if n < m), m)
                exact = truth_of(name, sizes)
                found = prompt_numbers(name, k, m, sizes, reps, seed)
                plug = _plugin_bias(name, k, m, sizes, min(reps, 100), seed, exact.kl)
                for i, n in enumerate(sizes):
                    cells = [_cell(found[:, j, :, i], t[i]) for j, t in
                             enumerate((exact.gain, exact.kl, exact.win_rate))]  # fmt: skip
                    lines.append(
                        f"| {name} | {k} x {m} | {n} | {exact.kl[i]:.4f} | {cells[0]} | {cells[1]} "
                        f"| {plug[i]:+.1%} | {cells[2]} |"
                    )
    return lines


def _cell(found: Array, exact: float) -> str:
    """Relative bias with its Monte Carlo error, and coverage."""
    value, low, high = found.T
    if np.isnan(value).any():
        return "-"
    bias, error = value.mean() / exact - 1, value.std() / np.sqrt(len(value)) / exact
    held = np.mean((low <= exact + 1e-12) & (exact <= high + 1e-12))
    return f"{bias:+.1%} ± {error:.1%}, {held:.1%}"


def _plugin_bias(
    family: str,
    prompts: int,
    samples: int,
    sizes: tuple[int, ...],
    reps: int,
    seed: int,
    exact: Array,
) -> Array:
    from klimit.estimate.best_of_n.own_spending import _sample_kl

    data = _data(family, prompts, samples, reps, seed)
    means = [_sample_kl(np.sort(x, axis=1), sizes).mean(axis=1) for x in data]
    return np.mean(means, axis=0) / exact[: len(sizes)] - 1


def second_table(
    names: Sequence[str], prompts: Sequence[int], samples: Sequence[int], reps: int, seed: int
) -> list[str]:
    """Efficiency: value, coverage, and how often it is trusted."""
    import klimit

    lines = [
        "| rewards | prompts x samples | N | true efficiency | estimate | coverage | trusted "
        "| coverage there |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name in names:
        for k in prompts:
            for m in samples:
                sizes = tuple(n for n in (2, 4, 16) if n <= m)
                exact = truth_of(name, sizes)
                want = exact.gain / exact.limit
                found = []
                for data in _data(name, k, m, reps, seed):
                    e = klimit.best_of_n(data, n=sizes, seed=0).efficiency
                    found.append([e.value, e.low, e.high, e.trusted])
                value, low, high, trusted = np.moveaxis(np.array(found, dtype=float), 1, 0)
                held = (low <= want + 1e-4) & (want - 1e-4 <= high)
                for i, n in enumerate(sizes):
                    sure = trusted[:, i] > 0
                    there = f"{held[sure, i].mean():.0%}" if sure.any() else "-"
                    lines.append(
                        f"| {name} | {k} x {m} | {n} | {want[i]:.4f} | {value[:, i].mean():.4f} ± "
                        f"{value[:, i].std():.4f} | {held[:, i].mean():.0%} | {sure.mean():.0%} "
                        f"| {there} |"
                    )
    return lines


def _numbers(_: Any, __: Any, text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(",") if part)


@click.command()
@click.option("--seed", default=1, show_default=True)
@click.option(
    "--reps", default=1000, show_default=True, help="Repetitions for gain, KL and win rate."
)
@click.option(
    "--efficiency-reps", default=40, show_default=True, help="Repetitions for the efficiency."
)
@click.option("--prompts", default="50,200", show_default=True, callback=_numbers)
@click.option("--samples", default="8,16,64", show_default=True, callback=_numbers)
@click.option(
    "--output", type=click.Path(path_type=Path), help="Also write the tables as Markdown."
)
def main(
    seed: int, reps: int, efficiency_reps: int, prompts: tuple[int, ...], samples: tuple[int, ...],
    output: Path | None,
) -> None:  # fmt: skip
    """Simulate best-of-N on known populations of prompts; every repetition draws new prompts."""
    command = (
        f"python -m benchmarks.best_of_n_coverage --seed {seed} --reps {reps} "
        f"--efficiency-reps {efficiency_reps} "
        f"--prompts {','.join(map(str, prompts))} --samples {','.join(map(str, samples))}"
    )
    parts = [
        f"<!-- {command} -->",
        f"<!-- seed {seed} -->",
        "",
        "# Best-of-N: bias and coverage",
        "",
        _INTRODUCTION,
    ]
    if reps:
        parts += ["", *first_table(prompts, samples, reps, seed)]
    if efficiency_reps:
        wide = tuple(m for m in samples if m >= 16)
        parts += [
            "",
            _EFFICIENCY,
            "",
            *second_table(EFFICIENT, prompts, wide, efficiency_reps, seed),
        ]
    text = "\n".join(parts) + "\n"
    click.echo(text)
    if output is not None:
        write_page(output, text)


_INTRODUCTION = """\
Every repetition draws new prompts, then samples; the truth is that of the population. Bias is
relative, with its Monte Carlo error; coverage is of 95 % intervals. The plug-in KL is that of the
observed levels, for comparison. At N = M no draw is left for the win rate."""

_EFFICIENCY = """\
Efficiency is gain over the average-budget frontier at the same KL. "trusted" is the share of
repetitions in which the frontier was trusted at that KL; elsewhere the efficiency is said to be an
upper bound. The estimate is shown with its standard deviation between repetitions."""


if __name__ == "__main__":
    sys.exit(main())
