"""Best-of-N from samples of a base model: what it gains and spends, how near the limit it is."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from klimit._estimate import Estimate
from klimit.estimate.best_of_n.candidates import Candidates, candidates, sizes_asked
from klimit.estimate.best_of_n.efficiency import efficiency
from klimit.estimate.best_of_n.own_spending import spending_ratio
from klimit.estimate.best_of_n.prompt_means import mean_of_prompts, pairing_rank
from klimit.estimate.best_of_n.prompts import PromptBestOfN, by_prompt
from klimit.estimate.best_of_n.result import BestOfN
from klimit.estimate.checks import check_level, check_seed
from klimit.estimate.kernel import Floats
from klimit.estimate.result import Frontier

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike


def best_of_n(
    base: Any,
    *,
    n: ArrayLike,
    reward: str | None = None,
    judge: Any = None,
    reward_range: tuple[float, float] | None = None,
    level: float = 0.95,
    seed: int = 0,
) -> BestOfN:
    """What does keeping the best of N answers gain and spend, and how near the limit is it?

    The gain is the mean over all N-subsets of a prompt's samples, so it is unbiased for every N up
    to the number of samples; ties are shared. The KL is estimated by reward levels, unbiased for
    any pattern of ties to a few millionths for N of 8 and more and to under 1 % for smaller N with
    8 samples or more; without ties it is ``log N - (N - 1) / N`` exactly. For 0/1 rewards the mean
    reward of the kept answers is pass@N.

    Parameters
    ----------
    base : Rollouts, or rewards as a (prompts, samples) array (NaN = missing) or a sequence of 1-D
        arrays
    n : numbers of draws, each from 1 to the most samples that a prompt has. Prompts with fewer
        samples than the largest n are left out for every n, and counted
    reward : which reward column selects, where there are several
    judge : another reward of the same samples that the kept answers are read by: a column's name,
        or an array where `base` is one. Gain, win rate, limit and efficiency are then the judge's;
        the KL stays
    reward_range : what the reward that is read can be, if known; 0/1 rewards imply (0, 1)
    level : of intervals, which are for the population that the prompts came from
    seed : of random splits, as for `klimit.frontier`

    Returns
    -------
    BestOfN
        Estimates over n, of the shape of `n`; KL in nats per answer, gains in reward units.

    Raises
    ------
    ArgumentError
        Where an n is no whole number from 1 to the most samples that a prompt has.
    DataError
        Where no prompt has two rewards, or a reward is infinite.

    Warns
    -----
    DataWarning
        Where many rewards of a prompt differ by rounding alone, and so do not tie.

    Notes
    -----
    BOND, arXiv 2407.14622, theorem 1, for the law with ties; Beirami et al.,
    arXiv 2401.01879, for the bound on the KL. `klimit.estimate.best_of_n.kl` derives the KL's
    estimate.

    Examples
    --------
    >>> rewards = np.random.default_rng(0).normal(size=(200, 64))
    >>> best = best_of_n(rewards, n=[1, 4])
    >>> print(best.gain[1], "at", round(best.kl[1].value, 4), "nats")  # the truth is 1.03
    1.021 [1.008, 1.034] at 0.6363 nats
    """
    return beside(
        (), base, n=n, reward=reward, judge=judge, reward_range=reward_range, level=level, seed=seed
    )


def beside(
    limits: Sequence[Frontier], base: Any, *, n: ArrayLike, reward: str | None = None,
    judge: Any = None, reward_range: tuple[float, float] | None = None, level: float = 0.95,
    seed: int = 0,
) -> BestOfN:  # fmt: skip
    """`best_of_n` with one of these limits of the same base, digit for digit, where one fits."""
    from klimit.estimate.frontier import frontier

    check_level(level)
    check_seed(seed)
    asked = sizes_asked(n)
    data = candidates(base, reward, judge).enough(int(asked.max()))
    data.warn_of_near_ties()
    how: dict[str, Any] = {"reward_range": reward_range, "level": level, "seed": seed}
    limit = next((one for one in limits if _fits(one, data, **how)), None)
    if limit is None:
        limit = frontier(data.rows(), reward=data.read_name, **how)
    sizes = np.unique(asked)
    samples = limit.samples
    found = by_prompt(data.ranked(samples), sizes.tolist(), samples.prompts, judged=data.judged)
    estimates = _estimates(found, sizes, data, limit)
    rank = pairing_rank(samples, np.concatenate([found.gain, found.kl]))
    ratio = None
    if limit.members is not None and not data.two_levels:
        grid = limit.members.grid
        ratio = spending_ratio(data.ranked(samples), rank, sizes.tolist(), grid, seed=seed)
    same = estimates["gain"] if data.two_levels else None
    spent = estimates["kl"].value
    near = efficiency(
        limit, found, spent, rank, ratio, least=-np.inf if data.judged else 0.0, same=same
    )
    estimates |= {"efficiency": near.efficiency, "limit": near.limit, "own_limit": near.own_limit}
    place = np.searchsorted(sizes, asked)
    tokens = _tokens(data, sizes, level)
    return BestOfN(
        n=asked if asked.ndim else int(asked),
        **{name: estimate[place] for name, estimate in estimates.items()},
        tokens=None if tokens is None else tokens[place],
        reward=data.name,
        judge=data.read_name if data.judged else None,
        base_reward=limit.base_reward,
        zero_one=data.zero_one,
        trusted_kl=limit.trusted_kl,
        prompts=samples.prompts,
        samples=(int(samples.counts.min()), int(samples.counts.max())),
        left_out=data.left_out,
        missing=data.missing,
        level=level,
        notes=data.notes(),
        frontier=limit,
    )


def _fits(
    limit: Frontier, data: Candidates, *, reward_range: tuple[float, float] | None, level: float,
    seed: int,
) -> bool:  # fmt: skip
    """Whether this limit is that of what is read, estimated as best-of-N has it estimated."""
    one = limit.settings
    stated = None if one.range_implied else one.reward_range
    usual = ("average", "drawn", "corrected", "reward")
    return (
        type(limit) is Frontier  # not one that policy samples carry
        and limit.reward == data.read_name
        and (one.budget, one.prompts, one.estimator, one.objective) == usual
        and (stated, one.level, one.seed) == (reward_range, level, seed)
        and np.array_equal(limit.samples.counts, data.lengths)
        and np.allclose(limit.samples.means, _means(data), rtol=0, atol=1e-9 * limit.samples.scale)
    )


def _means(data: Candidates) -> Floats:
    """Of every prompt, which tell whether two have the same samples in the same order."""
    starts = np.cumsum(data.lengths) - data.lengths
    return np.add.reduceat(data.read, starts) / data.lengths


def gain_kl_wins(
    found: PromptBestOfN,
    number: Floats,
    level: float,
    *,
    judged: bool = False,
    span: float = np.inf,
) -> tuple[Estimate, Estimate, Estimate]:
    """Means over prompts; `span` is the widest difference of two rewards, if it is known."""
    draws = number > 1  # the best of one is the base itself
    least, highest = (np.where(draws, end, 0.0) for end in (-np.inf if judged else 0.0, np.inf))
    most = np.where(draws, span, 0.0)
    shown = (-most if judged else 0.0, most)  # what judges otherwise than what selects may fall
    gain = mean_of_prompts(found.gain, level, least=least, most=highest, span=shown)
    lost = np.atleast_1d(np.isnan(found.win_rate).any(axis=1))
    note = ""
    if lost.any():
        all_drawn = ", ".join(f"{n:,.0f}" for n in number[lost])
        note = f"N = {all_drawn} is all that some prompts have: no draw is left to beat"
    rates = np.where(lost[:, None], np.nan, found.win_rate)
    free = draws & judged  # read by another reward, the best may lose to the base
    even, best = np.where(free, 0.0, 0.5), np.where(free, 1.0, number / (number + 1))
    unknown = free | (draws & (found.kl_error > 0))  # without ties the rate is known
    span_of_wins = even, np.where(unknown, best, np.inf)
    wins = mean_of_prompts(rates, level, least=even, most=best, span=span_of_wins, note=note)
    if not judged:
        wins = _with_unseen_ties(wins, found.pairs_win, (0.5, 2 / 3), best, found, number)
    return gain, kl_of_prompts(found, number, level), _where_missing(wins)


def kl_of_prompts(found: PromptBestOfN, number: Floats, level: float) -> Estimate:
    """Mean KL over prompts: known without ties; with some, also where none stands at the top of all."""
    tied = (found.kl_error > 0) & (number > 1)
    doubt = found.kl_error * np.abs(np.sort(found.tied, axis=1).mean(axis=1))
    bound = np.log(number) - (number - 1) / number
    span = 0.0, np.where(tied, bound, np.inf)
    kl = mean_of_prompts(found.kl, level, least=0.0, most=bound, span=span, doubt=doubt)
    return _with_unseen_ties(kl, found.pairs_kl, (0.0, np.log(2) - 0.5), bound, found, number)


def _with_unseen_ties(
    of_all: Estimate, pairs: Floats, distinct: tuple[float, float], bound: Floats,
    found: PromptBestOfN, number: Floats,
) -> Estimate:  # fmt: skip
    """An interval that reaches as low as ties may lie which few draws of all N hold.

    Many pairs do: the share of the number that ties take is as large as best-of-2 leaves open, up to
    what as many draws of N as there are would have shown.

    Parameters
    ----------
    pairs : (prompts,) the number for best-of-2
    distinct : the number for one draw, and for best-of-2 where no rewards tie
    bound : (sizes,) the number where no rewards tie
    """
    tied = (found.kl_error > 0) & (number > 1)
    if not tied.any():
        return of_all
    none, two = distinct
    least = mean_of_prompts(pairs[None], of_all.level, least=none, most=two, span=distinct).low[0]
    unseen = 1 - ((1 - of_all.level) / 2) ** (number / max(found.samples.sum(), 1))
    low = none + (bound - none) * (least - none) / (two - none)
    low = np.fmax(low, of_all.value - unseen * (of_all.value - none))
    return replace(of_all, low=np.where(tied & (low < of_all.low), low, of_all.low))


def _estimates(
    found: PromptBestOfN, sizes: Any, data: Candidates, limit: Frontier
) -> dict[str, Estimate]:
    level, samples = limit.settings.level, limit.samples
    number = sizes.astype(float)
    known = limit.settings.reward_range
    least, most = (-np.inf, np.inf) if known is None else known
    gain, kl, wins = gain_kl_wins(found, number, level, judged=data.judged, span=most - least)
    bound = np.log(number) - (number - 1) / number
    kept = found.gain + samples.means
    kept_reward = mean_of_prompts(kept, level, least=least, most=most, span=(least, most))
    if known is not None:  # where all prompts keep as much, one that would not may be unseen
        alike = np.ptp(kept, axis=1) <= 1e-12 * (most - least)
        unseen = np.where(alike & (sizes > 1), kept_reward.value - kept_reward.low, 0.0)
        floor = -np.inf if data.judged else 0.0
        gain = replace(gain, low=np.maximum(gain.low - unseen, floor))
    if not data.judged:
        gain, kl, kept_reward = _rising(gain), _rising(kl), _rising(kept_reward)
    return {
        "gain": gain,
        "kl": kl,
        "kl_bound": Estimate(bound, bound, bound, level, bound >= 0),
        "win_rate": wins,
        "per_doubling": _per_doubling(found.gain, number, level, data.judged, most - least),
        "kept_reward": kept_reward,
    }


def _rising(found: Estimate) -> Estimate:
    """What does not fall with N, with intervals whose ends do not either."""
    low = np.fmin(np.maximum.accumulate(found.low), found.value)
    high = np.fmax(np.minimum.accumulate(np.asarray(found.high)[::-1])[::-1], found.value)
    return Estimate(found.value, low, high, found.level, found.trusted, found.note)


def _per_doubling(
    gain: Floats, number: Floats, level: float, judged: bool, span: float
) -> Estimate:
    """Gain per doubling of N since the next smaller N asked, or since 1; `span` as above."""
    before = np.concatenate(([1.0], number[:-1]))
    start = np.concatenate([np.zeros((1, gain.shape[1])), gain[:-1]])
    with np.errstate(divide="ignore", invalid="ignore"):
        doublings = np.log2(number / before)
        rate, most = (gain - start) / doublings[:, None], span / doublings
    least = -np.inf if judged else 0.0
    shown = (-most if judged else 0.0, most)
    note = "N = 1 is no doubling" if number[0] == 1 else ""
    return _where_missing(mean_of_prompts(rate, level, least=least, span=shown, note=note))


def _where_missing(found: Estimate) -> Estimate:
    """With its note said of those N alone for which there is no value."""
    return replace(found, by_place=np.where(np.isnan(found.value), found.note, ""))


def _tokens(data: Candidates, sizes: Any, level: float) -> Estimate | None:
    """Tokens drawn for one answer."""
    means = data.token_means()
    return None if means is None else mean_of_prompts(sizes[:, None] * means, level, least=0.0)
