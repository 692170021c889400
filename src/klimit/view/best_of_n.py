"""What a `BestOfN` says by itself, and as a remark beside the limit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from klimit._estimate import Estimate
from klimit._text import safe
from klimit.estimate.samples import nearly_all
from klimit.view import limit as limit_view
from klimit.view import words

if TYPE_CHECKING:
    from klimit.estimate.best_of_n import BestOfN
    from klimit.estimate.result import Frontier
    from klimit.estimate.samples import Samples
    from klimit.rollouts import Rollouts


def text(best: BestOfN) -> str:
    """The verdict, the table and the notes."""
    return words.result(verdict(best), words.table(*cells(best)), legend(best), notes=notes(best))


def each(best: BestOfN | None) -> list[BestOfN]:
    """The same for every N alone; none where there is no best-of-N."""
    if best is None or not np.ndim(best.n):
        return [] if best is None else [best]
    return [at(best, place) for place in range(np.size(best.n))]


def at(best: BestOfN, places: Any) -> BestOfN:
    """The same at one or some of its sizes."""
    own: dict[str, Any] = {
        name: x[places] for name, x in vars(best).items() if isinstance(x, Estimate)
    }
    return replace(best, n=np.asarray(best.n)[places].tolist(), **own)


def notes(best: BestOfN) -> list[str]:
    """Whom the intervals speak of, and what was left out."""
    limit = best.frontier
    spoken = [] if limit is None else limit_view.assumed(limit, fixable=False)
    return [*spoken, *best.notes]


def verdict(best: BestOfN) -> str:
    """What the largest N gains, how near the limit that is, and what the last doubling brought."""
    *smaller, largest = sorted(each(best), key=lambda one: one.n)
    if largest.n == 1:
        return "Best-of-1 is the base model itself: it gains nothing and spends nothing."
    before = smaller[-1].n if smaller else 1
    lines = [_gained(largest), _near(largest), _more(largest, before)]
    return "\n".join(line for line in lines if line)


def _gained(one: BestOfN) -> str:
    unit = safe(one.judge or one.reward, longest=40)
    by = f", selected by {safe(one.reward, longest=40)}," if one.judge else ""
    start = words.fixed(one.base_reward, words.places(one.gain))
    return (
        f"Best-of-{one.n:,}{by} gains {words.signed(one.gain, unit=unit)} over the base model's {start}, "
        f"for a KL of {words.nats(one.kl.value)}."
    )


def _near(one: BestOfN) -> str:
    if not math.isfinite(one.efficiency.value):
        return ""
    part, between = near_limit(one)
    line = f"That is {part} of what any method can gain at this KL{between}"
    if one.efficiency.trusted:
        return f"{line}."
    return f"{line}; the limit is trusted up to {words.nats(one.trusted_kl, down=True)}."


def _more(one: BestOfN, before: int) -> str:
    wins, rate = one.win_rate, one.per_doubling
    said = []
    if one.zero_one:
        said.append(f"pass@{one.n:,} is {words.plain(one.kept_reward)}.")
    elif math.isfinite(wins.value):
        said.append(
            f"It beats an answer of the base model {words.percent(wins.value)} of the time."
        )
    if math.isfinite(rate.value):
        little = max(abs(rate.low), abs(rate.high)) < 1e-4 * one.gain.value
        added = "next to nothing" if little else words.signed(rate)
        said.append(f"From N = {before:,} on, a doubling of N adds {added}.")
    return " ".join(said)


def cells(best: BestOfN) -> tuple[list[str], list[list[str]]]:
    """Headings, and a row per N."""
    headings = ["N", "gain", "KL", "of the limit", "pass@N" if best.zero_one else "win rate"]
    if best.tokens is not None:
        headings.append("tokens")
    tied = bool(np.any(best.kl.value < 0.95 * np.asarray(best.kl_bound.value)))
    lines = []
    for one in each(best):
        n, wins = one.n, one.kept_reward if one.zero_one else one.win_rate
        bound = f" (no ties: {one.kl_bound.value:.2f})" if tied and n > 1 else ""
        line = [f"{n:,}", words.plain(one.gain), f"{one.kl.value:.2f}{bound}"]
        line.append("-" if n == 1 else "".join(near_limit(one)))
        rate = words.plain(wins) if one.zero_one else words.percent(wins.value)
        line.append(rate if math.isfinite(wins.value) else "-")
        if one.tokens is not None:
            line.append(f"{one.tokens.value:,.0f}")
        lines.append(line)
    return headings, lines


def legend(best: BestOfN) -> str:
    """What the columns mean, for somebody who meets them for the first time."""
    last = "pass@N: the chance that one of N answers is right"
    if not best.zero_one:
        last = "win rate: the chance to beat one answer of the base model"
    if best.tokens is not None:
        last += "; tokens: drawn for each answer that is kept"
    return words.paragraph(
        f"{words.DISTANCE}; of the limit: share of what any method can gain at this KL; {last}. "
        f"{words.brackets(best.level)}"
    )


def near_limit(one: BestOfN) -> tuple[str, str]:
    """Its share of the limit, and the interval; one prompt, which tells nothing of others, has none."""
    part, between = words.share(one.efficiency)
    alone = one.prompts == 1 and between
    return (f"about {part}", "") if alone else (part, between)


# ---- beside the limit

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
    n = _size(limit, samples, sizes[limit_view.focus(limit, kl)])
    asked = sorted({*also, *([] if n is None else [n])})
    found = None
    if asked and limit.members is not None:
        settings = limit.settings
        found = beside(
            [limit], rollouts, n=asked, reward=limit.reward, reward_range=reward_range,
            level=settings.level, seed=settings.seed,
        )  # fmt: skip
    sentence, notes = "", tuple[str, ...]()
    if n and n > 1 and found is not None:
        less = int((samples.counts < n).sum())
        sentence, notes = _sentence(each(found)[asked.index(n)], less)
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


def _size(limit: Frontier, samples: Samples, n: int | None) -> int | None:
    """The N that spends the main budget, or where that is past trust or not shown the next less that is.

    None where nothing is told of it.
    """
    from klimit.estimate.best_of_n.equal_n import n_kl

    settings, counts = limit.settings, limit.samples.counts
    usual = (settings.objective, settings.budget) == ("reward", "average")
    if not usual or settings.estimator == "plugin" or limit.trusted_kl == 0:
        return None
    if n == 1:  # of no KL
        return None
    most = nearly_all(counts)
    if n is None or n > most:
        return most
    return n if n_kl(samples, n) <= limit.trusted_kl else max(n - 1, 2)


def _sentence(one: BestOfN, less: int) -> tuple[str, tuple[str, ...]]:
    """How near it comes, and how many prompts of the limit have too few samples for it."""
    if not one.efficiency.trusted:
        return "", ()
    part, between = near_limit(one)
    fewer = words.counted(less, "prompt")
    note = f"best-of-{one.n:,} is read without {fewer} that have fewer samples than that."
    return (
        f"Best-of-{one.n:,} spends {words.nats(one.kl.value)} and reaches {part} of what is possible "
        f"there{between}."
    ), (note,) if less else ()
