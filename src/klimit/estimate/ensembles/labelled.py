"""Gold of few samples: its gain along every aggregate, by prediction, over the same samples.

Each aggregate is a proxy to `klimit.estimate.labels`: gold is predicted from it for every sample,
and labels correct what that gets wrong. Aggregates share samples, labels and their order, so that a
difference of two is one estimate of its own (`klimit.estimate.ensembles.blend`), with one
prediction for both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from klimit._estimate import Estimate, beyond
from klimit.estimate.ensembles.blend import Sum, add_up
from klimit.estimate.ensembles.gains import Course, Curve, course
from klimit.estimate.ensembles.moments import Moments, moments
from klimit.estimate.ensembles.panel import Panel
from klimit.estimate.ensembles.sizes import plugin_tilt, subsets
from klimit.estimate.inputs import RewardColumn
from klimit.estimate.kernel import Floats
from klimit.estimate.labels.designs import Design
from klimit.estimate.labels.few import FewLabels, predicted_pairs
from klimit.estimate.labels.minded import minding
from klimit.estimate.labels.prediction import Labels, Predictions, predict
from klimit.estimate.labels.reading import Known, proxy_frontier, read_known
from klimit.estimate.labels.tilting import Rows, Tilting, tilting
from klimit.estimate.labels.together import with_gold
from klimit.estimate.result import Frontier, Settings
from klimit.estimate.samples import Integers, collect

Terms = list[tuple[float, Tilting]]


@dataclass(frozen=True)
class LabelledCourse:
    """All samples of the panel in an order of their own, and the labels among them.

    Attributes
    ----------
    panel : the members
    order : (samples,) places in the panel, prompt after prompt
    known : the mean of the members as a proxy, labels, and what else differences are predicted from
    index, design : where labels are, and how they came about
    settings : of gold
    """

    panel: Panel
    order: Integers
    known: Known
    index: Labels
    design: Design
    settings: Settings

    @cached_property
    def limit(self) -> Frontier:
        """Gold's own frontier, from labelled samples alone: it needs gold of what it tilts.

        Labels that were chosen for another tilt are no draw of the base, and nowhere trusted.
        """
        found = course(self.panel, self.settings).limit
        return replace(found, bands=replace(found.bands, trusted_kl=0.0)) if self.chosen else found

    @property
    def chosen(self) -> bool:
        """Whether any label was chosen, and not at random."""
        return bool((self.design.round > 0).any())

    @property
    def told(self) -> str:
        """What gold is known of, in words."""
        return f"{len(self.index.place):,} answers"

    def along(self, values: Floats, name: str) -> FewLabels:
        """Gold along the tilt of an aggregate; `values` are (samples,) of the panel."""
        known = _as_proxy(self.known, self.panel, self.order, values, name)
        how = self.settings
        limit = proxy_frontier(known, prompts="drawn", level=how.level, seed=how.seed)
        index = replace(self.index, rows=known.rows)
        predictions = predict(known.rows, known.gold, known.others[:0], np.isnan(known.chance))
        return FewLabels(known, limit, index, self.design, predictions)

    def difference(self, first: FewLabels, second: FewLabels, kl: Floats) -> Estimate:
        """What one aggregate gains over another."""
        found = np.array([self._apart(first, second, at) for at in np.ravel(kl).tolist()])
        parts = found.T.reshape(4, *np.shape(kl))
        return self._estimate(parts, min(first.trusted_kl, second.trusted_kl))

    def _apart(self, first: FewLabels, second: FewLabels, kl: float) -> list[float]:
        if kl == 0 or first is second:
            return [0.0, 0.0, 0.0, 1.0]
        sure = all(few._sure(kl) for few in (first, second))
        curves = [self._curve(few).only(kl) for few in (first, second)]
        terms = [(1.0, first._tilting(kl)), (-1.0, second._tilting(kl))]
        return self._limits(self._sum(terms, curves[0] - curves[1]), sure)

    def sizes(
        self, members: Floats, singles: Sequence[FewLabels], whole: FewLabels, kl: float
    ) -> dict[int, tuple[Estimate, Estimate]]:
        """Gold gain of the mean of so many members, and what it gains over one.

        Subsets are tilted as their plug-in says, corrected as one member and all of them are.
        """
        number = len(members)
        edge = min(few.trusted_kl for few in (*singles, whole))
        sure = all(few._sure(kl) for few in (*singles, whole))
        ends = {
            1: _mean([few._tilting(kl) for few in singles]),
            number: _mean([whole._tilting(kl)]),
        }
        curves = {
            1: Curve.mean([self._curve(few).only(kl) for few in singles]),
            number: self._curve(whole).only(kl),
        }
        turned = {size: self._turned(terms, kl) for size, terms in ends.items()}
        found = {}
        for size in range(1, number + 1):
            near = (1 / size - 1 / number) / (1 - 1 / number)  # 1 at one member, 0 at all
            terms, curve = ends.get(size), curves.get(size)
            if terms is None or curve is None:
                factor = near * turned[1] + (1 - near) * turned[number]
                chosen = subsets(number, size, seed=self.settings.seed)
                means = [members[list(some)].mean(axis=0)[self.order] for some in chosen]
                terms = _mean([self._plain(values, kl, factor) for values in means])
                curve = self._between(terms, ends, curves, near)
            gain = self._limits(self._sum(terms, curve), sure)
            minus = [(-times, part) for times, part in ends[1]]
            more = [0.0, 0.0, 0.0, float(sure)]
            if size > 1:
                more = self._limits(self._sum([*terms, *minus], curve - curves[1]), sure)
            found[size] = self._estimate(gain, edge), self._estimate(more, edge)
        found[number] = whole.gold_gain(kl), found[number][1]  # as it is told elsewhere
        return found

    # ---- one prediction for all

    @cached_property
    def _predictions(self) -> Predictions:
        known = self.known
        return predict(known.rows, known.gold, known.others, np.isnan(known.chance))

    @cached_property
    def _predicted(self) -> Course:
        """Predicted gold as if it were gold, whose bias `klimit.hacking` corrects."""
        pairs = predicted_pairs(self.known, self._predictions)
        settings = replace(self.settings, reward_range=None, range_implied=False)
        return Course(np.arange(len(pairs.gold)), pairs, settings)

    @cached_property
    def _curves(self) -> dict[str, Curve]:
        return {}

    def _curve(self, few: FewLabels) -> Curve:
        """Predicted gold along one aggregate."""
        name = few.known.column.name
        if name not in self._curves:
            self._curves[name] = Curve.of(self._predicted.along(few.known.rows.proxy, name))
        return self._curves[name]

    def _sum(self, terms: Terms, curve: Curve) -> Sum:
        rows = self.known.rows
        return add_up(rows, terms, curve, self.index, self.design, self._predictions)

    def _limits(self, found: Sum, sure: bool) -> list[float]:
        """Value, low, high, and whether they are trusted."""
        return [*found.limits(self.settings.level), float(sure)]

    def _estimate(self, parts: Sequence[float] | Floats, edge: float) -> Estimate:
        """As it is where it is trusted; elsewhere without limits."""
        value, low, high, sure = np.asarray(parts, dtype=float)
        trusted = sure > 0
        low, high = np.where(trusted, low, -np.inf), np.where(trusted, high, np.inf)
        note = "" if np.all(trusted) else beyond(edge)
        level = self.settings.level
        return Estimate.of(value, low, high, level=level, trusted=trusted, note=note)

    # ---- means of fewer members

    def _turned(self, terms: Terms, kl: float) -> float:
        """The corrected tilt over that of the plug-in, mean over terms."""
        lengths = self.known.rows.lengths
        each = [part.tilt / plugin_tilt(part.rows.proxy, lengths, kl) for _, part in terms]
        return float(np.mean(each))

    def _plain(self, values: Floats, kl: float, factor: float) -> Tilting:
        lengths = self.known.rows.lengths
        return tilting(Rows.of(values, lengths), factor * plugin_tilt(values, lengths, kl))

    def _between(
        self, terms: Terms, ends: dict[int, Terms], curves: dict[int, Curve], near: float
    ) -> Curve:
        """What the correction of predicted gold would be, between that of one member and of all."""
        gold, first, last = self._predictions.smooth, min(ends), max(ends)
        share = {first: near, last: 1 - near}

        def own(some: Terms) -> float:
            return float(sum(times * np.sort(part.gain(gold)).mean() for times, part in some))

        lift = sum(share[end] * (float(curves[end].value[0]) - own(ends[end])) for end in ends)
        return curves[last].blended(curves[first], near, value=np.array([own(terms) + lift]))


def labelled_course(
    found: Panel, settings: Settings, beside: Sequence[Floats] = ()
) -> LabelledCourse:
    """Prompts in an order by their rewards alone, with chances of labels where they are known.

    Parameters
    ----------
    beside : (samples,) of the panel each, from which gold is predicted too where aggregates are compared
    """
    assert found.gold is not None
    prompts = moments(found, with_gold=False).order()
    starts = np.cumsum(found.lengths) - found.lengths
    order = np.concatenate(
        [np.arange(starts[p], starts[p] + found.lengths[p]) for p in prompts.tolist()]
    )
    read = read_known(found.base, found.names[0], found.gold_name, seed=settings.seed)
    given = found.grouped.columns[found.gold_name]
    chance, round_ = np.full(len(given), np.nan), np.zeros(len(given), dtype=np.int64)
    chance[read.origin], round_[read.origin] = read.chance, read.round
    origin = found.origin[order]
    known = replace(
        read, rows=Rows.of(np.zeros(len(order)), found.lengths[prompts]), gold=found.gold[order],
        chance=chance[origin], round=round_[origin], origin=origin,
        others=np.array([x[order] for x in beside]).reshape(len(beside), len(order)),
        ids=[found.ids[p] for p in prompts.tolist()],
        lost=int((~np.isnan(given)).sum()) - found.labelled,
    )  # fmt: skip
    known = minding(_as_proxy(known, found, order, found.members.mean(axis=0), "mean"))
    index = Labels.of(known.rows, known.gold)
    design = Design.of(index, known.chance[index.place], known.round[index.place])
    return LabelledCourse(found, order, known, index, design, settings)


def weighed_moments(track: LabelledCourse) -> Moments:
    """Covariances of all samples where labels were chosen: those of such labels alone are no draw's."""
    rows = track.known.rows
    members = np.array([rows.centred(row) for row in track.panel.members[:, track.order]])
    together, gold = with_gold(track.index, track.design, track._predictions, members)
    size, spare = len(members), np.maximum(rows.lengths - 1, 1)
    out = np.empty((rows.prompts, size + 1, size + 1))
    for i in range(size):
        out[:, i, :size] = (rows.sum(members[i] * members) / spare).T
    out[:, size, :size] = out[:, :size, size] = together.T
    out[:, size, size] = gold
    return Moments(track.index.prompts, out, True)


def _as_proxy(known: Known, found: Panel, order: Integers, values: Floats, name: str) -> Known:
    """The same samples and labels with another proxy."""
    lengths, grouped = known.rows.lengths, found.grouped
    everywhere = np.full(int(np.sum(grouped.lengths)), np.nan)
    everywhere[found.origin] = values
    return replace(
        known, rows=Rows.of(values[order], lengths), samples=collect(values[order], lengths),
        whole=RewardColumn(everywhere, grouped.lengths, grouped.ids, name, {}),
        column=RewardColumn(values[order], lengths, known.ids, name, {}),
    )  # fmt: skip


def _mean(parts: Sequence[Tilting]) -> Terms:
    return [(1 / len(parts), part) for part in parts]
