"""Where a gap comes from: KL spent on the wrong prompts, and the wrong shape within prompts.

Another allocation of the same KL would gain ``G(mean K_x) - mean G_x(K_x)``, a better policy of each
prompt's own KL ``mean [G_x(K_x) - gain_x]``. With beta and ``L_x`` the slope and the log-partition at
the policy's mean KL, the first is the mean of

    ``A_x(K_x) = beta (K_x + L_x) - G_x(K_x)``,

which is 0 where a prompt spends what the optimum spends on it, ``K*_x``, and about quadratic around
it. So noise in `K_x` passes for a loss: with 4 samples a prompt, a policy without any shows a tenth
of its gain. What is averaged is therefore ``A_x`` over ``(K_x - K*_x)^2`` times an estimate of that
square without noise: the product of the KL of two halves of the samples, averaged over all halves,
which is ``(K_x - K*_x)^2 - variance / samples``. Few samples of the base act alike, through `K*_x`;
their part is seen by halving them, and taken off.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from klimit._estimate import Estimate
from klimit.audit.case import Case, common_rank, ordered
from klimit.audit.measure import NUMBERS
from klimit.audit.result import Audit, missing
from klimit.audit.spent import FEWEST
from klimit.estimate.best_of_n.own_spending import own_front
from klimit.estimate.intervals import leave_out_error, quantiles
from klimit.estimate.kernel import Floats, Grid
from klimit.estimate.members import front, with_left_out
from klimit.estimate.samples import Samples
from klimit.estimate.shape import log_mean
from klimit.estimate.statistics import shuffled

_BASE = 16  # samples of the base: with 8, three intervals in four hold the truth
_NEAR = 0.1  # share of K*_x at which the bend of A_x is read, where K_x is nearer than that


def split(case: Case, values: Audit) -> tuple[Estimate, Estimate]:
    """Allocation and shape, which add up to the gap; or why they cannot be told."""
    level = case.limit.settings.level
    reason = _why_not(case)
    if reason:
        return missing(reason, level), missing(reason, level)
    members, samples = case.members, case.limit.samples
    grid = members.grid
    found = front(members.plugin, grid, np.array([case.spent]))
    tilt, together = float(found.tilt[0]), float(found.gain[0])
    whole = _Law(_log_mgf(samples, grid), samples.tops, grid)
    loss = _losses(case, whole, tilt)
    halves = [_losses(case, law, tilt) for law in _halves(case, grid)]
    fewer = np.mean(halves, axis=0)
    best = case.best.value
    corrected = (2 * loss - fewer) * best / together
    allocation = ordered(corrected)
    gap = values.gap_reward.value
    noise = best / together * (ordered(_losses(case, whole, tilt, raw=True)) - ordered(loss))
    added = allocation - ordered(loss) * best / together
    # what single prompts gain is low at every sample size, and a loss too large, as in `around`
    doubt = [
        np.hypot(0.4 * noise, share * added) for share in (0.5 + 3 * case.limit.tail.long, 0.5)
    ]
    error = _errors(case, corrected)
    chance = quantiles(level, int((members.weights > 0).sum()))[0] * error
    below, above = (np.hypot(chance, x) for x in doubt)
    trusted, note = bool(values.limit.trusted), values.limit.note
    shape = gap - allocation
    return (
        Estimate(allocation, allocation - below[0], allocation + above[0], level, trusted, note),
        Estimate(shape, shape - above[1], shape + below[1], level, trusted, note),
    )


def _why_not(case: Case) -> str:
    policy = case.policy
    if case.limit.members is None:
        return "nothing can be gained on these prompts"
    if not case.paired:
        return "base and policy are not compared prompt by prompt: the gap is not split"
    if case.kl is None or policy.kl is None or policy.kl_variance is None:
        return "the policy's KL is not known by prompt: the gap is not split"
    few = (policy.counts < FEWEST) | np.isnan(policy.kl_variance)
    if few.mean() > 0.1:
        return (
            f"fewer than {FEWEST} policy samples a prompt with log-probabilities: noise in each "
            "prompt's KL would pass for a loss by allocation"
        )
    if np.median(case.limit.samples.counts) < _BASE:
        return (
            f"fewer than {_BASE} base samples a prompt: what single prompts could gain is not known well "
            "enough to split the gap"
        )
    if not case.limit.alone:
        return (
            "the policy's samples carry the limit to its KL: what single prompts could gain there is "
            "not known well enough to split the gap"
        )
    if not case.kl.value > 0:
        return "the policy spends no KL: there is nothing to allocate"
    return ""


@dataclass(frozen=True)
class _Law:
    """The law of the samples: centred log-mgf (prompts, tilts) and best reward of each prompt."""

    log_mgf: Floats
    tops: Floats
    grid: Grid

    def gain(self, kl: Floats) -> Floats:
        """(prompts,) what each prompt could gain with a KL of its own."""
        found = np.minimum(own_front(self.log_mgf, self.grid, kl), self.tops)
        return np.where((kl > 0) & (self.tops > 0), np.maximum(found, 0.0), 0.0)

    def at(self, tilt: float) -> tuple[Floats, Floats]:
        """(prompts,) log-partition and KL of each at one tilt, straight between the grid's."""
        logs = np.log(self.grid.tilts)
        place = int(np.clip(np.searchsorted(logs, np.log(tilt)) - 1, 0, len(logs) - 2))
        share = (np.log(tilt) - logs[place]) / (logs[place + 1] - logs[place])
        below, above = self.log_mgf[:, place], self.log_mgf[:, place + 1]
        value = below + share * (above - below)
        slope = (above - below) / (logs[place + 1] - logs[place])  # tilt times the gain
        return value, np.maximum(slope - value, 0.0)


