"""The bounds of the literature above the limit that they bound."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from klimit.view.plots import style
from klimit.view.plots.frontier import asked, end_of, limit

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from klimit.estimate.result import Frontier

NODES = 24
STYLES = ("-", (0, (5, 2)), (0, (1, 1.5)), (0, (3, 1, 1, 1)))


def bounds(
    found: Frontier, ax: Axes | None = None, *, kl: float | None = None, most: float = 2.5
) -> Axes:
    """How much do known bounds overstate what can be gained?

    Parameters
    ----------
    ax : axes to draw into; new ones if not given
    kl : nats up to which to draw; chosen if not given
    most : bounds that are more than so many times the limit, at half of `kl`, are left out

    Returns
    -------
    matplotlib Axes
    """
    end = min(end_of(found), found.trusted_kl or np.inf) if kl is None else asked(kl)
    ax = limit(found, ax, kl=end)
    palette = style.palette(ax)
    rows: dict[str, list[float]] = {}
    budgets = np.linspace(0.0, 1.0, NODES + 1)[1:] ** 2 * end
    for budget in budgets:
        frame = found.bounds(budget)
        for name, value in zip(frame["bound"], frame["value"], strict=True):
            rows.setdefault(name, []).append(value)
    middle = int(np.searchsorted(budgets, end / 2))
    at_half = float(found.gain(budgets[middle]).value)
    drawn = [
        name for name in sorted(rows, key=lambda name: rows[name][middle])
        if not name.startswith("frontier") and len(rows[name]) == NODES
        and rows[name][middle] <= most * at_half
    ]  # fmt: skip
    for place, name in enumerate(drawn):
        ax.plot(budgets, rows[name], lw=1.2, label=name, zorder=1.5,
                color=(palette.best_of_n, *palette.policies)[place % 5],
                ls=STYLES[place % len(STYLES)])  # fmt: skip
    ax.autoscale_view()
    style.legend(ax, "upper left", (1.0, 1.0))
    return ax
