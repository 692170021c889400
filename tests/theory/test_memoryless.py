"""The memoryless model, against enumeration of every sequence."""

import itertools
import time

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy import optimize
from scipy.special import logsumexp

from klimit import _errors
from klimit.theory import (
    best_of_n,
    continuous_best_of_n,
    frontier,
    kl,
    memoryless,
    memoryless_best_of_n,
    rate_function,
    renyi,
    renyi_cross_entropy,
    tilt,
)
from tests.strategies import budgets, distributions, reward_tables

COIN = [0.7, 0.3], [0.0, 1.0]


def sequences(base, reward, length):
    """Law and total reward of every sequence."""
    every = list(itertools.product(range(len(base)), repeat=length))
    prob = np.prod(np.asarray(base)[every], axis=-1)
    return prob, np.asarray(reward)[every].sum(axis=-1)


def log_mgf(base, reward, s):
    with np.errstate(divide="ignore"):
        return logsumexp(np.log(base) + np.multiply.outer(s, reward), axis=-1)


# The optimum


@settings(max_examples=40)
@given(table=reward_tables(max_outcomes=3), length=st.integers(1, 4), d=budgets(1e-6, 2.0))
def test_the_optimum_over_all_sequences_is_the_tilt_of_each_token(table, length, d):
    best = memoryless(table.base, table.reward, kl=d)
    limit = frontier(*sequences(table.base, table.reward, length))
    assert_allclose(limit.gain(length * d), length * best.gain, rtol=1e-9, atol=1e-9)
    assert_allclose(best.reward, best.policy @ table.reward, atol=1e-9)
    if 0 < best.beta < np.inf:
        assert_allclose(limit.beta(length * d), best.beta, rtol=1e-6)
        assert_allclose(kl(best.policy, table.base), d, rtol=1e-9)


@settings(max_examples=60)
@given(table=reward_tables(min_outcomes=2), d=budgets(1e-3, 1.0), t=st.floats(-6, 6))
def test_the_rate_is_the_sup_of_its_definition(table, d, t):
    best = memoryless(table.base, table.reward, kl=d)
    assume(best.beta > 0)
    possible = table.reward[table.base > 0]
    low, high = possible.min(), possible.max()
    if not low - 1e-9 <= t <= high + 1e-9:
        assert rate_function(table.base, table.reward, t) == np.inf == best.rate(t)
        return
    assume(low + 1e-3 < t < high - 1e-3)
    steep = 1 / best.beta
    found = optimize.minimize_scalar(
        lambda s: log_mgf(table.base, table.reward, s) - s * t, method="brent"
    )
    rate = rate_function(table.base, table.reward, t)
    assert_allclose(rate, -found.fun, rtol=1e-6, atol=1e-8)
    own = rate - steep * t + log_mgf(table.base, table.reward, steep)
    assert_allclose(best.rate(t), own, rtol=1e-6, atol=1e-7)


@settings(max_examples=50)
@given(table=reward_tables(), d=budgets(1e-3, 1.0))
def test_the_rate_vanishes_at_the_mean_and_is_log_probability_at_the_ends(table, d):
    best = memoryless(table.base, table.reward, kl=d)
    if best.beta > 0:
        assert best.rate(best.reward) <= 1e-12
        assert_allclose(rate_function(table.base, table.reward, best.reward), d, rtol=1e-6)
    possible = table.base > 0
    for end in (table.reward[possible].min(), table.reward[possible].max()):
        mass = table.base[table.reward == end].sum()
        assert_allclose(
            rate_function(table.base, table.reward, end), -np.log(mass), rtol=1e-9, atol=1e-12
        )


@settings(max_examples=50)
@given(table=reward_tables(), d=budgets(1e-3, 1.0), s=st.floats(-4, 4), length=st.integers(1, 3))
def test_the_scaled_cumulant_is_that_of_the_total_at_every_length(table, d, s, length):
    best = memoryless(table.base, table.reward, kl=d)
    assume(best.beta > 0)
    steep = 1 / best.beta
    assume(steep < 50)
    shifted, start = log_mgf(table.base, table.reward, np.array([steep + s, steep]))
    expected = shifted - start
    assert_allclose(best.scaled_cumulant(s), expected, rtol=1e-8, atol=1e-8)
    if table.base.size <= 3:
        policy, total = sequences(best.policy, table.reward, length)
        whole = log_mgf(policy, total, s) / length
        assert_allclose(best.scaled_cumulant(s), whole, rtol=1e-9, atol=1e-9)


