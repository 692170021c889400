"""Several rewards of the same samples side by side, and what pursuing one does to the others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from klimit._errors import KlimitError
from klimit.view.beside import enough

if TYPE_CHECKING:
    from klimit.estimate.best_of_n import BestOfN
    from klimit.estimate.result import Frontier
    from klimit.rollouts import Rollouts

MOST = 6  # further rewards that are shown


@dataclass(frozen=True)
class OtherReward:
    """One further reward.

    Attributes
    ----------
    name : of the reward
    limit : its own frontier
    moved : best-of-N selected by the main reward and read in this one; None where it is not known
    """

    name: str
    limit: Frontier
    moved: BestOfN | None


def other_rewards(
    base: Rollouts, limit: Frontier, best: BestOfN | None, *, gold: str | None,
    how: Mapping[str, Any],
) -> tuple[OtherReward, ...]:  # fmt: skip
    """Up to `MOST` other rewards of the base, the gold one first; unusable ones are left out."""
    from klimit.estimate.frontier import frontier

    names = [name for name in base.rewards if name != limit.reward]
    if gold is not None:
        gold = base.one_reward(gold)
        names = [gold, *(name for name in names if name != gold)]
    own = {name: value for name, value in how.items() if name != "reward_range"}
    few, _ = enough(base, limit)
    sizes = [] if best is None else np.atleast_1d(best.n).tolist()
    found = []
    for name in names[:MOST]:
        try:
            theirs = frontier(base, reward=name, **own)
            moved = _moved(few, limit, theirs, sizes)
        except KlimitError:  # such as labels on one sample a prompt, which show no limit
            continue
        found.append(OtherReward(name, theirs, moved))
    return tuple(found)


def _moved(base: Rollouts, limit: Frontier, theirs: Frontier, sizes: list[int]) -> BestOfN | None:
    from klimit.estimate.best_of_n.verb import beside

    if not sizes:
        return None
    settings = limit.settings
    return beside(
        [theirs], base, n=sizes, reward=limit.reward, judge=theirs.reward, level=settings.level,
        seed=settings.seed,
    )  # fmt: skip
