"""What best-of-N keeps of gold, and the N that keeps most: by all gold rewards, or by few labels."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from klimit._estimate import Estimate
from klimit.estimate.best_of_n.order_weights import order_weights
from klimit.estimate.best_of_n.prompts import by_prompt
from klimit.estimate.best_of_n.ranked import ranked_pairs
from klimit.estimate.ensembles.blend import by_rule
from klimit.estimate.kernel import Floats
from klimit.estimate.labels.few import FewLabels
from klimit.estimate.labels.powered import Powered, powered
from klimit.estimate.labels.result import quantile
from klimit.estimate.labels.tilting import Rows
from klimit.estimate.proxy.result import Hacking
from klimit.estimate.samples import nearly_all
from klimit.estimate.tuning import tune, tuned_mean

_LEAST_EFFECTIVE = 10.0  # labels of equal weight that what is kept should rest on

Kept = tuple[int | None, Estimate, bool]
"""The N, gold gain of best-of-N whose N other prompts chose, whether it is the largest looked at."""


def best_n(hack: Hacking) -> Kept:
    """The N of best-of-N at which other prompts keep most gold."""
    pairs, level = hack.pairs, hack.settings.level
    sizes = _sizes(nearly_all(pairs.lengths))
    values = kept_gold(pairs.proxy, pairs.gold, pairs.lengths, sizes)
    if values.shape[1] < 4:
        return _too_few(level)
    found = tune(values, np.arange(values.shape[1]), seed=hack.settings.seed)
    return sizes[found.chosen], tuned_mean(found, level), found.chosen == len(sizes) - 1


def best_n_of_few(few: FewLabels) -> Kept:
    """The same where gold is known of few samples: as far as ten labels carry what is kept.

    Which answer is kept is decided by ranks alone, so gold has known coefficients, and labels and
    predictions say of them what they say of a tilt.
    """
    rows, settings = few.known.rows, few.proxy.settings
    sizes, found = [1], []
    for size in _sizes(nearly_all(rows.lengths))[1:]:
        kept = kept_by_labels(few, size)
        if kept.effective < _LEAST_EFFECTIVE:
            break
        sizes.append(size)
        found.append(kept)
    if rows.prompts < 4 or not found:
        return _too_few(settings.level)
    values = np.stack([np.zeros(rows.prompts), *(kept.effects for kept in found)])
    tuned = tune(values, np.arange(rows.prompts), seed=settings.seed)
    value = float(np.sort(tuned.held_out).mean())
    error = max(_reach(kept, settings.level) for kept in found[: max(tuned.chosen, 1)])
    side = math.hypot(error, tuned.optimism)
    told = Estimate(value, value - side, value + side, settings.level)
    return sizes[tuned.chosen], told, tuned.chosen == len(sizes) - 1


def kept_by_labels(few: FewLabels, size: int) -> Powered:
    """What best-of-`size` selected by the proxy keeps of gold, by labels and predictions."""
    rows = few.known.rows
    rule = by_rule(rows, _coefficient(rows, size))
    return powered(rule, few.index, few.design, few.predictions)


def _coefficient(rows: Rows, size: int) -> Floats:
    """(samples,) chance to be the best of `size` of the prompt's samples, less that of a plain draw.

    Prompts with fewer samples show nothing of it: the others stand for them.
    """
    out = np.zeros(len(rows.proxy))
    for start, length in zip(rows.starts.tolist(), rows.lengths.tolist(), strict=True):
        if length < size:
            continue
        _, group, number = np.unique(
            rows.proxy[start : start + length], return_inverse=True, return_counts=True
        )
        weight = order_weights(size, length)
        # equals are drawn alike
        shared = np.add.reduceat(weight, np.cumsum(number) - number) / number
        out[start : start + length] = shared[group] - 1 / length
    return out * (rows.prompts / max(int((rows.lengths >= size).sum()), 1))


def _reach(kept: Powered, level: float) -> float:
    return quantile(level, kept.freedom_drawn) * math.sqrt(kept.drawn)


def _sizes(most: int) -> list[int]:
    return [2**k for k in range(20) if 2**k <= most]


def _too_few(level: float) -> Kept:
    few = Estimate(np.nan, -np.inf, np.inf, level, True, "too few prompts to choose an N by")
    return None, few, False


def kept_gold(proxy: Floats, gold: Floats, lengths: Any, sizes: list[int]) -> Floats:
    """(sizes, prompts with enough samples) gold gain of best-of-N selected by the proxy."""
    enough = lengths >= max(sizes[-1], 2)
    rows = np.repeat(enough, lengths)
    chunks = ranked_pairs(proxy[rows], gold[rows], lengths[enough])
    return by_prompt(chunks, sizes, int(enough.sum()), judged=True).gain
