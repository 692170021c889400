"""From simulated cells to figures: errors against the plug-in's, coverage, trust, noise floor.

A *point* is one KL of one cell.  Zones: "lo" is D <= log M - 2, "hi" is log M - 2 < D <= log M -
.5, with the effective M where sizes differ.  Error ratios are relative RMSE over the plug-in's on
the same samples; coverage, bias and trust count every repetition.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.simulate import Cell, Record, find_family

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from benchmarks.shapes import Array

Flags = NDArray[np.bool_]

CLOSE = 0.05  # what "the estimate is right" means when trust is judged

TRUTH_DIGITS = 1e-5  # the truth is interpolated; win rates without ties have intervals of no width


def zone(kl: float, samples: float) -> str | None:
    """ "lo", "hi", or None where no estimator is expected to know."""
    if kl <= np.log(samples) - 2:
        return "lo"
    return "hi" if kl <= np.log(samples) - 0.5 else None


@dataclass(frozen=True)
class Point:
    """One KL of one cell under one estimator; arrays run over repetitions.

    Attributes
    ----------
    value, other : the estimates and the plug-in's on the same samples
    high : inf where the interval is one-sided
    saturated : the plug-in optimum is at an infinite tilt in more than half of the repetitions
    slope, slope_value, slope_other : the same of the frontier's slope
    slope_low, slope_high : its interval; nan where slopes were not asked for
    """

    family: str
    config: str
    target: str
    kl: float
    zone: str
    light: bool
    counted: bool
    saturated: bool
    truth: float
    value: Array
    other: Array
    low: Array
    high: Array
    trusted: Flags
    slope: float
    slope_value: Array
    slope_other: Array
    slope_low: Array
    slope_high: Array

    @property
    def rmse(self) -> float:
        """Relative RMSE of the estimate."""
        return _rmse(self.value, self.truth)

    @property
    def plugin(self) -> float:
        """Relative RMSE of the plug-in on the same samples."""
        return _rmse(self.other, self.truth)

    @property
    def floor(self) -> float:
        """Relative RMSE of a plug-in with its bias removed exactly: its spread."""
        return float(np.std(self.other) / self.truth)

    @property
    def slope_rmse(self) -> float:
        """Relative RMSE of the slope."""
        return _rmse(self.slope_value, self.slope)

    @property
    def slope_plugin(self) -> float:
        """Relative RMSE of the plug-in's slope."""
        return _rmse(self.slope_other, self.slope)

    @property
    def slope_held(self) -> Flags:
        """Whether each trusted repetition's interval holds the slope; none where it was not asked for."""
        asked = self.trusted & ~np.isnan(self.slope_low)
        held: Flags = (self.slope_low <= self.slope) & (self.slope <= self.slope_high)
        return held[asked]

    def without(self, part: int, parts: int) -> Point:
        """The same point had this one of so many equal parts of its repetitions not been run."""
        names = ("value", "other", "low", "high", "trusted", "slope_value", "slope_other", "slope_low",
                 "slope_high")  # fmt: skip
        kept = np.arange(len(self.value)) % parts != part
        fewer: dict[str, Any] = {name: getattr(self, name)[kept] for name in names}
        return replace(self, **fewer)

    @property
    def ratio(self) -> float:
        """Error over the plug-in's."""
        return self.rmse / self.plugin

    @property
    def bias(self) -> float:
        """Mean error over the truth."""
        return float(np.mean(self.value) / self.truth - 1)

    @property
    def covered(self) -> Flags:
        """Whether each repetition's interval holds the truth."""
        slack = TRUTH_DIGITS * abs(self.truth)
        held: Flags = (self.low <= self.truth + slack) & (self.truth - slack <= self.high)
        return held

    @property
    def close(self) -> Flags:
        """Whether each repetition's value is within `CLOSE` of the truth."""
        near: Flags = np.abs(self.value / self.truth - 1) < CLOSE
        return near


def points(records: Iterable[Record], estimator: str, plugin: str = "plugin") -> list[Point]:
    """The points of one estimator, each beside the plug-in's on the same samples."""
    groups: dict[Cell, dict[str, Record]] = defaultdict(dict)
    for record in records:
        cell = Cell(**{**record["cell"], "kl": tuple(record["cell"]["kl"])})
        groups[cell][record["estimator"]] = record
    out = []
    for cell, by_name in groups.items():
        if estimator in by_name:
            out += _cell_points(cell, by_name[estimator], by_name.get(plugin, by_name[estimator]))
    return out


