"""The exact frontier of known reward laws: what every estimate is held against."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.laws import Laws, Levels, Mixture, Part
from benchmarks.shapes import UNIFORM, Array

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

TILTS = 10.0 ** np.arange(-2.0, 5.0, 0.04)
ZOOMS = 5


@dataclass(frozen=True)
class Front:
    """``G(D) = min_lam (D + L(lam)) / lam`` on a KL grid: its value, slope and where it saturates.

    Attributes
    ----------
    gain : (..., kl) reward units
    beta : (..., kl) slope, reward units per nat; 0 where saturated
    """

    gain: Array
    beta: Array


def front(log_mgf: Array, kl: ArrayLike, tilts: Array = TILTS) -> Front:
    """Solve the dual for each row of `log_mgf` (..., tilts): grid, then a parabola."""
    log_mgf, kl = np.asarray(log_mgf, float), np.asarray(kl, float)
    gain = np.empty((*log_mgf.shape[:-1], len(kl)))
    beta = np.empty_like(gain)
    last = len(tilts) - 1
    step = np.log(tilts[1] / tilts[0])
    for i, budget in enumerate(kl):
        h = (budget + log_mgf) / tilts
        k = h.argmin(axis=-1)
        inner = np.clip(k, 1, last - 1)
        left, mid, right = (
            np.take_along_axis(h, (inner + d)[..., None], axis=-1)[..., 0] for d in (-1, 0, 1)
        )
        with np.errstate(invalid="ignore", divide="ignore"):
            bend = left - 2 * mid + right
            shift = 0.5 * (left - right) / bend
            value = mid - 0.125 * (left - right) ** 2 / bend
        good = (k == inner) & np.isfinite(shift) & (bend > 0)
        edge = np.take_along_axis(h, k[..., None], axis=-1)[..., 0]
        gain[..., i] = np.where(good, value, edge)
        best = tilts[k] * np.exp(np.where(good, shift, 0.0) * step)
        beta[..., i] = np.where(k == last, 0.0, 1 / best)
    return Front(gain, beta)


def average(laws: Laws, kl: ArrayLike) -> Front:
    """The frontier of an average budget over these prompts (one shared tilt).

    A coarse grid of tilts finds each minimum, then the grid zooms in on all of them at once.
    """
    kl = np.asarray(kl, float)
    coarse = np.log(TILTS[::3])
    table = laws.log_mgf(np.exp(coarse)).mean(axis=0)
    k = ((kl[:, None] + table) / np.exp(coarse)).argmin(axis=1)
    last = len(coarse) - 1
    centre, reach = coarse[k], coarse[1] - coarse[0]
    steps = np.linspace(-1.0, 1.0, 9)
    for _ in range(ZOOMS):
        tilts = np.exp(centre[:, None] + reach * steps)
        h = (kl[:, None] + laws.log_mgf(tilts.ravel()).mean(axis=0).reshape(tilts.shape)) / tilts
        centre = centre + reach * steps[h.argmin(axis=1)]
        reach = reach / 4
    tilt = np.exp(centre)
    gain = (kl + laws.log_mgf(tilt).mean(axis=0)) / tilt
    return Front(gain, np.where(k == last, 0.0, 1 / tilt))


def per_prompt(laws: Laws, kl: ArrayLike) -> Front:
    """The mean over prompts of each prompt's own frontier at the same KL, and its mean slope."""
    each = front(laws.log_mgf(TILTS), kl)
    return Front(each.gain.mean(axis=0), each.beta.mean(axis=0))


def spending(laws: Laws, kl: ArrayLike) -> tuple[Array, Array]:
    """Gain and KL of every prompt, (prompts, kl) each, where an average budget spends best."""
    lam = 1 / np.maximum(average(laws, kl).beta, 1 / TILTS[-1])
    step = 1e-4
    up, mid, down = (laws.log_mgf(lam * f) for f in (1 + step, 1.0, 1 - step))
    slope = (up - down) / (2 * step * lam)
    return slope, np.maximum(lam * slope - mid, 0.0)


def win_rate_laws(laws: Laws) -> Laws | None:
    """The same prompts with ranks for rewards; None where a law is part continuous, part atoms."""
    if isinstance(laws, Levels):
        return laws.ranked()
    return None if laws.has_atoms() else Mixture(laws.prompts, (Part(UNIFORM),))
