"""Proxy and gold on known prompts: identities, bounds that hold, and closed forms."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from klimit import _errors
from klimit.theory import (
    certified_gold_gain,
    chi_square,
    exponential_error_proxy,
    frontier,
    gaussian_frontier,
    gaussian_proxy,
    kl,
    proxy_gold,
    sup_norm_regret_bound,
    sup_norm_total_variation_bound,
    tilt,
    total_variation,
    variance_proxy,
)
from tests.strategies import betas, budgets, distributions, ragged_prompts, rewards

EXAMPLE = {"proxy": [0.5, 0.5, 4.0], "gold": [0, 1, 4]}
THREE = [0.5, 0.3, 0.2]


@st.composite
def proxied_prompts(draw):
    """Ragged prompts with a gold reward, and a proxy whose error may be tiny or large."""
    prompts = draw(ragged_prompts(max_prompts=3, max_outcomes=5))
    size = draw(st.sampled_from([1e-9, 0.1, 1.0, 3.0]))
    errors = [size * draw(rewards(row.size)) for row in prompts.reward]
    proxy = [gold + error for gold, error in zip(prompts.reward, errors, strict=True)]
    return prompts, proxy


def seen(prompts, proxy):
    return proxy_gold(prompts.base, proxy=proxy, gold=prompts.reward, weights=prompts.weights)


def each_prompt(prompts, proxy, beta):
    """Base, gold and error of every prompt, and its two tilts."""
    for base, gold, row in zip(prompts.base, prompts.reward, proxy, strict=True):
        best, chosen = tilt(base, gold, beta=beta).policy, tilt(base, row, beta=beta).policy
        yield base, gold, row - gold, best, chosen


def slack(prompts, proxy):
    """1e-10 of the rewards' spread and 8 ulp of their size."""
    size = max(np.abs(row).max() for row in [*prompts.reward, *proxy])
    spread = max(np.ptp(row) for row in [*prompts.reward, *proxy])
    return 1e-10 * spread + 8 * np.finfo(float).eps * size


@settings(max_examples=60)
@given(case=proxied_prompts(), beta=betas(0.05, 100))
def test_the_regret_is_beta_times_the_divergence_of_the_tilts_and_the_loss_of_objective(case, beta):
    prompts = case[0]
    point, rows = seen(*case).at(beta=beta), list(each_prompt(*case, beta))
    apart = prompts.weights @ [kl(chosen, best) for *_, best, chosen in rows]
    assert_allclose(point.regret, beta * apart, rtol=1e-6, atol=slack(*case))

    def objective(base, gold, policy):
        return (policy - base) @ gold - beta * kl(policy, base)

    lost = [objective(b, g, best) - objective(b, g, chosen) for b, g, _, best, chosen in rows]
    assert_allclose(point.regret, prompts.weights @ lost, rtol=1e-8, atol=slack(*case) * 10)


@settings(max_examples=60)
@given(case=proxied_prompts(), beta=betas(0.05, 100))
def test_gains_and_gaps_are_what_the_policies_say(case, beta):
    prompts = case[0]
    point, rows = seen(*case).at(beta=beta), list(each_prompt(*case, beta))
    near = {"rtol": 1e-9, "atol": slack(*case)}
    gold_gain = prompts.weights @ [(chosen - base) @ gold for base, gold, _, _, chosen in rows]
    proxy_gain = [(chosen - base) @ (gold + error) for base, gold, error, _, chosen in rows]
    gap = prompts.weights @ [(best - chosen) @ gold for _, gold, _, best, chosen in rows]
    spent = prompts.weights @ [kl(chosen, base) for base, *_, chosen in rows]
    limit = frontier(prompts.base, prompts.reward, weights=prompts.weights).gain(spent)
    assert_allclose(point.gold_gain, gold_gain, **near)
    assert_allclose(point.proxy_gain, prompts.weights @ proxy_gain, **near)
    assert_allclose(point.fixed_beta_gap, gap, **near)
    assert_allclose(point.kl, spent, rtol=1e-9, atol=1e-13)
    assert point.fixed_kl_gap >= 0
    assert_allclose(point.fixed_kl_gap, limit - gold_gain, **near)
    assert_allclose(point.gold_limit, limit, **near)


