"""Divergences: signs, orders, limits, and what happens where support is missing."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy import special

from klimit import _errors
from klimit.theory import (
    chi_square,
    cressie_read,
    hellinger_squared,
    jeffreys,
    jensen_shannon,
    kl,
    renyi,
    total_variation,
)
from tests.strategies import distributions

P, Q = np.array([0.2, 0.4, 0.4]), np.array([0.5, 0.3, 0.2])
SYMMETRIC = [jeffreys, total_variation, hellinger_squared, jensen_shannon]
ALL = [kl, chi_square, *SYMMETRIC]


@st.composite
def pairs(draw, *, zeros=True):
    size = draw(st.integers(1, 6))
    one = distributions(size, smallest=1e-6, zeros=zeros)
    return draw(one), draw(one)


@given(pair=pairs(), alpha=st.floats(0.05, 6.0))
def test_divergences_are_never_negative_and_vanish_only_between_equals(pair, alpha):
    p, q = pair
    for divergence in ALL:
        assert divergence(p, q) >= 0
        assert divergence(p, p) == 0
    assert renyi(p, q, alpha=alpha) >= 0
    assert cressie_read(p, q, alpha=alpha) >= -1e-15
    assert_allclose([renyi(p, p, alpha=alpha), cressie_read(p, p, alpha=alpha)], 0, atol=1e-15)
    if not np.array_equal(p, q) and total_variation(p, q) > 1e-9:
        assert all(divergence(p, q) > 0 for divergence in ALL)


@given(pair=pairs())
def test_the_classic_inequalities_hold(pair):
    p, q = pair
    tv, h2 = total_variation(p, q), hellinger_squared(p, q)
    slack = 1e-12
    assert tv <= np.sqrt(kl(p, q) / 2) + slack
    assert h2 <= tv + slack
    assert tv <= np.sqrt(2 * h2) + slack
    assert kl(p, q) <= np.log1p(chi_square(p, q)) + slack
    assert jensen_shannon(p, q) <= min(np.log(2), jeffreys(p, q) / 4) + slack
    assert renyi(p, q, alpha=0.5) <= kl(p, q) + slack


@st.composite
def extreme_pairs(draw):
    """Distributions with probabilities down to 1e-300, or a base moved by a part in 1e12."""
    size = draw(st.integers(1, 5))
    base = draw(distributions(size, smallest=1e-300))
    if draw(st.booleans()):
        return draw(distributions(size, smallest=1e-300)), base
    moved = base * (1 + 1e-12 * np.array(draw(st.lists(st.integers(-9, 9), min_size=size))[:size]))
    return moved / moved.sum(), base


@given(pair=extreme_pairs(), alpha=st.floats(0.01, 40.0))
def test_signs_and_inequalities_survive_rare_outcomes_and_tiny_distances(pair, alpha):
    p, q = pair
    slack = 1 + 1e-9
    for a, b in ((p, q), (q, p)):
        values = [divergence(a, b) for divergence in ALL]
        values += [renyi(a, b, alpha=alpha), cressie_read(a, b, alpha=alpha)]
        values += [cressie_read(a, b, alpha=-alpha)]
        assert not np.isnan(values).any()
        assert (np.array(values) >= 0).all()
        tv, h2 = total_variation(a, b), hellinger_squared(a, b)
        assert tv <= np.sqrt(kl(a, b) / 2) * slack + 1e-15
        assert h2 <= tv * slack
        assert tv <= np.sqrt(2 * h2) * slack + 1e-15
        assert kl(a, b) <= np.log1p(chi_square(a, b)) * slack
        assert renyi(a, b, alpha=alpha) <= renyi(a, b, alpha=2 * alpha) * slack + 1e-15
        assert jensen_shannon(a, b) <= min(np.log(2) * tv, jeffreys(a, b) / 8 + 1e-15) * slack
        assert jensen_shannon(a, b) >= h2 * h2 / 2 / slack - 1e-15


@given(pair=pairs(zeros=False))
def test_every_divergence_is_its_textbook_formula(pair):
    p, q = pair
    fit = {"rtol": 1e-8, "atol": 1e-12}
    assert_allclose(kl(p, q), special.rel_entr(p, q).sum(), **fit)
    assert_allclose(jeffreys(p, q), kl(p, q) + kl(q, p), **fit)
    assert_allclose(chi_square(p, q), np.sum(p**2 / q) - 1, **fit)
    assert_allclose(hellinger_squared(p, q), 1 - np.sum(np.sqrt(p * q)), **fit)
    for alpha in (0.3, 0.5, 0.7, 1.5, 2.0, 4.0):
        power = np.sum(p**alpha * q ** (1 - alpha))
        assert_allclose(renyi(p, q, alpha=alpha), np.log(power) / (alpha - 1), **fit)
        expected = (power - 1) / (alpha * (alpha - 1))
        assert_allclose(cressie_read(p, q, alpha=alpha), expected, **fit)
    assert_allclose(renyi(p, q, alpha=np.inf), np.log(np.max(p / q)), **fit)


@given(pair=pairs())
def test_renyi_rises_with_its_order_and_meets_its_relatives(pair):
    p, q = pair
    orders = [0.1, 0.5, 0.999999, 1.0, 1.000001, 2.0, 8.0, np.inf]
    values = np.array([renyi(p, q, alpha=a) for a in orders])
    assert (values[1:] >= values[:-1] * (1 - 1e-9) - 1e-12).all()
    assert_allclose(renyi(p, q, alpha=1), kl(p, q))
    assert_allclose(renyi(p, q, alpha=2), np.log1p(chi_square(p, q)), rtol=1e-10, atol=1e-15)
    half = -2 * np.log1p(-min(hellinger_squared(p, q), 1.0)) if (p * q).any() else np.inf
    assert_allclose(renyi(p, q, alpha=0.5), half, rtol=1e-9, atol=1e-15)


@given(pair=pairs())
def test_the_power_family_meets_its_relatives(pair):
    p, q = pair
    fit = {"rtol": 1e-10, "atol": 1e-14}
    assert_allclose(cressie_read(p, q, alpha=1), kl(p, q), **fit)
    assert_allclose(cressie_read(p, q, alpha=0), kl(q, p), **fit)
    assert_allclose(cressie_read(p, q, alpha=2), chi_square(p, q) / 2, **fit)
    assert_allclose(cressie_read(p, q, alpha=0.5), 4 * hellinger_squared(p, q), **fit)
    assert_allclose(cressie_read(p, q, alpha=0.3), cressie_read(q, p, alpha=0.7), **fit)
    if np.isfinite(kl(p, q)):
        near = [cressie_read(p, q, alpha=a) for a in (1 - 1e-9, 1 + 1e-9)]
        assert_allclose(near, kl(p, q), rtol=1e-6, atol=1e-12)


def test_close_distributions_keep_their_digits():
    step = 1e-9 * np.array([1.0, -2.0, 1.0])
    p = Q + step
    half = np.sum((p - Q) ** 2 / Q) / 2
    for value in (
        kl(p, Q),
        jeffreys(p, Q) / 2,
        chi_square(p, Q) / 2,
        4 * hellinger_squared(p, Q),
        4 * jensen_shannon(p, Q),
        renyi(p, Q, alpha=0.5) * 2,
        renyi(p, Q, alpha=3) / 3,
        cressie_read(p, Q, alpha=-2),
        cressie_read(p, Q, alpha=5),
    ):
        assert_allclose(value, half, rtol=1e-7)


def test_missing_support_is_infinite_only_where_the_definition_is():
    narrow, wide = [1.0, 0.0], [0.5, 0.5]
    assert kl(wide, narrow) == np.inf
    assert_allclose(kl(narrow, wide), np.log(2))
    assert jeffreys(narrow, wide) == np.inf
    assert chi_square(wide, narrow) == np.inf
    assert chi_square(narrow, wide) == 1
    assert renyi(wide, narrow, alpha=2) == np.inf
    assert renyi(wide, narrow, alpha=np.inf) == np.inf
    assert_allclose(renyi(wide, narrow, alpha=0.5), np.log(2))
    assert cressie_read(wide, narrow, alpha=1.5) == np.inf
    assert cressie_read(narrow, wide, alpha=-0.5) == np.inf
    assert_allclose(cressie_read(wide, narrow, alpha=0.5), 4 * (1 - np.sqrt(0.5)))
    apart = ([1.0, 0.0], [0.0, 1.0])
    assert renyi(*apart, alpha=0.5) == np.inf
    assert (total_variation(*apart), hellinger_squared(*apart)) == (1, 1)
    assert_allclose(jensen_shannon(*apart), np.log(2))
    assert_allclose(cressie_read(*apart, alpha=0.5), 4)
    assert_allclose(cressie_read(*apart, alpha=0.8), 1 / (0.8 * 0.2))


def test_tiny_probabilities_neither_overflow_nor_vanish():
    p, q = [0.5, 0.5], [1.0, 1e-300]
    assert_allclose(kl(p, q), -np.log(2) + 150 * np.log(10), rtol=1e-13)
    assert_allclose(
        renyi(p, q, alpha=50), (300 * np.log(10) * 49 - 50 * np.log(2)) / 49, rtol=1e-12
    )
    assert_allclose(chi_square(p, q), 0.25e300, rtol=1e-12)


def test_leading_axes_broadcast():
    stack = np.stack([P, Q])
    assert kl(stack, Q).shape == (2,)
    assert kl(stack, Q)[1] == 0
    assert renyi(stack[:, None], stack, alpha=0.5).shape == (2, 2)


@pytest.mark.parametrize("divergence", ALL)
def test_what_is_no_distribution_is_an_error_that_names_it(divergence):
    with pytest.raises(_errors.ArgumentError, match="policy must sum to one"):
        divergence([0.5, 0.4], [0.5, 0.5])
    with pytest.raises(_errors.ArgumentError, match="base must hold probabilities"):
        divergence([0.5, 0.5], [1.5, -0.5])
    with pytest.raises(_errors.ArgumentError, match="shapes must broadcast"):
        divergence([0.5, 0.5], [0.2, 0.3, 0.5])


@pytest.mark.parametrize("alpha", [0.0, -1.0, np.nan, "x", [1.0, 2.0]])
def test_a_renyi_order_that_is_not_positive_is_an_error(alpha):
    with pytest.raises(_errors.ArgumentError, match="alpha must be"):
        renyi(P, Q, alpha=alpha)


@pytest.mark.parametrize("alpha", [np.inf, -np.inf, np.nan])
def test_a_power_that_is_not_finite_is_an_error(alpha):
    with pytest.raises(_errors.ArgumentError, match="alpha must be a finite number"):
        cressie_read(P, Q, alpha=alpha)
