"""Importance sampling: how many base samples can stand in for samples of a policy?"""

from __future__ import annotations

import numpy as np

from klimit.theory._check import ArrayLike, Floats, count, not_negative, same_leading
from klimit.theory._pair import pair


def importance_draws(
    policy: ArrayLike, base: ArrayLike, *, sds: ArrayLike = 1.0, log: bool = False
) -> Floats:
    """How many base samples does it take to see a policy through importance weights?

    ``exp(KL + sds * sd)``, with the KL of the policy and the standard deviation of
    ``log(policy / base)`` under the policy: the number below which the weights that matter have
    probably not been drawn, and above which the estimates settle.

    Parameters
    ----------
    policy, base : (..., outcomes) as for `kl`
    sds : (...) how many standard deviations above the KL to go, at least 0; broadcast against the
        axes before the outcomes
    log : return the natural log of the number instead, for numbers past 1.8e308

    Returns
    -------
    (...) samples, not rounded, at least 1; infinite where the policy allows what the base does not

    Raises
    ------
    ArgumentError
        Where an argument is not as above.

    Notes
    -----
    For normal rewards the standard deviation is ``sqrt(2 KL)``: 55 samples at 2 nats, 924 at 4,
    160,000 at 8.

    References
    ----------
    Chatterjee and Diaconis, arXiv 1511.01437, section 1 (about exp(KL) is necessary and enough).

    Examples
    --------
    >>> float(importance_draws([0.2, 0.4, 0.4], [0.5, 0.3, 0.2]).round(4))
    2.2261
    """
    both, steps = pair(policy, base), not_negative(sds, "sds")
    same_leading(both.p, steps, "sds")
    nats = both.kl()
    with np.errstate(invalid="ignore"):
        spread = np.where(both.p > 0, both.u - nats[..., None], 0.0)
        sd = np.sqrt((both.p * spread**2).sum(axis=-1))
        log_draws = np.where(np.isfinite(nats), nats + steps * sd, np.inf)
    with np.errstate(over="ignore"):
        return np.asarray(log_draws if log else np.exp(log_draws))


def importance_error(policy: ArrayLike, base: ArrayLike, n: ArrayLike) -> Floats:
    """How far can a mean estimated from n weighted base samples be off?

    The expected absolute error of ``mean(f policy / base)`` over n base samples is at most this
    times ``sqrt(E_policy f^2)``, for every f: with ``n = exp(KL + t)``,
    ``e^(-t/4) + 2 sqrt(P_policy(log(policy / base) > KL + t / 2))``, and 2 at most.

    Parameters
    ----------
    policy, base : (..., outcomes) as for `kl`
    n : (...) samples, at least 1; broadcast against the axes before the outcomes

    Returns
    -------
    (...) between 0 and 2; 2, which says nothing, for n of at most exp(KL)

    Raises
    ------
    ArgumentError
        Where an argument is not as above.

    References
    ----------
    Chatterjee and Diaconis, arXiv 1511.01437, section 1 (weights not self-normalised).

    Examples
    --------
    >>> importance_error([0.2, 0.4, 0.4], [0.5, 0.3, 0.2], [10, 1e3, 1e6]).round(4).tolist()
    [0.5925, 0.1874, 0.0333]
    """
    both, samples = pair(policy, base), count(n)
    same_leading(both.p, samples, "n")
    nats = both.kl()
    with np.errstate(invalid="ignore", over="ignore"):
        beyond = np.log(samples) - nats
        heavy = both.u > (nats + 0.5 * beyond)[..., None]
        tail = np.where(heavy, both.p, 0.0).sum(axis=-1)
        error = np.exp(-0.25 * beyond) + 2.0 * np.sqrt(tail)
    return np.where(beyond > 0, np.minimum(error, 2.0), 2.0)