@settings(max_examples=40)
@given(case=proxied_prompts(), beta=betas(0.5, 100))
def test_the_gap_at_fixed_beta_is_minus_the_covariance_along_the_path_over_beta(case, beta):
    nodes, weights = np.polynomial.legendre.leggauss(40)
    along = seen(*case).error_covariance(beta=beta, s=0.5 + 0.5 * nodes)
    gap = seen(*case).at(beta=beta).fixed_beta_gap
    assert_allclose(-0.5 * weights @ along / beta, gap, rtol=1e-7, atol=slack(*case))


def test_the_covariance_along_the_path_outlives_the_gold_tilts_probabilities():
    turned = proxy_gold(THREE, gold=[0, 1, 4], proxy=[4, 1, 0])
    along = turned.error_covariance(beta=[0.02, 0.002, 1e-12], s=0.5)
    # halfway rewards are 2, 1 and 2; gold is 0 or 4 there and the error 4 or -4
    assert_allclose(along, -32 * (5 / 7) * (2 / 7), rtol=1e-12)


@settings(max_examples=60)
@given(case=proxied_prompts(), beta=betas(0.05, 100))
def test_every_bound_holds(case, beta):
    prompts = case[0]
    known = seen(*case)
    point, bound = known.at(beta=beta), known.bounds(beta=beta)
    rows = list(each_prompt(*case, beta))
    apart = prompts.weights @ [total_variation(best, chosen) for *_, best, chosen in rows]
    error_gain = point.proxy_gain - point.gold_gain
    room = slack(*case)
    assert 0 <= point.regret <= bound.regret * (1 + 1e-9) + room * 1e-3
    assert point.regret <= bound.l2_regret * (1 + 1e-9) + room
    assert apart <= bound.total_variation * (1 + 1e-9) + 1e-15
    assert abs(point.fixed_beta_gap) <= bound.fixed_beta_gap * (1 + 1e-9) + room
    assert error_gain <= min(bound.l2_error_gain, bound.moment_error_gain) * (1 + 1e-9) + room
    assert bound.certified_gold_gain <= point.gold_gain + room


@settings(max_examples=50)
@given(case=proxied_prompts(), beta=betas(0.1, 100))
def test_bounds_are_what_their_formulas_say(case, beta):
    prompts = case[0]
    bound, mean = seen(*case).bounds(beta=beta), prompts.weights
    rows = [
        (row[0], *(part[row[0] > 0] for part in row[1:3]), *row[3:])
        for row in each_prompt(*case, beta)
    ]
    spread = np.array([np.ptp(error) for _, _, error, *_ in rows])
    width = np.array([np.ptp(gold) for _, gold, *_ in rows])
    distance = sup_norm_total_variation_bound(spread, beta=beta)
    near = {"rtol": 1e-5, "atol": slack(*case)}
    assert_allclose(bound.regret, mean @ sup_norm_regret_bound(spread, beta=beta), **near)
    assert_allclose(bound.fixed_beta_gap, mean @ (width * distance), **near)
    chi2 = mean @ [chi_square(chosen, base) for base, *_, chosen in rows]
    shares = [base[base > 0] for base, *_ in rows]
    variance = mean @ [p @ (e - p @ e) ** 2 for p, (_, _, e, *_) in zip(shares, rows, strict=True)]
    assert_allclose(bound.l2_error_gain, np.sqrt(variance * chi2), **near)


@given(data=st.data(), case=proxied_prompts(), beta=betas(0.1, 100))
def test_every_policy_loses_its_divergence_from_the_gold_tilt(data, case, beta):
    prompts = case[0]
    base, gold = prompts.base[0], prompts.reward[0]
    other = np.where(base > 0, data.draw(distributions(base.size)), 0.0)
    if other.sum() == 0:
        return
    other /= other.sum()
    best = tilt(base, gold, beta=beta)
    log_z = best.gain / beta - best.kl  # of the centred reward
    left = (other - base) @ gold - beta * kl(other, base)
    right = beta * (log_z - kl(other, best.policy))
    assert_allclose(left, right, rtol=1e-9, atol=slack(*case) + 1e-11 * beta)


