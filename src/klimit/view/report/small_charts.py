"""The smaller pictures: runs over their steps, prompts, rewards side by side, convergence."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from klimit._text import safe
from klimit.estimate.kernel import Floats
from klimit.rollouts import steps as training
from klimit.view import colours, words
from klimit.view.audit import by_name
from klimit.view.report.chart import Chart, around, axis

if TYPE_CHECKING:
    from klimit.audit import Audit
    from klimit.estimate.convergence import Convergence
    from klimit.estimate.result import Frontier
    from klimit.view.report.findings import Findings, OtherReward

WIDTH, HEIGHT = 460, 290
LEFT, RIGHT, TOP, BOTTOM = 58, 18, 22, 44


def small_chart(
    name: str, title: str, said: str, x: tuple[float, float], y: tuple[float, float],
    x_label: str, y_label: str, *, right: int = RIGHT,
    ticks: tuple[tuple[float, str], ...] | None = None,
) -> Chart:  # fmt: skip
    """An empty chart of half the page's width."""
    across = axis(*x, LEFT, WIDTH - right)
    return Chart(
        name=name, title=title, said=said, width=WIDTH, height=HEIGHT,
        x=across if ticks is None else replace(across, ticks=ticks),
        y=axis(*y, HEIGHT - BOTTOM, TOP, ticks=4), x_label=x_label, y_label=y_label,
    )  # fmt: skip


def over_steps(found: Findings) -> list[Chart]:
    """Gain with the limit at the KL of each step, and the KL itself; nothing without steps."""
    runs = {name: steps for name, steps in by_name(found.audits).items() if _numbered(steps)}
    if not runs:
        return []
    placed = [one for run in runs.values() for one in run]
    steps = [training.number(one.step) for one in placed]
    ends = min(steps), max(steps)
    gains = [x for one in placed for x in (one.gain.low, one.gain.high, one.gain.value)]
    gains += [one.limit.value for one in placed if one.limit.trusted]
    spent = [x for one in placed for x in (one.kl.low, one.kl.high, one.kl.value)]
    label = colours.gain(found.limit.reward, objective=found.limit.settings.objective)
    last = [run[-1] for run in runs.values()]
    said = " ".join(f"{safe(one.label)}: {words.signed(one.gain)}." for one in last)
    gain = small_chart(
        "gain-over-steps", "Gain over steps", said, ends, around(gains, zero=True), "step", label
    )
    kl = small_chart("kl-over-steps", "KL over steps", said, ends, around(spent, zero=True), "step",
                "KL, nats per answer")  # fmt: skip
    for place, run in enumerate(runs.values()):
        kind = f"policy-{place % 4}"
        at = [training.number(one.step) for one in run]
        limits = [one.limit.value if one.limit.trusted else math.nan for one in run]
        gain.line(at, limits, "limit")
        _with_interval(gain, at, run, "gain", kind)
        _with_interval(kl, at, run, "kl", kind)
    return [gain, kl] if any(map(math.isfinite, spent)) else [gain]


def _with_interval(
    chart: Chart, at: list[float], run: Sequence[Audit], name: str, kind: str
) -> None:
    values = [getattr(one, name) for one in run]
    chart.band(at, [value.low for value in values], [value.high for value in values], kind)
    chart.line(at, [value.value for value in values], kind)
    for x, value, one in zip(at, values, run, strict=True):
        said = f"{safe(one.label, longest=60)}: {words.plain(value)}"
        chart.mark(x, value.value, "dot", kind, said=said)
    name = safe(run[-1].name, longest=24)
    start = chart.x.at(at[-1]) - 8 * len(name)
    top = [y for x, one in zip(at, values, strict=True) if chart.x.at(x) > start
           for y in (one.value, one.high) if math.isfinite(y)]  # fmt: skip
    chart.say(
        at[-1], max(top, default=0.0), name, f"{kind} strong", anchor="end", right=-4, down=-6
    )


def _numbered(run: Sequence[Audit]) -> bool:
    return len(run) > 1 and all(math.isfinite(training.number(one.step)) for one in run)


