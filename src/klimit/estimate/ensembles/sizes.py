"""Means of fewer members: how gold gain grows with their number.

One member and all members have estimates of their own. Between them there are many subsets, so
their plug-in gains are taken, which are quick, with the correction that one and all have.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from math import comb

import numpy as np

from klimit.estimate.ensembles.gains import Curve
from klimit.estimate.kernel import Floats
from klimit.estimate.labels.tilting import Rows, tilting
from klimit.estimate.proxy.pairs import Pairs
from klimit.estimate.samples import Integers
from klimit.estimate.statistics import GROUPS

MOST = 12  # subsets of one size


def subsets(members: int, size: int, *, seed: int = 0) -> list[tuple[int, ...]]:
    """All subsets of this size, or some in which every member occurs about as often as any other.

    Windows on a ring of the members in random order, starting at even distances.

    Examples
    --------
    >>> subsets(3, 2)
    [(0, 1), (0, 2), (1, 2)]
    >>> len(subsets(8, 4))
    8
    """
    if comb(members, size) <= MOST:
        return list(combinations(range(members), size))
    ring = np.random.default_rng([seed, members]).permutation(members)
    starts = np.unique(np.linspace(0, members, min(MOST, members), endpoint=False).astype(int))
    return [tuple(sorted(int(ring[(s + i) % members]) for i in range(size))) for s in starts]


def by_size(
    members: Floats, pairs: Pairs, kl: float, singles: Sequence[Curve], whole: Curve, *, seed: int
) -> dict[int, Curve]:
    """Gold gain at one budget by the number of members, mean over subsets of each size.

    Parameters
    ----------
    members : (members, samples) in the order of `pairs`
    singles, whole : estimates of each member alone, and of the mean of all
    """
    number = len(members)
    ends = {1: Curve.mean([curve.only(kl) for curve in singles]), number: whole.only(kl)}
    if number == 2:
        return ends
    plain = {1: Curve.mean([_plugin(x, pairs, kl, whole) for x in members])}
    for size in range(2, number + 1):
        chosen = subsets(number, size, seed=seed)
        means = (members[list(some)].mean(axis=0) for some in chosen)
        plain[size] = Curve.mean([_plugin(values, pairs, kl, whole) for values in means])
    found = {}
    for size, curve in plain.items():
        if size in ends:
            found[size] = ends[size]
            continue
        near = (1 / size - 1 / number) / (1 - 1 / number)  # 1 at one member, 0 at all
        ratio = sum(
            share * _ratio(ends[at], plain[at]) for at, share in ((1, near), (number, 1 - near))
        )
        between = ends[number].blended(ends[1], near, value=curve.value * ratio)
        found[size] = replace(between, moves=curve.moves * ratio)
    return found


def _ratio(corrected: Curve, plain: Curve) -> float:
    size = float(plain.value[0])
    return float(np.clip(corrected.value[0] / size, 0.5, 2.0)) if size else 1.0


def plugin_tilt(values: Floats, lengths: Integers, kl: float) -> float:
    """The tilt at which the plug-in of a reward spends `kl` nats, or the steepest that is looked at."""
    from scipy.optimize import brentq

    rows = Rows.of(values, lengths)
    scale = float(np.sqrt(rows.mean(rows.centred(values) ** 2).mean())) or 1.0
    low, high = (np.log(x / scale) for x in (1e-4, 1e4))

    def over(log_tilt: float) -> float:
        return rows.spent(float(np.exp(log_tilt))) - kl

    least = over(low) + kl
    if kl <= least:  # next to no tilt the KL goes by its square
        return float(np.exp(low) * np.sqrt(kl / least))
    return float(np.exp(high if over(high) <= 0 else brentq(over, low, high)))


def _plugin(values: Floats, pairs: Pairs, kl: float, like: Curve) -> Curve:
    """Plug-in gold gain where the tilt of `values` spends `kl`, with each group's move."""
    rows = Rows.of(values, pairs.lengths)
    point = tilting(rows, plugin_tilt(values, pairs.lengths, kl))
    gold = rows.sum(point.weight * rows.centred(pairs.gold)) / point.total
    effect = gold - gold.mean() - point.per_nat(pairs.gold) * (point.kl - point.kl.mean())
    groups = min(GROUPS, len(effect))
    summed = np.bincount(np.arange(len(effect)) % groups, effect, minlength=groups)
    moves = summed / len(effect) * np.sqrt(groups / max(groups - 1, 1))
    none = np.zeros(1)
    return replace(
        like, kl=like.within(np.array([kl])), value=np.array([gold.mean()]), moves=moves[:, None],
        wrong=none, bend=none, signed=none,
    )  # fmt: skip
