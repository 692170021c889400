"""Files with nested columns -> one flat table, if they are parts of one thing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import polars as pl

from klimit._errors import DataError, KlimitError
from klimit._text import safe
from klimit.rollouts import names
from klimit.rollouts.layout import Layout, detect, entries, fits, is_number, open_rewards
from klimit.rollouts.policies import FILE
from klimit.rollouts.table import Scan
from klimit.rollouts.words import listing, quoted, shown

_WAYS = (("role", "content"), ("from", "value"))
_MODEL = ("assistant", "gpt", "model", "bot", "tool", "function")
"""Whose turns make up an answer: the model's, and those of the tools that it called."""


def flatten(lazy: pl.LazyFrame, asked: Sequence[str] = ()) -> pl.LazyFrame:
    """Rewards kept in a struct become columns of their own, as do its policy and step, and fields asked for.

    Examples
    --------
    >>> import polars as pl
    >>> table = pl.LazyFrame({"p": ["a"], "rewards": [{"rm": 0.5, "rouge": 0.1}]})
    >>> flatten(table).collect_schema().names()
    ['p', 'rm', 'rouge']
    """
    schema = lazy.collect_schema()
    added: dict[str, pl.Expr] = {}
    dropped = []
    for name, dtype in schema.items():
        if isinstance(dtype, pl.Struct) and names.plain(name) in names.REWARDS:
            dropped.append(name)
            for one in dtype.fields:
                if one.dtype.is_numeric() or one.dtype in (pl.Boolean, pl.Null):
                    free = one.name not in schema and one.name not in added
                    added[one.name if free else f"{name}.{one.name}"] = pl.col(name).struct.field(
                        one.name
                    )
    for spellings in (names.CANONICAL["policy"], names.CANONICAL["step"], *names.METADATA.values()):
        for name in (
            () if names.spelling(schema, spellings) else names.spelling(schema, names.NOTES)
        ):
            inside = [field.name for field in getattr(schema[name], "fields", ())]
            for field in [x for x in inside if names.plain(x) in spellings][:1]:  # no `steps`
                added.setdefault(field, pl.col(name).struct.field(field))
    for name in asked:
        outer, _, inner = name.partition(".")
        fields = getattr(schema.get(outer), "fields", ())
        if name not in schema and inner in [one.name for one in fields]:
            added[name] = pl.col(outer).struct.field(inner)
    if not added:
        return lazy
    return lazy.with_columns(column.alias(name) for name, column in added.items()).drop(dropped)


def before_the_answer(lazy: pl.LazyFrame) -> pl.LazyFrame:
    """Without the turns that a conversation ends with where they are the model's.

    They differ between samples of one prompt, which the conversation as a whole would tell apart.
    Where the answer has a column of its own, the conversation is what the model was given.

    Examples
    --------
    >>> turns = [{"role": "user", "content": "why?"}, {"role": "assistant", "content": "so"}]
    >>> row = before_the_answer(pl.LazyFrame({"messages": [turns]})).collect().row(0, named=True)
    >>> row["messages"], row["completion"]
    ([{'role': 'user', 'content': 'why?'}], 'so')
    """
    schema = lazy.collect_schema()
    if names.spelling(schema, names.ANSWERS):
        return lazy
    for name in names.spelling(schema, names.CHATS):
        fields = entries(schema[name])
        for who, what in _WAYS:
            if fields.get(who) == pl.String and what in fields:
                turn = pl.element()
                given = ~turn.struct.field(who).str.to_lowercase().is_in(_MODEL)
                follows = given.fill_null(value=True).cum_sum(reverse=True) == 0
                before = pl.col(name).list.eval(turn.filter(~follows))
                found = [pl.when(before.list.len() > 0).then(before).alias(name)]
                if fields[what] == pl.String and not names.spelling(
                    schema, names.CANONICAL["completion"]
                ):
                    said = pl.col(name).list.eval(turn.filter(follows).struct.field(what))
                    found.append(said.list.last().alias("completion"))
                return lazy.with_columns(found)
    return lazy


