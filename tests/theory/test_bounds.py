"""Bounds on the gain: above the frontier and above every policy, and equal to it where they should be."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy import optimize, stats

import klimit
from klimit import _errors
from klimit.theory import (
    bennett_bound,
    bernstein_bound,
    best_of_n,
    bounds,
    chi_square,
    chi_square_bound,
    continuous_best_of_n,
    frontier,
    gaussian_frontier,
    hellinger_bound,
    hellinger_squared,
    hoeffding_bound,
    kl,
    renyi,
    renyi_bound,
    sub_exponential_bound,
    sub_gamma_bound,
    sub_gamma_scale,
    sub_gaussian_bound,
    tilt,
    total_variation,
    total_variation_bound,
    variance_proxy,
)
from tests.strategies import RewardTable, budgets, distributions, ragged_prompts, reward_tables


def rounding(table):
    """What rounding may do to a gain: 1e-10 of the rewards' range and 8 ulp of their size."""
    reward = np.concatenate([np.atleast_1d(r) for r in table.reward])
    return 1e-10 * np.ptp(reward) + 8 * np.finfo(float).eps * np.abs(reward).max()


def variance(table):
    return table.base @ (table.reward - table.base @ table.reward) ** 2


@st.composite
def extreme_tables(draw):
    """Probabilities down to 1e-300, rewards up to 1e6 with offsets, one outcome, equal rewards."""
    base = draw(distributions(max_outcomes=4, smallest=1e-300))
    value = st.sampled_from([0.0, 1e-6, 0.5, 1.0, 3.0])
    reward = np.array(draw(st.lists(value, min_size=base.size, max_size=base.size)))
    scale, offset = draw(st.sampled_from([(1.0, 0.0), (1e6, 0.0), (1e-6, 0.0), (1.0, 1e6)]))
    return RewardTable(base, scale * reward + offset)


@settings(max_examples=50)
@given(table=reward_tables(), d=budgets(1e-12))
def test_every_bound_is_above_the_frontier(table, d):
    found = bounds(table.base, table.reward, d)
    assert np.isfinite(found.values).all()
    assert (found.values >= frontier(table.base, table.reward).gain(d) - rounding(table)).all()
    assert (found.over_frontier >= 1 - 1e-9).all()


@settings(max_examples=50)
@given(table=extreme_tables(), d=budgets(1e-12, 800.0))
def test_every_bound_is_above_the_frontier_of_extreme_laws(table, d):
    found = bounds(table.base, table.reward, d)
    assert not np.isnan(found.values).any()
    assert (found.values >= found.frontier - rounding(table)).all()


@settings(max_examples=50)
@given(table=ragged_prompts(), d=budgets(1e-9))
def test_every_bound_is_above_the_average_frontier_of_many_prompts(table, d):
    found = bounds(table.base, table.reward, d, weights=table.weights)
    limit = frontier(table.base, table.reward, weights=table.weights)
    assert_allclose(found.frontier, limit.gain(d), rtol=1e-12)
    assert (found.values >= found.frontier - rounding(table)).all()


@settings(max_examples=50)
@given(data=st.data(), table=reward_tables(min_outcomes=2))
def test_no_policy_gains_more_than_a_bound_at_its_own_divergence(data, table):
    policy = data.draw(distributions(table.base.size))
    policy = np.where(table.base > 0, policy, 0.0)
    assume(policy.sum() > 0)
    policy /= policy.sum()
    mean, v = table.base @ table.reward, variance(table)
    gain = policy @ table.reward - mean
    possible = table.reward[table.base > 0]
    width, above = np.ptp(possible), max(possible.max() - mean, 0.0)
    slack = rounding(table)
    d, a = kl(policy, table.base), data.draw(st.sampled_from([0.01, 0.3, 0.5, 0.9, 1.0]))
    one_sided = [
        sub_gaussian_bound(d, variance_proxy=variance_proxy(table.base, table.reward)),
        bernstein_bound(d, variance=v, above=above),
        bennett_bound(d, variance=v, above=above),
        sub_gamma_bound(d, variance=v, scale=sub_gamma_scale(table.base, table.reward)),
        sub_exponential_bound(
            d, variance_proxy=variance_proxy(table.base, table.reward, scale=0.7), scale=0.7
        ),
        renyi_bound(
            renyi(policy, table.base, alpha=a),
            alpha=a,
            policy_proxy=variance_proxy(policy, table.reward, tail="lower"),
            base_proxy=variance_proxy(table.base, table.reward),
        ),
    ]
    assert gain <= min(one_sided) + slack
    moments = [law @ (table.reward - 0.3) ** 2 for law in (policy, table.base)]
    two_sided = [
        hoeffding_bound(d, width=width),
        chi_square_bound(chi_square(policy, table.base), sd=np.sqrt(v)),
        total_variation_bound(total_variation(policy, table.base), width=width),
        hellinger_bound(
            hellinger_squared(policy, table.base), policy_moment=moments[0], base_moment=moments[1]
        ),
    ]
    assert abs(gain) <= min(two_sided) + slack


