"""tinker-cookbook: `*_rollout_summaries.jsonl`, a line per trajectory and no text."""

from __future__ import annotations

from klimit.rollouts.sources.source import Flat, Records, Source, keyed
from klimit.rollouts.sources.values import number, records


def rows(lines: Records, _: str) -> Flat:
    """The group is the prompt: one per iteration in training, the same ones in every evaluation."""
    for line in lines:
        split, group = str(line.get("split")), line.get("group_idx")
        within = line.get("iteration") if split == "train" else split
        lengths = [number(step.get("ac_len")) for step in records(line.get("steps"))]
        yield {
            "prompt_id": None if group is None else f"{within}/{group}",
            "step": line.get("iteration"),
            "reward": number(line.get("total_reward")),
            "final_reward": number(line.get("final_reward")),
            "tokens": sum(int(length) for length in lengths if length) or None,
        }


_FILES = (
    r"^(?P<run>.*?)(?:iteration_\d+/)?"
    r"(?P<part>train|eval_[^/]+?)(?:_iteration_\d+)?_rollout_summaries\.jsonl$"
)

SUMMARIES = Source(
    "tinker-cookbook rollouts",
    ("schema_version", "split", "iteration", "group_idx", "traj_idx", "total_reward"),
    files=_FILES,
    distinct=True,
    rows=rows,
    shape=keyed("prompt_id", rewards=("reward",)),
)
