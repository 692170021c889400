"""How often the answer that one reward selects beats a base draw in another reward's eyes."""

from __future__ import annotations

import numpy as np

from klimit.estimate.best_of_n.order_weights import chance_below
from klimit.estimate.best_of_n.ranked import Ranked, runs_of_ties
from klimit.estimate.kernel import Floats
from klimit.estimate.samples import level_ends


class JudgedWins:
    """Wins between the samples of each prompt, summed over reward levels; ties count half.

    A base draw k that is not among the n is above, on or below the level of the answer i that is
    kept, which decides how likely i is the best of n from the other samples; only sums over levels
    are needed.
    """

    def __init__(self, ranked: Ranked) -> None:
        same = ranked.rewards[:, 1:] == ranked.rewards[:, :-1]
        begins = np.ones(ranked.rewards.shape, dtype=bool)
        begins[:, 1:] = ~same
        flat = np.flatnonzero(begins)
        self.rows = len(begins)
        self.samples = ranked.samples
        self.row, self.low = np.divmod(flat, self.samples)
        self.ties = np.diff(flat, append=begins.size)
        twins = runs_of_ties(same & (ranked.read[:, 1:] == ranked.read[:, :-1]))
        at = np.searchsorted(flat, twins.row * self.samples + twins.top - 1, side="right") - 1
        twin_pairs = np.bincount(at, twins.ties * (twins.ties - 1) / 2, minlength=len(flat))
        self.within = self.ties * (self.ties - 1) / 2
        earlier = np.add.reduceat(wins_over_earlier(ranked.read).ravel(), flat)
        self.over_lower = earlier - (self.within - twin_pairs / 2)
        over_all = np.add.reduceat(_wins_over_all(ranked.read).ravel(), flat)
        self.over_higher = over_all - self.within - self.over_lower

    def win_rate(self, n: int) -> Floats:
        """(rows,) chance to beat a base draw, unbiased; nan for n = M: no draw is left to beat."""
        if n >= self.samples:
            return np.full(self.rows, np.nan)
        below = chance_below(n, self.samples - 1)
        low, top, ties = self.low, self.low + self.ties, self.ties
        with_all = below[np.minimum(top, self.samples - 1)]
        chance_higher = (
            np.where(top < self.samples, with_all - below[np.minimum(low, self.samples - 1)], 0.0)
            / ties
        )
        chance_same = (below[top - 1] - below[low]) / np.maximum(ties - 1, 1)
        chance_lower = (below[top - 1] - below[np.maximum(low - 1, 0)]) / ties
        wins = (
            self.over_higher * chance_higher
            + self.within * np.where(ties > 1, chance_same, 0.0)
            + self.over_lower * np.where(low > 0, chance_lower, 0.0)
        )
        return np.bincount(self.row, wins, minlength=self.rows) / self.samples


def _wins_over_all(values: Floats) -> Floats:
    """For each value, how many others of its row it exceeds, ties half."""
    order = np.argsort(values, axis=1, kind="stable")
    ascending = np.take_along_axis(values, order, axis=1)
    first, last = level_ends(ascending)
    wins = np.empty(values.shape)
    np.put_along_axis(wins, order, (first + last) / 2, axis=1)
    return wins


def wins_over_earlier(values: Floats) -> Floats:
    """For each value, how many earlier ones of its row it exceeds, ties half, by merging halves.

    Examples
    --------
    >>> wins_over_earlier(np.array([[2.0, 1.0, 2.0, 3.0]])).tolist()
    [[0.0, 0.0, 1.5, 3.0]]
    """
    rows, width = values.shape
    size = 1 << max(width - 1, 0).bit_length()
    keys = np.full((rows, size), np.inf)
    keys[:, :width] = values
    wins = np.zeros((rows, size))
    half = 1
    while half < size:
        parts = keys.reshape(rows, -1, 2 * half)
        right = np.arange(2 * half) >= half
        for later_first in (False, True):  # twice, so that ties count half
            view = parts[..., ::-1] if later_first else parts
            mark = right[::-1] if later_first else right
            order = np.argsort(view, axis=-1, kind="stable")
            is_right = mark[order]
            count = np.cumsum(~is_right, axis=-1) * is_right
            found = np.empty(parts.shape)
            np.put_along_axis(found, order, count / 2, axis=-1)
            wins += (found[..., ::-1] if later_first else found).reshape(rows, size)
        half *= 2
    return wins[:, :width]
