"""Reward laws of many prompts at once, with their exact log-mgf.

A prompt's law is a mixture of located and scaled shapes, or a finite table of levels, perhaps
clipped to a range.  Everything is an array over prompts, so that drawing and integrating are single
numpy calls.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

import numpy as np

from benchmarks.shapes import ATOM, Array, Shape

STEP, FINE_STEP = 0.1, 0.05  # the fine one where clipping puts a kink into the quantile function
CELLS = 4_000_000  # numbers held at once while integrating


@dataclass(frozen=True)
class Part:
    """One component of a mixture: ``loc + scale * shape(a, b)`` with probability `weight`.

    Every field but the shape is a number or one number per prompt.
    """

    shape: Shape
    weight: Array | float = 1.0
    loc: Array | float = 0.0
    scale: Array | float = 1.0
    a: Array | float = 1.0
    b: Array | float = 1.0


def _column(x: Array | float, prompts: int) -> Array:
    return np.broadcast_to(np.asarray(x, float).reshape(-1, 1), (prompts, 1))


@dataclass(frozen=True)
class Mixture:
    """The laws of `prompts` prompts, each a mixture of the same parts, clipped to `cap`."""

    prompts: int
    parts: tuple[Part, ...]
    cap: tuple[Array | float, Array | float] = (-inf, inf)

    def _capped(self, x: Array) -> Array:
        return np.clip(x, *(_column(c, self.prompts) for c in self.cap))

    def _columns(self, part: Part) -> tuple[Array, Array, Array, Array, Array]:
        fields = (part.weight, part.loc, part.scale, part.a, part.b)
        w, loc, scale, a, b = (_column(f, self.prompts) for f in fields)
        return w, loc, scale, a, b

    def draw(self, rng: np.random.Generator, samples: int) -> Array:
        """(prompts, samples) independent rewards."""
        size = (self.prompts, samples)
        if len(self.parts) > 1:
            u = rng.random(size)
        total, out = np.zeros((self.prompts, 1)), np.zeros(size)
        for part in self.parts:
            w, loc, scale, a, b = self._columns(part)
            x = loc + scale * part.shape.sample(rng, size, a, b)
            if len(self.parts) == 1:
                out = x
            else:
                # the last part also takes what rounding leaves of the unit interval
                upper = np.inf if part is self.parts[-1] else total + w
                out = np.where((u >= total) & (u < upper), x, out)
                total = total + w
        return self._capped(out)

    def log_mgf(self, lam: Array) -> Array:
        """(prompts, len(lam)) exact ``log E exp(lam (r - E r))``; inf where it diverges."""
        lam = np.asarray(lam, float)
        pieces = [self._part(part, lam) for part in self.parts]
        weights = [_column(part.weight, self.prompts) for part in self.parts]
        mean = sum(w * m for w, (_, m) in zip(weights, pieces, strict=True))
        if len(pieces) == 1:
            return pieces[0][0] - lam * mean
        with np.errstate(divide="ignore", invalid="ignore"):
            stack = np.stack(
                [
                    np.where(w > 0, np.log(w) + p, -inf)
                    for w, (p, _) in zip(weights, pieces, strict=True)
                ]
            )
        top = stack.max(axis=0)
        with np.errstate(invalid="ignore"):
            total = top + np.log(np.exp(stack - top).sum(axis=0))
        return np.where(np.isinf(top), inf, total) - lam * mean

    def _part(self, part: Part, lam: Array) -> tuple[Array, Array]:
        """Uncentred log-mgf (prompts, len(lam)) and mean (prompts, 1) of one part, clipped."""
        _, loc, scale, a, b = self._columns(part)
        shape, capped = part.shape, self._is_capped()
        if shape.log_mgf is not None and shape.mean is not None and not capped:
            t = lam * scale
            ok = t < shape.radius
            value = shape.log_mgf(np.where(ok, t, 0.0), a, b)
            return np.where(ok, lam * loc + value, inf), loc + scale * shape.mean(a, b)
        step = FINE_STEP if capped else STEP
        alike = np.ptp(a) == 0 and np.ptp(b) == 0  # one set of nodes serves all prompts
        nodes, weight = shape.nodes(step, a[:1] if alike else a, b[:1] if alike else b)
        x = self._capped(loc + scale * nodes)
        return log_mean_exp(x, weight, lam), (x * weight).sum(axis=1, keepdims=True)

    def _is_capped(self) -> bool:
        return any(bool(np.isfinite(c).any()) for c in self.cap)

    def support(self) -> tuple[float, float]:
        """The least and greatest reward that any of these prompts can give."""
        ends = []
        for part in self.parts:
            w, loc, scale, _, _ = self._columns(part)
            with np.errstate(invalid="ignore"):
                both = np.where(scale == 0, loc, loc + scale * np.array(part.shape.support))
            ends.append(self._capped(both)[w[:, 0] > 0].ravel())
        every = np.concatenate(ends)
        return float(every.min()), float(every.max())

    def has_atoms(self) -> bool:
        """Whether some reward has positive probability."""
        return self._is_capped() or any(p.shape is ATOM for p in self.parts)


@dataclass(frozen=True)
class Levels:
    """Finite laws: `values` (levels,) or (prompts, levels), `probs` (prompts, levels)."""

    values: Array
    probs: Array

    @property
    def prompts(self) -> int:
        """How many prompts."""
        return int(self.probs.shape[0])

    def draw(self, rng: np.random.Generator, samples: int) -> Array:
        """(prompts, samples) independent rewards."""
        upper = np.cumsum(self.probs, axis=1)[:, :-1]
        u = rng.random((self.prompts, samples))
        pick = (u[:, :, None] >= upper[:, None, :]).sum(axis=2)
        return np.take_along_axis(np.broadcast_to(self.values, self.probs.shape), pick, axis=1)

    def log_mgf(self, lam: Array) -> Array:
        """(prompts, len(lam)) exact ``log E exp(lam (r - E r))``."""
        values = np.broadcast_to(self.values, self.probs.shape)
        mean = (values * self.probs).sum(axis=1, keepdims=True)
        return log_mean_exp(values - mean, self.probs, np.asarray(lam, float))

    def support(self) -> tuple[float, float]:
        """The least and greatest reward that any of these prompts can give."""
        seen = np.broadcast_to(self.values, self.probs.shape)[self.probs > 0]
        return float(seen.min()), float(seen.max())

    def ranked(self) -> Levels:
        """The same prompts with each reward replaced by its mid-rank (ties shared)."""
        order = np.argsort(np.broadcast_to(self.values, self.probs.shape), axis=1)
        probs = np.take_along_axis(self.probs, order, axis=1)
        return Levels(np.cumsum(probs, axis=1) - probs / 2, probs)


Laws = Mixture | Levels


def log_mean_exp(x: Array, weight: Array, lam: Array) -> Array:
    """``log sum_j weight_j exp(lam_k x_xj)`` of every prompt and tilt, in blocks."""
    prompts, nodes = x.shape
    weight = np.broadcast_to(weight, x.shape)
    held = np.where(weight > 0, x, -inf)
    top = held.max(axis=1, keepdims=True)
    shifted = np.where(weight > 0, x - top, 0.0)
    out = np.empty((prompts, len(lam)))
    rows = max(1, CELLS // nodes)
    for k, tilt in enumerate(lam):
        for i in range(0, prompts, rows):
            part = slice(i, i + rows)
            mass = np.einsum("ij,ij->i", weight[part], np.exp(tilt * shifted[part]))
            out[part, k] = np.log(mass)
    total: Array = out + lam * top
    return total
