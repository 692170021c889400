"""Gold predicted from the proxy, so that no label has a part in the prediction of its own sample.

Two predictions of every sample's gold: one that knows labels only (the mean of gold, moved to the
prompt by its other labels) and one that reads the proxy as well (a natural cubic spline of the
proxy within the prompt, the prompt's mean proxy, other columns if given; then moved and stretched
to the prompt by its other labels). The spline is fitted without the prompt that it predicts; the
prompt's own shift and stretch without the label that they predict. Both are ridge regressions, so
leaving out costs a small linear system a prompt.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np

from klimit.estimate.kernel import Floats
from klimit.estimate.labels.tilting import Rows
from klimit.estimate.samples import Integers

_KNOTS = (0.03, 0.2, 0.5, 0.8, 0.97)
_BENDING = (0.3, 3.0, 30.0, 300.0, 1e9)  # label equivalents by which a bend is held back
_BETWEEN = (1.0, 30.0, 1e9)
_HELD = 2.0
_OWN = (0.3, 1.0, 3.0, 10.0, 1e9)  # label equivalents by which a prompt's own shift is held back


@dataclass(frozen=True)
class Predictions:
    """Predicted gold of every sample, gold units.

    Attributes
    ----------
    blind : (samples,) from other labels alone
    seeing : (samples,) from the proxy and other labels
    blind_own, seeing_own : (samples,) the part of either that the prompt's own labels decide, which
        prompts without labels lack
    """

    blind: Floats
    seeing: Floats
    blind_own: Floats
    seeing_own: Floats

    @property
    def smooth(self) -> Floats:
        """(samples,) `seeing` without what a prompt's own labels add, which labels correct."""
        return np.asarray(self.seeing - self.seeing_own)


def predict(rows: Rows, gold: Floats, others: Floats, random: Floats | None = None) -> Predictions:
    """Predict every sample's gold.

    Parameters
    ----------
    gold : (samples,) NaN where not labelled
    random : (samples,) whether a label is at random. Only those move their prompt: of a pair that was
        chosen together each would move the other away, and what they share cancels as it is
    others : (columns, samples) further numbers that every sample has
    """
    labels = Labels.of(rows, gold)
    at_random = Labels.of(rows, gold if random is None else np.where(random, gold, np.nan))
    flat = np.ones((1, len(gold)))
    blind, _ = _left_out(labels, flat, np.zeros(1), labels.within_share(flat[:, labels.place]))
    blind_own = at_random.own(blind, np.zeros(len(gold)), stretch=False)
    columns, kinds = features(rows, others)
    ratio = labels.within_share(columns[:, labels.place])
    best: tuple[float, Floats] | None = None
    for bending, between in product(_BENDING, _BETWEEN):
        penalty = np.select([kinds == _BEND, kinds == _PROMPT], [bending, between], 0.3)
        penalty[kinds == _CONSTANT] = 0.0
        found, error = _left_out(labels, columns, penalty, ratio)
        if best is None or error < best[0]:
            best = error, found
    assert best is not None
    seeing = best[1]
    seeing_own = at_random.own(seeing, rows.centred(seeing), stretch=True)
    return Predictions(blind + blind_own, seeing + seeing_own, blind_own, seeing_own)


_CONSTANT, _LINE, _BEND, _PROMPT = range(4)


def features(rows: Rows, others: Floats) -> tuple[Floats, Integers]:
    """(columns, samples) constant, line, bends and prompt means of the proxy and other columns; kinds."""
    found, kinds = [np.ones(len(rows.proxy))], [_CONSTANT]
    for values in (rows.proxy, *others):
        inside = rows.centred(values)
        scale = float(np.sqrt(np.mean(rows.mean(inside**2))))
        if scale > 0:
            line = inside / scale
            found.append(line)
            kinds.append(_LINE)
            bends = _bends(line)
            found.extend(bends)
            kinds.extend([_BEND] * len(bends))
        means = rows.mean(values)
        spread = float(means.std())
        if spread > 1e-9 * max(scale, 1e-300):
            found.append(((means - means.mean()) / spread)[rows.prompt])
            kinds.append(_PROMPT)
    return np.stack(found), np.array(kinds)


def _bends(line: Floats) -> list[Floats]:
    """Natural cubic spline of a standardised number without its line, orthonormal over the samples."""
    knots = np.unique(np.quantile(line, _KNOTS))
    if len(knots) < 3:
        return []
    last = knots[-1]

    def hinge(knot: float) -> Floats:
        return np.asarray(
            (np.maximum(line - knot, 0) ** 3 - np.maximum(line - last, 0) ** 3) / (last - knot)
        )

    base = hinge(float(knots[-2]))
    bends = np.stack([hinge(float(knot)) - base for knot in knots[:-2]])
    plain = np.stack([np.ones(len(line)), line])
    bends = bends - np.linalg.lstsq(plain.T, bends.T, rcond=None)[0].T @ plain
    values, vectors = np.linalg.eigh(bends @ bends.T / len(line))
    good = values > 1e-6 * max(float(values[-1]), 1e-300)
    return list((vectors[:, good].T @ bends) / np.sqrt(values[good])[:, None])


