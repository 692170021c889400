"""Best-of-N: draw N answers, keep the one of highest reward; exactly, ties included."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from klimit.theory._check import ArrayLike, Floats, broadcast, choice, count, fraction, same_leading
from klimit.theory._levels import Ties, levels
from klimit.theory._outcomes import log_kept
from klimit.theory._reweighted import Reweighted, measured
from klimit.theory.tilt import known


@dataclass(frozen=True, slots=True, eq=False)
class KnownBestOfN(Reweighted):
    """The policy of best-of-N on a known base, and what it costs and gains.

    The divergences from the base are exact with ties, and under uniform tie-breaking each is at
    most that of `continuous_best_of_n`.

    Attributes
    ----------
    policy : (..., outcomes) probabilities
    gain : (...) mean reward over the base's, reward units
    win_rate : (...) chance to beat one draw of the base, ties counting half
    n : (...) numbers of draws
    """

    n: Floats


def best_of_n(
    base: ArrayLike,
    reward: ArrayLike,
    n: ArrayLike,
    *,
    ties: Ties = "uniform",
) -> KnownBestOfN:
    """What does best-of-N do to a base that is known exactly, ties included?

    With the rewards' levels v of mass m(v) and cumulative probability F(v), level v is kept with
    probability ``q = F(v)^n - F(v-)^n``, and ``KL = sum q log(q / m)`` under uniform tie-breaking.

    Parameters
    ----------
    base, reward : (..., outcomes) as for `tilt`
    n : (...) draws, at least 1, not necessarily whole and as large as a float holds; broadcast
        against the axes before the outcomes (see `tilt`)
    ties : "uniform" keeps any of the best with equal chances; "fixed" keeps the one of highest
        index, which costs more KL for the same gain

    Returns
    -------
    KnownBestOfN

    Raises
    ------
    ArgumentError
        Where an argument is not as above.

    References
    ----------
    BOND, arXiv 2407.14622, theorem 1 (exact law with ties); Beirami et al., arXiv 2401.01879, section 3
    (the bound on the KL).

    Examples
    --------
    >>> best = best_of_n([0.9, 0.1], [0.0, 1.0], n=[1, 4, 1e12])
    >>> best.gain.round(4).tolist(), best.kl.round(6).tolist()
    ([0.0, 0.2439, 0.9], [0.0, 0.217398, 2.302585])
    """
    choice(ties, "ties", ("uniform", "fixed"))
    law, draws = known(base, reward), count(n)
    same_leading(law.prob, draws, "n")
    ranked = levels(law, ties)
    win = ranked.win if ties == "uniform" else levels(law).win
    more = draws[..., None] - 1.0
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        # q / m = F^(n-1) (1 + F- / m (1 - (F- / F)^(n-1))): no power is ever formed, so that n may
        # be e^40, and nothing cancels, so that it may be next to 1.
        spared = -np.expm1(more * ranked.log_below)
        u = more * ranked.log_cdf + log_kept(ranked.lower, ranked.mass, spared)
    u = np.where((law.prob > 0) & (more > 0), u, 0.0)
    return KnownBestOfN(**measured(law, u, win), n=np.broadcast_to(draws, u.shape[:-1]))


def win_probability(base: ArrayLike, reward: ArrayLike) -> Floats:
    """How likely does each outcome beat one draw of the base, ties counting half?

    The reward whose mean is the win rate: ``frontier(base, win_probability(base, reward))`` plus
    one half is the best win rate that a KL budget buys. Strictly increasing transforms of the
    reward change nothing.

    Parameters
    ----------
    base, reward : (..., outcomes) as for `tilt`

    Returns
    -------
    (..., outcomes) between 0 and 1; its mean under the base is one half. Where the base has no
    probability the number means nothing.

    Raises
    ------
    ArgumentError
        Where an argument is not as above.

    References
    ----------
    The win rate as an objective: arXiv 2310.12036; left open by arXiv 2605.07105.

    Examples
    --------
    >>> win_probability([0.5, 0.3, 0.2], [0.0, 1.0, 1.0]).tolist()
    [0.25, 0.75, 0.75]
    """
    return levels(known(base, reward)).win


def pass_at_k(pass_rate: ArrayLike, k: ArrayLike) -> Floats:
    """How likely is at least one of k draws right? Best-of-k for 0/1 rewards.

    ``1 - (1 - q)^k``, with all its digits for tiny q and huge k.

    Parameters
    ----------
    pass_rate : (...) q, between 0 and 1
    k : (...) draws, at least 1

    Returns
    -------
    (...) between 0 and 1

    Raises
    ------
    ArgumentError
        Where an argument is not as above.

    References
    ----------
    Chen et al., arXiv 2107.03374, section 2.1.

    Examples
    --------
    >>> pass_at_k(0.1, [1, 4, 64]).round(4).tolist()
    [0.1, 0.3439, 0.9988]
    """
    q, draws = broadcast(pass_rate=fraction(pass_rate, "pass_rate"), k=count(k, "k"))
    with np.errstate(divide="ignore"):
        return -np.expm1(draws * np.log1p(-q))