# Renyi cross-entropy


@settings(max_examples=50)
@given(data=st.data(), p=distributions(max_outcomes=5), s=st.floats(-3, 3), d=budgets(1e-3, 0.5))
def test_scaled_cumulants_of_log_probabilities_are_renyi_cross_entropies(data, p, s, d):
    q = data.draw(distributions(p.size, zeros=False))
    reward = np.log(q) + 0.4
    assert_allclose(
        log_mgf(p, reward, s),
        -s * renyi_cross_entropy(p, q, alpha=1 + s) + 0.4 * s,
        rtol=1e-9,
        atol=1e-9,
    )
    best = memoryless(p, reward, kl=d)
    assume(best.beta > 1e-2)
    steep = 1 / best.beta
    entropies = renyi_cross_entropy(p, q, alpha=[1 + steep + s, 1 + steep])
    expected = -(steep + s) * entropies[0] + steep * entropies[1] + 0.4 * s
    assert_allclose(best.scaled_cumulant(s), expected, rtol=1e-7, atol=1e-7)


@given(p=distributions(), a=st.floats(0.05, 4.0))
def test_against_itself_the_cross_entropy_is_the_renyi_entropy(p, a):
    assume(abs(a - 1) > 1e-3)
    entropy = np.log(np.sum(p[p > 0] ** a)) / (1 - a)
    assert_allclose(renyi_cross_entropy(p, p, alpha=a), entropy, rtol=1e-9, atol=1e-12)


def test_letters_too_improbable_for_a_float_still_count():
    base, reward = np.full(3, 1 / 3), np.array([0.0, 0.0078, -2.0])
    best = memoryless(base, reward, kl=[1.0, 0.1])
    assert best.policy[0, 2] == 0
    steep = 1 / best.beta[0]
    start = log_mgf(base, reward, steep)
    own = rate_function(base, reward, 0.0) + start  # I(0) = Lambda*(0) - 0 l + Lambda(l)
    assert own < -np.log(best.policy[0, 0]) - 0.5  # as if the third letter did not exist
    assert_allclose(best.rate([0.0, -2.0])[0], own, rtol=1e-9)
    assert_allclose(best.rate(-2.0)[0], np.log(3) + 2 * steep + start, rtol=1e-9)
    assert_allclose(best.scaled_cumulant(-steep)[0], -start, rtol=1e-9)
    assert best.rate(best.reward).max() < 1e-12
    one = memoryless(base, reward, kl=1.0)
    assert_allclose(one.rate([0.0, 0.005]), best.rate([[0.0], [0.005]])[:, 0], rtol=1e-12)


def test_the_cross_entropy_is_smooth_at_one_and_infinite_where_it_should_be():
    p, q = np.array([0.5, 0.3, 0.2]), np.array([0.2, 0.3, 0.5])
    near = renyi_cross_entropy(p, q, alpha=[1 - 1e-9, 1.0, 1 + 1e-9])
    assert_allclose(near, -p @ np.log(q), rtol=1e-8)
    hole = [0.0, 0.5, 0.5]
    found = renyi_cross_entropy(p, hole, alpha=[0.5, 1.0, 2.0])
    assert np.isinf(found[:2]).all()
    assert_allclose(found[2], -np.log(0.25), rtol=1e-14)
    assert renyi_cross_entropy([1.0, 0.0], [0.0, 1.0], alpha=3.0) == np.inf
    assert np.isinf(renyi_cross_entropy([1.0, 1e-20], [1.0, 0.0], alpha=[0.5, 1.0])).all()
    assert_allclose(renyi_cross_entropy(p, [[1 / 3] * 3] * 2, alpha=0.3), np.log(3), rtol=1e-14)
    assert np.isfinite(renyi([0.5, 0.5], [0.1, 0.9], alpha=2))


# Best-of-N at a finite length


