"""Sequences of independent tokens by their type: how often each letter occurs, nothing else.

A sequence's probability and total reward depend on its type alone, so that sums over all sequences
become sums over (length + letters - 1 choose letters - 1) types. Everything stays in logarithms.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from klimit._errors import ArgumentError
from klimit.theory._check import Floats

MOST_TYPES = 2_000_000
_TIE = 1e-13  # of the largest total: totals that close together differ by rounding only


@dataclass(frozen=True, slots=True, eq=False)
class TotalReward:
    """The exact law of the total reward of a sequence, in ascending order.

    Attributes
    ----------
    total : (levels,) total of the centred token rewards
    log_mass : (levels,) log of each level's probability
    log_cdf : (levels,) log probability of a total at most as high
    log_sf : (levels,) log probability of a higher total; -inf at the top
    """

    total: Floats
    log_mass: Floats
    log_cdf: Floats
    log_sf: Floats


def total_reward(prob: Floats, centred: Floats, length: int) -> TotalReward:
    """Sum over the types; letters of equal reward count as one, impossible ones not at all."""
    letters, which = np.unique(centred[prob > 0], return_inverse=True)
    log_prob = np.log(np.bincount(which, prob[prob > 0]))
    counts = _types(length, letters.size)
    total = counts @ letters
    log_mass = _log_multinomials(counts) + counts @ log_prob
    order = np.argsort(total, kind="stable")
    total, log_mass = total[order], log_mass[order]
    gap = np.diff(total, prepend=-np.inf) > _TIE * length * np.abs(letters).max()
    begins = np.flatnonzero(gap)
    total, log_mass = total[begins], np.logaddexp.reduceat(log_mass, begins)
    log_mass -= np.logaddexp.reduce(log_mass)  # rounding of the factorials, the same for all
    log_cdf = np.minimum(np.logaddexp.accumulate(log_mass), 0.0)
    from_above = np.minimum(np.logaddexp.accumulate(log_mass[::-1])[::-1], 0.0)
    return TotalReward(total, log_mass, log_cdf, np.append(from_above[1:], -np.inf))


def _types(length: int, letters: int) -> NDArray[np.int64]:
    """All ways to share `length` among the letters, (types, letters)."""
    number = math.comb(length + letters - 1, letters - 1)
    if number > MOST_TYPES:
        raise ArgumentError(
            f"length {length} with {letters} different rewards means {number} types; exact sums "
            f"go up to {MOST_TYPES}. Ask for a shorter length, or group rewards into fewer levels."
        )
    counts, rest = np.empty((1, 0), dtype=np.int64), np.array([length])
    for _ in range(letters - 1):
        ways = rest + 1
        first = np.repeat(np.cumsum(ways) - ways, ways)
        taken = np.arange(ways.sum()) - first
        counts = np.column_stack([np.repeat(counts, ways, axis=0), taken])
        rest = np.repeat(rest, ways) - taken
    return np.column_stack([counts, rest])


def _log_multinomials(counts: NDArray[np.int64]) -> Floats:
    from scipy.special import gammaln

    length = int(counts[0].sum())
    log_factorial = gammaln(np.arange(length + 1) + 1.0)
    return np.asarray(log_factorial[length] - log_factorial[counts].sum(axis=1))
