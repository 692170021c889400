"""Gold known of some samples: the answer of `klimit.hacking` where gold is missing for many."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from klimit._estimate import Estimate
from klimit.estimate.checks import check_seed, whole
from klimit.estimate.kernel import Floats
from klimit.estimate.labels.choosing import choose
from klimit.estimate.labels.designs import Design
from klimit.estimate.labels.next import frame_of
from klimit.estimate.labels.powered import Powered, powered
from klimit.estimate.labels.prediction import Labels, Predictions
from klimit.estimate.labels.reading import Known
from klimit.estimate.labels.result import Sparse, quantile
from klimit.estimate.labels.spread import squares
from klimit.estimate.result import Frontier

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True, repr=False)
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

    @property
    def correlation(self) -> Estimate:
        """Correlation of proxy and gold within prompts, from the labels."""
        return correlation(self.index, self.known.rows.proxy, self.proxy.settings.level)

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
    def _line(self) -> float:
        """Slope of predicted gold on the proxy within prompts."""
        rows = self.known.rows
        proxy = rows.centred(rows.proxy)
        return float((proxy * self.predictions.seeing).sum() / max((proxy**2).sum(), 1e-300))

    @cached_property
    def _spread(self) -> float:
        """Standard deviation of gold within prompts, as far as labels and predictions show it."""
        rows, place = self.known.rows, self.index.place
        seeing = self.predictions.seeing
        left = self.index.gold - seeing[place]
        return math.sqrt(float((rows.centred(seeing) ** 2).mean()) + float((left**2).mean()))

    def _lift(self, kl: float) -> float:
        """What the part of gold that is linear in the proxy gains beyond the jackknife.

        The proxy's own frontier has a better correction than a jackknife, and shows what that lacks.
        """
        tilted = self._tilting(kl)
        own = float(np.sort(tilted.gain(self.known.rows.proxy)).mean())
        return self._line * (float(self.proxy.curve.at_kl(kl).gain) - own)


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
    reach = quantile(level, np.inf) / math.sqrt(free - 1)
    middle = math.atanh(float(np.clip(found, -1 + 1e-9, 1 - 1e-9)))
    return Estimate(found, math.tanh(middle - reach), math.tanh(middle + reach), level)
