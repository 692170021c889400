"""How far off the slope of the frontier may be: the KL coefficient that spends a budget.

A slope is less known than the gain: a correction that is right in height may be wrong in where it
rises. So the corrections' slopes count by all that lies between them, and by half of what they turn
the plug-in's by.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from klimit.estimate.fixed_beta import by_chance
from klimit.estimate.intervals import Tail, left_out_reach
from klimit.estimate.kernel import Floats
from klimit.estimate.members import front

if TYPE_CHECKING:
    from klimit.estimate.result import Frontier

_TURNED = 0.5
_NO_END = 20.0  # e to this power is no bound


@dataclass(frozen=True)
class SlopeReach:
    """How far down and up the logarithm of beta may lie, (nodes,) over ascending KL budgets."""

    kl: Floats
    below: Floats
    above: Floats

    def factors(self, kl: Floats) -> tuple[Floats, Floats]:
        """What beta at these budgets may be multiplied by; 0 and inf where it has no end."""
        at = np.log(np.maximum(kl, self.kl[0]))
        below, above = (np.interp(at, np.log(self.kl), x) for x in (self.below, self.above))
        lost = np.maximum(below, above) >= _NO_END
        return np.where(lost, 0.0, np.exp(-below)), np.where(lost, np.inf, np.exp(above))


def slope_reach(limit: Frontier) -> SlopeReach:
    """Of a frontier, up to where it is trusted."""
    bands, members = limit.bands, limit.members
    if bands.slopes is not None:
        return bands.slopes
    if members is None:
        return SlopeReach(bands.kl, np.zeros(len(bands.kl)), np.zeros(len(bands.kl)))
    kl = np.append(bands.kl[bands.kl < limit.trusted_kl], max(limit.trusted_kl, bands.kl[0]))
    kl = kl[np.isfinite(kl)]
    plain = front(members.uncorrected[0], members.grid, kl).tilt
    tilt = np.minimum(limit.curve.at_kl(kl).tilt, members.grid.tilts[-1])
    turned = np.log(tilt / plain)
    curves = members.candidates
    if members.lowered is not None:
        curves = np.concatenate([curves, members.corrected[:1]])
    between = np.ptp(np.log(front(curves, members.grid, kl).tilt), axis=0)
    if limit.settings.prompts == "fixed" and limit.alone:
        up, down = by_chance(limit, kl, tilt)
    else:
        slopes = -np.log(front(members.corrected, members.grid, kl).tilt)
        down, up = (
            bands.narrowing * x
            for x in left_out_reach(
                slopes[1:], slopes[0], members.weights, limit.settings.level, uneven=True
            )
        )
    return together(kl, (down, up), turned, between, limit.tail)


def together(
    kl: Floats, chance: tuple[Floats, Floats], turned: Floats, between: Floats, tail: Tail
) -> SlopeReach:
    """All that a slope may be off by.

    Parameters
    ----------
    chance : how far down and up its logarithm may lie by chance
    turned : what the correction added to the logarithm of the plug-in's
    between : range of the candidates' logarithms
    """
    missing = np.stack([_TURNED * turned, (0.5 + 3 * tail.long) * turned])
    with np.errstate(invalid="ignore"):
        reach = np.sqrt(np.stack(chance) ** 2 + missing**2 + between**2)
    return SlopeReach(kl, *np.minimum(np.nan_to_num(reach, nan=np.inf), _NO_END))
