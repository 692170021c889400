"""Best-of-N without ties: the closed forms as integrals, in high precision, and where they meet."""

import itertools
from decimal import Decimal, localcontext

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy import integrate

from klimit import _errors
from klimit.theory import best_of_n, continuous_best_of_n


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


@pytest.mark.parametrize("n", [1 + 1e-12, 1 + 1e-6, 1.2, 1.3, 2.0, 4.0, 1e6, 1e12, 1e40, 1e300])
def test_every_closed_form_keeps_its_digits_from_next_to_one_to_huge(n):
    best = continuous_best_of_n(n)
    with localcontext(prec=80):
        m = Decimal(n)
        x = m.ln()
        exact = {
            "kl": x - (m - 1) / m,
            "forward_kl": m - 1 - x,
            "jeffreys": (m - 1) ** 2 / m,
            "chi_square": (m - 1) ** 2 / (2 * m - 1),
            "total_variation": (m - 1) * (-m / (m - 1) * x).exp(),
            "hellinger_squared": (m.sqrt() - 1) ** 2 / (m + 1),
        }
        for name, value in exact.items():
            assert_allclose(float(getattr(best, name)), float(value), rtol=2e-13, err_msg=name)
        for alpha in (-1e-3, 0.3, 0.5, 0.999999999, 1.000000001, 2.0, 3.5, 40.0):
            a = Decimal(alpha)
            if a * (m - 1) <= -1:
                assert best.renyi(alpha=alpha) in (np.inf, -np.inf)
                continue
            log_power = a * x - (1 + a * (m - 1)).ln()
            expected = float(log_power / (a - 1))
            assert_allclose(best.renyi(alpha=alpha), expected, rtol=2e-12, err_msg=f"{alpha}")
            if log_power < 700:
                power = float((log_power.exp() - 1) / (a * (a - 1)))
                assert_allclose(best.cressie_read(alpha=alpha), power, rtol=2e-11)


def test_turned_round_they_are_finite_just_where_their_integrals_are():
    best = continuous_best_of_n([1.0, 1.5, 1.99, 2.0, 16.0])
    assert_allclose(best.forward_chi_square[:3], [0, 1 / 3, 0.99**2 / (1.99 * 0.01)], rtol=1e-12)
    assert best.forward_chi_square[3:].tolist() == [np.inf, np.inf]
    assert_allclose(best.forward_renyi(alpha=2), np.log1p(best.forward_chi_square), rtol=1e-12)
    assert best.forward_renyi(alpha=1).tolist() == best.forward_kl.tolist()
    assert_allclose(best.forward_renyi(alpha=0.25), best.renyi(alpha=0.75) / 3, rtol=1e-12)
    assert_allclose(best.cressie_read(alpha=-1), best.forward_chi_square / 2, rtol=1e-12)
    assert best.forward_renyi(alpha=np.inf).tolist() == [0, np.inf, np.inf, np.inf, np.inf]
    assert best.renyi(alpha=np.inf).tolist() == np.log(best.n).tolist()


@given(n=st.floats(1.0, 1e6), alpha=st.floats(0.1, 5.0))
def test_many_fine_levels_come_close_to_them_from_below(n, alpha):
    levels = 400
    base = np.full(levels, 1 / levels)
    known, limit = best_of_n(base, np.arange(levels), n), continuous_best_of_n(n)
    for name in ("kl", "forward_kl", "chi_square", "total_variation", "jensen_shannon"):
        assert getattr(known, name) <= getattr(limit, name) * (1 + 1e-10) + 1e-13
    assert known.renyi(alpha=alpha) <= limit.renyi(alpha=alpha) * (1 + 1e-10) + 1e-13
    assert known.forward_renyi(alpha=alpha) <= limit.forward_renyi(alpha=alpha) + 1e-10
    if n < 10:
        assert_allclose(known.kl, limit.kl, rtol=1e-2, atol=1e-15)
        assert_allclose(known.hellinger_squared, limit.hellinger_squared, rtol=2e-2, atol=1e-15)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: continuous_best_of_n(0.5), "n must be a finite number of draws"),
        (lambda: continuous_best_of_n(np.inf), "n must be a finite number of draws"),
        (lambda: continuous_best_of_n(2).renyi(alpha=np.nan), "alpha must be a finite number"),
        (lambda: continuous_best_of_n(2).forward_renyi(alpha=0), "alpha must be a positive number"),
        (lambda: continuous_best_of_n(2).cressie_read(alpha=np.inf), "alpha must be a finite"),
    ],
)
def test_impossible_requests_are_an_error(call, words):
    with pytest.raises(_errors.ArgumentError, match=words):
        call()
