"""Proxies and golds whose truth is known: gold gain along the proxy's tilt, by quadrature.

A prompt has a scale s and an offset o. Its proxy is s u with u from one law, its gold has the mean
``mean(s u)`` given the proxy (0/1: that chance) and noise of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

Floats = np.ndarray[Any, np.dtype[np.float64]]
GRID = np.linspace(-7.0, 11.0, 601)
_TILTS = np.geomspace(0.05, 20.0, 48)


@dataclass(frozen=True)
class Prompts:
    """(prompts,) scale and offset of each."""

    scale: Floats
    offset: Floats


@dataclass(frozen=True)
class Pair:
    """A law of proxy and gold.

    Attributes
    ----------
    sample : generator and shape to (u, gold around the offset in units of the scale, nuisance)
    density : of u on `GRID`, up to a factor
    mean : of gold given u, in units of the scale, on any array
    binary : gold is 0/1 and ``mean`` is on the scale of its logit
    """

    name: str
    sample: Callable[[np.random.Generator, tuple[int, int]], tuple[Floats, Floats, Floats | None]]
    density: Floats
    mean: Callable[[Floats], Floats]
    binary: bool = False

    def prompts(self, rng: np.random.Generator, number: int) -> Prompts:
        """Draw prompts."""
        return Prompts(rng.uniform(0.5, 1.5, number), rng.normal(size=number))

    def expected(self, prompts: Prompts, u: Floats) -> Floats:
        """Mean gold given u, (prompts, ...)."""
        shape = (-1, *[1] * (np.ndim(u) - 1))
        scale, offset = prompts.scale.reshape(shape), prompts.offset.reshape(shape)
        if self.binary:
            return 1 / (1 + np.exp(-(self.mean(u) + offset - 0.5)))
        return scale * self.mean(u) + offset

    def draw(
        self, rng: np.random.Generator, prompts: Prompts, samples: int
    ) -> tuple[Floats, Floats, Floats, Floats | None]:
        """Proxy, gold, mean gold given the proxy, and nuisance, (prompts, samples) each."""
        u, gold, nuisance = self.sample(rng, (len(prompts.scale), samples))
        expected = self.expected(prompts, u)
        if self.binary:
            gold = (rng.random(u.shape) < expected).astype(float)
        else:
            gold = prompts.scale[:, None] * gold + prompts.offset[:, None]
        return prompts.scale[:, None] * u, gold, expected, nuisance

    def truth(self, prompts: Prompts, kl: float) -> float:
        """Gold gain where the proxy's tilt spends `kl` nats on average over the prompts."""
        from scipy.interpolate import CubicSpline

        spent, gain = np.array([self._at(prompts, tilt) for tilt in _TILTS]).T
        tilt = CubicSpline(np.log(spent), np.log(_TILTS))(np.log(kl))
        return float(CubicSpline(np.log(_TILTS), gain)(tilt))

    def _at(self, prompts: Prompts, tilt: float) -> tuple[float, float]:
        power = np.outer(tilt * prompts.scale, GRID)
        weight = np.exp(power - power.max(axis=1, keepdims=True)) * self.density
        base = self.density / self.density.sum()
        share = weight / weight.sum(axis=1, keepdims=True)
        with np.errstate(divide="ignore", invalid="ignore"):
            spent = np.where(share > 0, share * np.log(share / base), 0.0).sum(axis=1).mean()
        expected = self.expected(prompts, np.broadcast_to(GRID, share.shape))
        return float(spent), float(((share - base) * expected).sum(axis=1).mean())


def even_prompts(number: int = 200) -> Prompts:
    """Prompts that stand for their population: even in scale, offsets in an order of their own."""
    from scipy.special import ndtri

    place = (np.arange(number) + 0.5) / number
    return Prompts(0.5 + place, ndtri(np.random.default_rng(0).permutation(place)))


NORMAL = np.exp(-(GRID**2) / 2)


def _gaussian(rng: np.random.Generator, shape: tuple[int, int]) -> tuple[Floats, Floats, None]:
    u = rng.normal(size=shape)
    return u, 0.8 * u + 0.6 * rng.normal(size=shape), None


_RATE = 0.75  # of the exponential error, so that it correlates at .8 with gold


def _heavy(rng: np.random.Generator, shape: tuple[int, int]) -> tuple[Floats, Floats, None]:
    gold = rng.normal(size=shape)
    return gold + _RATE * (rng.exponential(size=shape) - 1), gold, None


def _heavy_tables() -> tuple[Floats, Floats]:
    """Density of gold plus error on the grid, and gold's mean given the sum."""
    gold = np.linspace(-8, 8, 1601)
    error = (GRID[:, None] - gold) / _RATE + 1
    both = np.exp(-(gold**2) / 2) * np.where(error >= 0, np.exp(-np.maximum(error, 0)), 0.0)
    total = both.sum(axis=1)
    mean = (both * gold).sum(axis=1) / np.maximum(total, 1e-300)
    return total, mean


_HEAVY = _heavy_tables()


def _turning(rng: np.random.Generator, shape: tuple[int, int]) -> tuple[Floats, Floats, None]:
    u = rng.normal(size=shape)
    return u, u - 0.35 * u**2 + 0.3175**0.5 * rng.normal(size=shape), None


def _bent(u: Floats) -> Floats:
    return np.asarray(u - 1.2 * np.maximum(u - 1.2, 0) ** 2)


def _turning_sharply(
    rng: np.random.Generator, shape: tuple[int, int]
) -> tuple[Floats, Floats, None]:
    u = rng.normal(size=shape)
    return u, _bent(u) + 0.5 * rng.normal(size=shape), None


def _length(rng: np.random.Generator, shape: tuple[int, int]) -> tuple[Floats, Floats, Floats]:
    quality, length, noise = rng.normal(size=(3, *shape))
    return (quality + 0.6 * length) / 1.36**0.5, quality - 0.1 * length + 0.2 * noise, length


def _coins(rng: np.random.Generator, shape: tuple[int, int]) -> tuple[Floats, Floats, None]:
    u = rng.normal(size=shape)
    return u, u, None


HELD_OUT = {
    pair.name: pair
    for pair in (
        Pair("Gaussian", _gaussian, NORMAL, lambda u: 0.8 * u),
        Pair("heavy-tailed error", _heavy, _HEAVY[0], lambda u: np.interp(u, GRID, _HEAVY[1])),
        Pair("non-monotone gold", _turning, NORMAL, lambda u: u - 0.35 * u**2),
        Pair("gold turns sharply", _turning_sharply, NORMAL, _bent),
        Pair("length-confounded", _length, NORMAL, lambda u: 0.94 / 1.36**0.5 * u),
        Pair("0/1 gold", _coins, NORMAL, lambda u: 2.5 * u, binary=True),
    )
}
