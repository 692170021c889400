"""Which beta spends this budget? Roots in log(1 / beta), where KL and gain both rise.

A solved beta is exact to about 1e-14; it is 0 where a prompt (or the average) is saturated and
infinite where nothing is to be spent.
"""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from klimit.theory._check import Floats
from klimit.theory._outcomes import Outcomes, spend
from klimit.theory._root import increasing_root

_AT_LIMIT = 1.0 - 1e-14  # budgets from this fraction of the limit on count as saturated


def variance(known: Outcomes) -> Floats:
    """Return the reward's variance per prompt under the base."""
    return known.total(known.prob * known.centred**2)


def mean(weights: Floats, by_prompt: Floats) -> Floats:
    """Average over prompts; one of weight 0 counts for nothing, even where it is infinite."""
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(weights > 0, weights * by_prompt, 0.0).sum(axis=-1))


def _within(wanted: Floats, limit: Floats) -> tuple[Floats, NDArray[np.intp]]:
    """Return betas settled without a search, and which ones need it."""
    beta = np.where(wanted >= limit * _AT_LIMIT, 0.0, np.inf)
    return beta, np.flatnonzero((wanted > 0) & (beta > 0))


def own_betas(known: Outcomes, kl: Floats) -> Floats:
    """Each prompt's beta at its own KL budget, all (prompts,)."""
    beta, searched = _within(kl, known.saturation_kl())
    if searched.size == 0:
        return beta
    wanted = kl[searched]

    def mismatch(log_l: Floats, index: NDArray[np.intp]) -> tuple[Floats, Floats]:
        found = spend(known.take(searched[index]), np.exp(-log_l))
        slope = np.exp(2 * log_l) * found.variance / found.kl
        return np.log(found.kl / wanted[index]), slope

    start = 0.5 * np.log(2 * wanted / variance(known)[searched])
    beta[searched] = np.exp(-increasing_root(mismatch, start))
    return beta


def _shared(
    known: Outcomes,
    weights: Floats,
    wanted: Floats,
    start: Floats,
    what: Literal["kl", "gain"],
) -> Floats:
    """Solve for the beta at which the prompts' mean KL or gain is as wanted.

    d KL / d log l = l^2 Var and d gain / d log l = l Var.
    """
    power = 2 if what == "kl" else 1

    def mismatch(log_l: Floats, index: NDArray[np.intp]) -> tuple[Floats, Floats]:
        value, slope = np.empty_like(log_l), np.empty_like(log_l)
        for i, t in enumerate(log_l):
            found = spend(known, np.asarray(np.exp(-t)))
            value[i] = mean(weights, found.kl if what == "kl" else found.gain)
            slope[i] = np.exp(power * t) * mean(weights, found.variance) / value[i]
        return np.log(value / wanted[index]), slope

    return np.exp(-increasing_root(mismatch, start))


def shared_betas(known: Outcomes, weights: Floats, kl: Floats) -> Floats:
    """Return the one beta of all prompts at each average KL budget, (budgets,)."""
    beta, searched = _within(kl, mean(weights, known.saturation_kl()))
    if searched.size:
        wanted = kl[searched]
        start = 0.5 * np.log(2 * wanted / mean(weights, variance(known)))
        beta[searched] = _shared(known, weights, wanted, start, "kl")
    return beta


def shared_betas_for_gain(known: Outcomes, weights: Floats, gain: Floats) -> Floats:
    """Return the one beta of all prompts at each average gain, between 0 and the ceiling."""
    beta, searched = _within(gain, mean(weights, known.top))
    if searched.size:
        wanted = gain[searched]
        start = np.log(wanted / mean(weights, variance(known)))
        beta[searched] = _shared(known, weights, wanted, start, "gain")
    return beta