def _losses(case: Case, law: _Law, tilt: float, *, raw: bool = False) -> Floats:
    """(prompts,) loss by allocation, without noise in the mean; `raw`: with it."""
    policy = case.policy
    assert policy.kl is not None
    assert policy.kl_variance is not None
    log_partition, best = law.at(tilt)
    off = policy.kl - best
    noise = np.nan_to_num(policy.kl_variance / policy.counts)
    if raw:
        noise, trust = np.zeros_like(noise), np.ones_like(noise)
    else:
        spread = max(ordered(off**2 - noise), 0.0)  # of true differences from the optimum
        trust = spread / np.maximum(spread + noise, 1e-300)
    near = np.maximum(_NEAR * best, 1e-6)
    step = trust * off
    step = np.where(np.abs(step) < near, np.where(step < 0, -near, near), step)
    at = np.maximum(best + step, 0.0)
    step = np.where(at > 0, step, -best)
    away = np.abs(step) > 0
    loss = np.maximum((at + log_partition) / tilt - law.gain(at), 0.0)
    bend = np.where(away, loss / np.where(away, step, 1.0) ** 2, 0.0)
    found: Floats = bend * (off**2 - noise)
    return found


def _errors(case: Case, losses: Floats) -> Floats:
    """Standard errors of allocation and shape, each group of prompts left out of all parts."""
    members, rank = case.members, common_rank(case)
    left = case.left(rank)[0].numbers(members.grid)
    group = rank % len(members.weights)
    sums = np.bincount(group, losses, minlength=len(members.weights))
    number = np.bincount(group, minlength=len(members.weights))
    allocation = with_left_out((sums / number)[:, None], members.weights)[:, 0]
    at = NUMBERS.index("gap_reward")
    parts = np.stack([allocation[1:], left[at] - allocation[1:]], axis=1)
    whole = np.array([allocation[0], case.numbers()[at] - allocation[0]])
    error: Floats = leave_out_error(parts, whole, members.weights)
    return error


def _log_mgf(samples: Samples, grid: Grid) -> Floats:
    out = np.empty((samples.prompts, len(grid.tilts)))
    for block in samples.blocks:
        out[block.prompts] = log_mean(block.rewards, grid, block.counts)
    return out


def _halves(case: Case, grid: Grid) -> list[_Law]:
    """The laws of two random halves of every prompt's samples, each about its own mean."""
    samples, rank = case.limit.samples, common_rank(case)
    log_mgf = np.empty((2, samples.prompts, len(grid.tilts)))
    tops = np.empty((2, samples.prompts))
    for block in samples.blocks:
        rng = np.random.default_rng([case.limit.settings.seed, 13, block.rewards.shape[1]])
        rows = np.argsort(rank[block.prompts])  # the policy tells prompts of equal rewards apart
        prompts, dealt = block.prompts[rows], shuffled(block.rewards[rows], rng)
        place, half = np.arange(dealt.shape[1]), (block.counts[rows] // 2)[:, None]
        for side, low in enumerate((0 * half, half)):
            own = (place >= low) & (place < low + half)
            mean = np.where(own, dealt, 0.0).sum(axis=1, keepdims=True) / half
            part = np.where(own, dealt - mean, -np.inf)
            tops[side, prompts] = part.max(axis=1)
            log_mgf[side, prompts] = log_mean(part, grid, half[:, 0])
    return [_Law(log_mgf[side], tops[side], grid) for side in (0, 1)]
