"""Rewards that come back on a prompt: few different answers, or a best that all rewards end at.

Short answers and samples at a low temperature repeat themselves. What M samples lack then are answers that
are rare on that prompt, and no residual of another prompt tells of them: a pooled model puts a tail above
the best. The jackknife and Aitken's extrapolation need no common shape.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from klimit.estimate.few_levels import shortfall
from klimit.estimate.kernel import Floats, Grid, weight_sums
from klimit.estimate.samples import Block, Samples, level_ends

_SOME, _MOST = 1 / 2, 2 / 3  # of the prompts
_DOUBTS = 4  # prompts more that do not repeat themselves: few prompts show little
_AGAINST = 3  # what a prompt counts more whose samples all differ: it has a tail that others share
_DISTINCT = 0.5  # of the samples below the best; of short answers fewer
_UNSEEN = 0.3  # of the prompts miss their best: no belief, and whole belief .1 below
_STEADY = 0.3  # odds of a rare best over those of a frequent one: none, and whole .2 above
_PROMPTS, _SIMULATED = 1000, 4000  # at most; and simulations, about
_CELLS = 2**20  # samples at a time, at most


def repeats(samples: Samples) -> float:
    """How far prompts have their best reward more than once: 0 up to half, 1 from two thirds on."""
    varied = samples.variances > 0
    again = (samples.ties[varied] > 1).sum()
    if again <= _SOME * varied.sum():
        return 0.0
    differ = 0
    for block in samples.blocks:
        rewards = block.rewards
        equal = (rewards[:, 1:] == rewards[:, :-1]) & (rewards[:, :-1] > -np.inf)
        differ += int((varied[block.prompts] & ~equal.any(axis=1)).sum())
    share = again / (varied.sum() + _DOUBTS + _AGAINST * differ)
    return float(np.clip((share - _SOME) / (_MOST - _SOME), 0.0, 1.0))


@dataclass(frozen=True)
class OwnBest:
    """Where each prompt has a best of its own, as rewards cut off at a cap have: all below it differ.

    What samples lack is the best of prompts that never drew it, which other corrections take for a tail.

    Attributes
    ----------
    unseen : of the prompts whose best stands alone, the share whose true best was not drawn
    expected : how often such a prompt expects to draw it
    gap : how far a best stands above the next, in standard deviations of the prompt
    belief : how far from 0 to 1 the prompts all have one
    """

    unseen: float
    expected: float
    gap: float
    belief: float

    def bias(self, samples: Samples, grid: Grid, *, seed: int) -> Floats:
        """(tilts,) bias of the mean log-mgf, told by new samples of each prompt's own and of its best."""
        varied = np.flatnonzero(samples.variances > 0)
        told = varied[np.argsort(samples.rank[varied])[:_PROMPTS]]
        rng = np.random.default_rng([seed, 11, samples.prompts])
        rounds = int(np.clip(np.ceil(_SIMULATED / len(told)), 2, 24))
        pieces = []
        for block in samples.blocks:
            rows = np.flatnonzero(np.isin(block.prompts, told))
            step = max(1, _CELLS // block.rewards.shape[1])
            for start in range(0, len(rows), step):
                part = rows[start : start + step]
                some = Block(block.prompts[part], block.rewards[part], block.counts[part])
                pieces += [self._falls_short(samples, some, grid, rng) for _ in range(rounds)]
        return np.asarray(samples.moving * shortfall(np.concatenate(pieces)))

    def _falls_short(
        self, samples: Samples, block: Block, grid: Grid, rng: np.random.Generator
    ) -> Floats:
        """(rows, tilts) log of the mean exponential of samples drawn anew, over the true one."""
        counts, padding = block.counts, block.rewards.shape[1] - block.counts
        ties, tops = samples.ties[block.prompts], samples.tops[block.prompts]
        missed = (ties == 1) & (rng.random(len(ties)) < self.unseen)
        tops = tops + np.where(missed, self.gap * np.sqrt(samples.variances[block.prompts]), 0.0)
        times = np.where(ties == 1, np.minimum(self.expected, counts - 1), ties)
        chance = (times / counts)[:, None]
        below = np.where(missed, counts, counts - ties)
        gaps = block.rewards - tops[:, None]
        gaps[np.arange(gaps.shape[1]) >= (padding + below)[:, None]] = -np.inf
        lower = weight_sums(gaps, grid) / below[:, None]
        true = np.log(chance + (1 - chance) * lower)
        luck, pick = rng.random((2, *gaps.shape))
        place = padding[:, None] + (pick * below[:, None]).astype(int)
        drawn = np.where(luck < chance, 0.0, np.take_along_axis(gaps, place, axis=1))
        drawn[np.arange(gaps.shape[1]) < padding[:, None]] = -np.inf
        best = drawn.max(axis=1, keepdims=True)
        value = np.log(weight_sums(drawn - best, grid) / counts[:, None]) + grid.tilts * best
        return np.asarray(value - true)


def own_best(samples: Samples) -> OwnBest | None:
    """Whether, and how far, prompts have a best reward of their own.

    Of N_k prompts that draw their best k times, N_0 look like N_1. Chao's estimate ``N_0 = (1 - 1/M) N_1
    (N_1 - 1) / (2 (N_2 + 1))`` (Biometrics 43, 1987) parts the two. Where rare bests are far rarer than
    others, some prompts may have none.
    """
    varied = samples.variances > 0
    ties, counts = samples.ties[varied], samples.counts[varied]
    once, twice = int((ties == 1).sum()), int((ties == 2).sum())
    again = ties > 1
    if not again.any():
        return None
    lean = float(np.mean(1 - 1 / counts)) / (2 * (twice + 1))
    seen = (lean - 1 + np.sqrt((1 - lean) ** 2 + 4 * lean * once)) / (2 * lean)
    expected = 2 * (twice + 1) / max(seen, 1.0)
    rare = expected / float((counts - 1).mean())
    frequent = ties[ties > 2].sum() / (counts - ties)[again].sum()
    steady = rare / frequent if frequent > 0 else 1.0
    unseen = (once - seen) / len(ties)
    parts = np.clip([(_UNSEEN - unseen) / 0.1, (steady - _STEADY) / 0.2], 0.0, 1.0)
    belief = float(parts.prod())
    if belief == 0 or _distinct(samples) < _DISTINCT:
        return None
    gaps = (samples.tops - samples.level_below_the_best())[varied] / np.sqrt(
        samples.variances[varied]
    )
    return OwnBest((once - seen) / max(once, 1), expected, np.sort(gaps[again]).mean(), belief)


def _distinct(samples: Samples) -> float:
    """Share of samples that equal no other, below a best that comes again."""
    below = alone = 0
    for block in samples.blocks:
        for rows in block.parts(_CELLS):
            first, last = level_ends(block.rewards[rows])
            lower = (last < block.rewards.shape[1] - 1) & (block.rewards[rows] > -np.inf)
            lower &= (samples.ties[block.prompts[rows]] > 1)[:, None]
            below += int(lower.sum())
            alone += int((lower & (first == last)).sum())
    return alone / max(below, 1)
