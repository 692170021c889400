"""Frontiers in closed form: the reward laws that estimates and bounds are compared with.

Each is asked for by a budget, by a gain (what does it cost at least?) or by a slope (where does this
KL coefficient lead?), and answers with a point of the frontier.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from klimit._errors import ArgumentError
from klimit.theory._check import (
    Floats,
    broadcast,
    budget,
    coefficient,
    finite,
    fraction,
    positive,
    rewards,
    same_leading,
)
from klimit.theory._outcomes import exp_excess, kl_terms, outcomes
from klimit.theory._root import increasing_root
from klimit.theory._solve import own_betas
from klimit.theory._spend import spend
from klimit.theory.frontier import FrontierPoint
from klimit.theory.tilt import known

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


def _asked(
    kl: ArrayLike | None, gain: ArrayLike | None, beta: ArrayLike | None, **law: Floats
) -> tuple[str, Floats, Floats]:
    """Check that one question is asked; return which, its values and the law's parameter."""
    asked = {"kl": kl, "gain": gain, "beta": beta}
    given = [name for name, values in asked.items() if values is not None]
    if len(given) != 1:
        raise ArgumentError(
            "exactly one of kl, gain and beta must be given; got "
            f"{' and '.join(given) if given else 'none'}."
        )
    check = {"kl": budget, "gain": rewards, "beta": coefficient}[given[0]]
    values, parameter = broadcast(**{given[0]: check(asked[given[0]])}, **law)  # type: ignore[arg-type]
    return given[0], values, parameter


def gaussian_frontier(
    kl: ArrayLike | None = None,
    *,
    gain: ArrayLike | None = None,
    beta: ArrayLike | None = None,
    sd: ArrayLike = 1.0,
) -> FrontierPoint:
    """How much can be gained for this KL if rewards are normal?

    ``G(D) = sd sqrt(2 D)``, ``beta = sd / sqrt(2 D)``: the one law for which Jeffreys is twice the
    KL at every budget. Prompts with different sd under one average budget: use
    ``sd = sqrt(mean(sd_x**2))``; with the same KL on each, ``sd = mean(sd_x)``.

    Parameters
    ----------
    kl : (...) nats, at least 0
    gain : (...) reward units, instead of `kl`: the least KL is wanted; at most 0 costs nothing
    beta : (...) reward units per nat, positive, instead of `kl`
    sd : (...) standard deviation of the reward, positive

    Returns
    -------
    FrontierPoint
        kl, gain, beta and variance in the broadcast shape, and what follows from them.

    Raises
    ------
    ArgumentError
        Where an argument is not as above.

    References
    ----------
    arXiv 2406.05883 (the sub-Gaussian bound, here an equality).

    Examples
    --------
    >>> gaussian_frontier([0.5, 2.0], sd=3.0).gain.tolist()
    [3.0, 6.0]
    >>> float(gaussian_frontier(gain=6.0, sd=3.0).kl)
    2.0
    """
    asked, x, scale = _asked(kl, gain, beta, sd=positive(sd, "sd"))
    with np.errstate(divide="ignore", over="ignore"):
        if asked == "kl":
            shift = np.sqrt(2.0 * x)  # of the mean, in sd
        else:
            shift = np.maximum(x, 0.0) / scale if asked == "gain" else scale / x
        cost = x if asked == "kl" else 0.5 * shift * shift
        return FrontierPoint(cost, scale * shift, scale / shift, scale * scale)


