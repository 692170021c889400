"""How near best-of-N comes to the limit at its own KL, with the two paired prompt by prompt."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from klimit._estimate import Estimate, beyond
from klimit.estimate.best_of_n.own_spending import SpendingRatio, own_front
from klimit.estimate.best_of_n.prompts import PromptBestOfN
from klimit.estimate.intervals import left_out_reach
from klimit.estimate.kernel import Floats
from klimit.estimate.members import front
from klimit.estimate.result import Frontier
from klimit.estimate.samples import Integers


@dataclass(frozen=True)
class Efficiency:
    """Estimates over sizes.

    Attributes
    ----------
    limit : the average-budget frontier at the mean KL of best-of-N, reward units, as uncertain as that
        KL is; the gain where that is more by noise
    own_limit : mean over prompts of each one's frontier at its own KL
    efficiency : gain over `limit`
    """

    limit: Estimate
    own_limit: Estimate
    efficiency: Estimate


def efficiency(
    limit: Frontier, found: PromptBestOfN, kl: Floats, rank: Integers,
    ratio: SpendingRatio | None, *,
    least: float = 0.0,
    same: Estimate | None = None,
) -> Efficiency:  # fmt: skip
    """Gain over the frontier at the same KL.

    Gain and frontier come from the same prompts, so the error of their ratio is that of the ratio
    with each group of prompts left out, and what the frontier's correction may be off. Past the
    frontier's trusted KL the frontier is known from below only, so the efficiency is an upper
    bound, and a loss may be none of it.

    Parameters
    ----------
    kl : (sizes,) mean KL of best-of-N, nats
    rank : (prompts,) canonical places, which decide the groups
    ratio : of own spending to the best spending; None where nothing can be gained
    least : what the gain cannot be below: 0, or -inf where a judge reads
    same : the gain itself where each prompt has two reward levels, which makes it ``E_x G_x(K_x)``
    """
    gain = np.sort(found.gain, axis=1).mean(axis=1)
    best = limit.gain(kl)
    if limit.members is None:
        none = np.full(len(gain), np.nan)
        note = "nothing can be gained: every prompt's rewards are all equal"
        own = best if same is None else same
        return Efficiency(best, own, Estimate(none, none, none, best.level, none == none, note))
    bands = limit.bands
    (below, above), of_limit = _paired_reach(limit, found, rank, gain, kl, best.level)
    split = _spread(limit, kl, best.value)
    low_share, high_share = bands.share(bands.low, kl), bands.share(bands.high, kl)
    with np.errstate(divide="ignore", invalid="ignore"):  # one prompt has no error
        down, up = (
            np.sqrt(np.fmax((1 - end) ** 2 - bands.share(chance, kl) ** 2, 0.0) + split**2)
            for end, chance in ((low_share, bands.below), (high_share, bands.above))
        )
        value = np.where(best.value > 0, gain / best.value, np.nan)
        low = value - np.hypot(below, np.abs(value) * up / (1 + up))
        high = value + np.hypot(above, np.abs(value) * down / np.maximum(1 - down, 0.05))
        floor = np.where(gain >= 0, gain / best.high, gain / best.low)
        roof = np.where(best.trusted | (gain >= 0), -np.inf, gain / best.high)
    surplus = np.maximum(value - 1, 0.0)  # no method passes the limit: what lies beyond is noise
    value, low, high = value - surplus, low - surplus, np.minimum(high, 1.0)
    low = np.maximum(np.where(best.trusted, low, np.minimum(low, floor)), least)
    high = np.maximum(np.maximum(high, value), roof)
    notes = _notes(limit, best, kl)
    note = "; ".join(dict.fromkeys(filter(None, notes.tolist())))
    share = Estimate(value, low, high, best.level, best.trusted, note, notes)
    best = _at_unsure_kl(limit, best, kl, of_limit)
    own = _own(gain, best, ratio) if same is None else same
    return Efficiency(_lifted(best, gain), _lifted(own, gain), share)


def _spread(limit: Frontier, kl: Floats, gain: Floats) -> Floats:
    """How far the candidate corrections of the frontier differ, over the gain: either side allows for it."""
    members = limit.members
    assert members is not None
    curves = np.vstack([members.candidates, members.chosen])
    fronts = np.vstack([front(curves, members.grid, kl).gain, gain])
    spread: Floats = np.divide(np.ptp(fronts, axis=0), gain, out=np.zeros(len(kl)), where=gain > 0)
    return spread


def _notes(limit: Frontier, best: Estimate, kl: Floats) -> Any:
    """A note on every size; empty where nothing limits it."""
    usual = ""
    if np.all(best.trusted) and limit.tail.heavy:
        usual = "high rewards are rare (a heavy tail): the limit may be higher, this lower"
    reach = beyond(limit.trusted_kl)
    from_below = f"{reach} the limit is known from below only: there this is an upper bound"
    unspent = "where no KL is spent, as at N = 1, there is nothing to gain"
    return np.where(kl == 0, unspent, np.where(best.trusted, usual, from_below))


def _at_unsure_kl(
    limit: Frontier, best: Estimate, kl: Floats, reach: tuple[Floats, Floats]
) -> Estimate:
    """The limit with what the choice of prompts moves it by where the KL moves too, over the limit."""
    bands, value = limit.bands, best.value
    with np.errstate(invalid="ignore"):  # one prompt has no error
        more = [
            np.where(
                kl > 0, value * np.sqrt(np.fmax(all_**2 - bands.share(one, kl) ** 2, 0.0)), 0.0
            )
            for all_, one in zip(reach, (bands.below, bands.above), strict=True)
        ]
    low = value - np.hypot(value - best.low, more[0])
    high = value + np.hypot(best.high - value, more[1])
    return replace(best, low=np.maximum(low, 0.0), high=np.minimum(high, limit.cap_limit()))


def _lifted(limit: Estimate, gain: Floats) -> Estimate:
    """No less than the gain: where noise puts it there, both say that all is gained that can be."""
    value = np.maximum(limit.value, gain)
    return replace(limit, value=value, high=np.maximum(limit.high, value))


def _own(gain: Floats, best: Estimate, ratio: SpendingRatio | None) -> Estimate:
    """``E_x G_x(K_x)``: at least the gain and at most the limit."""
    if ratio is None:
        return best
    least = np.divide(gain, best.value, out=np.zeros_like(gain), where=best.value > 0)
    share = np.clip(ratio.value, np.minimum(least, 1.0), 1.0)
    value = share * best.value
    reach = ratio.correction * best.value
    low = value - np.hypot(share * (best.value - best.low), reach)
    high = np.minimum(value + np.hypot(share * (best.high - best.value), reach), best.high)
    return replace(best, value=value, low=np.maximum(low, 0.0), high=np.maximum(high, value))


def _paired_reach(
    limit: Frontier, found: PromptBestOfN, rank: Integers, gain: Floats, kl: Floats, level: float
) -> tuple[tuple[Floats, Floats], tuple[Floats, Floats]]:
    """How far below and above the ratio, and the limit over itself, the truth may lie by chance."""
    members = limit.members
    assert members is not None
    group = rank % len(members.weights)
    gain_without, kl_without = (_without(x, group, members.weights) for x in (found.gain, found.kl))
    curves = np.transpose(
        [own_front(members.chosen_without, members.grid, spent) for spent in kl_without.T]
    )
    whole = front(members.chosen, members.grid, kl).gain
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = left_out_reach(gain_without / curves, gain / whole, members.weights, level)
        same = whole / whole
        return ratio, left_out_reach(curves / whole, same, members.weights, level, uneven=True)


def _without(values: Floats, group: Integers, weights: Floats) -> Floats:
    """(groups, sizes) mean over prompts with each group left out."""
    prompts = values.shape[1]
    order = np.lexsort((*values, group))
    place = np.searchsorted(group[order], np.arange(len(weights)))
    sums = np.add.reduceat(values[:, order], np.minimum(place, prompts - 1), axis=1)
    number = np.bincount(group, minlength=len(weights))
    sums = np.where(number > 0, sums, 0.0)
    total = np.sort(values, axis=1).sum(axis=1)
    without: Floats = ((total[:, None] - sums) / np.maximum(prompts - number, 1)).T
    return without
