"""Pairs of a proxy and a gold reward whose gold gain along the proxy's tilt is known exactly.

A prompt's proxy reward is a scale of its own times a shape ``x`` that all prompts share; the gold
reward is drawn given x, and its mean given x is known. So the tilted gold mean is one integral over
x. Families of `DEV` were looked at while the estimator was made; those of `HELD_OUT` were not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Draw = Callable[[np.random.Generator, tuple[int, int]], Array]


@dataclass(frozen=True)
class Shape:
    """A law of the proxy: draws, and nodes with weights to integrate over it."""

    draw: Draw
    nodes: Array
    weights: Array


@dataclass(frozen=True)
class Prompts:
    """Parameters of prompts, each (prompts, 1)."""

    scale: Array
    a: Array
    b: Array
    gold_scale: Array

    def take(self, where: Array) -> Prompts:
        """Only some of them, perhaps repeated."""
        return Prompts(*(x[where] for x in (self.scale, self.a, self.b, self.gold_scale)))


@dataclass(frozen=True)
class PairFamily:
    """One family: `mean` is E[gold | x], `draw` both rewards."""

    name: str
    shape: Shape
    prompts: Callable[[np.random.Generator, int], Prompts]
    mean: Callable[[Array, Prompts], Array]
    gold: Callable[[np.random.Generator, Array, Prompts], Array]
    both: Callable[[np.random.Generator, Prompts, int], tuple[Array, Array]] | None = None

    def draw(self, rng: np.random.Generator, prompts: Prompts, samples: int) -> tuple[Array, Array]:
        """(prompts, samples) proxy and gold."""
        if self.both is not None:
            x, gold = self.both(rng, prompts, samples)
        else:
            x = self.shape.draw(rng, (len(prompts.scale), samples))
            gold = self.gold(rng, x, prompts)
        return prompts.scale * x, prompts.gold_scale * gold

    def truth(self, prompts: Prompts, tilts: Array) -> tuple[Array, Array, Array]:
        """KL, proxy gain and gold gain at shared tilts, the mean over prompts; (tilts,) each."""
        nodes, weights = self.shape.nodes, self.shape.weights
        mean = prompts.gold_scale * np.broadcast_to(
            self.mean(nodes[None, :], prompts), (len(prompts.scale), len(nodes))
        )
        kl, proxy, gold = (np.empty(len(tilts)) for _ in range(3))
        base_proxy, base_gold = prompts.scale[:, 0] * (weights @ nodes), mean @ weights
        for at, tilt in enumerate(tilts):
            power = tilt * prompts.scale * nodes
            top = power.max(axis=1, keepdims=True)
            tilted = weights * np.exp(power - top)
            total = tilted.sum(axis=1)
            log_mgf = np.log(total) + top[:, 0]
            moved = prompts.scale[:, 0] * (tilted @ nodes) / total
            kl[at] = (tilt * moved - log_mgf).mean()
            proxy[at] = (moved - base_proxy).mean()
            gold[at] = ((tilted * mean).sum(axis=1) / total - base_gold).mean()
        return kl, proxy, gold

    def best_of_n(self, prompts: Prompts, sizes: Array) -> Array:
        """Mean gold gain of best-of-N selected by the proxy, at each N."""
        order = np.argsort(self.shape.nodes)
        nodes, weights = self.shape.nodes[order], self.shape.weights[order]
        mean = prompts.gold_scale * np.broadcast_to(
            self.mean(nodes[None, :], prompts), (len(prompts.scale), len(nodes))
        )
        above = np.minimum(np.cumsum(weights), 1.0)
        below = np.r_[0.0, above[:-1]]
        chances = np.stack([above**n - below**n for n in sizes])
        return np.asarray((chances @ mean.T - weights @ mean.T).mean(axis=1))


@dataclass(frozen=True)
class Truth:
    """Known curves over KL, to read off between tilts."""

    kl: Array
    tilt: Array
    proxy: Array
    gold: Array

    @classmethod
    def of(cls, family: PairFamily, prompts: Prompts) -> Truth:
        """Curves from a ten-thousandth of a nat to 8, or as far as the proxy goes."""
        spread = float(np.sqrt((prompts.scale**2).mean()))
        tilts = np.geomspace(0.01, 60, 80) / spread
        kl, proxy, gold = family.truth(prompts, tilts)
        rising = np.concatenate(([True], np.diff(kl) > 1e-9)) & (kl < 9)
        return cls(kl[rising], tilts[rising], proxy[rising], gold[rising])

    def gold_at(self, kl: Array) -> Array:
        """Gold gain at these budgets; nan beyond the proxy's ceiling."""
        return self._at(self.gold, kl)

    def tilt_at(self, kl: Array) -> Array:
        """Tilt that spends these budgets."""
        return self._at(self.tilt, kl)

    def proxy_at(self, kl: Array) -> Array:
        """Proxy gain at these budgets."""
        return self._at(self.proxy, kl)

    def _at(self, values: Array, kl: Array) -> Array:
        from scipy.interpolate import PchipInterpolator

        kl = np.asarray(kl, dtype=float)
        root, known = np.sqrt(np.r_[0, self.kl]), np.r_[0, values]
        found = PchipInterpolator(root, known)(np.sqrt(np.minimum(kl, self.kl[-1])))
        return np.where(kl <= self.kl[-1], found, np.nan)

    def peak(self, most: float) -> float:
        """KL in [0, most] at which gold is highest; `most` where it still rises there."""
        kl = np.linspace(0, most, 4001)
        return float(kl[np.nanargmax(self.gold_at(kl))])