@dataclass(frozen=True)
class Labels:
    """Where labels are, prompt after prompt.

    Attributes
    ----------
    rows : of all samples
    place : (labels,) index of the labelled sample
    gold : (labels,) gold units
    group : (labels,) index among the labelled prompts
    prompts : (groups,) index of each labelled prompt
    counts : (groups,) labels of each
    """

    rows: Rows
    place: Integers
    gold: Floats
    group: Integers
    prompts: Integers
    counts: Integers

    @classmethod
    def of(cls, rows: Rows, gold: Floats) -> Labels:
        """Labels of samples that stand prompt after prompt."""
        place = np.flatnonzero(~np.isnan(gold))
        prompts, group, counts = np.unique(
            rows.prompt[place], return_inverse=True, return_counts=True
        )
        return cls(rows, place, gold[place], group, prompts, counts)

    def sum(self, values: Floats) -> Floats:
        """(..., groups) sums over each labelled prompt."""
        starts = np.cumsum(self.counts) - self.counts
        return np.asarray(np.add.reduceat(values, starts, axis=-1))

    def within_share(self, columns: Floats) -> Floats:
        """(groups,) how much of a prompt's mean is its own offset: n q / (1 + n q), by moments.

        q is the variance of prompts' offsets over that of labels around them.
        """
        several = self.counts >= 2
        if several.sum() < 2:
            return np.zeros(len(self.counts))
        inside = self.gold - (self.sum(self.gold) / self.counts)[self.group]
        x = columns - (self.sum(columns) / self.counts)[:, self.group]
        inside = inside - _fit(x, inside) @ x
        free = float((self.counts - 1).sum()) - min(len(columns) - 1, 3)
        noise = float((inside**2).sum()) / max(free, 1.0)
        left = self.gold - _fit(columns, self.gold) @ columns
        means = self.sum(left) / self.counts
        offset = float((means**2).mean()) - noise * float((1 / self.counts).mean())
        if noise <= 0:
            return np.where(several, 1.0, 0.0)
        odds = self.counts * max(offset, 0.0) / noise
        return np.asarray(odds / (1 + odds))

    def own(self, predicted: Floats, line: Floats, *, stretch: bool) -> Floats:
        """(samples,) what to add for the prompt's own shift, and stretch of `line`, from its other labels.

        How far both are held back is chosen by how well left-out labels are predicted.
        """
        out = np.zeros(len(predicted))
        if self.counts.max(initial=0) < 2:
            return out
        left = self.gold - predicted[self.place]
        x = line[self.place]
        scale = float(np.sqrt((x**2).mean())) if stretch else 0.0
        x = x / scale if scale > 0 else x
        best: tuple[float, Floats, Floats, Floats] | None = None
        for shift, bend in product(_OWN, _OWN if scale > 0 else (1e9,)):
            a, b, leaving = self._own(left, x, shift, bend)
            error = float((leaving[self.counts[self.group] >= 2] ** 2).sum())
            if best is None or error < best[0] * (1 - 1e-9):
                best = error, a, b, leaving
        assert best is not None
        _, a, b, leaving = best
        at = np.zeros((2, self.rows.prompts))
        at[0, self.prompts], at[1, self.prompts] = a, b
        prompt = self.rows.prompt
        out = at[0, prompt] + at[1, prompt] * (line / scale if scale > 0 else 0.0)
        out[self.place] = left - leaving
        return np.asarray(out)

    def _own(
        self, left: Floats, x: Floats, shift: float, bend: float
    ) -> tuple[Floats, Floats, Floats]:
        """Shift and stretch of each prompt, and what is left of each label by those of the others."""
        n, sx, sxx = self.counts + shift, self.sum(x), self.sum(x * x) + bend
        sy, sxy = self.sum(left), self.sum(x * left)
        det = n * sxx - sx**2
        a, b = (sxx * sy - sx * sxy) / det, (n * sxy - sx * sy) / det
        g = self.group
        leverage = (sxx[g] - 2 * sx[g] * x + n[g] * x * x) / det[g]
        return a, b, (left - a[g] - b[g] * x) / (1 - leverage)


