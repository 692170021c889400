"""The limits of alignment on distributions that are known exactly: closed forms, no sampling.

Conventions: nats, whole sequences, policy first in every divergence; `beta` multiplies the KL and
has reward units per nat; a gain is a mean reward over the base's. Outcomes lie on the last axis.
"""

from klimit.theory.best_of_n import (
    ContinuousBestOfN,
    KnownBestOfN,
    best_of_n,
    continuous_best_of_n,
    pass_at_k,
    win_probability,
)
from klimit.theory.closed_forms import (
    bernoulli_frontier,
    exponential_frontier,
    gaussian_frontier,
    small_kl_expansion,
    uniform_frontier,
)
from klimit.theory.divergences import (
    chi_square,
    cressie_read,
    hellinger_squared,
    jeffreys,
    jensen_shannon,
    kl,
    renyi,
    total_variation,
)
from klimit.theory.frontier import FrontierPoint, KnownFrontier, frontier
from klimit.theory.tilt import Ceiling, Tilt, ceiling, tilt

__all__ = [
    "Ceiling",
    "ContinuousBestOfN",
    "FrontierPoint",
    "KnownBestOfN",
    "KnownFrontier",
    "Tilt",
    "bernoulli_frontier",
    "best_of_n",
    "ceiling",
    "chi_square",
    "continuous_best_of_n",
    "cressie_read",
    "exponential_frontier",
    "frontier",
    "gaussian_frontier",
    "hellinger_squared",
    "jeffreys",
    "jensen_shannon",
    "kl",
    "pass_at_k",
    "renyi",
    "small_kl_expansion",
    "tilt",
    "total_variation",
    "uniform_frontier",
    "win_probability",
]
