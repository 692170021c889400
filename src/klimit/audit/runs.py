"""Who is who in one dump: which rows are the base, which are policies, and at which steps."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from klimit._errors import ArgumentError, DataError, warn
from klimit._text import safe
from klimit.rollouts.steps import apart, bases, called, likely_base, number, present
from klimit.rollouts.words import UNNAMED, counted, listing

if TYPE_CHECKING:
    from klimit.rollouts import Rollouts


@dataclass(frozen=True)
class Part:
    """Samples of one policy at one step."""

    name: str
    step: Any
    samples: Any


def parts(policy: Any, name: str = "") -> list[Part]:
    """One policy and one step each; arrays are one part.

    Parameters
    ----------
    name : what to call it where the source names no policies
    """
    if not hasattr(policy, "grouped"):
        return [Part(name or "policy", None, policy)]
    found = []
    policies = present(policy.policies) or [None]
    say_nameless(policy, "policy")
    for one in policies:
        own = policy if len(policy.policies) < 2 else policy.filter(policy=one)
        steps = present(own.steps) or [None]
        say_nameless(own, "step")
        for step in steps:
            rows = own if len(own.steps) < 2 else own.filter(step=step)
            who = "" if one is None else apart(str(one), step)  # "step-200" at step 200 is no name
            who = name if name and len(policies) == 1 else f"{name} {who}".strip()
            found.append(Part(who or "policy", step, rows))
    return found


def named(policy: Any) -> list[Part]:
    """The parts of whatever was given as policy: rollouts, an array, or several under names."""
    if not isinstance(policy, Mapping):
        return parts(policy)
    if not policy:
        raise ArgumentError("no policy was given; {name: rollouts} was expected.")
    return [part for name, one in policy.items() for part in parts(one, str(name))]


def is_run(base: Any) -> bool:
    """Whether one dump holds a base and what was trained from it: several steps, or one base by name."""
    policies = present(getattr(base, "policies", ()))
    known = bases(map(str, policies))
    return len(getattr(base, "steps", ())) > 1 or (len(known) == 1 and len(policies) > 1)


def within(run: Rollouts) -> tuple[Rollouts, list[Part], tuple[str, ...]]:
    """Base and policies of one dump, and a note on which rows are taken for the base."""
    known = [str(one) for one in present(run.policies)]
    found = bases(known)
    if len(found) == 1 and len(run.policies) > 1:
        base = run.filter(policy=found[0])
        named = [one for one in known if one != found[0]]
        if named:  # else what has no name is the policy
            say_nameless(run, "policy")
        others = run.filter(policy=named or UNNAMED)
        base = _first_step(base) if len(base.steps) > 1 else base
        return base, parts(others), (f"policy {found[0]} of the same dump is the base.",)
    if len(found) > 1:
        raise DataError(
            f"{run.source} has several policies that may be the base ({listing(found)}); give the "
            "base apart: klimit.audit(run.filter(policy=...), ...)."
        )
    steps = present(run.steps)
    late = not steps or number(steps[0]) not in (0, 1)[: len(steps)]  # 0 alone is a base, 1 is not
    for column, several, values in (
        ("policy", "policies", run.policies), ("step", "steps", run.steps),
    ):  # fmt: skip
        if (late and None in values) or (column == "policy" and len(known) > 1):
            first = likely_base(values)
            raise DataError(
                f"{run.source} has {len(values)} {several} ({listing(values, most=4)}) and none is "
                "called base, reference or step 0; give the base apart: "
                f"klimit.audit(run.filter({column}={first!r}), ...) (--base-{column} {safe(first)})."
            )
    if len(run.steps) < 2:
        raise DataError(
            f"{run.source}: one policy at one step was found; base and policy were expected in it. "
            "Give the base as another file: klimit audit BASE POLICY."
        )
    if steps[1:]:  # else what has no step is the policy
        say_nameless(run, "step")
    base = _first_step(run)
    said = "step 0 of the run is the base."
    if number(steps[0]) != 0:
        said = f"{called(steps[0])}, sampled before the first update, is the base."
    rest = run.filter(step=steps[1:] or UNNAMED)
    return base, parts(rest), (said,)


def _first_step(run: Rollouts) -> Rollouts:
    steps = present(run.steps)
    if number(steps[0]) not in (0, 1):
        why = "when the policy has been trained already"
        if math.isnan(number(steps[0])):
            why = "which does not say how long the policy had been trained"
        raise DataError(
            f"{run.source} starts at {called(steps[0])}, {why}; step 0 or 1 was expected as the base. "
            "Give base rollouts apart, or say which step to compare with: "
            f"klimit.audit(run.filter(step={steps[0]!r}), ...) (--base-step {steps[0]})."
        )
    return run.filter(step=steps[0])


def say_nameless(rows: Rollouts, column: str) -> None:
    """Warn of samples that stand among named ones and name no policy or step."""
    if None in (rows.policies if column == "policy" else rows.steps):
        number = rows.table.column(column).null_count()
        warn(f"{counted(number, 'sample')} of {rows.source} without a {column} left out.")
