"""ms-swift: `completions.jsonl`, a logging step per line with a list in every column."""

from __future__ import annotations

import polars as pl

from klimit._errors import DataError
from klimit.rollouts import names
from klimit.rollouts.sources.source import Shaped, Source, keyed
from klimit.rollouts.wide import check_lengths
from klimit.rollouts.words import shown

_BESIDE = ("prompt", "completion", "step", "gen_step", "entropy")


def shape(lazy: pl.LazyFrame, path: str) -> Shaped:
    """A row per sample, of the columns that have an entry for each: text, step and rewards."""
    schema = lazy.collect_schema()
    lists = {name: x for name, dtype in schema.items() if (x := getattr(dtype, "inner", None))}
    rewards = tuple(
        name for name, inner in lists.items() if inner.is_numeric() and not names.never_reward(name)
    )
    wanted = tuple(name for name in lists if name in (*_BESIDE, *rewards))
    if not {"prompt", "completion"} <= set(wanted) or not rewards:
        raise DataError(
            f"{shown(path)}: an ms-swift log needs lists prompt, completion and "
            "one per reward function."
        )
    check_lengths(lazy, wanted, source=path)
    table = lazy.select(wanted).explode(wanted)
    step = next((name for name in ("step", "gen_step") if name in lists), None)
    if step:
        table = table.with_columns(pl.col(step).cast(pl.Int64, strict=False).alias("step"))
    return Shaped(table, ("prompt",), rewards, rewards)


COMPLETIONS = Source(
    "ms-swift completions",
    ("step|gen_step", "prompt", "completion", "advantages"),
    files=r"^(?P<run>(?:.*/)?)completions\.jsonl$",
    distinct=True,
    shape=shape,
)
OLDER = Source(
    "ms-swift completions",
    ("step", "messages", "completion", "reward"),
    files=r"^(?P<run>(?:.*/)?)completions\.jsonl$",
    shape=keyed("messages", rewards=("reward",)),
)
