"""The KL coefficient that spends a budget."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from klimit.view import colours
from klimit.view.plots import style
from klimit.view.plots.frontier import asked, end_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from klimit.estimate.result import Frontier


def beta(found: Frontier, ax: Axes | None = None, *, kl: float | None = None) -> Axes:
    """Which KL coefficient spends which budget, as far as these samples show?

    Dotted where no budget is trusted: a guess.

    Parameters
    ----------
    ax : axes to draw into; new ones if not given
    kl : nats up to which to draw; the trusted ones if not given

    Returns
    -------
    matplotlib Axes
    """
    ax = style.axes(ax)
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    palette = style.palette(ax)
    end = end_of(found) if kl is None else asked(kl)
    end = min(end, found.trusted_kl) if found.trusted_kl > 0 else end
    budgets = np.linspace(0.02, 1.0, 100) * end
    slope = found.beta(budgets)
    label = "beta that spends this KL"
    if found.trusted_kl > 0:
        ax.plot(budgets, slope.value, color=palette.limit, lw=2.2, label=label)
        style.band(ax, budgets, slope.low, slope.high, color=palette.limit, alpha=0.18)
    else:
        ax.plot(budgets, slope.value, color=palette.limit, lw=1.1, ls=(0, (1, 1.5)),
                label=f"{label} (not trusted)")  # fmt: skip
        style.legend(ax)
    if (slope.value > 0).all():
        ax.set_yscale("log")
        narrow = slope.value.max() < 30 * slope.value.min()
        ax.yaxis.set_major_locator(LogLocator(subs=(1, 1.5, 2, 3, 5, 7) if narrow else (1, 2, 5)))
        ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        ax.yaxis.set_minor_locator(NullLocator())
    style.named(ax, x=colours.KL,
                y=colours.beta(found.reward, objective=found.settings.objective))  # fmt: skip
    return ax
