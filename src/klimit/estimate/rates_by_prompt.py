"""0/1 rewards, prompt by prompt: what a prompt's count of successes says with those of all others.

A prompt of no successes in M draws may be hopeless or hard, and which of the two is usual the other
prompts tell. Their pass rates are a mixture; the rate of one prompt has that mixture as its prior.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from klimit.estimate import rate_law
from klimit.estimate.kernel import Floats
from klimit.estimate.pass_rates import RATES, binomial
from klimit.estimate.samples import Integers, Samples

_STEPS = 200  # of expectation maximisation, from all rates alike
_OF_LAW = 1000  # prompts that the law is found from, at most


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
        if np.ptp(below[mixed]) > near:
            return None
        # another best reward would change the variance, and a third below the two add to it
        two = share * (1 - share) * step**2
        solved, unsolved = np.abs(samples.means - high) <= near, np.abs(samples.means - low) <= near
        alike = np.abs(samples.variances - two) <= near * step
        if not np.where(mixed, alike, solved | unsolved).all():
            return None
        successes = np.where(mixed, samples.ties, np.where(solved, samples.counts, 0))
        return cls(successes.astype(np.int64), samples.counts.astype(np.int64), step)

    def expected(self, *functions: Callable[[Floats], Floats]) -> list[Floats]:
        """(prompts,) each: the mean of a function of a prompt's pass rate, given the counts."""
        pairs = np.stack([self.successes, self.counts])
        seen, which, times = np.unique(pairs, axis=1, return_inverse=True, return_counts=True)
        likelihood = _likelihood(seen, RATES)
        posterior = _posterior(likelihood, _mixture(likelihood, times))
        return [(posterior @ function(RATES))[which.ravel()] for function in functions]


def likely_means(
    successes: Floats, counts: Integers, of_rate: Callable[[Floats, float], Floats], points: Floats
) -> Floats:
    """(2, points) mean over prompts of a function of the pass rate, as two priors have it.

    The mean given each prompt's own count, where rates have the mixture that the counts of all prompts
    show, and where they have the beta law of `rate_law`. Either reads every prompt by all of its samples,
    however few others have.

    Parameters
    ----------
    successes, counts : (prompts,) rewards of one, and rewards, in canonical order
    of_rate : of pass rates and a point
    """
    pairs = np.stack([successes, counts])
    seen, times = np.unique(pairs, axis=1, return_counts=True)
    likelihood = _likelihood(seen, RATES)
    law = rate_law.rate_chances(successes[:_OF_LAW], counts[:_OF_LAW].astype(float))
    priors = (
        (RATES, likelihood, _mixture(likelihood, times)),
        (rate_law.RATES, _likelihood(seen, rate_law.RATES), law),
    )
    found = np.empty((2, len(points)))
    for value, (rates, chance, prior) in zip(found, priors, strict=True):
        share = times @ _posterior(chance, prior) / times.sum()
        value[:] = [share @ of_rate(rates, float(point)) for point in points]
    return found


def _likelihood(seen: Floats | Integers, rates: Floats) -> Floats:
    """(pairs, rates) chance of successes and counts, the two rows of `seen`."""
    return binomial(seen[0][:, None], seen[1][:, None], rates)


def _mixture(likelihood: Floats, times: Integers) -> Floats:
    """Shares of the rates in a mixture that shows these counts, each so many times."""
    prior = np.full(likelihood.shape[1], 1 / likelihood.shape[1])
    for _ in range(_STEPS):
        prior = times @ _posterior(likelihood, prior) / times.sum()
    return prior


def _posterior(likelihood: Floats, prior: Floats) -> Floats:
    joint = likelihood * prior
    return np.asarray(joint / np.maximum(joint.sum(axis=1, keepdims=True), 1e-300))
