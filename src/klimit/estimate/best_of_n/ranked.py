"""Prompts of equal sample size as matrices in ascending order of reward, with the runs of ties."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from klimit.estimate.kernel import Floats
from klimit.estimate.samples import Integers, Samples, equally_long

_CHUNK = 2**18  # numbers handled at once: a few caches


@dataclass(frozen=True)
class Runs:
    """Levels of two samples or more.

    Attributes
    ----------
    row : (runs,) ascending
    top : (runs,) samples at or below the level
    ties : (runs,) samples on the level
    """

    row: Integers
    top: Integers
    ties: Integers


@dataclass(frozen=True)
class Ranked:
    """Some prompts with the same number of samples.

    Attributes
    ----------
    prompts : (rows,) index of each row's prompt in `Samples`
    rewards : (rows, samples) what is selected by, ascending
    read : (rows, samples) what is read of the selected, centred at the prompt's mean; ascending
        among ties
    """

    prompts: Integers
    rewards: Floats
    read: Floats

    @property
    def samples(self) -> int:
        """Samples of each prompt."""
        return int(self.rewards.shape[1])

    @cached_property
    def runs(self) -> Runs:
        """All levels that more than one sample shares."""
        return runs_of_ties(self.rewards[:, 1:] == self.rewards[:, :-1])


def runs_of_ties(same: Floats) -> Runs:
    """Runs of equal neighbours; `same` is (rows, samples - 1) booleans."""
    edge = np.zeros((len(same), same.shape[1] + 2), dtype=np.int8)
    edge[:, 1:-1] = same
    turn = np.diff(edge, axis=1)
    row, first = np.nonzero(turn == 1)
    last = np.nonzero(turn == -1)[1]
    return Runs(row, last + 1, last - first + 1)


def ranked_samples(samples: Samples) -> Iterator[Ranked]:
    """Chunks of prompts of `samples`, read by the reward that selects."""
    for block in samples.blocks:
        for size in np.unique(block.counts):
            rows = np.flatnonzero(block.counts == size)
            step = max(1, _CHUNK // int(size))
            for start in range(0, len(rows), step):
                part = rows[start : start + step]
                whole = part[-1] - part[0] + 1 == len(part)
                where = slice(part[0], part[-1] + 1) if whole else part
                rewards = block.rewards[where, block.rewards.shape[1] - size :]
                yield Ranked(block.prompts[part], rewards, rewards)


def ranked_pairs(rewards: Floats, read: Floats, lengths: Integers) -> Iterator[Ranked]:
    """Chunks of prompts that are selected by `rewards` and read by `read`, nothing missing."""
    for prompts, where in equally_long(lengths, _CHUNK):
        x, y = rewards[where], read[where]
        order = np.lexsort((y, x), axis=-1)
        x, y = np.take_along_axis(x, order, axis=1), np.take_along_axis(y, order, axis=1)
        yield Ranked(prompts, x, y - np.sort(y, axis=1).mean(axis=1, keepdims=True))
