"""The answer of `klimit.select.compare`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from klimit._errors import ArgumentError
from klimit._estimate import Estimate
from klimit._notebook import InNotebooks, Numbers
from klimit._text import safe
from klimit.estimate.best_of_n.prompt_means import mean_of_prompts
from klimit.estimate.kernel import Floats
from klimit.estimate.tuning import Tuning
from klimit.select.measure import Kept

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True)
class Setting:
    """A rule with its settings: `n` candidates, and `beta` where the rule has one."""

    rule: str
    n: int
    beta: float | None = None

    def __str__(self) -> str:
        if self.beta is None:
            return self.rule.replace("-n", f"-{self.n:,}")
        return f"{self.rule.replace('-n', f'-{self.n:,}')}, beta = {self.beta:.3g}"


@dataclass(frozen=True)
class Tuned(Numbers):
    """A rule at its best setting.

    Attributes
    ----------
    setting : the one with the highest gold gain over all prompts
    gold : gold gain of the tuned rule: each half of the prompts judges what the other half chooses
    apparent : gold gain of `setting` on the prompts that chose it, which is optimistic
    agreed : share of halves that choose this setting
    """

    setting: Setting
    gold: Estimate
    apparent: Estimate
    agreed: float


@dataclass(frozen=True, eq=False, repr=False)
class Choices(InNotebooks):
    """What rules of choosing among N answers keep, by gold. Made by `klimit.select.compare`.

    Attributes
    ----------
    settings : rules and settings; every Estimate below has one entry for each
    gold : mean gold reward of the kept answer over the base's mean
    proxy : the same of the proxy, which chose
    kl : KL(rule || base), nats per answer: estimated by reward levels for best-of-N, an upper bound
        on average for the other rules, which nothing bounds from below
    coverage : mean of policy / base under the policy (1 + chi-square), an upper bound on average; of
        best-of-N exact where no answers tie
    tuned : for each rule its best setting, judged by prompts that did not choose it
    proxy_name, gold_name : the rewards
    base_gold : mean gold reward of the base
    prompts, samples : prompts used; least and most samples of one of them
    notes : what to mind, in words
    """

    settings: tuple[Setting, ...]
    gold: Estimate
    proxy: Estimate
    kl: Estimate
    coverage: Estimate
    tuned: Mapping[str, Tuned]
    proxy_name: str
    gold_name: str
    base_gold: float
    prompts: int
    samples: tuple[int, int]
    level: float
    notes: tuple[str, ...]
    kept: Kept
    tunings: Mapping[str, Tuning]

    def difference(self, first: str | int, second: str | int) -> Estimate:
        """How much more gold does `first` keep than `second`? Paired by prompt.

        Of tuned rules the value is that of prompts that did not choose. The interval holds the difference
        of the reported settings too, and counts the optimism of either choice as a doubt: of few prompts
        halves choose other settings than all.

        Parameters
        ----------
        first, second : a rule's name for the tuned rule, or the number of a row of `settings`

        Raises
        ------
        ArgumentError
            Where there is no such rule or row.
        """
        (one, doubt), (other, more) = self._values(first), self._values(second)
        same = np.isclose(one, other, rtol=1e-12, atol=1e-12 * float(np.abs(one).max(initial=0.0)))
        apart = np.where(same, 0.0, one - other)  # rounding is no difference
        unsure = 0.0 if same.all() else np.hypot(doubt, more)
        found = mean_of_prompts(apart, self.level, doubt=unsure)
        return replace(found[0], low=float(found.low.min()), high=float(found.high.max()))

    def _values(self, which: str | int) -> tuple[Floats, float]:
        """What is kept by prompt, where others chose and where all did, and the choice's optimism."""
        if isinstance(which, str) and which in self.tunings:
            tuning = self.tunings[which]
            row = self.settings.index(self.tuned[which].setting)
            return np.stack([tuning.held_out, self.kept.gold[row]]), tuning.optimism
        if isinstance(which, int) and -len(self.settings) <= which < len(self.settings):
            return np.stack([self.kept.gold[which]] * 2), 0.0
        raise ArgumentError(
            f"{safe(repr(which), longest=40)} was given; one of {', '.join(self.tunings)} (tuned) "
            f"or the number of a row, 0 to {len(self.settings) - 1}, was expected."
        )

    def to_frame(self) -> pl.DataFrame:
        """A polars frame, a row per setting: each estimate with its limits; `tuned` marks the best."""
        from klimit.view.records import columns, framed

        best = {tuned.setting for tuned in self.tuned.values()}
        rows = []
        for at, one in enumerate(self.settings):
            row: dict[str, Any] = {"rule": one.rule, "n": one.n, "beta": one.beta}
            for name in ("gold", "proxy", "kl", "coverage"):
                row |= columns(name, getattr(self, name)[at])
            rows.append(row | {"tuned": one in best})
        return framed(rows, text=["rule"], whole=["n"], truth=["tuned"])

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, schema ``klimit.choices/1`` (docs/cli.md)."""
        from klimit.view.choices import record

        return record(self)

    def __str__(self) -> str:
        """The verdict in words, and what to mind."""
        from klimit.view import choices, words

        said = words.paragraphs(choices.verdict(self))
        return "\n".join([said, *(f"note: {line}" for line in self.notes)])

    __repr__ = __str__
