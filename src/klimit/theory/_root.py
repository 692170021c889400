"""Roots of many increasing functions at once: Newton's steps inside a bracket that only shrinks."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from klimit.theory._check import Floats

_MAX_STEPS = 200
_NEWTON_TOLERANCE = 1e-8  # Newton's error after a step is of the order of the step squared
_FAR = 1e-2  # values that are logarithms are this small long before Newton's steps are
_NEAR = 1e-7  # what a value of this size, itself a logarithm, hides is of the order of its square
_VALUE_TOLERANCE = 4e-16
FARTHEST = 740.0  # e^-740 is still above 0


def increasing_root(
    function: Callable[[Floats, NDArray[np.intp]], tuple[Floats, Floats]],
    start: Floats,
    resolution: float = 0.0,
) -> Floats:
    """Where does each of these increasing functions vanish?

    Parameters
    ----------
    function
        Called with points and the indices of the problems they belong to; returns values and
        slopes. Work in logarithms (of the unknown and of what is matched), so that steps of order
        one make sense and the tolerances are relative.
    start : (problems,) where to begin
    resolution : how near to a root is near enough, beside 1e-15 of its size

    Returns
    -------
    (problems,) roots; a function that stays on one side of zero yields the last point tried.
    """
    root = start.astype(np.float64)
    low = np.full(root.shape, -np.inf)
    high = np.full(root.shape, np.inf)
    last = np.full(root.shape, np.inf)  # size of the last step
    reach = np.full(root.shape, 1.0)  # how far to walk while one side is still open
    active = np.arange(root.size)
    for _ in range(_MAX_STEPS):
        t = root[active]
        with np.errstate(all="ignore"):  # a slope that over- or underflows only costs a bisection
            value, slope = function(t, active)
        lo = low[active] = np.where(value <= 0, t, low[active])
        hi = high[active] = np.where(value >= 0, t, high[active])
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            step = -value / slope
            middle = 0.5 * (lo + hi)
        closed = np.isfinite(middle)
        step = np.where(np.isfinite(step), step, np.where(value < 0, np.inf, -np.inf))
        inside = (t + step > lo) & (t + step < hi)
        slow = np.abs(step) > 0.5 * last[active]
        stuck = (t + step == t) & (np.abs(value) > _FAR)
        newton = ~slow & ~stuck & np.where(closed, inside, np.abs(step) <= reach[active])
        other = np.where(closed, middle - t, np.where(value < 0, 1.0, -1.0) * reach[active])
        step = np.where(newton, step, other)
        reach[active] *= 2.0
        settled = (np.abs(value) <= _VALUE_TOLERANCE) | (
            hi - lo <= np.maximum(1e-15 * np.abs(t), resolution)
        )
        root[active] = np.where(settled, t, np.clip(t + step, -FARTHEST, FARTHEST))
        # A short step alone proves nothing: where a function jumps, its slope may mislead.
        near = newton & (np.abs(step) <= _NEWTON_TOLERANCE) & (np.abs(value) <= _NEAR)
        last[active] = np.abs(step)
        active = active[~(settled | near)]
        if active.size == 0:
            break
    return root
