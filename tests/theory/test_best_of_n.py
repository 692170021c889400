"""Best-of-N of known distributions, against enumeration of every N-tuple."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from klimit import _errors
from klimit.theory import (
    best_of_n,
    best_of_n_bounds,
    best_of_poisson,
    ceiling,
    chi_square,
    continuous_best_of_n,
    cressie_read,
    hellinger_squared,
    jeffreys,
    jensen_shannon,
    kl,
    pass_at_k,
    renyi,
    soft_best_of_n,
    total_variation,
    win_probability,
)
from tests.strategies import draw_counts, reward_tables


def enumerated(table, n, ties):
    """The policy of best-of-n by listing every n-tuple of draws."""
    policy = np.zeros(table.base.size)
    for draws in itertools.product(range(table.base.size), repeat=n):
        chance = np.prod(table.base[list(draws)])
        highest = max(table.reward[i] for i in draws)
        best = [i for i in draws if table.reward[i] == highest]
        if ties == "fixed":
            policy[max(best)] += chance
        else:
            np.add.at(policy, best, chance / len(best))
    return policy


@settings(max_examples=60)
@given(
    table=reward_tables(max_outcomes=4),
    n=st.integers(1, 4),
    ties=st.sampled_from(["uniform", "fixed"]),
)
def test_policy_gain_kl_and_win_rate_are_those_of_enumeration(table, n, ties):
    best, policy = best_of_n(table.base, table.reward, n, ties=ties), enumerated(table, n, ties)
    assert_allclose(best.policy, policy, rtol=1e-11, atol=1e-15)
    assert_allclose(best.gain, (policy - table.base) @ table.reward, atol=1e-12)
    assert_allclose(best.kl, kl(policy, table.base), atol=1e-12)
    beats = np.sign(table.reward[:, None] - table.reward) / 2 + 0.5
    assert_allclose(best.win_rate, policy @ beats @ table.base, rtol=1e-12)
    possible = table.base > 0
    assert_allclose(
        win_probability(table.base, table.reward)[possible], (beats @ table.base)[possible]
    )


@given(table=reward_tables(), n=draw_counts(10**6))
def test_kl_never_exceeds_the_bound_for_rewards_without_ties(table, n):
    best, bound = best_of_n(table.base, table.reward, n), continuous_best_of_n(n)
    assert -1e-300 <= best.kl <= bound.kl * (1 + 1e-12) + 1e-15
    assert best.win_rate <= bound.win_rate * (1 + 1e-12)
    assert 0 <= best.gain <= ceiling(table.base, table.reward).gain * (1 + 1e-12)
    assert best.kl <= ceiling(table.base, table.reward).kl * (1 + 1e-12) + 1e-15
    fixed = best_of_n(table.base, table.reward, n, ties="fixed")
    assert fixed.kl >= best.kl * (1 - 1e-12) - 1e-15
    assert_allclose(fixed.gain, best.gain, rtol=1e-10, atol=1e-13)
    assert_allclose(fixed.win_rate, best.win_rate, rtol=1e-12)


@given(table=reward_tables(zeros=False), n=draw_counts(50))
def test_ties_turn_every_divergence_into_an_upper_bound(table, n):
    policy, bound = best_of_n(table.base, table.reward, n).policy, continuous_best_of_n(n)
    slack = 1 + 1e-9
    assert total_variation(policy, table.base) <= bound.total_variation * slack + 1e-14
    assert hellinger_squared(policy, table.base) <= bound.hellinger_squared * slack + 1e-14
    assert chi_square(policy, table.base) <= bound.chi_square * slack + 1e-14
    assert jensen_shannon(policy, table.base) <= bound.jensen_shannon * slack + 1e-14
    if (policy > 1e-300).all():
        assert jeffreys(policy, table.base) <= bound.jeffreys * slack + 1e-12
    for alpha in (0.5, 2.0, 5.0):
        assert renyi(policy, table.base, alpha=alpha) <= bound.renyi(alpha=alpha) * slack + 1e-14


@given(table=reward_tables(), n=draw_counts(100))
def test_increasing_transforms_of_the_reward_change_no_policy_and_no_win_rate(table, n):
    best = best_of_n(table.base, table.reward, n)
    bent = best_of_n(table.base, np.exp(table.reward) + table.reward, n)
    assert bent.policy.tolist() == best.policy.tolist()
    assert (bent.kl, bent.win_rate) == (best.kl, best.win_rate)


def test_rewards_far_below_the_best_that_differ_by_little_do_not_tie():
    base, near, apart = [0.1, 0.2, 0.3, 0.4], [0.0, 1e-30, 1e-17, 1.0], [0, 1, 2, 3]
    assert win_probability(base, near).tolist() == win_probability(base, apart).tolist()
    for sample in (best_of_n, best_of_poisson):
        assert_allclose(sample(base, near, 4).kl, sample(base, apart, 4).kl, rtol=1e-15)
    for beta in (1e-3, 1.0):
        soft = soft_best_of_n(base, near, 4, beta=beta)
        assert_allclose(soft.win_rate, soft.policy @ win_probability(base, apart), rtol=1e-15)


@given(table=reward_tables(prompts=3), n=st.tuples(draw_counts(), draw_counts()))
def test_prompts_and_counts_broadcast_as_if_done_one_by_one(table, n):
    for ties in ("uniform", "fixed"):
        together = best_of_n(table.base, table.reward, np.reshape(n, (2, 1)), ties=ties)
        assert together.gain.shape == (2, 3)
        for i, k in itertools.product(range(2), range(3)):
            alone = best_of_n(table.base[k], table.reward[k], n[i], ties=ties)
            for name in ("policy", "gain", "kl", "win_rate", "n"):
                assert_allclose(getattr(together, name)[i, k], getattr(alone, name), rtol=1e-14)


@given(table=reward_tables(), n=draw_counts(20), ties=st.sampled_from(["uniform", "fixed"]))
def test_every_divergence_is_that_between_policy_and_base(table, n, ties):
    best = best_of_n(table.base, table.reward, n, ties=ties)
    pair, fit = (best.policy, table.base), {"rtol": 1e-9, "atol": 1e-12}
    assert_allclose(best.kl, kl(*pair), **fit)
    assert_allclose(best.forward_kl, kl(*pair[::-1]), **fit)
    assert_allclose(best.jeffreys, jeffreys(*pair), **fit)
    assert_allclose(best.chi_square, chi_square(*pair), **fit)
    assert_allclose(best.forward_chi_square, chi_square(*pair[::-1]), **fit)
    assert_allclose(best.total_variation, total_variation(*pair), **fit)
    assert_allclose(best.hellinger_squared, hellinger_squared(*pair), **fit)
    assert_allclose(best.jensen_shannon, jensen_shannon(*pair), **fit)
    for alpha in (0.2, 0.5, 1.0, 3.0, np.inf):
        assert_allclose(best.renyi(alpha=alpha), renyi(*pair, alpha=alpha), **fit)
        assert_allclose(best.forward_renyi(alpha=alpha), renyi(*pair[::-1], alpha=alpha), **fit)
    for alpha in (-1.0, 0.0, 0.3, 1.0, 2.0):
        found = best.cressie_read(alpha=alpha)
        assert_allclose(found, cressie_read(*pair, alpha=alpha), **fit)


@given(
    table=reward_tables(max_outcomes=3), judge=st.lists(st.floats(-5, 5), min_size=3, max_size=3)
)
def test_n_of_one_is_the_mean_and_huge_n_the_judges_mean_over_the_best(table, judge):
    judge = np.array(judge)[: table.base.size]
    assert_allclose(best_of_n(table.base, table.reward, 1).policy @ judge, table.base @ judge)
    best = table.reward == table.reward[table.base > 0].max()
    chosen = np.where(best, table.base, 0.0)
    found = best_of_n(table.base, table.reward, 1e30).policy
    assert_allclose(found @ judge, chosen @ judge / chosen.sum(), rtol=1e-12, atol=1e-12)


@given(table=reward_tables(smallest=1e-300), n=draw_counts(10**12), size=st.floats(1e-6, 1e6))
def test_rare_outcomes_and_large_rewards_keep_every_bound(table, n, size):
    best, bound = best_of_n(table.base, table.reward * size, n), continuous_best_of_n(n)
    most = ceiling(table.base, table.reward * size)
    slack = 1 + 1e-10
    assert_allclose(best.policy.sum(), 1.0, rtol=1e-12)
    assert 0 <= best.gain <= most.gain * slack
    assert 0 <= best.kl <= min(bound.kl, most.kl) * slack + 1e-300
    assert 0 <= best.chi_square <= bound.chi_square * slack
    assert 0 <= best.forward_kl <= bound.forward_kl * slack
    assert 0.5 <= best.win_rate * slack <= bound.win_rate * slack**2


def test_a_best_answer_too_rare_for_a_normal_float_is_twice_as_likely_among_two():
    rare = 1e-310
    best = best_of_n([rare, 1.0], [1, 0], 2)
    assert_allclose(best.policy[0], 2 * rare, rtol=1e-9)
    least = best_of_n_bounds([2, 1e290], rare).kl_low
    assert_allclose(least, [rare * (2 * np.log(2) - 1), 1e-20 * np.log(1e290)], rtol=0.002)
    assert_allclose(best.kl, least[0], rtol=1e-9)
    assert_allclose(best_of_poisson([rare, 1.0], [1, 0], 1e290).policy[0], 1e-20, rtol=1e-9)


def test_the_forward_kl_outlives_the_probabilities():
    # a factor of 2^-(n-1) on the half that loses: the policy says 0, its log ratio does not
    for n in (1e6, 1e12, 1e300):
        best = best_of_n([0.5, 0.5], [0, 1], n)
        assert best.policy[0] == 0
        assert_allclose(best.forward_kl, (n - 1) * np.log(2) / 2 - np.log(2) / 2, rtol=1e-13)
        assert_allclose(best.jeffreys, best.forward_kl + np.log(2), rtol=1e-13)
        assert best.forward_chi_square == np.inf  # 2^(n-3), above what a float holds
        assert_allclose(best.forward_renyi(alpha=2), (n - 2) * np.log(2), rtol=1e-12)
        assert_allclose(best.total_variation, 0.5)
        assert_allclose(best.hellinger_squared, 1 - np.sqrt(0.5))


def test_a_real_n_next_to_one_keeps_its_digits():
    # q / m = 1 + (n - 1) d with d = (F log F - F- log F-) / m to first order
    base, rise = np.array([0.5, 0.3, 0.2]), 1e-9
    cdf = np.cumsum(base)
    d = np.diff(cdf * np.log(cdf), prepend=0.0) / base
    best = best_of_n(base, [0, 1, 4], 1 + rise)
    assert_allclose(base @ d, 0, atol=1e-15)
    rise = (1 + rise) - 1  # as a float holds it
    assert_allclose(best.kl, rise**2 * (base @ d**2) / 2, rtol=1e-8)
    assert_allclose(best.gain, rise * (base * d) @ [0, 1, 4], rtol=1e-8)


def test_one_draw_is_the_base():
    best = best_of_n([0.4, 0.2, 0.1, 0.3], [0, 1, 1, 2], 1)
    assert best.policy.tolist() == [0.4, 0.2, 0.1, 0.3]
    assert (best.gain, best.kl) == (0, 0)
    assert_allclose(best.win_rate, 0.5, rtol=1e-15)


@pytest.mark.parametrize("n", [1e12, float(np.exp(40)), 1e300])
def test_huge_n_reaches_the_ceiling_without_overflow(n):
    base, reward = [0.5, 0.3, 0.1, 0.1], [0, 1, 4, 4]
    best, most = best_of_n(base, reward, n), ceiling(base, reward)
    assert_allclose([best.gain, best.kl], [most.gain, most.kl], rtol=1e-13)
    assert_allclose(best.policy, [0, 0, 0.5, 0.5], atol=1e-15)


def test_huge_n_is_right_where_powers_of_the_cdf_would_round_to_one():
    n, q = np.exp(40), np.exp(-40)
    best = best_of_n([1 - q, q], [0, 1], n)
    assert_allclose(best.gain, 1 - np.exp(-1) - q, rtol=1e-12)
    tiny = best_of_n([1.0, 1e-300], [0, 1], 4)
    assert_allclose(tiny.gain, 3e-300, rtol=1e-12)


def test_pass_at_k_is_best_of_k_on_zero_one_rewards():
    k = np.array([1, 2, 8, 64, 1e9])
    best = best_of_n([0.98, 0.02], [0, 1], k)
    assert_allclose(pass_at_k(0.02, k), best.gain + 0.02, rtol=1e-13)
    assert pass_at_k([0.0, 1.0], 7).tolist() == [0.0, 1.0]
    assert_allclose(pass_at_k(1e-18, 1000), 1e-15, rtol=1e-12)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: best_of_n([0.5, 0.5], [0, 1], 0), "n must be a finite number of draws"),
        (lambda: best_of_n([0.5, 0.5], [0, 1], np.inf), "n must be a finite number of draws"),
        (lambda: best_of_n([0.5, 0.5], [0, 1], [1, np.nan]), "got nan at index 1"),
        (lambda: best_of_n([0.5, 0.5], [0, 1], 2, ties="random"), '"uniform" or "fixed"'),
        (lambda: best_of_n([0.5, 0.6], [0, 1], 2), "base must sum to one"),
        (lambda: best_of_n([[0.5, 0.5]] * 3, [0, 1], [1, 2]), "n must broadcast"),
        (lambda: pass_at_k(1.5, 2), "pass_rate must lie between 0 and 1"),
        (lambda: pass_at_k(0.5, 0), "k must be a finite number of draws"),
        (lambda: best_of_n([0.5, 0.5], [0, 1], 2).renyi(alpha=0), "alpha must be a positive"),
        (lambda: best_of_n([0.5, 0.5], [0, 1], 2).cressie_read(alpha=np.inf), "a finite number"),
    ],
)
def test_impossible_requests_are_an_error(call, words):
    with pytest.raises(_errors.ArgumentError, match=words):
        call()
