"""The bounds on the gain that the literature offers, estimated from the same samples as the frontier.

Each is above the frontier by an amount that depends on the tail: the frontier is exact, ``beta *
Jeffreys``, where a sqrt(KL) bound pays for the worst law with the same variance proxy (arXiv
2406.05883, 2605.07105).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from klimit.estimate.kernel import Floats
from klimit.estimate.samples import ordered_mean
from klimit.estimate.tilted import tilt_prompts, tilt_to_kl

if TYPE_CHECKING:
    import polars as pl

    from klimit.estimate.result import Frontier


def bounds(limit: Frontier, kl: float) -> pl.DataFrame:
    """Which bound says how much at `kl` nats?

    Returns
    -------
    polars frame, tightest first
        bound; value (reward units); over_frontier (ratio to the estimated frontier); source
    """
    import polars as pl

    from klimit.theory.bounds import SOURCES

    samples = limit.samples
    gain = float(limit.gain(kl).value)
    rows = [("frontier: beta * Jeffreys", gain)]
    counts = samples.counts if limit.settings.estimator == "corrected" else np.inf
    variance = ordered_mean(samples.variances / (1 - 1 / counts), samples)
    if variance > 0 and kl > 0:
        rows += _from_moments(limit, kl, variance)
        rows += _from_divergences(limit, kl, variance, gain)
    # no bound is below the frontier: one that is met stands after it, whatever noise makes of it
    rows = [(name, value if value > gain * (1 + 1e-9) else gain) for name, value in rows]
    rows.sort(key=lambda row: row[1])
    value = [row[1] for row in rows]
    over = [v / gain if gain > 0 else 1.0 for v in value]
    return pl.DataFrame(
        {
            "bound": [row[0] for row in rows],
            "value": value,
            "over_frontier": over,
            "source": [SOURCES.get(row[0], "arXiv 2605.07105, section 3") for row in rows],
        }
    )


def _from_moments(limit: Frontier, kl: float, variance: float) -> list[tuple[str, float]]:
    from klimit.theory.tail_bounds import bennett_bound

    samples = limit.samples
    proxy = max(_variance_proxy(limit), variance)
    wide = ordered_mean(_ranges(limit) ** 2, samples)
    above = limit.cap if np.isfinite(limit.cap) else 0.0
    above = max(float(samples.tops.max()), above)
    root = np.sqrt(2 * variance * kl)
    return [
        ("sub-Gaussian, best variance proxy", float(np.sqrt(2 * proxy * kl))),
        ("range (Hoeffding)", float(np.sqrt(wide * kl / 2))),
        ("Bernstein", float(root + above * kl / 3)),
        ("Bennett", float(bennett_bound(kl, variance=variance, above=above))),
    ]


def _variance_proxy(limit: Frontier) -> float:
    """The largest ``2 log-mgf / tilt^2``: at the knots, then between those beside the best."""
    knots = limit.curve.knots[1:]
    tilts = np.minimum(knots, np.nextafter(knots[-1], 0))

    def proxies(at: Floats) -> Floats:
        return 2 * limit.curve.at_tilt(at).log_partition / at**2

    best = int(proxies(tilts).argmax())
    ends = tilts[max(best - 1, 0)], tilts[min(best + 1, len(tilts) - 1)]
    return float(proxies(np.geomspace(*ends, 257)).max())


def _from_divergences(
    limit: Frontier, kl: float, variance: float, gain: float
) -> list[tuple[str, float]]:
    """Bounds from how far the optimum is; few samples show its divergences low, as they do its gain."""
    samples = limit.samples
    if limit.settings.budget == "per-prompt":
        found = tilt_to_kl(samples, kl)
    else:
        found = tilt_prompts(samples, float(limit.curve.at_kl(kl).tilt))
    hellinger = 2 * np.sqrt(found.hellinger_squared * (found.second_moment + samples.variances))
    seen = ordered_mean(found.gain, samples)
    lift = max(gain / seen, 1.0) if seen > 0 else 1.0
    values = {
        "chi-square": (variance * ordered_mean(found.chi_square, samples)) ** 0.5,
        "total variation": ordered_mean(_ranges(limit) * found.total_variation, samples),
        "Hellinger": ordered_mean(hellinger, samples),
    }
    return [(f"{name} of the optimum", lift * value) for name, value in values.items()]


def _ranges(limit: Frontier) -> Floats:
    stated, samples = limit.settings.reward_range, limit.samples
    if stated is not None:
        return np.full(samples.prompts, stated[1] - stated[0])
    return samples.ranges()
