"""Every prompt's own samples, reweighted by one tilt each: log-mgf, gain, KL, divergences."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from klimit.estimate.kernel import BLOCK, Floats
from klimit.estimate.samples import Samples, ordered_mean

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


@dataclass(frozen=True)
class TiltedPrompts:
    """The plug-in optimal policy of each prompt; all arrays (prompts,), nats and reward units.

    Attributes
    ----------
    tilt : per reward unit; inf: all weight on the best samples
    kl : of the tilted samples from the base samples
    log_mgf, gain, variance : centred log-mgf and its two derivatives in the tilt
    chi_square, total_variation, hellinger_squared : of the tilted against the base samples
    second_moment : of the centred reward under the tilted samples
    """

    tilt: Floats
    kl: Floats
    log_mgf: Floats
    gain: Floats
    variance: Floats
    chi_square: Floats
    total_variation: Floats
    hellinger_squared: Floats
    second_moment: Floats


def tilt_prompts(samples: Samples, tilt: ArrayLike) -> TiltedPrompts:
    """Reweight each prompt's samples by exp(tilt * reward); `tilt` is one number or (prompts,), or inf."""
    tilts = np.broadcast_to(np.asarray(tilt, dtype=float), (samples.prompts,))
    out = np.zeros((8, samples.prompts))
    for block in samples.blocks:
        for rows in block.parts(8 * BLOCK):
            prompts, n = block.prompts[rows], block.counts[rows].astype(float)
            x = block.rewards[rows]
            here = tilts[prompts][:, None]
            inside = x > -np.inf  # the padding weighs nothing, at tilt 0 too
            x = np.where(inside, x, 0.0)
            gap = x - x[:, -1:]
            with np.errstate(invalid="ignore"):  # an infinite tilt leaves the best as they are
                weight = np.where(gap < 0, np.exp(here * gap), 1.0) * inside
                total = weight.sum(axis=1)
                ratio = weight * (n / total)[:, None]  # dpolicy / dbase at each sample
                drop = np.einsum("ij,ij->i", ratio, gap) / n
                spent = np.where(drop < 0, here[:, 0] * drop, 0.0) - np.log(total / n)
                log_mgf = np.log(total / n) + here[:, 0] * x[:, -1]
            gain = np.einsum("ij,ij->i", ratio, x) / n
            second = np.einsum("ij,ij,ij->i", ratio, x, x) / n
            out[0, prompts] = np.maximum(spent, 0.0)
            out[1, prompts] = log_mgf
            out[2, prompts] = np.maximum(gain, 0.0)
            out[3, prompts] = np.maximum(second - gain**2, 0.0)
            out[4, prompts] = np.maximum(np.einsum("ij,ij->i", ratio, ratio) / n - 1, 0.0)
            out[5, prompts] = np.maximum(ratio - 1, 0.0).sum(axis=1) / n
            out[6, prompts] = np.maximum(1 - np.sqrt(ratio).sum(axis=1) / n, 0.0)
            out[7, prompts] = second
    still = samples.variances == 0
    out[:, still] = 0.0
    return TiltedPrompts(tilts, *out)


def redrawn_gain(samples: Samples, tilt: float) -> float:
    """Variance that another draw of the samples gives the gain at a KL, at first order."""
    found = tilt_prompts(samples, tilt)
    influence = found.chi_square + tilt**2 * samples.variances - 2 * tilt * found.gain
    noise = np.maximum(influence, 0.0) / (samples.counts - 1)
    return ordered_mean(noise, samples) / (tilt**2 * samples.prompts)


