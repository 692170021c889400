"""Where the gain is: every prompt at the optimum of one KL budget."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from klimit.estimate.kernel import Floats
from klimit.estimate.samples import Samples, ordered_mean
from klimit.estimate.tilted import TiltedPrompts, tilt_prompts, tilt_to_kl

if TYPE_CHECKING:
    import polars as pl

    from klimit.estimate.result import Frontier

_TRUST = 2.0  # nats below log M that a single prompt is trusted to


def prompts(limit: Frontier, kl: float) -> pl.DataFrame:
    """What does each prompt gain and spend where the average (or each prompt) spends `kl` nats?

    Returns
    -------
    polars frame, a row per prompt with two samples or more
        prompt_id; samples; mean_reward; gain and kl at the optimum (they average to
        ``limit.gain(kl)`` and, with the average budget, to `kl`); headroom: best sample over the
        mean; ess: effective samples left by the weights; trusted: whether this prompt's own samples
        reach its KL with 2 nats to spare.

    Notes
    -----
    The correction of the frontier is shared out by each prompt's leading bias ``chi2 / M``
    (theory.md H-1).
    """
    import polars as pl

    samples = limit.samples
    if limit.settings.budget == "per-prompt":
        found = tilt_to_kl(samples, kl)
        gain = _corrected(found.gain, float(limit.gain(kl).value), _share(found, samples), samples)
        spent = found.kl
    else:
        point = limit.curve.at_kl(kl)
        tilt = float(point.tilt)
        found = tilt_prompts(samples, tilt)
        share = _share(found, samples)
        gain = _corrected(found.gain, float(point.gain), share, samples)
        spent = _corrected(found.kl, min(kl, limit.curve.ceiling_kl), share, samples)
    keep = samples.kept
    ids = limit.ids
    return pl.DataFrame(
        {
            "prompt_id": [ids[i] for i in keep],
            "samples": samples.counts,
            "mean_reward": samples.means,
            "gain": gain,
            "kl": spent,
            "headroom": samples.tops,
            "ess": samples.counts / (1 + found.chi_square),
            "trusted": spent <= np.log(samples.counts) - _TRUST,
        }
    )


def _corrected(plugin: Floats, mean: float, share: Floats, samples: Samples) -> Floats:
    """Values that average to `mean`: what lacks is shared out, what is too much is taken in proportion."""
    extra = mean - ordered_mean(plugin, samples)
    if extra >= 0:
        return plugin + extra * share
    return plugin * (1 + extra / ordered_mean(plugin, samples))


def _share(found: TiltedPrompts, samples: Samples) -> Floats:
    """Shares of the mean correction, averaging to 1; a constant prompt has none."""
    bias = found.chi_square / samples.counts
    bias = bias if bias.any() else np.asarray(samples.variances > 0, dtype=float)
    mean = ordered_mean(bias, samples)
    return bias / mean if mean > 0 else bias
