"""Rewards with a best value that many samples reach: what their bias is told from, and what that buys."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats

import klimit
from klimit import theory
from klimit.estimate.few_levels import level_counts
from klimit.estimate.rounding import rounded_levels
from klimit.estimate.samples import collect


def samples_of(rewards):
    rewards = np.asarray(rewards, dtype=float)
    return collect(rewards.ravel(), np.full(len(rewards), rewards.shape[1]))


def cut_off(rng, prompts, samples):
    return np.minimum(rng.normal(rng.normal(0.0, 0.5, (prompts, 1)), 0.6, (prompts, samples)), 1.0)


def shares_of_tests(rng, prompts):
    """Chances of each number of tests passed, of 3 to 30 tests a prompt; and the rewards of each."""
    tests = rng.integers(3, 31, (prompts, 1))
    mean, alike = rng.beta(1.0, 1.5, (prompts, 1)), rng.uniform(1, 6, (prompts, 1))
    passed = np.arange(31)
    chances = stats.betabinom.pmf(passed, tests, mean * alike + 1e-3, (1 - mean) * alike + 1e-3)
    return chances / chances.sum(axis=1, keepdims=True), np.minimum(passed / tests, 1.0)


def test_the_best_and_common_values_are_levels_of_their_own():
    rng = np.random.default_rng(0)
    rewards = cut_off(rng, 60, 32)
    rewards[rewards < -0.5] = -0.5
    levels = rounded_levels(samples_of(rewards))
    assert levels.values[[0, -1]] == pytest.approx([-0.5, 1.0], abs=1e-12)
    counts = level_counts(samples_of(rewards), levels)
    assert counts.sum() == rewards.size
    assert counts[:, -1].sum() == (rewards == 1.0).sum()
    assert counts[:, 0].sum() == (rewards == -0.5).sum()
    assert counts[:, 1:-1].sum(axis=0).max() < 2 * counts[:, 1:-1].sum(axis=0).min()


@pytest.mark.parametrize(
    "rewards",
    [
        np.random.default_rng(1).normal(size=(50, 16)),
        np.minimum(np.random.default_rng(2).normal(size=(50, 16)), 3.0),
        np.where(np.arange(50)[:, None] < 4, 9.0, np.random.default_rng(3).normal(size=(50, 16))),
        np.random.default_rng(4).normal(size=(1, 16)),
    ],
    ids=[
        "continuous",
        "a best value that is rare",
        "a best value of few prompts",
        "a best of its own",
    ],
)
def test_other_rewards_are_not_rounded(rewards):
    assert rounded_levels(samples_of(rewards)) is None


def test_prompts_that_all_stand_at_the_best_leave_nothing_to_round():
    rewards = [[1.0] * 8] * 1500 + [[0.0, 1.0]] * 20
    lengths = np.array([len(x) for x in rewards])
    assert rounded_levels(collect(np.concatenate(rewards), lengths)) is None


@pytest.mark.parametrize(("factor", "shift"), [(3.7, 0.0), (0.1, 11.0), (1e-6, 1e3)])
def test_rounding_scales_and_shifts_with_the_rewards(factor, shift):
    rng = np.random.default_rng(4)
    chances, values = shares_of_tests(rng, 60)
    rewards = np.stack([rng.choice(v, 16, p=p) for v, p in zip(values, chances, strict=True)])
    one, other = (samples_of(x) for x in (rewards, factor * rewards + shift))
    assert_allclose(
        rounded_levels(other).values, factor * rounded_levels(one).values + shift, rtol=1e-9
    )
    counts = [level_counts(x, rounded_levels(x)) for x in (one, other)]
    np.testing.assert_array_equal(counts[0].sum(axis=0), counts[1].sum(axis=0))


def test_sixteen_samples_of_tests_passed_are_trusted_to_a_nat_and_hold():
    kl, off, held, trusted = np.array([0.25, 0.5, 1.0]), [], [], []
    for seed in range(6):
        rng = np.random.default_rng([5, seed])
        chances, values = shares_of_tests(rng, 150)
        true = theory.frontier(chances, values).gain(kl)
        rewards = np.stack([rng.choice(v, 16, p=p) for v, p in zip(values, chances, strict=True)])
        found = klimit.frontier(rewards, prompts="fixed").gain(kl)
        off.append(found.value / true - 1)
        held.append((found.low <= true) & (true <= found.high))
        trusted.append(found.trusted)
    assert np.mean(trusted) > 0.9
    assert np.mean(held) > 0.85
    assert np.abs(np.mean(off, axis=0)).max() < 0.015


def test_gold_of_answers_that_pass_the_visible_tests_is_as_near_as_chance_allows():
    """The proxy is visible tests passed, gold that all hidden ones are."""
    kl, off = np.array([0.5, 1.0]), []
    for seed in range(4):
        rng = np.random.default_rng([9, seed])
        chances, shares = shares_of_tests(rng, 100)
        hidden = shares**4 * rng.uniform(0.6, 1.0, (100, 1))
        hidden[shares == 1.0] *= 0.8
        place = np.stack([rng.choice(31, 64, p=p) for p in chances])
        proxy, rate = (np.take_along_axis(x, place, axis=1) for x in (shares, hidden))
        found = klimit.hacking(
            proxy, gold=(rng.random(rate.shape) < rate).astype(float), prompts="fixed"
        )
        spent = theory.frontier(chances, shares)
        tilted = chances * np.exp(shares / np.array([spent.beta(x) for x in kl])[:, None, None])
        tilted /= tilted.sum(axis=2, keepdims=True)
        true = ((tilted - chances) * hidden).sum(axis=2).mean(axis=1)
        off.append(found.gold_gain(kl).value / true - 1)
    assert (np.sqrt(np.mean(np.square(off), axis=0)) < [0.12, 0.18]).all()