def exponential_frontier(
    kl: ArrayLike | None = None,
    *,
    gain: ArrayLike | None = None,
    beta: ArrayLike | None = None,
    scale: ArrayLike = 1.0,
) -> FrontierPoint:
    """How much can be gained for this KL if rewards are exponential?

    The gain solves ``G - log(1 + G) = D`` (in units of `scale`), ``beta = scale (1 + G) / G``: a
    heavy upper tail, on which another nat is always worth more than `scale`.

    Parameters
    ----------
    kl, gain, beta : (...) as for `gaussian_frontier`. At a beta of at most `scale` no finite policy
        is best: kl and gain are infinite
    scale : (...) mean (and standard deviation) of the reward, positive

    Returns
    -------
    FrontierPoint

    Raises
    ------
    ArgumentError
        Where an argument is not as above.

    References
    ----------
    The tilt of arXiv 2605.07105, section 3, for psi(l) = -log(1 - l) - l.

    Examples
    --------
    >>> point = exponential_frontier(1.0)
    >>> float(point.gain.round(6)), float(point.beta.round(6))
    (2.146193, 1.465941)
    >>> float(exponential_frontier(beta=1.5).gain.round(6))
    2.0
    """
    asked, x, size = _asked(kl, gain, beta, scale=positive(scale, "scale"))
    # With y = log(1 + G) the equation reads e^y - 1 - y = D.
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        if asked == "kl":
            y = _exponential_root(x)
        elif asked == "gain":
            y = np.log1p(np.maximum(x, 0.0) / size)
        else:
            y = np.where(x > size, -np.log1p(-size / x), np.inf)
        gained = np.expm1(y)
        cost = x if asked == "kl" else np.where(y < np.inf, exp_excess(y), np.inf)
        spread = size * (1.0 + gained)
        slope = x if asked == "beta" else size * (1.0 + 1.0 / gained)
        return FrontierPoint(cost, size * gained, slope, spread * spread)


def _exponential_root(d: Floats) -> Floats:
    """Solve e^y - 1 - y = D: convex, so that Newton's steps from above do not overshoot."""
    y = np.log1p(np.sqrt(2.0 * d) + d)  # the sub-gamma bound
    for _ in range(8):
        step = (exp_excess(y) - d) / np.expm1(y)
        y = np.where(np.isfinite(step), y - step, y)
    return y


def uniform_frontier(
    kl: ArrayLike | None = None,
    *,
    gain: ArrayLike | None = None,
    beta: ArrayLike | None = None,
    width: ArrayLike = 1.0,
) -> FrontierPoint:
    """How much can be gained for this KL if rewards are uniform?

    For ``width=1`` also the most that the win rate against the base can rise above one half, for
    any continuous reward: the rank of a reward within its own law is uniform. With l = 1 / beta,
    ``G = coth(l / 2) / 2 - 1 / l`` and ``D = l G - log(sinh(l / 2) / (l / 2))``.

    Parameters
    ----------
    kl, gain, beta : (...) as for `gaussian_frontier`; a gain of ``width / 2`` or more costs an
        infinite KL
    width : (...) highest minus lowest reward, positive

    Returns
    -------
    FrontierPoint

    Raises
    ------
    ArgumentError
        Where an argument is not as above.

    Notes
    -----
    With ties (0/1 rewards, rubrics) this is only an upper bound on the win rate: take
    `win_rate_frontier` instead.

    References
    ----------
    The tilt of arXiv 2605.07105, section 3, for psi(l) = log(sinh(l / 2) / (l / 2)).

    Examples
    --------
    The best win rate that one nat can buy, and the nats that a win rate of 0.8 takes:

    >>> point = uniform_frontier(1.0)
    >>> float((0.5 + point.gain).round(6)), float((1 / point.beta).round(6))
    (0.864579, 7.349473)
    >>> float(uniform_frontier(gain=0.3).kl.round(6))
    0.61688
    """
    asked, value, size = _asked(kl, gain, beta, width=positive(width, "width"))
    flat, widths = value.ravel(), size.ravel()
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        if asked == "kl":
            inside = (flat > 0) & (flat < 700.0)  # beyond, the tilt exceeds what a float holds
            x = np.where(flat > 0, np.inf, 0.0)
            start = np.where(flat < 1.0, 0.5 * np.log(6.0 * flat), flat + 1.0 - np.log(2.0))
            x[inside] = _half_width_tilt(flat[inside], start[inside], 0)
        elif asked == "gain":
            share = 2.0 * flat / widths
            inside = (share > 0) & (share < 1.0)
            x = np.where(share > 0, np.inf, 0.0)
            start = np.log(np.where(share < 0.5, 3.0 * share, 1.0 / np.maximum(1.0 - share, 1e-17)))
            x[inside] = _half_width_tilt(share[inside], start[inside], 1)
        else:
            x = 0.5 * widths / flat
        cost, gained, spread = (part.reshape(value.shape) for part in _half_width(x))
        slope = value if asked == "beta" else size / (2.0 * x.reshape(value.shape))
    cost = value if asked == "kl" else cost
    gained = np.maximum(value, 0.0) if asked == "gain" else 0.5 * size * gained
    return FrontierPoint(cost, gained, slope, 0.25 * size * size * spread)


