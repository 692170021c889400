"""Prompts of different lengths as one array: shorter ones filled up with zeros, which nobody reads."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from klimit._errors import ArgumentError


def filled(**values: Any) -> list[Any]:
    """Fill nested sequences up whose innermost rows, the prompts, differ in length.

    Everything else passes as it is, to be checked by those who read it. Where something is ragged,
    all arguments must agree on the lengths.
    """
    read = {name: _rows(value) for name, value in values.items()}
    ragged = {name: both for name, both in read.items() if both and np.unique(both[1]).size > 1}
    if not ragged:
        return list(values.values())
    one, (_, lengths) = next(iter(ragged.items()))
    for name, both in read.items():
        if both:
            _agree(one, lengths, name, both[1])
    return [ragged[name][0] if name in ragged else value for name, value in values.items()]


def filled_stack(values: Any, name: str, **others: Any) -> list[Any]:
    """As `filled`, for a sequence of such arguments (references, members) and more of them."""
    if isinstance(values, np.ndarray) or not isinstance(values, list | tuple) or not values:
        return [values, *filled(**others)]
    apart = {f"{name}[{i}]": one for i, one in enumerate(values)}
    done = filled(**apart, **others)
    return [done[: len(values)], *done[len(values) :]]


def _rows(values: Any) -> tuple[NDArray[Any], NDArray[np.intp]] | None:
    """Return an array and the length of each of its rows, or None if these are no rows of numbers."""
    try:
        array = np.asarray(values)
    except ValueError:
        parts = [_rows(part) for part in values]
        whole = [part for part in parts if part]
        if len(whole) < len(parts) or len({part.shape[:-1] for part, _ in whole}) > 1:
            return None
        width = max(part.shape[-1] for part, _ in whole)
        rows = [np.pad(p, [(0, 0)] * (p.ndim - 1) + [(0, width - p.shape[-1])]) for p, _ in whole]
        return np.stack(rows), np.stack([lengths for _, lengths in whole])
    if array.ndim == 0 or array.dtype.kind not in "buif":
        return None
    return array, np.full(array.shape[:-1], array.shape[-1])


def _agree(one: str, lengths: NDArray[np.intp], other: str, others: NDArray[np.intp]) -> None:
    try:
        here, there = np.broadcast_arrays(lengths, others)
    except ValueError:
        raise ArgumentError(
            f"{one} and {other} must have one row per prompt; got {lengths.shape} and {others.shape}."
        ) from None
    if (here != there).any():
        at = int(np.argmax(here != there))
        raise ArgumentError(
            f"{one} and {other} must give every outcome of a prompt one number; prompt {at} has "
            f"{here.flat[at]} and {there.flat[at]}."
        )
