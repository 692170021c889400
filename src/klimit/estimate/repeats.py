"""Answers that come back: prompts with few different rewards, each prompt with rewards of its own.

Short answers and samples at a low temperature repeat themselves, word for word. Where most prompts have
their best reward more than once, what M samples lack are answers that are rare on that prompt, and
no residual of another prompt tells of them: a pooled model puts a tail above rewards that are the best
already. The jackknife and Aitken's extrapolation need no common shape, and where the best comes back the
tail is that of few values, not of residuals pooled over prompts.
"""

from __future__ import annotations

import numpy as np

from klimit.estimate.samples import Samples

_SOME, _MOST = 1 / 2, 2 / 3  # of the prompts
_DOUBTS = 4  # prompts more that do not repeat themselves: few prompts show little
_AGAINST = 3  # what a prompt counts more whose samples all differ: it has a tail that others share


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
