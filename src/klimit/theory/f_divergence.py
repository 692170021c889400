"""Any f-divergence, from the convex function that defines it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np

from klimit._errors import ArgumentError
from klimit.theory._check import ArrayLike, Floats, numbers
from klimit.theory._pair import pair

_FAR = np.array([1e25, 1e50, 1e100])  # each the square of the one before
_SETTLED = 1e-12
_GRID: Floats = 2.0 ** np.arange(-8.0, 9.0)


def f_divergence(
    policy: ArrayLike,
    base: ArrayLike,
    f: Callable[[Floats], ArrayLike],
    *,
    at_zero: float | None = None,
    slope_at_infinity: float | None = None,
) -> Floats:
    """How far apart are policy and base, as this convex function counts it?

    ``sum base f(policy / base)``, plus ``f(0)`` for each part of the base that the policy never
    draws and ``f'(inf) = lim f(t) / t`` for each part of the policy that the base never draws.

    Parameters
    ----------
    policy, base : (..., outcomes) as for `kl`
    f : convex on t > 0 with f(1) = 0; takes an array of positive ratios, returns one of its shape.
        It is never called at 0, so ``lambda t: t * np.log(t)`` will do.
    at_zero : the limit of f at 0, possibly infinite. Only read where the policy never draws what
        the base does; by default found from f at ratios down to 1e-100.
    slope_at_infinity : the limit of f(t) / t, possibly infinite. Only read where the base never
        draws what the policy does; by default found from f at ratios up to 1e100.

    Returns
    -------
    (...) at least 0, in the units of f; infinite where a limit that is read is, or f itself

    Raises
    ------
    ArgumentError
        Where an argument is not as above, f overflows, or a limit that is needed cannot be told
        from f (as with ``t**0.99``, which settles too late).

    Notes
    -----
    Adding ``c (t - 1)`` to f changes no divergence. Between distributions that almost agree an f
    with slope 0 at 1 keeps most digits: ``t log t - t + 1`` rather than ``t log t``. `kl`,
    `chi_square`, `cressie_read` and the others keep all of them, and work where f would overflow.

    References
    ----------
    arXiv 2406.05883 (f-divergences of alignment policies).

    Examples
    --------
    >>> p, q = [0.2, 0.4, 0.4], [0.5, 0.3, 0.2]
    >>> float(f_divergence(p, q, lambda t: t * np.log(t)).round(6))  # the KL
    0.209074
    >>> triangular = lambda t: (t - 1) ** 2 / (t + 1)
    >>> float(f_divergence([0.5, 0.5, 0.0], [0.0, 0.5, 0.5], triangular).round(6))
    1.0
    """
    both = pair(policy, base)
    p, q = both.p, both.q
    if not callable(f):
        raise ArgumentError(f"f must be a function of ratios; got {type(f).__name__}.")
    _convex(values_of(f, _GRID, overflow=False))
    shared, missed, new = (p > 0) & (q > 0), (p == 0) & (q > 0), (p > 0) & (q == 0)
    terms = np.zeros(p.shape)
    if shared.any():
        terms[shared] = q[shared] * values_of(f, _ratio(p[shared], q[shared]), overflow=False)
    if missed.any():
        terms[missed] = q[missed] * limit("at_zero", at_zero, f)
    if new.any():
        terms[new] = p[new] * limit("slope_at_infinity", slope_at_infinity, f)
    return np.asarray(np.maximum(terms.sum(axis=-1), 0.0))


def _ratio(p: Floats, q: Floats) -> Floats:
    with np.errstate(over="ignore"):
        ratio = np.asarray(p / q)
    if np.isinf(ratio).any():
        raise ArgumentError("policy / base exceeds 1.8e308: too far apart for a function f of it.")
    return ratio


def values_of(
    f: Callable[[Floats], ArrayLike], ratios: Floats, name: str = "f", *, overflow: bool = True
) -> Floats:
    """Call a function that was handed over, and check what it returns."""
    try:
        with np.errstate(all="ignore", over="ignore" if overflow else "raise"):
            values = numbers(f(ratios), f"{name}(ratios)")
    except FloatingPointError:
        raise ArgumentError(
            f"f overflows at a ratio of policy to base of {float(ratios.max()):.3g}; for KL, "
            "chi-square and power divergences use kl, chi_square, cressie_read, which do not."
        ) from None
    if not overflow and (values == -np.inf).any():
        raise ArgumentError(f"{name} must be convex; it returned minus infinity.")
    if values.shape != ratios.shape or np.isnan(values).any():
        raise ArgumentError(
            f"{name} must return one number, no NaN, for each ratio; for an array of shape "
            f"{ratios.shape} it returned shape {values.shape}"
            f"{' with NaN' if values.shape == ratios.shape else ''}."
        )
    return values


def _convex(values: Floats) -> None:
    """Check f(1) = 0 and chords of rising slope on powers of two."""
    at_one = float(values[_GRID.size // 2])
    size = float(np.abs(values[np.isfinite(values)]).max(initial=0.0))
    if not abs(at_one) <= 1e-12 * max(size, 1e-300):
        raise ArgumentError(f"f must be 0 at 1; got {at_one!r}.")
    finite = np.flatnonzero(np.isfinite(values))
    inside = slice(finite[0], finite[-1] + 1)
    with np.errstate(invalid="ignore"):
        slopes = np.diff(values[inside]) / np.diff(_GRID[inside])
        falls = np.diff(slopes) < -1e-9 * np.abs(slopes).max(initial=0.0)
    if falls.any() or not np.isfinite(values[inside]).all():
        where = float(_GRID[inside][1 + int(np.argmax(falls))])
        raise ArgumentError(f"f must be convex; it is not near a ratio of {where:g}.")


def limit(
    name: Literal["at_zero", "slope_at_infinity"],
    given: float | None,
    f: Callable[[Floats], ArrayLike],
) -> float:
    """Return f at 0 or f(t) / t at infinity: as given, or what three far values settle on.

    Both quantities rise with distance, to a constant or without end, since f is convex. Where they
    settle, the distance from the limit is about squared at each step.
    """
    if given is not None:
        found = numbers(given, name)
        if found.ndim or np.isnan(found) or found == -np.inf:
            raise ArgumentError(f"{name} must be a number or infinity; got {str(given)[:40]!r}.")
        return float(found)
    values = values_of(f, 1.0 / _FAR) if name == "at_zero" else values_of(f, _FAR) / _FAR
    near, far, farthest = (float(value) for value in values)
    if near == np.inf:
        return np.inf
    scale = float(np.abs(values_of(f, np.array([0.5, 2.0]))).max())
    first, second = far - near, farthest - far
    if abs(first) <= _SETTLED * max(abs(far), scale):
        return far
    if second >= 0.99 * first > 0:
        return np.inf
    if abs(second) ** 3 <= _SETTLED * max(abs(farthest), scale) * first**2:
        return farthest
    raise ArgumentError(
        f"the limit {name} cannot be told from values of f; give it as {name}=, infinity allowed."
    )
