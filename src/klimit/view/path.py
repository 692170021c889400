"""What a `TrainedPath` says: a verdict, a table of its checkpoints, plain values."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from klimit._estimate import Estimate
from klimit._text import safe
from klimit.view import words
from klimit.view.table import table

if TYPE_CHECKING:
    import polars as pl

    from klimit.audit.path import Checkpoint, TrainedPath
    from klimit.audit.path.turn import Turn

SHOWN = ("kl", "proxy_gain", "gold_gain", "proxy_limit", "gold_limit", "least_kl", "predicted",
         "predicted_at_proxy")  # fmt: skip


def text(path: TrainedPath) -> str:
    """The verdict, the table and the notes."""
    return words.blocks(
        verdict(path), table(*cells(path)), legend(path), words.footnotes(path.notes)
    )


def verdict(path: TrainedPath) -> str:
    """What each run gained in both rewards, where gold is highest, and what was predicted."""
    said = [line for run, turn in path.turns.items() for line in _sentences(path, run, turn)]
    return "\n".join(map(words.paragraph, said))


def _sentences(path: TrainedPath, run: str, turn: Turn) -> list[str]:
    own = [one for one in path if one.run == run]
    lines = [_ended(path, own[-1])]
    if len(own) > 1:
        lines += [_highest(own, turn), _turned(turn)]
    return [line for line in lines if line]


def _ended(path: TrainedPath, last: Checkpoint) -> str:
    names = words.both((path.proxy, path.gold))
    proxy = words.signed(last.proxy_gain, unit=names[0])
    gold = words.signed(last.gold_gain, unit=names[1])
    spent = f" at {_nats(last.kl)}" if math.isfinite(last.kl.value) else ""
    return f"{_name(last.label, 60)} gained {proxy} and {gold}{spent}."


def _highest(own: list[Checkpoint], turn: Turn) -> str:
    if not turn.alike:
        return ""
    names = {-1: "the base"} | {at: _name(one.label, 60) for at, one in enumerate(own)}
    if turn.best < 0:
        line = "No checkpoint has more gold than the base"
    else:
        best = own[turn.best]
        known = math.isfinite(best.kl.value)
        line = (
            f"Of {words.counted(len(own), 'checkpoint')} {names[turn.best]} has most gold, "
            f"{words.signed(best.gold_gain)} at {_nats(best.kl) if known else 'a KL that is not known'}"
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
        return f"{line}; by the curve of {form} at {_nats(peak)}."
    return (
        f"{line}; nor does the curve of {form}."
        if not turn.turned
        else (f"{line}; the curve of {form} does not show it.")
    )


def cells(path: TrainedPath) -> tuple[list[str], list[list[str]]]:
    """Headings, and a row per checkpoint."""
    names = words.both((path.proxy, path.gold))
    headings = ["checkpoint", "KL", *names, "predicted", "at this proxy"]
    return headings, [_row(one) for one in path]


def _row(one: Checkpoint) -> list[str]:
    known = math.isfinite(one.kl.value)
    return [
        _name(one.label), _plain(one.kl) if known else "not known", words.plain(one.proxy_gain),
        words.plain(one.gold_gain), _predicted(one.predicted), _predicted(one.predicted_at_proxy),
    ]  # fmt: skip


def _predicted(estimate: Estimate) -> str:
    if math.isnan(estimate.value) and math.isnan(estimate.low):
        return "-"
    return words.plain(estimate)


def legend(path: TrainedPath) -> str:
    """What the columns mean."""
    gold = _name(path.gold)
    return words.paragraph(
        f"KL: distance from the base model, nats per answer; predicted: {gold} that the base samples "
        "say for the best policy of the proxy at this KL; at this proxy: the same where that policy "
        f"has this proxy gain. Brackets: {100 * path.level:g} % intervals."
    )


def frame(path: TrainedPath) -> pl.DataFrame:
    """A row per checkpoint."""
    from klimit.view.records import columns, framed

    found: list[dict[str, Any]] = []
    for one in path:
        row: dict[str, Any] = {"checkpoint": one.label, "run": one.run}
        for name in SHOWN:
            estimate = getattr(one, name)
            row |= {**columns(name, estimate), f"{name}_trusted": bool(estimate.trusted)}
        found.append(row)
    truth = [f"{name}_trusted" for name in SHOWN]
    return framed(found, text=["checkpoint", "run"], truth=truth)


def record(path: TrainedPath) -> dict[str, Any]:
    """Plain values; what is not finite is null and a reason beside it."""
    return {
        "proxy": path.proxy,
        "gold": path.gold,
        "level": path.level,
        "verdict": verdict(path).split("\n"),
        "checkpoints": [
            {"checkpoint": one.label, "run": one.run}
            | {name: getattr(one, name).to_dict() for name in SHOWN}
            for one in path
        ],
        "runs": [_turn(path, run, turn) for run, turn in path.turns.items()],
        "notes": list(path.notes),
    }


def _turn(path: TrainedPath, run: str, turn: Turn) -> dict[str, Any]:
    from klimit.view.records import number

    own = [one.label for one in path if one.run == run]
    return {
        "run": run,
        "best": _at(own, turn.best) if turn.alike else None,
        "alike": [_at(own, at) for at in turn.alike],
        "peak_kl": turn.peak_kl.to_dict(),
        "peak_gain": turn.peak_gain.to_dict(),
        "bracket": turn.bracket.to_dict(),
        "curves": [
            {
                "form": form,
                "a": fit.a.to_dict(),
                "b": fit.b.to_dict(),
                "misfit": number(fit.misfit, "the points have no errors"),
            }
            for form, fit in turn.fits.items()
        ],
        "furthest_kl": number(turn.furthest, turn.reason),
    }


def _at(labels: list[str], place: int) -> str:
    return "base" if place < 0 else labels[place]


def _name(name: str, longest: int = 40) -> str:
    return safe(name, longest=longest)


def _plain(estimate: Estimate) -> str:
    if estimate.low == estimate.high or not math.isfinite(estimate.high - estimate.low):
        return words.short(float(estimate.value))
    return words.plain(estimate)


def _nats(estimate: Estimate) -> str:
    if estimate.low == estimate.high or not math.isfinite(estimate.high - estimate.low):
        return words.nats(float(estimate.value))
    digits = words.places(estimate)
    ends = words.fixed(float(estimate.low), digits), words.fixed(float(estimate.high), digits)
    return f"{words.fixed(float(estimate.value), digits)} nats [{ends[0]}, {ends[1]}]"
