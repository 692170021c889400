"""Ensembles of reward models: aggregates, what averaging removes, what disagreement shows."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy import optimize

from klimit import _errors
from klimit.theory import (
    ensemble_error,
    ensemble_reward,
    gaussian_proxy,
    member_disagreement,
    members_needed,
    optimal_member_weights,
    proxy_gold,
)
from tests.strategies import betas, distributions

MEMBERS = np.array([[0.0, 1.0, 4.0], [1.0, -1.0, 2.0], [2.0, 0.0, 0.0]])


@st.composite
def covariances(draw):
    """Positive definite, of two to five members."""
    size = draw(st.integers(2, 5))
    root = draw(st.lists(st.floats(-1, 1), min_size=size * size, max_size=size * size))
    spread = np.diag(draw(st.lists(st.floats(0.1, 2), min_size=size, max_size=size)))
    return np.reshape(root, (size, size)) @ np.reshape(root, (size, size)).T + spread


def test_aggregates_are_what_their_names_say():
    assert_allclose(ensemble_reward(MEMBERS), [1, 0, 2])
    assert_allclose(ensemble_reward(MEMBERS, weights=[0.5, 0.5, 0.0]), [0.5, 0, 3])
    assert_allclose(ensemble_reward(MEMBERS, how="minimum"), [0, -1, 0])
    variance = [2 / 3, 2 / 3, 8 / 3]
    uncertain = ensemble_reward(MEMBERS, how="uncertainty", penalty=0.5)
    assert_allclose(uncertain, [1, 0, 2] - 0.5 * np.array(variance))
    plain = ensemble_reward(MEMBERS, how="uncertainty", penalty=0.0)
    assert_allclose(plain, ensemble_reward(MEMBERS))
    assert ensemble_reward(MEMBERS[:, None] * np.ones((4, 1))).shape == (4, 3)


def test_offsets_of_members_matter_to_minimum_and_variance_unless_they_are_centred():
    base, offsets = [0.5, 0.3, 0.2], np.array([[0.0], [10.0], [-5.0]])
    for how, extra in (("minimum", {}), ("uncertainty", {"penalty": 0.3})):
        raw = ensemble_reward(MEMBERS, how=how, **extra)
        moved = ensemble_reward(MEMBERS + offsets, how=how, **extra)
        assert np.ptp(raw - moved) > 0.1
        centred = ensemble_reward(MEMBERS, how=how, base=base, **extra)
        again = ensemble_reward(MEMBERS + offsets, how=how, base=base, **extra)
        assert_allclose(centred, again, atol=1e-13)
    assert np.ptp(ensemble_reward(MEMBERS) - ensemble_reward(MEMBERS + offsets)) < 1e-13


def test_rewards_that_the_base_never_draws_are_not_read():
    holes = np.concatenate([MEMBERS, np.full((3, 1), np.nan)], axis=1)
    base = [0.5, 0.3, 0.2, 0.0]
    assert_allclose(ensemble_reward(holes, base=base)[:3], ensemble_reward(MEMBERS, base=base[:3]))
    assert_allclose(member_disagreement(holes, base), member_disagreement(MEMBERS, base[:3]))


@given(
    base=distributions(3, zeros=False), bias=st.lists(st.floats(-50, 50), min_size=3, max_size=3)
)
def test_an_error_that_all_members_share_leaves_no_trace_in_their_disagreement(base, bias):
    shared = member_disagreement(MEMBERS + np.array(bias), base)
    assert_allclose(shared, member_disagreement(MEMBERS, base), rtol=1e-10)


def test_disagreement_identifies_the_part_of_the_error_that_averaging_removes():
    rng = np.random.default_rng(0)
    tau2, rho, outcomes, k = 0.25, 0.3, 400_000, 5
    common = np.sqrt(rho * tau2) * rng.normal(size=outcomes)
    own = np.sqrt((1 - rho) * tau2) * rng.normal(size=(k, outcomes))
    members = rng.normal(size=outcomes) + common + own
    left = ensemble_error(k, error_variance=tau2, correlation=rho)
    seen = member_disagreement(members, np.full(outcomes, 1 / outcomes))
    assert_allclose(seen, left.disagreement, rtol=0.01)
    assert_allclose((common + own.mean(axis=0)).var(), left.variance, rtol=0.01)
    assert_allclose(left.variance - left.floor, left.disagreement / k, rtol=1e-12)
    assert_allclose(left.floor + left.disagreement, tau2, rtol=1e-12)


@given(
    k=st.integers(1, 1000),
    tau2=betas(1e-6, 1e6),
    rho=st.floats(0, 1),
    beta=betas(),
    gold_sd=betas(0.1, 10),
)
def test_normal_errors_cost_and_reach_what_the_ensemble_says(k, tau2, rho, beta, gold_sd):
    left = ensemble_error(k, error_variance=tau2, correlation=rho)
    point = gaussian_proxy(gold_sd=gold_sd, error_sd=np.sqrt(left.variance), beta=beta)
    assert_allclose(left.regret(beta=beta), point.regret, rtol=1e-9)
    assert_allclose(left.efficiency(gold_variance=gold_sd**2), point.efficiency, rtol=1e-9)
    assert left.floor <= left.variance * (1 + 1e-12)
    assert left.variance <= tau2 * (1 + 1e-12)


def test_the_regret_of_many_outcomes_is_that_of_the_error_variance_to_second_order():
    rng = np.random.default_rng(1)
    outcomes, tau2, rho, beta = 200_000, 0.04, 0.25, 2.0
    gold = rng.uniform(-1, 1, outcomes)
    common = np.sqrt(rho * tau2) * rng.normal(size=outcomes)
    base = np.full(outcomes, 1 / outcomes)
    for k in (1, 4, 16):
        own = np.sqrt((1 - rho) * tau2) * rng.normal(size=(k, outcomes))
        members = gold + common + own
        point = proxy_gold(base, gold=gold, proxy=ensemble_reward(members)).at(beta=beta)
        expected = ensemble_error(k, error_variance=tau2, correlation=rho).regret(beta=beta)
        assert_allclose(point.regret, expected, rtol=0.02)


def test_no_number_of_members_goes_below_the_shared_error():
    left = ensemble_error([1, 10, 1e12], error_variance=0.25, correlation=0.3)
    assert (np.diff(left.variance) < 0).all()
    assert_allclose(left.variance[2], left.floor[2], rtol=1e-9)
    assert (left.variance >= left.floor).all()
    assert_allclose(ensemble_error(7, error_variance=2.0, correlation=1.0).variance, 2.0)
    assert ensemble_error(
        [[1], [2]], error_variance=1.0, correlation=[0.0, 0.5, 1]
    ).floor.shape == (
        2,
        3,
    )


@given(share=st.floats(0, 0.999))
def test_the_members_needed_go_that_share_of_the_way_and_one_fewer_does_not(share):
    k = members_needed(share)
    left = ensemble_error([1, k], error_variance=1.0, correlation=0.2)
    way = (left.variance[0] - left.variance[1]) / (left.variance[0] - left.floor[0])
    assert way >= share - 1e-9
    if k > 1:
        before = ensemble_error(k - 1, error_variance=1.0, correlation=0.2).variance
        assert (left.variance[0] - before) / (left.variance[0] - left.floor[0]) < share


def test_members_needed_are_whole_and_infinite_for_the_whole_way():
    assert members_needed([0, 0.5, 0.75, 0.8, 0.9, 0.99, 0.999, 1]).tolist() == [
        *[1, 2, 4, 5, 10, 100, 1000],
        np.inf,
    ]


@given(covariance=covariances(), scale=betas(1e-12, 1e12))
def test_optimal_weights_are_those_of_the_inverse_covariance(covariance, scale):
    best = optimal_member_weights(scale * covariance)
    ones = np.ones(len(covariance))
    inverse = np.linalg.solve(covariance, ones)
    assert_allclose(best.weights, inverse / inverse.sum(), rtol=1e-8, atol=1e-10)
    assert_allclose(best.variance, scale / inverse.sum(), rtol=1e-9)


@pytest.mark.parametrize("nonnegative", [False, True])
@pytest.mark.parametrize("seed", range(6))
def test_no_optimiser_finds_better_weights(seed, nonnegative):
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(4, 4))
    covariance = root @ root.T + 0.1 * np.eye(4)
    found = optimize.minimize(
        lambda w: w @ covariance @ w,
        np.full(4, 0.25),
        jac=lambda w: 2 * covariance @ w,
        method="SLSQP",
        bounds=[(0, None) if nonnegative else (None, None)] * 4,
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1, "jac": np.ones_like},
        options={"ftol": 1e-15, "maxiter": 500},
    )
    best = optimal_member_weights(covariance, nonnegative=nonnegative)
    assert_allclose(best.variance, found.fun, rtol=1e-7)
    assert_allclose(best.weights, found.x, atol=1e-4)
    assert_allclose(best.weights.sum(), 1)
    if nonnegative:
        assert (best.weights >= 0).all()


def test_identical_and_perfect_members_share_their_weight():
    same = optimal_member_weights(np.full((3, 3), 2.0))
    assert_allclose(same.weights, 1 / 3)
    assert_allclose(same.variance, 2.0)
    assert_allclose(optimal_member_weights(np.zeros((2, 2))).weights, 0.5)
    one = optimal_member_weights(np.diag([1.0, 0.0]))
    assert_allclose(one.weights, [0, 1], atol=1e-12)
    assert one.variance < 1e-20
    many = optimal_member_weights(np.stack([np.eye(3), np.diag([1.0, 2.0, 4.0])]))
    assert many.weights.shape == (2, 3)
    assert_allclose(many.variance, [1 / 3, 4 / 7])


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: ensemble_reward([1.0, 2.0]), "members must be"),
        (lambda: ensemble_reward(MEMBERS, how="median"), 'how must be "mean" or'),
        (lambda: ensemble_reward([[0, np.nan]]), "members must be finite; got nan at index"),
        (lambda: ensemble_reward(MEMBERS, weights=[1, 0]), "weights must be one per member"),
        (lambda: ensemble_reward(MEMBERS, weights=[1, 1, 1]), "weights must sum to one"),
        (lambda: ensemble_reward(MEMBERS, penalty=1.0), "penalty belongs to"),
        (lambda: ensemble_reward(MEMBERS, how="uncertainty"), "needs a penalty"),
        (lambda: ensemble_reward(MEMBERS, how="uncertainty", penalty=-1), "needs a penalty"),
        (
            lambda: ensemble_reward(MEMBERS, how="uncertainty", penalty=1, weights=[2, -1, 0]),
            "finite and not negative",
        ),
        (
            lambda: ensemble_reward(MEMBERS, how="minimum", weights=[1, 0, 0]),
            "the minimum has none",
        ),
        (lambda: ensemble_reward(MEMBERS, base=[0.5, 0.5]), "base must broadcast"),
        (lambda: member_disagreement(MEMBERS[:1], [0.5, 0.3, 0.2]), "at least two"),
        (lambda: ensemble_error(0, error_variance=1, correlation=0), "members must be a finite"),
        (lambda: ensemble_error(2, error_variance=0, correlation=0), "error_variance must be"),
        (lambda: ensemble_error(2, error_variance=1, correlation=-0.1), "correlation must lie"),
        (lambda: members_needed(1.1), "share must lie between 0 and 1"),
        (lambda: optimal_member_weights([[1, 2]]), "error_covariance must be square"),
        (lambda: optimal_member_weights([[1, 2], [2, 1]]), "positive semidefinite"),
        (lambda: optimal_member_weights([[1, 0.5], [0, 1]]), "symmetric"),
        (lambda: optimal_member_weights([[np.inf, 0], [0, 1]]), "must be finite"),
    ],
)
def test_unusable_arguments_are_an_error(call, words):
    with pytest.raises(_errors.ArgumentError, match=words):
        call()
