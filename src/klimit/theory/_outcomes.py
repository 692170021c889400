"""Known distributions with rewards, and the one tilt evaluation that everything here leans on.

All sums below have terms of one sign, so that a gain of 1e-12, a probability of 1e-300 and a
coefficient of 1e-12 keep their digits: divergences are sums of ``e^u - 1 - u`` (never negative)
over the log ratios u, and gains are sums of ``(reward - mean) * (policy - base)``.
"""

from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from klimit._errors import ArgumentError
from klimit.theory._check import Floats, require

_SERIES = [1.0 / np.prod(np.arange(1.0, k + 3)) for k in range(12)]
"""1/2!, 1/3!, ...: the Taylor coefficients of (e^x - 1 - x) / x^2."""

T = TypeVar("T", bound=np.generic)

LARGE = 700.0  # e^700 is still a float


def exp_excess(x: Floats) -> Floats:
    """Return e^x - 1 - x without cancellation at small x."""
    small = np.abs(x) < 0.25
    near = np.where(small, x, 0.0)
    series = np.polynomial.polynomial.polyval(near, _SERIES) * near * near
    with np.errstate(over="ignore", invalid="ignore"):
        return np.where(small, series, np.expm1(x) - x)


def log_sum(logs: Floats, axis: int = -1) -> Floats:
    """Return what `np.logaddexp.reduce` would, in a fraction of its time."""
    highest = logs.max(axis=axis, keepdims=True, initial=-np.inf)
    highest = np.where(np.isfinite(highest), highest, 0.0)
    return np.asarray(np.log(np.exp(logs - highest).sum(axis=axis)) + np.squeeze(highest, axis))


def reweighted(base: Floats, log_base: Floats, log_ratio: Floats) -> Floats:
    """Return base * e^log_ratio, exactly the base where nothing changes."""
    return np.where(log_ratio == 0, base, np.exp(log_base + log_ratio))


def kl_terms(base: Floats, policy: Floats, log_ratio: Floats) -> Floats:
    """Return terms that sum to KL(policy || base), each of them at least 0.

    They are base * (u e^u - e^u + 1) at u = log(policy / base); policy must be base * e^u.
    """
    u = np.maximum(log_ratio, -800.0)  # an impossible outcome: e^u is 0 from there on
    near = policy * exp_excess(-np.maximum(u, -1.0))
    return np.where(u > -1.0, near, base + (u - 1.0) * policy)


def log_kept(below: Floats, mass: Floats, share: Floats) -> Floats:
    """Return log(1 + share below / mass), also for a mass so small that the ratio is no float."""
    with np.errstate(all="ignore"):
        spared = below / mass * share
        in_logs = np.logaddexp(0.0, np.log(below) + np.log(share) - np.log(mass))
        return np.where(spared < np.inf, np.log1p(spared), in_logs)


def change_terms(base: Floats, policy: Floats, log_ratio: Floats) -> Floats:
    """Return policy - base, precise also where the two are close."""
    return np.where(log_ratio < 1.0, base * np.expm1(np.minimum(log_ratio, 1.0)), policy - base)


@dataclass(frozen=True, slots=True, eq=False)
class Outcomes:
    """Distributions over outcomes and their rewards, centred once.

    Outcomes lie along the last axis or, for ragged prompts, in one flat array in which prompt k
    begins at ``starts[k]``.

    Attributes
    ----------
    prob, log_prob : per outcome
    reward : per outcome, as given; minus infinity where impossible
    below_top : per outcome, reward minus the prompt's highest possible reward, at most 0
    centred : per outcome, reward minus the prompt's mean reward
    mean : per prompt, mean reward
    top : per prompt, highest possible reward minus the mean: the gain at saturation
    starts : where each prompt begins in a flat array, or None
    """

    prob: Floats
    log_prob: Floats
    reward: Floats
    below_top: Floats
    centred: Floats
    mean: Floats
    top: Floats
    starts: NDArray[np.intp] | None = None

    def total(self, values: Floats) -> Floats:
        """Sum over each prompt's outcomes."""
        if self.starts is None:
            return np.asarray(values.sum(axis=-1))
        return np.asarray(np.add.reduceat(values, self.starts))

    def each(self, values: NDArray[T]) -> NDArray[T]:
        """Repeat each prompt's value for its outcomes; a scalar is every prompt's value."""
        if values.ndim == 0:
            return values
        if self.starts is None:
            return values[..., None]
        return np.repeat(values, self.lengths)

    @property
    def lengths(self) -> NDArray[np.intp]:
        """How many outcomes each prompt of a flat layout has."""
        return np.diff(np.asarray(self.starts), append=self.prob.size)

    def variance(self) -> Floats:
        """Return the reward's variance per prompt."""
        return self.total(self.prob * self.centred**2)

    def sd(self) -> Floats:
        """Return the reward's standard deviation per prompt, of any size."""
        size = self.width()
        size = np.where(size > 0, size, 1.0)
        return size * np.sqrt(self.total(self.prob * (self.centred / self.each(size)) ** 2))

    def width(self) -> Floats:
        """Return the highest minus the lowest possible reward per prompt."""
        if self.starts is None:
            return np.asarray(-self.below_top.min(axis=-1))
        return np.asarray(-np.minimum.reduceat(self.below_top, self.starts))

    def take(self, prompts: NDArray[np.intp]) -> "Outcomes":
        """Keep some prompts of a flat layout; one asked for twice is there twice."""
        lengths = self.lengths[prompts]
        begins = np.cumsum(lengths) - lengths
        moved = np.asarray(self.starts)[prompts] - begins
        index = np.arange(lengths.sum()) + np.repeat(moved, lengths)
        by_outcome = (self.prob, self.log_prob, self.reward, self.below_top, self.centred)
        prob, log_prob, reward, below, centred = (part[index] for part in by_outcome)
        mean, top = self.mean[prompts], self.top[prompts]
        return Outcomes(prob, log_prob, reward, below, centred, mean, top, begins)

    def recentred(self) -> "Outcomes":
        """Take the mean under `prob`, in a second pass to full precision, and centre at it."""
        top = -self.total(self.prob * self.below_top)
        top += self.total(self.prob * -(self.below_top + self.each(top)))
        mean = self.mean + self.top - top
        return replace(self, centred=self.below_top + self.each(top), mean=mean, top=top + 0.0)

    def saturation_kl(self) -> Floats:
        """Return -log P(reward = highest) per prompt, nats: the KL where the frontier flattens."""
        at_top = self.total(np.where(self.below_top == 0, self.prob, 0.0))
        rest = self.total(np.where(self.below_top == 0, 0.0, self.prob))
        # + 0.0 turns the -0.0 of a certain outcome into 0.0
        return np.where(at_top > 0.5, -np.log1p(-np.minimum(rest, 0.5)), -np.log(at_top)) + 0.0


