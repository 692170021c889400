"""Does a run do well enough? One answer per demand, for use in automated checks."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from klimit._errors import ArgumentError, DataError
from klimit._estimate import Estimate, outward, two_digits
from klimit.audit.result import Audit
from klimit.audit.wording import IMPOSSIBLE, OPEN_SHARE, UNLIKELY, open_share

WORDS = {"efficiency": "share of the limit", "kl": "KL in nats", "gain": "gain"}


@dataclass(frozen=True)
class Check:
    """One demand on one placement.

    Attributes
    ----------
    label : of the placement
    number : "efficiency", "kl" or "gain"
    asked : the bound
    found : the estimate; its note says where it is more than any method can do
    passed : whether it is kept
    sure : whether it was asked of the whole interval
    """

    label: str
    number: str
    asked: float
    found: Estimate
    passed: bool
    sure: bool = False

    def __str__(self) -> str:
        shown = str(self.found)
        if self.number == "efficiency" and not self.found.trusted:
            shown = f"at most {_apart(float(self.found.high), self.asked, 2, bound=True)}"
        elif self.found.low == self.found.high:
            shown = _apart(float(self.found.value), self.asked, 3)
        bound = "at most" if self.number == "kl" else "at least"
        asked = "asked for sure" if self.sure else "asked"
        said = f"{self.label}: {WORDS[self.number]} {shown}, {bound} {self.asked:g} {asked}"
        return f"{said} ({UNLIKELY})" if self.found.note == UNLIKELY else said


def gate(
    audit: Audit,
    *,
    min_efficiency: float | None = None,
    max_kl: float | None = None,
    min_gain: float | None = None,
    sure: bool = False,
) -> list[Check]:
    """Hold a placement to some bounds.

    An efficiency that is known from above only passes unless even that bound is too low. One whose whole
    interval lies above 1 passes too, with a note: of a hundred optimal policies one or two get there.

    Parameters
    ----------
    min_efficiency, max_kl, min_gain : what is asked, at least one of them
    sure : ask it of the whole interval instead of the estimate

    Raises
    ------
    ArgumentError
        Where nothing is asked, or what cannot be: a share above 1, a negative KL, nan.
    DataError
        Where a number that is asked for is not known, or cannot be; a share is not where its interval is
        open and holds what is asked.

    Examples
    --------
    >>> from klimit import frontier
    >>> limit = frontier([[0.0, 1.0, 2.0, 4.0] * 8] * 30, reward_range=(0, 4))
    >>> [str(check) for check in gate(limit.place(kl=0.2, gain=0.2), max_kl=0.1)]
    ['policy: KL in nats 0.2, at most 0.1 asked']
    """
    asked = {"efficiency": min_efficiency, "kl": max_kl, "gain": min_gain}
    checks = []
    for number, bound in asked.items():
        if bound is None:
            continue
        _possible(number, bound)
        found: Estimate = getattr(audit, number)
        kl, said = audit.kl, f"{audit.label}: {WORDS[number]}"
        if number != "gain" and not kl.trusted and kl.note and math.isfinite(kl.value):
            raise DataError(f"{audit.label}: its KL cannot be trusted: {kl.note}.")
        if found.note == IMPOSSIBLE:
            raise DataError(f"{said} {found}: {found.note}.")
        if not math.isfinite(found.value):
            raise DataError(f"{said} is not known: {found.note}.")
        if math.isinf(found.low) and math.isinf(found.high):
            raise DataError(
                f"{said} is not known: so few prompts set no bound to it (--prompts fixed asks of these "
                "very prompts)."
            )
        if number == "efficiency" and open_share(found) and not found.high < bound:
            raise DataError(f"{said} is not known: {OPEN_SHARE}.")
        if number == "efficiency" and found.trusted and found.low > 1:
            found = replace(found, note=UNLIKELY)
        kept = _kept(number, found, bound, sure)
        checks.append(Check(audit.label, number, bound, found, kept, sure))
    if not checks:
        raise ArgumentError(
            "nothing was asked; give min_efficiency, max_kl or min_gain (--min-efficiency 0.7)."
        )
    return checks


def _apart(value: float, asked: float, digits: int, *, bound: bool = False) -> str:
    """The value in as many digits as tell on which side of what is asked it lies."""
    at = outward(value, two_digits(value) + digits - 2, up=True) if bound else value
    shown = f"{at:.{digits}g}"
    same = np.sign(float(shown) - asked) == np.sign(value - asked)
    return shown if same or digits > 9 else _apart(value, asked, digits + 1, bound=bound)


def _possible(number: str, bound: float) -> None:
    """Refuse a bound that no run, or every run, falls short of."""
    if math.isnan(bound):
        raise ArgumentError(f"{WORDS[number]} nan was asked; a number was expected.")
    if number == "efficiency" and bound > 1:
        raise ArgumentError(
            f"{WORDS[number]} {bound:g} was asked; a share between 0 and 1 was expected, such as 0.7 "
            "for 70 %."
        )
    if number == "kl" and bound < 0:
        raise ArgumentError(f"{WORDS[number]} {bound:g} was asked; 0 or more was expected.")


def _kept(number: str, found: Estimate, bound: float, sure: bool) -> bool:
    if number == "kl":
        return float(found.high if sure else found.value) <= bound
    if sure:
        return float(found.low) >= bound
    best = found.value if found.trusted else found.high
    return float(best) >= bound
