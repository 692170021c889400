"""One pass over pooled samples: log-mgfs of all, of halves and of quarters, and how weights spread."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from klimit.estimate.bridge.draws import Pool
from klimit.estimate.bridge.weights import log_shares, log_weights
from klimit.estimate.kernel import Floats, Grid
from klimit.estimate.samples import Integers
from klimit.estimate.statistics import FEWEST, GROUPS, Sizes, Statistics, by_group

if TYPE_CHECKING:
    from numpy.typing import NDArray

_DEALS = 8  # random deals of the samples into halves and quarters for few prompts
_FEW = 300  # prompts; with more, these do the averaging and two deals are enough


@dataclass(frozen=True)
class Bridge:
    """What trust is judged by; (prompts, tilts) unless said otherwise.

    Attributes
    ----------
    stats : as the frontier's estimators read them
    weights : (prompts, width) of the samples
    entropy : of the tilted weights, nats: the logarithm of how many samples carry the answer
    top : (prompts,) pooled weight of the best reward that was seen
    highest, best : (prompts,) that reward above the mean of the base's samples, and of the pooled
    """

    stats: Statistics
    weights: Floats
    entropy: Floats
    top: Floats
    highest: Floats
    best: Floats


def bridge_sums(pool: Pool, grid: Grid, *, seed: int, two_levels: bool = False) -> Bridge:
    """Read every sample once; prompts stand in canonical order, which decides their groups.

    Parameters
    ----------
    two_levels : the bias of the log-mgf is then taken as half its variance: a half without a single
        success would tell of another bias, not of a larger one
    """
    prompts = len(pool.rewards)
    subsets = _subsets(pool, seed)
    log_rho = log_shares(pool)  # of halves and quarters too: lines of two samples are none
    weights = np.stack([np.exp(log_weights(pool, chosen, log_rho)) for chosen in subsets])
    number = pool.counts()
    tilts = grid.tilts
    shape = (prompts, len(tilts))
    full, half, quarter, wobble, noise, entropy = (np.empty(shape) for _ in range(6))
    top, most, best = (np.empty(prompts) for _ in range(3))
    halves = 1 + np.arange((len(subsets) - 1) // 3)
    quarters = np.arange(halves[-1] + 1, len(subsets))
    for x in range(prompts):
        there = weights[0, x] > 0  # where the policy that drew it has no share it is no sample
        reward, w = pool.rewards[x, there], weights[:, x, there]
        highest = reward.max()
        tilted = np.exp(np.outer(reward - highest, tilts))
        sums = np.einsum("sm,mt->st", w, tilted)
        total = np.maximum(w.sum(axis=1), 1e-300)  # a quarter of few samples may be empty
        mean = np.einsum("sm,m->s", w, reward) / total
        with np.errstate(divide="ignore"):
            log_mgf = np.log(np.maximum(sums, 1e-300) / total[:, None])
        log_mgf += tilts * (highest - mean)[:, None]
        full[x] = log_mgf[0]
        half[x], quarter[x] = log_mgf[halves].mean(axis=0), log_mgf[quarters].mean(axis=0)
        share = w[0, :, None] * tilted / sums[0]
        drift = share - (w[0] / total[0])[:, None]
        # one success alone is, given that it was seen at all, no underestimate
        wobble[x] = (drift**2).sum(axis=0) * (1 - (share**2).sum(axis=0))
        drift -= np.outer(w[0] * (reward - mean[0]) / total[0], tilts)
        noise[x] = (drift**2).sum(axis=0)
        entropy[x] = -(share * np.log(np.maximum(share, 1e-300))).sum(axis=0)
        top[x] = w[0, reward == highest].sum() / total[0]
        most[x], best[x] = highest, highest - mean[0]
    groups = min(GROUPS, prompts)
    group = np.arange(prompts) % groups
    able = number[0] >= FEWEST
    each, biased = (np.bincount(group, x, groups) for x in (np.ones(prompts), able))
    first, second = (wobble / 2, wobble) if two_levels else (full - half, half - quarter)
    steps = [by_group(np.where(able[:, None], x, 0.0), group, groups)
             / np.maximum(biased, 1)[:, None] for x in (first, second)]  # fmt: skip
    size = number.sum(axis=0)[able].astype(float)
    stats = Statistics(
        grid, each / prompts, by_group(full, group, groups) / each[:, None],
        noise.sum(axis=0) / prompts**2, np.zeros(len(tilts)), np.zeros(len(tilts)),
        biased / max(biased.sum(), 1),
        steps[0], steps[0], steps[1], Sizes(size, size / 2, size / 4),
    )  # fmt: skip
    return Bridge(stats, weights[0], entropy, top, most, best)


def _subsets(pool: Pool, seed: int) -> list[NDArray[np.bool_]]:
    """All samples; random halves; quarters: of every model's samples alike."""
    deals = _DEALS if len(pool.rewards) <= _FEW else 2
    rng = np.random.default_rng([seed, 29])
    halves, quarters = [], []
    for _ in range(deals):
        place = _dealt(pool, rng)
        halves += [place % 2 == part for part in range(2)]
        quarters += [place % 4 == part for part in range(4)]
    there = pool.origin >= 0
    return [there, *(one & there for one in (*halves, *quarters))]


def _dealt(pool: Pool, rng: np.random.Generator) -> Integers:
    """(prompts, width) random place of each sample among those of its model."""
    key = rng.random(pool.origin.shape)
    order = np.lexsort((key, pool.origin), axis=1)
    out = place = np.argsort(order, axis=1)
    first = np.zeros(len(order), dtype=np.int64)
    for k in range(-1, pool.states):
        from_k = pool.origin == k
        out = np.where(from_k, place - first[:, None], out)
        first = first + from_k.sum(axis=1)
    return out
