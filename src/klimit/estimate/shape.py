"""The bias that a pooled model of the rewards predicts for a log-mgf of few samples.

Continuous rewards: prompts are taken to share one shape up to location and scale. Then the bias of
a log-mean of M exponentials depends on the tilt times the prompt's scale alone, and is simulated
once by dealing the pooled residuals of all prompts into hands of M. The model is asked for a bias
only, never for the level.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from klimit.estimate.kernel import BLOCK, Floats, Grid, weight_sums
from klimit.estimate.samples import Integers, Samples
from klimit.estimate.statistics import shuffled, slices

_POOL = 2**20  # residuals kept
_HANDS = 400  # simulated prompts, about
_SIMULATED = 2**21  # samples simulated, at most: with larger hands there is no bias to find
_SCALES = 1000  # scales that the average over prompts is made of, at most
# rewards are halved as often as makes so many, at most eight times: one split of few is a matter of luck
_HALVED, _SPLITS = 2**18, 8


@dataclass(frozen=True)
class PredictedBias:
    """Bias of the mean log-mgf at M samples, and its change from M/2 to M; both (tilts,).

    And what was pooled: all residuals on a common scale, and the scales of prompts. `beyond`, (2, tilts), is
    what prompts spend in the mean, and then the share of the gain at those that spend more than log M: no
    sample shows their rewards, however little the others spend.
    """

    total: Floats
    change: Floats
    beyond: Floats
    residuals: Floats
    scales: Floats


def predicted_bias(samples: Samples, grid: Grid, *, seed: int) -> PredictedBias:
    """See `PredictedBias`; `samples` must be continuous (`few_levels` has the others)."""
    scales, sizes, residuals = _pool(samples, seed)
    residuals, scales = residuals / residuals.std(), scales * residuals.std()
    residuals = residuals - residuals.mean()
    anchors = _anchors(int(sizes.min()), int(sizes.max()))
    # one grid of u = tilt * scale wide enough for every prompt
    low, high = np.log2(scales.min() * grid.start), np.log2(scales.max() * grid.tilts[-1])
    start = 2.0 ** np.floor(low)
    u_grid = Grid(start, int(np.ceil(high - np.log2(start))) + 1, grid.per_octave)
    rng = np.random.default_rng([seed, 1, len(residuals)])
    bias, level = _simulate(residuals, anchors, u_grid, rng)
    # prompts that stand for all, from the smallest scale to the largest
    order = np.argsort(scales)
    pick = order[np.linspace(0, len(order) - 1, min(len(order), _SCALES)).astype(int)]
    where = np.log(grid.tilts)[None, :] + np.log(scales[pick])[:, None]
    logs, counts = np.log(u_grid.tilts), sizes[pick]
    curves = np.stack([np.interp(where, logs, row) for row in bias])
    full, half = (_between(curves, anchors, counts / divisor) for divisor in (1, 2))
    beyond = _beyond(level, logs, where, counts)
    return PredictedBias(full, half - full, beyond, residuals, scales)


def _pool(samples: Samples, seed: int) -> tuple[Floats, Floats, Floats]:
    """Scale (shrunken) and samples of prompts with enough of them; residuals on a common scale."""
    spread, sizes, halves, rows = [], [], [], []
    held = 0
    rng = np.random.default_rng([seed, 2, samples.prompts])
    splits = int(np.clip(_HALVED // samples.counts.sum(), 1, _SPLITS))
    for block, enough in slices(samples):
        use = samples.variances[block.prompts] > 0
        if not enough or not use.any():
            continue
        rewards, counts = block.rewards[use], block.counts[use]
        spread.append(gini_variance(rewards, counts))
        sizes.append(counts)
        halves += [_half_variances(rewards, int(counts.min()) // 2, rng) for _ in range(splits)]
        if held < _POOL:
            rows.append((rewards, counts))
            held += int(counts.sum())
    v = np.concatenate(spread)
    va, vb = np.concatenate(halves, axis=1)
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
    return scales, np.concatenate(sizes), np.concatenate(pieces)


def _half_variances(rewards: Floats, size: int, rng: np.random.Generator) -> Floats:
    """(2, rows) squared scales of two random halves of every row: how noisy a scale is."""
    dealt, sizes = shuffled(rewards, rng), np.full(len(rewards), size)
    halves = dealt[:, :size], dealt[:, size : 2 * size]
    return np.stack([gini_variance(np.sort(half, axis=1), sizes) for half in halves])


def gini_variance(rewards: Floats, counts: Integers) -> Floats:
    """Square of the scale that Gini's mean difference gives a normal law; rewards ascending."""
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
    residuals: Floats, anchors: Floats, grid: Grid, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """(anchors, tilts) bias of a log-mean of so many exponentials of the pooled residuals; and theirs."""
    most = int(anchors[-1])
    per_deal = max(1, len(residuals) // most)
    deals = max(1, min(round(_HANDS / per_deal), _SIMULATED // (per_deal * most)))
    total, whole = np.zeros((len(anchors), len(grid.tilts))), np.zeros(len(grid.tilts))
    number = np.zeros(len(anchors))
    at_once = max(1, BLOCK // (per_deal * most))
    for first in range(0, deals, at_once):
        dealt = np.stack([
            rng.permutation(residuals)[: per_deal * most] if len(residuals) >= most
            else rng.choice(residuals, most)
            for _ in range(first, min(first + at_once, deals))
        ])  # fmt: skip
        level = centred_log_mean(dealt, grid).sum(axis=0)
        whole += level / deals
        for i, size in enumerate(anchors):
            if number[i] >= 2 * _HANDS:  # small hands need few deals
                continue
            each = min(min(dealt.shape[1], _HANDS * most) // size, -(-2 * _HANDS // len(dealt)))
            rows = dealt[:, : each * size].reshape(-1, size)
            total[i] += each * level - centred_log_mean(rows, grid).sum(axis=0)
            number[i] += len(rows)
    return np.maximum(total / number[:, None], 0.0), whole


def centred_log_mean(rows: Floats, grid: Grid) -> Floats:
    """`log_mean` of each row's values about their mean."""
    centred: Floats = log_mean(rows, grid) - grid.tilts * rows.mean(axis=1)[:, None]
    return centred


def log_mean(rows: Floats, grid: Grid, counts: Integers | None = None) -> Floats:
    """(rows, tilts) log of the mean of exp(tilt * value); `counts` of values where -inf fills rows up."""
    top = rows.max(axis=1, keepdims=True)
    number = rows.shape[1] if counts is None else counts[:, None]
    value: Floats = np.log(weight_sums(rows - top, grid) / number) + grid.tilts * top
    return value


def _beyond(level: Floats, logs: Floats, where: Floats, sizes: Floats) -> Floats:
    """See `PredictedBias`; `level` is the log-mgf of the pooled residuals at tilts of these `logs`."""
    rise = np.gradient(level, logs)  # the gain times the tilt
    gained, spent = (np.interp(where, logs, x) for x in (rise, rise - level))
    above = np.clip(spent - np.log(sizes)[:, None] + 0.5, 0.0, 1.0)
    share = (gained * above).sum(axis=0) / np.maximum(gained.sum(axis=0), 1e-300)
    return np.stack([spent.mean(axis=0), share])


def _between(curves: Floats, anchors: Floats, sizes: Floats) -> Floats:
    """Mean over prompts of (anchors, prompts, tilts) curves at each one's size, in its logarithm."""
    place = np.interp(np.log(sizes), np.log(anchors), np.arange(len(anchors)))
    left = np.minimum(place.astype(int), len(anchors) - 2)
    share, rows = (place - left)[:, None], np.arange(len(sizes))
    mixed = (1 - share) * curves[left, rows] + share * curves[left + 1, rows]
    return np.asarray(mixed.mean(axis=0))
