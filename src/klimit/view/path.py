"""What a `TrainedPath` says: a verdict, a table of its checkpoints, plain values."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from klimit._estimate import Estimate
from klimit._text import safe
from klimit.view import words
from klimit.view.records import columns, framed, number, numbers

if TYPE_CHECKING:
    import polars as pl

    from klimit.audit.path import Checkpoint, TrainedPath
    from klimit.audit.path.turn import Turn

SHOWN = ("kl", "proxy_gain", "gold_gain", "proxy_limit", "gold_limit", "least_kl", "predicted",
         "predicted_at_proxy")  # fmt: skip


def text(path: TrainedPath) -> str:
    """The verdict, the table and the notes."""
    return words.result(verdict(path), words.table(*cells(path)), legend(path), notes=path.notes)


def verdict(path: TrainedPath) -> str:
    """What each run gained in both rewards, where gold is highest, and what was predicted."""
    lines = []
    for run, turn in path.turns.items():
        own = [one for one in path if one.run == run]
        lines.append(_ended(path, own[-1]))
        if len(own) > 1:
            lines += [_highest(own, turn), _turned(turn)]
    return "\n".join(filter(None, lines))


def _ended(path: TrainedPath, last: Checkpoint) -> str:
    names = words.both((path.proxy, path.gold))
    proxy = words.signed(last.proxy_gain, unit=names[0])
    gold = words.signed(last.gold_gain, unit=names[1])
    spent = f" at {words.spent(last.kl)}" if math.isfinite(last.kl.value) else ""
    return f"{safe(last.label, longest=60)} gained {proxy} and {gold}{spent}."


def _highest(own: list[Checkpoint], turn: Turn) -> str:
    if not turn.alike:
        return ""
    names = {-1: "the base"} | {at: safe(one.label, longest=60) for at, one in enumerate(own)}
    if turn.best < 0:
        line = "No checkpoint has more gold than the base"
    else:
        best = own[turn.best]
        spent = "a KL that is not known"
        if math.isfinite(best.kl.value):
            spent = words.spent(best.kl)
        line = (
            f"Of {words.counted(len(own), 'checkpoint')} {names[turn.best]} has most gold, "
            f"{words.signed(best.gold_gain)} at {spent}"
        )
    others = [names[at] for at in turn.alike if at != turn.best]
    if others:
        line += f"; {words.listed(others)} cannot be told from it"
    return f"{line}."


def _turned(turn: Turn) -> str:
    if turn.reason:
        return f"Where gold turns down cannot be said: {turn.reason}."
    free, peak = turn.bracket, turn.peak_kl
    if math.isfinite(free.high):
        line = (
            f"Gold is highest between {words.short(free.low)} and {words.nats(free.high)}, if it rises "
            "once and falls once"
        )
    else:
        line = "The run does not show that gold turns down"
    if not turn.said:
        return f"{line}. Neither curve of Gao et al. describes the run."
    form = {"rl": "reinforcement learning", "best-of-n": "best-of-N"}[turn.said[0]]
    if math.isfinite(peak.high):
        return f"{line}; by the curve of {form} at {words.spent(peak)}."
    if turn.turned:
        return f"{line}; the curve of {form} does not show it."
    return f"{line}; nor does the curve of {form}."


def cells(path: TrainedPath) -> tuple[list[str], list[list[str]]]:
    """Headings, and a row per checkpoint."""
    names = words.both((path.proxy, path.gold))
    headings = ["checkpoint", "KL", *names, "predicted", "at this proxy"]
    return headings, [_row(one) for one in path]


def _row(one: Checkpoint) -> list[str]:
    known = math.isfinite(one.kl.value)
    return [
        safe(one.label, longest=40), words.measured(one.kl) if known else "not known",
        words.plain(one.proxy_gain), words.plain(one.gold_gain),
        _predicted(one.predicted), _predicted(one.predicted_at_proxy),
    ]  # fmt: skip


def _predicted(estimate: Estimate) -> str:
    if math.isnan(estimate.value) and math.isnan(estimate.low):
        return "-"
    return words.plain(estimate)


def legend(path: TrainedPath) -> str:
    """What the columns mean."""
    return words.paragraph(
        f"{words.DISTANCE}; predicted: {safe(path.gold, longest=40)} that the base samples "
        "say for the best policy of the proxy at this KL; at this proxy: the same where that policy "
        f"has this proxy gain. {words.brackets(path.level)}"
    )


def frame(path: TrainedPath) -> pl.DataFrame:
    """A row per checkpoint."""
    rows = []
    for one in path:
        row: dict[str, Any] = {"checkpoint": one.label, "run": one.run}
        for name in SHOWN:
            estimate = getattr(one, name)
            row |= {**columns(name, estimate), f"{name}_trusted": bool(estimate.trusted)}
        rows.append(row)
    truth = [f"{name}_trusted" for name in SHOWN]
    return framed(rows, text=["checkpoint", "run"], truth=truth)


def record(path: TrainedPath) -> dict[str, Any]:
    """Plain values; what is not finite is null and a reason beside it."""
    return {
        "proxy": path.proxy,
        "gold": path.gold,
        "level": path.level,
        "verdict": verdict(path).split("\n"),
        "checkpoints": [
            {"checkpoint": one.label, "run": one.run, **numbers(one, SHOWN)} for one in path
        ],
        "runs": [_turn(path, run, turn) for run, turn in path.turns.items()],
        "notes": list(path.notes),
    }


def _turn(path: TrainedPath, run: str, turn: Turn) -> dict[str, Any]:
    own = [one.label for one in path if one.run == run]
    return {
        "run": run,
        "best": _at(own, turn.best) if turn.alike else None,
        "alike": [_at(own, at) for at in turn.alike],
        **numbers(turn, ("peak_kl", "peak_gain", "bracket")),
        "curves": [
            {
                "form": form,
                **numbers(fit, ("a", "b")),
                "misfit": number(fit.misfit, "the points have no errors"),
            }
            for form, fit in turn.fits.items()
        ],
        "furthest_kl": number(turn.furthest, turn.reason),
    }


def _at(labels: list[str], place: int) -> str:
    return "base" if place < 0 else labels[place]
