"""Rewards to estimate from: hypothesis strategies of ragged prompts, and laws whose limit is known."""

import numpy as np
from hypothesis import strategies as st

from tests.strategies import rewards


@st.composite
def reward_rows(
    draw: st.DrawFn,
    *,
    min_prompts: int = 1,
    max_prompts: int = 5,
    min_samples: int = 2,
    max_samples: int = 9,
    holes: bool = False,
) -> list[np.ndarray]:
    """Prompts with different numbers of samples; ties, constant prompts and, if asked, NaN occur."""
    sizes = st.integers(min_samples, max_samples)
    rows = draw(st.lists(sizes.flatmap(rewards), min_size=min_prompts, max_size=max_prompts))
    if holes:
        for row in rows:
            row[draw(st.lists(st.integers(0, len(row) - 1), max_size=2))] = np.nan
    return rows


def base_of(rows):
    """The law that samples enumerate: every sample equally likely."""
    return [np.full(len(row), 1 / len(row)) for row in rows]


def normal_prompts(rng, prompts, samples):
    """Normal rewards with standard deviations from .5 to 1.5; the second result is their mean square."""
    spread = np.linspace(0.5, 1.5, prompts)
    return rng.normal(size=(prompts, samples)) * spread[:, None], float(np.mean(spread**2))


def pass_rates(rng, prompts, samples):
    """0/1 rewards of prompts whose pass rates are Beta(.5, .8); the second result are the rates."""
    rates = rng.beta(0.5, 0.8, size=prompts)
    return (rng.random((prompts, samples)) < rates[:, None]).astype(float), rates
