"""Python records -> a table, with types that hold for every record."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from klimit._errors import DataError
from klimit._text import safe

if TYPE_CHECKING:
    import polars as pl


def from_records(records: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    """One row per record; a key that a record lacks is missing there.

    Examples
    --------
    >>> from_records([{"p": "a", "r": 1}, {"p": "b", "r": float("nan"), "q": "x"}]).rows()
    [('a', 1.0, None), ('b', nan, 'x')]
    """
    import polars as pl

    keys = dict.fromkeys(str(key) for record in records for key in record)
    return pl.DataFrame([column(key, [record.get(key) for record in records]) for key in keys])


def from_columns(columns: Mapping[str, Sequence[Any]]) -> pl.DataFrame:
    """One column per key; all must be equally long."""
    import polars as pl

    lengths = {safe(key): len(values) for key, values in columns.items()}
    if len(set(lengths.values())) > 1:
        shown = ", ".join(f"{key} {length:,}" for key, length in list(lengths.items())[:8])
        raise DataError(f"columns of different lengths ({shown}); one entry per row was expected.")
    return pl.DataFrame([column(str(key), list(values)) for key, values in columns.items()])


def column(name: str, values: list[Any]) -> pl.Series:
    """A column of one type: numbers, booleans, text, lists or structs; JSON text for a mixture."""
    import polars as pl

    kinds = {type(value) for value in values} - {type(None)}
    if not kinds:
        return pl.Series(name, values, dtype=pl.Null)
    if kinds <= {int, bool} and all(value is None or abs(value) < 1 << 63 for value in values):
        return pl.Series(name, values, dtype=pl.Boolean if kinds == {bool} else pl.Int64)
    if kinds <= {int, float, bool}:
        floats = [None if value is None else float(value) for value in values]
        return pl.Series(name, floats, dtype=pl.Float64)
    if kinds == {str}:
        return pl.Series(name, [value and _whole(value) for value in values], dtype=pl.String)
    if len(kinds) == 1:
        try:
            return pl.Series(name, values)
        except (pl.exceptions.PolarsError, TypeError, ValueError, OverflowError):
            pass  # lists or structs whose entries differ in type
    return pl.Series(
        name,
        [
            value if value is None or isinstance(value, str) else json.dumps(value, default=str)
            for value in values
        ],
        dtype=pl.String,
    )


def _whole(text: str) -> str:
    """Text without lone surrogates, which JSON can spell and UTF-8 cannot hold."""
    return text.encode("utf-8", "replace").decode()
