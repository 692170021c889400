"""0/1 rewards: the frontier from the mixture of pass rates that the counts of successes reveal.

M draws from a prompt show a binomial count, and many prompts show the mixture of binomials, so the
mean over prompts of any function of the pass rate is pinned down as far as a polynomial of degree M
can follow it. The mean log-mgf ``E log(1 - q + q e^tilt) - tilt E q`` is such a function, and so is
the mean gain of prompts that all spend the same KL. What the counts leave open is computed, not
guessed: the interval holds every mixture whose likelihood the data do not reject (a profile
interval with one degree of freedom), and its width at no rejection is what more prompts cannot
resolve.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np

from klimit.estimate.kernel import Floats
from klimit.estimate.samples import Integers

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

# times the samples, and prompts, from which two mixtures tell more than one
_MORE, _PARTED = 1.4, 30
DEGREE = 32  # counts are thinned to so many draws; higher polynomials matter only far beyond trust
_RATES = np.concatenate(([0.0], np.geomspace(1e-5, 0.04, 45), np.linspace(0.05, 0.5, 32)))
_STRIP = 1 << 14  # counts at a time
RATES: Floats = np.concatenate((_RATES, 1 - _RATES[-2::-1]))


@dataclass(frozen=True)
class Bands:
    """Mean of a function of the pass rate, and its interval, wherever it was asked for.

    Attributes
    ----------
    value, low, high : (points,)
    open : (points,) the half-width that more prompts cannot narrow
    near : (points,) half the range of mixtures within half an error of the best
    """

    value: Floats
    low: Floats
    high: Floats
    open: Floats
    near: Floats


def pass_rate_bands(
    successes: Floats,
    counts: Integers,
    points: Floats,
    *,
    quantile: float,
    fixed: bool,
    of_rate: Callable[[Floats, float], Floats],
) -> Bands:
    """Bands for the mean over prompts of a concave function of the pass rate.

    Parameters
    ----------
    successes, counts : (prompts,) rewards of one, and rewards
    points : where the function is wanted: tilts or KL budgets, for a reward of 0 or 1
    of_rate : `log_mgf_of_rate` or `gain_of_rate`
    quantile : of the normal or t law, for two-sided intervals
    fixed : whether the interval is for these very prompts (else for their population)

    Notes
    -----
    Short prompts would lower the degree for all, and may be harder or easier than the others: they are
    a mixture of their own.
    """
    found = [
        _bands_of(successes[part], counts[part], points, degree, quantile, fixed, of_rate)
        for part, degree in _alike(counts)
    ]
    return _together(found, len(counts), 0.0 if fixed else quantile)


def _together(parts: list[tuple[int, Bands]], prompts: int, quantile: float) -> Bands:
    """Bands of all prompts, from those of parts of so many: what is left open adds up, chance by squares.

    Of drawn prompts chance also makes the shares of the parts: `quantile` errors of that, 0 of fixed ones.
    """
    share = np.array([count / prompts for count, _ in parts])[:, None]
    value, low, high, undecided, near = (
        share * np.stack([getattr(bands, field.name) for _, bands in parts])
        for field in fields(Bands)
    )

    middle = value.sum(axis=0)
    between = ((value / share - middle) ** 2 * share).sum(axis=0) / prompts

    def reach(width: Floats, errors: float = quantile) -> Floats:
        chance = (np.maximum(width - undecided, 0.0) ** 2).sum(axis=0) + errors**2 * between
        return np.asarray(np.minimum(width, undecided).sum(axis=0) + np.sqrt(chance))

    down, up = value - low, high - value
    # what reaches further up than down is no chance in large parts: rates that none shows add up
    alike = np.where(share < 0.1, up, np.minimum(up, down))
    above = reach(alike) + (up - alike).sum(axis=0)
    return Bands(
        middle, middle - reach(down), middle + above, undecided.sum(axis=0), reach(near, 0.0)
    )


def _alike(counts: Integers) -> Iterator[tuple[Integers, int]]:
    """Prompts apart from those with fewer samples, then the first of these, and so on; and their degrees.

    Up to a tenth may have fewer; where half have many more than that tenth, up to a half.
    """
    left = np.arange(len(counts))
    while len(left):
        ordered = np.minimum(np.sort(counts[left]), DEGREE)
        tenth, half = (int(ordered[len(left) // part]) for part in (10, 2))
        degree = half if half >= _MORE * tenth and len(left) >= _PARTED else tenth
        long = counts[left] >= degree
        yield left[long], degree
        left = left[~long]


def _bands_of(
    successes: Floats,
    counts: Integers,
    points: Floats,
    degree: int,
    quantile: float,
    fixed: bool,
    of_rate: Callable[[Floats, float], Floats],
) -> tuple[int, Bands]:
    """How many prompts, and their bands; all have as many samples as the degree, or more."""
    observed, times = np.unique(successes / counts, return_counts=True)
    sizes, size_of = np.unique(counts.astype(int), return_inverse=True)
    likelihood = binomial(np.arange(degree + 1), degree, RATES[:, None])
    seen = np.zeros(degree + 1)
    for index, size in enumerate(sizes):
        # how many prompts show each count: sums of whole numbers do not depend on their order
        count, shown = np.unique(successes[size_of == index].astype(int), return_counts=True)
        seen += shown @ _hypergeometric(int(size), degree, count) / len(counts)
    share = np.bincount(size_of) / len(counts)
    root = 1 / np.sqrt(np.maximum(seen, 0.5 / len(counts)))
    weights = _simplex_nnls(likelihood.T * root[:, None], seen * root)
    for _ in range(2):
        square = sum(
            part * _square(int(size), degree, weights)
            for part, size in zip(share, sizes, strict=True)
        )
        mean = weights @ likelihood
        known = (likelihood.T * weights) @ likelihood if fixed else np.outer(mean, mean)
        covariance = (square - known) / len(counts)
        whiten = _whitener(covariance, len(counts))
        a, b = whiten @ likelihood.T, whiten @ seen
        weights = _simplex_nnls(a, b)
    value, low, high, undecided, near = np.empty((5, len(points)))
    for i, point in enumerate(points):
        function = of_rate(RATES, float(point))
        narrow = _profile(a, b, function, weights, 0.25)
        wide = _profile(a, b, function, weights, 0.5)
        full = _profile(a, b, function, weights, quantile)
        # summed in order and by kind, so that no digit depends on the order of prompts
        plugin = float((of_rate(observed, float(point)) * times).sum() / times.sum())
        # where unsolved prompts may have a rate of 0 or a tiny one, the middle is far too high for 0:
        # no higher above the least mixture than that is above the plug-in
        correction = max(narrow[0] - plugin, 0.0)
        value[i] = plugin + correction + min(correction, (narrow[1] - narrow[0]) / 2)
        undecided[i] = max(0.0, (2 * (narrow[1] - narrow[0]) - (wide[1] - wide[0])) / 2)
        near[i] = (wide[1] - wide[0]) / 2
        low[i], high[i] = full
    bands = Bands(value, np.minimum(low, value), np.maximum(high, value), undecided, near)
    return len(counts), bands


def log_mgf_of_rate(rate: Floats, tilt: Floats | float) -> Floats:
    """Centred log-mgf of a Bernoulli reward."""
    with np.errstate(divide="ignore"):
        return np.logaddexp(np.log1p(-rate), np.log(rate) + tilt) - tilt * rate


def gain_at_tilt(rate: Floats, tilt: float) -> Floats:
    """Gain of a Bernoulli reward at a tilt; inf: all weight on the better reward."""
    with np.errstate(divide="ignore"):
        odds = np.log(rate) - np.log1p(-rate)
    share = np.where(rate < 1, 1 / (1 + np.exp(-np.minimum(odds, 700.0) - min(tilt, 1e4))), 1.0)
    return np.where(rate > 0, share - rate, 0.0)


def kl_at_tilt(rate: Floats, tilt: float) -> Floats:
    """Nats that a Bernoulli reward's optimum spends at a tilt."""
    from scipy.special import rel_entr

    share = np.minimum(rate + gain_at_tilt(rate, tilt), 1.0)
    return np.asarray(rel_entr(share, rate) + rel_entr(1 - share, 1 - rate))