GRID = np.linspace(-9, 9, 361)


def _from_density(density: Callable[[Array], Array], nodes: Array, draw: Draw) -> Shape:
    weights = density(nodes)
    return Shape(draw, nodes, weights / weights.sum())


def _normal_density(x: Array) -> Array:
    return np.exp(-x * x / 2)


NORMAL = _from_density(_normal_density, GRID, lambda rng, size: rng.standard_normal(size))
UNIFORM = _from_density(
    np.ones_like, np.linspace(-1.5, 1.5, 601), lambda rng, size: rng.uniform(-1.5, 1.5, size)
)
BIMODAL = _from_density(
    lambda x: 0.7 * np.exp(-((x + 0.6) ** 2) / 0.5) + 0.3 * np.exp(-((x - 1.4) ** 2) / 0.5),
    np.linspace(-5, 6, 441),
    lambda rng, size: np.where(rng.random(size) < 0.7, -0.6, 1.4) + 0.5 * rng.standard_normal(size),
)
GAMMA4 = _from_density(
    lambda x: np.maximum(2 * x + 4, 0) ** 3 * np.exp(-np.maximum(2 * x + 4, 0)),
    np.linspace(-2, 16, 601), lambda rng, size: (rng.gamma(4.0, size=size) - 4) / 2,
)  # fmt: skip


def levels(values: list[float], chances: list[float]) -> Shape:
    """A few levels that all prompts share."""
    known, odds = np.array(values), np.array(chances) / sum(chances)
    return Shape(lambda rng, size: rng.choice(known, size=size, p=odds), known, odds)


def summed(error: Callable[[Array], Array], nodes: Array) -> tuple[Shape, Array]:
    """x = gold + error, gold standard normal: its law, and E[gold | x] at the nodes."""
    gold = GRID
    joint = _normal_density(gold)[None, :] * error(nodes[:, None] - gold[None, :])
    density = joint.sum(axis=1)
    mean = (joint * gold).sum(axis=1) / np.maximum(density, 1e-300)
    shape = Shape(lambda rng, size: rng.standard_normal(size), nodes, density / density.sum())
    return shape, mean


