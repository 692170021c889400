"""Tables that are in memory already, of whatever library: none of them is imported here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from klimit._errors import ArgumentError
from klimit._text import safe
from klimit.rollouts.grouped import group_arrays, of_tensor
from klimit.rollouts.guard import reading
from klimit.rollouts.names import CHATS, PROMPT_IDS, PROMPT_TEXTS, plain
from klimit.rollouts.records import from_columns, from_records
from klimit.rollouts.words import quoted


def is_frame(thing: Any) -> bool:
    """Whether this is a table of some library."""
    return _library(thing) in ("polars", "pandas", "datasets") or hasattr(
        thing, "__arrow_c_stream__"
    )


def from_frame(frame: Any) -> pl.LazyFrame:
    """A table of polars, pandas, pyarrow, datasets or anything that speaks Arrow."""
    with reading(f"the {_library(frame)} table"):
        if isinstance(frame, pl.LazyFrame):
            return frame
        if _library(frame) == "pandas":
            return _from_pandas(frame).lazy()
        if _library(frame) == "datasets":
            return _from_dataset(frame).lazy()
        return pl.DataFrame(frame).lazy()


def from_mapping(columns: Mapping[str, Any], keys: Sequence[str] = ()) -> pl.DataFrame:
    """A dict of columns where one of them is a prompt key or all are flat, else of reward arrays.

    Examples
    --------
    >>> from_mapping({"prompt": ["a", "a"], "reward": [0.0, 1.0]}).shape
    (2, 2)
    >>> from_mapping({"rm": [[0.0, 1.0], [2.0, 3.0]]}).columns
    ['prompt_id', 'rm']
    """
    for name, values in columns.items():
        alone = not hasattr(values, "__len__") or getattr(values, "ndim", 1) == 0
        if alone or isinstance(values, str | bytes | Mapping):
            raise ArgumentError(
                f"the dict has {safe(repr(values), longest=40)} under {quoted(name)}; a list with one "
                "entry per row was expected."
            )
    known = {*PROMPT_IDS, *PROMPT_TEXTS, *CHATS}
    key = any(name in keys or plain(str(name)) in known for name in columns)
    if key or all(_is_flat(values) for values in columns.values()):
        return from_columns({str(name): _plain_list(values) for name, values in columns.items()})
    return from_arrays(columns)


def from_sequence(items: Sequence[Any]) -> pl.DataFrame:
    """A list of records, or of one array of rewards per prompt."""
    if all(isinstance(item, Mapping) for item in items):
        return from_records(items)
    return from_arrays(items)


def from_arrays(rewards: Any) -> pl.DataFrame:
    """A row per sample of reward arrays; prompts are numbered from 0."""
    grouped = group_arrays(rewards)
    numbers = np.repeat(np.arange(len(grouped)), grouped.lengths)
    return pl.DataFrame({"prompt_id": numbers, **grouped.columns})


def _library(thing: Any) -> str:
    return type(thing).__module__.split(".", 1)[0]


def _is_flat(values: Any) -> bool:
    """Whether this is a column: one value per row, none of them a sequence."""
    if len(values) == 0:
        return False
    first = next(iter(values))
    return not isinstance(first, list | tuple) and np.ndim(first) == 0


def _plain_list(values: Any) -> list[Any]:
    return list(np.asarray(of_tensor(values)).tolist() if hasattr(values, "__array__") else values)


def _from_pandas(frame: Any) -> pl.DataFrame:
    """Column by column, so that pyarrow is not needed; a named index is a column too."""
    if not hasattr(frame, "columns"):
        raise ArgumentError("a pandas Series was given; a DataFrame was expected.")
    if any(name is not None for name in frame.index.names):
        frame = frame.reset_index()
    series = []
    for name, values in frame.items():
        try:
            series.append(pl.Series(str(name), pl.from_pandas(values)))
        except (
            ImportError,
            TypeError,
            ValueError,
            NotImplementedError,
        ):  # no pyarrow, or a mixture
            objects = values.astype(object).where(values.notna(), None)
            series.append(from_columns({str(name): objects.tolist()}).to_series())
    return pl.DataFrame(series)


def _from_dataset(dataset: Any) -> pl.DataFrame:
    """A split of a `datasets.Dataset`, with its selections and shuffles."""
    if not hasattr(dataset, "with_format") or not hasattr(dataset, "column_names"):
        raise ArgumentError(
            f"a {type(dataset).__name__} was given; a datasets.Dataset was expected."
        )
    if isinstance(dataset, Mapping):
        raise ArgumentError(
            f"a DatasetDict with splits {', '.join(dataset)} was given; choose one: data['train']."
        )
    if not hasattr(dataset, "__len__"):
        raise ArgumentError(
            "a streaming dataset was given; a loaded one was expected: leave streaming=True out."
        )
    return pl.DataFrame(dataset.with_format("arrow")[:])
