"""Best-of-N beside the limit: which N spends a budget, and how near it comes there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

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
    sizes : budget -> the smallest N that spends it; None where the samples show none
    shown : budget -> the same in words
    sentence : how near best-of-N comes at the main budget; empty where that is not known
    notes : what was left out
    """

    sizes: dict[float, int | None] = field(default_factory=dict)
    shown: dict[float, str] = field(default_factory=dict)
    sentence: str = ""
    notes: tuple[str, ...] = ()


def best_of_n_beside(
    rollouts: Rollouts, limit: Frontier, kl: Sequence[float], *, reward_range: Any
) -> Beside:
    """Find the N that spends each budget, and how near the limit one of them comes."""
    from klimit.estimate.equal_n import n_kl, n_spending

    samples = limit.samples
    if samples.scale == 0:
        return Beside(dict.fromkeys(kl), dict.fromkeys(kl, "-"))
    sizes = {budget: n_spending(samples, budget) for budget in kl}
    least, two = int(samples.counts.min()), n_kl(samples, 2)
    shown = {}
    for budget, n in sizes.items():
        shown[budget] = f"N > {least:,}" if n is None else f"N = {n:,}"
        if n == 2 and two > 1.5 * budget:
            shown[budget] = "N < 2"
    sentence, notes = _sentence(rollouts, limit, sizes[focus(limit, kl)], reward_range)
    return Beside(sizes, shown, sentence, notes)


def _sentence(
    rollouts: Rollouts, limit: Frontier, n: int | None, reward_range: Any
) -> tuple[str, tuple[str, ...]]:
    """Say how near the largest best-of-N within the budget comes, if nearly all prompts show it."""
    import klimit

    settings, counts = limit.settings, limit.samples.counts
    usual = (settings.objective, settings.budget) == ("reward", "average")
    if not usual or settings.estimator == "plugin" or limit.trusted_kl == 0:
        return "", ()
    most = int(np.quantile(counts, 0.05, method="lower"))
    n = max(min(most, most if n is None else n - 1), 2)
    found = klimit.best_of_n(
        rollouts,
        n=n,
        reward=limit.reward,
        reward_range=reward_range,
        level=settings.level,
        seed=settings.seed,
    )
    part, between = words.share(found.efficiency)
    if not found.efficiency.trusted:
        return "", ()
    line = f"Best-of-{n:,} spends {words.nats(float(found.kl))} and reaches {part} of what is"
    less = words.count(found.left_out, "prompt")
    note = f"best-of-{n:,} is read without {less} that have fewer samples than that."
    return f"{line} possible there{between}.", (note,) if found.left_out else ()
