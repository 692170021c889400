"""Where along a run gold turns down: by the curves of Gao et al., and without any curve.

Two forms describe gold against d = sqrt(KL): ``d (a - b log d)``, which Gao et al. (arXiv 2210.10760)
saw in reinforcement learning, and ``d (a - b d)``, which they saw in best-of-N. Neither is a law, so
what the points scatter about a form beyond their sampling errors counts as an error of it, one that
neighbouring checkpoints share, and every form that fits about as well as the best one has a say in the
peak's interval.

Without a form: the checkpoints that cannot be told from the best one. Gold that rises once and falls
once is highest between the neighbours of these.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from klimit._estimate import Estimate
from klimit.audit.path.points import Points
from klimit.audit.result import missing
from klimit.estimate.kernel import Floats
from klimit.theory.overoptimization import Method, OveroptimizationFit, design, fitted

FEWEST = 5  # checkpoints beyond the base, from which a form and its misfit can be told
FORMS: tuple[Method, ...] = ("rl", "best-of-n")
MISFIT = 3.0  # squared distance from a form, over what sampling explains, that no curve may have
APART = 2  # checkpoints of a run that stray from a form independently: neighbours stray alike
ALIKE = 4.0  # twice the log-likelihood by which a form may fit worse and still have a say


@dataclass(frozen=True)
class Turn:
    """Where gold is highest along a run.

    Attributes
    ----------
    fits : by form, the best first; empty where there are too few checkpoints
    said : forms that describe the run about as well as the best one, and have a say in the peak
    peak_kl, peak_gain : by the forms that describe the run, or, where none does, of the best
        checkpoint and between the ends of `bracket`; `high` is infinite where the run does not show
        that gold turns
    bracket : KL of the best checkpoint, and between which gold is highest if it rises once and falls
        once, without a form
    best : place of the checkpoint of highest gold, whether or not its KL is known; -1: the base
    alike : places of the checkpoints that cannot be told from it, itself among them
    furthest : largest KL that is known of a checkpoint, nats
    reason : why there is no interval; empty where there is one
    """

    fits: dict[str, OveroptimizationFit]
    said: tuple[str, ...]
    peak_kl: Estimate
    peak_gain: Estimate
    bracket: Estimate
    best: int
    alike: tuple[int, ...]
    furthest: float
    reason: str = ""

    @property
    def fit(self) -> OveroptimizationFit | None:
        """The form that fits best."""
        return next(iter(self.fits.values()), None)

    @property
    def turned(self) -> bool:
        """Whether the run shows that gold is past its highest, without a form."""
        return bool(np.isfinite(self.bracket.high))

    def gold(self, kl: float) -> Estimate:
        """Gold gain of the run at a KL, by the form that fits best; nan beyond the run, or if none does."""
        level = self.peak_kl.level
        if self.fit is None:
            return missing(self.reason, level)
        if not 0 <= kl <= self.furthest:
            reach = (
                f"the run was measured up to {self.furthest:.3g} nats; a curve says nothing beyond"
            )
            return missing(reach, level)
        if not self.said:
            return missing("no curve describes the run", level)
        return self.fit.gain(kl)


def turn(points: Points, level: float) -> Turn:
    """Set the checkpoints side by side, and fit both forms to those whose KL is known."""
    best, alike = _alike(points, level)
    known = points.known
    if not known.size:
        found = unknown("the KL of no checkpoint is known", level)
        return replace(found, best=best, alike=alike)
    seen = points.only(known)
    place = {-1: -1} | {int(row): at for at, row in enumerate(known)}
    if all(at in place for at in alike):
        which = "beyond" if len(known) == len(points.gold) else "of known KL beyond"
        found = _along(seen, place[best], tuple(place[at] for at in alike), level, which)
    else:
        found = _without_peak(_along(seen, *_alike(seen, level), level), level)
    return replace(found, best=best, alike=alike)


def _along(
    points: Points, best: int, alike: tuple[int, ...], level: float, which: str = "beyond"
) -> Turn:
    """Both forms fitted to checkpoints of a known KL, and where gold is highest along it."""
    order = np.argsort(points.kl, kind="stable")
    furthest = float(points.kl.max())
    distinct = np.unique(points.kl[points.kl > 0]).size
    if distinct < FEWEST or points.kl_by_prompt.shape[1] < 2:
        reason = (
            f"{distinct} checkpoint{'' if distinct == 1 else 's'} {which} the base: a curve and where "
            f"it turns need {FEWEST} or more, on 2 prompts or more"
        )
        return replace(unknown(reason, level), best=best, alike=alike, furthest=furthest)
    found = [(form, *_fit(form, points, level)) for form in FORMS]
    found.sort(key=lambda one: one[2])
    fits: dict[str, OveroptimizationFit] = {form: fit for form, fit, _ in found}
    place = {int(at): rank for rank, at in enumerate(order)} | {-1: -1}
    bracket = _bracket(points.kl[order], place[best], [place[at] for at in alike], level)
    said = [form for form, fit, worse in found
            if worse - found[0][2] <= ALIKE and not fit.misfit > MISFIT]  # fmt: skip
    if said:
        peak_kl, peak_gain = _peak([fits[form] for form in said], furthest, level)
    else:
        peak_kl, peak_gain = _without_curve(bracket, found[0][1].misfit)
    return Turn(fits, tuple(said), peak_kl, peak_gain, bracket, best, alike, furthest)


def _without_peak(found: Turn, level: float) -> Turn:
    """The curves alone: the highest gold may lie at a KL that nobody knows."""
    reason = "a checkpoint whose KL is not known may have most gold"
    none = missing(reason, level)
    return replace(found, peak_kl=none, peak_gain=none, bracket=none, reason=found.reason or reason)


def unknown(reason: str, level: float) -> Turn:
    """Nothing can be said, and why."""
    none = missing(reason, level)
    return Turn({}, (), none, none, none, -1, (), float("nan"), reason)


def _fit(form: Method, points: Points, level: float) -> tuple[OveroptimizationFit, float]:
    """The form fitted to the checkpoints, and minus twice its log-likelihood."""
    terms, number = design(form, points.kl), len(points.kl)
    weights: Floats = np.ones(number)
    theta, hat = _solve(terms, points.gold, weights)
    scatter, sampling = 0.0, np.eye(number)
    for _ in range(2):  # equal weights first, then by what sampling and the form leave open
        sampling = _sampling(form, points, theta)
        scatter = _scatter(points.gold - terms @ theta, terms @ hat, weights, sampling)
        total = np.diag(sampling) + scatter
        if total.max() > 0:
            weights = np.asarray(total.max() / np.maximum(total, 1e-3 * total.max()), dtype=float)
        theta, hat = _solve(terms, points.gold, weights)
    rest = points.gold - terms @ theta
    scatter = _scatter(rest, terms @ hat, weights, sampling)
    without = np.moveaxis(design(form, points.kl_without), 0, 1)  # (groups, points, 2)
    left_out, _ = _solve(without, points.gold_without.T, weights)
    by_prompts = points.covariance(theta, left_out.T)
    slopes = _slopes(form, points.kl, theta)
    own = scatter + (slopes * points.kl_error) ** 2
    by_points = (hat * own) @ hat.T * (number / APART)
    expected = np.trace((np.eye(number) - terms @ hat) @ sampling)
    misfit = float((rest**2).sum() / expected) if expected > 0 else np.nan
    v, w = by_prompts[1, 1], by_points[1, 1]
    degrees = np.inf
    if v + w > 0:
        degrees = (v + w) ** 2 / (v**2 / points.degrees + w**2 / (number - 2))
    likelihood = number * np.log(max(float((weights * rest**2).sum()), 1e-300))
    likelihood -= float(np.log(weights).sum())
    fit = fitted(form, theta, by_prompts + by_points, float(degrees), misfit=misfit, level=level)
    return fit, likelihood


def _solve(terms: Floats, gold: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """Coefficients (..., 2) and what makes them of the gains (..., 2, points)."""
    root = np.sqrt(weights)
    hat = np.asarray(np.linalg.pinv(terms * root[:, None]) * root, dtype=np.float64)
    return np.einsum("...kp,...p->...k", hat, gold), hat


def _sampling(form: Method, points: Points, theta: Floats) -> Floats:
    """Covariance of the points' distances from the curve that prompts and samples leave open."""
    off = points.gold - design(form, points.kl) @ theta
    without = points.gold_without - design(form, points.kl_without) @ theta
    found = points.covariance(off, without)
    slopes = _slopes(form, points.kl, theta)
    return found + np.diag((slopes * points.kl_error) ** 2)


