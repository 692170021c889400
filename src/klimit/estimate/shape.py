"""The bias that a pooled model of the rewards predicts for a log-mgf of few samples.

Continuous rewards: prompts are taken to share one shape up to location and scale. Then the bias of a log-mean
of M exponentials depends on the tilt times the prompt's scale alone, and is simulated once by dealing
the pooled residuals of all prompts into hands of M. The model is asked for a bias only, never for the level.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from klimit.estimate.kernel import Floats, Grid, weight_sums
from klimit.estimate.samples import Samples
from klimit.estimate.statistics import BIAS_PROMPTS, FEWEST

_POOL = 2**20  # residuals kept
_HANDS = 400  # simulated prompts, at least
_SCALES = 1000  # scales that the average over prompts is made of, at most


@dataclass(frozen=True)
class PredictedBias:
    """Bias of the mean log-mgf at M samples, and its change from M/2 to M; both (tilts,)."""

    total: Floats
    change: Floats
    residuals: Floats
    scales: Floats
    grid: Grid
    bias_at: Floats


def predicted_bias(samples: Samples, grid: Grid, *, seed: int) -> PredictedBias:
    """See `PredictedBias`; `samples` must be continuous (`few_levels` has the others)."""
    scales, residuals = _pool(samples, seed)
    residuals, scales = residuals / residuals.std(), scales * residuals.std()
    residuals = residuals - residuals.mean()
    counts = samples.counts[(samples.counts >= FEWEST) & (samples.variances > 0)]
    anchors = _anchors(int(counts.min()), int(counts.max()))
    # one grid of u = tilt * scale wide enough for every prompt
    low, high = np.log2(scales.min() * grid.start), np.log2(scales.max() * grid.tilts[-1])
    start = 2.0 ** np.floor(low - np.log2(grid.start)) * grid.start
    u_grid = Grid(start, int(np.ceil(high - np.log2(start))) + 1, grid.per_octave)
    rng = np.random.default_rng([seed, 1, len(residuals)])
    bias = _simulate(residuals, anchors, u_grid, rng, hands=_HANDS)
    full, half = (
        _average(bias, anchors, u_grid, grid, scales, counts_of(scales, counts) / divisor)
        for divisor in (1, 2)
    )
    return PredictedBias(full, half - full, residuals, scales, u_grid, bias)


def counts_of(scales: Floats, counts: Floats) -> Floats:
    """Sample counts that go with the scales (both follow the prompts; thinned alike)."""
    return counts[: len(scales)] if len(counts) >= len(scales) else np.resize(counts, len(scales))


def _pool(samples: Samples, seed: int) -> tuple[Floats, Floats]:
    """Shrunken scale of every prompt with enough samples, and all residuals on a common scale."""
    spread, noise, rows = [], [], []
    rng = np.random.default_rng([seed, 2, samples.prompts])
    for block in samples.blocks:
        use = (block.counts >= FEWEST) & (samples.variances[block.prompts] > 0)
        use &= samples.rank[block.prompts] < BIAS_PROMPTS
        rewards, counts = block.rewards[use], block.counts[use]
        if not len(rewards):
            continue
        spread.append(gini_variance(rewards, counts))
        keys = rng.random(rewards.shape)
        keys[rewards == -np.inf] = 2.0
        dealt = np.take_along_axis(rewards, np.argsort(keys, axis=1), axis=1)
        size = int(counts.min()) // 2
        a, b = np.sort(dealt[:, :size], axis=1), np.sort(dealt[:, size : 2 * size], axis=1)
        sizes = np.full(len(a), size)
        noise.append(np.stack([gini_variance(a, sizes), gini_variance(b, sizes)]))
        rows.append((rewards, counts))
    v = np.concatenate(spread)
    va, vb = np.concatenate(noise, axis=1)
    product = float(np.mean(va * vb))
    c = float(np.mean((va - vb) ** 2)) / (4 * product) if product > 0 else 1.0
    sampling = float(np.mean(v**2)) * c / (1 + c)
    between = float(v.var())
    keep = max(0.0, 1 - sampling / between) if between > 0 else 0.0
    mean = float(v.mean())
    scales = np.sqrt(np.maximum(mean + keep * (v - mean), 0.05 * mean))
    pieces, first = [], 0
    for rewards, counts in rows:
        scale = scales[first : first + len(rewards)]
        first += len(rewards)
        z = rewards / scale[:, None] * np.sqrt(counts / (counts - 1))[:, None]
        pieces.append(z[z > -np.inf])
        if sum(map(len, pieces)) > _POOL:
            break
    return scales, np.concatenate(pieces)[: 2 * _POOL]


def gini_variance(rewards: Floats, counts: Floats) -> Floats:
    """Square of the scale that Gini's mean difference gives a normal law; rewards ascending, padded in front."""
    width = rewards.shape[1]
    place = np.arange(width) - (width - counts[:, None])
    weight = np.where(place >= 0, 2 * (place + 1) - counts[:, None] - 1, 0)
    total = np.einsum("ij,ij->i", weight, np.where(place >= 0, rewards, 0.0))
    scale: Floats = np.sqrt(np.pi) * total / (counts * (counts - 1))
    return scale**2