def _cell_points(cell: Cell, record: Record, plugin: Record) -> list[Point]:
    family = find_family(cell.family)
    reps, size = cell.reps, len(cell.kl)
    truth, slope = np.array(record["truth"]), np.array(record["slope"])
    value, low, high = (_table(record[k], reps, size) for k in ("value", "low", "high"))
    low = np.where(np.isnan(low), -np.inf, low)
    high = np.where(np.isnan(high), np.inf, high)
    trusted = np.nan_to_num(_table(record["trusted"], reps, size)).astype(bool)
    other = _table(plugin["value"], reps, size)
    slopes = [_table(r.get("slope_value"), reps, size) for r in (record, plugin)]
    least, most = (_table(record.get(f"slope_{end}"), reps, size) for end in ("low", "high"))
    most = np.where(np.isnan(most), np.inf, most)
    saturated = np.array(record["saturated"]).mean(axis=0) > 0.5
    found = []
    for i, kl in enumerate(cell.kl):
        where = zone(kl, cell.effective)
        if where is None:
            continue
        found.append(
            Point(
                cell.family, cell.size, cell.target, kl, where, family.light_tailed, family.in_means,
                bool(saturated[i]), float(truth[i]), value[:, i], other[:, i], low[:, i],
                high[:, i], trusted[:, i], float(slope[i]), slopes[0][:, i], slopes[1][:, i],
                least[:, i], most[:, i],
            )
        )  # fmt: skip
    return found


def _table(rows: Any, reps: int, size: int) -> Array:
    if rows is None or rows[0] is None:
        return np.full((reps, size), np.nan)
    return np.array(rows, dtype=float).reshape(reps, size)


def _rmse(value: Array, truth: float) -> float:
    if not truth > 0:
        return float("nan")
    return float(np.sqrt(np.mean((value / truth - 1) ** 2)))


def geometric(values: Iterable[float]) -> float:
    """Geometric mean; nan of nothing."""
    kept = np.array([v for v in values if np.isfinite(v) and v > 0])
    return float(np.exp(np.log(kept).mean())) if kept.size else float("nan")


def by(items: Sequence[Point], key: Callable[[Point], Any]) -> dict[Any, list[Point]]:
    """Points grouped by a key, in the order met."""
    groups: dict[Any, list[Point]] = defaultdict(list)
    for item in items:
        groups[key(item)].append(item)
    return dict(groups)


def error_ratio(items: Sequence[Point]) -> float:
    """Geometric mean of error over the plug-in's."""
    return geometric(p.ratio for p in items)


def worst_config(items: Sequence[Point]) -> tuple[float, str]:
    """The worst family at one size, and its name."""
    groups = by(items, lambda p: f"{p.family} {p.config}")
    scores = {name: error_ratio(group) for name, group in groups.items()}
    scores = {name: score for name, score in scores.items() if np.isfinite(score)}
    if not scores:
        return float("nan"), "-"
    name = max(scores, key=lambda n: scores[n])
    return scores[name], name


def coverage(items: Sequence[Point], only: str = "all") -> dict[str, float]:
    """Coverage per family: of all intervals, of two-sided ones, or of trusted ones."""
    out = {}
    for family, group in by(items, lambda p: p.family).items():
        kept = [p.covered[_chosen(p, only)] for p in group]
        every = np.concatenate(kept)
        if every.size:
            out[family] = float(every.mean())
    return out


def _chosen(point: Point, only: str) -> Flags:
    if only == "trusted":
        return point.trusted
    if only == "two-sided":
        return np.isfinite(point.high)
    return np.isfinite(point.low) | np.isfinite(point.high)  # an oracle without intervals has none


def misses(items: Sequence[Point]) -> tuple[float, float]:
    """How often the truth lies below the interval, and above it."""
    below = np.concatenate([p.truth < p.low - TRUTH_DIGITS * p.truth for p in items])
    above = np.concatenate([p.truth > p.high + TRUTH_DIGITS * p.truth for p in items])
    return float(below.mean()), float(above.mean())


def width(items: Sequence[Point]) -> float:
    """Mean over points of the median width over the truth, two-sided intervals only."""
    found = []
    for p in items:
        wide = ((p.high - p.low) / p.truth)[np.isfinite(p.high)]
        if wide.size:
            found.append(float(np.median(wide)))
    return float(np.mean(found)) if found else float("nan")


@dataclass(frozen=True)
class Trust:
    """How well `trusted` tells right from wrong; each a share of repetitions.

    `coverage` is over trusted estimates: a family that is hardly ever trusted does not count as one
    that is.
    """

    share: float
    precision: float
    recall: float
    coverage: float


def trust(items: Sequence[Point]) -> Trust:
    """Share trusted; of the trusted, shares right and covered; share trusted of the right."""
    if not items:
        return Trust(*[float("nan")] * 4)
    said = np.concatenate([p.trusted for p in items])
    right, held = (np.concatenate([getattr(p, k) for p in items]) for k in ("close", "covered"))
    both = float((said & right).mean())
    return Trust(
        float(said.mean()),
        both / float(said.mean()) if said.any() else float("nan"),
        both / float(right.mean()) if right.any() else float("nan"),
        float(held[said].mean()) if said.any() else float("nan"),
    )