def _scatter(rest: Floats, fitted_by: Floats, weights: Floats, sampling: Floats) -> float:
    """Variance about the form beyond sampling, by the method of moments.

    Few points cannot tell it from 0 more finely than sampling lets them, so that much is added.
    """
    left = np.eye(len(rest)) - fitted_by
    inner = left.T @ (weights[:, None] * left)
    by_sampling = float(np.trace(inner @ sampling) / np.trace(inner))
    found = float((weights * rest**2).sum() / np.trace(inner)) - by_sampling
    return max(found, 0.0) + by_sampling / (len(rest) - 2)


def _slopes(form: Method, kl: Floats, theta: Floats) -> Floats:
    step = 1e-4 * np.maximum(kl, 1e-6)
    rise: Floats = (design(form, kl + step) - design(form, kl)) @ theta / step
    return rise


def _peak(
    fits: list[OveroptimizationFit], furthest: float, level: float
) -> tuple[Estimate, Estimate]:
    """The peak by all forms that have a say; beyond the run it is only not yet reached."""
    low = min(fit.peak_kl.low for fit in fits)
    high = max(fit.peak_kl.high for fit in fits)
    value, gain = fits[0].peak_kl.value, fits[0].peak_gain
    note = ""
    if high > furthest:
        high = np.inf
        note = f"the run, measured up to {furthest:.3g} nats, does not show that gold turns down"
    if value > furthest:
        value = float("nan")
    shown = not note
    peak = Estimate(value, min(low, furthest), high, level, shown, note)
    ends = [float(end) for fit in fits for end in (fit.peak_gain.low, fit.peak_gain.high)]
    best = gain.value if np.isfinite(value) else float("nan")
    return peak, Estimate(best, min(ends), max(ends) if shown else np.inf, level, shown, note)


