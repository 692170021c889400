"""What one pass over the pairs leaves behind: tilted means of gold over groups of prompts.

The proxy's tilt at ``t`` weighs a sample by ``exp(t * proxy)``; the gold reward is read under these
weights as a ratio of two sums, ``sum w g / sum w``. For every tilt of the frontier's own grid: the
ratio of all M samples, its delete-one jackknife, and the ratios of random halves and quarters. The
mean over draws of such a ratio of m samples is the gold gain of soft best-of-m
(`klimit.theory.soft_best_of_n`), so halves and quarters show where the ratio is heading as samples grow.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from klimit.estimate.kernel import Floats, Grid, tilted_weights
from klimit.estimate.proxy.pairs import Chunk, Pairs
from klimit.estimate.samples import Integers
from klimit.estimate.statistics import GROUPS, by_group

HANDS = 8
_FAINT = 1e-250  # sums of weights below this are summed too roughly


@dataclass(frozen=True)
class Reads:
    """Group means at every tilt, (reads, groups, tilts).

    Attributes
    ----------
    weights : (groups,) share of the prompts in each group
    full : tilted mean over the plain one, of all samples
    jackknife : (M - 1)(full - mean of delete-one)
    half, quarter : full - half, half - quarter
    hands : (1 + reads, groups, 8, tilts) what leaving out one hand of each prompt's samples moves the
        proxy's log-mgf and each read by, summed over the group: the noise of the samples, prompts
        held fixed
    """

    weights: Floats
    full: Floats
    jackknife: Floats
    half: Floats
    quarter: Floats
    hands: Floats


def tilted_reads(pairs: Pairs, grid: Grid, tilts: int, *reads: Floats, seed: int) -> Reads:
    """Read every sample once; see `Reads`.

    Parameters
    ----------
    tilts : how many tilts of the grid, from the smallest
    reads : (samples,) what to read under the proxy's tilt
    """
    groups = min(GROUPS, pairs.prompts)
    total, number = np.zeros((4, len(reads), groups, tilts)), np.zeros(groups)
    hands = np.zeros((1 + len(reads), groups, HANDS, tilts))
    few = pairs.prompts <= 500
    for chunk in pairs.chunks(*reads):
        group = chunk.prompts % groups
        rng = np.random.default_rng([seed, 7, int(chunk.prompts[0]), chunk.proxy.shape[1]])
        found, moved = _chunk_reads(chunk, grid, tilts, rng, few=few)
        for part in range(4):
            for read in range(len(reads)):
                total[part, read] += by_group(found[part, read], group, groups)
        for row, part in enumerate(moved):
            flat = by_group(part.reshape(len(part), -1), group, groups)
            hands[row, :, : part.shape[1]] += flat.reshape(groups, part.shape[1], tilts)
        number += np.bincount(group, minlength=groups)
    full, jackknife, half, quarter = total / np.maximum(number, 1)[:, None]
    return Reads(number / number.sum(), full, jackknife, half, quarter, hands / pairs.prompts)


def _chunk_reads(
    chunk: Chunk, grid: Grid, tilts: int, rng: np.random.Generator, *, few: bool
) -> tuple[Floats, Floats]:
    """(4, reads, rows, tilts) full, jackknife, full - half, half - quarter; and the hands' moves."""
    rows, count = chunk.proxy.shape
    gaps = chunk.proxy - chunk.proxy[:, -1:]
    order = np.argsort(rng.random((rows, count)), axis=1)
    dealt = np.take_along_axis(gaps, order, axis=1)
    reads = np.take_along_axis(chunk.reads, order[None], axis=2)
    hands = _Hands.deal(dealt, reads, few=few)
    below_second = np.where(order == count - 1, -np.inf, dealt - gaps[:, max(count - 2, 0), None])
    out = np.zeros((4, len(reads), rows, tilts))
    moved = np.zeros((1 + len(reads), rows, len(hands.starts), tilts))
    for at, tilt, weights in tilted_weights(dealt, grid, tilts):
        sums = np.add.reduceat(weights, hands.starts, axis=1)
        firsts = np.stack([np.add.reduceat(weights * x, hands.starts, axis=1) for x in reads])
        total = sums.sum(axis=1)
        mean = firsts.sum(axis=2) / total
        out[0, ..., at] = mean
        out[1, ..., at] = _jackknife(weights, reads, total, mean, below_second, tilt)
        moved[..., at] = hands.left_out(sums, firsts, tilt)
        if count >= 4:
            half, quarter = hands.means(sums, firsts)
            out[2, ..., at], out[3, ..., at] = mean - half, half - quarter
    return out, moved


def _jackknife(
    weights: Floats, reads: Floats, total: Floats, mean: Floats, below_second: Floats, tilt: float
) -> Floats:
    """(reads, rows) of ``(M - 1)(ratio - mean of delete-one ratios)``.

    Without sample i the ratio falls by ``w / (total - w) (g_i - ratio)``, w its weight. What is left
    without the best sample is summed on its own, for it may be nearly nothing; where it is, by weights
    relative to the second best.
    """
    count = weights.shape[1]
    others = np.where(below_second > -np.inf, weights, 0.0)
    odds = others / (total[:, None] - others)  # at least the best is left
    fall = np.einsum("ij,kij->ki", odds, reads) - mean * np.einsum("ij->i", odds)
    lost = np.flatnonzero(np.einsum("ij->i", others) < _FAINT)
    others[lost] = np.exp(tilt * below_second[lost])
    without = np.einsum("ij,kij->ki", others, reads) / np.einsum("ij->i", others)
    return np.asarray((fall + mean - without) * (count - 1) / count)