def _half_width_tilt(wanted: Floats, start: Floats, part: int) -> Floats:
    """Solve for the tilt of the law uniform on (-1, 1) with this KL (part 0) or gain (part 1)."""

    def mismatch(log_x: Floats, index: NDArray[np.intp]) -> tuple[Floats, Floats]:
        x = np.exp(log_x)
        found = _half_width(x)
        return np.log(found[part] / wanted[index]), x ** (2 - part) * found[2] / found[part]

    return np.exp(increasing_root(mismatch, start))


_K = np.arange(1.0, 15.0)
_SINHC = 1.0 / np.cumprod(2 * _K * (2 * _K + 1))  # 1/3!, 1/5!, ...: sinh(x)/x - 1 in powers of x^2


def _half_width(x: Floats) -> tuple[Floats, Floats, Floats]:
    """KL, gain and variance of the law uniform on (-1, 1), tilted by e^(x r)."""
    near, far = np.minimum(x, 2.0), np.maximum(x, 2.0)
    powers = (near * near)[:, None] ** (_K - 1)
    rest = powers @ _SINHC
    excess = near * near * rest  # sinh(x) / x - 1
    near_gain = near * (powers @ (2 * _K * _SINHC)) / (1.0 + excess)  # coth(x) - 1 / x
    near_kl = near * near_gain - np.log1p(excess)
    near_variance = rest * (2.0 + excess) / (1.0 + excess) ** 2  # (1 - (x / sinh x)^2) / x^2
    capped = np.minimum(far, 350.0)  # beyond, coth(x) is 1 to the last digit
    tail = 2.0 / np.expm1(2 * capped)  # coth(x) - 1
    far_kl = np.log(2 * far) - 1.0 + capped * tail - np.log1p(-np.exp(-2 * capped))
    far_variance = (1.0 - (capped / np.sinh(capped)) ** 2) / far / far
    small = x < 2.0
    return (
        np.where(small, near_kl, far_kl),
        np.where(small, near_gain, 1.0 + tail - 1.0 / far),
        np.where(small, near_variance, far_variance),
    )


