"""The gain of a policy over the base, in the three forms of arXiv 2605.07105, section 3.

A difference of means holds for every policy, the covariance for every reweighting of the base, and
beta times Jeffreys for the optimal tilt alone. On that tilt the three agree.
"""

from __future__ import annotations

import numpy as np

from klimit.theory._check import (
    ArrayLike,
    Floats,
    broadcast,
    coefficient,
    distribution,
    numbers,
    require,
)
from klimit.theory._outcomes import change_terms, reweighted
from klimit.theory._prompts import filled
from klimit.theory.divergences import jeffreys
from klimit.theory.tilt import known


def gain(policy: ArrayLike, base: ArrayLike, reward: ArrayLike) -> Floats:
    """How much more reward does this policy earn than the base? A difference of means.

    ``E_policy[reward] - E_base[reward]``, for any policy.

    Parameters
    ----------
    policy, base : (..., outcomes) as for `kl`
    reward : (..., outcomes) finite, reward units; not read where both have probability 0

    Returns
    -------
    (...) reward units

    Raises
    ------
    ArgumentError
        Where an argument is not as above.

    References
    ----------
    arXiv 2605.07105, section 3.

    Examples
    --------
    >>> float(gain([0.2, 0.4, 0.4], [0.5, 0.3, 0.2], [0, 1, 4]).round(6))
    0.9
    """
    policy, base, reward = filled(policy=policy, base=base, reward=reward)
    p, q, values = broadcast(
        policy=distribution(policy, "policy"),
        base=distribution(base),
        reward=numbers(reward, "reward"),
    )
    read = (p > 0) | (q > 0)
    usable = ~read | np.isfinite(values)
    require(values, usable, "reward must be finite wherever policy or base has probability")
    values = np.where(read, values, 0.0)
    # Centred, so that a large offset costs no digits.
    return np.asarray(((p - q) * (values - (q * values).sum(axis=-1, keepdims=True))).sum(axis=-1))


def covariance_gain(base: ArrayLike, reward: ArrayLike, *, log_weight: ArrayLike) -> Floats:
    """How much does reweighting the base gain? A covariance under the base alone.

    ``Cov_base(reward, w) / E_base[w]``, the gain of the policy in proportion to ``base * w``: with
    ``log_weight = reward / beta`` the gain of the optimal tilt, which is how a limit is measured
    before anything is trained.

    Parameters
    ----------
    base : (..., outcomes) as for `tilt`
    reward : (..., outcomes) reward units, finite where the base has probability
    log_weight : (..., outcomes) log w, up to a constant; minus infinity for weight 0

    Returns
    -------
    (...) reward units

    Raises
    ------
    ArgumentError
        Where an argument is not as above, or all weights of a prompt are 0.

    References
    ----------
    arXiv 2605.07105, section 3.

    Examples
    --------
    >>> base, reward = [0.5, 0.3, 0.2], np.array([0.0, 1.0, 4.0])
    >>> float(covariance_gain(base, reward, log_weight=reward / 2).round(4))
    1.4909
    """
    base, reward, log_weight = filled(base=base, reward=reward, log_weight=log_weight)
    law = known(base, reward)
    prob, u = broadcast(base=law.prob, log_weight=numbers(log_weight, "log_weight"))
    u = np.where(prob > 0, u, -np.inf)
    highest = u.max(axis=-1, keepdims=True)
    require(
        u,
        (u < np.inf) & (highest > -np.inf),
        "log_weight must be a number or minus infinity, and not minus infinity for all outcomes of a "
        "prompt",
    )
    with np.errstate(under="ignore"):
        below = u - highest
        moved = (prob * np.expm1(below)).sum(axis=-1, keepdims=True)  # E[w / max w] - 1
        z = (prob * np.exp(below)).sum(axis=-1, keepdims=True)
        log_z = np.where(z > 0.5, np.log1p(np.maximum(moved, -0.5)), np.log(z))
        ratio = below - log_z
        policy = reweighted(prob, law.log_prob, ratio)
        return np.asarray((law.centred * change_terms(prob, policy, ratio)).sum(axis=-1))


def jeffreys_gain(policy: ArrayLike, base: ArrayLike, *, beta: ArrayLike) -> Floats:
    """How much does the optimal tilt gain, from its distances to the base alone?

    ``beta * (KL(policy || base) + KL(base || policy))``: exact where `policy` is the tilt of the
    base at this beta, and no statement about any other policy.

    Parameters
    ----------
    policy, base : (..., outcomes) as for `kl`
    beta : (...) reward units per nat, positive

    Returns
    -------
    (...) reward units; infinite unless both have the same support

    Raises
    ------
    ArgumentError
        Where an argument is not as above.

    References
    ----------
    arXiv 2605.07105, section 3 (the Jeffreys form, exact where sqrt(KL) laws are only bounds).

    Examples
    --------
    >>> from klimit.theory import tilt
    >>> best = tilt([0.5, 0.3, 0.2], [0, 1, 4], beta=2.0)
    >>> float(jeffreys_gain(best.policy, [0.5, 0.3, 0.2], beta=2.0).round(4))
    1.4909
    """
    apart, b = broadcast(jeffreys=jeffreys(policy, base), beta=coefficient(beta))
    with np.errstate(invalid="ignore"):
        return np.where(apart > 0, b * apart, 0.0)
