"""Bounds on the gain from how far the policy is, in divergences other than the KL.

They hold for every policy, the optimal or not. Where the divergence of a policy is known in closed
form (`continuous_best_of_n`), they bound what that policy can gain.
"""

from __future__ import annotations

import numpy as np

from klimit.theory._check import ArrayLike, Check, Floats, broadcast, fraction, not_negative

_order = Check(
    lambda x: (x > 0) & (x <= 1),
    "be above 0 and at most 1 (higher orders bound the gain through 1, the KL)",
    "alpha",
)


def renyi_bound(
    renyi: ArrayLike, *, alpha: ArrayLike, policy_proxy: ArrayLike, base_proxy: ArrayLike
) -> Floats:
    """How much can be gained at this Renyi divergence, given the tails of policy and base?

    ``sqrt(2 ((1 - a) s_Q^2 + a s_P^2) D_a / a)``. For a -> 1 it is the sub-Gaussian bound of the
    KL; a lighter lower tail of the aligned policy makes it smaller.

    Parameters
    ----------
    renyi : (...) D_a(policy || base), nats, at least 0. On average over prompts: the mean.
    alpha : (...) a, above 0 and at most 1
    policy_proxy : (...) s_Q^2 of the **lower** tail under the policy, reward units squared:
        ``variance_proxy(policy, reward, tail="lower")``
    base_proxy : (...) s_P^2 of the **upper** tail under the base:
        ``variance_proxy(base, reward)``. On average over prompts: the means of both.

    Returns
    -------
    (...) reward units, in the broadcast shape; infinite where the divergence is (no common outcome)

    Raises
    ------
    ArgumentError
        Where an argument is not as above.

    References
    ----------
    arXiv 2406.05883 (Renyi refinement).

    Examples
    --------
    >>> float(renyi_bound(0.8, alpha=0.5, policy_proxy=0.6, base_proxy=1.0).round(12))
    1.6
    """
    d, a, q, p = broadcast(
        renyi=not_negative(renyi, "renyi"),
        alpha=_order(alpha),
        policy_proxy=not_negative(policy_proxy, "policy_proxy"),
        base_proxy=not_negative(base_proxy, "base_proxy"),
    )
    return product(np.sqrt(2.0 * (product(1.0 - a, q) + a * p) / a), np.sqrt(d))


def chi_square_bound(chi_square: ArrayLike, *, sd: ArrayLike) -> Floats:
    """How much can be gained at this chi-square divergence?

    ``sd sqrt(chi2)``, on either side (Cauchy and Schwarz; Hammersley, Chapman and Robbins). Reached
    by the policy ``base (1 + c (reward - mean))``, and by every policy that reweights two reward
    levels.

    Parameters
    ----------
    chi_square : (...) ``sum (policy - base)^2 / base``, at least 0. On average over prompts: the
        mean.
    sd : (...) standard deviation of the reward under the base, reward units, at least 0. On average
        over prompts: the root of the mean variance.

    Returns
    -------
    (...) reward units, in the broadcast shape; infinite where chi-square is and sd is not 0

    Raises
    ------
    ArgumentError
        Where an argument is not as above.

    References
    ----------
    arXiv 2406.05883 (bounds from f-divergences).

    Examples
    --------
    The most that best-of-16 can gain, whatever the reward's law with sd 1.2:

    >>> from klimit.theory import continuous_best_of_n
    >>> float(chi_square_bound(continuous_best_of_n(16).chi_square, sd=1.2).round(6))
    3.232895
    """
    chi2, s = broadcast(
        chi_square=not_negative(chi_square, "chi_square"), sd=not_negative(sd, "sd")
    )
    return product(s, np.sqrt(chi2))


def total_variation_bound(total_variation: ArrayLike, *, width: ArrayLike) -> Floats:
    """How much can be gained at this total variation?

    ``width TV``, on either side.

    Parameters
    ----------
    total_variation : (...) half the L1 distance, between 0 and 1
    width : (...) highest minus lowest possible reward, reward units, at least 0. Over prompts,
        average the bounds: mean width times mean TV is no bound.

    Returns
    -------
    (...) reward units, in the broadcast shape

    Raises
    ------
    ArgumentError
        Where an argument is not as above.

    References
    ----------
    arXiv 2406.05883 (bounds from f-divergences).

    Examples
    --------
    >>> float(total_variation_bound(0.3, width=4.0))
    1.2
    """
    tv, w = broadcast(
        total_variation=fraction(total_variation, "total_variation"),
        width=not_negative(width, "width"),
    )
    return product(w, tv)


def hellinger_bound(
    hellinger_squared: ArrayLike, *, policy_moment: ArrayLike, base_moment: ArrayLike
) -> Floats:
    """How much can be gained at this Hellinger distance?

    ``2 H sqrt(E_policy (reward - c)^2 + E_base (reward - c)^2)``, on either side and for any c.

    Parameters
    ----------
    hellinger_squared : (...) ``H^2 = 1 - sum sqrt(policy base)``, between 0 and 1
    policy_moment, base_moment : (...) second moments of the reward around one constant c (the
        base's mean, say), reward units squared, at least 0. Over prompts, average the bounds.

    Returns
    -------
    (...) reward units, in the broadcast shape

    Raises
    ------
    ArgumentError
        Where an argument is not as above.

    References
    ----------
    arXiv 2406.05883 (bounds from f-divergences), by Cauchy and Schwarz.

    Examples
    --------
    >>> float(hellinger_bound(0.25, policy_moment=1.5, base_moment=0.75))
    1.5
    """
    h2, q, p = broadcast(
        hellinger_squared=fraction(hellinger_squared, "hellinger_squared"),
        policy_moment=not_negative(policy_moment, "policy_moment"),
        base_moment=not_negative(base_moment, "base_moment"),
    )
    return product(2.0 * np.sqrt(h2), np.sqrt(q + p))


def product(scale: Floats, distance: Floats) -> Floats:
    """Return the product, 0 where either is: an infinite divergence says nothing of a constant."""
    with np.errstate(invalid="ignore", over="ignore"):
        return np.where((scale > 0) & (distance > 0), scale * distance, 0.0)