def least(f, d, highest=np.inf):
    """min over 0 < x < highest of (d + f(x)) / x, by a general optimiser."""

    def value(log_x):
        x = np.exp(log_x)
        with np.errstate(divide="ignore", over="ignore"):
            return np.where(x < highest, (d + f(x)) / x, 1e300)

    grid = np.linspace(-12, min(6, np.log(highest)), 4000)
    start = grid[value(grid).argmin()]
    near = (start - 0.01, min(start + 0.01, np.log(highest)))
    found = optimize.minimize_scalar(value, bounds=near, method="bounded")
    return min(found.fun, value(grid).min())


@settings(max_examples=50)
@given(d=budgets(1e-3, 50), v=budgets(0.1, 10), c=budgets(0.01, 3))
def test_the_tail_bounds_are_the_minima_of_their_duals(d, v, c):
    fit = {"rtol": 1e-7}
    assert_allclose(
        sub_gaussian_bound(d, variance_proxy=v), least(lambda x: v * x * x / 2, d), **fit
    )
    assert_allclose(
        sub_gamma_bound(d, variance=v, scale=c),
        least(lambda x: v * x * x / (2 * (1 - c * x)), d, 1 / c),
        **fit,
    )
    assert_allclose(
        bennett_bound(d, variance=v, above=c),
        least(lambda x: v / c**2 * (np.expm1(c * x) - c * x), d),
        **fit,
    )
    assert_allclose(
        sub_exponential_bound(d, variance_proxy=v, scale=c),
        least(lambda x: v * x * x / 2, d, 1 / c * (1 + 1e-12)),
        rtol=1e-5,
    )


@given(d=budgets(1e-12, 700), v=budgets(1e-12, 1e12), b=budgets(1e-6, 1e6))
def test_bennett_never_says_more_than_bernstein(d, v, b):
    bennett = bennett_bound(d, variance=v, above=b)
    assert bennett <= bernstein_bound(d, variance=v, above=b) * (1 + 1e-12)
    u = float(bennett) * b / v
    if 1e-3 < u < 1e100:
        assert_allclose((1 + u) * np.log1p(u) - u, b * b * d / v, rtol=1e-9)


def test_bounds_are_the_frontier_for_the_laws_they_are_made_of():
    assert_allclose(sub_gaussian_bound(2, variance_proxy=1.44), gaussian_frontier(2, sd=1.2).gain)
    counts = np.arange(80)
    base = stats.poisson.pmf(counts, 2.0)
    limit = frontier(base / base.sum(), counts)
    assert_allclose(bennett_bound(1.5, variance=2.0, above=1.0), limit.gain(1.5), rtol=1e-9)
    # chi-square: the policy 1 + c (reward - mean), and two levels
    base, reward = np.array([0.5, 0.3, 0.2]), np.array([0.0, 1.0, 4.0])
    policy = base * (1 + 0.3 * (reward - base @ reward))
    sd = np.sqrt(base @ reward**2 - (base @ reward) ** 2)
    bound = chi_square_bound(chi_square(policy, base), sd=sd)
    assert_allclose((policy - base) @ reward, bound, rtol=1e-12)
    best = best_of_n([0.9, 0.1], [0, 1], 5)
    assert_allclose(chi_square_bound(chi_square(best.policy, [0.9, 0.1]), sd=0.3), best.gain)
    # Renyi: normal laws of equal variance at every order
    shift = 0.7
    assert_allclose(
        renyi_bound(0.3 * shift**2 / 2, alpha=0.3, policy_proxy=1.0, base_proxy=1.0), shift
    )


