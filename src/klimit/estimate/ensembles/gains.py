"""Gold gain along the tilt of every aggregate, all of them over the same groups of prompts.

Each aggregate is a proxy to `klimit.hacking`'s estimator. They share prompts, groups and gold's
frontier, so that what a group of prompts moves one by can be set against what it moves another by.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from klimit._estimate import Estimate, beyond
from klimit.estimate.ensembles.moments import moments
from klimit.estimate.ensembles.panel import Panel
from klimit.estimate.kernel import Floats
from klimit.estimate.proxy.bands import two_sided
from klimit.estimate.proxy.checks import check_varies
from klimit.estimate.proxy.pairs import Pairs
from klimit.estimate.proxy.result import Hacking
from klimit.estimate.proxy.verb import along, in_order
from klimit.estimate.result import Frontier, Settings
from klimit.estimate.samples import Integers, shown

_PAST = 2.0  # nats past the last node: no gold is read further on


@dataclass(frozen=True)
class Course:
    """Prompts with gold in an order of their own.

    Attributes
    ----------
    rows : (labelled samples,) their places in the panel, prompt after prompt
    pairs : with gold; the proxy is filled in by `along`
    """

    rows: Integers
    pairs: Pairs
    settings: Settings

    @cached_property
    def limit(self) -> Frontier:
        """Gold's frontier over the same prompts."""
        return in_order(self.pairs, self.pairs.gold, self.settings)

    @property
    def told(self) -> str:
        """What gold is known of, in words."""
        return f"{int(self.pairs.lengths.min()):,} or more answers a prompt"

    def along(self, values: Floats, name: str) -> Hacking:
        """Gold along the tilt of an aggregate; `values` are (samples,) of the panel."""
        names = (name, *self.pairs.names[1:])
        check_varies(values[self.rows], self.pairs.lengths, name)
        return along(replace(self.pairs, proxy=values[self.rows], names=names), self.settings)

    def difference(self, first: Hacking, second: Hacking, kl: Floats) -> Estimate:
        """What one aggregate gains over another, paired by prompt."""
        return (Curve.of(first) - Curve.of(second)).at(kl)

    def sizes(
        self, members: Floats, singles: Sequence[Hacking], whole: Hacking, kl: float
    ) -> dict[int, tuple[Estimate, Estimate]]:
        """Gold gain of the mean of so many members, and what it gains over one."""
        from klimit.estimate.ensembles.sizes import by_size

        curves = by_size(
            members[:, self.rows], self.pairs, kl, [Curve.of(one) for one in singles], Curve.of(whole),
            seed=self.settings.seed,
        )  # fmt: skip
        place = np.asarray(kl)
        found = {k: (curve.at(place), (curve - curves[1]).at(place)) for k, curve in curves.items()}
        found[len(members)] = whole.gold_gain(kl), found[len(members)][1]  # as it is told elsewhere
        return found


def course(found: Panel, settings: Settings) -> Course:
    """Prompts with two gold labels or more, shuffled by the seed and by nothing of the file."""
    assert found.gold is not None
    seen = moments(found, with_gold=True)
    rng = np.random.default_rng([settings.seed, len(seen.prompts)])
    order = seen.prompts[seen.order()[rng.permutation(len(seen.prompts))]]
    there = np.flatnonzero(~np.isnan(found.gold))
    place = np.empty(len(found.lengths), dtype=np.int64)
    place[order] = np.arange(len(order))
    there = there[np.isin(found.prompt[there], order)]
    rows = there[np.argsort(place[found.prompt[there]], kind="stable")]
    gold = found.gold[rows]
    lengths = shown(~np.isnan(found.gold), found.lengths)[order]
    unknown = len(found.gold) - len(rows)
    pairs = Pairs(
        gold, gold, None, lengths, [found.ids[i] for i in order.tolist()],
        ("", found.gold_name, ""), found.total, len(found.gold), unknown, 0, unknown, 0,
    )  # fmt: skip
    return Course(rows, pairs, settings)


