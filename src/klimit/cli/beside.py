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
    from klimit.estimate.samples import Samples
    from klimit.rollouts import Rollouts

MANY = 1_000_000  # rewards that best-of-N is read from, at most


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
    from klimit.estimate.best_of_n.equal_n import n_kl, n_spending

    if limit.samples.scale == 0:
        return Beside(dict.fromkeys(kl), dict.fromkeys(kl, "-"))
    rollouts, samples = _enough(rollouts, limit)
    sizes = {budget: n_spending(samples, budget) for budget in kl}
    least, two = int(samples.counts.min()), n_kl(samples, 2)
    shown = {}
    for budget, n in sizes.items():
        shown[budget] = f"N > {least:,}" if n is None else f"N = {n:,}"
        if n == 2 and two > 1.5 * budget:
            shown[budget] = "N < 2"
    sentence, notes = _sentence(rollouts, limit, sizes[focus(limit, kl)], reward_range)
    if samples.prompts < limit.samples.prompts:
        few, all_ = words.count(samples.prompts, "prompt"), limit.samples.prompts
        notes = (*notes, f"best-of-N is read from {few} of {all_:,}, drawn by the seed.")
    return Beside(sizes, shown, sentence, notes)


def _enough(rollouts: Rollouts, limit: Frontier) -> tuple[Rollouts, Samples]:
    """Of very many prompts as many as a side remark needs, whatever their order in the file."""
    from klimit.estimate.inputs import reward_column
    from klimit.estimate.samples import collect

    samples = limit.samples
    if samples.counts.sum() <= MANY:
        return rollouts, samples
    chosen = samples.kept[samples.rank < MANY / samples.counts.mean()]
    rollouts = rollouts.filter(prompts=[limit.ids[place] for place in chosen])
    column = reward_column(rollouts, limit.reward)
    return rollouts, collect(column.values, column.lengths, seed=limit.settings.seed)


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
