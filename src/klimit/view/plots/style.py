"""How every picture looks: size, lines, intervals, labels. No global setting is read or changed.

An axes that the caller brings keeps its own grid, spines and fonts; one that is made here is
dressed. Colours suit the paper: a dark axes gets the colours for dark.
"""

from __future__ import annotations

import io
import re
import textwrap
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from klimit._estimate import Estimate
from klimit._extras import need
from klimit.view.colours import DARK, KL, LIGHT, Palette

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.text import Text

    from klimit.estimate.kernel import Floats

SIZE = (6.4, 4.0)  # inches
ACROSS, UP = 76, 42  # characters that fit beside an axis of that size
SMALL = 8.5  # points, of labels inside a picture
MARKERS = ("o", "D", "^", "v", "P", "X")


def start(ax: Axes | None) -> tuple[Axes, Palette]:
    """The caller's axes, or new ones of pyplot's, which a notebook shows; and the colours for them."""
    if ax is None:
        need("plot", "matplotlib", what="a picture")
        from matplotlib import pyplot as plt

        ax = dressed(plt.subplots(figsize=SIZE, layout="constrained")[1])
    return ax, palette(ax)


def figure(*, dark: bool = False, size: tuple[float, float] = SIZE) -> tuple[Figure, Axes]:
    """A figure of its own, which no window manager knows, to be saved."""
    need("plot", "matplotlib", what="a picture")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    found = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(found)
    ax = found.add_subplot()
    if dark:
        found.set_facecolor(DARK.paper)
        ax.set_facecolor(DARK.paper)
    return found, dressed(ax)


def dressed(ax: Axes) -> Axes:
    """An axes of our own: a light grid, no frame above and on the right."""
    colours = palette(ax)
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color(colours.quiet)
    ax.grid(visible=True, color=colours.grid, linewidth=0.6)
    ax.set_axisbelow(True)
    ax.tick_params(colors=colours.quiet, labelcolor=colours.ink)
    for label in (ax.xaxis.label, ax.yaxis.label, ax.title):
        label.set_color(colours.ink)
    return ax


def palette(ax: Axes) -> Palette:
    """The colours for the paper of these axes."""
    from matplotlib.colors import to_rgb

    brightness = float(np.dot(to_rgb(ax.get_facecolor()), (0.2126, 0.7152, 0.0722)))
    return LIGHT if brightness > 0.5 else DARK


def named(ax: Axes, *, y: str, x: str = KL) -> None:
    """Name both axes, where the caller has not."""
    for label, text, longest in ((ax.xaxis.label, x, ACROSS), (ax.yaxis.label, y, UP)):
        if not label.get_text():
            write(label, text, longest)


def write(label: Text, text: str, longest: int = ACROSS) -> None:
    """Write a label or a title, in lines of so many characters; dollar signs of names are no formulas."""
    label.set(text=folded(text, longest), parse_math=False)


def folded(text: str, longest: int) -> str:
    """Text in lines that fit a picture."""
    return textwrap.fill(text, longest, break_on_hyphens=False)


def legend(
    ax: Axes, loc: str = "best", at: tuple[float, float] | None = None, columns: int = 1
) -> None:
    """Say what is what.

    Parameters
    ----------
    at : place of the legend's corner `loc` in parts of the axes, to put it outside
    """
    handles, labels = ax.get_legend_handles_labels()
    if labels:
        labels = [folded(label, 56 if columns == 1 else 42) for label in labels]
        found = ax.legend(handles, labels, loc=loc, bbox_to_anchor=at, ncols=columns, frameon=False,
                          fontsize=SMALL, labelcolor=palette(ax).ink)  # fmt: skip
        for text in found.get_texts():
            text.set_parse_math(False)


def entry(text: str) -> str:
    """A name in the legend, which leaves out what begins with an underscore."""
    return f" {text}" if text.startswith("_") else text


def from_zero(ax: Axes, *artists: Any) -> None:
    """Let both axes begin at nothing, if nothing lies below it."""
    for artist in artists:
        artist.sticky_edges.x.append(0.0)
        artist.sticky_edges.y.append(0.0)
    ax.autoscale_view()