def redrawn_moments(samples: Samples, tilt: float) -> dict[str, Floats]:
    """What means over prompts move by if their samples are drawn again: second to fourth moments, (3,) each.

    Those of the jackknife, exact also for a sample that has much of the tilted weight.
    """
    found = {name: np.zeros((3, samples.prompts)) for name in ("log_partition", "gain", "kl")}
    for block in samples.blocks:
        for rows in block.parts(BLOCK):
            prompts, n = block.prompts[rows], block.counts[rows].astype(float)[:, None]
            x = block.rewards[rows]
            inside = x > -np.inf
            x = np.where(inside, x, 0.0)
            weight = np.exp(tilt * (x - x[:, -1:])) * inside
            weight /= weight.sum(axis=1, keepdims=True)
            rest = np.maximum(1 - weight, 1e-12)
            mean = np.einsum("ij,ij->i", weight, x)[:, None]
            log = -np.log(rest) - tilt * x / (n - 1)
            gain = weight * (x - mean) / rest - x / (n - 1)
            for name, move in (("log_partition", log), ("gain", gain), ("kl", tilt * gain - log)):
                move -= move.sum(axis=1, keepdims=True) / n
                move *= inside * (np.sqrt((n - 1) / n) / samples.prompts)
                square = move * move
                found[name][:, prompts] = [
                    np.einsum("ij,ij->i", move, other) for other in (move, square, square * move)
                ]
    return {
        name: np.array([samples.prompts * ordered_mean(row, samples) for row in rows])
        for name, rows in found.items()
    }


def tilt_to_kl(samples: Samples, kl: float) -> TiltedPrompts:
    """The tilt at which every prompt's own samples spend `kl` nats, by safeguarded Newton steps.

    A prompt that cannot spend so much stands at its ceiling (gain of its best sample).
    """
    moving = samples.variances > 0
    ceiling = np.log(samples.counts / samples.ties)
    reach = moving & (kl < ceiling * (1 - 1e-12))
    spread = np.sqrt(np.where(moving, samples.variances, 1.0))
    tilt = np.where(reach, np.sqrt(2 * kl) / spread, 0.0)
    low, high = np.zeros(samples.prompts), np.full(samples.prompts, np.inf)
    for _ in range(80):
        found = tilt_prompts(samples, tilt)
        error = np.where(reach, tilt * found.gain - found.log_mgf - kl, 0.0)
        low, high = np.where(error < 0, tilt, low), np.where(error > 0, tilt, high)
        with np.errstate(divide="ignore", invalid="ignore"):
            step = tilt - error / (tilt * found.variance)
        middle = np.where(np.isfinite(high), (low + high) / 2, 2 * tilt)
        good = np.isfinite(step) & (step >= low) & (step <= high) & (step < 4 * tilt)
        new = np.where(error == 0, tilt, np.where(good, step, middle))
        done = (np.abs(new - tilt) <= 1e-9 * tilt).all()  # the next step would be its square
        tilt = new
        if done:
            break
    found = tilt_prompts(samples, np.where(moving & ~reach, np.inf, tilt))
    return replace(found, gain=np.where(found.tilt > 0, found.gain, 0.0))


def mean_front(samples: Samples, kl: float) -> tuple[float, float]:
    """Mean gain, and mean slope of the fronts, where every prompt spends `kl` nats."""
    found = tilt_to_kl(samples, kl)
    with np.errstate(divide="ignore"):
        slope = np.where(samples.variances > 0, 1 / found.tilt, 0.0)
    return ordered_mean(found.gain, samples), ordered_mean(slope, samples)


def least_kl(samples: Samples, gain: float) -> float:
    """KL at which the mean front reaches `gain`, by safeguarded Newton steps; nan above the best samples."""
    if gain <= 0:
        return 0.0
    ceiling = ordered_mean(samples.tops, samples)
    if gain > ceiling * (1 + 1e-14):
        return float("nan")
    spread = ordered_mean(np.sqrt(samples.variances), samples)
    low, high = 0.0, float(np.log(samples.counts / samples.ties).max())
    kl = min((gain / spread) ** 2 / 2, high / 2)
    for _ in range(100):
        reached, slope = mean_front(samples, kl)
        low, high = (kl, high) if reached < gain else (low, kl)
        step = kl + (gain - reached) / slope if slope > 0 else -1.0
        before, kl = kl, step if low <= step <= high else (low + high) / 2
        if abs(kl - before) <= 1e-9 * kl:  # the next step would be its square
            break
    return kl
