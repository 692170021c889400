"""Hypothesis strategies that tests share: distributions, rewards, prompts, coefficients, budgets.

Import with ``from tests.strategies import ...``. Sizes stay small, since oracles enumerate, but
zero probabilities, ties, constant rewards and rare outcomes all occur.
"""

from typing import NamedTuple

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class RewardTable(NamedTuple):
    """One prompt, or several on a leading axis: probabilities and rewards of the outcomes."""

    base: Floats
    reward: Floats


class Prompts(NamedTuple):
    """Ragged prompts and what each counts for."""

    base: list[Floats]
    reward: list[Floats]
    weights: Floats


def _normalised(weights: list[float]) -> Floats:
    array = np.array(weights)
    return array / array.sum()


def distributions(
    outcomes: int | None = None,
    *,
    min_outcomes: int = 1,
    max_outcomes: int = 6,
    smallest: float = 1e-4,
    zeros: bool = True,
) -> st.SearchStrategy[Floats]:
    """Probabilities over a few outcomes; `smallest` bounds what is not zero, before rescaling."""
    positive = st.floats(np.log(smallest), 0.0).map(lambda x: float(np.exp(x)))
    weight = st.one_of(positive, st.just(0.0)) if zeros else positive
    size = (outcomes, outcomes) if outcomes else (min_outcomes, max_outcomes)
    return (
        st.lists(weight, min_size=size[0], max_size=size[1])
        .filter(lambda weights: max(weights) > 0)
        .map(_normalised)
    )


def rewards(outcomes: int) -> st.SearchStrategy[Floats]:
    """Rewards of a few outcomes: real numbers, 0/1, or a short scale with ties."""
    value = st.floats(-5.0, 5.0).map(lambda x: round(x, 6))
    number = st.one_of(
        st.just(value), st.just(st.sampled_from([0.0, 1.0])), st.just(st.integers(0, 3))
    )
    return number.flatmap(lambda one: st.lists(one, min_size=outcomes, max_size=outcomes)).map(
        lambda values: np.array(values, dtype=float)
    )


@st.composite
def reward_tables(
    draw: st.DrawFn,
    *,
    prompts: int | None = None,
    min_outcomes: int = 1,
    max_outcomes: int = 6,
    smallest: float = 1e-4,
    zeros: bool = True,
) -> RewardTable:
    """One prompt of shape (outcomes,), or several of shape (prompts, outcomes)."""
    outcomes = draw(st.integers(min_outcomes, max_outcomes))
    rows = [
        (draw(distributions(outcomes, smallest=smallest, zeros=zeros)), draw(rewards(outcomes)))
        for _ in range(prompts or 1)
    ]
    base, reward = (np.stack(column) for column in zip(*rows, strict=True))
    return RewardTable(base, reward) if prompts else RewardTable(base[0], reward[0])


@st.composite
def ragged_prompts(
    draw: st.DrawFn, *, min_prompts: int = 1, max_prompts: int = 4, max_outcomes: int = 6
) -> Prompts:
    """Prompts with different numbers of outcomes, and weights."""
    tables = draw(
        st.lists(
            reward_tables(max_outcomes=max_outcomes), min_size=min_prompts, max_size=max_prompts
        )
    )
    weights = draw(
        st.lists(st.floats(0.1, 1.0), min_size=len(tables), max_size=len(tables)).map(_normalised)
    )
    return Prompts([t.base for t in tables], [t.reward for t in tables], weights)


def betas(low: float = 1e-2, high: float = 1e3) -> st.SearchStrategy[float]:
    """KL coefficients, spread over their logarithm."""
    return st.floats(np.log(low), np.log(high)).map(lambda x: float(np.exp(x)))


def budgets(low: float = 1e-6, high: float = 10.0) -> st.SearchStrategy[float]:
    """KL budgets in nats, spread over their logarithm."""
    return st.floats(np.log(low), np.log(high)).map(lambda x: float(np.exp(x)))


def draw_counts(high: int = 1000) -> st.SearchStrategy[int]:
    """Numbers of draws for best-of-N, spread over their logarithm."""
    return st.floats(0.0, np.log(high)).map(lambda x: max(1, round(float(np.exp(x)))))
