"""From rewards of a base model to the frontier: choose, correct, bound."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, Literal

import numpy as np

from klimit.estimate import few_levels, two_modes
from klimit.estimate.bands import average_bands, spread_log_mgf
from klimit.estimate.checks import check_choice, check_level, check_seed, known_range, only
from klimit.estimate.curve import Curve
from klimit.estimate.inputs import RewardColumn, reward_column
from klimit.estimate.intervals import LIGHT, Tail, quantiles, tail_of
from klimit.estimate.kernel import Floats, Grid
from klimit.estimate.members import Members, combine, plain
from klimit.estimate.pass_rates import Bands as RateBands
from klimit.estimate.pass_rates import log_mgf_of_rate, pass_rate_bands
from klimit.estimate.repeats import own_best, repeats
from klimit.estimate.result import Frontier, Settings
from klimit.estimate.rounding import rounded_levels
from klimit.estimate.samples import Integers, Samples, collect, nearly_all, ordered_mean
from klimit.estimate.shape import predicted_bias
from klimit.estimate.statistics import FEWEST, Statistics, enough, plugin_statistics, statistics

START = 2.0**-5  # the smallest tilt, per pooled standard deviation: KL of about 0.0005 nats
OCTAVES = 13
PER_OCTAVE = 8
# samples of 0/1 rewards from which the corrections are better than the mixture: as a value, and as an
# interval for these very prompts
_SEVERAL, _MANY = 16, 64
_RATE_TILTS = np.geomspace(0.05, 60.0, 26)


def frontier(
    base: Any,
    *,
    reward: str | None = None,
    budget: Literal["average", "per-prompt"] = "average",
    prompts: Literal["drawn", "fixed"] = "drawn",
    estimator: Literal["corrected", "plugin"] = "corrected",
    objective: Literal["reward", "win-rate"] = "reward",
    reward_range: tuple[float, float] | None = None,
    level: float = 0.95,
    seed: int = 0,
) -> Frontier:
    """How much reward can any method gain over the base model for a KL budget?

    The best policy at KL coefficient beta is ``base * exp(reward / beta) / Z``. Its gain and its KL
    are expectations under the base, so samples of the base with their rewards show the whole
    frontier ``G(D) = min over beta of beta * (D + E_x log E exp((r - E r) / beta))`` before any
    training.

    Parameters
    ----------
    base : Rollouts, or rewards as a (prompts, samples) array (NaN = missing) or a sequence of 1-D
        arrays
    reward : which reward column, where there are several
    budget : ``"average"``: one beta for all prompts and the mean KL, which is what a KL penalty
        trains. ``"per-prompt"``: every prompt spends the same KL
    prompts : ``"drawn"``: intervals for the population that the prompts came from; ``"fixed"``: for
        these
    estimator : ``"corrected"``; or ``"plugin"``, the papers' own, which is low at every sample size
    objective : ``"reward"``, or ``"win-rate"``: the chance to beat a base draw, ties shared
    reward_range : what rewards can be, if known; 0/1 rewards imply (0, 1)
    level : of intervals
    seed : of random splits; the same seed gives the same digits whatever the order of rows and
        prompts

    Returns
    -------
    Frontier
        KL in nats per sequence, gain in reward units.

    Raises
    ------
    ArgumentError
        For an option that is not one of those above.
    DataError
        Where no prompt has two rewards, or a reward is infinite.

    Notes
    -----
    arXiv 2605.07105, section 3, for the closed form; the correction is described in
    ``docs/estimators.md``.

    Examples
    --------
    >>> import numpy as np
    >>> rewards = np.random.default_rng(0).normal(size=(200, 64))
    >>> limit = frontier(rewards)
    >>> print(limit.gain(kl=0.5))  # the truth is 1
    0.987 [0.973, 1.013]
    """
    check_choice("budget", budget, ("average", "per-prompt"))
    check_choice("prompts", prompts, ("drawn", "fixed"))
    check_choice("estimator", estimator, ("corrected", "plugin"))
    check_choice("objective", objective, ("reward", "win-rate"))
    check_level(level)
    check_seed(seed)
    column = reward_column(base, reward)
    samples = collect(column.values, np.asarray(column.lengths, dtype=np.int64), seed=seed)
    reward_range, implied = known_range(column, reward_range)
    settings = Settings(
        column.name, budget, prompts, estimator, objective, reward_range, implied, level, seed
    )
    return _solve(column, samples, settings)


def _solve(column: RewardColumn, samples: Samples, settings: Settings) -> Frontier:
    if settings.objective == "win-rate":
        from klimit.estimate import win_rate

        return win_rate.solve(column, samples, settings)
    if settings.budget == "per-prompt":
        from klimit.estimate import per_prompt

        return per_prompt.solve(column, samples, settings, average(column, samples, settings))
    return average(column, samples, settings)


def average(column: RewardColumn, samples: Samples, settings: Settings) -> Frontier:
    """The frontier of the average budget."""
    if samples.scale == 0:
        return Frontier.flat(column, samples, settings)
    cap = reward_cap(samples, settings)
    ceiling_gain, ceiling_kl = ordered_mean(samples.tops, samples), saturation(samples)
    tail, rates, mixed = LIGHT, None, False
    if settings.estimator == "plugin" or not (samples.counts >= FEWEST).any():
        stats, curve = plugin(samples, ceiling_gain, ceiling_kl)
        members = plain(stats)
        correctable = False
    else:
        grid = Grid(START / samples.scale, OCTAVES, PER_OCTAVE)
        stats = statistics(samples, grid, seed=settings.seed)
        members, tail = corrected(column, samples, stats, settings)
        correctable = enough(samples)
        if correctable and shows_mixture(samples, settings):
            members, tail, rates = _by_pass_rates(column, samples, stats, members, tail, settings)
        chosen, least = members.chosen, nearly_all(samples.counts)
        mixed = least < _MANY
        if rates is not None and least < _SEVERAL:
            mixture, tilts = rates
            # so few samples leave the mixture wide open: half its middle, half the law of pass rates
            middle = spread_log_mgf(tilts, mixture.value, grid.tilts)
            chosen = np.maximum((middle + members.candidates[-1]) / 2, members.plugin)
        curve = Curve.convex(
            grid.tilts, chosen, ceiling_gain=ceiling_gain, ceiling_kl=ceiling_kl, cap=cap
        )
    bands = average_bands(
        stats, members, curve, tail, samples, settings, horizon=horizon(samples),
        saturation=ceiling_kl, correctable=correctable, lost=samples.lost(), rates=rates, mixed=mixed,
    )  # fmt: skip
    return Frontier(column.ids, column.name, samples, settings, curve, members, bands, tail, cap)


def corrected(
    column: RewardColumn, samples: Samples, stats: Statistics, settings: Settings
) -> tuple[Members, Tail]:
    """The corrections' median or mean, and the tail of the residuals (light for few levels and capped)."""
    if not ((samples.counts >= FEWEST) & (samples.variances > 0)).any():
        return combine(stats, None, None), LIGHT
    shared = few_levels.shared_levels(column.values)
    levels = shared or rounded_levels(samples)
    if levels is not None:
        counts = few_levels.level_counts(samples, levels)
        total, change = few_levels.predicted_bias(
            counts, levels.values, stats.grid, seed=settings.seed
        )
        if shared is None:  # a law of rounded rewards is one voice of three
            return combine(stats, total, change), LIGHT
        two = len(levels.values) == 2
        return combine(stats, total, change, halfway=two, law=not two), LIGHT
    members, tail = _of_any_law(samples, stats, settings.seed)
    own = own_best(samples)
    if own is not None:
        members = members.towards(own.bias(samples, stats.grid, seed=settings.seed), own.belief)
    return members, tail


