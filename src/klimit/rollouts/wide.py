"""A row per prompt, with lists, records or a numbered column per sample -> a row per sample."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import polars as pl

from klimit._errors import DataError
from klimit.rollouts import names
from klimit.rollouts.layout import Layout, could_be_reward, entries, is_number
from klimit.rollouts.words import quoted

ROW = "__row"
"""The row that a sample came from, where nothing else names its prompt."""

FEWEST = 4
"""Columns that make a row of samples; two or three scores may well be three scorers'."""

_NUMBERED = re.compile(r"(.*?)[ _.#-]?([0-9]{1,6})")


def long_form(lazy: pl.LazyFrame, lists: tuple[str, ...]) -> pl.LazyFrame:
    """One row per entry of `lists`; a row without entries becomes one sample without a reward.

    Examples
    --------
    >>> import polars as pl
    >>> table = pl.LazyFrame({"prompt": ["a", "b"], "rewards": [[0.5, 1.0], []]})
    >>> long_form(table, ("rewards",)).select("prompt", "rewards").collect().rows()
    [('a', 0.5), ('a', 1.0), ('b', None)]
    """
    filled = [pl.when(pl.col(name).list.len() > 0).then(pl.col(name)) for name in lists]
    return lazy.with_row_index(ROW).with_columns(filled).explode(lists)


def as_lists(lazy: pl.LazyFrame) -> pl.LazyFrame:
    """Arrays of one length, which frames make of rectangles, as the lists that they are."""
    schema = lazy.collect_schema()
    return lazy.with_columns(
        pl.col(x).arr.to_list() for x in schema if isinstance(schema[x], pl.Array)
    )


def unnested(lazy: pl.LazyFrame, asked: Sequence[str] = ()) -> pl.LazyFrame:
    """A prompt's samples kept as records with their rewards, one row each.

    Numbers beside them that could be rewards are of the prompt, such as means, and are left out. A
    reward or score beside them, or a column that the caller asks for, is the row's own.

    Examples
    --------
    >>> import polars as pl
    >>> samples = [{"text": "x", "reward": 0.5}, {"text": "y", "reward": 1.0}]
    >>> unnested(pl.LazyFrame({"prompt": ["a"], "samples": [samples]})).collect().rows()
    [('a', 'x', 0.5), ('a', 'y', 1.0)]
    """
    schema = lazy.collect_schema()
    numbers = {one for one, dtype in schema.items() if could_be_reward(one, dtype)}
    found = {}
    for name in names.spelling(schema, (*names.DRAWS, "output", "choice", "candidate")):
        fields = entries(schema[name])
        if any(could_be_reward(x, fields[x]) or names.plain(x) in names.REWARDS for x in fields):
            found[name] = fields
    if len(found) != 1 or numbers & set(asked) or names.spelling(schema, names.REWARDS):
        return lazy
    ((name, fields),) = found.items()
    keys = names.spelling(schema, (*names.PROMPT_IDS, *names.PROMPT_TEXTS, *names.WEAK_IDS))
    beside = [x for x in schema if x in keys or not (x == name or x in fields or x in numbers)]
    inner = [pl.col(name).struct.field(field) for field in fields if field not in beside]
    return lazy.explode(name).select(*beside, *inner)


def numbered(lazy: pl.LazyFrame, asked: Sequence[str] = ()) -> pl.LazyFrame:
    """Columns ``score_0`` to ``score_7`` as one list ``score``, where a row is a prompt.

    Only where their names say nothing but that they are rewards or samples, every number in the
    table is one of them, no answer stands beside them that they could all be scores of, and the
    caller asks for none of them.

    Examples
    --------
    >>> import polars as pl
    >>> table = pl.LazyFrame({"prompt": ["a", "b"]} | {f"score_{n}": [0.5, 1.0] for n in range(4)})
    >>> numbered(table).collect_schema().names()
    ['prompt', 'score']
    """
    schema = lazy.collect_schema()
    found: dict[str, dict[int, str]] = {}
    for name, dtype in schema.items():
        match = _NUMBERED.fullmatch(name)
        if match and _says_reward(match[1]) and is_number(dtype):
            found.setdefault(_called(match[1]), {})[int(match[2])] = name
    used = [name for columns in found.values() for name in columns.values()]
    others = [name for name in schema if name not in used]
    if (
        not used
        or not all(map(_in_sequence, found.values()))
        or any(could_be_reward(name, schema[name]) for name in others)
        or names.spelling(others, names.CANONICAL["completion"])
        or set(used) & set(asked)
        or set(found) & set(others)
    ):
        return lazy
    keys = names.spelling(others, (*names.PROMPT_IDS, *names.PROMPT_TEXTS))
    if keys and lazy.select(pl.struct(keys).is_duplicated().any()).collect().item():
        return lazy
    return lazy.with_columns(
        pl.concat_list(pl.col(columns[at]).cast(pl.Float64) for at in sorted(columns)).alias(name)
        for name, columns in found.items()
    ).drop(used)


def _says_reward(stem: str) -> bool:
    """Whether a stem names no scorer of its own, as ``rm_1`` and ``rouge_1`` do."""
    last = names.plain(stem).split("_")[-1]
    return last in (*names.REWARDS, "") or last in names.DRAWS


def _called(stem: str) -> str:
    words = [word for word in re.split(r"[ _.#-]+", stem) if word.lower() not in names.DRAWS]
    return "_".join(filter(None, words)) or "reward"


def _in_sequence(columns: dict[int, str]) -> bool:
    first = min(columns)
    return first in (0, 1) and len(columns) >= FEWEST and max(columns) - first + 1 == len(columns)


def first_row(lazy: pl.LazyFrame, odd: pl.Expr) -> dict[str, Any]:
    """The first row of which that holds, with its place under `ROW`; empty where there is none."""
    found = lazy.with_row_index(ROW).filter(odd).head(1).collect()
    return found.row(0, named=True) if found.height else {}


def check_lengths(lazy: pl.LazyFrame, lists: tuple[str, ...], *, source: str) -> None:
    """Every row's lists are equally long."""
    first, *others = lists
    odd = pl.any_horizontal(pl.col(first) != pl.col(name) for name in others)
    if row := first_row(lazy.select(_lengths(lists)), odd):
        other = next(name for name in others if row[name] != row[first])
        raise DataError(
            f"{source}, row {row[ROW] + 1}: {quoted(first)} has {row[first]:,} entries and "
            f"{quoted(other)} {row[other]:,}; one of each per sample was expected."
        )


def check_per_sample(lazy: pl.LazyFrame, layout: Layout, *, source: str) -> None:
    """A list of rewards beside one answer is not one of samples, but of its tokens, say.

    Read as samples, the entries would be a law of rewards that no answer has.
    """
    written = names.spelling(lazy.collect_schema(), names.ANSWERS)
    if not written or set(written) & set(layout.lists):
        return
    reward, text = layout.rewards[0], written[0]
    both = lazy.select(*_lengths((reward,)), pl.col(text).is_not_null().alias("__one"))
    if row := first_row(both, pl.col("__one") & (pl.col(reward) > 1)):
        raise DataError(
            f"{source}, row {row[ROW] + 1}: reward {quoted(reward)} has {row[reward]:,} entries beside "
            f"one {quoted(text)}; one number per answer was expected. If they belong to its tokens "
            "or turns, add a column of their sums and name it with reward= (--reward); if they are of "
            f"several answers, leave {quoted(text)} out."
        )


def _lengths(lists: tuple[str, ...]) -> list[pl.Expr]:
    return [pl.col(name).list.len().fill_null(0) for name in lists]
