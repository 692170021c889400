"""Why a number of an audit is missing or one-sided, in words that every view shares."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from klimit._estimate import Estimate
    from klimit.audit.result import Audit
    from klimit.estimate.result import Frontier

NO_KL = (
    "the policy's KL is not known: its rollouts lack log-probabilities under policy and base; add them "
    "(klimit rescore) or state it (kl=, --kl)"
)
NO_SHARE = "nothing can be gained at this KL: a share of it is not defined"
ABOUT_ZERO = (
    "the KL is not told from 0: what it could gain, and how near the policy comes, is not known"
)
FLAT = "the frontier is flat at this KL (beta = 0): nats from the optimum are not defined; see least_kl"
UNSEEN = (
    "the frontier is flat at this KL as far as these samples show (beta = 0): nats from the optimum "
    "are not known; see least_kl"
)
UNSEEN_GAIN = (
    "the base's rewards are all equal within every prompt: what could be gained at this KL, and so a share "
    "of it, is not known"
)
UPPER = "the limit is known from below only at this KL: this is an upper bound"

IMPOSSIBLE = (
    "this is more than any method can do at this KL: the KL, the rewards or the base are not those of "
    "this comparison"
)
UNLIKELY = "that is more than any method can do at this KL, and hardly by chance: check the KL"


SURE = 1.6  # times the half of a 95 % interval: one optimal policy in a thousand


def surely_above(value: Any, low: Any, bound: float) -> Any:
    """Whether it lies above the bound by more than chance explains, once in a thousand."""
    return np.asarray(value) - SURE * (np.asarray(value) - np.asarray(low)) > bound


def impossible(audit: Audit) -> bool:
    """Whether it gained more than its KL allows, beyond what chance explains."""
    gap = audit.gap_reward
    return bool(surely_above(-gap.value, -gap.high, 0.0))


OPEN = 10.0  # width of the interval of a share that says nothing
OPEN_SHARE = "its interval is open: the KL is hardly told from 0, or prompts are few"


def open_share(share: Estimate) -> bool:
    """Whether a share of the limit may be any, as where the KL is not told from 0 or prompts are few."""
    if share.trusted:
        return not share.high - share.low < OPEN
    return not share.high < math.inf


def flat(limit: Frontier, kl: float) -> str:
    """Why nats from the optimum are not defined where the estimated frontier has no slope."""
    ended = limit.settings.reward_range is not None or kl <= limit.trusted_kl
    return FLAT if ended else UNSEEN
