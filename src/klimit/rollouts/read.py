"""`klimit.read`: whatever the user has -> Rollouts."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from klimit._errors import ArgumentError, DataError
from klimit._text import safe
from klimit.rollouts.guard import Unreadable
from klimit.rollouts.rollouts import Rollouts, several
from klimit.rollouts.table import Scan

Names = str | Sequence[str] | None
Result = TypeVar("Result")


def read(
    source: Any,
    *,
    prompt: Names = None,
    reward: Names = None,
    weights: Mapping[str, float] | None = None,
) -> Rollouts:
    """Which samples, of which prompts, with which rewards?

    Prompt key and rewards are found by name and type, and ``print(rollouts)`` says what was found.
    A row is a sample or, with lists in it, a prompt. Only the columns that are needed are read.
    Dumps of TRL, verl and ten other sources are known by their columns and paths
    (docs/reading-dumps.md).

    Parameters
    ----------
    source : a path, glob or folder of JSONL, JSON, CSV, Parquet, Arrow, NumPy or Inspect files (JSON
        and CSV also with .gz or .zst); a polars, pandas, pyarrow or datasets table; a (prompts, samples)
        array with NaN where missing, one 1-D array per prompt, or a dict of them, one per reward;
        a dict of columns or a list of records; or a list of several paths or tables
    prompt : the column that says which samples share a prompt; several make the key together
    reward : the column or columns that are rewards; ``()`` reads samples that are scored later
    weights : column -> weight, where the reward is a weighted sum of several; taken from the run's
        configuration where one lies beside the dump of a trainer that adds them up

    Raises
    ------
    ArgumentError
        Where `prompt` or `reward` names no column, or `source` is nothing that can be read.
    DataError
        Where there is no prompt key or no reward, where keys disagree, or where a file is missing,
        empty, broken, cut short, unlike the others or a pickle.

    Warns
    -----
    DataWarning
        Where one prompt text stands under two ids (they are merged), or rows lack a prompt key.

    Examples
    --------
    >>> samples = {"question": ["2 + 2?", "2 + 2?", "3 + 3?"], "score": [1.0, 0.0, 1.0]}
    >>> print(read(samples))
    read 2 prompts x 1 to 2 samples (3 in all), reward: score
    >>> print(read([[0.1, 0.4], [0.3, 0.2]]))
    read 2 prompts x 2 samples, reward: reward
    """
    if isinstance(source, Rollouts):
        if prompt is None and reward is None and weights is None:
            return source
        again = read(source.frame(), prompt=prompt, reward=reward, weights=weights)
        return replace(again, stated=source.stated)
    if weights is not None and reward is not None:
        raise ArgumentError("reward and weights were both given; weights make the reward.")
    from klimit.rollouts.build import rollouts_of

    keys, rewards = _names(prompt, "prompt"), _names(reward, "reward")
    return with_care(
        source, lambda scans: rollouts_of(scans, keys, rewards, weights), keys=keys or ()
    )


def with_care(
    source: Any, use: Callable[[Mapping[str, Scan]], Result], *, keys: tuple[str, ...] = ()
) -> Result:
    """What `use` makes of the source's tables; it tries again, with more care, where they fail."""
    from klimit.rollouts.formats import CAREFUL, scan_file
    from klimit.rollouts.paths import files, once_each

    try:
        in_memory = _in_memory(source, keys)
        if in_memory is not None:
            return use(in_memory)
        paths = once_each(path for one in _paths(source) for path in files(one))
    except Unreadable as error:
        raise DataError(str(error)) from None
    reason = ""
    for care in range(CAREFUL):
        try:
            return use({str(path): scan_file(path, care=care, keys=keys) for path in paths})
        except Unreadable as error:
            reason = str(error)
    raise DataError(reason)


def _names(given: Names, what: str) -> tuple[str, ...] | None:
    if given is None:
        return None
    asked = several(given)
    if not all(isinstance(name, str) for name in asked):
        raise ArgumentError(
            f"{what}={safe(repr(given))} names no column; give one name, or a list of names."
        )
    return tuple(dict.fromkeys(str(name) for name in asked))


def _paths(source: Any) -> list[str | os.PathLike[str]]:
    found = list(source) if isinstance(source, list | tuple) else [source]
    for one in found:
        if not isinstance(one, str | os.PathLike):
            raise ArgumentError(
                f"{safe(repr(one), longest=60)} cannot be read; a path, a table, an array of "
                "rewards, or a list of one kind of these was expected."
            )
    if not found:
        raise ArgumentError("an empty list was given; paths, tables or rewards were expected.")
    return found


def _in_memory(source: Any, keys: tuple[str, ...]) -> dict[str, Scan] | None:
    """Tables, arrays, dicts and records; None for paths."""
    from klimit.rollouts.frames import (
        from_arrays,
        from_frame,
        from_mapping,
        from_sequence,
        is_frame,
    )

    def scan(frame: Any) -> Scan:
        return Scan(from_frame(frame), whole=type(frame).__name__ != "LazyFrame")

    if is_frame(source):
        return {"the table": scan(source)}
    if isinstance(source, list | tuple) and source:
        if all(map(is_frame, source)):
            return {f"table {at}": scan(one) for at, one in enumerate(source, 1)}
        if any(isinstance(one, str | os.PathLike) or is_frame(one) for one in source):
            return None
        return {"the list": scan(from_sequence(source))}
    if isinstance(source, Mapping):
        return {"the dict": scan(from_mapping(source, keys))}
    if hasattr(source, "__array__") and hasattr(source, "ndim"):
        return {"the array": scan(from_arrays(source))}
    return None
