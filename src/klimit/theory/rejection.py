"""Rejection sampling: exact draws from a tilt or any other policy, and how many draws they take."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from klimit.theory._check import (
    ArrayLike,
    Floats,
    broadcast,
    budget,
    coefficient,
    interior,
    numbers,
    require,
    same_leading,
)
from klimit.theory._outcomes import measure
from klimit.theory.tilt import known


@dataclass(frozen=True, slots=True, eq=False)
class RejectionSampling:
    """What it takes to draw from an optimal tilt by accepting or rejecting draws of the base.

    Attributes
    ----------
    log_expected_draws : (...) nats: the log of the largest weight that the rule allows for. With
        the highest reward as bound this is the Renyi divergence of order infinity of the tilt.
    """

    log_expected_draws: Floats

    @property
    def expected_draws(self) -> Floats:
        """Mean number of base draws per accepted one; infinite above 1.8e308."""
        with np.errstate(over="ignore"):
            return np.exp(self.log_expected_draws)

    @property
    def acceptance_rate(self) -> Floats:
        """Chance that a draw of the base is accepted, 1 / expected_draws."""
        with np.errstate(under="ignore"):
            return np.exp(-self.log_expected_draws)

    def draws(self, *, failure: ArrayLike) -> Floats:
        """How many draws until one is accepted but for this chance? ``log(failure) / log(1 - a)``.

        Also the draws after which stopping (with any answer) is within `failure` of the tilt in
        total variation. Not rounded to whole numbers; at least 1, infinite above 1.8e308.
        """
        missed = interior(failure, "failure")
        a = self.acceptance_rate
        with np.errstate(over="ignore", divide="ignore"):
            rare = -np.log(missed) * self.expected_draws  # log(1 - a) is -a to the last digit
            needed = np.where(a > 1e-17, np.log(missed) / np.log1p(-a), rare)
        return np.maximum(needed, 1.0)


def rejection_sampling(
    base: ArrayLike,
    reward: ArrayLike,
    *,
    beta: ArrayLike,
    reward_bound: ArrayLike | None = None,
) -> RejectionSampling:
    """How many draws of the base does one exact draw of the optimal tilt take?

    Accept a draw with probability ``exp((reward - bound) / beta)``: what is accepted follows the
    tilt exactly, and the rate is ``a = E_base exp((reward - bound) / beta)``. With the highest
    possible reward as bound the expected draws 1 / a are the largest weight ``max policy / base``,
    the least that any exact rule can do.

    Parameters
    ----------
    base, reward : (..., outcomes) as for `tilt`
    beta : (...) reward units per nat, positive; broadcast against the axes before the outcomes
    reward_bound : (...) no lower than any possible reward, broadcast like `beta`; by default the
        highest. Every beta that it lies too high costs a factor of e.

    Returns
    -------
    RejectionSampling

    Raises
    ------
    ArgumentError
        Where an argument is not as above.

    References
    ----------
    Von Neumann's rule, with the weights of the tilt of arXiv 2605.07105, section 3.

    Examples
    --------
    >>> sampling = rejection_sampling([0.5, 0.3, 0.2], [0, 1, 4], beta=[2.0, 0.5])
    >>> sampling.expected_draws.round(4).tolist()
    [2.9886, 4.9773]
    >>> sampling.draws(failure=0.01).round(2).tolist()
    [11.3, 20.53]
    """
    law, b = known(base, reward), coefficient(beta)
    same_leading(law.prob, b, "beta")
    tilted = measure(law, b)
    at_top = (law.prob > 0) & (law.below_top == 0)
    log_draws = np.where(at_top, tilted.log_ratio, -np.inf).max(axis=-1)
    if reward_bound is not None:
        bound = numbers(reward_bound, "reward_bound")
        same_leading(law.prob, bound, "reward_bound")
        highest = law.mean + law.top
        with np.errstate(invalid="ignore", over="ignore"):
            room = bound - highest
            high = (room >= -8 * np.finfo(float).eps * np.abs(highest)) & (room < np.inf)
            rule = "reward_bound must be finite and no lower than any possible reward"
            require(np.broadcast_to(bound, high.shape), high, rule)
            log_draws = log_draws + np.maximum(room, 0.0) / b
    return RejectionSampling(np.maximum(log_draws, 0.0))


def approximate_rejection_draws(kl: ArrayLike, *, error: ArrayLike, log: bool = False) -> Floats:
    """How many draws of the base always suffice to imitate a policy, knowing only its KL?

    ``2 / (1 - e) log(2 / e) exp(4 KL / e)``, at least 2: with so many draws, rejection sampling
    with weights capped at ``exp(4 KL / e)`` returns one of them whose law is within e of the policy
    in total variation, whatever policy and base.

    Parameters
    ----------
    kl : (...) KL(policy || base), nats, at least 0
    error : (...) e, the total variation that may remain, strictly between 0 and 1; broadcast
        against `kl`
    log : return the natural log of the number instead, for numbers past 1.8e308

    Returns
    -------
    (...) draws, not rounded; infinite above 1.8e308, unless `log`

    Raises
    ------
    ArgumentError
        Where an argument is not as above.

    References
    ----------
    Block and Polyanskiy, arXiv 2302.04658, for ``f(w) = w log w - w + 1``.

    Examples
    --------
    >>> float(approximate_rejection_draws(0.5, error=0.5).round(2)), float(
    ...     approximate_rejection_draws(10.0, error=0.01, log=True).round(2)
    ... )
    (302.76, 4002.37)
    """
    spent, e = broadcast(kl=budget(kl), error=interior(error, "error"))
    log_draws = np.log(2.0) - np.log1p(-e) + np.log(np.log(2.0 / e)) + 4.0 * (spent / e)
    least = np.maximum(log_draws, np.log(2.0))
    with np.errstate(over="ignore"):
        return np.asarray(least if log else np.exp(least))
