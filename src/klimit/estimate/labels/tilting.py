"""Gold gain along the proxy's tilt as a sum over samples whose coefficients the proxy alone decides.

With ``e_j = exp(t r_j)`` and S their sum over the M samples of a prompt, the gold gain of the tilt is
``sum_j (e_j / S - 1 / M) g_j``. The ratio is biased by a share of about chi2 / M; its delete-one
jackknife is linear in gold as well, so one set of coefficients corrects what is measured, what is
predicted and what is still to be labelled alike.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from klimit.estimate.kernel import Floats
from klimit.estimate.samples import Integers

FEWEST = 4  # samples of a prompt from which the jackknife is used
_LEAST = 1e-280
_FLAT = 1e-12  # share of the proxy's variance below which rounding is all that is left of it


@dataclass(frozen=True)
class Rows:
    """Samples prompt after prompt.

    Attributes
    ----------
    proxy : (samples,) rewards
    prompt : (samples,) index of the prompt
    starts, lengths : (prompts,) where each prompt begins, and how many samples it has
    """

    proxy: Floats
    prompt: Integers
    starts: Integers
    lengths: Integers

    @classmethod
    def of(cls, proxy: Floats, lengths: Integers) -> Rows:
        """Samples that stand prompt after prompt; no prompt is empty."""
        starts = np.cumsum(lengths) - lengths
        return cls(proxy, np.repeat(np.arange(len(lengths)), lengths), starts, lengths)

    @property
    def prompts(self) -> int:
        """Number of prompts."""
        return len(self.lengths)

    def sum(self, values: Floats) -> Floats:
        """(..., prompts) sums over each prompt's samples."""
        return np.asarray(np.add.reduceat(values, self.starts, axis=-1))

    def mean(self, values: Floats) -> Floats:
        """(..., prompts) means over each prompt's samples."""
        return self.sum(values) / self.lengths

    def centred(self, values: Floats) -> Floats:
        """Values less their prompt's mean."""
        return np.asarray(values - self.mean(values)[self.prompt])

    def spent(self, tilt: float) -> float:
        """Nats that this finite tilt spends, mean over prompts: `Tilting.kl` alone, ten times as fast."""
        gap = self.proxy - np.maximum.reduceat(self.proxy, self.starts)[self.prompt]
        weight = np.exp(tilt * gap)
        total = self.sum(weight)
        return float((tilt * self.sum(weight * gap) / total - np.log(total / self.lengths)).mean())


@dataclass(frozen=True)
class Tilting:
    """Every prompt's samples, tilted by one shared tilt.

    Attributes
    ----------
    rows : the samples
    tilt : per proxy unit
    weight : (samples,) ``exp(t r)`` over the prompt's largest
    total, rest : (prompts,) sum of the weights; (samples,) what of it is left without the sample
    coefficient : (samples,) of gold in the bias-corrected gold gain of the prompt; they sum to 0
    kl, kl_without : (prompts,) nats; (samples,) the same without the sample
    variance : (prompts,) of the proxy under the tilt
    """

    rows: Rows
    tilt: float
    weight: Floats
    total: Floats
    rest: Floats
    coefficient: Floats
    kl: Floats
    kl_without: Floats
    variance: Floats

    def gain(self, gold: Floats) -> Floats:
        """(prompts,) bias-corrected gain of a number that every sample has."""
        return self.rows.sum(self.coefficient * gold)

    def gain_without(self, gold: Floats) -> Floats:
        """(samples,) plain gain of the sample's prompt without the sample."""
        rows = self.rows
        gold = rows.centred(gold)
        first = rows.sum(self.weight * gold)[rows.prompt] - self.weight * gold
        number = rows.lengths[rows.prompt]
        plain = -gold / np.maximum(number - 1, 1)
        return np.asarray(first / self.rest - plain)

    @property
    def spending(self) -> float:
        """Nats that one more unit of tilt spends; 0 where the best samples have all the weight already."""
        rows, variance = self.rows, float(self.variance.mean())
        whole = float(rows.mean(rows.centred(rows.proxy) ** 2).mean())
        return self.tilt * variance if np.isfinite(self.tilt) and variance > _FLAT * whole else 0.0

    def per_nat(self, gold: Floats) -> float:
        """What one more nat along the tilt would bring of a number, by its covariance with the proxy."""
        rows, spent = self.rows, self.spending
        if spent == 0:
            return 0.0
        share = self.weight / self.total[rows.prompt]
        proxy = rows.centred(rows.proxy)
        mean = rows.sum(share * proxy)
        slope = rows.sum(share * (proxy - mean[rows.prompt]) * rows.centred(gold))
        return float(slope.mean()) / spent


def tilting(rows: Rows, tilt: float) -> Tilting:
    """Tilt the samples by the proxy; an infinite tilt keeps the best of every prompt."""
    prompt, number = rows.prompt, rows.lengths[rows.prompt].astype(float)
    top = np.maximum.reduceat(rows.proxy, rows.starts)[prompt]
    gap = rows.proxy - top
    with np.errstate(invalid="ignore"):
        weight = np.where(gap < 0, np.exp(tilt * gap), 1.0)
    total = rows.sum(weight)
    best = gap == 0
    ties = rows.sum(best.astype(float))[prompt]
    below = rows.sum(np.where(best, 0.0, weight))[prompt]  # not by subtraction: it may be tiny
    rest = np.where(best, ties - 1 + below, total[prompt] - weight)
    rest = np.maximum(rest, _LEAST)
    share = weight / total[prompt]
    inverse = 1 / rest
    others = rows.sum(inverse)[prompt] - inverse
    corrected = number * share - (number - 1) / number * weight * others
    usable = (number >= FEWEST) & np.isfinite(tilt) & (rest > _LEAST)
    usable &= (rows.sum((~usable).astype(float)) == 0)[prompt]
    coefficient = np.where(usable, corrected, share) - 1 / number
    coefficient -= rows.mean(coefficient)[prompt]
    mean_gap = rows.sum(share * gap)
    first = rows.sum(weight * gap)[prompt] - weight * gap
    with np.errstate(invalid="ignore"):
        kl = np.where(mean_gap < 0, tilt * mean_gap, 0.0) - np.log(total / rows.lengths)
        mean_rest = first / rest
        kl_without = np.where(mean_rest < 0, tilt * mean_rest, 0.0)
    kl_without = kl_without - np.log(rest / np.maximum(number - 1, 1))
    variance = rows.sum(share * (gap - mean_gap[prompt]) ** 2)
    return Tilting(rows, tilt, weight, total, rest, coefficient, kl, kl_without, variance)
