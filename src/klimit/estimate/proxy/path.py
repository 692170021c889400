"""The way along the proxy's tilt: which tilt spends a KL, what it gains, and how unsure that is.

Everything here is the proxy's own corrected frontier (`klimit.estimate.frontier`), read at its tilts
and with each group of prompts left out, so that whatever is read along the way carries the error of
the tilt as well as its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from klimit.estimate.kernel import Floats, Grid
from klimit.estimate.members import Members, between_tilts, front
from klimit.estimate.result import Frontier

TINY = 1e-280  # a tilt, or nats: above 0, whose logarithm is none, and below all that is asked
_MOST = 1e60  # nats: more gain no more, and their squares would be no numbers


def flat_budgets(kl: Floats) -> Floats:
    """(budgets,) nats that can be computed with, from any shape."""
    return np.asarray(np.minimum(np.ravel(kl).astype(float), _MOST))


@dataclass(frozen=True)
class Path:
    """Tilts, KL and gain of the proxy's optimal policies.

    Attributes
    ----------
    limit : the proxy's frontier
    grid : of tilts
    tilts : how many of them are read, from the smallest
    """

    limit: Frontier
    grid: Grid
    tilts: int

    @property
    def members(self) -> Members:
        """What the frontier is made of."""
        assert self.limit.members is not None
        return self.limit.members

    @classmethod
    def of(cls, limit: Frontier, furthest: float) -> Path:
        """The way up to where the plug-in spends `furthest` nats, and two tilts more."""
        members = limit.members
        assert members is not None
        grid = members.grid
        slope = between_tilts(members.plugin, grid, grid.tilts)[1]
        spent = np.maximum.accumulate(grid.tilts * slope - members.plugin)
        count = int(np.searchsorted(spent, furthest)) + 3
        return cls(limit, grid, int(np.clip(count, 8, len(grid.tilts))))

    @property
    def known(self) -> Floats:
        """(tilts,) the tilts that are read."""
        return self.grid.tilts[: self.tilts]

    @cached_property
    def gains(self) -> Floats:
        """(1 + groups, tilts) corrected proxy gain: of all prompts, then without each group."""
        found = between_tilts(self.members.corrected, self.grid, self.known)[1]
        # few-level rewards have their curve from elsewhere; the groups move it as they move the median
        shift: Floats = self.limit.curve.at_tilt(self.known).gain - found[0]
        return found + shift

    @cached_property
    def log_mgf(self) -> Floats:
        """(1 + groups, tilts) corrected log-mgf of the centred proxy."""
        found = self.members.corrected[:, : self.tilts]
        shift: Floats = self.limit.curve.at_tilt(self.known).log_partition - found[0]
        return found + shift

    def tilt_at(self, kl: Floats) -> Floats:
        """(1 + groups, budgets) tilt that spends each KL."""
        all_ = self.limit.curve.at_kl(kl).tilt
        moved = front(self.members.corrected, self.grid, kl).tilt
        return np.asarray(np.minimum(all_, self.known[-1]) * moved / moved[0])

    def at(self, values: Floats, tilt: Floats) -> Floats:
        """Numbers between the tilts where they are known: (rows, tilts) at (rows, wanted).

        Cubic between neighbours; in proportion to the tilt below the first.
        """
        place = np.log2(tilt / self.grid.start) * self.grid.per_octave
        place = np.minimum(place, self.tilts - 1.0)
        left = np.clip(np.floor(place), 1, self.tilts - 3).astype(np.int64)
        u = np.maximum(place, 0.0) - left
        p, a, b, q = (np.take_along_axis(values, left + step, axis=-1) for step in (-1, 0, 1, 2))
        found = a + u * ((b - p) + u * (2 * p - 5 * a + 4 * b - q + u * (3 * (a - b) + q - p))) / 2
        found = np.where(u < 0, _before(p, a, b, u), found)
        found = np.where(u > 1, _before(q, b, a, 1 - u), found)
        return np.where(place < 0, found * tilt / self.grid.start, found)


def _before(p: Floats, a: Floats, b: Floats, u: Floats) -> Floats:
    """The parabola through p (at -1), a (at 0) and b (at 1)."""
    return a + u * (b - p) / 2 + u * u * (p - 2 * a + b) / 2
