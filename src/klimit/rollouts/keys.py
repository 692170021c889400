"""The prompt key: which rows are samples of one prompt. Keys that disagree are an error."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from klimit._errors import DataError
from klimit.rollouts import names
from klimit.rollouts.grouped import Integers
from klimit.rollouts.layout import Layout
from klimit.rollouts.words import counted, listing, quoted

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import NDArray

KEY, TEXT = "__key_", "__text"
"""Columns of the candidates for the key (a number follows), and of a hash of the prompt's text."""


@dataclass(frozen=True)
class Groups:
    """Rows by prompt.

    Attributes
    ----------
    codes : (rows,) number of each row's prompt, in order of appearance; -1 where it has none
    first : (prompts,) each prompt's first row
    """

    codes: NDArray[np.int32]
    first: Integers

    def __len__(self) -> int:
        return len(self.first)

    @property
    def order(self) -> Integers:
        """(rows,) rows prompt after prompt, where every row has one."""
        small = self.codes.astype(np.uint16) if len(self) < 1 << 16 else self.codes
        return np.argsort(small, kind="stable")  # small ones are sorted by counting


def groups(keys: pl.Series) -> Groups:
    """Rows by the value of a categorical column.

    Examples
    --------
    >>> import polars as pl
    >>> groups(pl.Series(["b", "a", None, "b"], dtype=pl.Categorical)).codes.tolist()
    [0, 1, -1, 0]
    """
    import polars as pl

    raw = keys.to_physical().cast(pl.Int32).fill_null(-1).to_numpy()
    rows = len(raw)
    first = np.full(int(raw.max(initial=-1)) + 2, rows)  # the last place is that of -1
    first[raw[::-1]] = np.arange(rows)[::-1]  # where several rows write, the last one stays
    first[-1] = rows
    seen = np.flatnonzero(first < rows)
    seen = seen[np.argsort(first[seen])]
    place = np.full(len(first), -1, dtype=np.int32)
    place[seen] = np.arange(len(seen))
    return Groups(place[raw], first[seen])


def key_columns(layout: Layout, schema: dict[str, pl.DataType]) -> list[pl.Expr]:
    """What has to be read to tell prompts apart."""
    import polars as pl

    if not layout.keys:
        return []
    if layout.kind == "given" and len(layout.keys) > 1:
        both = pl.struct(key_text(name, schema[name]) for name in layout.keys)
        keys = [both.struct.json_encode()]
    else:
        keys = [key_text(name, schema[name]) for name in (*layout.keys, *layout.beside)]
        if names.spelling(layout.keys, (*names.PROMPT_IDS, *names.WEAK_IDS)):
            keys = [pl.when(key.str.strip_chars() != "").then(key) for key in keys]  # none is no id
    found = [
        key.cast(pl.Categorical(pl.Categories.random())).alias(f"{KEY}{at}")
        for at, key in enumerate(keys)
    ]
    if layout.kind == "id" and "prompt" in layout.columns:
        name = layout.columns["prompt"]
        text = key_text(name, schema[name])
        found.append(pl.when(text != "").then(text.hash()).alias(TEXT))
    return found


def key_text(name: str, dtype: pl.DataType) -> pl.Expr:
    """A column as text that is equal exactly where the values are."""
    import polars as pl

    column = pl.col(name)
    if dtype == pl.Binary:
        return column.bin.encode("hex")
    if dtype.is_float():  # whole numbers that became floats beside missing ones
        column = column.fill_nan(None)
        whole = pl.when(column == column.round()).then(column.cast(pl.Int64, strict=False))
        return pl.coalesce(whole.cast(pl.String), column.cast(pl.String))  # some are past 64 bits
    if isinstance(dtype, pl.Struct):
        return pl.when(column.is_not_null()).then(column.struct.json_encode())
    if isinstance(dtype, pl.List) and isinstance(dtype.inner, pl.Struct):  # messages
        turns = column.list.eval(pl.element().struct.json_encode()).list.join(",")
        return pl.when(turns != "").then(pl.format("[{}]", turns)).otherwise(turns)
    if isinstance(dtype, pl.List):
        return column.cast(pl.List(pl.String)).list.join("\x1f")
    return column.cast(pl.String)


def agree(one: Groups, other: Groups) -> bool:
    """Whether two keys group the rows alike."""
    if len(one) != len(other) or not np.array_equal(one.codes < 0, other.codes < 0):
        return False
    theirs = np.append(other.codes[one.first], -1)  # -1, a row without a key, stays one
    return bool(np.array_equal(theirs[one.codes], other.codes))


def _splits(one: Groups, other: Groups) -> bool:
    """Whether prompts of one key are several of the other, which is not, or hardly, each sample's own."""
    known = (one.codes >= 0) & (other.codes >= 0)
    codes = one.codes[known].astype(np.int64)
    both, own = len(np.unique(codes * len(other) + other.codes[known])), len(np.unique(codes))
    return both > own and (2 * len(other) <= len(codes) or own == 1)


def the_key(core: pl.DataFrame, layout: Layout, *, source: str) -> pl.Series:
    """The one key of all candidates."""
    keys = [core[name] for name in core.columns if name.startswith(KEY)]
    found = [groups(key) for key in keys]
    name = listing(layout.keys)
    blank = [keys[0][int(at)] for at in found[0].first[:2]] == [""]
    named = layout.kind == "given"  # who names a key may mean an empty prompt by it
    if (not len(found[0]) or (blank and not named)) and len(keys[0]):
        raise DataError(
            f"{source}: prompt key {name} is empty in every row; name another with prompt=."
        )
    if layout.kind == "weak" and not layout.lists and len(found[0]) == len(keys[0]) > 1:
        raise DataError(
            f"{source} has no prompt key: {name} differs from row to row, and no other column "
            "says which samples share a prompt. Name one with prompt= (--prompt). "
            "Without one nothing is estimated, since pooling prompts overstates the gain."
        )
    for other, theirs in zip((*layout.keys[1:], *layout.beside), found[1:], strict=False):
        if _splits(found[0], theirs) if other in layout.beside else not agree(found[0], theirs):
            one = layout.keys[0]
            raise DataError(
                f"{source} has two prompt keys that disagree: {quoted(one)} makes "
                f"{counted(len(found[0]), 'prompt')}, {quoted(other)} makes {len(theirs):,}. "
                f"Say which: prompt={one!r} or prompt={other!r} (--prompt), "
                f"or both together: prompt={[one, other]!r}; of a row per score make a column per score, "
                "of a row per turn a row per answer."
            )
    return keys[0]
