"""Sums of gold gains along several tilts of the same samples, as one number that gold is linear in.

The gain along a tilt is ``sum_j A_j g_j`` with coefficients that the proxy alone decides
(`klimit.estimate.labels.tilting`). So is a difference of two such gains, or a mean of many, with the
same sum of their coefficients: what few labels say of it is one estimate of its own. Where both
tilts put the same weight on a sample, it drops out, and with it what is not known of its gold.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from klimit.estimate.ensembles.gains import Curve
from klimit.estimate.kernel import Floats
from klimit.estimate.labels.designs import Design
from klimit.estimate.labels.powered import Powered, powered
from klimit.estimate.labels.prediction import Labels, Predictions
from klimit.estimate.labels.result import quantile
from klimit.estimate.labels.tilting import Rows, Tilting
from klimit.estimate.proxy.bands import two_sided


@dataclass(frozen=True)
class Blend(Tilting):
    """A sum of tiltings of the same samples; coefficients and KL are those of the sum.

    Attributes
    ----------
    parts : weight and tilting of each
    kl, kl_without : nats times what one more nat brings of gold, gold units: `per_nat` is 1
    """

    parts: tuple[tuple[float, Tilting], ...]

    def gain_without(self, gold: Floats) -> Floats:
        """(samples,) plain gain of the sample's prompt without the sample."""
        return np.asarray(sum(times * part.gain_without(gold) for times, part in self.parts))

    def per_nat(self, gold: Floats) -> float:
        """One: `kl` is in gold units."""
        return 1.0


def by_rule(rows: Rows, coefficient: Floats) -> Blend:
    """A rule whose coefficients of gold are known without any tilt, such as best-of-N.

    Parameters
    ----------
    coefficient : (samples,) of gold in what each prompt gains
    """
    none, zero = np.empty(0), np.zeros(len(coefficient))
    return Blend(
        rows, math.nan, none, none, none, coefficient, np.zeros(rows.prompts), zero, none, ()
    )


def blend(rows: Rows, parts: Sequence[tuple[float, Tilting]], predicted: Floats) -> Blend:
    """Add tiltings up.

    Parameters
    ----------
    rows : the samples, with the proxy that residuals may depend on
    parts : weight and tilting of each
    predicted : (samples,) gold, which tells what one more nat brings along each
    """

    def total(numbers: Sequence[Floats]) -> Floats:
        weighed = (times * x for (times, _), x in zip(parts, numbers, strict=True))
        return np.asarray(sum(weighed))

    slopes = [part.per_nat(predicted) for _, part in parts]
    kl = total([s * part.kl for s, (_, part) in zip(slopes, parts, strict=True)])
    without = total([s * part.kl_without for s, (_, part) in zip(slopes, parts, strict=True)])
    first = parts[0][1]
    return Blend(
        rows, math.nan, first.weight, first.total, first.rest,
        total([part.coefficient for _, part in parts]), kl, without, first.variance, tuple(parts),
    )  # fmt: skip


@dataclass(frozen=True)
class Sum:
    """Gold gain of a sum of tiltings at one budget.

    Attributes
    ----------
    found : the estimate and where its variance comes from
    lift : what the prediction gains beyond the jackknife by a better correction of bias
    off : how far that correction may be off, below and above
    """

    found: Powered
    lift: float
    off: Floats

    def limits(self, level: float) -> tuple[float, float, float]:
        """Value, low and high, gold units."""
        value = self.found.gain + self.lift
        error = quantile(level, self.found.freedom_drawn) * math.sqrt(self.found.drawn)
        below, above = np.hypot(error, self.off).tolist()
        return value, value - below, value + above


def add_up(
    rows: Rows, parts: Sequence[tuple[float, Tilting]], curve: Curve, labels: Labels, design: Design,
    predictions: Predictions,
) -> Sum:  # fmt: skip
    """What labels and predictions say of a sum of gains.

    Parameters
    ----------
    rows : the samples, with the proxy that residuals may depend on
    parts : weight and tilting of each
    curve : the same sum, at its budget alone, of predicted gold as if it were gold
    """
    whole = blend(rows, parts, predictions.seeing)
    found = powered(whole, labels, design, predictions)
    lift = float(curve.value[0]) - float(np.sort(whole.gain(predictions.smooth)).mean())
    return Sum(found, lift, two_sided(curve.wrong, curve.bend)[:, 0])
