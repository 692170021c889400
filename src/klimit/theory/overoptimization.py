"""Over-optimisation curves: gold reward as a function of the KL that optimising a proxy has spent.

Both forms are linear in a and b, so that fits are weighted least squares, their intervals exact
under normal errors, and the place of the peak, a function of a / b alone, has Fieller's interval.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np

from klimit._errors import ArgumentError
from klimit._estimate import Estimate
from klimit.theory._check import (
    ArrayLike,
    Floats,
    broadcast,
    budget,
    choice,
    finite,
    interior,
    positive,
    scalar,
)

Method = Literal["best-of-n", "rl"]


class Peak(NamedTuple):
    """Where gold stops rising.

    Attributes
    ----------
    kl : (...) nats; 0 where gold falls from the start, infinite where it never falls for good
    gain : (...) reward units; infinite where it is unbounded
    """

    kl: Floats
    gain: Floats


@dataclass(frozen=True, slots=True, eq=False)
class OveroptimizationCurve:
    """Gold gain against KL, as Gao et al. describe it.

    Attributes
    ----------
    method : "best-of-n" or "rl"
    a, b : (...) reward units per root nat (b for best-of-N: per nat); b > 0 is over-optimisation
    """

    method: Method
    a: Floats
    b: Floats

    def gain(self, kl: ArrayLike) -> Floats:
        """How much gold is gained at this KL? Reward units, broadcast against a and b."""
        kl, a, b = broadcast(kl=_finite_kl(kl), a=self.a, b=self.b)
        rise, fall = _terms(self.method, kl)
        return a * rise - b * fall

    @property
    def peak(self) -> Peak:
        """Where is gold highest?

        Best-of-N: at ``d = a / (2 b)`` with ``a^2 / (4 b)``. RL: at ``d = exp(a / b - 1)`` with
        ``b d``. Without over-optimisation (b <= 0) gold rises without end unless b = 0 >= a.
        """
        a, b = self.a, self.b
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            if self.method == "best-of-n":
                d = np.maximum(a, 0.0) / (2.0 * b)
                gain = np.maximum(a, 0.0) * (d / 2.0)
            else:
                d = np.exp(a / b - 1.0)
                gain = b * d
            endless = (b < 0) | ((b == 0) & (a > 0))
            flat = (b == 0) & (a <= 0)
            kl = np.where(endless, np.inf, np.where(flat, 0.0, d * d))
            return Peak(kl, np.where(endless, np.inf, np.where(flat, 0.0, gain)))


def overoptimization_curve(method: Method, *, a: ArrayLike, b: ArrayLike) -> OveroptimizationCurve:
    """How does gold rise and fall while a proxy is optimised?

    ``gold = d (a - b d)`` for best-of-N and ``gold = d (a - b log d)`` for RL, with d = sqrt(KL).

    Parameters
    ----------
    method : "best-of-n" or "rl"
    a, b : (...) finite coefficients, fitted to gold gains over the base

    Returns
    -------
    OveroptimizationCurve

    Raises
    ------
    ArgumentError
        Where an argument is not as above.

    References
    ----------
    Gao et al., arXiv 2210.10760 (the two forms).

    Examples
    --------
    >>> curve = overoptimization_curve("best-of-n", a=0.8, b=0.15)
    >>> curve.gain([1.0, 7.0, 20.0]).round(4).tolist()
    [0.65, 1.0666, 0.5777]
    >>> float(curve.peak.kl.round(4)), float(curve.peak.gain.round(6))
    (7.1111, 1.066667)
    """
    choice(method, "method", ("best-of-n", "rl"))
    a, b = broadcast(a=finite(a, "a"), b=finite(b, "b"))
    return OveroptimizationCurve(method, a, b)


@dataclass(frozen=True, slots=True, eq=False)
class OveroptimizationFit:
    """A curve fitted to points (KL, gold gain), with intervals.

    Attributes
    ----------
    curve : the best fit
    a, b : Estimates of the coefficients
    peak_kl : Estimate, nats; Fieller's interval, and `high` is infinite where the points do not
        show that gold turns down
    peak_gain : Estimate, reward units: the lowest and highest peak over the likelihood's ellipse
    covariance : (2, 2) of a and b
    degrees : degrees of freedom of the t quantile; infinite where standard errors were given
    misfit : chi-square of the residuals per degree of freedom; nan without standard errors. Far
        above 1 the form does not describe the points, and no interval here means much.
    """

    curve: OveroptimizationCurve
    a: Estimate
    b: Estimate
    peak_kl: Estimate
    peak_gain: Estimate
    covariance: Floats
    degrees: float
    misfit: float
    _quantile: float = field(repr=False)

    def gain(self, kl: ArrayLike) -> Estimate:
        """How much gold does the fit say, at each KL by itself? Reward units."""
        kl = _finite_kl(kl)
        terms = design(self.curve.method, kl)
        value = self.curve.gain(kl)
        variance = np.einsum("...i,ij,...j->...", terms, self.covariance, terms)
        width = self._quantile * np.sqrt(np.maximum(variance, 0.0))
        return Estimate.of(value, value - width, value + width, level=self.a.level)


def fit_overoptimization(
    kl: ArrayLike,
    gain: ArrayLike,
    method: Method,
    *,
    standard_error: ArrayLike | None = None,
    level: float = 0.95,
) -> OveroptimizationFit:
    """Which over-optimisation curve do these points follow, and where may it peak?

    Weighted least squares in a and b of ``d (a - b d)`` or ``d (a - b log d)`` with d = sqrt(KL).
    Without standard errors the points' scatter about the curve gives one error for all, and t
    quantiles with points - 2 degrees of freedom; with them they are taken at their word, with
    normal quantiles.

    Parameters
    ----------
    kl : (points,) nats. Points at 0 say nothing about a or b and are left out.
    gain : (points,) gold gain over the base, reward units
    method : "best-of-n" or "rl"
    standard_error : (points,) of the gains, reward units, positive; points are taken as independent
    level : coverage of the intervals, between 0 and 1

    Returns
    -------
    OveroptimizationFit

    Raises
    ------
    ArgumentError
        Where an argument is not as above, there are fewer than three points above 0 nats (two with
        standard errors) or they share one KL.

    Notes
    -----
    Steps of one training run share their noise: fit runs, or points of different seeds.

    References
    ----------
    Gao et al., arXiv 2210.10760 (the two forms).

    Examples
    --------
    >>> kl = [0.5, 1.0, 2.0, 4.0, 8.0, 16.0]
    >>> gold = [0.50, 0.64, 0.84, 1.00, 1.07, 0.79]
    >>> fit = fit_overoptimization(kl, gold, "best-of-n")
    >>> print(fit.a, fit.b)
    0.805 [0.791, 0.820] 0.1518 [0.1474, 0.1562]
    >>> print(fit.peak_kl, "nats, gold", fit.peak_gain)
    7.04 [6.86, 7.22] nats, gold 1.068 [1.055, 1.081]
    """
    choice(method, "method", ("best-of-n", "rl"))
    confidence = float(scalar(interior(level, "level"), "level"))
    x, y, error = _points(kl, gain, standard_error)
    scaled = design(method, x) / error[:, None]
    target = y / error
    scale = np.sqrt((scaled**2).sum(axis=0))  # columns of one size, for a safe factorisation
    half = np.linalg.pinv(scaled / scale) / scale[:, None]
    theta, covariance = half @ target, half @ half.T
    squares = float(((target - scaled @ theta) ** 2).sum())
    left = x.size - 2
    known = standard_error is not None
    if not known:
        covariance = covariance * (squares / left)
    misfit = squares / left if known and left else np.nan
    degrees = np.inf if known else float(left)
    return fitted(method, theta, covariance, degrees, misfit=misfit, level=confidence)


def fitted(
    method: Method,
    theta: Floats,
    covariance: Floats,
    degrees: float,
    *,
    misfit: float,
    level: float,
) -> OveroptimizationFit:
    """A fit from coefficients and their covariance, however they were found.

    Parameters
    ----------
    theta, covariance : (2,) a and b, (2, 2)
    degrees : degrees of freedom of the t quantile; infinite for a normal one
    misfit, level : as in `OveroptimizationFit`
    """
    t = _quantile(level, degrees)
    a, b = (
        Estimate.of(value, value - t * se, value + t * se, level=level)
        for value, se in zip(theta, np.sqrt(np.diag(covariance)), strict=True)
    )
    curve = OveroptimizationCurve(method, np.asarray(theta[0]), np.asarray(theta[1]))
    low, high = _peak_interval(method, theta, covariance, t)
    peak_kl = Estimate.of(curve.peak.kl, low, high, level=level)
    low, high = _peak_gain_interval(method, theta, covariance, t)
    peak_gain = Estimate.of(curve.peak.gain, low, high, level=level)
    return OveroptimizationFit(curve, a, b, peak_kl, peak_gain, covariance, degrees, misfit, t)


def _terms(method: Method, kl: Floats) -> tuple[Floats, Floats]:
    """What a and -b multiply."""
    d = np.sqrt(kl)
    if method == "best-of-n":
        return d, kl
    with np.errstate(divide="ignore", invalid="ignore"):
        return d, np.where(d > 0, d * np.log(d), 0.0)


def design(method: Method, kl: Floats) -> Floats:
    """What the gain is linear in: (..., 2), what a and b multiply."""
    rise, fall = _terms(method, kl)
    return np.stack([rise, -fall], axis=-1)


def _points(
    kl: ArrayLike, gain: ArrayLike, standard_error: ArrayLike | None
) -> tuple[Floats, Floats, Floats]:
    """Check the points and leave out those at the base."""
    x, y = _finite_kl(kl), finite(gain, "gain")
    error = positive(1.0 if standard_error is None else standard_error, "standard_error")
    x, y, error = broadcast(kl=x, gain=y, standard_error=error)
    if x.ndim != 1:
        raise ArgumentError(f"kl and gain must be (points,); got shape {x.shape}.")
    moved = x > 0
    least = 3 if standard_error is None else 2
    if moved.sum() < least or np.unique(x[moved]).size < 2:
        raise ArgumentError(
            f"kl must hold at least {least} points above 0 nats, not all at one KL; "
            f"got {int(moved.sum())} points at {np.unique(x[moved]).size} KLs."
        )
    return x[moved], y[moved], error[moved]


def _quantile(level: float, degrees: float) -> float:
    from scipy.special import ndtri, stdtrit

    upper = 0.5 + 0.5 * level
    return float(ndtri(upper) if np.isinf(degrees) else stdtrit(degrees, upper))


def _peak_interval(
    method: Method, theta: Floats, covariance: Floats, t: float
) -> tuple[float, float]:
    """Fieller: every KL at which the curve's slope is not clearly up or down.

    The slope vanishes where a / b is some rho; ``(a - rho b)^2 <= t^2 Var(a - rho b)`` reads
    ``A rho^2 - 2 B rho + C <= 0``. Where b is not clearly positive (A <= 0) there is no upper end.
    """

    def kl_at(ratio: float) -> float:
        """The KL of the peak where a / b is this."""
        return float(OveroptimizationCurve(method, np.asarray(ratio), np.ones(())).peak.kl)

    a, b = theta
    v_aa, v_ab, v_bb = covariance[0, 0], covariance[0, 1], covariance[1, 1]
    big_a, big_b, big_c = b * b - t * t * v_bb, a * b - t * t * v_ab, a * a - t * t * v_aa
    root = np.sqrt(max(big_b * big_b - big_a * big_c, 0.0))
    if big_a > 0:
        if b < 0:
            return np.inf, np.inf
        far = big_b + np.copysign(root, big_b)
        ends = sorted([far / big_a, big_c / far]) if far else [0.0, 0.0]
        return kl_at(ends[0]), kl_at(ends[1])
    if a <= 0 or big_c <= 0:  # not even clearly rising at first
        return 0.0, np.inf
    if big_b > 0:
        return kl_at(big_c / (big_b + root)), np.inf
    return (kl_at((root - big_b) / -big_a) if big_a < 0 else np.inf), np.inf


def _peak_gain_interval(
    method: Method, theta: Floats, covariance: Floats, t: float
) -> tuple[float, float]:
    """Lowest and highest peak over the ellipse of a and b within t standard errors.

    The peak never falls as a rises, so that both ends lie on the rim of the ellipse.
    """
    values, vectors = np.linalg.eigh(covariance)
    half = t * vectors * np.sqrt(np.maximum(values, 0.0))

    def end(sign: float) -> float:
        centre, reach, found = np.pi, np.pi, np.empty(0)
        for _ in range(5):  # round the rim, then ever closer to the best place
            angles = centre + reach * np.linspace(-1.0, 1.0, 201)
            a, b = theta[:, None] + half @ np.stack([np.cos(angles), np.sin(angles)])
            found = sign * OveroptimizationCurve(method, a, b).peak.gain
            centre, reach = angles[np.argmin(found)], 0.02 * reach
        return float(sign * found.min())

    if theta[1] <= t * np.sqrt(covariance[1, 1]):
        return end(1.0), np.inf  # some point within has b <= 0: gold may never turn down
    return end(1.0), end(-1.0)


def _finite_kl(kl: ArrayLike) -> Floats:
    return finite(budget(kl), "kl")
