"""Which best-of-N spends a given KL, and what KL a given best-of-N spends."""

from __future__ import annotations

import math

import numpy as np

from klimit._errors import ArgumentError
from klimit.estimate.best_of_n.prompts import by_prompt
from klimit.estimate.best_of_n.ranked import ranked_samples
from klimit.estimate.samples import Samples, ordered_mean


def n_spending(samples: Samples, kl: float) -> int | None:
    """The smallest N whose best-of-N spends at least `kl` nats, mean over prompts.

    From ``log N - (N - 1) / N`` where no two rewards of a prompt tie, for any N. Where some do,
    from reward levels; then None if no N that the samples at hand can show spends so much.
    """
    if not ties(samples):
        return distinct_n(kl)
    low, high = 1, int(samples.counts.min())
    if n_kl(samples, high) < kl:
        return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if n_kl(samples, middle) < kl else (low, middle)
    return high


def n_kl(samples: Samples, n: int) -> float:
    """Mean KL of best-of-n, nats per answer; `klimit.estimate.best_of_n.kl` for tied rewards.

    Raises
    ------
    ArgumentError
        Where rewards tie and a prompt has fewer than n samples.
    """
    if n == 1:
        return 0.0
    if not ties(samples):
        return math.log(n) - (n - 1) / n
    least = int(samples.counts.min())
    if n > least:
        raise ArgumentError(
            f"n={n:,} was given, but rewards tie and a prompt has only {least:,} samples, which do "
            f"not show what best-of-{n:,} spends. Give n up to {least:,}, or the KL itself: kl=..."
        )
    found = by_prompt(ranked_samples(samples), [n], samples.prompts, judged=False)
    return max(ordered_mean(found.kl[0], samples), 0.0)


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
