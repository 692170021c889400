"""The limits of alignment on distributions that are known exactly: closed forms, no sampling.

Conventions: nats, whole sequences, policy first in every divergence; `beta` multiplies the KL and
has reward units per nat; a gain is a mean reward over the base's. Outcomes lie on the last axis.
"""

from klimit.theory.beirami import BestOfNBounds, beirami_estimator, best_of_n_bounds
from klimit.theory.best_of_n import KnownBestOfN, best_of_n, pass_at_k, win_probability
from klimit.theory.best_of_poisson import (
    ContinuousBestOfPoisson,
    KnownBestOfPoisson,
    best_of_poisson,
    continuous_best_of_poisson,
)
from klimit.theory.bounds import GainBounds, bounds
from klimit.theory.closed_forms import (
    bernoulli_frontier,
    exponential_frontier,
    gaussian_frontier,
    small_kl_expansion,
    uniform_frontier,
)
from klimit.theory.continuous_best_of_n import ContinuousBestOfN, continuous_best_of_n
from klimit.theory.divergence_bounds import (
    chi_square_bound,
    hellinger_bound,
    renyi_bound,
    total_variation_bound,
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
from klimit.theory.ensembles import (
    EnsembleError,
    ensemble_error,
    ensemble_reward,
    member_disagreement,
    members_needed,
)
from klimit.theory.f_divergence import f_divergence
from klimit.theory.f_frontier import FCeiling, FFrontier, FFrontierPoint, f_frontier
from klimit.theory.f_tilt import FTilt, f_tilt
from klimit.theory.frontier import FrontierPoint, KnownFrontier, frontier, win_rate_frontier
from klimit.theory.gain import covariance_gain, gain, jeffreys_gain
from klimit.theory.importance import importance_draws, importance_error
from klimit.theory.member_weights import MemberWeights, optimal_member_weights
from klimit.theory.memoryless import (
    Memoryless,
    memoryless,
    rate_function,
    renyi_cross_entropy,
)
from klimit.theory.memoryless_best_of_n import MemorylessBestOfN, memoryless_best_of_n
from klimit.theory.overoptimization import (
    OveroptimizationCurve,
    OveroptimizationFit,
    Peak,
    fit_overoptimization,
    overoptimization_curve,
)
from klimit.theory.proxy import ProxyBounds, ProxyGold, ProxyPoint, proxy_gold
from klimit.theory.proxy_bounds import (
    certified_gold_gain,
    sup_norm_regret_bound,
    sup_norm_total_variation_bound,
)
from klimit.theory.proxy_closed_forms import exponential_error_proxy, gaussian_proxy
from klimit.theory.reference_frontier import ReferenceFrontier, ReferencePoint, reference_frontier
from klimit.theory.reference_learning import (
    reference_dpo_loss,
    reference_dpo_margin,
    reference_gap_bound,
    reference_samples_needed,
)
from klimit.theory.references import (
    GeometricMean,
    ReferenceTilt,
    forward_kl_tilt,
    geometric_mean,
    reverse_kl_tilt,
)
from klimit.theory.rejection import (
    RejectionSampling,
    approximate_rejection_draws,
    rejection_sampling,
)
from klimit.theory.soft_best_of_n import KnownSoftBestOfN, soft_best_of_n
from klimit.theory.tail_bounds import (
    bennett_bound,
    bernstein_bound,
    hoeffding_bound,
    sub_exponential_bound,
    sub_gamma_bound,
    sub_gaussian_bound,
)
from klimit.theory.tails import bernoulli_variance_proxy, sub_gamma_scale, variance_proxy
from klimit.theory.tilt import Ceiling, Tilt, ceiling, tilt

__all__ = [
    "BestOfNBounds",
    "Ceiling",
    "ContinuousBestOfN",
    "ContinuousBestOfPoisson",
    "EnsembleError",
    "FCeiling",
    "FFrontier",
    "FFrontierPoint",
    "FTilt",
    "FrontierPoint",
    "GainBounds",
    "GeometricMean",
    "KnownBestOfN",
    "KnownBestOfPoisson",
    "KnownFrontier",
    "KnownSoftBestOfN",
    "MemberWeights",
    "Memoryless",
    "MemorylessBestOfN",
    "OveroptimizationCurve",
    "OveroptimizationFit",
    "Peak",
    "ProxyBounds",
    "ProxyGold",
    "ProxyPoint",
    "ReferenceFrontier",
    "ReferencePoint",
    "ReferenceTilt",
    "RejectionSampling",
    "Tilt",
    "approximate_rejection_draws",
    "beirami_estimator",
    "bennett_bound",
    "bernoulli_frontier",
    "bernoulli_variance_proxy",
    "bernstein_bound",
    "best_of_n",
    "best_of_n_bounds",
    "best_of_poisson",
    "bounds",
    "ceiling",
    "certified_gold_gain",
    "chi_square",
    "chi_square_bound",
    "continuous_best_of_n",
    "continuous_best_of_poisson",
    "covariance_gain",
    "cressie_read",
    "ensemble_error",
    "ensemble_reward",
    "exponential_error_proxy",
    "exponential_frontier",
    "f_divergence",
    "f_frontier",
    "f_tilt",
    "fit_overoptimization",
    "forward_kl_tilt",
    "frontier",
    "gain",
    "gaussian_frontier",
    "gaussian_proxy",
    "geometric_mean",
    "hellinger_bound",
    "hellinger_squared",
    "hoeffding_bound",
    "importance_draws",
    "importance_error",
    "jeffreys",
    "jeffreys_gain",
    "jensen_shannon",
    "kl",
    "member_disagreement",
    "members_needed",
    "memoryless",
    "memoryless_best_of_n",
    "optimal_member_weights",
    "overoptimization_curve",
    "pass_at_k",
    "proxy_gold",
    "rate_function",
    "reference_dpo_loss",
    "reference_dpo_margin",
    "reference_frontier",
    "reference_gap_bound",
    "reference_samples_needed",
    "rejection_sampling",
    "renyi",
    "renyi_bound",
    "renyi_cross_entropy",
    "reverse_kl_tilt",
    "small_kl_expansion",
    "soft_best_of_n",
    "sub_exponential_bound",
    "sub_gamma_bound",
    "sub_gamma_scale",
    "sub_gaussian_bound",
    "sup_norm_regret_bound",
    "sup_norm_total_variation_bound",
    "tilt",
    "total_variation",
    "total_variation_bound",
    "uniform_frontier",
    "variance_proxy",
    "win_probability",
    "win_rate_frontier",
]
