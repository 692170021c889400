"""One tilt: predictions tuned to it, the prediction-powered gain, and where its variance comes from.

Write A_j for the coefficients of gold in the gain of a prompt (`tilting`), h_j for the prediction of
g_j, and v_j for the inverse chance that sample j was labelled (0 if it was not). Then
``sum_j A_j y_j`` with the pseudo-gold ``y_j = h_j + v_j (g_j - h_j)`` has the same mean as the gain
with all gold known, whatever h is, because no h_j depends on whether j was labelled
(prediction-powered inference, arXiv 2301.09633; its power tuning, arXiv 2311.01453).

h is a mixture ``blind + d (seeing - blind) + c`` whose c and d minimise the variance that labels add,
``sum A_j^2 v_j (v_j - 1) (g_j - h_j)^2`` over labels, on other prompts; d lies in [0, 1]. With d = 0
it uses labels alone, so prediction never hurts for long.

The tilt is the one at which the proxy spends the KL that is asked for, and prompts that spend more of
it move it: with s the gain of one more nat, a prompt counts with ``sum_j A_j y_j - s KL``. How these
differ between prompts is the variance for the population of prompts. For these very prompts it is
the sum of what samples vary within them (delete-one values) and what labels vary.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from klimit.estimate.kernel import Floats
from klimit.estimate.labels.designs import Design, Weighing
from klimit.estimate.labels.prediction import Labels, Predictions, tuned
from klimit.estimate.labels.spread import squares
from klimit.estimate.labels.tilting import Tilting


@dataclass(frozen=True)
class Powered:
    """A gain, and its variance.

    Attributes
    ----------
    gain : gold units, mean over prompts
    drawn, fixed : squared standard error, for the prompts' population and for these very prompts
    freedom_drawn, freedom_fixed : degrees of freedom of both
    skew_fixed : skewness of the gain as an estimate for these very prompts
    labels : the part of both that comes from samples without a label
    samples : the part that comes from which samples were drawn, were all of them labelled
    effects : (prompts,) what each prompt counts with
    effective : how many labels of equal weight carry the gain
    correction : what the correction of bias moved a win rate; 0 for gold, whose is known elsewhere
    """

    gain: float
    drawn: float
    fixed: float
    freedom_drawn: float
    freedom_fixed: float
    skew_fixed: float
    labels: float
    samples: float
    effects: Floats
    effective: float
    correction: float = 0.0


def powered(
    tilted: Tilting, labels: Labels, design: Design, predictions: Predictions, *,
    seeing: bool = True,
) -> Powered:  # fmt: skip
    """The prediction-powered gain at a tilt; without the proxy's prediction if not `seeing`.

    How gold lies around its mean given the proxy is read from the proxy's prediction in either case: what
    moves with the proxy is known of every sample, and varies with the KL that is spent.
    """
    rows = tilted.rows
    weighing = design.weigh(tilted.coefficient[labels.place])
    fitted = _fitted(tilted, labels, design, weighing, predictions, seeing=seeing)
    best = fitted if seeing else _fitted(tilted, labels, design, weighing, predictions, seeing=True)
    gains, slope = tilted.gain(fitted.pseudo), tilted.per_nat(best.pseudo)
    inside, third = _inside(tilted, best.gold, slope)
    noise = float((tilted.coefficient**2 * best.square).sum())
    parts = _label_parts(tilted.coefficient, fitted, best, labels, design, weighing)
    prompts, spare = rows.prompts, np.maximum(rows.lengths - 1, 1)
    fixed = float(inside.sum()) + noise + parts.total
    doubt = float((2 * inside**2 / spare).sum()) + parts.doubt
    lacking = fitted.pseudo - fitted.gold + fitted.own  # what prompts without labels have not
    effects = gains - slope * tilted.kl + _shared(tilted.gain(lacking), labels, design)
    drawn, freedom = between_prompts(effects)
    plain = tilted.gain(best.gold) - slope * tilted.kl
    known = plain if design.chosen == 1 else plain[labels.prompts]  # others lack what is their own
    steady, free = between_prompts(known)
    steady = steady * len(known) / prompts + (noise + parts.total) / prompts**2
    if steady > drawn:
        drawn, freedom = steady, free
    return Powered(
        gain=float(np.sort(gains).mean()), drawn=drawn, fixed=fixed / prompts**2, freedom_drawn=freedom,
        freedom_fixed=max(2 * fixed**2 / doubt, 1.0) if doubt > 0 else np.inf,
        skew_fixed=ratio(third + parts.third, fixed**1.5),
        labels=parts.total / prompts**2, samples=(float(inside.sum()) + noise) / prompts**2,
        effects=effects,
        effective=_effective(tilted.coefficient, labels, design, weighing),
    )  # fmt: skip


@dataclass(frozen=True)
class _Fitted:
    """Predictions tuned to a tilt.

    Attributes
    ----------
    gold, own : (samples,) predicted gold, and the part of it that the prompt's own labels decide
    pseudo : (samples,) predicted gold, corrected where there are labels
    expected : (samples,) predicted gold, moved to where labels leave no residual on average
    residual : (labels,) gold less that
    square : (samples,) its expected square
    """

    gold: Floats
    own: Floats
    pseudo: Floats
    expected: Floats
    residual: Floats
    square: Floats


def _fitted(
    tilted: Tilting, labels: Labels, design: Design, weighing: Weighing, predictions: Predictions, *,
    seeing: bool,
) -> _Fitted:  # fmt: skip
    rows, place = tilted.rows, labels.place
    blind, more = predictions.blind, predictions.seeing - predictions.blind
    weight = tilted.coefficient[place] ** 2 * weighing.excess
    c, d = tuned(labels, weight, labels.gold - blind[place], more[place], seeing=seeing)
    gold = blind + d[rows.prompt] * more
    own = predictions.blind_own + d[rows.prompt] * (predictions.seeing_own - predictions.blind_own)
    expected = gold + c[rows.prompt]
    residual = labels.gold - expected[place]
    pseudo = gold + (1 / design.chosen - 1) * own  # it stands for prompts without labels too
    pseudo[place] += weighing.times * residual
    return _Fitted(gold, own, pseudo, expected, residual, squares(rows, place, residual))


def _shared(lacking: Floats, labels: Labels, design: Design) -> Floats:
    """(prompts,) moves, of mean 0, of what labels add on average from prompts with labels to all.

    How many prompts have labels is no chance of theirs: without this, each would be taken to have or
    lack the mean of what labels add.
    """
    if design.chosen == 1:
        return np.zeros(len(lacking))
    there = np.zeros(len(lacking), dtype=bool)
    there[labels.prompts[labels.group[design.round == 0]]] = True
    return np.asarray(lacking[there].mean() * (design.chosen - there))


def _inside(tilted: Tilting, gold: Floats, slope: float) -> tuple[Floats, float]:
    """(prompts,) squared error of each prompt's gain from which samples were drawn; its third moment."""
    rows = tilted.rows
    without = tilted.gain_without(gold) - slope * tilted.kl_without
    moves = -rows.centred(without)
    spare = (rows.lengths - 1) / rows.lengths
    third = float((rows.sum(moves**3) * spare**3).sum())
    return np.asarray(rows.sum(moves**2) * spare), third


