"""The properties P1 to P15 of the theory, on random inputs and on extreme ones.

Tolerance: 1e-10 of the reward's spread and 8 ulp of its size.
"""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from klimit.theory import (
    best_of_n,
    ceiling,
    chi_square,
    continuous_best_of_n,
    covariance_gain,
    cressie_read,
    forward_kl_tilt,
    frontier,
    gain,
    hellinger_squared,
    jeffreys,
    jeffreys_gain,
    jensen_shannon,
    kl,
    proxy_gold,
    reference_frontier,
    renyi,
    reverse_kl_tilt,
    soft_best_of_n,
    tilt,
    total_variation,
    uniform_frontier,
    win_rate_frontier,
)
from tests.strategies import budgets, distributions, draw_counts, rewards

ULP = np.finfo(float).eps


def tolerance(reward, possible=True):
    """1e-10 of the spread and 8 ulp of the size of the rewards that can occur."""
    seen = np.asarray(reward, dtype=float)[np.broadcast_to(possible, np.shape(reward))]
    return 1e-10 * np.ptp(seen) + 8 * ULP * np.abs(seen).max()


@st.composite
def hard_tables(draw):
    """One prompt: probabilities down to 1e-300, rewards up to 1e6 on any offset, ties, constants."""
    count = draw(st.integers(1, 6))
    base = draw(distributions(count, smallest=draw(st.sampled_from([1e-2, 1e-12, 1e-300]))))
    scale = draw(st.sampled_from([1.0, 1e-6, 1e6]))
    reward = scale * draw(rewards(count)) + draw(st.sampled_from([0.0, 0.0, 1e6]))
    return base, reward


def spread_of(base, reward):
    """A scale for beta: the standard deviation, or one for constant rewards."""
    deviation = np.sqrt(base @ (reward - base @ reward) ** 2)
    return deviation if deviation > 0 else 1.0


tilts = st.floats(-6.0, 12.0).map(lambda x: float(10.0**x))


@given(table=hard_tables(), relative=tilts)
def test_p1_the_three_forms_of_the_gain_agree(table, relative):
    base, reward = table
    beta = relative * spread_of(base, reward)
    best = tilt(base, reward, beta=beta)
    slack = {"rtol": 1e-10, "atol": tolerance(reward, base > 0)}
    assert_allclose(gain(best.policy, base, reward), best.gain, **slack)
    assert_allclose(covariance_gain(base, reward, log_weight=reward / beta), best.gain, **slack)
    if np.isfinite(best.jeffreys):
        assert_allclose(beta * best.jeffreys, best.gain, **slack)
    if (best.policy[base > 0] > 1e-290).all():  # the policy's own digits suffice
        assert_allclose(
            jeffreys_gain(best.policy, base, beta=beta), best.gain, rtol=1e-6, atol=1e-6
        )
        assert_allclose(best.jeffreys, jeffreys(best.policy, base), rtol=1e-6, atol=1e-12)


@given(table=hard_tables(), relative=tilts, data=st.data())
def test_p2_every_policy_falls_short_by_beta_times_its_kl_from_the_tilt(table, relative, data):
    base, reward = table
    other = np.where(base > 0, data.draw(distributions(base.size)), 0.0)
    assume(other.sum() > 0)
    other /= other.sum()
    beta = relative * spread_of(base, reward)
    best = tilt(base, reward, beta=beta)
    assume((best.policy[other > 0] > 1e-290).all())
    centre = base @ reward
    left = other @ (reward - centre) - beta * kl(other, base)
    right = beta * best.forward_kl - beta * kl(other, best.policy)
    size = beta * (kl(other, base) + best.forward_kl)
    assert_allclose(
        left, right, rtol=1e-9, atol=10 * tolerance(reward, base > 0) + 1e-11 * size + 1e-14 * beta
    )