def bernoulli_frontier(
    kl: ArrayLike | None = None,
    *,
    gain: ArrayLike | None = None,
    beta: ArrayLike | None = None,
    pass_rate: ArrayLike,
) -> FrontierPoint:
    """How much can a pass rate rise for this KL?

    The new pass rate a solves ``kl(a || q) = D``, ``gain = a - q`` and
    ``beta = 1 / log(a (1 - q) / ((1 - a) q))``; from ``D = -log q`` on everything passes, the gain
    is 1 - q and beta is 0. Best-of-N lies on this curve at every N.

    Parameters
    ----------
    kl, gain, beta : (...) as for `gaussian_frontier`; a gain of more than 1 - q costs an infinite KL
    pass_rate : (...) q, the base's probability of reward 1 (against 0); 0 and 1 leave no gain

    Returns
    -------
    FrontierPoint

    Raises
    ------
    ArgumentError
        Where an argument is not as above.

    References
    ----------
    The tilt of arXiv 2605.07105, section 3, for 0/1 rewards; best-of-N: arXiv 2407.14622.

    Examples
    --------
    >>> point = bernoulli_frontier([0.5, 3.0], pass_rate=0.1)
    >>> point.gain.round(6).tolist(), point.beta.round(6).tolist()
    ([0.395051, 0.9], [0.459258, 0.0])

    The nats it takes to pass half the time:

    >>> float(bernoulli_frontier(gain=0.4, pass_rate=0.1).kl.round(6))
    0.510826
    """
    asked, x, q = _asked(kl, gain, beta, pass_rate=fraction(pass_rate, "pass_rate"))
    if asked == "gain":
        return _passing(np.maximum(x, 0.0), q)
    prob = np.stack([1.0 - q.ravel(), q.ravel()], axis=-1).ravel()
    law = outcomes(prob, np.tile([0.0, 1.0], q.size), np.arange(0, prob.size, 2))
    slope, limit = x.ravel(), law.saturation_kl()
    if asked == "kl":
        slope = own_betas(law, x.reshape(1, -1), spend, limit).beta[0]
    spent = spend(law, np.where(slope > 0, slope, 1.0))
    cost, gained, spread = (
        np.where(slope > 0, part, end).reshape(x.shape)
        for part, end in zip(spent, (limit, law.top, np.zeros_like(limit)), strict=True)
    )
    return FrontierPoint(x if asked == "kl" else cost, gained, slope.reshape(x.shape), spread)


def _passing(gain: Floats, q: Floats) -> FrontierPoint:
    """What it costs to raise a pass rate q by so much."""
    out = (gain > (1.0 - q) * (1.0 + 1e-14)) | ((q == 0) & (gain > 0))
    rise = np.where(out, 0.0, np.minimum(gain, 1.0 - q))
    with np.errstate(divide="ignore", invalid="ignore"):
        up = np.where(rise > 0, np.log1p(rise / q), 0.0)
        down = np.where(rise > 0, np.log1p(-rise / (1.0 - q)), 0.0)
        fail = np.maximum(1.0 - q - rise, 0.0)
        cost = kl_terms(q, q + rise, up) + kl_terms(1.0 - q, fail, down)
        slope = 1.0 / (up - down)
    cost, slope = np.where(out, np.inf, cost), np.where(out, 0.0, slope)
    return FrontierPoint(cost, gain, slope, np.where(out, 0.0, (q + rise) * fail))


def small_kl_expansion(base: ArrayLike, reward: ArrayLike, kl: ArrayLike) -> Floats:
    """What are the first two terms of the gain at a small KL?

    ``G(D) = sd sqrt(2 D) + k3 / (3 sd^2) D + O(D^1.5)`` with the reward's standard deviation and
    third cumulant under the base: positive skewness lifts the frontier above ``sd sqrt(2 D)``,
    negative skewness lowers it. Zero for a constant reward.

    Parameters
    ----------
    base, reward : (..., outcomes) as for `tilt`
    kl : (...) nats, at least 0 and finite; broadcast against the axes before the outcomes

    Returns
    -------
    (...) reward units

    Raises
    ------
    ArgumentError
        Where an argument is not as above.

    References
    ----------
    The tilt of arXiv 2605.07105, section 3, to second order in 1 / beta.

    Examples
    --------
    >>> float(small_kl_expansion([0.5, 0.3, 0.2], [0, 1, 4], 0.01).round(6))  # exactly 0.219769
    0.22014
    """
    law, d = known(base, reward), finite(budget(kl), "kl")
    same_leading(law.prob, d, "kl")
    variance = law.variance()
    third = law.total(law.prob * law.centred**3)
    with np.errstate(divide="ignore", invalid="ignore"):
        skew = np.where(variance > 0, third / (3.0 * variance), 0.0)
    return np.sqrt(2.0 * variance * d) + skew * d
