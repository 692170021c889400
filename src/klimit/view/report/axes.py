"""Scales of charts: from numbers to places on the page, and where the ticks stand."""

from __future__ import annotations

import math
from dataclasses import dataclass


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
