"""CSV and TSV: everything is text until all of it turns out to be numbers.

Types are decided here rather than by the parser, so that ids such as 007 stay what they are and
the first text among numbers can be shown.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

from klimit.rollouts import names
from klimit.rollouts.formats.inflated import opening
from klimit.rollouts.table import Scan

_SMALL = 64 << 20  # bytes; up to here every row decides on the types
_SAMPLE = 20_000  # rows; above, these

_FLAGS = {"true": True, "false": False}  # another word, below the rows looked at, is an error

_KEYS = {"plain": r"^(0|-?[1-9]\d{0,17})$", "missing": r"^(0|-?[1-9]\d{0,14})\.0$"}
"""Keys that may be numbers: whole ones, also as pandas writes them beside missing ones."""


def scan(path: Path, care: int = 0, keys: tuple[str, ...] = ()) -> Scan:
    """A lazy table whose columns are numbers, booleans or text by what stands in them.

    `keys`, and columns whose names say that they are keys, stay text where 1.1 and 1.10, or 1 and
    +1, would be one number.
    """
    head = opening(path)
    raw = pl.scan_csv(path, infer_schema=False, separator=_separator(head), glob=False)
    raw = raw.rename(_trimmed_names(raw.collect_schema().names()))
    every = care or path.stat().st_size <= _SMALL
    some = raw if every else raw.head(_SAMPLE)
    columns = raw.collect_schema().names()
    seen = some.select(_evidence(name) for name in columns).collect()
    filled = [name for name in columns if not every or seen[name][0]["values"]] or columns
    typed = [
        (_key if name in keys or names.is_key(name) else _typed)(name, seen[name][0])
        if name in filled
        else pl.lit(None).alias(name)
        for name in columns
    ]
    return Scan(raw.select(typed), whole=True)


def _separator(head: bytes) -> str:
    first = head.split(b"\n", 1)[0]
    return max(",\t;", key=lambda mark: first.count(mark.encode()))


def _trimmed_names(columns: list[str]) -> dict[str, str]:
    found = {name: name.strip() for name in columns}
    return found if len(set(found.values())) == len(found) else {}


def _trimmed(name: str) -> pl.Expr:
    text = pl.col(name).str.strip_chars()
    return pl.when(text != "").then(text)


def _evidence(name: str) -> pl.Expr:
    """How many values there are, and how many of them read as what."""
    text = _trimmed(name)
    return pl.struct(
        values=text.count(),
        booleans=text.str.to_lowercase().is_in(["true", "false"]).sum(),
        numbers=text.cast(pl.Float64, strict=False).count(),
        whole=text.str.contains(r"^[+-]?\d+$").sum(),
        fitting=text.cast(pl.Int64, strict=False).count(),
        padded=text.str.contains(r"^[+-]?0\d").sum(),
        lists=text.str.contains(r"^\[[-+.,\d\seE]*\]$").sum(),
        plain=text.str.contains(_KEYS["plain"]).sum(),
        missing=text.str.contains(_KEYS["missing"]).sum(),
        nan=(text.str.to_lowercase() == "nan").sum(),
    ).alias(name)


def _typed(name: str, seen: dict[str, int]) -> pl.Expr:
    text, values = _trimmed(name), seen["values"]
    if seen["lists"] == values > 0:  # one entry per sample
        return text.str.json_decode(pl.List(pl.Float64)).alias(name)
    if seen["booleans"] == values > 0:
        return text.str.to_lowercase().replace_strict(_FLAGS, return_dtype=pl.Boolean).alias(name)
    if seen["numbers"] < values or seen["padded"]:
        return pl.col(name)
    if seen["whole"] == values > 0:  # a number too long for 64 bits is an id
        return text.cast(pl.Int64).alias(name) if seen["fitting"] == values else pl.col(name)
    return text.cast(pl.Float64).alias(name)


def _key(name: str, seen: dict[str, int]) -> pl.Expr:
    text, values = _trimmed(name), seen["values"] - seen["nan"]
    if seen["lists"] == values > 0:
        return _typed(name, seen)
    text = pl.when(text.str.to_lowercase() != "nan").then(text)  # as pandas and numpy write none
    for form, dtype in (("plain", pl.Int64), ("missing", pl.Float64)):
        if seen[form] == values > 0:  # below the rows looked at, another form is no number
            like = pl.when(text.str.contains(_KEYS[form])).then(text).otherwise(text + "?")
            return like.cast(dtype).alias(name)
    return pl.col(name)
