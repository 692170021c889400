"""How far a bridge holds: whether its ends meet, and where its weights collapse."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from klimit.estimate.bands import Bands, edge_of_trust
from klimit.estimate.bridge.draws import Pool
from klimit.estimate.bridge.sums import Bridge
from klimit.estimate.bridge.weights import centred, log_weights
from klimit.estimate.kernel import Floats, Grid
from klimit.estimate.members import front
from klimit.estimate.pass_rates import log_mgf_of_rate

if TYPE_CHECKING:
    from klimit.estimate.result import Frontier

ENTROPY = 2.0  # nats: below, fewer than 7.4 samples a prompt carry the answer
_NEAR = ((0.0, 0.012), (0.1, 0.02), (0.25, 0.03), (0.5, 0.03))
"""Nats at which the base can always tell, and by what share the two may disagree."""
_CHANCE = 3.2  # standard errors that are no chance there,
_FAR_CHANCE, _FAR = 4.0, 0.03  # and where the base's own reach ends
_FAR_AWAY = "the policy hardly ever draws a part of what the base draws, as is usual far from it"
_HEAVY = 1.0  # tail index from which weights have no mean
_STEEP = 2.0**20  # tilt at which all weight is on the best that was seen


def why_refused(pool: Pool, limit: Frontier) -> str:
    """In words, why policy and base samples cannot be pooled; empty where they can.

    The base alone tells ``E_base e^(tilt r)`` at small tilts, and the pooled samples must tell the
    same. They do not if the policy's samples are not from the law that its log-probabilities speak of
    (another temperature, top-p, an older checkpoint), or if it never draws a part of what the base
    draws. Shares by the reward are the ones that show the latter: they ask of the policy all that
    the base has at a reward, where shares by log-ratios ask for what the policy says it has.

    A sound policy far from the base hardly ever draws a part of it too: there ``E_policy base / policy``
    is 1 by samples that nobody has. So too little of the base speaks against the log-probabilities only
    where `_knows` says that it would have been seen. Too much always does: means of weights hardly ever
    come out too high by chance (Markov's inequality).
    """
    tests = [(kl, share, _CHANCE) for kl, share in _NEAR]
    if np.isfinite(limit.trusted_kl) and limit.trusted_kl > _NEAR[-1][0]:
        tests.append((limit.trusted_kl, _FAR, _FAR_CHANCE))
    by_reward = replace(pool, known=np.zeros_like(pool.known))
    found = ""
    for one in (by_reward, pool) if pool.known[1:].any() else (by_reward,):
        weights = np.exp(log_weights(one, pool.origin >= 0))
        for kl, share, chance in tests:
            tilt = float(limit.curve.at_kl(kl).tilt)
            if np.isinf(tilt):  # the best rewards alone, of which no mean is left to compare
                continue
            tilted = _tilted(pool, weights, tilt)
            missing = _missing(pool, *tilted)
            mean = float(missing.mean())
            error = max(float(missing.std(ddof=1)) / len(missing) ** 0.5, 1e-12)
            wrong, errors = abs(mean), chance
            if mean < 0 and kl > 0:  # the base's own samples may have missed its best
                errors = _FAR_CHANCE if kl <= _NEAR[-1][0] else np.inf
            if wrong <= max(share, errors * error):
                continue
            if mean < 0 or _knows(pool, tilted[1]):
                return (
                    "base and policy samples disagree where both can tell (the policy's show "
                    f"{100 * wrong:.1f} % too {'little' if mean > 0 else 'much'} of the base at "
                    f"{kl:.2g} nats, {wrong / error:.1f} standard errors): either the policy never "
                    "draws a part of what the base draws, or its samples are not from the law that "
                    "scored them"
                )
            found = _FAR_AWAY
    return found


def _tilted(pool: Pool, weights: Floats, tilt: float) -> tuple[Floats, Floats]:
    """(prompts, width) ``e^(tilt r)`` over that of the prompt's best, and the same times the weights."""
    top = np.where(pool.origin >= 0, pool.rewards, -np.inf).max(axis=1, keepdims=True)
    found = np.exp(tilt * np.minimum(pool.rewards - top, 0.0))
    return found, weights * found


def _missing(pool: Pool, tilted: Floats, pooled: Floats) -> Floats:
    """(prompts,) by what share the base's own ``E e^(tilt r)`` exceeds the pooled one."""
    ours = pool.origin == 0
    alone = np.where(ours, tilted, 0.0).sum(axis=1) / ours.sum(axis=1)
    found: Floats = alone / pooled.sum(axis=1) - 1
    return found


def _knows(pool: Pool, pooled: Floats) -> bool:
    """Whether what the policies' samples show too little of the base is no matter of their number.

    Two things let a sound policy hide a part of the base. Heavy weights: by the tail index of the largest
    (Hill, Annals of Statistics 3, 1975) they have no mean that samples would come to know. And rewards
    that the base reaches by answers that the policy has left, whose top stays unseen.
    """
    theirs = pool.origin > 0
    scaled = pooled / pooled.sum(axis=1, keepdims=True) * theirs.sum(axis=1, keepdims=True)
    return _tail_index(scaled[theirs]) < _HEAVY and _rises(pool)


def _tail_index(weights: Floats) -> float:
    """Mean of the logarithm of the largest over the least of them, as many as PSIS takes."""
    seen = np.sort(weights[weights > 0])[::-1]
    number = int(min(0.2 * len(seen), 3 * len(seen) ** 0.5))
    return float(np.log(seen[:number] / seen[number]).mean()) if number else float("inf")


def _rises(pool: Pool) -> bool:
    """Whether the policies' log-ratios rise with the reward, beyond two standard errors."""
    products = np.zeros(len(pool.rewards))
    for k in range(1, pool.states):
        drawn = pool.origin == k
        x, y = (centred(values, drawn) for values in (pool.rewards, pool.log_ratios[k]))
        products += (x * y).sum(axis=1)
    error = float(products.std(ddof=1) / np.sqrt(len(products)))
    return float(products.mean()) > 2 * error


def spread(pool: Pool, weights: Floats) -> float:
    """How far above their mean the policies' rewards go, over how far the best policy's do.

    Root mean squares of what lies above a prompt's mean, the best policy that of the same mean. Next to 0
    for a policy that always answers alike: it leaves the top of the rewards to the few that the base
    has there.
    """
    theirs = pool.origin > 0
    number = theirs.sum(axis=1)
    use = number > 1
    mean = np.where(theirs, pool.rewards, 0.0).sum(axis=1) / np.maximum(number, 1)
    above = np.maximum(np.where(theirs, pool.rewards - mean[:, None], 0.0), 0.0)
    square = (above**2).sum(axis=1)
    own = float((square[use] / (number[use] - 1)).mean()) if use.any() else 0.0
    there = weights[use] > 0
    rewards = np.where(there, pool.rewards[use], 0.0)
    top = np.where(there, rewards, -np.inf).max(axis=1, keepdims=True)

    def tilted(tilt: float) -> tuple[float, float]:
        share = np.where(there, weights[use] * np.exp(tilt * np.minimum(rewards - top, 0.0)), 0.0)
        share /= share.sum(axis=1, keepdims=True)
        first = (share * rewards).sum(axis=1)
        above = np.maximum(rewards - first[:, None], 0.0)
        return float(first.mean()), float((share * above**2).sum(axis=1).mean())

    low, high = 0.0, 1.0
    while tilted(high)[0] < mean[use].mean() and high < _STEEP:
        high *= 2.0
    for _ in range(20):
        middle = (low + high) / 2
        low, high = (middle, high) if tilted(middle)[0] < mean[use].mean() else (low, middle)
    best = tilted(high)[1]
    return (own / best) ** 0.5 if best > 0 else 1.0


def collapse(bridge: Bridge, curve_kl: Floats) -> float:
    """KL at which the pooled weights rest on too few samples; `curve_kl` is that of each tilt."""
    few = bridge.entropy.mean(axis=0) < ENTROPY
    return float(curve_kl[int(few.argmax())]) if few.any() else float(curve_kl[-1])


def unsolved(log_mgf: Floats, room: Floats, chance: Floats, grid: Grid, kl: Floats) -> Floats:
    """How much more could be gained, over the gain, if each unsolved prompt had one success hidden.

    Parameters
    ----------
    log_mgf : (tilts,) mean centred log-mgf
    room : (prompts,) from the mean to the best possible reward, 0 where that was seen
    chance : (prompts,) that a draw of the base is a success, about
    """
    hidden = log_mgf_of_rate(chance[:, None], grid.tilts * room[:, None]).mean(axis=0)
    gain, more = (front(x[None], grid, kl).gain[0] for x in (log_mgf, log_mgf + hidden))
    found: Floats = np.maximum(more - gain, 0.0) / np.maximum(gain, 1e-300)
    return found


def doubted(bands: Bands, hidden: Floats, wall: float, *, two_levels: bool) -> Bands:
    """With further doubt in trust and limits.

    Parameters
    ----------
    hidden : what unsolved prompts may add, as a share of the gain
    wall : nats at which trust must end
    two_levels : half the correction may then be wrong, either way: prompts with one success are
        corrected too much, those with none not at all
    """
    shaky = np.hypot(bands.doubt, 0.5 * hidden)
    trusted = edge_of_trust(bands.kl, shaky, min(wall, bands.trusted_kl))
    slack = 0.5 * (bands.gain - bands.plugin) if two_levels else np.zeros(len(shaky))
    low = np.maximum(bands.gain - np.hypot(bands.gain - bands.low, slack), 0.0)
    high = bands.gain + np.hypot(bands.high - bands.gain, np.hypot(slack, hidden * bands.gain))
    return replace(bands, doubt=shaky, low=low, high=high, trusted_kl=trusted)
