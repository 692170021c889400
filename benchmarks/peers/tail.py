"""Pareto k-hat of every prompt's weights ``exp(reward)``."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def klimit_shapes(rewards: Floats) -> Floats:
    """(prompts,) with `pareto_shape`, a prompt at a time."""
    from klimit.estimate.intervals import pareto_shape

    tail = int(np.ceil(min(0.2 * rewards.shape[1], 3 * np.sqrt(rewards.shape[1]))))
    ascending = np.sort(rewards, axis=1)
    weights = np.exp(ascending[:, -tail - 1 :] - ascending[:, -1:])
    return np.array([pareto_shape(row[1:] - row[0]) for row in weights])


def klimit_tail(rewards: Floats) -> float:
    """One shape of all prompts, pooled and standardised: what `klimit.frontier` asks for."""
    from klimit.estimate.intervals import tail_of

    centred = rewards - rewards.mean(axis=1, keepdims=True)
    return tail_of((centred / centred.std(axis=1, keepdims=True)).ravel()).shape


def arviz_psislw(rewards: Floats) -> Floats:
    """(prompts,) from Pareto-smoothed importance sampling, which also smooths the weights."""
    from arviz_stats.base import array_stats

    shapes: Floats = array_stats.psislw(-rewards)[
        1
    ]  # it takes log-likelihoods, weights are inverse
    return shapes
