"""The frontier of the win rate against the base."""

from collections.abc import Sequence

from numpy.typing import ArrayLike

from klimit.theory._check import choice
from klimit.theory._curve import Budget
from klimit.theory._levels import levels
from klimit.theory._outcomes import outcomes
from klimit.theory._prompts import lay_flat, read_rows, read_weights
from klimit.theory._spend import by_rows
from klimit.theory.frontier import KnownFrontier


def win_rate_frontier(
    base: ArrayLike | Sequence[ArrayLike],
    reward: ArrayLike | Sequence[ArrayLike],
    *,
    weights: ArrayLike | None = None,
    budget: Budget = "average",
) -> KnownFrontier:
    """How often can any policy beat the base for a KL budget, ties counting half?

    The frontier of `win_probability`: gains are win rates over the base's own one half. Without
    ties it is that of the uniform law, `uniform_frontier`, for every reward; with ties it is lower.

    Parameters
    ----------
    base, reward, weights, budget : as for `frontier`; only the order of a prompt's rewards counts

    Returns
    -------
    KnownFrontier
        Gains between 0 and 1/2.

    Raises
    ------
    ArgumentError
        As `frontier`.

    References
    ----------
    An objective that arXiv 2605.07105 leaves open.

    Examples
    --------
    The best win rate that half a nat buys with three grades, and without ties:

    >>> from klimit.theory import uniform_frontier
    >>> limit = win_rate_frontier([0.5, 0.3, 0.2], [0, 1, 4])
    >>> float((0.5 + limit.gain(0.5)).round(4))
    0.7605
    >>> float((0.5 + uniform_frontier(0.5).gain).round(4))
    0.7737
    """
    choice(budget, "budget", ("average", "per-prompt"))
    law = lay_flat(read_rows(base, "base"), read_rows(reward, "reward"))
    win = by_rows(law, lambda _, prob, below: levels(outcomes(prob, below)).win)
    won = outcomes(law.prob, win, law.starts)
    return KnownFrontier(read_weights(weights, law.top.size), budget, won)
