"""Rewards of two modes: a verdict of 0 or 1 and a small remainder, such as a penalty on length.

Most of what such rewards can gain, and most of what few samples miss, is the verdict's, and pass
rates tell it far better than any model of continuous rewards does (`pass_rates`). So the log-mgf is
split in two: that of the verdict, at the tilt that the verdict feels, and the rest, which needs
little correction. Where all prompts have the same two modes, of log-mgfs A and B,

    log E exp(tilt * r) = A(tilt) + log(1 - q + q exp(felt)),   felt = B(tilt) - A(tilt)

with q the pass rate; what prompts differ by is in the rest.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import astuple, dataclass, replace

import numpy as np

from klimit.estimate import few_levels
from klimit.estimate.intervals import LIGHT, Tail, leave_out_error, tail_of
from klimit.estimate.kernel import Floats, Grid
from klimit.estimate.members import Members, combine, with_left_out
from klimit.estimate.pass_rates import Bands as RateBands
from klimit.estimate.pass_rates import log_mgf_of_rate
from klimit.estimate.samples import Block, Integers, Samples, ordered_mean
from klimit.estimate.statistics import BIAS_PROMPTS, GROUPS, Statistics, statistics

_POOL = 2**18  # rewards that the modes are read from
_RARE = 8  # rewards that each mode shows, at least
_GAP = 1 / 3  # no reward lies in a gap as wide as this share of the way from mode to mode
_WIDE = 0.36, 0.21  # standard deviations of the lower and the upper mode, at most, of that way
_OWN = 0.7  # share of the variance within prompts that is the verdict's, at least
_MANY = 1024  # samples of a prompt that leave no bias to correct
_QUANTILES = 4096  # numbers that a mode's log-mgf is made of
_BEYOND = 12  # tilts past those of the verdicts where the modes alone still bend
_LEVELS = few_levels.Levels.at(np.array([0.0, 1.0]))


@dataclass(frozen=True)
class Modes:
    """The two modes, and which of them every reward is of.

    Attributes
    ----------
    verdicts : samples of 0 and 1 in the order of the rewards' own; blocks of the first prompts only
    low, high : rewards of the two modes, of all prompts, ascending
    tail : of the rewards of the upper mode, which the verdicts know nothing of
    """

    verdicts: Samples
    low: Floats
    high: Floats
    tail: Tail

    def felt(self, tilts: Floats) -> Floats:
        """The tilt that a verdict feels at tilts of the rewards."""
        return _log_mgf(self.high, tilts) - _log_mgf(self.low, tilts)

    def counted(self) -> tuple[Floats, Integers]:
        """(prompts,) verdicts of one, and verdicts, in canonical order."""
        order = np.argsort(self.verdicts.rank)
        counts = self.verdicts.counts
        return (self.verdicts.means * counts).round()[order], counts[order]

    def group_means(self, of_rate: Callable[[Floats, float], Floats], points: Floats) -> Floats:
        """(groups, points) mean over all prompts of a function of the share of ones."""
        rank = self.verdicts.rank
        groups = min(GROUPS, len(rank))
        rates, which = np.unique(self.verdicts.means, return_inverse=True)
        cell = rank % groups * len(rates) + which
        prompts = np.bincount(cell, minlength=groups * len(rates)).reshape(groups, -1)
        each = np.stack([of_rate(rates, float(point)) for point in points], axis=1)
        return np.asarray(prompts @ each / prompts.sum(axis=1, keepdims=True))


def find(samples: Samples) -> Modes | None:
    """The modes, or None where the rewards do not have two.

    They have where a gap parts the rewards of all prompts, both sides are narrow beside the way
    across, and most of the variance within prompts lies across it.
    """
    if np.median(samples.counts) > _MANY:
        return None
    pool = _pool(samples)
    place = _gap(pool)
    if place is None:
        return None
    low, high = pool[:place], pool[place:]
    way = float(high.mean() - low.mean())
    if low.std() > _WIDE[0] * way or high.std() > _WIDE[1] * way:
        return None
    verdicts = _verdicts(samples, float(low[-1] + high[0]) / 2)
    across = (verdicts.scale * way) ** 2
    if across <= _OWN * samples.scale**2:
        return None
    spread = float(high.std())
    tail = tail_of((high - high.mean()) / spread) if spread > 0 else LIGHT
    return Modes(verdicts, _thin(low), _thin(high), tail)


@dataclass(frozen=True)
class Rest:
    """What the remainder adds to a function of the verdicts.

    Attributes
    ----------
    value : (1 + groups, points) the sum's; then without each group of prompts
    correction : (points,) what a jackknife added to it
    weights : (groups,) share of the prompts in each
    tail : of the rewards of the upper mode
    """

    value: Floats
    correction: Floats
    weights: Floats
    tail: Tail

    @classmethod
    def of(cls, plain: Floats, jackknife: Floats, weights: Floats, tail: Tail) -> Rest:
        """From what the rewards have and verdicts lack: plug-in, and its jackknife correction."""
        return cls(plain + jackknife, jackknife[0], weights, tail)

    def at(self, move: Callable[[Floats], Floats]) -> Rest:
        """The same at other points."""
        return replace(self, value=move(self.value), correction=move(self.correction))

    def added_to(self, rates: RateBands, quantile: float) -> RateBands:
        """Bands of the whole from those of the verdicts at the same points.

        The rest errs by the choice of prompts and, as any correction may, by a part of its own: by more above
        where the upper mode has a tail, and long limits end trust (`bands.rate_limits`).
        """
        error = leave_out_error(self.value[1:], self.value[0], self.weights)
        error = quantile * np.where(np.isfinite(error), error, np.abs(self.value[0]))
        doubt = np.abs(self.correction)
        value = rates.value + self.value[0]
        low = value - np.hypot(rates.value - rates.low, error) - 0.15 * doubt
        high = value + np.hypot(rates.high - rates.value, error)
        high += 0.5 * doubt + 3 * self.tail.long * np.maximum(self.correction, 0.0)
        return RateBands(value, low, high, rates.open + 0.25 * doubt, rates.near + 0.25 * doubt)


def split(modes: Modes, stats: Statistics, *, seed: int) -> tuple[Members, Rest]:
    """Log-mgfs corrected as those of verdicts are, and the part of them that is not the verdicts'."""
    grid = stats.grid
    felt = modes.felt(grid.tilts)
    start = float(felt[0]) / 1.01
    finer = Grid(start, int(np.ceil(np.log2(felt[-1] / start))) + 1, grid.per_octave)
    own = replace(
        statistics(modes.verdicts, finer, seed=seed),
        weights=stats.weights, full=modes.group_means(log_mgf_of_rate, finer.tilts),
    )  # fmt: skip
    counts = few_levels.level_counts(modes.verdicts, _LEVELS)
    members = combine(
        own, *few_levels.predicted_bias(counts, _LEVELS.values, finer, seed=seed), halfway=True
    )

    def where_felt(values: Floats) -> Floats:
        from scipy.interpolate import CubicSpline

        return np.asarray(CubicSpline(np.log(finer.tilts), values, axis=-1)(np.log(felt)))

    (full, jack), (own_full, own_jack) = (
        (with_left_out(x.full, x.weights), with_left_out(x.jackknife, x.bias_weights))
        for x in (stats, own)
    )
    rest = Rest.of(
        full - where_felt(own_full), jack - where_felt(own_jack), stats.weights, modes.tail
    )
    chosen = np.maximum(where_felt(members.corrected) + rest.value, full)
    candidates = where_felt(members.candidates) + rest.value[0]
    return Members(grid, full, chosen, candidates, stats.weights), rest


