"""verl: `trainer.rollout_data_dir` and `trainer.validation_data_dir`, a file per step."""

from __future__ import annotations

import polars as pl

from klimit.rollouts.sources.source import Shaped, Source

_UID = r"^(.*)_(\d+)_(\d+)$"  # of trainer v1: sample, rollout, output


def shape(lazy: pl.LazyFrame, _: str) -> Shaped:
    """The prompt's text is the key; of each rollout one row is left.

    Several outputs of a `uid` (the turns of an agent) are one rollout: its last row has the score,
    the sample's first row the prompt. `score` is the reward; what a reward function returned
    besides (`acc`, `pred`) is there by name.
    """
    schema = lazy.collect_schema()
    if schema.get("uid") != pl.String:
        return Shaped(lazy, ("input",), ("score",))
    uid = pl.col("uid")
    step = ["step"] if "step" in schema else []
    turns = lazy.with_columns(
        uid.str.extract(_UID, 1).fill_null(uid).alias("__sample"),
        uid.str.extract(_UID, 2).fill_null(uid).alias("__rollout"),
        uid.str.extract(_UID, 3).cast(pl.Int64, strict=False).fill_null(0).alias("__turn"),
    )
    first = pl.col("input").sort_by("__turn").first().over("__sample", *step)
    last = pl.col("__turn") == pl.col("__turn").max().over("__sample", "__rollout", *step)
    rollouts = turns.with_columns(first.alias("prompt")).filter(last)
    return Shaped(rollouts.drop("__sample", "__rollout", "__turn"), ("prompt",), ("score",))


DUMP = Source(
    "verl rollouts",
    ("input", "output", "gts", "score", "step"),
    files=r"^(?P<run>(?:.*/)?)\d+\.jsonl$",
    shape=shape,
)
