"""A row per prompt with lists -> a row per sample."""

from __future__ import annotations

from typing import TYPE_CHECKING

from klimit._errors import DataError
from klimit.rollouts import names
from klimit.rollouts.layout import Layout
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

    first, *others = lists
    odd = (
        lazy.select(_lengths(lazy, lists))
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


def check_per_sample(lazy: pl.LazyFrame, layout: Layout, *, source: str) -> None:
    """A list of rewards beside one answer is not one of samples, but of its tokens, say.

    Read as samples, the entries would be a law of rewards that no answer has.

    Raises
    ------
    DataError
        Naming the row, the reward and the answer's column.
    """
    import polars as pl

    written = names.spelling(lazy.collect_schema(), names.ANSWERS)
    if not written or set(written) & set(layout.lists):
        return
    reward, text = layout.rewards[0], written[0]
    odd = (
        lazy.select(*_lengths(lazy, (reward,)), pl.col(text).is_not_null().alias("__one"))
        .with_row_index(ROW)
        .filter(pl.col("__one") & (pl.col(reward) > 1))
        .head(1)
        .collect()
    )
    if odd.height:
        row = odd.row(0, named=True)
        raise DataError(
            f"{source}, row {row[ROW] + 1}: reward {quoted(reward)} has {row[reward]:,} entries beside "
            f"one {quoted(text)}; one number per answer was expected. If they belong to its tokens "
            "or turns, add a column of their sums and name it with reward= (--reward); if they are of "
            f"several answers, leave {quoted(text)} out."
        )


def _lengths(lazy: pl.LazyFrame, lists: tuple[str, ...]) -> list[pl.Expr]:
    import polars as pl

    schema = lazy.collect_schema()
    return [
        (pl.col(name).arr.len() if isinstance(schema[name], pl.Array) else pl.col(name).list.len())
        .fill_null(0)
        .alias(name)
        for name in lists
    ]