@settings(max_examples=50)
@given(case=proxied_prompts(), spent=budgets(1e-12, 30.0))
def test_a_budget_leads_to_the_beta_that_spends_it(case, spent):
    known = seen(*case)
    point = known.at(kl=spent)
    most = known.proxy.saturation.kl
    assert_allclose(point.kl, min(spent, most), rtol=1e-9, atol=1e-18)
    assert_allclose(point.proxy_gain, known.proxy.gain(spent), rtol=1e-9, atol=slack(*case))
    assert known.gold_gain(spent) == point.gold_gain
    bound = known.bounds(kl=spent)
    assert bound.certified_gold_gain <= point.gold_gain + slack(*case)
    assert point.regret <= bound.regret + slack(*case)


@settings(max_examples=50)
@given(case=proxied_prompts(), beta=betas(0.1, 100), offset=st.floats(-100, 100))
def test_offsets_of_either_reward_on_a_prompt_change_nothing(case, beta, offset):
    prompts, proxy = case
    moved = proxy_gold(
        prompts.base,
        proxy=[row + offset for row in proxy],
        gold=[row - 3 * offset for row in prompts.reward],
        weights=prompts.weights,
    )
    point, other = seen(*case).at(beta=beta), moved.at(beta=beta)
    near = {"rtol": 1e-7, "atol": 1e-11 * (1 + 1 / beta) + 1e-9 * slack(*case)}
    for name in ("kl", "proxy_gain", "gold_gain", "fixed_beta_gap", "regret"):
        assert_allclose(getattr(other, name), getattr(point, name), **near)


def test_the_regret_is_not_monotone_in_beta_although_its_bound_is():
    known = proxy_gold(THREE, **EXAMPLE)
    regret = known.at(beta=[8, 4, 2, 1, 0.5]).regret
    assert_allclose(regret, [0.0108, 0.0189, 0.0251, 0.0132, 0.0009], atol=5e-5)
    assert (np.diff(known.bounds(beta=[8, 4, 2, 1, 0.5]).regret) > 0).all()


def test_an_error_independent_of_gold_leaves_no_gap_at_fixed_beta_but_a_regret():
    gold, error = np.array([0.0, 1.0, 3.0]), np.array([-0.5, 0.7])
    base = np.outer(THREE, [0.6, 0.4]).ravel()
    known = proxy_gold(base, gold=np.repeat(gold, 2), proxy=np.add.outer(gold, error).ravel())
    point = known.at(beta=[0.2, 1.0, 5.0])
    assert_allclose(point.fixed_beta_gap, 0.0, atol=1e-15)
    assert_allclose(known.error_covariance(beta=1.0, s=[0, 0.5, 1]), 0.0, atol=1e-15)
    assert (point.regret > 1e-3).all()
    assert (point.fixed_kl_gap > 1e-4).all()


def test_errors_of_two_values_attain_the_sup_norm_bounds():
    r, beta = 1.0, 2.0
    known = proxy_gold([0.5, 0.5], gold=[r / 4, -r / 4], proxy=[-r / 4, r / 4])
    distance = total_variation(
        tilt([0.5, 0.5], [r / 4, -r / 4], beta=beta).policy,
        tilt([0.5, 0.5], [-r / 4, r / 4], beta=beta).policy,
    )
    assert_allclose(distance, sup_norm_total_variation_bound(r, beta=beta), rtol=1e-12)
    assert_allclose(known.bounds(beta=beta).total_variation, distance, rtol=1e-12)
    wide = proxy_gold([0.5, 0.5], gold=[0, 0], proxy=[0, 0.1]).at(beta=10.0).regret
    assert 0.999 < wide / sup_norm_regret_bound(0.1, beta=10.0) <= 1


