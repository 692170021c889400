"""The bias that a shared law of few-level rewards predicts for a log-mgf of few samples.

Rubrics and Likert scales put all prompts on the same few levels. A prompt's chances of the levels
are drawn given its own counts and the law of all prompts (`level_law`); they stand for the truth, and new
counts drawn from them show how far a log-mgf of M samples falls short of it. Two levels have a law
of their own (`rate_law`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from klimit.estimate import rate_law
from klimit.estimate.kernel import Floats, Grid
from klimit.estimate.level_law import LevelLaw
from klimit.estimate.samples import Integers, Samples
from klimit.estimate.statistics import FEWEST

MOST_LEVELS = 20
_PIECE = 2**16
_PROMPTS = 1000  # prompts that the model is simulated on, at most
_SIMULATED = 4000  # prompt simulations, about: in 2 to 24 rounds


@dataclass(frozen=True)
class Levels:
    """What rewards are told apart by.

    Attributes
    ----------
    values : (levels,) ascending
    edges : (levels - 1,) what parts them
    """

    values: Floats
    edges: Floats

    @classmethod
    def at(cls, values: Floats) -> Levels:
        """Rewards that have no other values."""
        return cls(values, (values[1:] + values[:-1]) / 2)


def shared_levels(values: Floats) -> Levels | None:
    """The levels, if all rewards share at most twenty, each seen eight times on average."""
    levels = np.empty(0)
    for start in range(0, len(values), _PIECE):
        piece = values[start : start + _PIECE]
        new = piece[~(np.isin(piece, levels) | np.isnan(piece))]
        levels = np.union1d(levels, new)
        if len(levels) > MOST_LEVELS:
            return None
    return Levels.at(levels) if len(levels) <= len(values) / 8 else None


def told_prompts(samples: Samples) -> Integers:
    """The prompts that a law is told from, in canonical order: a thousand with enough samples at most."""
    usable = np.flatnonzero(samples.counts >= FEWEST)
    return usable[np.argsort(samples.rank[usable])[:_PROMPTS]]


def level_counts(samples: Samples, levels: Levels) -> Floats:
    """(prompts, levels) how often each of the prompts that tell the law showed each level."""
    told = told_prompts(samples)
    use = np.zeros(samples.prompts, dtype=bool)
    use[told] = True
    counts = np.zeros((samples.prompts, len(levels.values)))
    for block in samples.blocks:
        width = block.rewards.shape[1]
        for row in np.flatnonzero(use[block.prompts]):
            prompt = block.prompts[row]
            edges = levels.edges - samples.means[prompt]
            place = np.searchsorted(block.rewards[row], edges, side="right")
            ends = np.concatenate(([width - block.counts[row]], place, [width]))
            counts[prompt] = np.diff(ends)
    return counts[told]


def predicted_bias(
    counts: Floats, levels: Floats, grid: Grid, *, seed: int
) -> tuple[Floats, Floats]:
    """Bias of the mean log-mgf at M samples, and its change from M/2 to M; both (tilts,)."""
    if len(levels) == 2:
        step = float(levels[1] - levels[0])
        return rate_law.predicted_bias(counts[:, 1], counts.sum(axis=1), grid.tilts * step)
    rng = np.random.default_rng([seed, 7, len(counts)])
    law = LevelLaw.fit(counts, levels)
    reached = law.posterior(counts).cumsum(axis=1)[:, :-1]
    sizes = counts.sum(axis=1).astype(int)
    repeats = int(np.clip(np.ceil(_SIMULATED / len(counts)), 2, 24))
    above = levels - levels.max()
    weights = np.exp(np.outer(above, grid.tilts))
    log = np.empty((2, repeats, len(counts), len(grid.tilts)))
    for repeat in range(repeats):
        tilt = (rng.random((len(counts), 1)) > reached).sum(axis=1)
        gamma = rng.gamma(np.maximum(counts + law.concentration * law.laws[tilt], 1e-12))
        chances = gamma / gamma.sum(axis=1, keepdims=True)
        true = _log_mgf(chances, weights, above, grid)
        for i, size in enumerate((sizes, sizes // 2)):
            drawn = rng.multinomial(size, chances) / size[:, None]
            log[i, repeat] = _log_mgf(drawn, weights, above, grid) - true
    full, half = (shortfall(x.reshape(-1, len(grid.tilts))) for x in log)
    return full, half - full


def shortfall(log: Floats) -> Floats:
    """(tilts,) mean of minus the logarithm of drawn over true.

    Their ratio is 1 on average and serves as control variate: at small tilts both move alike, and
    chance all but cancels.
    """
    off = np.exp(log) - 1
    moved = off - off.mean(axis=0)
    alike = np.einsum("it,it->t", moved, log) / np.maximum(
        np.einsum("it,it->t", moved, moved), 1e-300
    )
    return np.asarray(alike * off.mean(axis=0) - log.mean(axis=0))


def _log_mgf(chances: Floats, weights: Floats, above: Floats, grid: Grid) -> Floats:
    """Log-mgf of each prompt, about the best level; of levels that it lacks at the top by its own best."""
    best = np.where(chances > 0, above, -np.inf).max(axis=1)[:, None]
    value = np.einsum("ij,jt->it", chances, weights)
    place = np.searchsorted(above, best[:, 0])
    floor = np.log(np.maximum(chances[np.arange(len(chances)), place], 1e-300))
    log: Floats = np.where(
        value > 1e-250, np.log(np.maximum(value, 1e-300)), floor[:, None] + grid.tilts * best
    )
    return log
