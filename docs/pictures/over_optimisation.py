"""The pictures of docs/over-optimisation.md, drawn from `examples/train/overoptimized.parquet`.

Run ``python docs/pictures/over_optimisation.py`` from the repository root; it needs matplotlib and
writes ``docs/pictures/over-optimisation/*.svg``, the same bytes each time.
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib import pyplot as plt
from theory import BLUE, GREY, KL, ORANGE, STYLE

import klimit

HERE = Path(__file__).parent
RUN = HERE.parents[1] / "examples" / "train" / "overoptimized.parquet"
PROXY, GOLD = "lexicon", "quality"
SPREADS = "gain, standard deviations of the base"


def spread(base, name):
    """Pooled standard deviation of a reward within prompts: a unit for both."""
    values = np.array([row[~np.isnan(row)].var(ddof=1) for row in rewards(base, name)])
    return float(np.sqrt(values.mean()))


def rewards(base, name):
    """(samples,) rewards of each prompt."""
    column = base.grouped(name)
    ends = np.cumsum(column.lengths)
    return np.split(column.columns[name], ends[:-1])


def band(ax, kl, estimate, unit, colour, label):
    """A line with its interval."""
    ax.plot(kl, estimate.value / unit, color=colour, lw=2.2, label=label)
    ax.fill_between(kl, estimate.low / unit, estimate.high / unit, color=colour, alpha=0.2, lw=0)


def dots(ax, checkpoints, reward, unit, colour, label):
    """Checkpoints with their intervals, in both directions."""
    kl = [one.kl for one in checkpoints]
    gain = [getattr(one, f"{reward}_gain") for one in checkpoints]
    ax.errorbar(
        [x.value for x in kl], [y.value / unit for y in gain], color=colour, marker="o", ms=5,
        xerr=np.transpose([(x.value - x.low, x.high - x.value) for x in kl]),
        yerr=np.transpose([(y.value - y.low, y.high - y.value) for y in gain]) / unit,
        lw=1.2, elinewidth=1, label=label,
    )  # fmt: skip


def prediction(ax, hack, units):
    kl = np.linspace(0, hack.trusted_kl, 60)
    band(ax, kl, hack.proxy_gain(kl), units[0], ORANGE, "proxy, along its own tilt")
    band(ax, kl, hack.gold_gain(kl), units[1], BLUE, "gold there")
    sure = kl[kl <= hack.gold.trusted_kl]
    best = hack.gold_limit(sure).value / units[1]
    ax.plot(sure, best, color=BLUE, ls=":", label="gold, at best (as far as trusted)")
    ax.set(xlabel=KL, ylabel=SPREADS, xlim=(0, None), ylim=(0, None))
    ax.legend(loc="upper left")


def run(ax, hack, units):
    kl = np.linspace(0, hack.trusted_kl, 60)
    band(ax, kl, hack.gold_gain(kl), units[1], GREY, "gold, predicted from the base")
    dots(ax, hack.run, "proxy", units[0], ORANGE, "proxy, checkpoints")
    dots(ax, hack.run, "gold", units[1], BLUE, "gold, checkpoints")
    ax.axhline(0, color="#555555", lw=0.8)
    ax.set(xlabel=KL, ylabel=SPREADS)
    ax.legend(loc="upper left")


def turned(ax, hack, units):
    found = hack.run.turn
    dots(ax, hack.run, "gold", 1.0, BLUE, "gold, checkpoints")
    kl = np.linspace(0.01, found.furthest, 200)
    if found.fit is not None:
        band(ax, kl, found.fit.gain(kl), 1.0, ORANGE, "curve fitted to them")
    if np.isfinite(found.bracket.high):
        ax.axvspan(found.bracket.low, found.bracket.high, color=GREY, alpha=0.15, lw=0,
                   label="highest here, without a curve")  # fmt: skip
    best = hack.best_of_n([2, 4, 8, 16, 32, 64])
    ax.plot(best.kl.value, best.gain.value, "s", color=GREY, ms=4, label="best-of-2 to 64")
    ax.axhline(0, color="#555555", lw=0.8)
    ax.set(xlabel=KL, ylabel=f"gain in {GOLD}")
    ax.legend(loc="best")


PICTURES = (prediction, run, turned)


def main(folder=HERE / "over-optimisation"):
    """Draw all into a folder."""
    folder.mkdir(exist_ok=True)
    plt.switch_backend("agg")
    whole = klimit.read(RUN)
    base = whole.filter(step=0)
    units = [spread(base, name) for name in (PROXY, GOLD)]
    hack = klimit.hacking(whole, proxy=PROXY, gold=GOLD)
    with mpl.rc_context(STYLE):
        for draw in PICTURES:
            figure, ax = plt.subplots()
            draw(ax, hack, units)
            figure.savefig(
                folder / f"{draw.__name__}.svg", metadata={"Date": None, "Creator": None}
            )
            plt.close(figure)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
