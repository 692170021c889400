"""Warnings that point at the user's own line."""

from __future__ import annotations

import sys
import warnings

from klimit._errors import DataWarning


def warn(message: str, category: type[Warning] = DataWarning) -> None:
    """Warn, at the line outside klimit that caused it."""
    level, frame = 1, sys._getframe()
    while frame.f_back and frame.f_globals.get("__name__", "").startswith("klimit."):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)
