"""Samples of policies, with the base's, carry the limit to KL that the base alone cannot show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from functools import partial
from typing import Any

import numpy as np

from klimit._errors import ArgumentError
from klimit.estimate.bands import average_bands
from klimit.estimate.bridge.draws import Draws, Pool, pool
from klimit.estimate.bridge.result import Bridged
from klimit.estimate.bridge.sums import Bridge, bridge_sums
from klimit.estimate.bridge.trust import collapse, doubted, spread, unsolved, why_refused
from klimit.estimate.curve import Curve
from klimit.estimate.frontier import OCTAVES, PER_OCTAVE, START
from klimit.estimate.kernel import Floats, Grid
from klimit.estimate.members import combine
from klimit.estimate.result import Frontier
from klimit.estimate.statistics import FEWEST

_FURTHER = 1.1  # times the base's own reach: less is not worth another estimator
_LONG = 0.25  # what a narrow policy leaves to the base's few best falls slowly in the samples
_NARROW = 0.7  # of how far above its mean the best policy goes
_PROMPTS = 8  # fewer cannot tell whether base and policy samples agree


def bridge(
    limit: Frontier,
    base: Draws,
    policies: Sequence[Draws],
    *,
    names: tuple[str, ...] = (),
    rank: Any = None,
) -> Bridged:
    """Carry a limit further by samples of policies on the same prompts.

    Parameters
    ----------
    limit : of the base alone: the corrected estimate of the reward at the average budget
    base, policies : samples prompt after prompt, the prompts those that `limit` was computed from, in
        the same order; each with a log-ratio row for every policy
    names : of the policies
    rank : (prompts,) canonical places that decide the groups of prompts; the limit's own if not given
    """
    settings, samples = limit.settings, limit.samples
    if (settings.objective, settings.budget) != ("reward", "average"):
        raise ArgumentError("a bridge carries the limit of a reward at the average budget only.")
    rank = samples.rank if rank is None else np.asarray(rank)
    order = np.argsort(rank)
    pooled = pool(base, policies, samples.kept, order, samples.means)
    names = names or tuple(f"policy {k + 1}" for k in range(len(policies)))
    scored = tuple(bool(known.all()) for known in pooled.known[1:])

    def made(of: Frontier, weights: Floats, reason: str = "", *, refused: bool = False) -> Bridged:
        known = {field.name: getattr(of, field.name) for field in fields(Frontier)}
        return Bridged(**known, base=limit, pool=pooled, weights=weights, rank=rank, policies=names,
                       scored=scored, used=not reason, reason=reason, refused=refused)  # fmt: skip

    alone = partial(made, limit, np.zeros(pooled.rewards.shape))

    reason = _too_little(limit, pooled.counts())
    if reason:
        return alone(reason)
    reason = why_refused(pooled, limit)
    if reason:
        return alone(reason, refused=True)
    grid, centre = Grid(START / samples.scale, OCTAVES, PER_OCTAVE), samples.means[order]
    two_levels = _two_levels(pooled, centre)
    found = bridge_sums(pooled, grid, seed=settings.seed, two_levels=two_levels)
    carried = _carried(limit, found, _room(limit, found, centre) if two_levels else None, pooled)
    if carried.trusted_kl < _FURTHER * limit.trusted_kl or carried.trusted_kl <= 0:
        return alone("the policy's samples do not carry it further")
    share = spread(pooled, found.weights)
    if share < _NARROW:
        return alone(
            f"the policy's rewards reach {share:.2g} times as far above their mean as those of the best "
            "policy with that mean, too little to show what lies there"
        )
    return made(carried, found.weights)


def _carried(limit: Frontier, found: Bridge, room: Floats | None, pooled: Pool) -> Frontier:
    """The frontier of the pooled samples; `room` is what unsolved prompts could gain."""
    samples, stats = limit.samples, found.stats
    members = combine(stats, None, None, largest=room is None)
    tail = replace(limit.tail, wide=0.0)  # the policy's samples do not miss the high rewards
    if room is None:
        tail = replace(tail, long=max(tail.long, _LONG))
    ceiling_gain, ceiling_kl = float(found.best.mean()), float(-np.log(found.top).mean())
    curve = Curve.convex(stats.grid.tilts, members.chosen, ceiling_gain=ceiling_gain,
                         ceiling_kl=ceiling_kl, cap=limit.cap)  # fmt: skip
    wall = collapse(found, curve.at_tilt(stats.grid.tilts).kl)
    bands = average_bands(
        stats, members, curve, tail, samples, limit.settings, horizon=wall, saturation=ceiling_kl,
        correctable=True,
    )  # fmt: skip
    hidden = np.zeros(len(bands.kl))
    if room is not None and room.any():
        chance = 1 / (pooled.counts().sum(axis=0) + 1.0)
        hidden = unsolved(members.chosen, room, chance, stats.grid, bands.kl)
    bands = doubted(bands, hidden, wall, two_levels=room is not None)
    return replace(limit, curve=curve, members=members, bands=bands)


def _room(limit: Frontier, found: Bridge, centre: Floats) -> Floats:
    """(prompts,) from the mean to success where no sample shows one; 0 where one does."""
    if limit.settings.reward_range is None:
        return np.zeros(len(found.best))
    room = limit.settings.reward_range[1] - centre
    return np.where(found.highest < room - 1e-9, np.maximum(room, 0.0), 0.0)


def _two_levels(pooled: Pool, centre: Floats) -> bool:
    """Whether rewards have just two levels, on both sides."""
    seen = (pooled.rewards + centre[:, None])[pooled.origin >= 0]
    return len(np.unique(np.round(seen, 9))) == 2


def _too_little(limit: Frontier, counts: Any) -> str:
    """Why these samples are too few to bridge; empty where they are not."""
    if limit.members is None:
        return "every prompt's rewards are constant"
    if limit.settings.estimator == "plugin":
        return "the plug-in was asked for"
    if counts.shape[1] < _PROMPTS:
        return f"{_PROMPTS} prompts are needed to tell whether base and policy samples agree"
    if (counts[0] < FEWEST).mean() > 0.1:
        return f"{FEWEST} samples of the base a prompt are needed"
    if np.median(counts[1:].sum(axis=0)) < FEWEST:
        return f"{FEWEST} scored samples of the policy a prompt are needed"
    return ""
