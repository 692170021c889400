"""Rewards of a base model, prompt by prompt, in an order that depends on nothing but their content.

Estimates must not change by a digit when rows, prompts or ids are shuffled, and random deals must
not follow the order of a file. So rewards are sorted within a prompt and prompts are sorted by the
shape of their rewards, then shuffled by the seed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from klimit._errors import DataError
from klimit.estimate.kernel import Floats

Integers = NDArray[np.int64]

_MOST = 1e75
_ENOUGH_TO_TELL = 10  # prompts


@dataclass(frozen=True)
class Block:
    """Prompts with about the same number of samples, as one matrix.

    Attributes
    ----------
    prompts : (rows,) index of each row's prompt in `Samples`
    rewards : (rows, width) ascending, centred at the prompt's mean; padded in front with -inf
    counts : (rows,) samples of each row
    """

    prompts: Integers
    rewards: Floats
    counts: Integers

    def below_best(self, place: Integers) -> Floats:
        """(rows,) each row's reward so many places below its best."""
        return np.asarray(self.rewards[np.arange(len(place)), self.rewards.shape[1] - 1 - place])

    def parts(self, cells: int) -> Iterator[slice]:
        """Rows that hold about `cells` rewards together, one part after the other."""
        step = max(1, cells // self.rewards.shape[1])
        for start in range(0, len(self.prompts), step):
            yield slice(start, start + step)


@dataclass(frozen=True)
class Samples:
    """What the estimators read: the informative prompts (two samples or more), centred and sorted.

    Attributes
    ----------
    kept : (prompts,) index of each prompt in the caller's data
    counts, means, variances, tops, ties : (prompts,) samples; mean reward; variance (divisor M);
        best reward above the mean; how many samples share it
    rank : (prompts,) place of each prompt in the shuffled canonical order
    blocks : the centred rewards
    scale : pooled within-prompt standard deviation, reward units
    total, missing, empty, single : prompts given; rewards missing; prompts without, and with one
    """

    kept: Integers
    counts: Integers
    means: Floats
    variances: Floats
    tops: Floats
    ties: Integers
    rank: Integers
    blocks: tuple[Block, ...]
    scale: float
    total: int
    missing: int
    empty: int
    single: int

    @property
    def prompts(self) -> int:
        """Number of informative prompts."""
        return len(self.kept)

    @property
    def size(self) -> float:
        """Samples of a prompt, the geometric mean."""
        return float(np.exp(ordered_mean(np.log(self.counts), self)))

    @property
    def moving(self) -> float:
        """Share of prompts whose rewards vary: they spend all KL."""
        return float((self.variances > 0).mean())

    def level_below_the_best(self) -> Floats:
        """(prompts,) the best of each prompt's lower rewards, centred; the only level if it is constant."""
        below = np.empty(self.prompts)
        for block in self.blocks:
            ties = np.minimum(self.ties[block.prompts], block.counts - 1)
            below[block.prompts] = block.below_best(ties)
        return below

    def ranges(self) -> Floats:
        """(prompts,) from each prompt's worst reward to its best."""
        found = np.empty(self.prompts)
        for block in self.blocks:
            found[block.prompts] = block.rewards[:, -1] - block.below_best(block.counts - 1)
        return found

    def paired(self) -> bool:
        """Whether every reward of every prompt comes an even number of times, as copies would.

        By chance about one prompt in two does, if rewards are 0 and 1, and hardly any otherwise.
        """
        if (self.counts % 2).any() or (self.variances > 0).sum() < _ENOUGH_TO_TELL:
            return False
        return all(
            bool((block.rewards[:, -1:0:-2] == block.rewards[:, -2::-2]).all())
            for block in self.blocks
        )

    def lost(self) -> float:
        """Share of its gain that the plug-in lacks at small budgets, whatever the rewards' law.

        There the gain is the standard deviation times ``sqrt(2 KL)``, and a variance of M samples
        is short by 1/M on average.
        """
        whole = self.variances * self.counts / (self.counts - 1)
        seen = ordered_mean(self.variances, self)
        return (ordered_mean(whole, self) / seen) ** 0.5 - 1 if seen > 0 else 0.0

    def rewards_by_prompt(self) -> Iterator[tuple[int, Floats]]:
        """Each prompt's index and its centred rewards, ascending."""
        for block in self.blocks:
            for prompt, row, count in zip(block.prompts, block.rewards, block.counts, strict=True):
                yield int(prompt), row[len(row) - count :]


def collect(values: Floats, lengths: Integers, *, seed: int = 0) -> Samples:
    """Sort, centre and order rewards that stand prompt after prompt.

    Parameters
    ----------
    values : (samples,) finite rewards, NaN where missing; not changed
    lengths : (prompts,) rows of each prompt
    """
    total = len(lengths)
    absent = np.isnan(values)
    missing = int(absent.sum())
    if missing:
        lengths, values = shown(~absent, lengths), values[~absent]
    del absent
    empty, single = int((lengths == 0).sum()), int((lengths == 1).sum())
    kept = np.flatnonzero(lengths >= 2)
    if not len(kept):
        seen_text = "no prompt has a reward" if not lengths.any() else "no prompt has two rewards"
        raise DataError(
            f"{seen_text} ({total} prompts seen); the limit needs several samples of every prompt. "
            "Draw at least 4 samples a prompt, or check that the prompt key groups the rows."
        )
    largest = max(float(values.max()), -float(values.min()))
    _computable(max(largest, 1.0), "the largest reward")  # small ones may differ by enough
    counts = lengths[kept].astype(np.int64)
    blocks, means = [], np.empty(len(kept))
    for rows, rewards in _matrices(values, lengths, kept, counts):
        rewards.sort(axis=1)
        finite = counts[rows]
        means[rows] = _centre(rewards, finite)
        blocks.append(Block(rows, rewards, finite))
    variances, tops, ties, marks = (np.empty(len(kept)) for _ in range(4))
    for block in blocks:
        rows = block.prompts
        squares, marks[rows] = _row_sums(block.rewards)
        variances[rows] = squares / block.counts
        tops[rows] = block.rewards[:, -1]
        ties[rows] = (block.rewards == block.rewards[:, -1:]).sum(axis=1)
        span = tops[rows] - block.below_best(block.counts - 1)
        if span.any():
            _computable(float(span[span > 0].min()), "the range of a prompt's rewards")
        flat = rows[span == 0]
        variances[flat] = tops[flat] = 0.0  # a constant prompt is exactly constant
    rank = _rank(counts, means, variances, tops, ties, marks, blocks, seed)
    return Samples(
        kept=kept,
        counts=counts,
        means=means,
        variances=variances,
        tops=tops,
        ties=ties.astype(np.int64),
        rank=rank,
        blocks=tuple(_by_rank(block, rank) for block in blocks),
        scale=_mean_in_order(variances, rank) ** 0.5,
        total=total,
        missing=missing,
        empty=empty,
        single=single,
    )


def _computable(size: float, what: str) -> None:
    """Refuse rewards whose fourth powers are no numbers."""
    if size > _MOST or 0 < size < 1 / _MOST:
        raise DataError(
            f"{what} is {size:.3g}; sizes from {1 / _MOST:g} to {_MOST:g} can be computed with. Multiply "
            "all rewards by one number: gains and beta scale with it."
        )


def _matrices(
    values: Floats, lengths: Integers, kept: Integers, counts: Integers
) -> Iterator[tuple[Integers, Floats]]:
    if len(kept) == len(lengths) and (counts == counts[0]).all():
        yield np.arange(len(kept)), values.reshape(len(kept), counts[0]).copy()
        return
    starts = np.concatenate(([0], np.cumsum(lengths)))[:-1][kept]
    widths = _widths(counts)
    for width in np.unique(widths):
        rows = np.flatnonzero(widths == width)
        finite = counts[rows]
        column = np.arange(width) - (width - finite)[:, None]
        rewards = np.full((len(rows), width), -np.inf)
        inside = column >= 0
        rewards[inside] = values[(starts[rows][:, None] + column)[inside]]
        yield rows, rewards


def _widths(counts: Integers) -> Integers:
    """Round lengths up so that ragged prompts share few matrices and little is padding."""
    step = np.where(counts < 8, 1, 8 * 2 ** np.maximum(0, np.log2(counts / 64).astype(np.int64)))
    return -(-counts // step) * step


def _centre(rewards: Floats, counts: Integers) -> Floats:
    padded = bool((counts < rewards.shape[1]).any())
    sums = rewards.sum(axis=1, where=rewards > -np.inf) if padded else rewards.sum(axis=1)
    means: Floats = sums / counts
    rewards -= means[:, None]
    lowest = rewards[np.arange(len(rewards)), rewards.shape[1] - counts]
    close = rewards[:, -1] - lowest < 1e-6 * np.abs(means)
    if close.any():  # rounding of the mean may be as large as what is left
        part = rewards[close]
        rest = part.sum(axis=1, where=part > -np.inf) / counts[close]
        rewards[close] = part - rest[:, None]
    return means


def _row_sums(rewards: Floats) -> tuple[Floats, Floats]:
    """Sum of squares of each row, and a mark that hardly two different rows share."""
    squares, marks = np.empty(len(rewards)), np.empty(len(rewards))
    uneven = np.sin(np.arange(rewards.shape[1], 0.0, -1.0))
    step = max(1, 2**20 // rewards.shape[1])
    for start in range(0, len(rewards), step):
        part = rewards[start : start + step]
        part = np.where(part > -np.inf, part, 0.0)
        squares[start : start + step] = np.einsum("ij,ij->i", part, part)
        marks[start : start + step] = np.einsum("ij,j->i", part, uneven)
    return squares, marks


def _rank(
    counts: Integers,
    means: Floats,
    variances: Floats,
    tops: Floats,
    ties: Floats,
    marks: Floats,
    blocks: list[Block],
    seed: int,
) -> Integers:
    """Order prompts by keys that no offset, scale or row order changes; then shuffle by the seed.

    What these keys leave open is settled by the digits themselves, never by the order of the file.
    """
    spread = np.sqrt(variances)
    largest = spread.max(initial=0.0) or 1.0
    unit = np.where(spread > 0, spread, largest)
    middle = np.empty(len(counts))
    for block in blocks:
        middle[block.prompts] = block.below_best((block.counts - 1) // 3)
    shapes = (marks / unit, spread / largest, middle / unit, tops / unit)
    # means before marks, whose last digits an offset or a scale changes
    order = np.lexsort((marks, means, *map(_rounded, shapes), ties, counts))
    rank = np.empty(len(counts), dtype=np.int64)
    rank[order] = np.random.default_rng([seed, len(counts)]).permutation(len(counts))
    return rank


def _rounded(key: Floats) -> Floats:
    return np.round(key, 9) + 0.0


def reordered(samples: Samples, rank: Integers) -> Samples:
    """Samples whose prompts stand in another order."""
    return replace(samples, rank=rank, blocks=tuple(_by_rank(b, rank) for b in samples.blocks))


def _by_rank(block: Block, rank: Integers) -> Block:
    order = np.argsort(rank[block.prompts], kind="stable")
    matrix = block.rewards
    if (np.diff(order) != 1).any():
        strip = max(1, 2**22 // len(matrix))  # so that a huge array is never held twice
        for start in range(0, matrix.shape[1], strip):
            matrix[:, start : start + strip] = matrix[order, start : start + strip]
    return Block(block.prompts[order], matrix, block.counts[order])


def shown(there: NDArray[np.bool_], lengths: Integers) -> Integers:
    """(prompts,) how many samples of each are there, of so many that stand prompt after prompt."""
    seen, ends = np.concatenate(([0], np.cumsum(there))), np.cumsum(lengths)
    return np.asarray(seen[ends] - seen[ends - lengths])


def centred(values: Floats, lengths: Integers) -> Floats:
    """(..., samples) less the mean of the prompt; exactly 0 where a prompt is constant."""
    starts = np.cumsum(lengths) - lengths
    low, high = (f.reduceat(values, starts, axis=-1) for f in (np.minimum, np.maximum))
    means = np.add.reduceat(values, starts, axis=-1) / lengths
    still = np.repeat(low == high, lengths, axis=-1)
    out = values - np.repeat(means, lengths, axis=-1)
    return np.where(still, 0.0, out)


def equally_long(lengths: Integers, cells: int) -> Iterator[tuple[Integers, Integers]]:
    """Prompts with equally many samples, and where these stand (prompts, samples), about `cells` at once."""
    starts = np.cumsum(lengths) - lengths
    for size in np.unique(lengths):
        rows = np.flatnonzero(lengths == size)
        step = max(1, cells // int(size))
        for begin in range(0, len(rows), step):
            prompts = rows[begin : begin + step]
            yield prompts, starts[prompts][:, None] + np.arange(size)


def level_ends(ascending: Floats) -> tuple[Integers, Integers]:
    """Of each value in (rows, width): the places of the first and of the last that equal it.

    Examples
    --------
    >>> [ends.tolist() for ends in level_ends(np.array([[1.0, 2.0, 2.0]]))]
    [[[0, 1, 1]], [[0, 2, 2]]]
    """
    width = ascending.shape[1]
    place = np.broadcast_to(np.arange(width), ascending.shape)
    begins, ends = np.ones((2, *ascending.shape), dtype=bool)
    begins[:, 1:] = ascending[:, 1:] != ascending[:, :-1]
    ends[:, :-1] = begins[:, 1:]
    first = np.maximum.accumulate(np.where(begins, place, 0), axis=1)
    last = np.minimum.accumulate(np.where(ends, place, width)[:, ::-1], axis=1)[:, ::-1]
    return first, last


def nearly_all(counts: Integers) -> int:
    """The samples that nearly all prompts have: only one prompt in twenty may have fewer.

    Examples
    --------
    >>> nearly_all(np.array([2] + 39 * [16]))
    16
    """
    return int(np.quantile(counts, 0.05, method="lower")) if len(counts) else 0


def ordered_mean(values: Floats, samples: Samples) -> float:
    """Mean over prompts in canonical order, so that no digit depends on the order of the file."""
    return _mean_in_order(values, samples.rank)


def _mean_in_order(values: Floats, rank: Integers) -> float:
    ordered = np.empty_like(values)
    ordered[rank] = values
    return float(ordered.mean())
