"""The optimal tilt: identities that hold for every base, reward and beta."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from klimit import _errors
from klimit.theory import ceiling, jeffreys, kl, tilt
from tests.strategies import betas, distributions, reward_tables

FIT = {"rtol": 1e-10, "atol": 1e-12}


def rounding(table):
    """What rounding may do to a gain: 1e-10 of the rewards' range and 8 ulp of their size."""
    size = np.abs(table.reward).max()
    return 1e-10 * np.ptp(table.reward[table.base > 0]) + 8 * np.finfo(float).eps * size


def log_z(table, beta):
    return np.log(np.sum(table.base * np.exp((table.reward - table.reward.max()) / beta))) + (
        table.reward.max() / beta
    )


@given(table=reward_tables(), beta=betas())
def test_gain_is_beta_times_jeffreys_and_the_covariance_form(table, beta):
    best = tilt(table.base, table.reward, beta=beta)
    assert_allclose(best.gain, beta * best.jeffreys, **FIT)
    if (best.policy[table.base > 0] > 1e-300).all():  # an underflow has no logarithm
        assert_allclose(best.gain, beta * jeffreys(best.policy, table.base), rtol=1e-8, atol=1e-10)
    weight = np.where(table.base > 0, best.policy / np.where(table.base > 0, table.base, 1), 0)
    centred = table.reward - table.base @ table.reward
    assert_allclose(best.gain, table.base @ (centred * weight), rtol=0, atol=rounding(table))


@given(table=reward_tables(), beta=betas())
def test_gain_and_both_kls_are_what_the_policy_says(table, beta):
    best = tilt(table.base, table.reward, beta=beta)
    assert_allclose(best.policy.sum(), 1.0, rtol=1e-14)
    assert_allclose(best.gain, (best.policy - table.base) @ table.reward, atol=1e-10)
    assert_allclose(best.kl, kl(best.policy, table.base), **FIT)
    if (best.policy[table.base > 0] > 1e-300).all():
        assert_allclose(best.forward_kl, kl(table.base, best.policy), **FIT)
    assert_allclose(best.log_partition, log_z(table, beta), rtol=1e-10, atol=1e-12)
    moment = best.policy @ table.reward
    assert_allclose(best.variance, best.policy @ (table.reward - moment) ** 2, atol=1e-12)


def test_penalties_at_a_tiny_beta_leave_the_log_probability_of_no_penalty():
    for beta in (1e-300, 1e-12, 1e-3):
        found = tilt([0.5, 0.3, 0.2], [-4.0, -1.0, 0.0], beta=beta).log_partition
        assert_allclose(found, np.log(0.2), rtol=1e-15)


@given(data=st.data(), table=reward_tables(), beta=betas())
def test_every_policy_falls_short_by_its_divergence_from_the_tilt(data, table, beta):
    other = data.draw(distributions(table.base.size))
    other = np.where(table.base > 0, other, 0.0)
    if other.sum() == 0:
        return
    other /= other.sum()
    best = tilt(table.base, table.reward, beta=beta)
    if (best.policy[other > 0] == 0).any():  # e^-745 and less
        return
    left = other @ table.reward - beta * kl(other, table.base)
    right = beta * best.log_partition - beta * kl(other, best.policy)
    assert_allclose(left, right, rtol=1e-10, atol=1e-10 * (1 + beta))


@given(table=reward_tables(), beta=betas(), offset=st.floats(-1e3, 1e3), scale=betas(0.01, 100))
def test_offsets_change_nothing_and_scales_cancel_against_beta(table, beta, offset, scale):
    best = tilt(table.base, table.reward, beta=beta)
    moved = tilt(table.base, table.reward + offset, beta=beta)
    # the offset rounds the rewards: a thousandth of a reward unit is worth 1e-13 / 1e-3
    assert_allclose(moved.policy, best.policy, rtol=1e-9 + 1e-12 * (1 + abs(offset)) / beta)
    assert_allclose(moved.gain, best.gain, rtol=1e-8, atol=1e-10)
    assert_allclose(moved.kl, best.kl, rtol=1e-8, atol=1e-9)
    scaled = tilt(table.base, scale * table.reward, beta=scale * beta)
    assert_allclose(scaled.gain, scale * best.gain, rtol=1e-9, atol=1e-12 * scale)
    assert_allclose(scaled.kl, best.kl, rtol=1e-9, atol=1e-13)


@given(table=reward_tables(prompts=3), beta=st.tuples(betas(), betas()))
def test_prompts_and_betas_broadcast_as_if_done_one_by_one(table, beta):
    together = tilt(table.base, table.reward, beta=np.reshape(beta, (2, 1)))
    assert together.gain.shape == (2, 3)
    assert together.policy.shape == (2, 3, table.base.shape[-1])
    for i, b in enumerate(beta):
        for k in range(3):
            alone = tilt(table.base[k], table.reward[k], beta=b)
            for name in ("policy", "gain", "kl", "forward_kl", "log_partition", "variance"):
                assert_allclose(getattr(together, name)[i, k], getattr(alone, name), rtol=1e-12)


