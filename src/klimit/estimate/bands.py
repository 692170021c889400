"""Value, interval and trust on a grid of KL budgets: what every question to a frontier is answered from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from klimit.estimate.curve import Curve
from klimit.estimate.intervals import (
    DOUBT,
    Tail,
    around,
    doubt,
    if_normal,
    leave_out_error,
    left_out_reach,
    quantiles,
    redrawn,
    small,
)
from klimit.estimate.kernel import Floats, Grid
from klimit.estimate.members import Members, front
from klimit.estimate.pass_rates import Bands as RateBands
from klimit.estimate.samples import Samples
from klimit.estimate.statistics import Statistics

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from klimit.estimate.result import Settings
    from klimit.estimate.slope import SlopeReach

NODES = 100
# nats by which one prompt falls short of what many show: where its best samples lie close by chance, an
# end is seen where there is none
ALONE = 1.5
# nats below the horizon, log M - .5, from which trust minds what the pooled model would add: wholly from
# log M - 2 on
DEEP = 2.5
_MIXED_RATE = 0.8  # what mixtures of pass rates leave open falls at least as fast with the samples


@dataclass(frozen=True)
class Bands:
    """All arrays (nodes,) over ascending KL budgets.

    Attributes
    ----------
    kl : nats
    gain, plugin : the estimate and the uncorrected one, reward units
    low, high : interval of the gain; more KL gains no less, so `low` does not fall from node to node
    below, above : how far from the gain the truth may lie by chance, without what a bias adds
    error : standard error of the gain
    bound : the plug-in's one-sided lower limit, for where nothing better is known
    doubt : likely size of the remaining bias over the gain; trusted up to `DOUBT`
    trusted_kl : nats up to which the estimate is trusted
    rate : exponent of the fall of the bias in the samples, (nodes,)
    narrowing : how much shorter errors are for these very prompts than for drawn ones; 1 if drawn
    honest : whether the interval holds beyond trust too: mixtures of pass rates know what they do not know
    slopes : how far the slope may be off, where each prompt has its own
    """

    kl: Floats
    gain: Floats
    plugin: Floats
    low: Floats
    high: Floats
    below: Floats
    above: Floats
    error: Floats
    bound: Floats
    doubt: Floats
    trusted_kl: float
    rate: Floats
    narrowing: float
    honest: bool = False
    slopes: SlopeReach | None = None

    def share(self, which: Floats, kl: Floats) -> Floats:
        """`which` over the gain, between nodes (both vanish at 0 alike)."""
        safe = np.where(self.gain > 0, self.gain, 1.0)
        ratio = np.where(self.gain > 0, which / safe, 1.0)
        at = np.log(np.maximum(kl, self.kl[0]))
        finite = np.isfinite(ratio)
        found = np.interp(at, np.log(self.kl), np.where(finite, ratio, 0.0))
        if finite.all():
            return np.asarray(found)
        lost = np.interp(at, np.log(self.kl), np.where(finite, 0.0, 1.0)) > 0
        return np.where(lost, np.inf, found)


def kl_nodes(largest: float) -> Floats:
    """Budgets from a thousandth of a nat to well past what the samples reach."""
    return np.geomspace(1e-3, max(largest, 0.1) + 1.0, NODES)


def average_bands(
    stats: Statistics, members: Members, curve: Curve, tail: Tail, samples: Samples,
    settings: Settings, *, horizon: float, saturation: float, correctable: bool, lost: float = 0.0,
    rates: tuple[RateBands, Floats] | None = None, mixed: bool = False,
) -> Bands:  # fmt: skip
    """Bands of the average-budget frontier.

    Parameters
    ----------
    horizon, saturation : nats: where trust must end; where the plug-in is flat
    correctable : whether nearly all prompts have enough samples to correct
    lost : share of its gain that the plug-in lacks at small budgets for any law; see `Samples.lost`
    rates : pass-rate bands of 0/1 rewards and the tilts they stand at
    mixed : whether the interval is always theirs, not that of the corrections where it is shorter
    """
    grid, level, fixed = members.grid, settings.level, settings.prompts == "fixed"
    kl = kl_nodes(max(float(np.log(samples.counts.max())), curve.ceiling_kl))
    point = curve.at_kl(kl)
    plain = chosen = front(members.uncorrected, grid, kl)
    if members.corrected is not members.uncorrected:
        chosen = front(members.corrected, grid, kl)
    plain_error, error = (
        leave_out_error(x[1:], x[0], members.weights) for x in (plain.gain, chosen.gain)
    )
    plain_tilt, narrowing = plain.tilt[0], 1.0
    groups = int((members.weights > 0).sum())
    two_sided, one_sided = quantiles(level, 10**6 if fixed else groups)
    if fixed:
        tilts, at = np.log(grid.tilts), np.log(plain_tilt)
        moments = np.stack(
            [np.interp(at, tilts, x) for x in (stats.noise, stats.skew, stats.fourth)]
        )
        plain_error = np.sqrt(moments[0]) / plain_tilt
        shift = chosen.gain - plain.gain
        new_error, sampling = redrawn(moments, plain_tilt, shift, members.weights, level)
        known = np.isfinite(error) & (error > 0)
        if known.any():
            narrowing = float(np.median(new_error[known] / error[known]))
        error = new_error
    else:
        sampling = left_out_reach(
            chosen.gain[1:], chosen.gain[0], members.weights, level, uneven=True
        )
    plugin = np.minimum(plain.gain[0], point.gain)
    correction = point.gain - plugin
    candidates = front(members.candidates, grid, kl).gain
    spread = np.ptp(candidates, axis=0)
    bound = np.maximum.accumulate(np.maximum(plugin - one_sided * plain_error, 0.0))
    leap = np.zeros(len(kl))
    if members.middle is not None:
        leap = np.maximum(point.gain - front(members.middle, grid, kl).gain, 0.0)
    drop: Floats | float = 0.0
    if members.lowered is not None:
        drop = np.maximum(front(members.lowered, grid, kl).gain - point.gain, 0.0)
    beyond: Floats | float = 0.0
    if members.beyond is not None:  # at budgets, not tilts: residuals reach further than rewards
        beyond = np.interp(kl, *members.beyond)
    # a prompt whose continuous rewards are all alike spends nothing, the others the more
    own = kl if np.isnan(tail.shape) else kl / samples.moving
    reach = if_normal(sampling, point.gain, own, samples, tail, level) if fixed else sampling
    low, high = around(point.gain, reach, correction, spread, tail, leap, beyond, drop)
    certain = lost * plugin * small(own, horizon)
    lacking, wall = np.zeros(len(kl)), min(horizon, saturation)
    if not np.isnan(tail.shape):
        wall = min(horizon * samples.moving, saturation) - ALONE / groups
        if len(candidates) == 3:  # a rare tail beyond a hump is what the prompts show together
            deep = np.clip(own - horizon + DEEP, 0.0, 1.0)
            lacking = deep * np.maximum(candidates[-1] - point.gain - drop, 0.0)
    shaky = doubt(point.gain + drop, correction + drop, spread, tail, certain, beyond, lacking)
    rate = _rate(stats, grid, plain_tilt)
    if rates is not None:
        theirs = _rate_bands(*rates, kl, point.gain, error, two_sided)
        # what many samples of these very prompts show of them, no mixture of few prompts shows
        sure = np.logical_and.accumulate((shaky <= DOUBT) & (kl <= wall)) & (fixed and not mixed)
        shorter = sure & (high - low < theirs[1] - theirs[0])
        low, high = (np.where(shorter, x, y) for x, y in zip((low, high), theirs, strict=False))
        shaky = np.where(sure, np.minimum(shaky, theirs[2]), theirs[2])
        wall, rate = horizon, np.maximum(rate, _MIXED_RATE)
        high = past_reach(kl, high, horizon, tail)
    trusted_kl = edge_of_trust(kl, shaky, wall) if correctable else 0.0
    return Bands(
        kl, point.gain, plugin, np.maximum.accumulate(np.maximum(low, 0.0)), high,
        *sampling, error, bound, shaky, trusted_kl, rate, narrowing, rates is not None,
    )  # fmt: skip


def edge_of_trust(kl: Floats, shaky: Floats, wall: float) -> float:
    """Where doubt first crosses its limit, between two nodes; the last lies past the wall."""
    first = int(np.argmax((shaky > DOUBT) | (kl > wall)))
    if first == 0:
        return 0.0
    a, b = kl[first - 1], kl[first]
    rise = shaky[first] - shaky[first - 1]
    share = (DOUBT - shaky[first - 1]) / rise if shaky[first] > DOUBT and rise > 0 else 1.0
    return float(min(a + share * (b - a), wall))


def _rate_bands(
    rates: RateBands, tilts: Floats, kl: Floats, gain: Floats, error: Floats, quantile: float
) -> tuple[Floats, Floats, Floats]:
    """Interval and doubt from the mixtures of pass rates that the data allow."""
    start = float(tilts[0]) / 64
    fine = Grid(start, int(np.ceil(np.log2(tilts[-1] / start))) + 1, 16)

    def gains(log_mgf: Floats) -> Floats:
        # past the last tilt the curve is straight, and no budget gains more than its slope
        slope = (log_mgf[-1] - log_mgf[-2]) / (tilts[-1] - tilts[-2])
        found = front(spread_log_mgf(tilts, log_mgf, fine.tilts), fine, kl).gain
        return np.asarray(np.minimum(found, slope))

    low, high, undecided = map(gains, (rates.low, rates.high, rates.value + rates.open))
    return rate_limits(low, high, undecided - gain, gain, error, quantile)


def rate_limits(
    low: Floats, high: Floats, undecided: Floats, gain: Floats, error: Floats, quantile: float
) -> tuple[Floats, Floats, Floats]:
    """The interval, and the doubt in an estimate whose interval comes from mixtures of pass rates.

    Parameters
    ----------
    undecided : (kl,) half-width that more prompts cannot narrow
    error : standard error of the gain by the choice of prompts
    """
    safe = np.where(gain > 0, gain, np.inf)
    reach = (high - low) / 2 / safe
    # an interval longer than the one at smaller budgets is made long by few samples, not by few prompts
    excess = np.maximum(reach - quantile * np.minimum.accumulate(error / safe), 0.0)
    shaky: NDArray[np.float64] = np.maximum(np.maximum(undecided, 0.0) / safe, 0.6 * excess)
    return np.minimum(low, gain), np.maximum(high, gain), shaky


def past_reach(kl: Floats, high: Floats, horizon: float, tail: Tail) -> Floats:
    """Upper limits from pass rates: none past the samples' reach where a remainder has a tail."""
    return np.where((kl > horizon) & (tail.long > 0), np.inf, high)


