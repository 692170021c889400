"""The KL that an audit counts with: measured, stated, or not known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from klimit._errors import ArgumentError
from klimit._estimate import Estimate
from klimit.audit.runs import Part
from klimit.audit.sides import Side
from klimit.estimate.kernel import Floats
from klimit.estimate.samples import Integers
from klimit.rollouts.words import counted, listing

if TYPE_CHECKING:
    from klimit.audit.kl import MeasuredKL
    from klimit.rollouts import Rollouts

FEWEST = 4  # samples of a prompt from which its KL is good enough to split the gap


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
    """What the caller said of each policy's KL: one for all is only right for one policy.

    Raises
    ------
    ArgumentError
        Where it cannot be told whose KL is whose.
    """
    if kl is None:
        return [None] * len(found)
    if isinstance(kl, Mapping):
        labels = [{part.name, part.step, str(part.step)} for part in found]
        unknown = [key for key in kl if not any(key in own for own in labels)]
        if unknown:
            known = listing([part.name if part.step is None else part.step for part in found])
            raise ArgumentError(f"kl= names {unknown[0]!r}; there are {known}.")
        return [next((kl[key] for key in kl if key in own), None) for own in labels]
    if not isinstance(kl, (list, tuple, np.ndarray)):
        kl = [kl]
    if len(kl) != len(found):
        raise ArgumentError(
            f"kl= holds {counted(len(kl), 'number')} for {len(found):,} policies or steps; one for "
            "each was expected, in their order or as {name: kl}."
        )
    return list(kl)


def spent(kl: Any, policy: Side, at: Integers, *, level: float, prompts: Any) -> Spent:
    """The KL of a policy on some of its prompts.

    Parameters
    ----------
    kl : what the caller said; None: measured, where the rollouts have log-probabilities
    policy : its samples
    at : places of the prompts that count
    """
    if len(getattr(kl, "ids", ())):
        return _of_measured(kl, policy, at)
    if kl is not None:
        return Spent(_estimate(getattr(kl, "kl", kl), level), notes=tuple(getattr(kl, "notes", ())))
    rollouts = policy.rollouts
    if rollouts is not None and len(at) < len(policy.ids):
        rollouts = rollouts.filter(prompts=[policy.ids[i] for i in at])
    if rollouts is None or not measurable(rollouts):
        return Spent()
    from klimit.audit.kl import measured_kl

    return _of_measured(measured_kl(rollouts, level=level, prompts=prompts), policy, at)


def measurable(rollouts: Rollouts) -> bool:
    """Whether both log-probabilities, or exact KL of next tokens, are there for one sample."""
    there = set(rollouts.table.names)
    if "kl_rb" not in there and not {"logprob", "ref_logprob"} <= there:
        return False
    from klimit.audit.kl.columns import scores

    found = scores(rollouts)
    return bool(np.isfinite([found.log_ratio, found.kl_rb]).any())


def _of_measured(found: MeasuredKL, policy: Side, at: Integers) -> Spent:
    places = {name: place for place, name in enumerate(found.ids)}
    order = np.array([places.get(policy.ids[i], -1) for i in at], dtype=np.int64)

    def pick(values: Any) -> Floats:
        taken = np.asarray(values, dtype=float)[np.maximum(order, 0)]
        return np.where(order >= 0, taken, np.nan)

    return Spent(
        found.kl, pick(found.by_prompt), pick(found.variance_within), found.estimator,
        tuple(_sentence(note) for note in found.notes),
    )  # fmt: skip


def _sentence(note: str) -> str:
    return note if note.endswith(".") else f"{note}."


def _estimate(kl: Any, level: float) -> Estimate:
    if isinstance(kl, Estimate):
        return kl
    try:
        value = float(kl)
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
