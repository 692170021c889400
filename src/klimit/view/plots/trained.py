"""Trained policies in the plane of gain against KL, and a run in both rewards."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from klimit._text import safe
from klimit.rollouts.steps import called
from klimit.view import colours, words
from klimit.view.plots import style
from klimit.view.plots.frontier import limit

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from klimit.audit import Audit
    from klimit.audit.path import Checkpoint, TrainedPath
    from klimit.estimate.best_of_n import BestOfN
    from klimit.estimate.result import Frontier


MANY = 12  # steps of a path from which intervals would hide it


def audits(
    placements: Sequence[Audit], ax: Axes | None = None, *, best_of_n: BestOfN | bool = True,
    kl: float | None = None,
) -> Axes:  # fmt: skip
    """How near the limit is each policy, and how did it get there?

    Every policy stands at its KL and gain with both intervals, hollow where the limit at its KL is
    not trusted; steps of one policy are joined in their order. A policy whose KL is not known
    stands, with an arrow, at the least KL that its gain implies.

    Parameters
    ----------
    placements : `Audits`, or a sequence of `Audit`
    best_of_n : best-of-N of the same base, to stand beside them; True: as far as its samples allow
    kl : nats up to which to draw; chosen if not given
    """
    from klimit.audit.audits import best_of_n_beside
    from klimit.view.audit import by_name, points

    ax, palette = style.start(ax)
    placed = [one for audit in placements for one in points(audit)]
    found = _widest(placed)
    if found is not None:
        beside = best_of_n_beside(placed) if best_of_n is True else best_of_n or None
        limit(found, ax, kl=_end(placed, found) if kl is None else kl, best_of_n=beside)
    paths = by_name(placed)
    for at, (name, path) in enumerate(paths.items()):
        color = palette.policy(at)
        _path(ax, name, path, color, style.MARKERS[at % len(style.MARKERS)])
        _steps(ax, path if len(paths) == 1 else path[-1:])
    if len(placed) == 1:
        _shortfall(ax, placed[0])
    style.named(ax, y=colours.gain(placed[0].reward))
    ax.autoscale_view()
    style.legend(ax)
    return ax


def _path(ax: Axes, name: str, path: list[Audit], color: str, marker: str) -> None:
    """One policy: a mark, or marks of its steps with a line through them."""
    known = [one for one in path if math.isfinite(one.kl.value)]
    label = style.entry(safe(name, longest=colours.LONGEST))
    if len(known) > 1:
        ax.plot([one.kl.value for one in known], [one.gain.value for one in known], color=color,
                lw=1.1, alpha=0.6, zorder=2, label="_nolegend_")  # fmt: skip
    if known:
        crowded = len(known) > MANY
        style.points(
            ax, *(style.column(known, name, ends=not crowded) for name in ("kl", "gain")),
            color=color, marker=marker, label=label, size=4.0 if crowded else 5.5,
            hollow=[not one.limit.trusted for one in known],
        )  # fmt: skip
        label = ""
    for one in path:
        least = one.least_kl
        at = least.value if least.trusted and math.isfinite(least.value) else least.low
        if not math.isfinite(one.kl.value) and math.isfinite(at):
            ax.errorbar(at, one.gain.value, xerr=0.06 * max(ax.get_xlim()[1], at), xlolims=True,
                        fmt=marker, color=color, markerfacecolor=style.palette(ax).paper, capsize=3,
                        zorder=4, label=f"{label}, its KL not known" if label else None)  # fmt: skip
            label = ""


def _steps(ax: Axes, path: list[Audit]) -> None:
    """Name the first and the last step."""
    for one in {id(one): one for one in (path[0], path[-1])}.values():
        if one.step is not None and math.isfinite(one.kl.value):
            style.note(ax, called(safe(one.step, longest=12)), one.kl.value, one.gain.value,
                       (5, 5))  # fmt: skip


def _shortfall(ax: Axes, audit: Audit) -> None:
    """What one policy lacks: the way up to the limit, and the way back to the least KL."""
    palette = style.palette(ax)
    spent, won = float(audit.kl.value), float(audit.gain.value)
    share = audit.efficiency
    best = float(audit.limit.value if audit.limit.trusted else audit.limit.low)
    if math.isfinite(share.value) and math.isfinite(share.high) and best > won > 0:
        ax.plot([spent, spent], [won, best], color=palette.quiet, lw=1, ls=(0, (1, 2)), zorder=2)
        right = spent > 0.7 * ax.get_xlim()[1]
        style.note(ax, f"{words.share(share)[0]} of the limit", spent, (won + best) / 2,
                   (-5 if right else 5, 0), va="center", ha="right" if right else "left")  # fmt: skip
    least = audit.least_kl
    if least.trusted and math.isfinite(spent) and 0 < least.value < spent:
        ax.plot([least.value, spent], [won, won], color=palette.quiet, lw=1, ls=(0, (1, 2)),
                zorder=2)  # fmt: skip
        style.note(ax, f"{words.nats(float(least.value))} would do", float(least.value), won,
                   (4, -12))  # fmt: skip


def _widest(placed: Sequence[Audit]) -> Frontier | None:
    """The limit on most prompts, of those the one that reaches furthest: placements may differ."""
    found = [one.frontier for one in placed if one.frontier is not None]
    return max(found, key=lambda limit: (limit.samples.prompts, limit.trusted_kl), default=None)


def _end(placed: Sequence[Audit], found: Frontier) -> float | None:
    """KL up to which the frontier is drawn: as far as its policies went."""
    spent = [float(x) for one in placed for x in (one.kl.value, one.kl.high, one.least_kl.value)]
    most = max((x for x in spent if math.isfinite(x)), default=0.0)
    usual = 1.2 * found.trusted_kl
    if not most > 0:
        return None
    return 1.08 * most if not math.isfinite(usual) else max(1.08 * most, min(usual, 3 * most))


POINTS = 200  # of a fitted curve


def path(found: TrainedPath, ax: Axes | None = None, *, proxy: bool = True) -> Axes:
    """Where along the run did gold part from the proxy, and did the base samples say so?

    KL stands on a scale of square roots, in which Gao et al. (arXiv 2210.10760) write their curves.
    Gold of each checkpoint with both intervals, a curve that describes the run, what the base samples
    said for each checkpoint's KL, as far as they reach, every KL at which gold may be highest, and
    the proxy's gain on an axis of its own, at the right.

    Parameters
    ----------
    proxy : whether to draw the proxy's gain

    Returns
    -------
    matplotlib Axes, of gold
    """
    ax, palette = style.start(ax)
    runs = {run: [one for one in found if one.run == run] for run in found.turns}
    furthest = max((_spent(one) for one in found), default=0.0)
    of_proxy, gold = words.both((found.proxy, found.gold))
    ax.axhline(0.0, color=palette.quiet, lw=0.8)
    told = [one for one in found if one.predicted.trusted]
    if told:
        style.points(ax, style.column(told, "kl", ends=False), style.column(told, "predicted"),
                     marker="s", color=palette.quiet, size=8.5, hollow=[True] * len(told),
                     label=style.entry(f"{gold} foretold by the base samples"))  # fmt: skip
    for at, (run, own) in enumerate(runs.items()):
        whose = f" of {safe(run, longest=colours.LONGEST)}" if len(runs) > 1 else ""
        color, marker = palette.policy(at), style.MARKERS[at % len(style.MARKERS)]
        _joined(ax, own, color, marker, style.entry(f"{gold}{whose}, as it trained"))
        _curve(ax, found, run, furthest, color)
        peak = found.turns[run].peak_kl
        if math.isfinite(peak.high):
            ax.axvspan(peak.low, peak.high, color=color, alpha=0.08, lw=0, zorder=0,
                       label=style.entry(f"where {gold}{whose} may be highest"))  # fmt: skip
    if proxy:
        right = ax.twinx()
        right.spines[["top", "left", "bottom"]].set_visible(False)
        right.spines["right"].set_color(palette.quiet)
        right.tick_params(colors=palette.quiet, labelcolor=palette.ink)
        for own in runs.values():
            right.plot(*_line(own, "proxy_gain"), color=palette.limit, lw=1.1, ls="--", marker=".")
        ax.plot([], [], color=palette.limit, lw=1.1, ls="--", marker=".",
                label=style.entry(f"{of_proxy}, at the right"))  # fmt: skip
        right.yaxis.label.set_color(palette.ink)
        style.write(right.yaxis.label, colours.gain(of_proxy), style.UP)
    _rooted(ax, furthest)
    style.named(ax, x=f"{colours.KL} (scale of square roots)", y=colours.gain(gold))
    style.legend(ax, "lower left", (0.0, 1.0), 2)
    return ax


def _joined(ax: Axes, own: Sequence[Checkpoint], color: str, marker: str, label: str) -> None:
    """Gold of one run's checkpoints with their intervals, and a thin line through them."""
    known = [one for one in own if math.isfinite(one.kl.value)]
    if known:
        ax.plot(*_line(known, "gold_gain"), color=color, lw=1.1, alpha=0.6, zorder=2)
        style.points(ax, style.column(known, "kl"), style.column(known, "gold_gain"), color=color,
                     marker=marker, label=label)  # fmt: skip


