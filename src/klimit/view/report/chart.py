"""A chart as the template draws it: bands, lines, marks and words at places in pixels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from klimit._text import safe
from klimit.estimate.kernel import Floats
from klimit.view.report.axes import Axis

Numbers = Sequence[float] | Floats

SHAPES = ("circle", "square", "triangle", "diamond", "cross", "wedge")
_PATHS = {
    "circle": "M-5,0a5,5 0 1,0 10,0a5,5 0 1,0 -10,0z",
    "square": "M-4.5,-4.5h9v9h-9z",
    "triangle": "M0,-6L5.6,4.2H-5.6z",
    "diamond": "M0,-6.2L5.4,0L0,6.2L-5.4,0z",
    "cross": "M-5.5,-2h3.5v-3.5h4v3.5h3.5v4h-3.5v3.5h-4v-3.5h-3.5z",
    "wedge": "M0,6L5.6,-4.2H-5.6z",
    "dot": "M-2.6,0a2.6,2.6 0 1,0 5.2,0a2.6,2.6 0 1,0 -5.2,0z",
}
_PER_LETTER = 7.0  # pixels


@dataclass(frozen=True)
class Path:
    """A line or a band: an SVG path, and what it is called in the style sheet."""

    d: str
    kind: str


@dataclass(frozen=True)
class Mark:
    """A point with what sticks out of it.

    Attributes
    ----------
    x, y : its place
    d : path of its shape, around 0, 0
    kind : names in the style sheet
    bars : SVG path of its intervals; empty where there is none to show
    said : what it is, for those who point at it
    """

    x: float
    y: float
    d: str
    kind: str
    bars: str = ""
    said: str = ""


@dataclass(frozen=True)
class Label:
    """Words at a place."""

    x: float
    y: float
    text: str
    kind: str = ""
    anchor: str = "start"


@dataclass(frozen=True)
class Chart:
    """Everything that is drawn.

    Attributes
    ----------
    name : of the chart, unique on the page
    title, said : what it shows, in a few words and in a sentence or two, for those who cannot see it
    x_label, y_label : what the axes count
    """

    name: str
    title: str
    said: str
    width: int
    height: int
    x: Axis
    y: Axis
    x_label: str
    y_label: str
    bands: list[Path] = field(default_factory=list)
    lines: list[Path] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)
    labels: list[Label] = field(default_factory=list)

    def has(self, kind: str) -> bool:
        """Whether a line of this kind is drawn."""
        return any(line.kind == kind for line in self.lines)

    def line(self, xs: Numbers, ys: Numbers, kind: str) -> None:
        """Draw through these points, as far as they are on the chart."""
        d = self._through(xs, ys)
        if d:
            self.lines.append(Path(d, kind))

    def band(self, xs: Numbers, low: Numbers, high: Numbers, kind: str) -> None:
        """Fill between two lines."""
        up, down = self._through(xs, high), self._through(xs[::-1], low[::-1])
        if up and down:
            self.bands.append(Path(f"{up}L{down[1:]}z", kind))

    def upright(self, x: float, kind: str) -> None:
        """A line from bottom to top."""
        at = pixels(self.x.at(x))
        self.lines.append(Path(f"M{at},{pixels(self.y.start)}V{pixels(self.y.end)}", kind))

    def mark(
        self, x: float, y: float, shape: str, kind: str, *, said: str = "",
        across: tuple[float, float] | None = None, along: tuple[float, float] | None = None,
    ) -> None:  # fmt: skip
        """A point with its intervals up and down (`along`) and to both sides (`across`)."""
        if not (self.x.holds(x) and self.y.holds(y)):
            return
        px, py = self.x.at(x), self.y.at(y)
        bars = ""
        if along is not None and all(map(math.isfinite, along)):
            bars += f"M{pixels(px)},{pixels(self.y.at(along[0]))}V{pixels(self.y.at(along[1]))}"
        if across is not None and all(map(math.isfinite, across)):
            bars += f"M{pixels(self.x.at(across[0]))},{pixels(py)}H{pixels(self.x.at(across[1]))}"
        self.marks.append(Mark(px, py, _PATHS[shape], kind, bars, said))

    def say(
        self, x: float, y: float, text: str, kind: str = "", *, anchor: str = "start",
        right: float = 0, down: float = 0,
    ) -> None:  # fmt: skip
        """Words near a point, moved by so many pixels; out of the way of words that stand there."""
        for shift in (0, -15, 15, -30, 30):
            place = Label(self.x.at(x) + right, self.y.at(y) + down + shift, text, kind, anchor)
            if not any(_overlap(place, other) for other in self.labels):
                self.labels.append(place)
                return

    def aside(self, x: float, y: float, text: str, kind: str, down: float) -> None:
        """Words at the right of a line, or at its left where the chart would end in them."""
        fits = _PER_LETTER * len(text) <= self.width - self.x.at(x) - 6
        anchor, right = ("start", 6) if fits else ("end", -6)
        self.say(x, y, text, kind, anchor=anchor, right=right, down=down)

    @property
    def y_name(self) -> str:
        """What stands above the axis of gains, as far as the chart has room for it."""
        return safe(self.y_label, longest=int((self.width - self.x.start) / _PER_LETTER))

    def _through(self, xs: Numbers, ys: Numbers) -> str:
        """Path through points; those off the chart above or below are held at its edge."""
        points = [
            f"{pixels(self.x.at(x))},{pixels(self.y.at(y))}"
            for x, y in zip(xs, ys, strict=True)
            if math.isfinite(y) and self.x.holds(x)
        ]
        return "M" + "L".join(points) if len(points) > 1 else ""


def _overlap(one: Label, other: Label) -> bool:
    left, right = _span(one), _span(other)
    return abs(one.y - other.y) < 14 and left[0] < right[1] + 6 and right[0] < left[1] + 6


def _span(label: Label) -> tuple[float, float]:
    width = _PER_LETTER * len(label.text)
    start = {"start": label.x, "end": label.x - width, "middle": label.x - width / 2}[label.anchor]
    return start, start + width


def pixels(place: float) -> str:
    """A place in pixels, as SVG writes it."""
    return f"{place:.1f}".removesuffix(".0")
