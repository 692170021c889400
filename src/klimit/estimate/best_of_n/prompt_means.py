"""Means over prompts with intervals that treat prompts as the clusters they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from klimit._estimate import Estimate
from klimit.estimate.intervals import quantiles, skewed_quantiles
from klimit.estimate.kernel import Floats
from klimit.estimate.samples import Integers, Samples

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


_ROUNDING = 1e-12


def mean_of_prompts(
    values: Floats, level: float, *, least: ArrayLike = -np.inf, most: ArrayLike = np.inf,
    span: tuple[ArrayLike, ArrayLike] = (0.0, np.inf), doubt: ArrayLike = 0.0, note: str = "",
) -> Estimate:  # fmt: skip
    """Mean over prompts of an unbiased number, with a t interval of prompts - 1 degrees of freedom.

    Parameters
    ----------
    values : (rows, prompts); a row with a nan has no estimate
    least, most : what the truth can be
    span : least and most that a prompt can show. No law varies more than that of prompts that show
        all or nothing, so the interval ends where the binomial's does (Clopper and Pearson). Where all
        show the same, prompts of another kind may go unseen, and show either end
    doubt : bound on the bias, added in quadrature to either side

    Examples
    --------
    >>> print(mean_of_prompts(np.array([[1.0, 2.0, 3.0, 4.0]]), 0.95)[0])
    2.5 [0.4, 4.6]
    """
    prompts = values.shape[1]
    ordered = np.sort(values, axis=1)  # so that no digit depends on the order of prompts
    mean = ordered.mean(axis=1) if prompts else np.full(len(values), np.nan)
    low, high = np.full(len(mean), -np.inf), np.full(len(mean), np.inf)
    if prompts > 1:
        with np.errstate(invalid="ignore"):
            error = np.sqrt(((ordered - mean[:, None]) ** 2).sum(axis=1) / (prompts - 1) / prompts)
        below, above = skewed_quantiles(ordered - mean[:, None], quantiles(level, prompts)[0])
        down, up = _all_or_nothing(ordered, mean, span, level)
        alike = (error <= _ROUNDING * np.abs(mean)) & np.isfinite(down)
        other = 1 - ((1 - level) / 2) ** (1 / prompts)  # chance of a prompt unlike all of so many
        least_shown, most_shown = (np.asarray(end, dtype=float) for end in span)
        with np.errstate(invalid="ignore"):
            down = np.where(alike, other * (mean - least_shown), np.fmin(above * error, down))
            up = np.where(alike, other * (most_shown - mean), np.fmin(below * error, up))
        low, high = mean - np.hypot(down, doubt), mean + np.hypot(up, doubt)
    value = np.clip(mean, least, most)
    low, high = np.clip(low, least, most), np.clip(high, least, most)
    lost = np.isnan(mean)
    low, high = np.where(lost, np.nan, low), np.where(lost, np.nan, high)
    return Estimate(
        value,
        np.fmin(low, value),
        np.fmax(high, value),
        level,
        np.ones(len(mean), dtype=bool),
        note,
    )


def _all_or_nothing(
    values: Floats, mean: Floats, span: tuple[ArrayLike, ArrayLike], level: float
) -> tuple[Floats, Floats]:
    """How far below and above their mean the truth may lie if prompts show the least or the most.

    nan where nothing is known of what they can show.
    """
    from scipy.special import betaincinv

    least, most = (np.broadcast_to(np.asarray(end, dtype=float), mean.shape) for end in span)
    with np.errstate(invalid="ignore"):
        width = np.where(np.isfinite(most - least) & (most > least), most - least, np.nan)
        first, last = (values[:, 0] - least) / width, (values[:, -1] - least) / width
    width = np.where((first > -_ROUNDING) & (last < 1 + _ROUNDING), width, np.nan)
    prompts, tail = values.shape[1], (1 - level) / 2
    shown = np.clip((mean - least) / width, 0.0, 1.0) * prompts
    low = np.where(shown > 0, betaincinv(shown, prompts - shown + 1, tail), 0.0)
    high = np.where(shown < prompts, betaincinv(shown + 1, prompts - shown, 1 - tail), 1.0)
    return (mean - least) - low * width, high * width - (mean - least)


def pairing_rank(samples: Samples, values: Floats) -> Integers:
    """The canonical rank of each prompt, ties between prompts of equal rewards broken by `values`.

    Ranks follow the rewards that are read. Two prompts of equal rewards may differ in what selected
    them, and then the order of the file must not decide which group each belongs to.

    Parameters
    ----------
    values : (rows, prompts)
    """
    signature = np.empty(samples.prompts)
    for block in samples.blocks:
        weights = np.random.default_rng(block.rewards.shape[1]).random(block.rewards.shape[1])
        finite = np.where(block.rewards > -np.inf, block.rewards, 0.0)
        signature[block.prompts] = np.einsum("ij,j->i", finite, weights)
    signature = np.round(signature / (samples.scale or 1.0), 9)
    rank = np.empty(samples.prompts, dtype=np.int64)
    by_content = np.lexsort((*values, signature, samples.counts))
    rank[by_content] = samples.rank[np.lexsort((samples.rank, signature, samples.counts))]
    return rank
