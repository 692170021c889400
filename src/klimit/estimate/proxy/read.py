"""Proxy, gold and nuisance of whatever the caller has, of the same samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from klimit._errors import ArgumentError
from klimit._text import safe
from klimit.estimate.inputs import RewardColumn, beside, reward_column
from klimit.estimate.kernel import Floats
from klimit.rollouts.grouped import Grouped, group_arrays


@dataclass(frozen=True)
class Rewards:
    """Aligned rewards, prompt after prompt, NaN where missing.

    Attributes
    ----------
    proxy : with lengths and ids of the prompts
    gold, nuisance : (samples,); no nuisance unless asked for
    names : of the three
    """

    proxy: RewardColumn
    gold: Floats
    nuisance: Floats | None
    names: tuple[str, str, str]

    @classmethod
    def of(cls, proxy: RewardColumn, others: Sequence[Floats], names: Sequence[str]) -> Rewards:
        """Gold and, if it was asked for, the nuisance are the `others`."""
        gold, nuisance = [*others, None][:2]
        assert gold is not None
        return cls(proxy, gold, nuisance, (names[0], names[1], names[2] if len(names) > 2 else ""))


def read_rewards(base: Any, proxy: Any, gold: Any, nuisance: Any) -> Rewards:
    """Find the columns by name, or take arrays of one shape."""
    if hasattr(base, "grouped"):
        return _named(base, proxy, gold, nuisance)
    if base is None or isinstance(proxy, (np.ndarray, list, tuple)):
        if base is not None:
            raise ArgumentError(
                "proxy= and base= are both arrays; give the rewards once: "
                "klimit.hacking(proxy_rewards, gold=gold_rewards)."
            )
        base, proxy = proxy, None
    if isinstance(base, Mapping):
        return _mapped(base, proxy, gold, nuisance)
    column = reward_column(base, None)
    if gold is None:
        raise ArgumentError("gold= must be an array of the same shape as the proxy's; got None.")
    others = {"gold": gold} | ({} if nuisance is None else {"nuisance": nuisance})
    named = replace(column, name=proxy if isinstance(proxy, str) else "proxy")
    read = [beside(values, column, role) for role, values in others.items()]
    return Rewards.of(named, read, [named.name, *others])


def _named(base: Any, proxy: Any, gold: Any, nuisance: Any) -> Rewards:
    given = {"proxy": proxy, "gold": gold} | ({} if nuisance is None else {"nuisance": nuisance})
    for role, name in given.items():
        if not isinstance(name, str):
            raise ArgumentError(
                f"{role}={safe(name, longest=40)!r} is no name of a reward; there are "
                f"{', '.join(map(safe, base.rewards)) or 'none'}. Name one, such as {role}='rm'."
            )
    names = [base.one_reward(name) for name in given.values()]
    _distinct(names)
    column = reward_column(base, names[0], others=tuple(names[1:]))
    return Rewards.of(column, [column.others[name] for name in names[1:]], names)


def _mapped(base: Mapping[str, Any], proxy: Any, gold: Any, nuisance: Any) -> Rewards:
    names = [name for name in (proxy, gold, nuisance) if name is not None]
    if len(names) < 2 or proxy is None:
        raise ArgumentError("base is a mapping of rewards; name two of them: proxy=..., gold=....")
    _distinct(names)
    grouped, names = mapped(base, names), [str(name) for name in names]
    first, *rest = (grouped.columns[name] for name in names)
    return Rewards.of(RewardColumn(first, grouped.lengths, grouped.ids, names[0], {}), rest, names)


def mapped(base: Mapping[str, Any], names: Sequence[Any]) -> Grouped:
    """Rewards by name, aligned."""
    for name in names:
        if name not in base:
            raise ArgumentError(
                f"no reward {safe(name)!r} in base; there are {', '.join(map(safe, base))}."
            )
    return group_arrays({name: base[name] for name in names})


def _distinct(names: list[Any]) -> None:
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ArgumentError(
            f"{safe(twice)!r} was named twice; proxy, gold and nuisance must be different columns. "
            "For the limit of one reward use klimit.frontier."
        )