def outcomes(prob: Floats, reward: Floats, starts: NDArray[np.intp] | None = None) -> Outcomes:
    """Centre the rewards of checked distributions.

    Rewards of outcomes with probability zero are never read, so that they may be padding.
    """
    possible = prob > 0
    usable = ~possible | np.isfinite(reward)
    rule = "reward must be finite wherever the base has probability"
    require(np.broadcast_to(reward, usable.shape), usable, rule)
    reward = np.where(possible, reward, -np.inf)
    if starts is None:
        highest = reward.max(axis=-1)
    else:
        highest = np.maximum.reduceat(reward, starts)
    none = np.zeros_like(highest)
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        draft = Outcomes(prob, np.log(prob), reward, reward, reward, highest, none, starts)
        below = np.where(possible, reward - draft.each(highest), 0.0)
    if not np.isfinite(below).all():
        raise ArgumentError(
            "rewards of one prompt must lie within 1.8e308 of each other; these do not. "
            "Rescale them (and beta with them)."
        )
    return replace(draft, below_top=below).recentred()


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """What a tilt costs and gains: `log_ratio` and `policy` per outcome, the rest per prompt."""

    log_ratio: Floats
    policy: Floats
    kl: Floats
    gain: Floats
    forward_kl: Floats
    variance: Floats


def measure(known: Outcomes, beta: Floats) -> Measured:
    """Tilt by ``exp(reward / beta)``; `beta` is per prompt, from 0 (best outcomes alone) to infinity.

    The log ratio is measured from the prompt's mean reward (with the centred log-partition psi as
    offset) or from its highest reward (with log Z), whichever offset is smaller: the first keeps
    the digits of small tilts, the second those near saturation.
    """
    if not (beta > 0).all():
        return _best_alone(known, beta)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore", under="ignore"):
        scale = known.each(beta)
        from_mean = known.centred / scale
        from_top = known.below_top / scale
        psi = np.log1p(known.total(known.prob * exp_excess(np.minimum(from_mean, LARGE))))
        z = known.total(np.exp(known.log_prob + from_top))
        log_z = np.where(z > 0.5, np.log1p(known.total(known.prob * np.expm1(from_top))), np.log(z))
        reach = known.top / beta
        near_top = (-log_z < psi) | (reach > LARGE)
        u = np.where(
            known.each(near_top), from_top - known.each(log_z), from_mean - known.each(psi)
        )
        policy = reweighted(known.prob, known.log_prob, u)
        change = change_terms(known.prob, policy, u)
        gain = known.total(known.centred * change)
        kl = known.total(kl_terms(known.prob, policy, u))
        below_mean = known.total(policy * known.below_top)
        variance = known.total(policy * (known.below_top - known.each(below_mean)) ** 2)
        forward = np.where(near_top, reach + log_z, psi)
    return Measured(u, policy, kl, gain, forward, variance)


def _best_alone(known: Outcomes, beta: Floats) -> Measured:
    """As `measure`, where some beta are 0."""
    rest, free = measure(known, np.where(beta > 0, beta, 1.0)), ~(beta > 0)
    kl, each = known.saturation_kl(), known.each(free)
    u = np.where(known.below_top == 0, known.each(kl), -np.inf)
    u = np.where(known.prob > 0, u, 0.0)
    return Measured(
        np.where(each, u, rest.log_ratio),
        np.where(each, reweighted(known.prob, known.log_prob, u), rest.policy),
        np.where(free, kl, rest.kl),
        np.where(free, known.top, rest.gain),
        np.where(free & (known.top > 0), np.inf, np.where(free, 0.0, rest.forward_kl)),
        np.where(free, 0.0, rest.variance),
    )
