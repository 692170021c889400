"""What the size of the error alone certifies of a proxy's gain.

With ``error = scale * proxy - gold``, no policy looks better than it is by more than the error can be
made to gain at its KL (`klimit.theory.certified_gold_gain`). So gold gains at least
``scale * proxy gain - error gain``, whatever the error has to do with gold, as long as its size
is what is assumed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from klimit._estimate import Estimate, _scalar
from klimit._notebook import Numbers
from klimit.estimate.intervals import leave_out_error, quantiles
from klimit.estimate.kernel import Floats
from klimit.estimate.members import front
from klimit.estimate.proxy.gaps import beyond_chance, frontier_at, means_left_out
from klimit.estimate.proxy.path import flat_budgets
from klimit.estimate.samples import ordered_mean
from klimit.estimate.tilted import tilt_prompts

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from klimit.estimate.proxy.result import Hacking
    from klimit.estimate.result import Frontier

_LEAST = 1e-3  # nats that the least tilts spend; below, the chi-square is in proportion to the KL


@dataclass(frozen=True)
class Certified(Numbers):
    """Lower bounds on the gold gain along the proxy's tilt; gold units, `Estimate`s of one shape.

    Each holds for any error that fulfils its assumption, so it may be far below the truth, and
    below 0. The interval is that of the bound.

    Attributes
    ----------
    kl : nats
    moment : ``scale * proxy gain - G(kl)``, G the error's own frontier: the best bound by moment
        generating functions, for any error with the law of tails that these samples show
    sub_gaussian : ``scale * proxy gain - sqrt(2 tau^2 kl)``, tau^2 the error's sub-Gaussian scale
    variance : ``scale * proxy gain - sqrt(E Var(error) E chi^2)``, for any error of this variance;
        trusted as far as twice the proxy's tilt is, by which the chi-square is known
    sup_norm : ``scale * proxy gain - sqrt(E R^2 kl / 2)``, for any error within the range R that a
        prompt's samples show; the range itself may be larger, so this holds as far as R is right
    gold_gain : what was measured, beside them
    scale : gold per unit of proxy that makes the error uncorrelated with gold within prompts
    error_sd, error_range : root mean square over prompts of the error's standard deviation and range
    """

    kl: Any
    moment: Estimate
    sub_gaussian: Estimate
    variance: Estimate
    sup_norm: Estimate
    gold_gain: Estimate
    scale: float
    error_sd: float
    error_range: float

    @property
    def looseness(self) -> Any:
        """Share of the measured gold gain that `moment` leaves open; over 1 where nothing is certain."""
        gold, sure = np.asarray(self.gold_gain.value), np.asarray(self.moment.value)
        with np.errstate(divide="ignore", invalid="ignore"):
            return _scalar(np.where(gold > 0, (gold - sure) / gold, np.nan))


def certified(hack: Hacking, kl: Floats) -> Certified:
    """See `Certified`."""
    flat = flat_budgets(kl)
    scale, error = hack._error
    level, weights = hack.settings.level, hack.reads.weights
    samples = error.samples
    safe = np.maximum(flat, 1e-9)
    proxy = scale * frontier_at(hack.proxy, safe)
    own = frontier_at(error, safe)
    squares = samples.variances * samples.counts / (samples.counts - 1), samples.ranges() ** 2
    moments = np.stack([np.append(ordered_mean(x, samples), x) for x in squares])
    spread, wide = np.sqrt(means_left_out(moments, len(weights)))[..., None]
    chi, far = _chi_square(hack, safe)
    quantile = quantiles(level, int((weights > 0).sum()))[0]
    trusted = flat <= min(hack.proxy.trusted_kl, error.trusted_kl)
    doubt = np.abs(scale) * beyond_chance(hack.proxy, flat)

    def estimate(lost: Floats, extra: Floats, trusted: NDArray[np.bool_] = trusted) -> Estimate:
        values = (proxy - lost) * np.sqrt(flat / safe)
        noise = quantile * leave_out_error(values[1:], values[0], weights)
        below, above = np.hypot(noise, np.hypot(doubt, extra))
        value = np.where(flat > 0, values[0], 0.0)
        low = np.where(flat > 0, np.where(trusted, value - below, -np.inf), 0.0)
        high = np.where(flat > 0, value + above, 0.0)
        note = "" if trusted.all() else "beyond what these samples show of proxy or error"
        return Estimate.of(value, low, high, level=level, trusted=trusted | (flat == 0), note=note,
                           shape=np.shape(kl))  # fmt: skip

    none = np.zeros(len(flat))
    return Certified(
        kl=kl if np.ndim(kl) else float(kl),
        moment=estimate(own, beyond_chance(error, flat)[::-1]),  # what the error gains is lost
        sub_gaussian=estimate(_sub_gaussian(error) * np.sqrt(2 * safe), none),
        variance=estimate(spread * np.sqrt(chi), none, trusted & far),
        sup_norm=estimate(wide * np.sqrt(safe / 2), none),
        gold_gain=hack.gold_gain(kl),
        scale=scale, error_sd=float(spread[0, 0]), error_range=float(wide[0, 0]),
    )  # fmt: skip


def error_of(hack: Hacking) -> tuple[float, Frontier]:
    """Gold per unit of proxy, and the frontier of the error.

    Proxy = gold + error in one unit, the error uncorrelated with gold: so the unit is Var(gold) /
    Cov(proxy, gold) within prompts. (Where the covariance is not positive nothing is certified;
    then it is the regression's slope.)
    """
    from klimit.estimate.proxy.verb import centred_moments, in_order

    pairs = hack.pairs
    variance = centred_moments(pairs, pairs.proxy, pairs.proxy)[0]
    together = float(hack.readings.covariance[0])
    scale = float(hack.readings.spread**2 / together if together > 0 else together / variance)
    settings = replace(hack.settings, reward="error", reward_range=None, range_implied=False)
    return scale, in_order(pairs, scale * pairs.proxy - pairs.gold, settings)


def _sub_gaussian(error: Frontier) -> Floats:
    """(1 + groups, 1) least tau with ``log E exp(l (e - E e)) <= l^2 tau^2 / 2`` over the tilts seen."""
    members = error.members
    if members is None:
        return np.zeros((1, 1))
    tilts = members.grid.tilts
    seen = error.curve.at_tilt(tilts).kl <= max(error.trusted_kl, 0.05)
    if not seen.any():
        return np.zeros((1, 1))
    squares = 2 * members.corrected[:, seen] / tilts[seen] ** 2
    return np.asarray(np.sqrt(squares.max(axis=1, keepdims=True)))


def _chi_square(hack: Hacking, kl: Floats) -> tuple[Floats, NDArray[np.bool_]]:
    """Mean chi-square of the proxy's policy from the base, whole and left out; whether it is trusted.

    ``log(1 + chi^2)`` is ``psi(2 tilt) - 2 psi(tilt)`` of a prompt's log-mgf psi. Few samples have hardly any
    of what the double tilt weighs, so its mean over prompts is that of the corrected log-mgf, trusted as
    far as that is; how prompts differ is seen without correction.
    """
    members = hack.proxy.members
    assert members is not None  # a constant proxy is refused
    grid, rows = members.grid, members.corrected
    known = np.maximum(kl, _LEAST)
    tilt = np.minimum(front(rows, grid, known).tilt, grid.tilts[-1] / 2)

    def log_mgf(at: Floats) -> Floats:
        nodes = np.log(grid.tilts)
        shares = zip(np.log(at), rows / grid.tilts**2, strict=True)
        return np.stack([np.interp(x, nodes, row) for x, row in shares]) * at**2

    samples = hack.proxy.samples
    seen = [tilt_prompts(samples, min(float(t), float(hack.path.known[-1]))) for t in tilt[0]]
    apart = np.array([
        np.log1p(ordered_mean(one.chi_square, samples))
        - ordered_mean(np.log1p(one.chi_square), samples)
        for one in seen
    ])  # fmt: skip
    found = np.maximum(log_mgf(2 * tilt) - 2 * log_mgf(tilt) + apart, 0.0)
    far = hack.proxy.curve.at_tilt(2 * tilt[0]).kl <= hack.proxy.trusted_kl
    with np.errstate(over="ignore"):
        return np.expm1(found) * kl / known, far
