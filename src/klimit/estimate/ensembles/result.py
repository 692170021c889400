"""The answer of `klimit.ensemble`, and every question that can be put to it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from klimit._errors import ArgumentError
from klimit._estimate import Estimate
from klimit._notebook import InNotebooks
from klimit._text import safe
from klimit.estimate.ensembles.aggregates import Aggregate
from klimit.estimate.ensembles.errors import Errors
from klimit.estimate.ensembles.gains import Course
from klimit.estimate.ensembles.labelled import LabelledCourse
from klimit.estimate.ensembles.panel import Panel
from klimit.estimate.ensembles.settings import Recommendation, recommendation
from klimit.estimate.ensembles.sizes import subsets
from klimit.estimate.kernel import Floats
from klimit.estimate.labels.few import FewLabels
from klimit.estimate.proxy.result import Hacking
from klimit.estimate.result import Frontier, Settings, _asked, _budgets, _one_budget

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import ArrayLike

_ROUND = (0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0)


@dataclass(frozen=True)
class Size:
    """A mean of so many members: `gold_gain`, and `gained` over one member, at one budget.

    `normal` is what normal rewards with these errors would gain: their efficiency times gold's limit;
    nan where that limit is not trusted.
    """

    members: int
    subsets: int
    gold_gain: Estimate
    gained: Estimate
    normal: float


@dataclass(frozen=True, eq=False, repr=False)
class Ensemble(InNotebooks):
    """What several proxies buy together. Made by `klimit.ensemble`.

    KL in nats per sequence; gold gains in gold's units over the base's mean.

    Attributes
    ----------
    errors : how wrong the proxies are, and how much of that they share
    notes : what to mind, in words
    settings : the options of `klimit.ensemble`
    panel, parts, course : what it is computed from
    """

    panel: Panel
    parts: Mapping[str, Aggregate]
    errors: Errors
    course: Course | LabelledCourse | None
    settings: Settings
    notes: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the proxies."""
        return self.panel.names

    @property
    def gold(self) -> str:
        """Name of the gold reward; empty without."""
        return self.panel.gold_name

    @property
    def aggregates(self) -> tuple[str, ...]:
        """Names of the aggregates."""
        return tuple(self.parts)

    def __repr__(self) -> str:
        judged = f" judged by {safe(self.gold, longest=40)}" if self.gold else ""
        return (
            f"<Ensemble of {len(self.names)} proxies{judged}: {len(self.panel.lengths)} prompts, "
            f"{self.panel.members.shape[1]} samples>"
        )

    # ---- gold gain against KL

    def hacking(self, aggregate: str = "mean") -> Hacking | FewLabels:
        """Everything that `klimit.hacking` says of an aggregate as a proxy.

        Where gold is known of few samples this is its answer from few labels, `FewLabels`.

        Raises
        ------
        ArgumentError
            Without gold, or for a name that is no aggregate.
        """
        name = self._named(aggregate)
        return self._along(name, self.parts[name].values)

    def gold_gain(self, kl: ArrayLike, aggregate: str = "mean") -> Estimate:
        """How much does gold gain where the aggregate's best policy spends `kl` nats?"""
        return self.hacking(aggregate).gold_gain(kl)

    def difference(self, first: str, second: str, kl: ArrayLike) -> Estimate:
        """How much more gold does one aggregate gain than another at `kl` nats? Paired by prompt.

        Where gold is known of few samples the difference is an estimate of its own, with gold
        predicted from both aggregates, and may depart from that of the two gains by less than their
        intervals.
        """
        budget = _budgets(kl)
        found: Estimate = self._course.difference(self.hacking(first), self.hacking(second), budget)
        return found

    @property
    def limit(self) -> Frontier:
        """Gold's own frontier: the most of it that any method gains, whatever it optimises.

        Of samples with gold alone, since it needs the gold of whatever it prefers.
        """
        limit: Frontier = self._course.limit
        return limit

    @cached_property
    def trusted_kl(self) -> float:
        """Nats up to which all aggregates are trusted; without gold, their own frontiers."""
        if self.course is None:
            return min(self.own(name).trusted_kl for name in self.aggregates)
        return min(self.hacking(name).trusted_kl for name in self.aggregates)

    def own(self, aggregate: str = "mean") -> Frontier:
        """The aggregate's own frontier, in its own units: what it promises."""
        from klimit.estimate.frontier import frontier

        if self.course is not None:
            return self.hacking(aggregate).proxy
        name, how = self._named(aggregate), self.settings
        rows = np.split(self.parts[name].values, np.cumsum(self.panel.lengths)[:-1])
        found: Frontier = self._once(
            ("own", name), lambda: frontier(rows, reward=name, level=how.level, seed=how.seed)
        )
        return found

    # ---- members and bounds

    def member(self, name: str) -> Hacking | FewLabels:
        """Everything that `klimit.hacking` says of one member alone."""
        if name not in self.names:
            raise ArgumentError(
                f"{safe(repr(name), longest=40)} is no member; one of {', '.join(map(safe, self.names))} was "
                "expected."
            )
        return self._along(f"{name} alone", self.panel.members[self.names.index(name)])

    def members_needed(self, kl: float) -> pl.DataFrame:
        """How does the gold gain of the mean grow with the number of members?

        Returns
        -------
        polars frame, a row per number of members
            members; subsets: how many were averaged; gold_gain with its limits; gained and its
            limits: over one member, paired; normal: what normal rewards with these errors would
            gain, efficiency times gold's limit; share: of gold's limit. The last two are null where
            that limit is not trusted

        Raises
        ------
        ArgumentError
            Without gold.
        """
        from klimit.view.records import columns, framed

        limit = self._trusted_limit(np.asarray(_one_budget(kl))).item()
        rows = [
            {
                "members": row.members,
                "subsets": row.subsets,
                **columns("gold_gain", row.gold_gain),
                **columns("gained", row.gained),
                "normal": row.normal if math.isfinite(row.normal) else None,
                "share": float(row.gold_gain.value) / limit if limit > 0 else None,
                "trusted": bool(row.gold_gain.trusted),
            }
            for row in self.by_size(kl)
        ]
        return framed(rows, whole=["members", "subsets"])

    def by_size(self, kl: float) -> list[Size]:
        """The rows of `members_needed`, as Estimates."""
        kl = _one_budget(kl)
        found: list[Size] = self._once(("sizes", kl), lambda: self._by_size(kl))
        return found

    def _by_size(self, kl: float) -> list[Size]:
        limit = self._trusted_limit(np.asarray(kl)).item()
        if kl == 0:
            nothing = Estimate(0.0, 0.0, 0.0, self.settings.level)
            found = dict.fromkeys(range(1, len(self.names) + 1), (nothing, nothing))
        else:
            singles = [self.member(name) for name in self.names]
            found = self._course.sizes(self.panel.members, singles, self.hacking("mean"), kl)
        number, seed = len(self.names), self.settings.seed
        return [
            Size(
                size, len(subsets(number, size, seed=seed)), *gains, self._efficiency(size) * limit
            )
            for size, gains in found.items()
        ]

    def bounds(self, kl: ArrayLike) -> pl.DataFrame:
        """What bounds the mean of such proxies, beside what was measured.

        Returns
        -------
        polars frame, a row per budget
            kl; measured: gold gain of the mean of all members; normal: what it would be for normal
            rewards, ``limit / sqrt(1 + v / var(gold))``; endless: the same for endlessly many such
            members, which share of their error remains; limit: gold's own, without which the two
            before are not known: this and what follows are nan where it is not trusted; regret and
            regret_floor: ``v / (2 beta)`` at the beta of gold's frontier that spends this KL, what
            is lost of gold - beta KL, now and with endlessly many members
        """
        import polars as pl

        budget = np.atleast_1d(_budgets(kl))
        most, beta = self._trusted_limit(budget), np.asarray(self.limit.beta(budget).value)
        beta = np.where(np.isnan(most), np.nan, beta)
        size, errors = len(self.names), self.errors
        assert errors.floor is not None
        floor = max(float(errors.floor.value), 0.0)
        with np.errstate(divide="ignore", invalid="ignore"):
            frame = {
                "kl": budget,
                "measured": np.asarray(self.gold_gain(budget).value),
                "normal": self._efficiency(size) * most,
                "endless": self._efficiency(None) * most,
                "limit": most,
                "regret": errors.variance(size) / (2 * beta),
                "regret_floor": floor / (2 * beta),
            }
        return pl.DataFrame(frame)

    def recommended(self, aggregate: str = "mean") -> Recommendation:
        """Which KL and beta to train with, which N to serve with, if this aggregate is optimised?"""
        return recommendation(self.hacking(aggregate))

    # ---- saying it

    def usual_kl(self) -> float:
        """A round budget at which aggregates, single members and gold's limit are all trusted.

        Gold's limit only where most of gold is known: few labels show hardly any of it.
        """
        edge = self.trusted_kl
        if self.course is not None:
            edge = min(edge, *(self.member(n).trusted_kl for n in self.names))
        if isinstance(self.course, Course):
            edge = min(edge, self.course.limit.trusted_kl)
        inside = [kl for kl in _ROUND if kl <= edge * (1 + 1e-9)]
        if inside:
            return inside[-1]
        return edge if np.isfinite(edge) and edge > 0 else _ROUND[2]

    def plot(self, ax: Any = None, **options: Any) -> Any:
        """Draw gold against KL; see `klimit.view.plots.ensemble`."""
        from klimit.view.plots import ensemble

        return ensemble(self, ax, **options)

    def __str__(self) -> str:
        """The verdict in words, a table, and what to mind."""
        from klimit.view.ensemble import text

        return text(self)

    def to_dict(self, kl: ArrayLike | None = None) -> dict[str, Any]:
        """Plain values for JSON, schema ``klimit.ensemble/1`` (docs/cli.md)."""
        from klimit.view.ensemble import record

        return record(self, _asked(kl))

    def to_frame(self, kl: ArrayLike | None = None) -> pl.DataFrame:
        """A polars frame, a row per aggregate and budget."""
        from klimit.view.ensemble import frame

        return frame(self, _asked(kl))

    # ---- helpers

    @property
    def _course(self) -> Any:
        if self.course is None:
            raise ArgumentError(
                "this needs gold rewards, two of a prompt or more, in at least ten prompts if some samples "
                "have none; give klimit.ensemble gold=, the reward that counts, for these samples or some of "
                "them."
            )
        return self.course

    @cached_property
    def _made(self) -> dict[tuple[str, Any], Any]:
        """What was worked out so far."""
        return {}

    def _once(self, key: tuple[str, Any], make: Callable[[], Any]) -> Any:
        if key not in self._made:
            self._made[key] = make()
        return self._made[key]

    def _along(self, name: str, values: Floats) -> Hacking | FewLabels:
        found: Hacking | FewLabels = self._once(
            ("along", name), lambda: self._course.along(values, name)
        )
        return found

    def _trusted_limit(self, kl: Floats) -> Floats:
        """Gold's own limit; nan where it is not trusted."""
        most = self.limit.gain(kl)
        return np.where(most.trusted, most.value, np.nan)

    def _efficiency(self, members: int | None) -> float:
        """Share of gold's limit that so many members reach if rewards are normal."""
        errors = self.errors
        assert errors.gold_variance is not None
        assert errors.floor is not None
        left = float(errors.floor.value) if members is None else errors.variance(members)
        return float(1 / np.sqrt(1 + max(left, 0.0) / float(errors.gold_variance.value)))

    def _named(self, aggregate: str) -> str:
        if aggregate not in self.parts:
            raise ArgumentError(
                f"{safe(repr(aggregate), longest=40)} is no aggregate here; one of "
                f"{', '.join(self.parts)} was expected."
            )
        return aggregate
