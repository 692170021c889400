"""What N and the probability of the best answer alone say about best-of-N (Beirami et al.)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from klimit.theory._check import ArrayLike, Floats, broadcast, count, fraction
from klimit.theory._outcomes import kl_terms, log_kept


class BestOfNBounds(NamedTuple):
    """Between which values the KL and the win rate of best-of-N lie.

    Attributes
    ----------
    kl_low, kl_high : (...) nats
    win_rate_low, win_rate_high : (...) chance to beat one draw of the base, ties counting half
    """

    kl_low: Floats
    kl_high: Floats
    win_rate_low: Floats
    win_rate_high: Floats


def beirami_estimator(n: ArrayLike, probability: ArrayLike) -> Floats:
    """What is the KL of best-of-N if its answer has this probability under the base?

    ``d_n(e) = (1-e)^n [log n + (n-1) log(1-e) - (n-1)/n] + (1-(1-e)^n) log((1-(1-e)^n) / e)``: the
    exact KL where the best answer has probability e and no other answers tie. As an estimator, its
    mean over the answers y that best-of-N returns, at ``e = base(y | x)``. It matters only where
    single answers are likely; at e = 0 it is ``log n - (n - 1) / n``.

    Parameters
    ----------
    n : (...) draws, at least 1
    probability : (...) e, between 0 and 1, of the answer under the base; broadcast against `n`

    Returns
    -------
    (...) nats, at most ``log n - (n - 1) / n`` and at most ``-log e``

    Raises
    ------
    ArgumentError
        Where an argument is not as above.

    References
    ----------
    Beirami et al., arXiv 2401.01879, section 4.

    Examples
    --------
    >>> beirami_estimator(16, [0.0, 0.05, 0.5]).round(6).tolist()
    [1.835089, 1.821517, 0.692991]
    """
    draws, e = broadcast(n=count(n), probability=fraction(probability, "probability"))
    with np.errstate(divide="ignore", invalid="ignore"):
        # Below the atom the density is n u^(n-1); the integral of w log w - w + 1 up to 1 - e:
        at_edge = np.log(draws) + (draws - 1.0) * np.log1p(-e)
        mass = np.exp(draws * np.log1p(-e))
        below = mass * (at_edge - (draws - 1.0) / draws) - mass + (1.0 - e)
    below = np.where((e < 1) & (draws > 1), np.maximum(below, 0.0), 0.0)
    return below + _atom(draws, e)


def best_of_n_bounds(n: ArrayLike, top_probability: ArrayLike) -> BestOfNBounds:
    """How sure are KL and win rate of best-of-N if only the best reward's probability is known?

    Whatever lies below the best reward, merging it into one level lowers both (data processing),
    and splitting it so finely that nothing ties raises both. The low ends are those of a pass rate
    e, the high ends ``d_n(e)`` (see `beirami_estimator`) and
    ``(1-e)^(n+1) n / (n+1) + (1-(1-e)^n) (1 - e/2)``.

    Parameters
    ----------
    n : (...) draws, at least 1
    top_probability : (...) e, between 0 and 1: the base's chance of the highest reward; a lower
        bound on it still gives valid high ends. Broadcast against `n`

    Returns
    -------
    BestOfNBounds
        ``kl_low <= kl <= kl_high <= log n - (n - 1) / n`` under uniform tie-breaking, and
        ``win_rate_low <= win_rate <= win_rate_high <= n / (n + 1)``.

    Raises
    ------
    ArgumentError
        Where an argument is not as above.

    References
    ----------
    Refines the upper bounds of Beirami et al., arXiv 2401.01879, sections 3 (KL) and 5 (win rate), by
    data processing.

    Examples
    --------
    >>> bounds = best_of_n_bounds(4, 0.3)
    >>> [round(float(end), 4) for end in bounds]
    [0.4493, 0.6021, 0.7299, 0.7804]
    """
    top = fraction(top_probability, "top_probability")
    draws, e = broadcast(n=count(n), top_probability=top)
    with np.errstate(divide="ignore", invalid="ignore"):
        log_rest = np.log1p(-e)
        rest = np.exp(draws * log_rest)
        lost = np.where(draws > 1, (draws - 1.0) * log_rest, 0.0)
        merged = kl_terms(1.0 - e, rest, np.where(e < 1, lost, 0.0))
    reached = -np.expm1(draws * np.where(e < 1, log_rest, -np.inf))
    at_top = reached * (1.0 - 0.5 * e)
    return BestOfNBounds(
        kl_low=merged + _atom(draws, e),
        kl_high=beirami_estimator(draws, e),
        win_rate_low=at_top + rest * (0.5 * (1.0 - e)),
        win_rate_high=at_top + rest * (1.0 - e) * (draws / (draws + 1.0)),
    )


def _atom(draws: Floats, e: Floats) -> Floats:
    """Return the share of the KL, at least 0, of a best answer of probability e."""
    with np.errstate(divide="ignore", invalid="ignore"):
        u = log_kept(1.0 - e, e, -np.expm1((draws - 1.0) * np.log1p(-e)))  # log((1 - (1-e)^n) / e)
    u = np.where((e > 0) & (draws > 1), u, 0.0)
    return kl_terms(e, e * np.exp(u), u)
