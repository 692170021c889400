"""The frontier at ten budgets, or the whole of it.

The plug-in, whoever computes it, is the minimum over tilts t of
``(D + mean_x log mean_j exp(t (r_xj - mean r_x))) / t``. Contenders
say how near they came, since a fast answer that is wrong is no answer.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.peers.rewards import limit_of_scores

Floats = NDArray[np.float64]

BUDGETS = np.linspace(0.4, 4.0, 10)  # nats
MANY = np.linspace(0.004, 4.0, 1000)
TILTS = np.geomspace(0.05, 50.0, 64)  # per reward unit
RESAMPLES = 999


def klimit_corrected(rewards: Floats) -> str:
    """Corrected, with intervals, of scores."""
    import klimit

    found = klimit.frontier(rewards).gain(MANY)
    return f"{_error(found.value[99::100])}, {_held(found.low[99::100], found.high[99::100])}"


def klimit_passes(passes: Floats) -> Any:
    """The same of 0/1 rewards, which have a model of their own."""
    import klimit

    return klimit.frontier(passes).gain(MANY)


def klimit_plugin(rewards: Floats) -> str:
    """The plug-in, with lower bounds."""
    import klimit

    found = klimit.frontier(rewards, estimator="plugin").gain(MANY)
    return f"{_error(found.value[99::100])}, {_held(found.low[99::100], found.high[99::100])}"


def scipy_loop(rewards: Floats) -> str:
    """A search at each budget."""
    return _error(scipy_gains(rewards))


def scipy_gains(rewards: Floats) -> Floats:
    """The plug-in from `minimize_scalar` over the tilt."""
    from scipy.optimize import minimize_scalar
    from scipy.special import logsumexp

    centred = rewards - rewards.mean(axis=1, keepdims=True)
    log_samples = np.log(rewards.shape[1])

    def dual(log_tilt: float, kl: float) -> float:
        tilt = np.exp(log_tilt)
        log_mgf = logsumexp(tilt * centred, axis=1) - log_samples
        return float((kl + log_mgf.mean()) / tilt)

    ends = (np.log(TILTS[0]), np.log(TILTS[-1]))
    return np.array(
        [minimize_scalar(dual, bounds=ends, args=(kl,), method="bounded").fun for kl in BUDGETS]
    )


def numpy_broadcast(rewards: Floats) -> str:
    """All tilts at once."""
    return _error(numpy_gains(rewards))


def numpy_gains(rewards: Floats) -> Floats:
    """The plug-in on a grid of tilts."""
    return _gains(_log_mgfs(rewards).mean(axis=0))


def scipy_bootstrap(rewards: Floats) -> str:
    """Prompts drawn again, with the log-mgfs computed once."""
    from scipy.stats import bootstrap

    log_mgfs = _log_mgfs(rewards)

    def statistic(prompts: Any) -> Floats:
        return _gains(log_mgfs[prompts].mean(axis=0))

    found = bootstrap(
        (np.arange(len(rewards)),), statistic, vectorized=False,
        n_resamples=RESAMPLES, method="percentile",
    )  # fmt: skip
    return _held(*found.confidence_interval)


def arch_bootstrap(rewards: Floats) -> str:
    """The same with arch."""
    from arch.bootstrap import IIDBootstrap

    resampled = IIDBootstrap(_log_mgfs(rewards), seed=np.random.default_rng(1))
    found = resampled.conf_int(
        lambda log_mgfs: _gains(log_mgfs.mean(axis=0)), RESAMPLES, method="percentile"
    )
    return _held(*found)


def _log_mgfs(rewards: Floats) -> Floats:
    """(prompts, tilts) from one broadcast."""
    top = rewards.max(axis=1, keepdims=True)
    weights = np.exp(TILTS[:, None, None] * (rewards - top))
    above = TILTS[:, None] * (top - rewards.mean(axis=1, keepdims=True)).T
    log_mgfs: Floats = (np.log(weights.mean(axis=2)) + above).T
    return log_mgfs


def _gains(log_mgf: Floats) -> Floats:
    gains: Floats = ((BUDGETS[:, None] + log_mgf) / TILTS).min(axis=1)
    return gains


def _error(gains: Floats) -> str:
    return f"{gains[-1] / limit_of_scores(BUDGETS[-1]) - 1:+.1%} at {BUDGETS[-1]:g} nats"


def _held(low: Floats, high: Floats) -> str:
    truth = limit_of_scores(BUDGETS)
    return f"truth in {int(((low <= truth) & (truth <= high)).sum())} of {len(BUDGETS)} intervals"
