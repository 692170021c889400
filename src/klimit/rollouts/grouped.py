"""Rewards prompt after prompt: what the estimators work on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from klimit._errors import ArgumentError, DataError
from klimit._text import safe
from klimit.rollouts.words import quoted

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

_BLOCK = 1 << 18  # numbers looked at together, so that a check needs no second array


@dataclass(frozen=True)
class Grouped:
    """One or more rewards, prompt after prompt.

    Attributes
    ----------
    ids : (prompts,) what tells the prompts apart
    lengths : (prompts,) samples of each, missing ones included
    columns : name -> (samples,) rewards, reward units, NaN where missing; aligned with each other
    """

    ids: Sequence[str]
    lengths: Integers
    columns: Mapping[str, Floats]

    @property
    def starts(self) -> Integers:
        """(prompts,) where each prompt's samples begin."""
        return np.cumsum(self.lengths) - self.lengths

    def __len__(self) -> int:
        return len(self.ids)


def group_arrays(rewards: ArrayLike | Sequence[ArrayLike] | Mapping[str, Any]) -> Grouped:
    """Rewards that are arrays already.

    A full (prompts, samples) array of float64 is not copied.

    Parameters
    ----------
    rewards : (prompts, samples) array, reward units, NaN where missing; or one 1-D array per
        prompt; or a dict of either, one entry per reward

    Raises
    ------
    ArgumentError
        Where the shape is another, or the rewards of a dict differ in theirs.
    DataError
        Where a reward is infinite or no number, or all of them are missing.
    """
    named = rewards if isinstance(rewards, Mapping) else {"reward": rewards}
    if not named:
        raise ArgumentError("a dict without rewards was given; {name: array} was expected.")
    columns: dict[str, Floats] = {}
    lengths: Integers | None = None
    for name, values in named.items():
        columns[str(name)], found = _flat(values, str(name))
        if lengths is not None and not np.array_equal(found, lengths):
            raise ArgumentError(
                f"rewards {quoted(name)} and {quoted(next(iter(columns)))} differ in shape; "
                "all rewards must be of the same samples (NaN where one is missing)."
            )
        lengths = found
    assert lengths is not None
    grouped = Grouped([str(i) for i in range(len(lengths))], lengths, columns)
    check(grouped)
    return grouped


def check(grouped: Grouped, row: Callable[[int], int] | None = None) -> None:
    """Every reward is finite or missing, and not all are missing.

    `row` tells the source's row that a sample came from, for the message.
    """
    for name, values in grouped.columns.items():
        present = False
        for start in range(0, len(values), _BLOCK):
            block = values[start : start + _BLOCK]
            finite = np.isfinite(block)
            if finite.all():
                present = True
                continue
            present |= bool(finite.any())
            infinite = np.flatnonzero(~(finite | np.isnan(block)))
            if infinite.size:
                raise _infinite(grouped, name, start + int(infinite[0]), row)
        if not present:
            raise DataError(
                f"every one of the {len(values):,} samples lacks reward {quoted(name)}; "
                "at least some rewards were expected. Check how they were joined or scored."
            )


def _infinite(grouped: Grouped, name: str, at: int, row: Callable[[int], int] | None) -> DataError:
    prompt = int(np.searchsorted(np.cumsum(grouped.lengths), at, side="right"))
    place = f"sample {at - int(grouped.starts[prompt]) + 1} of {grouped.lengths[prompt]:,}"
    return DataError(
        f"reward {quoted(name)} is {grouped.columns[name][at]} for prompt "
        f"{quoted(grouped.ids[prompt])}, {place}{f' (row {row(at):,})' if row else ''}; finite "
        "numbers were expected. Clip it or make it missing (null, NaN)."
    )


def _flat(values: Any, name: str) -> tuple[Floats, Integers]:
    """All rewards in a row, and how many each prompt has."""
    if hasattr(type(values), "columns") or hasattr(type(values), "column_names"):
        raise ArgumentError(
            f"a table ({type(values).__name__}) was given; an array, a sequence of arrays or Rollouts "
            "was expected. Read it first: klimit.read(table)."
        )
    if isinstance(values, list | tuple):
        values = [of_tensor(row) for row in values]
    array = _rectangle(of_tensor(values))
    if array is not None:
        if array.ndim != 2:
            raise ArgumentError(
                f"reward {quoted(name)} has shape {array.shape}; (prompts, samples) was expected. "
                "Keep one row per prompt: pooling prompts overstates the gain."
            )
        lengths = np.full(array.shape[0], array.shape[1], dtype=np.int64)
        flat = _numbers(array, name).reshape(-1)
    else:
        parts = [_one_prompt(row, name, at) for at, row in enumerate(values)]
        lengths = np.fromiter((len(part) for part in parts), np.int64, len(parts))
        flat = np.concatenate(parts)
    if not flat.size:
        raise DataError(f"reward {quoted(name)} has no samples; (prompts, samples) was expected.")
    return flat, lengths


def of_tensor(values: Any) -> Any:
    """A tensor (numpy takes none on a GPU, with a gradient, or in bfloat16); what is masked as NaN."""
    if isinstance(values, np.ma.MaskedArray) and values.dtype.kind in "fiub":
        return np.ma.filled(values.astype(np.float64), np.nan)
    return values.detach().cpu().double().numpy() if hasattr(values, "detach") else values


def _rectangle(values: Any) -> NDArray[Any] | None:
    """The values as one array; None where prompts differ in length."""
    try:
        array = np.asarray(values)
    except ValueError:  # ragged
        return None
    ragged = array.dtype == object and array.ndim == 1 and array.size and np.ndim(array[0]) > 0
    return None if ragged else array


def _one_prompt(row: Any, name: str, at: int) -> Floats:
    part = _rectangle(row)
    part = _numbers(np.asarray(row, object) if part is None else part, name)
    if part.ndim != 1:
        raise ArgumentError(
            f"reward {quoted(name)} has shape {part.shape} for prompt {at}; one number per sample "
            "was expected."
        )
    return part


def _numbers(array: NDArray[Any], name: str) -> Floats:
    if array.dtype == object:  # None among numbers
        try:
            return np.asarray([np.nan if x is None else x for x in array.flat], np.float64).reshape(
                array.shape
            )
        except (TypeError, ValueError, OverflowError):
            pass
    elif array.dtype.kind in "fiub":
        return np.ascontiguousarray(array, dtype=np.float64)
    odd = (x for x in array.flat if not isinstance(x, int | float) or abs(x) > 1e308)
    example = next(odd, array.dtype)
    raise DataError(
        f"reward {quoted(name)} holds {safe(repr(example), longest=40)}; numbers were expected, "
        "NaN where one is missing."
    )
