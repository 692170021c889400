"""Suprema over l > 0 of ratios with psi(l) = log E exp(l (reward - mean)), the best tail constants.

psi may belong to one law, to each of many, or be the average over prompts. psi(l) / l rises from 0
to `top`, at least as ``top - saturation_kl / l``; so both ratios fall from
l = 2 saturation_kl / top on, and the first never by more than one in its logarithm for each unit of
log l, however sudden its rise. The highest point of a logarithmic grid is therefore on the highest
peak, or on one all but as high, and zooming in on it finds that peak.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from klimit.theory._check import Floats
from klimit.theory._outcomes import Outcomes
from klimit.theory._spend import spend

_GRID = 256
_ZOOM = 17
_ZOOMS = 6  # each narrows the neighbourhood eightfold
_LEAST = 1e-6  # times the range: for smaller l the ratio is at its limit
_LEAST_SCALE = 1e-2  # the same where the leading term cancels


@dataclass(frozen=True, slots=True, eq=False)
class Cumulants:
    """What the suprema need to know; every array (...), one entry per psi.

    Attributes
    ----------
    psi : callable, (k, ...) -> (k, ...)
    variance, third : the first two cumulants after the mean
    width : highest minus lowest reward; the largest over prompts
    top, saturation_kl : highest reward minus the mean, and -log of its probability
    """

    psi: Callable[[Floats], Floats]
    variance: Floats
    third: Floats
    width: Floats
    top: Floats
    saturation_kl: Floats


def own(law: Outcomes) -> Cumulants:
    """Each prompt's own psi; outcomes on the last axis."""
    parts = (law.prob, law.log_prob, law.reward, law.below_top, law.centred, law.mean, law.top)
    starts = np.arange(0, law.prob.size, law.prob.shape[-1])
    prob, log_prob, reward, below, centred, mean, top = (part.ravel() for part in parts)
    flat = Outcomes(prob, log_prob, reward, below, centred, mean, top, starts)

    def psi(tilts: Floats) -> Floats:
        tilts = tilts.reshape(len(tilts), math.prod(tilts.shape[1:]))
        spent = spend(flat, 1.0 / tilts)
        return np.reshape(tilts * spent.gain - spent.kl, (len(tilts), *law.top.shape))

    third = law.total(law.prob * law.centred**3)
    return Cumulants(psi, law.variance(), third, law.width(), law.top, law.saturation_kl())


def averaged(law: Outcomes, weights: Floats) -> Cumulants:
    """The mean psi of the prompts (prompts, outcomes), all at the same l: what one beta sees."""
    each = own(law)
    return Cumulants(
        lambda tilts: each.psi(tilts[..., None]) @ weights,
        each.variance @ weights,
        each.third @ weights,
        each.width.max(),
        law.top @ weights,
        law.saturation_kl() @ weights,
    )


def variance_proxy(law: Cumulants, scale: Floats) -> Floats:
    """``sup 2 psi(l) / l^2`` over ``0 < l <= 1 / scale``."""
    with np.errstate(divide="ignore"):
        farthest = 1.0 / scale
    found = _supremum(lambda tilt: 2.0 * (law.psi(tilt) / tilt) / tilt, law, farthest, _LEAST)
    return np.where(law.top > 0, np.maximum(found, law.variance), 0.0)


def sub_gamma_scale(law: Cumulants) -> Floats:
    """``sup (1 - v l^2 / (2 psi(l))) / l`` over l > 0, at least 0."""

    def ratio(tilt: Floats) -> Floats:
        return (1.0 - law.variance * (0.5 * tilt / (law.psi(tilt) / tilt))) / tilt

    found = _supremum(ratio, law, np.asarray(np.inf), _LEAST_SCALE)
    with np.errstate(divide="ignore", invalid="ignore"):
        at_zero = law.third / (3.0 * law.variance)
    return np.where(law.variance > 0, np.maximum(np.maximum(found, at_zero), 0.0), 0.0)


def _supremum(
    ratio: Callable[[Floats], Floats], law: Cumulants, farthest: Floats, least: float
) -> Floats:
    moving = law.top > 0
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        high = np.where(moving, np.minimum(2.0 * law.saturation_kl / law.top, farthest), 1.0)
        low = np.log(np.where(moving, np.minimum(least / law.width, 1e-3 * high), 1e-3))
        high = np.log(high)
        best = np.full(high.shape, -np.inf)
        points = _GRID
        for _ in range(1 + _ZOOMS):
            step = (high - low) / (points - 1)
            offset = np.arange(points, dtype=float).reshape(-1, *[1] * high.ndim)
            values = ratio(np.exp(low + step * offset))
            peak = values.argmax(axis=0)
            best = np.maximum(best, values.max(axis=0))
            low, high = low + step * np.maximum(peak - 1, 0), low + step * (peak + 1.0)
            high = np.minimum(high, np.log(farthest))
            points = _ZOOM
    return best