def _of_any_law(samples: Samples, stats: Statistics, seed: int) -> tuple[Members, Tail]:
    """Of rewards that share no levels and no best."""
    model = predicted_bias(samples, stats.grid, seed=seed)
    tail, again = tail_of(model.residuals), repeats(samples)
    if again > 0:
        return combine(stats, None, None), tail.lighter(again)
    members = combine(stats, model.total, model.change)
    return replace(members, beyond=model.beyond), tail


def plugin(samples: Samples, ceiling_gain: float, ceiling_kl: float) -> tuple[Statistics, Curve]:
    """The empirical frontier to ten digits: log-mgf with two derivatives at every tilt."""
    grid = _plugin_grid(samples)
    stats, slope, second = plugin_statistics(samples, grid)
    curve = Curve.smooth(
        grid.tilts, plain(stats).plugin, slope, second,
        variance=ordered_mean(samples.variances, samples),
        ceiling_gain=ceiling_gain, ceiling_kl=ceiling_kl,
    )  # fmt: skip
    return stats, curve


def _plugin_grid(samples: Samples) -> Grid:
    """Tilts at which few samples show their frontier to ten digits, up to where the best stand alone.

    Many samples leave no gap that a tilt could show, and prompts of all scales; there six digits
    do.
    """
    if samples.counts.sum() >= 20_000:
        return Grid(START / samples.scale, OCTAVES + 1, 5)
    start = START / 2 / max(float(samples.tops.max()), samples.scale)
    moving = samples.variances > 0
    gaps = samples.tops - samples.level_below_the_best()
    last = 40 / max(float(gaps[moving].min()), 1e-8 * samples.scale)
    return Grid(start, int(np.ceil(np.log2(last / start))), 16)


