"""Which samples to label next: in pairs, one where the tilt adds weight and one where it takes some.

The gold gain of a tilt is its distance from the base (total variation) times the difference of gold
between where it adds weight and where it takes it away. Labels that come in such pairs, chosen in
proportion to the coefficient of gold times the spread of its residual (Neyman's allocation), have
the least variance at this tilt, and what gold has in common within a prompt cancels in each pair.
Pairs go to prompts in proportion to the root of what they add to the variance. Both steps are systematic
draws with known chances, and every sample that matters has one, so each estimate made from them stays
unbiased.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from klimit.estimate.kernel import Floats
from klimit.estimate.labels.tilting import Rows
from klimit.estimate.samples import Integers

_EVEN = 0.1  # share of each side's chance that is spread evenly, so that other KL can be read too


@dataclass(frozen=True)
class Choice:
    """Samples to label.

    Attributes
    ----------
    place : (chosen,) indices of samples
    chance : (chosen,) with which each was chosen
    """

    place: Integers
    chance: Floats


def choose(
    rows: Rows, coefficient: Floats, spread: Floats, free: Floats, pairs: int, *, seed: int
) -> Choice:
    """Choose pairs of samples to label.

    Parameters
    ----------
    coefficient : (samples,) of gold in the gain, at the KL of interest
    spread : (samples,) typical size of gold less its prediction
    free : (samples,) whether a sample is still without a label
    pairs : how many; fewer where there are not enough samples, and of one sample where a prompt has no
        second without a label
    """
    rng = np.random.default_rng([seed, 11, pairs])
    size = np.abs(coefficient) * spread * free
    left, gains = free.astype(bool), coefficient > 0
    # where one side has all its labels the other pairs up: no label stands for what is never asked for
    either = (
        np.stack([rows.sum((left & side).astype(float)) for side in (gains, ~gains)]).min(axis=0)
        > 0
    )
    lone = left & ~either[rows.prompt]
    gains = np.where(lone, np.cumsum(lone) % 2 == 1, gains)
    sides = [gains & left, ~gains & left]
    counts = np.stack([rows.sum(side.astype(float)) for side in sides])
    sums = np.stack([rows.sum(size * side) for side in sides])
    most = np.maximum(counts.min(axis=0), counts.max(axis=0) > 0)
    wanted = shares(np.sqrt((sums**2).sum(axis=0)), most, float(pairs))
    hits = systematic(wanted, rng)
    place, chance = [], []
    for side, many, whole in zip(sides, counts, sums, strict=True):
        part = size / np.where(whole > 0, whole, 1.0)[rows.prompt]
        part = np.where(side, (1 - _EVEN) * part + _EVEN / np.maximum(many, 1)[rows.prompt], 0.0)
        for prompt in np.flatnonzero(hits):
            begin = rows.starts[prompt]
            at = np.arange(begin, begin + rows.lengths[prompt])
            at = at[side[at]]
            share = part[at]
            taken, over = none_twice(share, float(wanted[prompt]), float(hits[prompt]), rng)
            place.append(at[taken])
            chance.append(over)
    if not place:
        return Choice(np.empty(0, dtype=np.int64), np.empty(0))
    where, with_ = np.concatenate(place), np.concatenate(chance)
    order = np.argsort(where)
    return Choice(where[order], np.clip(with_[order], 1e-12, 1.0))


def none_twice(
    share: Floats, wanted: float, hits: float, rng: np.random.Generator
) -> tuple[Integers, Floats]:
    """Places of `hits` draws by share, and the chance of each, `hits` being `wanted` rounded by chance."""
    most = np.ones(len(share))
    taken = np.flatnonzero(systematic(shares(share, most, hits), rng, shuffle=True))
    low = np.floor(wanted + 1e-12)
    ends = [shares(share, most, x)[taken] for x in (low, low + 1)]
    return taken, (1 - wanted + low) * ends[0] + (wanted - low) * ends[1]


def shares(mass: Floats, most: Floats, total: float) -> Floats:
    """Shares of a total in proportion to mass, none above its most."""
    total = min(total, float(most[mass > 0].sum()))
    out = np.zeros(len(mass))
    open_ = mass > 0
    while open_.any() and total > 1e-12:
        part = mass[open_] / mass[open_].sum() * total
        full = part >= most[open_] - 1e-12
        where = np.flatnonzero(open_)
        if not full.any():
            out[where] = part
            break
        out[where[full]] = most[where[full]]
        total -= float(most[where[full]].sum())
        open_[where[full]] = False
    return out


def systematic(wanted: Floats, rng: np.random.Generator, *, shuffle: bool = False) -> Floats:
    """How often each is drawn: its expectation, rounded up or down, by one random start."""
    order = rng.permutation(len(wanted)) if shuffle else np.arange(len(wanted))
    ends = np.cumsum(wanted[order])
    start = rng.random()
    drawn = np.floor(ends - start + 1 + 1e-9)
    hits = np.zeros(len(wanted))
    hits[order] = np.diff(np.concatenate([[np.floor(1 - start + 1e-9)], drawn]))
    return np.maximum(hits, 0.0)