def test_bounds_of_best_of_n_need_nothing_but_n_and_the_reward():
    best = best_of_n(np.full(10, 0.1), np.arange(10), [2, 16])
    apart = continuous_best_of_n([2, 16])
    sd = np.sqrt(8.25)
    assert (chi_square_bound(apart.chi_square, sd=sd) >= best.gain).all()
    assert (total_variation_bound(apart.total_variation, width=9) >= best.gain).all()
    sharper = sub_gaussian_bound(apart.kl, variance_proxy=variance_proxy([0.1] * 10, range(10)))
    assert (sharper >= best.gain).all()
    assert (sharper < sub_gaussian_bound(np.log([2, 16]), variance_proxy=8.25)).all()


def test_upper_tails_of_both_are_no_renyi_bound():
    base, policy, reward = [0.997, 0.003], [0.011, 0.989], np.array([-0.57, 1.33])
    gain = np.subtract(policy, base) @ reward
    told = {"alpha": 0.1, "base_proxy": variance_proxy(base, reward)}
    apart = renyi(policy, base, alpha=0.1)
    lower = variance_proxy(policy, reward, tail="lower")
    assert renyi_bound(apart, policy_proxy=lower, **told) >= gain
    upper = variance_proxy(policy, reward, tail="upper")
    assert renyi_bound(apart, policy_proxy=upper, **told) < 0.6 * gain
    # at order 1 nothing of the policy's tail counts
    assert_allclose(renyi_bound(0.5, alpha=1, policy_proxy=np.inf, base_proxy=1), 1.0)


def test_averaged_ranges_and_deviations_are_no_bounds_over_prompts():
    base, reward = [[0.5, 0.5], [0.5, 0.5]], [[0.0, 0.0], [0.0, 2.0]]
    gain = frontier(base, reward).gain(0.1)
    found = bounds(base, reward, 0.1)
    assert hoeffding_bound(0.1, width=np.mean([0, 2])) < gain
    assert sub_gaussian_bound(0.1, variance_proxy=np.mean([0, 1]) ** 2) < gain
    assert (found.values >= gain).all()
    assert_allclose(found.values[1], hoeffding_bound(0.1, width=np.sqrt(2)), rtol=1e-12)
    assert_allclose(found.values[0], sub_gaussian_bound(0.1, variance_proxy=0.5), rtol=1e-9)


def test_the_bounds_are_those_that_samples_estimate():
    rng = np.random.default_rng(3)
    rewards = rng.gamma(2.0, size=(4, 50))
    found = bounds(np.full((4, 50), 0.02), rewards, 0.8)
    estimated = klimit.frontier(rewards, estimator="plugin").bounds(0.8)
    seen = dict(zip(estimated["bound"], estimated["value"], strict=True))
    shared = [name for name in found.names if name in seen]
    assert len(shared) == 7 == len(seen) - 1
    for name in shared:
        value = found.values[found.names.index(name)]
        assert_allclose(value, seen[name], rtol=1e-3 if "proxy" in name else 1e-6, err_msg=name)


def test_the_comparison_says_which_bound_is_tightest_and_by_how_much():
    base, reward = [0.5, 0.3, 0.2], [0.0, 1.0, 4.0]
    found = bounds(base, reward, [[0.0, 0.01], [1.0, np.inf]])
    assert found.values.shape == (len(found.names), 2, 2)
    assert found.tightest[0, 1] == "chi-square of the optimum"
    assert found.tightest[1, 0] == "sub-Gaussian, best variance proxy"
    assert (found.over_frontier[:, 0, 0] == 1).all()
    assert np.isinf(found.values[:6, 1, 1]).all()
    assert np.isfinite(found.values[6:, 1, 1]).all()
    rows = list(found.rows())
    assert len(rows) == 4 * len(found.names)
    here = [row for row in rows if row["kl"] == 1.0]
    values = [row["value"] for row in here]
    assert values == sorted(values)
    assert here[0]["bound"] == found.tightest[1, 0]
    assert_allclose(here[0]["over_frontier"], values[0] / found.frontier[1, 0])
    assert found.to_frame().rows(named=True) == rows
    assert str(found).count("the bounds on it:") == 4
    assert "1.005 x  +2.408  sub-Gaussian, best variance proxy" in str(found)
    assert bounds(base, reward, []).values.shape == (len(found.names), 0)


