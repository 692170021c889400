"""What a proxy's gain is worth in gold that is known in few places: what every such answer says."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from klimit._estimate import Estimate
from klimit._notebook import InNotebooks
from klimit._text import safe
from klimit.estimate.checks import positive
from klimit.estimate.intervals import skewed_reach
from klimit.estimate.kernel import Floats
from klimit.estimate.labels.powered import Powered
from klimit.estimate.labels.reading import Known
from klimit.estimate.labels.tilting import Tilting, tilting
from klimit.estimate.proxy.bands import DOUBT, PAST_TRUST
from klimit.estimate.proxy.peak import Peak, peak, stop_at
from klimit.estimate.result import Frontier, _asked, _budgets, _one_budget, nats

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import ArrayLike


_COUNT = 24  # budgets at which the curve is read to find where it turns
_LEAST = 1e-9  # nats; below, weights differ by rounding alone, and gains go by the root of the KL


@dataclass(frozen=True)
class Split:
    """Where the variance of the gold gain at one KL comes from.

    Attributes
    ----------
    kl : nats
    prompts : share from which prompts were drawn, which only more prompts shrink; 0 for these prompts
    samples : share from which samples were drawn, which only more samples shrink
    labels : share from samples without a label, which more labels shrink
    saved : how much shorter the interval is than from the labels alone, a share of their length
    allowed : how much shorter this split allows for a proxy that correlates so with gold among the
        labels, as they lie: the part that labels add to the variance without it falls by the squared
        correlation (arXiv 2301.09633, section 2); nan where that is not known
    possible : how much shorter it would be if every sample had a label
    """

    kl: float
    prompts: float
    samples: float
    labels: float
    saved: float
    allowed: float
    possible: float

    @property
    def reached(self) -> float:
        """Share of the allowed shortening that is reached; nan where none is allowed.

        Above 1 where the proxy says more of the samples that carry the weight than of others.
        """
        return self.saved / self.allowed if self.allowed > 0 else math.nan


class Sparse(ABC, InNotebooks):
    """What a proxy's gain is worth in gold that is known in few places.

    KL in nats per sequence.

    Attributes
    ----------
    known : what is known of every sample
    proxy : frontier of the proxy over all samples
    """

    known: Known
    proxy: Frontier
    _what = "labels"
    _least_effective = 10.0  # of equal weight, that a standard error should rest on

    @abstractmethod
    def _found(self, kl: float, *, seeing: bool) -> Powered:
        """The estimate at one KL, with or without predictions by the proxy."""

    @property
    @abstractmethod
    def number(self) -> int:
        """How many labels (or judgements) are used."""

    @property
    @abstractmethod
    def labelled_prompts(self) -> int:
        """How many prompts have one."""

    @abstractmethod
    def next(self, n: int, *, kl: float | None = None, seed: int | None = None) -> pl.DataFrame:
        """What should be labelled next to know the gold gain at `kl` best?"""

    @property
    def correlation(self) -> Estimate:
        """Correlation of proxy and gold within prompts; nan where it is not known."""
        return Estimate(math.nan, -1.0, 1.0, self.proxy.settings.level, trusted=False)

    @property
    def among_labels(self) -> float:
        """The same of the labels alone, as they lie; nan where it is not known."""
        return math.nan

    @property
    @abstractmethod
    def _spread(self) -> float:
        """Standard deviation of gold within prompts."""

    def _lift(self, kl: float) -> float:
        """What a correction adds that no label has a part in."""
        return 0.0

    def _off(self, kl: float) -> tuple[float, float]:
        """How far the corrections may be off, below and above: half their size."""
        wrong = 0.5 * abs(self._at(kl, seeing=True).correction)
        return wrong, wrong

    def _unchecked(self, kl: float) -> tuple[float, float]:
        """How far predictions may be off, below and above, where no label checks them."""
        return 0.0, 0.0

    def _bent(self, kl: Floats) -> Floats:
        """(3, budgets) the same, signed; how far gold may bend on; how far it may be lower unseen."""
        return np.zeros((3, len(kl)))

    @property
    def _reach(self) -> float:
        """Nats up to which bias is small."""
        last, found = min(self.proxy.trusted_kl, float(np.log(self.known.rows.lengths.max()))), 0.0
        for kl in _places(last):
            if 0.5 * max(self._off(kl)) > DOUBT * self._spread * math.sqrt(2 * kl):
                break
            found = kl
        return found

    @cached_property
    def _cache(self) -> dict[tuple[float, bool], Powered]:
        return {}

    def _at(self, kl: float, *, seeing: bool) -> Powered:
        if (kl, seeing) not in self._cache:
            self._cache[kl, seeing] = self._found(kl, seeing=seeing)
        return self._cache[kl, seeing]

    def __repr__(self) -> str:
        proxy, gold = (safe(name, longest=40) for name in self.names[:2])
        return (
            f"<{type(self).__name__} of {proxy} judged by {gold}: "
            f"{self.number:,} {self._what} in {self.labelled_prompts:,} of "
            f"{self.known.rows.prompts:,} prompts, trusted to {nats(self.trusted_kl)}>"
        )

    @property
    def names(self) -> tuple[str, str]:
        """Of proxy and gold."""
        return self.known.column.name, self.known.gold_name

    @cached_property
    def trusted_kl(self) -> float:
        """Nats up to which bias is small and labels enough carry the weight."""
        last, found = min(self._reach, float(np.log(self.known.rows.lengths.max()))), 0.0
        for kl in _places(last):  # where a proxy's best are tied, the last one may carry more again
            if not self._carried(kl):
                break
            found = kl
        return found

    def _carried(self, kl: float) -> bool:
        """Whether enough labels carry the weight to see how unsure they are."""
        return self._at(kl, seeing=True).effective >= self._least_effective

    def _sure(self, kl: float) -> bool:
        """Whether this KL is trusted."""
        return kl == 0 or (kl <= self.trusted_kl and self._carried(kl))

    def proxy_gain(self, kl: ArrayLike) -> Estimate:
        """What the proxy gains of itself at its own tilt, proxy units."""
        return self.proxy.gain(kl)

    def beta(self, kl: ArrayLike) -> Estimate:
        """KL coefficient at which the proxy's optimum spends `kl`, proxy units per nat."""
        return self.proxy.beta(kl)

    def gold_gain(self, kl: ArrayLike) -> Estimate:
        """What gold gains where the proxy's optimum spends `kl` nats, gold units."""
        return self._each(kl, seeing=True)

    def without_proxy(self, kl: ArrayLike) -> Estimate:
        """The same without predictions of gold by the proxy, which `gold_gain` is measured against."""
        return self._each(kl, seeing=False)

    def split(self, kl: float) -> Split:
        """Where the variance at `kl` nats comes from, and what predictions and labels save of it."""
        kl = _one_budget(kl)
        with_, without = self._at(kl, seeing=True), self._at(kl, seeing=False)
        drawn = self._drawn
        total = with_.drawn if drawn else with_.fixed
        before = self._length(without)
        everything = max(total - with_.labels, 0.0)
        prompts = max(total - with_.labels - with_.samples, 0.0) if drawn else 0.0
        width = quantile(self.proxy.settings.level, with_.freedom_drawn if drawn else np.inf)
        least = 2 * width * math.sqrt(everything)
        if not total > 0 or not before > 0:
            return Split(kl, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
        added = min(without.labels / (without.drawn if drawn else without.fixed), 1.0)
        allowed = 1 - math.sqrt(1 - self.among_labels**2 * added)
        samples = min(with_.samples, total)
        return Split(
            kl, prompts / total, samples / total, max(total - prompts - samples, 0) / total,
            1 - self._length(with_, self._unchecked(kl)) / before, allowed, 1 - least / before,
        )  # fmt: skip

    @cached_property
    def _peak(self) -> Peak | None:
        """Where gold is highest within the trusted range; None where nothing is trusted."""
        return peak_of(self)

    @property
    def stop_kl(self) -> Estimate:
        """At how many nats of the proxy's path is gold highest, within `trusted_kl`?

        As `Hacking.stop_kl`: the interval holds every KL at which the labels do not rule out the
        highest gold, and has no end where the end of the trusted range is among them.
        """
        return stop_at(self._peak, self.proxy.settings.level, _beyond(0.0))

    @property
    def turns(self) -> bool:
        """Whether gold is highest before the end of the trusted range."""
        return self._peak is not None and self._peak.inside

    def to_frame(self, kl: ArrayLike | None = None) -> pl.DataFrame:
        """A row per KL: proxy gain, gold gain and its limits, the interval saved."""
        from klimit.view.labels import frame

        return frame(self, _asked(kl))

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, schema ``klimit.labels/1``."""
        from klimit.view.labels import record

        return record(self)

    def plot(self, ax: Any = None, **options: Any) -> Any:
        """Draw gold against KL; see `klimit.view.plots.few_labels`."""
        from klimit.view.plots import few_labels

        return few_labels(self, ax, **options)

    def __str__(self) -> str:
        """The verdict in words."""
        from klimit.view.labels import text

        return text(self)

    # ---- one KL

    @property
    def _drawn(self) -> bool:
        return self.proxy.settings.prompts == "drawn"

    def _tilting(self, kl: float) -> Tilting:
        return tilting(self.known.rows, float(self.proxy.curve.at_kl(kl).tilt))

    def _each(self, kl: ArrayLike, *, seeing: bool) -> Estimate:
        budgets = _budgets(kl)
        out = np.zeros((3, budgets.size))
        trusted = np.array([self._sure(kl) for kl in budgets.ravel().tolist()])
        for at, budget in enumerate(budgets.ravel().tolist()):
            if budget > 0:
                times = 1.0 if trusted[at] else PAST_TRUST
                safe = max(budget, _LEAST)
                below, above = (times * off for off in self._off(safe))
                if seeing:
                    below, above = np.hypot((below, above), self._unchecked(safe)).tolist()
                found = interval(
                    self._at(safe, seeing=seeing), self.proxy.settings.level, drawn=self._drawn,
                    below=below, above=above,
                )  # fmt: skip
                out[:, at] = (self._lift(safe) + np.array(found)) * math.sqrt(budget / safe)
        trusted = trusted.reshape(budgets.shape)
        note = "" if bool(np.all(trusted)) else _beyond(self.trusted_kl)
        value, low, high = out.reshape(3, *budgets.shape)
        return Estimate.of(
            value, low, high, level=self.proxy.settings.level, trusted=trusted, note=note
        )

    def _length(self, found: Powered, off: tuple[float, float] = (0.0, 0.0)) -> float:
        level = self.proxy.settings.level
        _, low, high = interval(found, level, drawn=self._drawn, below=off[0], above=off[1])
        return high - low

    def _interest(self, kl: float | None) -> float:
        if kl is None:
            return self.trusted_kl if 0 < self.trusted_kl < 1 else 1.0
        return positive("kl", kl, "nats")


def peak_of(few: Sparse) -> Peak | None:
    """Test every KL up to the trusted one against all others, by how prompts move the curve."""
    place = _places(few.trusted_kl)
    if not place:
        return None
    found = [few._at(kl, seeing=True) for kl in place]
    value = np.r_[0.0, [one.gain + few._lift(kl) for kl, one in zip(place, found, strict=True)]]
    moves = np.stack([one.effects - one.effects.mean() for one in found], axis=1)
    prompts = len(moves)
    moves = np.pad(moves / math.sqrt(prompts * (prompts - 1)), ((0, 0), (1, 0)))
    level = few.proxy.settings.level
    freedom = min(one.freedom_drawn for one in found)
    return peak(
        np.r_[0.0, place], value, moves, *np.pad(few._bent(np.array(place)), ((0, 0), (1, 0))), level=level,
        widen=quantile(level, freedom) / quantile(level, math.inf), seed=few.proxy.settings.seed,
    )  # fmt: skip


def _places(last: float) -> list[float]:
    """Budgets at which the curve is read, up to the last; none where that is 0."""
    return np.geomspace(0.02 * last, last, _COUNT).tolist() if 0 < last < math.inf else []


def interval(
    found: Powered, level: float, *, drawn: bool, below: float = 0.0, above: float = 0.0
) -> tuple[float, float, float]:
    """Value, low and high; `below` and `above` are how far it may be off other than by chance.

    For these very prompts a few labels carry much of the weight, and where their residuals are
    skewed the long side is moved out by Hall's transformation (Journal of the Royal Statistical
    Society B 54, 1992).
    """
    error = math.sqrt(found.drawn if drawn else found.fixed)
    down = up = quantile(level, found.freedom_drawn if drawn else found.freedom_fixed)
    if not drawn and abs(found.skew_fixed) > 1e-6:
        above_, below_ = skewed_reach(np.asarray(found.skew_fixed), up)
        down, up = max(down, float(below_)), max(up, float(above_))
    low, high = math.hypot(down * error, below), math.hypot(up * error, above)
    return found.gain, found.gain - low, found.gain + high


def quantile(level: float, freedom: float) -> float:
    """Two-sided quantile of a t law; of the normal one where freedom is infinite."""
    from scipy.special import ndtri, stdtrit

    tail = (1 + level) / 2
    return float(stdtrit(freedom, tail) if np.isfinite(freedom) else ndtri(tail))


def _beyond(trusted_kl: float) -> str:
    if trusted_kl <= 0:
        return "no KL is trusted with these samples and labels"
    return f"not within what these samples and labels reach, {nats(trusted_kl)} at most"