def between_prompts(effects: Floats) -> tuple[float, float]:
    """Squared error of the mean of prompts, and its degrees of freedom by the fourth moment."""
    prompts = len(effects)
    moves = np.sort(effects) - np.sort(effects).mean()
    total = float((moves**2).sum())
    fourth = float((moves**4).sum()) - total**2 / prompts
    freedom = 2 * total**2 / fourth if fourth > 0 else prompts - 1.0
    return total / (prompts - 1) / prompts, float(np.clip(freedom, 1, prompts - 1))


def _effective(coefficient: Floats, labels: Labels, design: Design, weighing: Weighing) -> float:
    """How many labels of equal weight carry the gain.

    Of labels at random, as is expected of such labels: which of them happened to fall on heavy samples
    says nothing of how well labels like these carry it.
    """
    rows, random = labels.rows, design.round == 0
    number = np.bincount(labels.group[random], minlength=len(labels.counts))
    sums = np.bincount(labels.group[random], weighing.own[random], len(labels.counts))
    times, chance = sums / np.maximum(number, 1), number / rows.lengths[labels.prompts]
    chosen = (coefficient[labels.place] * weighing.own)[~random]
    square, fourth = (
        float((chance * times**power * rows.sum(coefficient**power)[labels.prompts]).sum())
        + float((chosen**power).sum())
        for power in (2, 4)
    )
    return square**2 / fourth if fourth > 0 else float(len(labels.place))


