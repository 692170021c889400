"""Numbers as people say them: enough digits and no more, units in the singular where it is one."""

from __future__ import annotations

import json
import math
import re
import textwrap
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from klimit._estimate import _TRILLION, Estimate, outward, two_digits
from klimit._estimate import fixed as fixed
from klimit._text import safe
from klimit.rollouts.words import counted as counted

WIDTH = 100  # characters of a line
DISTANCE = "KL: distance from the base model, nats per answer"
KL = "KL is the distance from the base model, in nats per answer"
_HELD = "\0"  # a space at which no line ends; no text has it


def places(estimate: Estimate) -> int:
    """Decimals that show two digits of the interval's width, and no more than four of the value.

    Examples
    --------
    >>> places(Estimate(0.843, 0.791, 0.902)), places(Estimate(0.45042, 0.45034, 0.45074))
    (2, 4)
    >>> places(Estimate(0.4817, 0.4817, 0.4817))
    4
    """
    value, low, high = float(estimate.value), float(estimate.low), float(estimate.high)
    size = abs(low if math.isnan(value) else value)
    width = high - low if math.isfinite(high - low) else size
    if not 0 < size < math.inf:
        return decimals(width)
    most = max(two_digits(size) + 2, 0)
    return min(decimals(width), most) if width > 0 else most


def decimals(width: float) -> int:
    """Decimals that show two digits of `width`; 2 where it is no positive number."""
    if not (math.isfinite(width) and width > 0):
        return 2
    return max(two_digits(width), 0)


def signed(estimate: Estimate, *, unit: str = "") -> str:
    """A gain with its interval; only what is sure where it is not trusted.

    Examples
    --------
    >>> signed(Estimate(0.843, 0.791, 0.902), unit="quality")
    '+0.84 quality [0.79, 0.90]'
    >>> signed(Estimate(0.9, 0.6, float("inf"), trusted=False))
    'at least +0.60'
    >>> signed(Estimate(0.9, -float("inf"), float("inf")))  # of one prompt
    'about +0.90'
    >>> signed(Estimate(0.9, -float("inf"), 1.2, trusted=False))
    'at most +1.2'
    """
    digits = places(estimate)
    name = f" {unit}" if unit else ""
    value, low, high = float(estimate.value), float(estimate.low), float(estimate.high)
    if low == value == high == 0:
        return f"0{name}"
    if estimate.trusted and math.isfinite(value) and not math.isfinite(high):
        return f"about {plus(value, digits)}{name}"
    if not math.isfinite(high):
        digits = max(digits, decimals(low) - 1)  # a bound above 0 shows a digit
        return f"at least {plus(low, digits, up=False)}{name}" if low > 0 else "not known"
    if not estimate.trusted and not math.isfinite(low):
        return f"at most {plus(high, decimals(abs(high)), up=True)}{name}"
    if not estimate.trusted:
        shown = max(digits, decimals(low) - 1) if low > 0 else digits
        ends = plus(low, shown, up=False), plus(high, digits, up=True)
        return f"between {ends[0]} and {ends[1]}{name}"
    return f"{plus(value, digits)}{name} [{fixed(low, digits)}, {fixed(high, digits)}]"


def bounded(estimate: Estimate) -> bool:
    """Whether there is an interval; one prompt that speaks for others has none."""
    return math.isfinite(estimate.high - estimate.low)


def plain(estimate: Estimate) -> str:
    """The same without the sign, for a table.

    Examples
    --------
    >>> plain(Estimate(0.843, 0.791, 0.902)), plain(Estimate(0.9, 0.6, float("inf"), trusted=False))
    ('0.84 [0.79, 0.90]', 'at least 0.60')
    """
    return signed(estimate).replace("+", "")


def more(estimate: Estimate) -> str:
    """A difference, as so much more or less.

    Examples
    --------
    >>> more(Estimate(0.843, 0.791, 0.902)), more(Estimate(-0.06, -0.09, -0.03))
    ('0.84 [0.79, 0.90] more', '0.060 [0.030, 0.090] less')
    """
    if estimate.value < 0:
        value, low, high = -estimate.value, -estimate.high, -estimate.low
        return f"{plain(replace(estimate, value=value, low=low, high=high))} less"
    return f"{plain(estimate)} more"


