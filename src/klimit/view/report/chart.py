"""A chart as the template draws it: scales with their ticks, and bands, lines, marks and words in pixels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from klimit._text import safe
from klimit.estimate.kernel import Floats


@dataclass(frozen=True)
class Axis:
    """One axis of a chart.

    Attributes
    ----------
    low, high : numbers at its ends
    start, end : the same in pixels of the chart
    ticks : (number, label) pairs
    root : whether distances are as the square roots of the numbers (then `low` is 0)
    """

    low: float
    high: float
    start: float
    end: float
    ticks: tuple[tuple[float, str], ...]
    root: bool = False

    def at(self, number: float) -> float:
        """Place of a number, pixels; outside the axis, its nearer end."""
        share = (min(max(number, self.low), self.high) - self.low) / (self.high - self.low)
        return self.start + (math.sqrt(share) if self.root else share) * (self.end - self.start)

    def holds(self, number: float) -> bool:
        """Whether a number lies on the axis."""
        slack = 1e-9 * (self.high - self.low)
        return self.low - slack <= number <= self.high + slack


def axis(
    low: float, high: float, start: float, end: float, *, ticks: int = 5, root: bool = False
) -> Axis:
    """An axis with about so many round ticks."""
    if not high > low:
        low, high = low - 0.5, low + 0.5
    marks = _rooted(high, 34 / abs(end - start)) if root else _even(low, high, ticks)
    return Axis(low, high, start, end, tuple(zip(marks, labels(marks), strict=True)), root)


def labels(marks: list[float]) -> list[str]:
    """Numbers with no more digits than tell them apart.

    Examples
    --------
    >>> labels([0.0, 0.25, 0.5]), labels([0.0, 5000.0, 10000.0])
    (['0', '0.25', '0.5'], ['0', '5,000', '10,000'])
    """
    return [
        f"{x:,.0f}" if abs(x) >= 1000 else f"{x:.6g}" if abs(x) >= 1e-4 or not x else f"{x:.0e}"
        for x in marks
    ]


def _even(low: float, high: float, most: int) -> list[float]:
    """Multiples of 1, 2, 2.5 or 5 times a power of ten."""
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * x for x in (1, 2, 2.5, 5, 10) if power * x >= rough * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(i * step, 12) for i in range(first, last + 1)]


def _rooted(high: float, apart: float) -> list[float]:
    """0, then 1, 2 and 5 times powers of ten that stand apart on a root scale."""
    steps = [x * 10.0**power for power in range(-3, 4) for x in (1, 2, 5)]
    marks: list[float] = [0.0]
    for step in steps:
        if step <= high and math.sqrt(step / high) - math.sqrt(marks[-1] / high) > apart:
            marks.append(step)
    return marks


def around(numbers: list[float], *, share: float = 0.06, zero: bool = False) -> tuple[float, float]:
    """Ends of an axis that holds these numbers with some room; 0 too where wanted."""
    known = [x for x in numbers if math.isfinite(x)] + ([0.0] if zero else [])
    low, high = (min(known), max(known)) if known else (0.0, 1.0)
    room = share * ((high - low) or abs(high) or 1.0)
    return (low if zero and low == 0 else low - room), high + room


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
            if along[1] >= self.y.high:
                bars += "m-4,7l4,-7l4,7"
        if across is not None and not any(map(math.isnan, across)):
            end = f"H{pixels(self.x.at(across[1]))}"
            arrow = "h24m-7,-4l7,4l-7,4"
            bars += f"M{pixels(self.x.at(across[0]))},{pixels(py)}{arrow if math.isinf(across[1]) else end}"
        self.marks.append(Mark(px, py, _PATHS[shape], kind, bars, said))

    def say(
        self, x: float, y: float, text: str, kind: str = "", *, anchor: str = "start",
        right: float = 0, down: float = 0,
    ) -> None:  # fmt: skip
        """Words near a point, moved by so many pixels; out of the way of words that stand there."""
        at = self.x.at(x) + right
        if anchor == "start":
            at = min(at, self.width - _PER_LETTER * len(text))
        for shift in (0, -15, 15, -30, 30):
            place = Label(at, self.y.at(y) + down + shift, text, kind, anchor)
            if not any(_overlap(place, other) for other in self.labels):
                self.labels.append(place)
                return

    def aside(self, x: float, y: float, text: str) -> None:
        """Quiet words at the right of a line, or at its left where the chart would end in them."""
        fits = _PER_LETTER * len(text) <= self.width - self.x.at(x) - 6
        anchor, right = ("start", 6) if fits else ("end", -6)
        self.say(x, y, text, "quiet", anchor=anchor, right=right, down=12)

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
