"""Samples that are there twice, of a file that was read or a run that was written again.

Whatever answers a model has, and however often they come back, the number ``f_t`` of those that come t
times among n > t independent samples obeys ``E[f_t]^2 <= c E[f_t-1] E[f_t+1]`` with
``c = (t + 1)/t (n - t + 1)/(n - t) <= 3``, by Cauchy and Schwarz. Copies are pairs without triples.
"""

from __future__ import annotations

import filecmp
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from klimit._errors import warn
from klimit.rollouts.grouped import Integers
from klimit.rollouts.words import shown

_LOOK = 1 << 17  # samples: copies that matter show among so many
_VARIED = 20  # values: halves of 0 and 1, say, may be somebody's design
_CLEAR, _FEW = 4, 5  # times what chance allows on average, and so many more
_SMALL = 4096  # bytes: a few verdicts may be alike by chance


def some(lengths: Integers) -> tuple[Integers, Integers]:
    """Rows of some prompts, and the prompt of each row, where rows stand prompt after prompt."""
    number = max(1, min(len(lengths), _LOOK * len(lengths) // max(int(lengths.sum()), 1)))
    chosen = np.unique(np.linspace(0, len(lengths) - 1, number).astype(np.int64))
    sizes = lengths[chosen]
    skipped = (np.cumsum(lengths) - lengths)[chosen] - (np.cumsum(sizes) - sizes)
    return np.arange(sizes.sum()) + np.repeat(skipped, sizes), np.repeat(chosen, sizes)


def say_copies(
    prompt: Integers, rewards: Mapping[str, Any], beside: Mapping[str, Any], source: str
) -> None:
    """Warn where more samples come exactly twice, or thrice, than chance explains.

    Parameters
    ----------
    prompt : (samples,) of each
    rewards, beside : (samples,) rewards, and what else is known of each in numbers
    """
    rows = pl.DataFrame({**beside, **rewards, "__prompt": prompt})
    known = rows.filter(pl.any_horizontal(pl.col(*rewards).is_not_nan()))
    alike = known.group_by(pl.all()).len("__times")
    if alike.drop("__prompt", "__times").n_unique() < _VARIED:
        return
    size = pl.col("__times").sum().over("__prompt")
    for times in (2, 3):
        seen = alike.filter(size > times)["__times"]
        fewer, just, more = (int((seen == times + x).sum()) for x in (-1, 0, 1))
        if just**2 > 3 * _CLEAR * (fewer + _FEW) * (more + _FEW):
            again = alike["__times"].filter(alike["__times"] % times == 0).sum()
            share = f"{100 * again / known.height:.0f} % of the samples are there {times} times"
            warn(
                f"{source}: {share}, alike to the last digit, as where a file or a part of a run is "
                "written again. Copies count as samples, so intervals are too short: leave them out."
            )
            return


def say_same(paths: Iterable[Path]) -> None:
    """Warn of files that are the same byte for byte."""
    first: dict[int, list[Path]] = {}
    for path in paths:
        size = path.stat().st_size if path.is_file() else 0
        known = first.setdefault(size, [])
        same = [one for one in known if size > _SMALL and filecmp.cmp(one, path, shallow=False)]
        if same:
            warn(
                f"{shown(path)} is {shown(same[0])} again, byte for byte: its samples are there twice. "
                "Leave one of the two out."
            )
        else:
            known.append(path)
