"""The pictures of docs/over-optimisation.md, drawn from `examples/train/overoptimized.parquet`.

Run ``python docs/pictures/over_optimisation.py`` from the repository root; it needs matplotlib and
writes ``docs/pictures/run-*.svg``, the same bytes each time.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

import klimit
from klimit.view import plots

TRAIN = Path(__file__).parents[2] / "examples" / "train"
PROXY, GOLD = "lexicon", "quality"
ORANGE, BLUE, GREY = "#E69F00", "#0072B2", "#7F7F7F"
KL, SPREADS = "KL(policy || base), nats", "gain, standard deviations of the base"


def spread(base, name):
    """Pooled standard deviation of a reward within prompts: a unit for both."""
    column = base.grouped(name)
    rows = np.split(column.columns[name], np.cumsum(column.lengths)[:-1])
    return float(np.sqrt(np.mean([row.var(ddof=1) for row in rows])))


def band(ax, kl, estimate, unit, colour, label):
    """A line with its interval."""
    ax.plot(kl, estimate.value / unit, color=colour, lw=2.2, label=label)
    ax.fill_between(kl, estimate.low / unit, estimate.high / unit, color=colour, alpha=0.2, lw=0)


def dots(ax, checkpoints, reward, unit, colour, label):
    """Checkpoints with their intervals, in both directions."""
    kl = [one.kl for one in checkpoints]
    gain = [getattr(one, f"{reward}_gain") for one in checkpoints]
    ax.errorbar(
        [x.value for x in kl], [y.value / unit for y in gain], color=colour, fmt="o", ms=5,
        xerr=np.transpose([(x.value - x.low, x.high - x.value) for x in kl]),
        yerr=np.transpose([(y.value - y.low, y.high - y.value) for y in gain]) / unit,
        elinewidth=1, label=label,
    )  # fmt: skip


def logged(base):
    """KL as the callback measured it, and the proxy and gold gain of the ten steps around."""
    rows = json.loads((TRAIN / "overoptimized.json").read_text(encoding="utf-8"))
    means = [float(np.mean(base.grouped(name).columns[name])) for name in (PROXY, GOLD)]
    found = []
    for at, row in enumerate(rows):
        if "frontier/kl" in row:
            near = rows[max(at - 5, 0) : at + 5]
            gains = [
                float(np.mean([one[f"rewards/{name}/mean"] for one in near])) - mean
                for name, mean in zip(("proxy", "quality"), means, strict=True)
            ]
            found.append((row["frontier/kl"], *gains))
    return np.array(found).T


def prediction(ax, hack, base, units):
    kl = np.linspace(0, hack.trusted_kl, 60)
    band(ax, kl, hack.proxy_gain(kl), units[0], ORANGE, "proxy, along its own tilt")
    band(ax, kl, hack.gold_gain(kl), units[1], BLUE, "gold there")
    sure = kl[kl <= hack.gold.trusted_kl]
    best = hack.gold_limit(sure).value / units[1]
    ax.plot(sure, best, color=BLUE, ls=":", label="gold, at best (as far as trusted)")
    ax.set(xlabel=KL, ylabel=SPREADS, xlim=(0, None), ylim=(-0.15, None))
    ax.legend(loc="upper left", frameon=False)


def path(ax, hack, base, units):
    kl = np.linspace(0, hack.trusted_kl, 60)
    band(ax, kl, hack.gold_gain(kl), units[1], GREY, "gold, predicted from the base")
    spent, proxy, gold = logged(base)
    ax.plot(spent, proxy / units[0], color=ORANGE, lw=1, marker=".", label="proxy, as it trained")
    ax.plot(spent, gold / units[1], color=BLUE, lw=1, marker=".", label="gold, as it trained")
    dots(ax, hack.run, "proxy", units[0], ORANGE, "proxy, checkpoints")
    dots(ax, hack.run, "gold", units[1], BLUE, "gold, checkpoints")
    ax.axhline(0, color="#555555", lw=0.8)
    ax.set_xscale("function", functions=(lambda x: np.sqrt(np.maximum(x, 0)), np.square))
    ax.set(xlabel=f"{KL} (on a square root scale)", ylabel=SPREADS, xlim=(0, 60), ylim=(-1.5, 5.2))
    ax.set_xticks(
        [0, 0.5, 2, 5, 10, 20, 30, 50], labels=["0", ".5", "2", "5", "10", "20", "30", "50"]
    )
    last = list(hack.run)[-1]
    for gain, unit, colour, end in (
        (last.proxy_gain, units[0], ORANGE, 5.1), (last.gold_gain, units[1], BLUE, -1.4)
    ):  # fmt: skip
        ax.annotate(
            f"{last.label}: {gain.value / unit:+.0f}", (last.kl.value, end), color=colour,
            xytext=(0, -22 if end > 0 else 14), textcoords="offset points", ha="center",
            arrowprops={"arrowstyle": "->", "color": colour},
        )  # fmt: skip
    ax.legend(loc="upper left", frameon=False)


PICTURES = {"prediction": prediction, "path": path}


def main(folder: Path) -> None:
    """Draw all into `folder`."""
    whole = klimit.read(TRAIN / "overoptimized.parquet")
    base = whole.filter(step=0)
    units = [spread(base, name) for name in (PROXY, GOLD)]
    hack = klimit.hacking(whole, proxy=PROXY, gold=GOLD)
    for name, draw in PICTURES.items():
        figure, ax = plots.figure()
        draw(ax, hack, base, units)
        plots.save(figure, folder / f"run-{name}.svg", "svg")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
