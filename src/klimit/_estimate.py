"""A number with its interval, and whether it can be trusted."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_TRILLION = 1e12


@dataclass(frozen=True, repr=False)
class Estimate:
    """What was estimated, between which limits, and whether bias may hide in it.

    Attributes
    ----------
    value, low, high : floats, or arrays of one shape
    level : coverage of the interval, such as 0.95
    trusted : speaks of bias, never of width: a wide interval from few prompts is still trusted.
        Where it is False, `low` is a bound that holds and `high` is inf unless something proves
        less
    note : one line on what limits the estimate, empty where nothing does
    by_place : the notes of an array, place by place; where not given, `note` is about the places
        that are not trusted or not finite, or about all where none is like that

    Examples
    --------
    >>> print(Estimate(0.843, 0.791, 0.902))
    0.84 [0.79, 0.90]
    >>> float(Estimate(0.843, 0.791, 0.902))
    0.843
    """

    value: Any
    low: Any
    high: Any
    level: float = 0.95
    trusted: Any = True
    note: str = ""
    by_place: Any = field(default=None, compare=False)

    @classmethod
    def of(
        cls, value: Any, low: Any, high: Any, *, level: float, trusted: Any = True, note: str = "",
        by_place: Any = None, shape: tuple[int, ...] | None = None,
    ) -> Estimate:  # fmt: skip
        """An estimate from arrays, in another shape if given; without dimensions they become numbers."""
        numbers = [np.asarray(x) for x in (value, low, high, trusted)]
        if shape is not None:
            numbers = [x.reshape(shape) for x in numbers]
            by_place = None if by_place is None else by_place.reshape(shape)
        value, low, high, trusted = map(_scalar, numbers)
        return cls(value, low, high, level, trusted, note, by_place)

    def __float__(self) -> float:
        return float(self.value)

    def __len__(self) -> int:
        return len(np.atleast_1d(self.value))

    def __getitem__(self, index: Any) -> Estimate:
        """The estimate at one place of an array, with the note on what limits it there. A number is one.

        Examples
        --------
        >>> both = Estimate([1.0, 2.0], [0.9, 1.5], [1.1, np.inf], trusted=[True, False], note="few")
        >>> both[0].note, both[1].note
        ('', 'few')
        """
        whole = np.broadcast_arrays(
            np.atleast_1d(self.value), self.low, self.high, self.trusted, self.notes_by_place()
        )
        value, low, high, trusted, notes = (_scalar(x[index]) for x in whole)
        note = "; ".join(dict.fromkeys(filter(None, np.ravel(notes).tolist())))
        by_place = notes if np.ndim(notes) else None
        return Estimate(value, low, high, self.level, trusted, note, by_place)

    def notes_by_place(self) -> Any:
        """The note of each place, empty where nothing limits the estimate there."""
        if self.by_place is not None:
            return self.by_place
        limited = ~np.asarray(self.trusted, dtype=bool)
        for x in (self.value, self.low, self.high):
            limited = limited | ~np.isfinite(x)
        return np.where(limited | ~limited.any(), self.note, "")

    def __str__(self) -> str:
        if np.ndim(self.value):
            parts = ", ".join(str(self[i]) for i in range(min(len(self), 12)))
            return f"[{parts}{', ...' if len(self) > 12 else ''}]"
        return format_estimate(self)

    def __repr__(self) -> str:
        return f"<Estimate {self}>"

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON: what is not finite is null, and `reason` says why."""
        found: dict[str, Any] = {
            **{name: finite(getattr(self, name)) for name in ("value", "low", "high")},
            "level": self.level,
            "trusted": np.asarray(self.trusted).tolist(),
        }
        unbounded = not all(
            np.isfinite(np.asarray(x)).all() for x in (self.value, self.low, self.high)
        )
        if unbounded or self.note:
            infinite = bool(np.isinf(self.value).any())
            usual = "infinite" if infinite else "these samples set no bound"
            found["reason"] = self.note or usual
        return found


def format_estimate(estimate: Estimate) -> str:
    """``0.84 [0.79, 0.90]``; ``at least 0.79 (not trusted)`` where only a bound is known."""
    value, low, high = float(estimate.value), float(estimate.low), float(estimate.high)
    if math.isinf(value):
        return "impossible" if estimate.note else "infinite"
    least = f"at least {fixed(low, max(two_digits(low), 0), up=False)}"
    if math.isnan(value) and not math.isfinite(high):
        return least if math.isfinite(low) else "not known"
    width = high - low if math.isfinite(high - low) else abs(value)
    if math.isinf(low) and math.isinf(high):
        text = f"about {_digits(value, abs(value))}"
    elif not math.isfinite(high):
        text = least
    else:
        text = f"{_digits(value, width)} [{_digits(low, width)}, {_digits(high, width)}]"
    return text if estimate.trusted else f"{text} (not trusted)"


def _digits(value: float, width: float) -> str:
    """Enough digits that the interval shows two of them."""
    if width <= 0 or not math.isfinite(width):
        return f"{value:.4g}"
    return fixed(value, max(two_digits(width), 0))


def fixed(value: float, digits: int, *, up: bool | None = None) -> str:
    """A number with so many decimals, never ``-0.0``; past six of them, or a trillion, in powers of ten.

    Parameters
    ----------
    up : round up, or down, so that a bound stays one; to the nearest where not given

    Examples
    --------
    >>> fixed(1234.5, 0), fixed(-0.001, 2), fixed(1.234e-7, 9), fixed(2.5e60, 0)
    ('1,234', '0.00', '1.23e-07', '2.5e+60')
    >>> fixed(0.268, 2, up=False), fixed(1.231e-7, 9, up=True), fixed(0.29, 2, up=False)
    ('0.26', '1.24e-07', '0.29')
    """
    powers = digits > 6 or _TRILLION <= abs(value) < math.inf
    if up is not None:
        value = outward(value, two_digits(value) + 1 if powers else digits, up=up)
    if powers:
        return f"{value:.3g}"
    text = f"{value:,.{digits}f}"
    return text if float(text.replace(",", "")) else f"{0:.{digits}f}"


def two_digits(number: float) -> int:
    """Decimals that show two digits of a number, fewer than none of a large one."""
    return 1 - math.floor(math.log10(abs(number))) if 0 < abs(number) < math.inf else 0


def outward(bound: float, places: int, *, up: bool = False) -> float:
    """A bound in so many decimals, rounded down, or `up`: what is printed of it is a bound as well."""
    if not math.isfinite(bound):
        return bound
    unit = 10.0 ** -max(min(places, 300), -300)
    steps = round(bound / unit, 9)  # 0.29 is 28.999999999999996 hundredths
    return (math.ceil(steps) if up else math.floor(steps)) * unit


def beyond(trusted_kl: float) -> str:
    """Why an estimate is not trusted: two digits, and no more nats than are."""
    return f"beyond the trusted {outward(trusted_kl, two_digits(trusted_kl)):.2g} nats"


def _scalar(x: NDArray[Any]) -> Any:
    return x.item() if np.ndim(x) == 0 else x


def finite(x: Any) -> Any:
    """Plain numbers; None in place of what is not finite."""
    if np.ndim(x):
        return [finite(v) for v in np.asarray(x).tolist()]
    return float(x) if math.isfinite(float(x)) else None