@settings(max_examples=60)
@given(
    table=reward_tables(max_outcomes=4, smallest=1e-2),
    length=st.integers(1, 4),
    d=budgets(1e-2, 2.0),
)
def test_best_of_n_by_types_is_best_of_n_over_all_sequences(table, length, d):
    prob, total = sequences(table.base, table.reward, length)
    exact = best_of_n(prob, np.round(total, 9), np.exp(length * d))  # ties, in spite of rounding
    found = memoryless_best_of_n(table.base, table.reward, length, kl=d)
    assert_allclose(found.gain, exact.gain / length, rtol=1e-9, atol=1e-9)
    assert_allclose(found.kl, exact.kl / length, rtol=1e-9, atol=1e-11)
    optimum = memoryless(table.base, table.reward, kl=d)
    if optimum.beta > 0:
        product, _ = sequences(optimum.policy, table.reward, length)
        apart = kl(exact.policy, product) / length
        if (product[prob > 0] > 0).all():  # the optimum may be out of a float's reach
            assert_allclose(found.kl_to_optimum, apart, rtol=1e-7, atol=1e-11)
    if found.gain > 1e-9:
        limit = frontier(prob, total)
        assert_allclose(found.efficiency, exact.gain / limit.gain(exact.kl), rtol=1e-6)


def test_totals_that_tie_but_for_rounding_are_one_level():
    base, tenths = [0.4, 0.3, 0.2, 0.1], np.array([0.1, 0.2, 0.3, 0.4])
    found = memoryless_best_of_n(base, tenths, 30, kl=0.2)
    whole = memoryless_best_of_n(base, [1, 2, 3, 4], 30, kl=0.2)
    assert_allclose(found.kl, whole.kl, rtol=1e-12)
    assert_allclose(10 * found.gain, whole.gain, rtol=1e-12)


def test_the_numbers_of_the_coin_are_met():
    found = memoryless_best_of_n(*COIN, [20, 100, 400, 1600], kl=0.1)
    assert_allclose(found.reward, [0.444367, 0.492886, 0.507426, 0.512363], atol=6e-7)
    assert_allclose(found.kl_to_optimum, [0.01904, 0.00918, 0.00387, 0.00139], atol=6e-6)
    assert_allclose(found.efficiency, [0.911, 0.952, 0.980, 0.993], atol=6e-4)
    assert_allclose(found.limit, 0.514629, atol=6e-7)


@pytest.mark.parametrize("table", [COIN, ([0.5, 0.3, 0.2], [0.0, 1.0, 2.5])])
def test_the_approach_to_the_optimum_is_as_slow_as_log_m_over_m(table):
    length = np.array([25, 50, 100, 200, 400])
    found = memoryless_best_of_n(*table, length, kl=0.1)
    short = found.limit - found.reward
    assert (np.diff(short) < 0).all()
    assert (np.diff(found.kl_to_optimum) < 0).all()
    beta = memoryless(*table, kl=0.1).beta
    steady = short * length / np.log(length)
    assert (steady > 0.6 * beta / 2).all()
    assert (steady < 1.1 * beta / 2).all()
    assert np.ptp(steady) < 0.25 * steady.mean()
    # the theorem: what falls short in gain and in KL is the divergence from the optimum
    excess = (short - beta * (0.1 - found.kl)) / beta
    assert_allclose(found.kl_to_optimum, excess, rtol=1e-8)


def test_thousands_of_tokens_and_an_n_of_e_to_the_thousands_are_exact_and_quick():
    start = time.perf_counter()
    found = memoryless_best_of_n(*COIN, [5000, 20_000], kl=[[0.1], [0.6]])
    assert time.perf_counter() - start < 5
    assert found.log_n.max() == 12_000
    assert (found.gain < found.limit - 0.3).all()
    assert (found.efficiency > 0.99).all()
    assert (found.kl < [[0.1], [0.6]]).all()
    assert_allclose(found.gain[:, 1], found.limit[:, 1] - 0.3, rtol=2e-3)


def test_at_a_fixed_n_length_does_not_help():
    length = np.array([64, 1024, 4096])
    found = memoryless_best_of_n(*COIN, length, kl=np.log(16) / length)
    normal = 1.765991 / np.sqrt(2 * continuous_best_of_n(16).kl)  # best of 16 normal rewards
    assert_allclose(found.efficiency, normal, atol=6e-3)
    assert_allclose(found.efficiency[-1], normal, atol=2e-3)


def test_best_of_one_is_the_base_and_past_saturation_the_best_letter():
    found = memoryless_best_of_n(*COIN, [1, 50], kl=[0.0, 3.0])
    assert found.gain[0] == 0 == found.kl[0]
    assert found.kl_to_optimum[0] < 1e-30
    assert np.isnan(found.efficiency[0])
    assert_allclose(found.reward[1], 1.0, rtol=1e-12)
    assert found.kl_to_optimum[1] == np.inf
    best = memoryless(*COIN, kl=[0.0, 3.0])
    assert best.beta.tolist() == [np.inf, 0.0]
    assert best.policy.tolist() == [[0.7, 0.3], [0.0, 1.0]]
    assert best.rate([0.3, 1.0]).tolist() == [0.0, 0.0]
    assert best.rate(0.9)[1] == np.inf
    assert best.scaled_cumulant(0.7)[1] == 0.7


