"""A training run in both rewards: what its checkpoints gained, and what the base samples had said."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from klimit._text import safe
from klimit.view import colours, words
from klimit.view.plots import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from klimit.audit.path import Checkpoint, TrainedPath

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
