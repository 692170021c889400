"""Exponential tilting of known distributions: the optimal policy of KL-regularised alignment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from klimit.theory._check import (
    ArrayLike,
    Floats,
    broadcast,
    coefficient,
    distribution,
    numbers,
    same_leading,
)
from klimit.theory._outcomes import Outcomes, measure, outcomes
from klimit.theory._prompts import filled


class Ceiling(NamedTuple):
    """The most that reweighting the base can gain, and the KL at which it is reached.

    Attributes
    ----------
    gain : (...) highest possible reward minus the mean reward, reward units
    kl : (...) -log P(reward is highest), nats
    """

    gain: Floats
    kl: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Tilt:
    """The optimal policy at one KL coefficient, and what it costs and gains.

    Attributes
    ----------
    policy : (..., outcomes) probabilities
    gain : (...) mean reward over the base's, reward units
    kl : (...) KL(policy || base), nats
    forward_kl : (...) KL(base || policy), nats
    log_partition : (...) log E_base exp(reward / beta), nats
    variance : (...) variance of the reward under the policy, reward units squared
    """

    policy: Floats
    gain: Floats
    kl: Floats
    forward_kl: Floats
    log_partition: Floats
    variance: Floats

    @property
    def jeffreys(self) -> Floats:
        """KL both ways, nats; `beta * jeffreys` is the gain (arXiv 2605.07105, section 3)."""
        return self.kl + self.forward_kl


def known(base: ArrayLike, reward: ArrayLike) -> Outcomes:
    """Check and centre distributions on the last axis, with rewards that broadcast against them."""
    base, reward = filled(base=base, reward=reward)
    prob, values = broadcast(base=distribution(base), reward=numbers(reward, "reward"))
    return outcomes(prob, values)


def tilt(base: ArrayLike, reward: ArrayLike, *, beta: ArrayLike) -> Tilt:
    """What is the best policy if every nat away from the base costs `beta`?

    The maximiser of ``E[reward] - beta * KL(policy || base)`` is ``base * exp(reward / beta) / Z``.
    Its gain is ``beta * jeffreys``, and also the covariance of the reward with ``policy / base``
    under the base.

    Parameters
    ----------
    base : (..., outcomes) probabilities that sum to one along the last axis (within 1e-6), or a
        sequence of 1-D arrays of any lengths, one per prompt: results over outcomes are then filled
        up with zeros. Rewards of outcomes of probability 0 are never read
    reward : (..., outcomes) finite numbers, reward units, broadcast against `base`
    beta : (...) reward units per nat, positive; broadcast against the axes before the outcomes, so
        that betas of shape (b, 1) and prompts of shape (k, outcomes) give results of shape (b, k).
        Infinity leaves the base as it is.

    Returns
    -------
    Tilt
        Everything is finite, except `forward_kl` and `log_partition` where ``reward / beta``
        exceeds what a float holds.

    Raises
    ------
    ArgumentError
        Where an argument is not as above.

    References
    ----------
    arXiv 2605.07105, section 3 (gain as Jeffreys divergence, covariance form); arXiv 2404.01730
    (the optimum in closed form).

    Examples
    --------
    >>> best = tilt([0.5, 0.3, 0.2], [0.0, 1.0, 4.0], beta=2.0)
    >>> float(best.gain.round(4)), float((2.0 * best.jeffreys).round(4))
    (1.4909, 1.4909)
    >>> tilt([0.5, 0.3, 0.2], [0.0, 1.0, 4.0], beta=[0.5, 2.0, 8.0]).kl.round(4).tolist()
    [1.576, 0.3903, 0.0205]
    """
    outcome = known(base, reward)
    b = coefficient(beta)
    same_leading(outcome.prob, b, "beta")
    best = measure(outcome, b)
    at_top = best.log_ratio.max(axis=-1)
    with np.errstate(over="ignore", invalid="ignore"):
        log_z = np.where(  # from the mean or from the highest reward, whichever cancels less
            best.forward_kl < at_top,
            best.forward_kl + outcome.mean / b,
            outcome.reward.max(axis=-1) / b - at_top,
        )
    return Tilt(
        policy=best.policy,
        gain=best.gain,
        kl=best.kl,
        forward_kl=best.forward_kl,
        log_partition=log_z,
        variance=best.variance,
    )


def ceiling(base: ArrayLike, reward: ArrayLike) -> Ceiling:
    """How much can be gained if KL costs nothing, and how many nats does that take?

    The limit of `tilt` at ``beta -> 0``: the base restricted to its best outcomes. Past these nats
    the frontier is flat.

    Parameters
    ----------
    base, reward : (..., outcomes) as for `tilt`

    Returns
    -------
    Ceiling
        ``gain = max reward - E[reward]`` and ``kl = -log P(reward = max reward)``, the maximum
        taken over outcomes of positive probability.

    Raises
    ------
    ArgumentError
        Where an argument is not as above.

    References
    ----------
    The tilt of arXiv 2605.07105, section 3, at beta -> 0.

    Examples
    --------
    A pass rate of one in ten:

    >>> gain, kl = ceiling([0.9, 0.1], [0.0, 1.0])
    >>> float(gain.round(4)), float(kl.round(4))
    (0.9, 2.3026)
    """
    outcome = known(base, reward)
    return Ceiling(outcome.top, outcome.saturation_kl())
