"""Which best-of-N spends a given KL, and what KL a given best-of-N spends."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from klimit._errors import ArgumentError
from klimit._estimate import Estimate
from klimit.estimate.best_of_n.prompts import by_prompt
from klimit.estimate.best_of_n.ranked import ranked_samples
from klimit.estimate.best_of_n.verb import kl_of_prompts
from klimit.estimate.samples import Samples, nearly_all


def n_spending(samples: Samples, kl: float) -> int | None:
    """The smallest N whose best-of-N spends at least `kl` nats, mean over prompts.

    Where rewards of a prompt tie, None if no N that the samples can show spends so much.
    """
    if not (kl > 0 and ties(samples)):
        return distinct_n(kl)
    low = 1
    for high in _shown(samples):
        if n_kl(samples, high) >= kl:
            while high - low > 1:
                middle = (low + high) // 2
                low, high = (middle, high) if n_kl(samples, middle) < kl else (low, middle)
            return high
        low = high
    return None


def too_small(samples: Samples, kl: float) -> bool:
    """Whether best-of-2, the least there is, spends over half as much again as `kl`."""
    return n_kl(samples, 2) > 1.5 * kl


def n_kl(samples: Samples, n: int) -> float:
    """Mean KL of best-of-n, nats per answer; `n_spends` without its interval."""
    return float(n_spends(samples, n).value)


def n_spends(samples: Samples, n: int, level: float = 0.95) -> Estimate:
    """Mean KL of best-of-n, nats per answer; `klimit.estimate.best_of_n.kl` for tied rewards.

    Known where no two rewards of a prompt tie; else of prompts with enough samples.

    Raises
    ------
    ArgumentError
        Where rewards tie and more than one prompt in twenty has fewer than n samples.
    """
    if not ties(samples):
        known = math.log(n) - (n - 1) / n
        return Estimate(known, known, known, level)
    least, most = _shown(samples)
    if n > most:
        raise ArgumentError(
            f"n={n:,} was given, but rewards tie and a prompt has only {most:,} samples, which do "
            f"not show what best-of-{n:,} spends. Give n up to {most:,}, or the KL itself: kl=..."
        )
    return _tied_kl(samples, [n], least if n <= least else most, level)[0]


def tied_kl(samples: Samples, sizes: Sequence[int]) -> list[float]:
    """`n_kl` of several sizes, ascending, where rewards tie."""
    least, most = _shown(samples)
    within, past = [n for n in sizes if n <= least], [n for n in sizes if n > least]
    parts = _tied_kl(samples, within, least), _tied_kl(samples, past, most)
    return [kl for part in parts for kl in part.value.tolist()]


def _tied_kl(samples: Samples, sizes: Sequence[int], enough: int, level: float = 0.95) -> Estimate:
    """Means over the prompts with enough samples."""
    chunks = (chunk for chunk in ranked_samples(samples) if chunk.samples >= enough)
    found = by_prompt(chunks, sizes, samples.prompts, judged=False)
    there = samples.counts >= enough
    kl, tied = (np.compress(there, x, axis=1) for x in (found.kl, found.tied))
    found = replace(found, kl=kl, tied=tied, pairs_kl=found.pairs_kl[there])
    return kl_of_prompts(found, np.array(sizes, dtype=float), level)


def _shown(samples: Samples) -> tuple[int, int]:
    """The largest N that all prompts show, and the largest that nearly all do."""
    return int(samples.counts.min()), nearly_all(samples.counts)


def ties(samples: Samples) -> bool:
    """Whether any two samples of a prompt have the same reward."""
    return any(
        bool(((b.rewards[:, 1:] == b.rewards[:, :-1]) & (b.rewards[:, :-1] > -np.inf)).any())
        for b in samples.blocks
    )


def distinct_n(kl: float) -> int | None:
    """The smallest N with ``log N - (N - 1) / N >= kl``; None above 1e14.

    Examples
    --------
    >>> distinct_n(1.0), distinct_n(3.0)
    (7, 54)
    """
    if kl > 31:
        return None
    if kl <= math.log(2) - 0.5:  # what best-of-2 spends: below, the branches of W run together
        return 2 if kl > 0 else 1
    from scipy.special import lambertw

    share = -float(lambertw(-math.exp(-1 - kl)).real)  # u = 1/N solves u exp(-u) = exp(-1 - kl)
    return max(math.ceil((1 - 1e-12) / share), 1)
