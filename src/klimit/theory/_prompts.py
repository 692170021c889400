"""Prompts as callers hand them over: one, a table, or a ragged sequence; and what each counts for."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from klimit._errors import ArgumentError
from klimit.theory._check import Floats, distribution, numbers
from klimit.theory._outcomes import Outcomes, outcomes


def read_rows(values: Any, name: str) -> list[Floats]:
    """Read one array per prompt; a plain sequence of numbers is one prompt."""
    nested = isinstance(values, Sequence) and len(values) > 0 and np.ndim(values[0]) > 0
    rows = [numbers(row, name) for row in values] if nested else [numbers(values, name)]
    if not nested and rows[0].ndim == 2:
        rows = list(rows[0])
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
