"""Limits that reach as far as policies went: carried beyond the base's own by the policies' samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from klimit._errors import ArgumentError, DataError
from klimit.audit.case import Case
from klimit.audit.kl.columns import in_nats
from klimit.audit.matching import Match
from klimit.audit.runs import Part
from klimit.audit.sides import Side, side
from klimit.audit.spent import Spent
from klimit.estimate.best_of_n.prompt_means import pairing_rank
from klimit.estimate.bridge import Bridged, Draws, bridge
from klimit.estimate.frontier import frontier
from klimit.rollouts.grouped import Floats, Integers
from klimit.rollouts.steps import apart, called
from klimit.rollouts.words import listing

if TYPE_CHECKING:
    from klimit.estimate.result import Frontier
    from klimit.rollouts import Rollouts

_SAME = 1e-2  # nats: below, two models are one, up to rounding
MOST = 8  # policies that carry one limit together, evenly over their KL: more add little


def bridged(
    base: Rollouts,
    policies: Rollouts | Mapping[str, Rollouts],
    *,
    reward: str | None = None,
    prompts: Literal["drawn", "fixed"] = "drawn",
    reward_range: tuple[float, float] | None = None,
    level: float = 0.95,
    seed: int = 0,
) -> Bridged:
    """How much reward can any method gain at KL that samples of the base alone cannot show?

    64 samples of a base show its limit to one or two nats. A policy trained towards the reward has
    samples further out, and with the log-probabilities of both models each tells how much of the
    base it stands for. Pooled with the base's by the balance heuristic they carry the limit some
    nats past the policy's own KL. The policy need not be good: what it spends on other ends makes
    weights noisier, and the trusted range shorter. `klimit.audit` does so by itself where a policy's
    KL asks for it.

    Parameters
    ----------
    base : samples of the base
    policies : samples of one policy, or ``{name: samples}``, on prompts of the base: `logprob` under
        the policy and `ref_logprob` under the base, summed over the completion, nats; 4 or more a
        prompt. The base's samples need no log-probabilities under the policy; where there is one
        policy and they have them (`klimit rescore`), these are used
    reward, prompts, reward_range, level, seed : as `klimit.frontier` takes them

    Returns
    -------
    Bridged
        A `Frontier`, on the prompts that the policies were sampled on. Where their samples do not
        belong to the base, or do not help, it is the base's own and `reason` says why.

    Raises
    ------
    DataError
        Where base and policies share no prompt, or a policy has no log-probabilities.

    Notes
    -----
    ``log E_base e^(tilt r) = log sum w e^(tilt r) / sum w`` over all samples of a prompt, then as
    `klimit.frontier` does; weights in `klimit.estimate.bridge.weights`. What is left of the bias is
    removed by halves and quarters of the samples, drawn alike from every model.

    Examples
    --------
    >>> import klimit
    >>> rng = np.random.default_rng(0)
    >>> ids = np.repeat(np.arange(50), 32)
    >>> r = rng.normal(size=1600)
    >>> base = klimit.read({"prompt_id": ids, "reward": r})
    >>> policy = klimit.read({"prompt_id": ids, "reward": r + 2,  # 2 nats, the best there is
    ...     "ref_logprob": np.full(1600, -90.0), "logprob": 2 * (r + 2) - 2 - 90})
    >>> limit = bridged(base, policy)
    >>> print(limit.gain(kl=4.5))  # the truth is 3
    2.978 [2.946, 3.015]
    """
    named = policies if isinstance(policies, Mapping) else {"the policy": policies}
    if not named:
        raise ArgumentError("no policy was given; samples of at least one were expected.")
    limit = frontier(
        base.filter(prompts=_shared(base, named)), reward=reward, prompts=prompts,
        reward_range=reward_range, level=level, seed=seed,
    )  # fmt: skip
    ours = side(base, reward)
    theirs = {name: side(one, reward) for name, one in named.items()}
    for name, one in theirs.items():
        if np.isnan(own_ratios(one)).all():
            raise DataError(
                f"{name} has no log-probabilities under itself and the base (logprob, ref_logprob); "
                "the limit is carried by them. Score both checkpoints: klimit rescore."
            )
    found = {name: draws(one, _places(one, limit.ids), [*named], own=name)
             for name, one in theirs.items()}  # fmt: skip
    return together(limit, draws(ours, _places(ours, limit.ids), [*named]), found)


def together(
    limit: Frontier, base: Draws, policies: Mapping[str, Draws], rank: Integers | None = None
) -> Bridged:
    """Carry a limit by all policies that belong to it at once.

    Parameters
    ----------
    limit : of the base alone
    base, policies : samples of the prompts that `limit` was computed from, in its order; each with a
        row of log-ratios for every policy
    rank : see `klimit.estimate.bridge.bridge`
    """
    names = [*policies]

    def carried(chosen: Sequence[str]) -> Bridged:
        rows = [names.index(name) for name in chosen]
        ours, *theirs = (
            replace(one, log_ratios=one.log_ratios[rows])
            for one in (base, *(policies[name] for name in chosen))
        )
        found = bridge(limit, ours, theirs, names=tuple(chosen), rank=rank)
        if found.refused and not np.isnan(ours.log_ratios).all():  # scored under another policy?
            plain = replace(ours, log_ratios=np.full_like(ours.log_ratios, np.nan))
            found = bridge(limit, plain, theirs, names=tuple(chosen), rank=rank)
        return found

    found = carried(names)
    if not found.refused or len(names) == 1:
        return found
    alone = {name: carried([name]) for name in names}
    fit = [name for name in names if not alone[name].refused]
    if not fit or len(fit) == len(names):
        return found
    reasons: dict[str, list[str]] = {}
    for name, one in alone.items():
        if one.refused:
            reasons.setdefault(one.reason, []).append(name)
    left = tuple(f"{listing(several)}: {reason}." for reason, several in reasons.items())
    return replace(carried(fit), left_out=left)


def draws(model: Side, at: Integers, names: Sequence[str], own: str | None = None) -> Draws:
    """Samples of one model on some prompts, with ``log policy - log base`` where it is stored.

    A policy's dump has both log-probabilities of its own samples (`logprob`, `ref_logprob`). The
    base's has both after it was scored again under policy and base (`klimit rescore`); a base that
    was scored by itself alone tells nothing of a policy, and counts as not scored. Scores under
    further policies are columns ``logprob_<name>``.

    Parameters
    ----------
    at : (prompts,) which of its prompts, in the order that is wanted; -1 for one that it lacks
    names : of the policies
    own : which of them drew these samples; None for the base
    """
    lengths = np.where(at >= 0, model.lengths[at], 0)
    before = np.cumsum(lengths) - lengths
    rows = np.arange(int(lengths.sum())) + np.repeat(model.starts[at] - before, lengths)
    ratios = []
    for name in names:
        ratio = own_ratios(model) if name == own else _ratios_under(model, name, base=own is None)
        if ratio is None:
            ratio = np.full(len(model.values), np.nan)
            if own is None and len(names) == 1:
                with suppress(DataError):  # scores that are not needed may be wrong
                    ratio = own_ratios(model)
        ratios.append(ratio[rows])
    return Draws(model.values[rows], lengths, np.stack(ratios))


def own_ratios(model: Side) -> Floats:
    """(samples,) logprob - ref_logprob, prompt after prompt; NaN where it is not stored."""
    rollouts = model.rollouts
    if rollouts is None:
        return np.full(len(model.values), np.nan)
    found, _ = in_nats(rollouts)
    ratio = found.log_ratio
    with np.errstate(invalid="ignore"):
        if not (np.abs(ratio) > _SAME).any():
            ratio = np.full(len(ratio), np.nan)
    return ratio[np.argsort(found.codes, kind="stable")]


def _ratios_under(model: Side, name: str, *, base: bool) -> Floats | None:
    """(samples,) log-ratio of a policy that did not draw them; None where it is not stored."""
    rollouts, column = model.rollouts, f"logprob_{name}"
    if rollouts is None or column not in rollouts.table.names:
        return None
    there = set(rollouts.table.names)
    under_base = next((x for x in ("ref_logprob", "logprob" if base else "") if x in there), None)
    if under_base is None:
        return None
    frame = rollouts.table.columns([column, under_base])
    both = [frame[x].cast(float).fill_null(np.nan).to_numpy() for x in (column, under_base)]
    found: Floats = (both[0] - both[1])[rollouts.groups.order]
    return found


def _places(model: Side, ids: Sequence[str]) -> Integers:
    places = {name: at for at, name in enumerate(model.ids)}
    return np.array([places.get(str(name), -1) for name in ids], dtype=np.int64)


def _shared(base: Rollouts, policies: Mapping[str, Rollouts]) -> list[str]:
    theirs = {str(name) for one in policies.values() for name in one.ids}
    shared = [name for name in base.ids if str(name) in theirs]
    if not shared:
        raise DataError(
            "base and policies have no prompt in common; the limit is carried prompt by prompt. "
            "Sample the policy on the base's prompts."
        )
    return shared


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
        return name if step is None or apart(name, step) != name else f"{name} {called(step)}"


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
    """Nats up to which hardly any rewards fool their own samples: mean log M - 2."""
    return float(np.log(limit.samples.counts).mean()) - 2.0


def _on_the_same_prompts(drafts: Sequence[Draft]) -> list[list[int]]:
    found: dict[int, list[int]] = {}
    for at, draft in enumerate(drafts):
        case = draft.case
        known = case.limit.members is not None and case.joint_kl is not None
        if draft.measured and case.paired and known:
            found.setdefault(id(case.limit), []).append(at)
    return list(found.values())


def _further(limit: Frontier, drafts: Sequence[Draft]) -> Frontier:
    # exact KL alone may be stored; and a checkpoint that is still the base is no second model
    drafts = [one for one in drafts if not np.isnan(own_ratios(one.policy)).all()]
    if not drafts:
        return limit
    first = drafts[0]
    rank = pairing_rank(limit.samples, np.concatenate([one.case.marks() for one in drafts]))
    if len(drafts) > MOST:
        drafts = sorted(drafts, key=lambda one: _kl(one.case))
        drafts = [drafts[at] for at in np.linspace(0, len(drafts) - 1, MOST).round().astype(int)]
    names = [one.label for one in drafts]
    theirs = {
        one.label: draws(one.policy, one.match.policy, names, own=one.label) for one in drafts
    }
    return together(limit, draws(first.base, first.match.base, names), theirs, rank)


def _kl(case: Case) -> float:
    return float("nan") if case.kl is None else float(case.kl.value)