def one_table(
    scans: Mapping[str, Scan], *, prompt: Any = None, reward: Any = None
) -> tuple[pl.LazyFrame, Layout]:
    """All files below each other, and where they keep what.

    Integers beside floats and columns that some files lack are fine; other keys, no reward in
    common, or text where another file has numbers are not.
    """
    tables = {name: scan.lazy for name, scan in scans.items()}
    schemas = {name: dict(table.collect_schema()) for name, table in tables.items()}
    _spell_alike(tables, schemas)
    first, *others, asked = *schemas, reward
    if open_rewards(schemas[first]):  # it may lack some that others have
        elsewhere = {x for one in others for x in schemas[one]} - {*schemas[first]}
        asked = [x for x in reward or () if x not in elsewhere]
    try:
        layout = detect(schemas[first], prompt=prompt, reward=asked)
    except KlimitError as error:
        raise type(error)(f"{shown(first)}: {error}") from None
    used = {*layout.keys, *layout.rewards, *layout.columns.values()}
    for name, schema in schemas.items():
        _check_same(first, schemas[first], name, schema, layout, used)
    if len(tables) == 1:
        return tables[first], layout
    marked = [
        table.with_columns(pl.lit(at, pl.Int32).alias(FILE))
        for at, table in enumerate(tables.values())
    ]
    whole = pl.concat(marked, how="diagonal_relaxed")
    schema = {name: dtype for name, dtype in whole.collect_schema().items() if name != FILE}
    found = detect(schema, prompt=prompt, reward=reward)  # with rewards of later files
    return whole, replace(found, keys=layout.keys, kind=layout.kind)


def _spell_alike(
    tables: dict[str, pl.LazyFrame], schemas: dict[str, dict[str, pl.DataType]]
) -> None:
    """What files have one name for, each its own, under the first's; a sum beside lists as a list of one."""
    for canonical, spellings in names.CANONICAL.items():
        own: dict[str, tuple[str, str]] = {}
        for name, schema in schemas.items():
            spelt = names.spelling(schema, spellings)
            if len(spelt) > 1:
                break
            if spelt and fits(canonical, schema[spelt[0]]):
                own[name] = spelt[0], _kind(schema[spelt[0]])
        else:
            kinds = {kind for _, kind in own.values()}
            if len(kinds) == 1 or kinds == {"numbers", "lists"}:
                first = next(iter(own.values()))[0]
                for name, (spelling, kind) in own.items():
                    column, alone = pl.col(spelling), len(kinds) > 1 and kind == "numbers"
                    if alone:
                        column = pl.concat_list(column.cast(pl.Float64))
                    if alone or spelling != first:
                        tables[name] = tables[name].with_columns(column).rename({spelling: first})
                        schemas[name] = dict(tables[name].collect_schema())


def _check_same(
    first: str,
    schema: Mapping[str, pl.DataType],
    name: str,
    other: Mapping[str, pl.DataType],
    layout: Layout,
    used: set[str],
) -> None:
    def refuse(why: str) -> None:
        alone = sorted(set(schema) ^ set(other))
        differ = f" Columns of one only: {listing(alone)}." if alone else ""
        raise DataError(
            f"{safe(first, longest=120)} and {safe(name, longest=120)} do not belong together: "
            f"{why}.{differ} Read them one by one, or choose files with a narrower path."
        )

    for key in layout.keys:
        if key not in other:
            refuse(f"the first has prompt key {quoted(key)}, the second has not")
    if layout.rewards and not {*layout.rewards, *open_rewards(schema)} & set(other):
        refuse(f"the second has none of the rewards {listing(layout.rewards)}")
    for column in sorted(used & set(other)):
        kinds = _kind(schema[column]), _kind(other[column])
        if "nothing" not in kinds and kinds[0] != kinds[1]:
            refuse(
                f"column {quoted(column)} holds {kinds[0]} in the first, {kinds[1]} in the second"
            )


def _kind(dtype: pl.DataType) -> str:
    if str(dtype) == "Null":
        return "nothing"
    if is_number(dtype):
        return "numbers"
    return "lists" if hasattr(dtype, "inner") else "structs" if dtype.is_nested() else "text"
