"""Splines against those of scipy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.interpolate import CubicSpline, PchipInterpolator

from klimit.estimate.splines import between, monotone_slopes, smooth_slopes


@st.composite
def points(draw):
    """Knots of very different distances, three curves over them, and where to read them."""
    knots, seed = draw(st.integers(2, 40)), draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    x = np.cumsum(10.0 ** rng.uniform(-2, 2, knots)) - rng.uniform(0, 50)
    y = rng.normal(size=(3, knots)).round(draw(st.sampled_from([0, 1, 9])))
    return x, y, np.concatenate([x, rng.uniform(x[0], x[-1], 20)])


@given(points())
def test_values_and_slopes_are_those_of_the_cubic_spline(given):
    x, y, at = given
    slopes = smooth_slopes(x, y)
    known = CubicSpline(x, y, axis=-1)
    size = np.abs(known(x, 1)).max() + 1
    assert slopes == pytest.approx(known(x, 1), abs=1e-9 * size)
    value, slope = between(x, y, slopes, at)
    assert value == pytest.approx(known(at), abs=1e-9 * size * np.diff(x).max())
    assert slope == pytest.approx(known(at, 1), abs=1e-9 * size)


@given(points())
def test_values_and_slopes_are_those_of_the_monotone_cubic(given):
    x, y, at = given
    for row in y:
        known = PchipInterpolator(x, row)
        slopes = monotone_slopes(x, row)
        assert slopes == pytest.approx(known(x, 1), rel=1e-9, abs=1e-12)
        value, slope = between(x, row, slopes, at)
        assert value == pytest.approx(known(at), rel=1e-9, abs=1e-12)
        assert slope == pytest.approx(known(at, 1), rel=1e-8, abs=1e-9)


def test_a_monotone_cubic_never_leaves_the_points_that_it_joins():
    x = np.array([0.0, 1.0, 1.1, 5.0, 9.0])
    y = np.array([0.0, 0.0, 3.0, 3.1, 20.0])
    value, _ = between(x, y, monotone_slopes(x, y), np.linspace(0, 9, 500))
    assert (np.diff(value) >= -1e-12).all()
