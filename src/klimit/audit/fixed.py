"""Errors for these very prompts: what another draw of the samples, not of the prompts, would move.

To first order a number moves with the policy's samples by its slopes in gain and KL (which move
together: an answer that the policy likes has a high log ratio, and mostly a high reward), and with the
base's by ``w_i - 1`` (the weight of the tilt over its mean): in ``gap = min over tilts of (kl + log E
exp(tilt r)) / tilt - E reward`` the base's mean drops out. Nats from the optimum are the gap times that
tilt, which moves as well: by what the policy's KL moves less what the KL at the old tilt does, over tilt
times the variance of the tilted reward.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from klimit.audit.case import Case
from klimit.audit.measure import NUMBERS, Reach
from klimit.estimate.intervals import normal
from klimit.estimate.kernel import Floats
from klimit.estimate.samples import Integers, Samples, ordered_mean
from klimit.estimate.tilted import redrawn_gain, tilt_prompts

if TYPE_CHECKING:
    from numpy.typing import NDArray

_TINY = 1e-12  # nats


@dataclass(frozen=True)
class _Slopes:
    """How the `NUMBERS` of a case move with what they are made of.

    Attributes
    ----------
    case : whose they are
    parts : (numbers, 4) in the policy's reward, its KL, the limit at its KL, the limit at the least KL
    tilts : of the limit at the KL and at the least KL
    bends : (numbers,) how often the KL at the first tilt counts
    corrections : (2,) errors that the frontier's correction adds to both limits
    """

    case: Case
    parts: Floats
    tilts: tuple[float, float]
    bends: Floats
    corrections: Floats

    def own(self, i: int) -> Floats:
        """(prompts,) variance of a prompt's part by the policy's samples."""
        policy, (reward, spent, _, _) = self.case.policy, self.parts[i]
        joint = 0.0 if policy.covariance is None else policy.covariance
        noise = 0.0 if self.case.joint_kl is None else policy.kl_variance
        assert noise is not None
        found = reward**2 * policy.variance + spent**2 * noise + 2 * reward * spent * joint
        each: Floats = np.maximum(found, 0.0) / policy.counts
        return each

    def by_base(self, i: int, rewards: Floats, counts: Integers) -> Floats:
        """(prompts, samples) how far each base sample moves a prompt's part.

        It moves the limit by ``(w - 1) / tilt - x``, the base's mean by ``x``, and the KL at this tilt
        by ``tilt w (x - mean of w x) - (w - 1)``.
        """
        inside = rewards > -np.inf
        x = np.where(inside, rewards, 0.0)
        move: Floats = -self.parts[i, 0] * x
        for share, at in zip(self.parts[i, 2:], self.tilts, strict=True):
            if share and at > 0:
                weight = np.where(inside, np.exp(at * (x - x[:, -1:])), 0.0)
                ratio = weight * (counts / weight.sum(axis=1))[:, None]
                move = move + share * np.where(inside, (ratio - 1) / at - x, 0.0)
                if self.bends[i]:  # of the nats, which have no other tilt
                    far = x - ((ratio * x).sum(axis=1) / counts)[:, None]
                    bent = np.where(inside, at * ratio * far - (ratio - 1), 0.0)
                    move = move + self.bends[i] * bent
        return move


def narrowed(case: Case, full: Floats, drawn: Reach) -> Reach:
    """Reaches for fixed prompts; those for drawn prompts stand where samples cannot tell."""
    if not _shown(case):
        return drawn
    reached = normal(case.limit.settings.level) * _error(_slopes(case, full))
    reached = np.where(_of_base(case), reached, np.inf)
    # samples are a part of what prompts vary by, so fixed prompts are never known less well
    return Reach(np.minimum(drawn.below, reached), np.minimum(drawn.above, reached))


def narrowed_apart(a: Case, b: Case, full: tuple[Floats, Floats], drawn: Reach) -> Reach:
    """The same of differences `a` - `b` on one base, whose samples move both; least KLs for roots."""
    if not (_shown(a) and _shown(b) and _same(a.limit.samples, b.limit.samples)):
        return drawn
    found = [_slopes(case, one) for case, one in zip((a, b), full, strict=True)]
    # the least KL is half the square of its root, and moves by as many times the root
    root = np.array([name == "root" for name in NUMBERS])
    found = [
        replace(one, parts=one.parts * np.where(root, np.maximum(at, 0.0), 1.0)[:, None])
        for one, at in zip(found, full, strict=True)
    ]
    reached = normal(a.limit.settings.level) * _error(*found)
    # a policy against itself differs by nothing
    use = _of_base(a) & _of_base(b) & (drawn.above > 0)
    return Reach(*(np.where(use, reached, far) for far in (drawn.below, drawn.above)))


def _shown(case: Case) -> bool:
    """Whether the samples of every prompt show how much others would differ."""
    policy = case.policy
    if case.joint_kl is not None:
        noise = policy.kl_variance
        if noise is None or not np.isfinite(noise).all():
            return False
    return not bool((policy.counts < 2).any())


def _of_base(case: Case) -> NDArray[np.bool_]:
    """(numbers,) whether policies' samples count in no limit of theirs."""
    return np.isin(NUMBERS, ("gain", "kl")) | case.limit.alone


