"""A row per prompt with lists -> a row per sample."""

from __future__ import annotations

from typing import TYPE_CHECKING

from klimit._errors import DataError
from klimit.rollouts.words import quoted

if TYPE_CHECKING:
    import polars as pl

ROW = "__row"
"""The row that a sample came from, where nothing else names its prompt."""


def long_form(lazy: pl.LazyFrame, lists: tuple[str, ...]) -> pl.LazyFrame:
    """One row per entry of `lists`; a row without entries becomes one sample without a reward.

    Examples
    --------
    >>> import polars as pl
    >>> table = pl.LazyFrame({"prompt": ["a", "b"], "rewards": [[0.5, 1.0], []]})
    >>> long_form(table, ("rewards",)).select("prompt", "rewards").collect().rows()
    [('a', 0.5), ('a', 1.0), ('b', None)]
    """
    import polars as pl

    schema = lazy.collect_schema()
    as_lists = [
        pl.col(name).arr.to_list() if isinstance(schema[name], pl.Array) else pl.col(name)
        for name in lists
    ]
    filled = [
        pl.when(column.list.len() > 0).then(column).alias(name)
        for name, column in zip(lists, as_lists, strict=True)
    ]
    return lazy.with_row_index(ROW).with_columns(filled).explode(lists)


def check_lengths(lazy: pl.LazyFrame, lists: tuple[str, ...], *, source: str) -> None:
    """Every row's lists are equally long.

    Raises
    ------
    DataError
        Naming the row and two of its columns.
    """
    import polars as pl

    schema = lazy.collect_schema()
    lengths = [
        (pl.col(name).arr.len() if isinstance(schema[name], pl.Array) else pl.col(name).list.len())
        .fill_null(0)
        .alias(name)
        for name in lists
    ]
    first, *others = lists
    odd = (
        lazy.select(lengths)
        .with_row_index(ROW)
        .filter(pl.any_horizontal(pl.col(first) != pl.col(name) for name in others))
        .head(1)
        .collect()
    )
    if odd.height:
        row = odd.row(0, named=True)
        other = next(name for name in others if row[name] != row[first])
        raise DataError(
            f"{source}, row {row[ROW] + 1}: {quoted(first)} has {row[first]:,} entries and "
            f"{quoted(other)} {row[other]:,}; one of each per sample was expected."
        )