@given(table=hard_tables(), fraction=st.floats(1e-4, 0.98))
def test_p3_the_slope_of_the_frontier_is_beta_and_bends_as_the_curvature_says(table, fraction):
    base, reward = table
    limit = frontier(base, reward)
    at = fraction * float(limit.saturation.kl)
    assume(at > 1e-12)
    step = 1e-4 * min(at, limit.saturation.kl - at)
    low, middle, high = limit.gain([at - step, at, at + step])
    beta, noise = float(limit.beta(at)), 2 * tolerance(reward, base > 0) / step
    if noise < 1e-4 * beta:
        assert_allclose((high - low) / (2 * step), beta, rtol=1e-5, atol=2 * noise)
    ends = limit.beta([at - step, at + step])
    bend = (ends[1] - ends[0]) / (2 * step)
    assert_allclose(bend, limit.curvature(at), rtol=1e-3, atol=1e-6 * beta / at)
    assert low <= middle <= high


@given(first=hard_tables(), second=hard_tables(), third=hard_tables(), budget=budgets(1e-12, 50.0))
def test_p4_one_shared_beta_gains_at_least_the_mean_of_the_prompts_own(
    first, second, third, budget
):
    base, reward = zip(first, second, third, strict=True)
    together = frontier(list(base), list(reward)).gain(budget)
    alone = [float(frontier(p, r).gain(budget)) for p, r in zip(base, reward, strict=True)]
    slack = max(tolerance(r, p > 0) for p, r in zip(base, reward, strict=True))
    assert together >= np.mean(alone) * (1 - 1e-10) - slack
    each = frontier(list(base), list(reward), budget="per-prompt").gain(budget)
    assert_allclose(each, np.mean(alone), rtol=1e-10, atol=slack)


@given(values=st.integers(1, 12).flatmap(rewards), relative=tilts)
def test_p5_the_kl_of_a_reweighted_sample_is_at_most_the_log_of_its_size_over_the_ties(
    values, relative
):
    base = np.full(values.size, 1 / values.size)
    cap = np.log(values.size / np.sum(values == values.max()))
    assert tilt(base, values, beta=relative * spread_of(base, values)).kl <= cap + 1e-12
    assert_allclose(ceiling(base, values).kl, cap, rtol=1e-12, atol=1e-14)


@settings(max_examples=60)
@given(values=st.integers(2, 12).flatmap(rewards), budget=budgets(1e-6, 5.0))
def test_p9_leaving_one_sample_out_lowers_the_plug_in_frontier_on_average(values, budget):
    def plug_in(sample):
        return frontier(np.full(sample.size, 1 / sample.size), sample).gain(budget)

    fewer = [plug_in(np.delete(values, k)) for k in range(values.size)]
    assert np.mean(fewer) <= plug_in(values) + tolerance(values)


@given(
    table=hard_tables(),
    relative=tilts,
    offset=st.sampled_from([-1e6, -3.7, 1e3]),
    scale=st.sampled_from([1e-6, 7.5, 1e6]),
)
def test_p12_offsets_change_nothing_and_scales_scale(table, relative, offset, scale):
    base, reward = table
    beta = relative * spread_of(base, reward)
    best, scaled = (tilt(base, c * reward, beta=c * beta) for c in (1.0, scale))
    slack = tolerance(scale * reward, base > 0)
    assert_allclose(scaled.gain, scale * best.gain, rtol=1e-10, atol=slack)
    loss = 8 * ULP * np.abs(reward[base > 0]).max() / beta  # what rounding may do to a log weight
    assert_allclose(scaled.policy, best.policy, rtol=1e-10 + 4 * loss, atol=1e-300)
    # an offset rounds the rewards, by an ulp of the larger
    moved = tilt(base, reward + offset, beta=beta)
    rounded = tolerance(reward + offset, base > 0) + tolerance(reward, base > 0)
    assert_allclose(moved.gain, best.gain, rtol=1e-9 + 10 * rounded / beta, atol=rounded)
    if rounded < 1e-3 * beta:
        assert_allclose(moved.policy, best.policy, rtol=1e-9 + 10 * rounded / beta, atol=1e-300)
        error = 10 * rounded / beta * (1 + best.kl)
        assert_allclose(moved.kl, best.kl, rtol=1e-9 + error, atol=1e-12 + error)


