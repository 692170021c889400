"""The mean of base / policy over the policy's own samples: at most 1, or the samples are another's."""

from __future__ import annotations

import math

import numpy as np

from klimit.audit.kl.estimators import excess
from klimit.estimate.intervals import pareto_shape
from klimit.estimate.kernel import Floats

_STAKES = (0.05, 0.25, 0.75, 1.0)
_PROOF = math.log(1000.0)
_HEAVY = 0.5  # Pareto shape from which a mean's variance is infinite


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
