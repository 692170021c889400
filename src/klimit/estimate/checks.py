"""What the estimators accept: choices, levels, seeds, whole numbers, ranges of rewards."""

from __future__ import annotations

from typing import Any

import numpy as np

from klimit._errors import ArgumentError
from klimit._text import safe
from klimit.estimate.inputs import RewardColumn
from klimit.estimate.kernel import Floats


def check_choice(name: str, value: Any, choices: tuple[str, ...]) -> None:
    """Refuse what is none of the choices."""
    if not isinstance(value, str) or value not in choices:
        raise ArgumentError(
            f"{name} must be one of {', '.join(map(repr, choices))}; got {safe(repr(value))}."
        )


def check_level(level: Any) -> None:
    """Refuse what is no share of intervals that hold the truth."""
    if not is_number(level) or not 0 < level < 1:
        raise ArgumentError(
            f"level must lie between 0 and 1; got {safe(repr(level))}. 0.95 is usual."
        )


def check_seed(seed: Any) -> None:
    """Refuse what no generator can start from."""
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
        raise ArgumentError(f"seed must be zero or a positive integer; got {safe(repr(seed))}.")


def positive(name: str, value: Any, what: str) -> float:
    """A finite number above zero."""
    if not is_number(value) or not 0 < value < np.inf:
        raise ArgumentError(
            f"{name}={safe(repr(value), longest=40)} was given; a positive number of {what} was expected."
        )
    return float(value)


def whole(name: str, value: Any, what: str, *, least: int = 2) -> int:
    """A whole number, of two or more unless said otherwise, given as any number.

    Examples
    --------
    >>> whole("n", 8.0, "labels")
    8
    """
    if not is_number(value) or not least <= value < np.inf or value != int(value):
        raise ArgumentError(
            f"{name}={safe(repr(value), longest=40)} was given; a whole number of {what}, {least} or more, "
            "was expected."
        )
    return int(value)


def numbers(name: str, given: Any, what: str) -> Floats:
    """Numbers of any shape as floats; True and False are none."""
    try:
        found = np.asarray(given, dtype=float)
        if not has_booleans(given):
            return found
    except (TypeError, ValueError):
        pass
    raise ArgumentError(f"{name}={safe(given, longest=40)} was given; {what} were expected.")


def has_booleans(given: Any) -> bool:
    """Whether True or False stand where numbers do, also one among numbers."""
    if isinstance(given, (list, tuple)):
        return any(has_booleans(x) for x in given)
    return np.asarray(given).dtype == bool


def is_number(value: Any) -> bool:
    """Whether it is one real number; True and False are none."""
    return isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)


def known_range(
    column: RewardColumn, reward_range: tuple[float, float] | None
) -> tuple[tuple[float, float] | None, bool]:
    """What rewards can be, stated or implied by 0/1 rewards, and whether it is implied."""
    values = column.values
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    if reward_range is None:
        binary = low in (0.0, 1.0) and high in (0.0, 1.0) and only(values, 0.0, 1.0)
        return ((0.0, 1.0), True) if binary else (None, False)
    try:
        least, most = map(float, reward_range)
    except (TypeError, ValueError):
        raise ArgumentError(
            "reward_range must be two numbers, the least and the largest reward; got "
            f"{safe(reward_range, longest=40)}."
        ) from None
    if not least <= most:
        fault = f"{least:g} lies above {most:g}" if least > most else "nan is no number"
        raise ArgumentError(
            f"reward_range={reward_range} was given, but {fault}; the least and the largest reward were "
            "expected, in this order."
        )
    if not least <= low <= high <= most:
        raise ArgumentError(
            f"rewards from {low:g} to {high:g} were seen, outside reward_range={reward_range}. "
            "Give the range that rewards can take, or leave it out."
        )
    return (least, most), False


def only(values: Floats, low: float, high: float) -> bool:
    """Whether every reward is one of two values or missing; huge arrays are looked at in pieces."""
    step = 2**16
    pieces = (values[start : start + step] for start in range(0, len(values), step))
    return all(bool(((x == low) | (x == high) | np.isnan(x)).all()) for x in pieces)
