"""A frontier that samples of policies carry beyond what the base alone can show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from klimit._text import safe
from klimit.estimate.bridge.draws import Pool
from klimit.estimate.kernel import Floats
from klimit.estimate.result import Frontier, nats
from klimit.estimate.samples import Integers

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True, repr=False)
class Bridged(Frontier):
    """The limit of the base, from samples of base and policies together.

    It answers every question that a `Frontier` answers. Where the policies' samples were refused it
    is the base's own, and `reason` says why.

    Attributes
    ----------
    base : the limit from the base's samples alone
    pool : samples of base and policies, prompts in canonical order
    weights : (prompts, width) of the pooled samples, which sum to about 1 over a prompt
    rank : (prompts,) row of the pool that holds each prompt of `samples`
    policies : their names
    scored : (policies,) whether the base's samples are scored under the policy too; where they are
        not, shares are made to depend on the reward
    used : whether the policies' samples carry the limit
    reason : why they do not, empty where they do
    refused : whether that is because they do not belong to the base
    left_out : policies that were left out because they do not, and why, as sentences
    """

    base: Frontier
    pool: Pool
    weights: Floats
    rank: Integers
    policies: tuple[str, ...]
    scored: tuple[bool, ...]
    used: bool
    reason: str
    refused: bool = False
    left_out: tuple[str, ...] = ()

    def __repr__(self) -> str:
        with_ = safe(" and ".join(self.policies)) if self.used else "nothing else"
        name = safe(self.reward, longest=40)
        return f"<Bridged of {name}: base and {with_}, trusted to {nats(self.trusted_kl)}>"

    @property
    def alone(self) -> bool:
        """Whether it rests on the base's samples alone."""
        return not self.used

    @property
    def notes(self) -> tuple[str, ...]:
        """What to say beside its numbers, as sentences."""
        if not self.used:
            return (f"the limit is the base's alone: {self.reason}.", *self.left_out)
        reach = self.base.trusted_kl
        alone = f"{nats(reach)} of the base's own" if reach > 0 else "none of the base's own"
        found = [
            f"samples of {self._whose} carry the limit to {nats(self.trusted_kl)}, from {alone} "
            "(balance heuristic).",
            *self.left_out,
        ]
        if self.pool.unscored:
            found.append(
                f"{self.pool.unscored:,} policy samples without log-probabilities do not help to "
                "carry it."
            )
        return tuple(found)

    @property
    def _whose(self) -> str:
        number = len(self.policies)
        return "the policy" if number == 1 else f"{number} policies"

    def _note(self, kl: Floats, trusted: Any) -> str:
        if not self.used:
            return super()._note(kl, trusted)
        return (
            f"beyond the {nats(self.trusted_kl)} that base and policy samples reach together: a lower "
            "bound; samples of a policy nearer to it would carry the limit further"
        )

    def prompts(self, kl: float, by: str | None = None, **how: Any) -> pl.DataFrame:
        """What does each prompt gain and spend at the optimum? See `klimit.Frontier.prompts`."""
        frame = super().prompts(kl, by, **how)
        if not self.used or by is not None:
            return frame
        import polars as pl

        tilt = float(self.curve.at_kl(float(kl)).tilt)
        reward, weight = self.pool.rewards, self.weights
        there = weight > 0
        top = np.where(there, reward, -np.inf).max(axis=1, keepdims=True)
        scale = weight / weight.sum(axis=1, keepdims=True)
        mean = (scale * reward).sum(axis=1)
        if np.isfinite(tilt):
            tilted = scale * np.exp(np.where(there, tilt * (reward - top), -np.inf))
        else:
            tilted = scale * (reward == top)
        total = tilted.sum(axis=1)
        share = tilted / total[:, None]
        gain = (share * reward).sum(axis=1) - mean
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.where(share > 0, np.log(share / scale), 0.0)
        spent = np.maximum((share * ratio).sum(axis=1), 0.0)
        gain *= _scale_to(float(self.curve.at_kl(float(kl)).gain), gain)
        spent *= _scale_to(min(float(kl), self.curve.ceiling_kl), spent)
        columns = {
            "samples": (self.pool.origin >= 0).sum(axis=1),
            "gain": gain,
            "kl": spent,
            "headroom": top[:, 0] - mean,
            "ess": 1 / (share**2).sum(axis=1),
        }
        frame = frame.with_columns(pl.Series(k, v[self.rank]) for k, v in columns.items())
        return frame.with_columns(trusted=pl.col("ess") >= _CARRY)


_CARRY = 4.5  # effective samples that a single prompt's answer should rest on


def _scale_to(mean: float, values: Floats) -> float:
    found = float(np.sort(values).mean())
    return mean / found if found > 0 else 1.0
