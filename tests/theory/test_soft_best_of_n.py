"""Soft best-of-N, against enumeration of every N-tuple and of every type."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy import special

from klimit import _errors
from klimit.theory import best_of_n, ceiling, chi_square, kl, soft_best_of_n, tilt
from tests.strategies import betas, draw_counts, reward_tables


def tuples(table, n, beta):
    """Policy, mean plug-in gain and mean plug-in KL by listing every n-tuple of draws."""
    policy, gain, spent = np.zeros(table.base.size), 0.0, 0.0
    for draws in itertools.product(np.flatnonzero(table.base > 0), repeat=n):
        draws = list(draws)
        chance, reward = np.prod(table.base[draws]), table.reward[draws]
        weight = special.softmax(reward / beta)
        np.add.at(policy, draws, chance * weight)
        gain += chance * (weight @ reward - reward.mean())
        # duplicates are real mass: the plug-in law lives on outcomes
        on_outcomes = np.bincount(draws, weight), np.bincount(draws) / n
        spent += chance * kl(on_outcomes[0] / on_outcomes[0].sum(), on_outcomes[1])
    return policy, gain, spent


def types(base, reward, n, beta):
    """The policy by listing how often each outcome occurs among n draws."""
    policy = np.zeros(base.size)
    for bars in itertools.combinations(range(n + base.size - 1), base.size - 1):
        counts = np.diff([-1, *bars, n + base.size - 1]) - 1
        log_chance = (
            special.gammaln(n + 1)
            + (special.xlogy(counts, base) - special.gammaln(counts + 1)).sum()
        )
        weight = counts * np.exp((reward - reward.max()) / beta)
        policy += np.exp(log_chance) * weight / weight.sum()
    return policy


def spread(table):
    """What rounding may do to a gain: 1e-10 of the rewards' range and 8 ulp of their size."""
    size = np.abs(table.reward).max()
    return 1e-10 * np.ptp(table.reward[table.base > 0]) + 8 * np.finfo(float).eps * size


@settings(max_examples=60)
@given(table=reward_tables(max_outcomes=4), n=st.integers(1, 4), beta=betas(low=0.05, high=100))
def test_the_policy_is_that_of_enumeration_and_its_gain_the_mean_plugin_gain(table, n, beta):
    best, (policy, gain, spent) = (
        soft_best_of_n(table.base, table.reward, n, beta=beta),
        tuples(table, n, beta),
    )
    assert_allclose(best.policy, policy, rtol=1e-11, atol=1e-16)
    centred = table.reward - table.base @ table.reward
    summed = spread(table) + 1e-14 * np.abs(table.reward).max()  # the oracle's own rounding
    assert_allclose(best.gain, policy @ centred, rtol=0, atol=summed)
    assert_allclose(best.gain, gain, rtol=0, atol=summed)
    assert best.kl <= spent + 1e-12  # the plug-in point is reachable in gain, at no less KL


@settings(max_examples=30)
@given(
    table=reward_tables(min_outcomes=2, max_outcomes=3, zeros=False, smallest=1e-8),
    n=st.integers(5, 60),
    beta=betas(low=0.1, high=10),
)
def test_for_larger_n_it_is_the_sum_over_types(table, n, beta):
    best = soft_best_of_n(table.base, table.reward, n, beta=beta)
    expected = types(table.base, table.reward, n, beta)
    assert_allclose(best.policy, expected, rtol=1e-9, atol=1e-13)


@given(table=reward_tables(), n=draw_counts(10**6), beta=betas())
def test_the_tilt_is_no_further_than_chi_square_over_n(table, n, beta):
    best = soft_best_of_n(table.base, table.reward, n, beta=beta)
    best_tilt = tilt(table.base, table.reward, beta=beta)
    bound = np.log1p(chi_square(best_tilt.policy, table.base) / n)
    assert_allclose(best.kl_from_tilt_bound, bound, rtol=1e-9, atol=1e-15)
    assert 0 <= best.kl_from_tilt <= best.kl_from_tilt_bound * (1 + 1e-10) + 1e-15
    if (best.policy[best_tilt.policy > 0] > 1e-300).all():
        found = kl(best_tilt.policy, best.policy)
        assert_allclose(best.kl_from_tilt, found, rtol=1e-8, atol=1e-12)
    assert best.gain <= best_tilt.gain + spread(table)


@given(table=reward_tables(smallest=1e-300), n=draw_counts(10**12), beta=betas(), scale=betas())
def test_extremes_keep_signs_sums_and_scales(table, n, beta, scale):
    best = soft_best_of_n(table.base, table.reward, n, beta=beta)
    most = ceiling(table.base, table.reward)
    hard = best_of_n(table.base, table.reward, n)
    assert_allclose(best.policy.sum(), 1.0, rtol=1e-12)
    assert 0 <= best.gain <= min(hard.gain, most.gain) * (1 + 1e-10) + spread(table)
    assert 0 <= best.kl <= most.kl * (1 + 1e-10) + 1e-300
    assert best.win_rate >= 0.5 - 1e-12
    scaled = soft_best_of_n(table.base, table.reward * scale, n, beta=beta * scale)
    assert_allclose(scaled.kl, best.kl, rtol=1e-9, atol=1e-15)
    moved = soft_best_of_n(table.base, table.reward + 100.0, n, beta=beta)
    assert_allclose(moved.gain, best.gain, rtol=1e-8, atol=spread(table) + 1e-12)


