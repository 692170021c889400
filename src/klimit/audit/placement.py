"""A policy against the limit, known by its KL and its gain alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from klimit._errors import ArgumentError
from klimit._estimate import Estimate
from klimit.audit.measure import with_sign
from klimit.audit.result import Audit
from klimit.audit.spent import at_level
from klimit.audit.wording import IMPOSSIBLE, NO_SHARE, UPPER, flat, surely_above
from klimit.estimate.checks import numbers

if TYPE_CHECKING:
    from klimit.estimate.result import Frontier


def place(limit: Frontier, kl: Any, gain: Any) -> Audit:
    """Where does a policy of this KL and gain stand? Numbers, arrays or `Estimate`s."""
    spent, won = _estimate("kl", kl, limit), _estimate("gain", gain, limit)
    if np.isinf(won.value).any():
        raise ArgumentError("gain must be finite, in reward units; got infinity.")
    if np.shape(spent.value) != np.shape(won.value):
        raise ArgumentError(
            f"kl of shape {np.shape(spent.value)} and gain of shape {np.shape(won.value)} were given; "
            "one gain per kl was expected."
        )
    best = _limit(limit, spent)
    gap = difference(best, won)
    most = np.where(best.value > 0, best.value, np.nan)
    ratio, size = won.value / most, np.abs(won.value) / most
    with np.errstate(divide="ignore", invalid="ignore"):  # of what may be nothing, without end
        away = np.where(best.low > 0, size * (most / best.low - 1), np.where(size > 0, np.inf, 0.0))
    nearer = size * np.where(np.isfinite(best.high), 1 - most / best.high, 1.0)  # to 0, not past it
    above, below = np.where(ratio >= 0, [away, nearer], [nearer, away])
    up = np.hypot((won.high - won.value) / most, above)
    down = np.hypot((won.value - won.low) / most, below)
    low, high = with_sign(won, ratio - down, ratio + up)
    known = best.trusted & ~np.isnan(most)
    wrong = known & surely_above(ratio, low, 1.0)
    efficiency = Estimate.of(
        ratio, low, high, level=limit.settings.level, trusted=known & ~wrong,
        **_because((wrong, IMPOSSIBLE), (np.isnan(most), NO_SHARE), (~known, UPPER)),
    )  # fmt: skip
    least = _least(limit, won)
    return Audit(
        kl=spent,
        gain=won,
        limit=best,
        efficiency=efficiency,
        gap_reward=gap,
        gap_nats=_nats(limit, spent, gap, best),
        least_kl=least,
        excess_kl=difference(spent, least),
        reward="win rate" if limit.settings.objective == "win-rate" else limit.reward,
        base_reward=limit.base_reward,
        trusted_kl=limit.trusted_kl,
        shared=limit.samples.prompts,
        frontier=limit,
    )


def _limit(limit: Frontier, spent: Estimate) -> Estimate:
    """The limit at this KL, as uncertain as the KL makes it."""
    best = limit.gain(spent.value)
    ends = spent.low, spent.high
    if all(np.all(end == spent.value) for end in ends):
        return best
    less, more = (limit.gain(np.maximum(end, 0.0)) for end in ends)
    most = np.where(more.trusted, more.value, more.high)  # beyond trust the value is a lower bound
    low = np.maximum(best.value - np.hypot(best.value - best.low, best.value - less.value), 0.0)
    high = best.value + np.hypot(best.high - best.value, most - best.value)
    return Estimate.of(
        best.value, low, high, level=best.level, trusted=best.trusted, note=best.note
    )


def _nats(limit: Frontier, spent: Estimate, gap: Estimate, best: Estimate) -> Estimate:
    beta = np.asarray(limit.beta(spent.value).value)
    still, unspent = beta <= 0, np.isinf(beta)
    safe = np.where(still | unspent, np.nan, beta)
    known = best.trusted & ~still & ~unspent
    wrong = known & surely_above(-gap.value, -gap.high, 0.0)
    ends = np.vectorize(lambda kl: flat(limit, kl), otypes=[str])(spent.value)
    return Estimate.of(
        gap.value / safe, gap.low / safe, gap.high / safe, level=gap.level, trusted=known & ~wrong,
        **_because((wrong, IMPOSSIBLE), (still, ends), (unspent, NO_SHARE), (True, gap.notes_by_place())),
    )  # fmt: skip


def _because(*reasons: tuple[Any, Any]) -> dict[str, Any]:
    """The note of each place, which is the first reason that holds there, and one for all places."""
    where = np.broadcast_arrays(*(place for place, _ in reasons))
    words = [np.broadcast_to(np.asarray(word, dtype=str), where[0].shape) for _, word in reasons]
    first = (str(word[place][0]) for place, word in zip(where, words, strict=True) if place.any())
    return {"note": next(filter(None, first), ""), "by_place": np.select(where, words, default="")}


def _least(limit: Frontier, won: Estimate) -> Estimate:
    """The least KL for the gain, as uncertain as the gain makes it."""
    least = limit.kl(won.value)
    if np.all(won.low == won.value) and np.all(won.high == won.value):
        return least
    less, more = limit.kl(won.low), limit.kl(won.high)
    middle = least.value
    with np.errstate(invalid="ignore"):
        down = np.hypot(middle - least.low, middle - less.value)
        up = np.hypot(least.high - middle, np.nan_to_num(more.value, nan=np.inf) - middle)
    low = np.maximum(np.where(np.isnan(down), least.low, middle - down), 0.0)
    high = np.where(np.isnan(up), least.high, middle + up)
    return Estimate.of(middle, low, high, level=least.level, trusted=least.trusted, note=least.note)


def difference(best: Estimate, won: Estimate) -> Estimate:
    """One estimate less another, as if their errors were independent."""
    with np.errstate(invalid="ignore"):  # what is not known stays so
        value = best.value - won.value
        value = np.where(np.isfinite(value), value, np.nan)
        low = value - np.hypot(best.value - best.low, won.high - won.value)
        high = value + np.hypot(best.high - best.value, won.value - won.low)
    notes = best.notes_by_place(), won.notes_by_place()
    return Estimate.of(
        value, low, high, level=best.level, trusted=best.trusted & won.trusted,
        note=best.note or won.note, by_place=np.where(notes[0] != "", *notes),
    )  # fmt: skip


def _estimate(name: str, x: Any, limit: Frontier) -> Estimate:
    if isinstance(x, Estimate):
        return at_level(x, limit.settings.level)
    value = numbers(name, x, "numbers, or an Estimate,")
    known = np.ones(value.shape, dtype=bool)
    return Estimate.of(value, value, value, level=limit.settings.level, trusted=known)