def test_a_saturated_proxy_is_its_best_outcomes_alone():
    known = proxy_gold([0.4, 0.3, 0.2, 0.1], gold=[0, 2, 1, 5], proxy=[0, 1, 1, 0])
    point, bound = known.at(kl=[2.0, np.inf]), known.bounds(kl=np.inf)
    assert point.beta.tolist() == [0, 0]
    assert_allclose(point.kl, -np.log(0.5))
    policy = np.array([0, 0.6, 0.4, 0])
    gold_gain = (policy - [0.4, 0.3, 0.2, 0.1]) @ [0, 2, 1, 5]
    assert_allclose(point.gold_gain, gold_gain, rtol=1e-12)
    most = 5 - np.dot([0.4, 0.3, 0.2, 0.1], [0, 2, 1, 5])
    assert_allclose(point.fixed_beta_gap, most - gold_gain, rtol=1e-12)
    assert_allclose(point.regret, most - gold_gain, rtol=1e-12)
    assert bound.regret == np.inf
    assert_allclose(bound.total_variation, 1.0)
    nothing = known.at(kl=0.0)
    assert [float(nothing.gold_gain), float(nothing.regret), float(nothing.fixed_beta_gap)] == [
        0
    ] * 3
    assert np.isnan(nothing.efficiency)


@pytest.mark.parametrize("beta", [1e-300, 1e-6, 1e-3, 1e6, 1e300])
def test_extreme_probabilities_rewards_and_betas_stay_finite_and_within_their_bounds(beta):
    base = [[1.0, 1e-300, 0.0], [0.5, 0.25, 0.25], [1.0, 0.0, 0.0]]
    gold = [[0.0, 1e6, np.nan], [0.0, -1e6, 1e6], [3.0, np.nan, np.inf]]
    proxy = [[1.0, 0.0, np.nan], [1e-12, -1e6, 1e6], [4.0, 0.0, np.nan]]
    known = proxy_gold(base, proxy=proxy, gold=gold)
    point, bound = known.at(beta=beta), known.bounds(beta=beta)
    values = np.array([getattr(point, name) for name in point.__slots__])
    assert np.isfinite(values).all()
    assert 0 <= point.regret <= bound.regret * (1 + 1e-9) + 1e-4
    assert abs(point.fixed_beta_gap) <= bound.fixed_beta_gap * (1 + 1e-9) + 1e-4


def test_a_tiny_error_keeps_its_digits():
    gold, beta = np.array([0.0, 1.0, 4.0]), 2.0
    error = np.array([1e-9, 0.0, 0.0])
    point = proxy_gold(THREE, gold=gold, proxy=gold + error).at(beta=beta)
    best = tilt(THREE, gold, beta=beta).policy
    variance = best @ (error - best @ error) ** 2
    assert_allclose(point.regret, variance / (2 * beta), rtol=1e-6)
    gap = -(best @ (gold * error) - (best @ gold) * (best @ error)) / beta
    assert_allclose(point.fixed_beta_gap, gap, rtol=1e-6)


def test_shapes_follow_the_question():
    known = proxy_gold([THREE, THREE], proxy=[EXAMPLE["proxy"]] * 2, gold=[EXAMPLE["gold"]] * 2)
    assert known.at(beta=np.ones((2, 3))).regret.shape == (2, 3)
    assert known.bounds(kl=[0.1]).l2_regret.shape == (1,)
    assert known.error_covariance(beta=[[1.0], [2.0]], s=[0.0, 0.5, 1.0]).shape == (2, 3)
    assert known.at(beta=[]).regret.shape == (0,)
    alone = proxy_gold(THREE, **EXAMPLE)
    assert_allclose(known.at(beta=2).regret, alone.at(beta=2).regret, rtol=1e-14)


def quadrature(error_nodes, error_weights):
    """A normal gold reward and an error independent of it, as discrete as a quadrature rule."""
    x, w = np.polynomial.hermite_e.hermegauss(60)
    base = np.outer(w / w.sum(), error_weights / error_weights.sum()).ravel()
    return base, np.repeat(x, error_nodes.size), np.add.outer(x, error_nodes).ravel()