def _curve(ax: Axes, found: TrainedPath, run: str, furthest: float, color: str) -> None:
    """The form that describes a run best, if one does."""
    turned = found.turns[run]
    if turned.said and turned.fit is not None:
        end = min(turned.furthest, furthest)
        kls = end * np.linspace(0, 1, POINTS) ** 2
        gold = turned.fit.gain(kls)
        ax.plot(kls, gold.value, color=color, lw=1.6)
        ax.fill_between(kls, gold.low, gold.high, color=color, alpha=0.14, lw=0)


def _line(own: Sequence[Checkpoint], name: str) -> tuple[list[float], list[float]]:
    """The way of a run: from the base, which spends and gains nothing, along its checkpoints."""
    kl = [0.0, *(float(one.kl.value) for one in own)]
    return kl, [0.0, *(float(getattr(one, name).value) for one in own)]


def _spent(one: Checkpoint) -> float:
    """The furthest that a checkpoint may have gone."""
    known = [float(end) for end in (one.kl.value, one.kl.high) if math.isfinite(end)]
    return max(known, default=0.0)


def _rooted(ax: Axes, furthest: float) -> None:
    """KL on a scale of square roots, from 0 to a little past the last checkpoint."""
    from matplotlib.ticker import FixedLocator, NullLocator, StrMethodFormatter

    ax.set_xscale(
        "function", functions=(lambda kl: np.sqrt(np.maximum(kl, 0.0)), lambda root: root**2)
    )
    end = 1.06 * furthest or 1.0
    ax.set_xlim(0.0, end)
    unit = 10.0 ** math.floor(math.log10(end))
    ticks = np.unique([unit * x for x in (0, 0.05, 0.2, 0.5, 1, 2, 3, 5, 7)])
    ax.xaxis.set_major_locator(FixedLocator(list(ticks[ticks <= end])))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
