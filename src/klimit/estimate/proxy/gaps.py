"""The proxy's best policy beside gold's own: correlation, efficiency, and three gaps.

Gold's frontier and the gold gain along the proxy's tilt come from the same prompts. So the error of
their difference is that of the difference with each group of prompts left out; what either
correction may be off is no error that pairing removes, and is added to it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from klimit._estimate import Estimate
from klimit._notebook import Numbers
from klimit.estimate.intervals import leave_out_error, quantiles
from klimit.estimate.kernel import Floats
from klimit.estimate.members import between_tilts, front
from klimit.estimate.proxy.path import TINY, flat_budgets
from klimit.estimate.proxy.redrawn import (
    FIXED_BETA,
    LIMIT,
    REGULARISED,
    SPENT,
    along_parts,
    redrawn_covariances,
)

_STEP = 1.05  # between tilts, to see how what is read changes with them

if TYPE_CHECKING:
    from klimit.estimate.proxy.pairs import Pairs
    from klimit.estimate.proxy.result import Hacking
    from klimit.estimate.result import Frontier


@dataclass(frozen=True)
class Gaps(Numbers):
    """What optimising the proxy instead of gold loses; all `Estimate`s of one shape, gold units.

    None of them need grow with the KL: only their bounds do. Gaps at fixed beta and
    the regularised one compare the numbers of proxy and gold as they are, so they mean something
    where both are in the same units. The gap at fixed KL means something always.

    Attributes
    ----------
    kl, beta : where: nats of the proxy's policy, and the coefficient that spends them
    fixed_beta : gold gain of gold's policy at this beta over that of the proxy's; any sign
    fixed_kl : gold gain that the same KL could buy over that of the proxy's policy; at least 0
    regularised : loss of ``E gold - beta KL``, which is beta KL(proxy's policy || gold's); at least 0
    """

    kl: Any
    beta: Any
    fixed_beta: Estimate
    fixed_kl: Estimate
    regularised: Estimate


def gaps(hack: Hacking, kl: Floats, beta: Floats | None) -> Gaps:
    """See `Gaps`; `kl` is where `beta` leads, if that was asked for."""
    flat = flat_budgets(kl)
    slope = hack.proxy.beta(flat).value if beta is None else beta
    slope = np.atleast_1d(slope).ravel().astype(float)
    at_beta, kl_at_beta = _at_beta(hack, flat, slope)
    parts = np.stack([FIXED_BETA, REGULARISED])[:, None]
    if beta is None:
        at_beta, rate = _steered(hack, flat, slope, at_beta)
        parts = parts - rate[..., None] * SPENT
    above, below = hack.readings.bands.at(hack.readings.bands.off, flat)  # gold is taken off
    at_kl = frontier_at(hack.gold, flat)
    reach = _reach(hack.gold, kl_at_beta)
    within = flat <= hack.trusted_kl
    far = (kl_at_beta <= hack.gold.trusted_kl) & within
    level = hack.settings.level
    covariances = _if_fixed(hack, flat, slope)

    def estimate(
        values: Floats, parts: Floats, extra: Floats, trusted: Floats, least: float
    ) -> Estimate:
        error = _error(hack, values, covariances, parts)
        sure = np.hypot(hack.readings.bands.quantile * error, extra)
        value = np.maximum(values[0], least)
        low = np.where(trusted, np.maximum(values[0] - np.hypot(sure, below), least), least)
        high = np.where(trusted, np.maximum(values[0] + np.hypot(sure, above), value), np.inf)
        note = "" if np.all(trusted) else "beyond what these samples show of proxy or gold"
        return Estimate.of(value, np.minimum(low, value), high, level=level, trusted=trusted,
                           note=note, shape=np.shape(kl))  # fmt: skip

    known = within & (flat <= hack.gold.trusted_kl)
    zero = flat == 0
    return Gaps(
        kl=kl if np.ndim(kl) else float(kl),
        beta=slope.reshape(np.shape(kl)) if np.ndim(kl) else float(slope[0]),
        fixed_beta=estimate(at_beta[0], parts[0], reach, far | zero, -np.inf),
        fixed_kl=estimate(
            at_kl - _along(hack, flat),
            LIMIT - along_parts(hack, flat),
            _reach(hack.gold, flat),
            known | zero,
            0.0,
        ),
        regularised=estimate(at_beta[1], parts[1], reach, far | zero, 0.0),
    )


def efficiency(hack: Hacking, kl: Floats) -> Estimate:
    """Gold gain along the proxy over gold's frontier, at the same KL."""
    flat = flat_budgets(kl)
    gold, best = hack.gold_gain(flat), hack.gold.gain(flat)
    along, limit = _along(hack, flat), frontier_at(hack.gold, flat)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = along / np.where(limit > 0, limit, np.nan)
        parts = (along_parts(hack, flat) - ratio[0][:, None] * LIMIT) / limit[0][:, None]
        slope = np.atleast_1d(hack.proxy.beta(flat).value)
        error = _error(hack, ratio, _if_fixed(hack, flat, slope), parts)
        error = hack.readings.bands.quantile * error
        below, above = hack.readings.bands.at(hack.readings.bands.off, flat) / best.value
        extra = np.abs(ratio[0]) * _reach(hack.gold, flat) / best.value
        sure = np.hypot(error, extra)
        floor = np.where(np.asarray(gold.low) >= 0, 0.0, np.asarray(gold.low) / best.low)
        ceiling = np.where(np.asarray(gold.high) >= 0, np.asarray(gold.high) / best.low, 0.0)
    trusted = np.asarray(gold.trusted) & np.asarray(best.trusted)
    value = np.minimum(ratio[0], 1.0)
    low = np.where(trusted, value - np.hypot(sure, below), np.minimum(floor, value))
    high = np.where(trusted, value + np.hypot(sure, above), np.maximum(ceiling, value))
    high = np.minimum(high, 1.0)
    note = (
        "" if np.all(trusted) else "beyond what these samples show of proxy or gold: an upper bound"
    )
    return Estimate.of(value, low, high, level=hack.settings.level, trusted=trusted, note=note,
                       shape=np.shape(kl))  # fmt: skip


