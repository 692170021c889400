"""What a `Plan` says: its verdict, and what to type in each trainer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from klimit.view import words

if TYPE_CHECKING:
    from klimit.estimate.plan import Plan
    from klimit.estimate.plan.settings import Setting

EXACT = "What to type where the trainer's optimum is the limit (temperature 1, no top-p or top-k):"
FIRST_ORDER = (
    "Where it is near the limit, because the KL stands in the loss; watch the KL that is logged:"
)
NONE = "Where no single number does, because it differs by prompt:"


def text(plan: Plan) -> str:
    """The verdict, what to type, and the notes."""
    return words.result(verdict(plan), settings(plan), notes=plan.notes)


def verdict(plan: Plan) -> str:
    """What to set, what that gains, and how much to sample: ``str(plan)`` without the rest."""
    lines = str(plan).split("\n")
    return "\n".join(x for x in lines if not x.startswith(("note: ", "What to type")))


def settings(plan: Plan) -> str:
    """What to type in each trainer, in three groups."""
    groups: dict[str, list[Setting]] = {EXACT: [], FIRST_ORDER: [], NONE: []}
    for setting in plan.settings:
        heading = NONE if setting.value is None else EXACT if setting.exact else FIRST_ORDER
        groups[heading].append(setting)
    return "\n\n".join(
        "\n".join([heading, *map(_line, members)]) for heading, members in groups.items() if members
    )


def _line(setting: Setting) -> str:
    """The trainer, what its own KL will read, and below what to type."""
    metric = setting.logs.partition(",")[0]
    reads = "" if setting.logged is None else f" of about {words.short(setting.logged)}"
    logs = f" (logs {metric}{reads})" if setting.value is not None else ""
    typed = str(setting).removeprefix(f"{setting.trainer}: ").replace(", ", " ")
    parts = [f"  {setting.trainer}{logs}", words.paragraph(typed, lead=" " * 6)]
    if setting.value is None:
        why = setting.note.removeprefix("no single number, it differs by prompt: ")
        parts.append(words.paragraph(why, lead=" " * 6))
    return "\n".join(parts)
