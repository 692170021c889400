"""What few samples show without any correction: soft best-of-M, M the samples of a prompt.

The uncorrected tilted mean of M samples is, on average over draws, exactly what soft best-of-M gains
(draw M, keep one with chance proportional to exp(proxy / beta)), and that policy's KL is at most the
mean KL of the weights (`klimit.theory.soft_best_of_n`). So it needs no trust, up to the
log M nats at which it is best-of-M. Its density over the base rises with the reward, and lies above
any reward no more often than best-of-M's does; so it never spends more than best-of-M either.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from klimit._estimate import Estimate
from klimit.estimate.kernel import Floats
from klimit.estimate.members import with_left_out
from klimit.estimate.proxy.bands import drawn_moves, few_hands, fixed_moves
from klimit.estimate.proxy.path import flat_budgets

if TYPE_CHECKING:
    from klimit.estimate.proxy.result import Hacking


@dataclass(frozen=True)
class SoftBest:
    """Soft best-of-M selected by the proxy; `Estimate`s over budgets, unbiased.

    Attributes
    ----------
    kl : nats that its weights spend; itself it spends at most that, and at most what best-of-M does
    proxy_gain, gold_gain : over the base's mean
    """

    kl: Any
    proxy_gain: Estimate
    gold_gain: Estimate


def soft_best(hack: Hacking, kl: Floats) -> SoftBest:
    """See `SoftBest`; nan beyond log M."""
    path, reads = hack.path, hack.reads
    flat = flat_budgets(kl)
    own, gold = (with_left_out(reads.full[row], reads.weights) for row in (1, 0))
    spent = path.known * own - path.members.uncorrected[:, : path.tilts]
    spent = np.maximum.accumulate(np.maximum(spent, 1e-300), axis=1)
    most = float(np.log(hack.pairs.lengths).mean())
    shown = flat <= most + 1e-9
    note = "" if np.all(shown) else f"beyond the {most:.2g} nats that these samples show"
    # the tilt that spends the budget is sought anew without each group: gains at one KL differ less
    # between prompts than gains at one tilt do
    at = np.stack([_tilt(path.known, row, flat) for row in spent])
    read_at = np.maximum(at[:1], path.known[0])
    quantile, level = hack.readings.bands.quantile, hack.settings.level
    # two or three samples hardly tilt in parts, which then show little of the noise that they make: how
    # prompts differ, which holds that noise and more, stands for it
    fixed = hack.settings.prompts == "fixed" and hack.readings.bands.corrected

    def estimate(row: int, values: Floats, least: float, most_gained: float) -> Estimate:
        along = np.where(flat > 0, path.at(values, at), 0.0)
        if fixed:
            moves = fixed_moves(values, own, reads, path, (row, 1), read_at, held=False)
            moves = moves * (at[0] / read_at[0]) * few_hands(moves, level)
        else:
            moves = drawn_moves(along, reads.weights)
        error = np.sqrt((moves**2).sum(axis=0))
        if hack.pairs.prompts < 2:
            error = np.where(flat > 0, np.inf, 0.0)  # one prompt shows none
        value = np.where(shown, along[0], np.nan)
        low = np.minimum(np.maximum(value - quantile * error, least), value)
        high = np.maximum(np.minimum(value + quantile * error, most_gained), value)
        return Estimate.of(value, low, high, level=level, trusted=shown, note=note,
                           shape=np.shape(kl))  # fmt: skip

    # where the best tie, no weights spend more than what keeps the best alone
    listed = np.where(shown, np.minimum(flat, spent[0, -1]), flat).reshape(np.shape(kl))
    return SoftBest(
        listed if np.ndim(kl) else float(listed), estimate(1, own, 0.0, hack.proxy.cap_limit()),
        estimate(0, gold, *hack._range_limits()),
    )  # fmt: skip


def _tilt(known: Floats, spent: Floats, kl: Floats) -> Floats:
    """(budgets,) tilt at which what is `spent` is each budget; below the first by its root."""
    tilt = np.exp(np.interp(np.sqrt(kl), np.sqrt(spent), np.log(known)))
    low = known[0] * np.sqrt(kl / spent[0])
    return np.maximum(np.where(kl < spent[0], low, tilt), 1e-300)
