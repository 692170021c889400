"""Where the gain is: every prompt at the optimum of one KL budget."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from klimit.estimate.kernel import Floats
from klimit.estimate.pass_rates import gain_at_tilt, gain_of_rate, kl_at_tilt, kl_of_rate
from klimit.estimate.rates_by_prompt import Passes
from klimit.estimate.samples import Samples, ordered_mean
from klimit.estimate.tilted import tilt_prompts, tilt_to_kl

if TYPE_CHECKING:
    import polars as pl

    from klimit.estimate.result import Frontier

_TRUST = 2.0  # nats below log M that a single prompt is trusted to
_FULL, _HALVINGS = 2.0**40, 60  # shares times so much fill all room; then it is found to 60 bits


def prompts(limit: Frontier, kl: float) -> pl.DataFrame:
    """What does each prompt gain and spend where the average (or each prompt) spends `kl` nats?

    Returns
    -------
    polars frame, a row per prompt with two samples or more
        prompt_id; samples; mean_reward; gain and kl at the optimum (they average to
        ``limit.gain(kl)`` and, with the average budget, to `kl`); headroom: best sample over the
        mean; ess: effective samples left by the weights; trusted: whether this prompt's own samples
        reach its KL with 2 nats to spare, and are not all alike below the best.

    Notes
    -----
    The correction of the frontier is shared out in proportion to each prompt's spread over its samples
    (a bias falls as 1/M), up to the end of `reward_range`: how its own weights fell tells
    of luck rather than of what it lacks. Of two rewards alone, such as 0 and 1, a prompt has what the
    mixture of all prompts' pass rates says of its count of successes: unsolved prompts have a part
    too, which is not trusted.
    """
    import polars as pl

    samples = limit.samples
    means, room = samples.means, np.full(samples.prompts, np.inf)
    if limit.settings.objective == "win-rate":
        means, room = np.full(samples.prompts, limit.base_reward), 1 - means
    elif limit.settings.reward_range is not None:
        room = np.maximum(limit.settings.reward_range[1] - means, samples.tops)
    passes = Passes.of(samples) if limit.settings.estimator == "corrected" else None
    none, share = np.zeros(samples.prompts), np.sqrt(samples.variances) / samples.counts
    if limit.settings.budget == "per-prompt":
        found = tilt_to_kl(samples, kl)
        mean, spent = float(limit.gain(kl).value), found.kl
        if passes is None:
            gain = _shared_out(found.gain, share, mean, samples, room)
        else:
            gains, spends = passes.expected(
                partial(gain_of_rate, kl=kl), partial(kl_of_rate, kl=kl)
            )
            gain = _shared_out(none, gains, mean, samples, room)
            spent = np.where(samples.variances > 0, spent, np.where(gain > 0, spends, 0.0))
    else:
        point = limit.curve.at_kl(kl)
        mean, budget = float(point.gain), min(kl, limit.curve.ceiling_kl)
        found = tilt_prompts(samples, float(point.tilt))
        if passes is None:
            gain = _shared_out(found.gain, share, mean, samples, room)
            spent = _shared_out(found.kl, share, budget, samples)
        else:
            tilt = float(point.tilt) * passes.step
            at_tilt = (partial(found, tilt=tilt) for found in (gain_at_tilt, kl_at_tilt))
            gains, spends = passes.expected(*at_tilt)
            # no rate gains more; estimates of few prompts may
            most = passes.step * np.tanh(tilt / 4)
            gain = _shared_out(none, gains, mean, samples, np.minimum(room, most))
            gain = _shared_out(gain, gains, mean, samples, room)
            spent = _shared_out(none, np.where(gain > 0, spends, 0.0), budget, samples)
    told = samples.variances > 0  # by the prompt's own samples
    return pl.DataFrame(
        {
            "prompt_id": [limit.ids[i] for i in samples.kept],
            "samples": samples.counts,
            "mean_reward": means,
            "gain": gain,
            "kl": spent,
            "headroom": samples.tops,
            "ess": samples.counts / (1 + found.chi_square),
            "trusted": (spent <= np.log(samples.counts) - _TRUST) & (told | (room <= 0)),
        }
    )


def _shared_out(
    start: Floats, share: Floats, mean: float, samples: Samples, room: Floats | float = np.inf
) -> Floats:
    """Values that average to `mean`: what lacks is shared out, what is too much is taken in proportion.

    None is above its `room`: what one prompt cannot have the others get.
    """
    own, whole = ordered_mean(start, samples), ordered_mean(share, samples)
    extra = mean - own
    if extra < 0:
        return start * (1 + extra / own)
    share = share * (extra / whole) if whole > 0 else np.full(len(start), extra)
    found = start + share
    if (found <= room).all():
        return found

    def filled(times: float) -> Floats:
        return np.minimum(start + times * share, room)

    least, most = 1.0, 2.0
    while ordered_mean(filled(most), samples) < mean and most < _FULL:
        least, most = most, 2 * most
    for _ in range(_HALVINGS):
        middle = (least + most) / 2
        short = ordered_mean(filled(middle), samples) < mean
        least, most = (middle, most) if short else (least, middle)
    found = filled(most)
    left = np.where(np.isfinite(room), room, found) - found  # of those that had no share
    whole = ordered_mean(left, samples)
    return found + left * ((mean - ordered_mean(found, samples)) / whole) if whole > 0 else found
