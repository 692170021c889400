"""The answer of `klimit.best_of_n`."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from klimit._estimate import Estimate

if TYPE_CHECKING:
    import polars as pl

    from klimit.estimate.result import Frontier

_ROWS = ("gain", "kl", "kl_bound", "win_rate", "efficiency", "limit", "own_limit", "per_doubling",
         "kept_reward", "tokens")  # fmt: skip
_NONE = Estimate(math.nan, math.nan, math.nan)


@dataclass(frozen=True, eq=False)
class BestOfN:
    """What best-of-N gains and spends, for every N asked. Made by `klimit.best_of_n`.

    Attributes
    ----------
    n : numbers of draws; every Estimate below has their shape
    gain : mean reward of the kept answer over the base's mean, reward units (of the judge, if there
        is one)
    kl : KL(best-of-N || base), nats per answer, ties counted for what they are
    kl_bound : log N - (N - 1) / N, the KL if no two answers ever tied
    win_rate : chance of the kept answer to beat a base draw, ties half; unbiased for N below the
        samples
    limit : the most that any method can gain at the KL of `kl` (average budget, corrected), as uncertain
        as that KL is; the gain where that is more by noise
    own_limit : the most that could be gained if every prompt spent what best-of-N spends on it
    efficiency : gain / limit, paired by prompt; an upper bound where not trusted
    per_doubling : gain per doubling of N since the next smaller N asked (since 1 for the smallest)
    kept_reward : mean reward of the kept answer
    tokens : expected tokens drawn per answer, N times the mean; None without a tokens column
    reward, judge : which reward selects; which reads the kept answers (None: the same)
    base_reward : mean reward of the base that is read
    zero_one : whether rewards are 0 and 1 only
    level : coverage of the intervals
    trusted_kl : nats up to which the limit is trusted
    prompts, samples : prompts used; least and most samples of one of them
    left_out : prompts with fewer samples than the largest N asked
    missing : rewards that are missing
    notes : what to mind, in words
    frontier : the limit that it was measured against, on the same prompts
    """

    n: Any
    gain: Estimate
    kl: Estimate
    kl_bound: Estimate
    win_rate: Estimate
    efficiency: Estimate
    limit: Estimate
    own_limit: Estimate
    per_doubling: Estimate
    kept_reward: Estimate
    tokens: Estimate | None
    reward: str
    judge: str | None
    base_reward: float
    zero_one: bool
    trusted_kl: float
    prompts: int
    samples: tuple[int, int]
    left_out: int
    missing: int
    level: float
    notes: tuple[str, ...]
    frontier: Frontier | None = field(default=None, repr=False, compare=False)

    @property
    def pass_at_k(self) -> Estimate | None:
        """Chance that one of n draws is right, for 0/1 rewards; None for others or with a judge."""
        return self.kept_reward if self.zero_one else None

    def to_frame(self) -> pl.DataFrame:
        """A polars frame, a row per N: each estimate with its limits, null where there is none."""
        from klimit.view.records import columns, framed

        trusted = np.atleast_1d(self.efficiency.trusted).tolist()
        rows = []
        for at, n in enumerate(np.atleast_1d(self.n).tolist()):
            row: dict[str, Any] = {"n": n}
            for name in _ROWS:
                estimate = getattr(self, name) or _NONE
                row |= columns(name, estimate[at] if np.ndim(estimate.value) else estimate)
            rows.append(row | {"efficiency_trusted": trusted[at]})
        return framed(rows, whole=["n"], truth=["efficiency_trusted"])

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, schema ``klimit.best-of-n/1`` (docs/cli.md): a record per N."""
        from klimit.view.records import best_of_n_record

        return best_of_n_record(self)

    def plot(self, ax: Any = None, **options: Any) -> Any:
        """Draw every N beside the limit; see `klimit.view.plots.best_of_n`."""
        from klimit.view.plots import best_of_n

        return best_of_n(self, ax, **options)

    def _repr_html_(self) -> str:
        from klimit.view.notebook import best_of_n

        return best_of_n(self)

    def __str__(self) -> str:
        """The verdict on the largest N in words, and what to mind."""
        from klimit.view.best_of_n import verdict

        return "\n".join([verdict(self), *(f"note: {line}" for line in self.notes)])
