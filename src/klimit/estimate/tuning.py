"""The best setting of a rule, and what it keeps on prompts that it was not chosen by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from klimit._estimate import Estimate
from klimit.estimate.best_of_n.prompt_means import mean_of_prompts
from klimit.estimate.kernel import Floats
from klimit.estimate.samples import Integers

_SPLITS = 50


@dataclass(frozen=True)
class Tuning:
    """A choice among settings.

    Attributes
    ----------
    chosen : the setting with the highest mean over all prompts; the mildest of equals
    held_out : (prompts,) what the setting that the half without this prompt would choose keeps on
        it, mean over random halves
    optimism : how much more the chosen setting keeps on the prompts that chose it
    agreed : share of halves that choose the same setting
    """

    chosen: int
    held_out: Floats
    optimism: float
    agreed: float


def tune(values: Floats, order: Sequence[int] | Integers, *, seed: int = 0) -> Tuning:
    """Choose the setting of the highest mean; judge it by prompts that did not choose.

    Prompts are split into halves at random, many times, and each half judges what the other half
    chooses, so the mean is unbiased for a rule tuned on half as many prompts. Leaving out single
    prompts instead would be unstable: between settings that are about as good, every prompt votes
    against the setting that serves itself best.

    Parameters
    ----------
    values : (settings, prompts), from the mildest setting to the strongest
    order : (prompts,) the prompts in an order that depends on their content alone

    Examples
    --------
    >>> tuned = tune(np.array([[0.0, 0.0, 0.0, 0.0], [3.0, 2.0, 2.5, 2.0]]), range(4))
    >>> tuned.chosen, tuned.held_out.tolist(), tuned.agreed
    (1, [3.0, 2.0, 2.5, 2.0], 1.0)
    """
    prompts = values.shape[1]
    chosen = int(np.argmax(np.sort(values, axis=1).sum(axis=1)))
    if prompts < 2:
        return Tuning(chosen, np.full(prompts, np.nan), np.nan, np.nan)
    sorted_values = values[:, np.asarray(order)]
    rng = np.random.default_rng([seed, prompts])
    first = np.argsort(rng.random((_SPLITS, prompts)), axis=1) < prompts // 2
    by_first = first @ sorted_values.T
    by_second = sorted_values.sum(axis=1) - by_first
    picks = np.argmax(by_first, axis=1), np.argmax(by_second, axis=1)
    held_out = np.empty(prompts)
    held = np.where(first, sorted_values[picks[1]], sorted_values[picks[0]])
    held_out[np.asarray(order)] = held.mean(axis=0)
    gained = np.sort(values[chosen]).mean() - np.sort(held_out).mean()
    agreed = np.mean([picks[0] == chosen, picks[1] == chosen])
    return Tuning(chosen, held_out, max(float(gained), 0.0), float(agreed))


def tuned_mean(found: Tuning, level: float) -> Estimate:
    """Gold gain of the tuned rule; the optimism of the choice counts as a doubt of its size."""
    return mean_of_prompts(found.held_out[None], level, doubt=found.optimism)[0]
