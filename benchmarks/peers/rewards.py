"""The rewards that all contenders get, from a fixed seed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def rewards(kind: str, prompts: int, samples: int) -> NDArray[np.float64]:
    """(prompts, samples) normal scores whose scale differs by prompt, or passes (0/1)."""
    rng = np.random.default_rng([1, prompts, samples])
    if kind == "passes":
        rates = rng.beta(0.5, 1.0, size=(prompts, 1))
        return np.asarray(rng.random((prompts, samples)) < rates, dtype=float)
    found: Any = rng.standard_normal((prompts, samples))
    found *= rng.uniform(0.5, 1.5, size=(prompts, 1))  # in place: huge arrays are held once
    found += rng.standard_normal((prompts, 1))
    return np.asarray(found)
