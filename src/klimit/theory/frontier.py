"""The reward-KL frontier of prompts whose base distributions are known exactly.

With l = 1 / beta and psi_x(l) = log E exp(l (reward - mean)) under prompt x, a tilt by l gains
psi_x'(l) and costs l psi_x'(l) - psi_x(l) nats. The average-budget frontier gives every prompt the
same beta; the per-prompt one gives every prompt the same KL.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from klimit._errors import ArgumentError
from klimit.theory import _check
from klimit.theory._check import ArrayLike, Floats, choice, coefficient
from klimit.theory._curve import Budget, Curve
from klimit.theory._levels import levels
from klimit.theory._outcomes import Outcomes, measure, outcomes
from klimit.theory._prompts import lay_flat, read_rows, read_weights
from klimit.theory._spend import by_rows, spend
from klimit.theory.tilt import Ceiling


@dataclass(frozen=True, slots=True, eq=False)
class FrontierPoint:
    """One point of a frontier, with what follows from its slope.

    Attributes
    ----------
    kl : (...) nats
    gain : (...) reward units
    beta : (...) slope of the frontier there, reward units per nat
    variance : (...) variance of the reward under the optimal policies, reward units squared
    """

    kl: Floats
    gain: Floats
    beta: Floats
    variance: Floats

    @property
    def jeffreys(self) -> Floats:
        """KL both ways between base and optimal policy, nats: gain / beta."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(self.gain > 0, self.gain / self.beta, 0.0)

    @property
    def forward_kl(self) -> Floats:
        """KL(base || policy), nats: jeffreys - kl; infinite where jeffreys is."""
        both = self.jeffreys
        with np.errstate(invalid="ignore"):  # both may be infinite
            return np.where(both < np.inf, both - self.kl, np.inf)

    @property
    def log_partition(self) -> Floats:
        """Mean log-partition of the centred reward, nats: (gain - beta kl) / beta."""
        return self.forward_kl

    @property
    def curvature(self) -> Floats:
        """Second derivative of the frontier, reward units per nat squared: -beta^3 / variance."""
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            return np.where(self.beta > 0, -(self.beta**3) / self.variance, 0.0)


