"""What can go wrong, as a small tree.

KlimitError
├── ArgumentError   the call is wrong: a value, a name, a combination (also a ValueError)
└── DataError       the data is wrong: a file, a column, a reward
EstimateWarning     a number needs care (heavy tail, few prompts)
DataWarning         rows were left out, merged or repaired

Every message says what was seen, what was expected and what to do, on one line.
"""

from __future__ import annotations

import sys
import warnings


class KlimitError(Exception):
    """Base of every error that klimit raises on purpose."""


class ArgumentError(KlimitError, ValueError):
    """An argument cannot be used; the message says which, and what would do."""


class DataError(KlimitError):
    """The data cannot be used; the message says where, and what to do about it."""


class EstimateWarning(UserWarning):
    """An estimate that needs care."""


class DataWarning(UserWarning):
    """Data that was left out, merged or repaired."""


def warn(message: str, category: type[Warning] = DataWarning) -> None:
    """Warn, at the line outside klimit that caused it."""
    level, frame = 1, sys._getframe()
    while frame.f_back and frame.f_globals.get("__name__", "").startswith("klimit."):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)
