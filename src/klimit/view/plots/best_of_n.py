"""Best-of-N beside the limit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from klimit.view import colours
from klimit.view.plots import style
from klimit.view.plots.frontier import best, limit

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from klimit.estimate.best_of_n import BestOfN


def best_of_n(found: BestOfN, ax: Axes | None = None) -> Axes:
    """What does every N gain and spend, and how far is that from the limit?

    Each N stands at its KL with both intervals, beside the limit of the reward that is read.

    Parameters
    ----------
    ax : axes to draw into; new ones if not given

    Returns
    -------
    matplotlib Axes
    """
    if found.frontier is not None:
        end = 1.1 * float(np.max(found.kl.value)) or None
        return limit(found.frontier, ax, kl=end, best_of_n=found)
    ax = style.axes(ax)
    best(found, ax)
    style.named(ax, x=colours.KL, y=colours.gain(found.judge or found.reward))
    return ax
