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

    def log_rise(self, anchor: Floats) -> Floats:
        """Return the log of the derivative of `slope`."""

    def log_ratio(self, anchor: Floats, drop: Floats) -> Floats:
        """Return log w where f' is lower than the best outcome's by `drop`; -inf where clipped."""

    def log_response(self, log_ratio: Floats, drop: Floats) -> Floats:
        """Return log dw / dt = -log f''(w); -inf where w does not move."""

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
        """(w^b - 1) / b."""
        b = self.alpha - 1.0
        return anchor if b == 0 else np.expm1(b * anchor) / b

    def log_rise(self, anchor: Floats) -> Floats:
        """w^b."""
        return (self.alpha - 1.0) * anchor

    def log_ratio(self, anchor: Floats, drop: Floats) -> Floats:
        """w^b = e^(b anchor) - b drop."""
        b = self.alpha - 1.0
        if b == 0:
            return anchor - drop
        with np.errstate(divide="ignore"):
            share = np.log(abs(b) * drop) - b * anchor  # of e^(b anchor), in logs
        if b < 0:
            return anchor + np.logaddexp(0.0, share) / b
        return np.where(share < 0, anchor + np.log1p(-np.exp(np.minimum(share, 0.0))) / b, -np.inf)

    def log_response(self, log_ratio: Floats, drop: Floats) -> Floats:
        """w^(2 - a)."""
        return np.where(log_ratio > -np.inf, (2.0 - self.alpha) * log_ratio, -np.inf)

    def divergence(self, pair: Pair) -> Floats:
        """By the pair, which keeps the digits of neighbours."""
        return self.scale * pair.cressie_read(self.alpha)


@dataclass(frozen=True, slots=True)
class JensenShannon(Generator):
    """f' = 2 log(2 w / (1 + w)), bounded above: four times Jensen and Shannon's."""

    scale: float = 0.25

    def slope(self, anchor: Floats) -> Floats:
        """2 log(2 w / (1 + w)), from 1 / w."""
        return -2.0 * np.log1p(0.5 * np.expm1(-anchor))

    def log_rise(self, anchor: Floats) -> Floats:
        """2 / (1 + w)."""
        return np.log(2.0) - np.logaddexp(0.0, anchor)

    def log_ratio(self, anchor: Floats, drop: Floats) -> Floats:
        """The weight W q / (1 + W (1 - q)) with W = e^anchor and q = e^(-drop / 2)."""
        with np.errstate(divide="ignore"):
            lost = anchor + np.log(-np.expm1(-0.5 * drop))
        return anchor - 0.5 * drop - np.logaddexp(0.0, lost)

    def log_response(self, log_ratio: Floats, drop: Floats) -> Floats:
        """Half of w (1 + w)."""
        return log_ratio + np.logaddexp(0.0, log_ratio) - np.log(2.0)

    def divergence(self, pair: Pair) -> Floats:
        """Nats."""
        return pair.jensen_shannon()


@dataclass(frozen=True, slots=True)
class Jeffreys(Generator):
    """f' = (log w + 1 - 1 / w) / 2: half of the KL both ways."""

    scale: float = 2.0

    def slope(self, anchor: Floats) -> Floats:
        """(log w + 1 - 1 / w) / 2."""
        return 0.5 * (anchor - np.expm1(-anchor))

    def log_rise(self, anchor: Floats) -> Floats:
        """(1 + 1 / w) / 2."""
        return np.logaddexp(0.0, -anchor) - np.log(2.0)

    def log_ratio(self, anchor: Floats, drop: Floats) -> Floats:
        """Solve y - expm1(-y) = 2 t: concave, so that Newton's steps from below do not overshoot."""
        wanted = anchor - np.expm1(-anchor) - 2.0 * drop
        y = np.where(wanted < 0, -np.log1p(-np.minimum(wanted, 0.0)), 0.5 * wanted)
        for _ in range(8):
            y = y - (y - np.expm1(-y) - wanted) / (1.0 + np.exp(-y))
        return np.where(drop == 0, anchor, y)

    def log_response(self, log_ratio: Floats, drop: Floats) -> Floats:
        """2 w^2 / (1 + w)."""
        return np.log(2.0) + log_ratio - np.logaddexp(0.0, -log_ratio)

    def divergence(self, pair: Pair) -> Floats:
        """Nats."""
        return pair.jeffreys()


@dataclass(frozen=True, slots=True)
class TotalVariation(Generator):
    """f = |w - 1| / 2: the ratio is 1 except at the best outcome and where it is clipped to 0."""

    scale: float = 1.0

    def slope(self, anchor: Floats) -> Floats:
        """One half where the best outcome takes something."""
        return np.full_like(anchor, 0.5)

    def log_rise(self, anchor: Floats) -> Floats:
        """Nominal: `log_response` is per unit of the anchor."""
        return np.zeros_like(anchor)

    def log_ratio(self, anchor: Floats, drop: Floats) -> Floats:
        """The derivative is 1/2 above 1 and -1/2 below: outcomes worse by more than 1 are given up."""
        return np.where(drop == 0, anchor, np.where(drop < 1.0, 0.0, -np.inf))

    def log_response(self, log_ratio: Floats, drop: Floats) -> Floats:
        """Only the best outcome takes what is moved."""
        return np.where(drop == 0, log_ratio, -np.inf)

    def divergence(self, pair: Pair) -> Floats:
        """Half the L1 distance."""
        return pair.total_variation()
