"""Best-of-N selected by the proxy and judged by gold, for every N: where is gold highest?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from klimit._estimate import Estimate
from klimit.estimate.best_of_n.order_weights import order_weights
from klimit.estimate.best_of_n.prompt_means import mean_of_prompts
from klimit.estimate.best_of_n.prompts import _shared
from klimit.estimate.best_of_n.ranked import ranked_pairs
from klimit.estimate.kernel import Floats
from klimit.estimate.samples import Integers, nearly_all

if TYPE_CHECKING:
    from klimit.estimate.proxy.pairs import Pairs
    from klimit.estimate.proxy.result import Hacking

_EACH = 16  # sizes up to here are all looked at; larger ones in steps of an eighth


@dataclass(frozen=True)
class BestByProxy:
    """Gains of best-of-N where the proxy selects, over N; unbiased for every N.

    Attributes
    ----------
    n : numbers of draws, ascending, up to the samples that nearly all prompts have
    proxy_gain, gold_gain : over the base's mean; in proxy and in gold units
    stop : N at which gold is highest, with all N that these samples do not rule out; `high` is inf
        where the largest N is among them. For the population that the prompts came from
    prompts : prompts with so many samples
    """

    n: Integers
    proxy_gain: Estimate
    gold_gain: Estimate
    stop: Estimate
    prompts: int


def best_by_proxy(hack: Hacking) -> BestByProxy:
    """See `BestByProxy`."""
    from klimit.estimate.intervals import normal, quantiles
    from klimit.estimate.proxy.peak import peak

    level, pairs = hack.settings.level, hack.pairs
    sizes, proxy, gold = gains_by_n(pairs)
    worst, most = hack._range_limits()
    known = hack.settings.reward_range
    span = np.where(sizes > 1, np.inf if known is None else known[1] - known[0], 0.0)
    found = mean_of_prompts(gold, level, least=worst, most=most, span=(-span, span))
    prompts = gold.shape[1]
    groups = min(200, prompts)
    rest = gold - gold.mean(axis=1, keepdims=True)
    group = np.arange(prompts) % groups
    moves = np.stack([np.bincount(group, row, minlength=groups) for row in rest], axis=1) / prompts
    widen = quantiles(level, prompts)[0] / normal(level)
    if groups > 1:
        moves *= (groups / (groups - 1)) ** 0.5
    place = sizes.astype(float)
    top = peak(place, np.asarray(found.value), moves, *np.zeros((3, len(sizes))), level=level,
               widen=widen, seed=hack.settings.seed)  # fmt: skip
    rises = "gold may still rise at the largest N that these samples show"
    note = "" if np.isfinite(top.high) else rises
    stop = Estimate(int(top.value), top.low, top.high, level, True, note)
    return BestByProxy(sizes, mean_of_prompts(proxy, level, least=0.0), found, stop, prompts)


def gains_by_n(pairs: Pairs) -> tuple[Integers, Floats, Floats]:
    """N; and the gains of proxy and gold, (sizes, prompts)."""
    most = nearly_all(pairs.lengths)
    steps = _EACH * 2.0 ** (np.arange(6 * 40) / 6)
    some = np.r_[np.arange(1, _EACH), np.round(steps[steps < most])]
    sizes = np.unique(np.r_[some[some < most], most].astype(np.int64))
    proxy, gold = (np.full((len(sizes), pairs.prompts), np.nan) for _ in range(2))
    for chunk in ranked_pairs(pairs.proxy, pairs.gold, pairs.lengths):
        if chunk.samples < most:
            continue
        weights = np.stack([order_weights(int(n), chunk.samples) for n in sizes])
        centre = chunk.rewards.mean(axis=1, keepdims=True)
        proxy[:, chunk.prompts] = np.einsum("ij,nj->ni", chunk.rewards - centre, weights)
        gold[:, chunk.prompts] = np.einsum("ij,nj->ni", _shared(chunk), weights)
    kept = ~np.isnan(gold[0])
    gold[0], proxy[0] = 0.0, 0.0
    return sizes, proxy[:, kept], gold[:, kept]
