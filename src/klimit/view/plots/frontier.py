"""The frontier: gain against KL, its interval, and where the samples stop to show it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from klimit._errors import ArgumentError
from klimit.view import colours, words
from klimit.view.limit import budgets
from klimit.view.plots import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from klimit.estimate.best_of_n import BestOfN
    from klimit.estimate.kernel import Floats
    from klimit.estimate.result import Frontier

NODES = 120
LABEL = "the most that any method can gain"
PAST = "at least that, past what is trusted"


def limit(
    found: Frontier, ax: Axes | None = None, *, kl: float | None = None,
    best_of_n: BestOfN | None = None, plugin: bool = False, color: str | None = None,
    label: str = LABEL, mark: bool = True,
) -> Axes:  # fmt: skip
    """How much reward does a KL budget buy, and up to where do these samples show it?

    The line is the estimate and the band its interval. Past the trusted KL only a lower bound is
    drawn, dashed; where the samples prove an upper one too, a paler band stands between them.

    Parameters
    ----------
    kl : nats up to which to draw; chosen if not given
    best_of_n : points to stand beside the limit
    plugin : also draw the papers' estimate, which is low
    color : of the line and its band
    label : of the line, in the legend
    mark : whether to write where trust ends; not beside what is trusted elsewhere
    """
    ax, palette = style.start(ax)
    color = color or palette.limit
    end = end_of(found, best_of_n) if kl is None else asked(kl)
    edge = min(found.trusted_kl, end)
    kls = spread(end, edge)
    gain = found.gain(kls)
    shown = kls <= edge
    lines = []
    if edge > 0:
        lines += ax.plot(kls[shown], gain.value[shown], color=color, lw=2.2, label=label)
        style.band(ax, kls[shown], gain.low[shown], gain.high[shown], color=color, alpha=0.18)
    if edge < end:
        past = ~shown
        past[np.count_nonzero(shown) - 1] = edge > 0
        lines += ax.plot(kls[past], gain.low[past], color=color, lw=1.4, ls=(0, (4, 2)),
                         label=PAST if edge > 0 else f"{label}: at least that")  # fmt: skip
        if np.isfinite(gain.high[past]).all():
            style.band(ax, kls[past], gain.low[past], gain.high[past], color=color, alpha=0.07)
    if plugin:
        bands = found.bands
        within = kls[kls >= bands.kl[0]]
        low = found.gain(within).value * bands.share(bands.plugin, within)
        ax.plot(within, low, color=palette.quiet, lw=1.2, ls=":", label="plug-in, low at any size")
    if best_of_n is not None:
        best(best_of_n, ax, end)
    if mark:
        trusted(ax, edge, end)
    style.named(ax, y=colours.gain(found.reward, objective=found.settings.objective))
    style.from_zero(ax, *lines)
    bottom, top = ax.get_ylim()
    room = any(line.get_ydata()[-1] > bottom + 0.4 * (top - bottom) for line in lines)
    style.legend(ax, "lower right" if room else "best")
    return ax


def trusted(ax: Axes, edge: float, end: float) -> None:
    """Mark the KL up to which something is trusted, if that lies within the picture."""
    if not 0 < edge < end:
        return
    ax.axvline(edge, color=style.palette(ax).quiet, lw=0.8, ls=":", zorder=1, label="_nolegend_")
    left = edge > 0.8 * end
    style.note(ax, f"trusted to {words.nats(edge, down=True)}", edge, 1.0, (-4 if left else 4, -2),
               xycoords=ax.get_xaxis_transform(), va="top", ha="right" if left else "left")  # fmt: skip


def best(found: BestOfN, ax: Axes, end: float = np.inf, label: str = "best-of-N") -> None:
    """Mark every N of best-of-N that spends no more than `end` nats, and say which where there is room."""
    palette = style.palette(ax)
    spent, won = np.atleast_1d(found.kl.value), np.atleast_1d(found.gain.value)
    style.points(ax, found.kl, found.gain, color=palette.best_of_n, marker="s", size=4.5,
                 label=label, seen=spent <= end)  # fmt: skip
    room, last = 0.04 * min(end, float(spent.max())), 0.0
    for at, n in enumerate(np.atleast_1d(found.n).tolist()):
        if spent[at] <= end and spent[at] - last > room:
            style.note(ax, f"N = {n:,}", spent[at], won[at], (5, -9))
            last = spent[at]


def spread(end: float, edge: float, nodes: int = NODES) -> Floats:
    """Budgets from 0 to `end`, `edge` among them, closer near 0 where the frontier is steep."""
    if end <= 0:
        return np.zeros(1)
    found = np.linspace(0.0, 1.0, nodes) ** 2 * end
    return np.unique(np.append(found, edge)) if edge > 0 else found


def asked(kl: float) -> float:
    """A budget to draw up to."""
    if not 0 < kl < np.inf:
        raise ArgumentError(
            f"kl={kl!r} was given to draw up to; a number of nats above 0 was expected."
        )
    return float(kl)


def end_of(found: Frontier, best_of_n: BestOfN | None = None) -> float:
    """KL that the picture goes to: a little past what is trusted, and to the last best-of-N."""
    reach = found.trusted_kl
    end = max(budgets(found))
    if np.isfinite(reach):
        end = max(end, min(1.5 * reach, float(np.log(found.samples.counts.max()))))
    if best_of_n is not None:
        end = max(end, 1.08 * float(np.max(best_of_n.kl.value)))
    return end
