"""Rewards of one scale with a best value that many samples reach, rounded to a few levels.

Fractions of tests passed, overlaps with an answer that is sometimes met word for word, scores that
are cut off at a cap: no prompt's rewards go past the best, and how often it is reached differs by
prompt. A model of residuals knows neither and extends the tail of a prompt that stands at the best
already; the law of few-level rewards (`level_law`) knows both, of rewards rounded to its levels. Only
the bias is told by rounded rewards, never the frontier itself.
"""

from __future__ import annotations

import numpy as np

from klimit.estimate.few_levels import Levels, told_prompts
from klimit.estimate.kernel import Floats
from klimit.estimate.samples import Samples

_PROMPTS, _SHARE = 0.2, 0.02  # of prompts that reach the best, and of samples at it, at least
_LEVELS = 14  # about: as many samples in each, but for the best and for values that are more common
_POOL = 2**20  # rewards that levels are made from, about
_EQUAL = 1e-9  # standard deviations


def rounded_levels(samples: Samples) -> Levels | None:
    """The levels, if enough prompts and samples reach the best of all rewards."""
    best = samples.tops + samples.means
    equal = _EQUAL * samples.scale + 4 * float(np.spacing(np.abs(best).max()))
    reached = best > best.max() - equal
    times = samples.ties[reached].sum()  # a best that comes once is any law's
    common = times > 1 and times >= _SHARE * samples.counts.sum()
    if not common or reached.sum() < _PROMPTS * samples.prompts:
        return None
    pooled = _pool(samples)
    new = np.diff(pooled) > equal
    starts = np.concatenate(([0], np.flatnonzero(new) + 1))
    place = np.searchsorted(starts, np.arange(_LEVELS) * len(pooled) // _LEVELS, side="right") - 1
    again = place[1:][np.diff(place) == 0] + 1  # past a value as common as a whole level
    cuts = np.unique(np.concatenate([place, again, [len(starts) - 1]]))
    cuts = starts[cuts[(cuts > 0) & (cuts < len(starts))]]
    if not len(cuts):
        return None
    edges = (pooled[cuts] + pooled[cuts - 1]) / 2
    return Levels(np.array([x.mean() for x in np.split(pooled, cuts)]), edges)


def _pool(samples: Samples) -> Floats:
    """Rewards of the prompts that tell the law, ascending; of many samples every so manieth, and the best."""
    told = told_prompts(samples)
    step = max(1, int(samples.counts[told].sum()) // _POOL)
    use = np.zeros(samples.prompts, dtype=bool)
    use[told] = True
    found = []
    for block in samples.blocks:
        rows = np.flatnonzero(use[block.prompts])
        values = block.rewards[rows, ::-step] + samples.means[block.prompts[rows]][:, None]
        found.append(values[values > -np.inf])
    return np.sort(np.concatenate(found))
