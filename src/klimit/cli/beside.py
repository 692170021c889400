"""Best-of-N beside the limit: which N spends a budget, and how near it comes there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from klimit._estimate import Estimate
from klimit.view import words
from klimit.view.limit import focus

if TYPE_CHECKING:
    from klimit.estimate.result import Frontier
    from klimit.rollouts import Rollouts


@dataclass(frozen=True)
class Beside:
    """Best-of-N at each budget of a limit.

    Attributes
    ----------
    sentence : how near the one at the main budget comes; empty where that is not known
    spends : budget -> which N, in words
    points : budget -> N, its KL and its efficiency
    most : the largest N that the samples allow
    """

    sentence: str = ""
    spends: dict[float, str] = field(default_factory=dict)
    points: dict[float, tuple[int, Estimate, Estimate]] = field(default_factory=dict)
    most: int = 1

    def record(self, kl: float) -> dict[str, Any]:
        """Plain values for JSON."""
        if kl not in self.points:
            return {"n": None, "reason": f"no N up to {self.most} spends this KL"}
        n, spent, efficiency = self.points[kl]
        return {"n": n, "kl": spent.to_dict(), "efficiency": efficiency.to_dict()}


def best_of_n_beside(rollouts: Rollouts, limit: Frontier, kl: Sequence[float]) -> Beside:
    """Estimate best-of-N for every N that may spend one of the budgets, and pick the nearest."""
    import klimit

    most = int(limit.samples.counts.min())
    if limit.samples.scale == 0:
        return Beside(most=most)
    settings = limit.settings
    sizes = [n for n in _sizes(most) if n <= most]
    found = klimit.best_of_n(
        rollouts, n=sizes, reward=limit.reward, reward_range=settings.reward_range,
        level=settings.level, seed=settings.seed,
    )  # fmt: skip
    spent = np.asarray(found.kl.value)
    spends, points = {}, {}
    for budget in kl:
        at = int(np.argmin(np.abs(spent - budget)))
        if budget > spent[-1] * 1.05:
            spends[budget] = f"N > {most}"
            continue
        spends[budget] = f"N = {sizes[at]}"
        points[budget] = sizes[at], found.kl[at], found.efficiency[at]
    return Beside(_sentence(limit, points.get(focus(limit, kl))), spends, points, most)


def _sentence(limit: Frontier, point: tuple[int, Estimate, Estimate] | None) -> str:
    settings = limit.settings
    usual = (settings.objective, settings.budget, settings.estimator) == ("reward", "average", "corrected")
    if point is None or not usual or point[0] == 1:
        return ""
    n, spent, efficiency = point
    reaches = f"reaches {words.share(efficiency)} of what is possible there"
    return f"Best-of-{n} spends {words.nats(spent.value)} and {reaches}."


def _sizes(most: int) -> list[int]:
    """All small N, then steps of a tenth, up to `most`."""
    grown = np.geomspace(16, max(most, 16), 1 + int(10 * np.log(max(most, 16) / 16)))
    return sorted({*range(1, 17), *np.round(grown).astype(int).tolist()})
