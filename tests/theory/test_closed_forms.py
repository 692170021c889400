"""Closed-form frontiers, against fine discretisations and against each other."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from klimit import _errors
from klimit.theory import (
    bernoulli_frontier,
    ceiling,
    exponential_frontier,
    frontier,
    gaussian_frontier,
    kl,
    small_kl_expansion,
    uniform_frontier,
)
from tests.strategies import budgets, reward_tables

BUDGETS = np.array([1e-6, 1e-3, 0.1, 0.5, 1.0, 2.0])


def discretised(density, low, high, points=20001):
    """A known frontier whose base is a density on a fine grid (midpoints)."""
    edge = np.linspace(low, high, points + 1)
    x = (edge[1:] + edge[:-1]) / 2
    weight = density(x)
    return frontier(weight / weight.sum(), x)


@pytest.mark.parametrize(
    ("closed", "density", "low", "high"),
    [
        (gaussian_frontier, lambda x: np.exp(-x * x / 2), -12, 12),
        (exponential_frontier, lambda x: np.exp(-x), 0, 120),
        (uniform_frontier, np.ones_like, 0, 1),
    ],
)
def test_closed_forms_are_limits_of_fine_discretisations(closed, density, low, high):
    grid, point = discretised(density, low, high), closed(BUDGETS)
    assert_allclose(grid.gain(BUDGETS), point.gain, rtol=5e-5)
    assert_allclose(grid.beta(BUDGETS), point.beta, rtol=5e-5)


@pytest.mark.parametrize("closed", [gaussian_frontier, exponential_frontier, uniform_frontier])
@given(budget_kl=budgets(1e-8, 30.0))
def test_the_slope_of_a_closed_form_is_its_beta(closed, budget_kl):
    step = 1e-5 * budget_kl
    ends = closed([budget_kl - step, budget_kl + step]).gain
    assert_allclose((ends[1] - ends[0]) / (2 * step), closed(budget_kl).beta, rtol=1e-5, atol=1e-7)


LAWS = [
    (gaussian_frontier, {"sd": 2.5}),
    (exponential_frontier, {"scale": 2.5}),
    (uniform_frontier, {"width": 2.5}),
    (bernoulli_frontier, {"pass_rate": 0.2}),
]


@pytest.mark.parametrize(("closed", "law"), LAWS)
@given(fraction=st.floats(1e-9, 0.999))
def test_asked_by_budget_by_gain_or_by_slope_a_law_names_the_same_point(closed, law, fraction):
    limit = -np.log(0.2) if closed is bernoulli_frontier else 10.0
    point = closed(fraction * limit, **law)
    by_gain, by_beta = closed(gain=point.gain, **law), closed(beta=point.beta, **law)
    for other in (by_gain, by_beta):
        for name in ("kl", "gain", "beta", "variance"):
            # near their ends the laws are flat: a gain says little about the KL there
            assert_allclose(getattr(other, name), getattr(point, name), rtol=1e-7, err_msg=name)
        assert_allclose(other.jeffreys, point.jeffreys, rtol=1e-7)


@pytest.mark.parametrize(("closed", "law"), LAWS)
def test_the_curvature_of_a_closed_form_is_the_slope_of_its_beta(closed, law):
    at = np.array([1e-3, 0.1, 0.5, 1.2])
    ends = [closed(at * (1 + s * 1e-5), **law).beta for s in (-1, 1)]
    assert_allclose((ends[1] - ends[0]) / (2e-5 * at), closed(at, **law).curvature, rtol=1e-6)


@pytest.mark.parametrize("law", [gaussian_frontier, exponential_frontier, uniform_frontier])
def test_without_a_budget_the_base_is_infinitely_far_both_ways(law):
    point = law(np.inf)
    assert point.jeffreys == point.forward_kl == point.log_partition == np.inf


def test_gains_that_no_policy_reaches_cost_infinitely_much_and_no_gain_costs_nothing():
    for closed, law in LAWS:
        nothing = closed(gain=[-1.0, 0.0], **law)
        assert nothing.kl.tolist() == nothing.gain.tolist() == [0, 0]
        assert nothing.beta.tolist() == [np.inf] * 2
        at_rest = closed(beta=np.inf, **law)
        assert (at_rest.kl, at_rest.gain) == (0, 0)
        assert closed(-np.log(1.0), **law).beta == np.inf  # -0.0 nats
    beyond = uniform_frontier(gain=[0.5, 0.6])
    assert beyond.kl.tolist() == [np.inf] * 2
    assert beyond.beta.tolist() == [0, 0]
    sure, never = bernoulli_frontier(gain=[0.75, 0.76], pass_rate=0.25).kl
    assert_allclose(sure, np.log(4), rtol=1e-14)
    assert never == np.inf
    assert bernoulli_frontier(gain=[0.0, 0.1], pass_rate=[[0.0], [1.0]]).kl.tolist() == [
        [0, np.inf],
        [0, np.inf],
    ]
    steep = exponential_frontier(beta=[0.5, 1.0, 1.5])
    assert steep.gain.tolist()[:2] == steep.kl.tolist()[:2] == [np.inf] * 2
    assert_allclose(steep.gain[2], 2.0, rtol=1e-14)


def test_jeffreys_is_twice_the_kl_for_normal_rewards():
    point = gaussian_frontier(BUDGETS, sd=2.5)
    assert_allclose(point.jeffreys, 2 * BUDGETS, rtol=1e-14)
    assert_allclose(point.log_partition, BUDGETS, rtol=1e-13)


def test_exponential_gains_solve_their_equation_at_any_size():
    d = np.array([1e-30, 1e-12, 1e-3, 1.0, 50.0, 1e6])
    gain = exponential_frontier(d, scale=3.0).gain / 3.0
    assert_allclose(gain[2:] - np.log1p(gain[2:]), d[2:], rtol=1e-10)
    assert_allclose(gain[:2], np.sqrt(2 * d[:2]), rtol=1e-5)
    assert exponential_frontier(0).gain == 0
    assert exponential_frontier(0).beta == np.inf


def test_uniform_gains_stay_below_half_the_width_and_are_smooth_across_branches():
    d = np.array([0.0, 1e-30, 1e-12, 0.4, 5.0, 600.0, 1e4, np.inf])
    point = uniform_frontier(d, width=4.0)
    assert (np.diff(point.gain) >= 0).all()
    assert (point.gain <= 2.0).all()
    assert_allclose(point.gain[1:3], 4 * np.sqrt(2 * d[1:3] / 12), rtol=1e-5)
    near = uniform_frontier(0.4 + np.linspace(-0.2, 0.2, 4001))
    third = np.diff(near.gain, 3)
    assert np.abs(third).max() < 1e-10
    assert point.beta[0] == np.inf


def test_the_branches_of_the_uniform_law_agree_where_they_meet():
    # both sides of a half-width tilt of 2, where the series gives way to the closed form
    from klimit.theory.closed_forms import _half_width

    below, above = _half_width(np.array([2.0 - 1e-9])), _half_width(np.array([2.0 + 1e-9]))
    assert_allclose(below, above, rtol=1e-8)
    assert_allclose(below[0], 2 / np.tanh(2) - 1 - np.log(np.sinh(2) / 2), rtol=1e-8)


@given(q=st.floats(1e-6, 1 - 1e-6), fraction=st.floats(1e-6, 0.999))
def test_bernoulli_gains_solve_the_binary_kl(q, fraction):
    limit = ceiling([1 - q, q], [0, 1])
    d = fraction * limit.kl
    point = bernoulli_frontier(d, pass_rate=q)
    a = min(q + float(point.gain), 1.0)
    assert_allclose(kl([1 - a, a], [1 - q, q]), d, rtol=1e-6, atol=1e-14)
    assert_allclose(point.gain, frontier([1 - q, q], [0, 1]).gain(d), rtol=1e-12)
    if 1e-6 < q < 0.99 and a < 0.999:
        odds = np.log(a * (1 - q) / ((1 - a) * q))
        assert_allclose(1 / point.beta, odds, rtol=1e-6, atol=1e-7)


def test_bernoulli_frontiers_broadcast_and_saturate():
    point = bernoulli_frontier([[0.1], [9.0]], pass_rate=[0.0, 0.1, 1.0])
    assert point.gain.shape == (2, 3)
    assert point.gain[:, [0, 2]].tolist() == [[0, 0], [0, 0]]
    assert_allclose(point.gain[1, 1], 0.9)
    assert point.beta[1].tolist() == [0, 0, 0]


@given(table=reward_tables(min_outcomes=2, smallest=0.05))
def test_two_terms_suffice_at_small_kl(table):
    tiny = 1e-8
    exact = frontier(table.base, table.reward).gain(tiny)
    spread = np.ptp(table.reward[table.base > 0])
    deviation = np.sqrt(table.base @ (table.reward - table.base @ table.reward) ** 2)
    expansion = small_kl_expansion(table.base, table.reward, tiny)
    if deviation == 0 or ceiling(table.base, table.reward).kl < 1e-2 or spread > 20 * deviation:
        return
    assert_allclose(expansion, exact, rtol=1e-5)


def test_expansions_broadcast_and_vanish_for_constant_rewards():
    assert small_kl_expansion([[0.5, 0.5]] * 3, [0, 1], [[0.1], [0.2]]).shape == (2, 3)
    assert small_kl_expansion([0.5, 0.5], [3, 3], 0.1) == 0


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: gaussian_frontier(-1), "kl must be a KL budget"),
        (lambda: gaussian_frontier(1, sd=0), "sd must be positive"),
        (lambda: exponential_frontier(np.nan), "kl must be a KL budget"),
        (lambda: exponential_frontier(1, scale=np.inf), "scale must be positive and finite"),
        (lambda: uniform_frontier([1, -1]), "at index 1"),
        (lambda: uniform_frontier(1, width=-1), "width must be positive"),
        (lambda: bernoulli_frontier(1, pass_rate=2), "pass_rate must lie between 0 and 1"),
        (lambda: gaussian_frontier([1, 2], sd=[1, 2, 3]), "shapes must broadcast"),
        (lambda: small_kl_expansion([0.5, 0.5], [0, 1], -1), "kl must be a KL budget"),
        (lambda: gaussian_frontier(), "exactly one of kl, gain and beta must be given; got none"),
        (lambda: uniform_frontier(1, beta=1), "got kl and beta"),
        (lambda: bernoulli_frontier(gain=np.nan, pass_rate=0.1), "gain must be a number"),
        (lambda: exponential_frontier(beta=0), "beta must be positive"),
    ],
)
def test_unusable_arguments_are_an_error(call, words):
    with pytest.raises(_errors.ArgumentError, match=words):
        call()
