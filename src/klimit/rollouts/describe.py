"""Rollouts in words, and a table of their rewards."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from klimit._text import safe
from klimit.rollouts.keys import Groups
from klimit.rollouts.steps import called, present
from klimit.rollouts.words import counted, listing, shown

if TYPE_CHECKING:
    import polars as pl

    from klimit.rollouts.rollouts import Rollouts


@dataclass(frozen=True)
class Shape:
    """How many samples there are.

    Attributes
    ----------
    prompts : number of prompts
    rows : number of samples, also those without a reward
    fewest, most : samples of one prompt, per policy and step
    """

    prompts: int
    rows: int
    fewest: int
    most: int

    def __str__(self) -> str:
        prompts = counted(self.prompts, "prompt")
        if self.fewest == self.most:
            return f"{prompts} x {counted(self.most, 'sample')}"
        return f"{prompts} x {self.fewest:,} to {self.most:,} samples ({self.rows:,} in all)"


@dataclass(frozen=True)
class Description:
    """What was read.

    Attributes
    ----------
    text : in words
    rewards : polars frame, a row per reward: reward, samples, missing, distinct, min, mean, max,
        tied (share of samples that share their reward with another of the same prompt)
    """

    text: str
    rewards: pl.DataFrame

    def to_frame(self) -> pl.DataFrame:
        """The table of rewards."""
        return self.rewards

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {"text": self.text, "rewards": self.rewards.to_dicts()}

    def __str__(self) -> str:
        if not self.rewards.height:
            return self.text
        header = self.rewards.columns
        cells = [header, *([_cell(value) for value in row] for row in self.rewards.rows())]
        widths = [max(len(row[at]) for row in cells) for at in range(len(header))]
        lines = [[cell.rjust(w) for cell, w in zip(row, widths, strict=True)] for row in cells]
        for line in lines:
            line[0] = line[0].strip().ljust(widths[0])
        return "\n".join([self.text, "", *(f"  {'  '.join(line)}" for line in lines)])


def shape(core: pl.DataFrame, found: Groups) -> Shape:
    """Prompts, and samples of each per policy and step."""
    import polars as pl

    parts = [name for name in ("policy", "step") if name in core.columns]
    if any(core[name].n_unique() > 1 for name in parts):
        keyed = core.select(pl.Series("__code", found.codes), *parts)
        sizes = keyed.group_by("__code", *parts).len()["len"].to_numpy()
    else:
        sizes = np.bincount(found.codes, minlength=len(found))
    return Shape(
        len(found), core.height, int(sizes.min(initial=core.height)), int(sizes.max(initial=0))
    )


def summary(rollouts: Rollouts) -> str:
    """One line: how much of what."""
    parts = [str(rollouts.shape)]
    by = {x: " by the names of files" * (x in rollouts.by_files) for x in ("policy", "step")}
    policies, steps = present(rollouts.policies), present(rollouts.steps)
    if len(policies) == 1:
        parts.append(f"of {safe(policies[0], longest=60)}")
    elif policies:
        parts.append(f"of {len(policies)} policies{by['policy']} ({listing(policies, most=4)})")
    if len(policies) < len(rollouts.policies):
        parts.append("and of none that is named")
    if "temperature" in rollouts.metadata:
        parts.append(f"(temperature {_cell(rollouts.metadata['temperature'])})")
    if len(steps) == 1:
        parts.append(f"at {safe(called(steps[0]))}")
    elif steps:
        parts.append(
            f"over {len(steps):,} steps{by['step']} ({safe(steps[0])} to {safe(steps[-1])})"
        )
    if len(steps) < len(rollouts.steps):
        parts.append("and at none that is named")
    if rollouts.together:
        parts.append(f"({' and '.join(rollouts.together)})")
    names = rollouts.rewards
    what = "reward" if len(names) == 1 else "rewards"
    made_of = f" = {shown(rollouts.total)}" if rollouts.total else ""
    return f"{' '.join(parts)}, {what}: {listing(names)}{made_of}"


def described(rollouts: Rollouts) -> Description:
    """The summary, where the prompt key came from, and a row per reward."""
    import polars as pl

    text = (
        f"{rollouts}\nfrom {shown(rollouts.source)}; prompts told apart by "
        f"{safe(rollouts.prompt_key)} (--prompt or prompt= overrides, --reward or reward= chooses rewards)"
    )
    parts = [name for name in ("policy", "step") if name in rollouts.table.core.columns]
    group = ["prompt_id", *parts]
    frame = rollouts.table.columns([*group, *rollouts.rewards])
    rows = [_reward(frame, name, group) for name in rollouts.rewards]
    return Description(text, pl.DataFrame(rows))


def _reward(frame: pl.DataFrame, name: str, group: list[str]) -> dict[str, Any]:
    import polars as pl

    values = frame.select(
        *group, pl.col(name).cast(pl.Float64).fill_nan(None).alias("value")
    ).drop_nulls("value")
    # sorted, so that no digit depends on which thread was first
    means = values.group_by(group).agg(pl.col("value").sort().mean())["value"].sort()
    tied = values.group_by(*group, "value").len().filter(pl.col("len") > 1)["len"].sum()
    column = values["value"]
    return {
        "reward": name,
        "samples": len(values),
        "missing": frame.height - len(values),
        "distinct": column.n_unique(),
        "min": column.min(),
        "mean": means.mean(),  # prompts weigh equally
        "max": column.max(),
        "tied": tied / len(values) if len(values) else None,
    }


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else safe(value, longest=40)
