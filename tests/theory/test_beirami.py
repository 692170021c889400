"""Beirami's estimator, and what N and the best answer's probability alone say of best-of-N."""

from decimal import Decimal, localcontext

import numpy as np
import pytest
from hypothesis import given
from numpy.testing import assert_allclose

from klimit import _errors
from klimit.theory import (
    beirami_estimator,
    best_of_n,
    best_of_n_bounds,
    continuous_best_of_n,
    pass_at_k,
)
from tests.strategies import draw_counts, reward_tables


@given(table=reward_tables(smallest=1e-12), n=draw_counts(10**6))
def test_kl_and_win_rate_lie_between_their_bounds(table, n):
    best, limit = best_of_n(table.base, table.reward, n), continuous_best_of_n(n)
    top = table.base[table.reward == table.reward[table.base > 0].max()].sum()
    bounds = best_of_n_bounds(n, min(top, 1.0))
    slack = 1e-12
    assert bounds.kl_low <= best.kl * (1 + slack) + 1e-15
    assert best.kl <= bounds.kl_high * (1 + slack) + 1e-15
    assert bounds.kl_high <= min(limit.kl, -np.log(top)) * (1 + slack) + 1e-15
    assert bounds.win_rate_low <= best.win_rate * (1 + slack)
    assert best.win_rate <= bounds.win_rate_high * (1 + slack)
    assert bounds.win_rate_high <= limit.win_rate * (1 + slack)


@given(table=reward_tables(min_outcomes=2, max_outcomes=2, zeros=False), n=draw_counts())
def test_with_two_levels_the_lower_ends_are_exact(table, n):
    base, reward = table.base, [0.0, 1.0]
    best, bounds = best_of_n(base, reward, n), best_of_n_bounds(n, base[1])
    assert_allclose(bounds.kl_low, best.kl, rtol=1e-12, atol=1e-16)
    assert_allclose(bounds.win_rate_low, best.win_rate, rtol=1e-12)


@pytest.mark.parametrize("n", [2, 5, 40])
@pytest.mark.parametrize("top", [1e-3, 0.05, 0.4, 0.9])
def test_where_only_the_best_answer_has_weight_the_upper_ends_are_exact(n, top):
    fine = 20_000
    base = np.append(np.full(fine, (1 - top) / fine), top)
    best, bounds = best_of_n(base, np.arange(fine + 1), n), best_of_n_bounds(n, top)
    assert_allclose(best.kl, bounds.kl_high, rtol=1e-6, atol=1e-6)
    assert_allclose(best.win_rate, bounds.win_rate_high, atol=1e-6)
    assert_allclose(bounds.kl_high, beirami_estimator(n, top), rtol=1e-15)


def test_the_estimators_mean_over_answers_lies_between_the_kl_and_the_formula():
    rng = np.random.default_rng(0)
    for n in (4, 16, 64):
        base = rng.dirichlet(np.full(20, 0.5))
        best = best_of_n(base, np.arange(20), n)
        estimate = best.policy @ beirami_estimator(n, base)
        formula = continuous_best_of_n(n).kl
        assert best.kl < estimate < formula


def test_the_estimator_falls_with_the_probability_from_the_formula_to_nothing():
    n = np.array([1.0, 2.0, 16.0, 1e6, 1e12])
    e = np.concatenate([[0.0], np.geomspace(1e-15, 0.5, 60), 1 - np.geomspace(0.4, 1e-15, 60), [1]])
    found = beirami_estimator(n[:, None], e)
    assert_allclose(found[:, 0], continuous_best_of_n(n).kl, rtol=1e-13)
    assert found[:, -1].tolist() == [0.0] * 5
    assert (np.diff(found, axis=1) <= 1e-14).all()
    assert (found >= 0).all()


@pytest.mark.parametrize("n", [2.0, 16.0, 1e12, 1e300])
@pytest.mark.parametrize("e", [1e-300, 1e-12, 0.05, 0.5, 1 - 1e-12])
def test_the_estimator_keeps_its_digits(n, e):
    if n * e > 1e6:
        assert_allclose(beirami_estimator(n, e), -np.log(e), rtol=1e-12)
        return
    with localcontext(prec=400):
        m, p = Decimal(n), Decimal(e)
        log_rest = (1 - p).ln()
        rest = (m * log_rest).exp()
        below = rest * (m.ln() + (m - 1) * log_rest - (m - 1) / m)
        exact = float(below + (1 - rest) * ((1 - rest) / p).ln())
    assert_allclose(beirami_estimator(n, e), exact, rtol=1e-12)


def test_shapes_broadcast_and_one_draw_changes_nothing():
    bounds = best_of_n_bounds([[1], [4]], [0.0, 0.2, 1.0])
    assert all(end.shape == (2, 3) for end in bounds)
    assert bounds.kl_high[0].tolist() == bounds.kl_low[0].tolist() == [0, 0, 0]
    assert_allclose(bounds.win_rate_low[0], 0.5)
    assert_allclose(bounds.win_rate_low[1, 1], pass_at_k(0.2, 4) * 0.9 + 0.8**4 * 0.4)


@pytest.mark.parametrize("function", [beirami_estimator, best_of_n_bounds])
def test_impossible_requests_are_an_error(function):
    with pytest.raises(_errors.ArgumentError, match="n must be a finite number of draws"):
        function(0.5, 0.1)
    with pytest.raises(_errors.ArgumentError, match="probability must lie between 0 and 1"):
        function(2, 1.1)
    with pytest.raises(_errors.ArgumentError, match="shapes must broadcast"):
        function([1, 2], [0.1, 0.2, 0.3])
