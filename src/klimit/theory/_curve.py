"""The trade between reward and a divergence, averaged over prompts: what every frontier here shares.

With l = 1 / beta, each prompt's penalised optimum costs D(l) and gains G(l), and
``dG / dl = V``, ``dD / dl = l V`` with V its (effective) reward variance: so beta is the slope of the
frontier and ``-beta^3 / V`` its curvature, whatever the divergence.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from klimit._errors import ArgumentError
from klimit.theory._check import Floats
from klimit.theory._outcomes import Outcomes
from klimit.theory._root import increasing_root
from klimit.theory._solve import (
    NODES,
    Solved,
    What,
    between,
    mean,
    own_betas,
    shared_betas,
)
from klimit.theory._spend import Spend, Spent

Budget = Literal["average", "per-prompt"]

_PAIRS = 1 << 22  # prompts times budgets that are worked on at once

Tilted = Callable[[Outcomes, Floats], Floats]
"""From prompts and a slope for each, all positive, to the penalised optimum's probabilities."""


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """Prompts, how they share a budget, and the divergence that it is counted in.

    Attributes
    ----------
    known : the prompts, laid end to end
    weights : (prompts,) sum to one
    budget : "average" or "per-prompt"
    spend : what a penalised optimum costs and gains
    limit : (prompts,) what a policy on the best outcomes alone costs
    """

    known: Outcomes
    weights: Floats
    budget: Budget
    spend: Spend
    limit: Floats

    def mean(self, by_prompt: Floats) -> Floats:
        """Average over prompts, the last axis."""
        return mean(self.weights, by_prompt)

    def saturation(self) -> tuple[Floats, Floats]:
        """Return the gain of the best outcomes alone, and what it costs."""
        if self.budget == "average":
            return self.mean(self.known.top), self.mean(self.limit)
        return self.mean(self.known.top), self.limit[self.weights > 0].max()

    def described(self, what: str, unit: str = "") -> str:
        """Say how far this frontier reaches."""
        gain, most = self.saturation()
        prompts = "1 prompt" if self.weights.size == 1 else f"{self.weights.size} prompts"
        return (
            f"exact {what} of {prompts}, {self.budget} budget: "
            f"at most {gain:+.4g}, reached at {most:.4g}{unit}"
        )

    def solved(self, cost: Floats, guess: Floats | None = None) -> Solved:
        """Slopes that spend these costs: (costs, prompts), or (costs, 1) for all prompts.

        Zero where saturated, infinite where nothing is to be spent.
        """
        if self.budget == "average":
            return Solved(*(part[:, None] for part in self._shared(cost, "kl")))
        each = np.repeat(cost[:, None], self.weights.size, axis=1)
        return own_betas(self.known, each, self.spend, self.limit, guess)

    def spent(self, betas: Floats) -> Spent:
        """Cost, gain and variance (costs, prompts) at slopes from 0 to infinity."""
        found = self.spend(self.known, np.where(betas > 0, betas, 1.0))
        if (betas > 0).all():
            return found
        most = (self.limit, self.known.top, np.zeros_like(self.limit))
        return Spent(
            *(np.where(betas > 0, part, end) for part, end in zip(found, most, strict=True))
        )

    def in_parts(self, ask: Callable[[Floats], Floats], values: Floats) -> Floats:
        """Answer for an array of any shape; bounded memory where there are many values."""
        flat = values.ravel()
        size = max(1, _PAIRS // self.weights.size)
        parts = [ask(flat[at : at + size]) for at in range(0, max(flat.size, 1), size)]
        answer = np.concatenate(parts)
        return answer.reshape((*values.shape, *answer.shape[1:]))

    def gain(self, cost: Floats) -> Floats:
        """Return the dual value at the right slopes, flat beyond saturation: (costs,)."""
        gained = self.solved(cost).gain_at(cost[:, None])
        return gained[:, 0] if self.budget == "average" else self.mean(gained)

    def slope(self, cost: Floats) -> Floats:
        """Slope of the frontier: the mean of the prompts' own, for a budget per prompt."""
        betas = self.solved(cost).beta
        return betas[:, 0] if self.budget == "average" else self.mean(betas)

    def curvature(self, cost: Floats) -> Floats:
        """Second derivative of the frontier."""
        betas = self.solved(cost).beta
        bend = self.spent(betas).variance
        if self.budget == "average":
            bend = self.mean(bend)[:, None]
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            by_prompt = np.where(betas > 0, -(betas**3) / bend, 0.0)
        return by_prompt[:, 0] if self.budget == "average" else self.mean(by_prompt)

    def at(self, beta: Floats) -> tuple[Floats, Floats, Floats]:
        """Return the mean cost, gain and variance where all prompts have these slopes."""
        if self.budget != "average":
            raise ArgumentError(
                "at(beta=) needs one beta for all prompts, but with budget='per-prompt' every "
                "prompt has its own; use beta(...), the mean slope, or budget='average'."
            )

        def ask(some: Floats) -> Floats:
            return np.stack([self.mean(part) for part in self.spent(some[:, None])], axis=-1)

        cost, gain, bend = np.moveaxis(self.in_parts(ask, beta), -1, 0)
        return cost, gain, bend

    def dual_bound(self, cost: Floats, beta: Floats) -> Floats:
        """Return the bound on the gain at `cost` that a slope, right or wrong, proves."""
        spent, gained, _ = replace(self, budget="average").at(beta)
        with np.errstate(invalid="ignore"):  # an infinite beta proves nothing unless the cost is 0
            return np.where(cost == spent, gained, gained + beta * (cost - spent))

    def by_prompt(self, cost: Floats) -> Spent:
        """What each prompt spends and gains, (costs, prompts)."""
        return self.spent(self.solved(cost).beta)

    def policies(self, betas: Floats, tilted: Tilted) -> Floats:
        """Return the optimal policies at slopes from 0 to infinity, (costs, all outcomes)."""
        known = self.known
        at_top = np.where(known.below_top == 0, known.prob, 0.0)
        at_top /= known.each(known.total(at_top))
        found = np.empty((len(betas), at_top.size))
        for k, beta in enumerate(np.broadcast_to(betas, (len(betas), known.top.size))):
            row = tilted(known, np.where(beta > 0, beta, 1.0))
            found[k] = np.where(known.each(beta) > 0, row, at_top)
        return found

    def by_row(self, flat: Floats, shape: tuple[int, ...]) -> list[Floats]:
        """Cut (costs, all outcomes) into one (*shape, outcomes) array per prompt."""
        cut = np.split(flat, np.asarray(self.known.starts)[1:], axis=1)
        return [part.reshape((*shape, part.shape[1])) for part in cut]

    def least_cost(self, gain: Floats) -> Floats:
        """Return the least cost of these gains, infinite where they are out of reach: (gains,)."""
        most, limit = self.saturation()
        least = np.where(gain <= 0, 0.0, np.where(gain > most * (1 + 1e-14), np.inf, limit))
        inside = (gain > 0) & (gain < most * (1 - 1e-14))
        if inside.any():
            wanted = gain[inside]
            if self.budget == "average":
                least[inside] = self._shared(wanted, "gain").cost_at(wanted)
            else:
                least[inside] = self._least_per_prompt(wanted)
        return least

    def _shared(self, wanted: Floats, what: What) -> Solved:
        return shared_betas(self.known, self.weights, wanted, what, self.spend, self.limit)

    def _least_per_prompt(self, gain: Floats) -> Floats:
        betas = np.full((gain.size, self.weights.size), np.nan)
        start = 2 * np.log(gain / self.mean(self.known.sd())) - np.log(2)

        def reached(log_cost: Floats, guess: Floats | None = None) -> tuple[Floats, Floats, Floats]:
            cost = np.exp(log_cost)
            solved = self.solved(cost, guess)
            gains = self.mean(solved.gain_at(cost[:, None]))
            return np.log(gains), cost * self.mean(solved.beta) / gains, solved.beta

        def mismatch(log_cost: Floats, index: NDArray[np.intp]) -> tuple[Floats, Floats]:
            guess = betas[index]
            found, slope, betas[index] = reached(log_cost, None if np.isnan(guess).all() else guess)
            return found - np.log(gain[index]), slope

        if gain.size >= NODES:
            nodes = np.linspace(start.min(), np.log(self.saturation()[1]), NODES)
            value, slope, _ = reached(nodes)
            start = between(np.log(gain), value, nodes, slope, start)
        return np.exp(increasing_root(mismatch, start))
