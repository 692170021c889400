"""The rollouts of all processes together, so that every one logs the same numbers."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from klimit.estimate.kernel import Floats


def processes() -> int:
    """How many processes train."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def gathered(items: list[Any]) -> list[Any]:
    """Items of all processes, in one order; each process has to call it."""
    if processes() == 1:
        return items
    from accelerate.utils import gather_object

    found: list[Any] = gather_object(items)
    return found


def everywhere(names: list[Any], rewards: Floats) -> tuple[list[Any], Floats]:
    """Names (samples,) and rewards (rows, samples) of all processes."""
    rows = gathered(list(zip(names, rewards.T.tolist(), strict=True)))
    return [row[0] for row in rows], np.array([row[1] for row in rows], dtype=float).T
