"""The main picture: reward against KL, with the frontier, best-of-N and the policies."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from klimit._estimate import Estimate
from klimit._text import safe
from klimit.view import colours, words
from klimit.view.audit import by_name
from klimit.view.best_of_n import each
from klimit.view.report.chart import SHAPES, Chart, around, axis

if TYPE_CHECKING:
    from klimit.audit import Audit
    from klimit.view.report.findings import Findings

LABELLED = (4, 16, 64, 256, 1024)  # best-of-N whose N is written beside it
STRETCHED = 3.5  # largest KL over the trusted one from which KL is drawn on a root scale
WIDE, NARROW = (960, 430), (400, 350)


def largest_kl(found: Findings) -> float:
    """Where the axis ends, nats: past trust, best-of-N and every policy."""
    limit = found.limit
    edge = limit.trusted_kl
    ends = [1.25 * edge if math.isfinite(edge) else 0.0, 1.05 * max(found.budgets, default=1.0)]
    ends += [1.04 * one.kl.value for one in each(found.beside.best)]
    for one in found.audits:
        if math.isfinite(one.kl.value):
            ends.append(1.06 * (one.kl.high if math.isfinite(one.kl.high) else one.kl.value))
    return max(ends)


def stretched(found: Findings, top: float) -> bool:
    """Whether the axis is a root scale, so that what is trusted does not vanish at its left end."""
    edge = found.limit.trusted_kl
    return math.isfinite(edge) and top > STRETCHED * max(edge, 0.25)


def frontier_chart(found: Findings, grid: Mapping[str, Any], *, narrow: bool) -> Chart:
    """Draw everything, for a page or for a phone."""
    width, height = NARROW if narrow else WIDE
    top = grid["kl"][-1]
    root = stretched(found, top)
    limit = found.limit
    x = axis(0.0, top, 46 if narrow else 64, width - (14 if narrow else 28), root=root)
    low, high = _reach(found, grid)
    y = axis(low, high, height - 44, 20)
    scale = ", square-root scale" if root else ""
    label = "KL from the base, nats" if narrow else f"{colours.KL}{scale}"
    chart = Chart(
        name=f"frontier-{'narrow' if narrow else 'wide'}", title="Reward against KL", said=_said(found),
        width=width, height=height, x=x, y=y, x_label=label,
        y_label=colours.gain(limit.reward, objective=limit.settings.objective),
    )  # fmt: skip
    _limit(chart, found, grid, narrow=narrow)
    _best_of_n(chart, found, narrow=narrow)
    _policies(chart, found, narrow=narrow)
    return chart


def _reach(found: Findings, grid: Mapping[str, Any]) -> tuple[float, float]:
    """Ends of the axis of gains, with room for all that is drawn."""
    edge = found.limit.trusted_kl
    seen = [value for name in ("gain", "high")
            for at, value in zip(grid["kl"], grid[name], strict=True)
            if value is not None and at <= edge]  # fmt: skip
    seen += [value for value in grid["low"] if value is not None]
    seen += [x for one in each(found.beside.best) for x in (one.gain.value, one.gain.high)]
    for one in found.audits:
        if math.isfinite(_spent(one).value):
            seen += [one.gain.low, one.gain.value, one.gain.high]
    return around(seen, zero=True)


def _limit(chart: Chart, found: Findings, grid: Mapping[str, Any], *, narrow: bool) -> None:
    edge = found.limit.trusted_kl
    kl = np.array(grid["kl"], dtype=float)
    gain, low, high = (
        np.array([math.nan if v is None else v for v in grid[name]])
        for name in ("gain", "low", "high")
    )
    inside = ~np.isnan(gain)  # budgets are rounded, and may not be compared with the edge
    if inside.sum() > 1:  # of one prompt the interval has no ends
        least = np.where(np.isnan(low), chart.y.low, low)[inside]
        most = np.where(np.isnan(high), chart.y.high, high)[inside]
        chart.band(kl[inside], least, most, "limit")
    beyond = ~inside
    # between what is sure and what could be, which only a stated range of rewards ends
    room = np.where(np.isnan(high), chart.y.high, high)[beyond]
    chart.band(kl[beyond], low[beyond], room, "limit unsure")
    _bound(chart, grid["bounds"])
    chart.line(kl[beyond], low[beyond], "limit least")
    chart.line(kl[inside], gain[inside], "limit")
    if 0 < edge < kl[-1]:
        chart.upright(edge, "edge")
        reach = words.nats(edge, down=True)
        chart.aside(edge, chart.y.high, f"trusted {'' if narrow else 'up '}to {reach}")
    if beyond.any() and np.isfinite(low[beyond]).any() and low[-1] > 0:
        at = int(np.searchsorted(kl, (2 * kl[-1] + max(edge, 0.0)) / 3))  # above a line that rises
        chart.say(kl[at], low[at], "at least this", "limit", anchor="end", down=-10)


def _bound(chart: Chart, bounds: Mapping[str, Any]) -> None:
    """The least of the literature's bounds, straight over sqrt(KL) between budgets, inside the chart."""
    rows = [row["value"] for row in bounds["rows"] if not row["name"].startswith("frontier")]
    if not rows:
        return
    root = np.sqrt([0.0, *bounds["kl"]])
    least = np.concatenate([[0.0], np.array(rows, dtype=float).min(axis=0)])
    fine = np.linspace(0.0, root[-1], 61)
    drawn = np.interp(fine, root, least)
    chart.line(fine**2, np.where(drawn <= chart.y.high, drawn, np.nan), "bound")


