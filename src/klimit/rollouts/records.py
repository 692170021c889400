"""Python records -> a table, with types that hold for every record."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any

import numpy as np
import polars as pl

from klimit._errors import DataError
from klimit._text import safe

_PAST_64 = 1 << 63
_FIELDS = 1000  # more keys than these are ids of something: a column for each would fill the memory


def from_records(records: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    """One row per record; a key that a record lacks is missing there.

    Examples
    --------
    >>> from_records([{"p": "a", "r": 1}, {"p": "b", "r": float("nan"), "q": "x"}]).rows()
    [('a', 1.0, None), ('b', nan, 'x')]
    """
    keys = dict.fromkeys(str(key) for record in records for key in record)
    return pl.DataFrame([column(key, [record.get(key) for record in records]) for key in keys])


def from_columns(columns: Mapping[str, Sequence[Any]]) -> pl.DataFrame:
    """One column per key; all must be equally long."""
    lengths = {safe(key): len(values) for key, values in columns.items()}
    if len(set(lengths.values())) > 1:
        shown = ", ".join(f"{key} {length:,}" for key, length in list(lengths.items())[:8])
        raise DataError(f"columns of different lengths ({shown}); one entry per row was expected.")
    return pl.DataFrame([column(str(key), list(values)) for key, values in columns.items()])


def column(name: str, values: list[Any]) -> pl.Series:
    """A column of one type: numbers, booleans, text, lists or structs; JSON text for a mixture.

    The type is that of all values: polars takes it from the first ones, to which the others are then cut.

    Examples
    --------
    >>> column("r", [[1, None], [0.5]]).to_list()
    [[1.0, None], [0.5]]
    """
    values = [value.tolist() if isinstance(value, np.ndarray) else value for value in values]
    dtype = _type(values)
    if dtype == pl.Float64:
        return pl.Series(name, [as_float(value) for value in values], dtype=dtype)
    if dtype == pl.String:
        values = [value and _whole(value) for value in values]
    kinds = _kinds(values)
    if dtype is not None or (len(kinds) == 1 and not kinds & {list, tuple, dict, int}):
        try:
            return pl.Series(name, values, dtype=dtype)
        except (pl.exceptions.PolarsError, TypeError, ValueError, OverflowError):
            pass  # no type of polars: said as JSON
    return pl.Series(
        name,
        [
            value if value is None or isinstance(value, str) else json.dumps(value, default=str)
            for value in values
        ],
        dtype=pl.String,
    )


def _type(values: Sequence[Any]) -> pl.DataType | type[pl.DataType] | None:
    """The type that holds each of these values as it is; None where none does."""
    kinds = _kinds(values)
    if not kinds:
        return pl.Null
    if kinds <= {bool, np.bool_}:
        return pl.Boolean
    if kinds == {str}:
        return pl.String
    there = [value for value in values if value is not None]
    if all(issubclass(kind, (Real, np.bool_)) for kind in kinds):
        if any(issubclass(kind, (float, np.floating)) for kind in kinds):
            return pl.Float64
        fits = min(there) >= -_PAST_64 and max(there) < _PAST_64
        return pl.Int64 if fits else None  # longer ones are ids, of which no digit may be lost
    if kinds <= {list, tuple}:
        inner = _type([entry for value in there for entry in value])
        return None if inner is None else pl.List(inner)
    if kinds == {dict}:
        found: dict[Any, list[Any]] = {}
        for value in there:
            for key, entry in value.items():
                found.setdefault(key, []).append(entry)
        if len(found) > _FIELDS or not all(isinstance(key, str) for key in found):
            return None
        fields = {key: _type(entries) for key, entries in found.items()}
        known = {key: dtype for key, dtype in fields.items() if dtype is not None}
        return pl.Struct(known) if len(known) == len(fields) else None
    return None


def _kinds(values: Sequence[Any]) -> set[type]:
    return {type(value) for value in values} - {type(None)}


def as_float(value: Any) -> float | None:
    """A number as a float; one that is past all floats is infinite, which a reward must not be."""
    try:
        return None if value is None else float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _whole(text: str) -> str:
    """Text without lone surrogates, which JSON can spell and UTF-8 cannot hold."""
    return text.encode("utf-8", "replace").decode()
