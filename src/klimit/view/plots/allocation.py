"""Which prompts the optimal policy spends its KL on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from klimit.view import colours, words
from klimit.view.limit import budgets, focus
from klimit.view.plots import style

if TYPE_CHECKING:
    import polars as pl
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from klimit.estimate.kernel import Floats
    from klimit.estimate.result import Frontier


def allocation(found: Frontier, ax: Axes | None = None, *, kl: float | None = None) -> Axes:
    """Which prompts get the KL, and is it where there is something to gain?

    A dot per prompt: how far its best sample lies above its mean, and the KL that the optimal
    policy spends on it; prompts that share both share a dot. Its area is its part of the gain.
    Hollow dots are prompts whose own samples do not reach their KL.

    Parameters
    ----------
    kl : mean nats per answer; what the verdict speaks of if not given
    """
    ax, palette = style.start(ax)
    budget = focus(found, budgets(found)) if kl is None else float(kl)
    frame = found.prompts(budget)
    room, spent, gain, trusted = _dots(frame)
    mean = gain.mean()
    area = 40 * np.clip(gain / mean, 0.1, 6.0) if mean > 0 else np.full(len(gain), 20.0)
    dot = "a prompt; its area is its part of the gain"
    beyond = (
        "the same, but its samples do not reach this KL"
        if trusted.any()
        else f"{dot}; its samples do not reach this KL"
    )
    for which, face, label in ((trusted, palette.limit, dot), (~trusted, "none", beyond)):
        if which.any():  # one on an axis is drawn whole
            ax.scatter(room[which], spent[which], s=area[which], facecolor=face, alpha=0.6, clip_on=False,
                       edgecolor=palette.limit, linewidth=1.0, label=label)  # fmt: skip
    middle = float(np.mean(frame["kl"].to_numpy()))
    ax.axhline(middle, color=palette.quiet, lw=0.9, ls="--", zorder=1,
               label=f"mean: {words.nats(middle)}")  # fmt: skip
    unit = colours.unit(found.reward, objective=found.settings.objective)
    style.named(ax, x=f"headroom: best sample over the mean, {unit}",
                y="KL that the optimum spends, nats")  # fmt: skip
    style.from_zero(ax, *ax.collections)
    said = _uneven(frame["kl"].to_numpy())
    still = int((found.samples.variances == 0).sum())
    if still:
        said.append(
            f"{words.counted(still, 'prompt')} show{'s' if still == 1 else ''} one reward only"
        )
    ax.set_title("; ".join(said), fontsize=9.5, color=palette.ink, loc="left")
    style.legend(ax)
    return ax


def _dots(frame: pl.DataFrame) -> tuple[Floats, Floats, Floats, NDArray[np.bool_]]:
    """Headroom, KL, gain and trust of prompts, those that stand at one place together."""
    room, spent, gain = (frame[name].to_numpy() for name in ("headroom", "kl", "gain"))
    trusted = frame["trusted"].to_numpy() | (spent == 0)
    size = max(float(np.abs(room).max()), 1e-300), max(float(spent.max()), 1e-300)
    rounded = np.round(np.stack([room / size[0], spent / size[1], ~trusted]), 4)
    _, first, dot = np.unique(rounded, axis=1, return_index=True, return_inverse=True)
    together = np.bincount(dot.ravel(), gain).astype(float)
    return room[first], spent[first], together, trusted[first]


def _uneven(spent: Floats) -> list[str]:
    """How uneven it is, in words; nothing where prompts are too few to say."""
    if len(spent) < 10 or not spent.sum() > 0:
        return []
    some = max(len(spent) // 10, 1)
    share = np.sort(spent)[::-1][:some].sum() / spent.sum()
    return [f"{100 * share:.0f} % of the KL goes to {some:,} of {len(spent):,} prompts"]