@given(table=reward_tables(prompts=2), n=draw_counts(), beta=betas(), data=st.data())
def test_prompts_counts_and_betas_broadcast_as_if_done_one_by_one(table, n, beta, data):
    ns, bs = np.array([1, n])[:, None, None], np.array([beta, np.inf])[:, None]
    together = soft_best_of_n(table.base, table.reward, ns, beta=bs)
    assert together.gain.shape == together.n.shape == together.kl_from_tilt.shape == (2, 2, 2)
    i, j, k = (data.draw(st.integers(0, 1)) for _ in range(3))
    one = soft_best_of_n(table.base[k], table.reward[k], ns[i, 0, 0], beta=bs[j, 0])
    for name in ("policy", "gain", "kl", "win_rate", "n", "beta", "kl_from_tilt"):
        assert_allclose(getattr(together, name)[i, j, k], getattr(one, name), rtol=1e-14)


@pytest.mark.parametrize("beta", [1e-2, 1e-6, 1e-300, 5e-324])
@pytest.mark.parametrize("n", [2, 4, 1e12])
def test_without_softness_it_is_best_of_n(n, beta):
    base, reward = [0.4, 0.2, 0.1, 0.3], [0, 1, 1, 2]
    if n * np.exp(-1 / beta) > 1e-20:  # then softness still shows: e^-100 against 1e12 draws
        return
    soft, hard = soft_best_of_n(base, reward, n, beta=beta), best_of_n(base, reward, n)
    assert_allclose(soft.policy, hard.policy, rtol=1e-13, atol=1e-300)
    for name in ("gain", "kl", "win_rate", "chi_square"):
        assert_allclose(getattr(soft, name), getattr(hard, name), rtol=1e-12)
    if beta < 1e-200:
        assert_allclose(soft.forward_kl, hard.forward_kl, rtol=1e-12)


@pytest.mark.parametrize("n", [1e12, float(np.exp(40).round()), 1e300, 1e308])
def test_huge_n_reaches_the_tilt_without_overflow(n):
    base, reward = [0.5, 0.3, 0.2], [0, 1, 2]
    best, limit = soft_best_of_n(base, reward, n, beta=0.5), tilt(base, reward, beta=0.5)
    assert_allclose(best.policy, limit.policy, rtol=5e-12)
    assert best.kl_from_tilt <= best.kl_from_tilt_bound + 1e-25


def test_large_beta_keeps_the_digits_of_a_tiny_change():
    # to first order in 1 / beta the policy is base (1 + (1 - 1/n) (reward - mean) / beta)
    base, reward = np.array([0.5, 0.3, 0.2]), np.array([0.0, 1.0, 4.0])
    variance = base @ (reward - base @ reward) ** 2
    for n in (2, 3, 1e12):
        best = soft_best_of_n(base, reward, n, beta=1e12)
        assert_allclose(best.gain, variance / 1e12 * (1 - 1 / n), rtol=1e-11)
        assert_allclose(best.kl, variance / 2e24 * (1 - 1 / n) ** 2, rtol=1e-11)
    assert soft_best_of_n(base, reward, 4, beta=np.inf).policy.tolist() == base.tolist()
    assert soft_best_of_n(base, reward, 1, beta=0.1).policy.tolist() == base.tolist()


def test_rewards_on_many_scales_and_a_thousand_outcomes_are_no_trouble():
    rng = np.random.default_rng(3)
    base = rng.dirichlet(np.ones(1000))
    reward = rng.normal(size=1000) * 10.0 ** rng.integers(-6, 7, size=1000)
    best, hard = soft_best_of_n(base, reward, 64, beta=1e-3), best_of_n(base, reward, 64)
    assert_allclose(best.policy.sum(), 1.0, rtol=1e-13)
    assert best.gain <= hard.gain * (1 + 1e-13)
    assert_allclose(best.gain, hard.gain, rtol=1e-9)


def test_a_constant_reward_a_single_outcome_and_padding_change_nothing():
    flat = soft_best_of_n([0.2, 0.8], [1e6, 1e6], 9, beta=0.01)
    assert (flat.gain, flat.kl, flat.kl_from_tilt, flat.kl_from_tilt_bound) == (0, 0, 0, 0)
    assert soft_best_of_n([1.0], [3.0], 9, beta=0.01).policy.tolist() == [1.0]
    padded = soft_best_of_n([0.5, 0.0, 0.5], [0, np.nan, 1], 3, beta=1.0)
    alone = soft_best_of_n([0.5, 0.5], [0, 1], 3, beta=1.0)
    assert padded.policy[1] == 0
    assert (padded.gain, padded.kl, padded.win_rate) == (alone.gain, alone.kl, alone.win_rate)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"n": 0}, "n must be a finite number of draws"),
        ({"n": [2, 2.5]}, "n must be a whole number of draws; got 2.5 at index 1"),
        ({"beta": 0.0}, "beta must be positive"),
        ({"reward": [0, np.inf]}, "reward must be finite"),
        ({"base": [0.5, 0.6]}, "base must sum to one"),
        ({"base": [[0.5, 0.5]] * 3, "n": [1, 2]}, "n must broadcast"),
        ({"base": [[0.5, 0.5]] * 3, "beta": [1, 2]}, "beta must broadcast"),
    ],
)
def test_impossible_requests_are_an_error(arguments, words):
    usual = {"base": [0.5, 0.5], "reward": [0, 1], "n": 2, "beta": 1.0}
    with pytest.raises(_errors.ArgumentError, match=words):
        soft_best_of_n(**usual | arguments)
