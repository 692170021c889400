"""klimit: how much reward any alignment method can buy for a KL budget."""

from __future__ import annotations

from typing import Any

from klimit._errors import ArgumentError, DataError, DataWarning, EstimateWarning, KlimitError
from klimit._estimate import Estimate

__version__ = "0.1.0"

_LAZY = {
    "read": "klimit.rollouts",
    "Rollouts": "klimit.rollouts",
    "frontier": "klimit.estimate.frontier",
    "Frontier": "klimit.estimate.result",
    "best_of_n": "klimit.estimate.best_of_n",
    "BestOfN": "klimit.estimate.best_of_n",
    "plan": "klimit.estimate.plan",
    "Plan": "klimit.estimate.plan",
}

__all__ = [
    "ArgumentError",
    "DataError",
    "DataWarning",
    "Estimate",
    "EstimateWarning",
    "KlimitError",
    *_LAZY,
]


def __getattr__(name: str) -> Any:
    """Import a verb when it is first used, so that `import klimit` stays fast."""
    if name in _LAZY:
        from importlib import import_module

        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'klimit' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_LAZY])
