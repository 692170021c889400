"""One reward of whatever the caller has, prompt after prompt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from klimit._errors import ArgumentError, DataError
from klimit.estimate.kernel import Floats
from klimit.estimate.samples import Integers


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


def reward_column(base: Any, reward: str | None, *, others: tuple[str, ...] = ()) -> RewardColumn:
    """The rewards of `base`: `Rollouts`, a (prompts, samples) array, or a sequence of 1-D arrays."""
    if hasattr(base, "grouped"):
        name = base.one_reward(reward)
        grouped = base.grouped(name, *others)
        rest = {other: grouped.columns[other] for other in others}
        return RewardColumn(grouped.columns[name], grouped.lengths, grouped.ids, name, rest)
    if isinstance(base, (str, bytes)) or hasattr(base, "__fspath__"):
        raise ArgumentError(
            f"a path was given ({base!r}); rewards were expected. Read it first: klimit.read({base!r})."
        )
    if isinstance(base, Mapping):
        raise ArgumentError(
            "a mapping was given; an array, a sequence of arrays or Rollouts was expected. "
            "Read it first: klimit.read(mapping)."
        )
    values, lengths = _arrays(base)
    return RewardColumn(values, lengths, np.arange(len(lengths)), reward or "reward", {})


def _arrays(base: Any) -> tuple[Floats, Integers]:
    rows = base if isinstance(base, np.ndarray) else None
    if rows is None:
        try:
            rows = np.asarray(base)
        except ValueError:
            rows = None  # ragged
    if rows is not None and rows.dtype != object and rows.ndim == 2:
        lengths = np.full(rows.shape[0], rows.shape[1])
        return _numbers(rows, "the array").reshape(-1), lengths
    if rows is not None and rows.dtype != object and rows.ndim != 2:
        raise ArgumentError(
            f"rewards of shape {rows.shape} were given; (prompts, samples) was expected. "
            "Pooling prompts would overstate the gain: keep one row per prompt."
        )
    parts = [_numbers(np.asarray(row), f"prompt {i}") for i, row in enumerate(base)]
    flat = next((i for i, part in enumerate(parts) if part.ndim != 1), None)
    if flat is not None:
        raise ArgumentError(
            f"prompt {flat} has rewards of shape {parts[flat].shape}; a 1-D array was expected."
        )
    return np.concatenate(parts), np.array([len(part) for part in parts])


def _numbers(values: Any, where: str) -> Floats:
    if values.dtype.kind not in "fiub":
        raise DataError(
            f"{where} holds {values.dtype} values; numbers were expected. "
            "Convert the rewards to floats, NaN where missing."
        )
    return np.asarray(values, dtype=np.float64)
