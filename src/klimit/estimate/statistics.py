"""What one pass over the rewards leaves behind: means of four log-mgfs over groups of prompts.

For every tilt: the log-mgf of all M samples, its jackknife correction, and the log-mgf of random
halves and quarters. Groups of prompts are what intervals are made of (leave one group out), so
nothing larger than groups x tilts is kept, groups add up across machines, and rewards are read
once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from klimit._threads import mapped
from klimit.estimate.kernel import BLOCK, Floats, Grid, tilted_moments, weight_sums
from klimit.estimate.samples import Block, Integers, Samples

GROUPS = 200  # prompts are spread over at most so many groups; up to here a group is one prompt
BIAS_PROMPTS = 16_384  # prompts whose halves are looked at; more would not correct any better
FEWEST = 4  # samples a prompt needs for the corrected estimate
_TOP = 8  # samples whose removal is computed exactly; the rest are below 1/9 of the sum each


def enough(samples: Samples) -> bool:
    """Whether nine prompts in ten have samples enough to be corrected."""
    return bool(np.mean(samples.counts >= FEWEST) >= 0.9)


def correctable(samples: Samples, estimator: str) -> bool:
    """Whether a front of single prompts is corrected, or is the plug-in's."""
    varied = (samples.counts >= FEWEST) & (samples.variances > 0)
    return estimator == "corrected" and enough(samples) and bool(varied.any())


@dataclass(frozen=True)
class Sizes:
    """How many samples the full, half and quarter log-mgfs are made of, prompt by prompt."""

    full: Floats
    half: Floats
    quarter: Floats


NO_SIZES = Sizes(*np.empty((3, 0)))


@dataclass(frozen=True)
class Statistics:
    """Group means at every tilt.

    Attributes
    ----------
    grid : the tilts
    weights : (groups,) share of the prompts in each group
    full : (groups, tilts) mean log-mgf of all samples
    noise : (tilts,) variance that drawing samples gives the mean of `full`, prompts held fixed
    skew : (tilts,) third central moment of the same
    fourth : (tilts,) sum of the fourth powers of what each of the largest samples moves it by: how
        little is known of `noise`
    bias_weights : (groups,) share of the prompts with halves in each group
    jackknife, half, quarter : (groups, tilts) mean of (M - 1)(full - delete-one), full - half, half
        - quarter
    sizes : of the prompts with halves
    """

    grid: Grid
    weights: Floats
    full: Floats
    noise: Floats
    skew: Floats
    fourth: Floats
    bias_weights: Floats
    jackknife: Floats
    half: Floats
    quarter: Floats
    sizes: Sizes


def statistics(samples: Samples, grid: Grid, *, seed: int) -> Statistics:
    """Read every reward once; see `Statistics`."""
    longer = grid.longer(2)  # sums at 2 and 4 times a tilt are those of its weights' powers
    groups = min(GROUPS, samples.prompts)

    def work(part: tuple[Block, bool]) -> tuple[_Sums, Sizes]:
        block, with_bias = part
        first = int(samples.rank[block.prompts[0]])
        rng = np.random.default_rng([seed, first, block.rewards.shape[1]])
        return _block_sums(block, samples, longer, groups, with_bias, rng)

    total, sizes = _total(mapped(work, slices(samples)))
    counts = np.maximum(total.prompts, 1)[:, None]
    biased = np.maximum(total.biased, 1)[:, None]
    return Statistics(
        grid=grid,
        weights=total.prompts / total.prompts.sum(),
        full=total.full / counts,
        noise=total.noise / samples.prompts**2,
        skew=total.skew / samples.prompts**3,
        fourth=total.fourth / samples.prompts**4,
        bias_weights=total.biased / max(total.biased.sum(), 1),
        jackknife=total.jackknife / biased,
        half=total.half / biased,
        quarter=total.quarter / biased,
        sizes=sizes,
    )