def across_prompts(gains: Sequence[float], kl: float, label: str) -> Chart:
    """Every prompt's gain at the optimum, the largest first."""
    tall = sorted((x for x in gains if math.isfinite(x)), reverse=True)
    number, total = len(tall), sum(tall)
    quarter = sum(tall[: max(number // 4, 1)]) / total if total > 0 else 0.0
    said = (
        f"Of all that can be gained at {words.nats(kl)}, {words.percent(quarter)} is in a quarter of "
        f"the {number:,} prompts."
    )
    chart = small_chart("prompts", "Where the gain is", said, (0.0, float(number)), around(tall, zero=True),
                   "prompts, by gain", label)  # fmt: skip
    xs = np.repeat(np.arange(number + 1.0), 2)[1:-1]
    ys = np.repeat(tall, 2)
    chart.band(xs, np.zeros(len(xs)), ys, "limit")
    chart.line(xs, ys, "limit thin")
    return chart


def converging(found: Convergence) -> Chart:
    """The limit from a quarter, half and all of the samples."""
    gain, place = found.gain, np.log2(found.samples)
    seen = [*gain.value, *gain.low, *found.plugin, *gain.high]
    ticks = tuple((at, f"{size:,.0f}") for at, size in zip(place, found.samples, strict=True))
    chart = small_chart(
        "convergence", "As samples are added", settled(found),
        (place[0] - 0.3, place[-1] + 0.3), around(seen, share=0.15),
        "samples a prompt", f"gain at {words.nats(found.kl)}", ticks=ticks,
    )  # fmt: skip
    chart.line(place, found.plugin, "plain")
    chart.line(place, gain.value, "limit")
    for at, x in enumerate(place):
        one, plugin = gain[at], found.plugin[at]
        chart.mark(x, plugin, "square", "plain", said=f"plug-in: {plugin:.3g}")
        chart.mark(x, one.value, "circle", "limit" if one.trusted else "limit unsure",
                   along=(one.low, min(one.high, chart.y.high)), said=words.plain(one))  # fmt: skip
    chart.say(place[0], found.plugin[0], "plug-in", "quiet", right=9, down=16)
    chart.say(place[0], gain.value[0], "corrected", "limit strong", right=9, down=-9)
    return chart


def settled(found: Convergence) -> str:
    """What the last doubling of samples changed, in words."""
    value = found.gain.value
    if len(value) < 2 or value[-1] <= 0:
        return "There are too few samples to divide."
    moved = [abs(x[-1] / x[-2] - 1) for x in (value, found.plugin)]
    few, many = (f"{size:,.0f}" for size in found.samples[-2:])
    hollow = "" if np.all(found.gain.trusted) else " Hollow: not trusted."
    return (
        f"From {few} to {many} samples a prompt the estimate moved by {_percent(moved[0])}, the plug-in "
        f"without correction by {_percent(moved[1])}.{hollow}"
    )


def _percent(share: float) -> str:
    if share < 0.001:
        return "less than 0.1 %"
    return f"{100 * share:.2g} %" if share < 0.1 else f"{100 * share:.0f} %"


def reward_lines(limit: Frontier, others: Sequence[OtherReward], top: float) -> Chart:
    """Every reward's own limit, as far as it is trusted."""
    named = [(limit.reward, limit), *((one.name, one.limit) for one in others)]
    curves = []
    for name, one in named:
        if one.samples.scale > 0:
            kl = min(one.trusted_kl, top) * (np.arange(41) / 40) ** 2
            curves.append((name, kl, one.gain(kl).value / one.samples.scale))
    most = max((gain[-1] for _, _, gain in curves), default=1.0)
    longest = max((kl[-1] for _, kl, _ in curves), default=1.0) or 1.0
    said = "Each line ends where these samples are no longer trusted."
    chart = small_chart(
        "rewards", "The limit of each reward", said, (0.0, 1.02 * longest), around([most], zero=True),
        "KL from the base, nats", "gain, standard deviations", right=96,
    )  # fmt: skip
    for place, (name, kl, gain) in enumerate(curves):
        kind = "limit" if place == 0 else f"policy-{(place - 1) % 4}"
        named_line(chart, kl, gain, safe(name, longest=16), kind)
    return chart


def named_line(chart: Chart, kl: Floats, gain: Floats, name: str, kind: str) -> None:
    """A line that has its name at its end."""
    chart.line(kl, gain, kind)
    if kl[-1] > 0:
        chart.mark(kl[-1], gain[-1], "dot", kind)
        chart.say(kl[-1], gain[-1], name, f"{kind} strong", right=7, down=4)
