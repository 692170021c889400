"""Intervals: what prompts vary, what samples vary, and how far a correction may be wrong.

Standard errors come from leaving out groups of prompts (200 at most), so their cost does not grow
with the data and rewards are never resampled. The correction of the plug-in enters as an error of
its own, long upwards because every estimator misses high rewards that were not drawn.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from klimit.estimate.kernel import Floats
from klimit.estimate.samples import Samples, ordered_mean

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


@dataclass(frozen=True)
class Tail:
    """How heavy the pooled reward tail is.

    Attributes
    ----------
    shape : generalised-Pareto shape of the pooled standardised residuals; nan for few-level rewards
    long : 0 for light tails to 1 for exponential and heavier ones, as the interval uses it: where few
        residuals leave it open, rather heavier
    wary : the same on the scale that trust uses
    wide : how far the residuals leave open a tail as long as a normal one, from 0 to 1
    """

    shape: float
    long: float
    wary: float
    wide: float

    @property
    def heavy(self) -> bool:
        """Exponential or heavier: no honest two-sided answer from samples."""
        return self.shape > -0.05

    @property
    def settled(self) -> float:
        """How far the mean variance is known: 1, and 0 for power tails, whose few extremes make it up."""
        return 1.0 if np.isnan(self.shape) else float(np.clip((0.05 - self.shape) / 0.1, 0.0, 1.0))

    def lighter(self, by: float) -> Tail:
        """The same on the way to no tail at all, which it is at 1."""
        if by >= 1:
            return LIGHT
        left = 1 - by
        return replace(self, long=self.long * left, wary=self.wary * left, wide=self.wide * left)


LIGHT = Tail(float("nan"), 0.0, 0.0, 0.0)

_STEEP = 0.15
_PRIOR, _WORTH = 0.5, 10  # a shape, and the observations that it counts for
_USUAL = -0.1
_OPEN = Tail(_USUAL, 1.0, (_USUAL + 0.15) / 0.09, 1.0)


def tail_of(residuals: Floats) -> Tail:
    """Tail of standardised residuals, from the largest few."""
    n = int(min(0.2 * len(residuals), 8 * np.sqrt(len(residuals))))
    if n < 5:  # they show none: the prior alone
        return _OPEN
    top = np.sort(np.partition(residuals, len(residuals) - n - 1)[-n - 1 :])
    cautious = pareto_shape(top[1:] - top[0])
    # the same fit with a prior between a normal law and an exponential one
    shape = cautious + (_USUAL - _PRIOR) * _WORTH / (n + _WORTH)
    return Tail(
        shape,
        float(np.clip((cautious + 0.20) / 0.12, 0.0, 1.0)),
        float(np.clip((shape + 0.15) / 0.09, 0.0, 1.0)),
        float(np.clip((shape + 2 / np.sqrt(n) + 0.3) / 0.15, 0.0, 1.0)),
    )


def pareto_shape(excess: ArrayLike) -> float:
    """Shape of a generalised Pareto law fitted to positive excesses (Zhang and Stephens 2009).

    Positive: a power tail; 0: exponential; negative: bounded. Shrunk towards .5 by a weak prior of
    ten observations, as Pareto-smoothed importance sampling does (Vehtari et al., arXiv
    1507.02646).

    Examples
    --------
    >>> u = (np.arange(1, 101) - 0.5) / 100
    >>> round(pareto_shape(((1 - u) ** -0.5 - 1) / 0.5), 6)
    0.504493
    """
    x = np.sort(np.asarray(excess, dtype=float))
    n = len(x)
    quarter = x[int(n / 4 + 0.5) - 1]
    if not quarter > 0 or not x[-1] > 0:
        return -1.0
    grid = 30 + int(np.sqrt(n))
    theta = 1 / x[-1] + (1 - np.sqrt(grid / (np.arange(1, grid + 1) - 0.5))) / (3 * quarter)
    shape = np.log1p(-theta[:, None] * x).mean(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        likelihood = n * (np.log(-theta / shape) - shape - 1)
    likelihood = np.where(np.isfinite(likelihood), likelihood, -np.inf)
    weight = np.exp(likelihood - likelihood.max())
    best = float((theta * weight).sum() / weight.sum())
    found = float(np.log1p(-best * x).mean())
    return (n * found + _WORTH * _PRIOR) / (n + _WORTH)


def leave_out_error(without: Floats, full: Floats, weights: Floats) -> Floats:
    """Standard error of a statistic from its values with each group of prompts left out.

    Parameters
    ----------
    without : (groups, ...) values
    full : (...) the value with all groups
    weights : (groups,) share of the prompts in each group
    """
    present = weights > 0
    count = int(present.sum())
    if count < 2:
        return np.full(np.shape(full), np.inf)
    share = (1 - weights[present]).reshape(-1, *[1] * np.ndim(full)) ** 2
    squares = (share * (without[present] - full) ** 2).sum(axis=0)
    error: Floats = np.sqrt(squares * count / (count - 1))
    return error


def quantiles(level: float, groups: int) -> tuple[float, float]:
    """Two-sided and one-sided t quantiles with groups - 1 degrees of freedom."""
    from scipy.special import stdtrit

    df = max(groups - 1, 1)
    return float(stdtrit(df, (1 + level) / 2)), max(float(stdtrit(df, level)), 1e-9)


def normal(level: float) -> float:
    """Two-sided quantile of a normal law: the t quantile of a million groups."""
    return quantiles(level, 10**6)[0]


def uneven_quantiles(residuals: Floats, level: float) -> Floats:
    """(rows,) two-sided t quantiles of means whose residuals may rest on a few prompts.

    A variance of n residuals of kurtosis k is known as well as one of ``2 n / (k - (n - 3) / (n - 1))``
    degrees of freedom is (Satterthwaite's match of its variance): n - 1 for normal residuals,
    far fewer where some prompts spend many times what others do.

    Parameters
    ----------
    residuals : (rows, prompts), of mean 0

    Examples
    --------
    >>> even, one = np.resize([-1.0, 1.0], 60), np.append(np.full(59, -1.0), 59.0)
    >>> uneven_quantiles(np.stack([even, one]), 0.95).round(2)
    array([2.  , 4.11])
    """
    from scipy.special import stdtrit

    n = residuals.shape[1]
    square = (residuals**2).mean(axis=1)
    fourth = (residuals**4).mean(axis=1)
    kurtosis = fourth / np.where(square > 0, square**2, np.inf)
    freedom = 2 * n / np.maximum(kurtosis - (n - 3) / max(n - 1, 1), 1e-9)
    found: Floats = stdtrit(np.clip(freedom, 1, max(n - 1, 1)), (1 + level) / 2)
    return found


def skewed_quantiles(residuals: Floats, quantile: Floats | float) -> tuple[Floats, Floats]:
    """How many standard errors the mean of so skewed prompts may lie below and above the truth.

    Hall's cubic transformation (Journal of the Royal Statistical Society B 54, 1992): pass rates
    and the KL of few levels are skewed between prompts, and a symmetric interval would miss on the
    long side.
    """
    prompts = residuals.shape[1]
    spread = np.sqrt((residuals**2).mean(axis=1))
    skew = (residuals**3).mean(axis=1) / np.where(spread > 0, spread, 1.0) ** 3
    return skewed_reach(skew / np.sqrt(prompts), quantile)


def skewed_reach(skew: Floats, quantile: Floats | float) -> tuple[Floats, Floats]:
    """`skewed_quantiles` of an estimate whose own skewness is known.

    The cubic's inverse is vertical where its argument vanishes: from `_STEEP` down it goes on along its
    tangent.

    Examples
    --------
    >>> print(np.round([skewed_reach(np.array(skew), 1.96) for skew in (0, 0.3, 0.45, 0.5, 1)], 1))
    [[2.  2. ]
     [2.7 1.6]
     [3.6 1.5]
     [4.  1.5]
     [5.9 1.2]]
    """
    skew = np.where(np.abs(skew) > 1e-6, skew, 1e-6)

    def limit(x: Floats | float) -> Floats:
        inside = 1 + skew * (x - skew / 6)
        below = np.minimum(inside - _STEEP, 0.0) / (3 * _STEEP ** (2 / 3))
        found: Floats = 3 / skew * (np.cbrt(np.maximum(inside, _STEEP)) + below - 1)
        return found

    return -limit(-quantile), limit(quantile)


def left_out_reach(
    without: Floats, full: Floats, weights: Floats, level: float, *, uneven: bool = False
) -> tuple[Floats, Floats]:
    """How far below and above a statistic the truth may lie, by the choice of prompts.

    The error is that of `leave_out_error`; what each group moves the statistic by says how skewed
    it is. Infinite from fewer than two groups.

    Parameters
    ----------
    without : (groups, numbers) values with each group left out
    full : (numbers,) values with all groups
    uneven : whether the numbers may rest on a few prompts, as `uneven_quantiles` takes it
    """
    error = leave_out_error(without, full, weights)
    present = weights > 0
    influence = np.nan_to_num(full - without[present]).T
    centred = influence - np.sort(influence, axis=1).mean(axis=1, keepdims=True)
    quantile = (
        uneven_quantiles(centred, level) if uneven else quantiles(level, int(present.sum()))[0]
    )
    short, far = skewed_quantiles(centred, quantile)
    finite = np.isfinite(error)
    safe = np.where(finite, error, 0.0)
    return np.where(finite, far * safe, np.inf), np.where(finite, short * safe, np.inf)


def redrawn_quantiles(variance: Floats, fourth: Floats, level: float) -> Floats:
    """Two-sided t quantiles of a mean of few samples that count: its variance is not well known.

    As `uneven_quantiles`, of what each sample moves the mean by: a few large ones make most of it.

    Parameters
    ----------
    variance, fourth : sums of the second and fourth powers of the moves
    """
    from scipy.special import stdtrit

    with np.errstate(over="ignore"):
        freedom = 2 * (variance / np.sqrt(np.where(fourth > 0, fourth, 1e-300))) ** 2
    even = np.where(fourth > 0, np.clip(freedom, 1, 10**6), 10**6)
    found: Floats = stdtrit(even, (1 + level) / 2)
    return found


def redrawn(
    moments: Floats, unit: Floats | float, added: Floats, weights: Floats, level: float
) -> tuple[Floats, tuple[Floats, Floats]]:
    """Standard error for these very prompts, and how far below and above the truth may lie by chance.

    A high draw raises plug-in and correction together, so their errors are added, not squared first.

    Parameters
    ----------
    moments : (3, numbers) of the plug-in times `unit` when samples are drawn again: its variance, its
        third central moment, and the fourth powers of what each sample moves it by
    added : (1 + groups, numbers) the correction, of all prompts and without each group
    """
    second, third, fourth = moments
    of_added = leave_out_error(added[1:], added[0], weights)
    alone = ~np.isfinite(of_added)  # a single prompt does not show how far its correction errs
    error: Floats = np.sqrt(second) / unit + np.where(alone, np.abs(added[0]), of_added)
    skew = third / np.maximum(second, 1e-150) ** 1.5
    above, below = (x * error for x in skewed_reach(skew, redrawn_quantiles(second, fourth, level)))
    return error, (below, above)


def if_normal(
    sampling: tuple[Floats, Floats], gain: Floats, kl: Floats, samples: Samples, tail: Tail,
    level: float,
) -> tuple[Floats, Floats]:  # fmt: skip
    """How far below and above it may lie, above no less than if these prompts' rewards were normal.

    Samples that miss high rewards show a low gain with a small error. The standard error of n normal
    rewards is ``sqrt((exp(2 KL) - 1 - 2 KL) / n) / (2 KL)`` of the gain, by the variance of
    a log-mgf at first order; weights of M samples vary by M at most, and few prompts may make up most of n.
    """
    shares = samples.variances / ordered_mean(samples.variances, samples)
    number = samples.prompts / ordered_mean(shares**2 / samples.counts, samples)
    spread = np.minimum(np.exp(np.minimum(2 * kl, 600.0)), samples.size) - 1 - 2 * kl
    error = np.sqrt(np.maximum(spread, 0.0) / number) / (2 * kl)
    # of the truth, which is more than a gain that is low
    return sampling[0], np.maximum(sampling[1], tail.wide * np.expm1(normal(level) * error) * gain)


def around(
    value: Floats, sampling: tuple[Floats, Floats], correction: Floats, spread: Floats, tail: Tail,
    leap: Floats | float = 0.0, beyond: Floats | float = 0.0, drop: Floats | float = 0.0,
) -> tuple[Floats, Floats]:  # fmt: skip
    """Lower and upper limit of a corrected estimate.

    Parameters
    ----------
    sampling : how far below and above it may lie by chance
    correction : what was added to the plug-in
    spread : range of the candidate corrections
    leap : how far above their middle a law took the value; the law may be wrong
    beyond : share of the gain at prompts that spend more than their samples can show
    drop : how far a law took the value down, which the upper limit does not follow
    """
    below, above = sampling
    long = np.maximum(tail.long, np.clip(2.5 * beyond, 0.0, 1.0))
    low = value - np.sqrt(below**2 + (0.15 * correction) ** 2 + leap**2)
    reach = (0.5 + 3 * long) * (correction + drop)
    high = value + drop + np.sqrt(above**2 + reach**2 + (0.5 * spread) ** 2)
    return low, high


def doubt(
    gain: Floats, correction: Floats, spread: Floats, tail: Tail, known: Floats | float = 0.0,
    beyond: Floats | float = 0.0, lacking: Floats | float = 0.0,
) -> Floats:  # fmt: skip
    """Likely size of the remaining bias, relative to the gain; trusted up to `DOUBT`.

    `known` is the part of the correction that holds for any law of rewards, and is not in doubt as
    far as the variance is known. `beyond` is the share of the gain at prompts that spend more than their
    samples can show: from two fifths on a correction is the more in doubt, at four as with heavy tails.
    `lacking` is what all prompts together show that the correction lacks.
    """
    safe = np.where(gain > 0, gain, np.inf)
    unknown = np.maximum(correction - tail.settled * known, 0.0)
    wary = np.maximum(tail.wary, np.clip(2.5 * beyond - 1, 0.0, 1.0))
    share: Floats = np.hypot((0.25 + 0.75 * wary) * unknown, 0.25 * spread) / safe
    return share + lacking / safe


def small(kl: Floats, horizon: float) -> Floats:
    """How far budgets count as small: 1 at 0 nats, 0 from log M - 2 on, 1.5 below the horizon."""
    return np.clip(1 - kl / max(horizon - 1.5, 1e-9), 0.0, 1.0)


DOUBT = 0.03
