"""The gain of a policy, in its three forms."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from klimit import _errors
from klimit.theory import covariance_gain, gain, jeffreys_gain, tilt
from tests.strategies import distributions, reward_tables

THREE, SKEWED = [0.5, 0.3, 0.2], [0.0, 1.0, 4.0]


@given(data=st.data(), table=reward_tables())
def test_the_gain_of_any_policy_is_a_difference_of_means(data, table):
    policy = data.draw(distributions(table.base.size))
    expected = policy @ table.reward - table.base @ table.reward
    assert_allclose(gain(policy, table.base, table.reward), expected, atol=1e-13)
    assert_allclose(gain(policy, table.base, table.reward + 1e9), expected, atol=1e-6)


@given(data=st.data(), table=reward_tables())
def test_the_covariance_form_is_the_gain_of_the_reweighted_base(data, table):
    size = table.base.size
    log_weight = np.array(data.draw(st.lists(st.floats(-30, 30), min_size=size, max_size=size)))
    weight = table.base * np.exp(log_weight - log_weight.max())
    found = covariance_gain(table.base, table.reward, log_weight=log_weight)
    expected = gain(weight / weight.sum(), table.base, table.reward)
    assert_allclose(found, expected, rtol=1e-10, atol=1e-12)
    shifted = covariance_gain(table.base, table.reward, log_weight=log_weight - 1e4)
    assert_allclose(shifted, expected, rtol=1e-7, atol=1e-10)


def test_small_weights_keep_their_digits():
    reward = np.array(SKEWED)
    for beta in (1e-3, 1.0, 1e6, 1e14):
        found = covariance_gain(THREE, reward, log_weight=reward / beta)
        assert_allclose(found, tilt(THREE, SKEWED, beta=beta).gain, rtol=1e-11)


def test_shapes_broadcast_and_what_is_impossible_is_not_read():
    assert gain([[0.2, 0.8], [0.5, 0.5]], [0.5, 0.5], [0, 1]).tolist() == [0.30000000000000004, 0.0]
    assert gain([0.5, 0.5, 0], [1, 0, 0], [0, 2, np.nan]) == 1.0
    assert covariance_gain([0.5, 0.5], [0, 1], log_weight=np.zeros((3, 1, 2))).shape == (3, 1)
    assert covariance_gain([0.5, 0.5, 0], [0, 1, np.nan], log_weight=[-np.inf, 0, np.nan]) == 0.5
    assert jeffreys_gain([[0.2, 0.8]] * 2, [0.5, 0.5], beta=[[1.0], [2.0]]).shape == (2, 2)
    assert jeffreys_gain([0.5, 0.5], [0.5, 0.5], beta=np.inf) == 0
    assert jeffreys_gain([0.0, 1.0], [0.5, 0.5], beta=1.0) == np.inf


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: gain([0.5, 0.4], THREE, SKEWED), "policy must sum to one"),
        (lambda: gain([0.5, 0.5], THREE, SKEWED), "shapes must broadcast"),
        (lambda: gain([0, 1], [1, 0], [0, np.nan]), "reward must be finite wherever"),
        (lambda: covariance_gain(THREE, SKEWED, log_weight=np.inf), "log_weight must be a number"),
        (lambda: covariance_gain(THREE, SKEWED, log_weight=-np.inf), "minus infinity for all"),
        (lambda: covariance_gain(THREE, SKEWED, log_weight=[0, 1]), "shapes must broadcast"),
        (lambda: jeffreys_gain(THREE, THREE, beta=0), "beta must be positive"),
    ],
)
def test_unusable_arguments_are_an_error(call, words):
    with pytest.raises(_errors.ArgumentError, match=words):
        call()
