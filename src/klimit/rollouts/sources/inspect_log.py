"""Inspect: scores of an evaluation's samples, from the summaries that its log keeps."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from klimit.rollouts.sources.source import Flat, Record, Records, Shaped, Source, keyed
from klimit.rollouts.sources.values import mapping, number, said

if TYPE_CHECKING:
    import polars as pl

# What Inspect's own accuracy makes of a grade: correct, incorrect, partial, no answer.
_GRADES = {"C": 1.0, "I": 0.0, "P": 0.5, "N": 0.0}
_WORDS = {"yes": 1.0, "true": 1.0, "no": 0.0, "false": 0.0}
_DRAWN = ("temperature", "top_p", "top_k", "max_tokens")


def samples(summaries: Records, header: Record) -> Flat:
    """A row per sample and epoch; epochs are samples of one prompt, scorers are rewards."""
    run = mapping(header.get("eval"))
    model, task = run.get("model"), run.get("task")
    for summary in summaries:
        usage = mapping(mapping(summary.get("model_usage")).get(model or ""))
        yield {
            "prompt_id": f"{task}/{summary.get('id')}" if task else str(summary.get("id")),
            "prompt": said(summary.get("input")),
            "epoch": summary.get("epoch"),
            "tokens": usage.get("output_tokens"),
            "policy": model,
            "uuid": summary.get("uuid"),
            **scores(mapping(summary.get("scores"))),
        }


def scores(found: Record) -> dict[str, float | None]:
    """One reward per scorer, or per part of a scorer that gives several.

    Examples
    --------
    >>> scores({"match": {"value": "C"}, "judge": {"value": {"style": 3, "truth": "P"}}})
    {'match': 1.0, 'judge/style': 3.0, 'judge/truth': 0.5}
    """
    rewards = {}
    for scorer, score in found.items():
        value = mapping(score).get("value")
        parts = value if isinstance(value, dict) else {"": value}
        for part, one in parts.items():
            rewards[f"{scorer}/{part}" if part else scorer] = grade(one)
    return rewards


def grade(value: Any) -> float | None:
    """A score as a number; NaN, null and words of no known meaning are missing.

    Examples
    --------
    >>> [grade(value) for value in ("C", "P", "N", "yes", "0.25", True, float("nan"), "maybe")]
    [1.0, 0.5, 0.0, 1.0, 0.25, 1.0, None, None]
    """
    if not isinstance(value, str):
        return number(value)
    known = _GRADES.get(value, _WORDS.get(value.strip().lower()))
    if known is not None:
        return known
    try:
        found = float(value)
    except ValueError:
        return None
    return found if math.isfinite(found) else None


def drawn(header: Record) -> dict[str, Any]:
    """How the samples were drawn, as far as the log says."""
    config = mapping(mapping(header.get("eval")).get("model_generate_config"))
    return {name: config[name] for name in _DRAWN if number(config.get(name)) is not None}


def log(lazy: pl.LazyFrame, _: str) -> Shaped:
    """A retried log repeats samples of the first attempt, which keep their `uuid`."""
    unique = "uuid" if str(lazy.collect_schema().get("uuid")) == "String" else ""
    return Shaped(lazy, ("prompt_id",), unique=unique)


def frame(rows: Records, _: str) -> Flat:
    """`samples_df`: a column per scorer, grades still letters."""
    for row in rows:
        kept = {name: value for name, value in row.items() if not name.startswith("score_")}
        yield kept | {name: grade(row[name]) for name in row if name.startswith("score_")}


LOG = Source("Inspect log", (), files=r"\.eval$", distinct=True, shape=log)
FRAME = Source(
    "Inspect samples", ("id", "epoch", "input", "target", "score_*"), rows=frame, shape=keyed("id")
)
