"""Samples with a proxy and a gold reward each: complete, aligned, and in an order of their own.

Both rewards have to be known of a sample for it to say anything of their relation. A sample without
either is left out and counted, never filled in. Prompts are put into an order that depends on their
rewards alone, so that no digit follows the order of a file.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from klimit.estimate.best_of_n.prompt_means import pairing_rank
from klimit.estimate.inputs import RewardColumn
from klimit.estimate.kernel import BLOCK, Floats
from klimit.estimate.missing import lacking
from klimit.estimate.samples import Integers, collect, equally_long, shown


@dataclass(frozen=True)
class Chunk:
    """Some prompts with equally many samples, ascending in the proxy.

    Attributes
    ----------
    prompts : (rows,) index of each row's prompt in `Pairs`
    proxy : (rows, samples) centred
    reads : (reads, rows, samples) what is read of the samples that the proxy tilts, centred
    """

    prompts: Integers
    proxy: Floats
    reads: Floats


@dataclass(frozen=True)
class Pairs:
    """Complete samples, prompt after prompt; prompts in canonical order.

    Attributes
    ----------
    proxy, gold : (samples,) rewards
    nuisance : (samples,) another number of each sample, such as its length; None if not asked for
    lengths : (prompts,) samples of each, two or more
    ids : (prompts,) prompt ids
    names : of proxy, gold and nuisance
    total : prompts seen; those without two complete samples are left out
    seen, missing : samples seen, and without one of the rewards
    no_proxy, no_gold, no_nuisance : without each
    minded : what to mind of those without gold, in words
    """

    proxy: Floats
    gold: Floats
    nuisance: Floats | None
    lengths: Integers
    ids: list[Any]
    names: tuple[str, str, str]
    total: int
    seen: int
    missing: int
    no_proxy: int
    no_gold: int
    no_nuisance: int
    minded: str = ""

    @property
    def prompts(self) -> int:
        """Number of prompts with two complete samples or more."""
        return len(self.lengths)

    @property
    def left_out(self) -> int:
        """Prompts without two complete samples."""
        return self.total - self.prompts

    def column(self, values: Floats, name: str) -> RewardColumn:
        """One of the rewards, as the frontier reads it."""
        return RewardColumn(values, self.lengths, self.ids, name, {})

    def rows(self, values: Floats) -> list[Floats]:
        """One 1-D array per prompt."""
        return np.split(values, np.cumsum(self.lengths)[:-1])

    def chunks(self, *reads: Floats) -> Iterator[Chunk]:
        """Pieces that fit a cache; `reads` are (samples,) each."""
        for prompts, where in equally_long(self.lengths, 2 * BLOCK):
            proxy = self.proxy[where]
            others = [values[where] for values in reads]
            order = np.lexsort((*others[::-1], proxy), axis=-1)
            proxy, *others = (np.take_along_axis(x, order, axis=1) for x in (proxy, *others))
            yield Chunk(prompts, _centred(proxy), np.stack([_centred(x) for x in others]))


def _centred(values: Floats) -> Floats:
    """Values less their row's mean; a constant row is exactly zero."""
    mean = np.sort(values, axis=1).mean(axis=1, keepdims=True)
    still = values.max(axis=1, keepdims=True) == values.min(axis=1, keepdims=True)
    return np.where(still, 0.0, values - mean)


def complete(
    column: RewardColumn, gold: Floats, nuisance: Floats | None, names: tuple[str, str, str],
    *, seed: int,
) -> Pairs:  # fmt: skip
    """Keep samples with all rewards and prompts with two of them, and order the prompts."""
    proxy, lengths = column.values, np.asarray(column.lengths, dtype=np.int64)
    gone = [np.isnan(x) for x in (proxy, gold)]
    gone.append(np.isnan(nuisance) if nuisance is not None else np.zeros(len(proxy), dtype=bool))
    there = ~(gone[0] | gone[1] | gone[2])
    no_proxy, no_gold, no_nuisance = (int(x.sum()) for x in gone)
    number, missing = shown(there, lengths), int((~there).sum())
    there &= np.repeat(number >= 2, lengths)
    kept = np.flatnonzero(number >= 2)
    pairs = Pairs(
        proxy[there], gold[there], None if nuisance is None else nuisance[there], number[kept],
        [column.ids[i] for i in kept], names, len(lengths), len(proxy), missing,
        no_proxy, no_gold, no_nuisance, lacking(proxy, gold, lengths, names[:2]),
    )  # fmt: skip
    if not pairs.prompts:
        return pairs
    samples = collect(pairs.proxy, pairs.lengths, seed=seed)
    rank = pairing_rank(samples, _marks(pairs))
    order = np.argsort(rank)
    starts = np.cumsum(pairs.lengths) - pairs.lengths
    lengths = pairs.lengths[order]
    where = np.repeat(starts[order] - (np.cumsum(lengths) - lengths), lengths)
    where += np.arange(len(where))
    return replace(
        pairs, proxy=pairs.proxy[where], gold=pairs.gold[where], lengths=lengths,
        nuisance=None if pairs.nuisance is None else pairs.nuisance[where],
        ids=[pairs.ids[i] for i in order],
    )  # fmt: skip


def _marks(pairs: Pairs) -> Floats:
    """(marks, prompts) numbers that two prompts with the same proxy rewards do not share."""
    marks = np.empty((3, pairs.prompts))
    for chunk in pairs.chunks(pairs.gold):
        (gold,) = chunk.reads
        marks[0, chunk.prompts] = np.einsum("ij,ij->i", gold, gold)
        marks[1, chunk.prompts] = np.einsum("ij,ij->i", gold, chunk.proxy)
        marks[2, chunk.prompts] = np.einsum("ij,j->i", gold, np.sin(np.arange(gold.shape[1])))
    return marks
