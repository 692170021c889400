"""From a KL budget, a gain, an N or a beta to the other three, and to how many samples it takes."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from klimit._errors import ArgumentError, DataError
from klimit._estimate import Estimate, beyond
from klimit._text import safe
from klimit.estimate.best_of_n.equal_n import n_kl, n_spending, n_spends, too_small
from klimit.estimate.checks import is_number, numbers, whole
from klimit.estimate.frontier import frontier
from klimit.estimate.inputs import known_means, reward_column
from klimit.estimate.plan.result import Plan
from klimit.estimate.plan.settings import Setting, Target, spread_of_rewards, trainer_settings
from klimit.estimate.result import Frontier
from klimit.estimate.samples import nearly_all
from klimit.estimate.samples_needed import (
    FEWEST_PROMPTS,
    FURTHEST,
    ErrorSplit,
    error_split,
    least_samples,
    up,
)
from klimit.estimate.statistics import FEWEST, enough


def plan(
    base: Any,
    *,
    reward: str | None = None,
    kl: float | None = None,
    gain: float | None = None,
    n: int | None = None,
    beta: float | None = None,
    error: float = 0.05,
    group_size: int = 8,
    reward_range: tuple[float, float] | None = None,
    level: float = 0.95,
    seed: int = 0,
) -> Plan:
    """Which beta and which N spend a KL budget, what is gained there, how many samples show it?

    Give one of the budget, a gain, an N or a beta; the other three follow from the frontier.

    The prompts and samples of the plan are for prompts drawn afresh from the same population. With
    them, ``klimit.frontier(...).gain(kl)`` should have a root mean square error, spread and bias
    together, of `error` times the gain. That extrapolates from the data at hand; the spread is
    taken at its upper limit, and ``docs/tables/plan.md`` has the errors that were reached in
    simulations.

    Parameters
    ----------
    base : Rollouts, or rewards as a (prompts, samples) array (NaN = missing) or a sequence of 1-D
        arrays
    reward : which reward column, where there are several
    kl : budget, nats per completion, mean over prompts
    gain : wanted gain, reward units over the base's mean
    n : the budget is what best-of-n spends
    beta : the budget is what the optimal policy at this coefficient spends, reward units per nat
    error : wanted root mean square error of the gain, over the gain
    group_size : completions of a prompt in a training batch; enters the coefficients of GRPO
    reward_range : what rewards can be, if known; 0/1 rewards imply (0, 1)
    level : of intervals
    seed : of random splits

    Returns
    -------
    Plan
        KL in nats per completion, gain in reward units, what to type in each trainer.

    Raises
    ------
    ArgumentError
        Unless exactly one of kl, gain, n and beta is given, or where it is out of reach.
    DataError
        Where the data do not show how prompts and samples differ: one prompt, constant rewards, or
        under 4 samples of most prompts.

    Notes
    -----
    arXiv 2605.07105, section 3, for the frontier and its slope beta;
    `klimit.estimate.samples_needed` for the error; `klimit.estimate.plan.settings` and
    `klimit.estimate.plan.trainers` for what to type.

    Examples
    --------
    >>> rewards = np.random.default_rng(0).normal(size=(200, 64))
    >>> found = plan(rewards, kl=0.5)
    >>> print(found)  # the truth: beta 1, gain 1
    To spend 0.5 nats, train with beta = ... reward per nat, or keep the best of 4 answers.
    The most that any method can gain there is ..., in reward over the base.
    To know that to 5 %, take ...
    >>> print(found.settings[0])
    TRL RLOO: beta=...
    """
    asked, number = _only_one(kl=kl, gain=gain, n=n, beta=beta)
    if not is_number(error) or not 0 < error < 1:
        raise ArgumentError(
            f"error={safe(error, longest=40)} was given; a share of the gain between 0 and 1 was expected, "
            "such as 0.05."
        )
    group_size = whole("group_size", group_size, "completions")
    limit = frontier(base, reward=reward, reward_range=reward_range, level=level, seed=seed)
    _check(limit)
    spent, slope, reached = _point(limit, asked, number)
    budget = float(spent)
    shown = budget <= limit.trusted_kl or limit.settings.reward_range is not None
    if not float(slope) > 0 and not shown:
        raise ArgumentError(
            f"{asked}={number:g} was given, which takes {budget:.3g} nats; {limit.samples.counts.max()} "
            f"samples of a prompt show nothing beyond {limit.curve.ceiling_kl:.2g}. Ask for less, or draw "
            "more samples first."
        )
    split = error_split(limit, max(budget, _LEAST_KL))
    least = least_samples(split, budget / limit.spenders)
    _check_error(split, float(error), least)
    prompts, samples = split.cheapest(error, least_samples=least)
    equal_n = int(number) if asked == "n" else n_spending(limit.samples, budget)
    if asked != "n" and equal_n == 2 and too_small(limit.samples, budget):
        equal_n = None
    settings = _settings(base, limit, budget, float(slope), group_size)
    return Plan(
        kl=spent,
        beta=slope,
        gain=reached,
        n=equal_n,
        prompts=prompts,
        samples=samples,
        error=float(error),
        error_now=split.error(),
        split=split,
        next=split.next_purchase,
        settings=settings,
        asked=asked,
        reward=limit.reward,
        notes=_notes(limit, budget, split, samples, equal_n, flat=not settings),
    )


_LEAST_KL = 1e-3  # below, the error of a gain is the same share of it

_EXPECTED = {
    "kl": "nats per completion, more than 0",
    "gain": "reward units over the base's mean, more than 0",
    "n": "a whole number of answers, 2 or more",
    "beta": "reward units per nat, more than 0",
}


def _only_one(**options: float | None) -> tuple[str, float]:
    """The one of the four that was given, and its value."""
    given = {name: value for name, value in options.items() if value is not None}
    if len(given) != 1:
        seen = " and ".join(f"{name}={safe(value, longest=20)}" for name, value in given.items())
        raise ArgumentError(
            f"exactly one of kl, gain, n and beta was expected; got {seen or 'none of them'}. "
            "Give the one you know."
        )
    ((name, value),) = given.items()
    try:
        number = float(numbers(name, value, "numbers"))  # refuses arrays of several
    except (TypeError, ValueError):  # and an ArgumentError is one
        number = math.nan
    fine = math.isfinite(number) and number > 0
    if not fine or (name == "n" and (number < 2 or number != int(number))):
        raise ArgumentError(
            f"{name}={safe(value, longest=40)} was given; {_EXPECTED[name]}, was expected."
        )
    return name, number


def plannable(limit: Frontier) -> bool:
    """Whether a plan is of this limit's reward, and the data show how prompts and samples differ."""
    if limit.settings.objective != "reward":
        return False
    try:
        _check(limit)
    except DataError:
        return False
    return True


