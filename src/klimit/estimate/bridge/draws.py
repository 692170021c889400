"""What a bridge stands on: rewards of base and policies, and how likely each model finds a sample."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from klimit.estimate.kernel import Floats
from klimit.estimate.samples import Integers

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Draws:
    """Samples of one model, prompt after prompt.

    Attributes
    ----------
    rewards : (samples,) NaN where missing
    lengths : (prompts,) samples of each prompt, none allowed
    log_ratios : (policies, samples) ``log policy - log base`` of each completion, nats; NaN where
        it is not known, -inf where the policy cannot draw what the base drew
    """

    rewards: Floats
    lengths: Integers
    log_ratios: Floats


@dataclass(frozen=True)
class Pool:
    """Samples of the base and of all policies, prompt by prompt, as padded matrices.

    Attributes
    ----------
    rewards : (prompts, width) less the mean of the prompt's base samples; 0 in the padding
    origin : (prompts, width) 0 for the base, k for the k-th policy, -1 for padding
    log_ratios : (policies + 1, prompts, width) nats; the base's own are 0
    known : (policies + 1, prompts) whether a log-ratio is known of all samples of a prompt
    unscored : policy samples left out because their log-probabilities are missing
    """

    rewards: Floats
    origin: Integers
    log_ratios: Floats
    known: NDArray[np.bool_]
    unscored: int

    @property
    def states(self) -> int:
        """Models: base and policies."""
        return len(self.log_ratios)

    def counts(self) -> Integers:
        """(states, prompts) samples."""
        return np.stack([(self.origin == k).sum(axis=1) for k in range(self.states)])


def pool(
    base: Draws, policies: Sequence[Draws], rows: Integers, order: Integers, centre: Floats
) -> Pool:
    """Lay samples side by side, in an order that depends on their content alone.

    Parameters
    ----------
    rows : (prompts,) which of the prompts in `base` and `policies` are taken
    order : (prompts,) in what order; places in `rows`
    centre : (prompts,) what is taken off the rewards, aligned with `rows`
    """
    states = len(policies) + 1
    starts = [np.cumsum(one.lengths) - one.lengths for one in (base, *policies)]
    unscored, lists = 0, []
    for place in order:
        at = rows[place]
        parts = []
        for k, (one, start) in enumerate(zip((base, *policies), starts, strict=True)):
            inside = slice(start[at], start[at] + one.lengths[at])
            reward, ratios = one.rewards[inside], one.log_ratios[:, inside]
            seen = ~np.isnan(reward)
            scored = seen if k == 0 else seen & np.isfinite(ratios[k - 1])
            unscored += int((seen & ~scored).sum())
            reward, ratios = reward[scored] - centre[place], ratios[:, scored]
            sorting = np.lexsort((*np.nan_to_num(ratios), reward))
            parts.append((reward[sorting], ratios[:, sorting], np.full(len(reward), k)))
        lists.append([np.concatenate(x, axis=-1) for x in zip(*parts, strict=True)])
    width = max((len(x[0]) for x in lists), default=0)
    shape = (len(lists), width)
    rewards, origin = np.zeros(shape), np.full(shape, -1, dtype=np.int64)
    log_ratios = np.zeros((states, *shape))
    for i, (reward, ratios, source) in enumerate(lists):
        rewards[i, : len(reward)], origin[i, : len(reward)] = reward, source
        log_ratios[1:, i, : len(reward)] = ratios
    known = np.asarray(~np.isnan(log_ratios).any(axis=2))
    return Pool(rewards, origin, log_ratios, known, unscored)
