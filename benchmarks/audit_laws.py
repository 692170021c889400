"""Policies whose distance from the optimal one is known exactly, over populations of prompts.

A population is a finite set of prompts, each a distribution over outcomes with a reward each, so
every truth is a sum. A policy is a table of the same shape. Gaussian rewards are outcomes on a fine
grid of quantiles, or of values.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy import optimize, special

if TYPE_CHECKING:
    from collections.abc import Callable

Array = np.ndarray

PROMPTS = 500
KINDS = ("optimal", "noisy tilt", "wrong betas", "half the prompts", "best-of-N")


@dataclass(frozen=True)
class Population:
    """Prompts: chances and rewards of outcomes, both (prompts, outcomes)."""

    name: str
    base: Array
    reward: Array

    @property
    def spread(self) -> float:
        """Standard deviation of a prompt's rewards, mean over prompts."""
        mean = (self.base * self.reward).sum(axis=1, keepdims=True)
        return float((self.base * (self.reward - mean) ** 2).sum(axis=1).mean() ** 0.5)

    def log_partition(self, tilts: Array) -> Array:
        """(tilts,) mean log-mgf of centred rewards."""
        mean = (self.base * self.reward).sum(axis=1, keepdims=True)
        with np.errstate(divide="ignore"):
            logs = np.log(self.base)
        centred = self.reward - mean
        return np.array([special.logsumexp(logs + tilt * centred, axis=1).mean() for tilt in tilts])

    def limit(self, kl: float) -> tuple[float, float]:
        """Largest gain at this mean KL, and its slope."""

        def value(log_tilt: float) -> float:
            tilt = np.exp(log_tilt)
            return float((kl + self.log_partition(np.array([tilt]))[0]) / tilt)

        found = optimize.minimize_scalar(value, bounds=(-6, 6), method="bounded",
                                         options={"xatol": 1e-7})  # fmt: skip
        return float(found.fun), float(np.exp(-found.x))

    def least_kl(self, gain: float) -> float:
        """Least mean KL of this gain."""

        def value(log_tilt: float) -> float:
            tilt = np.exp(log_tilt)
            return float(self.log_partition(np.array([tilt]))[0] - tilt * gain)

        found = optimize.minimize_scalar(value, bounds=(-8, 6), method="bounded",
                                         options={"xatol": 1e-7})  # fmt: skip
        return -float(found.fun)


@dataclass(frozen=True)
class Known:
    """A policy and the truth about it."""

    name: str
    table: Array
    kl: float
    gain: float
    limit: float
    beta: float
    least: float

    @property
    def efficiency(self) -> float:
        """Gain over limit."""
        return self.gain / self.limit

    @property
    def nats(self) -> float:
        """Nats from the optimal policy."""
        return (self.limit - self.gain) / self.beta

    def of(self, population: Population, chosen: Array) -> Known:
        """The same policy on some of the prompts."""
        part = Population(population.name, population.base[chosen], population.reward[chosen])
        return measured(part, self.name, self.table[chosen])


def measured(population: Population, name: str, table: Array) -> Known:
    """The truth about a table."""
    kl = mean_kl(population, table)
    gain = float(((table - population.base) * population.reward).sum(axis=1).mean())
    limit, beta = population.limit(kl)
    return Known(name, table, kl, gain, limit, beta, population.least_kl(gain))


def known(population: Population, name: str, at: Callable[[float], Array], kl: float) -> Known:
    """The policy of one kind, `at(strength)`, whose mean KL is `kl`."""

    def off(log_strength: float) -> float:
        return mean_kl(population, at(float(np.exp(log_strength)))) - kl

    table = at(float(np.exp(optimize.brentq(off, -7, 6, xtol=1e-6))))
    return replace(measured(population, name, table), kl=kl)


def mean_kl(population: Population, table: Array) -> float:
    """Mean KL of a policy, nats."""
    return float(special.rel_entr(table, population.base).sum(axis=1).mean())


def tilted(population: Population, score: Array) -> Array:
    """``base * exp(score)``, normalised."""
    with np.errstate(divide="ignore"):
        return np.asarray(special.softmax(np.log(population.base) + score, axis=1))


def best_of_n(population: Population, n: float) -> Array:
    """The exact law of best-of-n, ties shared; any real n of 1 and more."""
    rewards, base = population.reward, population.base
    out = np.empty_like(base)
    for i, (row, chance) in enumerate(zip(rewards, base, strict=True)):
        levels, place = np.unique(row, return_inverse=True)
        mass = np.bincount(place, chance, minlength=len(levels))
        above = np.cumsum(mass)
        top = np.diff(np.minimum(above, 1.0) ** n, prepend=0.0)
        out[i] = chance * (top / np.maximum(mass, 1e-300))[place]
    return out / out.sum(axis=1, keepdims=True)


def policies(population: Population, kl: float, seed: int) -> list[Known]:
    """One policy of every kind at this mean KL."""
    rng = np.random.default_rng(seed)
    size = len(population.base)
    wrong = np.exp(0.6 * rng.normal(size=(size, 1)))
    half = (rng.random((size, 1)) < 0.5).astype(float)
    noise = rng.normal(size=population.reward.shape) * population.spread
    kinds: dict[str, Callable[[float], Array]] = {
        "optimal": lambda t: tilted(population, t * population.reward),
        "noisy tilt": lambda t: tilted(population, t * (population.reward + 0.7 * noise)),
        "wrong betas": lambda t: tilted(population, t * wrong * population.reward),
        "half the prompts": lambda t: tilted(population, t * half * population.reward),
        "best-of-N": lambda t: best_of_n(population, 1 + t),
    }
    found = []
    for name in KINDS:
        with contextlib.suppress(ValueError):  # some cannot spend so much
            found.append(known(population, name, kinds[name], kl))
    return found


def populations(seed: int) -> list[Population]:
    """Normal, bounded and few-level rewards, and pass rates; last, normal ones as far up as 10 nats go."""
    rng = np.random.default_rng(seed)
    scale = np.exp(0.3 * rng.normal(size=(PROMPTS, 1)))
    quantiles = special.ndtri((np.arange(400) + 0.5) / 400)
    normal = Population("normal", np.full((PROMPTS, 400), 1 / 400), scale * quantiles)
    chances = rng.dirichlet(np.full(60, 0.7), size=PROMPTS)
    bounded = Population("60 outcomes", chances, rng.beta(2, 3, size=(PROMPTS, 60)) * 3)
    centre = rng.uniform(1.5, 4.0, size=(PROMPTS, 1))
    mass = np.exp(-0.5 * ((np.arange(7) - centre) / 1.3) ** 2)
    grades = Population(
        "grades 0 to 6",
        mass / mass.sum(axis=1, keepdims=True),
        np.tile(np.arange(7.0), (PROMPTS, 1)),
    )
    rate = rng.beta(2.0, 3.0, size=PROMPTS)
    rates = Population(
        "pass rates", np.column_stack([1 - rate, rate]), np.tile([0.0, 1.0], (PROMPTS, 1))
    )
    grid = np.linspace(-5.0, 7.5, 400)
    wide = np.tile(special.softmax(-(grid**2) / 2), (PROMPTS, 1))
    return [normal, bounded, grades, rates, Population("normal", wide, scale * grid)]


def draw(rng: np.random.Generator, tables: Array, samples: int) -> Array:
    """(prompts, samples) outcomes."""
    above = np.cumsum(tables, axis=1)
    above /= above[:, -1:]
    u = rng.random((len(tables), samples))
    return np.array(
        [np.searchsorted(a, row, side="right") for a, row in zip(above, u, strict=True)]
    )
