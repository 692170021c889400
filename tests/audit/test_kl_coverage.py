"""Intervals of the measured KL hold the truth as often as they say."""

import numpy as np
import pytest

from klimit.audit.kl.estimators import k1, k3
from klimit.audit.kl.means import ByPrompt
from tests.audit.two_tokens import KL, draw


def share(rng, simulate, *, truth, prompts, times=600):
    """How often the interval of simulated samples holds the truth."""
    held = 0
    for _ in range(times):
        values, codes = simulate(rng)
        found = ByPrompt.of(values, codes).estimate(level=0.95, prompts=prompts)
        held += found.low <= truth <= found.high
    return held / times


@pytest.mark.parametrize(("prompts", "samples"), [(30, 1), (30, 4), (200, 2)])
def test_drawn_prompts_are_covered(prompts, samples):
    codes = np.repeat(np.arange(prompts), samples)

    def simulate(rng):
        own = rng.gamma(2.0, 0.5, prompts)[codes]  # KL between prompts: mean 1, skewed
        return rng.normal(own, np.sqrt(2 * own)), codes

    assert 0.92 <= share(np.random.default_rng(0), simulate, truth=1.0, prompts="drawn") <= 0.98


@pytest.mark.parametrize("samples", [2, 4, 16])
def test_fixed_prompts_are_covered(samples):
    own = np.random.default_rng(1).gamma(2.0, 0.5, 40)
    codes = np.repeat(np.arange(40), samples)

    def simulate(rng):
        return rng.normal(own[codes], np.sqrt(2 * own[codes])), codes

    covered = share(np.random.default_rng(2), simulate, truth=own.mean(), prompts="fixed")
    assert 0.92 <= covered <= 0.98


def test_fixed_prompts_with_few_and_with_single_samples_are_covered():
    rng = np.random.default_rng(3)
    codes = np.repeat(np.arange(40), np.r_[np.full(30, 3), np.full(10, 1)])

    def simulate(rng):
        return rng.normal(0.5, 1.0, len(codes)), codes

    assert 0.92 <= share(rng, simulate, truth=0.5, prompts="fixed") <= 0.98


@pytest.mark.parametrize("name", ["k1", "k3", "kl_rb"])
def test_every_estimator_covers_the_enumerated_kl(name):
    codes = np.repeat(np.arange(50), 8)

    def simulate(rng):
        columns = draw(rng, 400)
        ratio = columns["logprob"] - columns["ref_logprob"]
        return {"k1": k1(ratio), "k3": k3(ratio), "kl_rb": columns["kl_rb"]}[name], codes

    assert 0.92 <= share(np.random.default_rng(4), simulate, truth=KL, prompts="drawn") <= 0.98
