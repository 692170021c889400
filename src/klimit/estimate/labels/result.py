"""The gold gain of a proxy's tilt from few labels, and what more labels would bring."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from klimit._errors import ArgumentError
from klimit._estimate import Estimate
from klimit.estimate.kernel import Floats
from klimit.estimate.labels.choosing import choose
from klimit.estimate.labels.designs import Design
from klimit.estimate.labels.peak import Peak, peak_of
from klimit.estimate.labels.powered import Powered, alone, powered
from klimit.estimate.labels.prediction import Labels, Predictions
from klimit.estimate.labels.reading import CHANCE, ROUND, Known
from klimit.estimate.labels.spread import squares
from klimit.estimate.labels.tilting import Tilting, tilting
from klimit.estimate.result import Frontier, nats

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import ArrayLike


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
    possible : how much shorter it would be if every sample had a label
    """

    kl: float
    prompts: float
    samples: float
    labels: float
    saved: float
    possible: float

    @property
    def reached(self) -> float:
        """Share of the possible shortening that is reached; nan where none is possible."""
        return self.saved / self.possible if self.possible > 0 else math.nan


@dataclass(frozen=True, repr=False)
class FewLabels:
    """What a proxy's gain is worth in gold, gold being known of some samples only.

    Made by `klimit.hacking` where gold is missing for many samples. KL in nats per sequence.

    Attributes
    ----------
    known : what is known of every sample
    limit : frontier of the proxy
    """

    known: Known
    limit: Frontier
    index: Labels
    design: Design
    predictions: Predictions
    _cache: dict[tuple[float, bool], Powered] = field(default_factory=dict, compare=False)

    def __repr__(self) -> str:
        return (
            f"<FewLabels of {self.gold}: {self.number:,} labels in {self.labelled_prompts:,} of "
            f"{self.known.rows.prompts:,} prompts, trusted to {nats(self.trusted_kl)}>"
        )

    @property
    def proxy(self) -> str:
        """Name of the proxy."""
        return self.known.column.name

    @property
    def gold(self) -> str:
        """Name of the gold reward."""
        return self.known.gold_name

    @property
    def number(self) -> int:
        """How many labels are used."""
        return len(self.index.place)

    @property
    def labelled_prompts(self) -> int:
        """How many prompts have a label."""
        return len(self.index.prompts)

    @property
    def trusted_kl(self) -> float:
        """Nats up to which the tilt of the proxy is trusted with these samples."""
        return self.limit.trusted_kl

    def proxy_gain(self, kl: ArrayLike) -> Estimate:
        """What the proxy gains of itself at its own tilt, proxy units."""
        return self.limit.gain(kl)

    def beta(self, kl: ArrayLike) -> Estimate:
        """KL coefficient at which the proxy's optimum spends `kl`, proxy units per nat."""
        return self.limit.beta(kl)

    def gold_gain(self, kl: ArrayLike) -> Estimate:
        """What gold gains where the proxy's optimum spends `kl` nats, gold units."""
        return self._each(kl, seeing=True)

    def from_labels_alone(self, kl: ArrayLike) -> Estimate:
        """The same without predictions of gold by the proxy: what `gold_gain` is measured against."""
        return self._each(kl, seeing=False)

    def split(self, kl: float) -> Split:
        """Where the variance at `kl` nats comes from, and what predictions and labels save of it."""
        with_, without = self._at(float(kl), seeing=True), self._at(float(kl), seeing=False)
        drawn = self._drawn
        total = with_.drawn if drawn else with_.fixed
        before = self._length(without)
        everything = max(total - with_.labels, 0.0)
        prompts = max(total - with_.labels - with_.samples, 0.0)
        quantile = _quantile(self.limit.settings.level, with_.freedom_drawn if drawn else np.inf)
        least = 2 * quantile * math.sqrt(everything)
        if not total > 0 or not before > 0:
            return Split(float(kl), 0.0, 0.0, 0.0, 0.0, 0.0)
        samples = min(with_.samples, total)
        return Split(
            float(kl), prompts / total, samples / total, max(total - prompts - samples, 0) / total,
            1 - self._length(with_) / before, 1 - least / before,
        )  # fmt: skip

    @property
    def correlation(self) -> Estimate:
        """Correlation of proxy and gold within prompts, from the labels."""
        return correlation(self.index, self.known.rows.proxy, self.limit.settings.level)

    @property
    def stop(self) -> Peak:
        """Where gold stops rising along the proxy's tilt: the KL, and its interval."""
        return peak_of(self)

    @property
    def stop_kl(self) -> Estimate:
        """The KL at which gold stops rising, nats; `high` is inf where no turn is sure."""
        found = self.stop
        return Estimate(
            found.value, found.low, found.high, self.limit.settings.level, found.inside, found.note
        )

    def next(self, n: int, *, kl: float | None = None, seed: int | None = None) -> pl.DataFrame:
        """Which samples should be labelled next to know the gold gain at `kl` best?

        Parameters
        ----------
        n : labels, in pairs within prompts: an odd number is rounded down
        kl : nats of interest; the trusted KL, or 1 nat if that is less, if not given
        seed : of the draw

        Returns
        -------
        polars frame, a row per sample
            prompt_id; sample: its id, or place within the prompt from 0; prompt and completion where
            known; the proxy; label_chance and label_round, to be kept beside the new labels so that
            the next estimate is unbiased.
        """
        from klimit.estimate.labels.next import frame_of

        at = self._interest(kl)
        tilted = self._tilting(at)
        found = powered(tilted, self.index, self.design, self.predictions)
        del found
        predicted = self.predictions.seeing
        residual = self.index.gold - predicted[self.index.place]
        spread = np.sqrt(squares(self.known.rows, self.index.place, residual))
        spread = spread if (spread > 0).any() else np.ones(len(spread))
        picked = choose(
            self.known.rows, tilted.coefficient, spread, np.isnan(self.known.gold), _pairs(n),
            seed=self.limit.settings.seed if seed is None else seed,
        )  # fmt: skip
        last = int(self.known.round[self.index.place].max(initial=0))
        return frame_of(self.known, picked, last + 1)

    def to_frame(self, kl: ArrayLike | None = None) -> pl.DataFrame:
        """A row per KL: proxy gain, gold gain and its limits, the interval saved."""
        from klimit.view.labels import frame

        return frame(self, kl)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, schema ``klimit.labels/1``."""
        from klimit.view.labels import record

        return record(self)

    def __str__(self) -> str:
        """The verdict in words."""
        from klimit.view.labels import text

        return text(self)

    # ---- one KL

    @property
    def _drawn(self) -> bool:
        return self.limit.settings.prompts == "drawn"

    def _tilting(self, kl: float) -> Tilting:
        return tilting(self.known.rows, float(self.limit.curve.at_kl(kl).tilt))

    def _at(self, kl: float, *, seeing: bool) -> Powered:
        if (kl, seeing) not in self._cache:
            self._cache[kl, seeing] = powered(
                self._tilting(kl), self.index, self.design, self.predictions, seeing=seeing
            )
        return self._cache[kl, seeing]

    def _each(self, kl: ArrayLike, *, seeing: bool) -> Estimate:
        budgets = np.asarray(kl, dtype=float)
        if np.isnan(budgets).any() or (budgets < 0).any():
            raise ArgumentError(f"kl must be 0 nats or more; got {budgets[()]}.")
        out = np.zeros((3, budgets.size))
        for at, budget in enumerate(budgets.ravel()):
            if budget > 0:
                found = self._at(float(budget), seeing=seeing)
                value, low, high = interval(found, self.limit.settings.level, drawn=self._drawn)
                out[:, at] = value, low, high
        trusted = budgets <= self.trusted_kl
        note = "" if bool(np.all(trusted)) else _beyond(self.trusted_kl)
        value, low, high = out.reshape(3, *budgets.shape)
        return Estimate.of(
            value, low, high, level=self.limit.settings.level, trusted=trusted, note=note
        )

    def _length(self, found: Powered) -> float:
        _, low, high = interval(found, self.limit.settings.level, drawn=self._drawn)
        return high - low

    def _interest(self, kl: float | None) -> float:
        if kl is None:
            return self.trusted_kl if 0 < self.trusted_kl < 1 else 1.0
        if not (math.isfinite(kl) and kl > 0):
            raise ArgumentError(f"kl={kl} was given; a positive number of nats was expected.")
        return float(kl)


def interval(found: Powered, level: float, *, drawn: bool) -> tuple[float, float, float]:
    """Value, low and high.

    For these very prompts a few labels carry much of the weight, and where their residuals are
    skewed the long side is moved out by Hall's transformation (Journal of the Royal Statistical
    Society B 54, 1992).
    """
    error = math.sqrt(found.drawn if drawn else found.fixed)
    quantile = _quantile(level, found.freedom_drawn if drawn else found.freedom_fixed)
    below = above = quantile
    if not drawn and abs(found.skew_fixed) > 1e-6:
        skew = found.skew_fixed
        long, short = (float(3 / skew * (np.cbrt(1 + skew * (x - skew / 6)) - 1)) for x in (quantile, -quantile))
        below, above = max(quantile, long), max(quantile, -short)
    return found.gain, found.gain - below * error, found.gain + above * error


def correlation(labels: Labels, proxy: Floats, level: float) -> Estimate:
    """Correlation within prompts of labels' gold and proxy, by Fisher's z; nan with one a prompt."""
    several = (labels.counts >= 2)[labels.group]
    free = int((labels.counts - 1).sum())
    x, y = proxy[labels.place], labels.gold
    x = x - (labels.sum(x) / labels.counts)[labels.group]
    y = y - (labels.sum(y) / labels.counts)[labels.group]
    both = float(np.sqrt((x[several] ** 2).sum() * (y[several] ** 2).sum()))
    if free < 4 or not both > 0:
        note = "two labels of a prompt are needed to see how gold moves with the proxy within it"
        return Estimate(math.nan, -1.0, 1.0, level, trusted=False, note=note)
    found = float(np.clip((x[several] * y[several]).sum() / both, -1, 1))
    reach = _quantile(level, np.inf) / math.sqrt(free - 1)
    middle = math.atanh(float(np.clip(found, -1 + 1e-9, 1 - 1e-9)))
    return Estimate(found, math.tanh(middle - reach), math.tanh(middle + reach), level)


def _quantile(level: float, freedom: float) -> float:
    from scipy.special import ndtri, stdtrit

    tail = (1 + level) / 2
    return float(stdtrit(freedom, tail) if np.isfinite(freedom) else ndtri(tail))


def _beyond(trusted_kl: float) -> str:
    if trusted_kl <= 0:
        return "no KL is trusted with these samples: the proxy's own tilt is not known"
    return f"beyond the {nats(trusted_kl)} to which the proxy's own tilt is trusted"


def _pairs(n: int) -> int:
    if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 2:
        raise ArgumentError(f"n={n} was given; a whole number of labels, 2 or more, was expected.")
    return int(n) // 2