@dataclass(frozen=True)
class Curve:
    """Gold gain over KL as a combination of estimates over the same groups of prompts.

    Attributes
    ----------
    kl : (nodes,) nats
    value : (nodes,) gold gain
    moves : (groups, nodes) what each group of prompts moves it by
    wrong : (nodes,) how far corrections may be off, to either side
    bend : (nodes,) how far gold may bend on, to the side of its sign
    signed : (nodes,) the same with the sign of the correction, for differences
    trusted_kl : nats
    """

    kl: Floats
    value: Floats
    moves: Floats
    wrong: Floats
    bend: Floats
    signed: Floats
    quantile: float
    trusted_kl: float
    level: float

    @classmethod
    def of(cls, hack: Hacking) -> Curve:
        """The gold gain of one proxy."""
        bands = hack.readings.bands
        return cls(
            bands.kl, bands.value, bands.moves, bands.wrong, bands.bend, bands.signed_wrong,
            bands.quantile, bands.trusted_kl, hack.settings.level,
        )  # fmt: skip

    def within(self, kl: Floats) -> Floats:
        """Budgets, no further than gold is read."""
        return np.asarray(np.minimum(kl, self.kl[-1] + _PAST))

    def only(self, kl: float) -> Curve:
        """The same at one budget alone."""
        at, names = self.within(np.array([kl])), ("value", "wrong", "bend", "signed")
        rest: dict[str, Any] = {name: self._between(getattr(self, name), at) for name in names}
        moves = np.stack([self._between(row, at) for row in self.moves])
        return replace(self, kl=at, moves=moves, **rest)

    @classmethod
    def mean(cls, curves: Sequence[Curve]) -> Curve:
        """The mean of several."""
        return _combined(curves, lambda parts: np.mean(parts, axis=0))

    def blended(self, other: Curve, share: float, *, value: Floats) -> Curve:
        """So much of another and the rest of this, with a value of its own."""
        found = _combined((self, other), lambda x: share * x[1] + (1 - share) * x[0])
        return replace(found, value=value)

    def __sub__(self, other: Curve) -> Curve:
        """What this gains more: the same prompts are in both.

        What corrections miss of either is taken to hang together as what groups of prompts move.
        """
        sizes = [(curve.moves**2).sum(axis=0) for curve in (self, other)]
        product = np.sqrt(sizes[0] * sizes[1])
        shared = (self.moves * other.moves).sum(axis=0) / np.where(product > 0, product, 1.0)
        apart = np.sqrt(2 * np.clip(1 - shared, 0.0, 1.0) * self.wrong * other.wrong)
        found = _combined((self, other), lambda parts: parts[0] - parts[1])
        return replace(found, wrong=np.hypot(found.signed, apart))

    def at(self, kl: Floats) -> Estimate:
        """The estimate at budgets of any shape; untrusted it has no limits."""
        error = self.quantile * np.sqrt((self.moves**2).sum(axis=0))
        sides = np.hypot(error, two_sided(self.wrong, self.bend))
        trusted = kl <= self.trusted_kl * (1 + 1e-9)
        below, above = (
            np.where(trusted | (kl == 0), self._between(side, kl), np.inf) for side in sides
        )
        value = self._between(self.value, kl)
        note = "" if np.all(trusted) else beyond(self.trusted_kl)
        return Estimate.of(
            value, value - below, value + above, level=self.level, trusted=trusted, note=note
        )

    def _between(self, values: Floats, kl: Floats) -> Floats:
        """Between nodes; all of these go by the root of the KL towards 0 nats, and a little past the last."""
        root, kl = np.sqrt(self.kl), self.within(kl)
        return np.interp(np.sqrt(kl), root, values / root) * np.sqrt(kl)


def _combined(curves: Sequence[Curve], how: Callable[[list[Floats]], Floats]) -> Curve:
    """One curve of several, number by number."""
    names = ("value", "moves", "wrong", "bend", "signed")
    parts: dict[str, Any] = {
        name: how([getattr(curve, name) for curve in curves]) for name in names
    }
    return replace(curves[0], trusted_kl=min(curve.trusted_kl for curve in curves), **parts)
