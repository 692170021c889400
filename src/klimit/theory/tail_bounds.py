"""Bounds on the gain from the KL alone, under an assumption on the reward's upper tail.

If psi(l) = log E_base exp(l (reward - mean)) is at most some f(l), then no policy gains more than
``min_l (KL + f(l)) / l`` (Donsker and Varadhan): every function here is that minimum for one f.
The frontier is the minimum for psi itself, so each of them lies above it. Infinity is returned
where a KL budget is infinite and the assumption leaves the reward unbounded, or for overflow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from klimit.theory._check import Floats, broadcast, budget, not_negative
from klimit.theory._outcomes import exp_excess
from klimit.theory._root import increasing_root
from klimit.theory.divergence_bounds import product

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


def sub_gaussian_bound(kl: ArrayLike, *, variance_proxy: ArrayLike) -> Floats:
    """How much can be gained for this KL if the reward's upper tail is sub-Gaussian?

    ``sqrt(2 s2 KL)`` where ``psi(l) <= s2 l^2 / 2`` for every l > 0; one side is enough.

    Parameters
    ----------
    kl : (...) KL(policy || base), nats, at least 0
    variance_proxy : (...) s2, reward units squared, at least 0: `variance_proxy(base, reward)`, or
        the variance itself for normal rewards. On average over prompts: the mean of s2.

    Returns
    -------
    (...) reward units, in the broadcast shape

    Raises
    ------
    ArgumentError
        Where an argument is not as above.

    References
    ----------
    arXiv 2406.05883 (the sqrt(KL) bound).

    Examples
    --------
    >>> float(sub_gaussian_bound(2.0, variance_proxy=1.44))
    2.4
    """
    d, s2 = _read(kl, variance_proxy=variance_proxy)
    return _root(s2, d)


def hoeffding_bound(kl: ArrayLike, *, width: ArrayLike) -> Floats:
    """How much can be gained for this KL if all that is known is the reward's range?

    ``width sqrt(KL / 2)``: the sub-Gaussian bound with variance proxy ``width^2 / 4``, which no law
    on that range exceeds (Hoeffding's lemma).

    Parameters
    ----------
    kl : (...) KL(policy || base), nats, at least 0
    width : (...) highest minus lowest possible reward, reward units, at least 0. On average over
        prompts: the root of the mean square, not the mean.

    Returns
    -------
    (...) reward units, in the broadcast shape

    Raises
    ------
    ArgumentError
        Where an argument is not as above.

    References
    ----------
    arXiv 2406.05883 (bounded rewards as sub-Gaussian ones).

    Examples
    --------
    >>> float(hoeffding_bound(0.5, width=1.0))
    0.5
    """
    d, w = _read(kl, width=width)
    return product(w, np.sqrt(0.5 * d))


def sub_gamma_bound(kl: ArrayLike, *, variance: ArrayLike, scale: ArrayLike) -> Floats:
    """How much can be gained for this KL if the reward's upper tail is sub-gamma?

    ``sqrt(2 v KL) + c KL`` where ``psi(l) <= v l^2 / (2 (1 - c l))`` for ``0 < l < 1 / c``.

    Parameters
    ----------
    kl : (...) KL(policy || base), nats, at least 0
    variance : (...) v, reward units squared, at least 0
    scale : (...) c, reward units, at least 0: `sub_gamma_scale(base, reward)`; 0 is sub-Gaussian

    Returns
    -------
    (...) reward units, in the broadcast shape

    Raises
    ------
    ArgumentError
        Where an argument is not as above.

    References
    ----------
    Boucheron, Lugosi and Massart, Concentration Inequalities (2013), section 2.4.

    Examples
    --------
    Exponential rewards are sub-gamma with v = c = 1; at one nat they gain 2.146:

    >>> float(sub_gamma_bound(1.0, variance=1.0, scale=1.0).round(4))
    2.4142
    """
    d, v, c = _read(kl, variance=variance, scale=scale)
    return _root(v, d) + product(c, d)


def bernstein_bound(kl: ArrayLike, *, variance: ArrayLike, above: ArrayLike) -> Floats:
    """How much can be gained for this KL, given the variance and the highest reward?

    ``sqrt(2 v KL) + b KL / 3``: a law with variance v that never exceeds its mean by more than b is
    sub-gamma with scale b / 3. `bennett_bound` says more from the same two numbers.

    Parameters
    ----------
    kl : (...) KL(policy || base), nats, at least 0
    variance : (...) v, of the reward under the base, reward units squared, at least 0. On average
        over prompts: the mean.
    above : (...) b, highest possible reward minus the mean, reward units, at least 0. On average
        over prompts: the largest.

    Returns
    -------
    (...) reward units, in the broadcast shape

    Raises
    ------
    ArgumentError
        Where an argument is not as above.

    Notes
    -----
    With ``above = max |reward - mean|`` it also bounds how much can be lost.

    References
    ----------
    Boucheron, Lugosi and Massart, Concentration Inequalities (2013), section 2.8.

    Examples
    --------
    >>> float(bernstein_bound(0.5, variance=0.09, above=0.9).round(6))
    0.45
    """
    d, v, b = _read(kl, variance=variance, above=above)
    return sub_gamma_bound(d, variance=v, scale=b / 3.0)


def bennett_bound(kl: ArrayLike, *, variance: ArrayLike, above: ArrayLike) -> Floats:
    """What is the least upper bound from the KL, the variance and the highest reward?

    ``(v / b) h^-1(b^2 KL / v)`` with ``h(u) = (1 + u) log(1 + u) - u``, since
    ``psi(l) <= (v / b^2) (exp(b l) - 1 - b l)``. Never above `bernstein_bound`.

    Parameters
    ----------
    kl, variance, above : (...) as for `bernstein_bound`

    Returns
    -------
    (...) reward units, in the broadcast shape; ``sqrt(2 v KL)`` at b = 0

    Raises
    ------
    ArgumentError
        Where an argument is not as above.

    Notes
    -----
    The frontier of centred Poisson rewards exactly.

    References
    ----------
    Boucheron, Lugosi and Massart, Concentration Inequalities (2013), section 2.7.

    Examples
    --------
    >>> float(bennett_bound(0.5, variance=0.09, above=0.9).round(6))
    0.427668
    """
    d, v, b = _read(kl, variance=variance, above=above)
    bound = _root(v, d)  # where b, and with it the argument of h^-1, vanishes
    with np.errstate(divide="ignore", invalid="ignore"):
        target = 2.0 * np.log(b) + np.log(d) - np.log(v)  # log of that argument
    search = np.isfinite(target)
    log_y, vb = target[search], np.log(v[search]) - np.log(b[search])
    log_u = _log_bennett_inverse(log_y)
    with np.errstate(over="ignore", under="ignore"):
        bound[search] = np.exp(vb + log_u)
    return bound


def sub_exponential_bound(kl: ArrayLike, *, variance_proxy: ArrayLike, scale: ArrayLike) -> Floats:
    """How much can be gained for this KL if the reward's upper tail is sub-exponential?

    With ``psi(l) <= nu^2 l^2 / 2`` for ``0 < l <= 1 / b``: ``sqrt(2 nu^2 KL)`` as long as
    ``KL <= nu^2 / (2 b^2)``, and ``b KL + nu^2 / (2 b)`` from there on.

    Parameters
    ----------
    kl : (...) KL(policy || base), nats, at least 0
    variance_proxy : (...) nu^2, reward units squared, at least 0:
        `variance_proxy(base, reward, scale=b)`
    scale : (...) b, reward units, at least 0; 0 is sub-Gaussian

    Returns
    -------
    (...) reward units, in the broadcast shape

    Raises
    ------
    ArgumentError
        Where an argument is not as above.

    References
    ----------
    Wainwright, High-Dimensional Statistics (2019), section 2.1; arXiv 2406.05883.

    Examples
    --------
    >>> sub_exponential_bound([0.02, 2.0], variance_proxy=1.0, scale=1.0).tolist()
    [0.2, 2.5]
    """
    d, nu2, b = _read(kl, variance_proxy=variance_proxy, scale=scale)
    near = _root(nu2, d)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        turn = 0.5 * (nu2 / b) / b
        far = product(b, d) + 0.5 * (nu2 / b)
    return np.where((b > 0) & (d > turn), far, near)


def _read(kl: ArrayLike, **sizes: ArrayLike) -> list[Floats]:
    """Return a budget and sizes, none negative, broadcast."""
    return broadcast(kl=budget(kl), **{name: not_negative(x, name) for name, x in sizes.items()})


def _root(variance: Floats, kl: Floats) -> Floats:
    """Return sqrt(2 * variance * kl), 0 where one of them is."""
    some = (variance > 0) & (kl > 0)
    with np.errstate(invalid="ignore"):
        return np.where(some, np.sqrt(variance) * np.sqrt(2.0 * kl), 0.0)


def _log_bennett_inverse(log_y: Floats) -> Floats:
    """Return log u with h(u) = y; with 1 + u = e^s, h = e^s (e^-s - 1 + s), without cancellation."""
    log_u: Floats = 0.5 * (log_y + np.log(2.0))
    search = log_y > -70.0  # below, h(u) is u^2 / 2 to the last digit
    wanted = log_y[search]

    def mismatch(log_s: Floats, index: NDArray[np.intp]) -> tuple[Floats, Floats]:
        s = np.exp(log_s)
        rest = exp_excess(-s)
        return s + np.log(rest) - wanted[index], s * s / rest

    # s follows u while both are small, and log y later on
    start = np.minimum(log_u[search], np.log1p(np.abs(wanted)))
    s = np.exp(increasing_root(mismatch, start))
    log_u[search] = s + np.log(-np.expm1(-s))
    return log_u
