"""What each side of an audit brings: rewards prompt by prompt, and how its prompts are recognised."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

import numpy as np

from klimit._errors import ArgumentError, warn
from klimit.estimate.inputs import reward_column
from klimit.rollouts.grouped import Floats, Integers
from klimit.rollouts.names import DATASETS, same_reward
from klimit.rollouts.words import listing, quoted

if TYPE_CHECKING:
    from klimit.rollouts import Rollouts

_MANY = 20  # rewards that differ, without a 0 or 1 among them: no partial credit of a verdict
_WIDER = 10.0  # times the base's standard deviation that no training explains


@dataclass(frozen=True)
class Side:
    """Samples of one model.

    Attributes
    ----------
    values : (samples,) rewards prompt after prompt, NaN where missing
    lengths : (prompts,) samples of each
    ids : (prompts,) prompt ids
    texts : (prompts,) prompts in words, where the source has them
    reward : its name
    rollouts : where it comes from; None for arrays
    """

    values: Floats
    lengths: Integers
    ids: list[str]
    texts: list[str | None] | None
    reward: str
    rollouts: Rollouts | None

    @property
    def source(self) -> str:
        """Where it was read from, for messages."""
        return "an array" if self.rollouts is None else self.rollouts.source

    @property
    def starts(self) -> Integers:
        """(prompts,) where each prompt's samples begin."""
        found: Integers = np.cumsum(self.lengths) - self.lengths
        return found

    def rows(self, at: Integers) -> Any:
        """Rewards of these prompts, as `klimit.frontier` takes them."""
        starts, ends = self.starts, np.cumsum(self.lengths)
        if len(at) == len(self.lengths) and (self.lengths == self.lengths[0]).all():
            whole = self.values.reshape(len(at), int(self.lengths[0]))
            return whole if (at == np.arange(len(at))).all() else whole[at]
        return [self.values[starts[i] : ends[i]] for i in at]

    def moments(self) -> tuple[Floats, Floats, Integers]:
        """(prompts,) mean, variance of one sample (nan of a single one) and number of rewards."""
        prompt = np.repeat(np.arange(len(self.lengths)), self.lengths)
        seen = ~np.isnan(self.values)
        counts = np.bincount(prompt[seen], minlength=len(self.lengths))
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            mean = np.bincount(prompt[seen], self.values[seen], len(self.lengths)) / counts
            squares = (self.values[seen] - mean[prompt[seen]]) ** 2
            variance = np.bincount(prompt[seen], squares, len(self.lengths)) / (counts - 1)
        return mean, np.where(counts > 1, variance, np.nan), counts


def side(data: Any, reward: str | None) -> Side:
    """Read one side: `Rollouts` of one policy and one step, or arrays as `klimit.frontier` takes."""
    column = reward_column(data, reward)
    rollouts = data if hasattr(data, "grouped") else None
    ids = [str(one) for one in column.ids]
    lengths = np.asarray(column.lengths, dtype=np.int64)
    texts = None if rollouts is None else _texts(rollouts)
    return Side(column.values, lengths, ids, texts, column.name, rollouts)


def _texts(rollouts: Rollouts) -> list[str | None] | None:
    from klimit.rollouts.keys import key_text

    if "prompt" not in rollouts.table.names:
        return None
    import polars as pl

    frame = rollouts.table.columns(["prompt"])[rollouts.groups.first]
    dtype = frame.schema["prompt"]
    text = pl.coalesce(*_one_message(dtype), key_text("prompt", dtype))
    return frame.select(text).to_series().to_list()


def _one_message(dtype: Any) -> list[Any]:
    """The text of a prompt that is a single message of the user: the same prompt as its plain text."""
    import polars as pl

    if not (isinstance(dtype, pl.List) and isinstance(dtype.inner, pl.Struct)):
        return []
    fields = {one.name: one.dtype for one in dtype.inner.fields}
    if fields.get("role") != pl.String or fields.get("content") != pl.String:
        return []
    first = pl.col("prompt").list.first()
    single = (pl.col("prompt").list.len() == 1) & (first.struct.field("role") == "user")
    return [pl.when(single).then(first.struct.field("content")).alias("prompt")]


def one_reward(base: Any, policy: Any, reward: str | None) -> tuple[str | None, str | None]:
    """The name of the reward on either side: the same one.

    Raises
    ------
    ArgumentError
        Where base and policy share no reward, or several and none is named.
    """
    if reward is not None or not (hasattr(base, "rewards") and hasattr(policy, "rewards")):
        return reward, reward
    if len(base.rewards) == len(policy.rewards) == 1:
        ours, theirs = base.rewards[0], policy.rewards[0]
        if ours == theirs or same_reward(ours, [theirs]) is not None:
            return ours, theirs
    for one in (base, policy):
        if not one.rewards:
            one.one_reward()  # says how scores get there
    shared = [name for name in base.rewards if name in policy.rewards]
    if len(shared) == 1:
        return shared[0], shared[0]
    if not shared:
        raise ArgumentError(
            f"base and policy have different rewards ({listing(base.rewards)}; "
            f"{listing(policy.rewards)}); the same reward on both was expected. Score both alike, "
            "or rename the column if it is the same."
        )
    raise ArgumentError(
        f"base and policy share several rewards ({listing(shared)}); say which: "
        f"reward={shared[0]!r} (--reward {shared[0]}), or weigh them when reading: weights= (--weights)."
    )


def comparable(base: Side, policy: Side) -> None:
    """Refuse rewards that cannot be on one scale (0/1 on one side, others on the other); warn of such."""
    for (here, one), (there, other) in permutations({"base": base, "policy": policy}.items()):
        seen = one.values[~np.isnan(one.values)]
        rest = other.values[~np.isnan(other.values)]
        binary = bool(np.isin(seen, (0.0, 1.0)).all()) and len(np.unique(seen)) == 2
        score = len(np.unique(rest)) >= _MANY and not np.isin(rest, (0.0, 1.0)).any()
        if binary and len(rest) and (score or rest.min() < 0 or rest.max() > 1):
            raise ArgumentError(
                f"reward {quoted(one.reward)} is 0 or 1 in the {here} and runs from "
                f"{rest.min():.3g} to {rest.max():.3g} in the {there}; the same reward on both "
                "was expected. Score both alike."
            )
    with np.errstate(over="ignore"):  # what cannot be computed with is refused later
        ours, theirs = (float(np.nanstd(one.values)) for one in (base, policy))
    if theirs > _WIDER * ours > 0:
        warn(
            f"reward {quoted(base.reward)} varies {theirs / ours:.0f} times as much in the policy's samples "
            "as in the base's: are both on one scale?"
        )


def same_population(base: Side, policy: Side) -> bool:
    """Whether something says that both drew their prompts alike: one dump, one folder, one data set."""
    ours, theirs = base.rollouts, policy.rollouts
    if ours is None or theirs is None:
        return False
    if ours.table.lazy is theirs.table.lazy:
        return True
    if ours.source == theirs.source and Path(ours.source).exists():
        return True
    folder = PurePath(ours.source).parent
    if ours.steps and theirs.steps and folder == PurePath(theirs.source).parent != PurePath():
        return True
    for name in DATASETS:
        if name in ours.table.names and name in theirs.table.names:
            drawn = [set(x.table.column(name).unique().to_list()) for x in (ours, theirs)]
            return drawn[0] == drawn[1]
    return False
