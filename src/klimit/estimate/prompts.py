"""Where the gain is: every prompt at the optimum of one KL budget."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from klimit.estimate.kernel import Floats
from klimit.estimate.tilted import tilt_prompts, tilt_to_kl

if TYPE_CHECKING:
    import polars as pl

    from klimit.estimate.result import Frontier
    from klimit.estimate.samples import Integers

_TRUST = 2.0  # nats below log M that a single prompt is trusted to


def prompts(limit: Frontier, kl: float) -> pl.DataFrame:
    """What does each prompt gain and spend where the average (or each prompt) spends `kl` nats?

    Returns
    -------
    polars frame, a row per prompt with two samples or more
        prompt_id; samples; mean_reward; gain and kl at the optimum (they average to ``limit.gain(kl)`` and,
        with the average budget, to `kl`); headroom: best sample over the mean; ess: effective samples left
        by the weights; trusted: whether this prompt's own samples reach its KL with 2 nats to spare.

    Notes
    -----
    The correction of the frontier is shared out by each prompt's leading bias ``chi2 / M`` (theory.md H-1).
    """
    import polars as pl

    samples = limit.samples
    if limit.settings.budget == "per-prompt":
        found = tilt_to_kl(samples, kl)
        spent = np.where(samples.variances > 0, np.minimum(kl, _ceiling(limit)), 0.0)
        extra = float(limit.gain(kl).value) - float(found.gain.mean())
        gain = found.gain + extra * _share(found.chi_square, samples.counts)
    else:
        point = limit.curve.at_kl(kl)
        tilt = float(point.tilt)
        if np.isfinite(tilt):
            found = tilt_prompts(samples, tilt)
            share = _share(found.chi_square, samples.counts)
            more_gain = float(point.gain) - float(found.gain.mean())
            more_log = float(point.log_partition) - float(found.log_mgf.mean())
            gain = found.gain + more_gain * share
            spent = np.maximum(found.kl + (tilt * more_gain - more_log) * share, 0.0)
        else:
            found = tilt_to_kl(samples, np.inf)
            gain, spent = found.gain, np.where(samples.variances > 0, _ceiling(limit), 0.0)
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


def _ceiling(limit: Frontier) -> Floats:
    return np.asarray(np.log(limit.samples.counts / limit.samples.ties))


def _share(chi_square: Floats, counts: Integers) -> Floats:
    """Shares of the mean correction, averaging to 1."""
    bias = chi_square / counts
    mean = float(bias.mean())
    return bias / mean if mean > 0 else np.ones(len(bias))
