"""`klimit.audit`: a trained policy, or several, against the limit of their base."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from klimit._errors import ArgumentError, EstimateWarning, KlimitError, warn
from klimit._text import safe
from klimit.audit.audits import Audits
from klimit.audit.bridge import Draft, carried
from klimit.audit.case import Case, Policy
from klimit.audit.kl import sampling_notes, settings_differ, start_notes
from klimit.audit.matching import Match, match
from klimit.audit.placing import placed
from klimit.audit.result import Audit
from klimit.audit.runs import Part, named, within
from klimit.audit.sides import Side, comparable, one_reward, side
from klimit.audit.spent import Spent, covariance, spent, stated
from klimit.audit.split import split
from klimit.estimate.checks import check_choice
from klimit.estimate.result import Frontier
from klimit.rollouts.steps import called, number
from klimit.rollouts.words import counted


def audit(
    base: Any,
    policy: Any = None,
    *,
    reward: str | None = None,
    kl: Any = None,
    level: float = 0.95,
    seed: int = 0,
    prompts: Literal["drawn", "fixed"] = "drawn",
    reward_range: tuple[float, float] | None = None,
    paired: bool | None = None,
) -> Audit | Audits:
    """How near does a trained policy come to the best that any method could do with its KL?

    The limit comes from samples of the base; gain and KL of the policy from its own samples, best
    on the same prompts. Then ``gap_nats = (limit - gain) / beta`` is the divergence of the policy
    from the optimal one of the same KL (docs/theory.md, the optimal tilt), without knowing either
    policy.

    Parameters
    ----------
    base : Rollouts of the base, or rewards as a (prompts, samples) array; with no `policy`, one run
        that holds both
    policy : Rollouts, an array, or ``{name: either}``. One policy at one step gives an `Audit`;
        several policies or steps give `Audits`, one placement each, never pooled. None: base and
        policies are found inside `base`, by policy name or by step
    reward : which reward, where there are several
    kl : the policy's KL from the base in nats per sequence: a number, an `Estimate`, what
        `klimit.audit.kl` measures or converts, or several of them (a list, or a mapping by name or
        step). None: measured where the rollouts have log-probabilities under policy and base; where
        they have not, the answer is the least KL that the gain implies
    level : of intervals
    seed : of random splits
    prompts : ``"drawn"``: intervals for the population that the prompts came from; ``"fixed"``: for
        these
    reward_range : what rewards can be, if known; 0/1 rewards imply (0, 1)
    paired : None: paired where prompts recur. False: base and policy are two samples from one
        population of prompts, with wider intervals. True: only shared prompts count

    Returns
    -------
    Audit, or Audits
        KL in nats per sequence, gains in reward units.

    Raises
    ------
    ArgumentError
        For different rewards on both sides, or a KL that cannot be one.
    DataError
        Where base and policy share no prompt and nothing says that they come from one run or data
        set, or where one id stands for two texts.

    Warns
    -----
    EstimateWarning
        Where base or policy were sampled at settings that make the comparison another one.

    Notes
    -----
    arXiv 2605.07105, section 3, for the limit; ``docs/audit.md`` for every number.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> base = rng.normal(size=(100, 64))
    >>> policy = rng.normal(loc=0.8, size=(100, 8))  # a shift of .8 costs .32 nats: the optimum
    >>> found = audit(base, policy, kl=0.5)
    >>> round(found.efficiency.value, 1), round(found.least_kl.value, 1)
    (0.8, 0.3)
    """
    check_choice("prompts", prompts, ("drawn", "fixed"))
    notes: list[str] = []
    several = policy is None or isinstance(policy, Mapping)
    if policy is None:
        if not hasattr(base, "grouped"):
            raise ArgumentError(
                "one array was given; base and policy were expected: klimit.audit(base, policy)."
            )
        base, found, said = within(base)
        notes = [*said, *_warned(start_notes(base))]
    else:
        if hasattr(base, "grouped"):
            base.check_one_policy("--base-")
        found = named(policy)
        if any(number(step) > 1 for step in getattr(base, "steps", ())):
            notes = _warned(start_notes(base))
    how = _How(base, reward, reward_range, prompts, level, seed, paired)
    drafts = [how.draft(part, said) for part, said in zip(found, stated(kl, found), strict=True)]
    audits = [
        _placed(draft, case, notes) for draft, case in zip(drafts, carried(drafts), strict=True)
    ]
    if len(audits) == 1 and not several:
        return audits[0]
    return Audits(tuple(audits))


@dataclass
class _How:
    """One base and the options, and the limits that were computed for it."""

    base: Any
    reward: str | None
    reward_range: tuple[float, float] | None
    prompts: Literal["drawn", "fixed"]
    level: float
    seed: int
    paired: bool | None
    sides: dict[str | None, Side] = field(default_factory=dict)
    limits: dict[tuple[str | None, bytes], Frontier] = field(default_factory=dict)

    def draft(self, part: Part, kl: Any) -> Draft:
        ours, theirs = one_reward(self.base, part.samples, self.reward)
        base = self._base(ours)
        try:
            policy = side(part.samples, theirs)
            comparable(base, policy)
        except KlimitError as error:  # of several checkpoints one may be at fault
            step = "" if part.step is None else f" {called(part.step)}"
            raise type(error)(f"{safe(part.name, longest=60)}{step}: {error}") from None
        found = match(base, policy, self.paired)
        mean, variance, counts = policy.moments()
        keep = counts[found.policy] > 0
        found = _only(found, keep)
        known = self._spent(kl, policy, found)
        if known.by_prompt is not None and np.isnan(known.by_prompt).any():
            found = _only(found, ~np.isnan(known.by_prompt))
            known = self._spent(kl, policy, found)
        limit = self._limit(base, ours, found)
        at = found.policy
        if found.paired:  # prompts with one base sample show no spread and are left out
            at = at[limit.samples.kept]
            if len(at) < len(found.policy):
                known = self._spent(kl, policy, Match(found.base, at, paired=True))
        ids = [base.ids[i] for i in found.base[limit.samples.kept]]
        fixed = self.prompts == "fixed"  # drawn prompts are left out whole, and need no such thing
        joint = covariance(policy, at, known) if fixed else None
        case = Case(
            limit, ids,
            Policy(mean[at], counts[at], variance[at], known.by_prompt, known.variance, joint),
            known.kl, found.paired,
        )  # fmt: skip
        return Draft(part, base, policy, found, known, kl is None, case)

    def _base(self, reward: str | None) -> Side:
        if reward not in self.sides:
            self.sides[reward] = side(self.base, reward)
        return self.sides[reward]

    def _limit(self, base: Side, reward: str | None, found: Match) -> Frontier:
        from klimit.estimate.frontier import frontier

        key = (reward, found.base.tobytes())
        if key not in self.limits:
            self.limits[key] = frontier(
                base.rows(found.base), reward=base.reward, prompts=self.prompts,
                reward_range=self.reward_range, level=self.level, seed=self.seed,
            )  # fmt: skip
        return self.limits[key]

    def _spent(self, kl: Any, policy: Side, found: Match) -> Spent:
        return spent(kl, policy, found.policy, level=self.level, prompts=self.prompts)


def _placed(draft: Draft, case: Case, notes: list[str]) -> Audit:
    part, limit, counts = draft.part, case.limit, case.policy.counts
    found = placed(case)
    allocation, shape = split(case, found)
    said = [*notes, *draft.match.notes, *limit.notes, *_notes(draft), *draft.known.notes]
    return replace(
        found, allocation=allocation, shape=shape,
        name=safe(part.name, longest=60), step=part.step, reward=limit.reward,
        base_reward=limit.base_reward, trusted_kl=limit.trusted_kl, paired=case.paired,
        shared=len(counts), samples=(int(counts.min()), int(counts.max())),
        estimator=draft.known.estimator, notes=tuple(dict.fromkeys(said)), frontier=case.limit,
        case=case,
    )  # fmt: skip


def _only(found: Match, keep: Any) -> Match:
    if keep.all():
        return found
    number = int((~keep).sum())
    note = (
        f"{counted(number, 'prompt')} of the policy {'has' if number == 1 else 'have'} no reward "
        f"or no KL and {'counts' if number == 1 else 'count'} for nothing."
    )
    base = found.base[keep] if found.paired else found.base
    return Match(base, found.policy[keep], found.paired, (*found.notes, note))


def _notes(draft: Draft) -> list[str]:
    """What to mind of this comparison, in words; what makes it another one is also warned of."""
    base, policy, case = draft.base, draft.policy, draft.case
    notes = []
    if not case.paired:
        notes.append(
            f"base ({counted(case.limit.samples.prompts, 'prompt')}) and policy "
            f"({len(draft.match.policy):,}) are compared as two samples from one population of prompts: "
            "intervals are wider than on the same prompts, and the gap is not split."
        )
    missing = int(np.isnan(policy.values).sum())
    if missing:
        notes.append(f"{counted(missing, 'reward')} of the policy missing and left out.")
    notes += _sampling(base, policy, measured=draft.measured and bool(draft.known.estimator))
    return notes


def _sampling(base: Side, policy: Side, *, measured: bool) -> list[str]:
    """How both were sampled; a KL that was `measured` has spoken of its policy already."""
    ours, theirs = base.rollouts, policy.rollouts
    if ours is None or theirs is None:
        return []
    odd = [] if measured else sampling_notes(theirs)
    return _warned([*sampling_notes(ours, base=True), *odd, *settings_differ(ours, theirs)])


def _warned(notes: list[str]) -> list[str]:
    """The notes as sentences, which have been warned of."""
    lines = [f"{note}." for note in notes]
    for line in lines:
        warn(line, EstimateWarning)
    return lines
