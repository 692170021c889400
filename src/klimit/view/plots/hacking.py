"""Gold against the KL that is spent on a proxy: where it stays below its limit, and where it turns."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from klimit.view import colours, words
from klimit.view.plots import style
from klimit.view.plots.frontier import asked, best, end_of, limit, spread

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from klimit.estimate.proxy.result import Hacking

SIZES = (2, 4, 8, 16, 32, 64)


def hacking(
    found: Hacking, ax: Axes | None = None, *, kl: float | None = None, best_of_n: bool = True
) -> Axes:
    """How much of gold is gained where the proxy is optimised, beside the most that could be?

    Gold's own limit; gold along the proxy's tilt with its interval, past trust as wide as any
    policy of that KL allows; best-of-N that the proxy selects, at its own KL; and every KL at which
    gold may be highest, if a peak is shown.

    Parameters
    ----------
    ax : axes to draw into; new ones if not given
    kl : nats up to which to draw; chosen if not given
    best_of_n : whether to draw best-of-N

    Returns
    -------
    matplotlib Axes
    """
    end = end_of(found.proxy) if kl is None else asked(kl)
    proxy, gold = (colours.unit(one.reward) for one in (found.proxy, found.gold))
    ax = limit(found.gold, ax, kl=end, label=f"the most {gold} that any method can gain")
    palette = style.palette(ax)
    along(ax, found, end, palette.policies[0], f"{gold} where {proxy} is optimised")
    if best_of_n:
        most = int(np.quantile(found.proxy.samples.counts, 0.05, method="lower"))
        sizes = [n for n in SIZES if n <= most]
        if sizes:
            best(found.best_of_n(sizes), ax, end, f"best-of-N by {proxy}")
    stop = found.stop_kl
    if np.isfinite(stop.value) and np.isfinite(stop.high) and stop.low < end:
        ax.axvspan(stop.low, min(stop.high, end), color=palette.quiet, alpha=0.12, lw=0, zorder=0)
        style.note(ax, f"{gold} is highest at {words.nats(float(stop.value))}", stop.value, 0.0,
                   (3, 4), xycoords=ax.get_xaxis_transform())  # fmt: skip
    ax.autoscale_view()
    style.legend(ax)
    return ax


def along(ax: Axes, found: Hacking, end: float, color: str, label: str, ls: str = "-") -> None:
    """Gold along the tilt of one proxy: a line as far as it is trusted, then only its interval."""
    edge = min(found.trusted_kl, end)
    kls = spread(end, edge)
    gain = found.gold_gain(kls)
    shown = kls <= edge
    if edge > 0:
        ax.plot(kls[shown], gain.value[shown], color=color, lw=1.9, ls=ls, label=style.entry(label))
        ax.fill_between(
            kls[shown], gain.low[shown], gain.high[shown], color=color, alpha=0.16, lw=0
        )
    past = ~shown
    if past.any():
        past[np.count_nonzero(shown) - 1] = edge > 0
        ax.plot(kls[past], gain.value[past], color=color, lw=1.1, ls=(0, (1, 1.5)),
                label="_nolegend_" if edge > 0 else style.entry(f"{label} (not trusted)"))  # fmt: skip
