"""How light are the tails of a known reward? The constants that the bounds on the gain need."""

from __future__ import annotations

from typing import Literal

import numpy as np

from klimit.theory import _cumulants
from klimit.theory._check import ArrayLike, Floats, choice, fraction, same_leading, size
from klimit.theory._outcomes import outcomes
from klimit.theory.tilt import known

Tail = Literal["upper", "lower", "both"]


def variance_proxy(
    base: ArrayLike, reward: ArrayLike, *, tail: Tail = "upper", scale: ArrayLike = 0.0
) -> Floats:
    """How sub-Gaussian is a known reward? The least s2 with ``psi(l) <= s2 l^2 / 2``.

    ``sup 2 psi(l) / l^2`` over l > 0, or over ``0 < l <= 1 / scale`` for a sub-exponential tail; psi
    is the cumulant generating function of the centred reward. It lies between the variance (the
    limit l -> 0) and a quarter of the squared range (Hoeffding).

    Parameters
    ----------
    base, reward : (..., outcomes) as for `tilt`
    tail : "upper" (l > 0, all that a bound on the gain needs), "lower" (l < 0) or "both"
    scale : (...) reward units, at least 0 and finite; 0 (the default) asks for every l

    Returns
    -------
    (...) reward units squared, to about 1e-10 relative (a second peak within a tenth of the first
        in log l and of nearly its height may cost more)

    Raises
    ------
    ArgumentError
        Where an argument is not as above.

    References
    ----------
    arXiv 2406.05883 (sub-Gaussian rewards).

    Examples
    --------
    A reward that is skewed to the right has the heavier upper tail:

    >>> base, reward = [0.5, 0.3, 0.2], [0.0, 1.0, 4.0]
    >>> [float(variance_proxy(base, reward, tail=t).round(4)) for t in ("upper", "lower")]
    [2.8981, 2.29]
    """
    choice(tail, "tail", ("upper", "lower", "both"))
    law, b = known(base, reward), size(scale, "scale")
    same_leading(law.prob, b, "scale")
    shape = (*np.broadcast_shapes(law.prob.shape[:-1], b.shape), law.prob.shape[-1])
    signs = {"upper": [1.0], "lower": [-1.0], "both": [1.0, -1.0]}[tail]
    sides = [outcomes(np.broadcast_to(law.prob, shape), sign * law.below_top) for sign in signs]
    proxies = [_cumulants.variance_proxy(_cumulants.own(side), b) for side in sides]
    return np.asarray(np.max(proxies, axis=0))


def sub_gamma_scale(base: ArrayLike, reward: ArrayLike) -> Floats:
    """How far from sub-Gaussian is the upper tail, given the variance v?

    The least ``c >= 0`` with ``psi(l) <= v l^2 / (2 (1 - c l))`` for ``0 < l < 1 / c``, that is the
    supremum of ``(1 - v l^2 / (2 psi(l))) / l``. For l -> 0 that is a third of the skewness times
    the standard deviation; c never exceeds Bernstein's ``(max reward - mean) / 3``.

    Parameters
    ----------
    base, reward : (..., outcomes) as for `tilt`

    Returns
    -------
    (...) reward units; 0 where the variance itself is a proxy (see `variance_proxy`)

    Raises
    ------
    ArgumentError
        Where an argument is not as above.

    References
    ----------
    Boucheron, Lugosi and Massart, Concentration Inequalities (2013), section 2.4.

    Examples
    --------
    >>> base, reward = [0.5, 0.3, 0.2], [0.0, 1.0, 4.0]
    >>> float(sub_gamma_scale(base, reward).round(4))  # Bernstein: 2.9 / 3
    0.6131
    """
    return _cumulants.sub_gamma_scale(_cumulants.own(known(base, reward)))


def bernoulli_variance_proxy(pass_rate: ArrayLike, *, tail: Tail = "upper") -> Floats:
    """How sub-Gaussian is a 0/1 reward? In closed form.

    ``(1 - 2 q) / (2 log((1 - q) / q))``, 1/4 at q = 1/2 (Kearns and Saul), is the least proxy of
    the upper tail for q <= 1/2, of the lower tail for q >= 1/2, and of both at every q. The other
    tail has the variance, ``q (1 - q)``.

    Parameters
    ----------
    pass_rate : (...) q, the base's probability of reward 1 (against 0)
    tail : "upper" (what a gain needs), "lower" or "both"

    Returns
    -------
    (...) at most 1/4; 0 where q is 0 or 1

    Raises
    ------
    ArgumentError
        Where an argument is not as above.

    References
    ----------
    Kearns and Saul, arXiv 1301.7392.

    Examples
    --------
    >>> bernoulli_variance_proxy([0.1, 0.5, 0.9]).round(6).tolist()
    [0.182048, 0.25, 0.09]
    """
    choice(tail, "tail", ("upper", "lower", "both"))
    q = fraction(pass_rate, "pass_rate")
    # log((1 - q) / q) = 2 artanh(1 - 2 q), and artanh(x) / x goes to 1 at x = 0
    x = 1.0 - 2.0 * q
    inside = (q > 0) & (q < 1)
    rare = np.minimum(q, 1.0 - q)
    with np.errstate(divide="ignore", invalid="ignore"):
        half_log = np.where(rare < 0.25, 0.5 * (np.log1p(-rare) - np.log(rare)), np.arctanh(abs(x)))
        proxy = np.where(x == 0, 0.25, 0.25 * np.abs(x) / half_log)
    long_tail = {"upper": q < 0.5, "lower": q > 0.5, "both": inside}[tail]
    return np.where(inside, np.where(long_tail, proxy, q * (1.0 - q)), 0.0)
