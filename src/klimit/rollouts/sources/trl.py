"""TRL: completions that GRPO, RLOO and their kin log while they train."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from klimit.rollouts import names
from klimit.rollouts.layout import is_number
from klimit.rollouts.sources.source import Shaped, Source, keyed

if TYPE_CHECKING:
    import polars as pl

_NOT_SCORES = ("step", "advantage", "advantages")


def reward_functions(lazy: pl.LazyFrame, _: str) -> Shaped:
    """Rewards are the numbers beside the text, one column per reward function and no total.

    Further columns that a reward function logs cannot be told from rewards by type; those whose
    name says that they are something else (`n_words`) are left out, unless nothing is left.
    """
    schema = lazy.collect_schema()
    numbers = tuple(name for name in schema if is_number(schema[name]) and name not in _NOT_SCORES)
    likely = tuple(name for name in numbers if not names.never_reward(name))
    return Shaped(lazy, ("prompt",), likely or numbers, numbers)


COMPLETIONS = Source(
    "TRL completions",
    ("step", "prompt", "completion", "advantage"),
    without=("prompt_id",),
    files=r"^(?P<run>(?:.*/)?)completions_\d+\.parquet$",
    distinct=True,
    shape=reward_functions,
)
TABLES = replace(
    COMPLETIONS,
    name="TRL completions table",
    files=r"^(?P<run>(?:.*/)?)completions(?:_\d+_(?P<digest>[0-9a-f]+))?\.table\.json$",
    yields_to="TRL completions",
)
CARD = Source(  # the data set card of 2025, with a total
    "TRL completions",
    ("step", "prompt", "completion", "reward", "reward_*"),
    without=("prompt_id", "advantage"),
    shape=keyed("prompt", rewards=("reward",)),
)
