"""What few samples show without any correction: soft best-of-M, M the samples of a prompt.

The uncorrected tilted mean of M samples is, on average over draws, exactly what soft best-of-M gains
(draw M, keep one with chance proportional to exp(proxy / beta)), and that policy's KL is at most the
mean KL of the weights (theory.md, 1b.8). So it needs no trust, up to the log M nats at which it is
best-of-M. Its density over the base rises with the reward, and lies above any reward no more often
than best-of-M's does; so it never spends more than best-of-M either.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from klimit._estimate import Estimate
from klimit.estimate.kernel import Floats
from klimit.estimate.members import with_left_out
from klimit.estimate.proxy.bands import drawn_moves
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
    spent = path.known * own[0] - path.members.plugin[: path.tilts]
    spent = np.maximum.accumulate(np.maximum(spent, 0.0))
    most = float(np.log(hack.pairs.lengths).mean())
    tilt = np.exp(np.interp(np.sqrt(flat), np.sqrt(spent), np.log(path.known)))
    below = flat < spent[0]
    tilt = np.where(below, path.known[0] * np.sqrt(flat / spent[0]), tilt)
    at = np.repeat(np.maximum(tilt, 1e-300)[None], len(own), axis=0)
    quantile, level = hack.readings.bands.quantile, hack.settings.level
    ratio = _narrowing(hack)

    def estimate(values: Floats, least: float, most_gained: float) -> Estimate:
        along = np.where(flat > 0, path.at(values, at), 0.0)
        error = np.where(flat > 0, np.inf, 0.0)  # one prompt shows none
        if hack.pairs.prompts > 1:
            error = np.sqrt((drawn_moves(along, reads.weights) ** 2).sum(axis=0)) * ratio
        value = np.where(flat <= most + 1e-9, along[0], np.nan)
        low = np.minimum(np.maximum(value - quantile * error, least), value)
        high = np.maximum(np.minimum(value + quantile * error, most_gained), value)
        known = flat <= most + 1e-9
        note = "" if np.all(known) else f"beyond the {most:.2g} nats that these samples show"
        return Estimate.of(value, low, high, level=level, trusted=known, note=note,
                           shape=np.shape(kl))  # fmt: skip

    # where the best tie, no weights spend more than what keeps the best alone
    listed = np.where(flat <= most + 1e-9, np.minimum(flat, spent[-1]), flat).reshape(np.shape(kl))
    return SoftBest(
        listed if np.ndim(kl) else float(listed), estimate(own, 0.0, hack.proxy.cap_limit()),
        estimate(gold, *hack._range_limits()),
    )  # fmt: skip


def _narrowing(hack: Hacking) -> float:
    """How much shorter errors are for these very prompts than for drawn ones.

    Of two or three samples a part hardly tilts, and shows little of the noise that they make: how prompts
    differ, which holds that noise and more, stands for it.
    """
    bands, path, read = hack.readings.bands, hack.path, hack.readings.read
    if hack.settings.prompts != "fixed" or not bands.corrected:
        return 1.0
    drawn = drawn_moves(path.at(read.chosen, path.tilt_at(bands.kl)), hack.reads.weights)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = bands.error / np.sqrt((drawn**2).sum(axis=0))
    return float(np.nanmedian(ratio))
