"""A proxy in place of gold where formulas suffice: normal rewards, and an error with a heavy tail."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from klimit._errors import ArgumentError
from klimit.theory._check import Floats, broadcast, numbers, positive, require
from klimit.theory._outcomes import exp_excess
from klimit.theory._root import increasing_root
from klimit.theory.proxy import ProxyPoint, one_of

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


def gaussian_proxy(
    *,
    gold_sd: ArrayLike = 1.0,
    error_sd: ArrayLike,
    correlation: ArrayLike = 0.0,
    beta: ArrayLike | None = None,
    kl: ArrayLike | None = None,
) -> ProxyPoint:
    """How much of a proxy's gain is gold, if gold and error are jointly normal?

    With proxy = gold + error: ``proxy_gain = Var(proxy) / beta``, ``KL = Var(proxy) / (2 beta^2)``,
    ``gold_gain = Cov(gold, proxy) / beta``, ``regret = Var(error) / (2 beta)``. At the same KL the
    share of gold that is reached is the correlation of gold and proxy.

    Parameters
    ----------
    gold_sd : (...) standard deviation of the gold reward under the base, positive
    error_sd : (...) standard deviation of proxy minus gold, positive
    correlation : (...) of gold and error, between -1 and 1; 0 for an independent error
    beta : (...) reward units per nat, positive
    kl : (...) nats, at least 0; exactly one of `beta` and `kl`

    Returns
    -------
    ProxyPoint
        In the broadcast shape; its three gaps are ``-Cov(gold, error) / beta``,
        ``gold_sd sqrt(2 KL) (1 - corr(gold, proxy))`` and the regret. Infinite at an infinite KL.

    Raises
    ------
    ArgumentError
        Where an argument is not as above, or the proxy is constant.

    References
    ----------
    arXiv 2605.07105, section 4 (proxy and gold).

    Examples
    --------
    >>> point = gaussian_proxy(error_sd=0.5, beta=[2.0, 1.0, 0.5])
    >>> point.gold_gain.tolist(), point.regret.tolist()
    ([0.5, 1.0, 2.0], [0.0625, 0.125, 0.25])
    >>> point.efficiency.round(4).tolist()
    [0.8944, 0.8944, 0.8944]
    """
    is_beta, value = one_of(beta, kl)
    rho = numbers(correlation, "correlation")
    sd, error, rho, value = broadcast(
        gold_sd=positive(gold_sd, "gold_sd"),
        error_sd=positive(error_sd, "error_sd"),
        correlation=require(rho, np.abs(rho) <= 1, "correlation must lie between -1 and 1"),
        beta_or_kl=value,
    )
    along, apart = sd + rho * error, error * np.sqrt((1 - rho) * (1 + rho))  # gold's part, the rest
    proxy_sd = np.hypot(along, apart)
    if (proxy_sd == 0).any():
        raise ArgumentError(
            "correlation must leave the proxy some variance; an error of minus gold leaves none."
        )
    with np.errstate(divide="ignore", invalid="ignore"):
        b = value if is_beta else proxy_sd / np.sqrt(2.0 * value)
        missed = np.where(along > 0, apart * (apart / (proxy_sd + along)), proxy_sd - along)
        return ProxyPoint(
            beta=b,
            kl=0.5 * (proxy_sd / b) ** 2,
            proxy_gain=proxy_sd * (proxy_sd / b),
            gold_gain=np.where(along == 0, 0.0, sd * along / b),
            fixed_beta_gap=np.where(rho == 0, 0.0, -rho * sd * error / b),
            fixed_kl_gap=np.where(missed == 0, 0.0, sd * missed / b),
            regret=0.5 * error * error / b,
        )


def exponential_error_proxy(
    *,
    gold_sd: ArrayLike = 1.0,
    error_scale: ArrayLike = 1.0,
    beta: ArrayLike | None = None,
    kl: ArrayLike | None = None,
) -> ProxyPoint:
    """How much gold survives optimising a proxy whose error has a heavy tail?

    Gold is normal and the error exponential (centred), independent of it. The tilt needs
    ``beta > error_scale``, and at x = error_scale / beta spends
    ``gold_sd^2 / (2 beta^2) + x / (1 - x) + log(1 - x)`` nats for a gold gain of
    ``gold_sd^2 / beta``: however many nats are spent, no more than ``gold_sd^2 / error_scale``,
    while gold's own frontier grows as the root of the KL. An error with a tail heavier than
    exponential leaves no gold gain at all at any KL.

    Parameters
    ----------
    gold_sd : (...) standard deviation of the gold reward under the base, positive
    error_scale : (...) scale (and standard deviation) of the error, positive
    beta : (...) reward units per nat, above `error_scale`: below, no optimal policy exists
    kl : (...) nats, at least 0; exactly one of `beta` and `kl`

    Returns
    -------
    ProxyPoint
        In the broadcast shape. The gap at fixed beta is 0, since the error is independent of gold;
        the other two grow without end, and are infinite at an infinite KL.

    Raises
    ------
    ArgumentError
        Where an argument is not as above.

    References
    ----------
    arXiv 2605.07105, section 4 (the gap); arXiv 2406.05883 (tails decide the transfer to gold).

    Examples
    --------
    >>> point = exponential_error_proxy(kl=[0.5, 2.0, 8.0])
    >>> point.gold_gain.round(3).tolist(), point.gold_limit.round(3).tolist()
    ([0.525, 0.758, 0.909], [1.0, 2.0, 4.0])
    """
    is_beta, value = one_of(beta, kl)
    sd, scale, value = broadcast(
        gold_sd=positive(gold_sd, "gold_sd"),
        error_scale=positive(error_scale, "error_scale"),
        beta_or_kl=value,
    )
    ratio = sd / scale
    if is_beta:
        rule = "beta must exceed error_scale, or the proxy's partition function is infinite"
        require(value, value > scale, rule)
        x = scale / value
        y = -np.log1p(-x)
    else:
        y = _exponential_tilt(value, ratio)
        x = -np.expm1(-y)
    # with y = -log(1 - x) the error spends e^y - 1 - y nats
    error_kl = np.where(y < np.inf, exp_excess(y), np.inf)
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        b = scale / x
        spent = 0.5 * (ratio * x) ** 2 + error_kl
        gold_gain = sd * ratio * x
        # sd sqrt(2 KL) - gold_gain, whose squares differ by 2 sd^2 error_kl
        missed = sd * sd * 2.0 * error_kl / (sd * np.sqrt(2.0 * spent) + gold_gain)
        return ProxyPoint(
            beta=b,
            kl=spent,
            proxy_gain=gold_gain + scale * np.expm1(y),
            gold_gain=gold_gain,
            fixed_beta_gap=np.zeros_like(gold_gain),
            fixed_kl_gap=np.where(spent > 0, np.where(spent < np.inf, missed, np.inf), 0.0),
            regret=np.where(error_kl > 0, b * error_kl, 0.0),
        )


def _exponential_tilt(kl: Floats, ratio: Floats) -> Floats:
    """Solve ``e^y - 1 - y + (ratio (1 - e^-y))^2 / 2 = kl``."""
    flat, a = kl.ravel(), ratio.ravel() ** 2
    y = np.where(flat > 0, np.inf, 0.0)
    searched = np.flatnonzero((flat > 0) & (flat < np.inf))
    wanted, part = flat[searched], a[searched]

    def mismatch(log_y: Floats, index: NDArray[np.intp]) -> tuple[Floats, Floats]:
        t = np.exp(log_y)
        x = -np.expm1(-t)
        spent = exp_excess(t) + 0.5 * part[index] * x * x
        slope = t * (np.expm1(t) + part[index] * x * np.exp(-t))
        return np.log(spent / wanted[index]), slope / spent

    start = np.minimum(0.5 * np.log(2 * wanted / (1 + part)), np.log(np.log1p(wanted) + 1.0))
    y[searched] = np.exp(increasing_root(mismatch, start))
    return y.reshape(kl.shape)
