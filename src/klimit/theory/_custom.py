"""A convex f that the caller hands over, with its derivative."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from klimit._errors import ArgumentError
from klimit.theory._check import Floats
from klimit.theory._generators import Generator
from klimit.theory._pair import Pair
from klimit.theory._root import increasing_root
from klimit.theory.f_divergence import limit, values_of

Function = Callable[[Floats], ArrayLike]

_END = 345.0  # the square of e^345 is a float
_STEP = 1e-4  # of log w, for the slope of the derivative, which only guides the search
_GRID = np.exp(np.linspace(-5.0, 5.0, 201))


@dataclass(frozen=True, slots=True, eq=False)
class Custom(Generator):
    """f and f', less the straight line that makes both vanish at 1; the anchor is a slope."""

    f: Function
    derivative: Function
    at_one: float
    at_zero: float
    scale: float = 1.0

    def anchor(self, log_ratio: Floats) -> Floats:
        return self._slope(log_ratio)

    def slope(self, anchor: Floats) -> Floats:
        return anchor

    def rise(self, anchor: Floats) -> Floats:
        return np.ones_like(anchor)

    def log_ratio(self, anchor: Floats, drop: Floats) -> Floats:
        wanted = (anchor - drop).ravel()
        low, high = self._slope(np.array([-_END, _END]))
        y = np.where(wanted <= low, -np.inf, _END)
        inside = np.flatnonzero((wanted > low) & (wanted < high))
        goal = np.arcsinh(wanted[inside])

        def mismatch(log_w: Floats, index: NDArray[np.intp]) -> tuple[Floats, Floats]:
            slope = self._slope(log_w)  # matched on a scale that is logarithmic far out
            return np.arcsinh(slope) - goal[index], self._bend(log_w) / np.hypot(1.0, slope)

        y[inside] = np.clip(increasing_root(mismatch, np.zeros(inside.size)), -_END, _END)
        return y.reshape(np.broadcast_shapes(anchor.shape, drop.shape))

    def motion(self, log_ratio: Floats, anchor: Floats, drop: Floats) -> Floats:
        """The weight over the derivative of f' with respect to log w."""
        bend = self._bend(np.clip(log_ratio, -_END, _END))
        held = (np.abs(log_ratio) < _END) & (bend > 0)
        weight = np.exp(np.clip(log_ratio, -_END, _END))
        return np.where(held, weight / np.where(held, bend, 1.0), 0.0)

    def divergence(self, pair: Pair) -> Floats:
        reached = (pair.q > 0) & (pair.u > -np.inf)
        w = np.exp(np.clip(np.where(reached, pair.u, 0.0), -_END, _END))
        terms = np.where(
            reached, pair.q * (values_of(self.f, w, "f") - self.at_one * (w - 1.0)), 0.0
        )
        lost = np.where((pair.q > 0) & ~reached, pair.q, 0.0).sum(axis=-1)
        given_up = np.where(lost > 0, lost * (self.at_zero + self.at_one), 0.0)
        total: Floats = np.maximum(terms.sum(axis=-1) + given_up, 0.0)
        return total

    def _slope(self, log_w: Floats) -> Floats:
        slope: Floats = values_of(self.derivative, np.exp(log_w), "derivative") - self.at_one
        return slope

    def _bend(self, log_w: Floats) -> Floats:
        up, down = np.minimum(log_w + _STEP, _END), np.maximum(log_w - _STEP, -_END)
        bend: Floats = (self._slope(up) - self._slope(down)) / (up - down)
        return bend


def custom(f: Function, derivative: Function, at_zero: float | None) -> Custom:
    """Check f and its derivative on ratios from e^-5 to e^5.

    Both are right and f is convex there exactly if every chord's slope lies between the derivatives
    at its ends.
    """
    value, slope = values_of(f, _GRID, "f"), values_of(derivative, _GRID, "derivative")
    one = np.ones(1)
    at_one = float(values_of(f, one, "f")[0])
    if abs(at_one) > 1e-12 * np.abs(value).max():
        raise ArgumentError(f"f must be 0 at 1; got {at_one!r}.")
    chord = np.diff(value) / np.diff(_GRID)
    slack = 1e-9 * np.abs(chord).max() + 1e-9 * np.abs(chord)
    bad = ~((slope[:-1] <= chord + slack) & (chord <= slope[1:] + slack))
    if bad.any():
        raise ArgumentError(
            "f must be convex and `derivative` its derivative; they are not near a ratio of "
            f"{float(_GRID[int(np.argmax(bad))]):.4g}."
        )
    if (np.diff(slope) <= 0).any():
        raise ArgumentError(
            "f must bend everywhere, so that each slope belongs to one ratio; it is straight near a "
            f"ratio of {float(_GRID[int(np.argmax(np.diff(slope) <= 0))]):.4g}."
        )
    kink = _largest_jump(derivative)
    if kink is not None:
        raise ArgumentError(
            f"f must be smooth; its derivative jumps near a ratio of {kink:.4g}. For the total "
            'variation distance ask for divergence="total-variation".'
        )
    slope_at_one = float(values_of(derivative, one, "derivative")[0])
    return Custom(f, derivative, slope_at_one, limit("at_zero", at_zero, f))


def _largest_jump(derivative: Function) -> float | None:
    """Halve the grid's intervals towards where the derivative rises most; is all of it left?"""
    low, high = _GRID[:-1], _GRID[1:]
    at_low, at_high = (values_of(derivative, ends, "derivative") for ends in (low, high))
    rise = at_high - at_low
    for _ in range(24):
        middle = 0.5 * (low + high)
        at = values_of(derivative, middle, "derivative")
        left = at - at_low > at_high - at
        low, at_low = np.where(left, low, middle), np.where(left, at_low, at)
        high, at_high = np.where(left, middle, high), np.where(left, at, at_high)
    jump = (at_high - at_low) / rise
    return float(low[np.argmax(jump)]) if jump.max() > 1e-3 else None