def unseen_gain(samples: Samples, span: float, *, level: float, fixed: bool) -> float:
    """The most that failures leave to gain which are too rare to have shown: all samples are the best.

    By Clopper and Pearson's interval, of prompts, or for these very prompts of samples.
    """
    chances = samples.prompts * (int(samples.counts.min()) if fixed else 1)
    return float(span * (1 - ((1 - level) / 2) ** (1 / chances)))


def spread_log_mgf(tilts: Floats, values: Floats, wanted: Floats) -> Floats:
    """A log-mgf between and beyond the tilts where it is known: quadratic below, straight above."""
    from scipy.interpolate import PchipInterpolator

    scaled = np.log(np.maximum(values / tilts**2, 1e-300))
    inside = np.clip(np.log(wanted), np.log(tilts[0]), np.log(tilts[-1]))
    found = (
        np.exp(PchipInterpolator(np.log(tilts), scaled)(inside))
        * np.minimum(wanted, tilts[-1]) ** 2
    )
    found = np.where(wanted < tilts[0], values[0] * (wanted / tilts[0]) ** 2, found)
    slope = (values[-1] - values[-2]) / (tilts[-1] - tilts[-2])
    return np.asarray(found + np.maximum(wanted - tilts[-1], 0.0) * slope)


def _rate(stats: Statistics, grid: Grid, tilt: Floats) -> Floats:
    """Exponent a of a bias that falls as M^-a, from the steps M/4, M/2, M."""
    half, quarter = (
        np.einsum("i,ij->j", stats.bias_weights, x) for x in (stats.half, stats.quarter)
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        rate = np.log2(np.maximum(quarter, 1e-300) / np.maximum(half, 1e-300))
    rate = np.clip(np.nan_to_num(rate, nan=1.0), 0.32, 1.0)
    return np.asarray(np.interp(np.log(tilt), np.log(grid.tilts), rate))