def _spread(low: float = 0.5, high: float = 1.5, a: tuple[float, float] = (0, 1),
            b: tuple[float, float] = (0, 1)) -> Callable[[np.random.Generator, int], Prompts]:  # fmt: skip
    def make(rng: np.random.Generator, number: int) -> Prompts:
        size = (number, 1)
        return Prompts(
            rng.uniform(low, high, size), rng.uniform(*a, size), rng.uniform(*b, size),
            rng.uniform(0.6, 1.4, size),
        )  # fmt: skip

    return make


def _noisy(
    mean: Callable[[Array, Prompts], Array], noise: float, name: str, shape: Shape,
    prompts: Callable[[np.random.Generator, int], Prompts], tail: float = np.inf,
) -> PairFamily:  # fmt: skip
    """Gold is its mean given x, plus noise (Student's with `tail` degrees of freedom)."""

    def gold(rng: np.random.Generator, x: Array, at: Prompts) -> Array:
        e = rng.standard_normal(x.shape) if np.isinf(tail) else rng.standard_t(tail, x.shape)
        return mean(x, at) + noise * e

    return PairFamily(name, shape, prompts, mean, gold)


def _coins(rate: Callable[[Array, Prompts], Array], name: str, shape: Shape,
           prompts: Callable[[np.random.Generator, int], Prompts]) -> PairFamily:  # fmt: skip
    """0/1 gold."""

    def parameters(rng: np.random.Generator, number: int) -> Prompts:
        found = prompts(rng, number)
        return Prompts(found.scale, found.a, found.b, np.ones((number, 1)))

    def gold(rng: np.random.Generator, x: Array, at: Prompts) -> Array:
        return (rng.random(x.shape) < rate(x, at)).astype(float)

    return PairFamily(name, shape, parameters, rate, gold)


def _sum_family(name: str, error: Callable[[Array], Array], draw: Draw, nodes: Array) -> PairFamily:
    """Proxy = gold + an error that is independent of gold."""
    shape, mean = summed(error, nodes)

    def read(x: Array, at: Prompts) -> Array:
        return np.interp(x, nodes, mean)

    def both(rng: np.random.Generator, at: Prompts, samples: int) -> tuple[Array, Array]:
        size = (len(at.scale), samples)
        gold = rng.standard_normal(size)
        return gold + draw(rng, size), gold

    return PairFamily(name, shape, _spread(), read, lambda rng, x, at: x, both)


def _length(name: str, bend: float) -> PairFamily:
    """Proxy = quality + b * length, gold = quality - c * length^2; both normal."""
    slope = 0.8
    variance = 1 + slope**2

    def mean(x: Array, at: Prompts) -> Array:
        share = x / np.sqrt(variance)  # x has variance 1
        quality, length = share, slope * share
        rest = 1 / variance
        return quality - at.a * bend * (length**2 + rest - 1)

    def both(rng: np.random.Generator, at: Prompts, samples: int) -> tuple[Array, Array]:
        size = (len(at.scale), samples)
        quality, length = rng.standard_normal(size), rng.standard_normal(size)
        proxy = (quality + slope * length) / np.sqrt(variance)
        return proxy, quality - at.a * bend * (length**2 - 1)

    return PairFamily(name, NORMAL, _spread(), mean, lambda rng, x, at: x, both)


def _sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def _laplace(x: Array) -> Array:
    return np.exp(-np.abs(x) / 0.6)


def _gamma_error(e: Array) -> Array:
    x = np.maximum(e / 0.7 + 1.5, 0)
    return x**1.25 * np.exp(-1.5 * x)


def _exponential_error(e: Array) -> Array:
    return np.where(e > -1, np.exp(-np.maximum(e, -1)), 0.0)