def points(
    ax: Axes, x: Any, y: Any, *, color: str, marker: str, label: str = "", size: float = 5.5,
    hollow: Sequence[bool] | None = None, seen: Any = True,
) -> None:  # fmt: skip
    """Mark estimates with their intervals both ways; hollow ones are not trusted.

    Parameters
    ----------
    x, y : `Estimate`s of one shape
    seen : which of them
    """
    across, up = np.atleast_1d(x.value), np.atleast_1d(y.value)
    seen = np.isfinite(across) & np.isfinite(up) & seen
    if not seen.any():
        return
    bars: dict[str, Any] = {
        "fmt": "none", "ecolor": color, "elinewidth": 1.1, "alpha": 0.75, "zorder": 3,
    }  # fmt: skip
    left, below = ends(x), ends(y)
    ax.errorbar(across[seen], up[seen], xerr=left[:, seen], yerr=below[:, seen], **bars)
    unbounded = seen & np.isposinf(np.atleast_1d(y.high))
    if unbounded.any():  # an arrow as long as the other side
        ax.errorbar(across[unbounded], up[unbounded], yerr=below[0, unbounded], lolims=True, **bars)
    empty = np.zeros(len(across), dtype=bool) if hollow is None else np.asarray(hollow)
    for which, face in ((seen & ~empty, color), (seen & empty, palette(ax).paper)):
        if which.any():
            ax.plot(across[which], up[which], linestyle="none", marker=marker, markersize=size,
                    markerfacecolor=face, markeredgecolor=color, markeredgewidth=1.3, zorder=4,
                    label=label or "_nolegend_")  # fmt: skip
            label = ""


def column(results: Sequence[Any], name: str, *, ends: bool = True) -> Estimate:
    """One number of several results as an array, without its interval unless `ends`."""
    parts: list[Estimate] = [getattr(one, name) for one in results]
    value = [part.value for part in parts]
    low, high = ([p.low for p in parts], [p.high for p in parts]) if ends else (value, value)
    return Estimate.of(value, low, high, level=parts[0].level)


def ends(estimate: Any) -> Floats:
    """(2, points) lengths of the interval below and above; none where an end is not known."""
    value, low, high = (
        np.atleast_1d(np.asarray(getattr(estimate, name), dtype=float))
        for name in ("value", "low", "high")
    )
    with np.errstate(invalid="ignore"):
        found = np.stack([value - low, high - value])
    return np.where(np.isfinite(found), np.maximum(found, 0.0), 0.0)


def band(ax: Axes, x: Floats, low: Floats, high: Floats, *, color: str, alpha: float) -> None:
    """Fill an interval; where an end is infinite, out of the picture, which it leaves as large as it is."""
    from matplotlib.collections import PolyCollection

    far = 1e3 * max(float(np.abs(ax.dataLim.intervaly).max()), 1e-300)
    known = ~(np.isnan(low) | np.isnan(high))
    x, low, high = x[known], np.clip(low[known], -far, far), np.clip(high[known], -far, far)
    outline = np.stack([np.append(x, x[::-1]), np.append(low, high[::-1])], axis=1)
    within = bool((np.maximum(-low, high) < far).all())
    ax.add_collection(
        PolyCollection([outline], color=color, alpha=alpha, lw=0), autolim=within
    )  # fmt: skip


def note(ax: Axes, text: str, x: float, y: float, offset: tuple[float, float], **how: Any) -> Any:
    """Write beside a point."""
    return ax.annotate(
        text, (x, y), offset, textcoords="offset points", fontsize=SMALL, parse_math=False,
        color=palette(ax).quiet, **how,
    )  # fmt: skip


def save(found: Figure, file: Any, kind: str) -> None:
    """Write a picture, the same bytes each time: no date, no version, no random names.

    Parameters
    ----------
    file : a path or an open binary file
    kind : ``"png"``, ``"svg"`` or ``"pdf"``
    """
    import matplotlib as mpl

    nameless: dict[str, dict[str, None]] = {
        "png": {"Software": None},
        "svg": {"Date": None, "Creator": None},
        "pdf": {"Creator": None, "Producer": None, "CreationDate": None},
    }
    fixed = {"svg.hashsalt": "klimit", "svg.fonttype": "none", "pdf.fonttype": 42}
    written = io.BytesIO()
    with mpl.rc_context(fixed), warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Glyph .* missing from", UserWarning)
        found.savefig(written, format=kind, dpi=200, metadata=nameless[kind])
    content = _lighter(written.getvalue()) if kind == "svg" else written.getvalue()
    if hasattr(file, "write"):
        file.write(content)
    else:
        Path(file).write_bytes(content)


def _lighter(svg: bytes) -> bytes:
    """The same without indentation, and with places to a hundredth of a point: half the size."""

    def rounded(number: re.Match[bytes]) -> bytes:
        return f"{float(number[0]):.2f}".rstrip("0").rstrip(".").encode()

    def path(found: re.Match[bytes]) -> bytes:
        return re.sub(rb"-?\d+\.\d{3,}", rounded, found[0]).replace(b" \n", b" ")

    return re.sub(rb'<path[^>]* d="[^"]*"', path, re.sub(rb"\n +", b"\n", svg))
