"""Tables that are not read as a whole: what is small is in memory, the rest is read on demand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from klimit._errors import DataError
from klimit.rollouts.guard import reading

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import NDArray

    from klimit.rollouts.sources.source import Source

BESIDE = "__beside"
"""A column in memory of what differs among samples of one policy; what it is called there follows."""

stamp = attrgetter("st_ino", "st_size", "st_mtime_ns")
"""What changes, of a file's status, when it is written over."""


@dataclass(frozen=True)
class Scan:
    """A table that has not been read yet.

    Attributes
    ----------
    lazy : the table
    metadata : what the file says of itself: rewards, temperature, top_p, ...
    whole : whether reading one column costs as much as reading all (JSON, CSV)
    source : the reader for which the file was parsed, if it is known already
    """

    lazy: pl.LazyFrame
    metadata: Mapping[str, Any] = field(default_factory=dict)
    whole: bool = False
    source: Source | None = None


@dataclass(frozen=True)
class Table:
    """Rows of a source, with some columns in memory.

    Attributes
    ----------
    lazy : every column of every row of the source
    core : columns in memory, for the rows that are kept
    rows : (kept rows,) their places in `lazy`; None where all are kept
    source : where the rows come from, for messages
    stamps : files that are read from again, as they were (`stamp`)
    """

    lazy: pl.LazyFrame
    core: pl.DataFrame
    rows: NDArray[np.int64] | None
    source: str
    stamps: Mapping[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return self.core.height

    @property
    def names(self) -> list[str]:
        """All columns that a user knows of."""
        lazy = self.lazy.collect_schema().names()
        return lazy + [x for x in self.core.columns if x not in lazy and not x.startswith(BESIDE)]

    def columns(self, names: Sequence[str]) -> pl.DataFrame:
        """These columns, from memory where they are there."""
        import polars as pl

        missing = [name for name in names if name not in self.core.columns]
        if not missing:
            return self.core.select(names)
        with reading(self.source):
            if any(stamp(Path(path).stat()) != before for path, before in self.stamps.items()):
                raise DataError(f"{self.source} was written over since it was read. Read it again.")
            found = self.lazy.select(missing).collect()
        last = len(self) if self.rows is None else int(self.rows.max(initial=-1)) + 1
        if found.height < last:
            raise DataError(f"{self.source} has fewer rows than when it was read. Read it again.")
        found = found.head(len(self)) if self.rows is None else found[self.rows]
        return pl.concat([self.core, found], how="horizontal").select(names)

    def column(self, name: str) -> pl.Series:
        """One column, from memory where it is there."""
        return self.columns([name])[name]

    def row(self, at: int) -> int:
        """The row of the source, counted from 1, that a kept row was."""
        return 1 + (at if self.rows is None else int(self.rows[at]))

    def take(self, keep: NDArray[np.bool_]) -> Table:
        """Only the rows where `keep` holds."""
        rows = np.flatnonzero(keep) if self.rows is None else self.rows[keep]
        return replace(self, core=self.core.filter(keep), rows=rows)

    def with_core(self, *columns: pl.Series) -> Table:
        """With further columns in memory; one of the same name is replaced."""
        return replace(self, core=self.core.with_columns(columns))