def effective_number(weights: Floats) -> float:
    """How many equal numbers have a sum of squares as unsure as these, (sum w^2)^2 / sum w^4."""
    square = weights**2
    fourth = float((square**2).sum())
    return float(square.sum()) ** 2 / fourth if fourth > 0 else float(len(weights))


def ratio(part: float, whole: float) -> float:
    """A quotient; 0 where there is nothing to divide by."""
    return part / whole if whole > 0 else 0.0


@dataclass(frozen=True)
class _LabelParts:
    """Moments of sums over prompts that labels add: variance, its squared error, third moment."""

    total: float
    doubt: float
    third: float


def _label_parts(
    coefficient: Floats, fitted: _Fitted, best: _Fitted, labels: Labels, design: Design,
    weighing: Weighing,
) -> _LabelParts:  # fmt: skip
    """What the unlabelled samples leave open.

    Labels at random enter by the square that is expected of the `best` residuals, or as these are where
    that is more, and by what lies between that prediction and the one that is used: which labels
    were drawn varies it around the prompt's mean. Those that were chosen in pairs enter pair by pair:
    what a pair shares cancels.
    """
    random, rows, residual = design.round == 0, labels.rows, fitted.residual
    everywhere = rows.sum(coefficient**2 * best.square)
    between = coefficient * (best.expected - fitted.expected)
    level = rows.mean(between)[rows.prompt[labels.place]]
    between = rows.sum(rows.centred(between) ** 2)
    moved = rows.sum(coefficient * fitted.own)[labels.prompts]
    coefficient, square = coefficient[labels.place], fitted.square[labels.place]
    weight = (coefficient**2 * weighing.excess)[random]
    seen, expected = residual[random] ** 2, square[random]
    total, doubt, third = 0.0, 0.0, 0.0
    if len(seen):
        prompt = rows.prompt[labels.place[random]]
        each = np.bincount(prompt, weighing.excess[random], rows.prompts) / rows.lengths
        modelled = float((each * everywhere).sum())
        total = max(modelled, float((weight * best.residual[random] ** 2).sum()))
        total += float((each * between).sum())
        shape = float((seen**2).sum() / max((expected**2).sum(), 1e-300))
        doubt = max(shape - 1, 0.5) * total**2 / len(seen)
        third = float(((weighing.own * (coefficient * residual - level))[random] ** 3).sum())
    share = coefficient * residual * weighing.own
    if design.chosen < 1:
        parts = np.bincount(labels.group, share * design.chosen * random) + moved
        inside = np.bincount(labels.group, (share * design.chosen) ** 2 * random)
        there = np.bincount(labels.group, random) > 0
        free = int(there.sum()) - 1
        apart = float(parts[there].var(ddof=min(free, 1))) - float(inside[there].mean())
        apart = max(apart, 0.0) * (1 - design.chosen) / (free + 1) * labels.rows.prompts**2
        total, doubt = total + apart, doubt + 2 * apart**2 / max(free, 1)
    for chosen in np.unique(design.round[~random]).tolist():
        here = design.round == chosen
        there = np.bincount(labels.group, here) > 0
        parts = np.bincount(labels.group, share * here)[there].astype(float)
        moves = (parts - parts.mean()) * np.sqrt(len(parts) / max(len(parts) - 1, 1))
        variance = float((moves**2).sum())
        total, third = total + variance, third + float((moves**3).sum())
        doubt += float((moves**4).sum()) - variance**2 / len(parts)
    return _LabelParts(total, doubt, third)
