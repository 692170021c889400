"""The table of prompts: what each could gain, what it spends, and what the policy did with it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from klimit._text import safe
from klimit.estimate.prompt_lists import NEARLY, at_top
from klimit.view.report.texts import cut, words_of
from klimit.view.words import asked

if TYPE_CHECKING:
    import polars as pl

    from klimit.rollouts import Rollouts
    from klimit.view.report.findings import Findings

MOST = 5000  # rows
LONGEST_ID = 200  # characters of an id
SNIPPET = 90  # characters of a prompt that its row shows
SATURATED = f"at least {100 * NEARLY:g} % of a prompt's samples have the best possible reward"
# key, heading, what it means
COLUMNS = (
    ("id", "prompt", "its id and how it begins"),
    ("kind", "kind", f"zero-signal: all its rewards are equal; saturated: {SATURATED}"),
    ("samples", "samples", "of the base"),
    ("mean", "mean", "of the base's samples"),
    ("headroom", "headroom", "its best sample above its mean, reward units"),
    ("gain", "gain", "what the optimal policy gains on it at the page's budget, reward units"),
    ("kl", "KL", "what the optimal policy spends on it, nats"),
    ("share", "KL share", "its part of all KL that the optimal policy spends"),
    ("policy_gain", "policy gain", "mean reward of the policy's samples over the base's"),
    ("policy_kl", "policy KL", "nats, where it is known by prompt"),
    ("loss", "loss", "its part of the policy's gap to the limit, reward units"),
)


def table(found: Findings) -> dict[str, Any]:
    """Columns, rows and counts; rows start with the largest loss, or else with the largest gain."""
    frame = _frame(found)
    kinds = frame["kind"].to_list()
    there = [one for one in COLUMNS if one[0] in frame.columns and frame[one[0]].count()]
    there = [one for one in there if one[0] != "kind" or any(kinds)]
    order = "loss" if "loss" in frame.columns and frame["loss"].count() else "gain"
    frame = frame.sort([order, "id"], descending=[True, False], nulls_last=True)
    total = frame.height
    shown = frame.head(MOST)
    names = [name for name, _, _ in there]
    return {
        "columns": [{"key": key, "label": label, "means": means} for key, label, means in there],
        "rows": [[_cell(value) for value in row] for row in shown.select(names).rows()],
        "texts": shown["text"].to_list(),
        "places": shown["place"].to_list(),
        "order": order,
        "total": total,
        "zero_signal": sum("zero-signal" in kind for kind in kinds),
        "saturated": sum("saturated" in kind for kind in kinds),
        "kl": found.focus,
        "policy": "" if found.main is None else safe(found.main.label, longest=60),
    }


def _frame(found: Findings) -> pl.DataFrame:
    import polars as pl

    limit, base = found.limit, found.base
    frame = limit.prompts(found.focus)
    spent = frame["kl"].sum()
    places = limit.samples.kept.tolist()
    frame = frame.select(
        pl.col("prompt_id").alias("id"),
        pl.Series("kind", _kinds(found)),
        "samples",
        pl.col("mean_reward").alias("mean"),
        "headroom",
        "gain",
        "kl",
        (pl.col("kl") / spent if spent else pl.lit(None, pl.Float64)).alias("share"),
        pl.Series("place", places),
        pl.Series("text", _snippets(base, limit.ids, places), dtype=pl.String),
    )
    main = found.main
    if main is None or main.case is None or not main.paired:
        return frame
    theirs = main.prompts().select(
        pl.col("prompt_id").cast(pl.String).alias("id"),
        pl.col("gain").alias("policy_gain"),
        pl.col("kl").alias("policy_kl"),
        "loss",
    )
    return frame.join(theirs, on="id", how="left", maintain_order="left")


def _kinds(found: Findings) -> list[str]:
    """The lists of ``klimit prompts`` that each prompt is on: those that training learns little from."""
    limit = found.limit
    still = limit.samples.variances == 0
    solved = np.zeros(len(still), dtype=bool)
    if limit.settings.objective == "reward":
        solved = at_top(limit) >= NEARLY
    return [
        ", ".join(name for name, on in (("saturated", full), ("zero-signal", same)) if on)
        for full, same in zip(solved.tolist(), still.tolist(), strict=True)
    ]


def _snippets(base: Any, ids: Any, places: list[int]) -> list[str | None]:
    """How each prompt's text begins; None where it is the id itself, or not known."""
    names = [str(ids[place]) for place in places]
    texts = texts_of(base, names)
    if texts is None:
        return [None] * len(places)
    lines = [" ".join((words_of(value, 2000) or "").split()) for value in texts.to_list()]
    shared = _shared_start(lines)
    found = []
    for name, whole in zip(names, lines, strict=True):
        line = f"...{whole[shared:]}" if shared else whole
        line = line if len(line) <= SNIPPET else f"{line[: SNIPPET - 3]}..."
        told = asked(name) != name or name.startswith(line[:20])
        found.append(None if told else line)
    return found


def texts_of(base: Rollouts, ids: Iterable[object]) -> pl.Series | None:
    """The texts of prompts; None where the data have none."""
    if "prompt" not in base.table.names:
        return None
    place = {name: at for at, name in enumerate(base.ids)}
    rows = [int(base.groups.first[place[str(one)]]) for one in ids]
    return base.table.column("prompt").gather(rows)


def _shared_start(lines: list[str]) -> int:
    """How many characters all prompts begin with (an instruction, often): they tell none apart."""
    least, most = min(lines, default=""), max(lines, default="")
    alike = next((at for at, sign in enumerate(least) if not most.startswith(sign, at)), len(least))
    length = least[:alike].rfind(" ") + 1 if len(lines) > 1 else 0
    return length if length >= 12 else 0


def _cell(value: Any) -> Any:
    if isinstance(value, str):
        return cut(asked(value), LONGEST_ID).replace("\n", " ")
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    return value