def _check(limit: Frontier) -> None:
    samples = limit.samples
    if limit.members is None:
        raise DataError(
            f"every prompt gives the same {safe(limit.reward, longest=40)} to all its samples, so no "
            "gain is seen to plan for. Check the reward, draw more samples, or sample prompts that are "
            "easier where all fail, harder where all are solved."
        )
    if samples.prompts < 2:
        raise DataError(
            "one prompt does not show how prompts differ; two or more were expected. "
            "Sample more prompts."
        )
    if not enough(samples):
        raise DataError(
            f"many prompts have fewer than {FEWEST} samples, which do not show the bias "
            "that more would cure. Draw 16 samples of some 50 prompts and plan with those."
        )


def _check_error(split: ErrorSplit, error: float, least: float) -> None:
    bias = split.least_bias(least)
    if error <= bias * (1 + 1e-9):
        raise ArgumentError(
            f"error={error:g} was given, but {up(FURTHEST * least):,} samples of a prompt still leave a "
            f"bias of {bias:.1g} of the gain; more than that was expected, such as {2 * bias:.1g}."
        )


def _point(limit: Frontier, asked: str, number: float) -> tuple[Estimate, Estimate, Estimate]:
    """KL, beta and gain; what was given has no interval."""

    def given(value: float) -> Estimate:
        return Estimate(value, value, value, limit.settings.level)

    if asked == "beta":
        at = limit.at(beta=number)
        return at.kl, given(number), at.gain
    if asked == "gain":
        spent = limit.kl(number)
        if not math.isfinite(spent.value):
            raise ArgumentError(
                f"gain={number:g} was given, but {spent.note}; the samples at hand show gains up "
                f"to {limit.curve.ceiling_gain:.3g}. Give less, or draw more samples a prompt."
            )
        return spent, _steepness(limit, spent), given(number)
    spent = given(number)
    if asked == "n":
        spent = n_spends(limit.samples, int(number), limit.settings.level)
    if not spent.value > 0:
        raise ArgumentError(
            f"n={number:.0f} was given, but as far as the samples show its best spends nothing. "
            "Give the KL itself: kl=..."
        )
    best = limit.gain(spent.value)
    low, high = limit.gain(spent.low).low, limit.gain(spent.high).high
    return spent, limit.beta(spent.value), replace(best, low=low, high=high)


