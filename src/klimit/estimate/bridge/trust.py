"""How far a bridge holds: whether its ends meet, and where its weights collapse."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from klimit.estimate.bands import Bands, edge_of_trust
from klimit.estimate.bridge.draws import Pool
from klimit.estimate.bridge.sums import Bridge
from klimit.estimate.bridge.weights import log_weights
from klimit.estimate.intervals import DOUBT
from klimit.estimate.kernel import Floats, Grid
from klimit.estimate.members import front

if TYPE_CHECKING:
    from klimit.estimate.result import Frontier

ENTROPY = 2.0  # nats: below, fewer than 7.4 samples a prompt carry the answer
_NEAR = 0.25  # nats that the base can always tell something about
_ERRORS = (3.2, 4.0, 4.0)  # standard errors that are no chance, at each of three tilts,
_MATTERS = (0.012, 0.03, 0.03)  # and shares of the base that matter


def why_refused(pool: Pool, limit: Frontier) -> str:
    """In words, why policy and base samples do not belong together; empty where they do.

    The base alone tells ``E_base e^(tilt r)`` at small tilts, and the pooled samples must tell the
    same. They do not if the policy's samples are not from the law that its log-probabilities speak of
    (another temperature, top-p, an older checkpoint), or if it never draws a part of what the base
    draws. Shares by the reward are the ones that show the latter: they ask of the policy all that
    the base has at a reward, where shares by log-ratios ask for what the policy says it has.
    """
    reach = max(limit.trusted_kl if np.isfinite(limit.trusted_kl) else _NEAR, _NEAR)
    tilts = [float(limit.curve.at_kl(kl).tilt) for kl in (0.0, reach / 2, reach)]
    by_reward = replace(pool, known=np.zeros_like(pool.known))
    for one in (by_reward, pool) if pool.known[1:].any() else (by_reward,):
        weights = np.exp(log_weights(one, pool.origin >= 0))
        for tilt, errors, matters in zip(tilts, _ERRORS, _MATTERS, strict=True):
            missing = _missing(pool, weights, tilt)
            mean = float(missing.mean())
            error = float(missing.std(ddof=1)) / len(missing) ** 0.5
            wrong = mean if tilt else abs(mean)  # further out the base may itself miss its best
            if wrong > max(matters, errors * error):
                return (
                    "base and policy samples disagree where both can tell (the policy's show "
                    f"{100 * wrong:.1f} % too {'little' if mean > 0 else 'much'} of the base, "
                    f"{wrong / error:.1f} standard errors): either the policy never draws a part of "
                    "what the base draws, or its samples are not from the law that scored them"
                )
    return ""


def _missing(pool: Pool, weights: Floats, tilt: float) -> Floats:
    """(prompts,) by what share the base's own ``E e^(tilt r)`` exceeds the pooled one."""
    top = np.where(pool.origin >= 0, pool.rewards, -np.inf).max(axis=1, keepdims=True)
    tilted = np.exp(tilt * np.minimum(pool.rewards - top, 0.0))
    ours = pool.origin == 0
    alone = np.where(ours, tilted, 0.0).sum(axis=1) / ours.sum(axis=1)
    found: Floats = alone / (weights * tilted).sum(axis=1) - 1
    return found


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
    tilts = grid.tilts
    room, chance = room[:, None], chance[:, None]
    hidden = np.logaddexp(np.log1p(-chance), np.log(chance) + tilts * room) - tilts * room * chance
    hidden = np.where(room > 0, hidden, 0.0).mean(axis=0)
    gain, more = (front(x[None], grid, kl).gain[0] for x in (log_mgf, log_mgf + hidden))
    found: Floats = np.maximum(more - gain, 0.0) / np.maximum(gain, 1e-300)
    return found


def doubted(bands: Bands, extra: Floats, wall: float) -> Bands:
    """With further doubt, as a share of the gain, in trust and in the upper limit."""
    shaky = np.hypot(bands.doubt, 0.5 * extra)
    unsure = (shaky > DOUBT) | (bands.kl > wall) | (bands.kl > bands.trusted_kl)
    first = int(unsure.argmax()) if unsure.any() else len(shaky)
    trusted = edge_of_trust(bands.kl, shaky, first, min(wall, bands.trusted_kl))
    high = bands.gain + np.hypot(bands.high - bands.gain, extra * bands.gain)
    return replace(bands, doubt=shaky, high=high, trusted_kl=trusted)