def plugin_statistics(samples: Samples, grid: Grid) -> tuple[Statistics, Floats, Floats]:
    """The plug-in's part of `statistics`, and the mean tilted mean and variance at every tilt."""
    groups = min(GROUPS, samples.prompts)
    shape = (groups, len(grid.tilts))

    def work(part: tuple[Block, bool]) -> tuple[Floats, ...]:
        block, _ = part
        moments = tilted_moments(block.rewards, block.counts, grid)
        group = samples.rank[block.prompts] % groups
        doubled = np.minimum(np.arange(shape[1]) + grid.per_octave, shape[1] - 1)
        noise = redrawn_log_mgf(
            moments.log_mgf, moments.log_mgf[:, doubled], grid.tilts, grid.tilts * moments.mean,
            samples.variances[block.prompts], block.counts,
        )  # fmt: skip
        return (
            np.bincount(group, minlength=groups).astype(float),
            by_group(moments.log_mgf, group, groups),
            noise.sum(axis=0),
            by_group(moments.mean, group, groups),
            by_group(moments.variance, group, groups),
        )

    found = mapped(work, slices(samples))
    total = next(found)
    for sums in found:
        total = tuple(x + y for x, y in zip(total, sums, strict=True))
    prompts, full, noise, mean, variance = total
    counts = np.maximum(prompts, 1)[:, None]
    none = np.zeros(shape)
    weights = prompts / prompts.sum()
    stats = Statistics(
        grid, weights, full / counts, noise / samples.prompts**2, np.zeros(shape[1]),
        np.zeros(shape[1]), np.zeros(groups), none, none, none, NO_SIZES,
    )  # fmt: skip
    slope, second = (np.einsum("i,ij->j", weights, x / counts) for x in (mean, variance))
    return stats, slope, second


