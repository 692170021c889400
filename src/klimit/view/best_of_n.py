"""What a `BestOfN` says: a verdict on its largest N, and a table of all of them."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from klimit._estimate import Estimate
from klimit._text import safe
from klimit.view import limit as limit_view
from klimit.view import words

if TYPE_CHECKING:
    from klimit.estimate.best_of_n import BestOfN


def text(best: BestOfN) -> str:
    """The verdict, the table and the notes."""
    return words.result(verdict(best), words.table(*cells(best)), legend(best), notes=notes(best))


def each(best: BestOfN | None) -> list[BestOfN]:
    """The same for every N alone; none where there is no best-of-N."""
    if best is None or not np.ndim(best.n):
        return [] if best is None else [best]
    names = [name for name, value in vars(best).items() if isinstance(value, Estimate)]
    return [
        replace(best, n=n, **{name: getattr(best, name)[place] for name in names})
        for place, n in enumerate(np.asarray(best.n).tolist())
    ]


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
    part, between = words.share(one.efficiency)
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
        line.append("-" if n == 1 else "".join(words.share(one.efficiency)))
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
