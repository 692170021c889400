"""The curve behind every number: convex, smooth, and the transform of a concave gain."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from klimit.estimate.curve import Curve

TILTS = 2.0 ** np.arange(-5, 8, 1 / 8)


def normal_curve(**options):
    """C = tilt^2 / 2: a gain of sqrt(2 KL), whatever the tilt."""
    return Curve.convex(TILTS, TILTS**2 / 2, ceiling_gain=1e3, ceiling_kl=1e6, **options)


def test_normal_rewards_gain_the_root_of_twice_the_kl():
    curve, kl = normal_curve(), np.geomspace(1e-5, 1e3, 50)
    assert_allclose(curve.at_kl(kl).gain, np.sqrt(2 * kl), rtol=1e-9)
    assert_allclose(curve.at_kl(kl).tilt, np.sqrt(2 * kl), rtol=1e-6)
    assert_allclose(curve.at_gain(np.sqrt(2 * kl)).kl, kl, rtol=1e-6)
    assert_allclose(curve.at_tilt(3.0).gain, 3.0, rtol=1e-9)


def test_values_slopes_and_bends_that_are_known_are_met_to_ten_digits():
    value, slope, second = np.log(np.cosh(TILTS)), np.tanh(TILTS), 1 / np.cosh(TILTS) ** 2
    curve = Curve.smooth(
        TILTS, value, slope, second, variance=1.0, ceiling_gain=1.0, ceiling_kl=np.log(2)
    )
    tilt = np.geomspace(1e-3, 100, 200)
    point = curve.at_tilt(tilt)
    assert_allclose(point.gain, np.tanh(tilt), rtol=1e-6)
    assert_allclose(point.log_partition, np.logaddexp(tilt, -tilt) - np.log(2), rtol=1e-6)
    kl = tilt * np.tanh(tilt) - np.logaddexp(tilt, -tilt) + np.log(2)
    inner = kl < 0.69
    assert_allclose(curve.at_kl(kl[inner]).gain, np.tanh(tilt[inner]), rtol=1e-6)


def test_a_curve_with_a_bend_still_passes_through_every_point():
    values = np.maximum(TILTS - 1.05, 0) + 1e-3 * TILTS**2
    curve = Curve.convex(TILTS, values, ceiling_gain=0.0, ceiling_kl=0.0)
    assert_allclose(curve.at_tilt(TILTS[:-1]).log_partition, values[:-1], rtol=1e-5)


@settings(max_examples=80, deadline=None)
@given(
    bumps=st.lists(st.floats(-0.5, 0.5), min_size=len(TILTS), max_size=len(TILTS)),
    cap=st.one_of(st.just(np.inf), st.floats(0.05, 3.0)),
)
def test_any_points_become_a_convex_curve_below_them_whose_slope_is_capped(bumps, cap):
    values = np.maximum(np.log(np.cosh(TILTS)) * (1 + np.array(bumps)), 0.0)
    curve = Curve.convex(TILTS, values, ceiling_gain=1.0, ceiling_kl=1.0, cap=cap)
    tilt = np.geomspace(1e-3, TILTS[-1] * 0.999, 300)
    point = curve.at_tilt(tilt)
    assert (np.diff(point.gain) >= -1e-9).all()
    assert (point.gain >= -1e-12).all()
    assert (point.gain <= cap * (1 + 1e-12)).all()
    found = curve.at_tilt(np.minimum(TILTS, TILTS[-1] * (1 - 1e-12))).log_partition
    assert (found <= values * 1.01 + 1e-9).all()
    kl = np.geomspace(1e-4, 2 * curve.ceiling_kl + 1, 200)
    gain = curve.at_kl(kl).gain
    slope = np.diff(gain) / np.diff(kl)
    assert (slope >= -1e-9).all()
    assert (np.diff(slope) <= 1e-6 * slope[0] + 1e-12).all()
    assert gain[-1] <= cap * (1 + 1e-12)


@pytest.mark.parametrize("cap", [np.inf, 0.7])
def test_gain_and_kl_are_inverse_up_to_the_ceiling(cap):
    curve = Curve.convex(TILTS, np.log(np.cosh(TILTS)), ceiling_gain=1.0, ceiling_kl=0.7, cap=cap)
    kl = np.linspace(0.01, 0.9 * curve.at_tilt(np.nextafter(curve.knots[-1], 0)).kl, 20)
    gain = curve.at_kl(kl).gain
    rising = gain < curve.ceiling_gain * (1 - 1e-9)
    assert_allclose(curve.at_gain(gain[rising]).kl, kl[rising], rtol=1e-9)
    assert curve.at_kl(0.0).gain == 0.0
    assert curve.at_gain(0.0).kl == 0.0
    assert np.isnan(curve.at_gain(curve.ceiling_gain * 1.001).kl)
    top = curve.at_kl(curve.ceiling_kl + np.array([0.0, 1.0, np.inf]))
    assert_allclose(top.gain, curve.ceiling_gain, rtol=1e-12)


def test_a_ceiling_above_the_last_slope_is_reached_and_one_below_it_is_not_heeded():
    for ceiling, reached in ((3.0, 3.0), (0.5, 1.0)):
        curve = Curve.convex(TILTS, np.log(np.cosh(TILTS)), ceiling_gain=ceiling, ceiling_kl=9.0)
        assert_allclose(curve.at_kl([curve.ceiling_kl, np.inf]).gain, reached)


def test_beyond_the_ceiling_the_curve_is_flat_and_no_tilt_is_enough():
    curve = Curve.convex(TILTS, np.log(np.cosh(TILTS)), ceiling_gain=1.0, ceiling_kl=0.7)
    point = curve.at_kl(5.0)
    assert point.tilt == np.inf
    assert curve.at_tilt(np.inf).gain == curve.ceiling_gain
    assert curve.at_tilt(np.inf).kl == curve.ceiling_kl