def test_extreme_laws_stay_finite():
    rare = memoryless_best_of_n([1 - 1e-300, 1e-300], [1e6, 1e6 + 1], [10, 300], kl=[1e-12, 1.0])
    assert np.isfinite([rare.gain, rare.kl, rare.kl_to_optimum]).all()
    assert (rare.gain > 0).all()
    assert_allclose(rare.gain, [1e-311, 1e-300 * np.expm1(300)], rtol=2e-3)  # (N - 1) p
    for constant in ([1.0], [4.0]), ([0.5, 0.5], [4.0, 4.0]), ([1.0, 0.0], [4.0, 9.0]):
        found = memoryless_best_of_n(*constant, 1000, kl=0.5)
        assert found.gain == 0 == found.kl == found.kl_to_optimum
        assert found.reward == 4.0
        assert rate_function(*constant, [4.0, 4.1]).tolist() == [0.0, np.inf]


def test_letters_of_equal_reward_count_as_one():
    merged = memoryless_best_of_n(*COIN, 300, kl=0.1)
    split = memoryless_best_of_n([0.2, 0.3, 0.2, 0.1, 0.2], [0, 1, 0, 0, 0], 300, kl=0.1)
    assert_allclose(split.reward, merged.reward, rtol=1e-12)
    assert_allclose(split.kl_to_optimum, merged.kl_to_optimum, rtol=1e-9)


def test_budgets_broadcast():
    base, reward = [0.5, 0.3, 0.2], [0.0, 1.0, 2.0]
    many = memoryless(base, reward, kl=[[0.1], [0.2]])
    one = memoryless(base, reward, kl=0.2)
    assert many.policy.shape == (2, 1, 3)
    assert_allclose(many.rate([1.0, 1.5])[1], one.rate([1.0, 1.5]), rtol=1e-12)
    assert_allclose(many.scaled_cumulant([0.5, -1, 0])[1], one.scaled_cumulant([0.5, -1, 0]))
    assert_allclose(tilt(base, reward, beta=one.beta).variance, one.variance, rtol=1e-12)
    assert memoryless_best_of_n(base, reward, [[5], [6]], kl=[0.1, 0.2, 0.3]).gain.shape == (2, 3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: memoryless([[0.5, 0.5]], [0, 1], kl=1), r"must be \(letters,\)"),
        (lambda: memoryless([0.5, 0.5], [0, np.nan], kl=1), "reward must be finite"),
        (lambda: memoryless([0.5, 0.5], [0, 1], kl=-1), "kl must be a KL budget"),
        (lambda: memoryless(*COIN, kl=0.1).rate(np.nan), "average must be finite"),
        (lambda: memoryless(*COIN, kl=[0.1, 0.2]).rate([1, 1, 1]), "must broadcast"),
        (lambda: memoryless(*COIN, kl=0.1).scaled_cumulant(np.inf), "s must be finite"),
        (lambda: renyi_cross_entropy([1.0], [1.0], alpha=np.inf), "alpha must be finite"),
        (lambda: renyi_cross_entropy([0.5, 0.5], [1.0], alpha=[1, 2, 3]), None),
        (lambda: renyi_cross_entropy([0.5, 0.5], [0.2, 0.3, 0.5], alpha=1), "must broadcast"),
        (lambda: memoryless_best_of_n(*COIN, 2.5, kl=0.1), "length must be a whole number"),
        (lambda: memoryless_best_of_n(*COIN, 0, kl=0.1), "length must be a whole number"),
        (lambda: memoryless_best_of_n(*COIN, 10, kl=np.inf), "kl must be finite"),
        (lambda: memoryless_best_of_n([0.25] * 4, range(4), 300, kl=0.1), "4590551 types"),
        (lambda: memoryless_best_of_n(*COIN, [1, 2], kl=[1, 2, 3]), "must broadcast"),
    ],
)
def test_a_wrong_argument_is_named(call, message):
    if message is None:
        assert call().shape == (3,)
        return
    with pytest.raises(_errors.ArgumentError, match=message):
        call()