def gain_of_rate(rate: Floats, kl: float) -> Floats:
    """Gain of a Bernoulli reward at so many nats: ``a - rate`` where ``kl(a || rate) = kl``."""
    from scipy.special import rel_entr

    low, high = rate, np.ones_like(rate)
    for _ in range(50):
        a = (low + high) / 2
        short = rel_entr(a, rate) + rel_entr(1 - a, 1 - rate) < kl
        low, high = np.where(short, a, low), np.where(short, high, a)
    return np.where((rate > 0) & (rate < 1), low - rate, 0.0)


def kl_of_rate(rate: Floats, kl: float) -> Floats:
    """Nats that a Bernoulli reward's optimum spends of so many: all samples passing costs -log rate."""
    with np.errstate(divide="ignore"):
        most = -np.log(rate)
    return np.where(rate > 0, np.minimum(kl, most), 0.0)


def _square(size: int, degree: int, weights: Floats) -> Floats:
    """(degree + 1, degree + 1) mean product of the chances of two counts among so many of `size` samples.

    The mean is over how many of the samples pass, strip by strip: all counts at every rate would take
    a hundred times the memory of a prompt's rewards.
    """
    total = np.zeros((degree + 1, degree + 1))
    likely = weights > 0  # few of the rates: the fit is sparse
    for start in range(0, size + 1, _STRIP):
        count = np.arange(start, min(start + _STRIP, size + 1))
        hands = _hypergeometric(size, degree, count)
        total += (hands.T * (weights[likely] @ binomial(count, size, RATES[likely, None]))) @ hands
    return total


