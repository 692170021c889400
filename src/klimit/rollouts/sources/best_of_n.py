"""Studies of best-of-N: a prompt per row, its answers and their scores in lists."""

from __future__ import annotations

from typing import TYPE_CHECKING

from klimit._errors import DataError
from klimit.rollouts.sources.source import Shaped, Source
from klimit.rollouts.words import shown

if TYPE_CHECKING:
    import polars as pl


def proxy_and_gold(lazy: pl.LazyFrame, _: str) -> Shaped:
    """Two rewards, of the proxy that selects and of the gold that judges; their order is free."""
    schema = lazy.collect_schema()
    wanted = tuple(name for name in ("proxy_scores", "gold_scores") if name in schema)
    key = next((name for name in ("prompt_id", "prompt", "question") if name in schema), None)
    return Shaped(lazy, (key,) if key else (), wanted)


def means(lazy: pl.LazyFrame, path: str) -> Shaped:
    """What is left after averaging: no samples."""
    raise DataError(
        f"{shown(path)} holds one mean score per N (n, proxy_score, gold_score); "
        "samples were expected: the file with answers, proxy_scores and gold_scores that it was made from."
    )


SCORED = Source("best-of-N answers", ("answers", "proxy_scores"), shape=proxy_and_gold)
MEANS = Source(
    "best-of-N results",
    ("n", "proxy_score", "gold_score"),
    without=("prompt", "prompt_id"),
    shape=means,
)
