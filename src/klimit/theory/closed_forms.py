"""Frontiers in closed form: the reward laws that estimates and bounds are compared with."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from klimit.theory._check import Floats, broadcast, budget, fraction, positive, same_leading
from klimit.theory._outcomes import exp_excess, outcomes, spend
from klimit.theory._root import increasing_root
from klimit.theory._solve import own_betas
from klimit.theory.frontier import FrontierPoint
from klimit.theory.tilt import known


def gaussian_frontier(kl: ArrayLike, *, sd: ArrayLike = 1.0) -> FrontierPoint:
    """How much can be gained for this KL if rewards are normal?

    ``G(D) = sd sqrt(2 D)``, ``beta = sd / sqrt(2 D)``: the one law for which Jeffreys is twice the
    KL at every budget. Prompts with different sd under one average budget: use
    ``sd = sqrt(mean(sd_x**2))``; with the same KL on each, ``sd = mean(sd_x)``.

    Parameters
    ----------
    kl : (...) nats, at least 0
    sd : (...) standard deviation of the reward, positive

    Returns
    -------
    FrontierPoint
        kl, gain and beta, in the broadcast shape.

    Raises
    ------
    ArgumentError
        Where `kl` is negative or `sd` is not positive.

    References
    ----------
    arXiv 2406.05883 (the sub-Gaussian bound, here an equality).

    Examples
    --------
    >>> gaussian_frontier([0.5, 2.0], sd=3.0).gain.tolist()
    [3.0, 6.0]
    """
    d, scale = broadcast(kl=budget(kl), sd=positive(sd, "sd"))
    root = np.sqrt(2.0 * d)
    with np.errstate(divide="ignore"):
        return FrontierPoint(d, scale * root, scale / root)


def exponential_frontier(kl: ArrayLike, *, scale: ArrayLike = 1.0) -> FrontierPoint:
    """How much can be gained for this KL if rewards are exponential?

    The gain solves ``G - log(1 + G) = D`` (in units of `scale`), ``beta = scale (1 + G) / G``: a
    heavy upper tail, on which another nat is always worth more than `scale`.

    Parameters
    ----------
    kl : (...) nats, at least 0
    scale : (...) mean (and standard deviation) of the reward, positive

    Returns
    -------
    FrontierPoint
        kl, gain and beta, in the broadcast shape.

    Raises
    ------
    ArgumentError
        Where `kl` is negative or `scale` is not positive.

    References
    ----------
    The tilt of arXiv 2605.07105, section 3, for psi(l) = -log(1 - l) - l.

    Examples
    --------
    >>> point = exponential_frontier(1.0)
    >>> float(point.gain.round(6)), float(point.beta.round(6))
    (2.146193, 1.465941)
    """
    d, size = broadcast(kl=budget(kl), scale=positive(scale, "scale"))
    # With y = log(1 + G) the equation reads e^y - 1 - y = D: convex, so that Newton's steps from
    # above (the sub-gamma bound) come down to the root without overshooting.
    y = np.log1p(np.sqrt(2.0 * d) + d)
    with np.errstate(invalid="ignore", divide="ignore"):
        for _ in range(8):
            step = (exp_excess(y) - d) / np.expm1(y)
            y = np.where(np.isfinite(step), y - step, y)
        gain = np.expm1(y)
        return FrontierPoint(d, size * gain, size * (1.0 + 1.0 / gain))


def uniform_frontier(kl: ArrayLike, *, width: ArrayLike = 1.0) -> FrontierPoint:
    """How much can be gained for this KL if rewards are uniform?

    For ``width=1`` also the most that the win rate against the base can rise above one half, for
    any continuous reward: the rank of a reward within its own law is uniform. With l = 1 / beta,
    ``G = coth(l / 2) / 2 - 1 / l`` and ``D = l G - log(sinh(l / 2) / (l / 2))``.

    Parameters
    ----------
    kl : (...) nats, at least 0
    width : (...) highest minus lowest reward, positive

    Returns
    -------
    FrontierPoint
        kl, gain (below ``width / 2``) and beta, in the broadcast shape.

    Raises
    ------
    ArgumentError
        Where `kl` is negative or `width` is not positive.

    Notes
    -----
    With ties (0/1 rewards, rubrics) this is only an upper bound on the win rate: take
    ``frontier(base, win_probability(base, reward))`` instead.

    Examples
    --------
    The best win rate that one nat can buy:

    >>> point = uniform_frontier(1.0)
    >>> float((0.5 + point.gain).round(6)), float((1 / point.beta).round(6))
    (0.864579, 7.349473)
    """
    d, size = broadcast(kl=budget(kl), width=positive(width, "width"))
    flat = d.ravel()
    inside = (flat > 0) & (flat < 700.0)  # beyond, the tilt exceeds what a float holds
    x = np.where(flat > 0, np.inf, 0.0)
    wanted = flat[inside]

    def mismatch(log_x: Floats, index: NDArray[np.intp]) -> tuple[Floats, Floats]:
        spent, _, slope = _half_width(np.exp(log_x))
        return np.log(spent / wanted[index]), slope / spent

    start = np.where(wanted < 1.0, 0.5 * np.log(6.0 * wanted), wanted + 1.0 - np.log(2.0))
    x[inside] = np.exp(increasing_root(mismatch, start))
    gain = 0.5 * _half_width(x)[1]
    with np.errstate(divide="ignore"):
        beta = 1.0 / (2.0 * x)
    return FrontierPoint(d, size * gain.reshape(d.shape), size * beta.reshape(d.shape))


_K = np.arange(1.0, 15.0)
_SINHC = 1.0 / np.cumprod(2 * _K * (2 * _K + 1))  # 1/3!, 1/5!, ...: sinh(x)/x - 1 in powers of x^2


def _half_width(x: Floats) -> tuple[Floats, Floats, Floats]:
    """KL, gain and dKL / dlog x of the law uniform on (-1, 1), tilted by e^(x r)."""
    near, far = np.minimum(x, 2.0), np.maximum(x, 2.0)
    powers = (near * near)[:, None] ** (_K - 1)
    excess = near * near * (powers @ _SINHC)  # sinh(x) / x - 1
    near_gain = near * (powers @ (2 * _K * _SINHC)) / (1.0 + excess)  # coth(x) - 1 / x
    near_kl = near * near_gain - np.log1p(excess)
    near_slope = excess * (2.0 + excess) / (1.0 + excess) ** 2  # x^2 Var = 1 - (x / sinh x)^2
    capped = np.minimum(far, 350.0)  # beyond, coth(x) is 1 to the last digit
    tail = 2.0 / np.expm1(2 * capped)  # coth(x) - 1
    far_kl = np.log(2 * far) - 1.0 + capped * tail - np.log1p(-np.exp(-2 * capped))
    far_slope = 1.0 - (capped / np.sinh(capped)) ** 2
    small = x < 2.0
    return (
        np.where(small, near_kl, far_kl),
        np.where(small, near_gain, 1.0 + tail - 1.0 / far),
        np.where(small, near_slope, far_slope),
    )


def bernoulli_frontier(kl: ArrayLike, *, pass_rate: ArrayLike) -> FrontierPoint:
    """How much can a pass rate rise for this KL?

    The new pass rate a solves ``kl(a || q) = D``, ``gain = a - q`` and
    ``beta = 1 / log(a (1 - q) / ((1 - a) q))``; from ``D = -log q`` on everything passes, the gain
    is 1 - q and beta is 0. Best-of-N lies on this curve at every N.

    Parameters
    ----------
    kl : (...) nats, at least 0
    pass_rate : (...) q, the base's probability of reward 1 (against 0); 0 and 1 leave no gain

    Returns
    -------
    FrontierPoint
        kl, gain and beta, in the broadcast shape.

    Raises
    ------
    ArgumentError
        Where `kl` is negative or `pass_rate` is no probability.

    Examples
    --------
    >>> point = bernoulli_frontier([0.5, 3.0], pass_rate=0.1)
    >>> point.gain.round(6).tolist(), point.beta.round(6).tolist()
    ([0.395051, 0.9], [0.459258, 0.0])
    """
    d, q = broadcast(kl=budget(kl), pass_rate=fraction(pass_rate, "pass_rate"))
    prob = np.stack([1.0 - q.ravel(), q.ravel()], axis=-1).ravel()
    law = outcomes(prob, np.tile([0.0, 1.0], q.size), np.arange(0, prob.size, 2))
    beta = own_betas(law, d.ravel())
    spent = spend(law, np.where(beta > 0, beta, 1.0))
    gain = np.where(beta > 0, spent.gain, law.top)
    return FrontierPoint(d, gain.reshape(d.shape), beta.reshape(d.shape))


def small_kl_expansion(base: ArrayLike, reward: ArrayLike, kl: ArrayLike) -> Floats:
    """What are the first two terms of the gain at a small KL?

    ``G(D) = sd sqrt(2 D) + k3 / (3 sd^2) D + O(D^1.5)`` with the reward's standard deviation and
    third cumulant under the base: positive skewness lifts the frontier above ``sd sqrt(2 D)``,
    negative skewness lowers it. Zero for a constant reward.

    Parameters
    ----------
    base : (..., outcomes) probabilities that sum to one along the last axis (within 1e-6)
    reward : (..., outcomes) reward units, broadcast against `base`
    kl : (...) nats, at least 0; broadcast against the axes before the outcomes

    Returns
    -------
    (...) reward units

    Raises
    ------
    ArgumentError
        Where `base` is no distribution, a reward is not finite or `kl` is negative.

    Examples
    --------
    >>> float(small_kl_expansion([0.5, 0.3, 0.2], [0, 1, 4], 0.01).round(6))  # exactly 0.219769
    0.22014
    """
    law, d = known(base, reward), budget(kl)
    same_leading(law.prob, d, "kl")
    variance = law.total(law.prob * law.centred**2)
    third = law.total(law.prob * law.centred**3)
    with np.errstate(divide="ignore", invalid="ignore"):
        skew = np.where(variance > 0, third / (3.0 * variance), 0.0)
    return np.sqrt(2.0 * variance * d) + skew * d
