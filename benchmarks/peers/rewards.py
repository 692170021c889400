"""The rewards that all contenders get, from a fixed seed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


SCALES = (0.5, 1.5)  # of scores, uniform over prompts


def rewards(kind: str, prompts: int, samples: int) -> NDArray[np.float64]:
    """(prompts, samples) normal scores whose scale differs by prompt, or passes (0/1)."""
    rng = np.random.default_rng([1, prompts, samples])
    if kind == "passes":
        rates = rng.beta(0.5, 1.0, size=(prompts, 1))
        return np.asarray(rng.random((prompts, samples)) < rates, dtype=float)
    found: Any = rng.standard_normal((prompts, samples))
    found *= rng.uniform(*SCALES, size=(prompts, 1))  # in place: huge arrays are held once
    found += rng.standard_normal((prompts, 1))
    return np.asarray(found)


def limit_of_scores(kl: ArrayLike) -> NDArray[np.float64]:
    """The frontier of the scores' population: ``sqrt(2 kl mean scale^2)``, as for any normal law."""
    low, high = SCALES
    return np.sqrt(2 * np.asarray(kl) * (low * low + low * high + high * high) / 3)
