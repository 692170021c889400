"""Means over prompts that weigh equally, with intervals for drawn or for fixed prompts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from klimit._estimate import Estimate
from klimit.estimate.best_of_n.prompt_means import mean_of_prompts
from klimit.rollouts.grouped import Floats, Integers

Prompts = Literal["drawn", "fixed"]


@dataclass(frozen=True)
class ByPrompt:
    """Numbers of samples, prompt after prompt, and what they say of each prompt.

    Attributes
    ----------
    values : (samples,) ascending within each prompt, so that no digit depends on the order of rows
    counts : (prompts,) samples of each, at least one
    """

    values: Floats
    counts: Integers

    @classmethod
    def of(cls, values: Floats, codes: Integers) -> ByPrompt:
        """From samples in any order; `codes` tell their prompts apart."""
        return cls(values[np.lexsort((values, codes))], np.unique(codes, return_counts=True)[1])

    @property
    def starts(self) -> Integers:
        """(prompts,) where each prompt's samples begin."""
        return np.cumsum(self.counts) - self.counts

    @property
    def means(self) -> Floats:
        """(prompts,) mean of each."""
        found: Floats = np.add.reduceat(self.values, self.starts) / self.counts
        return found

    @property
    def variances(self) -> Floats:
        """(prompts,) unbiased variance of one sample; nan where there is only one."""
        squares = (self.values - np.repeat(self.means, self.counts)) ** 2
        with np.errstate(invalid="ignore"):
            found: Floats = np.add.reduceat(squares, self.starts) / np.where(
                self.counts > 1, self.counts - 1, np.nan
            )
        return found

    def estimate(self, *, level: float, prompts: Prompts, least: float = -np.inf) -> Estimate:
        """Mean over prompts of their means; see `over_prompts`."""
        return over_prompts(
            self.means, self.variances, self.counts, level=level, prompts=prompts, least=least
        )


def over_prompts(
    means: Floats, variances: Floats, counts: Integers, *, level: float, prompts: Prompts,
    least: float = -np.inf,
) -> Estimate:  # fmt: skip
    """Mean over prompts of their means.

    For drawn prompts a t interval over prompts, corrected for skewness (Hall 1992); for fixed ones the
    variance within prompts alone, with Satterthwaite's degrees of freedom.

    Parameters
    ----------
    means, variances, counts : (prompts,) mean, variance of one sample (nan of a single one), samples
    least : what the truth can be
    """
    if prompts == "drawn":
        return mean_of_prompts(means[None], level, least=least)[0]
    mean = float(np.sort(means).mean())
    error, freedom = _within(means, variances, counts)
    from scipy.special import stdtrit

    reach = float(stdtrit(freedom, (1 + level) / 2)) * error if error else 0.0
    return Estimate(mean, max(mean - reach, min(least, mean)), mean + reach, level)


def _within(means: Floats, variances: Floats, counts: Integers) -> tuple[float, float]:
    """Standard error from samples alone, and its degrees of freedom.

    Prompts with one sample are given the mean variance of the others. Where no prompt has two,
    the spread between prompts stands in, which is never less in expectation.
    """
    known = np.isfinite(variances)
    size = len(variances)
    if not known.any():
        spread = means.std(ddof=1) if size > 1 else np.inf
        return float(spread / np.sqrt(size)), max(size - 1, 1)
    shares = np.where(known, variances, variances[known].mean()) / counts
    below = (shares[known] ** 2 / (counts[known] - 1)).sum()
    freedom = shares[known].sum() ** 2 / below if below > 0 else 1.0
    return float(np.sqrt(shares.sum()) / size), max(float(freedom), 1.0)