def plus(value: float, digits: int, *, up: bool | None = None) -> str:
    """A number with its sign; zero has none."""
    text = fixed(value, digits, up=up)
    return f"+{text}" if value > 0 and float(text.replace(",", "")) else text


def short(value: float) -> str:
    """Two significant digits, whole numbers up to a trillion in full.

    Examples
    --------
    >>> short(0.1634), short(0.5), short(12.3), short(123.4), short(0.0)
    ('0.16', '0.50', '12', '123', '0')
    """
    if not math.isfinite(value):
        return str(value)
    if value == 0 or 10 <= abs(value) < _TRILLION:
        return f"{value:,.0f}"
    return f"{value:#.2g}".rstrip(".")


def aligned(numbers: Sequence[float]) -> list[str]:
    """Numbers with as many decimals as the one that needs most, four at the most.

    Examples
    --------
    >>> aligned([0.25, 1, 2])
    ['0.25', '1.00', '2.00']
    """
    if any(0 < abs(number) < 1e-4 for number in numbers):
        return [f"{number:g}" for number in numbers]
    needed = (len(f"{number:.4f}".rstrip("0").partition(".")[2]) for number in numbers)
    most = max(needed, default=0)
    return [f"{number:.{most}f}" for number in numbers]


def nats(kl: float, *, exact: bool = False, down: bool = False) -> str:
    """A KL with its unit.

    Parameters
    ----------
    exact : show it as the caller typed it, instead of two digits
    down : round down, for an end that must not be overstated

    Examples
    --------
    >>> nats(1.0), nats(0.6136), nats(1.125, exact=True), nats(2.98, down=True)
    ('1 nat', '0.61 nats', '1.125 nats', '2.9 nats')
    """
    if down:
        kl = outward(kl, two_digits(kl))
    text = f"{kl:g}" if exact else f"{kl:.2g}" if kl < 100 else f"{kl:,.0f}"
    return f"{text} nat" if text == "1" else f"{text} nats"


def spent(estimate: Estimate) -> str:
    """A KL with its unit and its interval, if it has one.

    Examples
    --------
    >>> spent(Estimate(2.31, 2.0, 2.6)), spent(Estimate(2.31, 2.31, 2.31))
    ('2.31 nats [2.00, 2.60]', '2.3 nats')
    >>> spent(Estimate(2.31, 2.0, float("inf"))), spent(Estimate(2.31, -float("inf"), float("inf")))
    ('at least 2 nats', 'about 2.3 nats')
    """
    if estimate.high == math.inf and estimate.low > 0:
        return f"at least {nats(estimate.low, down=True)}"
    if not bounded(estimate):
        return f"about {nats(estimate.value)}"
    if estimate.low == estimate.high:
        return nats(estimate.value)
    value, interval = measured(estimate).split(" ", 1)
    return f"{value} nats {interval}"


def measured(estimate: Estimate) -> str:
    """A number and its interval, if it has one, for a table.

    Examples
    --------
    >>> measured(Estimate(2.31, 2.0, 2.6)), measured(Estimate(2.31, 2.31, 2.31))
    ('2.31 [2.00, 2.60]', '2.3')
    """
    if not bounded(estimate):
        return f"about {short(estimate.value)}"
    if estimate.low == estimate.high:
        return short(estimate.value)
    value, low, high = (
        fixed(x, places(estimate)) for x in (estimate.value, estimate.low, estimate.high)
    )
    return f"{value} [{low}, {high}]"


def percent(share: float) -> str:
    """A share in whole percents."""
    return f"{100 * share:.0f} %"


def level(coverage: float) -> str:
    """The level of an interval."""
    return f"{100 * coverage:g} %"


def brackets(coverage: float) -> str:
    """What stands between brackets, for who meets a table for the first time."""
    return f"Brackets: {level(coverage)} intervals."


def share(estimate: Estimate) -> tuple[str, str]:
    """A share of a limit as a percentage, and its interval to stand behind it.

    Where the limit is only known from below, the share is known from above.

    Examples
    --------
    >>> share(Estimate(0.93, 0.91, 0.954)), share(Estimate(0.8, 0.0, 0.87, trusted=False))
    (('93 %', ' [91 %, 95 %]'), ('at most 87 %', ''))
    """
    value, low, high = (float(x) for x in (estimate.value, estimate.low, estimate.high))
    if math.isnan(value) or not math.isfinite(high):
        return "an unknown share", ""
    if not estimate.trusted:
        return f"at most {math.ceil(100 * high - 1e-9)} %", ""
    between = f" [{round(100 * low)} %, {round(100 * high)} %]" if math.isfinite(low) else ""
    return f"{round(100 * value)} %", between


