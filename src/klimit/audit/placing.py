"""From what is known of a policy, prompt by prompt, to where it stands: values, intervals, trust."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from klimit._estimate import Estimate
from klimit.audit import wording
from klimit.audit.case import Case
from klimit.audit.measure import NUMBERS, Reach, reach, with_sign
from klimit.audit.placement import difference
from klimit.audit.result import Audit, missing
from klimit.estimate.best_of_n.prompt_means import mean_of_prompts
from klimit.estimate.kernel import Floats
from klimit.estimate.members import Members, front

if TYPE_CHECKING:
    from klimit.estimate.result import Frontier


Reached = dict[str, tuple[float, float]]
"""How far below and above its estimate each of the `NUMBERS` may lie."""


def placed(case: Case) -> Audit:
    """Place a policy whose rewards are known prompt by prompt."""
    limit, level = case.limit, case.limit.settings.level
    if limit.members is None:
        return _on_nothing(case)
    full = case.numbers()
    spread, slack = joint_reach(case, full), biases(case, full)
    ends = np.hypot([spread.below, spread.above], np.array([slack[name] for name in NUMBERS]).T)
    reached = dict(zip(NUMBERS, zip(*ends.tolist(), strict=True), strict=True))
    gain = _around(case.gain, reached["gain"], level)
    least = _least(case, gain, reached["root"])
    if case.kl is None:
        no = missing(wording.NO_KL, level)
        return Audit(no, gain, no, no, no, no, least, no)
    best, gap = case.best, case.best.value - case.gain
    if best.trusted:
        below, above = reached["limit"]
        low, high = max(best.value - below, 0.0), min(best.value + above, limit.cap_limit())
        best = replace(best, low=low, high=high, level=level)
    return Audit(
        case.kl, gain, best, _efficiency(case, gain, best, reached["efficiency"]),
        _around(gap, reached["gap_reward"], level, trusted=bool(best.trusted), note=best.note),
        _nats(case, gap, best, reached["gap_nats"]), least, _excess(case.kl, least, reached["excess"]),
    )  # fmt: skip


def biases(case: Case, full: Floats) -> Reached:
    """How far each number may lie below and above for what the frontier's correction may be off.

    Pairing prompts does not remove this part: it is the frontier's own, as its interval has it.
    """
    limit = case.limit
    found = dict.fromkeys(NUMBERS, (0.0, 0.0))
    least = case.least.value
    slope = float(limit.beta(least).value) if 0 < least < np.inf else 0.0
    if slope > 0:
        best = limit.gain(least)
        low, high = _relative_bias(limit, best, least)
        down, up = high * best.value / slope, low * best.value / slope
        root = np.sqrt(2 * least)
        found["root"], found["excess"] = (down / root, up / root), (up, down)
    if case.kl is None:
        return found
    spent, best = case.spent, case.best
    low, high = _relative_bias(limit, best, spent)
    down, up = low * best.value, high * best.value
    found["limit"] = found["gap_reward"] = (down, up)
    share = abs(case.gain) / best.value if best.value > 0 else 0.0
    reach_ = (
        share * (high / (1 + high) if np.isfinite(high) else 1.0),
        share * low / max(1 - low, 0.05),
    )
    found["efficiency"] = reach_ if full[NUMBERS.index("gain")] >= 0 else reach_[::-1]
    slope = case.beta.value
    if 0 < slope < np.inf:
        nats = (best.value - case.gain) / slope
        turn = 0.3 * abs(nats) * _beta_correction(case.members, spent)
        found["gap_nats"] = float(np.hypot(down / slope, turn)), float(np.hypot(up / slope, turn))
    return found


def joint_reach(case: Case, full: Floats) -> Reach:
    """Sampling errors of all numbers, with what is said of a KL that was not measured here."""
    limit = case.limit
    sides = [(left.numbers(case.members.grid), left.weights) for left in case.left()]
    found = reach(full, sides, limit.settings.level)
    if limit.settings.prompts == "fixed" and case.paired:
        from klimit.audit.fixed import narrowed

        found = narrowed(case, full, found)
    if case.kl is None:
        return found
    ends = np.array([case.kl.low, case.kl.high], dtype=float)
    ends = np.where(np.isfinite(ends), ends, [0.0, case.kl.value])
    moved = np.nan_to_num(case.numbers_at(np.full(2, case.gain), ends) - full[:, None])
    less, more = np.maximum(-moved.min(axis=1), 0.0), np.maximum(moved.max(axis=1), 0.0)
    if case.joint_kl is None:
        _open(case, case.kl, full, less, more)
        return Reach(np.hypot(found.below, less), np.hypot(found.above, more))
    # The limit starts as a root of the KL: groups left out of a KL about 0 do not move it as far.
    at, gap = NUMBERS.index("limit"), NUMBERS.index("gap_reward")
    below, above = found.below.copy(), found.above.copy()
    below[at], above[at] = max(below[at], less[at]), max(above[at], more[at])
    if not case.spent > 0:
        above[gap] = np.hypot(above[gap], more[at])
    return Reach(below, above)


def _open(case: Case, kl: Estimate, full: Floats, less: Floats, more: Floats) -> None:
    """Open the ends that a stated KL leaves open: it may lie beyond what samples show, or be 0."""
    share, won = NUMBERS.index("efficiency"), case.gain >= 0
    if not case.limit.gain(np.fmax(kl.high, 0.0)).trusted:
        more[np.isin(NUMBERS, ("limit", "gap_reward", "gap_nats"))] = np.inf
        (less if won else more)[share] = abs(np.nan_to_num(full[share]))
    if kl.low <= 0 < case.spent:
        (more if won else less)[share] = np.inf
    if kl.high == np.inf:
        more[NUMBERS.index("excess")] = np.inf


def _least(case: Case, gain: Estimate, reached: tuple[float, float]) -> Estimate:
    """The least KL that buys the gain, with the errors of both.

    In ``sqrt(2 KL)`` the errors are about symmetric, also for gains that are hardly above 0.
    """
    limit, found = case.limit, case.least
    value = found.value
    if not found.trusted or not np.isfinite(value):
        low, high = limit.kl(gain.low).low, limit.kl(gain.high).high
        return Estimate(value, low, high, found.level, found.trusted, found.note)
    root = float(np.sqrt(2 * value))
    if gain.value <= 0:  # the root of a loss is negative
        root = -float(np.sqrt(2 * limit.curve.at_gain(abs(gain.value)).kl))
        root = root if np.isfinite(root) else -np.inf
    below, above = reached
    low_kl, high_kl = (max(end, 0.0) ** 2 / 2 for end in (root - below, root + above))
    if not high_kl <= limit.bands.kl[-1]:  # past all that any sample shows
        high_kl = np.inf
    return Estimate(value, min(low_kl, value), max(high_kl, value), found.level, True, found.note)


def _efficiency(
    case: Case, gain: Estimate, best: Estimate, reached: tuple[float, float]
) -> Estimate:
    if not best.value > 0:
        return missing(_no_share(best), best.level)
    note = best.note if best.trusted else wording.UPPER
    value = case.gain / best.value
    found = _around(value, reached, best.level, trusted=bool(best.trusted), note=note)
    low, high = with_sign(gain, found.low, found.high)
    found = replace(found, low=float(low), high=float(high))
    if found.trusted and wording.surely_above(found.value, found.low, 1.0):
        return replace(found, trusted=False, note=wording.IMPOSSIBLE)
    return found


def _nats(case: Case, gap: float, best: Estimate, reached: tuple[float, float]) -> Estimate:
    level, slope = best.level, case.beta.value
    if not slope > 0:
        return missing(wording.flat(case.limit, case.spent), level)
    if not np.isfinite(slope):
        return missing(_no_share(best), level)
    found = _around(gap / slope, reached, level, trusted=bool(best.trusted), note=best.note)
    below_0 = wording.surely_above(-found.value, -found.high, 0.0)  # which no divergence is
    if found.trusted and below_0:
        return replace(found, trusted=False, note=wording.IMPOSSIBLE)
    return found


def _no_share(best: Estimate) -> str:
    return wording.ABOUT_ZERO if best.high > 0 else wording.NO_SHARE


def _excess(kl: Estimate, least: Estimate, reached: tuple[float, float]) -> Estimate:
    value = kl.value - least.value
    if not np.isfinite(value):
        return missing(least.note, kl.level)
    if not least.trusted:
        low, high = kl.low - least.high, kl.high - least.low
        return Estimate(value, low, high, kl.level, False, least.note)
    return _around(value, reached, kl.level, note=least.note)


def _beta_correction(members: Members, kl: float) -> float:
    """How far the correction turned the slope, as a logarithm."""
    at = np.array([max(kl, 1e-6)])
    plain, chosen = (front(x, members.grid, at).tilt[0] for x in (members.plugin, members.chosen))
    return float(abs(np.log(plain / chosen)))


def _relative_bias(limit: Frontier, best: Estimate, kl: float) -> tuple[float, float]:
    """How far below and above, over the gain, the frontier may lie beyond its sampling error."""
    value = best.value
    if not value > 0:
        return 0.0, 0.0
    bands, at = limit.bands, np.asarray(kl)
    below, above = (float(bands.share(x, at)) for x in (bands.below, bands.above))
    return _beyond(1 - best.low / value, below), _beyond(best.high / value - 1, above)


def _beyond(reach_: float, own: float) -> float:
    if not np.isfinite(reach_):
        return float("inf")
    return float(np.sqrt(max(reach_**2 - own**2, 0.0))) if np.isfinite(own) else 0.0


def _on_nothing(case: Case) -> Audit:
    """Every prompt of the base is constant: nothing can be gained there, at any KL."""
    limit = case.limit
    level = limit.settings.level
    differences = case.policy.reward - (limit.samples.means if case.paired else limit.base_reward)
    gain = mean_of_prompts(differences[None], level)[0]
    least = limit.kl(gain.value)
    if case.kl is None:
        unknown, nothing = (missing(why, level) for why in (wording.NO_KL, wording.NO_SHARE))
        return Audit(unknown, gain, unknown, nothing, unknown, nothing, least, unknown)
    best = limit.gain(case.spent)
    nothing = missing(wording.UNSEEN_GAIN if best.high > 0 else wording.NO_SHARE, level)
    excess = difference(case.kl, least)
    if not np.isfinite(excess.value):
        excess = missing(least.note, level)
    return Audit(case.kl, gain, best, nothing, difference(best, gain), nothing, least, excess)


def _around(
    value: float,
    reached: tuple[float, float],
    level: float,
    *,
    trusted: bool = True,
    note: str = "",
) -> Estimate:
    below, above = reached
    return Estimate(value, value - below, value + above, level, trusted, note)
