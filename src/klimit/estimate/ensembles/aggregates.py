"""One reward from many: the aggregates of an ensemble, sample by sample."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from klimit._errors import ArgumentError
from klimit._text import safe
from klimit.estimate.ensembles.moments import moments
from klimit.estimate.ensembles.panel import Panel, still
from klimit.estimate.kernel import Floats
from klimit.estimate.samples import shown
from klimit.rollouts.words import counted

FOLDS = 10


@dataclass(frozen=True)
class Aggregate:
    """A reward made of the members' rewards.

    Attributes
    ----------
    name : "mean", "minimum", "median", "mean - 0.5 var", "weighted" or "learned"
    values : (samples,) in the panel's order, in units of the scaled members (of gold for "learned")
    weights : of each member, where the aggregate is linear; None otherwise
    """

    name: str
    values: Floats
    weights: Floats | None = None


def aggregates(
    found: Panel, *, weights: Any = None, penalties: Sequence[float] = (), learn: bool = False,
    seed: int = 0,
) -> list[Aggregate]:  # fmt: skip
    """All aggregates of a panel.

    Parameters
    ----------
    weights : given weights, by name or in order; None for no weighted aggregate
    penalties : factors of the variance between members
    learn : whether to learn the best weights from gold
    """
    members = found.members
    equal = np.full(len(members), 1 / len(members))
    mean = members.mean(axis=0)
    made = [Aggregate("mean", mean, equal)]
    if weights is not None:
        given = _given(weights, found.names)
        made.append(Aggregate("weighted", given @ members, given))
    if learn:
        values, best = learned(found, seed=seed)
        made.append(Aggregate("learned", values, best))
    made += [
        Aggregate("minimum", members.min(axis=0)),
        Aggregate("median", np.median(members, axis=0)),
    ]
    if len(members) == 2:
        made.pop()  # the median of two is their mean
    spread = members.var(axis=0)  # over the number of members, as klimit.theory does
    made += [Aggregate(f"mean - {k:g} var", mean - k * spread) for k in penalties]
    return made


def informative(made: Sequence[Aggregate], found: Panel) -> tuple[dict[str, Aggregate], list[str]]:
    """Aggregates that tell answers apart, by name, and what to mind about the others."""
    sizes = [1.0 if part.weights is None else float(np.abs(part.weights).max()) for part in made]
    flat = [
        part.name for part, size in zip(made, sizes, strict=True) if still(part.values, found, size)
    ]
    notes = [
        f"{name} is the same for all answers to a prompt, and cannot be optimised: left out."
        for name in flat
    ]
    return {part.name: part for part in made if part.name not in flat}, notes


def learned(found: Panel, *, seed: int = 0) -> tuple[Floats, Floats]:
    """Gold predicted from the members; each prompt by weights that other prompts have shown.

    Least squares of centred gold on centred members, prompts weighing equally: the mean with the
    highest correlation with gold, hence to first order the most gold at any KL.

    Returns
    -------
    (samples,) predictions, and the (members,) weights that all prompts show
    """
    assert found.gold is not None
    seen = moments(found, with_gold=True)
    order = seen.order()
    covariance = seen.covariance[order]
    fold = np.random.default_rng([seed, len(order)]).permutation(len(order)) % FOLDS
    total = covariance.sum(axis=0)
    everywhere = _solve(total)
    weights = np.tile(everywhere, (len(found.lengths), 1))
    for part in range(FOLDS):
        mine = fold == part
        weights[seen.prompts[order[mine]]] = _solve(total - covariance[mine].sum(axis=0))
    values = np.einsum("si,is->s", np.repeat(weights, found.lengths, axis=0), found.members)
    return values, everywhere


def can_learn(found: Panel) -> str:
    """Why weights cannot be learned; empty where they can."""
    assert found.gold is not None
    often = shown(~np.isnan(found.gold), found.lengths)
    free = int(np.maximum(often - 1, 0).sum())
    if (often >= 2).sum() < 2 * FOLDS or free < 10 * len(found.names):
        return (
            f"{counted(int((often >= 2).sum()), 'prompt')} with two gold labels or more are too few to "
            f"learn {len(found.names)} weights from"
        )
    return ""


def _solve(covariance: Floats) -> Floats:
    """Least squares of gold, the last; among equals the smallest weights."""
    return np.asarray(np.linalg.lstsq(covariance[:-1, :-1], covariance[:-1, -1], rcond=1e-10)[0])


def _given(weights: Any, names: tuple[str, ...]) -> Floats:
    if isinstance(weights, Mapping):
        unknown = next((name for name in weights if name not in names), None)
        if unknown is not None:
            raise ArgumentError(
                f"weights name {safe(repr(unknown), longest=40)}, which is no proxy here; there are "
                f"{', '.join(safe(n, longest=20) for n in names)}."
            )
        weights = [weights.get(name, 0.0) for name in names]
    try:
        given = np.asarray(weights, dtype=float)
    except (TypeError, ValueError):
        given = np.empty(0)
    if given.shape != (len(names),) or not np.isfinite(given).all() or not given.any():
        raise ArgumentError(
            f"weights must be one finite number per proxy ({len(names)}), or a dict by name, not all "
            f"zero; got {safe(weights, longest=60)}."
        )
    return given / abs(given.sum()) if given.sum() else given
