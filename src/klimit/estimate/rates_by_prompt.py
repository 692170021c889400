"""0/1 rewards, prompt by prompt: what a prompt's count of successes says with those of all others.

A prompt of no successes in M draws may be hopeless or hard, and which of the two is usual the other
prompts tell. Their pass rates are a mixture; the rate of one prompt has that mixture as its prior.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from klimit.estimate.kernel import Floats
from klimit.estimate.pass_rates import RATES
from klimit.estimate.samples import Integers, Samples

_STEPS = 200  # of expectation maximisation, from all rates alike


@dataclass(frozen=True)
class Passes:
    """Counts of the better of two rewards.

    Attributes
    ----------
    successes, counts : (prompts,)
    step : how much better it is, reward units
    """

    successes: Integers
    counts: Integers
    step: float

    @classmethod
    def of(cls, samples: Samples) -> Passes | None:
        """None where all prompts together have other rewards than two."""
        mixed = samples.variances > 0
        if not mixed.any():
            return None
        top, share = samples.means + samples.tops, samples.ties / samples.counts
        below = samples.means + samples.level_below_the_best()
        low, high = float(below[mixed].min()), float(top[mixed].max())
        step, near = high - low, 1e-9 * samples.scale
        if np.ptp(below[mixed]) > near or np.ptp(top[mixed]) > near:
            return None
        # a third reward below the two would add to the variance
        two = share * (1 - share) * step**2
        solved, unsolved = np.abs(samples.means - high) <= near, np.abs(samples.means - low) <= near
        alike = np.abs(samples.variances - two) <= near * step
        if not np.where(mixed, alike, solved | unsolved).all():
            return None
        successes = np.where(mixed, samples.ties, np.where(solved, samples.counts, 0))
        return cls(successes.astype(np.int64), samples.counts.astype(np.int64), step)

    def expected(self, *functions: Callable[[Floats], Floats]) -> list[Floats]:
        """(prompts,) each: the mean of a function of a prompt's pass rate, given the counts."""
        from scipy.stats import binom

        pairs = np.stack([self.successes, self.counts])
        seen, which, times = np.unique(pairs, axis=1, return_inverse=True, return_counts=True)
        likelihood = binom.pmf(seen[0][:, None], seen[1][:, None], RATES)
        prior = np.full(len(RATES), 1 / len(RATES))
        for _ in range(_STEPS):
            posterior = likelihood * prior
            posterior /= posterior.sum(axis=1, keepdims=True)
            prior = times @ posterior / times.sum()
        posterior = likelihood * prior
        posterior /= posterior.sum(axis=1, keepdims=True)
        return [(posterior @ function(RATES))[which.ravel()] for function in functions]
