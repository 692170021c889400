"""Gold against the KL that is spent on each aggregate of several proxies."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from klimit.estimate.ensembles.gains import Course
from klimit.view import colours
from klimit.view.plots import style
from klimit.view.plots.frontier import NODES, asked, limit, spread
from klimit.view.plots.hacking import PLACES, along

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from klimit.estimate.ensembles.result import Ensemble


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
    ax = style.axes(ax)
    palette = style.palette(ax)
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
        style.named(ax, x=colours.KL, y=colours.gain(found.gold))
    ax.autoscale_view()
    style.legend(ax, "upper left")
    return ax
