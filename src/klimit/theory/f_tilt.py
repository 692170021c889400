"""The optimal policy where another divergence than the KL is charged for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from klimit._errors import ArgumentError
from klimit.theory._check import ArrayLike, Floats, choice, coefficient, numbers, same_leading
from klimit.theory._custom import Function, custom
from klimit.theory._generators import Generator, Jeffreys, JensenShannon, Power, TotalVariation
from klimit.theory._penalised import optimum
from klimit.theory.tilt import known

_NAMED: dict[str, Generator] = {
    "kl": Power(1.0),
    "forward-kl": Power(0.0),
    "jeffreys": Jeffreys(),
    "chi-square": Power(2.0, scale=2.0),
    "hellinger-squared": Power(0.5, scale=0.25),
    "jensen-shannon": JensenShannon(),
    "total-variation": TotalVariation(),
}
DIVERGENCES = (*_NAMED, "cressie-read")


def read_divergence(
    divergence: str | Function,
    alpha: float | None,
    derivative: Function | None,
    at_zero: float | None,
) -> tuple[Generator, str]:
    """Return the f that is meant, and its name."""
    if not callable(divergence):
        choice(divergence, "divergence", DIVERGENCES)
    if alpha is not None and divergence != "cressie-read":
        raise ArgumentError(
            f'alpha belongs to divergence="cressie-read" alone; got {str(alpha)[:40]!r}.'
        )
    if callable(divergence):
        if not callable(derivative):
            raise ArgumentError(
                "derivative must be the derivative of f where divergence is a function; got "
                f"{str(derivative)[:40]!r}."
            )
        return custom(divergence, derivative, at_zero), "custom"
    if derivative is not None or at_zero is not None:
        raise ArgumentError(
            "derivative and at_zero belong to a divergence given as a function; got them with "
            f"{divergence!r}."
        )
    if divergence != "cressie-read":
        return _NAMED[divergence], divergence
    a = np.nan if alpha is None else numbers(alpha, "alpha")
    if np.ndim(a) or not np.isfinite(a):
        raise ArgumentError(f"alpha must be a finite number; got {str(alpha)[:40]!r}.")
    return Power(float(a)), f"cressie-read ({float(a):g})"


@dataclass(frozen=True, slots=True, eq=False)
class FTilt:
    """The optimal policy at one coefficient of an f-divergence, and what it costs and gains.

    Attributes
    ----------
    policy : (..., outcomes) probabilities; 0 where clipped
    gain : (...) mean reward over the base's, reward units
    divergence : (...) D_f(policy || base)
    normaliser : (...) c, the dual variable of the sum: the policy is
        ``base * (f')^-1((reward - c) / beta)`` where that is positive; reward units
    """

    policy: Floats
    gain: Floats
    divergence: Floats
    normaliser: Floats


def f_tilt(
    base: ArrayLike,
    reward: ArrayLike,
    *,
    divergence: str | Function,
    beta: ArrayLike,
    alpha: float | None = None,
    derivative: Function | None = None,
    at_zero: float | None = None,
) -> FTilt:
    """What is the best policy if `beta` is charged for every unit of this divergence?

    The maximiser of ``E[reward] - beta D_f(policy || base)``: for the KL the exponential `tilt`, for
    chi-square ``base * relu(1 + (reward - c) / (2 beta))``, for the forward KL
    ``base * beta / (Z - reward)``.

    Parameters
    ----------
    base, reward : (..., outcomes) as for `tilt`
    divergence : "kl" (policy first), "forward-kl" (base first), "jeffreys", "chi-square",
        "hellinger-squared", "jensen-shannon", "total-variation" or "cressie-read", in the units of
        the functions of these names; or a convex f with f(1) = 0 that takes an array of positive
        ratios, as for `f_divergence`
    beta : (...) reward units per unit of the divergence, positive; broadcast against the axes
        before the outcomes. Infinity leaves the base as it is.
    alpha : any finite number, for "cressie-read" only: 1 is the KL, 0 the forward KL, 2 half the
        chi-square
    derivative : f', for a function f only; takes and returns arrays as f does. It must rise
        everywhere without jumps: f may have neither straight pieces nor kinks.
    at_zero : f(0), possibly infinite, for a function f only; by default found from f

    Returns
    -------
    FTilt
        Under total variation the optimum may not be unique; outcomes worse than the best by exactly
        beta may then be kept or given up.

    Raises
    ------
    ArgumentError
        Where an argument is not as above.

    References
    ----------
    arXiv 2503.21878 (chi-square, clipped); arXiv 2502.01203 (forward KL).

    Examples
    --------
    >>> best = f_tilt([0.25] * 4, [0, 1, 2, 3], divergence="chi-square", beta=0.5)
    >>> best.policy.round(4).tolist(), float(best.divergence.round(4))
    ([0.0, 0.0833, 0.3333, 0.5833], 0.8333)
    """
    f, _ = read_divergence(divergence, alpha, derivative, at_zero)
    law, b = known(base, reward), coefficient(beta)
    same_leading(law.prob, b, "beta")
    shape = np.broadcast_shapes(law.prob.shape[:-1], b.shape)
    outcomes = law.prob.shape[-1]
    prob, below = (
        np.broadcast_to(part, (*shape, outcomes)).reshape(-1, outcomes)
        for part in (law.prob, law.below_top)
    )
    top, mean, coefficients = (
        np.broadcast_to(part, shape).ravel() for part in (law.top, law.mean, b)
    )
    best = optimum(f, prob, below, top, coefficients)
    c = normaliser_from(f, best.anchor, mean, top, coefficients)
    return FTilt(
        best.policy.reshape(*shape, outcomes),
        *(part.reshape(shape) for part in (best.gain, best.divergence, c)),
    )


def normaliser_from(
    f: Generator, anchor: Floats, mean: Floats, top: Floats, beta: Floats
) -> Floats:
    """c, from the best outcome: (top reward - c) / beta is the slope of f at its ratio."""
    with np.errstate(invalid="ignore", over="ignore"):
        below = beta * f.scale * f.slope(anchor)
        return mean + np.where(beta < np.inf, top - below, 0.0)
