"""A trained policy against the limit, known by its KL and its gain alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from klimit._errors import ArgumentError
from klimit._estimate import Estimate

if TYPE_CHECKING:
    from klimit.estimate.result import Frontier


_NOTHING = "nothing can be gained at this KL: a share of it is not defined"
_FLAT = "the frontier is flat at this KL (beta = 0): nats from the optimum are not defined; see least_kl"


@dataclass(frozen=True)
class Audit:
    """How near a policy comes to the best that its KL could buy.

    Attributes
    ----------
    kl, gain : of the policy, nats per sequence and reward units
    limit : the most that any method gains at this KL
    efficiency : gain / limit
    gap_reward : limit - gain
    gap_nats : ``KL(policy || the optimal policy of the same KL) = gap_reward / beta`` (theory.md
        1g); nan where the frontier is flat (beta = 0), with the reason in its note
    least_kl : the least KL that could have bought the same gain
    """

    kl: Estimate
    gain: Estimate
    limit: Estimate
    efficiency: Estimate
    gap_reward: Estimate
    gap_nats: Estimate
    least_kl: Estimate


def place(limit: Frontier, kl: Any, gain: Any) -> Audit:
    """Where does a policy of this KL and gain stand? Numbers, arrays or `Estimate`s."""
    spent, won = _estimate(kl, limit), _estimate(gain, limit)
    if np.shape(spent.value) != np.shape(won.value):
        raise ArgumentError(
            f"kl of shape {np.shape(spent.value)} and gain of shape {np.shape(won.value)} were given; "
            "one gain per kl was expected."
        )
    best = limit.gain(spent.value)
    if not (
        np.all(np.asarray(spent.low) == spent.value)
        and np.all(np.asarray(spent.high) == spent.value)
    ):
        reach = limit.gain(np.maximum(spent.low, 0.0)), limit.gain(np.maximum(spent.high, 0.0))
        low = best.value - np.hypot(best.value - best.low, best.value - reach[0].value)
        high = best.value + np.hypot(best.high - best.value, reach[1].value - best.value)
        best = Estimate(best.value, low, high, best.level, best.trusted, best.note)
    gap = _difference(best, won)
    most = np.where(np.asarray(best.value) > 0, best.value, np.nan)
    ratio = np.asarray(won.value) / most
    up = np.hypot(
        (np.asarray(won.high) - won.value) / most, ratio * (1 - np.asarray(best.low) / most)
    )
    fall = np.where(np.isfinite(best.high), np.asarray(best.high) / most - 1, np.inf)
    down = np.hypot((np.asarray(won.value) - won.low) / most, ratio * np.minimum(fall, 1.0))
    beta = np.asarray(limit.beta(spent.value).value)
    level = limit.settings.level
    efficiency = Estimate.of(
        ratio, ratio - down, ratio + up, level=level, trusted=best.trusted,
        note=_NOTHING if bool(np.any(np.isnan(most))) else best.note,
    )  # fmt: skip
    flat = beta <= 0
    safe = np.where(flat, np.nan, beta)
    nats = Estimate.of(
        np.asarray(gap.value) / safe,
        np.asarray(gap.low) / safe,
        np.asarray(gap.high) / safe,
        level=level,
        trusted=np.asarray(best.trusted) & ~flat,
        note=_FLAT if bool(np.any(flat)) else gap.note,
    )
    return Audit(spent, won, best, efficiency, gap, nats, limit.kl(won.value))


def _difference(best: Estimate, won: Estimate) -> Estimate:
    value = np.asarray(best.value) - won.value
    low = value - np.hypot(np.asarray(best.value) - best.low, np.asarray(won.high) - won.value)
    high = value + np.hypot(np.asarray(best.high) - best.value, np.asarray(won.value) - won.low)
    return Estimate.of(value, low, high, level=best.level, trusted=best.trusted, note=best.note)


def _estimate(x: Any, limit: Frontier) -> Estimate:
    if isinstance(x, Estimate):
        return x
    value = np.asarray(x, dtype=float)
    return Estimate.of(value, value, value, level=limit.settings.level)