def test_a_huge_beta_keeps_all_digits():
    base, reward = np.array([0.5, 0.3, 0.2]), np.array([0.0, 1.0, 4.0])
    variance = base @ (reward - base @ reward) ** 2
    best = tilt(base, reward, beta=1e12)
    assert_allclose(best.gain, variance / 1e12, rtol=1e-11)
    assert_allclose(best.kl, variance / 2 / 1e24, rtol=1e-11)
    assert_allclose(best.forward_kl, variance / 2 / 1e24, rtol=1e-11)
    assert tilt(base, reward, beta=np.inf).policy.tolist() == base.tolist()


@pytest.mark.parametrize("beta", [1e-8, 1e-300, 5e-324])
def test_a_tiny_beta_leads_to_the_ceiling_without_overflow(beta):
    base, reward = [0.5, 0.3, 0.1, 0.1], [-1e6, 1.0, 4.0, 4.0]
    best, most = tilt(base, reward, beta=beta), ceiling(base, reward)
    assert_allclose(best.gain, most.gain, rtol=1e-14)
    assert_allclose(best.kl, most.kl, rtol=1e-12)
    assert_allclose(most.kl, -np.log(0.2), rtol=1e-14)
    assert_allclose(best.policy, [0, 0, 0.5, 0.5], rtol=1e-14)


def test_probabilities_of_1e_minus_300_keep_their_digits():
    base, reward = [1.0, 1e-300], [0.0, 1.0]
    best = tilt(base, reward, beta=[1.0, 0.1, 1 / 600])
    assert_allclose(best.gain, 1e-300 * np.expm1([1.0, 10.0, 600.0]), rtol=1e-12)
    ell = np.array([1.0, 10.0, 600.0])
    assert_allclose(best.kl, 1e-300 * (ell * np.exp(ell) - np.expm1(ell)), rtol=1e-12)
    assert_allclose(ceiling(base, reward).kl, 300 * np.log(10), rtol=1e-14)


def test_a_nearly_certain_best_outcome_keeps_the_digits_of_its_ceiling():
    assert_allclose(ceiling([1e-12, 1.0], [0.0, 1.0]).kl, 1e-12, rtol=1e-11)


def test_outcomes_without_probability_are_never_read():
    best = tilt([0.5, 0.0, 0.5], [0.0, np.nan, 1.0], beta=1.0)
    same = tilt([0.5, 0.5], [0.0, 1.0], beta=1.0)
    assert best.policy[1] == 0
    assert best.gain == same.gain
    assert best.kl == same.kl


@pytest.mark.parametrize("reward", [[3.0, 3.0, 3.0], [1e6, 1e6, 1e6]])
def test_a_constant_reward_gains_and_costs_nothing(reward):
    best = tilt([0.2, 0.3, 0.5], reward, beta=1e-3)
    assert (best.gain, best.kl, best.forward_kl, best.variance) == (0, 0, 0, 0)
    most = ceiling([0.2, 0.3, 0.5], reward)
    assert (most.gain, most.kl) == (0, 0)


@pytest.mark.parametrize(
    ("base", "reward", "beta", "words"),
    [
        ([0.5, 0.4], [0, 1], 1, "base must sum to one"),
        ([1.5, -0.5], [0, 1], 1, "base must hold probabilities"),
        ([0.5, np.nan], [0, 1], 1, "base must hold probabilities"),
        ([], [], 1, "base must hold probabilities"),
        (0.5, [0, 1], 1, "base must hold probabilities"),
        (["a", "b"], [0, 1], 1, "base must be an array of real numbers"),
        ([[0.5, 0.5], [1.0]], [0, 1], 1, "base and reward must give every outcome"),
        ([0.5, 0.5], [0, np.inf], 1, "reward must be finite"),
        ([0.5, 0.5], [0, np.nan], 1, "reward must be finite"),
        ([0.5, 0.5], [-1.7e308, 1.7e308], 1, "within 1.8e308"),
        ([0.5, 0.5], [0, 1, 2], 1, "shapes must broadcast"),
        ([0.5, 0.5], [0, 1], 0.0, "beta must be positive"),
        ([0.5, 0.5], [0, 1], [1.0, -1.0], "got -1.0 at index 1"),
        ([0.5, 0.5], [0, 1], np.nan, "beta must be positive"),
        ([0.5, 0.5], [0, 1j], 1, "reward must be an array of real numbers"),
        ([[0.5, 0.5]] * 3, [0, 1], [1.0, 2.0], "beta must broadcast"),
    ],
)
def test_what_cannot_be_tilted_is_an_error_that_says_so_in_one_line(base, reward, beta, words):
    with pytest.raises(_errors.ArgumentError, match=words) as caught:
        tilt(base, reward, beta=beta)
    assert "\n" not in str(caught.value)


@settings(max_examples=20)
@given(table=reward_tables())
def test_probabilities_off_by_less_than_a_millionth_are_rescaled(table):
    best = tilt(table.base * (1 + 5e-7), table.reward, beta=1.0)
    assert_allclose(best.policy, tilt(table.base, table.reward, beta=1.0).policy, rtol=1e-12)
