"""The reward-KL frontier of prompts whose base distributions are known exactly.

With l = 1 / beta and psi_x(l) = log E exp(l (reward - mean)) under prompt x, a tilt by l gains
psi_x'(l) and costs l psi_x'(l) - psi_x(l) nats. The average-budget frontier gives every prompt the
same beta; the per-prompt one gives every prompt the same KL.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from klimit._errors import ArgumentError
from klimit.theory import _check
from klimit.theory._check import Floats, choice, coefficient, distribution, numbers
from klimit.theory._outcomes import Outcomes, Spent, outcomes, spend
from klimit.theory._root import increasing_root
from klimit.theory._solve import mean, own_betas, shared_betas, shared_betas_for_gain, variance
from klimit.theory.tilt import Ceiling

Budget = Literal["average", "per-prompt"]


@dataclass(frozen=True, slots=True, eq=False)
class FrontierPoint:
    """One point of a frontier, with what follows from its slope.

    Attributes
    ----------
    kl : (...) nats
    gain : (...) reward units
    beta : (...) slope of the frontier there, reward units per nat
    """

    kl: Floats
    gain: Floats
    beta: Floats

    @property
    def jeffreys(self) -> Floats:
        """KL both ways between base and optimal policy, nats: gain / beta."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(self.gain > 0, self.gain / self.beta, 0.0)

    @property
    def forward_kl(self) -> Floats:
        """KL(base || policy), nats: jeffreys - kl."""
        return self.jeffreys - self.kl

    @property
    def log_partition(self) -> Floats:
        """Mean log-partition of the centred reward, nats: (gain - beta kl) / beta."""
        return self.forward_kl


