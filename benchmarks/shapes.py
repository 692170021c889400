"""Standard reward shapes, each known by a sampler and by nodes to integrate over.

Nodes are trapezoids on a line that sees both tails down to probability ``e**-40``: the logit of the
probability where the quantile function is cheap, else a transform of the reward itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import special

if TYPE_CHECKING:
    from collections.abc import Callable

Array = NDArray[np.float64]

REACH = 40.0


@dataclass(frozen=True)
class Shape:
    """A standard law; `a` and `b` are its shape parameters, one per prompt, as columns.

    `nodes(step, a, b)` gives rewards (prompts or 1, nodes) and their weights; `sample(rng, size, a,
    b)` draws, by other means than the nodes; `log_mgf(t, a, b)` is the closed form of ``log E
    exp(t X)`` where there is one, finite for ``t < radius``.
    """

    name: str
    nodes: Callable[[float, Array, Array], tuple[Array, Array]]
    sample: Callable[[np.random.Generator, tuple[int, int], Array, Array], Array]
    log_mgf: Callable[[Array, Array, Array], Array] | None = None
    mean: Callable[[Array, Array], Array] | None = None
    radius: float = inf
    light: bool = True  # tails lighter than exponential
    support: tuple[float, float] = (-inf, inf)


def _normal_quantile(z: Array) -> Array:
    x: Array = np.where(
        z < 0,
        special.ndtri_exp(special.log_expit(np.minimum(z, 0.0))),
        -special.ndtri_exp(special.log_expit(-np.maximum(z, 0.0))),
    )
    return x


def _by_quantile(
    quantile: Callable[[Array, Array, Array], Array],
) -> Callable[[float, Array, Array], tuple[Array, Array]]:
    """Nodes even in the logit of the probability; `quantile` takes that logit."""

    def nodes(step: float, a: Array, b: Array) -> tuple[Array, Array]:
        z = np.arange(-REACH, REACH + step / 2, step)[None, :]
        weight = special.expit(z) * special.expit(-z)
        return quantile(z, a, b), weight / weight.sum()

    return nodes


def _by_density(
    line: Callable[[float], Array],
    reward: Callable[[Array], Array],
    log_density: Callable[[Array, Array, Array], Array],
) -> Callable[[float, Array, Array], tuple[Array, Array]]:
    """Nodes even in a transform of the reward, whose density needs no constant."""

    def nodes(step: float, a: Array, b: Array) -> tuple[Array, Array]:
        y = line(step)[None, :]
        level = log_density(y, a, b)
        weight = np.exp(level - level.max(axis=1, keepdims=True))
        return reward(y), weight / weight.sum(axis=1, keepdims=True)

    return nodes


def _uniform_log_mgf(t: Array) -> Array:
    size = np.maximum(np.abs(t), 1e-3)
    exact = np.maximum(t, 0.0) + np.log(-np.expm1(-size) / size)
    value: Array = np.where(np.abs(t) < 1e-3, t / 2 + t**2 / 24, exact)
    return value


NORMAL = Shape(
    "normal",
    _by_quantile(lambda z, a, b: _normal_quantile(z)),
    lambda rng, size, a, b: rng.standard_normal(size),
    lambda t, a, b: t**2 / 2,
    lambda a, b: 0.0 * a,
)
UNIFORM = Shape(
    "uniform",
    _by_quantile(lambda z, a, b: special.expit(z)),
    lambda rng, size, a, b: rng.random(size),
    lambda t, a, b: _uniform_log_mgf(t),
    lambda a, b: 0.5 + 0.0 * a,
    support=(0.0, 1.0),
)
EXPONENTIAL = Shape(
    "exponential",
    _by_quantile(lambda z, a, b: -special.log_expit(-z)),
    lambda rng, size, a, b: rng.standard_exponential(size),
    lambda t, a, b: -np.log1p(-t),
    lambda a, b: 1.0 + 0.0 * a,
    radius=1.0,
    light=False,
)
GUMBEL = Shape(
    "gumbel",
    _by_quantile(lambda z, a, b: -np.log(-special.log_expit(z))),
    lambda rng, size, a, b: rng.gumbel(size=size),
    lambda t, a, b: special.gammaln(1 - t),
    lambda a, b: np.euler_gamma + 0.0 * a,
    radius=1.0,
    light=False,
)
GAMMA = Shape(
    "gamma",
    _by_density(
        lambda step: np.arange(-90.0, 6.0, step),  # shapes down to .45
        np.exp,
        lambda y, a, b: a * y - np.exp(y),
    ),
    lambda rng, size, a, b: rng.standard_gamma(np.broadcast_to(a, size)),
    lambda t, a, b: -a * np.log1p(-t),
    lambda a, b: a,
    radius=1.0,
    light=False,
)
WEIBULL = Shape(
    "weibull",
    _by_quantile(lambda z, a, b: (-special.log_expit(-z)) ** (1 / a)),
    lambda rng, size, a, b: rng.standard_exponential(size) ** (1 / a),
)
BETA = Shape(
    "beta",
    _by_density(
        lambda step: np.arange(-90.0, 90.0, step),  # shapes down to .45
        special.expit,
        lambda y, a, b: a * special.log_expit(y) + b * special.log_expit(-y),
    ),
    lambda rng, size, a, b: rng.beta(np.broadcast_to(a, size), np.broadcast_to(b, size)),
    support=(0.0, 1.0),
)
STUDENT = Shape(
    "student",
    _by_density(
        lambda step: np.arange(-14.0, 14.0, step / 4),  # degrees of freedom from 3
        np.sinh,
        lambda y, a, b: np.log(np.cosh(y)) - (a + 1) / 2 * np.log1p(np.sinh(y) ** 2 / a),
    ),
    lambda rng, size, a, b: rng.standard_t(np.broadcast_to(a, size)),
    light=False,
)
LOGNORMAL = Shape(
    "lognormal",
    _by_quantile(lambda z, a, b: np.exp(a * _normal_quantile(z))),
    lambda rng, size, a, b: np.exp(a * rng.standard_normal(size)),
    light=False,
)
SIGMOID = Shape(
    "sigmoid-normal",
    _by_quantile(lambda z, a, b: special.expit(a + b * _normal_quantile(z))),
    lambda rng, size, a, b: special.expit(a + b * rng.standard_normal(size)),
    support=(0.0, 1.0),
)
ATOM = Shape(
    "atom",
    _by_quantile(lambda z, a, b: 0.0 * z),
    lambda rng, size, a, b: np.zeros(size),
    lambda t, a, b: 0.0 * t,
    lambda a, b: 0.0 * a,
    support=(0.0, 0.0),
)
SHAPES = {
    s.name: s
    for s in (
        NORMAL,
        UNIFORM,
        EXPONENTIAL,
        GUMBEL,
        GAMMA,
        WEIBULL,
        BETA,
        STUDENT,
        LOGNORMAL,
        SIGMOID,
        ATOM,
    )
}