def whole_bands(
    modes: Modes, rest: Rest, grid: Grid, points: Floats, quantile: float,
    rates: Callable[[Floats], RateBands],
) -> tuple[RateBands, Floats]:  # fmt: skip
    """Bands of the log-mgf, and the tilts they stand at, from the verdicts' at those felt tilts.

    Parameters
    ----------
    points : felt tilts; those that the grid reaches are used
    rates : bands of the verdicts' log-mgf at felt tilts
    """
    felt = modes.felt(grid.tilts)
    points = points[(points > felt[0]) & (points < felt[-1])]
    verdicts = rates(points)
    if len(points) > 1:  # there passing is all that verdicts weigh, and their log-mgf is straight
        beyond = np.geomspace(points[-1], felt[-1], _BEYOND)[1:]
        steps = (beyond - points[-1]) / (points[-1] - points[-2])
        verdicts = RateBands(*(
            np.append(x, x[-1] + (x[-1] - x[-2]) * steps)
            for x in astuple(verdicts)
        ))  # fmt: skip
        points = np.append(points, beyond)
    logs = np.log(grid.tilts)
    tilts = np.exp(np.interp(np.log(points), np.log(felt), logs))

    def move(values: Floats) -> Floats:  # a log-mgf over its tilt squared hardly bends
        from scipy.interpolate import make_interp_spline

        scaled = make_interp_spline(logs, values / grid.tilts**2, k=1, axis=-1)
        return np.asarray(scaled(np.log(tilts)) * tilts**2)

    return rest.at(move).added_to(verdicts, quantile), tilts


