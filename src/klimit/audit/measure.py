"""What a placement is made of, and how far the choice of prompts and samples may have moved it.

Gain, KL and limit of a policy come from the same prompts, so their errors are not independent: a
prompt that the policy does well on is often one where much can be gained. Every number is therefore
computed again with each group of prompts left out on all sides at once (the frontier's own groups),
and the error of a ratio is that of the ratio, not of its parts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from klimit._estimate import Estimate
from klimit.estimate.intervals import leave_out_error, left_out_reach, quantiles
from klimit.estimate.kernel import Floats, Grid
from klimit.estimate.members import lowest

NUMBERS = ("gain", "kl", "limit", "efficiency", "gap_reward", "gap_nats", "root", "excess")
"""Rows of `numbers`; `root` is ``sqrt(2 least_kl)``, in which small gains have symmetric errors."""


def numbers(log_mgf: Floats, grid: Grid, gain: Floats, kl: Floats) -> Floats:
    """Everything that follows from a corrected log-mgf, a gain and a KL; (numbers, rows).

    ``limit = min over tilts of (kl + C) / tilt`` and ``least_kl = max over tilts of tilt gain - C``;
    the tilt of the minimum is 1 / beta (docs/estimators.md, the quantity).

    Parameters
    ----------
    log_mgf : (rows, tilts) mean centred log-mgf C
    gain, kl : (rows,) reward units and nats; a negative KL counts as 0
    """
    spent, size, first = np.maximum(kl, 0.0), np.abs(gain), grid.tilts[0]
    limit, tilt = lowest((log_mgf + spent[:, None]) / grid.tilts, grid)
    negative, _ = lowest(log_mgf - size[:, None] * grid.tilts, grid)
    least = np.maximum(-negative, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        variance = 2 * log_mgf[:, 0] / first**2  # below the first tilt the log-mgf is a parabola
        start = np.sqrt(2 * spent / variance)
        limit = np.where(start < first, variance * start, limit)
        tilt = np.where((start > 0) & (start < first), start, tilt)
        least = np.where(size < variance * first, size**2 / (2 * variance), least)
        limit = np.where(spent > 0, limit, 0.0)
        gap = limit - gain
        share = np.where(limit > 0, gain / limit, np.nan)
    root = np.sign(gain) * np.sqrt(2 * least)
    excess = kl - np.where(gain > 0, least, 0.0)
    return np.stack([gain, kl, limit, share, gap, gap * tilt, root, excess])


def with_sign(gain: Estimate, low: Floats, high: Floats) -> tuple[Floats, Floats]:
    """The ends of a share of any limit, which has the sign of the gain where that is known."""
    ends = np.where(np.asarray(gain.low) > 0, np.maximum(low, 0.0), low)
    return ends, np.where(np.asarray(gain.high) < 0, np.minimum(high, 0.0), high)


@dataclass(frozen=True)
class Left:
    """The parts of a placement with each group of prompts left out.

    Attributes
    ----------
    log_mgf : (groups, tilts)
    base, policy, kl : (groups,) mean rewards of both and the policy's KL
    weights : (groups,) share of the prompts in each
    """

    log_mgf: Floats
    base: Floats
    policy: Floats
    kl: Floats
    weights: Floats

    def numbers(self, grid: Grid) -> Floats:
        """(numbers, groups), with each group left out."""
        return numbers(self.log_mgf, grid, apart(self.policy, self.base), self.kl)


def apart(theirs: Floats | float, ours: Floats | float) -> Floats:
    """The difference of two means; 0 where rounding alone tells them apart."""
    found = np.subtract(theirs, ours)
    return np.where(abs(found) <= 1e-14 * np.maximum(np.abs(theirs), np.abs(ours)), 0.0, found)


@dataclass(frozen=True)
class Reach:
    """How far below and above the estimate each number may lie; (numbers,)."""

    below: Floats
    above: Floats


def reach(full: Floats, sides: list[tuple[Floats, Floats]], level: float) -> Reach:
    """Sampling errors from one side (paired prompts) or two (two samples of prompts).

    Parameters
    ----------
    full : (numbers,) with all prompts
    sides : of each side the numbers with every group left out (numbers, groups), and the groups'
        weights (groups,)
    """
    finite = np.where(np.isfinite(full), full, 0.0)
    sides = [(np.where(np.isfinite(x.T), x.T, finite), weights) for x, weights in sides]
    if len(sides) == 1:
        return Reach(*left_out_reach(sides[0][0], finite, sides[0][1], level, uneven=True))
    errors = [leave_out_error(parts, finite, weights) for parts, weights in sides]
    groups = [int((weights > 0).sum()) for _, weights in sides]
    error = np.sqrt(np.sum(np.square(errors), axis=0))
    both = np.array([_welch(np.array(pair), groups, level) for pair in np.transpose(errors)])
    far = np.where(np.isfinite(error), both * np.where(np.isfinite(error), error, 0.0), np.inf)
    return Reach(far, far)


def _welch(errors: Floats, groups: list[int], level: float) -> float:
    """The t quantile of two samples, by Welch and Satterthwaite's degrees of freedom."""
    fourth = sum(e**4 / max(g - 1, 1) for e, g in zip(errors, groups, strict=True))
    if not np.isfinite(fourth) or fourth == 0:
        return quantiles(level, min(groups))[0]
    freedom = float((errors**2).sum() ** 2 / fourth)
    return quantiles(level, max(int(freedom), 1) + 1)[0]