@dataclass(frozen=True, slots=True, eq=False)
class KnownFrontier:
    """The most reward that any policy can gain for a KL budget, exactly.

    Methods take scalars or arrays of any shape and return arrays of that shape; `kl_by_prompt` and
    `gain_by_prompt` add an axis of prompts at the end. Gains are in reward units over the base's
    mean, KL in nats per sequence, averages over prompts use `weights`.

    Attributes
    ----------
    weights : (prompts,) what each prompt counts for; sums to one
    budget : "average" (one shared beta, KL averaged over prompts) or "per-prompt" (each prompt
        spends the same KL, or less where it saturates)
    """

    weights: Floats
    budget: Budget
    _known: Outcomes = field(repr=False)

    def __str__(self) -> str:
        gain, kl = self.saturation
        prompts = "1 prompt" if self.weights.size == 1 else f"{self.weights.size} prompts"
        return (
            f"exact frontier of {prompts}, {self.budget} budget: "
            f"at most {gain:+.4g}, reached at {kl:.4g} nats"
        )

    @property
    def saturation(self) -> Ceiling:
        """Where the frontier flattens: the gain there and its KL.

        The KL is the mean of -log P(highest reward) over prompts for the average budget, the
        largest over prompts (of positive weight) for the per-prompt budget.
        """
        gain = self._mean(self._known.top)
        limits = self._known.saturation_kl()
        if self.budget == "average":
            return Ceiling(gain, self._mean(limits))
        return Ceiling(gain, limits[self.weights > 0].max())

    def gain(self, kl: ArrayLike) -> Floats:
        """How much can at most be gained for this KL?

        The mean over prompts of ``gain_x + beta_x (kl - kl_x)`` at the optimal betas, that is the
        dual ``min_beta beta (kl + E psi_x(1 / beta))``; flat beyond `saturation`.
        """
        kl = _check.budget(kl)
        betas = self._betas(kl)
        spent, gained, _ = self._spend(betas)
        # Second-order exact: what the root left over of the budget, at its price. A saturated
        # prompt (beta 0) and an unspent budget (beta infinite) leave nothing.
        priced = (betas > 0) & (betas < np.inf)
        with np.errstate(invalid="ignore"):
            rest = np.where(priced, betas * (kl[..., None] - spent), 0.0)
        return self._mean(gained + rest)

    def kl(self, gain: ArrayLike) -> Floats:
        """How many nats does this gain take at least?

        Zero for gains of at most 0 (the base has them), infinite beyond ``saturation.gain``, which
        no reweighting of the base can reach.
        """
        gain = numbers(gain, "gain")
        if np.isnan(gain).any():
            raise ArgumentError("gain must be a number in reward units; got nan.")
        most, limit = self.saturation
        flat = gain.ravel()
        least = np.where(flat <= 0, 0.0, np.where(flat > most * (1 + 1e-14), np.inf, limit))
        inside = (flat > 0) & (flat < most * (1 - 1e-14))
        if inside.any():
            solve = self._least_average if self.budget == "average" else self._least_per_prompt
            least[inside] = solve(flat[inside])
        return least.reshape(gain.shape)

    def beta(self, kl: ArrayLike) -> Floats:
        """What is another nat worth? The slope of the frontier, reward units per nat.

        The KL coefficient that leads to this budget; infinite at 0, zero beyond `saturation`. With
        the per-prompt budget it is the mean of the prompts' slopes.
        """
        return self._mean(self._betas(_check.budget(kl)))

    def curvature(self, kl: ArrayLike) -> Floats:
        """Second derivative of the frontier, reward units per nat squared, at most 0.

        ``-beta^3 / E Var_x(reward)`` under the tilted policies; with the per-prompt budget the mean
        of ``-beta_x^3 / Var_x``. Minus infinity at 0, zero beyond `saturation`.
        """
        betas = self._betas(_check.budget(kl))
        variance = self._spend(betas).variance
        if self.budget == "average":
            betas, variance = betas[..., 0], self._mean(variance)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            bend = np.where(betas > 0, -(betas**3) / variance, 0.0)
        return bend if self.budget == "average" else self._mean(bend)

    def at(self, *, beta: ArrayLike) -> FrontierPoint:
        """Where on the frontier does this KL coefficient lead? Average budget only.

        The prompts' optimal tilts at one beta, averaged: kl, gain, and through them jeffreys,
        forward_kl and log_partition (of the centred reward).
        """
        if self.budget != "average":
            raise ArgumentError(
                "at(beta=) needs one beta for all prompts, but with budget='per-prompt' every "
                "prompt has its own; use beta(kl), the mean slope, or budget='average'."
            )
        b = coefficient(beta)
        spent, gained, _ = self._spend(np.broadcast_to(b[..., None], (*b.shape, self.weights.size)))
        return FrontierPoint(self._mean(spent), self._mean(gained), b)

    def dual_bound(self, kl: ArrayLike, *, beta: ArrayLike) -> Floats:
        """What does this beta, right or wrong, prove about the gain at this KL?

        ``beta (kl + E log E exp((reward - mean) / beta))`` is never below `gain(kl)` (Donsker and
        Varadhan), and equals it at ``beta(kl)`` with the average budget.
        """
        kl, b = _check.budget(kl), coefficient(beta)
        try:
            kl, b = np.broadcast_arrays(kl, b)
        except ValueError:
            raise ArgumentError(
                f"kl and beta must broadcast against each other; got {kl.shape} and {b.shape}."
            ) from None
        point = KnownFrontier(self.weights, "average", self._known).at(beta=b)
        with np.errstate(invalid="ignore"):  # an infinite beta proves nothing unless kl is 0
            return np.where(kl == point.kl, point.gain, point.gain + b * (kl - point.kl))

    def kl_by_prompt(self, kl: ArrayLike) -> Floats:
        """How is this budget spent? (..., prompts), nats; with `weights` they average to `kl`."""
        return self._spend(self._betas(_check.budget(kl))).kl

    def gain_by_prompt(self, kl: ArrayLike) -> Floats:
        """What does each prompt gain at this budget? (..., prompts), reward units."""
        return self._spend(self._betas(_check.budget(kl))).gain

    # Betas are arrays (..., prompts): 0 where a prompt is saturated, infinite where KL is 0.

    def _mean(self, by_prompt: Floats) -> Floats:
        return mean(self.weights, by_prompt)

    def _betas(self, kl: Floats) -> Floats:
        shape = (*kl.shape, self.weights.size)
        if self.budget == "average":
            shared = shared_betas(self._known, self.weights, kl.ravel())
            return np.broadcast_to(shared.reshape(kl.shape)[..., None], shape)
        own = [own_betas(self._known, np.full(self.weights.size, d)) for d in kl.ravel()]
        return np.reshape(own, shape)

    def _spend(self, betas: Floats) -> Spent:
        """KL, gain and reward variance of each prompt at its beta."""
        known = self._known
        most = np.stack([known.saturation_kl(), known.top, np.zeros_like(known.top)])
        results = np.empty((3, *betas.shape))
        for index in np.ndindex(betas.shape[:-1]):
            beta = betas[index]
            found = np.stack(spend(known, np.where(beta > 0, beta, 1.0)))
            results[(slice(None), *index)] = np.where(beta > 0, found, most)
        return Spent(*results)

    def _least_average(self, gain: Floats) -> Floats:
        beta = shared_betas_for_gain(self._known, self.weights, gain)
        point = self.at(beta=beta)
        return point.kl + (gain - point.gain) / beta

    def _least_per_prompt(self, gain: Floats) -> Floats:
        def mismatch(log_kl: Floats, index: NDArray[np.intp]) -> tuple[Floats, Floats]:
            kl = np.exp(log_kl)
            reached = self.gain(kl)
            return np.log(reached / gain[index]), kl * self.beta(kl) / reached

        start = 2 * np.log(gain / self._mean(np.sqrt(variance(self._known)))) - np.log(2)
        return np.exp(increasing_root(mismatch, start))


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
    reward : reward units, in the shape of `base`
    weights : (prompts,) what each prompt counts for, not negative, rescaled to sum to one; equal by
        default
    budget : "average" for one shared beta, what a KL penalty trains; "per-prompt" for the same KL
        everywhere

    Returns
    -------
    KnownFrontier
        With gain(kl), kl(gain), beta(kl), curvature(kl), at(beta=), dual_bound(kl, beta=),
        kl_by_prompt(kl), gain_by_prompt(kl) and saturation.

    Raises
    ------
    ArgumentError
        Where a base is no distribution, a reward is not finite, lengths differ, or weights are
        unusable.

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
    known = _flat(_rows(base, "base"), _rows(reward, "reward"))
    return KnownFrontier(_weights(weights, known.top.size), budget, known)


