"""The optimal policy at one KL coefficient: what it gains and spends, with intervals at that tilt.

At a fixed coefficient every number rises with the tilt ``1 / beta``. So what is known at the end of
trust bounds from below what lies beyond it; and below the first tilt of the grid all is a straight
line or a parabola. A bias feeds on itself: more reward at a KL is a steeper frontier there, hence more
KL at this slope, where more is missing. So a coefficient is trusted where every KL that it may spend
is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from klimit._errors import ArgumentError
from klimit._estimate import Estimate, beyond
from klimit.estimate.checks import numbers
from klimit.estimate.intervals import around, left_out_reach, redrawn
from klimit.estimate.kernel import Floats
from klimit.estimate.members import between_tilts, front
from klimit.estimate.tilted import redrawn_moments

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from klimit.estimate.curve import Point
    from klimit.estimate.result import Frontier

_NAMES = ("log_partition", "gain", "kl")


@dataclass(frozen=True)
class Tilted:
    """The optimal policy at one KL coefficient: all `Estimate`s; nats and reward units."""

    beta: Any
    kl: Estimate
    gain: Estimate
    jeffreys: Estimate
    forward_kl: Estimate
    log_partition: Estimate


def optimum(limit: Frontier, beta: ArrayLike) -> Tilted:
    """See `klimit.Frontier.at`."""
    if limit.settings.budget == "per-prompt":
        raise ArgumentError(
            "at(beta) needs one beta for all prompts, and budget='per-prompt' gives each prompt its own; "
            "use klimit.frontier(..., budget='average')."
        )
    coefficient = numbers("beta", beta, "positive numbers (reward units per nat)")
    if not (coefficient > 0).all():
        raise ArgumentError(
            f"beta must be positive (reward units per nat); got {beta!r}. "
            "For the limit of no KL cost see gain(kl=...) at a large KL."
        )
    tilt = 1 / coefficient
    point = limit.curve.at_tilt(tilt)
    spent = _spent_at_most(limit, point)
    trusted = spent <= limit.trusted_kl
    note = "" if bool(np.all(trusted)) else beyond(limit.trusted_kl)
    # a bias is low, so the tilt at the frontier's own end of trust bounds those beyond it from below
    last = 0.0
    if limit.members is not None and limit.trusted_kl > 0:
        last = float(limit.curve.at_kl(limit.trusted_kl).tilt)
        last = min(last, float(limit.members.grid.tilts[-1]))
    edge = limit.curve.at_tilt(np.array(last))
    known = {"kl": edge.kl, "gain": edge.gain, "log_partition": edge.log_partition,
             "jeffreys": edge.gain * last}  # fmt: skip
    limits = _reach(limit, np.append(tilt.ravel(), last))
    further = _bias(limit, point, spent)

    def estimate(name: str, value: Floats) -> Estimate:
        down, up = (x[:-1].reshape(value.shape) for x in limits[name])
        up = np.hypot(up, further[name])
        floor = np.minimum(known[name] - limits[name][0][-1], value)
        low = np.maximum(np.where(tilt <= last, value - down, floor), 0.0)
        high = np.where(trusted, value + up, np.inf)
        return Estimate.of(value, low, high, level=limit.settings.level, trusted=trusted, note=note)

    jeffreys = point.gain * tilt
    return Tilted(
        beta=coefficient if coefficient.ndim else float(coefficient),
        kl=estimate("kl", point.kl),
        gain=estimate("gain", point.gain),
        jeffreys=estimate("jeffreys", jeffreys),
        forward_kl=estimate("log_partition", jeffreys - point.kl),
        log_partition=estimate("log_partition", point.log_partition),
    )


def _spent_at_most(limit: Frontier, point: Point) -> Floats:
    """KL as far as a bias of beta allows, inf past trust."""
    members, bands = limit.members, limit.bands
    if members is None or not np.isfinite(limit.trusted_kl):
        return point.kl
    if limit.trusted_kl <= 0:
        return np.full(point.kl.shape, np.inf)
    kl = np.append(bands.kl[bands.kl < limit.trusted_kl], limit.trusted_kl)
    steep = np.minimum(limit.curve.at_kl(kl).tilt, members.grid.tilts[-1])
    uncorrected = front(members.plugin, members.grid, kl).tilt
    gap = np.abs(np.log(uncorrected / steep))
    tilt = np.log(np.maximum.accumulate(steep * np.exp(-_unsure(limit) * gap)))
    asked = np.log(np.maximum(point.tilt, 1e-300))
    spent = np.exp(np.interp(asked, tilt, np.log(kl)) + 2 * np.minimum(asked - tilt[0], 0.0))
    return np.where(asked > tilt[-1], np.inf, np.maximum(spent, point.kl))


def _unsure(limit: Frontier) -> float:
    """Corrections that may be missing above, as in `around`; mixtures of pass rates say it themselves."""
    return 0.0 if limit.bands.honest else 1.0 + 3 * limit.tail.long


def _bias(limit: Frontier, point: Point, spent: Floats) -> dict[str, Floats]:
    """How far above each number the truth may lie by bias alone, where `spent` is what it may spend."""
    bands = limit.bands
    correction = bands.share(bands.gain - bands.plugin, point.kl) * point.gain
    kl, log_partition = spent - point.kl, _unsure(limit) * point.tilt * correction
    jeffreys = kl + log_partition
    with np.errstate(divide="ignore", invalid="ignore"):
        gain = np.where(point.tilt > 0, jeffreys / point.tilt, 0.0)
    return {"kl": kl, "log_partition": log_partition, "jeffreys": jeffreys, "gain": gain}


def _reach(limit: Frontier, tilt: Floats) -> dict[str, tuple[Floats, Floats]]:
    """How far below and above each number at a fixed tilt may lie."""
    members = limit.members
    if members is None:
        zero = np.zeros(len(tilt))
        return dict.fromkeys((*_NAMES, "jeffreys"), (zero, zero))
    tilts = members.grid.tilts
    inside, short = np.clip(tilt, tilts[0], tilts[-1]), np.minimum(tilt / tilts[0], 1.0)

    def numbers(curves: Floats) -> dict[str, Floats]:
        value, gain = between_tilts(curves, members.grid, inside)
        return {"log_partition": value, "gain": gain, "kl": inside * gain - value}

    plugin, chosen = numbers(members.uncorrected), numbers(members.corrected)
    level = limit.settings.level
    # of continuous rewards the win rate is known, and what samples show of it is no noise
    fixed = limit.settings.prompts == "fixed" and limit.bands.narrowing > 0
    moments = [redrawn_moments(limit.samples, float(x)) for x in inside] if fixed else []
    found = {}
    for name in _NAMES:
        shift = chosen[name] - plugin[name]
        sampling = left_out_reach(chosen[name][1:], chosen[name][0], members.weights, level)
        if fixed:
            drawn = np.array([one[name] for one in moments]).T
            _, sampling = redrawn(drawn, 1.0, shift, members.weights, level)
        elif limit.settings.prompts == "fixed":
            sampling = np.zeros(len(tilt)), np.zeros(len(tilt))
        correction = np.abs(shift[0])
        low, high = around(np.zeros(len(tilt)), sampling, correction, 0.5 * correction, limit.tail)
        small = short if name == "gain" else short**2
        with np.errstate(invalid="ignore"):  # at no tilt nothing is open, not even what has no end
            low, high = (np.where(small > 0, end * small, 0.0) for end in (-low, high))
        found[name] = (low, high)
    low, high = found["gain"]
    found["jeffreys"] = (tilt * low, tilt * high)
    return found
