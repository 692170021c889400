"""How proxy and gold go together within prompts, where gold is known of few samples.

Labels that were chosen lie where the proxy is far from its mean, and the correlation of such labels
is far above that of the samples. So each moment is that of all samples. The covariance is linear in
gold with coefficients that the proxy alone decides, and is read as gains are. The variance is that of
the smooth prediction, what its covariance with gold corrects in it, and that of gold around it, in
which each label counts for the samples that it stands for.
"""

from __future__ import annotations

import math

import numpy as np

from klimit._estimate import Estimate
from klimit.estimate.kernel import Floats
from klimit.estimate.labels.designs import Design
from klimit.estimate.labels.powered import between_prompts, powered
from klimit.estimate.labels.prediction import Labels, Predictions
from klimit.estimate.labels.result import quantile

_EDGE = 1e-9  # how near a correlation of 1 is told apart from it


def with_gold(
    labels: Labels, design: Design, predictions: Predictions, inside: Floats
) -> tuple[Floats, Floats]:
    """Covariances with gold within prompts, and gold's variance, whose means over prompts are those of all.

    Parameters
    ----------
    inside : (columns, samples) rewards less their prompt's mean

    Returns
    -------
    (columns, prompts) and (prompts,), nan where no prompt has two labels
    """
    from klimit.estimate.ensembles.blend import by_rule

    rows = labels.rows
    spare = np.maximum(rows.lengths - 1, 1)
    smooth = rows.centred(predictions.smooth)
    rules = [by_rule(rows, row / spare[rows.prompt]) for row in (*inside, smooth)]
    *found, follows = (powered(rule, labels, design, predictions).effects for rule in rules)
    line = 2 * follows - rows.sum(smooth**2) / spare
    own = labels.gold - predictions.smooth[labels.place]
    own = own - (labels.sum(own) / labels.counts)[labels.group]
    times = design.weigh(rows.centred(rows.proxy)[labels.place]).times
    more = (labels.counts / np.maximum(labels.counts - 1, 1))[labels.group]
    around, weight = np.zeros((2, rows.prompts))
    around[labels.prompts] = labels.sum(times * more * own**2)
    weight[labels.prompts] = labels.sum(times) * (labels.counts >= 2)
    if not weight.any():
        return np.array(found), np.full(rows.prompts, np.nan)
    mean = float(np.sort(around).sum() / np.sort(weight).sum())
    left = mean + (around - mean * weight) / weight.mean()  # of a ratio, to first order
    return np.array(found), left + (line if line.mean() > 0 else 0.0)


def correlation(labels: Labels, design: Design, predictions: Predictions, level: float) -> Estimate:
    """Correlation within prompts of proxy and gold, over all samples; nan with one label a prompt.

    The interval is for the population of the prompts: a jackknife over them, by Fisher's z.
    """
    rows = labels.rows
    inside = rows.centred(rows.proxy)
    (together,), gold = with_gold(labels, design, predictions, inside[None])
    parts = np.stack([together, rows.sum(inside**2) / np.maximum(rows.lengths - 1, 1), gold])
    total = np.sort(parts, axis=1).sum(axis=1)
    found = float(_of(total))
    if int((labels.counts - 1).sum()) < 4 or not np.isfinite(found):
        note = "two labels of a prompt are needed to see how gold moves with the proxy within it"
        return Estimate(math.nan, -1.0, 1.0, level, trusted=False, note=note)
    middle, without = math.atanh(found), np.arctanh(_of(total[:, None] - parts))
    without = np.where(np.isnan(without), middle, without)
    square, freedom = between_prompts((rows.prompts - 1) * (middle - without))
    reach = quantile(level, freedom) * math.sqrt(square)
    return Estimate(found, math.tanh(middle - reach), math.tanh(middle + reach), level)


def _of(sums: Floats) -> Floats:
    """The correlation of a covariance and two variances; nan where one is none."""
    together, proxy, gold = sums
    with np.errstate(divide="ignore", invalid="ignore"):
        found = together / np.sqrt(np.where((proxy > 0) & (gold > 0), proxy * gold, np.nan))
    return np.asarray(np.clip(found, -1 + _EDGE, 1 - _EDGE))


def among_labels(labels: Labels) -> float:
    """Correlation within prompts of the labels as they lie; nan with one a prompt.

    Chosen labels lie where the tilt's weights do, and so this, not that of all samples, is what they may
    gain by the proxy.
    """
    several = (labels.counts >= 2)[labels.group]
    x, y = labels.rows.proxy[labels.place], labels.gold
    x, y = (z - (labels.sum(z) / labels.counts)[labels.group] for z in (x, y))
    both = math.sqrt(float((x[several] ** 2).sum() * (y[several] ** 2).sum()))
    if int((labels.counts - 1).sum()) < 4 or not both > 0:
        return math.nan
    return float(np.clip((x[several] * y[several]).sum() / both, -1, 1))
