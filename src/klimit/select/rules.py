"""Which of the answers drawn for a prompt should be kept? Rules that read nothing but rewards.

Every rule takes the rewards of N candidates and gives each its probability to be kept, so that a
rule can be judged without drawing; `draw` then draws. Equal rewards have equal probabilities.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from klimit._errors import ArgumentError, DataError
from klimit.estimate.checks import check_seed

Floats = NDArray[np.float64]


def best_of_n(rewards: ArrayLike) -> Floats:
    """Keep the candidate of the highest reward; equals share.

    Parameters
    ----------
    rewards : (..., candidates) reward units; NaN where a candidate has none: it is never kept

    Returns
    -------
    (..., candidates) probabilities to be kept

    Raises
    ------
    ArgumentError, DataError
        Where rewards are no numbers or infinite, or a prompt has no candidate with a reward.

    Examples
    --------
    >>> best_of_n([[0.0, 2.0, 1.0, 2.0]]).tolist()
    [[0.0, 0.5, 0.0, 0.5]]
    """
    below, present = _below_the_best(rewards)
    kept = present & (below == 0)
    return np.asarray(kept / kept.sum(axis=-1, keepdims=True))


def soft_best_of_n(rewards: ArrayLike, *, beta: float) -> Floats:
    """Keep a candidate with a probability in proportion to ``exp(reward / beta)``.

    As N grows this becomes the optimal policy of the KL coefficient `beta`; as beta goes to 0 it
    is best-of-N.

    Parameters
    ----------
    rewards : (..., candidates) reward units; NaN where a candidate has none: it is never kept
    beta : reward units per nat, positive; infinity keeps any candidate with equal chances

    Returns
    -------
    (..., candidates) probabilities to be kept

    Raises
    ------
    ArgumentError, DataError
        As `best_of_n`, and where `beta` is not positive.

    References
    ----------
    arXiv 2505.03156 (soft best-of-n).

    Examples
    --------
    >>> soft_best_of_n([0.0, 1.0], beta=1.0).round(4).tolist()
    [0.2689, 0.7311]
    """
    below, present = _below_the_best(rewards)
    return soft_weights(below, present, _positive(beta))


def pessimism(rewards: ArrayLike, *, beta: float) -> Floats:
    """Keep a candidate with a probability in proportion to ``relu(reward - threshold)``.

    With the threshold at which the weights ``w = relu((reward - threshold) / beta)`` have the mean
    one over the N candidates, w / N maximises ``E[reward] - beta / 2 * E[w^2]``: a candidate may
    not be relied on much more often than the base model writes it, since a proxy that is wrong
    somewhere is wrong where it promises most. What lies under the threshold is never kept.

    Parameters
    ----------
    rewards : (..., candidates) reward units; NaN where a candidate has none: it is never kept
    beta : reward units, positive; infinity keeps any candidate with equal chances, and the smaller
        beta, the nearer to best-of-N

    Returns
    -------
    (..., candidates) probabilities to be kept

    Raises
    ------
    ArgumentError, DataError
        As `best_of_n`, and where `beta` is not positive.

    Notes
    -----
    Rejection with N candidates: draw one of them at random, keep it with probability w over the
    largest w, and begin again otherwise.

    References
    ----------
    Huang et al., arXiv 2503.21878 (inference-time pessimism). As a policy on a known base it is
    ``klimit.theory.f_tilt(..., divergence="chi-square", beta=beta / 2)``.

    Examples
    --------
    >>> pessimism([0.0, 1.0, 2.0, 3.0], beta=1.0).round(4).tolist()
    [0.0, 0.0833, 0.3333, 0.5833]
    """
    below, present = _below_the_best(rewards)
    return pessimistic_weights(below, present, _positive(beta))


def rejection(rewards: ArrayLike, *, beta: float, bound: float) -> Floats:
    """Keep the first candidate that is accepted, with probability ``exp((reward - bound) / beta)``.

    Candidates stand in the order in which they were drawn, so later ones need not be drawn once one
    is accepted; what is accepted follows the optimal policy of `beta` exactly. If none is, the
    choice is that of `soft_best_of_n`.

    Parameters
    ----------
    rewards : (..., candidates) reward units, in the order drawn; NaN where a candidate has none
    beta : reward units per nat, positive and finite
    bound : no lower than any possible reward, reward units. Every beta that it lies too high costs
        a factor of e in draws (`klimit.theory.rejection_sampling`)

    Returns
    -------
    (..., candidates) probabilities to be kept

    Raises
    ------
    ArgumentError, DataError
        As `best_of_n`, and where `beta` is not positive and finite or a reward exceeds `bound`.

    Examples
    --------
    >>> rejection([0.0, 1.0, 1.0], beta=1.0, bound=1.0).round(4).tolist()
    [0.3679, 0.6321, 0.0]
    """
    below, present = _below_the_best(rewards)
    price, highest = _positive(beta), _number(bound)
    best = np.nanmax(np.asarray(rewards, dtype=float), axis=-1)
    most = best.max(initial=-np.inf)
    if not (np.isfinite(price) and np.isfinite(highest) and highest >= most):
        raise ArgumentError(
            "rejection needs a finite beta, and a finite bound that no reward exceeds; got "
            f"beta={price:g}, bound={highest:g} and a reward of {most:g}."
        )
    room = (highest - best)[..., None]
    with np.errstate(under="ignore"):
        accepted = np.where(present, np.exp((below - room) / price), 0.0)
    missed = np.cumprod(1.0 - accepted, axis=-1)
    before = np.concatenate([np.ones_like(missed[..., :1]), missed[..., :-1]], axis=-1)
    return np.asarray(accepted * before + missed[..., -1:] * soft_weights(below, present, price))


def draw(probabilities: ArrayLike, *, seed: int = 0) -> NDArray[np.int64]:
    """Draw the candidate to keep for every prompt.

    Parameters
    ----------
    probabilities : (..., candidates) of a rule; they sum to one along the last axis
    seed : the same seed keeps the same candidates

    Returns
    -------
    (...) index of the candidate

    Raises
    ------
    ArgumentError
        Where the probabilities are negative or do not sum to one, or the seed is no whole number.

    Examples
    --------
    >>> draw(best_of_n([[0.0, 2.0, 1.0], [5.0, 1.0, 0.0]])).tolist()
    [1, 0]
    """
    check_seed(seed)
    chance = _array(probabilities)
    total = chance.sum(axis=-1) if chance.ndim else np.zeros(1)
    if not (np.all(chance >= 0) and np.all(np.abs(total - 1) < 1e-6)):
        raise ArgumentError(
            "probabilities must be at least 0 and sum to one along the last axis, as the rules of "
            "klimit.select return them."
        )
    reached = np.cumsum(chance, axis=-1)
    point = np.random.default_rng(seed).random(chance.shape[:-1])[..., None] * reached[..., -1:]
    return np.asarray((reached <= point).sum(axis=-1), dtype=np.int64)


def soft_weights(below: Floats, present: Any, beta: float) -> Floats:
    """Soft best-of-N's probabilities; `below`: rewards less the best of the prompt, at most 0."""
    with np.errstate(under="ignore"):
        weight = np.exp(below / beta) * present
    return np.asarray(weight / weight.sum(axis=-1, keepdims=True))


