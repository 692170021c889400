"""The reward that a budget of weighted KL to several references can buy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from klimit._errors import ArgumentError
from klimit.theory import _check
from klimit.theory._check import ArrayLike, Floats, choice, distribution, positive
from klimit.theory._curve import Curve
from klimit.theory._generators import Power
from klimit.theory._penalised import Penalised
from klimit.theory._prompts import lay_flat, read_rows, read_weights
from klimit.theory._spend import spend
from klimit.theory.references import Direction, arithmetic, geometric, read_mixture


@dataclass(frozen=True, slots=True, eq=False)
class ReferencePoint:
    """One point of a frontier against several references.

    Attributes
    ----------
    gamma : (...) nats per reward unit
    kl : (...) weighted KL, nats, the unavoidable part included
    gain : (...) mean reward over that of the cheapest policy, reward units
    """

    gamma: Floats
    kl: Floats
    gain: Floats


@dataclass(frozen=True, slots=True, eq=False)
class ReferenceFrontier:
    """The most reward that any policy can gain for a weighted KL to (or from) several references.

    Methods take scalars or arrays of any shape and return arrays of that shape; prompts share one
    gamma, and KL and gain are averages over them.

    Attributes
    ----------
    direction : "reverse" for ``sum_i a_i KL(policy || p_i)``, "forward" for
        ``sum_i a_i KL(p_i || policy)``
    weights : (prompts,) what each prompt counts for; sums to one
    unavoidable_kl : () nats that every policy pays; no budget below can be met
    mean_reward : () mean reward of the cheapest policy, from which gains are counted
    """

    direction: Direction
    weights: Floats
    unavoidable_kl: Floats
    mean_reward: Floats
    _curve: Curve = field(repr=False)

    def gain(self, kl: ArrayLike) -> Floats:
        """How much can at most be gained for this weighted KL? Zero at `unavoidable_kl`."""
        return self._curve.in_parts(self._curve.gain, self._left(kl))

    def gamma(self, kl: ArrayLike) -> Floats:
        """Which gamma leads to this budget? One over the slope of the frontier there.

        Zero at `unavoidable_kl`; infinite where more KL buys nothing that a float could show.
        """
        with np.errstate(divide="ignore", over="ignore"):
            return 1.0 / self._curve.in_parts(self._curve.slope, self._left(kl))

    def kl(self, gain: ArrayLike) -> Floats:
        """How many nats does this gain take at least?

        `unavoidable_kl` for gains of at most 0, infinite for what no policy on the references'
        outcomes can gain; under forward KL the ceiling itself takes infinitely many.
        """
        least = self._curve.in_parts(self._curve.least_cost, _check.rewards(gain))
        return self.unavoidable_kl + least

    def at(self, *, gamma: ArrayLike) -> ReferencePoint:
        """Where on the frontier does this gamma lead?"""
        scale = positive(gamma, "gamma")
        spent, gained, _ = self._curve.at(1.0 / scale)
        return ReferencePoint(scale, self.unavoidable_kl + spent, gained)

    def _left(self, kl: ArrayLike) -> Floats:
        """What of these budgets is left to gain something with."""
        budget, least = _check.budget(kl), self.unavoidable_kl
        if (budget < least * (1 - 1e-12)).any():
            raise ArgumentError(
                f"kl must be at least {float(least):.6g} nats, which the references' disagreement "
                f"costs every policy; got {float(budget.min())!r}."
            )
        return np.maximum(budget - least, 0.0)


def reference_frontier(
    references: Sequence[ArrayLike | Sequence[ArrayLike]],
    reward: ArrayLike | Sequence[ArrayLike],
    *,
    direction: Direction = "reverse",
    mixture: ArrayLike | None = None,
    weights: ArrayLike | None = None,
) -> ReferenceFrontier:
    """How much reward can any policy gain for a weighted KL to several references?

    Under reverse KL it is the frontier of the references' normalised geometric mean, moved right by
    its cost ``-log F``; under forward KL the forward-KL frontier of their arithmetic mean, moved
    right by ``sum_i a_i KL(p_i || pbar)``. The first flattens where only the best outcomes are
    left, the second rises for ever.

    Parameters
    ----------
    references : one entry per reference, each as `base` for `frontier`
    reward : finite, reward units, in the shape of one reference; never read where the mean of the
        references is zero
    direction : "reverse" or "forward"
    mixture : (references,) as for `geometric_mean`
    weights : (prompts,) as for `frontier`

    Returns
    -------
    ReferenceFrontier

    Raises
    ------
    ArgumentError
        Where an argument is not as above, or references of a prompt share no outcome (reverse); and
        in `gain` and `gamma` for budgets below `unavoidable_kl`.

    References
    ----------
    arXiv 2502.01203, sections 5 (reverse KL) and 6 (forward KL).

    Examples
    --------
    >>> references, reward = [[0.7, 0.2, 0.1], [0.2, 0.3, 0.5]], [0.0, 1.0, 0.5]
    >>> limit = reference_frontier(references, reward, mixture=[0.6, 0.4])
    >>> float(limit.unavoidable_kl.round(4)), limit.gain([0.2, 0.5, 1.0]).round(4).tolist()
    (0.1629, [0.1178, 0.354, 0.5326])
    >>> float(limit.gamma(limit.at(gamma=2.0).kl).round(6))
    2.0
    >>> forward = reference_frontier(references, reward, direction="forward", mixture=[0.6, 0.4])
    >>> forward.gain([0.2, 0.5, 1.0]).round(4).tolist()
    [0.1396, 0.3527, 0.4979]
    """
    choice(direction, "direction", ("reverse", "forward"))
    listed = list(references) if np.iterable(references) else []  # type: ignore[redundant-expr]
    if not listed:
        raise ArgumentError(f"references must be one or more; got {str(references)[:40]!r}.")
    rows = [read_rows(reference, f"references[{i}]") for i, reference in enumerate(listed)]
    rewards = read_rows(reward, "reward")
    base, cost = _merged(rows, read_mixture(mixture, len(rows)), direction)
    known = lay_flat(base, rewards)
    counts = read_weights(weights, len(rewards))
    forward = Penalised(Power(0.0))
    spends, limit = (
        (spend, known.saturation_kl())
        if direction == "reverse"
        else (forward, forward.limit(known))
    )
    curve = Curve(known, counts, "average", spends, limit)
    return ReferenceFrontier(direction, counts, curve.mean(cost), curve.mean(known.mean), curve)


def _merged(
    rows: list[list[Floats]], share: Floats, direction: Direction
) -> tuple[list[Floats], Floats]:
    """Merge the references of each prompt into one base; what that costs, (prompts,)."""
    sizes = [[row.size for row in reference] for reference in rows]
    for i, size in enumerate(sizes):
        if size != sizes[0]:
            raise ArgumentError(
                f"references must agree on prompts and outcomes; references[{i}] has {size} "
                f"outcomes where references[0] has {sizes[0]}."[:300]
            )
    lengths = np.array(sizes[0])
    base, cost = [np.empty(0)] * lengths.size, np.empty(lengths.size)
    used = [reference for reference, a in zip(rows, share, strict=True) if a > 0]
    for length in np.unique(lengths):  # prompts of one length at once
        prompts = np.flatnonzero(lengths == length)
        prob = distribution(np.stack([[r[k] for k in prompts] for r in used]), "references")
        if direction == "reverse":
            merged, log_overlap = geometric(prob, share[share > 0], prompts)
            cost[prompts] = -log_overlap
        else:
            merged, cost[prompts] = arithmetic(prob, share[share > 0])
        for k, row in zip(prompts, merged, strict=True):
            base[k] = row
    return base, cost + 0.0
