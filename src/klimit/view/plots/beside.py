"""What belongs to the frontier: best-of-N, its slope, known bounds, fewer samples, and where its KL goes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from klimit._estimate import Estimate
from klimit.view import colours, words
from klimit.view.limit import budgets, focus
from klimit.view.plots import style
from klimit.view.plots.frontier import asked, best, end_of, limit

if TYPE_CHECKING:
    import polars as pl
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from klimit.estimate.best_of_n import BestOfN
    from klimit.estimate.convergence import Convergence
    from klimit.estimate.kernel import Floats
    from klimit.estimate.result import Frontier


NODES = 24  # budgets at which bounds are read
STYLES = ("-", (0, (5, 2)), (0, (1, 1.5)), (0, (3, 1, 1, 1)))


def best_of_n(found: BestOfN, ax: Axes | None = None) -> Axes:
    """What does every N gain and spend, and how far is that from the limit?

    Each N stands at its KL with both intervals, beside the limit of the reward that is read.
    """
    if found.frontier is not None:
        end = 1.1 * float(np.max(found.kl.value)) or None
        return limit(found.frontier, ax, kl=end, best_of_n=found)
    ax, _ = style.start(ax)
    best(found, ax)
    style.named(ax, y=colours.gain(found.judge or found.reward))
    return ax


def beta(found: Frontier, ax: Axes | None = None, *, kl: float | None = None) -> Axes:
    """Which KL coefficient spends which budget, as far as these samples show?

    Dotted where no budget is trusted: a guess.

    Parameters
    ----------
    kl : nats up to which to draw; the trusted ones if not given
    """
    ax, palette = style.start(ax)
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

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
    style.named(ax, y=colours.beta(found.reward, objective=found.settings.objective))
    return ax


def bounds(
    found: Frontier, ax: Axes | None = None, *, kl: float | None = None, most: float = 2.5
) -> Axes:
    """How much do known bounds overstate what can be gained?

    Parameters
    ----------
    kl : nats up to which to draw; chosen if not given
    most : bounds that are more than so many times the limit, at half of `kl`, are left out
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


def convergence(found: Convergence, ax: Axes | None = None) -> Axes:
    """Has the estimate settled, or would more samples move it?

    The estimate from a quarter, half and all of the samples, with the interval that so many give,
    hollow where it is not trusted; and the plug-in, which rises to the limit from below.
    """
    ax, palette = style.start(ax)
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
    style.legend(ax, "lower left", (0.0, 1.0), 2)
    return ax


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
    if np.ptp(spent) <= 1e-6 * middle:  # all alike: rounding is no axis
        ax.set_ylim(0.0, 2.0 * middle or 1.0)
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
