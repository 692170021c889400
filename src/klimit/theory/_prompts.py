"""Prompts as callers hand them over: one, a table, or a ragged sequence; and what each counts for.

Frontiers lay prompts end to end; functions of arrays fill shorter ones up with outcomes of
probability 0, which nobody reads.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from klimit._errors import ArgumentError
from klimit.theory._check import Floats, distribution, numbers
from klimit.theory._outcomes import Outcomes, outcomes

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


def read_rows(values: Any, name: str) -> list[Floats]:
    """Read one array per prompt; a plain sequence of numbers is one prompt."""
    nested = isinstance(values, Sequence) and len(values) > 0 and np.iterable(values[0])
    rows = [numbers(row, name) for row in values] if nested else [numbers(values, name)]
    if not nested and rows[0].ndim == 2:
        rows = list(rows[0])
    if not rows:
        raise ArgumentError(f"{name} must hold at least one prompt; got none.")
    for k, row in enumerate(rows):
        if row.ndim != 1 or row.size == 0:
            raise ArgumentError(
                f"{name} must be (outcomes,), (prompts, outcomes) or a sequence of 1-D arrays; "
                f"prompt {k} has shape {row.shape}."
            )
    return rows


def lay_flat(base: list[Floats], reward: list[Floats], name: str = "reward") -> Outcomes:
    """Check every prompt and lay the outcomes end to end."""
    if len(base) == 1:
        base = base * len(reward)
    if len(base) != len(reward):
        raise ArgumentError(
            f"base and {name} must have one row per prompt; got {len(base)} and {len(reward)} rows."
        )
    for k, (prob, values) in enumerate(zip(base, reward, strict=True)):
        if prob.size != values.size:
            raise ArgumentError(
                f"{name} must give every outcome of the base one number; prompt {k} has "
                f"{prob.size} probabilities and {values.size} rewards."
            )
    lengths = np.array([row.size for row in base])
    if (lengths == lengths[0]).all():
        prob = distribution(np.stack(base)).ravel()
    else:
        prob = np.concatenate([distribution(row, f"base[{k}]") for k, row in enumerate(base)])
    values = np.concatenate(reward)
    bad = (prob > 0) & ~np.isfinite(values)
    if bad.any():
        at = int(np.argmax(bad))
        prompt = int(np.searchsorted(np.cumsum(lengths), at, side="right"))
        raise ArgumentError(
            f"{name} must be finite wherever the base has probability; "
            f"got {float(values[at])!r} for prompt {prompt}."
        )
    return outcomes(prob, values, np.cumsum(lengths) - lengths)


def read_weights(values: ArrayLike | None, prompts: int) -> Floats:
    """Return what each prompt counts for, summing to one."""
    if values is None:
        return np.full(prompts, 1.0 / prompts)
    weights = numbers(values, "weights")
    if weights.shape != (prompts,):
        raise ArgumentError(f"weights must be one per prompt, ({prompts},); got {weights.shape}.")
    if not (np.isfinite(weights).all() and (weights >= 0).all() and weights.sum() > 0):
        raise ArgumentError("weights must be finite, not negative and not all zero.")
    return np.asarray(weights / weights.sum())


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
