"""Tilting when the charge is on KL(base || policy): ``policy = base / (gamma (Z - reward))``.

With m the policy's mean reward, Z = m + 1 / gamma. Per prompt one root is wanted, t = gamma (Z -
highest reward); it lies between P(reward is highest) and 1 and solves ``E 1 / d = 1`` for
``d = t + gamma (highest reward - reward)``, the base over the policy.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from klimit.theory._check import Floats
from klimit.theory._outcomes import Outcomes, exp_excess
from klimit.theory._root import increasing_root
from klimit.theory._spend import Spent

_FIXED_POINT = 0.5  # gamma (highest - mean) below which the gain is sharpened by a fixed point
_GENTLEST, _STEEPEST = 1e-300, 1e250  # gamma; beyond, nothing changes that a float could show


class ForwardTilt(NamedTuple):
    """Per outcome `policy`; per prompt `kl` (forward, nats) and `gain`.

    `variance` is that of the frontiers' calculus: with l = gamma, d gain / dl is `variance` and
    d kl / dl is l times it.
    """

    policy: Floats
    kl: Floats
    gain: Floats
    variance: Floats


def forward_tilt(known: Outcomes, gamma: Floats) -> ForwardTilt:
    """Maximise ``E[reward] - KL(base || policy) / gamma``; flat layout, gamma for each prompt."""
    t = _root(known, gamma)
    scale, gap = known.each(gamma), -known.below_top
    d = known.each(t) + scale * gap
    x = known.each(t - 1.0) + scale * gap  # d - 1 = gamma (policy mean - reward)
    ahead = known.each((t - 1.0) / gamma) + gap  # x / gamma
    gain = known.total(known.prob * ahead * _share(x, d))
    # The rounding of t, as large as that of 1, is all that a small x consists of in the end; but the
    # gain feels only its square. So small tilts take their x back from the gain = E x^2 / d / gamma.
    small = gamma * known.top < _FIXED_POINT
    for _ in range(2 if small.any() else 0):
        ahead = np.where(known.each(small), known.each(gain) - known.centred, ahead)
        x = np.where(known.each(small), scale * ahead, x)
        d = np.where(known.each(small), 1.0 + x, d)
        gain = np.where(small, known.total(known.prob * ahead * _share(x, d)), gain)
    log_d = np.where(np.abs(x) < 0.5, np.log1p(np.clip(x, -0.5, 0.5)), np.log(d))
    with np.errstate(over="ignore", divide="ignore"):
        chi_square = known.total(known.prob * _share(x, d) ** 2)
        bend = 1.0 / (1.0 + 1.0 / chi_square)
    return ForwardTilt(
        policy=np.where(x == 0, known.prob, known.prob / d),
        kl=known.total(known.prob * exp_excess(-log_d)),
        gain=gain,
        variance=bend / gamma / gamma,
    )


def _share(x: Floats, d: Floats) -> Floats:
    """Return x / d for d = 1 + x: the share of its probability that an outcome loses."""
    return np.where(d > 2.0, 1.0 - 1.0 / d, x / d)


def _root(known: Outcomes, gamma: Floats) -> Floats:
    at_top = known.total(np.where(known.below_top == 0, known.prob, 0.0))

    def mismatch(log_t: Floats, index: NDArray[np.intp]) -> tuple[Floats, Floats]:
        law, t = known.take(index), np.exp(log_t)
        d = law.each(t) + law.each(gamma[index]) * -law.below_top
        mass = law.total(law.prob / d)
        return -np.log(mass), t * law.total(law.prob / d / d) / mass

    start = np.log(np.clip(1.0 - gamma * known.top, at_top, 1.0))
    return np.exp(np.minimum(increasing_root(mismatch, start), 0.0))


def forward_spend(known: Outcomes, beta: Floats, prompts: NDArray[np.intp] | None = None) -> Spent:
    """As `spend`, with KL(base || policy) charged."""
    with np.errstate(divide="ignore"):
        gamma = np.clip(1.0 / beta, _GENTLEST, _STEEPEST)
    if prompts is not None:
        return Spent(*forward_tilt(known.take(prompts), gamma)[1:])
    shape = np.broadcast_shapes(beta.shape, known.top.shape)
    table = np.broadcast_to(gamma, shape).reshape(-1, known.top.size)
    found = np.array([forward_tilt(known, row)[1:] for row in table])
    return Spent(*(np.reshape(found[:, k], shape) for k in range(3)))


def forward_limit(known: Outcomes) -> Floats:
    """Return the forward KL from which on the gain is the ceiling to the last digit."""
    return forward_tilt(known, np.full(known.top.shape, _STEEPEST)).kl