def pessimistic_weights(below: Floats, present: Any, beta: float) -> Floats:
    """`pessimism`'s probabilities; `below`: rewards less the best of the prompt, at most 0.

    With the k best above the threshold, the threshold is ``(their sum - N beta) / k``; k is the
    largest at which the k-th still lies above it.
    """
    n = np.broadcast_to(present, below.shape).sum(axis=-1, keepdims=True)
    if beta == np.inf:
        return np.asarray(np.where(present, 1.0 / n, 0.0))
    ranked = np.sort(np.where(present, below, -np.inf), axis=-1)[..., ::-1]
    inside = ranked > -np.inf
    ranked = np.where(inside, ranked, 0.0)
    sums = np.cumsum(ranked, axis=-1)
    k = np.arange(1, below.shape[-1] + 1)
    active = (inside & (k * ranked - sums > -n * beta)).sum(axis=-1, keepdims=True)
    threshold = (np.take_along_axis(sums, active - 1, axis=-1) - n * beta) / active
    weight = np.where(present, np.maximum(below - threshold, 0.0), 0.0)
    return np.asarray(weight / weight.sum(axis=-1, keepdims=True))


def _below_the_best(rewards: ArrayLike) -> tuple[Floats, Any]:
    """Rewards less the prompt's best (0 where missing), and which are there."""
    values = _array(rewards)
    if values.ndim == 0 or values.shape[-1] == 0:
        raise ArgumentError(
            "rewards must be numbers in an array of (..., candidates), NaN where one is missing; "
            f"got {str(rewards)[:40]!r}."
        )
    present = ~np.isnan(values)
    if np.isinf(values).any():
        raise DataError("an infinite reward was seen; clip it, or write a missing one as NaN.")
    if not present.any(axis=-1).all():
        lost = int((~present.any(axis=-1)).sum())
        raise DataError(
            f"{lost:,} of the prompts have no candidate with a reward; leave those prompts out."
        )
    best = np.where(present, values, -np.inf).max(axis=-1, keepdims=True)
    return np.where(present, values - best, 0.0), present


def _positive(beta: Any) -> float:
    price = _number(beta)
    if not price > 0:
        raise ArgumentError(f"beta must be a positive number (reward units); got {beta!r}.")
    return price


def _number(value: Any) -> float:
    """The number that is meant, nan if none is."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return np.nan


def _array(values: Any) -> Floats:
    """The numbers that are meant, an array without axes if none are."""
    try:
        return np.asarray(values, dtype=float)
    except (TypeError, ValueError):
        return np.empty(())