def _anchors(fewest: int, most: int) -> Floats:
    """Sample sizes that the bias is simulated at: the halves and wholes, an octave apart at most."""
    if fewest == most:
        return np.array([most // 2, most])
    steps = int(np.ceil(np.log2(most / max(fewest // 2, 2)))) * 2 + 1
    return np.unique(np.round(np.geomspace(max(fewest // 2, 2), most, steps)).astype(int))


def _simulate(
    residuals: Floats, anchors: Floats, grid: Grid, rng: np.random.Generator, *, hands: int
) -> Floats:
    """(anchors, tilts) bias of a log-mean of so many exponentials of the pooled residuals."""
    most = int(anchors[-1])
    per_deal = max(1, len(residuals) // most)
    deals = max(1, round(hands / per_deal))
    total = np.zeros((len(anchors), len(grid.tilts)))
    number = np.zeros(len(anchors))
    for _ in range(deals):
        dealt = rng.permutation(residuals)[: per_deal * most]
        if len(dealt) < most:
            dealt = rng.choice(residuals, most)
        level = log_mean(dealt[None, :], grid)[0]
        limit = hands * most
        for i, size in enumerate(anchors):
            rows = dealt[: min(len(dealt), limit) // size * size].reshape(-1, size)
            values = log_mean(rows, grid) - grid.tilts * rows.mean(axis=1)[:, None]
            used = level - grid.tilts * dealt.mean()
            total[i] += len(rows) * used - values.sum(axis=0)
            number[i] += len(rows)
    return np.maximum(total / number[:, None], 0.0)


def log_mean(rows: Floats, grid: Grid) -> Floats:
    """(rows, tilts) log of the mean of exp(tilt * value)."""
    top = rows.max(axis=1, keepdims=True)
    return np.log(weight_sums(rows - top, grid) / rows.shape[1]) + grid.tilts * top


def _average(
    bias: Floats, anchors: Floats, u_grid: Grid, grid: Grid, scales: Floats, sizes: Floats
) -> Floats:
    """Mean over prompts of the bias at (tilt * scale, size), interpolated in logarithms."""
    order = np.argsort(scales)
    pick = order[np.linspace(0, len(order) - 1, min(len(order), _SCALES)).astype(int)]
    logs = np.log(u_grid.tilts)
    where = np.log(grid.tilts)[None, :] + np.log(scales[pick])[:, None]
    curves = np.stack([np.interp(where, logs, row) for row in bias])
    place = np.clip(np.interp(np.log(sizes[pick]), np.log(anchors), np.arange(len(anchors))), 0, None)
    left = np.minimum(place.astype(int), max(len(anchors) - 2, 0))
    share = (place - left)[:, None]
    rows = np.arange(len(pick))
    right = np.minimum(left + 1, len(anchors) - 1)
    mixed: Floats = (1 - share) * curves[left, rows] + share * curves[right, rows]
    return mixed.mean(axis=0)
