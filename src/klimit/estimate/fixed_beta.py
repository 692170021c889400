"""The optimal policy at one KL coefficient: what it gains and spends, with intervals at that tilt.

At a fixed coefficient every number rises with the tilt ``1 / beta``. So what is known at the end of
trust bounds from below what lies beyond it; and below the first tilt of the grid all is a straight
line or a parabola. A bias feeds on itself: more reward at a KL is a steeper frontier there, hence more
KL at this slope, where more is missing. Chance does alike: samples that miss the high rewards show a
small KL with a small error. So what a coefficient may spend at most is read from the other end, at each
KL the least tilt that may spend it, and a coefficient is trusted where all of that is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from klimit._errors import ArgumentError
from klimit._estimate import Estimate, beyond
from klimit._notebook import Numbers
from klimit.estimate.checks import numbers
from klimit.estimate.intervals import around, left_out_reach, normal, redrawn
from klimit.estimate.kernel import Floats
from klimit.estimate.members import between_tilts, front
from klimit.estimate.tilted import redrawn_moments

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from klimit.estimate.curve import Point
    from klimit.estimate.result import Frontier
    from klimit.estimate.samples import Samples

_NAMES = ("log_partition", "gain", "kl")
_FEW = 16  # budgets at which noise is told; it is smooth between
_NO_END = 50.0  # e to this power is no bound


@dataclass(frozen=True)
class Tilted(Numbers):
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
    bad = ~(coefficient > 0)
    if bad.any():
        raise ArgumentError(
            f"beta must be positive (reward units per nat); got {coefficient[bad].flat[0]:g}. "
            "For the limit of no KL cost see gain(kl=...) at a large KL."
        )
    tilt = 1 / coefficient
    point = limit.curve.at_tilt(tilt)
    spent = _spent_at_most(limit, point)
    trusted = spent <= limit.trusted_kl
    note = "" if bool(np.all(trusted)) else f"its KL may lie {beyond(limit.trusted_kl)}"
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
    """KL as far as bias and chance allow, inf past trust."""
    members, bands = limit.members, limit.bands
    if members is None:
        return point.kl
    if limit.trusted_kl <= 0:
        return np.full(point.kl.shape, np.inf)
    kl = np.append(bands.kl[bands.kl < limit.trusted_kl], limit.trusted_kl)
    steep = np.minimum(limit.curve.at_kl(kl).tilt, members.grid.tilts[-1])
    uncorrected = front(members.uncorrected[0], members.grid, kl).tilt
    gap = np.abs(np.log(uncorrected / steep))
    slack = np.minimum(np.hypot(_unsure(limit) * gap, by_chance(limit, kl, steep)[0]), _NO_END)
    tilt = np.log(np.maximum.accumulate(steep * np.exp(-slack)))
    asked = np.log(np.maximum(point.tilt, 1e-300))
    spent = np.exp(np.interp(asked, tilt, np.log(kl)) + 2 * np.minimum(asked - tilt[0], 0.0))
    return np.where(asked > tilt[-1], np.inf, np.maximum(spent, point.kl))


def by_chance(limit: Frontier, kl: Floats, tilt: Floats) -> tuple[Floats, Floats]:
    """How far down and up the logarithm of the tilt that spends each KL may lie by chance.

    Of continuous rewards no less down than if they were normal: where the best few lie close together by
    chance, the samples' own noise is small where it should be largest.
    """
    few = np.unique(np.linspace(0, len(kl) - 1, _FEW).round().astype(int))
    below, above = (np.minimum(x / kl[few], _NO_END) for x in _sampling(limit, tilt[few])["kl"])
    with np.errstate(divide="ignore", invalid="ignore"):
        # a budget past the steepest tilt moves none
        rise = np.gradient(np.log(kl), np.log(tilt)) if len(kl) > 1 else np.array([2.0])
    rise = np.maximum(np.nan_to_num(rise, nan=np.inf, posinf=np.inf), 1e-300)
    # a KL that is more than is seen is spent by a tilt that is less
    down, up = (np.interp(np.log(kl), np.log(kl[few]), x) / rise for x in (above, below))
    if not np.isnan(limit.tail.shape):
        own = kl / limit.samples.moving
        down = np.maximum(down, normal(limit.settings.level) * tilt_if_normal(own, limit.samples))
    return down, up


def tilt_if_normal(kl: Floats, samples: Samples) -> Floats:
    """Standard error of the logarithm of the tilt that spends each KL, of n normal rewards.

    They show the KL with a variance of ``(exp(2 KL) (4 KL^2 - 2 KL + 1) - 1) / n``, and it goes by the square
    of the tilt.
    """
    number = samples.counts[samples.variances > 0].sum()
    variance = np.expm1(2 * kl + np.log(4 * kl**2 - 2 * kl + 1)) / number
    return np.asarray(np.sqrt(variance) / (2 * kl))


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
    plugin, chosen = (
        _numbers(limit, x, tilt) for x in (members.uncorrected[0], members.corrected[0])
    )
    middle = None if members.middle is None else _numbers(limit, members.middle, tilt)
    lowered = None if members.lowered is None else _numbers(limit, members.lowered, tilt)
    point, none = limit.curve.at_tilt(tilt), np.zeros(len(tilt))
    short = np.minimum(tilt / members.grid.tilts[0], 1.0)
    found = {}
    for name, sampling in _sampling(limit, tilt).items():
        correction = np.abs(chosen[name] - plugin[name])
        leap = none if middle is None else np.maximum(getattr(point, name) - middle[name], 0.0)
        drop = none if lowered is None else np.maximum(lowered[name] - getattr(point, name), 0.0)
        low, high = around(
            none, sampling, correction, 0.5 * correction, limit.tail, leap, drop=drop
        )
        small = short if name == "gain" else short**2
        with np.errstate(invalid="ignore"):  # at no tilt nothing is open, not even what has no end
            low, high = (np.where(small > 0, end * small, 0.0) for end in (-low, high))
        found[name] = (low, high)
    low, high = found["gain"]
    found["jeffreys"] = (tilt * low, tilt * high)
    return found


def _sampling(limit: Frontier, tilt: Floats) -> dict[str, tuple[Floats, Floats]]:
    """How far below and above each number chance may put it; tilts beyond the grid count as its ends."""
    members = limit.members
    assert members is not None
    plugin, chosen = (_numbers(limit, x, tilt) for x in (members.uncorrected, members.corrected))
    if limit.settings.prompts == "drawn":
        level = limit.settings.level
        return {
            x: left_out_reach(chosen[x][1:], chosen[x][0], members.weights, level, uneven=True)
            for x in _NAMES
        }
    if limit.bands.narrowing <= 0:
        # of continuous rewards the win rate is known, and what samples show of it is no noise
        return dict.fromkeys(_NAMES, (np.zeros(len(tilt)), np.zeros(len(tilt))))
    inside = np.clip(tilt, members.grid.tilts[0], members.grid.tilts[-1])
    moments = [redrawn_moments(limit.samples, float(x)) for x in inside]
    found = {}
    for name in _NAMES:
        drawn = np.array([one[name] for one in moments]).T
        shift = chosen[name] - plugin[name]
        _, found[name] = redrawn(drawn, 1.0, shift, members.weights, limit.settings.level)
    return found


def _numbers(limit: Frontier, log_mgf: Floats, tilt: Floats) -> dict[str, Floats]:
    """What log-mgfs over the grid say at other tilts."""
    assert limit.members is not None
    grid = limit.members.grid
    inside = np.clip(tilt, grid.tilts[0], grid.tilts[-1])
    value, gain = between_tilts(log_mgf, grid, inside)
    return {"log_partition": value, "gain": gain, "kl": inside * gain - value}
