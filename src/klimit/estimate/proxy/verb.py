"""From pairs of proxy and gold rewards of a base model to what the proxy's gain is worth."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from klimit.estimate.checks import check_choice, check_level, check_seed, known_range
from klimit.estimate.frontier import average, horizon
from klimit.estimate.kernel import Floats
from klimit.estimate.labels.entry import is_table, known_of_few, sparse
from klimit.estimate.proxy.bands import gold_bands
from klimit.estimate.proxy.checks import check_pairs
from klimit.estimate.proxy.correction import corrected_read
from klimit.estimate.proxy.model import model_bias, pooled
from klimit.estimate.proxy.pairs import Pairs, complete
from klimit.estimate.proxy.path import Path
from klimit.estimate.proxy.read import read_rewards
from klimit.estimate.proxy.result import Hacking, Readings
from klimit.estimate.proxy.statistics import tilted_reads
from klimit.estimate.proxy.tail_law import tail_law
from klimit.estimate.proxy.two_levels import pass_read
from klimit.estimate.result import Frontier, Settings
from klimit.estimate.samples import collect, reordered
from klimit.estimate.statistics import correctable

if TYPE_CHECKING:
    from klimit.estimate.labels.result import Sparse


def hacking(
    base: Any,
    *,
    proxy: Any = None,
    gold: Any = None,
    judgements: Any = None,
    nuisance: Any = None,
    prompts: Literal["drawn", "fixed"] = "drawn",
    reward_range: tuple[float, float] | None = None,
    level: float = 0.95,
    seed: int = 0,
) -> Hacking | Sparse:
    """How much of a proxy's gain does gold confirm, from base samples? See `klimit.hacking`.

    This is the part that needs no policies; arguments, errors and result are those of
    `klimit.hacking`, and ``E_x [E w gold / E w - E gold]`` with ``w = exp(proxy / beta)`` is what it
    estimates (arXiv 2605.07105, section 4).
    """
    check_choice("prompts", prompts, ("drawn", "fixed"))
    check_level(level)
    check_seed(seed)
    few = partial(sparse, reward_range=reward_range, prompts=prompts, level=level, seed=seed)
    if judgements is not None or is_table(gold):
        return few(base, proxy, gold, judgements, nuisance)
    rewards = read_rewards(base, proxy, gold, nuisance)
    if known_of_few(rewards.proxy.values, rewards.gold, rewards.proxy.lengths):
        return few(base, proxy, gold, None, nuisance)
    pairs = complete(rewards.proxy, rewards.gold, rewards.nuisance, rewards.names, seed=seed)
    check_pairs(pairs)
    column = pairs.column(pairs.gold, pairs.names[1])
    reward_range, implied = known_range(column, reward_range)
    settings = Settings(
        pairs.names[1],
        "average",
        prompts,
        "corrected",
        "reward",
        reward_range,
        implied,
        level,
        seed,
    )
    return along(pairs, settings)


def along(pairs: Pairs, settings: Settings, *, spread: float | None = None) -> Hacking:
    """Everything that is read along the tilt of ``pairs.proxy``; `settings` are gold's.

    Parameters
    ----------
    spread : standard deviation of gold within prompts, if it is more than that of ``pairs.gold``
    """
    samples = collect(pairs.proxy, pairs.lengths, seed=settings.seed)
    samples = reordered(samples, np.arange(samples.prompts))
    column = pairs.column(pairs.proxy, pairs.names[0])
    stated, implied = known_range(column, None)
    own = replace(settings, reward=column.name, reward_range=stated, range_implied=implied)
    limit = average(column, samples, own)
    furthest = horizon(samples)
    path = Path.of(limit, furthest + 0.7)
    wanted = [pairs.gold, pairs.proxy]
    if pairs.nuisance is not None:
        wanted.append(pairs.nuisance)
    reads = tilted_reads(pairs, path.grid, path.tilts, *wanted, seed=settings.seed)
    good = correctable(samples, own.estimator)
    pool = pooled(pairs, samples, path, *wanted, seed=settings.seed) if good else None
    model = None if pool is None else model_bias(pool, samples, path, seed=settings.seed)
    spreads = [centred_moments(pairs, x, x)[0] ** 0.5 for x in wanted]
    spreads[0] = spreads[0] if spread is None else spread
    found = []
    for at, values in [*enumerate(wanted)][::2]:  # gold and the nuisance
        together = centred_moments(pairs, values, pairs.proxy)
        slope = float(together[0] / spreads[1] ** 2)
        passes = pass_read(
            pairs, values, path.known, reads.weights, slope=slope, spread=float(spreads[at])
        )
        read = corrected_read(reads, path, at, 1, slope, model, passes=passes, plain=not good)
        law = None if pool is None else tail_law(pool, samples.counts, at)
        bands = gold_bands(
            read, reads, path, (at, 1), law, spread=spreads[at], horizon=furthest,
            level=settings.level, fixed=settings.prompts == "fixed", correctable=good,
        )  # fmt: skip
        found.append(Readings(read, bands, spreads[at], together, law))
    beside = found[1] if len(found) > 1 else None
    return Hacking(limit, pairs, path, reads, found[0], beside, settings)


def in_order(pairs: Pairs, values: Floats, settings: Settings) -> Frontier:
    """A frontier whose groups of prompts are those of the pairs, so that both can be compared."""
    column = pairs.column(values, settings.reward)
    samples = collect(values, pairs.lengths, seed=settings.seed)
    return average(column, replace(samples, rank=np.arange(samples.prompts)), settings)


def centred_moments(pairs: Pairs, one: Floats, other: Floats) -> Floats:
    """(1 + prompts,) mean over prompts of the covariance within them, then each prompt's own."""
    each = np.empty(pairs.prompts)
    for chunk in pairs.chunks(one, other):
        count = chunk.proxy.shape[1]
        each[chunk.prompts] = np.einsum("ij,ij->i", *chunk.reads) / (count - 1)
    return np.concatenate([[each.mean()], each])
