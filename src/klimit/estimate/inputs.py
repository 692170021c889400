"""One reward of whatever the caller has, prompt after prompt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from klimit._errors import ArgumentError
from klimit._text import safe
from klimit.estimate.kernel import Floats
from klimit.estimate.samples import Integers
from klimit.rollouts.grouped import group_arrays


@dataclass(frozen=True)
class RewardColumn:
    """A reward as the estimators read it.

    Attributes
    ----------
    values : (samples,) prompt after prompt, NaN where missing
    lengths : (prompts,) rows of each prompt
    ids : (prompts,) prompt ids
    name : of the reward
    others : further columns, aligned with `values`
    """

    values: Floats
    lengths: Integers
    ids: Any
    name: str
    others: Mapping[str, Floats]


def known_means(values: Floats, lengths: Integers) -> Floats:
    """Means of each prompt's numbers, NaN left out; prompts without any are not among them."""
    prompt = np.repeat(np.arange(len(lengths)), lengths)
    seen = ~np.isnan(values)
    total = np.bincount(prompt[seen], values[seen], minlength=len(lengths))
    number = np.bincount(prompt[seen], minlength=len(lengths))
    return total[number > 0] / number[number > 0]


def beside(values: Any, column: RewardColumn, role: str) -> Floats:
    """Another reward of the same samples as `column`, where both are arrays."""
    if isinstance(values, str):
        raise ArgumentError(
            f"{role}={safe(values)!r} names a column, but the rewards are an array; give an array of "
            "the same shape."
        )
    other = reward_column(values, None)
    if not np.array_equal(other.lengths, column.lengths):
        raise ArgumentError(
            f"{role} has {len(other.values):,} numbers of {len(other.lengths):,} prompts, the rewards "
            f"{len(column.values):,} of {len(column.lengths):,}; both must be of the same samples, NaN "
            "where one is missing."
        )
    return other.values


def reward_column(base: Any, reward: str | None, *, others: tuple[str, ...] = ()) -> RewardColumn:
    """The rewards of `base`: `Rollouts`, a (prompts, samples) array, or a sequence of 1-D arrays."""
    if hasattr(base, "grouped"):
        name = base.one_reward(reward)
        grouped = base.grouped(name, *others)
        rest = {other: grouped.columns[other] for other in others}
        return RewardColumn(grouped.columns[name], grouped.lengths, grouped.ids, name, rest)
    if isinstance(base, (str, bytes)) or hasattr(base, "__fspath__"):
        raise ArgumentError(
            f"a path was given ({safe(base)}); rewards were expected. Read it first with klimit.read."
        )
    if isinstance(base, Mapping):
        raise ArgumentError(
            "a mapping was given; an array, a sequence of arrays or Rollouts was expected. "
            "Read it first: klimit.read(mapping)."
        )
    if not (reward is None or isinstance(reward, str)):
        raise ArgumentError(
            f"reward={safe(reward, longest=40)} was given; the name of a reward was expected."
        )
    grouped = group_arrays(base)
    name = reward or "reward"
    numbers = np.arange(len(grouped))
    return RewardColumn(grouped.columns["reward"], grouped.lengths, numbers, name, {})
