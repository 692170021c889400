"""Over-optimisation curves: their peaks, and whether the intervals of fits cover."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy import optimize

from klimit import _errors
from klimit.theory import fit_overoptimization, overoptimization_curve
from tests.strategies import betas

METHODS = ["best-of-n", "rl"]
KL = np.array([0.3, 0.7, 1.5, 3.0, 5.0, 8.0, 12.0, 20.0])


@pytest.mark.parametrize("method", METHODS)
@given(a=betas(0.1, 3), b=betas(0.05, 1))
def test_the_peak_is_where_no_other_kl_has_more(method, a, b):
    curve = overoptimization_curve(method, a=a, b=b)
    peak = curve.peak
    assert_allclose(curve.gain(peak.kl), peak.gain, rtol=1e-10)
    assert (curve.gain(peak.kl * np.array([0.5, 0.99, 1.01, 2.0])) < peak.gain).all()


def test_the_forms_are_those_of_the_paper():
    d = np.sqrt(KL)
    best_of_n, rl = (overoptimization_curve(method, a=0.8, b=0.15) for method in METHODS)
    assert_allclose(best_of_n.gain(KL), d * (0.8 - 0.15 * d))
    assert_allclose(rl.gain(KL), d * (0.8 - 0.15 * np.log(d)))
    assert best_of_n.gain(0) == rl.gain(0) == 0


def test_without_over_optimisation_there_is_no_peak():
    for method in METHODS:
        endless = overoptimization_curve(method, a=[0.5, 0.5, -0.5], b=[0.0, -0.1, -0.1]).peak
        assert endless.kl.tolist() == endless.gain.tolist() == [np.inf] * 3
        falling = overoptimization_curve(method, a=[-0.5, 0.0], b=0.0).peak
        assert falling.kl.tolist() == falling.gain.tolist() == [0, 0]
    assert overoptimization_curve("best-of-n", a=-1, b=0.1).peak.kl == 0
    assert overoptimization_curve("rl", a=-1, b=0.1).peak.gain > 0
    assert overoptimization_curve("rl", a=1, b=1e-4).peak.kl == np.inf  # e^19998


@pytest.mark.parametrize("method", METHODS)
@given(a=st.floats(-3, 3), b=st.floats(-1, 1) | st.just(0.0), scale=betas(1e-6, 1e6))
def test_points_on_a_curve_give_the_curve(method, a, b, scale):
    gold = overoptimization_curve(method, a=scale * a, b=scale * b).gain(KL)
    fit = fit_overoptimization(KL, gold, method)
    near = {"rtol": 1e-9, "atol": 1e-11 * scale}
    assert_allclose([fit.a.value, fit.b.value], [scale * a, scale * b], **near)
    assert_allclose(fit.gain(KL).value, gold, **near)
    if b > 0.05:
        assert_allclose(fit.peak_kl.value, fit.curve.peak.kl)


@pytest.mark.parametrize("method", METHODS)
def test_estimates_and_their_covariance_are_those_of_a_general_least_squares(method):
    rng = np.random.default_rng(3)
    error = 0.02 + 0.05 * rng.random(KL.size)
    gold = overoptimization_curve(method, a=0.8, b=0.2).gain(KL) + error * rng.normal(size=KL.size)

    def form(kl, a, b):
        return overoptimization_curve(method, a=a, b=b).gain(kl)

    for known in (True, False):
        sigma = error if known else None
        theta, covariance = optimize.curve_fit(
            form, KL, gold, [1.0, 0.1], sigma, absolute_sigma=known, xtol=1e-14
        )
        fit = fit_overoptimization(KL, gold, method, standard_error=sigma)
        assert_allclose([fit.a.value, fit.b.value], theta, rtol=1e-6)
        assert_allclose(fit.covariance, covariance, rtol=1e-5)
    assert fit.degrees == 6
    assert np.isnan(fit.misfit)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("known", [True, False])
def test_intervals_cover_as_often_as_they_say(method, known):
    rng = np.random.default_rng(11)
    truth, runs, noise = overoptimization_curve(method, a=0.8, b=0.2), 500, 0.1
    hits = np.zeros(5)
    for _ in range(runs):
        gold = truth.gain(KL) + noise * rng.normal(size=KL.size)
        fit = fit_overoptimization(
            KL, gold, method, standard_error=noise if known else None, level=0.9
        )
        pairs = [
            (fit.a, 0.8),
            (fit.b, 0.2),
            (fit.peak_kl, truth.peak.kl),
            (fit.peak_gain, truth.peak.gain),
            (fit.gain(6.0), truth.gain(6.0)),
        ]
        hits += [estimate.low <= value <= estimate.high for estimate, value in pairs]
    # three standard errors of a share of .9 among 500: .04; the peak's gain is exact only in large
    # samples
    assert_allclose(hits[[0, 1, 2, 4]] / runs, 0.9, atol=0.04)
    assert 0.86 <= hits[3] / runs <= 0.98


def test_points_that_do_not_turn_down_leave_the_peak_open_above():
    early = np.array([0.1, 0.2, 0.4, 0.8])
    rng = np.random.default_rng(0)
    gold = 0.8 * np.sqrt(early) + 0.02 * rng.normal(size=4)
    for method in METHODS:
        fit = fit_overoptimization(early, gold, method)
        assert fit.peak_kl.high == fit.peak_gain.high == np.inf
        assert np.isfinite([fit.peak_kl.low, fit.peak_gain.low]).all()
    rising = fit_overoptimization(
        KL, 0.5 * np.sqrt(KL) + 0.1 * KL, "best-of-n", standard_error=0.01
    )
    assert rising.peak_kl.low == rising.peak_kl.value == np.inf
    noise = fit_overoptimization(KL, [0.1, -0.2, 0.1, 0, -0.1, 0.2, 0.1, -0.3], "best-of-n")
    assert noise.peak_kl.low == 0


@given(a=st.floats(0.2, 2), b=st.floats(0.05, 0.5), seed=st.integers(0, 10**6))
def test_fiellers_ends_are_where_the_slope_is_barely_significant(a, b, seed):
    rng = np.random.default_rng(seed)
    gold = overoptimization_curve("best-of-n", a=a, b=b).gain(KL) + 0.1 * rng.normal(size=KL.size)
    fit = fit_overoptimization(KL, gold, "best-of-n", standard_error=0.1)
    for end in (fit.peak_kl.low, fit.peak_kl.high):
        if 0 < end < 1e6:
            gradient = np.array([1.0, -2.0 * np.sqrt(end)])
            slope = gradient @ [fit.a.value, fit.b.value]
            error = np.sqrt(gradient @ fit.covariance @ gradient)
            assert_allclose(abs(slope) / error, 1.959964, rtol=1e-4)


def test_points_at_the_base_and_scales_of_gold_change_nothing():
    gold = overoptimization_curve("rl", a=0.8, b=0.2).gain(KL)
    gold = gold + 0.01 * np.cos(np.arange(KL.size))
    fit = fit_overoptimization(KL, gold, "rl")
    more = fit_overoptimization([0, *KL], [0, *gold], "rl")
    assert (more.a, more.degrees) == (fit.a, fit.degrees)
    scaled = fit_overoptimization(KL, 1e6 * gold, "rl", standard_error=1e6 * np.ones(KL.size))
    assert_allclose(scaled.peak_kl.value, fit.peak_kl.value, rtol=1e-9)
    assert scaled.misfit < 1e-3


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: overoptimization_curve("ppo", a=1, b=1), 'method must be "best-of-n" or "rl"'),
        (lambda: overoptimization_curve("rl", a=np.nan, b=1), "a must be finite; got nan"),
        (lambda: overoptimization_curve("rl", a=1, b=1).gain(-1), "kl must be a KL budget"),
        (lambda: fit_overoptimization([1, 2, 3], [1, 2], "rl"), "shapes must broadcast"),
        (lambda: fit_overoptimization([1, 2, 3], [1, 2, np.nan], "rl"), "gain must be finite"),
        (lambda: fit_overoptimization([1, 2, np.inf], [1, 2, 3], "rl"), "kl must be finite"),
        (lambda: fit_overoptimization([0, 1, 2], [0, 1, 2], "rl"), "at least 3 points above 0"),
        (lambda: fit_overoptimization([2, 2, 2], [0, 1, 2], "rl"), "not all at one KL"),
        (lambda: fit_overoptimization([1, 2, 3], [0, 1, 2], "rl", level=1), "level must lie"),
        (
            lambda: fit_overoptimization([1, 2], [0, 1], "rl", standard_error=[1, 0]),
            "standard_error must be positive",
        ),
    ],
)
def test_unusable_arguments_are_an_error(call, words):
    with pytest.raises(_errors.ArgumentError, match=words):
        call()