@dataclass(frozen=True, slots=True, eq=False)
class KnownFrontier:
    """The most reward that any policy can gain for a KL budget, exactly.

    Methods take scalars or arrays of any shape and return arrays of that shape; those by prompt add
    an axis of prompts at the end. Gains are in reward units over the base's mean, KL in nats.

    Attributes
    ----------
    weights : (prompts,) what each prompt counts for; sums to one
    budget : "average" (one shared beta) or "per-prompt" (each prompt spends the same KL, or less
        where it saturates)
    """

    weights: Floats
    budget: Budget
    _known: Outcomes = field(repr=False)

    def __str__(self) -> str:
        return self._curve.described("frontier", " nats")

    @property
    def saturation(self) -> Ceiling:
        """Where the frontier flattens: the gain there and its KL.

        The KL is the mean of -log P(highest reward) over prompts for the average budget, the
        largest over prompts (of positive weight) for the per-prompt budget.
        """
        return Ceiling(*self._curve.saturation())

    def gain(self, kl: ArrayLike) -> Floats:
        """How much can at most be gained for this KL?

        The mean over prompts of ``gain_x + beta_x (kl - kl_x)`` at the optimal betas, that is the
        dual ``min_beta beta (kl + E psi_x(1 / beta))``; flat beyond `saturation`.
        """
        return self._curve.in_parts(self._curve.gain, _check.budget(kl))

    def kl(self, gain: ArrayLike) -> Floats:
        """How many nats does this gain take at least?

        Zero for gains of at most 0 (the base has them), infinite beyond ``saturation.gain``, which
        no reweighting of the base can reach.
        """
        return self._curve.in_parts(self._curve.least_cost, _check.rewards(gain))

    def beta(self, kl: ArrayLike) -> Floats:
        """What is another nat worth? The slope of the frontier, reward units per nat.

        The KL coefficient that leads to this budget; infinite at 0, zero beyond `saturation`. With
        the per-prompt budget it is the mean of the prompts' slopes.
        """
        return self._curve.in_parts(self._curve.slope, _check.budget(kl))

    def curvature(self, kl: ArrayLike) -> Floats:
        """Second derivative of the frontier, reward units per nat squared, at most 0.

        ``-beta^3 / E Var_x(reward)`` under the tilted policies; with the per-prompt budget the mean
        of ``-beta_x^3 / Var_x``. Minus infinity at 0, zero beyond `saturation`.
        """
        return self._curve.in_parts(self._curve.curvature, _check.budget(kl))

    def at(self, *, beta: ArrayLike) -> FrontierPoint:
        """Where on the frontier does this KL coefficient lead? Average budget only.

        The prompts' optimal tilts at one beta, averaged.
        """
        b = coefficient(beta)
        spent, gained, variance = self._curve.at(b)
        return FrontierPoint(spent, gained, b, variance)

    def dual_bound(self, kl: ArrayLike, *, beta: ArrayLike) -> Floats:
        """What does this beta, right or wrong, prove about the gain at this KL?

        ``beta (kl + E log E exp((reward - mean) / beta))`` is never below `gain(kl)` (Donsker and
        Varadhan), and equals it at ``beta(kl)`` with the average budget.
        """
        kl, b = _check.broadcast(kl=_check.budget(kl), beta=coefficient(beta))
        return self._curve.dual_bound(kl, b)

    def gap_nats(self, kl: ArrayLike, *, gain: ArrayLike, beta: ArrayLike | None = None) -> Floats:
        """How many nats is a method that spends `kl` and gains `gain` away from the optimum?

        The mean over prompts of KL(its policy || optimal tilt), from two numbers and no density of
        the method: ``(dual_bound(kl, beta) - gain) / beta``, with the tilt at `beta` or, by default,
        at its own KL, where it is the shortfall ``gain(kl) - gain`` in units of the slope: whatever
        reaches a comparable trade-off is close to the tilt (arXiv 2404.01730).

        Average budget only; NaN where the slope is 0 (no tilt has this KL) or infinite (kl is 0),
        and negative where no policy has such a kl and gain.
        """
        if self.budget != "average":
            raise ArgumentError("gap_nats needs one beta for all prompts: budget='average'.")
        kl, gain = _check.broadcast(kl=_check.budget(kl), gain=_check.rewards(gain))
        if beta is None:
            b, best = self.beta(kl), self.gain(kl)
        else:
            kl, gain, b = _check.broadcast(kl=kl, gain=gain, beta=coefficient(beta))
            best = self._curve.dual_bound(kl, b)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where((b > 0) & (b < np.inf), (best - gain) / b, np.nan)

    def kl_by_prompt(self, kl: ArrayLike) -> Floats:
        """How is this budget spent? (..., prompts), nats; with `weights` they average to `kl`."""
        return self._curve.in_parts(lambda d: self._curve.by_prompt(d).kl, _check.budget(kl))

    def gain_by_prompt(self, kl: ArrayLike) -> Floats:
        """What does each prompt gain at this budget? (..., prompts), reward units."""
        return self._curve.in_parts(lambda d: self._curve.by_prompt(d).gain, _check.budget(kl))

    def policies(self, kl: ArrayLike) -> list[Floats]:
        """Which policies attain the gain at this KL? One (..., outcomes) array per prompt.

        Each prompt's tilt at its beta: the base itself at 0 nats, the base restricted to its best
        outcomes from saturation on.
        """
        kl, curve = _check.budget(kl), self._curve
        betas = curve.solved(kl.ravel()).beta
        flat = curve.policies(betas, lambda known, beta: measure(known, beta).policy)
        return curve.by_row(flat, kl.shape)

    @property
    def _curve(self) -> Curve:
        known = self._known
        return Curve(known, self.weights, self.budget, spend, known.saturation_kl())


