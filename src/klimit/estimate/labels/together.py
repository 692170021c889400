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


def correlation(labels: Labels, design: Design, predictions: Predictions, level: float) -> Estimate:
    """Correlation within prompts of proxy and gold, over all samples; nan with one label a prompt.

    The interval is for the population of the prompts: a jackknife over them, by Fisher's z.
    """
    from klimit.estimate.ensembles.blend import by_rule

    rows = labels.rows
    several = labels.counts >= 2
    proxy, smooth = rows.centred(rows.proxy), rows.centred(predictions.smooth)
    spare = np.maximum(rows.lengths - 1, 1)

    def with_gold(inside: Floats) -> Floats:
        rule = by_rule(rows, inside / spare[rows.prompt])
        return powered(rule, labels, design, predictions).effects

    own = labels.gold - predictions.smooth[labels.place]
    own = own - (labels.sum(own) / labels.counts)[labels.group]
    times = design.weigh(proxy[labels.place]).times
    free = (several * labels.counts / np.maximum(labels.counts - 1, 1))[labels.group]
    around, weight = np.zeros((2, rows.prompts))
    around[labels.prompts] = labels.sum(times * free * own**2)
    weight[labels.prompts] = labels.sum(times) * several
    if int((labels.counts - 1).sum()) < 4 or not (proxy.any() and weight.any()):
        note = "two labels of a prompt are needed to see how gold moves with the proxy within it"
        return Estimate(math.nan, -1.0, 1.0, level, trusted=False, note=note)
    parts = np.stack([
        with_gold(proxy), rows.sum(proxy**2) / spare,
        2 * with_gold(smooth) - rows.sum(smooth**2) / spare, np.ones(rows.prompts), around, weight,
    ])  # fmt: skip
    total = np.sort(parts, axis=1).sum(axis=1)
    found = float(_of(total))
    if math.isnan(found):
        note = "gold never differs between the labels of a prompt"
        return Estimate(math.nan, -1.0, 1.0, level, trusted=False, note=note)
    middle, without = np.arctanh(found), np.arctanh(_of(total[:, None] - parts))
    without = np.where(np.isnan(without), middle, without)
    square, freedom = between_prompts((rows.prompts - 1) * (middle - without))
    reach = quantile(level, freedom) * math.sqrt(square)
    return Estimate(found, math.tanh(middle - reach), math.tanh(middle + reach), level)


def _of(parts: Floats) -> Floats:
    """The correlation, from sums over prompts; nan where gold does not vary."""
    together, proxy, smooth, prompts, around, weight = parts
    with np.errstate(divide="ignore", invalid="ignore"):
        gold = np.maximum(smooth, 0.0) + prompts * around / weight
        found = together / np.sqrt(proxy * gold)
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
