"""Best-of-N beside the limit: which N spends a budget, and how near it comes there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from klimit.estimate.samples import nearly_all
from klimit.view import words
from klimit.view.best_of_n import each
from klimit.view.limit import focus

if TYPE_CHECKING:
    from klimit.estimate.best_of_n import BestOfN
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
    best : best-of-N at the sizes that were asked for; None where there are none
    """

    sizes: dict[float, int | None] = field(default_factory=dict)
    shown: dict[float, str] = field(default_factory=dict)
    sentence: str = ""
    notes: tuple[str, ...] = ()
    best: BestOfN | None = None


def best_of_n_beside(
    rollouts: Rollouts, limit: Frontier, kl: Sequence[float], *, reward_range: Any,
    also: Sequence[int] = (),
) -> Beside:  # fmt: skip
    """Find the N that spends each budget, and how near the limit one of them comes.

    Parameters
    ----------
    also : sizes that are wanted as well; `best` has them
    """
    from klimit.estimate.best_of_n.equal_n import n_spending, too_small
    from klimit.estimate.best_of_n.verb import beside

    if limit.samples.scale == 0:
        return Beside(dict.fromkeys(kl), dict.fromkeys(kl, "-"))
    rollouts, samples = enough(rollouts, limit)
    sizes = {budget: n_spending(samples, budget) for budget in kl}
    most = nearly_all(samples.counts)
    shown = {}
    for budget, n in sizes.items():
        shown[budget] = f"N > {most:,}" if n is None else f"N = {n:,}"
        if n == 2 and too_small(samples, budget):
            shown[budget] = "N < 2"
    n = _size(limit, sizes[focus(limit, kl)])
    asked = sorted({*also, *([] if n is None else [n])})
    found = None
    if asked and limit.members is not None:
        settings = limit.settings
        found = beside(
            [limit], rollouts, n=asked, reward=limit.reward, reward_range=reward_range,
            level=settings.level, seed=settings.seed,
        )  # fmt: skip
    sentence, notes = "", tuple[str, ...]()
    if n is not None and found is not None:
        sentence, notes = _sentence(each(found)[asked.index(n)])
    if samples.prompts < limit.samples.prompts:
        few, all_ = words.counted(samples.prompts, "prompt"), limit.samples.prompts
        notes = (*notes, f"best-of-N is read from {few} of {all_:,}, drawn by the seed.")
    return Beside(sizes, shown, sentence, notes, found if also else None)


def enough(rollouts: Rollouts, limit: Frontier) -> tuple[Rollouts, Samples]:
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


def _size(limit: Frontier, n: int | None) -> int | None:
    """The largest best-of-N within the main budget that nearly all prompts show; None: not told."""
    settings, counts = limit.settings, limit.samples.counts
    usual = (settings.objective, settings.budget) == ("reward", "average")
    if not usual or settings.estimator == "plugin" or limit.trusted_kl == 0:
        return None
    most = nearly_all(counts)
    return max(min(most, most if n is None else n - 1), 2)


def _sentence(one: BestOfN) -> tuple[str, tuple[str, ...]]:
    """How near it comes, and what was left out."""
    if not one.efficiency.trusted:
        return "", ()
    part, between = words.share(one.efficiency)
    less = words.counted(one.left_out, "prompt")
    note = f"best-of-{one.n:,} is read without {less} that have fewer samples than that."
    return (
        f"Best-of-{one.n:,} spends {words.nats(one.kl.value)} and reaches {part} of what is possible "
        f"there{between}."
    ), (note,) if one.left_out else ()