def correlation(hack: Hacking, values: Floats, covariance: Floats) -> Estimate:
    """Mean covariance with the proxy within prompts over the root of both mean variances.

    The interval is that of Fisher's transform.

    Parameters
    ----------
    values : (samples,) gold, or a nuisance
    covariance : (1 + prompts,) its `Readings.covariance`
    """
    from klimit.estimate.proxy.verb import centred_moments

    pairs = hack.pairs
    own = (centred_moments(pairs, x, x) for x in (pairs.proxy, values))
    moments = np.stack([covariance, *own])
    every = means_left_out(moments, len(hack.reads.weights))
    with np.errstate(divide="ignore", invalid="ignore"):
        found = np.clip(every[0] / np.sqrt(every[1] * every[2]), -1, 1)
        z = np.arctanh(np.clip(found, -1 + 1e-12, 1 - 1e-12))
    if hack.settings.prompts == "fixed":
        spare = len(values) - pairs.prompts
        error = (
            _redrawn(pairs, values, *moments[:, 0]) if spare > 2 else np.inf
        )  # Fisher's own least
        quantile = quantiles(hack.settings.level, spare + 1)[0]
    else:
        error = float(leave_out_error(z[1:], z[0], hack.reads.weights))
        if np.isnan(error):  # without some prompt, one of both never varies
            error = np.inf
        quantile = hack.readings.bands.quantile
    reach = quantile * error
    value, ends = float(found[0]), np.tanh([z[0] - reach, z[0] + reach])
    low, high = min(float(ends[0]), value), max(float(ends[1]), value)  # at 1 the ends fall short
    return Estimate(value, low, high, hack.settings.level)


