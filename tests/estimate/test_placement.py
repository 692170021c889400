"""Where a policy stands that is known by its KL and its gain alone."""

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

import klimit
from klimit import ArgumentError, Estimate
from klimit.theory import kl as divergence
from klimit.theory import tilt
from tests.estimate.drawn import normal_prompts
from tests.strategies import distributions

BASE, REWARD = np.array([0.5, 0.3, 0.2]), np.array([0.0, 1.0, 4.0])
ROW = [0.0] * 5 + [1.0] * 3 + [4.0] * 2


@pytest.fixture(scope="module")
def plugin():
    return klimit.frontier([ROW], estimator="plugin")


def test_a_policy_known_from_elsewhere_stands_where_the_theory_says(plugin):
    policy = np.array([0.2, 0.4, 0.4])
    spent, gained = float(divergence(policy, BASE)), float(policy @ REWARD - BASE @ REWARD)
    assert_allclose(spent, 0.20907355483, rtol=1e-9)  # T26
    audit = plugin.place(spent, gained)
    assert_allclose(audit.gap_nats.value, 0.0637306586746, atol=1e-8)  # T28
    assert_allclose(audit.gap_reward.value, audit.limit.value - 0.9, rtol=1e-12)
    assert_allclose(audit.efficiency.value, 0.9 / audit.limit.value, rtol=1e-12)
    assert audit.least_kl.value < spent
    assert_allclose(plugin.gain(audit.least_kl.value).value, 0.9, rtol=1e-9)


@settings(max_examples=40, deadline=None)
@given(policy=distributions(3), data=st.data())
def test_the_shortfall_is_the_divergence_from_the_best_policy_of_the_same_kl(plugin, policy, data):
    spent = float(divergence(policy, BASE))
    assume(1e-3 < spent < 1.3)
    gained = float(policy @ REWARD - BASE @ REWARD)
    audit = plugin.place(spent, gained)
    best = tilt(BASE, REWARD, beta=plugin.beta(spent).value).policy
    assert_allclose(audit.gap_nats.value, divergence(policy, best), rtol=1e-5, atol=1e-6)
    assert audit.efficiency.value <= 1 + 1e-9
    if gained > 0:
        assert audit.least_kl.value <= spent * (1 + 1e-9)


def test_an_optimal_policy_is_fully_efficient():
    rewards, square = normal_prompts(np.random.default_rng(1), 200, 128)
    limit = klimit.frontier(rewards)
    audit = limit.place(0.5, np.sqrt(square))
    assert audit.efficiency.low < 1 < audit.efficiency.high
    assert audit.gap_nats.low < 0 < audit.gap_nats.high
    assert audit.efficiency.trusted
    worse = limit.place(0.5, 0.6 * np.sqrt(square))
    assert worse.efficiency.high < 0.8
    assert_allclose(worse.least_kl.value, 0.18, rtol=0.1)


def test_the_unit_of_a_placement_is_that_of_the_limit():
    rewards, _ = normal_prompts(np.random.default_rng(3), 40, 64)
    assert "+0.20 reward" in str(klimit.frontier(rewards).place(0.3, 0.2))
    assert "+0.20 win rate" in str(klimit.frontier(rewards, objective="win-rate").place(0.3, 0.2))


def test_arrays_are_placed_at_once():
    limit = klimit.frontier(normal_prompts(np.random.default_rng(2), 40, 64)[0])
    kl, gain = np.array([0.1, 0.5, 1.0]), np.array([0.3, 0.5, 2.0])
    many = limit.place(kl, gain)
    for i in range(3):
        one = limit.place(float(kl[i]), float(gain[i]))
        for name in ("limit", "efficiency", "gap_reward", "gap_nats", "least_kl"):
            assert_allclose(getattr(many, name)[i].value, getattr(one, name).value, rtol=1e-12)
            assert_allclose(getattr(many, name)[i].low, getattr(one, name).low, rtol=1e-9)


