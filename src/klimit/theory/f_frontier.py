"""Frontiers under other divergences than the KL, by the convex dual.

For a convex f, ``sup {E_policy[r] : D_f(policy || base) <= D}`` is ``min over beta > 0 and c`` of
``beta D + c + beta E_base f*((r - c) / beta)``, with the optimal ratio
``policy / base = (f')^-1((r - c) / beta)``: beta is the slope of the frontier, c makes the policy
sum to one. Policies that reweight the base are meant: none puts mass where the base has none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from klimit.theory import _check
from klimit.theory._check import ArrayLike, Floats, choice, coefficient
from klimit.theory._curve import Budget, Curve
from klimit.theory._custom import Function
from klimit.theory._generators import Generator, TotalVariation
from klimit.theory._outcomes import Outcomes
from klimit.theory._penalised import Penalised
from klimit.theory._prompts import lay_flat, read_rows, read_weights
from klimit.theory._spend import Spent
from klimit.theory.f_tilt import normaliser_from, read_divergence

_SIDE = 4e-15  # how far apart, in log beta, the two sides of a jump are looked at


class FCeiling(NamedTuple):
    """Where a frontier flattens.

    Attributes
    ----------
    gain : highest possible reward minus the mean, reward units
    divergence : what the base restricted to its best outcomes costs, possibly infinite
    """

    gain: Floats
    divergence: Floats


@dataclass(frozen=True, slots=True, eq=False)
class FFrontierPoint:
    """One point of a frontier under an f-divergence.

    Attributes
    ----------
    divergence : (...)
    gain : (...) reward units
    beta : (...) slope of the frontier there, reward units per unit of the divergence
    """

    divergence: Floats
    gain: Floats
    beta: Floats


@dataclass(frozen=True, slots=True, eq=False)
class FFrontier:
    """The most reward that any reweighting of the base can gain for a budget of an f-divergence.

    Methods take scalars or arrays of any shape and return arrays of that shape; those by prompt add
    an axis of prompts at the end.

    Attributes
    ----------
    weights : (prompts,) what each prompt counts for; sums to one
    budget : "average" (one shared beta) or "per-prompt" (the same divergence everywhere)
    name : which divergence
    """

    weights: Floats
    budget: Budget
    name: str
    _f: Generator = field(repr=False)
    _known: Outcomes = field(repr=False)

    def __str__(self) -> str:
        return self._curve.described(f"{self.name} frontier")

    @property
    def saturation(self) -> FCeiling:
        """Where the frontier flattens: the gain there and its divergence.

        The divergence is infinite where f(0) is (forward KL, Jeffreys, alpha <= 0): the ceiling is
        then only approached.
        """
        return FCeiling(*self._curve.saturation())

    def gain(self, divergence: ArrayLike) -> Floats:
        """How much can at most be gained for this much divergence? Flat beyond `saturation`."""
        # Tangents would lose the digits of small gains where the curve consists of straight pieces.
        if isinstance(self._f, TotalVariation):
            return self._curve.mean(self.gain_by_prompt(divergence))
        return self._curve.in_parts(self._curve.gain, _budget(divergence))

    def divergence(self, gain: ArrayLike) -> Floats:
        """How much divergence does this gain take at least?

        Zero for gains of at most 0, infinite beyond ``saturation.gain``.
        """
        return self._curve.in_parts(self._curve.least_cost, _check.rewards(gain))

    def beta(self, divergence: ArrayLike) -> Floats:
        """What is another unit of divergence worth? The slope, reward units per unit.

        Infinite at 0, zero from `saturation` on. The slope may jump: where outcomes are clipped
        (alpha > 1) it is still positive just before saturation, and under total variation it falls
        in steps. With the per-prompt budget it is the mean of the prompts' slopes.
        """
        return self._curve.in_parts(self._curve.slope, _budget(divergence))

    def at(self, *, beta: ArrayLike) -> FFrontierPoint:
        """Where on the frontier does this coefficient lead? Average budget only."""
        b = coefficient(beta)
        spent, gained, _ = self._curve.at(b)
        return FFrontierPoint(spent, gained, b)

    def dual_bound(self, divergence: ArrayLike, *, beta: ArrayLike) -> Floats:
        """What does this beta, right or wrong, prove about the gain at this divergence?

        ``beta D + max {E[r] - beta D_f} - E_base[r]``: never below `gain`, equal to it at
        ``beta(D)`` with the average budget.
        """
        d, b = _check.broadcast(divergence=_budget(divergence), beta=coefficient(beta))
        return self._curve.dual_bound(d, b)

    def divergence_by_prompt(self, divergence: ArrayLike) -> Floats:
        """How is this budget spent? (..., prompts); with `weights` they average to the budget."""
        return self._curve.in_parts(lambda d: self._mixed(d).kl, _budget(divergence))

    def gain_by_prompt(self, divergence: ArrayLike) -> Floats:
        """What does each prompt gain at this budget? (..., prompts), reward units."""
        return self._curve.in_parts(lambda d: self._mixed(d).gain, _budget(divergence))

    def policies(self, divergence: ArrayLike) -> list[Floats]:
        """Which policies attain the gain at this divergence? One (..., outcomes) array per prompt.

        Where f has straight pieces (total variation) an optimum need not be unique; of several best
        outcomes each keeps its share.
        """
        d, curve = _budget(divergence), self._curve
        near, far, share = self._sides(d.ravel())
        with_less, with_more = (
            curve.policies(betas, self._penalised.policy) for betas in (near, far)
        )
        lengths = self._known.lengths
        mix = np.repeat(np.broadcast_to(share, (d.size, lengths.size)), lengths, axis=1)
        return curve.by_row(with_less + mix * (with_more - with_less), d.shape)

    def normalisers(self, divergence: ArrayLike) -> Floats:
        """Return the dual variables c of the sums to one: (..., prompts), reward units.

        With ``beta(D)`` they prove the optimum: the dual ``beta D + c + beta E f*((r - c) / beta)``
        then equals the highest mean reward. From saturation on c is the highest reward, at 0 the
        mean.
        """
        return self._curve.in_parts(self._duals, _budget(divergence))

    def _duals(self, d: Floats) -> Floats:
        betas = np.broadcast_to(self._curve.solved(d).beta, (d.size, self.weights.size))
        known = self._known
        anchors = self._penalised.anchors(known, np.where(betas > 0, betas, 1.0))
        return normaliser_from(self._f, anchors, known.mean, known.top, betas)

    def _mixed(self, d: Floats) -> Spent:
        near, far, share = self._sides(d)
        less, more = self._curve.spent(near), self._curve.spent(far)
        with np.errstate(invalid="ignore"):  # infinite costs
            both = zip(less, more, strict=True)
            return Spent(*(np.where(a == b, a, a + share * (b - a)) for a, b in both))

    def _sides(self, d: Floats) -> tuple[Floats, Floats, Floats]:
        """Return slopes on both sides of a jump, and how much of the far side fills the budget.

        Where f has straight pieces the cost jumps at single slopes, and the policies on both sides
        are mixed; elsewhere the two sides agree to rounding.
        """
        betas = self._curve.solved(d).beta
        with np.errstate(all="ignore"):
            step = _SIDE * np.maximum(1.0, np.abs(np.log(betas)))
            inner = (betas > 0) & (betas < np.inf)
            near, far = (np.where(inner, betas * (1.0 + s * step), betas) for s in (1.0, -1.0))
            low, high = self._curve.spent(near).kl, self._curve.spent(far).kl
            if self.budget == "average":
                low, high = (self._curve.mean(part)[:, None] for part in (low, high))
            share = (d[:, None] - low) / (high - low)
        return near, far, np.clip(np.where(np.isfinite(share), share, 1.0), 0.0, 1.0)

    @property
    def _penalised(self) -> Penalised:
        return Penalised(self._f)

    @property
    def _curve(self) -> Curve:
        spend = self._penalised
        return Curve(self._known, self.weights, self.budget, spend, spend.limit(self._known))


def _budget(divergence: ArrayLike) -> Floats:
    return _check.not_negative(divergence, "divergence")


def f_frontier(
    base: ArrayLike | Sequence[ArrayLike],
    reward: ArrayLike | Sequence[ArrayLike],
    *,
    divergence: str | Function,
    alpha: float | None = None,
    derivative: Function | None = None,
    at_zero: float | None = None,
    weights: ArrayLike | None = None,
    budget: Budget = "average",
) -> FFrontier:
    """How much reward can any policy gain for a budget of this divergence?

    ``G(D) = max {E_policy[reward] : D_f(policy || base) <= D} - E_base[reward]``, for one prompt or
    many, as `frontier` does for the KL: what arXiv 2605.07105 leaves open.

    Parameters
    ----------
    base, reward, weights : as for `frontier`: one prompt, an array of prompts, or a sequence of 1-D
        arrays
    divergence, alpha, derivative, at_zero : as for `f_tilt`; "kl" is a check of `frontier`
    budget : "average" for one shared beta, "per-prompt" for the same divergence everywhere

    Returns
    -------
    FFrontier

    Raises
    ------
    ArgumentError
        Where an argument is not as above.

    Notes
    -----
    With a function f the answers are exact to about 1e-10 for divergences above 1e-6, and slower;
    ratios are looked for between e^-345 and e^345. For those named they are exact to
    the rounding of rewards. Past budgets whose beta underflows the ceiling is reached to rounding.

    References
    ----------
    The dual is Fenchel's; arXiv 2503.21878 uses the chi-square optimum, arXiv 2502.01203 that of the
    forward KL.

    Examples
    --------
    >>> limit = f_frontier([0.5, 0.3, 0.2], [0, 1, 4], divergence="chi-square")
    >>> float(limit.gain(0.5).round(6)), limit.policies(0.5)[0].round(4).tolist()
    (1.070047, [0.243, 0.286, 0.471])
    >>> print(limit)
    exact chi-square frontier of 1 prompt, average budget: at most +2.9, reached at 4

    Of a divergence of one's own, the triangular one:

    >>> limit = f_frontier(
    ...     [0.5, 0.3, 0.2],
    ...     [0, 1, 4],
    ...     divergence=lambda w: (w - 1) ** 2 / (w + 1),
    ...     derivative=lambda w: (w - 1) * (w + 3) / (w + 1) ** 2,
    ... )
    >>> float(limit.gain(0.2).round(6))
    1.111174
    """
    choice(budget, "budget", ("average", "per-prompt"))
    f, name = read_divergence(divergence, alpha, derivative, at_zero)
    law = lay_flat(read_rows(base, "base"), read_rows(reward, "reward"))
    return FFrontier(read_weights(weights, law.top.size), budget, name, f, law)
