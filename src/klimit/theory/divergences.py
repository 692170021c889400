"""Divergences between known distributions on a last axis.

All take `policy` first and `base` second, so that ``kl(policy, base)`` is the reverse KL that a KL
penalty charges. They never turn negative by rounding, they keep their digits where the two are
close, and they are infinite only where the definition is (support missing). Every function checks
both distributions and broadcasts them.
"""

import numpy as np
from numpy.typing import ArrayLike

from klimit._errors import ArgumentError
from klimit.theory._check import Floats, broadcast, distribution, numbers
from klimit.theory._outcomes import exp_excess, kl_terms


def _pair(policy: ArrayLike, base: ArrayLike) -> tuple[Floats, Floats]:
    p, q = broadcast(policy=distribution(policy, "policy"), base=distribution(base, "base"))
    return p, q


def _log_ratio(p: Floats, q: Floats) -> Floats:
    """Return log(p / q), precise also where p is close to q; 0 where both vanish."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        change = (p - q) / q
        ratio = np.where(np.abs(change) < 0.5, np.log1p(change), np.log(p) - np.log(q))
    return np.where((p == 0) & (q == 0), 0.0, ratio)


def _kl(p: Floats, q: Floats) -> Floats:
    missing = (p > 0) & (q == 0)
    terms = kl_terms(q, p, np.where(missing, 0.0, _log_ratio(p, q)))
    return np.asarray(np.where(missing, np.inf, terms).sum(axis=-1))


def kl(policy: ArrayLike, base: ArrayLike) -> Floats:
    """How many nats is the policy away from the base? KL(policy || base).

    ``sum policy log(policy / base)``.

    Parameters
    ----------
    policy : (..., outcomes) probabilities that sum to one along the last axis (within 1e-6)
    base : (..., outcomes) the same; the two broadcast against each other

    Returns
    -------
    (...) nats; infinite where the policy allows what the base does not

    Raises
    ------
    ArgumentError
        Where either is no distribution or the shapes do not fit.

    Examples
    --------
    >>> float(kl([0.2, 0.4, 0.4], [0.5, 0.3, 0.2]).round(6))
    0.209074
    >>> float(kl([0.5, 0.5], [1.0, 0.0]))
    inf
    """
    return _kl(*_pair(policy, base))


def jeffreys(policy: ArrayLike, base: ArrayLike) -> Floats:
    """How far apart are policy and base, both ways? KL(policy || base) + KL(base || policy).

    ``sum (policy - base) log(policy / base)``; times beta it is the gain of the optimal policy.

    Parameters
    ----------
    policy, base : (..., outcomes) probabilities that sum to one along the last axis (within 1e-6)

    Returns
    -------
    (...) nats; infinite unless both have the same support

    Raises
    ------
    ArgumentError
        Where either is no distribution or the shapes do not fit.

    References
    ----------
    arXiv 2605.07105, section 3.

    Examples
    --------
    >>> float(jeffreys([0.2, 0.4, 0.4], [0.5, 0.3, 0.2]).round(6))
    0.442285
    """
    p, q = _pair(policy, base)
    return np.asarray(((p - q) * _log_ratio(p, q)).sum(axis=-1))


def chi_square(policy: ArrayLike, base: ArrayLike) -> Floats:
    """How uneven are the importance weights? ``sum (policy - base)^2 / base``.

    The variance of ``policy / base`` under the base: of M base samples about
    ``M / (1 + chi_square)`` count, and no gain exceeds ``sd(reward) sqrt(chi_square)``.

    Parameters
    ----------
    policy, base : (..., outcomes) probabilities that sum to one along the last axis (within 1e-6)

    Returns
    -------
    (...) no unit; infinite where the policy allows what the base does not

    Raises
    ------
    ArgumentError
        Where either is no distribution or the shapes do not fit.

    References
    ----------
    arXiv 2406.05883 (chi-square and the gain; Hammersley, Chapman and Robbins).

    Examples
    --------
    >>> float(chi_square([0.2, 0.4, 0.4], [0.5, 0.3, 0.2]).round(6))
    0.413333
    """
    p, q = _pair(policy, base)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        terms = (p - q) * ((p - q) / q)
    return np.asarray(np.where(p == q, 0.0, terms).sum(axis=-1))


def total_variation(policy: ArrayLike, base: ArrayLike) -> Floats:
    """What is the largest difference in the probability of any event? Half the L1 distance.

    Parameters
    ----------
    policy, base : (..., outcomes) probabilities that sum to one along the last axis (within 1e-6)

    Returns
    -------
    (...) between 0 and 1

    Raises
    ------
    ArgumentError
        Where either is no distribution or the shapes do not fit.

    Examples
    --------
    >>> float(total_variation([0.2, 0.4, 0.4], [0.5, 0.3, 0.2]).round(6))
    0.3
    """
    p, q = _pair(policy, base)
    return np.asarray(0.5 * np.abs(p - q).sum(axis=-1))


def hellinger_squared(policy: ArrayLike, base: ArrayLike) -> Floats:
    """How little do policy and base overlap? ``1 - sum sqrt(policy base)``.

    Parameters
    ----------
    policy, base : (..., outcomes) probabilities that sum to one along the last axis (within 1e-6)

    Returns
    -------
    (...) between 0 and 1 (some sources have twice this)

    Raises
    ------
    ArgumentError
        Where either is no distribution or the shapes do not fit.

    Examples
    --------
    >>> float(hellinger_squared([0.2, 0.4, 0.4], [0.5, 0.3, 0.2]).round(6))
    0.054519
    """
    p, q = _pair(policy, base)
    return np.asarray(0.5 * ((np.sqrt(p) - np.sqrt(q)) ** 2).sum(axis=-1))


def jensen_shannon(policy: ArrayLike, base: ArrayLike) -> Floats:
    """How many nats does one draw tell about which of the two it came from?

    Half of ``KL(policy || m) + KL(base || m)`` with m their even mixture.

    Parameters
    ----------
    policy, base : (..., outcomes) probabilities that sum to one along the last axis (within 1e-6)

    Returns
    -------
    (...) nats, at most log 2

    Raises
    ------
    ArgumentError
        Where either is no distribution or the shapes do not fit.

    Examples
    --------
    >>> float(jensen_shannon([1.0, 0.0], [0.0, 1.0]).round(6))
    0.693147
    """
    p, q = _pair(policy, base)
    middle = p + 0.5 * (q - p)
    return 0.5 * (_kl(p, middle) + _kl(q, middle))


def cressie_read(policy: ArrayLike, base: ArrayLike, *, alpha: float) -> Floats:
    """How far apart are the two in the power family? ``(sum p^a q^(1-a) - 1) / (a (a - 1))``.

    alpha 1 is KL(policy || base), 0 is KL(base || policy), 2 is half the chi-square and 1/2 four
    times the squared Hellinger distance.

    Parameters
    ----------
    policy, base : (..., outcomes) probabilities that sum to one along the last axis (within 1e-6)
    alpha : any finite number

    Returns
    -------
    (...) nats; infinite where alpha >= 1 and the policy allows what the base does not, or
    alpha <= 0 and the reverse

    Raises
    ------
    ArgumentError
        Where either is no distribution, the shapes do not fit or `alpha` is not finite.

    References
    ----------
    The alpha-divergences of arXiv 2406.05883, scaled so that all agree to second order.

    Examples
    --------
    >>> p, q = [0.2, 0.4, 0.4], [0.5, 0.3, 0.2]
    >>> [float(cressie_read(p, q, alpha=a).round(6)) for a in (0.5, 1.0, 2.0)]
    [0.218077, 0.209074, 0.206667]
    """
    a = _order(alpha, -np.inf)
    p, q = _pair(policy, base)
    return _cressie_read(p, q, a) if a >= 0.5 else _cressie_read(q, p, 1.0 - a)


def _cressie_read(p: Floats, q: Floats, a: float) -> Floats:
    """Alpha at least 1/2: (KL + sum p (e^{bu} - 1 - bu) / b) / a with b = a - 1, all terms >= 0."""
    if a == 1.0:
        return _kl(p, q)
    if a < 1.0:
        # Where q vanishes KL and the rest are infinite and cancel: p^a q^(1-a) is just 0 there.
        shared = (p > 0) & (q > 0)
        u = np.where(shared, _log_ratio(p, q), 0.0)
        terms = kl_terms(q, np.where(shared, p, 0.0), np.where(shared, u, -np.inf))
        rest = np.where(shared, p * exp_excess((a - 1.0) * u) / (a - 1.0), 0.0)
        lost = np.where(q > 0, 0.0, p) * a / (1.0 - a)
        return np.asarray((terms + rest + lost).sum(axis=-1) / a)
    u = np.where(p > 0, _log_ratio(p, q), 0.0)
    with np.errstate(over="ignore", invalid="ignore"):
        powers = np.where(p > 0, p * exp_excess((a - 1.0) * u) / (a - 1.0), 0.0)
    powers = np.where((p > 0) & (q == 0), np.inf, powers)
    return np.asarray((_kl(p, q) + powers.sum(axis=-1)) / a)


def renyi(policy: ArrayLike, base: ArrayLike, *, alpha: float) -> Floats:
    """How far apart are the two in Renyi's sense? ``log(sum p^a q^(1-a)) / (a - 1)``.

    Rises with alpha: 1 is KL(policy || base), 2 is log(1 + chi-square), infinity the largest log
    ratio.

    Parameters
    ----------
    policy, base : (..., outcomes) probabilities that sum to one along the last axis (within 1e-6)
    alpha : positive, possibly infinite

    Returns
    -------
    (...) nats; infinite where the policy allows what the base does not (alpha >= 1), or where they
    share no outcome

    Raises
    ------
    ArgumentError
        Where either is no distribution, the shapes do not fit or `alpha` is not positive.

    References
    ----------
    arXiv 2406.05883 (Renyi refinement of the bound on the gain).

    Examples
    --------
    >>> p, q = [0.2, 0.4, 0.4], [0.5, 0.3, 0.2]
    >>> [float(renyi(p, q, alpha=a).round(6)) for a in (0.5, 1.0, 2.0)]
    [0.112124, 0.209074, 0.345951]
    """
    a = _order(alpha, 0.0)
    p, q = _pair(policy, base)
    if a == 1.0:
        return _kl(p, q)
    u = np.where(p > 0, _log_ratio(p, q), -np.inf)
    if a == np.inf:
        return np.asarray(u.max(axis=-1))
    # Close distributions: through the power divergence, which keeps its digits. Far ones: in logs.
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        power = _cressie_read(p, q, a) if a >= 0.5 else _cressie_read(q, p, 1.0 - a)
        moved = a * (a - 1.0) * power
        log_terms = np.where(p > 0, np.log(p) + (a - 1.0) * u, -np.inf)
        highest = log_terms.max(axis=-1)
        anchor = np.where(np.isfinite(highest), highest, 0.0)
        far = anchor + np.log(np.exp(log_terms - anchor[..., None]).sum(axis=-1))
        return np.where(np.abs(moved) < 0.5, np.log1p(moved), far) / (a - 1.0)


def _order(alpha: float, low: float) -> float:
    a = numbers(alpha, "alpha")
    usable = a.ndim == 0 and bool(a > low) and (bool(np.isfinite(a)) or low == 0.0)
    if not usable:
        allowed = "a positive number" if low == 0.0 else "a finite number"
        raise ArgumentError(f"alpha must be {allowed}; got {str(alpha)[:40]!r}.")
    return float(a)