def test_normal_rewards_follow_their_closed_form():
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    base, gold, proxy = quadrature(nodes, weights)
    rest = proxy - gold
    for rho in (-0.6, 0.0, 0.8):
        error = 0.5 * (rho * gold + np.sqrt(1 - rho**2) * rest)
        exact = proxy_gold(base, gold=gold, proxy=gold + error).at(beta=[0.7, 2.0])
        closed = gaussian_proxy(error_sd=0.5, correlation=rho, beta=[0.7, 2.0])
        for name in exact.__slots__:
            assert_allclose(getattr(closed, name), getattr(exact, name), rtol=1e-6, atol=1e-12)


def test_an_exponential_error_follows_its_closed_form():
    nodes, weights = np.polynomial.laguerre.laggauss(80)
    base, gold, proxy = quadrature(nodes - 1, weights)
    exact = proxy_gold(base, gold=gold, proxy=proxy).at(beta=[2.0, 4.0, 20.0])
    closed = exponential_error_proxy(beta=[2.0, 4.0, 20.0])
    for name in exact.__slots__:
        assert_allclose(getattr(closed, name), getattr(exact, name), rtol=1e-6, atol=1e-12)


@given(
    gold_sd=betas(0.01, 100),
    error_sd=betas(0.01, 100),
    rho=st.floats(-0.99, 1),
    spent=budgets(1e-12, 1e6),
)
def test_gold_efficiency_at_fixed_kl_is_the_correlation(gold_sd, error_sd, rho, spent):
    point = gaussian_proxy(gold_sd=gold_sd, error_sd=error_sd, correlation=rho, kl=spent)
    shared = gold_sd * (gold_sd + rho * error_sd)
    proxy_sd = np.sqrt(gold_sd**2 + 2 * rho * gold_sd * error_sd + error_sd**2)
    assert_allclose(point.efficiency, shared / (gold_sd * proxy_sd), rtol=1e-6, atol=1e-9)
    limit = gaussian_frontier(spent, sd=gold_sd).gain
    assert_allclose(point.gold_limit, limit, rtol=1e-10)
    assert_allclose(point.kl, spent, rtol=1e-12)
    again = gaussian_proxy(gold_sd=gold_sd, error_sd=error_sd, correlation=rho, beta=point.beta)
    for name in point.__slots__:
        assert_allclose(getattr(again, name), getattr(point, name), rtol=1e-12, atol=1e-300)


def test_a_heavy_tailed_error_lets_gold_saturate():
    point = exponential_error_proxy(kl=[0.5, 2.0, 8.0, 1e3, np.inf])
    assert_allclose(point.gold_gain[:3], [0.525, 0.758, 0.909], atol=5e-4)
    assert_allclose(point.gold_limit[:3], [1.0, 2.0, 4.0], rtol=1e-12)
    assert point.gold_gain[3] < 1
    assert_allclose([point.gold_gain[4], point.fixed_kl_gap[4]], [1.0, np.inf])
    assert (point.fixed_beta_gap == 0).all()


@given(gold_sd=betas(0.01, 100), scale=betas(0.01, 100), spent=budgets(1e-12, 1e4))
def test_heavy_tailed_budgets_lead_to_the_beta_that_spends_them(gold_sd, scale, spent):
    point = exponential_error_proxy(gold_sd=gold_sd, error_scale=scale, kl=spent)
    assert_allclose(point.kl, spent, rtol=1e-9)
    assert_allclose(point.gold_limit, gaussian_frontier(spent, sd=gold_sd).gain, rtol=1e-9)
    if point.beta > scale * (1 + 1e-6):
        again = exponential_error_proxy(gold_sd=gold_sd, error_scale=scale, beta=point.beta)
        assert_allclose(again.gold_gain, point.gold_gain, rtol=1e-9)
        assert_allclose(again.kl, point.kl, rtol=1e-5)