def _rows(values: Any, name: str) -> list[Floats]:
    """Read one array per prompt; a plain sequence of numbers is one prompt."""
    nested = isinstance(values, Sequence) and len(values) > 0 and np.ndim(values[0]) > 0
    rows = [numbers(row, name) for row in values] if nested else [numbers(values, name)]
    if not nested and rows[0].ndim == 2:
        rows = list(rows[0])
    for k, row in enumerate(rows):
        if row.ndim != 1 or row.size == 0:
            raise ArgumentError(
                f"{name} must be (outcomes,), (prompts, outcomes) or a sequence of 1-D arrays; "
                f"prompt {k} has shape {row.shape}."
            )
    return rows


def _flat(base: list[Floats], reward: list[Floats]) -> Outcomes:
    """Check every prompt and lay the possible outcomes end to end."""
    if len(base) == 1:
        base = base * len(reward)
    if len(base) != len(reward):
        raise ArgumentError(
            f"base and reward must have one row per prompt; got {len(base)} and {len(reward)} rows."
        )
    for k, (prob, values) in enumerate(zip(base, reward, strict=True)):
        if prob.size != values.size:
            raise ArgumentError(
                f"reward must give every outcome of the base one number; prompt {k} has "
                f"{prob.size} probabilities and {values.size} rewards."
            )
    lengths = np.array([row.size for row in base])
    if (lengths == lengths[0]).all():
        prob = distribution(np.stack(base)).ravel()
    else:
        prob = np.concatenate([distribution(row, f"base[{k}]") for k, row in enumerate(base)])
    values = np.concatenate(reward)
    prompt = np.repeat(np.arange(lengths.size), lengths)
    possible = prob > 0
    bad = possible & ~np.isfinite(values)
    if bad.any():
        k = int(np.argmax(bad))
        raise ArgumentError(
            "reward must be finite wherever the base has probability; "
            f"got {float(values[k])!r} for prompt {int(prompt[k])}."
        )
    starts = np.searchsorted(prompt[possible], np.arange(lengths.size))
    return outcomes(prob[possible], values[possible], starts)


def _weights(values: ArrayLike | None, prompts: int) -> Floats:
    if values is None:
        return np.full(prompts, 1.0 / prompts)
    weights = numbers(values, "weights")
    if weights.shape != (prompts,):
        raise ArgumentError(f"weights must be one per prompt, ({prompts},); got {weights.shape}.")
    if not (np.isfinite(weights).all() and (weights >= 0).all() and weights.sum() > 0):
        raise ArgumentError("weights must be finite, not negative and not all zero.")
    return np.asarray(weights / weights.sum())
