"""From several proxies of a base model's samples to what they are worth together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from klimit._errors import ArgumentError
from klimit._text import safe
from klimit.estimate.checks import check_level, check_seed, known_range
from klimit.estimate.ensembles.aggregates import aggregates, can_learn, informative
from klimit.estimate.ensembles.errors import Errors, errors_with_gold, errors_without_gold
from klimit.estimate.ensembles.gains import Course, course
from klimit.estimate.ensembles.labelled import LabelledCourse, labelled_course, weighed_moments
from klimit.estimate.ensembles.moments import moments
from klimit.estimate.ensembles.panel import Panel, panel
from klimit.estimate.ensembles.result import Ensemble
from klimit.estimate.inputs import RewardColumn
from klimit.estimate.labels.entry import LEAST, LEAST_PROMPTS, known_of_few
from klimit.estimate.missing import lacking
from klimit.estimate.result import Settings
from klimit.estimate.samples import centred, shown
from klimit.rollouts.words import counted


def ensemble(
    base: Any,
    *,
    proxies: Sequence[str] | None = None,
    gold: str | None = None,
    weights: Any = None,
    penalty: float | Sequence[float] = (0.1, 0.5),
    scale: str = "pooled",
    reward_range: tuple[float, float] | None = None,
    level: float = 0.95,
    seed: int = 0,
) -> Ensemble:
    """What do several proxy rewards buy together, and what do they all get wrong?

    Averaging k reward models leaves ``tau^2 (rho + (1 - rho) / k)`` of their error: what each gets
    wrong on its own fades, what they share stays however many there are. With gold rewards, of all
    samples or some, this tells the two apart and shows what every aggregate gains of gold at each
    KL. Gold that fewer than nine in ten samples have is predicted for the others, as
    `klimit.hacking` does, from 50 labels in 10 prompts on. Without gold only their disagreement,
    ``tau^2 (1 - rho)``, can be seen.

    Parameters
    ----------
    base : Rollouts; or a dict of (prompts, samples) arrays by name (NaN = missing), or of sequences
        of 1-D arrays
    proxies : which rewards are the members; by default all but `gold`
    gold : the reward that counts, if it is known of some samples
    weights : of the members, for an aggregate "weighted": a dict by name, or one number per proxy
    penalty : k of "mean - k var", which is wary of answers that members disagree about; 1 / reward
        units, one or several
    scale : ``"pooled"``: each member divided by its standard deviation within prompts; ``"prompt"``:
        by that of each prompt, which changes the question; ``"none"``: as they are
    reward_range : what gold rewards can be, if known; 0/1 rewards imply (0, 1)
    level : of intervals, which are for the population that the prompts came from
    seed : of random splits, as for `klimit.frontier`

    Returns
    -------
    Ensemble
        KL in nats per sequence, gold gains in gold's units.

    Raises
    ------
    ArgumentError
        For fewer than two proxies, one given twice, gold among them, or an option that is not one
        of those above.
    DataError
        Where two proxies are the same numbers, the mean of all is constant within prompts, gold is,
        or no prompt has two samples with all proxies.

    Notes
    -----
    arXiv 2605.07105, section 4 (ensembling); Coste et al., arXiv 2310.02743 (mean, worst case,
    variance penalty); Eisenstein et al., arXiv 2312.09244 (shared error remains).

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> gold, shared = rng.normal(size=(2, 100, 32))
    >>> members = {f"rm{i}": gold + 0.6 * shared + 0.8 * rng.normal(size=gold.shape) for i in range(4)}
    >>> found = ensemble({**members, "human": gold}, gold="human")
    >>> print(found.errors.correlation, found.errors.floor)  # the truth is 0.36 and 0.36
    0.363 [0.345, 0.381] 0.359 [0.329, 0.389]
    """
    check_level(level)
    check_seed(seed)
    penalties = _penalties(penalty)
    found = panel(base, proxies, gold, scale)
    notes = list(found.notes)
    judged, more = _labels(found)
    notes += more
    why = can_learn(found) if judged else ""
    if why:
        notes.append(f"{why}: no learned weights.")
    learn = judged and not why
    made = aggregates(found, weights=weights, penalties=penalties, learn=learn, seed=seed)
    parts, more = informative(made, found)
    notes += more
    settings = _settings(found, reward_range, level, seed)
    track: Course | LabelledCourse | None = None
    if judged and _predicted(found):
        beside = [part.values for name, part in parts.items() if name == "learned"]
        track = labelled_course(found, settings, beside)
        notes += track.known.minded
        if track.chosen:
            notes.append(
                "labels that klimit labels chose lie where the policy goes: gains and errors are weighed "
                "for that, learned weights are those of such answers, and gold's own limit is not known."
            )
    elif judged:
        track = course(found, settings)
        assert found.gold is not None
        said = lacking(
            found.members.mean(axis=0), found.gold, found.lengths, ("mean", found.gold_name)
        )
        notes += [said] if said else []
    errors = _errors(found, track, level)
    notes += _against(errors, found)
    return Ensemble(found, parts, errors, track, settings, tuple(notes))


def _errors(found: Panel, track: Course | LabelledCourse | None, level: float) -> Errors:
    alone = errors_without_gold(moments(found, with_gold=False), found.names, level)
    if track is None:
        return alone
    if isinstance(track, LabelledCourse) and track.chosen:
        return errors_with_gold(weighed_moments(track), alone, level)
    return errors_with_gold(moments(found, with_gold=True), alone, level)


def _against(errors: Errors, found: Panel) -> list[str]:
    """Members that go against gold; without gold, of three or more, against all others together."""
    if errors.accuracy is not None:
        highest, what = np.asarray(errors.accuracy.high), safe(found.gold_name, longest=40)
    else:
        inside = centred(found.members, found.lengths)
        starts = np.cumsum(found.lengths) - found.lengths
        each = np.add.reduceat(inside * (inside.sum(axis=0) - inside), starts, axis=1)
        highest = each.mean(axis=1) + 2 * each.std(axis=1) / len(starts) ** 0.5
        highest, what = highest if len(inside) > 2 else np.zeros(0), "the others"
    names = [safe(errors.names[i], longest=30) for i in np.flatnonzero(highest < 0).tolist()]
    if not names:
        return []
    verb, them = ("goes", "it") if len(names) == 1 else ("go", "them")
    return [
        f"{', '.join(names)} {verb} against {what} within prompts: turn {them} around, or leave {them} out."
    ]


def _predicted(found: Panel) -> bool:
    """Whether gold is known of so few samples that it is predicted for the others."""
    assert found.gold is not None
    return known_of_few(found.members[0], found.gold, found.lengths) and found.labelled >= LEAST


def _settings(found: Panel, reward_range: Any, level: float, seed: int) -> Settings:
    known, implied = None, False
    if found.gold is not None:
        column = RewardColumn(found.gold, found.lengths, found.ids, found.gold_name, {})
        known, implied = known_range(column, reward_range)
    elif reward_range is not None:
        raise ArgumentError(
            f"reward_range={safe(reward_range, longest=40)} was given, the range of gold, but no gold. "
            "Give gold=, or leave it out."
        )
    return Settings(
        found.gold_name, "average", "drawn", "corrected", "reward", known, implied, level, seed
    )


def _labels(found: Panel) -> tuple[bool, list[str]]:
    """Whether any prompt has two gold labels, and what to mind about them."""
    if found.gold is None:
        return False, []
    labels = shown(~np.isnan(found.gold), found.lengths)
    gold, notes = safe(found.gold_name, longest=40), []
    several, needed = labels >= 2, 2 if found.complete else LEAST_PROMPTS
    judged = int(several.sum()) >= needed
    if not found.complete:
        known = f"{gold} is known of {found.labelled:,} of {len(found.gold):,} samples"
        if judged and _predicted(found):
            notes.append(
                f"{known}: errors rest on those alone; gold gains on all, gold being predicted where it "
                "is not known and corrected by the labels, which are taken to be at random or as "
                "klimit labels chose them."
            )
        elif judged:
            notes.append(f"{known}: errors and gold gains rest on those alone.")
        else:
            notes.append(f"{known}.")
    single = int((labels == 1).sum())
    if several.any() and not judged:
        few = counted(int(several.sum()), "prompt")
        verb = "is" if several.sum() == 1 else "are"
        notes.append(
            f"{few} with two answers or more with {gold} {verb} too few to judge by: {needed} are needed."
        )
        return False, notes
    if not several.any():
        notes.append(
            f"no prompt has two answers with {gold}, so it cannot be told from what is easy or hard "
            "about the prompts: label two or more answers to the same prompt."
        )
    elif single:
        notes.append(
            f"{counted(single, 'prompt')} with a single answer with {gold} "
            f"{'tells' if single == 1 else 'tell'} nothing of {'' if _predicted(found) else 'gain or '}error."
        )
    return judged, notes


def _penalties(penalty: Any) -> list[float]:
    try:
        found = [float(x) for x in np.atleast_1d(np.asarray(penalty, dtype=float)).ravel()]
    except (TypeError, ValueError):
        found = [np.nan]
    if not all(0 < x < np.inf for x in found):
        raise ArgumentError(
            f"penalty={safe(penalty, longest=40)} was given; positive numbers (1 / reward units) were "
            "expected, such as 0.5."
        )
    return sorted(set(found))
