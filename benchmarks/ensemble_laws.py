"""Ensembles whose truth is known: gold, and members that err together and on their own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import optimize, special

Array = np.ndarray
Draw = Callable[[np.random.Generator, Array, int], tuple[Array, Array]]


@dataclass(frozen=True)
class Law:
    """A population of prompts; `draw(rng, u, samples)` gives members (m, prompts, samples) and gold.

    `u` in (0, 1) is what makes a prompt what it is: evenly spaced values stand for the population.
    """

    name: str
    what: str
    draw: Draw

    def sample(self, rng: np.random.Generator, prompts: int, samples: int) -> dict[str, Array]:
        """New prompts and samples of them, as `klimit.ensemble` takes them."""
        members, gold = self.draw(rng, rng.random(prompts), samples)
        return {f"rm{i}": x for i, x in enumerate(members)} | {"gold": gold}


def _spread(u: Array, width: float) -> Array:
    return np.exp(width * special.ndtri(u))[:, None]


def _normal(rng: np.random.Generator, u: Array, samples: int) -> tuple[Array, Array]:
    gold, shared = rng.normal(size=(2, len(u), samples))
    own = rng.normal(size=(4, len(u), samples))
    return gold + np.sqrt(0.4) * shared + np.sqrt(0.6) * own, gold


def _scales(rng: np.random.Generator, u: Array, samples: int) -> tuple[Array, Array]:
    gold, shared = rng.normal(size=(2, len(u), samples))
    own = rng.normal(size=(5, len(u), samples))
    spread = _spread(u, 0.4)
    return spread * (gold + np.sqrt(0.35) * shared + np.sqrt(0.15) * own), spread * gold


def _uneven(rng: np.random.Generator, u: Array, samples: int) -> tuple[Array, Array]:
    gold, shared = rng.normal(size=(2, len(u), samples))
    own = rng.normal(size=(4, len(u), samples))
    slope, load, size = (
        np.array(x)[:, None, None]
        for x in ([1.5, 1.0, 0.7, 0.4], [1.0, 0.5, 0.2, 0.8], [0.6, 1.0, 0.8, 1.8])
    )
    spread = _spread(u, 0.25)
    return slope * spread * gold + load * shared + size * own, spread * gold


def _heavy(rng: np.random.Generator, u: Array, samples: int) -> tuple[Array, Array]:
    shape = (len(u), samples)
    gold = rng.normal(size=shape)
    shared = rng.standard_t(6, size=shape) / np.sqrt(1.5)
    own = rng.laplace(size=(3, *shape)) / np.sqrt(2)
    return gold + np.sqrt(0.5) * shared + np.sqrt(0.5) * own, gold


def _graded(rng: np.random.Generator, u: Array, samples: int) -> tuple[Array, Array]:
    """Gold is 0 or 1; members see how nearly the answer was right."""
    latent, shared = rng.normal(size=(2, len(u), samples))
    own = rng.normal(size=(4, len(u), samples))
    gold = (latent > special.ndtri(0.2 + 0.6 * u)[:, None]).astype(float)
    return latent + 0.6 * shared + 0.8 * own, gold


def _overrated(rng: np.random.Generator, u: Array, samples: int) -> tuple[Array, Array]:
    gold = rng.normal(size=(len(u), samples))
    return (gold + rng.standard_t(2, size=gold.shape))[None], gold


OVERRATED = Law("overrated", "one proxy, error of Student's t with 2 degrees", _overrated)
LAWS = (
    Law("normal", "normal rewards, 4 members, tau^2 = 1, rho = .4", _normal),
    Law("scales", "prompts of different scales, 5 members, tau^2 = .5, rho = .7", _scales),
    Law("uneven", "4 members of different scale, accuracy and share in the common error", _uneven),
    Law("heavy", "3 members, common error of Student's t with 6 degrees, own errors Laplace", _heavy),
    Law("graded", "gold 0 or 1, pass rates .2 to .8, 4 members", _graded),
)  # fmt: skip


@dataclass(frozen=True)
class Truth:
    """What a population does: `errors` by name, and gold gain by (aggregate, kl)."""

    errors: dict[str, float]
    gains: dict[tuple[str, float], float]


@lru_cache(maxsize=8)
def truth(law: Law, budgets: tuple[float, ...], prompts: int = 200, samples: int = 1000) -> Truth:
    """From many samples of evenly spaced prompts: covariances and tilts, by formulas of its own."""
    u = (np.arange(prompts) + 0.5) / prompts
    members, gold = law.draw(np.random.default_rng([77, prompts]), u, samples)
    members = members - members.mean(axis=2, keepdims=True)
    gold = gold - gold.mean(axis=1, keepdims=True)
    members /= np.sqrt((members**2).mean(axis=(1, 2), keepdims=True))
    return Truth(_errors(members, gold), _gains(members, gold, budgets))


def _errors(members: Array, gold: Array) -> dict[str, float]:
    flat, y = members.reshape(len(members), -1), gold.ravel()
    variance = float(y @ y / len(y))
    slope = flat @ y / len(y) / variance
    rest = flat - slope[:, None] * y
    covariance = rest @ rest.T / len(y)
    number = len(flat)
    own = float(np.trace(covariance) / number)
    shared = float((covariance.sum() - np.trace(covariance)) / number / (number - 1))
    unit = float(slope.mean() ** 2)
    mean = flat.mean(axis=0)
    return {
        "error_variance": own / unit,
        "correlation": shared / own,
        "floor": shared / unit,
        "disagreement": (own - shared) / unit,
        "efficiency": float(mean @ y / np.sqrt((mean @ mean) * (y @ y))),
        "efficiency_limit": float(1 / np.sqrt(1 + shared / unit / variance)),
    }


def _gains(
    members: Array, gold: Array, budgets: tuple[float, ...]
) -> dict[tuple[str, float], float]:
    flat, y = members.reshape(len(members), -1), gold.ravel()
    best = np.linalg.lstsq(flat @ flat.T, flat @ y, rcond=None)[0]
    made = {
        "mean": members.mean(axis=0),
        "learned": np.tensordot(best, members, axes=1),
        "minimum": members.min(axis=0),
        "mean - 0.5 var": members.mean(axis=0) - 0.5 * members.var(axis=0),
    }
    found = {(name, kl): along(x, gold, kl) for name, x in made.items() for kl in budgets}
    for kl in budgets:
        found["one", kl] = float(np.mean([along(x, gold, kl) for x in members]))
    return found


def along(proxy: Array, gold: Array, kl: float) -> float:
    """Gold gain where the tilt of the proxy, shared by all prompts, spends `kl`."""
    below = proxy - proxy.max(axis=1, keepdims=True)

    def excess(log_tilt: float) -> float:
        weight = np.exp(np.exp(log_tilt) * below)
        total = weight.mean(axis=1)
        mean = (weight * below).mean(axis=1) / total
        return float(np.mean(np.exp(log_tilt) * mean - np.log(total)) - kl)

    weight = np.exp(np.exp(optimize.brentq(excess, np.log(0.05), np.log(50.0), xtol=1e-5)) * below)
    return float(np.mean((weight * gold).mean(axis=1) / weight.mean(axis=1)))
