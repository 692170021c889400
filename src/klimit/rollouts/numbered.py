"""A row per prompt with a numbered column per sample, as spreadsheets have it -> lists."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from klimit.rollouts import names
from klimit.rollouts.layout import is_number

if TYPE_CHECKING:
    import polars as pl

FEWEST = 4
"""Columns that make a row of samples; two or three scores may well be three scorers'."""

_NUMBERED = re.compile(r"(.*?)[ _.#-]?([0-9]{1,6})")


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
    import polars as pl

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
        or any(is_number(schema[name]) and not names.never_reward(name) for name in others)
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
