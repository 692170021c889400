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
    notes : what was left out
    """

    sentence: str = ""
    spends: dict[float, str] = field(default_factory=dict)
    points: dict[float, tuple[int, Estimate, Estimate]] = field(default_factory=dict)
    most: int = 1
    notes: tuple[str, ...] = ()

    def record(self, kl: float) -> dict[str, Any]:
        """Plain values for JSON."""
        if kl not in self.points:
            return {"n": None, "reason": f"no N from 2 to {self.most} spends this KL"}
        n, spent, efficiency = self.points[kl]
        return {"n": n, "kl": spent.to_dict(), "efficiency": efficiency.to_dict()}


def best_of_n_beside(
    rollouts: Rollouts, limit: Frontier, kl: Sequence[float], *, reward_range: Any
) -> Beside:
    """Estimate best-of-N for every N that may spend one of the budgets, and pick the nearest."""
    import klimit

    most = int(
        np.quantile(limit.samples.counts, 0.05, method="lower")
    )  # nearly all prompts have so many
    if limit.samples.scale == 0:
        return Beside(most=most)
    sizes = _sizes(min(kl), most)
    found = klimit.best_of_n(
        rollouts, n=sizes, reward=limit.reward, reward_range=reward_range,
        level=limit.settings.level, seed=limit.settings.seed,
    )  # fmt: skip
    spent = np.asarray(found.kl.value)
    spends, points = {}, {}
    for budget in kl:
        at = int(np.argmin(np.abs(spent - budget)))
        if budget > spent[-1] * 1.05:
            spends[budget] = f"N > {sizes[-1]}"
        elif budget < spent[0] / 2:
            spends[budget] = f"N < {sizes[0]}"
        else:
            spends[budget] = f"N = {sizes[at]}"
            points[budget] = sizes[at], found.kl[at], found.efficiency[at]
    notes: tuple[str, ...] = ()
    if found.left_out:
        less = words.count(found.left_out, "prompt")
        notes = (
            f"best-of-N is read without {less} that have fewer than {words.count(most, 'sample')}.",
        )
    return Beside(_sentence(limit, points.get(focus(limit, kl))), spends, points, most, notes)


def _sentence(limit: Frontier, point: tuple[int, Estimate, Estimate] | None) -> str:
    settings = limit.settings
    usual = (settings.objective, settings.budget, settings.estimator) == (
        "reward",
        "average",
        "corrected",
    )
    if point is None or not usual:
        return ""
    n, spent, efficiency = point
    part, between = words.share(efficiency)
    reaches = f"reaches {part} of what is possible there{between}"
    return f"Best-of-{n} spends {words.nats(spent.value)} and {reaches}."


def _sizes(least_kl: float, most: int) -> list[int]:
    """N from 2 to `most`, first all and then in tenths; none that cannot spend `least_kl`."""
    grown = np.geomspace(16, max(most, 16), 1 + int(10 * np.log(max(most, 16) / 16)))
    sizes = sorted({*range(2, 17), *np.round(grown).astype(int).tolist()})
    spent = {n: np.log(n) - (n - 1) / n for n in sizes}  # at most: ties make it less
    enough = next((at for at, n in enumerate(sizes) if spent[n] >= least_kl), len(sizes) - 1)
    return [n for n in sizes[max(enough - 1, 0) :] if n <= most] or [min(2, most)]
