"""Real rewards as a family: the many samples of each prompt are taken for its law.

What is drawn from them, with replacement, has them as its exact truth, so an estimate from 64 of
2,048 can be judged like any other.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmarks.families import Family
from benchmarks.laws import Laws, Levels
from benchmarks.shapes import Array


def real_family(name: str) -> Family:
    """The family of "file.parquet#reward": a row per sample, a `prompt_id` or `prompt` column.

    As fixed prompts they are these very ones, in order; drawn ones are drawn from them.
    """
    import polars as pl

    path, _, reward = name.rpartition("#")
    frame = pl.scan_parquet(Path(path))
    columns = frame.collect_schema().names()
    key = next(c for c in ("prompt_id", "prompt") if c in columns)
    groups = (
        frame.select(key, reward)
        .drop_nulls()
        .group_by(key, maintain_order=True)
        .agg(pl.col(reward))
        .collect()
    )
    rows = [np.asarray(values, float) for values in groups[reward].to_list()]
    return family_of(name, rows)


def family_of(name: str, rows: list[Array]) -> Family:
    """The family whose prompts have exactly these rewards, each as likely as the next."""
    size = max(map(len, rows))
    values = np.array([np.pad(row, (0, size - len(row)), mode="edge") for row in rows])
    probs = np.array([(np.arange(size) < len(row)) / len(row) for row in rows])
    few = len(np.unique(values)) <= 20

    def law(u: Array) -> Laws:
        pick = np.minimum((u[:, 0] * len(rows)).astype(int), len(rows) - 1)
        return Levels(values[pick], probs[pick])

    return Family(name, law, discrete=few, size=len(rows))
