"""Best-of-N prompt by prompt: gain, KL and win rate, each with the truth as its mean."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from klimit.estimate.best_of_n.judged_wins import JudgedWins
from klimit.estimate.best_of_n.kl import Draws
from klimit.estimate.best_of_n.ranked import Ranked
from klimit.estimate.kernel import Floats
from klimit.estimate.samples import Integers


@dataclass(frozen=True)
class PromptBestOfN:
    """Arrays are (sizes, prompts) unless they say otherwise.

    Attributes
    ----------
    gain : mean reward of the best of n over the prompt's mean
    kl : nats; may fall outside [0, log n - (n - 1) / n] for single prompts, which keeps the mean
        unbiased
    win_rate : chance of the best of n to beat a base draw, ties half; nan where n is all samples
    tied : the part of `kl` that tied levels contribute
    kl_error : (sizes,) largest relative error of `tied` at any pass rate
    pairs_kl, pairs_win : (prompts,) `kl` and `win_rate` of best-of-2
    samples : (prompts,) of each; 0 for prompts that no chunk held
    """

    gain: Floats
    kl: Floats
    win_rate: Floats
    tied: Floats
    kl_error: Floats
    pairs_kl: Floats
    pairs_win: Floats
    samples: Integers


def by_prompt(
    chunks: Iterable[Ranked], sizes: Sequence[int], prompts: int, *, judged: bool
) -> PromptBestOfN:
    """Estimate every size for every prompt; `judged`: another reward reads than selects."""
    shape = (len(sizes), prompts)
    gain, kl, win, tied = (np.zeros(shape) for _ in range(4))
    error, counts = np.zeros(len(sizes)), np.zeros(prompts, dtype=np.int64)
    pairs_kl, pairs_win = np.zeros((2, prompts))
    draws: dict[int, Draws] = {}
    samples = 0
    for chunk in chunks:
        if chunk.samples != samples:
            samples = chunk.samples
            draws = {n: Draws(n, samples) for n in {2, *sizes} if 1 < n <= samples}
        to = chunk.prompts
        counts[to] = samples
        if 2 in draws:
            pairs_kl[to], _ = _kl(chunk, draws[2])
            pairs_win[to] = _win_rate(chunk, draws[2])
        read = _shared(chunk) if judged else chunk.read
        tied_read = read.min(axis=1) == read.max(axis=1)
        wins = JudgedWins(chunk) if judged else None
        for i, n in enumerate(sizes):
            if n == 1:
                win[i, to] = 0.5
                continue
            known = draws[n]
            win[i, to] = _win_rate(chunk, known) if wins is None else wins.win_rate(n)
            kept = np.einsum("ij,j->i", read, known.weights)
            gain[i, to] = np.where(tied_read, 0.0, kept)  # a mean of equals is not off by rounding
            kl[i, to] = known.bound
            if len(chunk.runs.row):
                kl[i, to], tied[i, to] = _kl(chunk, known)
                error[i] = max(error[i], known.error)
    return PromptBestOfN(gain, kl, win, tied, error, pairs_kl, pairs_win, counts)


def _shared(chunk: Ranked) -> Floats:
    """What is read of each sample, the mean over its level: ties are broken with equal chances."""
    begins = np.ones(chunk.rewards.shape, dtype=bool)
    begins[:, 1:] = chunk.rewards[:, 1:] != chunk.rewards[:, :-1]
    flat = np.flatnonzero(begins)
    ties = np.diff(flat, append=begins.size)
    means = np.add.reduceat(chunk.read.ravel(), flat) / ties
    return np.repeat(means, ties).reshape(begins.shape)


def _kl(chunk: Ranked, draws: Draws) -> tuple[Floats, Floats]:
    """KL of each row, and the part of it that tied levels contribute."""
    runs, rows = chunk.runs, len(chunk.prompts)
    share = draws.share(runs.top, runs.ties)
    excess = draws.distinct(runs.top, runs.ties) - share
    kl: Floats = draws.bound - np.bincount(runs.row, excess, minlength=rows).astype(np.float64)
    tied: Floats = np.bincount(runs.row, share, minlength=rows).astype(np.float64)
    return kl, tied


def _win_rate(chunk: Ranked, draws: Draws) -> Floats:
    """A draw loses to the best of n others unless it is at the top of all n + 1, alone or tied."""
    n, below, runs = draws.n, draws.below, chunk.runs
    if n >= chunk.samples:
        return np.full(len(chunk.prompts), np.nan)
    sums = np.concatenate(([0.0], np.cumsum(below)))
    low = runs.top - runs.ties
    alone = sums[runs.top] - sums[low]
    tied = runs.ties * (below[runs.top - 1] + below[low]) / 2
    more = np.bincount(runs.row, alone - tied, minlength=len(chunk.prompts))
    return n / (n + 1) + more / (chunk.samples - n)
