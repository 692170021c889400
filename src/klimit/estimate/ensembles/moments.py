"""Covariances within prompts, prompt by prompt: all that error, correlation and weights need."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from klimit._estimate import Estimate
from klimit.estimate.ensembles.panel import Panel
from klimit.estimate.intervals import quantiles, skewed_quantiles
from klimit.estimate.kernel import Floats
from klimit.estimate.samples import Integers, centred, shown

_BLOCK = 2**16  # numbers of leave-one-out covariances at once


@dataclass(frozen=True)
class Moments:
    """Unbiased covariances of the members, and of gold as the last row and column if it is known.

    Attributes
    ----------
    prompts : (prompts,) which prompts have two samples or more to show them
    covariance : (prompts, rewards, rewards)
    gold : whether the last reward is gold
    """

    prompts: Integers
    covariance: Floats
    gold: bool

    @property
    def members(self) -> int:
        """How many of the rewards are members."""
        return int(self.covariance.shape[1]) - int(self.gold)

    def mean(self) -> Floats:
        """(rewards, rewards) mean over prompts, in an order that follows no file."""
        return np.asarray(np.sort(self.covariance, axis=0).mean(axis=0))

    def order(self) -> Integers:
        """Prompts sorted by rounded numbers of their own, never by the order of a file."""
        keys = self.covariance.reshape(len(self.covariance), -1)
        scale = np.abs(keys).max(axis=0, initial=0.0)
        rounded = np.round(keys / np.where(scale > 0, scale, 1.0), 9) + 0.0
        return np.lexsort(rounded.T)

    @np.errstate(
        divide="ignore", invalid="ignore", over="ignore"
    )  # what few prompts do not tell is nan
    def estimate(self, question: Callable[[Floats], Floats], level: float) -> Estimate:
        """A smooth function of the mean covariance, with an interval over prompts.

        Delete-one jackknife: its pseudo-values are prompts' own contributions, so that the leading
        bias of ratios is removed and the interval may be as skewed as they are. Where few prompts of
        large scale decide, the degrees of freedom are as few (Satterthwaite).

        Parameters
        ----------
        question : (..., rewards, rewards) -> (..., answers)
        """
        number = len(self.covariance)
        total = self.mean() * number
        whole = question(self.mean())
        if number < 3:
            none = np.full(whole.shape, np.inf)
            return Estimate(whole, -none, none, level, np.ones(whole.shape, dtype=bool))
        pseudo = np.empty((number, len(whole)))
        step = max(1, _BLOCK // total.size)
        for start in range(0, number, step):
            part = slice(start, start + step)
            without = question((total - self.covariance[part]) / (number - 1))
            pseudo[part] = number * whole - (number - 1) * without
        ordered = np.sort(pseudo.T, axis=1)
        middle = ordered.mean(axis=1)
        rest = ordered - middle[:, None]
        quantile = quantiles(level, max(int(self._independent()), 3))[0]
        error = np.sqrt((rest**2).sum(axis=1) / (number - 1) / number)
        below, above = skewed_quantiles(rest, quantile)
        low, high = middle - above * error, middle + below * error
        sure = np.ones(middle.shape, dtype=bool)
        return Estimate(middle, np.fmin(low, middle), np.fmax(high, middle), level, sure)

    def _independent(self) -> float:
        """How many prompts of equal weight would tell as much about a variance as these do."""
        own = np.diagonal(self.covariance, axis1=1, axis2=2)
        pooled = np.sort(own, axis=0).mean(axis=0)
        weight = np.sort((own / np.where(pooled > 0, pooled, 1.0)).mean(axis=1))
        fourth = float((weight**4).sum())
        return float((weight**2).sum() ** 2 / fourth) if fourth > 0 else float(len(weight))


def moments(found: Panel, *, with_gold: bool) -> Moments:
    """Covariances of all samples, or of those with a gold label."""
    rewards = list(found.members)
    lengths, prompts = found.lengths, np.arange(len(found.lengths))
    if with_gold:
        assert found.gold is not None
        there = ~np.isnan(found.gold)
        often = shown(there, lengths)
        prompts = np.flatnonzero(often >= 2)
        there &= often[found.prompt] >= 2
        lengths = often[prompts]
        rewards = [centred(x[there], lengths) for x in [*rewards, found.gold]]
    size = len(rewards)
    out = np.empty((len(prompts), size, size))
    starts = np.cumsum(lengths) - lengths
    for i in range(size):
        for j in range(i + 1):
            product = np.add.reduceat(rewards[i] * rewards[j], starts) / (lengths - 1)
            out[:, i, j] = out[:, j, i] = product
    return Moments(prompts, out, with_gold)