@given(table=hard_tables(), budget=budgets(1e-12, 20.0))
def test_p13_win_rates_see_only_the_order_of_rewards(table, budget):
    base, reward = table
    ranks = np.unique(reward, return_inverse=True)[1]
    plain, ranked, bent = (
        win_rate_frontier(base, r) for r in (reward, ranks, -np.exp(-ranks.astype(float)))
    )
    for other in (ranked, bent):
        assert_allclose(other.gain(budget), plain.gain(budget), rtol=1e-12, atol=1e-15)
    assert plain.gain(budget) <= min(0.5, uniform_frontier(budget).gain * (1 + 1e-10))


@given(table=hard_tables(), judge=st.lists(st.floats(-5, 5), min_size=6, max_size=6))
def test_p6_one_draw_is_the_mean_and_endless_draws_the_judges_mean_over_the_best(table, judge):
    base, reward = table
    judge = np.array(judge)[: base.size]
    assert_allclose(best_of_n(base, reward, 1).policy, base, rtol=1e-14)
    chosen = np.where(reward == reward[base > 0].max(), base, 0.0)
    endless = best_of_n(base, reward, 1e306).policy
    assert_allclose(endless @ judge, chosen @ judge / chosen.sum(), rtol=1e-10, atol=1e-10)


@given(table=hard_tables(), n=draw_counts(10**12))
def test_p7_the_kl_of_best_of_n_is_at_most_the_formula_for_rewards_without_ties(table, n):
    best, bound = best_of_n(*table, n), continuous_best_of_n(n)
    assert 0 <= best.kl <= bound.kl * (1 + 1e-12)
    assert best.kl <= ceiling(*table).kl * (1 + 1e-12) + 1e-300


@given(
    log_rate=st.floats(-690.0, -1e-12),
    size=st.sampled_from([1e-6, 1.0, 1e6]),
    n=draw_counts(10**12),
)
def test_p8_best_of_n_of_two_levels_lies_on_the_frontier(log_rate, size, n):
    base, reward = np.array([-np.expm1(log_rate), np.exp(log_rate)]), np.array([0.0, size])
    best = best_of_n(base, reward, n)
    limit = frontier(base, reward, budget="per-prompt")
    assert_allclose(limit.gain(best.kl), best.gain, rtol=1e-9, atol=1e-12 * size)


@given(table=hard_tables(), relative=tilts, data=st.data())
def test_p10_regret_and_distance_stay_below_what_the_range_of_the_error_allows(
    table, relative, data
):
    base, gold = table
    error = data.draw(st.sampled_from([1e-9, 1.0, 1e3])) * data.draw(rewards(base.size))
    proxy, beta = gold + error, relative * spread_of(base, gold)
    width = np.ptp((proxy - gold)[base > 0])
    seen = proxy_gold(base, gold=gold, proxy=proxy)
    slack = tolerance(gold, base > 0) + tolerance(proxy, base > 0)
    assert 0 <= seen.at(beta=beta).regret <= width * (width / beta) / 8 + slack
    apart = total_variation(*(tilt(base, r, beta=beta).policy for r in (proxy, gold)))
    size = max(np.abs(r[base > 0]).max() for r in (gold, proxy))
    assert apart <= np.tanh(width / beta / 4) + 1e-12 + 32 * ULP * size / beta


@settings(max_examples=60)
@given(table=hard_tables(), n=draw_counts(10**12), relative=st.floats(-3.0, 6.0))
def test_p11_the_tilt_is_no_further_from_soft_best_of_n_than_chi_square_over_n(table, n, relative):
    base, reward = table
    beta = 10.0**relative * spread_of(base, reward)
    best = soft_best_of_n(base, reward, n, beta=beta)
    rounded = 8 * ULP * np.abs(reward[base > 0]).max() / beta
    assert 0 <= best.kl_from_tilt <= best.kl_from_tilt_bound * (1 + 1e-9) + 1e-14 + rounded


