"""What to set for an aggregate: the KL and beta to train with, the N to serve with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from klimit._estimate import Estimate
from klimit.estimate.best_of_n.prompts import by_prompt
from klimit.estimate.best_of_n.ranked import ranked_pairs
from klimit.estimate.kernel import Floats
from klimit.estimate.proxy.result import Hacking
from klimit.estimate.samples import nearly_all
from klimit.estimate.tuning import tune, tuned_mean


@dataclass(frozen=True)
class Recommendation:
    """Where gold is highest along one aggregate.

    Attributes
    ----------
    kl : nats at which gold is highest within the trusted range; `high` is inf where a peak beyond it
        is not ruled out
    at_the_end : whether gold is highest at the end of the trusted range
    beta : KL coefficient that spends `kl`, in units of the aggregate per nat
    gold_gain : of the aggregate's best policy there
    n : the N of best-of-N, selected by the aggregate, that keeps most gold; None where prompts are
        too few to choose by
    best_of_n : gold gain of best-of-N whose N other prompts chose
    largest_n : whether `n` is the largest that the samples show
    """

    kl: Estimate
    at_the_end: bool
    beta: Estimate
    gold_gain: Estimate
    n: int | None
    best_of_n: Estimate
    largest_n: bool


def recommendation(hack: Hacking) -> Recommendation:
    """The peak within trust, or the end of it; and the N at which other prompts keep most gold."""
    stop, level = hack.stop_kl, hack.settings.level
    place = float(stop.value)
    nothing = Estimate(np.nan, -np.inf, np.inf, level, False, "no KL is trusted with these samples")
    known = bool(np.isfinite(place) and place > 0)
    n, kept, largest = _best_n(hack)
    return Recommendation(
        kl=stop,
        at_the_end=known and not hack.turns,
        beta=hack.beta(place) if known else nothing,
        gold_gain=hack.gold_gain(place) if known else nothing,
        n=n, best_of_n=kept, largest_n=largest,
    )  # fmt: skip


def _best_n(hack: Hacking) -> tuple[int | None, Estimate, bool]:
    pairs, level = hack.pairs, hack.settings.level
    most = nearly_all(pairs.lengths)
    sizes = [2**k for k in range(20) if 2**k <= most]
    values = kept_gold(pairs.proxy, pairs.gold, pairs.lengths, sizes)
    if values.shape[1] < 4:
        few = Estimate(np.nan, -np.inf, np.inf, level, True, "too few prompts to choose an N by")
        return None, few, False
    found = tune(values, np.arange(values.shape[1]), seed=hack.settings.seed)
    return sizes[found.chosen], tuned_mean(found, level), found.chosen == len(sizes) - 1


def kept_gold(proxy: Floats, gold: Floats, lengths: Any, sizes: list[int]) -> Floats:
    """(sizes, prompts with enough samples) gold gain of best-of-N selected by the proxy."""
    enough = lengths >= max(sizes[-1], 2)
    rows = np.repeat(enough, lengths)
    chunks = ranked_pairs(proxy[rows], gold[rows], lengths[enough])
    return by_prompt(chunks, sizes, int(enough.sum()), judged=True).gain
