"""The pictures of docs/plots.md, drawn from the bundled rollouts.

Run ``python docs/pictures/plots.py`` from the repository root; it needs matplotlib and writes
``docs/pictures/plot-*.svg``, the same bytes each time.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import klimit
from klimit.view import plots

EXAMPLES = Path(__file__).parents[2] / "examples"
BASE = klimit.read(EXAMPLES / "posts.parquet")
LIMIT = klimit.frontier(BASE, reward="quality")


def limit(ax):
    best = klimit.best_of_n(BASE, n=[2, 4, 8, 16], reward="quality")
    LIMIT.plot(ax, best_of_n=best, plugin=True)


def plane(ax):
    """The GRPO run as its callback logged it, and as it was audited at the end."""
    policy = klimit.read(EXAMPLES / "train" / "grpo.parquet")
    audited = klimit.audit(BASE, {"GRPO, audited at the end": policy}, reward="quality")
    placed = list(audited) if isinstance(audited, klimit.Audits) else [audited]
    history = json.loads((EXAMPLES / "train" / "grpo.json").read_text(encoding="utf-8"))
    logged = [
        replace(LIMIT.place(number(row, "kl"), number(row, "gain")), name="GRPO, as it trained",
                step=row["step"])
        for row in history if "frontier/kl" in row
    ]  # fmt: skip
    klimit.Audits((*logged, *placed)).plot(ax)


def number(row, name):
    """One logged number with its interval."""
    return klimit.Estimate(*(row[f"frontier/{name}{end}"] for end in ("", "_low", "_high")))


def hacking(ax):
    klimit.hacking(BASE, proxy="similarity", gold="quality").plot(ax)


def path(ax):
    """The run of docs/over-optimisation.md, which trains on a lexicon."""
    run = klimit.read(EXAMPLES / "train" / "overoptimized.parquet")
    klimit.hacking(run, proxy="lexicon", gold="quality").run.plot(ax)


def allocation(ax):
    LIMIT.plot(ax, "allocation", kl=1.0)


def convergence(ax):
    LIMIT.convergence(1.0).plot(ax)


def bounds(ax):
    LIMIT.plot(ax, "bounds")


def beta(ax):
    LIMIT.plot(ax, "beta")


PICTURES = {
    "limit": limit,
    "plane": plane,
    "hacking": hacking,
    "path": path,
    "allocation": allocation,
    "convergence": convergence,
    "bounds": bounds,
    "beta": beta,
}


def main(folder: Path) -> None:
    """Draw all into `folder`."""
    for name, draw in PICTURES.items():
        figure, ax = plots.figure()
        draw(ax)
        plots.save(figure, folder / f"plot-{name}.svg", "svg")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