def _best_of_n(chart: Chart, found: Findings, *, narrow: bool) -> None:
    best = each(found.beside.best)
    chart.line(
        [0.0, *(one.kl.value for one in best)], [0.0, *(one.gain.value for one in best)], "best"
    )
    for one in best:
        n, kl, gain = one.n, one.kl.value, one.gain
        said = f"best-of-{n:,}: {words.signed(gain)} for {words.nats(kl)}"
        chart.mark(kl, gain.value, "circle", "best", along=(gain.low, gain.high), said=said)
        if n in LABELLED and not (narrow and n == 4):
            name = f"best-of-{n:,}" if n == 4 or (narrow and n == 16) else f"{n:,}"
            chart.say(kl, gain.value, name, "best", right=9, down=15)


def _policies(chart: Chart, found: Findings, *, narrow: bool) -> None:
    for place, (name, steps) in enumerate(by_name(found.audits).items()):
        known = [one for one in steps if math.isfinite(one.kl.value + one.gain.value)]
        placed = bool(known)
        known = known or [one for one in steps[-1:] if math.isfinite(_spent(one).value)]
        if not known:
            continue
        kind, shape = f"policy-{place % 4}", SHAPES[1 + place % (len(SHAPES) - 1)]
        kl, gain = [_spent(one) for one in known], [one.gain for one in known]
        chart.line([x.value for x in kl], [x.value for x in gain], f"{kind} path")
        for at, one in enumerate(known[:-1]):
            chart.mark(kl[at].value, gain[at].value, "dot", kind, said=_place(one))
        last, spent, won = known[-1], kl[-1], gain[-1]
        chart.mark(spent.value, won.value, shape, kind if placed else f"{kind} unsure",
                   across=(spent.low, spent.high), along=(won.low, won.high), said=_place(last))  # fmt: skip
        left = placed and spent.value > 0.7 * chart.x.high
        chart.say(
            spent.value, won.value, safe(last.label if len(known) > 1 else name, longest=16 if narrow else 32)
            + ("" if placed else ", KL not known"), f"{kind} strong", anchor="end" if left else "start",
            right=-11 if left else 11 if placed else 30, down=-11 if placed else 4,
        )  # fmt: skip


def _said(found: Findings) -> str:
    """The picture in words, for those who cannot see it."""
    limit = found.limit
    parts = []
    for kl in found.budgets:
        gain = limit.gain(kl)
        parts.append(f"{words.signed(gain)} at {words.nats(kl, exact=True)}")
    said = f"The most that any method gains is {words.listed(parts)}."
    for one in found.audits[-3:]:
        if math.isfinite(_spent(one).value):
            said += f" {_place(one)}."
    return said


def _spent(one: Audit) -> Estimate:
    """Its KL; where that is not known, from the least that its gain implies."""
    if math.isfinite(one.kl.value):
        return one.kl
    least = one.least_kl.value if one.least_kl.trusted else one.least_kl.low or math.nan
    return Estimate(least, least, math.inf)


def _place(one: Audit) -> str:
    least = "" if math.isfinite(one.kl.value) else "at least "
    spent = words.nats(_spent(one).value)
    return f"{safe(one.label, longest=60)}: {words.signed(one.gain)} for {least}{spent}"