def span(counts: Any) -> str:
    """The least and the largest of some numbers, once where they are all alike.

    Examples
    --------
    >>> span([16, 16]), span([1200, 16])
    ('16', '16 to 1,200')
    """
    return " to ".join(f"{int(end):,}" for end in sorted({min(counts), max(counts)}))


def listed(words: Sequence[str]) -> str:
    """Join words with commas and a last "and".

    Examples
    --------
    >>> listed(["a", "b", "c"])
    'a, b and c'
    """
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} and {words[-1]}"


def together(text: str, space: str = "\u00a0") -> str:
    """No line ends within an interval or an equation, or between a number and its unit.

    Examples
    --------
    >>> together("+0.4 quality [0.3, 0.5] at 2 nats", "_")
    '+0.4 quality [0.3,_0.5] at 2_nats'
    """
    text = re.sub(r"\[[^\[\]]{1,40}\]", lambda found: found[0].replace(" ", space), text)
    text = text.replace(" = ", f"{space}={space}")
    return re.sub(r"(?<=\d) (?=(nats?|%)\b|%)", space, text)


def paragraph(text: str, *, lead: str = "", width: int = WIDTH) -> str:
    """Text in lines of `width` characters, those after the first as far in as `lead` is long.

    Examples
    --------
    >>> paragraph("one two", lead="note: ")
    'note: one two'
    """
    held = together(text, _HELD)
    return textwrap.fill(
        held, width, initial_indent=lead, subsequent_indent=" " * len(lead),
        break_on_hyphens=False, break_long_words=False,
    ).replace(_HELD, " ")  # fmt: skip


def sentences(text: str) -> list[str]:
    r"""Lines of a verdict that `paragraph` broke, whole again.

    Examples
    --------
    >>> sentences("One sentence\ngoes on.\nAnother one.")
    ['One sentence goes on.', 'Another one.']
    """
    found: list[str] = []
    last = ""
    for line in text.split("\n"):
        word = together(line).split(" ", 1)[0]
        full = len(last) + len(word) >= WIDTH  # the next word had no room
        ends = last.endswith((".", "?", "!", ":"))
        if found and (not ends or (last.endswith(":") and full)):
            found[-1] += f" {line.strip()}"
        else:
            found.append(line)
        last = line
    return found


def paragraphs(verdict: str) -> str:
    """The lines of a verdict, each broken where it is too long."""
    return "\n".join(map(paragraph, verdict.split("\n")))


def result(verdict: str, *parts: str, notes: Sequence[str] = ()) -> str:
    """A result as text: its verdict, tables and what their columns mean, and notes.

    Examples
    --------
    >>> print(result("It gains 1.", "", notes=["few prompts."]))
    It gains 1.
    <BLANKLINE>
    note: few prompts.
    """
    under = "\n".join(paragraph(line, lead="note: ") for line in notes)
    return "\n\n".join(filter(None, [paragraphs(verdict), *parts, under]))


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Cells in columns that stay readable in a terminal, a log and an e-mail.

    Examples
    --------
    >>> print(table(["KL", "gain"], [["0.5", "0.57 [0.54, 0.60]"], ["1", "at least 0.80"]]))
      KL     gain
      0.5    0.57 [0.54, 0.60]
      1      at least 0.80
    """
    lines = [headings, *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  "
        + "    ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def both(names: Sequence[str], longest: int = 40) -> tuple[str, str]:
    """Names of a proxy and of gold, fit for a line."""
    proxy, gold = (safe(name, longest=longest) for name in names[:2])
    return proxy, gold


def asked(prompt: str) -> str:
    """What a prompt is called: its id, or the last turn of a conversation that is its own id.

    Examples
    --------
    >>> asked('[{"role":"system","content":"Be kind."},{"role":"user","content":"2 + 2?"}]')
    '2 + 2?'
    >>> asked("gsm8k-17")
    'gsm8k-17'
    """
    if not prompt.startswith('[{"'):
        return prompt
    try:
        last = json.loads(prompt)[-1]
    except ValueError:
        return prompt
    said = last.get("content", last.get("value"))
    return said if isinstance(said, str) and said.strip() else prompt