def binomial(count: ArrayLike, size: ArrayLike, rate: Floats) -> Floats:
    """Chance of so many successes, of one shape; `scipy.stats` takes longer to import than all else here."""
    from scipy.special import xlog1py, xlogy

    count, size = np.asarray(count), np.asarray(size)
    log = log_choose(size, count) + xlogy(count, rate) + xlog1py(size - count, -rate)
    return np.asarray(np.exp(log))


def _hypergeometric(size: int, draws: int, good: Integers) -> Floats:
    """(counts, draws + 1) chance of each count among `draws` of `size` samples with `good` successes."""
    good, hit = good[:, None], np.arange(draws + 1)
    if size == draws:
        return np.asarray(good == hit, dtype=float)
    log = log_choose(good, hit) + log_choose(size - good, draws - hit) - log_choose(size, draws)
    pmf: Floats = np.exp(log)
    return pmf


def log_choose(whole: ArrayLike, part: ArrayLike) -> Floats:
    """Logarithm of the binomial coefficient; -inf where the part is more than the whole."""
    from scipy.special import gammaln

    whole, part = np.asarray(whole), np.asarray(part)
    log = gammaln(whole + 1.0) - gammaln(part + 1.0) - gammaln(np.maximum(whole - part, 0) + 1.0)
    return np.where(part > whole, -np.inf, log)


def _whitener(covariance: Floats, prompts: int) -> Floats:
    """Square root of the inverse, blind in no direction: an unseen count still weighs as a third of one."""
    values, vectors = np.linalg.eigh(covariance)
    floor = max(0.3 / prompts**2, 1e-7 * float(values[-1]))
    whiten: Floats = (vectors / np.sqrt(np.maximum(values, floor))).T
    return whiten


def _simplex_nnls(a: Floats, b: Floats) -> Floats:
    from scipy.optimize import nnls

    strength = 100 * float(np.abs(a).max())
    a = np.vstack([a, np.full(a.shape[1], strength)])
    solution, _ = nnls(a, np.append(b, strength), maxiter=20 * a.shape[1])
    return np.asarray(solution / solution.sum())


def _profile(
    a: Floats, b: Floats, function: Floats, start: Floats, quantile: float
) -> tuple[float, float]:
    """Least and largest mean of `function` over mixtures `quantile` errors from the best fit."""
    best = float(((a @ start - b) ** 2).sum())
    scale = float(np.abs(function).max()) or 1.0
    shape = function / scale
    ends = []
    for sign in (-1.0, 1.0):
        push, reached = 10.0, 0.0
        tried: list[tuple[float, float, float]] = [(0.0, 0.0, float(shape @ start))]
        for _ in range(7):
            weights = _pushed(a, b, shape, sign * push)
            reached = max(float(((a @ weights - b) ** 2).sum()) - best, 0.0) ** 0.5
            tried.append((push, reached, float(shape @ weights)))
            if abs(reached - quantile) < 0.02 * quantile:
                break
            push *= float(np.clip(quantile / max(reached, 1e-9), 0.1, 20.0))
        below = [x for x in tried if x[1] <= quantile]
        above = [x for x in tried if x[1] > quantile]
        low = max(below, key=lambda x: x[1])
        if above:
            high = min(above, key=lambda x: x[1])
            share = (quantile - low[1]) / (high[1] - low[1])
            end = low[2] + share * (high[2] - low[2])
        else:
            end = low[2]
        ends.append(end * scale)
    return min(ends), max(ends)


def _pushed(a: Floats, b: Floats, shape: Floats, push: float) -> Floats:
    """Minimiser of ``|a w - b|^2 - 2 push shape w`` over mixtures, as one non-negative least squares."""
    small = 0.1
    return _simplex_nnls(np.vstack([a, small * shape]), np.append(b, push / small))