def _steepness(limit: Frontier, spent: Estimate) -> Estimate:
    """The slope where the frontier reaches a gain.

    What makes the frontier higher makes it steeper, and the KL of a gain less, where it is steeper still.
    """
    low = limit.beta(spent.high).low if math.isfinite(spent.high) else 0.0
    return replace(limit.beta(spent.value), low=low, high=limit.beta(spent.low).high)


def _settings(
    base: Any, limit: Frontier, kl: float, beta: float, group: int
) -> tuple[Setting, ...]:
    spread = spread_of_rewards(limit, 1 / beta) if beta > 0 and math.isfinite(beta) else 0.0
    if not spread > 0:  # all are at their best there, as they are at smaller budgets
        return ()
    target = Target(
        beta=beta,
        kl=kl,
        group=group,
        batch_sd=spread,
        base_sd=spread_of_rewards(limit, 0.0),
        tokens=_mean_tokens(base),
    )
    return trainer_settings(target)


def _mean_tokens(base: Any) -> float | None:
    """Mean length of a completion, prompts weighing equally; None without a column of tokens."""
    if not hasattr(base, "grouped"):
        return None
    try:
        column = reward_column(base, "tokens")
    except (ArgumentError, DataError):
        return None
    means = np.sort(known_means(column.values, column.lengths))  # in any order the same digits
    return float(means.mean()) if len(means) and means.mean() > 0 else None


def _notes(
    limit: Frontier, kl: float, split: ErrorSplit, samples: int, n: int | None, *, flat: bool
) -> tuple[str, ...]:
    found = []
    if kl > limit.trusted_kl:
        found.append(
            f"a KL of {kl:.3g} lies {beyond(limit.trusted_kl)} of the samples at hand, so this is a first "
            "guess: draw what it asks for and plan again."
        )
    if limit.samples.prompts < FEWEST_PROMPTS:
        found.append(
            f"{limit.samples.prompts} prompts hardly show how prompts differ: the error at hand may be "
            "several times as large."
        )
    if limit.tail.heavy and split.bias > 0.2 * split.error():
        found.append(
            "the rewards have an exponential tail or a heavier one, whose bias falls more slowly "
            "than samples show: take the samples of this plan for the least that it needs."
        )
    elif samples > 20 * split.samples:
        found.append(
            f"{samples:,} samples a prompt are far from the {split.samples:,.0f} at hand: "
            "a rough extrapolation."
        )
    if n is None and too_small(limit.samples, kl):
        found.append(f"no N spends so little: best-of-2 spends {n_kl(limit.samples, 2):.2g} nats.")
    elif n is None:
        why = f"up to {nearly_all(limit.samples.counts):,}, the samples of a prompt at hand,"
        found.append(
            f"no N {why} spends a KL of {kl:.3g}; of more nothing is known, since answers tie."
        )
    if flat:
        found.append(
            "the gain is flat here: no KL coefficient is needed, a smaller budget gains as much."
        )
    return tuple(found)
