"""Judgements of pairs of samples: read and checked."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from klimit._errors import ArgumentError, DataError, warn
from klimit._text import safe
from klimit.estimate.kernel import Floats
from klimit.estimate.labels.minded import answered
from klimit.estimate.labels.reading import (
    CHANCE,
    ROUND,
    Known,
    check_chances,
    numbers_of,
    places,
    read_known,
)
from klimit.estimate.samples import Integers
from klimit.rollouts.words import quoted

_KEYS = ("prompt_id", "sample_a", "sample_b", "preferred")
_WORDS = {"a": 1.0, "b": 0.0, "tie": 0.5}
_WORDS |= {number: float(number) for number in ("1", "1.0", "0", "0.0", "0.5", ".5")}


@dataclass(frozen=True)
class Judgements:
    """Judged pairs, prompt after prompt; a pair that was judged twice stands twice.

    Attributes
    ----------
    known : the samples with their proxies; nothing is known of gold
    first, second : (judgements,) index of either sample in `known`
    won : (judgements,) 1 where the first was preferred, 0 the second, .5 for a tie
    chance : (judgements,) that its round drew the pair, times its judges; NaN where at random
    round : (judgements,) 0 where at random
    """

    known: Known
    first: Integers
    second: Integers
    won: Floats
    chance: Floats
    round: Integers


def read_judgements(base: Any, proxy: Any, table: Any, *, seed: int) -> Judgements:
    """Match judgements to samples.

    Parameters
    ----------
    table : anything that `klimit.read` takes, with columns prompt_id, sample_a, sample_b and preferred
        (a, b or tie; or 1, 0 and .5)
    """
    import polars as pl

    from klimit.rollouts.joining import plain_table

    known = read_known(base, proxy, None, seed=seed)
    rows = plain_table(table)
    missing = [name for name in _KEYS if name not in rows.columns]
    if missing:
        raise ArgumentError(
            f"the table of judgements lacks {', '.join(missing)}; prompt_id, sample_a, sample_b and "
            f"preferred were expected. It has {', '.join(map(safe, rows.columns))}."
        )
    won = _won(rows["preferred"].cast(pl.String).to_list())
    column = known.whole
    where = np.full(len(column.values), -1)
    where[known.origin] = np.arange(len(known.origin))
    sides = [places(base, column, rows["prompt_id"], rows[x]) for x in ("sample_a", "sample_b")]
    first, second = (where[side] for side in sides)
    same = np.flatnonzero((first == second) & (first >= 0))
    if len(same):
        raise DataError(
            f"row {int(same[0]) + 1:,} of the judgements compares sample "
            f"{quoted(rows['sample_a'][int(same[0])])} with itself; two samples of a prompt were expected."
        )
    extra = numbers_of(rows, (CHANCE, ROUND))
    given = ~np.isnan(won)
    round_ = np.where(np.isnan(extra[0]), 0, np.fmax(extra[1], 1))
    pairs = int((column.lengths * (column.lengths - 1) // 2).sum())
    check_chances(extra[0, given])
    pair = np.min(sides, axis=0) * len(where) + np.max(sides, axis=0)
    chance, said = answered(extra[0], round_, given, pairs, pair, "judgements")
    once = np.stack([round_, pair])[:, given]
    _, at, judges = np.unique(once, axis=1, return_inverse=True, return_counts=True)
    chance[given] *= judges[at.ravel()]  # who share the pair's weight
    if said:
        warn(said)
        known = replace(known, minded=(said,))
    there = (first >= 0) & (second >= 0) & given
    order = np.flatnonzero(there)
    order = order[np.lexsort((won[order], second[order], first[order]))]
    return Judgements(
        known,
        first[order],
        second[order],
        won[order],
        chance[order],
        round_[order].astype(np.int64),
    )


def _won(words: list[str | None]) -> Floats:
    out = np.full(len(words), np.nan)
    for at, word in enumerate(words):
        said = (word or "").strip().lower()
        if said in ("", "nan"):
            continue
        value = _WORDS.get(said)
        if value is None:
            raise DataError(
                f"row {at + 1:,} of the judgements prefers {quoted(word)}; a, b or tie was expected, or "
                "1 (a), 0 (b) or .5 (tie)."
            )
        out[at] = value
    return out