@dataclass(frozen=True)
class _Unions:
    """Unions of hands: which each takes, and the plain means of what they take.

    Attributes
    ----------
    takes : (hands, unions) 1 where it does
    sizes : (unions,) samples
    gaps : (rows, unions) mean proxy below the row's best
    centres : (reads, rows, unions) plain means of the reads
    """

    takes: Floats
    sizes: Floats
    gaps: Floats
    centres: Floats


@dataclass(frozen=True)
class _Hands:
    """Each row's samples in random order, cut into 8 hands (4 where there are fewer than 8).

    Attributes
    ----------
    starts : (hands,) where each begins
    halves, quarters, others : unions of a half, of a quarter, and of all hands but one
    tops, other_tops : (rows, hands) the best proxy of each hand, and of all others
    ties, top_reads : (rows, hands), (reads, rows, hands) how many share it, and the sum of their reads
    """

    starts: Integers
    halves: _Unions
    quarters: _Unions
    others: _Unions
    tops: Floats
    other_tops: Floats
    ties: Floats
    top_reads: Floats

    @classmethod
    def deal(cls, gaps: Floats, reads: Floats, *, few: bool) -> _Hands:
        count = gaps.shape[1]
        parts = HANDS if count >= HANDS else min(4, count)
        edges = np.linspace(0, count, parts + 1).round().astype(np.int64)
        starts, sizes = edges[:-1], np.diff(edges).astype(float)
        gap_sums = np.add.reduceat(gaps, starts, axis=1)
        read_sums = np.add.reduceat(reads, starts, axis=2)

        def unions(takes: Floats) -> _Unions:
            size = sizes @ takes
            return _Unions(takes, size, np.einsum("ij,ju->iu", gap_sums, takes) / size,
                           np.einsum("kij,ju->kiu", read_sums, takes) / size)  # fmt: skip

        tops = np.maximum.reduceat(gaps, starts, axis=1)
        best = (gaps == np.repeat(tops, np.diff(edges), axis=1)).astype(float)
        halves, quarters = (
            unions(_takes(parts, take, few=few)) for take in (parts // 2, parts // 4)
        )
        ties, *top_reads = (np.add.reduceat(x, starts, axis=1) for x in (best, *(best * reads)))
        others = unions(1 - np.eye(parts))
        rest = np.where(np.eye(parts, dtype=bool), -np.inf, tops[:, None, :]).max(axis=2)
        return cls(starts, halves, quarters, others, tops, rest, ties, np.stack(top_reads))

    def means(self, sums: Floats, firsts: Floats) -> tuple[Floats, Floats]:
        """(reads, rows) mean ratio of halves and of quarters, each over its own plain mean."""
        half, _ = self._gains(self.halves, sums, firsts)
        quarter, _ = self._gains(self.quarters, sums, firsts)
        return half.mean(axis=2), quarter.mean(axis=2)

    def left_out(self, sums: Floats, firsts: Floats, tilt: float) -> Floats:
        """(1 + reads, rows, hands) moves of log-mgf and reads without each hand.

        Scaled so that the sum of their squares is the variance that drawing the samples gives.
        """
        unions = self.others
        gains, weight = self._gains(unions, sums, firsts)
        log_mgf = np.maximum(np.log(np.maximum(weight, 1e-280)), tilt * self.other_tops)
        log_mgf = log_mgf - np.log(unions.sizes) - tilt * unions.gaps
        found = np.concatenate([log_mgf[None], gains])
        parts = found.shape[2]
        return np.asarray(
            (found - found.mean(axis=2, keepdims=True)) * ((parts - 1) / parts) ** 0.5
        )

    def _gains(self, unions: _Unions, sums: Floats, firsts: Floats) -> tuple[Floats, Floats]:
        """(reads, rows, unions) ratios over plain means, and the (rows, unions) weights."""
        weight = np.einsum("ij,ju->iu", sums, unions.takes)
        first = np.einsum("kij,ju->kiu", firsts, unions.takes)
        faint = weight < _FAINT
        ratio = first / np.where(faint, 1.0, weight)
        if faint.any():
            row, union = np.nonzero(faint)
            inside = np.where(unions.takes[:, union].T > 0, self.tops[row], -np.inf)
            best = inside == inside.max(axis=1, keepdims=True)
            reads, ties = (
                (x[..., row, :] * best).sum(axis=-1) for x in (self.top_reads, self.ties)
            )
            ratio[:, row, union] = reads / ties
        return ratio - unions.centres, weight


def _takes(parts: int, take: int, *, few: bool) -> Floats:
    """(hands, unions) all unions for few prompts, disjoint ones for many: they do the averaging."""
    take = max(take, 1)
    chosen = list(combinations(range(parts), take))
    if not few and parts == HANDS:
        chosen = chosen[:35:5] if take == 4 else [(0, 4), (1, 5), (2, 6), (3, 7)]
        if take == 4:
            chosen += [tuple(sorted(set(range(parts)) - set(c))) for c in chosen]
    takes = np.zeros((parts, len(chosen)))
    for at, union in enumerate(chosen):
        takes[list(union), at] = 1.0
    return takes
