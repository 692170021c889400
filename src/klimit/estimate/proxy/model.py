"""The bias that a pooled model of the pairs predicts for a tilted gold mean of few samples.

A mean over prompts of tilted gold means is linear in gold, so it can be taken apart: gold = (a + b s) z
+ rest, with z the proxy's residual on a common scale and s its spread on the prompt. What is left
does not hang together with the spread any more, and its bias is that of the pooled pairs, dealt into
hands of M. All prompts together show the far end of the proxy that M samples of one prompt miss.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from klimit.estimate.few_levels import shared_levels
from klimit.estimate.kernel import BLOCK, Floats, Grid, tilted_weights
from klimit.estimate.proxy.pairs import Pairs
from klimit.estimate.proxy.path import Path
from klimit.estimate.repeats import repeats
from klimit.estimate.rounding import rounded_levels
from klimit.estimate.samples import Samples
from klimit.estimate.shape import predicted_bias
from klimit.estimate.statistics import FEWEST, slices

_POOL = 2**19  # pairs kept
_HANDS = 400  # simulated prompts, about
_DEALS = 40  # of all pairs into hands, at most: fewer than ten prompts make small ones
_SCALES = 400  # scales that the average over prompts is made of, at most


@dataclass(frozen=True)
class ModelBias:
    """What M samples lack of the tilted means; all arrays (reads, tilts).

    Attributes
    ----------
    total : what M samples lack
    change : what M/2 lack beyond that
    noise : standard error of `total` from which pairs are in the pool: few carry a steep tilt
    """

    total: Floats
    change: Floats
    noise: Floats


@dataclass(frozen=True)
class Pool:
    """Samples of all prompts on a common scale.

    Attributes
    ----------
    values : (1 + reads, samples) residuals of the proxy on a common scale, and of the reads
    spread : (samples,) scale of the prompt that each is of
    scales : (prompts,) of the prompts; 0 where one is not pooled
    """

    values: Floats
    spread: Floats
    scales: Floats


def pooled(pairs: Pairs, samples: Samples, path: Path, *reads: Floats, seed: int) -> Pool | None:
    """See `Pool`; None where prompts share no shape.

    That is of a proxy of few levels, with a best that is common, or with one of its own that comes back.
    """
    usual = (samples.counts >= FEWEST) & (samples.variances > 0)
    if not usual.any() or shared_levels(pairs.proxy) or rounded_levels(samples) or repeats(samples):
        return None
    scale = np.zeros(samples.prompts)
    places = [
        b.prompts[samples.variances[b.prompts] > 0] for b, enough in slices(samples) if enough
    ]
    scale[np.concatenate(places)] = predicted_bias(samples, path.grid, seed=seed).scales
    values, spread = _residuals(pairs, scale, reads)
    if len(spread) > _POOL:
        kept = np.random.default_rng([seed, 8, len(spread)]).choice(
            len(spread), _POOL, replace=False
        )
        values, spread = values[:, kept], spread[kept]
    return Pool(values, spread, scale)


def model_bias(pool: Pool, samples: Samples, path: Path, *, seed: int) -> ModelBias:
    """See `ModelBias`."""
    values, spread, scale = pool.values.copy(), pool.spread, pool.scales
    rng = np.random.default_rng([seed, 8, len(spread)])
    known = np.flatnonzero(scale > 0)
    z = values[0]
    unit = spread.max()  # or the fit would drop one of the two where rewards are tiny or huge
    both = np.stack([z, spread / unit * z])
    square, product = (np.einsum("ij,kj->ik", both, x) for x in (both, values[1:]))
    linear = np.linalg.lstsq(square, product, rcond=None)[0].T
    size = np.abs(values[1:]).max(axis=1)
    values[1:] -= np.einsum("ki,ij->kj", linear, both)
    rest = np.abs(values[1:]).max(axis=1) > 1e-9 * size  # of the proxy itself nothing is left
    values = values[np.r_[True, rest]]
    low = np.floor(np.log2(scale[known].min() * path.grid.start))
    octaves = int(np.ceil(np.log2(scale[known].max() * path.known[-1]) - low)) + 1
    grid = Grid(2.0**low, octaves, 4)
    count = int(np.median(samples.counts[known]))
    (whole, half), variance = _lacking(values, (count, max(count // 2, 2)), grid, rng)
    order = known[np.argsort(scale[known])]
    pick = order[np.linspace(0, len(order) - 1, min(len(order), _SCALES)).astype(int)]
    where = np.log(path.known)[:, None] + np.log(scale[pick])
    share = len(known) / samples.prompts

    def mean(curves: Floats) -> Floats:
        line, *others = (np.interp(where, np.log(grid.tilts), row) for row in curves)
        found = np.stack([((a + b * scale[pick] / unit) * line).mean(axis=1) for a, b in linear])
        for row, other in zip(np.flatnonzero(rest), others, strict=True):
            found[row] += other.mean(axis=1)
        return found * share

    total, less = mean(whole), mean(half)
    noise = np.zeros(total.shape)
    for row, one in zip(np.flatnonzero(rest), np.sqrt(variance), strict=True):
        noise[row] = np.interp(where, np.log(grid.tilts), one).mean(axis=1) * share
    return ModelBias(total, less - total, noise)


def _residuals(pairs: Pairs, scale: Floats, reads: tuple[Floats, ...]) -> tuple[Floats, Floats]:
    """(1 + reads, samples) residuals of the proxy on a common scale, and the reads; and the scales."""
    found, spread = [], []
    for chunk in pairs.chunks(*reads):
        use = scale[chunk.prompts] > 0
        count = chunk.proxy.shape[1]
        own = np.broadcast_to(scale[chunk.prompts[use], None], (int(use.sum()), count))
        parts = np.concatenate([(chunk.proxy[use] / own)[None], chunk.reads[:, use]])
        found.append(parts.reshape(len(parts), -1) * (count / (count - 1)) ** 0.5)
        spread.append(own.ravel())
    return np.concatenate(found, axis=1), np.concatenate(spread)


def _lacking(
    pool: Floats, sizes: tuple[int, int], grid: Grid, rng: np.random.Generator
) -> tuple[list[Floats], Floats]:
    """For each size, (rows, tilts): tilted mean of a whole deal less the mean over its hands.

    And (reads, tilts): the variance of the first of them.
    """
    proxy = pool[0]
    most = sizes[0]
    per_deal = max(1, min(len(proxy), _HANDS * most) // most)
    deals = min(max(1, round(_HANDS / per_deal)), _DEALS)
    total = [np.zeros((len(pool), len(grid.tilts))) for _ in sizes]
    variance = np.zeros((len(pool) - 1, len(grid.tilts)))
    for _ in range(deals):
        many, number = len(proxy) >= most, len(proxy)
        place = rng.permutation(number) if many else rng.integers(number, size=most)
        place = place[: per_deal * most]
        level = _tilted_means(proxy[place][None], pool[:, place][:, None], grid)
        for row, size in zip(total, sizes, strict=True):
            hands = per_deal * most // size
            rows = place[: hands * size].reshape(hands, size)
            row += level - _tilted_means(proxy[rows], pool[:, rows], grid)
        rows = place.reshape(per_deal, most)
        variance += _variance(proxy[rows], pool[1:, rows], grid)
    return [row / deals for row in total], variance / deals


def _variance(proxy: Floats, reads: Floats, grid: Grid) -> Floats:
    """(reads, tilts) variance of a deal's tilted mean less its hands', from which pairs were drawn.

    A hand moves the deal by its share of all weight, and the mean of hands by one of so many. Where a
    hand has nearly all weight its own distance from the mean shows nothing: at least what pairs of
    equal spread would move is put in its place.
    """
    out = np.empty((len(reads), len(grid.tilts)))
    hands, spread = len(proxy), reads.var(axis=(1, 2))
    tops = proxy.max(axis=1, keepdims=True)
    for at, tilt in enumerate(grid.tilts):
        weights = np.exp(tilt * (proxy - tops))
        total = weights.sum(axis=1, keepdims=True)
        weights /= total
        share = total * np.exp(tilt * (tops - tops.max()))
        share = share[:, 0] / share.mean()
        means = np.einsum("ij,kij->ki", weights, reads)
        of_all = (share * means).mean(axis=1, keepdims=True)
        moves = share * (means - of_all) - (means - means.mean(axis=1, keepdims=True))
        least = ((weights * weights).sum(axis=1) * (share - 1) ** 2).sum()
        square = (moves**2).sum(axis=1) * hands / max(hands - 1, 1)
        out[:, at] = np.maximum(square, spread * least) / hands**2
    return out


def _tilted_means(proxy: Floats, gold: Floats, grid: Grid) -> Floats:
    """(reads, tilts) mean over rows of the tilted mean less the plain one."""
    out = np.zeros((len(gold), len(grid.tilts)))
    step = max(1, BLOCK // proxy.shape[1])
    for first in range(0, len(proxy), step):
        part, reads = proxy[first : first + step], gold[:, first : first + step]
        gaps = part - part.max(axis=1, keepdims=True)
        plain = reads.mean(axis=2)
        for at, _, weights in tilted_weights(gaps, grid):
            mean = np.einsum("ij,kij->ki", weights, reads) / weights.sum(axis=1)
            out[:, at] += (mean - plain).sum(axis=1)
    return out / len(proxy)