def test_each_place_of_an_array_has_the_note_of_the_number_alone():
    rng = np.random.default_rng(2)
    for base in (normal_prompts(rng, 40, 64)[0], (rng.random((40, 16)) < 0.3).astype(float)):
        limit = klimit.frontier(base)
        kl, gain = np.array([0.0, 0.1, 0.1, 5.0, 40.0]), np.array([0.1, 0.02, 3.0, 0.5, 9.0])
        many = limit.place(kl, gain)
        for i in range(len(kl)):
            one = limit.place(float(kl[i]), float(gain[i]))
            for name in ("efficiency", "gap_nats", "excess_kl"):
                assert getattr(many, name)[i].note == getattr(one, name).note


def test_what_is_not_known_of_the_policy_widens_what_is_said_of_it():
    limit = klimit.frontier(normal_prompts(np.random.default_rng(3), 60, 64)[0])
    sure = limit.place(0.5, 0.6)
    vague = limit.place(Estimate(0.5, 0.4, 0.6), Estimate(0.6, 0.5, 0.7))
    for name in ("efficiency", "gap_reward", "gap_nats"):
        one, other = getattr(sure, name), getattr(vague, name)
        assert other.value == one.value
        assert other.low < one.low < one.high < other.high


def test_on_a_flat_frontier_nats_are_not_defined_and_the_reason_is_given(plugin):
    audit = plugin.place(3.0, 2.0)
    found = audit.gap_nats.to_dict()
    assert (found["value"], found["low"], found["high"]) == (None, None, None)
    assert "flat" in found["reason"]
    assert not audit.gap_nats.trusted
    assert_allclose(audit.gap_reward.value, 4 - 1.1 - 2.0)
    assert math.isfinite(audit.least_kl.value)


def test_where_nothing_can_be_gained_a_share_of_it_is_not_defined():
    for limit in (klimit.frontier(np.zeros((5, 6))), klimit.frontier(np.full((5, 6), 0.3))):
        found = limit.place(0.5, 0.0).efficiency.to_dict()
        assert found["value"] is None
        assert "nothing can be gained" in found["reason"]


def test_a_gain_below_the_base_costs_no_kl_and_is_no_share():
    limit = klimit.frontier(normal_prompts(np.random.default_rng(4), 40, 32)[0])
    audit = limit.place(0.5, -0.2)
    assert audit.efficiency.value < 0
    assert audit.least_kl.value == 0.0
    assert audit.gap_reward.value > audit.limit.value


@pytest.mark.parametrize("kl", [-0.1, math.nan])
def test_a_policy_without_a_kl_cannot_be_placed(plugin, kl):
    with pytest.raises(ArgumentError, match="kl must be zero or more"):
        plugin.place(kl, 0.5)


def test_one_gain_per_kl_is_expected(plugin):
    with pytest.raises(ArgumentError, match="one gain per kl"):
        plugin.place([0.1, 0.2], 0.5)


@pytest.mark.parametrize(("kl", "gain"), [(0.0, 0.1), (0.01, 0.5)])
def test_more_than_any_method_can_do_is_not_called_near_the_optimum(kl, gain):
    found = klimit.frontier(np.random.default_rng(0).normal(size=(50, 64))).place(kl=kl, gain=gain)
    assert not found.efficiency.trusted
    assert not found.gap_nats.trusted
    assert "are not those of this comparison" in " ".join(str(found).split())
    assert "as near to the optimal policy" not in str(found)


def test_what_an_impossible_gain_was_paid_too_much_for_is_not_known():
    limit = klimit.frontier([[0.0, 0.0, 1.0, 1.0]] * 4)
    audit = limit.place([0.2, 3.0], [0.1, 0.9])
    assert audit.least_kl.value[1] == math.inf
    excess = audit.excess_kl
    assert np.isnan([excess.value[1], excess.low[1], excess.high[1]]).all()
    assert "does not allow" in excess[1].note
    assert excess.low[0] <= excess.value[0] <= excess.high[0]
