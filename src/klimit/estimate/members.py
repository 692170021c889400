"""Three estimates of the mean log-mgf that err in different ways, and the middle of them.

The plug-in log-mgf of M samples is low at every M (Jensen). The jackknife removes
the leading 1/M term; Aitken's extrapolation over M/4, M/2 and M finds the rate from the data; the
pooled model borrows the shape of other prompts. Each fails on some family of rewards, rarely two on
the same.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from klimit.estimate.intervals import leave_out_error
from klimit.estimate.kernel import Floats, Grid
from klimit.estimate.statistics import Sizes, Statistics

_FEW = 10  # samples
_AGAINST = 2.5  # errors
RATES = (0.32, 1.74)  # exponents a of a bias that falls as M^-a: a change per doubling of .8 to .3


@dataclass(frozen=True)
class Members:
    """Mean log-mgfs at every tilt; the last axis is tilts.

    Attributes
    ----------
    uncorrected, corrected : (1 + groups, tilts) the plug-in and the final curve: of all prompts, then
        without each group
    candidates : (members, tilts)
    weights : (groups,) share of the prompts in each
    middle : (tilts,) the candidates' middle, where a law took the final curve away from it
    lowered : (tilts,) the final curve before `towards` took it down
    beyond : (2, tilts) see `shape.PredictedBias`
    """

    grid: Grid
    uncorrected: Floats
    corrected: Floats
    candidates: Floats
    weights: Floats
    middle: Floats | None = None
    lowered: Floats | None = None
    beyond: Floats | None = None

    @property
    def plugin(self) -> Floats:
        """(tilts,) the plug-in of all prompts."""
        return np.asarray(self.uncorrected[0])

    @property
    def chosen(self) -> Floats:
        """(tilts,) the final curve of all prompts."""
        return np.asarray(self.corrected[0])

    @property
    def chosen_without(self) -> Floats:
        """(groups, tilts) the same, each group of prompts left out."""
        return self.corrected[1:]

    def towards(self, bias: Floats, share: float) -> Members:
        """The final curve taken so far (1: wholly) to the plug-in plus (tilts,) `bias`."""
        wanted = self.uncorrected + np.maximum(bias, 0.0)
        corrected = (1 - share) * self.corrected + share * wanted
        return replace(self, corrected=corrected, lowered=self.chosen)


def combine(
    stats: Statistics,
    model_total: Floats | None,
    model_change: Floats | None,
    *,
    largest: bool = False,
    halfway: bool = False,
    law: bool = False,
) -> Members:
    """Median of jackknife, Aitken and model, or of few samples their mean; never below the plug-in.

    Few samples leave all three short of a long tail, each by an amount of its own, and none goes far
    astray.

    Parameters
    ----------
    largest : take the largest, where all are known to fall short
    halfway : go halfway from the median to the model, where that knows more of the rewards' law
    law : go halfway from there to the model's own bias, as far as the observed change from M/2 to M
        does not speak against it: wholly up to 1.5 standard errors of that change, not at all from 2.5
        (one group of prompts shows no error, and nothing is believed)
    """
    if not stats.bias_weights.any():
        return plain(stats)
    full = with_left_out(stats.full, stats.weights)
    jack, half, quarter = (
        with_left_out(x, stats.bias_weights) for x in (stats.jackknife, stats.half, stats.quarter)
    )
    candidates = [full + jack, full + _aitken(half, quarter, stats.sizes)]
    if model_total is not None and model_change is not None:
        strength, error = calibrated(half, np.maximum(model_change, 1e-12), stats.bias_weights)
        candidates.append(full + strength * np.maximum(model_total, 0.0))
    stack = np.stack(candidates)
    if largest:
        chosen = stack.max(axis=0)
    elif len(stack) == 2 or np.median(stats.sizes.full) < _FEW:
        chosen = stack.mean(axis=0)
    else:
        chosen = middle_of(stack)
        chosen = (chosen + stack[-1]) / 2 if halfway else chosen
    middle = None
    if law and model_total is not None and model_change is not None:
        middle = np.maximum(chosen[0], full[0])
        off = np.abs(half[0] - model_change) / np.maximum(error, 1e-300)
        believed = np.clip(_AGAINST - off, 0.0, 1.0) / 2
        chosen = chosen + believed * (full + np.maximum(model_total, 0.0) - chosen)
    chosen = np.maximum(chosen, full)
    return Members(stats.grid, full, chosen, stack[:, 0], stats.weights, middle)


def plain(stats: Statistics) -> Members:
    """The plug-in alone."""
    full = with_left_out(stats.full, stats.weights)
    return Members(stats.grid, full, full, full[:1], stats.weights)


def with_left_out(groups: Floats, weights: Floats) -> Floats:
    """First the mean over all groups, then the means without each group."""
    total = np.einsum("i,ij->j", weights, groups)  # one order of summation on every machine
    rest = np.maximum(1 - weights, 1e-12)[:, None]
    return np.concatenate([total[None], (total - weights[:, None] * groups) / rest])


def middle_of(stack: Floats) -> Floats:
    """Of (members, 1 + groups, points) the one that is the median with all groups, point by point."""
    middle = np.argsort(stack[:, 0], axis=0)[(len(stack) - 1) // 2]
    return np.asarray(np.take_along_axis(stack, middle[None, None, :], axis=0)[0])


def calibrated(half: Floats, change: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """Factor on a model's bias by the step from M/2 to M that is seen, and the error of that step.

    Parameters
    ----------
    half : (1 + groups, points) the step, with all groups of prompts and without each
    change : (points,) the step that the model predicts
    """
    error = leave_out_error(half[1:], half[0], weights)
    error = np.nan_to_num(error, posinf=0.0)  # one group shows none
    trust = 0.25 / (0.25 + (error / change) ** 2)
    return np.clip(1 + trust * (half / change - 1), 0.0, 3.0), error


def _aitken(half: Floats, quarter: Floats, sizes: Sizes) -> Floats:
    """What is left to gain beyond M, from the gains M/4 to M/2 to M, for a bias that falls as M^-a."""
    rates = np.linspace(*RATES, 24)
    power = [
        np.array([np.mean(size**-a) for a in rates])
        for size in (sizes.full, sizes.half, sizes.quarter)
    ]
    ratio = (power[1] - power[0]) / (power[2] - power[1])
    factor = power[0] / (power[1] - power[0])
    order = np.argsort(ratio)
    safe = np.where(np.abs(quarter) < 1e-12, 1e-12, quarter)
    remaining: Floats = half * np.interp(half / safe, ratio[order], factor[order])
    return remaining


def between_tilts(curves: Floats, grid: Grid, tilt: Floats) -> tuple[Floats, Floats]:
    """(..., tilts) log-mgf and gain at tilts inside the grid, by a cubic spline in log tilt."""
    from scipy.interpolate import CubicSpline

    spline = CubicSpline(np.log(grid.tilts), curves, axis=-1)
    inside = np.clip(tilt, grid.tilts[0], grid.tilts[-1])
    return spline(np.log(inside)), spline(np.log(inside), 1) / inside


def lowest(values: Floats, grid: Grid) -> tuple[Floats, Floats]:
    """Least value of each row, and the tilt it stands at, by a parabola in log tilt.

    Parameters
    ----------
    values : (rows, tilts) at the tilts of the grid
    """
    best = np.clip(values.argmin(axis=1), 1, values.shape[1] - 2)
    index = np.arange(len(values))
    a, b, c = values[index, best - 1], values[index, best], values[index, best + 1]
    bend = a - 2 * b + c
    inside = (b <= a) & (b <= c) & (bend > 0)
    safe = np.where(inside, bend, 1.0)
    least = np.where(inside, b - (a - c) ** 2 / (8 * safe), np.minimum(np.minimum(a, b), c))
    shift = np.where(inside, (a - c) / (2 * safe), np.where(a < c, -1.0, 1.0))
    return least, grid.tilts[0] * 2.0 ** ((best + shift) / grid.per_octave)


@dataclass(frozen=True)
class Front:
    """Gain at KL budgets, and the tilt that attains it; (..., budgets)."""

    gain: Floats
    tilt: Floats


def front(log_mgf: Floats, grid: Grid, kl: Floats) -> Front:
    """``min over tilts of (kl + C) / tilt`` by the best node and a parabola in log tilt."""
    kl = np.asarray(kl, dtype=float)
    rows = log_mgf.reshape(-1, log_mgf.shape[-1])
    inverse = 1 / grid.tilts
    scaled = rows * inverse
    best = np.empty((len(kl), len(rows)), dtype=np.int64)
    for at, budget in enumerate(kl):
        best[at] = (scaled + budget * inverse).argmin(axis=1)
    best = np.clip(best, 1, rows.shape[1] - 2)
    index = np.arange(len(rows))
    a, b, c = (
        scaled[index, best + step] + kl[:, None] * inverse[best + step] for step in (-1, 0, 1)
    )
    bend = a - 2 * b + c
    safe = np.where(bend > 0, bend, np.inf)
    inside = (b <= a) & (b <= c)
    gain = np.where(inside, b - (a - c) ** 2 / (8 * safe), np.minimum(a, c))
    place = best + np.where(inside, (a - c) / (2 * safe), np.where(a < c, -1.0, 1.0))
    shape = (*log_mgf.shape[:-1], len(kl))
    tilt = grid.tilts[0] * 2.0 ** (place / grid.per_octave)
    return Front(gain.T.reshape(shape), tilt.T.reshape(shape))
