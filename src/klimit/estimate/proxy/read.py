"""Proxy, gold and nuisance of whatever the caller has, of the same samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
    other = None if nuisance is None else beside(nuisance, column, "nuisance")
    name = proxy if isinstance(proxy, str) else "proxy"
    named = RewardColumn(column.values, column.lengths, column.ids, name, {})
    names = (name, "gold", "" if nuisance is None else "nuisance")
    return Rewards(named, beside(gold, column, "gold"), other, names)


def _named(base: Any, proxy: Any, gold: Any, nuisance: Any) -> Rewards:
    names = []
    for role, name in (("proxy", proxy), ("gold", gold), ("nuisance", nuisance)):
        if name is None and role == "nuisance":
            continue
        if not isinstance(name, str):
            raise ArgumentError(
                f"{role}={safe(name, longest=40)!r} is no name of a reward; there are "
                f"{', '.join(map(safe, base.rewards)) or 'none'}. Name one, such as {role}='rm'."
            )
        names.append(base.one_reward(name))
    _distinct(names)
    column = reward_column(base, names[0], others=tuple(names[1:]))
    others = [column.others[name] for name in names[1:]]
    return Rewards(column, others[0], others[1] if nuisance is not None else None,
                   (names[0], names[1], names[2] if nuisance is not None else ""))  # fmt: skip


def _mapped(base: Mapping[str, Any], proxy: Any, gold: Any, nuisance: Any) -> Rewards:
    names = [name for name in (proxy, gold, nuisance) if name is not None]
    if len(names) < 2 or proxy is None:
        raise ArgumentError("base is a mapping of rewards; name two of them: proxy=..., gold=....")
    _distinct(names)
    grouped = mapped(base, names)
    values = [grouped.columns[str(name)] for name in names]
    return Rewards(
        RewardColumn(values[0], grouped.lengths, grouped.ids, str(proxy), {}), values[1],
        values[2] if nuisance is not None else None, (str(proxy), str(gold), str(nuisance or "")),
    )  # fmt: skip


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
