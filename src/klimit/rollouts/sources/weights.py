"""Several reward functions as one reward: their weighted sum, as the trainer takes it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from klimit._errors import ArgumentError
from klimit.rollouts.words import close_to, listing, quoted


@dataclass(frozen=True)
class Total:
    """A reward made of others.

    Attributes
    ----------
    weights : reward -> its weight
    partial : whether rewards that a sample lacks are left out of its sum, as TRL does; else the
        sum is missing where one of them is
    by : who says so: a file's name; empty where the caller does
    """

    weights: Mapping[str, float]
    partial: bool = False
    by: str = ""

    def name(self, columns: Sequence[str]) -> str:
        """What the sum is called: no name that a column has."""
        return next(one for one in ("reward", "total", "total_") if one not in columns)

    def column(self) -> pl.Expr:
        """The sum; missing where all of its parts are."""
        parts = [pl.col(name).cast(pl.Float64).fill_nan(None) for name in self.weights]
        weighted = [
            part * weight for part, weight in zip(parts, self.weights.values(), strict=True)
        ]
        total = pl.sum_horizontal(weighted, ignore_nulls=self.partial)
        return pl.when(pl.any_horizontal(part.is_not_null() for part in parts)).then(total)

    def __str__(self) -> str:
        """The sum in words.

        Examples
        --------
        >>> print(Total({"acc": 1.0, "format": 0.2}, by="config.json"))
        acc + 0.2 format (weights of config.json)
        """
        terms = [name if w == 1 else f"{w:g} {name}" for name, w in self.weights.items()]
        return listing(terms).replace(", ", " + ") + (f" (weights of {self.by})" if self.by else "")


def given(weights: Any, columns: Sequence[str]) -> dict[str, float]:
    """The caller's weights, checked.

    Examples
    --------
    >>> given({"acc": 1, "format": 0.2}, ["acc", "format", "step"])
    {'acc': 1.0, 'format': 0.2}
    """
    if not isinstance(weights, Mapping) or not weights:
        raise ArgumentError("weights must be a dict of rewards, such as {'acc': 1, 'format': 0.2}.")
    for name, weight in weights.items():
        if name not in columns:
            raise ArgumentError(
                f"weights name {quoted(name)}, which is no column here; there are "
                f"{listing(columns)}.{close_to(str(name), columns)}"
            )
        number = isinstance(weight, int | float) and not isinstance(weight, bool)
        if not number or not math.isfinite(weight):
            raise ArgumentError(
                f"the weight of {quoted(name)} is {quoted(weight)}; a number was expected."
            )
    if not any(weights.values()):
        raise ArgumentError("all weights are 0; at least one reward must count.")
    return {str(name): float(weight) for name, weight in weights.items()}