def _pool(samples: Samples) -> Floats:
    """Rewards of the first prompts in canonical order, ascending."""
    width = max(block.rewards.shape[1] for block in samples.blocks)
    pieces = []
    for block in samples.blocks:
        rows = np.flatnonzero(samples.rank[block.prompts] < _POOL // width)
        rewards = block.rewards[rows] + samples.means[block.prompts[rows]][:, None]
        pieces.append(rewards[rewards > -np.inf])
    return np.sort(np.concatenate(pieces))


def _gap(pool: Floats) -> int | None:
    """How many rewards lie below the wide gap that most of their variance lies across."""
    place = np.arange(_RARE, len(pool) - _RARE + 1)
    if not len(place) or pool[0] == pool[-1]:
        return None
    below = -np.cumsum(pool - pool.mean())[place - 1]
    way = below * len(pool) / (place * (len(pool) - place))
    wide = np.diff(pool)[place - 1] > _GAP * way
    return int(place[np.where(wide, below * way, 0.0).argmax()]) if wide.any() else None


def _verdicts(samples: Samples, threshold: float) -> Samples:
    """Whether each reward is above the threshold, in the same order; blocks of the first prompts only."""
    means = np.empty(samples.prompts)
    blocks = []
    for block in samples.blocks:
        rows = block.prompts
        passed = block.rewards > (threshold - samples.means[rows])[:, None]
        rate: Floats = passed.sum(axis=1) / block.counts
        means[rows] = rate
        first = np.flatnonzero(samples.rank[rows] < BIAS_PROMPTS)
        centred = passed[first] - rate[first, None]
        centred[block.rewards[first] == -np.inf] = -np.inf
        if len(first):
            blocks.append(Block(rows[first], centred, block.counts[first]))
    variances = means * (1 - means)
    scale = ordered_mean(variances, samples) ** 0.5
    return replace(samples, means=means, variances=variances, scale=scale, blocks=tuple(blocks))


def _thin(values: Floats) -> Floats:
    """Evenly spaced quantiles of ascending values."""
    places = (np.arange(_QUANTILES) + 0.5) / _QUANTILES
    return values if len(values) <= _QUANTILES else np.quantile(values, places)


def _log_mgf(values: Floats, tilts: Floats) -> Floats:
    """Log-mean of exponentials of ascending values."""
    top = float(values[-1])
    return np.asarray(np.log(np.exp(np.outer(tilts, values - top)).mean(axis=1)) + tilts * top)
