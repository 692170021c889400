"""What could be gained if every prompt spent the KL that best-of-N spends on it: ``E_x G_x(K_x)``.

Best-of-N is below the average-budget frontier ``G(E K_x)`` for two reasons: prompts do not spend
where reward is cheapest, and no prompt's own spending is optimal. ``E_x G_x(K_x)`` lies between. Its
ratio to ``G(E K_x)`` is that of the law of the samples, and what few samples do to it is extrapolated
from half of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from klimit.estimate.best_of_n.ranked import Ranked
from klimit.estimate.kernel import Floats, Grid
from klimit.estimate.members import front, lowest
from klimit.estimate.samples import Integers, level_ends
from klimit.estimate.shape import log_mean

MOST = 2**17  # rewards looked at: a ratio needs no more
_FEWEST = 64  # prompts, however many samples they have


@dataclass(frozen=True)
class SpendingRatio:
    """``E_x G_x(K_x) / G(E K_x)`` for each size, and how much of it was extrapolated; (sizes,)."""

    value: Floats
    correction: Floats


def spending_ratio(
    chunks: Iterable[Ranked], rank: Integers, sizes: Sequence[int], grid: Grid, *, seed: int
) -> SpendingRatio:
    """Compare own spending with the best spending, on the law of the samples (see the module).

    Parameters
    ----------
    rank : (prompts,) canonical places; the first few prompts are looked at
    """
    parts = [part for part in (_first(chunk, rank) for chunk in chunks) if part is not None]
    parts.sort(key=lambda part: (part.samples, int(rank[part.prompts[0]])))
    whole = _ratio(parts, sizes, grid)
    if min(part.samples for part in parts) < 4:
        return SpendingRatio(whole, np.zeros(len(sizes)))
    halves: tuple[list[Ranked], list[Ranked]] = ([], [])
    for part in parts:
        rng = np.random.default_rng([seed, 7, part.samples, int(rank[part.prompts[0]])])
        deal = np.argsort(rng.random(part.rewards.shape), axis=1)
        size = part.samples // 2
        for half, columns in zip(halves, (deal[:, :size], deal[:, size : 2 * size]), strict=True):
            columns = np.sort(columns, axis=1)  # samples stand in ascending order
            read = np.take_along_axis(part.read, columns, axis=1)
            read = read - read.mean(axis=1, keepdims=True)
            half.append(
                Ranked(part.prompts, np.take_along_axis(part.rewards, columns, axis=1), read)
            )
    smaller = (_ratio(halves[0], sizes, grid) + _ratio(halves[1], sizes, grid)) / 2
    value = np.clip(whole**2 / smaller, 0.0, 1.0)
    return SpendingRatio(value, np.abs(value - whole))


def _first(chunk: Ranked, rank: Integers) -> Ranked | None:
    many = max(_FEWEST, MOST // chunk.samples)
    use = np.flatnonzero(rank[chunk.prompts] < many)
    use = use[np.argsort(rank[chunk.prompts[use]])]
    if not len(use):
        return None
    return Ranked(chunk.prompts[use], chunk.rewards[use], chunk.read[use])


def _ratio(parts: Sequence[Ranked], sizes: Sequence[int], grid: Grid) -> Floats:
    """(sizes,) the ratio where the samples are the whole law, drawn with replacement."""
    log_mgf = np.concatenate([log_mean(np.sort(part.read, axis=1), grid) for part in parts])
    kl = np.concatenate([_sample_kl(part.rewards, sizes) for part in parts], axis=1)
    mean_kl = np.sort(kl, axis=1).mean(axis=1)
    together = front(np.sort(log_mgf, axis=0).mean(axis=0), grid, mean_kl).gain
    own = np.array([np.sort(own_front(log_mgf, grid, spent)).mean() for spent in kl])
    ratio: Floats = np.divide(own, together, out=np.ones(len(own)), where=together > 0)
    return ratio


def own_front(log_mgf: Floats, grid: Grid, kl: Floats) -> Floats:
    """``min over tilts of (kl + C) / tilt``, each row at its own KL."""
    return lowest((log_mgf + kl[:, None]) / grid.tilts, grid)[0]


def _sample_kl(rewards: Floats, sizes: Sequence[int]) -> Floats:
    """(sizes, rows) KL of best-of-n from the samples' own law, n draws with replacement."""
    from scipy.special import xlogy

    rows, samples = rewards.shape
    first, last = level_ends(rewards)
    low, high = first / samples, (last + 1) / samples
    found = np.zeros((len(sizes), rows))
    for i, n in enumerate(sizes):
        if n > 1:
            ratio = (high**n - low**n) / (high - low)
            found[i] = xlogy(ratio, ratio).mean(axis=1)
    return found