def means_left_out(moments: Floats, groups: int) -> Floats:
    """(moments, 1 + groups) means over prompts, of all and without each group.

    Parameters
    ----------
    moments : (moments, 1 + prompts) as `centred_moments` gives each
    """
    prompts = moments.shape[-1] - 1
    group = np.arange(prompts) % groups
    sums = np.stack([np.bincount(group, row, minlength=groups) for row in moments[:, 1:]])
    number = np.bincount(group, minlength=groups)
    without = (moments[:, :1] * prompts - sums) / np.maximum(prompts - number, 1)
    return np.concatenate([moments[:, :1], without], axis=1)


def _redrawn(pairs: Pairs, values: Floats, together: float, proxy: float, own: float) -> float:
    """Standard error of the correlation's Fisher transform if these prompts' samples are drawn again.

    Around their own mean a few samples vary less than they do: by (M - 1) (M - 2) / M^2 for normal ones. Two
    do not at all, and of these what prompts show stands for the noise that makes most of it.
    """
    rho = together / (proxy * own) ** 0.5
    total = 0.0
    for chunk in pairs.chunks(pairs.proxy, values):
        one, other = chunk.reads[0] / proxy**0.5, chunk.reads[1] / own**0.5
        pull = one * other - rho * (one**2 + other**2) / 2  # the influence of a sample
        count = pull.shape[1]
        if count > 2:
            total += float(pull.var(axis=1).sum()) * count**2 / ((count - 1) ** 2 * (count - 2))
        else:
            total += float((pull.sum(axis=1) ** 2).sum())
    return float(total**0.5 / pairs.prompts / max(1 - rho**2, 1e-12))


def _along(hack: Hacking, kl: Floats) -> Floats:
    """(1 + groups, budgets) gold gain along the proxy's tilt."""
    safe = np.maximum(kl, 1e-9)
    tilt = np.minimum(hack.path.tilt_at(safe), hack.path.known[-1])
    return hack.path.at(hack.readings.read.chosen, tilt) * np.sqrt(kl / safe)


def _at_beta(hack: Hacking, kl: Floats, slope: Floats) -> tuple[Floats, Floats]:
    """(2, 1 + groups, budgets) gaps at a fixed beta and regularised; (budgets,) KL of gold's policy."""
    path, tilt = hack.path, _tilt_of(slope)
    at = np.repeat(np.clip(tilt, TINY, path.known[-1])[None], len(hack.reads.weights) + 1, axis=0)
    along = np.where(kl > 0, path.at(hack.readings.read.chosen, at), 0.0)
    spent = _spent(hack, at)
    gain, log_mgf, kl_of_gold = _gold_at_tilt(hack.gold, tilt)
    with np.errstate(invalid="ignore"):  # at 0 nats the slope has no end and nothing is gained
        regularised = slope * (log_mgf + spent - spent[0] + kl) - along
    return np.stack([gain - along, np.where(kl > 0, regularised, 0.0)]), kl_of_gold


def _steered(hack: Hacking, kl: Floats, slope: Floats, at_beta: Floats) -> tuple[Floats, Floats]:
    """The same at the beta that spends the KL, another one without some prompts.

    And (2, budgets) what they change by per unit of proxy along the path, as that beta does.
    """
    path, tilt = hack.path, _tilt_of(slope)
    at, next_ = (np.clip(x, TINY, path.known[-1])[None] for x in (tilt, _STEP * tilt))
    there = kl + (_spent(hack, next_) - _spent(hack, at))[0]
    rise = _at_beta(hack, there, slope / _STEP)[0][:, :1] - at_beta[:, :1]
    rise = np.where(kl > 0, rise, 0.0)
    moved = np.log(path.tilt_at(np.maximum(kl, 1e-9)))
    run = path.at(path.gains[:1], next_)[0] - path.at(path.gains[:1], at)[0]
    rate = rise[:, 0] / np.where(run > 0, run, np.inf)
    return at_beta + rise / np.log(_STEP) * (moved - moved[0]), rate


