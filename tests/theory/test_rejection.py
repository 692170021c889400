"""Rejection sampling and importance sampling: what they cost, against exact sums."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy import stats

from klimit import _errors
from klimit.theory import (
    approximate_rejection_draws,
    importance_draws,
    importance_error,
    kl,
    rejection_sampling,
    renyi,
    tilt,
    total_variation,
)
from tests.strategies import betas, distributions, reward_tables


@given(table=reward_tables(), beta=betas(low=0.02), room=st.floats(0.0, 3.0))
def test_accepted_draws_follow_the_tilt_at_the_rate_said(table, beta, room):
    base, reward = table
    best = tilt(base, reward, beta=beta)
    bound = reward[base > 0].max() + room
    for sampling, top in (
        (rejection_sampling(base, reward, beta=beta), bound - room),
        (rejection_sampling(base, reward, beta=beta, reward_bound=bound), bound),
    ):
        accepted = base * np.where(base > 0, np.exp((reward - top) / beta), 0.0)
        if accepted.sum() < 1e-280:
            continue
        assert_allclose(sampling.acceptance_rate, accepted.sum(), rtol=1e-9)
        assert_allclose(accepted / accepted.sum(), best.policy, rtol=1e-9, atol=1e-14)
        assert_allclose(sampling.expected_draws * sampling.acceptance_rate, 1.0, rtol=1e-12)
    sharp = rejection_sampling(base, reward, beta=beta)
    if best.policy[base > 0].min() > 1e-300:
        largest = renyi(best.policy, base, alpha=np.inf)
        assert_allclose(sharp.log_expected_draws, largest, rtol=1e-9, atol=1e-12)
    assert sharp.expected_draws >= 1


@given(table=reward_tables(), beta=betas(low=0.02), failure=st.floats(1e-6, 0.9))
def test_after_the_draws_said_none_is_accepted_with_the_chance_said(table, beta, failure):
    sampling = rejection_sampling(table.base, table.reward, beta=beta)
    draws = sampling.draws(failure=failure)
    missed = (1 - sampling.acceptance_rate) ** draws
    if draws > 1:
        assert_allclose(missed, failure, rtol=1e-6)
    else:
        assert missed <= failure * (1 + 1e-9)


def test_rates_and_draws_keep_their_digits_and_overflow_only_where_floats_do():
    rare = rejection_sampling([1.0, 1e-300], [0, 1], beta=1e-3)
    assert_allclose(rare.expected_draws, 1e300, rtol=1e-10)
    assert_allclose(rare.draws(failure=np.exp(-2)), 2e300, rtol=1e-10)
    far = rejection_sampling([0.5, 0.5], [0, 1], beta=1e-3, reward_bound=2.0)
    assert_allclose(far.log_expected_draws, 1000 + np.log(2), rtol=1e-14)
    assert (far.expected_draws, far.acceptance_rate) == (np.inf, 0)
    slight = rejection_sampling([0.5, 0.3, 0.2], [0, 1e6, 4e6], beta=1e18)
    assert_allclose(slight.log_expected_draws, 2.9e-12, rtol=1e-6)
    certain = rejection_sampling([0.2, 0.8], [3, 3], beta=0.1)
    assert (certain.expected_draws, certain.draws(failure=0.01)) == (1, 1)
    assert rejection_sampling([0.2, 0.8], [0, 1], beta=np.inf).expected_draws == 1
    both = rejection_sampling([[0.5, 0.5], [0.9, 0.1]], [0, 1], beta=[[1.0], [0.1], [0.01]])
    assert both.expected_draws.shape == both.draws(failure=0.1).shape == (3, 2)


@settings(max_examples=50)
@given(data=st.data(), error=st.floats(0.3, 0.95))
def test_capped_rejection_sampling_is_as_near_as_block_and_polyanskiy_say(data, error):
    size = data.draw(st.integers(1, 6))
    policy, base = (data.draw(distributions(size, smallest=1e-6, zeros=False)) for _ in range(2))
    spent = kl(policy, base)
    draws = approximate_rejection_draws(spent, error=error)
    cap = np.exp(min(4 * spent / error, 700.0))
    accept = np.minimum(policy / base, cap) / cap  # at least 1 / cap of the policy's weight
    rate = base @ accept
    left = np.exp(np.floor(draws) * np.log1p(-rate)) if rate < 1 else 0.0
    assert total_variation(base * accept / rate, policy) + left <= error + 1e-9


def test_the_worst_case_number_is_the_formula_and_never_below_two():
    assert_allclose(approximate_rejection_draws(1.0, error=0.1), 1.56700275685e18, rtol=1e-11)
    assert_allclose(approximate_rejection_draws(0.0, error=1 - 1e-12), 1.386294361e12, rtol=1e-3)
    assert approximate_rejection_draws(0.0, error=0.5) >= 2
    assert approximate_rejection_draws(10.0, error=1e-3) == np.inf
    log = approximate_rejection_draws([0.0, 10.0], error=[[1e-3], [0.5]], log=True)
    assert log.shape == (2, 2)
    assert_allclose(log[0, 1], 40_000 + np.log(2 / 0.999 * np.log(2000)), rtol=1e-14)


def test_importance_draws_are_e_to_the_kl_and_a_few_deviations():
    reward = np.linspace(-12, 12, 4001)
    base = stats.norm.pdf(reward) / stats.norm.pdf(reward).sum()
    for nats in (2.0, 4.0, 8.0):
        policy = tilt(base, reward, beta=1 / np.sqrt(2 * nats)).policy
        expected = np.exp(nats + np.sqrt(2 * nats))
        assert_allclose(importance_draws(policy, base), expected, rtol=1e-6)
    assert importance_draws([0.5, 0.5], [0.5, 0.5], sds=3) == 1
    assert importance_draws([0.5, 0.5], [1.0, 0.0]) == np.inf
    assert_allclose(importance_draws([1.0, 0.0], [0.5, 0.5], sds=[0, 1, 2]), 2, rtol=1e-14)
    rare = importance_draws([1e-3, 1 - 1e-3], [1.0, 1e-300], sds=60, log=True)
    assert 900 < rare < np.inf
    assert importance_draws([1e-3, 1 - 1e-3], [1.0, 1e-300], sds=60) == np.inf


@settings(max_examples=60)
@given(
    pair=st.tuples(distributions(2, smallest=1e-3), distributions(2, smallest=1e-3, zeros=False)),
    values=st.tuples(st.floats(-3, 3), st.floats(-3, 3)),
    n=st.sampled_from([1, 2, 10, 100, 3000]),
)
def test_no_mean_of_weighted_samples_is_further_off_than_the_bound(pair, values, n):
    policy, base = pair
    terms = np.array(values) * policy / base
    count = np.arange(n + 1)
    estimate = (count * terms[1] + (n - count) * terms[0]) / n
    exact = policy @ np.array(values)
    chance = stats.binom.pmf(count, n, base[1])
    off = chance @ np.abs(estimate - exact)
    size = np.sqrt(policy @ np.array(values) ** 2)
    assert off <= importance_error(policy, base, n) * size + 1e-9


def test_the_bound_on_the_error_falls_from_two_once_samples_exceed_e_to_the_kl():
    policy, base = tilt(np.full(100, 0.01), np.arange(100.0), beta=10.0).policy, np.full(100, 0.01)
    n = np.geomspace(1, 1e15, 40)
    error = importance_error(policy, base, n)
    assert (np.diff(error) <= 0).all()
    assert (error[n <= np.exp(kl(policy, base))] == 2).all()
    assert error[-1] < 1e-3
    assert importance_error([0.5, 0.5], [1.0, 0.0], 1e12) == 2


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: rejection_sampling([0.5, 0.5], [0, 1], beta=0), "beta must be positive"),
        (
            lambda: rejection_sampling([0.5, 0.5], [0, 1], beta=1, reward_bound=0.5),
            "reward_bound must be finite and no lower .* got 0.5",
        ),
        (
            lambda: rejection_sampling([0.5, 0.5], [0, 1], beta=1, reward_bound=np.inf),
            "reward_bound must be finite",
        ),
        (
            lambda: rejection_sampling([[0.5, 0.5]] * 3, [0, 1], beta=1, reward_bound=[1, 2]),
            "reward_bound must broadcast",
        ),
        (
            lambda: rejection_sampling([0.5, 0.5], [0, 1], beta=1).draws(failure=0.0),
            "failure must lie strictly between 0 and 1",
        ),
        (lambda: approximate_rejection_draws(-1, error=0.1), "kl must be a KL budget"),
        (lambda: approximate_rejection_draws(1, error=1.0), "error must lie strictly between"),
        (lambda: approximate_rejection_draws([1, 2], error=[0.1] * 3), "shapes must broadcast"),
        (lambda: importance_draws([0.5, 0.5], [0.5, 0.6]), "base must sum to one"),
        (lambda: importance_draws([0.5, 0.5], [0.5, 0.5], sds=-1), "sds must be at least 0"),
        (lambda: importance_error([0.5, 0.5], [0.5, 0.5], 0), "n must be a finite number"),
    ],
)
def test_impossible_requests_are_an_error(call, words):
    with pytest.raises(_errors.ArgumentError, match=words):
        call()
