"""What the theory room accepts: numbers, distributions, coefficients, budgets.

Each check returns float64 and raises an `ArgumentError` that names the argument, what was seen and
what is allowed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike as ArrayLike
from numpy.typing import NDArray

from klimit._errors import ArgumentError

Floats = NDArray[np.float64]

SUM_TOLERANCE = 1e-6
"""How far from one a sum of probabilities may be (float32 softmax is within); it is rescaled."""


def numbers(values: ArrayLike, name: str) -> Floats:
    """Return real numbers as float64; NaN and infinities pass."""
    try:
        array = np.asarray(values)
    except (TypeError, ValueError):
        array = np.empty(0, dtype=object)
    if array.dtype.kind not in "buif":
        raise ArgumentError(
            f"{name} must be an array of real numbers with equal rows; "
            f"got {type(values).__name__} that numpy reads as {array.dtype}."
        )
    real = array.astype(np.float64)
    real += 0.0  # -log(1) is -0.0, where slopes would be minus infinity
    return real


def first(mask: NDArray[np.bool_]) -> str:
    """Say where the first offender stands, ' at index (0, 2)'; nothing for a scalar."""
    if mask.ndim == 0:
        return ""
    index = tuple(int(i) for i in np.unravel_index(int(np.argmax(mask)), mask.shape))
    return f" at index {index[0] if len(index) == 1 else index}"


def require(values: Floats, usable: NDArray[np.bool_], rule: str) -> Floats:
    """Return the values where all are usable, or say the rule, the first that is not, and where."""
    if not usable.all():
        raise ArgumentError(f"{rule}; got {float(values[~usable][0])!r}{first(~usable)}.")
    return values


@dataclass(frozen=True)
class Check:
    """A check of every number by one rule, for an argument that is called `usual` if not said."""

    usable: Callable[[Floats], NDArray[np.bool_]]
    rule: str
    usual: str = ""

    def __call__(self, values: ArrayLike, name: str = "") -> Floats:
        """Return the numbers as float64."""
        called = name or self.usual
        array = numbers(values, called)
        return require(array, self.usable(array), f"{called} must {self.rule}")


rewards = Check(lambda x: ~np.isnan(x), "be a number in reward units", "gain")
finite = Check(np.isfinite, "be finite")
coefficient = Check(
    lambda x: x > 0,
    "be positive (reward units per nat); for the limit of no KL cost ask for "
    "klimit.theory.ceiling(base, reward)",
    "beta",
)
budget = Check(lambda x: x >= 0, "be a KL budget in nats, at least 0", "kl")
count = Check(lambda x: (x >= 1) & (x < np.inf), "be a finite number of draws, at least 1", "n")
positive = Check(lambda x: (x > 0) & (x < np.inf), "be positive and finite")
not_negative = Check(lambda x: x >= 0, "be at least 0")
size = Check(lambda x: (x >= 0) & (x < np.inf), "be at least 0 and finite")
fraction = Check(lambda x: (x >= 0) & (x <= 1), "lie between 0 and 1")
interior = Check(lambda x: (x > 0) & (x < 1), "lie strictly between 0 and 1")


def scalar(values: Floats, name: str) -> Floats:
    """Return one number, or say that several were given."""
    if values.ndim:
        raise ArgumentError(f"{name} must be one number; got an array of shape {values.shape}.")
    return values


def distribution(values: ArrayLike, name: str = "base") -> Floats:
    """Return probabilities along the last axis, rescaled to sum to one exactly."""
    prob = numbers(values, name)
    if prob.ndim == 0 or prob.shape[-1] == 0:
        raise ArgumentError(f"{name} must hold probabilities on its last axis; got none.")
    usable = (prob >= 0) & (prob <= 1 + SUM_TOLERANCE)
    require(prob, usable, f"{name} must hold probabilities in [0, 1]")
    total = prob.sum(axis=-1)
    rule = f"{name} must sum to one along its last axis (within {SUM_TOLERANCE:g})"
    require(total, np.abs(total - 1) <= SUM_TOLERANCE, rule)
    scaled: Floats = prob / total[..., None]
    return scaled


def broadcast(**arrays: Floats) -> list[Floats]:
    """Broadcast the named arrays against each other, or say which shapes do not fit."""
    try:
        return list(np.broadcast_arrays(*arrays.values()))
    except ValueError:
        seen = ", ".join(f"{name} {array.shape}" for name, array in arrays.items())
        raise ArgumentError(f"shapes must broadcast against each other; got {seen}.") from None


def same_leading(outcomes: Floats, values: Floats, name: str) -> None:
    """Check that `values` broadcasts against the leading axes of `outcomes`."""
    try:
        np.broadcast_shapes(outcomes.shape[:-1], values.shape)
    except ValueError:
        raise ArgumentError(
            f"{name} must broadcast against the axes before the outcomes, "
            f"{outcomes.shape[:-1]}; got shape {values.shape}."
        ) from None


def order(alpha: ArrayLike, low: float) -> float:
    """Return the order of a divergence: above 0 and possibly infinite, or any finite number."""
    a = numbers(alpha, "alpha")
    usable = a.ndim == 0 and bool(a > low) and (bool(np.isfinite(a)) or low == 0.0)
    if not usable:
        allowed = "a positive number" if low == 0.0 else "a finite number"
        raise ArgumentError(f"alpha must be {allowed}; got {str(alpha)[:40]!r}.")
    return float(a)


def choice(value: Any, name: str, allowed: tuple[str, ...]) -> None:
    """Check that a word is one of those allowed."""
    if not isinstance(value, str) or value not in allowed:
        quoted = " or ".join(f'"{word}"' for word in allowed)
        raise ArgumentError(f"{name} must be {quoted}; got {str(value)[:40]!r}.")
