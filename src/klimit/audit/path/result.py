"""A training run in both rewards: the answer of `klimit.audit.path.trained_path`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from klimit._estimate import Estimate
from klimit._notebook import InNotebooks, Numbers
from klimit.audit.path.turn import Turn

if TYPE_CHECKING:
    import polars as pl

    from klimit.audit.result import Audit


@dataclass(frozen=True)
class Checkpoint(Numbers):
    """One trained policy in both rewards.

    Attributes
    ----------
    label : name and step
    run : which run it belongs to
    kl : nats per answer from the base
    proxy_gain, gold_gain : mean reward over the base's, paired by prompt
    proxy_limit : the most proxy that any method gains at this KL
    gold_limit : the most gold that any method gains at this KL
    least_kl : the least KL that could have bought this proxy gain
    predicted : gold gain that the base samples say for the best policy *of the proxy* at this KL; a
        bound, or nan with the reason, where they do not reach so far
    predicted_at_proxy : the same at `least_kl`, where that policy has the proxy gain of this one
    by_proxy, by_gold : the whole placement in either reward
    """

    label: str
    run: str
    kl: Estimate
    proxy_gain: Estimate
    gold_gain: Estimate
    proxy_limit: Estimate
    gold_limit: Estimate
    least_kl: Estimate
    predicted: Estimate
    predicted_at_proxy: Estimate
    by_proxy: Audit = field(repr=False, compare=False)
    by_gold: Audit = field(repr=False, compare=False)


@dataclass(frozen=True)
class TrainedPath(InNotebooks):
    """What training did to both rewards, checkpoint by checkpoint; iterable.

    Attributes
    ----------
    checkpoints : in the order in which they were given
    turns : by run, where gold is highest; with the reason where that cannot be said
    proxy, gold : names of the rewards
    level : of intervals
    notes : what to mind, in words
    """

    checkpoints: tuple[Checkpoint, ...]
    turns: dict[str, Turn]
    proxy: str
    gold: str
    level: float
    notes: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[Checkpoint]:
        return iter(self.checkpoints)

    def __len__(self) -> int:
        return len(self.checkpoints)

    @property
    def turn(self) -> Turn:
        """Where gold is highest, of the only run.

        Raises
        ------
        ArgumentError
            Where there are several runs; ``turns`` has them by name.
        """
        from klimit._errors import ArgumentError
        from klimit.rollouts.words import listing

        if len(self.turns) > 1:
            raise ArgumentError(
                f"there are {len(self.turns)} runs ({listing(list(self.turns))}); take one of turns."
            )
        return next(iter(self.turns.values()))

    @property
    def peak_kl(self) -> Estimate:
        """KL at which gold is highest, by the curves fitted to the only run."""
        return self.turn.peak_kl

    def to_frame(self) -> pl.DataFrame:
        """A polars frame with a row per checkpoint: each estimate with its limits, null if missing."""
        from klimit.view.path import frame

        return frame(self)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        from klimit.view.path import record

        return record(self)

    def plot(self, ax: Any = None, **options: Any) -> Any:
        """Draw gold of each checkpoint against its KL; see `klimit.view.plots.path`."""
        from klimit.view.plots import path

        return path(self, ax, **options)

    def __str__(self) -> str:
        from klimit.view.path import text

        return text(self)
