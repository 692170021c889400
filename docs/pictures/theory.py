"""The ten pictures of docs/theory-in-ten-pictures.md, drawn from `klimit.theory`.

Run ``python docs/pictures/theory.py`` from the repository root; it needs matplotlib and writes
``docs/pictures/*.svg``, the same bytes each time.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from klimit import theory
from klimit.view import plots
from klimit.view.colours import LIGHT
from klimit.view.plots.style import dressed, legend

BLUE, ORANGE, GREY = LIGHT.limit, LIGHT.best_of_n, LIGHT.quiet
RED, GREEN, PURPLE, SKY = LIGHT.policies
BOUNDS = ("sub-Gaussian, best variance proxy", "range (Hoeffding)", "Bernstein",
          "chi-square of the optimum", "total variation of the optimum")  # fmt: skip
BASE, REWARD = np.array([0.5, 0.3, 0.2]), np.array([0.0, 1.0, 4.0])
KL, GAIN = "KL(policy || base), nats", "gain in reward"


def frontier_and_duals(ax):
    limit = theory.frontier(BASE, REWARD)
    kl = np.linspace(0, 2.2, 300)
    ax.plot(kl, limit.gain(kl), color=BLUE, lw=2.6, label="the limit")
    ends = {0.15: 0.75, 0.5: 1.5, 1.0: 2.2}
    for number, (budget, end) in enumerate(ends.items()):
        beta = float(limit.beta(budget))
        line = np.linspace(0, end, 2)
        ax.plot(line, limit.dual_bound(line, beta=beta), color=ORANGE, lw=1,
                label=None if number else "what one beta proves")  # fmt: skip
        ax.plot(budget, limit.gain(budget), "o", color=ORANGE, ms=5)
        ax.annotate(f"beta = {beta:.2f}", (budget, float(limit.gain(budget))), (7, -13),
                    textcoords="offset points", color=ORANGE)  # fmt: skip
    top = theory.ceiling(BASE, REWARD)
    ax.plot(top.kl, top.gain, "s", color=BLUE, ms=5)
    ax.annotate("saturated: only the\nbest answer is left", (float(top.kl), float(top.gain)),
                (6, -7), textcoords="offset points", va="top")  # fmt: skip
    ax.set(xlabel=KL, ylabel=GAIN, ylim=(0, 3.3), xlim=(0, 2.2))
    legend(ax, "lower right")


def jeffreys_against_square_root(ax):
    found = theory.bounds(BASE, REWARD, np.geomspace(0.003, 1.5, 120))
    colours = iter((ORANGE, GREEN, PURPLE, RED, SKY))
    ax.axhline(1, color=BLUE, lw=2.6, label="beta times Jeffreys: exact")
    for name, over in zip(found.names, found.over_frontier, strict=True):
        if name in BOUNDS:
            ax.plot(found.kl, over, color=next(colours), label=name)
    ax.set(xlabel=KL, ylabel="bound over the limit", xscale="log", ylim=(0.96, 1.6))
    legend(ax, "upper center", columns=2)


def allocation(ax):
    base = np.full((2, 4), 0.25)
    reward = np.array([[0.0, 1.0, 2.0, 3.0], [0.0, 0.0, 0.0, 5.0]])
    kl = np.linspace(0, 1.35, 200)
    shared = theory.frontier(base, reward)
    alike = theory.frontier(base, reward, budget="per-prompt")
    ax.plot(kl, shared.gain(kl), color=BLUE, lw=2.6, label="one beta for all prompts")
    ax.plot(kl, alike.gain(kl), color=ORANGE, label="the same KL on every prompt")
    spent = np.array([shared.kl_by_prompt(budget) for budget in kl])
    right = dressed(ax.inset_axes([0.56, 0.13, 0.41, 0.36]))
    right.plot(kl, spent[:, 1], color=GREEN, lw=1.5)
    right.plot(kl, spent[:, 0], color=PURPLE, lw=1.5)
    right.annotate("rewards 0 0 0 5", (kl[80], spent[80, 1]), (-4, 2), color=GREEN,
                   textcoords="offset points", fontsize=8, ha="right")  # fmt: skip
    right.annotate("rewards 0 1 2 3", (kl[118], spent[118, 0]), (4, -7), color=PURPLE,
                   textcoords="offset points", fontsize=8, va="top")  # fmt: skip
    right.set_title("nats that one beta spends on each", fontsize=8)
    right.tick_params(labelsize=7)
    ax.set(xlabel="mean KL, nats", ylabel=GAIN, ylim=(0, 3.2))
    legend(ax, "upper left")


def best_of_n_and_tails(ax):
    n = np.unique(np.geomspace(2, 4096, 40).round())
    kl = theory.continuous_best_of_n(n).kl
    harmonic = np.array([np.sum(1 / np.arange(1, k + 1)) for k in n])
    grid = (np.arange(200_000) + 0.5) / 200_000
    from scipy.special import ndtri

    quantile = ndtri(grid)
    normal = np.array([np.mean(k * grid ** (k - 1) * quantile) for k in n])
    rows = {
        "uniform reward (win rate)": (n / (n + 1) - 0.5, theory.uniform_frontier(kl).gain, GREEN),
        "normal": (normal, theory.gaussian_frontier(kl).gain, BLUE),
        "exponential": (harmonic - 1, theory.exponential_frontier(kl).gain, RED),
    }
    for name, (gain, limit, colour) in rows.items():
        ax.plot(n, gain / limit, color=colour, marker=".", label=name)
    ax.set(xlabel="N", ylabel="best-of-N's gain over the limit", xscale="log", ylim=(0.6, 1.01))
    legend(ax, "lower right")


def best_of_n_kl(ax):
    n = np.arange(1, 129)
    ax.plot(n, theory.continuous_best_of_n(n).kl, color=GREY, lw=2.6,
            label="log N - (N - 1)/N: no ties, else a bound")  # fmt: skip
    for q, colour in ((0.5, GREEN), (0.1, BLUE), (0.01, ORANGE)):
        kl = [float(theory.best_of_n([1 - q, q], [0, 1], int(k)).kl) for k in n]
        ax.plot(n, kl, color=colour, label=f"0/1 reward, pass rate {q:g}")
    ax.set(xlabel="N", ylabel="KL(best-of-N || base), nats", xscale="log")
    legend(ax, "upper left")


def proxy_and_gold(ax):
    kl = np.linspace(0.005, 8, 300)
    heavy = theory.exponential_error_proxy(kl=kl)
    light = theory.gaussian_proxy(error_sd=1.0, kl=kl)
    ax.plot(kl, heavy.gold_limit, color=BLUE, lw=2.6, label="gold's own limit")
    ax.plot(kl, light.gold_gain, color=GREEN, label="gold along the proxy: normal error")
    ax.plot(kl, heavy.gold_gain, color=RED, label="gold along the proxy: exponential error")
    ax.set(xlabel=KL, ylabel="gain in gold reward", ylim=(0, 4.2))
    legend(ax, "upper left")


def ensembles(ax):
    members = np.arange(1, 33)
    for correlation, colour in ((0.0, GREEN), (0.3, BLUE), (0.6, ORANGE)):
        error = theory.ensemble_error(members, error_variance=0.5, correlation=correlation)
        ax.plot(members, error.regret(beta=0.5), color=colour, marker=".",
                label=f"errors correlated {correlation:g}")  # fmt: skip
        if correlation:
            ax.axhline(float(error.floor[0]) / (2 * 0.5), color=colour, lw=1, ls="--")
    ax.annotate("no number of members goes below", (32, 0.3), (0, -13), color=ORANGE,
                textcoords="offset points", ha="right")  # fmt: skip
    ax.set(xlabel="members", ylabel="regret against gold", xscale="log", ylim=(0, 0.55))
    ax.set_xticks([1, 2, 4, 8, 16, 32], ["1", "2", "4", "8", "16", "32"])
    legend(ax, "upper right")


def several_references(ax):
    references, reward = [[0.7, 0.2, 0.1], [0.1, 0.2, 0.7]], [0.0, 1.0, 0.7]
    corners = np.array([[0, 0], [0.5, 3**0.5 / 2], [1, 0]])
    ax.fill(*corners.T, facecolor="none", edgecolor=GREY, lw=1)
    gamma = np.geomspace(1e-3, 60, 200)
    tilts = {
        "reverse KL: from the geometric mean": (theory.reverse_kl_tilt, BLUE),
        "forward KL: from the arithmetic mean": (theory.forward_kl_tilt, ORANGE),
    }
    for name, (tilt, colour) in tilts.items():
        path = np.array(
            [tilt(references, reward, gamma=g, mixture=[0.6, 0.4]).policy for g in gamma]
        )
        ax.plot(*(path @ corners).T, color=colour, label=name)
        ax.plot(*(path[0] @ corners), "o", color=colour, ms=5)
    for number, law in enumerate(references, 1):
        x, y = np.array(law) @ corners
        ax.plot(x, y, "s", color=LIGHT.ink, ms=5)
        ax.annotate(
            f"reference {number}", (x, y), (0, -13), textcoords="offset points", ha="center",
            fontsize=8,
        )  # fmt: skip
    for (x, y), name, shift in zip(corners, ("answer 1", "answer 2, the rewarded one", "answer 3"),
                                   ((-4, -12), (8, -4), (4, -12)), strict=True):  # fmt: skip
        ax.annotate(name, (x, y), shift, textcoords="offset points",
                    ha="left" if y else "center", color=GREY)  # fmt: skip
    ax.set(aspect="equal", xlim=(-0.5, 2.3), ylim=(-0.14, 0.95))
    ax.axis("off")
    legend(ax, "center right")


def memoryless(ax):
    length = np.unique(np.geomspace(10, 3000, 26).round())
    best = theory.memoryless_best_of_n([0.7, 0.3], [0.0, 1.0], length, kl=0.1)
    ax.axhline(1, color=BLUE, lw=2.6, label="the limit")
    ax.plot(length, best.efficiency, color=ORANGE, marker=".", label="best-of-N with N = exp(m/10)")
    for m in (69, 138, 276):
        x = np.interp(m, length, best.efficiency)
        ax.annotate(f"N = {np.exp(m / 10):,.0f}" if m < 100 else f"N = 1e{m / 10 / np.log(10):.0f}",
                    (m, x), (4, -14), textcoords="offset points", color=ORANGE)  # fmt: skip
    ax.set(xlabel="length m of an answer, tokens", ylabel="gain over the limit at its KL",
           xscale="log", ylim=(0.85, 1.01))  # fmt: skip
    legend(ax, "lower right")


def overoptimisation(ax):
    kl = np.linspace(0, 30, 400)
    for method, a, b, colour in (("best-of-n", 0.8, 0.15, GREEN), ("rl", 0.8, 0.3, RED)):
        curve = theory.overoptimization_curve(method, a=a, b=b)
        name = "best-of-N: d (a - b d)" if method == "best-of-n" else "RL: d (a - b log d)"
        ax.plot(kl, curve.gain(kl), color=colour, label=f"{name}, a = {a:g}, b = {b:g}")
        if float(curve.peak.kl) < 30:
            ax.plot(float(curve.peak.kl), float(curve.peak.gain), "o", color=colour)
    top = theory.overoptimization_curve("best-of-n", a=0.8, b=0.15).peak
    ax.annotate(f"best-of-N peaks at {float(top.kl):.1f} nats", (float(top.kl), float(top.gain)),
                (10, -40), textcoords="offset points", ha="center")  # fmt: skip
    ax.set(xlabel="KL, nats (d is its square root)", ylabel="gold reward", ylim=(0, 1.9))
    legend(ax, "upper left")


PICTURES = {
    "frontier": frontier_and_duals,
    "jeffreys": jeffreys_against_square_root,
    "allocation": allocation,
    "best-of-n": best_of_n_and_tails,
    "best-of-n-kl": best_of_n_kl,
    "proxy": proxy_and_gold,
    "ensembles": ensembles,
    "references": several_references,
    "memoryless": memoryless,
    "overoptimisation": overoptimisation,
}


def main(folder: Path) -> None:
    """Draw all ten into `folder`."""
    for name, draw in PICTURES.items():
        figure, ax = plots.figure(size=(6.4, 3.8))
        draw(ax)
        plots.save(figure, folder / f"{name}.svg", "svg")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
