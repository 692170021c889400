"""Families nobody has tuned on: a seed makes a population of prompts.

A draw decides what kind of reward it is (a mixture of continuous shapes, perhaps with an atom or a
cap; grades; rubrics; pass rates), how far prompts differ in scale, place, shape and mixing weight,
and every parameter.  The same seed makes the same family everywhere.
"""

from __future__ import annotations

from math import inf

import numpy as np
from scipy import special, stats

from benchmarks.families import Family, beta_rates, pass_rates
from benchmarks.laws import Laws, Levels, Mixture, Part
from benchmarks.shapes import ATOM, SHAPES, Array

# how often each shape is drawn, and the ranges of its two shape parameters
CHOICES: dict[str, tuple[float, tuple[float, float], tuple[float, float]]] = {
    "normal": (0.34, (1.0, 1.0), (1.0, 1.0)),
    "uniform": (0.10, (1.0, 1.0), (1.0, 1.0)),
    "beta": (0.18, (0.5, 5.0), (0.5, 5.0)),
    "weibull": (0.14, (1.4, 4.0), (1.0, 1.0)),
    "sigmoid-normal": (0.14, (-2.0, 2.0), (0.5, 2.0)),
    "gamma": (0.07, (1.0, 6.0), (1.0, 1.0)),
    "gumbel": (0.03, (1.0, 1.0), (1.0, 1.0)),
}
UNIT = {
    "uniform": 3.46,
    "beta": 4.5,
    "weibull": 2.0,
    "sigmoid-normal": 4.5,
    "gamma": 0.6,
    "gumbel": 0.78,
}


def random_family(seed: int) -> Family:
    """The family of this seed; two in five are discrete.

    Examples
    --------
    >>> random_family(3).name == random_family(3).name
    True
    """
    rng = np.random.default_rng([20_260_507, seed])
    kind = rng.choice(["mixture", "grades", "rubric", "rates"], p=[0.6, 0.16, 0.12, 0.12])
    make = {"mixture": _mixture, "grades": _grades, "rubric": _rubric, "rates": _rates}[kind]
    return make(rng, f"{kind}-{seed}")


def _gauss(u: Array) -> Array:
    g: Array = np.clip(special.ndtri(u), -2.5, 2.5)
    return g


def _mixture(rng: np.random.Generator, name: str) -> Family:
    """One to three continuous shapes; prompts differ in scale, weight and shape."""
    count = int(rng.choice([1, 2, 3], p=[0.45, 0.35, 0.2]))
    odds = np.array([weight for weight, _, _ in CHOICES.values()])
    names = [str(n) for n in rng.choice(list(CHOICES), size=count, p=odds / odds.sum())]
    spread = rng.uniform(0.0, 0.5)
    lean = rng.uniform(0.0, 1.0)  # how far mixing weights move with the prompt
    bend = rng.uniform(0.0, 0.5)  # how far shapes move with the prompt
    atom = rng.uniform(0.02, 0.3) if rng.random() < 0.25 else 0.0
    capped = rng.uniform(0.7, 0.99) if rng.random() < 0.25 else None
    logits = np.log(rng.dirichlet(np.full(count, 2.0)))
    slope = rng.standard_normal(count)
    loc = np.concatenate([[0.0], rng.normal(0.0, 1.2, size=count - 1)])
    unit = np.concatenate([[1.0], rng.uniform(0.2, 1.0, size=count - 1)])
    ranges = [CHOICES[n][1:] for n in names]
    first = [rng.uniform(*r[0]) for r in ranges]
    second = [rng.uniform(*r[1]) for r in ranges]
    flip = [(-1.0 if n in ("gamma", "gumbel") and rng.random() < 0.5 else 1.0) for n in names]
    atom_at = rng.uniform(-1.0, 1.0)

    def law(u: Array, cap: float = inf) -> Mixture:
        s = 0.8 * np.exp(spread * _gauss(u[:, 0]))
        weight = special.softmax(logits + lean * slope * _gauss(u[:, 1:2]), axis=1) * (1 - atom)
        parts = []
        for i, shape in enumerate(names):
            (low, high), b_range = ranges[i]
            move = bend * (2 * u[:, 2] - 1)
            a = np.clip(first[i] + move * (high - low), low, high)
            b = np.clip(second[i] - move * (b_range[1] - b_range[0]), *b_range)
            scale = flip[i] * s * unit[i] * UNIT.get(shape, 1.0)
            parts.append(Part(SHAPES[shape], weight[:, i], s * loc[i], scale, a, b))
        if atom:
            parts.append(Part(ATOM, atom, s * atom_at))
        return Mixture(len(u), tuple(parts), (-inf, s * cap))

    heavy = any(not SHAPES[n].light and flip[i] > 0 for i, n in enumerate(names))
    if capped is None:
        return Family(name, law, dims=3, light_tailed=not heavy)
    # the cap sits at a quantile of the middle prompt, whose scale is .8
    cap = float(np.quantile(law(np.full((1, 3), 0.5)).draw(rng, 10_000), capped)) / 0.8
    return Family(name, lambda u: law(u, cap), dims=3)


def _grades(rng: np.random.Generator, name: str) -> Family:
    """Three to eleven grades, evenly or unevenly spaced, tilted by the prompt."""
    count = int(rng.integers(3, 12))
    gaps = rng.uniform(0.3, 1.7, size=count - 1) if rng.random() < 0.5 else np.ones(count - 1)
    values = np.concatenate([[0.0], np.cumsum(gaps)])
    values = 3.0 * values / values[-1]
    logits = np.log(rng.dirichlet(np.full(count, 1.5)) + 1e-4)
    move, sharp = rng.uniform(0.0, 1.0), rng.uniform(0.0, 0.6)

    def law(u: Array) -> Laws:
        tilt = move * _gauss(u[:, :1]) * (values - values.mean())
        heat = np.exp(sharp * _gauss(u[:, 1:2]))
        return Levels(values, special.softmax(heat * (logits + tilt), axis=1))

    return Family(name, law, dims=2, discrete=True)


def _rubric(rng: np.random.Generator, name: str) -> Family:
    """Points met out of 3 to 10, the chance beta over prompts."""
    points = int(rng.integers(3, 11))
    a, b = rng.uniform(0.6, 4.0, size=2)
    values = np.arange(points + 1, dtype=float) / points

    def law(u: Array) -> Laws:
        return Levels(values, stats.binom.pmf(values * points, points, special.betaincinv(a, b, u)))

    return Family(name, law, discrete=True)


def _rates(rng: np.random.Generator, name: str) -> Family:
    """0/1 rewards with beta pass rates, in half of the draws with unsolvable prompts."""
    a, b = np.exp(rng.uniform(np.log(0.3), np.log(3.0), size=2))
    unsolvable = rng.uniform(0.05, 0.35) if rng.random() < 0.5 else 0.0
    return Family(name, pass_rates(beta_rates(a, b, unsolvable=unsolvable)), discrete=True)