DEV = (
    _noisy(lambda x, at: (0.2 + 0.7 * at.a) * x, 0.6, "normal", NORMAL, _spread()),
    _sum_family(
        "exponential error", _exponential_error,
        lambda rng, size: rng.exponential(size=size) - 1, np.linspace(-9, 30, 601),
    ),
    _sum_family(
        "ensemble", _gamma_error,
        lambda rng, size: 0.7 * (rng.gamma(2.25, size=size) / 1.5 - 1.5), np.linspace(-9, 16, 501),
    ),
    _noisy(lambda x, at: x - (0.3 + 0.4 * at.a) * x * x, 0.5, "turns down", NORMAL, _spread()),
    _noisy(lambda x, at: x - 2.2 * np.maximum(x - 1, 0), 0.5, "breaks", NORMAL, _spread()),
    _noisy(lambda x, at: np.tanh(1.2 * x), 0.7, "saturates", NORMAL, _spread()),
    _noisy(lambda x, at: 0 * x, 1.0, "unrelated", NORMAL, _spread()),
    _length("length", 0.6),
    _coins(lambda x, at: _sigmoid(-3 + 4 * at.a + (0.5 + at.b) * x), "0/1 gold", NORMAL, _spread()),
    _coins(
        lambda x, at: _sigmoid(-1 + 2 * at.a + 1.5 * x) * (1 - 0.8 * _sigmoid(4 * (x - 1.5))),
        "0/1 gold, hacked", NORMAL, _spread(),
    ),
    _noisy(
        lambda x, at: 0.7 * x - 0.25 * x * x, 0.7, "five levels",
        levels([-2, -1, 0, 1, 2], [1, 2, 4, 2, 1]), _spread(),
    ),
    _coins(
        lambda x, at: np.where(x > 0, 0.35 + 0.3 * at.a, 0.1 + 0.1 * at.b), "0/1 both",
        levels([0, 1], [3, 1]), _spread(1, 1),
    ),
    _noisy(lambda x, at: 0.7 * x - 0.2 * x * x, 0.5, "skewed proxy", GAMMA4, _spread(0.4, 1.2)),
    _noisy(
        lambda x, at: at.scale * x - 0.25 * (at.scale * x) ** 2, 0.5, "turns by scale", NORMAL, _spread()
    ),
    _noisy(
        lambda x, at: x - (0.1 + 0.2 * at.a) * np.maximum(at.scale * x, 0) ** 3, 0.6, "turns late",
        NORMAL, _spread(0.3, 1.2),
    ),
)  # fmt: skip

HELD_OUT = (
    _sum_family(
        "Laplace error", _laplace, lambda rng, size: rng.laplace(0, 0.6, size),
        np.linspace(-14, 14, 561),
    ),
    _noisy(lambda x, at: np.sin(1.3 * x) + 0.3 * at.a * x, 0.6, "sine", UNIFORM, _spread(0.6, 2.0)),
    _noisy(
        lambda x, at: 0.8 * x - 0.6 * np.maximum(x - 1.2, 0) ** 2, 0.6, "two humps", BIMODAL, _spread()
    ),
    _noisy(lambda x, at: (at.a - 0.35) * x, 0.6, "either sign", NORMAL, _spread(0.4, 1.8)),
    _noisy(lambda x, at: 0.6 * x, 0.6, "t3 gold", NORMAL, _spread(), tail=3.0),
    _coins(
        lambda x, at: np.where(np.abs(x - 0.8) < 0.8, 0.7, 0.15), "0/1 gold, window", NORMAL, _spread()
    ),
    _noisy(
        lambda x, at: x - 0.35 * at.b * x * x, 0.5, "seven levels",
        levels([-3, -2, -1, 0, 1, 2, 3], [1, 3, 5, 6, 5, 3, 1]), _spread(0.3, 0.8),
    ),
    _noisy(
        lambda x, at: np.log1p(np.maximum(x + 2, 0)), 0.4, "skewed, saturates", GAMMA4, _spread(0.4, 1.2)
    ),
)  # fmt: skip
