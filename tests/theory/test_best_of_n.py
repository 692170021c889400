"""Best-of-N of known distributions, against enumeration of every N-tuple."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy import integrate

from klimit import _errors
from klimit.theory import (
    best_of_n,
    ceiling,
    chi_square,
    continuous_best_of_n,
    hellinger_squared,
    jeffreys,
    jensen_shannon,
    kl,
    pass_at_k,
    renyi,
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


@given(table=reward_tables(prompts=3), n=st.tuples(draw_counts(), draw_counts()))
def test_prompts_and_counts_broadcast_as_if_done_one_by_one(table, n):
    for ties in ("uniform", "fixed"):
        together = best_of_n(table.base, table.reward, np.reshape(n, (2, 1)), ties=ties)
        assert together.gain.shape == (2, 3)
        for i, k in itertools.product(range(2), range(3)):
            alone = best_of_n(table.base[k], table.reward[k], n[i], ties=ties)
            for name in ("policy", "gain", "kl", "win_rate", "n"):
                assert_allclose(getattr(together, name)[i, k], getattr(alone, name), rtol=1e-14)


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


@pytest.mark.parametrize("n", [1.5, 2, 3, 16, 500])
def test_the_continuous_closed_forms_are_the_integrals_they_stand_for(n):
    best = continuous_best_of_n(n)

    def integral(f):  # of f(density ratio) over the quantile, in its logarithm
        def term(z):
            return f(n * np.exp(-(n - 1) * z)) * np.exp(-z)

        knee = np.log(n) / (n - 1)
        parts = [0, knee / 2, knee, 4 * knee, 20 * knee, max(60.0, 40 * knee)]
        pieces = itertools.pairwise(parts)
        return sum(integrate.quad(term, a, b, epsabs=1e-13, epsrel=1e-12)[0] for a, b in pieces)

    def mixed(w):
        return np.log(2 / (1 + w)) + w * np.log(2 * w / (1 + w)) if w > 0 else np.log(2)

    fit = {"rtol": 1e-8, "atol": 1e-10}
    assert_allclose(best.kl, integral(lambda w: w * np.log(w) if w > 0 else 0), **fit)
    assert_allclose(best.chi_square, integral(lambda w: (w - 1) ** 2), **fit)
    assert_allclose(best.total_variation, integral(lambda w: max(w - 1, 0)), **fit)
    assert_allclose(best.hellinger_squared, 1 - integral(np.sqrt), **fit)
    assert_allclose(best.jensen_shannon, integral(mixed) / 2, **fit)
    assert_allclose(best.renyi(alpha=3), np.log(integral(lambda w: w**3)) / 2, **fit)
    assert_allclose(best.cressie_read(alpha=3), (integral(lambda w: w**3) - 1) / 6, **fit)
    assert_allclose(best.jeffreys, best.kl + best.forward_kl, rtol=1e-12)


def test_the_orders_of_the_continuous_families_meet():
    best = continuous_best_of_n([1, 2, 16])
    assert best.cressie_read(alpha=1).tolist() == best.renyi(alpha=1).tolist() == best.kl.tolist()
    assert best.cressie_read(alpha=0).tolist() == best.forward_kl.tolist()
    assert_allclose(best.cressie_read(alpha=2), best.chi_square / 2, rtol=1e-14)
    assert_allclose(best.cressie_read(alpha=0.5), 4 * best.hellinger_squared, rtol=1e-14)
    assert_allclose(best.renyi(alpha=2), np.log1p(best.chi_square), rtol=1e-14)
    assert best.cressie_read(alpha=-1).tolist() == [0.0, np.inf, np.inf]
    assert continuous_best_of_n(1).total_variation == 0
    assert continuous_best_of_n(1).jensen_shannon == 0
    assert_allclose(continuous_best_of_n(1e12).jensen_shannon, np.log(2), rtol=1e-6)


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
        (lambda: continuous_best_of_n(0.5), "n must be a finite number of draws"),
        (lambda: continuous_best_of_n(2).renyi(alpha=np.nan), "alpha must be a finite number"),
    ],
)
def test_impossible_requests_are_an_error(call, words):
    with pytest.raises(_errors.ArgumentError, match=words):
        call()
