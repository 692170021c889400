"""Best-of-Poisson: a mixture of best-of-N policies, near-optimal in the rank of the reward."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy import integrate, stats

from klimit import _errors
from klimit.theory import (
    best_of_n,
    best_of_poisson,
    ceiling,
    continuous_best_of_poisson,
    kl,
    uniform_frontier,
)
from tests.strategies import reward_tables


@settings(max_examples=50)
@given(
    table=reward_tables(max_outcomes=5),
    mu=st.floats(0.0, 6.0),
    ties=st.sampled_from(["uniform", "fixed"]),
)
def test_it_is_the_poisson_mixture_of_best_of_n(table, mu, ties):
    extra = np.arange(60)
    each = best_of_n(table.base, table.reward, 1 + extra, ties=ties)
    chance = stats.poisson.pmf(extra, mu)
    best = best_of_poisson(table.base, table.reward, mu, ties=ties)
    assert_allclose(best.policy, chance @ each.policy, rtol=1e-10, atol=1e-14)
    assert_allclose(best.gain, chance @ each.gain, rtol=1e-9, atol=1e-12)
    assert_allclose(best.win_rate, chance @ each.win_rate, rtol=1e-11)
    assert_allclose(best.kl, kl(best.policy, table.base), rtol=1e-9, atol=1e-13)
    assert best.kl <= chance @ each.kl + 1e-12  # mixing policies can only lower the KL
    assert best.draws == 1 + mu


@given(
    table=reward_tables(smallest=1e-300), log_mu=st.floats(-20.0, 25.0), size=st.floats(1e-6, 1e6)
)
def test_ties_turn_the_closed_forms_into_upper_bounds(table, log_mu, size):
    mu = np.exp(log_mu)
    best = best_of_poisson(table.base, table.reward * size, mu)
    bound, most = continuous_best_of_poisson(mu), ceiling(table.base, table.reward * size)
    slack = 1 + 1e-10
    assert_allclose(best.policy.sum(), 1.0, rtol=1e-12)
    assert 0 <= best.gain <= most.gain * slack
    assert 0 <= best.kl <= min(bound.kl, most.kl) * slack + 1e-300
    assert 0 <= best.forward_kl <= bound.forward_kl * slack
    assert 0 <= best.chi_square <= bound.chi_square * slack
    assert 0.5 <= best.win_rate * slack <= bound.win_rate * slack**2


@pytest.mark.parametrize("mu", [1e-3, 0.3, 0.999, 1.001, 5.0, 48.9, 49.1, 300.0])
def test_the_closed_forms_are_the_integrals_they_stand_for(mu):
    best = continuous_best_of_poisson(mu)

    def integral(f):
        def term(z):  # the quantile is 1 - z
            w = (mu * (1 - z) + 1) * np.exp(-mu * z)
            return f(w, z)

        parts = [0, *(x / mu for x in (1, 5, 30) if x < mu), 1]
        pieces = itertools.pairwise(parts)
        return sum(integrate.quad(term, a, b, epsabs=1e-15, epsrel=1e-12)[0] for a, b in pieces)

    fit = {"rtol": 1e-10, "atol": 1e-15}
    assert_allclose(best.kl, integral(lambda w, _: w * np.log(w) - w + 1 if w else 1), **fit)
    assert_allclose(best.chi_square, integral(lambda w, _: (w - 1) ** 2), **fit)
    assert_allclose(best.win_rate, integral(lambda w, z: w * (1 - z)), **fit)
    log_ratio = integral(lambda _, z: mu * z - np.log1p(mu * (1 - z)))
    assert_allclose(best.forward_kl, log_ratio, rtol=1e-8)
    assert_allclose(best.jeffreys, best.kl + best.forward_kl, rtol=1e-15)


def test_tiny_and_huge_means_keep_their_digits():
    tiny = continuous_best_of_poisson(1e-12)
    for value in (tiny.kl, tiny.forward_kl, tiny.chi_square / 2):
        assert_allclose(value, 1e-24 / 6, rtol=1e-11)
    assert_allclose(tiny.win_rate, 0.5)
    none = continuous_best_of_poisson(0.0)
    assert (none.kl, none.forward_kl, none.chi_square, none.draws) == (0, 0, 0, 1)
    for mu in (1e12, 1e300):
        huge = continuous_best_of_poisson(mu)
        assert_allclose(huge.kl, np.log(mu) - 1, rtol=1e-11)
        assert_allclose(huge.forward_kl, mu / 2, rtol=1e-10)
        assert_allclose(huge.chi_square, mu / 2, rtol=1e-10)
        best = best_of_poisson([0.5, 0.3, 0.2], [0, 1, 4], mu)
        assert_allclose(best.policy, [0, 0, 1], atol=1e-15)
        assert_allclose(best.kl, -np.log(0.2), rtol=1e-13)
        assert_allclose(best.forward_kl, mu * (0.5 * 0.5 + 0.3 * 0.2), rtol=1e-9)


def test_in_win_rate_it_is_within_two_ten_thousandths_of_the_best_policy():
    best = continuous_best_of_poisson(np.geomspace(1e-3, 1e6, 100))
    limit = uniform_frontier(best.kl)
    short = 0.5 + limit.gain - best.win_rate
    assert (short > -1e-14).all()
    assert short.max() < 2e-4
    assert (short / limit.beta).max() < 7e-4  # nats away from the optimal tilt


def test_prompts_and_means_broadcast():
    best = best_of_poisson([[0.5, 0.5], [0.9, 0.1]], [0, 1], [[0.0], [1.0], [9.0]])
    assert best.gain.shape == best.mu.shape == best.kl.shape == (3, 2)
    assert best.policy.shape == (3, 2, 2)
    assert best.gain[0].tolist() == [0, 0]
    alone = best_of_poisson([0.9, 0.1], [0, 1], 9.0)
    assert_allclose(best.gain[2, 1], alone.gain, rtol=1e-15)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: best_of_poisson([0.5, 0.5], [0, 1], -1.0), "mu must be at least 0"),
        (lambda: best_of_poisson([0.5, 0.5], [0, 1], [1, np.inf]), "finite; got inf at index 1"),
        (lambda: continuous_best_of_poisson(np.nan), "mu must be at least 0"),
        (lambda: best_of_poisson([0.5, 0.5], [0, 1], 1, ties="x"), '"uniform" or "fixed"'),
        (lambda: best_of_poisson([0.5, 0.6], [0, 1], 1), "base must sum to one"),
        (lambda: best_of_poisson([[0.5, 0.5]] * 3, [0, 1], [1, 2]), "mu must broadcast"),
    ],
)
def test_impossible_requests_are_an_error(call, words):
    with pytest.raises(_errors.ArgumentError, match=words):
        call()
