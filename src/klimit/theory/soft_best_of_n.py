"""Soft best-of-N: draw N answers, keep one with odds ``exp(reward / beta)``; exactly, for any N.

An answer of weight ``w = e^(r / beta)`` among N draws is kept with probability proportional to
``E[w / (w + W)]``, W being the total weight of the N - 1 others. With ``1 / x`` as the integral of
``e^(-t x)`` over t, this is one integral for every N and any number of outcomes,

    policy / base = N integral w e^(-t w) M(t)^(N-1) dt,    M(t) = E_base e^(-t w),

and in log t its integrand is analytic in a strip, where the trapezoid rule converges like
``e^(-pi^2 / step)``: there is no need to enumerate which answers the N draws could be.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from klimit.theory._check import ArrayLike, Floats, coefficient, count, require, same_leading
from klimit.theory._levels import levels
from klimit.theory._outcomes import Outcomes, log_sum, measure
from klimit.theory._pair import Pair
from klimit.theory._reweighted import Reweighted, measured
from klimit.theory.tilt import known

_STEP = 0.1875  # of the trapezoid rule in log t: an error of 1e-22; a sum of powers of 2
_BEFORE = 40.0  # the integrand rises like t: what lies this much lower is 1e-17 of it
_BEYOND = 9.0  # e^-(e^9) is 0, whatever the probabilities and N
_BLOCK = 256  # nodes at once


@dataclass(frozen=True, slots=True, eq=False)
class KnownSoftBestOfN(Reweighted):
    """The policy of soft best-of-N on a known base, what it costs and gains, and what it misses.

    Also has all that `KnownBestOfN` has.

    Attributes
    ----------
    n : (...) numbers of draws
    beta : (...) temperature of the choice, reward units per nat
    kl_from_tilt : (...) KL(optimal tilt at beta || policy), nats: what more draws would still bring
    kl_from_tilt_bound : (...) log(1 + chi_square(tilt || base) / n), nats, never below it
    """

    n: Floats
    beta: Floats
    kl_from_tilt: Floats
    kl_from_tilt_bound: Floats


def soft_best_of_n(
    base: ArrayLike, reward: ArrayLike, n: ArrayLike, *, beta: ArrayLike
) -> KnownSoftBestOfN:
    """What does soft best-of-N do to a base that is known exactly?

    Of n draws one is kept with probability proportional to ``exp(reward / beta)``. At n = 1 this is
    the base, as n grows the optimal tilt at beta, and as beta goes to 0 best-of-n.

    Parameters
    ----------
    base, reward : (..., outcomes) as for `tilt`
    n : (...) draws, whole numbers from 1 to as large as a float holds; broadcast against the axes
        before the outcomes (see `tilt`)
    beta : (...) reward units per nat, positive; broadcast like `n`. Infinity leaves the base.

    Returns
    -------
    KnownSoftBestOfN
        Ratios of policy to base are good to about 1e-14, or 1e-16 of the spread of rewards over
        beta where that is larger; gain and KL also where they are tiny (large beta).

    Raises
    ------
    ArgumentError
        Where an argument is not as above.

    Notes
    -----
    ``gain`` is exactly the expectation of the plug-in estimate (self-normalised weights) of the
    tilt's gain from n samples, so that the plug-in point at fixed beta is, on average, one that can
    be reached; its expected KL is no less than ``kl``.

    References
    ----------
    arXiv 2505.03156 (soft best-of-n and its convergence to the tilt at a rate 1 / n).

    Examples
    --------
    >>> best = soft_best_of_n([0.5, 0.3, 0.2], [0.0, 1.0, 2.0], n=[1, 4, 1e6], beta=0.5)
    >>> best.gain.round(4).tolist(), best.kl_from_tilt.round(6).tolist()
    ([0.0, 0.6806, 1.0641], [0.915475, 0.177351, 0.0])
    """
    law, draws, b = known(base, reward), count(n), coefficient(beta)
    require(draws, draws == np.floor(draws), "n must be a whole number of draws")
    same_leading(law.prob, draws, "n")
    same_leading(law.prob, b, "beta")
    shape = np.broadcast_shapes(law.mean.shape, draws.shape, b.shape)
    draws, b = np.broadcast_to(draws, shape), np.broadcast_to(b, shape)
    every = (*shape, law.prob.shape[-1])
    prob, below = np.broadcast_to(law.prob, every), np.broadcast_to(law.below_top, every)
    u = np.zeros(every)
    for index in np.ndindex(shape):
        u[index] = _log_ratio(prob[index], below[index], float(draws[index]), float(b[index]))
    fields = measured(law, u, levels(law).win)
    missed, bound = _from_tilt(law, fields["_pair"], draws, b)
    return KnownSoftBestOfN(
        **fields, n=draws, beta=b, kl_from_tilt=missed, kl_from_tilt_bound=bound
    )


def _from_tilt(law: Outcomes, pair: Pair, n: Floats, beta: Floats) -> tuple[Floats, Floats]:
    """KL(tilt || policy), and its bound log(1 + chi-square(tilt || base) / n)."""
    tilted = measure(law, beta)
    with np.errstate(invalid="ignore"):
        apart = np.where((tilted.policy == 0) & (pair.p == 0), 0.0, tilted.log_ratio - pair.u)
    unevenness = Pair(tilted.policy, pair.q, tilted.log_ratio).chi_square()
    return Pair(tilted.policy, pair.p, apart).kl(), np.log1p(unevenness / n)


def _log_ratio(prob: Floats, below_top: Floats, n: float, beta: float) -> Floats:
    """Return log(policy / base) of one prompt, outcome by outcome (0 where the base has none)."""
    result = np.zeros_like(prob)
    if n == 1 or beta == np.inf:
        return result
    possible = prob > 0
    reward, level = np.unique(below_top[possible], return_inverse=True)
    mass = np.asarray(np.bincount(level, weights=prob[possible]), dtype=np.float64)
    log_ratio, rise = _integrals(mass, reward, n, beta)
    # Where little changes: measured from the most probable level, since ratios average to one.
    excess = rise - mass @ rise
    u = np.where(np.abs(excess) < 0.5, np.log1p(np.maximum(excess, -0.5)), log_ratio)
    result[possible] = u[level]
    return result


def _integrals(mass: Floats, reward: Floats, n: float, beta: float) -> tuple[Floats, Floats]:
    """Return the log ratio of each level, and its ratio minus that of the most probable level.

    Levels ascend. To a level something happens only around ``log t = -reward / beta``, and log n
    before it; earlier its integrand just rises like t, later it is used up. So each cluster of near
    levels has its own nodes, counted from its highest level, and each block of nodes sees only the
    levels that it concerns.
    """
    before, centre = _BEFORE + np.log(n), int(np.argmax(mass))
    log_ratio, rise = np.full(mass.shape, -np.inf), np.zeros(mass.shape)
    under = np.concatenate([[0.0], np.cumsum(mass)])
    over = np.concatenate([np.cumsum(mass[::-1])[::-1], [0.0]])
    with np.errstate(over="ignore"):
        cuts = np.flatnonzero(np.diff(reward) / beta > before + _BEYOND) + 1
        far = np.abs(reward - reward[centre]) / beta >= 1.0
    for start, end in itertools.pairwise([0, *cuts.tolist(), mass.size]):
        up = (reward[start:end] - reward[end - 1]) / beta
        nodes = np.arange(-np.ceil(before / _STEP), (_BEYOND - up[0]) / _STEP + 1.0) * _STEP
        for first_node in range(0, nodes.size, _BLOCK):
            log_t = nodes[first_node : first_node + _BLOCK]
            low, high = np.searchsorted(up, [-before - log_t[-1], _BEYOND - log_t[0]])
            live = slice(start + low, start + high)
            log, change = _block(
                mass[live],
                under[live.start],
                over[live.stop],
                up[low:high],
                log_t,
                n,
                centre - live.start,
            )
            log_ratio[live] = np.logaddexp(log_ratio[live], log)
            rise[live] += change
    ratio = np.exp(log_ratio)
    return log_ratio, np.where(far, ratio - ratio[centre], rise)


def _block(
    mass: Floats, below: float, above: float, up: Floats, log_t: Floats, n: float, centre: int
) -> tuple[Floats, Floats]:
    """Sum over nodes: log of each level's ratio, and its ratio minus the centre's.

    log w is `up`; `below` and `above` are the probabilities of levels that t has not reached yet
    and of those that it has used up.
    """
    with np.errstate(over="ignore", under="ignore", divide="ignore", invalid="ignore"):
        exponent = log_t[:, None] + up  # log(t w)
        damped = np.exp(exponent)
        lost = np.expm1(-damped) @ mass - above  # M - 1
        kept = np.logaddexp(np.log(below), log_sum(np.log(mass) - damped, axis=1))
        log_m = np.where(lost > -0.5, np.log1p(np.maximum(lost, -0.5)), kept)
        spread = (n - 1.0) * log_m + np.log(n * _STEP)
        log_terms = exponent - damped + spread[:, None]
        change = np.zeros_like(exponent)
        if 0 <= centre < mass.size:
            terms, at_centre = np.exp(log_terms), np.exp(log_terms[:, [centre]])
            step = up - up[centre]
            grown = step - damped[:, [centre]] * np.expm1(step)
            change = np.where(np.abs(grown) < 1.0, at_centre * np.expm1(grown), terms - at_centre)
        return log_sum(log_terms, axis=0), change.sum(axis=0)
