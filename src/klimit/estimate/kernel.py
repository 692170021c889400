"""The one hot loop: sums of exponential weights on a geometric grid of tilts.

A grid ``lam0 * 2**(t / per_octave)`` needs one exponential per chain of doublings: squaring a
weight moves it from one tilt to twice that tilt. In blocks that fit the cache this is bound by
multiplications, not by exponentials. Row sums avoid matrix products: their library would start
threads under ours.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

BLOCK = 32_768  # numbers: 256 kB, the second-level cache of today's cores
_SUMMED = 4 * BLOCK  # where every weight is read three times, fewer and longer calls are faster
_FAINT = 60.0  # columns whose weights are all below exp(-60) of the best one's add no digit
_RESTART = 12  # octaves that are squared in a row: each doubles the rounding error
_FLUSH = 1e-140  # squares of smaller weights would be subnormal, which is slow and never matters


@dataclass(frozen=True)
class Grid:
    """Tilts ``start * 2**(t / per_octave)``, t = 0 .. octaves * per_octave - 1, per reward unit."""

    start: float
    octaves: int
    per_octave: int

    @cached_property
    def tilts(self) -> Floats:
        """(tilts,) ascending."""
        steps = np.arange(self.octaves * self.per_octave) / self.per_octave
        return self.start * 2.0**steps

    def longer(self, octaves: int) -> Grid:
        """The same grid, continued."""
        return Grid(self.start, self.octaves + octaves, self.per_octave)


def weight_sums(gaps: Floats, grid: Grid) -> Floats:
    """Sums of ``exp(tilt * gap)`` along the last axis, for every tilt of the grid.

    Parameters
    ----------
    gaps : (rows, width) rewards below the row's best: zero or negative, -inf for padding

    Returns
    -------
    (rows, tilts) sums
    """
    rows, width = gaps.shape
    sums = np.zeros((len(grid.tilts), rows))
    columns = min(width, BLOCK)
    per_block = max(1, BLOCK // columns)
    for top in range(0, rows, per_block):
        for left in range(0, width, columns):
            part = gaps[top : top + per_block, left : left + columns]
            for at, _, weights in tilted_weights(part, grid):
                sums[at, top : top + per_block] += np.einsum("ij->i", weights)
    return sums.T


def tilted_weights(
    gaps: Floats, grid: Grid, tilts: int | None = None
) -> Iterator[tuple[int, float, Floats]]:
    """The place of each tilt, the tilt, and ``exp(tilt * gap)`` in an array that is squared in place.

    Parameters
    ----------
    tilts : how many of the grid, from the smallest; all if not given
    """
    lowest = gaps[gaps > -np.inf].min(initial=0.0)
    for chain in range(grid.per_octave):
        tilt = float(grid.tilts[chain])
        weights = np.exp(tilt * gaps)
        for at in range(chain, len(grid.tilts) if tilts is None else tilts, grid.per_octave):
            if at > chain:
                if tilt * lowest < -300.0:
                    weights[weights < _FLUSH] = 0.0
                np.multiply(weights, weights, out=weights)
                tilt *= 2.0
            yield at, tilt, weights


@dataclass(frozen=True)
class TiltedMoments:
    """Log-mgf of centred rewards and its first two derivatives in the tilt, each (rows, tilts)."""

    log_mgf: Floats
    mean: Floats
    variance: Floats


def tilted_moments(rewards: Floats, counts: NDArray[np.int64], grid: Grid) -> TiltedMoments:
    """Log-mean-exp, tilted mean and tilted variance of every row at every tilt.

    Parameters
    ----------
    rewards : (rows, width) ascending, centred, -inf padding in front
    counts : (rows,)
    """
    rows, width = rewards.shape
    shape = (rows, len(grid.tilts))
    sums, firsts, seconds = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    columns = min(width, _SUMMED)
    per_block = max(1, _SUMMED // columns)
    tops = rewards[:, -1:]
    for top in range(0, rows, per_block):
        inside = slice(top, top + per_block)
        for left in range(0, width, columns):
            part = rewards[inside, left : left + columns] - tops[inside]
            finite = np.where(part > -np.inf, part, 0.0)
            squares = finite * finite
            lowest = float(finite.min(initial=0.0))
            nearest = part.max(axis=0)  # ascending, as the rows are
            for chain in range(grid.per_octave):
                tilt = float(grid.tilts[chain])
                weights, first = np.exp(tilt * part), 0
                for octave in range(grid.octaves):
                    tilt *= 2.0 if octave else 1.0
                    faint = int(np.searchsorted(nearest, -_FAINT / tilt))
                    weights, first = weights[:, max(faint - first, 0) :], max(faint, first)
                    if octave % _RESTART:
                        np.multiply(weights, weights, out=weights)
                    elif octave:
                        np.exp(tilt * part[:, first:], out=weights)
                    t = octave * grid.per_octave + chain
                    sums[inside, t] += np.einsum("ij->i", weights)
                    firsts[inside, t] += np.einsum("ij,ij->i", weights, finite[:, first:])
                    seconds[inside, t] += np.einsum("ij,ij->i", weights, squares[:, first:])
                    if tilt * lowest < -300.0 and octave + 1 < grid.octaves:
                        weights[weights < _FLUSH] = 0.0
    mean = firsts / sums
    return TiltedMoments(
        log_mgf=np.log(sums / counts[:, None]) + grid.tilts * tops,
        mean=mean + tops,
        variance=np.maximum(seconds / sums - mean * mean, 0.0),
    )