@given(table=hard_tables(), relative=tilts, copies=st.integers(1, 3))
def test_p14_equal_references_and_one_of_full_weight_are_one_reference(table, relative, copies):
    base, reward = table
    beta = relative * spread_of(base, reward)
    one, slack = tilt(base, reward, beta=beta), tolerance(reward, base > 0)
    other = np.eye(base.size)[np.argmin(base)]
    mixtures = [([base] * copies, None), ([base, other], [1.0, 0.0])]
    for references, mixture in mixtures:
        best = reverse_kl_tilt(references, reward, gamma=1 / beta, mixture=mixture)
        assert_allclose(best.gain, one.gain, rtol=1e-10, atol=slack)
        assert_allclose(best.kl, one.kl, rtol=1e-9, atol=1e-12 + slack / beta)
        assert best.unavoidable_kl == pytest.approx(0.0, abs=1e-14)
        limit = reference_frontier(references, reward, mixture=mixture)
        assert_allclose(limit.gain(1.0), frontier(base, reward).gain(1.0), rtol=1e-9, atol=slack)
        forward = forward_kl_tilt(references, reward, gamma=1 / beta, mixture=mixture)
        alone = forward_kl_tilt([base], reward, gamma=1 / beta)
        assert_allclose(forward.policy, alone.policy, rtol=1e-9, atol=1e-300)


@given(data=st.data(), smallest=st.sampled_from([1e-2, 1e-12, 1e-300]), alpha=st.floats(0.01, 40.0))
def test_p15_divergences_are_never_negative_and_keep_the_classic_inequalities(
    data, smallest, alpha
):
    size = data.draw(st.integers(1, 6))
    p, q = (data.draw(distributions(size, smallest=smallest)) for _ in range(2))
    spent, chi2, tv, h2 = (f(p, q) for f in (kl, chi_square, total_variation, hellinger_squared))
    rest = [jeffreys(p, q), jensen_shannon(p, q), renyi(p, q, alpha=alpha)]
    assert min(spent, chi2, tv, h2, *rest, cressie_read(p, q, alpha=alpha)) >= 0
    assert tv <= np.sqrt(spent / 2) + 1e-12
    assert h2 <= tv + 1e-12
    assert tv <= np.sqrt(2 * h2) + 1e-12
    assert spent <= np.log1p(chi2) * (1 + 1e-12) + 1e-12


@pytest.mark.parametrize("budget", ["average", "per-prompt"])
def test_extreme_prompts_share_a_budget_without_spoiling_each_other(budget):
    base = [[1.0], [0.5, 0.5], [1 - 1e-300, 1e-300], [0.5, 0.3, 0.2], [0.25] * 4]
    reward = [[3.0], [1e6, 1e6], [0.0, 1e6], [0.0, 1.0, 4.0], [0.0, 0.0, 0.0, 1e6]]
    limit = frontier(base, reward, budget=budget)
    kls = [0.0, 1e-12, 1e-6, 1.0, 100.0, 1e4, np.inf]
    gains = limit.gain(kls)
    assert np.isfinite(gains).all()
    assert all(a <= b for a, b in pairwise(gains))
    assert_allclose(gains[-1], (1e6 + 2.9 + 7.5e5) / 5, rtol=1e-12)
    # below the last saturation the KL of a gain is the one that was spent
    assert_allclose(limit.kl(gains[1:5]), kls[1:5], rtol=1e-7)
    for kl_, policies in zip(kls, zip(*limit.policies(kls), strict=True), strict=True):
        earned = [gain(p, q, r) for p, q, r in zip(policies, base, reward, strict=True)]
        assert_allclose(np.mean(earned), limit.gain(kl_), rtol=1e-9, atol=1e-10 * 1e6)
