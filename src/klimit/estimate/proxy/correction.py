"""What the tilted gold mean would be with endless samples: corrections that err in different ways.

The ratio ``sum w g / sum w`` of M samples is biased by about ``-E w^2 (g - gain) / M``. For gold =
proxy that is low; where the highest proxy rewards are bad it is high; so the sign is not known
beforehand and nothing here assumes one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from klimit.estimate.kernel import Floats
from klimit.estimate.members import middle_of, with_left_out
from klimit.estimate.proxy.model import ModelBias
from klimit.estimate.proxy.path import Path
from klimit.estimate.proxy.statistics import Reads
from klimit.estimate.proxy.two_levels import PassRead


@dataclass(frozen=True)
class TiltedRead:
    """One reward read along the proxy's tilts.

    Attributes
    ----------
    plugin, chosen : (1 + groups, tilts) uncorrected and corrected; all prompts, then without each
        group
    candidates : (candidates, tilts) what `chosen` was chosen from
    noise : (tilts,) standard error that the pooled model adds to `chosen`
    passed : (2, tilts) of a 0/1 proxy: the part of `chosen` that moves with it, and how far the rest
        may be off
    """

    plugin: Floats
    chosen: Floats
    candidates: Floats
    noise: Floats
    passed: Floats | None = None


def corrected_read(
    reads: Reads, path: Path, read: int, proxy: int, slope: float, model: ModelBias | None, *,
    passes: PassRead | None = None, plain: bool = False,
) -> TiltedRead:  # fmt: skip
    """Correct one of the reads.

    Parameters
    ----------
    read, proxy : which of `reads` to correct, and which is the proxy itself
    slope : of the read on the proxy within prompts, under the base
    model : the pooled model's bias, where there is one
    passes : what a 0/1 proxy shows by its pass rates
    plain : leave it uncorrected: there are too few samples

    Notes
    -----
    With a model, three pieces add up. The part of gold that is linear in the proxy moves as the proxy
    does, whose frontier has a correction of its own. The rest has the bias b that the pooled model
    predicts, shrunk to ``b^3 / (b^2 + noise^2)`` where few pooled pairs carry a tilt. What the step from
    M/2 to M shows beyond the two is continued, as far as the proxy's own step has to be to reach its
    frontier. For gold = proxy this is the frontier. Without a model (a proxy of few levels) it is the
    middle of a jackknife, the linear part with the rest jackknifed, and the continued step; their range
    widens the interval and ends trust. Of a 0/1 proxy the linear part with what `passes` has of the rest
    is all.
    """
    weights, none = reads.weights, np.zeros(reads.full.shape[-1])

    def of(values: Floats, which: int) -> Floats:
        return with_left_out(values[which], weights)

    plugin, own = of(reads.full, read), of(reads.full, proxy)
    if plain:
        return TiltedRead(plugin, plugin, plugin[:1], none)
    if passes is not None:
        linear = slope * path.gains
        chosen = linear + passes.rest
        return TiltedRead(plugin, chosen, chosen[:1], none, np.stack([linear[0], passes.open]))
    jackknife, own_jackknife = of(reads.jackknife, read), of(reads.jackknife, proxy)
    half, own_half = of(reads.half, read), of(reads.half, proxy)
    lacking = path.gains - own
    tiny = 1e-9 * np.abs(own[:1]).max()
    onward = np.clip(lacking / np.where(np.abs(own_half) > tiny, own_half, np.inf), 0.0, 4.0)
    candidates = [plugin + jackknife, plugin + onward * half]
    if model is None:
        candidates.append(plugin + jackknife + slope * (lacking - own_jackknife))
        stack = np.stack(candidates)
        return TiltedRead(plugin, middle_of(stack), stack[:, 0], none)
    # the model is believed as far as the proxy itself changes from M/2 to M as the model says: not at
    # all where every prompt's best samples are tied, as at the longest length
    believed = np.clip(own_half / np.maximum(model.change[proxy], tiny), 0.0, 1.0)
    total, change = believed * model.total[:, None], believed * model.change[:, None]
    rest, noise = total[read] - slope * total[proxy], believed[0] * model.noise[read]
    square = rest[0] ** 2
    kept = square / np.maximum(square + noise**2, 1e-300)
    beyond = half - slope * own_half - kept * (change[read] - slope * change[proxy])
    chosen = plugin + slope * lacking + kept * rest + onward * beyond
    candidates.append(chosen)
    return TiltedRead(plugin, chosen, np.stack(candidates)[:, 0], kept * noise)