@settings(max_examples=50)
@given(case=proxied_prompts(), beta=betas(0.2, 20))
def test_a_certified_gold_gain_is_there(case, beta):
    for base, gold, error, _, chosen in each_prompt(*case, beta):
        proxy_gain, gold_gain = (chosen - base) @ (gold + error), (chosen - base) @ gold
        tau = np.sqrt(variance_proxy(base, error))
        sd = np.sqrt(base @ (error - base @ error) ** 2)
        spent, chi2 = kl(chosen, base), chi_square(chosen, base)
        sure = certified_gold_gain(
            proxy_gain, kl=spent, error_scale=tau, chi_square=chi2, error_sd=sd
        )
        assert sure <= gold_gain + slack(*case)
        by_range = certified_gold_gain(
            proxy_gain, kl=spent, error_scale=np.ptp(error[base > 0]) / 2
        )
        assert by_range <= gold_gain + slack(*case)


def test_certificates_take_the_better_of_two_and_know_infinity():
    both = certified_gold_gain(1.0, kl=[0.5, 2.0], error_scale=0.3, chi_square=4.0, error_sd=0.2)
    assert_allclose(both, [0.7, 0.6])
    assert certified_gold_gain(1.0, chi_square=np.inf, error_sd=0.1) == -np.inf
    assert certified_gold_gain([1.0, np.inf], kl=np.inf, error_scale=0.1).tolist() == [-np.inf] * 2
    assert certified_gold_gain(1.0, kl=np.inf, error_scale=0.0) == 1.0
    assert gaussian_proxy(error_sd=2.0, correlation=-1.0, kl=np.inf).gold_limit == np.inf


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: proxy_gold(THREE, **EXAMPLE).at(), "beta or kl must be given.*neither"),
        (lambda: proxy_gold(THREE, **EXAMPLE).at(beta=1, kl=1), "exactly one of them; got both"),
        (lambda: proxy_gold(THREE, **EXAMPLE).at(beta=0), "beta must be positive"),
        (lambda: proxy_gold(THREE, **EXAMPLE).bounds(kl=-1), "kl must be a KL budget"),
        (lambda: proxy_gold(THREE, **EXAMPLE).error_covariance(beta=1, s=2), "s must lie between"),
        (lambda: proxy_gold(THREE, proxy=[1, 2], gold=[0, 1, 4]), "proxy must give every outcome"),
        (lambda: proxy_gold(THREE, proxy=[1, 2, 3], gold=[0, np.nan, 4]), "gold must be finite"),
        (
            lambda: proxy_gold(THREE, proxy=[[1, 2, 3]] * 2, gold=[0, 1, 4]),
            "one row per prompt each",
        ),
        (lambda: proxy_gold([0.5, 0.6], proxy=[1, 2], gold=[0, 1]), "base must sum to one"),
        (lambda: gaussian_proxy(error_sd=0.5), "got neither"),
        (lambda: gaussian_proxy(error_sd=-1, beta=1), "error_sd must be positive"),
        (lambda: gaussian_proxy(error_sd=1, correlation=-1.2, beta=1), "got -1.2"),
        (
            lambda: gaussian_proxy(error_sd=1, correlation=-1, beta=1),
            "leave the proxy some variance",
        ),
        (lambda: exponential_error_proxy(beta=[2.0, 1.0]), "beta must exceed error_scale.*index 1"),
        (lambda: sup_norm_regret_bound(-1, beta=1), "error_range must be at least 0"),
        (lambda: sup_norm_total_variation_bound(1, beta=-1), "beta must be positive"),
        (lambda: certified_gold_gain(1.0), "got neither pair"),
        (lambda: certified_gold_gain(1.0, kl=1.0), "kl and error_scale must be given together"),
        (
            lambda: certified_gold_gain(np.nan, kl=1.0, error_scale=1.0),
            "proxy_gain must be a number",
        ),
        (lambda: certified_gold_gain(1, chi_square=-1, error_sd=1), "chi_square must be"),
    ],
)
def test_unusable_arguments_are_an_error(call, words):
    with pytest.raises(_errors.ArgumentError, match=words):
        call()
