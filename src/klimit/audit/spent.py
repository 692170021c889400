"""The KL that an audit counts with: measured, stated, or not known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from klimit._errors import ArgumentError, DataError
from klimit._estimate import Estimate
from klimit.audit.kl import MeasuredKL, measured_kl
from klimit.audit.kl.columns import scores
from klimit.audit.kl.means import over_prompts
from klimit.audit.runs import Part
from klimit.audit.sides import Side
from klimit.estimate.checks import numbers
from klimit.estimate.intervals import normal
from klimit.rollouts.grouped import Floats, Integers
from klimit.rollouts.steps import called, labelled
from klimit.rollouts.words import counted, listing

if TYPE_CHECKING:
    from klimit.rollouts import Rollouts

FEWEST = 4  # samples of a prompt from which its KL is good enough to split the gap

_UNLIKE = (
    "no sample has logprob and ref_logprob of the same tokens: lists must be as long, without gaps."
)


@dataclass(frozen=True)
class Spent:
    """A policy's KL, and by prompt where it is known so.

    Attributes
    ----------
    kl : nats; None where nothing is known of it
    by_prompt, variance : (prompts,) KL, and variance of one sample, aligned with the prompts asked
        for; nan where missing
    estimator : how it was measured
    notes : what to mind
    """

    kl: Estimate | None = None
    by_prompt: Floats | None = None
    variance: Floats | None = None
    estimator: str = ""
    notes: tuple[str, ...] = ()


def stated(kl: Any, found: Sequence[Part]) -> list[Any]:
    """What the caller said of each policy's KL: one for all is only right for one policy."""
    if kl is None:
        return [None] * len(found)
    if isinstance(kl, Mapping):
        return _by_name(kl, found)
    one = kl.value if isinstance(kl, Estimate) else kl
    each = list(kl) if isinstance(kl, (list, tuple)) or np.ndim(one) else [kl]
    if len(each) != len(found):
        order = listing(labelled(x.name, x.step) for x in found)
        raise ArgumentError(
            f"kl= holds {counted(len(each), 'number')} for {len(found):,} policies or steps; one for "
            f"each was expected, in their order ({order}) or as {{name: kl}}."
        )
    return each


def _by_name(kl: Mapping[Any, Any], found: Sequence[Part]) -> list[Any]:
    """KLs by name, by step, or by both as tables call it; each of one policy at one step."""
    labels = [
        {part.name, part.step, str(part.step), called(part.step), labelled(part.name, part.step)}
        for part in found
    ]  # fmt: skip
    for key in kl:
        named = [part for part, own in zip(found, labels, strict=True) if key in own]
        if len(named) == 1:
            continue
        known = listing(part.name if part.step is None else part.step for part in named or found)
        raise ArgumentError(
            f"kl= names {key!r}, which stands for {len(named)} placements ({known}); one KL for each "
            "was expected: name the step, or both as 'grpo step 100'."
            if named
            else f"kl= names {key!r}; there are {known}."
        )
    return [next((kl[key] for key in kl if key in own), None) for own in labels]


def spent(kl: Any, policy: Side, at: Integers, *, level: float, prompts: Any) -> Spent:
    """The KL of a policy on some of its prompts.

    Parameters
    ----------
    kl : what the caller said; None: measured, where the rollouts have log-probabilities
    policy : its samples
    at : places of the prompts that count
    """
    if hasattr(kl, "by_prompt"):  # measured before
        return _of_measured(kl, policy, at, level=level, prompts=prompts)
    if kl is not None:
        return Spent(_estimate(kl, level))
    rollouts = policy.rollouts
    if rollouts is not None and len(at) < len(policy.ids):
        rollouts = rollouts.filter(prompts=[policy.ids[i] for i in at])
    if rollouts is None:
        return Spent()
    if not measurable(rollouts):
        unlike = {"logprob", "ref_logprob"} <= {*rollouts.table.names}
        return Spent(notes=(_UNLIKE,) * unlike)
    found = measured_kl(rollouts, level=level, prompts=prompts)
    return _of_measured(found, policy, at, level=level, prompts=prompts)


def measurable(rollouts: Rollouts) -> bool:
    """Whether both log-probabilities, or exact KL of next tokens, are there for one sample."""
    there = set(rollouts.table.names)
    if "kl_rb" not in there and not {"logprob", "ref_logprob"} <= there:
        return False
    found = scores(rollouts)
    return bool(np.isfinite([found.log_ratio, found.kl_rb]).any())


