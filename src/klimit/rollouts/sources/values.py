"""Small conversions that several readers share."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from klimit.rollouts.records import as_float


def number(value: Any) -> float | None:
    """A number as a float, NaN and all that is none as missing.

    Examples
    --------
    >>> [number(value) for value in (1, True, 0.5, float("nan"), "1", None)]
    [1.0, 1.0, 0.5, None, None, None]
    """
    found = as_float(value) if isinstance(value, int | float) else None
    return None if found is None or math.isnan(found) else found


def total(values: Sequence[Any] | None) -> float | None:
    """The sum of per-token numbers; missing where one of them is, or where there are none.

    Examples
    --------
    >>> total([-0.5, -1.0]), total([-0.5, None]), total([])
    (-1.5, None, None)
    """
    if not isinstance(values, list | tuple) or not values:
        return None
    found = [number(value) for value in values]
    return None if None in found else math.fsum(one for one in found if one is not None)


def said(content: Any) -> str:
    r"""The text of a message, of a list of messages, or of what else stands for a prompt.

    Examples
    --------
    >>> said("why?"), said([{"role": "user", "content": "why?"}])
    ('why?', 'why?')
    >>> said([{"role": "system", "content": "Be brief."}, {"role": "user", "content": "why?"}])
    'system: Be brief.\n\nuser: why?'
    """
    if isinstance(content, str):
        return content
    if isinstance(content, Mapping) and set(content) <= {"type", "text"}:
        return said(content.get("text"))
    if isinstance(content, list) and content and all("role" in mapping(one) for one in content):
        if len(content) == 1:
            return said(content[0].get("content"))
        spoken = [f"{one['role']}: {said(one.get('content'))}" for one in content]
        return "\n\n".join(spoken)
    if isinstance(content, list) and len(content) == 1:
        return said(content[0])
    return "" if content is None else json.dumps(content, sort_keys=True, default=str)


def mapping(value: Any) -> Mapping[str, Any]:
    """A dict, or an empty one where something else stands."""
    return value if isinstance(value, Mapping) else {}


def records(value: Any) -> list[Mapping[str, Any]]:
    """The dicts of a list; none where it is no list."""
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, list) else []


def summed(name: str) -> pl.Expr:
    """Per-token numbers of each row as one; missing where one of them is, or where none is."""
    column = pl.col(name)
    whole = (column.list.len() > 0) & (column.list.drop_nulls().list.len() == column.list.len())
    return pl.when(whole).then(column.list.sum()).cast(pl.Float64).fill_nan(None)