def slices(samples: Samples) -> Iterator[tuple[Block, bool]]:
    """Pieces of a few caches each, views where that is possible; prompts with halves apart from others."""
    for block in samples.blocks:
        biased = (samples.rank[block.prompts] < BIAS_PROMPTS) & (block.counts >= FEWEST)
        step = max(1, 4 * BLOCK // block.rewards.shape[1])
        for with_bias in (True, False):
            rows = np.flatnonzero(biased == with_bias)
            for start in range(0, len(rows), step):
                some = rows[start : start + step]
                whole = some[-1] - some[0] == len(some) - 1
                part = slice(some[0], some[-1] + 1) if whole else some
                yield Block(block.prompts[part], block.rewards[part], block.counts[part]), with_bias


@dataclass(frozen=True)
class _Sums:
    prompts: Floats
    full: Floats
    noise: Floats
    skew: Floats
    fourth: Floats
    biased: Floats
    jackknife: Floats
    half: Floats
    quarter: Floats

    def __add__(self, other: _Sums) -> _Sums:
        return _Sums(
            *(a + b for a, b in zip(vars(self).values(), vars(other).values(), strict=True))
        )


def _total(found: Iterable[tuple[_Sums, Sizes]]) -> tuple[_Sums, Sizes]:
    """The sum of all slices as they come, so that no more than a few are held."""
    total, sizes = None, []
    for sums, own in found:
        sizes.append(vars(own).values())
        total = sums if total is None else total + sums
    assert total is not None
    return total, Sizes(*(np.concatenate(part) for part in zip(*sizes, strict=True)))


def _block_sums(
    block: Block, samples: Samples, longer: Grid, groups: int, with_bias: bool,
    rng: np.random.Generator,
) -> tuple[_Sums, Sizes]:  # fmt: skip
    tilts = longer.tilts[: -2 * longer.per_octave]
    group = samples.rank[block.prompts] % groups
    variance = samples.variances[block.prompts]
    tops = block.rewards[:, -1:]
    gaps = block.rewards - tops
    number = np.bincount(group, minlength=groups).astype(float)
    if not with_bias:
        sums = weight_sums(gaps, longer)
        full, noise = _log_mgf_and_noise(sums, tops, block.counts, variance, longer)
        none, zero = np.zeros(len(tilts)), np.broadcast_to(0.0, (groups, len(tilts)))
        return _Sums(number, by_group(full, group, groups), noise, none, none, np.zeros(groups), zero,
                     zero, zero), NO_SIZES  # fmt: skip
    segments, sizes = deal(gaps, block.counts, rng)
    rows, parts, width = segments.shape
    pieces = weight_sums(segments.reshape(rows * parts, width), longer).reshape(rows, parts, -1)
    sums = pieces.sum(axis=1)
    full, noise = _log_mgf_and_noise(sums, tops, block.counts, variance, longer)
    jackknife, more, skew, fourth = _jackknife(sums, gaps, tops, block.counts, longer)
    jackknife[variance == 0] = 0.0
    hands = _Hands(
        pieces[..., : len(tilts)], sizes, segments.max(axis=2),
        segments.sum(axis=2, where=segments > -np.inf),
    )  # fmt: skip
    half, half_size = _subset_means(hands, parts // 2, tilts, prompts=samples.prompts)
    quarter, quarter_size = _subset_means(hands, parts // 4, tilts, prompts=samples.prompts)
    sums_ = _Sums(
        number,
        by_group(full, group, groups),
        np.maximum(noise + more[variance > 0].sum(axis=0), noise),
        skew[variance > 0].sum(axis=0),
        fourth[variance > 0].sum(axis=0),
        number,
        by_group(jackknife, group, groups),
        by_group(full - half, group, groups),
        by_group(half - quarter, group, groups),
    )
    return sums_, Sizes(block.counts.astype(float), half_size, quarter_size)


def by_group(values: Floats, group: Integers, groups: int) -> Floats:
    """(groups, ...) sums of the rows of each group."""
    order = np.argsort(group, kind="stable")
    present, starts = np.unique(group[order], return_index=True)
    out = np.zeros((groups, values.shape[1]))
    out[present] = np.add.reduceat(values[order], starts, axis=0)
    return out


def _log_mgf_and_noise(
    sums: Floats, tops: Floats, counts: Integers, variance: Floats, longer: Grid
) -> tuple[Floats, Floats]:
    """Centred log-mgf of each row, and the summed variance that a redraw of the samples would give it."""
    octave, tilts = longer.per_octave, longer.tilts
    log_mgf = np.log(sums / counts[:, None]) + tilts * tops
    count = len(tilts) - 2 * octave
    here, doubled = log_mgf[:, :count], log_mgf[:, octave : octave + count]
    slope = _slope(log_mgf[:, : count + 2], 1 / octave)[:, :count]
    return here, redrawn_log_mgf(here, doubled, tilts[:count], slope, variance, counts).sum(axis=0)


def redrawn_log_mgf(
    log_mgf: Floats, doubled: Floats, tilt: Floats, rise: Floats, variance: Floats, counts: Integers
) -> Floats:
    """(rows, tilts) variance that a redraw of each row's samples would give its log-mgf, at first order.

    The influence of a sample is ``w - 1 - tilt * x`` with w its weight over the mean weight, so it is
    ``(mean w^2 - 1 + tilt^2 var - 2 tilt C') / (M - 1)``.

    Parameters
    ----------
    doubled : log-mgf at twice the tilt
    rise : tilt times the log-mgf's slope C'
    """
    squares = np.exp(np.minimum(doubled - 2 * log_mgf, 600.0))
    spread = squares - 1 + tilt**2 * variance[:, None] - 2 * rise
    return np.maximum(spread, 0.0) / np.maximum(counts[:, None] - 1, 1)


def _slope(values: Floats, step: float) -> Floats:
    """Derivative in log2 tilt over log 2, by five points (the variance is a small difference of it)."""
    out: Floats = np.gradient(values, step * np.log(2), axis=1)
    inner = values[:, :-4] - 8 * values[:, 1:-3] + 8 * values[:, 3:-1] - values[:, 4:]
    out[:, 2:-2] = inner / (12 * step * np.log(2))
    return out


def _jackknife(
    sums: Floats, gaps: Floats, tops: Floats, counts: Integers, longer: Grid
) -> tuple[Floats, Floats, Floats, Floats]:
    """``(M - 1)(full - mean of delete-one)``, the delete-one log-mgfs without forming them.

    The largest samples are taken out exactly. Of the others' weights the first, second and fourth
    powers are known as sums at one, two and four times the tilt; ``-log(1 - w)`` is summed as if
    they were alike. Also what the jackknife's variance is above that of first order, and the third
    moment; see `_Removals`.
    """
    octave = longer.per_octave
    count = len(longer.tilts) - 2 * octave
    tilts = longer.tilts[:count]
    top = gaps[:, ::-1][:, : min(_TOP, gaps.shape[1])]
    total = sums[:, :count]
    n = counts[:, None].astype(float)
    powers = {1: total, 2: sums[:, octave : octave + count], 4: sums[:, 2 * octave :]}
    removed = np.zeros_like(total)
    rest = {power: value.copy() for power, value in powers.items()}
    kept = np.exp(tilts * top[:, 1:2]) if top.shape[1] > 1 else np.zeros_like(total)
    tail_of_first = np.zeros_like(total)
    moves = _Removals(n, tilts, total.shape)
    for j in range(top.shape[1]):
        weight = np.exp(tilts * top[:, j : j + 1])
        for power, value in rest.items():
            value -= weight**power
        if j:
            tail_of_first += weight
            share = weight / total
            without = np.log1p(-share)
            removed += without
            moves.add(share, without, top[:, j : j + 1] + tops)
    others = np.maximum(n - top.shape[1], 0)
    rest = {  # none above the last of the largest, whatever rounding left
        power: np.clip(value, 0.0, others * weight**power) / total**power
        for power, value in rest.items()
    }
    left = np.maximum(tail_of_first + rest[1] * total, kept)
    with np.errstate(divide="ignore"):
        first = np.where(left > 0, np.log(left), tilts * top[:, min(1, top.shape[1] - 1)][:, None])
    first = np.where(np.isfinite(first), first - np.log(total), 0.0)
    moves.add(1 / total, first, tops)
    alike = np.minimum(np.sqrt(rest[4] / np.maximum(rest[2], 1e-300)), 1 / _TOP)
    small = alike < 1e-3
    safe = np.where(small, 0.1, alike)
    tail = np.where(small, 0.5 + alike / 3, -(np.log1p(-safe) + safe) / safe**2)
    series = rest[1] + rest[2] * tail
    removed = removed + first - series
    delete_one = np.log(n / (n - 1)) + removed / n
    return np.asarray(-(n - 1) * delete_one), moves.variance(), moves.third(), moves.fourth()


class _Removals:
    """What taking out the largest samples of each row does to its centred log-mgf.

    At first order a sample of weight w (of all) moves it by ``w - 1 / M - tilt x / (M - 1)``. A sample that
    has much of the weight moves it by more, ``-log(1 - w)`` in place of w, and the jackknife's
    variance, which is not below the true one in the mean (Efron and Stein, Annals of Statistics 9,
    1981), counts that.
    """

    def __init__(self, n: Floats, tilts: Floats, shape: tuple[int, ...]) -> None:
        self.n, self.tilts = n, tilts
        self.excess, self.more, self.one, self.two, self.three, self.four = np.zeros((6, *shape))

    def add(self, share: Floats, without: Floats, reward: Floats) -> None:
        """A sample of each row: its share of the weight, the log of what is left, its centred reward."""
        # a weight near the mean one has its like among the small ones, which are left at first order
        inverse = np.minimum(1 / (self.n * np.maximum(share, 1e-300)), 1.0)
        gate = 1 - inverse**2 * (3 - 2 * inverse)
        excess = -(without + share) * gate
        there = reward > -np.inf
        mean = 1 / self.n + self.tilts * np.where(there, reward, 0.0) / (self.n - 1)
        plain = share - np.where(there, mean, 0.0)
        move = plain + excess
        self.excess += excess
        self.more += excess * (plain + move)
        self.one += move
        self.two += move * move
        self.three += move * move * move
        self.four += (move * move) ** 2

    def variance(self) -> Floats:
        """How much above the variance of first order."""
        mean = self.excess / self.n
        return np.asarray((self.more - self.n * mean**2) * (self.n - 1) / self.n)

    def third(self) -> Floats:
        """Third moment of the moves about their mean."""
        mean = self.excess / self.n
        cubes = self.three - 3 * mean * self.two + 3 * mean**2 * self.one
        return np.asarray(cubes - self.n * mean**3)

    def fourth(self) -> Floats:
        """Fourth moment of the moves about their mean."""
        mean = self.excess / self.n
        powers = self.four - 4 * mean * self.three + 6 * mean**2 * self.two - 4 * mean**3 * self.one
        return np.asarray(np.maximum(powers + self.n * mean**4, 0.0))


def shuffled(rows: Floats, rng: np.random.Generator) -> Floats:
    """Each row's samples in random order, padding (-inf) last."""
    keys = rng.random(rows.shape)
    keys[rows == -np.inf] = 2.0
    return np.take_along_axis(rows, np.argsort(keys, axis=1), axis=1)


def deal(gaps: Floats, counts: Integers, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Deal each row's samples at random into 8 hands (4 where M < 8) of equal size, give or take one."""
    rows, width = gaps.shape
    parts = 8 if width >= 8 else 4
    dealt = shuffled(gaps, rng)
    deep = -(-width // parts)
    if deep * parts > width:
        padding = np.full((rows, deep * parts - width), -np.inf)
        dealt = np.concatenate([dealt, padding], axis=1)
    hands = np.ascontiguousarray(dealt.reshape(rows, deep, parts).swapaxes(1, 2))
    place = np.arange(parts)
    sizes = (counts[:, None] + parts - 1 - place) // parts
    return hands, sizes.astype(float)


@dataclass(frozen=True)
class _Hands:
    """Sums of weights (rows, hands, tilts); samples, best and sum of each hand (rows, hands)."""

    weights: Floats
    sizes: Floats
    best: Floats
    totals: Floats


def _subset_means(
    hands: _Hands, take: int, tilts: Floats, *, prompts: int
) -> tuple[Floats, Floats]:
    """Mean log-mgf over unions of `take` hands, each about its own mean, and the size it counts as."""
    rows, parts = hands.sizes.shape
    unions = _unions(parts, take, prompts)
    total = np.zeros((rows, len(tilts)))
    inverse, centre = np.zeros(rows), np.zeros(rows)
    for union in unions:
        chosen = list(union)
        size = hands.sizes[:, chosen].sum(axis=1)
        weight = hands.weights[:, chosen].sum(axis=1)
        top = hands.best[:, chosen].max(axis=1)[:, None]
        centre += hands.totals[:, chosen].sum(axis=1) / size
        low = weight < 1e-250
        np.maximum(weight, 1e-250, out=weight)
        value = np.log(weight)
        if low.any():
            value = np.where(low, tilts * top, value)
        total += value - np.log(size)[:, None]
        inverse += 1 / size
    total -= tilts * centre[:, None]
    return total / len(unions), len(unions) / inverse


def _unions(parts: int, take: int, prompts: int) -> list[tuple[int, ...]]:
    """All unions for few prompts; for many prompts disjoint ones are enough, the prompts do the averaging."""
    if prompts <= 500:
        return list(combinations(range(parts), take))
    if take == 1:
        return [(i,) for i in range(parts)]
    if prompts <= 4000 and take == parts // 2:
        first = [c for c in combinations(range(parts), take) if c[0] == 0][::5]
        return [u for c in first for u in (c, tuple(sorted(set(range(parts)) - set(c))))]
    step = parts // take
    return [tuple(range(i, parts, step)) for i in range(step)]