def test_bounds_past_saturation_are_those_of_the_best_outcomes():
    base, reward = [0.5, 0.3, 0.2], [0.0, 1.0, 4.0]
    found = dict(zip(*(lambda b: (b.names, b.values))(bounds(base, reward, 5.0)), strict=True))
    best = [0.0, 0.0, 1.0]
    sd = np.sqrt(2.29)
    assert_allclose(found["chi-square of the optimum"], sd * np.sqrt(chi_square(best, base)))
    assert_allclose(found["total variation of the optimum"], 4 * 0.8)
    near = bounds(base, reward, float(np.log(5)) * (1 - 1e-9))
    # the Renyi bound jumps: its lower tail under the policy dies out as 1 / log only
    assert near.names[6] == "Renyi of the optimum"
    assert near.values[6] > found["Renyi of the optimum"]
    assert_allclose(near.values[7:], list(found.values())[7:], rtol=1e-4)


def test_prompts_of_weight_zero_say_nothing():
    base, reward = [[0.5, 0.5], [0.9, 0.1]], [[0, 1], [0, 1e6]]
    found = bounds(base, reward, 0.3, weights=[1, 0])
    assert_allclose(found.values, bounds(base[0], reward[0], 0.3).values, rtol=1e-12)


def test_constant_rewards_leave_nothing_to_gain():
    for base, reward in ([1.0], [5.0]), ([0.5, 0.5], [2.0, 2.0]):
        found = bounds(base, reward, [0.0, 1.0, np.inf])
        assert (found.values == 0).all()
        assert (found.over_frontier == 1).all()


def test_a_small_budget_is_worth_the_deviation_whatever_the_bound():
    base, reward = np.array([0.5, 0.3, 0.2]), np.array([0.0, 1.0, 4.0])
    found = bounds(base, reward, 1e-12)
    first_order = np.sqrt(2 * 2.29e-12)
    exact = [i for i, name in enumerate(found.names) if name in EXACT_AT_FIRST]
    assert len(exact) == len(EXACT_AT_FIRST)
    assert_allclose(found.values[exact], first_order, rtol=1e-5)
    assert_allclose(tilt(base, reward, beta=1e6).gain, 2.29e-6, rtol=1e-5)


EXACT_AT_FIRST = {
    "Bernstein",
    "Bennett",
    "sub-gamma, best scale",
    "chi-square of the optimum",
    "Hellinger of the optimum",
}


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: sub_gaussian_bound(-1, variance_proxy=1), "kl must be a KL budget"),
        (lambda: sub_gaussian_bound(1, variance_proxy=-1), "variance_proxy must be at least 0"),
        (lambda: hoeffding_bound(1, width=np.nan), "width must be at least 0; got nan"),
        (lambda: bennett_bound(1, variance=1, above=-2), "above must be at least 0; got -2"),
        (lambda: bernstein_bound(1, variance=[1, 2], above=[1, 2, 3]), r"above \(3,\)"),
        (lambda: sub_gamma_bound([1, 2], variance=1, scale=[1, 2, 3]), "must broadcast"),
        (lambda: sub_exponential_bound(1, variance_proxy=1, scale=-1), "scale must be at least 0"),
        (lambda: renyi_bound(1, alpha=1.5, policy_proxy=1, base_proxy=1), "alpha must be above 0"),
        (lambda: renyi_bound(1, alpha=0, policy_proxy=1, base_proxy=1), "alpha must be above 0"),
        (lambda: renyi_bound(-1, alpha=0.5, policy_proxy=1, base_proxy=1), "renyi must be at"),
        (lambda: chi_square_bound(-0.1, sd=1), "chi_square must be at least 0"),
        (lambda: total_variation_bound(1.1, width=1), "total_variation must lie between 0 and 1"),
        (
            lambda: hellinger_bound(2, policy_moment=1, base_moment=1),
            "hellinger_squared must lie between 0 and 1",
        ),
        (lambda: bounds([0.5, 0.5], [0, 1], -1), "kl must be a KL budget"),
        (lambda: bounds([0.5, 0.6], [0, 1], 1), "base must sum to one"),
    ],
)
def test_a_wrong_argument_is_named(call, message):
    with pytest.raises(_errors.ArgumentError, match=message):
        call()
