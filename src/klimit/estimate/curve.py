"""One concave curve of reward against KL, kept as the convex function it is the transform of.

``G(D) = min over tilts of (D + C(tilt)) / tilt``, where C is the mean log-mgf of centred rewards
(plug-in or corrected). Then gain = C', KL = tilt C' - C, beta = 1 / tilt, the log-partition is C
and the forward KL is C as well, so every identity of the optimal policy holds between estimates
(arXiv 2605.07105, section 3; theory in `klimit.theory`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from klimit.estimate.kernel import Floats

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class Point:
    """Where the curve is touched by a line of slope 1 / tilt; arrays of one shape."""

    tilt: Floats
    kl: Floats
    gain: Floats
    log_partition: Floats


@dataclass(frozen=True)
class Curve:
    """A convex C(tilt) as polynomials between knots.

    Attributes
    ----------
    knots : (pieces + 1,) tilts, ascending from 0
    coefficients : (pieces, degree + 1) of powers of (tilt - left knot) / width, constant first
    ceiling_gain, ceiling_kl : where the curve becomes flat
    """

    knots: Floats
    coefficients: Floats
    ceiling_gain: float
    ceiling_kl: float

    @classmethod
    def smooth(
        cls, tilts: Floats, value: Floats, slope: Floats, second: Floats, *, variance: float,
        ceiling_gain: float, ceiling_kl: float,
    ) -> Curve:  # fmt: skip
        """Interpolate C with its first two derivatives (quintic Hermite), C(0) = C'(0) = 0."""
        knots = np.concatenate(([0.0], tilts))
        f, d, s = (np.concatenate(([first], rest)) for first, rest in
                   ((0.0, value), (0.0, slope), (variance, second)))  # fmt: skip
        width = np.diff(knots)
        a0, a1, a2 = f[:-1], d[:-1] * width, s[:-1] * width**2 / 2
        rise, first, curved = (
            f[1:] - a0 - a1 - a2,
            d[1:] * width - a1 - 2 * a2,
            s[1:] * width**2 - 2 * a2,
        )
        a3 = 10 * rise - 4 * first + curved / 2
        a4 = -15 * rise + 7 * first - curved
        a5 = 6 * rise - 3 * first + curved / 2
        return cls(knots, np.stack([a0, a1, a2, a3, a4, a5], axis=1), ceiling_gain, ceiling_kl)

    @classmethod
    def convex(
        cls, tilts: Floats, value: Floats, *, ceiling_gain: float, ceiling_kl: float,
        cap: float = np.inf,
    ) -> Curve:  # fmt: skip
        """The largest convex function below the points, smoothed to one slope at every knot.

        Between knots it is quadratic with one extra knot where that keeps the slope rising
        (Schumaker's shape-preserving spline). No slope, hence no gain, exceeds `cap`.
        """
        from scipy.interpolate import CubicSpline

        hull = _lower_hull(np.concatenate(([0.0], tilts)), np.concatenate(([0.0], value)))
        x, y = np.concatenate(([0.0], tilts))[hull], np.concatenate(([0.0], value))[hull]
        secant = np.diff(y) / np.diff(x)
        half_variance = y[1:] / x[1:] ** 2  # C over tilt squared hardly bends near 0
        bend = CubicSpline(np.log(x[1:]), half_variance)(np.log(x[1:]), 1)
        slope = x[1:] * (2 * half_variance + bend)
        slope[:-1] = np.clip(slope[:-1], secant[:-1], secant[1:])
        slope = np.concatenate(([0.0], slope))
        slope[-1] = np.clip(slope[-1], secant[-1], max(2 * secant[-1] - slope[-2], secant[-1]))
        width = np.diff(x)
        left, right = slope[:-1], slope[1:]
        gap_left, gap_right = secant - left, right - secant
        share = np.full(len(width), 0.5)  # the extra knot, as a share of the width
        even = 2 * secant - (left + right) / 2
        bad = (even < left) | (even > right)
        total = np.where(right > left, right - left, 1.0)
        share[bad] = np.clip(
            np.where(gap_left < gap_right, 1 - gap_left / total, gap_right / total), 1e-3, 0.999
        )[bad]
        middle = np.clip(2 * secant - share * left - (1 - share) * right, left, right)
        extra = x[:-1] + share * width
        knots = np.empty(2 * len(width) + 1)
        knots[0::2], knots[1::2] = x, extra
        slopes = np.empty_like(knots)
        slopes[0::2], slopes[1::2] = slope, middle
        slopes = np.minimum(slopes, cap)
        step = np.diff(knots)
        rise = step * (slopes[:-1] + slopes[1:]) / 2
        start = np.concatenate(([0.0], np.cumsum(rise)))[:-1]
        coefficients = np.stack([start, step * slopes[:-1], step * np.diff(slopes) / 2], axis=1)
        last = float(slopes[-1])
        ceiling_gain = min(max(ceiling_gain, last), max(cap, 0.0))
        end = float(knots[-1] * last - start[-1] - rise[-1])
        end += float(knots[-1]) * (ceiling_gain - last)  # no steeper to the ceiling than before it
        return cls(knots, coefficients, ceiling_gain, max(ceiling_kl, end))

    def at_tilt(self, tilt: ArrayLike) -> Point:
        """Gain, KL and log-partition where the slope of the frontier is 1 / tilt."""
        tilt = np.asarray(tilt, dtype=float)
        flat = tilt >= self.knots[-1]
        value, slope, _ = self._evaluate(np.minimum(tilt, self.knots[-1]))
        gain = np.where(flat, self.ceiling_gain, slope)
        below = np.minimum(tilt, self.knots[-1]) * slope - value
        kl = np.where(flat, self.ceiling_kl, np.minimum(below, self.ceiling_kl))
        with np.errstate(invalid="ignore"):
            log_partition = np.where(flat, tilt * gain - kl, value)
        return Point(tilt, kl, gain, log_partition)

    def at_kl(self, kl: ArrayLike) -> Point:
        """The point of the frontier that spends `kl` nats; beyond the ceiling it is flat (tilt inf)."""
        kl = np.asarray(kl, dtype=float)
        budget = np.atleast_1d(kl).ravel()
        last = self.at_tilt(np.nextafter(self.knots[-1], 0.0))
        tilt = self._tilt_at(np.minimum(budget, last.kl))
        value, _, _ = self._evaluate(tilt)
        safe = np.maximum(tilt, np.finfo(float).tiny)
        spent = np.minimum(budget, last.kl)
        gain = np.where(tilt > 0, (spent + value) / safe, 0.0)
        beyond = budget > last.kl
        if beyond.any():  # a straight line to the ceiling, then flat
            room = self._room(float(last.kl))
            share = np.clip((budget - last.kl) / room, 0.0, 1.0)
            line = last.gain + share * (self.ceiling_gain - last.gain)
            line = np.where(share < 1, line, self.ceiling_gain)
            gain = np.where(beyond, line, gain)
            rise = (self.ceiling_gain - float(last.gain)) / room
            steep = 1.0 / rise if rise > 0 else np.inf
            tilt = np.where(beyond, np.where(budget < self.ceiling_kl, steep, np.inf), tilt)
            with np.errstate(invalid="ignore"):
                value = np.where(beyond, tilt * gain - budget, value)
        shape = kl.shape
        return Point(tilt.reshape(shape), kl, gain.reshape(shape), value.reshape(shape))

    def _room(self, last_kl: float) -> float:
        """Nats between the last knot and the ceiling; 1 where there are none."""
        room = self.ceiling_kl - last_kl
        return room if room > 1e-12 * self.ceiling_kl else 1.0

    def at_gain(self, gain: ArrayLike) -> Point:
        """The point of the frontier that gains so much; nan above the ceiling."""
        gain = np.asarray(gain, dtype=float)
        wanted = np.atleast_1d(gain).ravel()
        low = np.zeros(len(wanted))
        high = np.full(len(wanted), self.knots[-1])
        for _ in range(200):
            middle = np.where(low > 0, np.sqrt(low * high), high * 1e-3)
            middle = np.where(high - low < 1e-3 * high, (low + high) / 2, middle)
            short = self._evaluate(middle)[1] < wanted
            low, high = np.where(short, middle, low), np.where(short, high, middle)
            if (high - low <= 4e-16 * high).all():
                break
        last = self.at_tilt(np.nextafter(self.knots[-1], 0.0))
        found = self.at_tilt(np.minimum(high, np.nextafter(self.knots[-1], 0.0)))
        room = self.ceiling_gain - float(last.gain)
        share = (np.clip(wanted, 0.0, self.ceiling_gain) - last.gain) / (
            room if room > 1e-12 * self.ceiling_gain else 1.0
        )
        kl = np.where(wanted > last.gain, last.kl + share * (self.ceiling_kl - last.kl), found.kl)
        kl = np.where(
            wanted <= 0, 0.0, np.where(wanted > self.ceiling_gain * (1 + 1e-14), np.nan, kl)
        )
        return Point(high.reshape(gain.shape), kl.reshape(gain.shape), gain, found.log_partition)

    def _tilt_at(self, kl: Floats) -> Floats:
        edge_value, edge_slope, _ = self._evaluate(self.knots)
        edge_kl = np.maximum.accumulate(self.knots * edge_slope - edge_value)
        piece = np.clip(np.searchsorted(edge_kl, kl, side="right") - 1, 0, len(self.knots) - 2)
        low, high = self.knots[piece].copy(), self.knots[piece + 1].copy()
        tilt = low + (high - low) * np.clip(
            (kl - edge_kl[piece]) / np.maximum(edge_kl[piece + 1] - edge_kl[piece], 1e-300), 0, 1
        )
        first = piece == 0  # KL is quadratic in the tilt next to 0
        tilt[first] = high[first] * np.sqrt(np.clip(kl[first] / max(edge_kl[1], 1e-300), 0, 1))
        for _ in range(40):
            value, slope, second = self._evaluate(tilt)
            error = tilt * slope - value - kl
            low, high = np.where(error < 0, tilt, low), np.where(error > 0, tilt, high)
            with np.errstate(divide="ignore", invalid="ignore"):
                step = tilt - error / (tilt * second)
            inside = np.isfinite(step) & (step >= low) & (step <= high)
            new = np.where(error == 0, tilt, np.where(inside, step, (low + high) / 2))
            done = np.abs(new - tilt) <= 1e-10 * tilt  # the next step would be its square
            tilt = new
            if done.all():
                break
        return np.asarray(tilt)

    def _evaluate(self, tilt: ArrayLike) -> tuple[Floats, Floats, Floats]:
        tilt = np.asarray(tilt, dtype=float)
        piece = np.clip(np.searchsorted(self.knots, tilt, side="right") - 1, 0, len(self.knots) - 2)
        width = np.diff(self.knots)[piece]
        u = (tilt - self.knots[piece]) / width
        c = self.coefficients[piece]
        degree = c.shape[-1] - 1
        value, slope, second = c[..., degree], np.zeros(u.shape), np.zeros(u.shape)
        for power in range(degree - 1, -1, -1):  # Horner, with both derivatives
            second = second * u + 2 * slope
            slope = slope * u + value
            value = value * u + c[..., power]
        return value, slope / width, second / width**2


def _lower_hull(x: Floats, y: Floats) -> NDArray[np.int64]:
    kept: list[int] = []
    for i in range(len(x)):
        while len(kept) >= 2:
            a, b = kept[-2], kept[-1]
            if (y[b] - y[a]) * (x[i] - x[b]) < (y[i] - y[b]) * (x[b] - x[a]):
                break
            kept.pop()
        kept.append(i)
    return np.array(kept)
