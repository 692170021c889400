"""The convex functions f behind f-divergences, by what an optimal policy needs of them.

The policy that maximises ``E_policy[r] - beta E_base[f(w)]`` has the ratio ``w = (f')^-1(t)`` with
``t = (r - c) / beta`` and c such that it sums to one. Everything here is scaled so that f''(1) = 1
(`scale` undoes it) and speaks of log w, measured from the best outcome's: with ``t = f'(e^anchor)``
there and ``t - drop`` elsewhere, no digits are lost where f' is steep.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from klimit.theory._check import Floats
from klimit.theory._outcomes import LARGE
from klimit.theory._pair import Pair


class Generator(Protocol):
    """A convex f, 0 at 1 and with slope 0 there."""

    @property
    def scale(self) -> float:
        """The divergence over that of this f."""

    def anchor(self, log_ratio: Floats) -> Floats:
        """Return where to begin the search for the best outcome's anchor."""
        return log_ratio

    def slope(self, anchor: Floats) -> Floats:
        """Return f' at the best outcome's ratio."""

    def rise(self, anchor: Floats) -> Floats:
        """Return the derivative of `slope`."""

    def log_ratio(self, anchor: Floats, drop: Floats) -> Floats:
        """Return log w where f' is lower than the best outcome's by `drop`; -inf where clipped."""

    def motion(self, log_ratio: Floats, anchor: Floats, drop: Floats) -> Floats:
        """Return dw / d anchor, that is `rise` over f''(w): never much above w, 0 where clipped."""

    def divergence(self, pair: Pair) -> Floats:
        """Return the divergence itself, `scale` included."""


@dataclass(frozen=True, slots=True)
class Power(Generator):
    """Cressie and Read's family, f = (w^a - 1 - a (w - 1)) / (a (a - 1)).

    f' = (w^b - 1) / b with b = a - 1: bounded below for a > 1, where outcomes are clipped, and
    bounded above for a < 1.
    """

    alpha: float
    scale: float = 1.0

    def slope(self, anchor: Floats) -> Floats:
        b = self.alpha - 1.0
        return anchor if b == 0 else np.expm1(b * anchor) / b

    def rise(self, anchor: Floats) -> Floats:
        return np.exp((self.alpha - 1.0) * anchor)

    def log_ratio(self, anchor: Floats, drop: Floats) -> Floats:
        """w^b = e^(b anchor) - b drop."""
        b = self.alpha - 1.0
        if b == 0:
            return anchor - drop
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            share = drop * (-b * np.exp(-b * anchor))  # of e^(b anchor)
            if b > 0:
                return np.where(
                    share > -1.0, anchor + np.log1p(np.maximum(share, -1.0)) / b, -np.inf
                )
            ratio = anchor + np.log1p(share) / b
            if not (share < np.inf).all():
                ratio = np.where(share < np.inf, ratio, np.log(-b * drop) / b)
            return np.where(drop == 0, anchor, ratio)

    def motion(self, log_ratio: Floats, anchor: Floats, drop: Floats) -> Floats:
        """w^(2 - a) w_best^b, as w (w_best / w)^b."""
        log_motion = log_ratio + (self.alpha - 1.0) * (anchor - log_ratio)
        return np.where(log_ratio > -np.inf, np.exp(log_motion), 0.0)

    def divergence(self, pair: Pair) -> Floats:
        return self.scale * pair.cressie_read(self.alpha)


@dataclass(frozen=True, slots=True)
class JensenShannon(Generator):
    """f' = 2 log(2 w / (1 + w)), bounded above: four times Jensen and Shannon's."""

    scale: float = 0.25

    def slope(self, anchor: Floats) -> Floats:
        return -2.0 * np.log1p(0.5 * np.expm1(-anchor))

    def rise(self, anchor: Floats) -> Floats:
        return np.asarray(2.0 / (1.0 + np.exp(anchor)))

    def log_ratio(self, anchor: Floats, drop: Floats) -> Floats:
        """The weight W q / (1 + W (1 - q)) with W = e^anchor and q = e^(-drop / 2)."""
        lost = -np.expm1(-0.5 * drop)
        if (anchor < LARGE).all():
            away = np.log1p(np.exp(anchor) * lost)
        else:
            with np.errstate(divide="ignore"):
                away = np.where(drop > 0, np.logaddexp(0.0, anchor + np.log(lost)), 0.0)
        return np.asarray(anchor - 0.5 * drop - away)

    def motion(self, log_ratio: Floats, anchor: Floats, drop: Floats) -> Floats:
        """Ratios: w (1 + w) / (1 + w_best)."""
        w = np.exp(log_ratio)
        return w * ((1.0 + w) / (1.0 + np.exp(anchor)))

    def divergence(self, pair: Pair) -> Floats:
        return pair.jensen_shannon()


@dataclass(frozen=True, slots=True)
class Jeffreys(Generator):
    """f' = (log w + 1 - 1 / w) / 2: half of the KL both ways."""

    scale: float = 2.0

    def slope(self, anchor: Floats) -> Floats:
        return 0.5 * (anchor - np.expm1(-anchor))

    def rise(self, anchor: Floats) -> Floats:
        return np.asarray(0.5 * (1.0 + np.exp(-anchor)))

    def log_ratio(self, anchor: Floats, drop: Floats) -> Floats:
        """Solve y - expm1(-y) = 2 t: concave, so that Newton's steps from below do not overshoot."""
        wanted = anchor - np.expm1(-anchor) - 2.0 * drop
        y = np.where(wanted < 0, -np.log1p(-np.minimum(wanted, 0.0)), 0.5 * wanted)
        for _ in range(8):
            y = y - (y - np.expm1(-y) - wanted) / (1.0 + np.exp(-y))
        return np.where(drop == 0, anchor, y)

    def motion(self, log_ratio: Floats, anchor: Floats, drop: Floats) -> Floats:
        """Ratios: w (1 + 1 / w_best) / (1 + 1 / w)."""
        return np.exp(log_ratio) * (1.0 + np.exp(-anchor)) / (1.0 + np.exp(-log_ratio))

    def divergence(self, pair: Pair) -> Floats:
        return pair.jeffreys()


@dataclass(frozen=True, slots=True)
class TotalVariation(Generator):
    """f = |w - 1| / 2: the ratio is 1 except at the best outcome and where it is clipped to 0."""

    scale: float = 1.0

    def slope(self, anchor: Floats) -> Floats:
        """One half where the best outcome takes something."""
        return np.full_like(anchor, 0.5)

    def rise(self, anchor: Floats) -> Floats:
        """Nominal: `motion` is what counts."""
        return np.ones_like(anchor)

    def log_ratio(self, anchor: Floats, drop: Floats) -> Floats:
        """The derivative is 1/2 above 1 and -1/2 below: outcomes worse by more than 1 are given up."""
        return np.where(drop == 0, anchor, np.where(drop < 1.0, 0.0, -np.inf))

    def motion(self, log_ratio: Floats, anchor: Floats, drop: Floats) -> Floats:
        """Only the best outcome takes what is moved."""
        return np.where(drop == 0, np.exp(log_ratio), 0.0)

    def divergence(self, pair: Pair) -> Floats:
        return pair.total_variation()
