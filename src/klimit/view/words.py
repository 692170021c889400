"""Numbers as people say them: enough digits and no more, units in the singular where it is one."""

from __future__ import annotations

import math
from collections.abc import Sequence

from klimit._estimate import Estimate


def places(estimate: Estimate) -> int:
    """Decimals that show two digits of the interval's width.

    Examples
    --------
    >>> places(Estimate(0.843, 0.791, 0.902))
    2
    """
    value, low, high = float(estimate.value), float(estimate.low), float(estimate.high)
    width = high - low if math.isfinite(high - low) else abs(low if math.isnan(value) else value)
    return decimals(width)


def decimals(width: float) -> int:
    """Decimals that show two digits of `width`; 2 where it is no positive number."""
    if not (math.isfinite(width) and width > 0):
        return 2
    return min(max(1 - math.floor(math.log10(width)), 0), 6)


def signed(estimate: Estimate, *, unit: str = "") -> str:
    """A gain with its interval; only the lower bound where there is nothing above.

    Examples
    --------
    >>> signed(Estimate(0.843, 0.791, 0.902), unit="quality")
    '+0.84 quality [0.79, 0.90]'
    >>> signed(Estimate(0.9, 0.6, float("inf"), trusted=False))
    'at least +0.60'
    """
    digits = places(estimate)
    name = f" {unit}" if unit else ""
    value, low, high = float(estimate.value), float(estimate.low), float(estimate.high)
    if not math.isfinite(high):
        return f"at least {plus(low, digits)}{name}" if low > 0 else "not known"
    if not estimate.trusted:
        return f"between {plus(low, digits)} and {plus(high, digits)}{name}"
    return f"{plus(value, digits)}{name} [{fixed(low, digits)}, {fixed(high, digits)}]"


def plain(estimate: Estimate) -> str:
    """The same without the sign, for a table.

    Examples
    --------
    >>> plain(Estimate(0.843, 0.791, 0.902)), plain(Estimate(0.9, 0.6, float("inf"), trusted=False))
    ('0.84 [0.79, 0.90]', 'at least 0.60')
    """
    return signed(estimate).replace("+", "")


def plus(value: float, digits: int) -> str:
    """A number with its sign; zero has none."""
    text = f"{value:+,.{digits}f}"
    return text if float(text.replace(",", "")) else fixed(0.0, digits)


def fixed(value: float, digits: int) -> str:
    """A number with so many decimals, never ``-0.0``."""
    text = f"{value:,.{digits}f}"
    return text if float(text.replace(",", "")) else f"{0:.{digits}f}"


def short(value: float) -> str:
    """Two significant digits, whole numbers in full.

    Examples
    --------
    >>> short(0.1634), short(0.5), short(12.3), short(123.4), short(0.0)
    ('0.16', '0.50', '12', '123', '0')
    """
    if not math.isfinite(value):
        return str(value)
    if value == 0 or abs(value) >= 10:
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


def nats(kl: float, *, exact: bool = False) -> str:
    """A KL with its unit; `exact` for one that the caller typed.

    Examples
    --------
    >>> nats(1.0), nats(0.6136), nats(1.125, exact=True)
    ('1 nat', '0.61 nats', '1.125 nats')
    """
    text = f"{kl:g}" if exact else f"{kl:.2g}" if kl < 100 else f"{kl:,.0f}"
    return f"{text} nat" if text == "1" else f"{text} nats"


def share(estimate: Estimate) -> str:
    """A ratio as a percentage with its interval.

    Examples
    --------
    >>> share(Estimate(0.93, 0.91, 0.954))
    '93 % [91 %, 95 %]'
    """
    value, low, high = (float(x) for x in (estimate.value, estimate.low, estimate.high))
    if not estimate.trusted or not math.isfinite(high):
        return f"at least {100 * low:.0f} %" if math.isfinite(low) else "not known"
    return f"{100 * value:.0f} % [{100 * low:.0f} %, {100 * high:.0f} %]"


def count(number: float, noun: str, plural: str = "") -> str:
    """How many of what.

    Examples
    --------
    >>> count(1, "prompt"), count(2500, "prompt")
    ('1 prompt', '2,500 prompts')
    """
    return f"{number:,.0f} {noun if number == 1 else plural or noun + 's'}"


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
