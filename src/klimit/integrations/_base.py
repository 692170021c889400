"""The base that a training run is measured against: its frontier, and its mean reward by prompt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from klimit._errors import DataError
from klimit._estimate import Estimate
from klimit.audit.placement import difference
from klimit.estimate.best_of_n.prompt_means import mean_of_prompts
from klimit.estimate.kernel import Floats

if TYPE_CHECKING:
    from klimit.estimate.result import Frontier

Names = Sequence[tuple[str, ...]]


@dataclass(frozen=True)
class Base:
    """Samples of the base.

    Attributes
    ----------
    limit : its frontier
    means : mean reward of each prompt, under every name that the prompt has
    """

    limit: Frontier
    means: dict[str, float]

    def gain(self, names: Names, rewards: Floats) -> Estimate:
        """Mean reward over the base's, prompts weighing equally, with an interval over prompts.

        Where most prompts are the base's own, each is compared with itself; else both are samples from
        one population of prompts.
        """
        level = self.limit.settings.level
        found = by_prompt(names, rewards)
        base = np.array(
            [
                next((self.means[one] for one in every if one in self.means), np.nan)
                for every in found
            ]
        )
        mean = np.array([values.mean() for values in found.values()])
        known = ~np.isnan(base)
        if known.sum() >= max(len(base) / 2, 1):
            return _mean((mean - base)[known], level)
        return difference(_mean(mean, level), _mean(self.limit.samples.means, level))

    def place(self, gain: Estimate, kl: Estimate | None) -> dict[str, float]:
        """The numbers of one placement, by name; nan or infinite where not known."""
        found = {"gain": gain.value, "gain_low": gain.low, "gain_high": gain.high}
        found["least_kl"] = self.limit.kl(float(gain.value)).value
        if kl is None:
            return {name: float(x) for name, x in found.items()}
        value, low, high = (max(float(x), 0.0) for x in (kl.value, kl.low, kl.high))
        placed = self.limit.place(kl=Estimate(value, low, high, kl.level), gain=gain)
        share = placed.efficiency
        found |= {
            "kl": kl.value, "limit": placed.limit.value, "limit_low": placed.limit.low,
            "efficiency": share.value, "efficiency_low": share.low, "efficiency_high": share.high,
            "nats_from_optimal": placed.gap_nats.value, "trusted": bool(placed.limit.trusted),
        }  # fmt: skip
        if kl.low < kl.high:  # a trainer's own number comes without an interval
            found |= {"kl_low": kl.low, "kl_high": kl.high}
        return {name: float(x) for name, x in found.items()}


def from_rollouts(data: Any, reward: str | None, functions: Sequence[str], how: Any) -> Base:
    """The base from a file, or from `Rollouts`; `functions` may name the reward."""
    import klimit
    from klimit.audit.sides import side

    rollouts = data if hasattr(data, "grouped") else klimit.read(data)
    if reward is None and len(rollouts.rewards) > 1 and len(functions) == 1:
        reward = functions[0] if functions[0] in rollouts.rewards else None
    found = side(rollouts, reward)
    mean = found.moments()[0].tolist()
    means = dict(zip(found.ids, mean, strict=True))
    for text, value in zip(found.texts or (), mean, strict=False):
        if text is not None:
            means.setdefault(text, value)
    limit = klimit.frontier(rollouts, reward=found.reward, **how)
    return Base(limit, means)


def from_first_step(names: Names, rewards: Floats, how: Any) -> Base:
    """The base from what the untrained model said at the first step.

    Raises
    ------
    DataError
        Where no prompt has two samples there.
    """
    import klimit

    found = by_prompt(names, rewards)
    if not any(len(values) > 1 for values in found.values()):
        raise DataError(
            "no prompt of the first step has two rewards, which shows no limit; pass base= samples of "
            "the base model, some of each prompt (docs/getting-base-samples.md)."
        )
    limit = klimit.frontier(list(found.values()), **how)
    means = {name: float(values.mean()) for every, values in found.items() for name in every}
    return Base(limit, means)


def by_prompt(names: Names, values: Floats) -> dict[tuple[str, ...], Floats]:
    """Values by prompt, without those that are missing."""
    found: dict[tuple[str, ...], list[float]] = {}
    for name, value in zip(names, values.tolist(), strict=True):
        if not np.isnan(value):
            found.setdefault(name, []).append(value)
    return {name: np.array(some) for name, some in found.items()}


def _mean(values: Floats, level: float) -> Estimate:
    return mean_of_prompts(values[None], level)[0]
