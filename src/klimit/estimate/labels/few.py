"""Gold known of some samples: the answer of `klimit.hacking` where gold is missing for many."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from klimit._estimate import Estimate
from klimit.estimate.checks import check_seed, whole
from klimit.estimate.few_levels import shared_levels
from klimit.estimate.intervals import normal
from klimit.estimate.kernel import Floats
from klimit.estimate.labels.choosing import choose
from klimit.estimate.labels.designs import Design
from klimit.estimate.labels.next import frame_of
from klimit.estimate.labels.powered import Powered, powered
from klimit.estimate.labels.prediction import Labels, Predictions
from klimit.estimate.labels.reading import Known
from klimit.estimate.labels.result import Sparse
from klimit.estimate.labels.spread import squares
from klimit.estimate.labels.together import among_labels, correlation
from klimit.estimate.result import Frontier

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import NDArray

    from klimit.estimate.proxy.pairs import Pairs
    from klimit.estimate.proxy.result import Hacking


_HIGHEST = 3  # labels by their proxies, past the last of which predictions are hardly checked
_UNSEEN = 1 / 3  # share of the squared coefficients that may lie there without a label
_WRONG = 0.3  # and share of the square of what the proxy predicts there that may be wrong


@dataclass(frozen=True, eq=False, repr=False)
class FewLabels(Sparse):
    """What a proxy's gain is worth in gold, gold being known of some samples only.

    Made by `klimit.hacking` where gold is missing for many samples. KL in nats per sequence, gains of
    gold in gold's units.

    Attributes
    ----------
    known : what is known of every sample
    proxy : frontier of the proxy over all samples
    index : where the labels are
    design : how they came about
    predictions : of every sample's gold
    """

    known: Known
    proxy: Frontier
    index: Labels
    design: Design
    predictions: Predictions
    _least_effective = 2.0  # as expected of so many labels, not of those that were drawn

    @property
    def number(self) -> int:
        """How many labels are used."""
        return len(self.index.place)

    @property
    def labelled_prompts(self) -> int:
        """How many prompts have a label."""
        return len(self.index.prompts)

    def _found(self, kl: float, *, seeing: bool) -> Powered:
        return powered(self._tilting(kl), self.index, self.design, self.predictions, seeing=seeing)

    @cached_property
    def correlation(self) -> Estimate:
        """Correlation of proxy and gold within prompts, over all samples, for drawn prompts."""
        level = self.proxy.settings.level
        return correlation(self.index, self.design, self.predictions, level)

    @cached_property
    def among_labels(self) -> float:
        """The same of the labels alone, as they lie, which is what they may gain by the proxy."""
        return among_labels(self.index)

    def next(self, n: int, *, kl: float | None = None, seed: int | None = None) -> pl.DataFrame:
        """Which samples should be labelled next to know the gold gain at `kl` best?

        Parameters
        ----------
        n : labels, in pairs within prompts: an odd number is rounded down, and a prompt's last sample
            without a label comes alone
        kl : nats of interest; the trusted KL, or 1 nat if that is less, if not given
        seed : of the draw

        Returns
        -------
        polars frame, a row per sample
            prompt_id; sample: its id, or place within the prompt from 0; prompt and completion where
            known; the proxy; label_chance and label_round, to be kept beside the new labels so that
            the next estimate is unbiased.
        """
        n = whole("n", n, "labels")
        seed = self.proxy.settings.seed if seed is None else seed
        check_seed(seed)
        at = self._interest(kl)
        tilted = self._tilting(at)
        predicted = self.predictions.seeing
        residual = self.index.gold - predicted[self.index.place]
        spread = np.sqrt(squares(self.known.rows, self.index.place, residual))
        spread = spread if (spread > 0).any() else np.ones(len(spread))
        picked = choose(
            self.known.rows, tilted.coefficient, spread, np.isnan(self.known.gold), n // 2,
            seed=seed,
        )  # fmt: skip
        last = int(self.known.round[self.index.place].max(initial=0))
        return frame_of(self.known, picked, last + 1)

    @cached_property
    def _predicted(self) -> Hacking:
        """The prediction as a gold that every sample has, read as `klimit.hacking` reads one.

        Without what a prompt's own labels add: those are in the part that labels correct.
        """
        from klimit.estimate.proxy.verb import along

        settings = replace(
            self.proxy.settings, reward=self.names[1], reward_range=None, range_implied=False
        )
        return along(predicted_pairs(self.known, self.predictions), settings, spread=self._spread)

    @cached_property
    def _spread(self) -> float:
        """Standard deviation of gold within prompts, as far as labels and predictions show it."""
        rows, place = self.known.rows, self.index.place
        seeing = self.predictions.seeing
        left = self.index.gold - seeing[place]
        return math.sqrt(float((rows.centred(seeing) ** 2).mean()) + float((left**2).mean()))

    @property
    def _reach(self) -> float:
        return self._predicted.trusted_kl

    def _carried(self, kl: float) -> bool:
        return super()._carried(kl) and self._unseen(kl) <= _UNSEEN

    def _unseen(self, kl: float) -> float:
        """Share of the gain's squared coefficients on samples without a label past the highest labels.

        Gold that turns there turns unseen, and the residuals at hand say nothing of it.
        """
        square = self._tilting(kl).coefficient ** 2
        return float(square[self._past].sum()) / max(float(square.sum()), 1e-300)

    @cached_property
    def _past(self) -> NDArray[np.bool_]:
        rows = self.known.rows
        place = rows.proxy if shared_levels(rows.proxy) else rows.centred(rows.proxy)
        highest = np.sort(place[self.index.place])[-_HIGHEST:][0]
        return np.asarray((place > highest) & np.isnan(self.known.gold))

    def _unchecked(self, kl: float) -> tuple[float, float]:
        """To the side where gold is that falls short of what the proxy predicts past the highest labels.

        Labels that miss the turn of gold show a gain that is high, and with residuals that are small.
        """
        moved = self.predictions.seeing - self.predictions.blind
        moved = (self._tilting(kl).coefficient * moved)[self._past]
        odds = len(self._past) / self.number - 1
        spread = math.sqrt(_WRONG * odds * float((moved**2).sum())) / self.known.rows.prompts
        reach = normal(self.proxy.settings.level) * spread
        return (reach, 0.0) if moved.sum() > 0 else (0.0, reach)

    def _lift(self, kl: float) -> float:
        tilted, found = self._tilting(kl), self._predicted
        read = found.path.at(found.readings.read.chosen[:1], np.array([[tilted.tilt]]))
        return float(read[0, 0]) - float(np.sort(tilted.gain(found.pairs.gold)).mean())

    def _off(self, kl: float) -> tuple[float, float]:
        bands = self._predicted.readings.bands
        if kl > bands.kl[-1] or not bands.corrected:  # past log M - 0.5 nats, or nothing corrected
            return math.inf, math.inf
        off = np.hypot(bands.off, bands.unlucky)
        below, above = bands.at(off, np.array([kl]))[:, 0].tolist()
        return below, above

    def _bent(self, kl: Floats) -> Floats:
        bands = self._predicted.readings.bands
        parts = np.stack([bands.signed_wrong, bands.bend, bands.unlucky[0]])
        wrong, bend, unlucky = bands.at(parts, kl)
        return np.stack([wrong, bend, np.hypot(unlucky, [self._unchecked(x)[0] for x in kl])])


def predicted_pairs(known: Known, predictions: Predictions) -> Pairs:
    """The proxy with predicted gold, as if every sample had been read."""
    from klimit.estimate.proxy.pairs import Pairs

    rows, size = known.rows, len(known.rows.proxy)
    names = (known.column.name, known.gold_name, "")
    return Pairs(
        rows.proxy, predictions.smooth, None, rows.lengths, known.ids, names, rows.prompts, size, 0, 0,
        0, 0,
    )  # fmt: skip
