"""What a `BestOfN` says: a verdict on its largest N, and a table of all of them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from klimit._estimate import Estimate
from klimit._text import safe
from klimit.view import limit as limit_view
from klimit.view import words
from klimit.view.table import table

if TYPE_CHECKING:
    from klimit.estimate.best_of_n import BestOfN


def text(best: BestOfN) -> str:
    """The verdict, the table and the notes."""
    return words.blocks(
        verdict(best), table(*cells(best)), legend(best), words.footnotes(notes(best))
    )


def notes(best: BestOfN) -> list[str]:
    """Whom the intervals speak of, and what was left out."""
    limit = best.frontier
    spoken = [] if limit is None else limit_view.assumed(limit, fixable=False)
    return [*spoken, *best.notes]


def verdict(best: BestOfN) -> str:
    """What the largest N gains, how near the limit that is, and what the last doubling brought."""
    sizes = np.atleast_1d(best.n)
    place = int(np.argmax(sizes))
    if sizes[place] == 1:
        return "Best-of-1 is the base model itself: it gains nothing and spends nothing."
    lines = [_gained(best, place), _near(best, place), _more(best, place)]
    return "\n".join(line for line in lines if line)


def _gained(best: BestOfN, place: int) -> str:
    n, gain, spent = _sizes(best)[place], _at(best.gain, place), _at(best.kl, place)
    unit = safe(best.judge or best.reward, longest=40)
    by = f", selected by {safe(best.reward, longest=40)}," if best.judge else ""
    start = words.fixed(best.base_reward, words.places(gain))
    return (
        f"Best-of-{n:,}{by} gains {words.signed(gain, unit=unit)} over the base model's {start}, "
        f"for a KL of {words.nats(spent.value)}."
    )


def _near(best: BestOfN, place: int) -> str:
    efficiency = _at(best.efficiency, place)
    if not math.isfinite(efficiency.value):
        return ""
    part, between = words.share(efficiency)
    line = f"That is {part} of what any method can gain at this KL{between}"
    if efficiency.trusted:
        return f"{line}."
    return f"{line}; the limit is trusted up to {words.nats(best.trusted_kl, down=True)}."


def _more(best: BestOfN, place: int) -> str:
    wins, rate = _at(best.win_rate, place), _at(best.per_doubling, place)
    said = []
    if best.zero_one:
        said.append(f"pass@{_sizes(best)[place]:,} is {words.plain(_at(best.kept_reward, place))}.")
    elif math.isfinite(wins.value):
        said.append(f"It beats an answer of the base model {100 * wins.value:.0f} % of the time.")
    if math.isfinite(rate.value):
        before = max((n for n in _sizes(best) if n < _sizes(best)[place]), default=1)
        little = max(abs(rate.low), abs(rate.high)) < 1e-4 * float(_at(best.gain, place).value)
        added = "next to nothing" if little else words.signed(rate)
        said.append(f"From N = {before:,} on, a doubling of N adds {added}.")
    return " ".join(said)


def cells(best: BestOfN) -> tuple[list[str], list[list[str]]]:
    """Headings, and a row per N."""
    headings = ["N", "gain", "KL", "of the limit", "pass@N" if best.zero_one else "win rate"]
    tied = bool((np.atleast_1d(best.kl.value) < 0.95 * np.atleast_1d(best.kl_bound.value)).any())
    if best.tokens is not None:
        headings.append("tokens")
    lines = []
    for place, n in enumerate(_sizes(best)):
        bound = f" (no ties: {_at(best.kl_bound, place).value:.2f})" if tied and n > 1 else ""
        line = [
            f"{n:,}",
            words.plain(_at(best.gain, place)),
            f"{_at(best.kl, place).value:.2f}{bound}",
        ]
        line.append("-" if n == 1 else "".join(words.share(_at(best.efficiency, place))))
        wins = _at(best.kept_reward if best.zero_one else best.win_rate, place)
        rate = words.plain(wins) if best.zero_one else f"{100 * wins.value:.0f} %"
        line.append(rate if math.isfinite(wins.value) else "-")
        if best.tokens is not None:
            line.append(f"{_at(best.tokens, place).value:,.0f}")
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
        "KL: distance from the base model, nats per answer; of the limit: share of what any "
        f"method can gain at this KL; {last}. Brackets: {100 * best.level:g} % intervals."
    )


def _sizes(best: BestOfN) -> list[int]:
    return [int(n) for n in np.atleast_1d(best.n)]


def _at(estimate: Estimate, place: int) -> Estimate:
    return estimate[place] if np.ndim(estimate.value) else estimate
