"""The frontier when the reward is the chance to beat a draw of the base, ties shared.

Continuous rewards have a closed form (`klimit.theory.uniform_frontier`), 0/1 rewards their own frontier,
halved. What lies between is estimated from ranks, and subsets are ranked anew: ranks within all samples
would make them look less varied than they are.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from klimit.estimate import frontier as average
from klimit.estimate import per_prompt
from klimit.estimate.bands import average_bands
from klimit.estimate.curve import Curve
from klimit.estimate.inputs import RewardColumn
from klimit.estimate.intervals import LIGHT
from klimit.estimate.kernel import Floats, Grid
from klimit.estimate.members import Members, combine, plain, with_left_out
from klimit.estimate.result import Frontier, Settings
from klimit.estimate.samples import Integers, Samples, collect, level_ends, ordered_mean
from klimit.estimate.shape import log_mean
from klimit.estimate.statistics import FEWEST, GROUPS, Sizes, Statistics, by_group, enough, shuffled

_SPLITS = 4
_FEW_TIES = 1e-3  # share of tied pairs below which a reward counts as continuous


def solve(column: RewardColumn, samples: Samples, settings: Settings) -> Frontier:
    """The win-rate frontier; see `klimit.frontier`."""
    known = replace(settings, reward_range=(0.0, 1.0), range_implied=True)
    values, stated, low, high = column.values, settings.reward_range, 0.0, 0.0
    if samples.scale == 0 and stated is not None:  # what is not the best may be beaten
        high, values = 1.0, np.where(np.isnan(values), np.nan, values >= stated[1])
    elif samples.scale > 0 and average.two_levels(column, samples) is not None:
        low, high = float(np.nanmin(values)), float(np.nanmax(values))
    if high > low:
        half = 0.5 / (high - low)
        halved, span = replace(column, values=values * half), (low * half, high * half)
        own = replace(known, objective="reward", reward_range=span)
        again = collect(
            halved.values, np.asarray(halved.lengths, dtype=np.int64), seed=settings.seed
        )
        limit = average.average(halved, again, own)
        if settings.budget == "per-prompt":
            limit = per_prompt.solve(halved, again, own, limit)
        moved = again.means + (1 - span[1])  # a failure ties with failures, a success beats them
        return replace(limit, samples=replace(again, means=moved), settings=known)
    ranked = ranked_samples(samples, seed=settings.seed)
    if ranked.scale == 0:
        return Frontier.flat(column, ranked, known)
    # where all rewards are equal every draw is as good as can be: of a rate of 1 nothing is left to gain
    ranked = replace(ranked, means=np.where(ranked.variances > 0, 0.5, 1.0))
    shared = _from_ranks(column, ranked, known)
    if _continuous(ranked) or settings.budget == "average":
        return shared
    return per_prompt.solve(column, ranked, known, shared)


def win_rates(rewards: Floats, counts: Integers) -> Floats:
    """Chance of each sample to beat a draw of its row, minus 1/2; padding stays -inf.

    Parameters
    ----------
    rewards : (rows, width) ascending, -inf padding in front
    """
    width = rewards.shape[1]
    first, last = level_ends(rewards)
    pad = width - counts[:, None]
    rate = (first + last + 1 - 2 * pad) / (2 * counts[:, None]) - 0.5
    return np.where(rewards > -np.inf, rate, -np.inf)


def ranked_samples(samples: Samples, *, seed: int = 0) -> Samples:
    """The same prompts with win rates for rewards, in an order that follows from ranks alone."""
    ends = np.cumsum(samples.counts)
    flat = np.empty(ends[-1])
    for block in samples.blocks:
        rates = win_rates(block.rewards, block.counts)
        inside, width = rates > -np.inf, rates.shape[1]
        flat[(ends[block.prompts][:, None] - width + np.arange(width))[inside]] = rates[inside]
    return replace(
        collect(flat, samples.counts, seed=seed), kept=samples.kept,
        means=np.full(samples.prompts, 0.5), total=samples.total, missing=samples.missing,
        empty=samples.empty, single=samples.single,
    )  # fmt: skip


def _continuous(samples: Samples) -> bool:
    tied = total = 0.0
    for block in samples.blocks:
        moving = samples.variances[block.prompts] > 0
        rewards = block.rewards[moving]
        same = (rewards[:, 1:] == rewards[:, :-1]) & (rewards[:, 1:] > -np.inf)
        tied += float(same.sum())
        total += float(block.counts[moving].sum())
    return tied <= _FEW_TIES * total


def _from_ranks(column: RewardColumn, ranked: Samples, settings: Settings) -> Frontier:
    """Of the average budget; of continuous rewards, where no sample is needed, of either budget."""
    grid = Grid(average.START / ranked.scale, average.OCTAVES, average.PER_OCTAVE)
    continuous = _continuous(ranked)
    stats = _statistics(ranked, grid, settings.seed, continuous=continuous)
    correct = settings.estimator == "corrected"
    members = combine(stats, *_untied_bias(ranked, grid)) if correct else plain(stats)
    if correct and stats.bias_weights.any():
        # ranks of few make halves worse than fewer samples alone would: the truth may be the lower of both
        members = replace(
            members, middle=np.maximum(members.candidates.min(axis=0), members.plugin)
        )
    flat_from = average.saturation(ranked)
    if continuous and settings.budget == "per-prompt":
        members = _spent_alike(ranked, members)
        # prompts of equal rewards spend as much, for nothing
        flat_from /= ranked.moving
    cap, top = average.reward_cap(ranked, settings), ordered_mean(ranked.tops, ranked)

    def convex(log_mgf: Floats) -> Curve:
        return Curve.convex(grid.tilts, log_mgf, ceiling_gain=top, ceiling_kl=flat_from, cap=cap)

    bands = average_bands(
        stats, members, convex(members.chosen), LIGHT, ranked, settings,
        horizon=average.horizon(ranked), saturation=flat_from,
        correctable=correct and enough(ranked),
    )  # fmt: skip
    # ties only take away from the law of ranks without any, which ends intervals too
    curve = convex(np.minimum(members.chosen, uniform_log_mgf(grid.tilts)))
    gain = curve.at_kl(bands.kl).gain
    low = np.maximum.accumulate(np.maximum(bands.low - (bands.gain - gain), 0.0))
    bands = replace(bands, gain=gain, low=low)
    return Frontier(column.ids, column.name, ranked, settings, curve, members, bands, LIGHT, cap)


def _untied_bias(ranked: Samples, grid: Grid) -> tuple[Floats, Floats]:
    """What the mean log-mgf of M ranks without ties lacks, and how much less than of M/2; (tilts,).

    Ranks are equally spaced, so a law of them lacks ``U(t / M)`` of the uniform law's log-mgf ``U(t)``.
    """
    moving = ranked.variances > 0
    sizes, number = np.unique(ranked.counts[moving], return_counts=True)
    share = number / ranked.prompts
    total, halves = (
        share @ uniform_log_mgf(grid.tilts / of[:, None])
        for of in (sizes, np.maximum(sizes // 2, 1))
    )
    return total, halves - total


def _spent_alike(ranked: Samples, members: Members) -> Members:
    """Members of prompts that spend the same KL each, of which a share s can win and the others cannot.

    The mean gain is s times the uniform law's, which is that of one prompt of log-mgf ``U(s tilt)``; where
    one beta serves all, it is ``s U(tilt)``.
    """
    groups = len(members.weights)
    moving = (ranked.variances > 0).astype(float)[:, None]
    group = ranked.rank % groups
    number = np.bincount(group, minlength=groups)[:, None]
    shares = with_left_out(by_group(moving, group, groups) / np.maximum(number, 1), members.weights)
    curves = uniform_log_mgf(shares * members.grid.tilts)
    return Members(members.grid, curves, curves, curves[:1], members.weights)


def _statistics(samples: Samples, grid: Grid, seed: int, *, continuous: bool) -> Statistics:
    groups = min(GROUPS, samples.prompts)
    shape = (groups, len(grid.tilts))
    full, half, quarter = (np.zeros(shape) for _ in range(3))
    noise, none = (np.zeros(len(grid.tilts)) for _ in range(2))
    prompts, biased = np.zeros(groups), np.zeros(groups)
    sizes: list[Floats] = []
    for block in samples.blocks:
        group = samples.rank[block.prompts] % groups
        prompts += np.bincount(group, minlength=groups)
        value = log_mean(block.rewards, grid, block.counts)
        moving = samples.variances[block.prompts] > 0
        if continuous:
            full += by_group(moving[:, None] * uniform_log_mgf(grid.tilts), group, groups)
            continue
        value[~moving] = 0.0
        full += by_group(value, group, groups)
        use = block.counts >= FEWEST
        if not use.any():
            continue
        rng = np.random.default_rng([seed, 9, block.rewards.shape[1]])
        split = _split_means(block.rewards[use], block.counts[use], grid, rng)
        for part in split:
            part[~moving[use]] = 0.0
        halves, quarters, redrawn = split
        noise += redrawn.sum(axis=0)
        half += by_group(value[use] - halves, group[use], groups)
        quarter += by_group(halves - quarters, group[use], groups)
        biased += np.bincount(group[use], minlength=groups)
        sizes.append(block.counts[use].astype(float))
    counts = np.maximum(prompts, 1)[:, None]
    number = np.maximum(biased, 1)[:, None]
    weights = prompts / prompts.sum()
    all_sizes = np.concatenate(sizes) if sizes else np.array([4.0])
    bias_weights = biased / biased.sum() if biased.any() else weights
    noise /= max(biased.sum(), 1) * samples.prompts
    return Statistics(
        grid, weights, full / counts, noise, none, none, bias_weights,
        half / number, half / number, quarter / number,
        Sizes(all_sizes, all_sizes // 2, np.maximum(all_sizes // 4, 1)),
    )  # fmt: skip


def _split_means(
    rewards: Floats, counts: Integers, grid: Grid, rng: np.random.Generator
) -> tuple[Floats, Floats, Floats]:
    """Mean log-mgf of the win rates within random halves and quarters, each ranked by itself.

    And the variance that a redraw of all samples would give it, from how two halves differ.
    """
    noise = np.zeros((len(rewards), len(grid.tilts)))
    totals = [np.zeros((len(rewards), len(grid.tilts))) for _ in range(2)]
    place = np.arange(rewards.shape[1])
    for _ in range(_SPLITS):
        dealt = shuffled(rewards, rng)
        for total, part in zip(totals, (2, 4), strict=True):
            size = np.maximum(counts // part, 1)
            hands = []
            for hand in range(2):
                low = (hand * size)[:, None]
                inside = (place >= low) & (place < low + size[:, None])
                subset = np.sort(np.where(inside, dealt, -np.inf), axis=1)
                rates = win_rates(subset, size)
                hands.append(log_mean(rates, grid, size))
            total += (hands[0] + hands[1]) / (2 * _SPLITS)
            if part == 2:
                noise += (hands[0] - hands[1]) ** 2 * (size / counts)[:, None] / (2 * _SPLITS)
    return totals[0], totals[1], noise


def uniform_log_mgf(tilts: Floats) -> Floats:
    """Log-mgf of a uniform law on (-1/2, 1/2): ``log(sinh(t / 2) / (t / 2))``."""
    half = tilts / 2
    small = half < 0.02
    safe = np.where(small, 1.0, half)
    with np.errstate(over="ignore"):
        exact = safe + np.log1p(-np.exp(-2 * safe)) - np.log(2 * safe)
    return np.where(small, half**2 / 6 - half**4 / 180, exact)
