"""k1, k2, k3: what one sampled completion says of the KL, and when each misleads.

With y drawn from the policy and ``rho = base(y) / policy(y)``: ``k1 = -log rho``, ``k2 = (log
rho)^2 / 2``, ``k3 = rho - 1 - log rho``, all of whole sequences. Turned round (rho over the base's
samples) they estimate another divergence.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np

from klimit.estimate.intervals import pareto_shape
from klimit.estimate.kernel import Floats

_STEEPEST = 200.0  # log of the largest ratio that is told apart: cubes still fit a float
_STAKES = (0.05, 0.25, 0.75, 1.0)
_PROOF = math.log(1000.0)
_HEAVY = 0.5  # Pareto shape from which a mean's variance is infinite


def k1(log_ratio: Floats) -> Floats:
    """``log policy - log base``: unbiased for the KL, of either sign on a single sample."""
    return log_ratio


def k2(log_ratio: Floats) -> Floats:
    """Half the squared log ratio: never negative, right only to second order.

    Examples
    --------
    >>> k2(np.array([0.0, -2.0])).tolist()
    [0.0, 2.0]
    """
    return log_ratio**2 / 2


def k3(log_ratio: Floats) -> Floats:
    """``base / policy - 1 + log ratio``: never negative, unbiased where supports agree.

    Examples
    --------
    >>> k3(np.array([0.0, 1.0])).round(4).tolist()
    [0.0, 0.3679]
    """
    return excess(log_ratio) + log_ratio


def excess(log_ratio: Floats) -> Floats:
    """``base / policy - 1``, whose mean over the policy is 0 where it still draws all that the base does."""
    found: Floats = np.expm1(np.minimum(-log_ratio, _STEEPEST))
    return found


def proves_mismatch(log_ratio: Floats) -> bool:
    """Whether these cannot be samples of the policy that scored them, but for one chance in a thousand.

    ``E_policy[base / policy]`` is at most 1 for any policy and base, whatever their tails. So the
    wealth of a gambler who stakes a share of what he has on every sample's ``base / policy - 1``
    does not grow in expectation, and is above 1000 with probability below 1/1000 (Ville).

    Examples
    --------
    >>> proves_mismatch(np.full(100, 0.5)), proves_mismatch(np.full(100, -0.5))
    (False, True)
    """
    more = excess(log_ratio)
    wealth = [
        float(-log_ratio.sum()) if stake == 1 else float(np.log1p(stake * more).sum())
        for stake in _STAKES
    ]
    return max(wealth) - math.log(len(_STAKES)) > _PROOF


def heavy(log_ratio: Floats) -> bool:
    """Whether base / policy is so heavy-tailed that its mean, and so k3's, has no finite variance.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> heavy(rng.normal(0.005, 0.1, 1000)), heavy(rng.normal(8.0, 4.0, 1000))
    (False, True)
    """
    ratio = np.sort(excess(log_ratio) + 1)
    top = int(min(0.2 * len(ratio), 3 * math.sqrt(len(ratio))))
    if top < 5 or ratio[-1] == ratio[-top - 1]:
        return False
    return pareto_shape(ratio[-top:] - ratio[-top - 1]) > _HEAVY


ESTIMATORS: Mapping[str, Callable[[Floats], Floats]] = {"k1": k1, "k2": k2, "k3": k3}

RAO_BLACKWELL = "rao-blackwell"

MISLEADS = {
    "k1": "unbiased at any distance, but a single sample is noisy (for a small KL its variance is "
    "about twice the KL), so that few samples may give a number below 0",
    "k2": "biased: it equals the KL to second order only, and reads D + D^2 / 2 where log ratios "
    "are Gaussian with KL D; a check at small KL, never a measurement",
    "k3": "its variance is not bounded: over whole sequences a few completions that the base finds "
    "much likelier decide the mean. What the base draws and the policy practically never does "
    "is missing from it: it then reads low by that mass, up to 1 nat. It is never negative, so it "
    "hides that samples and scores do not belong together",
    RAO_BLACKWELL: "the exact KL of each next token, summed along what the policy drew: least "
    "variance, never negative. Wrong where the stored distributions were cut (top-k logprobs) or "
    "scored at another temperature than was sampled",
}
"""When each estimator misleads, in words."""
