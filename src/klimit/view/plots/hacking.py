"""Gold against the KL that is spent on a proxy, or on several together: how far below its limit it stays."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from klimit.estimate.ensembles.gains import Course
from klimit.estimate.labels.preferences import FewJudgements
from klimit.estimate.samples import nearly_all
from klimit.view import colours, words
from klimit.view.plots import style
from klimit.view.plots.frontier import NODES, asked, best, end_of, limit, spread, trusted

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from klimit._estimate import Estimate
    from klimit.estimate.ensembles.result import Ensemble
    from klimit.estimate.labels.result import Sparse
    from klimit.estimate.proxy.result import Hacking

SIZES = (2, 4, 8, 16, 32, 64)
PLACES = 24  # budgets at which few labels are read


def hacking(
    found: Hacking, ax: Axes | None = None, *, kl: float | None = None, best_of_n: bool = True
) -> Axes:
    """How much of gold is gained where the proxy is optimised, beside the most that could be?

    Gold's own limit; gold along the proxy's tilt with its interval up to where it is trusted, and
    dotted beyond, where its value is a guess; best-of-N that the proxy selects, at its own KL; and
    every KL at which gold may be highest, if a peak is shown.

    Parameters
    ----------
    kl : nats up to which to draw; chosen if not given
    best_of_n : whether to draw best-of-N
    """
    end = end_of(found.proxy) if kl is None else asked(kl)
    proxy, gold = words.both((found.proxy.reward, found.gold.reward))
    ax = limit(
        found.gold, ax, kl=end, label=f"the most {gold} that any method can gain", mark=False
    )
    palette = style.palette(ax)
    along(ax, found, end, palette.policies[0], f"{gold} where {proxy} is optimised")
    if best_of_n:
        most = nearly_all(found.proxy.samples.counts)
        sizes = [n for n in SIZES if n <= most]
        if sizes:
            best(found.best_of_n(sizes), ax, end, f"best-of-N by {proxy}")
    turn(ax, found.stop_kl, end, gold)
    trusted(ax, found.trusted_kl, end)
    ax.autoscale_view()
    style.legend(ax)
    return ax


def few_labels(found: Sparse, ax: Axes | None = None, *, kl: float | None = None) -> Axes:
    """How much of gold is gained where the proxy is optimised, by few labels or judgements?

    Gold along the proxy's tilt with its interval up to where it is trusted, and dotted beyond, where
    its value is a guess; and what the labels say by themselves, whose interval is the wider one.

    Parameters
    ----------
    kl : nats up to which to draw; as far as is trusted if not given
    """
    end = (found.trusted_kl or end_of(found.proxy)) if kl is None else asked(kl)
    edge = min(found.trusted_kl, end)
    proxy, gold = words.both(found.names)
    ax, palette = style.start(ax)
    if edge > 0:
        kls = spread(edge, 0.0, PLACES)
        alone = found.without_proxy(kls)
        label = f"by the {found.number:,} {found._what} alone"
        ax.plot(kls, alone.value, color=palette.quiet, lw=1.9, ls=":", label=style.entry(label))
        for ends in (alone.low, alone.high):
            ax.plot(kls, ends, color=palette.quiet, lw=0.8, ls=":")
    along(ax, found, end, palette.policies[0], f"{gold} where {proxy} is optimised", nodes=PLACES)
    ax.axhline(0.0, color=palette.quiet, lw=0.8)
    turn(ax, found.stop_kl, end, gold)
    trusted(ax, found.trusted_kl, end)
    unit = "chance to win" if isinstance(found, FewJudgements) else found.names[1]
    style.named(ax, y=colours.gain(unit))
    style.legend(ax)
    return ax


def ensemble(
    found: Ensemble, ax: Axes | None = None, *, kl: float | None = None, members: bool = True
) -> Axes:
    """What do several proxies together gain of gold, beside each of them and beside gold's limit?

    Where few samples have gold, its limit is not known and not drawn.

    Parameters
    ----------
    kl : nats up to which to draw; a little past what is trusted if not given
    members : whether to draw the proxies one by one too, as thin lines

    Raises
    ------
    ArgumentError
        Without gold.
    """
    whole = isinstance(found.course, Course)
    known = [1.3 * found.trusted_kl, found.limit.trusted_kl] if whole else [found.trusted_kl]
    known = [one for one in known if 0 < one < np.inf]
    end = min(known, default=2.0) if kl is None else asked(kl)
    if whole:
        gold = colours.unit(found.limit.reward)
        ax = limit(found.limit, ax, kl=end, label=f"the most {gold} that any method can gain")
    ax, palette = style.start(ax)
    nodes = NODES if whole else PLACES
    if members:
        kls = spread(end, 0.0, nodes)
        for place, name in enumerate(found.names):
            gain = found.member(name).gold_gain(kls)
            ax.plot(kls, gain.value, color=palette.quiet, lw=0.9, alpha=0.7, zorder=1.5,
                    label="_nolegend_" if place else "one proxy alone")  # fmt: skip
    for place, name in enumerate(found.aggregates):
        color = (*palette.policies, palette.best_of_n)[place % 5]
        along(ax, found.hacking(name), end, color, name, "-" if place < 5 else "--", nodes)
    if not whole:
        style.named(ax, y=colours.gain(found.gold))
    ax.autoscale_view()
    style.legend(ax, "upper left")
    return ax


def turn(ax: Axes, stop: Estimate, end: float, gold: str) -> None:
    """Every KL at which gold may be highest, if a peak is shown."""
    if np.isfinite(stop.value) and np.isfinite(stop.high) and stop.low < end:
        quiet = style.palette(ax).quiet
        ax.axvspan(stop.low, min(stop.high, end), color=quiet, alpha=0.12, lw=0, zorder=0)
        style.note(ax, f"{gold} is highest at {words.nats(float(stop.value))}", stop.value, 0.0,
                   (3, 4), xycoords=ax.get_xaxis_transform())  # fmt: skip


def along(
    ax: Axes, found: Hacking | Sparse, end: float, color: str, label: str, ls: str = "-",
    nodes: int = NODES,
) -> None:  # fmt: skip
    """Gold along the tilt of one proxy: with its interval as far as it is trusted, dotted beyond."""
    edge = min(found.trusted_kl, end)
    kls = spread(end, edge, nodes)
    gain = found.gold_gain(kls)
    shown = kls <= edge
    if edge > 0:
        ax.plot(kls[shown], gain.value[shown], color=color, lw=1.9, ls=ls, label=style.entry(label))
        style.band(ax, kls[shown], gain.low[shown], gain.high[shown], color=color, alpha=0.16)
    past = ~shown
    if past.any():
        past[np.count_nonzero(shown) - 1] = edge > 0
        ax.plot(kls[past], gain.value[past], color=color, lw=1.1, ls=(0, (1, 1.5)),
                label="_nolegend_" if edge > 0 else style.entry(f"{label} (not trusted)"))  # fmt: skip
