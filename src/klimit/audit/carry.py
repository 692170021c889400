"""Limits that reach as far as policies went: carried there by the policies' own samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from klimit.audit.bridge import draws, together
from klimit.audit.case import Case
from klimit.audit.matching import Match
from klimit.audit.runs import Part
from klimit.audit.sides import Side
from klimit.audit.spent import Spent
from klimit.estimate.best_of_n.prompt_means import pairing_rank
from klimit.estimate.result import Frontier
from klimit.rollouts.steps import called

MOST = 8  # policies that carry one limit together, evenly over their KL: more add little


@dataclass(frozen=True)
class Draft:
    """A policy beside its base, before its limit is carried any further.

    Attributes
    ----------
    part, base, policy : who it is, and the samples of both
    match : prompts that are compared, those without a use included
    known : its KL
    measured : whether that comes from the log-probabilities of its own samples
    case : what is placed
    """

    part: Part
    base: Side
    policy: Side
    match: Match
    known: Spent
    measured: bool
    case: Case

    @property
    def label(self) -> str:
        """Name and step."""
        name, step = self.part.name, self.part.step
        return name if step is None else f"{name} {called(step)}"


def carried(drafts: Sequence[Draft]) -> list[Case]:
    """Each case with the limit that its KL asks for.

    Where a policy's KL lies beyond what the base's samples show for sure, all policies on the same prompts
    whose samples are scored under policy and base carry the limit together. The others keep the
    limit that they have.
    """
    cases = [draft.case for draft in drafts]
    for places in _on_the_same_prompts(drafts):
        limit = cases[places[0]].limit
        reach = min(limit.trusted_kl, max(safe_kl(limit), limit.trusted_kl / 2))
        beyond = [at for at in places if _kl(cases[at]) > reach]
        if beyond:
            further = _further(limit, [drafts[at] for at in places])
            for at in beyond:
                cases[at] = replace(cases[at], limit=further)
    return cases


def safe_kl(limit: Frontier) -> float:
    """Nats up to which hardly any rewards fool their own samples: mean log M - 2 (theory.md H-3)."""
    return float(np.log(limit.samples.counts).mean()) - 2.0


def _on_the_same_prompts(drafts: Sequence[Draft]) -> list[list[int]]:
    found: dict[int, list[int]] = {}
    for at, draft in enumerate(drafts):
        case = draft.case
        if (
            draft.measured
            and case.paired
            and case.limit.members is not None
            and case.joint_kl is not None
        ):
            found.setdefault(id(case.limit), []).append(at)
    return list(found.values())


def _further(limit: Frontier, drafts: Sequence[Draft]) -> Frontier:
    first = drafts[0]
    rank = pairing_rank(limit.samples, np.concatenate([one.case.marks() for one in drafts]))
    if len(drafts) > MOST:
        drafts = sorted(drafts, key=lambda one: _kl(one.case))
        drafts = [drafts[at] for at in np.linspace(0, len(drafts) - 1, MOST).round().astype(int)]
    names = [one.label for one in drafts]
    theirs = {
        one.label: draws(one.policy, one.match.policy, names, own=one.label) for one in drafts
    }
    if all(np.isnan(one.log_ratios).all() for one in theirs.values()):  # exact KL alone is stored
        return limit
    return together(limit, draws(first.base, first.match.base, names), theirs, rank)


def _kl(case: Case) -> float:
    return float("nan") if case.kl is None else float(case.kl.value)
