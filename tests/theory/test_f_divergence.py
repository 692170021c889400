"""f-divergences: every classic one as a special case, limits where support is missing, bad f."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from klimit import _errors
from klimit.theory import (
    best_of_n,
    chi_square,
    cressie_read,
    f_divergence,
    hellinger_squared,
    jeffreys,
    jensen_shannon,
    kl,
    total_variation,
)
from tests.strategies import distributions, draw_counts, reward_tables

CLASSIC = {
    "KL": (lambda t: t * np.log(t), kl),
    "forward KL": (lambda t: -np.log(t), lambda p, q: kl(q, p)),
    "Jeffreys": (lambda t: (t - 1) * np.log(t), jeffreys),
    "chi-square": (lambda t: (t - 1) ** 2, chi_square),
    "forward chi-square": (lambda t: 1 / t - 1, lambda p, q: chi_square(q, p)),
    "total variation": (lambda t: np.abs(t - 1) / 2, total_variation),
    "one-sided total variation": (lambda t: np.maximum(t - 1, 0), total_variation),
    "Hellinger": (lambda t: (1 - np.sqrt(t)) ** 2 / 2, hellinger_squared),
    "Jensen-Shannon": (
        lambda t: (t * np.log(t) - (1 + t) * np.log((1 + t) / 2)) / 2,
        jensen_shannon,
    ),
    "alpha .3": (lambda t: (t**0.3 - 1) / (0.3 * -0.7), lambda p, q: cressie_read(p, q, alpha=0.3)),
    "alpha 3": (lambda t: (t**3 - 1) / 6, lambda p, q: cressie_read(p, q, alpha=3)),
}


@st.composite
def pairs(draw):
    size = draw(st.integers(1, 6))
    one = distributions(size, smallest=1e-6)
    return draw(one), draw(one)


@pytest.mark.parametrize("name", CLASSIC)
@given(pair=pairs())
def test_every_classic_divergence_is_that_of_its_function_missing_support_included(name, pair):
    f, divergence = CLASSIC[name]
    with np.errstate(over="ignore"):
        expected = divergence(*pair)
    assert_allclose(f_divergence(*pair, f), expected, rtol=1e-8, atol=1e-11)


@given(pair=pairs(), slope=st.floats(-3.0, 3.0))
def test_a_line_through_one_added_to_f_changes_nothing(pair, slope):
    def bent(t):
        return (t - 1) ** 2 / (t + 1) + slope * (t - 1)

    expected = f_divergence(*pair, lambda t: (t - 1) ** 2 / (t + 1))
    assert_allclose(f_divergence(*pair, bent), expected, rtol=1e-9, atol=1e-12)


@given(pair=pairs(), other=pairs(), share=st.floats(0.01, 0.99))
def test_f_divergences_are_convex_and_shrink_when_outcomes_are_merged(pair, other, share):
    p, q = pair

    def triangular(t):
        return (t - 1) ** 2 / (t + 1)

    apart = f_divergence(p, q, triangular)
    merged = [np.append(x[:1].sum(), x[1:].sum()) for x in (p, q)]
    assert f_divergence(*merged, triangular) <= apart + 1e-12
    if other[0].size == p.size:
        mixed = [share * a + (1 - share) * b for a, b in zip(pair, other, strict=True)]
        chord = share * apart + (1 - share) * f_divergence(*other, triangular)
        assert f_divergence(*mixed, triangular) <= chord + 1e-12


@given(table=reward_tables(), n=draw_counts(20))
def test_any_f_measures_best_of_n_with_ties_exactly(table, n):
    best = best_of_n(table.base, table.reward, n)
    found = f_divergence(best.policy, table.base, lambda t: t * np.log(t) - t + 1)
    assert_allclose(found, best.kl, rtol=1e-9, atol=1e-12)


def test_leading_axes_broadcast():
    stack = np.array([[0.5, 0.5], [0.2, 0.8]])
    found = f_divergence(stack[:, None], stack, CLASSIC["KL"][0])
    assert found.shape == (2, 2)
    assert_allclose(found, kl(stack[:, None], stack))


def test_limits_can_be_stated_where_values_do_not_tell():
    narrow, wide = [1.0, 0.0], [0.5, 0.5]

    def late(t):  # its slope settles only beyond every float: t^-.01
        return (t**0.99 - 1) / (0.99 * -0.01)

    with pytest.raises(_errors.ArgumentError, match="limit slope_at_infinity cannot be told"):
        f_divergence(wide, narrow, late)
    found = f_divergence(wide, narrow, late, slope_at_infinity=0.0)
    assert_allclose(found, cressie_read(wide, narrow, alpha=0.99), rtol=1e-9)
    assert f_divergence(wide, narrow, late, slope_at_infinity=np.inf) == np.inf
    assert_allclose(f_divergence(narrow, wide, lambda t: np.maximum(t - 1, 0), at_zero=3), 2.0)


def test_a_function_that_is_infinite_somewhere_is_infinite_there():
    def within_a_factor_of_two(t):
        return np.where((t > 0.5) & (t < 2), 0.0, np.inf)

    assert f_divergence([0.4, 0.6], [0.5, 0.5], within_a_factor_of_two) == 0
    assert f_divergence([0.1, 0.9], [0.5, 0.5], within_a_factor_of_two) == np.inf
    assert f_divergence([0.0, 1.0], [0.5, 0.5], within_a_factor_of_two) == np.inf


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"f": lambda t: t}, "f must be 0 at 1"),
        ({"f": lambda t: np.log(t)}, "f must be convex"),
        ({"f": lambda t: np.sqrt(t) - 1}, "f must be convex"),
        ({"f": lambda t: 0.0}, "one number, no NaN"),
        ({"f": lambda t: t * np.nan}, "one number, no NaN"),
        ({"f": lambda t: "text"}, "must be an array of real numbers"),
        ({"f": 3}, "f must be a function"),
        ({"policy": [0.5, 0.4]}, "policy must sum to one"),
        ({"policy": [0.0, 1.0], "at_zero": np.nan}, "at_zero must be a number"),
        (
            {"policy": [0.5, 0.5], "base": [1.0, 1e-300], "f": lambda t: (t - 1) ** 2},
            "f overflows .* chi_square",
        ),
        ({"policy": [0.5, 0.5], "base": [1.0, 1e-315]}, "too far apart"),
    ],
)
def test_what_is_no_f_divergence_is_an_error_that_says_why(arguments, words):
    usual = {"policy": [0.5, 0.5], "base": [0.3, 0.7], "f": lambda t: t * np.log(t)}
    with pytest.raises(_errors.ArgumentError, match=words):
        f_divergence(**usual | arguments)