def _without_curve(bracket: Estimate, misfit: float) -> tuple[Estimate, Estimate]:
    """The best checkpoint, where no form describes the run."""
    note = bracket.note or (
        f"no curve describes the run (squared distances are {misfit:.2g} times what sampling explains): "
        "the best checkpoint, between the neighbours of those that cannot be told from it"
    )
    reason = "no curve describes the run: the best checkpoint's own gain is biased upwards"
    return replace(bracket, note=note), missing(reason, bracket.level)


def _alike(points: Points, level: float) -> tuple[int, tuple[int, ...]]:
    """The checkpoint of highest gold, and all that are not clearly below another one.

    Comparisons with the best (Hsu, Annals of Statistics 12, 1984), paired by prompt, by Bonferroni; the
    base, place -1, gains 0.
    """
    from scipy.special import stdtrit

    gold = np.append(points.gold, 0.0)
    without = np.vstack([points.gold_without, np.zeros(points.gold_without.shape[1])])
    spread = points.covariance(gold, without)
    variance = np.diag(spread)[:, None] + np.diag(spread)[None] - 2 * spread
    reach = stdtrit(points.degrees, 1 - (1 - level) / max(len(gold) - 1, 1))
    below = gold[None, :] - gold[:, None] > reach * np.sqrt(np.maximum(variance, 0.0))
    places = np.append(np.arange(len(points.gold)), -1)
    return int(places[gold.argmax()]), tuple(int(at) for at in places[~below.any(axis=1)])


def _bracket(kl: Floats, best: int, alike: list[int], level: float) -> Estimate:
    """KL (given ascending) of the best checkpoint, and of the neighbours of all that may be the best."""
    path = np.concatenate([[0.0], kl])
    first, last = min(alike) + 1, max(alike) + 1
    value, low = float(path[best + 1]), float(path[max(first - 1, 0)])
    if last + 1 >= len(path):
        note = "the last checkpoint may be the best: the run does not show that gold turns down"
        return Estimate(value, low, np.inf, level, False, note)
    return Estimate(value, low, float(path[last + 1]), level, True)
