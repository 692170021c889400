"""Pictures of results, by matplotlib: a function per picture.

Each draws into `ax`, or into new axes if none are given, and returns the axes that it drew into.
Results draw themselves with ``.plot(ax=None)``; these are the functions behind that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from klimit._errors import ArgumentError
from klimit.view.plots.beside import allocation, best_of_n, beta, bounds, convergence
from klimit.view.plots.frontier import limit
from klimit.view.plots.hacking import ensemble, few_labels, hacking
from klimit.view.plots.style import figure, save, write
from klimit.view.plots.trained import audits, path

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from klimit.estimate.result import Frontier

__all__ = [
    "allocation",
    "audits",
    "best_of_n",
    "beta",
    "bounds",
    "convergence",
    "draw",
    "ensemble",
    "few_labels",
    "figure",
    "hacking",
    "limit",
    "path",
    "save",
    "write",
]


def draw(found: Frontier, what: str = "limit", ax: Axes | None = None, **options: Any) -> Axes:
    """One of the pictures of a frontier; see `Frontier.plot`."""
    if isinstance(ax, str):
        raise ArgumentError(
            f"ax={ax!r} was given; axes were expected. Name a picture by what={ax!r}."
        )
    pictures = {"limit": limit, "beta": beta, "bounds": bounds, "allocation": allocation}
    if what == "convergence":
        from klimit.view.limit import budgets, focus

        kl = options.pop("kl", None)
        kl = focus(found, budgets(found)) if kl is None else kl
        return convergence(found.convergence(kl), ax, **options)
    if what not in pictures:
        names = ", ".join(map(repr, [*pictures, "convergence"]))
        raise ArgumentError(f"what must be one of {names}; got {what!r}.")
    return pictures[what](found, ax, **options)
