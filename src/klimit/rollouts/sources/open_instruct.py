"""open-instruct: traces of GRPO (`--save_traces`) and scores of rejection sampling."""

from __future__ import annotations

import polars as pl

from klimit.rollouts.sources.source import Flat, Records, Shaped, Source, keyed
from klimit.rollouts.sources.values import mapping, number, records, said, summed


def trace(lazy: pl.LazyFrame, _: str) -> Shaped:
    """The prompt's tokens are the key: `prompt_idx` counts from 0 in every step."""
    schema = lazy.collect_schema()
    added = {
        "prompt": pl.col("prompt_tokens").cast(pl.List(pl.String)).list.join(" "),
        "tokens": pl.col("response_tokens").list.len(),
    }
    if isinstance(schema.get("logprobs"), pl.List):
        added["logprob"] = summed("logprobs")
    table = lazy.with_columns(column.alias(name) for name, column in added.items())
    return Shaped(table, ("prompt",), ("reward",))


def scored(lines: Records, _: str) -> Flat:
    """One reward per reward model; the conversation up to the answer is the prompt."""
    for line in lines:
        given = records(line.get("messages"))[:-1]
        rewards = {name: number(value) for name, value in mapping(line.get("score")).items()}
        yield {
            "prompt": said(given),
            "completion": line.get("model_completion"),
            **{name: value for name, value in rewards.items() if value is not None},
        }


TRACES = Source(
    "open-instruct traces",
    ("step", "prompt_idx", "sample_idx", "prompt_tokens", "response_tokens", "reward"),
    files=r"^(?P<run>.*)_rollouts_\d{6}\.jsonl$",
    distinct=True,
    shape=trace,
)
REJECTION = Source(
    "open-instruct rejection sampling",
    ("messages", "model_completion", "score"),
    files=r"^(?P<run>(?:.*/)?)completion_scores[^/]*\.jsonl$",
    distinct=True,
    rows=scored,
    shape=keyed("prompt"),
)