def _of_measured(
    found: MeasuredKL, policy: Side, at: Integers, *, level: float, prompts: Any
) -> Spent:
    """What was measured, on the prompts that count: gain and limit are those of these prompts alone."""
    places = {name: place for place, name in enumerate(found.ids)}
    order = np.array([places.get(policy.ids[i], -1) for i in at], dtype=np.int64)
    there = order[order >= 0]

    def pick(values: Any) -> Floats:
        taken = np.asarray(values, dtype=float)[np.maximum(order, 0)]
        return np.where(order >= 0, taken, np.nan)

    kl, notes = found.kl, tuple(f"{note.removesuffix('.')}." for note in found.notes)
    if 0 < len(there) < len(found.ids):
        own = over_prompts(
            found.by_prompt[there], found.variance_within[there], found.counts[there],
            level=kl.level, prompts=prompts, least=-np.inf if found.estimator == "k1" else 0.0,
        )  # fmt: skip
        high = own.high if np.isfinite(kl.high) else kl.high
        kl = replace(own, high=high, trusted=kl.trusted, note=kl.note)
        notes += (
            f"the KL is that of the {counted(len(there), 'prompt')} that are compared, of "
            f"{len(found.ids):,} that it was measured on.",
        )
    return Spent(
        at_level(kl, level),
        pick(found.by_prompt),
        pick(found.variance_within),
        found.estimator,
        notes,
    )


def covariance(policy: Side, at: Integers, known: Spent) -> Floats | None:
    """(prompts,) of one sample's reward and log ratio; None where the KL is not that of these samples."""
    from klimit.audit.bridge import own_ratios

    if known.by_prompt is None or known.estimator != "k1":
        return None
    try:
        ratio, number = own_ratios(policy), len(policy.lengths)
    except DataError:  # in units that were stated, say
        return None
    prompt = np.repeat(np.arange(number), policy.lengths)

    def mean(values: Floats, used: Any) -> Floats:
        counts = np.bincount(prompt[used], minlength=number)
        return np.bincount(prompt[used], values[used], number) / np.maximum(counts, 1)

    if not np.allclose(mean(ratio, np.isfinite(ratio))[at], known.by_prompt, atol=1e-6):
        return None
    both = np.isfinite(ratio) & np.isfinite(policy.values)
    off = [values - mean(values, both)[prompt] for values in (policy.values, ratio)]
    counts = np.bincount(prompt[both], minlength=number)
    return (mean(off[0] * off[1], both) * counts / np.maximum(counts - 1, 1))[at]


def _estimate(kl: Any, level: float) -> Estimate:
    if isinstance(kl, Estimate):
        if np.ndim(kl.value):
            raise ArgumentError(
                f"kl= holds an Estimate of {counted(len(kl), 'number')} for one policy; one KL for each "
                "policy or step was expected: a list, such as [*estimate]."
            )
        return at_level(kl, level)
    try:
        value = float(numbers("kl", kl, "numbers"))
    except (TypeError, ValueError):
        raise ArgumentError(
            f"kl={kl!r} is no KL; nats per sequence were expected: a number, an Estimate, or what "
            "klimit.audit.kl.measured_kl gives."
        ) from None
    if not 0 <= value < np.inf:
        raise ArgumentError(
            f"kl must be zero or more nats per sequence, and finite; got {value:g}. A measured KL "
            "below zero is noise around zero: give its Estimate, or kl=0."
        )
    return Estimate(value, value, value, level)


def at_level(stated: Estimate, level: float) -> Estimate:
    """An estimate whose interval was made for another coverage, as if its error were normal.

    An interval that is certain (a level of 1) is one at any level.

    Examples
    --------
    >>> print(at_level(Estimate(1.0, 0.9, 1.1, level=0.6827), 0.9545))
    1.00 [0.80, 1.20]
    """
    value, *ends = (np.asarray(x) for x in (stated.value, stated.low, stated.high))
    if stated.level not in (level, 1):
        times = normal(level) / normal(stated.level)
        with np.errstate(invalid="ignore"):  # what has no end keeps none
            ends = [value + times * (end - value) for end in ends]
    return Estimate.of(
        value,
        *ends,
        level=level,
        trusted=stated.trusted,
        note=stated.note,
        by_place=stated.by_place,
    )