def left_out(labels: Labels, columns: Floats, penalty: Floats) -> tuple[Floats, float]:
    """(prompts, columns) slopes, each without the prompt's labels; mean squared error of labels.

    Parameters
    ----------
    columns : (columns, labels)
    penalty : (columns,) label equivalents
    """
    slopes = _without_own(labels, columns, penalty, np.zeros(len(labels.counts)))
    predicted = np.einsum("ij,ji->i", slopes[labels.prompts][labels.group], columns)
    return slopes, float(((labels.gold - predicted) ** 2).mean())


def _left_out(
    labels: Labels, columns: Floats, penalty: Floats, share: Floats
) -> tuple[Floats, float]:
    """(samples,) regression on the columns without the sample's own prompt; its mean squared error."""
    beta = _without_own(labels, columns[:, labels.place], penalty, share)
    predicted = np.einsum("ij,ji->i", beta[labels.rows.prompt], columns)
    error = float(((labels.gold - predicted[labels.place]) ** 2).mean())
    return predicted, error


def _without_own(labels: Labels, x: Floats, penalty: Floats, share: Floats) -> Floats:
    """(prompts, columns) slopes, each without the prompt's labels.

    Labels of a prompt share its offset, so they are weighed as a random offset demands; `share` is
    `Labels.within_share`.
    """
    y = labels.gold
    gram = labels.sum((x[:, None] * x[None]).reshape(-1, x.shape[1])).T.reshape(-1, len(x), len(x))
    cross = labels.sum(x * y).T
    means, mean = labels.sum(x).T, labels.sum(y)
    part = (share / labels.counts)[:, None]
    gram = gram - part[..., None] * means[:, :, None] * means[:, None]
    cross = cross - part * means * mean[:, None]
    gram_all, cross_all = gram.sum(axis=0), cross.sum(axis=0)
    jitter = np.diag(1e-10 * max(np.trace(gram_all), 1.0) / len(x) + penalty)
    whole = np.linalg.solve(gram_all + jitter, cross_all)
    without = np.linalg.solve(gram_all - gram + jitter, (cross_all - cross)[..., None])[..., 0]
    beta = np.tile(whole, (labels.rows.prompts, 1))
    beta[labels.prompts] = without
    return np.asarray(beta)


def tuned(
    labels: Labels, weight: Floats, y: Floats, x: Floats, *, seeing: bool
) -> tuple[Floats, Floats]:
    """(prompts,) shift c and power d in [0, 1] that leave least of ``y - c - d x``, weighted.

    Each is found without the prompt's own labels, and held at 0 and 1 by two labels' worth.
    """
    if not weight.sum() > 0:
        weight = np.ones(len(weight))
    x = x if seeing else np.zeros(len(y))
    terms = (weight, weight * x, weight * x * x, weight * y, weight * x * y)
    n, sx, sxx, sy, sxy = _others(labels, *terms)
    held, spread = _held(labels, weight, x)
    n, sxx, sxy = n + held, sxx + held * spread, sxy + held * spread
    det = n * sxx - sx**2
    flat = det <= 1e-12 * n * sxx
    d = np.clip((n * sxy - sx * sy) / np.where(flat, 1.0, det), 0.0, 1.0)
    d = np.where(flat, 0.0, d)
    out = np.zeros((2, labels.rows.prompts))
    out[1] = float(np.median(d))
    out[0, labels.prompts], out[1, labels.prompts] = (sy - d * sx) / n, d
    return out[0], out[1]


def tuned_power(labels: Labels, weight: Floats, x: Floats, *, seeing: bool) -> Floats:
    """(prompts,) power d in [0, 1] that leaves least of ``gold - d x``, weighted; as `tuned`."""
    if not seeing:
        return np.zeros(labels.rows.prompts)
    held, spread = _held(labels, weight, x)
    sxx, sxy = _others(labels, weight * x * x, weight * x * labels.gold) + held * spread
    d = np.clip(sxy / np.where(sxx > 0, sxx, 1.0), 0.0, 1.0)
    out = np.full(labels.rows.prompts, float(np.median(d)))
    out[labels.prompts] = d
    return out


def _others(labels: Labels, *values: Floats) -> Floats:
    """(values, groups) sums over the labels of all other prompts."""
    sums = labels.sum(np.stack(values))
    return np.asarray(sums.sum(axis=1, keepdims=True) - sums)


def _held(labels: Labels, weight: Floats, x: Floats) -> tuple[Floats, Floats]:
    """(groups,) what a typical heavy label of other prompts weighs, `_HELD` times; mean square of x."""
    square, whole, one, spread = _others(labels, weight**2, weight, np.ones(len(x)), x * x)
    return _HELD * square / np.maximum(whole, 1e-300), spread / np.maximum(one, 1.0)


def _fit(x: Floats, y: Floats) -> Floats:
    return np.asarray(np.linalg.lstsq(x.T, y, rcond=None)[0])
