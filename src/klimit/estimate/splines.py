"""Cubic splines through points: twenty lines, where importing scipy.interpolate takes half a second.

Both are Hermite cubics, told apart by the slopes at their knots.
"""

from __future__ import annotations

import numpy as np

from klimit.estimate.kernel import Floats


def smooth_slopes(x: Floats, y: Floats) -> Floats:
    """Slopes at the knots of the spline with two continuous derivatives, (..., knots).

    At either end the first two pieces are one cubic ("not a knot"). The slopes solve a tridiagonal
    system, here by elimination (de Boor, A Practical Guide to Splines, chapter IV).

    Examples
    --------
    >>> x = np.array([0.0, 1.0, 3.0, 4.0, 6.0])
    >>> smooth_slopes(x, x**3)  # a cubic is its own spline
    array([  0.,   3.,  27.,  48., 108.])
    """
    width, knots = np.diff(x), len(x)
    secant = np.diff(y) / width
    if knots == 2:
        return np.concatenate([secant, secant], axis=-1)
    if knots == 3:  # one parabola
        bend = (secant[..., 1:] - secant[..., :1]) / (x[2] - x[0])
        ends = np.concatenate([secant[..., :1], secant], axis=-1)
        return np.asarray(ends + bend * np.array([-width[0], width[0], width[1]]))
    below, diagonal, above = np.empty(knots), np.empty(knots), np.empty(knots)
    right = np.empty(y.shape)
    diagonal[1:-1] = 2 * (width[:-1] + width[1:])
    below[1:-1], above[1:-1] = width[1:], width[:-1]
    right[..., 1:-1] = 3 * (width[1:] * secant[..., :-1] + width[:-1] * secant[..., 1:])
    for end, near, far in ((0, 0, 1), (-1, -1, -2)):
        both = width[near] + width[far]
        diagonal[end] = width[far]
        (above if end == 0 else below)[end] = both
        right[..., end] = (
            width[far] * (width[near] + 2 * both) * secant[..., near]
            + width[near] ** 2 * secant[..., far]
        ) / both
    for at in range(1, knots):
        share = below[at] / diagonal[at - 1]
        diagonal[at] -= share * above[at - 1]
        right[..., at] -= share * right[..., at - 1]
    right[..., -1] /= diagonal[-1]
    for at in range(knots - 2, -1, -1):
        right[..., at] = (right[..., at] - above[at] * right[..., at + 1]) / diagonal[at]
    return right


def monotone_slopes(x: Floats, y: Floats) -> Floats:
    """Slopes with which the cubic rises and falls where the points do, (knots,).

    Harmonic means of the neighbouring secants, 0 at a turn (Fritsch and Butland, SIAM J. Sci. Stat.
    Comput. 5, 1984).

    Examples
    --------
    >>> monotone_slopes(np.array([0.0, 1.0, 2.0, 3.0]), np.array([0.0, 1.0, 1.0, 4.0]))
    array([1.5, 0. , 0. , 4.5])
    """
    width, secant = np.diff(x), np.diff(y) / np.diff(x)
    if len(x) == 2:
        return np.repeat(secant, 2)
    left, right = secant[:-1], secant[1:]
    a, b = 2 * width[1:] + width[:-1], width[1:] + 2 * width[:-1]
    same = left * right > 0
    found = np.zeros(len(x))
    found[1:-1][same] = ((a + b)[same]) / (a[same] / left[same] + b[same] / right[same])
    for end, near, far in ((0, 0, 1), (-1, -1, -2)):
        both = width[near] + width[far]
        slope = ((width[near] + both) * secant[near] - width[near] * secant[far]) / both
        if slope * secant[near] <= 0:
            slope = 0.0
        elif secant[near] * secant[far] <= 0:
            slope = np.sign(slope) * min(abs(slope), 3 * abs(secant[near]))
        found[end] = slope
    return found


def between(x: Floats, y: Floats, slopes: Floats, at: Floats) -> tuple[Floats, Floats]:
    """Value and derivative of a Hermite cubic, (..., at); beyond its ends the outer piece goes on."""
    piece = np.clip(np.searchsorted(x, at, side="right") - 1, 0, len(x) - 2)
    width = x[piece + 1] - x[piece]
    u = (at - x[piece]) / width
    start, rise = y[..., piece], y[..., piece + 1] - y[..., piece]
    first, last = slopes[..., piece] * width, slopes[..., piece + 1] * width
    square, cube = 3 * rise - 2 * first - last, first + last - 2 * rise
    value = start + u * (first + u * (square + u * cube))
    return value, (first + u * (2 * square + 3 * u * cube)) / width
