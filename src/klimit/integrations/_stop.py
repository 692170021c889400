"""When to stop a training run: what it pays for its reward, and whether the gold reward still rises."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from klimit._errors import ArgumentError


@dataclass(frozen=True, kw_only=True)
class Stop:
    """Stop when any of these holds.

    Attributes
    ----------
    efficiency : the share of the limit that the policy reaches is below this at `patience`
        measurements of the KL in a row. Where the limit is not trusted the efficiency's upper bound
        has to be below
    kl : nats; the KL is above this at `patience` measurements in a row
    gold_drop : reward units; the gold reward, as the mean of the last `patience` steps, is this far
        below its best such mean
    patience : measurements, or steps of the gold reward

    Examples
    --------
    >>> rule = Stop(efficiency=0.4, patience=2)
    >>> rule.reason([{"efficiency": 0.5}, {"efficiency": 0.3}])
    ''
    >>> rule.reason([{"efficiency": 0.35}, {"gain": 0.2}, {"efficiency": 0.3}])
    'efficiency was below 0.4 at the last 2 measurements (0.35, 0.3)'
    """

    efficiency: float | None = None
    kl: float | None = None
    gold_drop: float | None = None
    patience: int = 3

    def __post_init__(self) -> None:
        if self.patience < 1 or int(self.patience) != self.patience:
            raise ArgumentError(f"patience={self.patience!r} was given; 1, 2, ... was expected.")
        if self.efficiency is self.kl is self.gold_drop is None:
            raise ArgumentError("Stop() has no rule; pass efficiency=, kl= or gold_drop=.")

    def reason(self, history: Sequence[Mapping[str, float]]) -> str:
        """Why to stop after these steps; empty where there is no reason."""
        shares = [_share(row) for row in history if "efficiency" in row]
        spent = [row["kl"] for row in history if "kl" in row]
        for name, limit, sign, word, seen in (
            ("efficiency", self.efficiency, 1, "below", shares),
            ("kl", self.kl, -1, "above", spent),
        ):
            last = seen[-self.patience :]
            past = limit is not None and all(sign * x < sign * limit for x in last)
            if past and len(last) == self.patience:
                said = ", ".join(f"{x:.3g}" for x in last)
                return (
                    f"{name} was {word} {limit:g} at the last {self.patience} measurements ({said})"
                )
        return self._gold([row["gold_gain"] for row in history if "gold_gain" in row])

    def _gold(self, gold: Sequence[float]) -> str:
        if self.gold_drop is None or len(gold) < 2 * self.patience:
            return ""
        means = np.convolve(gold, np.ones(self.patience) / self.patience, "valid")
        best, last = float(means[: -self.patience].max()), float(means[-1])
        if last > best - self.gold_drop:
            return ""
        return (
            f"the gold reward's gain was {last:.3g} over the last {self.patience} steps, "
            f"{self.gold_drop:g} or more below its best of {best:.3g}"
        )


def _share(row: Mapping[str, float]) -> float:
    """The efficiency, or its upper bound where the limit is a lower one."""
    return row["efficiency"] if row.get("trusted", 1.0) else row.get("efficiency_high", np.inf)


class TrainingStopped(Exception):  # noqa: N818 (it is no error)
    """Leaves a trainer that does not heed ``should_training_stop``, as TRL's PPO trainer."""
