"""What the size of an error alone proves about a proxy: bounds from a few numbers.

Where the distribution itself is known, `proxy_gold` gives the truth beside them.
"""

from __future__ import annotations

import numpy as np

from klimit._errors import ArgumentError
from klimit.theory._check import ArrayLike, Floats, broadcast, budget, coefficient, rewards, size


def sup_norm_regret_bound(error_range: ArrayLike, *, beta: ArrayLike) -> Floats:
    """How much of E[gold] - beta KL can an error of this range cost at most?

    ``R^2 / (8 beta)``: nearly attained by errors of two values. R is the range of the error on one
    prompt, so that Bradley-Terry offsets cost nothing.

    Parameters
    ----------
    error_range : (...) largest minus smallest error, reward units, at least 0 and finite. For many prompts
        average the bounds, not the ranges.
    beta : (...) reward units per nat, positive

    Returns
    -------
    (...) reward units

    Raises
    ------
    ArgumentError
        Where an argument is not as above.

    References
    ----------
    arXiv 2605.07105, section 4 (regularised regret of a proxy).

    Examples
    --------
    >>> sup_norm_regret_bound(1.0, beta=[2.0, 0.5]).tolist()
    [0.0625, 0.25]
    """
    r, b = broadcast(error_range=size(error_range, "error_range"), beta=coefficient(beta))
    return r * (r / b) / 8.0


def sup_norm_total_variation_bound(error_range: ArrayLike, *, beta: ArrayLike) -> Floats:
    """How far apart can an error of this range drive the proxy's and the gold policy?

    ``tanh(R / (4 beta))`` in total variation, attained by errors of two values. Times the range of
    the gold reward it bounds the size of the gap at fixed beta.

    Parameters
    ----------
    error_range : (...) largest minus smallest error on a prompt, reward units, at least 0 and finite
    beta : (...) reward units per nat, positive

    Returns
    -------
    (...) between 0 and 1

    Raises
    ------
    ArgumentError
        Where an argument is not as above.

    References
    ----------
    arXiv 2605.07105, section 4.

    Examples
    --------
    >>> float(sup_norm_total_variation_bound(1.0, beta=2.0).round(6))
    0.124353
    """
    r, b = broadcast(error_range=size(error_range, "error_range"), beta=coefficient(beta))
    return np.tanh(r / b / 4.0)


def certified_gold_gain(
    proxy_gain: ArrayLike,
    *,
    kl: ArrayLike | None = None,
    error_scale: ArrayLike | None = None,
    chi_square: ArrayLike | None = None,
    error_sd: ArrayLike | None = None,
) -> Floats:
    """How much of this proxy gain must be gold, given the size of the error under the base?

    ``proxy_gain - sqrt(2 error_scale^2 kl)`` from tails (moment generating functions), or
    ``proxy_gain - error_sd sqrt(chi_square)`` from a variance alone; with both pairs, the better.

    Parameters
    ----------
    proxy_gain : (...) reward units over the base's mean
    kl, error_scale : (...) KL(policy || base) in nats, and the error's sub-Gaussian scale tau under
        the base: ``log E exp(l (e - E e)) <= l^2 tau^2 / 2`` for every l > 0. The standard deviation
        is not enough; half the range is.
    chi_square, error_sd : (...) chi-square(policy || base), and the standard deviation of the error
        under the base. For averages over prompts take the means of chi-square and of the variance.

    Returns
    -------
    (...) reward units; minus infinity where the divergence is infinite: nothing is certain then

    Raises
    ------
    ArgumentError
        Where neither pair is complete, half of one is given, or a number is negative.

    References
    ----------
    arXiv 2406.05883 (from proxy to gold under sub-Gaussian tails, and by chi-square).

    Examples
    --------
    >>> certified_gold_gain(1.2, kl=[0.5, 2.0], error_scale=0.3).round(4).tolist()
    [0.9, 0.6]
    """
    gain = rewards(proxy_gain, "proxy_gain")
    lost = []
    for divergence, spread, names in (
        (kl, error_scale, ("kl", "error_scale")),
        (chi_square, error_sd, ("chi_square", "error_sd")),
    ):
        if (divergence is None) != (spread is None):
            raise ArgumentError(f"{names[0]} and {names[1]} must be given together; got one.")
        if divergence is not None and spread is not None:
            d, scale = budget(divergence, names[0]), size(spread, names[1])
            factor = 2.0 if names[0] == "kl" else 1.0
            d, scale, gain = broadcast(**{names[0]: d, names[1]: scale, "proxy_gain": gain})
            with np.errstate(invalid="ignore"):
                lost.append(np.where(scale > 0, scale * np.sqrt(factor * d), 0.0))
    if not lost:
        raise ArgumentError(
            "kl and error_scale, or chi_square and error_sd, must say how large the error can be; "
            "got neither pair."
        )
    least = np.min(np.broadcast_arrays(*lost), axis=0)
    with np.errstate(invalid="ignore"):
        return np.where(least < np.inf, gain - least, -np.inf)
