"""reward-bench: scores of a reward model, for answers alone, for pairs and for best-of-N."""

from __future__ import annotations

from klimit.rollouts.sources.source import Flat, Records, Source, keyed
from klimit.rollouts.sources.values import number, said


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


_FILES = r"^(?P<policy>.*)_outputs\.jsonl$"  # after the models that wrote the answers

ANSWERS = Source(
    "reward-bench outputs",
    ("prompt", "results", "text"),
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
