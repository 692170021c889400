"""The bias of few samples where each prompt has a best reward of its own that several of them reach.

Rewards cut off at a cap that differs by prompt: below the best all samples differ, the best comes again. A
prompt that shows it twice shows all there is above; what is lacking is the best of prompts that
never drew it. No split of the samples tells: halves miss it oftener, but how much oftener does not
say how much the whole still misses. How often prompts show it twice, and once, does.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from klimit.estimate.few_levels import shortfall, told_prompts
from klimit.estimate.kernel import Floats, Grid, weight_sums
from klimit.estimate.samples import Block, Samples, level_ends, ordered_mean

_DISTINCT = 0.5  # of the samples below the best: short answers that come back repeat there too
_UNSEEN = (
    0.2,
    0.3,
)  # share of prompts that miss their best, up to which it is believed, and not at all
_STEADY = (0.5, 0.3)  # odds of drawing the best where it is rare, over those where it is frequent
_SIMULATED = 4000  # prompt simulations, at least
_CELLS = 2**20  # samples drawn at a time, at most


@dataclass(frozen=True)
class OwnBest:
    """What the numbers of prompts tell that show their best once, twice and oftener.

    Attributes
    ----------
    unseen : of the prompts whose best reward stands alone, the share whose true best was not drawn
    expected : how often such a prompt expects to draw it
    gap : how far the best stands above the next, in standard deviations of the prompt
    belief : 1, or less where so many prompts miss their best, or some so much more than the others,
        that they may have none
    """

    unseen: float
    expected: float
    gap: float
    belief: float

    def bias(self, samples: Samples, grid: Grid, *, seed: int) -> Floats:
        """(tilts,) bias of the mean log-mgf at M samples.

        A prompt's samples stand for its rewards below the best; new ones are drawn from them and
        from the best.
        """
        varied = samples.variances > 0
        told = np.zeros(samples.prompts, dtype=bool)
        told[told_prompts(samples, varied)] = True
        rng = np.random.default_rng([seed, 11, samples.prompts])
        rounds = int(np.clip(np.ceil(_SIMULATED / told.sum()), 2, 24))
        pieces = []
        for block in samples.blocks:
            rows = np.flatnonzero(told[block.prompts])
            step = max(1, _CELLS // block.rewards.shape[1])
            for start in range(0, len(rows), step):
                part = block.only(rows[start : start + step])
                pieces += [self._falls_short(samples, part, grid, rng) for _ in range(rounds)]
        return np.asarray(varied.mean() * shortfall(np.concatenate(pieces)))

    def _falls_short(
        self, samples: Samples, block: Block, grid: Grid, rng: np.random.Generator
    ) -> Floats:
        """(rows, tilts) log of the mean exponential of samples drawn from the prompts, over the true one."""
        counts, padding = block.counts, block.rewards.shape[1] - block.counts
        ties, tops = samples.ties[block.prompts], samples.tops[block.prompts]
        missed = (ties == 1) & (rng.random(len(ties)) < self.unseen)
        tops = tops + np.where(missed, self.gap * np.sqrt(samples.variances[block.prompts]), 0.0)
        chance = (np.where(ties == 1, np.minimum(self.expected, counts - 1), ties) / counts)[
            :, None
        ]
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

    With `n` prompts that show their best k times as N_k, and no more than 1 and N_1 + N_0 told together,
    Chao's estimate ``N_0 = (1 - 1/M) N_1 (N_1 - 1) / (2 (N_2 + 1))`` (Biometrics 43, 1987) parts the
    two. It is low where chances differ much: then prompts that show it thrice and oftener do so at
    other odds than those that show it twice, and some may have no best at all.
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
    belief = _fading((once - seen) / len(ties), *_UNSEEN) * _fading(-steady, *(-x for x in _STEADY))
    if belief == 0 or _distinct(samples) < _DISTINCT:
        return None
    spread = np.where(varied, np.sqrt(samples.variances), 1.0)
    gaps = np.where(samples.ties > 1, (samples.tops - samples.level_below_the_best()) / spread, 0.0)
    return OwnBest(
        (once - seen) / max(once, 1),
        expected,
        ordered_mean(gaps, samples) * samples.prompts / again.sum(),
        belief,
    )


def _fading(value: float, whole: float, none: float) -> float:
    return float(np.clip((none - value) / (none - whole), 0.0, 1.0))


def _distinct(samples: Samples) -> float:
    """Share of samples that equal no other, of those below a best that their prompt has again."""
    below = alone = 0
    for block in samples.blocks:
        for rows in block.parts(_CELLS):
            first, last = level_ends(block.rewards[rows])
            again = samples.ties[block.prompts[rows]] > 1
            lower = (last < block.rewards.shape[1] - 1) & (block.rewards[rows] > -np.inf)
            lower &= again[:, None]
            below += int(lower.sum())
            alone += int((lower & (first == last)).sum())
    return alone / max(below, 1)
