"""Ensembles of reward models: what averaging removes, and what shared error leaves.

Member i reports gold plus an error of its own; errors have variance tau^2 and correlate by rho.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from klimit._errors import ArgumentError
from klimit.theory._check import (
    ArrayLike,
    Floats,
    broadcast,
    choice,
    coefficient,
    count,
    distribution,
    fraction,
    numbers,
    positive,
    require,
)
from klimit.theory._prompts import filled_stack


def ensemble_reward(
    members: ArrayLike,
    *,
    how: Literal["mean", "minimum", "uncertainty"] = "mean",
    weights: ArrayLike | None = None,
    penalty: float | None = None,
    base: ArrayLike | None = None,
) -> Floats:
    """What reward does an ensemble give each outcome?

    ``sum w_i r_i``, ``min r_i``, or ``sum w_i r_i - penalty sum w_i (r_i - mean)^2``.

    Parameters
    ----------
    members : (members, ..., outcomes) finite rewards, one reward model per row of the first axis; ragged
        prompts as for `tilt`
    how : "mean"; "minimum", the worst case over members; "uncertainty", the mean minus `penalty`
        times the variance between members
    weights : (members,) for "mean" and "uncertainty": not negative for a variance to make sense,
        sum one (within 1e-6); equal by default. `optimal_member_weights` may give negative ones,
        which "mean" accepts.
    penalty : for "uncertainty": 1 / reward units, at least 0. The variance divides by the number of
        members, not by one less.
    base : (..., outcomes) where given, each member is first centred under it. Bradley-Terry rewards
        are fixed only up to a constant on each prompt; the mean does not see the constants, but the
        minimum and the variance do.

    Returns
    -------
    (..., outcomes) reward units

    Raises
    ------
    ArgumentError
        Where an argument is not as above.

    References
    ----------
    Coste et al., arXiv 2310.02743 (mean, worst-case and uncertainty-weighted optimisation);
    Eisenstein et al., arXiv 2312.09244.

    Examples
    --------
    >>> members = [[0.0, 1.0, 4.0], [0.0, 1.0, 2.0]]
    >>> [ensemble_reward(members, how=how).tolist() for how in ("mean", "minimum")]
    [[0.0, 1.0, 3.0], [0.0, 1.0, 2.0]]
    >>> ensemble_reward(members, how="uncertainty", penalty=0.5).tolist()
    [0.0, 1.0, 2.5]
    """
    choice(how, "how", ("mean", "minimum", "uncertainty"))
    rewards, _ = _members(members, base)
    share = _member_weights(weights, rewards.shape[0], signed=how == "mean")
    if how != "uncertainty" and penalty is not None:
        raise ArgumentError(f'penalty belongs to how="uncertainty"; got it with how="{how}".')
    if how == "minimum":
        if weights is not None:
            raise ArgumentError('weights belong to "mean" and "uncertainty"; the minimum has none.')
        return np.asarray(rewards.min(axis=0))
    average = np.tensordot(share, rewards, axes=1)
    if how == "mean":
        return np.asarray(average)
    price = numbers(np.nan if penalty is None else penalty, "penalty")
    if price.ndim or not 0 <= price < np.inf:
        raise ArgumentError(
            'how="uncertainty" needs a penalty of at least 0 (1 / reward units); '
            f"got {str(penalty)[:40]!r}."
        )
    return np.asarray(average - price * np.tensordot(share, (rewards - average) ** 2, axes=1))


def member_disagreement(members: ArrayLike, base: ArrayLike) -> Floats:
    """How much do members disagree, and so how much of their error would averaging remove?

    The variance between members (dividing by their number less one) of the rewards centred under
    the base, averaged over the base. Where errors have variance tau^2 and correlation rho it is
    ``tau^2 (1 - rho)`` on average; it says nothing about the shared error, ``rho tau^2``.

    Parameters
    ----------
    members : (members, ..., outcomes) finite rewards of at least two members
    base : (..., outcomes) as for `tilt`

    Returns
    -------
    (...) reward units squared

    Raises
    ------
    ArgumentError
        Where an argument is not as above.

    References
    ----------
    arXiv 2605.07105, section 4 (ensembles); Eisenstein et al., arXiv 2312.09244 (shared error).

    Examples
    --------
    >>> members = [[0.0, 1.0, 4.0], [0.0, 1.0, 2.0]]
    >>> float(member_disagreement(members, [0.5, 0.3, 0.2]).round(6))
    0.32

    A bias that both members share leaves no trace:

    >>> biased = [[9.0, 1.0, 4.0], [9.0, 1.0, 2.0]]
    >>> float(member_disagreement(biased, [0.5, 0.3, 0.2]).round(6))
    0.32
    """
    rewards, prob = _members(members, base)
    if rewards.shape[0] < 2:
        raise ArgumentError("members must be at least two to disagree; got 1.")
    spread = rewards.var(axis=0, ddof=1)
    return np.asarray((prob * spread).sum(axis=-1))


@dataclass(frozen=True, slots=True, eq=False)
class EnsembleError:
    """The error of a mean of k members, and what it does to the policies that optimise it.

    Attributes
    ----------
    members : (...) k
    variance : (...) reward units squared
    floor : (...) ``rho tau^2``: the shared error, which any number of members leaves and no
        disagreement shows
    disagreement : (...) ``tau^2 (1 - rho)``: the variance between members
    """

    members: Floats
    variance: Floats
    floor: Floats
    disagreement: Floats

    def regret(self, *, beta: ArrayLike) -> Floats:
        """What is lost of E[gold] - beta KL at this beta? ``variance / (2 beta)``, reward units.

        Exact for normal rewards, to second order in 1 / beta for others.
        """
        variance, b = broadcast(variance=self.variance, beta=coefficient(beta))
        return 0.5 * variance / b

    def efficiency(self, *, gold_variance: ArrayLike) -> Floats:
        """Which share of the gold gain possible at its KL is reached?

        ``1 / sqrt(1 + variance / gold_variance)``, the correlation of the ensemble with gold where
        errors are independent of gold; exact for normal rewards.
        """
        gold = positive(gold_variance, "gold_variance")
        variance, gold = broadcast(variance=self.variance, gold_variance=gold)
        return 1.0 / np.sqrt(1.0 + variance / gold)


def ensemble_error(
    members: ArrayLike, *, error_variance: ArrayLike, correlation: ArrayLike
) -> EnsembleError:
    """How much error is left after averaging this many reward models?

    ``tau^2 (rho + (1 - rho) / k)`` falls towards ``rho tau^2``, not to zero: averaging mitigates
    over-optimisation and does not remove it.

    Parameters
    ----------
    members : (...) numbers of members k, at least 1
    error_variance : (...) tau^2, variance under the base of one member's error, reward units
        squared, positive
    correlation : (...) rho between the errors of two members, at most 1 and at least 0. (Negative
        correlations cannot hold for many members at once.)

    Returns
    -------
    EnsembleError

    Raises
    ------
    ArgumentError
        Where an argument is not as above.

    References
    ----------
    arXiv 2605.07105, section 4 (ensembling); Eisenstein et al., arXiv 2312.09244 (what remains).

    Examples
    --------
    >>> left = ensemble_error([1, 4, 1000], error_variance=0.25, correlation=0.3)
    >>> left.variance.round(4).tolist(), float(left.floor[0])
    ([0.25, 0.1188, 0.0752], 0.075)
    >>> left.regret(beta=0.5).round(4).tolist()
    [0.25, 0.1188, 0.0752]
    >>> left.efficiency(gold_variance=1.0).round(4).tolist()
    [0.8944, 0.9454, 0.9644]
    """
    k, tau2, rho = broadcast(
        members=count(members, "members"),
        error_variance=positive(error_variance, "error_variance"),
        correlation=fraction(correlation, "correlation"),
    )
    own = tau2 * (1.0 - rho)
    return EnsembleError(k, tau2 * rho + own / k, tau2 * rho, own)


def members_needed(share: ArrayLike) -> Floats:
    """How many members go this share of the way from one member's error to the shared floor?

    ``1 / (1 - share)``, rounded up: 2 members go half the way, 10 go nine tenths, whatever the
    error and its correlation. The same share holds for the regret.

    Parameters
    ----------
    share : (...) between 0 and 1

    Returns
    -------
    (...) whole numbers; infinite for a share of 1, since no ensemble reaches the floor

    Raises
    ------
    ArgumentError
        Where an argument is not as above.

    References
    ----------
    Follows from the error variance of `ensemble_error` (arXiv 2605.07105, section 4).

    Examples
    --------
    >>> members_needed([0.0, 0.5, 0.9, 1.0]).tolist()
    [1.0, 2.0, 10.0, inf]
    """
    part = fraction(share, "share")
    with np.errstate(divide="ignore"):
        return np.ceil(1.0 / (1.0 - part) * (1 - 1e-12))  # 1 / (1 - 0.9) rounds above 10


def _members(members: ArrayLike, base: ArrayLike | None) -> tuple[Floats, Floats]:
    """Return rewards, centred where a base is given, and the base (1 without)."""
    members, base = filled_stack(members, "members", base=base)
    rewards = numbers(members, "members")
    if rewards.ndim < 2 or rewards.shape[0] == 0:
        raise ArgumentError(
            "members must be (members, ..., outcomes), one reward model per row; "
            f"got shape {rewards.shape}."
        )
    prob = np.ones(1) if base is None else distribution(base)
    try:
        possible = np.broadcast_to(prob > 0, rewards.shape)
    except ValueError:
        raise ArgumentError(
            f"base must broadcast against one member's rewards, {rewards.shape[1:]}; "
            f"got shape {prob.shape}."
        ) from None
    rewards = np.where(possible, rewards, 0.0)  # never read where the base never goes
    require(rewards, np.isfinite(rewards), "members must be finite")
    if base is not None:
        mean = (prob * rewards).sum(axis=-1, keepdims=True)
        rewards = np.where(possible, rewards - mean, 0.0)
    return rewards, prob


def _member_weights(values: ArrayLike | None, members: int, *, signed: bool) -> Floats:
    if values is None:
        return np.full(members, 1.0 / members)
    weights = numbers(values, "weights")
    if weights.shape != (members,):
        raise ArgumentError(f"weights must be one per member, ({members},); got {weights.shape}.")
    if not np.isfinite(weights).all() or (not signed and (weights < 0).any()):
        allowed = "finite" if signed else "finite and not negative"
        raise ArgumentError(f"weights must be {allowed}; got {weights.tolist()}."[:200])
    if abs(weights.sum() - 1) > 1e-6:
        raise ArgumentError(f"weights must sum to one (within 1e-6); got {float(weights.sum())!r}.")
    return weights