def frontier(
    base: ArrayLike | Sequence[ArrayLike],
    reward: ArrayLike | Sequence[ArrayLike],
    *,
    weights: ArrayLike | None = None,
    budget: Budget = "average",
) -> KnownFrontier:
    """How much reward can any policy gain for a KL budget, if the base is known exactly?

    For one prompt, ``G(D) = max {E_policy[reward] : KL(policy || base) <= D} - E_base[reward]``.
    For many, the average budget divides D between prompts as pays best (one shared beta, so that
    what a prompt spends grows with the variance of its reward), and the per-prompt budget gives
    each D; the first is never below the second.

    Parameters
    ----------
    base : (outcomes,) for one prompt, (prompts, outcomes), or a sequence of 1-D arrays of any
        lengths: probabilities that sum to one (within 1e-6); zeros are allowed, and the rewards
        there are never read. One 1-D base serves any number of reward rows of its length.
    reward : finite numbers, reward units, in the shape of `base`
    weights : (prompts,) what each prompt counts for, not negative, rescaled to sum to one; equal by
        default
    budget : "average" for one shared beta, what a KL penalty trains; "per-prompt" for the same KL
        everywhere

    Returns
    -------
    KnownFrontier

    Raises
    ------
    ArgumentError
        Where an argument is not as above.

    References
    ----------
    arXiv 2605.07105, section 3; arXiv 2404.01730; the dual is that of Donsker and Varadhan.

    Examples
    --------
    >>> limit = frontier([[0.25] * 4, [0.25] * 4], [[0, 1, 2, 3], [0, 0, 0, 5]])
    >>> float(limit.gain(0.5).round(6)), limit.kl_by_prompt(0.5).round(4).tolist()
    (1.846967, [0.1824, 0.8176])
    >>> print(limit)
    exact frontier of 2 prompts, average budget: at most +2.625, reached at 1.386 nats

    The same KL on both prompts gains less:

    >>> same = frontier([[0.25] * 4, [0.25] * 4], [[0, 1, 2, 3], [0, 0, 0, 5]], budget="per-prompt")
    >>> float(same.gain(0.5).round(6))
    1.717827
    """
    choice(budget, "budget", ("average", "per-prompt"))
    known = lay_flat(read_rows(base, "base"), read_rows(reward, "reward"))
    return KnownFrontier(read_weights(weights, known.top.size), budget, known)


def win_rate_frontier(
    base: ArrayLike | Sequence[ArrayLike],
    reward: ArrayLike | Sequence[ArrayLike],
    *,
    weights: ArrayLike | None = None,
    budget: Budget = "average",
) -> KnownFrontier:
    """How often can any policy beat the base for a KL budget, ties counting half?

    The frontier of `win_probability`: gains are win rates over the base's own one half. Without
    ties it is that of the uniform law, `uniform_frontier`, for every reward; with ties it is lower.

    Parameters
    ----------
    base, reward, weights, budget : as for `frontier`; only the order of a prompt's rewards counts

    Returns
    -------
    KnownFrontier
        Gains between 0 and 1/2.

    Raises
    ------
    ArgumentError
        As `frontier`.

    References
    ----------
    An objective that arXiv 2605.07105 leaves open.

    Examples
    --------
    The best win rate that half a nat buys with three grades, and without ties:

    >>> from klimit.theory import uniform_frontier
    >>> limit = win_rate_frontier([0.5, 0.3, 0.2], [0, 1, 4])
    >>> float((0.5 + limit.gain(0.5)).round(4))
    0.7605
    >>> float((0.5 + uniform_frontier(0.5).gain).round(4))
    0.7737
    """
    choice(budget, "budget", ("average", "per-prompt"))
    law = lay_flat(read_rows(base, "base"), read_rows(reward, "reward"))
    as_given = replace(law, below_top=law.reward)
    win = by_rows(as_given, lambda _, prob, reward: levels(outcomes(prob, reward)).win)
    won = outcomes(law.prob, win, law.starts)
    return KnownFrontier(read_weights(weights, law.top.size), budget, won)