def _by_pass_rates(
    column: RewardColumn, samples: Samples, stats: Statistics, members: Members, tail: Tail,
    settings: Settings,
) -> tuple[Members, Tail, tuple[RateBands, Floats] | None]:  # fmt: skip
    """Members, tail, and the log-mgf from pass rates at tilts, if rewards are verdicts at least in part."""
    binary = two_levels(column, samples)
    if binary is not None:
        successes, step, counts = binary
        return members, tail, (_rates(successes, counts, settings)(_RATE_TILTS), _RATE_TILTS / step)
    modes = two_modes.find(samples)
    if modes is None:
        return members, tail, None
    members, rest = two_modes.split(modes, stats, seed=settings.seed)
    verdicts = _rates(*modes.counted(), settings)
    quantile = rate_quantile(settings, samples.prompts)
    return (
        members,
        modes.tail,
        two_modes.whole_bands(modes, rest, stats.grid, _RATE_TILTS, quantile, verdicts),
    )


def _rates(
    successes: Floats, counts: Integers, settings: Settings
) -> Callable[[Floats], RateBands]:
    return partial(
        pass_rate_bands, successes, counts, quantile=rate_quantile(settings, len(counts)),
        fixed=settings.prompts == "fixed", of_rate=log_mgf_of_rate,
    )  # fmt: skip


def rate_quantile(settings: Settings, prompts: int) -> float:
    """Errors that an interval from pass rates reaches."""
    return quantiles(settings.level, min(prompts, 200))[0]


def shows_mixture(samples: Samples, settings: Settings) -> bool:
    """Whether pass rates can be read as a mixture; one prompt shows none of a population's."""
    return samples.prompts > 1 or settings.prompts == "fixed"


def two_levels(column: RewardColumn, samples: Samples) -> tuple[Floats, float, Integers] | None:
    """Successes, the step between the two levels, and counts, if rewards have just two levels."""
    low, high = float(np.nanmin(column.values)), float(np.nanmax(column.values))
    if low == high or not only(column.values, low, high):
        return None
    share = np.round((samples.means - low) / (high - low))  # of a constant prompt
    # levels may be as near as the rounding of a mean, which then shows no number of successes
    successes = np.where(samples.variances > 0, samples.ties, share * samples.counts)
    order = np.argsort(samples.rank)
    return successes[order], high - low, samples.counts[order]


def horizon(samples: Samples) -> float:
    """KL past which trust ends whatever else: mean log M - .5."""
    return float(np.log(samples.size)) - 0.5


def saturation(samples: Samples) -> float:
    """KL at which the plug-in becomes flat: mean log (M / ties at the best)."""
    return ordered_mean(np.log(samples.counts / samples.ties), samples)


def reward_cap(samples: Samples, settings: Settings) -> float:
    """The most that can be gained if rewards have a known maximum."""
    if settings.reward_range is None:
        return np.inf
    return settings.reward_range[1] - ordered_mean(samples.means, samples)