def _same(one: Samples, other: Samples) -> bool:
    pairs = list(zip(one.blocks, other.blocks, strict=False))
    return one is other or (
        len(one.blocks) == len(other.blocks)
        and all(np.array_equal(x.prompts, y.prompts) for x, y in pairs)
        and all(np.array_equal(x.rewards, y.rewards) for x, y in pairs)
    )


def _error(one: _Slopes, less: _Slopes | None = None) -> Floats:
    """(numbers,) standard errors of the numbers, or of their differences from those of `less`."""
    samples = one.case.limit.samples
    error = np.zeros(len(NUMBERS))
    for i in range(len(NUMBERS)):
        own, added = one.own(i), one.parts[i, 2:] * one.corrections
        if less is not None:
            own, added = own + less.own(i), added - less.parts[i, 2:] * less.corrections
        ours = np.zeros(samples.prompts)
        for block in samples.blocks:
            counts = block.counts.astype(float)
            move = one.by_base(i, block.rewards, counts)
            if less is not None:
                move = move - less.by_base(i, block.rewards, counts)
            ours[block.prompts] = (move**2).sum(axis=1) / (counts - 1) / counts
        error[i] = np.sqrt(ordered_mean(own + ours, samples) / samples.prompts + (added**2).sum())
    return error


def _slopes(case: Case, full: Floats) -> _Slopes:
    limit = case.limit
    samples = limit.samples
    at = dict(zip(NUMBERS, full.tolist(), strict=True))
    kl = 0.0 if case.kl is None else case.spent
    beta, best = _slope(case, kl), at["limit"]
    won = at["gain"] > 0
    # a loss is as far from 0 as the gain of that size; at 0 the root still has a slope
    least = float(case.least.value if won else limit.curve.at_gain(np.array(-at["gain"])).kl)
    least = max(least, _TINY)
    slope = _slope(case, least)
    share = best if best > 0 else np.inf
    turn = at["gap_reward"] * _turn(samples, _tilt(beta))
    rise = 1 / (slope * np.sqrt(2 * least)) if slope > 0 and least < np.inf else 0.0
    slopes = {
        "gain": (1.0, 0.0, 0.0, 0.0),
        "kl": (0.0, 1.0, 0.0, 0.0),
        "limit": (0.0, beta, 1.0, 0.0),
        "efficiency": (1 / share, -at["gain"] * beta / share**2, -at["gain"] / share**2, 0.0),
        "gap_reward": (-1.0, beta, 1.0, 0.0),
        "gap_nats": (-1 / beta, 1.0 + turn, 1 / beta, 0.0) if beta > 0 else (0.0, 0.0, 0.0, 0.0),
        "root": (rise, 0.0, 0.0, -rise if won else rise),
        "excess": (-1 / slope, 1.0, 0.0, 1 / slope) if won and slope > 0 else (0.0, 1.0, 0.0, 0.0),
    }
    errors = [_correction_error(case, *pair) for pair in ((kl, beta), (least, slope))]
    return _Slopes(
        case,
        np.nan_to_num([slopes[name] for name in NUMBERS]),
        (_tilt(beta), _tilt(slope)),
        np.nan_to_num(np.where(np.equal(NUMBERS, "gap_nats"), -turn, 0.0)),
        np.sqrt(errors),
    )


def _slope(case: Case, kl: float) -> float:
    if not 0 < kl < np.inf:
        return 0.0
    beta = float(case.limit.beta(kl).value)
    return beta if np.isfinite(beta) else 0.0


def _tilt(beta: float) -> float:
    return 1 / beta if beta > 0 else 0.0


def _turn(samples: Samples, tilt: float) -> float:
    """How much another nat moves the tilt that spends it."""
    variance = ordered_mean(tilt_prompts(samples, tilt).variance, samples)
    return float(1 / (tilt * variance)) if tilt * variance > 0 else 0.0


def _correction_error(case: Case, kl: float, beta: float) -> float:
    """Variance that the correction of the frontier adds to that of its samples."""
    if not (0 < kl < np.inf and beta > 0):
        return 0.0
    limit = case.limit
    value = float(limit.gain(kl).value)
    whole = value * float(limit.bands.share(limit.bands.error, np.asarray(kl)))
    return max(whole**2 - redrawn_gain(limit.samples, 1 / beta), 0.0)
