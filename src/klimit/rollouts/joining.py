"""Columns from another table, matched row by row."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import polars as pl

from klimit._errors import ArgumentError, DataError, warn
from klimit.rollouts import names
from klimit.rollouts.guard import reading
from klimit.rollouts.layout import is_number
from klimit.rollouts.read import with_care
from klimit.rollouts.rollouts import Rollouts, several
from klimit.rollouts.table import Scan
from klimit.rollouts.unify import flatten
from klimit.rollouts.words import counted, listing

_KEYS = ("prompt_id", "prompt", "completion", "step", "policy")


def join(rollouts: Rollouts, other: Any, *, on: str | Iterable[str] | None = None) -> Rollouts:
    """See `Rollouts.join`."""
    asked = [] if on is None else several(on)
    theirs = _under_our_names(rollouts, other, (rollouts.prompt_key, *asked))
    ours = rollouts.table.names
    if "prompt_id" in theirs.columns and rollouts.prompt_key not in theirs.columns:
        asked = ["prompt_id" if name == rollouts.prompt_key else name for name in asked]
    keys = _keys(rollouts, theirs, None if on is None else asked)
    new = [name for name in theirs.columns if name not in ours]
    if not new:
        raise ArgumentError(
            f"the other table has nothing that {rollouts.source} lacks: {listing(theirs.columns)}."
        )
    text = [pl.col(name).cast(pl.String) for name in keys]
    right = theirs.select(*text, *new)
    twice = right.filter(right.select(keys).is_duplicated())
    if twice.height:
        raise DataError(
            f"the other table has {counted(twice.height, 'row')} that share {listing(keys)}; "
            "one row per key was expected. Join on more columns with on=."
        )
    left = rollouts.table.columns(keys).select(text)
    right = right.with_columns(__met=pl.lit(value=True))
    found = left.join(right, on=keys, how="left", maintain_order="left")
    missed = found["__met"].null_count()
    if missed == len(left):
        raise DataError(
            f"no row of {rollouts.source} has a match in the other table on {listing(keys)}; "
            "check that both spell them alike, or choose with on=."
        )
    if missed:
        warn(
            f"{counted(missed, 'sample')} of {len(left):,} found no match on {listing(keys)}: "
            f"{listing(new)} is missing there."
        )
    rewards = [
        name for name in new if is_number(found[name].dtype) and not names.never_reward(name)
    ]
    columns = [found[name].cast(pl.Float64) if name in rewards else found[name] for name in new]
    table = rollouts.table.with_core(*columns)
    return replace(rollouts, table=table, rewards=(*rollouts.rewards, *rewards))


def _under_our_names(rollouts: Rollouts, other: Any, keys: tuple[str, ...]) -> pl.DataFrame:
    """The other table, its prompt key and canonical columns called as ours are."""
    if isinstance(other, Rollouts):
        return other.frame()
    table = plain_table(other, keys)
    columns = table.columns
    renamed = {}
    if "prompt_id" not in columns and rollouts.prompt_key in columns:
        renamed[rollouts.prompt_key] = "prompt_id"
    for canonical, spellings in (("prompt", names.PROMPT_TEXTS), *names.CANONICAL.items()):
        for name in names.spelling(columns, spellings)[:1]:
            if canonical not in columns and name not in renamed:
                renamed[name] = canonical
    return table.rename(renamed)


def plain_table(source: Any, keys: tuple[str, ...] = ()) -> pl.DataFrame:
    """Rows of anything that `klimit.read` takes, under the names that they have there."""
    return with_care(source, _together, keys=keys)


def _together(scans: Mapping[str, Scan]) -> pl.DataFrame:
    with reading(", ".join(scans)):
        tables = [flatten(scan.lazy) for scan in scans.values()]
        return pl.concat(tables, how="diagonal_relaxed").collect()


def _keys(rollouts: Rollouts, theirs: pl.DataFrame, keys: list[str] | None) -> list[str]:
    ours = rollouts.table.names
    if keys is None:
        numbers = names.NUMBERS | {"row"}
        keys = [
            name
            for name in theirs.columns
            if name in ours and (name in _KEYS or numbers & set(names.plain(name).split("_")))
        ]
    unknown = [name for name in keys if name not in ours or name not in theirs.columns]
    if unknown or not keys:
        raise ArgumentError(
            f"no key to join on: {rollouts.source} has {listing(ours)}, the other table has "
            f"{listing(theirs.columns)}. Name columns that both have with on=."
        )
    return keys
