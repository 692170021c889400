"""Standard reward shapes, each known by its quantile function and a sampler.

Quantile functions take the logit ``z = log(u / (1 - u))`` rather than ``u``: both tails stay exact.
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


@dataclass(frozen=True)
class Shape:
    """A standard law; `a` and `b` are its shape parameters, one per prompt, as columns.

    `quantile(z, a, b)` takes logits; `sample(rng, size, a, b)` draws; `log_mgf(t, a, b)` is the
    closed form of ``log E exp(t X)`` where there is one, finite for ``t < radius``.
    """

    name: str
    quantile: Callable[[Array, Array, Array], Array]
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


def _two_sided(lower: Callable[[Array], Array], upper: Callable[[Array], Array], z: Array) -> Array:
    """Quantiles from the nearer tail: `lower` takes u, `upper` takes 1 - u."""
    return np.where(
        z < 0, lower(special.expit(np.minimum(z, 0.0))), upper(special.expit(-np.maximum(z, 0.0)))
    )


def _uniform_log_mgf(t: Array) -> Array:
    size = np.maximum(np.abs(t), 1e-3)
    exact = np.maximum(t, 0.0) + np.log(-np.expm1(-size) / size)
    value: Array = np.where(np.abs(t) < 1e-3, t / 2 + t**2 / 24, exact)
    return value


NORMAL = Shape(
    "normal",
    lambda z, a, b: _normal_quantile(z),
    lambda rng, size, a, b: rng.standard_normal(size),
    lambda t, a, b: t**2 / 2,
    lambda a, b: 0.0 * a,
)
UNIFORM = Shape(
    "uniform",
    lambda z, a, b: special.expit(z),
    lambda rng, size, a, b: rng.random(size),
    lambda t, a, b: _uniform_log_mgf(t),
    lambda a, b: 0.5 + 0.0 * a,
    support=(0.0, 1.0),
)
EXPONENTIAL = Shape(
    "exponential",
    lambda z, a, b: -special.log_expit(-z),
    lambda rng, size, a, b: rng.standard_exponential(size),
    lambda t, a, b: -np.log1p(-t),
    lambda a, b: 1.0 + 0.0 * a,
    radius=1.0,
    light=False,
)
GUMBEL = Shape(
    "gumbel",
    lambda z, a, b: -np.log(-special.log_expit(z)),
    lambda rng, size, a, b: rng.gumbel(size=size),
    lambda t, a, b: special.gammaln(1 - t),
    lambda a, b: np.euler_gamma + 0.0 * a,
    radius=1.0,
    light=False,
)
GAMMA = Shape(
    "gamma",
    lambda z, a, b: _two_sided(
        lambda u: special.gammaincinv(a, u), lambda v: special.gammainccinv(a, v), z
    ),
    lambda rng, size, a, b: rng.standard_gamma(np.broadcast_to(a, size)),
    lambda t, a, b: -a * np.log1p(-t),
    lambda a, b: a,
    radius=1.0,
    light=False,
)
WEIBULL = Shape(
    "weibull",
    lambda z, a, b: (-special.log_expit(-z)) ** (1 / a),
    lambda rng, size, a, b: rng.standard_exponential(size) ** (1 / a),
)
BETA = Shape(
    "beta",
    lambda z, a, b: _two_sided(
        lambda u: special.betaincinv(a, b, u), lambda v: 1 - special.betaincinv(b, a, v), z
    ),
    lambda rng, size, a, b: rng.beta(np.broadcast_to(a, size), np.broadcast_to(b, size)),
    support=(0.0, 1.0),
)
STUDENT = Shape(
    "student",
    lambda z, a, b: _two_sided(
        lambda u: special.stdtrit(a, u), lambda v: -special.stdtrit(a, v), z
    ),
    lambda rng, size, a, b: rng.standard_t(np.broadcast_to(a, size)),
    light=False,
)
LOGNORMAL = Shape(
    "lognormal",
    lambda z, a, b: np.exp(a * _normal_quantile(z)),
    lambda rng, size, a, b: np.exp(a * rng.standard_normal(size)),
    light=False,
)
SIGMOID = Shape(
    "sigmoid-normal",
    lambda z, a, b: special.expit(a + b * _normal_quantile(z)),
    lambda rng, size, a, b: special.expit(a + b * rng.standard_normal(size)),
    support=(0.0, 1.0),
)
ATOM = Shape(
    "atom",
    lambda z, a, b: 0.0 * z,
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
