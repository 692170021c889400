"""prime-rl: traces that the orchestrator writes, and samples of its platform."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import polars as pl

from klimit.rollouts.sources.source import Flat, Record, Records, Shaped, Source, keyed
from klimit.rollouts.sources.values import mapping, number, records, said, total


def episodes(lines: Records, _: str) -> Flat:
    """One row per trained agent of an episode: the task is the prompt.

    Rewards have weights; their sum is the reward, as in training. Where scoring did not run
    (null), it is missing. Nodes keep log-probabilities of the tokens that the model drew.
    """
    for line in lines:
        work = mapping(mapping(line.get("run")).get("work"))
        for trace in records(line.get("traces")):
            agent = mapping(trace.get("agent"))
            if agent.get("trainable") is False:  # a judge, a frozen opponent
                continue
            task = mapping(trace.get("task")) or mapping(line.get("task"))
            group = mapping(line.get("group")).get("id")
            given = [str(x) for x in (mapping(line.get("env")).get("name"), agent.get("name")) if x]
            key = task.get("key") or task.get("hash") or group
            yield {
                "prompt_id": "/".join([*given, str(key)]) if key is not None else None,
                "step": work.get("step"),
                **_text(records(trace.get("nodes"))),
                **_rewards(mapping(trace.get("rewards"))),
            }


def _rewards(found: Record) -> dict[str, float | None]:
    parts = {name: mapping(one) for name, one in found.items()}
    scores = {name: number(one.get("score")) for name, one in parts.items()}
    weighted = [
        score * weight
        for name, score in scores.items()
        if score is not None and (weight := number(parts[name].get("weight", 1.0))) is not None
    ]
    named = {f"rewards/{name}": score for name, score in scores.items()}
    return {"reward": math.fsum(weighted) if weighted else None, **named}


def _text(nodes: list[Record]) -> dict[str, Any]:
    drawn = [node for node in nodes if node.get("sampled")]
    first = nodes.index(drawn[0]) if drawn else len(nodes)
    logprobs = [node.get("logprobs") for node in drawn]
    reference = [node.get("reference_logprobs") for node in drawn]
    return {
        "prompt": said([mapping(node.get("message")) for node in nodes[:first]]),
        "completion": "\n\n".join(
            said(mapping(node.get("message")).get("content")) for node in drawn
        ),
        "logprob": total([total(one) for one in logprobs]),
        "ref_logprob": total([total(one) for one in reference]),
        "tokens": sum(len(one) for one in logprobs if isinstance(one, list)) or None,
    }


def samples(lazy: pl.LazyFrame, _: str) -> Shaped:
    """The environment and its problem are the key."""
    key = pl.concat_str(pl.col("env_name"), pl.lit("/"), pl.col("problem_id").cast(pl.String))
    return Shaped(lazy.with_columns(key.alias("prompt_id")), ("prompt_id",), ("reward",))


_FILES = r"^(?P<run>(?:.*/)?)step_\d+/(?P<part>train|eval)/{}/traces\.jsonl$"

TRACES = Source(
    "prime-rl traces",
    ("traces", "task", "env"),
    files=_FILES.format("all"),
    distinct=True,
    rows=episodes,
    shape=keyed("prompt_id", rewards=("reward",)),
)
EFFECTIVE = replace(  # those of `all` that were trained on: read only where nothing else is there
    TRACES,
    name="prime-rl effective traces",
    files=_FILES.format("effective"),
    yields_to="prime-rl traces",
)
PLATFORM = Source(
    "prime-rl samples",
    (
        *("run_id", "step", "problem_id", "sample_id", "env_name"),
        *("prompt", "completion", "reward", "advantage"),
    ),
    shape=samples,
)
