"""Divergences between known distributions on a last axis.

All take `policy` first and `base` second, so that ``kl(policy, base)`` is the reverse KL that a KL
penalty charges. They never turn negative by rounding, they keep their digits where the two are
close, and they are infinite only where the definition is (support missing). Every function checks
both distributions and broadcasts them.
"""

from __future__ import annotations

import numpy as np

from klimit.theory._check import ArrayLike, Floats, order
from klimit.theory._pair import pair


def kl(policy: ArrayLike, base: ArrayLike) -> Floats:
    """How many nats is the policy away from the base? KL(policy || base).

    ``sum policy log(policy / base)``.

    Parameters
    ----------
    policy : (..., outcomes) probabilities that sum to one along the last axis (within 1e-6), or a
        sequence of 1-D arrays of any lengths, one per prompt
    base : (..., outcomes) the same; the two broadcast against each other

    Returns
    -------
    (...) nats; infinite where the policy allows what the base does not

    Raises
    ------
    ArgumentError
        Where an argument is not as above.

    References
    ----------
    Kullback and Leibler (1951); the penalty of arXiv 2605.07105 and 2404.01730.

    Examples
    --------
    >>> float(kl([0.2, 0.4, 0.4], [0.5, 0.3, 0.2]).round(6))
    0.209074
    >>> float(kl([0.5, 0.5], [1.0, 0.0]))
    inf
    """
    return pair(policy, base).kl()


def jeffreys(policy: ArrayLike, base: ArrayLike) -> Floats:
    """How far apart are policy and base, both ways? KL(policy || base) + KL(base || policy).

    ``sum (policy - base) log(policy / base)``; times beta it is the gain of the optimal policy.

    Parameters
    ----------
    policy, base : (..., outcomes) as for `kl`

    Returns
    -------
    (...) nats; infinite unless both have the same support

    Raises
    ------
    ArgumentError
        Where an argument is not as above.

    References
    ----------
    arXiv 2605.07105, section 3.

    Examples
    --------
    >>> float(jeffreys([0.2, 0.4, 0.4], [0.5, 0.3, 0.2]).round(6))
    0.442285
    """
    return pair(policy, base).jeffreys()


def chi_square(policy: ArrayLike, base: ArrayLike) -> Floats:
    """How uneven are the importance weights? ``sum (policy - base)^2 / base``.

    The variance of ``policy / base`` under the base: of M base samples about
    ``M / (1 + chi_square)`` count, and no gain exceeds ``sd(reward) sqrt(chi_square)``.

    Parameters
    ----------
    policy, base : (..., outcomes) as for `kl`

    Returns
    -------
    (...) no unit; infinite where the policy allows what the base does not

    Raises
    ------
    ArgumentError
        Where an argument is not as above.

    References
    ----------
    arXiv 2406.05883 (chi-square and the gain; Hammersley, Chapman and Robbins).

    Examples
    --------
    >>> float(chi_square([0.2, 0.4, 0.4], [0.5, 0.3, 0.2]).round(6))
    0.413333
    """
    return pair(policy, base).chi_square()


def total_variation(policy: ArrayLike, base: ArrayLike) -> Floats:
    """What is the largest difference in the probability of any event? Half the L1 distance.

    ``sum |policy - base| / 2``.

    Parameters
    ----------
    policy, base : (..., outcomes) as for `kl`

    Returns
    -------
    (...) between 0 and 1

    Raises
    ------
    ArgumentError
        Where an argument is not as above.

    References
    ----------
    One of the f-divergences of arXiv 2406.05883.

    Examples
    --------
    >>> float(total_variation([0.2, 0.4, 0.4], [0.5, 0.3, 0.2]).round(6))
    0.3
    """
    return pair(policy, base).total_variation()


def hellinger_squared(policy: ArrayLike, base: ArrayLike) -> Floats:
    """How little do policy and base overlap? ``1 - sum sqrt(policy base)``.

    Parameters
    ----------
    policy, base : (..., outcomes) as for `kl`

    Returns
    -------
    (...) between 0 and 1 (some sources have twice this)

    Raises
    ------
    ArgumentError
        Where an argument is not as above.

    References
    ----------
    One of the f-divergences of arXiv 2406.05883.

    Examples
    --------
    >>> float(hellinger_squared([0.2, 0.4, 0.4], [0.5, 0.3, 0.2]).round(6))
    0.054519
    """
    return pair(policy, base).hellinger_squared()


def jensen_shannon(policy: ArrayLike, base: ArrayLike) -> Floats:
    """How many nats does one draw tell about which of the two it came from?

    Half of ``KL(policy || m) + KL(base || m)`` with m their even mixture.

    Parameters
    ----------
    policy, base : (..., outcomes) as for `kl`

    Returns
    -------
    (...) nats, at most log 2

    Raises
    ------
    ArgumentError
        Where an argument is not as above.

    References
    ----------
    Lin (1991); one of the f-divergences of arXiv 2406.05883.

    Examples
    --------
    >>> float(jensen_shannon([1.0, 0.0], [0.0, 1.0]).round(6))
    0.693147
    """
    return pair(policy, base).jensen_shannon()


def cressie_read(policy: ArrayLike, base: ArrayLike, *, alpha: float) -> Floats:
    """How far apart are the two in the power family? ``(sum p^a q^(1-a) - 1) / (a (a - 1))``.

    alpha 1 is KL(policy || base), 0 is KL(base || policy), 2 is half the chi-square and 1/2 four
    times the squared Hellinger distance.

    Parameters
    ----------
    policy, base : (..., outcomes) as for `kl`
    alpha : any finite number

    Returns
    -------
    (...) nats; infinite where alpha >= 1 and the policy allows what the base does not, or
    alpha <= 0 and the reverse

    Raises
    ------
    ArgumentError
        Where an argument is not as above.

    References
    ----------
    The alpha-divergences of arXiv 2406.05883, scaled so that all agree to second order.

    Examples
    --------
    >>> p, q = [0.2, 0.4, 0.4], [0.5, 0.3, 0.2]
    >>> [float(cressie_read(p, q, alpha=a).round(6)) for a in (0.5, 1.0, 2.0)]
    [0.218077, 0.209074, 0.206667]
    """
    return pair(policy, base).cressie_read(order(alpha, -np.inf))


def renyi(policy: ArrayLike, base: ArrayLike, *, alpha: float) -> Floats:
    """How far apart are the two in Renyi's sense? ``log(sum p^a q^(1-a)) / (a - 1)``.

    Rises with alpha: 1 is KL(policy || base), 2 is log(1 + chi-square), infinity the largest log
    ratio.

    Parameters
    ----------
    policy, base : (..., outcomes) as for `kl`
    alpha : positive, possibly infinite

    Returns
    -------
    (...) nats; infinite where the policy allows what the base does not (alpha >= 1), or where they
    share no outcome

    Raises
    ------
    ArgumentError
        Where an argument is not as above.

    References
    ----------
    arXiv 2406.05883 (Renyi refinement of the bound on the gain).

    Examples
    --------
    >>> p, q = [0.2, 0.4, 0.4], [0.5, 0.3, 0.2]
    >>> [float(renyi(p, q, alpha=a).round(6)) for a in (0.5, 1.0, 2.0)]
    [0.112124, 0.209074, 0.345951]
    """
    return pair(policy, base).renyi(order(alpha, 0.0))
