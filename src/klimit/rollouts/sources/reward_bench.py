"""Scores of reward models: reward-bench's, and those of studies of best-of-N in lists."""

from __future__ import annotations

from typing import TYPE_CHECKING

from klimit._errors import DataError
from klimit.rollouts.sources.source import Flat, Records, Shaped, Source, keyed
from klimit.rollouts.sources.values import number, said
from klimit.rollouts.words import shown

if TYPE_CHECKING:
    import polars as pl


def answers(lines: Records, _: str) -> Flat:
    """One answer per line, its score in `results`."""
    for line in lines:
        yield {
            "prompt": said(line.get("prompt")),
            "completion": said(line.get("text")),
            "reward": number(line.get("results")),
        }


def pairs(lines: Records, _: str) -> Flat:
    """Two answers per line that were drawn by different hands: two policies, never pooled."""
    for line in lines:
        for side in ("chosen", "rejected"):
            yield {
                "prompt": said(line.get("prompt")),
                "completion": said(line.get(f"text_{side}")),
                "reward": number(line.get(f"scores_{side}")),
                "policy": side,
            }


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


_FILES = r"^(?P<policy>.*)_outputs\.jsonl$"  # after the models that wrote the answers

ANSWERS = Source(
    "reward-bench outputs",
    ("prompt", "results", "text"),
    without=("scores",),  # of several answers, and results says which is best
    files=_FILES,
    rows=answers,
    shape=keyed("prompt", rewards=("reward",)),
)
PAIRS = Source(
    "reward-bench pairs",
    ("prompt", "results", "scores_chosen", "scores_rejected", "text_chosen", "text_rejected"),
    files=_FILES,
    rows=pairs,
    shape=keyed("prompt", rewards=("reward",)),
)
BEST_OF_N = Source(
    "reward-bench best-of-N scores",
    ("id", "model", "scores"),
    without=("prompt_id", "reward", "score"),
    shape=keyed("id", rewards=("scores",)),
)
SCORED = Source("best-of-N answers", ("answers", "proxy_scores"), shape=proxy_and_gold)
MEANS = Source(
    "best-of-N results",
    ("n", "proxy_score", "gold_score"),
    without=("prompt", "prompt_id"),
    shape=means,
)