def _tilt_of(slope: Floats) -> Floats:
    """(budgets,) inverse of a beta, inf of none."""
    with np.errstate(divide="ignore"):
        return np.where(slope > 0, 1 / np.where(slope > 0, slope, 1.0), np.inf)


def _spent(hack: Hacking, at: Floats) -> Floats:
    """(rows, budgets) KL of the proxy's policy at tilts of each row, all prompts first."""
    path, rows = hack.path, len(at)
    # below the first tilt the log-mgf goes by its square
    small = np.minimum(at / path.known[0], 1.0)
    return np.asarray(
        at * path.at(path.gains[:rows], at) - path.at(path.log_mgf[:rows], at) * small
    )


def frontier_at(limit: Frontier, kl: Floats) -> Floats:
    """(1 + groups, budgets) corrected gain, whole and left out; zero where nothing can be gained."""
    members = limit.members
    if members is None:
        return np.zeros((1, len(kl)))
    safe = np.maximum(kl, 1e-9)
    value = np.atleast_1d(limit.gain(safe).value)
    found = front(members.corrected, members.grid, safe).gain
    return np.asarray(value * found / np.maximum(found[0], 1e-300) * np.sqrt(kl / safe))


def _gold_at_tilt(gold: Frontier, tilt: Floats) -> tuple[Floats, Floats, Floats]:
    """Gold's own policy at a tilt: gain and log-mgf, (1 + groups, tilts), and its KL."""
    members = gold.members
    assert members is not None
    value, gain = between_tilts(members.corrected, members.grid, tilt)
    point = gold.curve.at_tilt(np.minimum(tilt, 1e300))
    below = tilt < members.grid.tilts[0]
    small = np.where(below, tilt / members.grid.tilts[0], 1.0)
    gain = gain * small + np.where(below, 0.0, point.gain - gain[0])
    value = value * small**2 + np.where(below, 0.0, point.log_partition - value[0])
    return gain, value, np.asarray(point.kl)


def beyond_chance(limit: Frontier, kl: Floats) -> Floats:
    """(2, budgets) what the ends of a frontier's interval have below and above beyond chance."""
    bands = limit.bands
    reach, chance = (
        np.stack([bands.share(x, kl) for x in sides])
        for sides in ((bands.gain - bands.low, bands.high - bands.gain), (bands.below, bands.above))
    )
    with np.errstate(invalid="ignore"):
        share = np.sqrt(np.maximum(reach**2 - chance**2, 0.0))
    return np.asarray(np.nan_to_num(share, posinf=0.0) * np.atleast_1d(limit.gain(kl).value))


def _reach(gold: Frontier, kl: Floats) -> Floats:
    """How far gold's correction may be off, either way: half of what its upper end has beyond chance."""
    return np.asarray(0.5 * beyond_chance(gold, kl)[1])


def _error(hack: Hacking, values: Floats, covariances: Floats | None, parts: Floats) -> Floats:
    """(budgets,) standard error from groups left out; for these very prompts without how they differ.

    Parameters
    ----------
    values : (1 + groups, budgets)
    covariances : of `redrawn_covariances`, for these very prompts
    parts : (budgets or 1, 5) how the values are made of what that reads
    """
    error = leave_out_error(values[1:], values[0], hack.reads.weights)
    if covariances is not None:
        parts = np.broadcast_to(parts, (values.shape[1], 5))
        here, drawn = np.einsum("bi,wbij,bj->wb", parts, covariances, parts)
        error = np.sqrt(here + np.maximum(error**2 - drawn, 0.0))
    return np.where(np.isnan(error), np.inf, error)  # one prompt shows none


def _if_fixed(hack: Hacking, kl: Floats, slope: Floats) -> Floats | None:
    """What `_error` needs of these very prompts; None where they are drawn, and of one alone."""
    fixed = hack.settings.prompts == "fixed" and hack.pairs.prompts > 1
    return redrawn_covariances(hack, kl, _tilt_of(slope)) if fixed else None
