"""How the estimate moves as samples are added."""

from __future__ import annotations

from typing import TYPE_CHECKING

from klimit._estimate import Estimate
from klimit.view import colours, words
from klimit.view.plots import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from klimit.estimate.convergence import Convergence


def convergence(found: Convergence, ax: Axes | None = None) -> Axes:
    """Has the estimate settled, or would more samples move it?

    The estimate from a quarter, half and all of the samples, with the interval that so many give,
    hollow where it is not trusted; and the plug-in, which rises to the limit from below.

    Parameters
    ----------
    ax : axes to draw into; new ones if not given

    Returns
    -------
    matplotlib Axes
    """
    ax = style.axes(ax)
    palette = style.palette(ax)
    samples = found.samples
    ax.plot(samples, found.plugin, color=palette.quiet, lw=1.3, ls=":", marker=".",
            label="plug-in, low at any size")  # fmt: skip
    ax.plot(samples, found.gain.value, color=palette.limit, lw=1.4, alpha=0.7, label="_nolegend_")
    style.points(ax, Estimate(samples, samples, samples), found.gain, color=palette.limit, marker="o",
                 label="corrected", hollow=~found.gain.trusted)  # fmt: skip
    ax.set_xscale("log", base=2)
    ax.set_xticks(samples, [f"{size:,.0f}" for size in samples])
    ax.minorticks_off()
    gain = colours.gain(found.reward, objective=found.objective)
    where = f"{gain}, at {words.nats(found.kl, exact=True)}"
    style.named(ax, x="samples per prompt", y=where)
    style.legend(ax, "lower right")
    return ax
