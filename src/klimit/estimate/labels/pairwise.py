"""Win rate of the tilted policy over a base draw, from judged pairs of base samples.

With q_ij the chance that sample i is preferred to j (ties half), the tilted policy's win rate over a
draw of the base is ``1/2 + sum over pairs of B_ij (q_ij - 1/2)`` with
``B_ij = (e_i - e_j) / ((M - 1) S)``, ``e = exp(t r)`` and S their sum: only pairs that the tilt weighs
unequally count. Its delete-one jackknife is linear in q as well. What q is on the other pairs is
predicted from both proxies by a function that changes its sign with their order, fitted without the
prompt's own judgements; judged residuals then correct it as in `powered`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from klimit.estimate.kernel import Floats
from klimit.estimate.labels.designs import inverse_to
from klimit.estimate.labels.judged import Judgements
from klimit.estimate.labels.powered import Powered, between_prompts, effective_number, ratio
from klimit.estimate.labels.prediction import Labels, features, left_out, tuned_power
from klimit.estimate.labels.tilting import FEWEST, Rows, Tilting
from klimit.estimate.samples import Integers

_SCALES = (0.5, 2.0)  # of the proxy's difference, in standard deviations, inside the tanh
_HOLDS = (0.3, 3.0, 30.0, 1e9)


@dataclass(frozen=True)
class Pairing:
    """Judgements with what predicts them.

    Attributes
    ----------
    judgements : the judged pairs
    labels : places of the first samples, to sum over prompts; `gold` is ``won - 1/2``
    singles : (columns, samples) numbers whose differences predict
    scale : standard deviation of the proxy within prompts
    slopes : (prompts, columns) of the prediction, each without the prompt's own judgements
    """

    judgements: Judgements
    labels: Labels
    singles: Floats
    scale: float
    slopes: Floats

    @classmethod
    def of(cls, judgements: Judgements) -> Pairing:
        """Fit the prediction."""
        rows = judgements.known.rows
        columns, kinds = features(rows, judgements.known.others)
        singles = columns[(kinds == 1) | (kinds == 2)]
        prompt = rows.prompt[judgements.first]
        prompts, group, counts = np.unique(prompt, return_inverse=True, return_counts=True)
        labels = Labels(rows, judgements.first, judgements.won - 0.5, group, prompts, counts)
        scale = float(np.sqrt(rows.mean(rows.centred(rows.proxy) ** 2).mean())) or 1.0
        x = pair_columns(rows.proxy / scale, singles, judgements.first, judgements.second)
        best: tuple[float, Floats] | None = None
        for hold in _HOLDS:
            penalty = np.full(len(x), hold)
            penalty[0] = 0.3
            slopes, error = left_out(labels, x, penalty)
            if best is None or error < best[0]:
                best = error, slopes
        assert best is not None
        return cls(judgements, labels, singles, scale, best[1])

    def at(self, tilted: Tilting, *, seeing: bool = True) -> Powered:
        """Win rate less one half, at a tilt."""
        rows, labels, judged = tilted.rows, self.labels, self.judgements
        x = pair_columns(rows.proxy / self.scale, self.singles, judged.first, judged.second)
        predicted = np.einsum("ij,ji->i", self.slopes[rows.prompt[judged.first]], x)
        coefficient = pair_coefficient(tilted, judged.first, judged.second)
        times, noise = self._weights(coefficient, rows)
        power = tuned_power(labels, (coefficient * times) ** 2, predicted, seeing=seeing)
        residual = labels.gold - power[rows.prompt[judged.first]] * predicted
        share = coefficient * times * residual
        gains = np.bincount(rows.prompt[judged.first], share, minlength=rows.prompts)
        cluster = gains.copy()
        slope = float((_pair_slope(tilted, judged.first, judged.second) * times * residual).sum())
        inside, third, correction = np.zeros(rows.prompts), 0.0, 0.0
        for prompt in range(rows.prompts):
            part = self._prompt(tilted, prompt, power[prompt] * self.slopes[prompt])
            gains[prompt] += part.value
            slope += part.slope
            correction += part.value - part.plain
            moves = (
                (part.without - part.without.mean()) * (len(part.without) - 1) / len(part.without)
            )
            inside[prompt] = float((moves**2).sum()) * len(moves) / max(len(moves) - 1, 1)
            third -= float((moves**3).sum())
        prompts = rows.prompts
        spent = tilted.spending * prompts
        slope = slope / spent if spent > 0 else 0.0
        typical = float((residual**2).mean())
        spread = max(typical * noise, float((cluster**2).sum()))
        fixed = float(inside.sum()) + spread
        doubt = float((2 * inside**2 / np.maximum(rows.lengths - 1, 1)).sum())
        doubt += 2 * spread**2 / max(len(labels.prompts) - 1, 1)
        effects = gains - slope * tilted.kl
        drawn, freedom = between_prompts(effects)
        steady, free = between_prompts(effects - cluster)
        steady += spread / prompts**2
        if steady > drawn:
            drawn, freedom = steady, free
        return Powered(
            gain=float(np.sort(gains).mean()), drawn=drawn, fixed=fixed / prompts**2,
            freedom_drawn=freedom, freedom_fixed=max(2 * fixed**2 / doubt, 1.0),
            skew_fixed=ratio(third + float((cluster**3).sum()), fixed**1.5),
            labels=spread / prompts**2, samples=float(inside.sum()) / prompts**2,
            effects=effects, effective=effective_number(coefficient * times),
            correction=correction / prompts,
        )  # fmt: skip

    def _weights(self, coefficient: Floats, rows: Rows) -> tuple[Floats, float]:
        """How many pairs each judgement stands for; sum over all pairs of ``B^2`` times that."""
        judged, labels = self.judgements, self.labels
        random = judged.round == 0
        counts = np.bincount(labels.group[random], minlength=len(labels.counts))
        chosen = max(int((counts > 0).sum()) / rows.prompts, 1e-300)
        pairs = rows.lengths * (rows.lengths - 1) / 2
        even = (pairs[labels.prompts] / np.maximum(counts, 1))[labels.group] / chosen
        times = np.where(random, even, 1 / np.where(random, 1.0, judged.chance))
        rounds = np.unique(judged.round)
        each = [((coefficient * times) ** 2)[judged.round == one].sum() for one in rounds]
        share = inverse_to(np.array(each))
        share = (share / share.sum())[np.searchsorted(rounds, judged.round)]
        own = times * share
        return own, float(((coefficient * own) ** 2).sum())

    def _prompt(self, tilted: Tilting, prompt: int, slopes: Floats) -> _Part:
        """Predicted win rate of one prompt, with and without each of its samples."""
        rows = tilted.rows
        here = slice(rows.starts[prompt], rows.starts[prompt] + rows.lengths[prompt])
        e, r = tilted.weight[here], rows.proxy[here] / self.scale
        total, rest, count = (
            float(tilted.total[prompt]),
            tilted.rest[here],
            int(rows.lengths[prompt]),
        )
        single = slopes[len(_SCALES) :] @ self.singles[:, here]
        gap = r[:, None] - r
        matrix = single[:, None] - single
        for weight, scale in zip(slopes, _SCALES, strict=False):
            matrix += weight * np.tanh(scale * gap)
        sums, tilts = matrix.sum(axis=1), matrix @ e
        whole = float(e @ sums)
        without = (whole - e * sums + tilts) / (max(count - 2, 1) * rest)
        plain = whole / ((count - 1) * total)
        value = count * plain - (count - 1) * float(without.mean()) if count >= FEWEST else plain
        mean = float(e @ r) / total
        slope = float((e * (r - mean)) @ sums) / ((count - 1) * total) * self.scale
        return _Part(value, plain, slope, without)


@dataclass(frozen=True)
class _Part:
    """What is predicted of one prompt: corrected, plain, its derivative in the tilt, without samples."""

    value: float
    plain: float
    slope: float
    without: Floats


def pair_columns(proxy: Floats, singles: Floats, first: Integers, second: Integers) -> Floats:
    """(columns, pairs) numbers that change sign with the order of the pair."""
    gap = proxy[first] - proxy[second]
    bounded = [np.tanh(scale * gap) for scale in _SCALES]
    return np.concatenate([np.stack(bounded), singles[:, first] - singles[:, second]])


def pair_coefficient(tilted: Tilting, first: Integers, second: Integers) -> Floats:
    """B of these pairs, with the jackknife's correction where a prompt has 4 samples or more."""
    rows = tilted.rows
    prompt = rows.prompt[first]
    count = rows.lengths[prompt].astype(float)
    total, inverse = tilted.total[prompt], 1 / tilted.rest
    others = rows.sum(inverse)[prompt] - inverse[first] - inverse[second]
    plain = 1 / ((count - 1) * total)
    corrected = count * plain - (count - 1) / count * others / np.maximum(count - 2, 1)
    factor = np.where(count >= FEWEST, corrected, plain)
    return np.asarray((tilted.weight[first] - tilted.weight[second]) * factor)


def _pair_slope(tilted: Tilting, first: Integers, second: Integers) -> Floats:
    """Derivative of B in the tilt, uncorrected."""
    rows = tilted.rows
    share = tilted.weight / tilted.total[rows.prompt]
    mean = rows.sum(share * rows.proxy)
    moved = share * (rows.proxy - mean[rows.prompt])
    return np.asarray((moved[first] - moved[second]) / (rows.lengths[rows.prompt[first]] - 1))
