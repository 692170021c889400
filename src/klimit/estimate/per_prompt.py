"""The frontier when every prompt spends the same KL, corrected at fixed KL.

Here each prompt has its own tilt, so the bias is that of a minimum per prompt and is removed where
it stands: at fixed KL, from fronts of seven eighths, halves and quarters of each prompt's samples
and from the pooled model. Gains of 0/1 rewards are read from the mixture of pass rates.
``G(D) = E_x min over tilts of (D + L_x) / tilt`` (arXiv 2605.07105, section 3).
"""

from __future__ import annotations

from dataclasses import astuple, dataclass, replace
from functools import partial

import numpy as np

from klimit._threads import mapped
from klimit.estimate import frontier as average
from klimit.estimate import two_modes
from klimit.estimate.bands import ALONE, Bands, edge_of_trust, kl_nodes, past_reach, rate_limits
from klimit.estimate.curve import Curve
from klimit.estimate.few_levels import shared_levels
from klimit.estimate.fixed_beta import tilt_if_normal
from klimit.estimate.inputs import RewardColumn
from klimit.estimate.intervals import (
    LIGHT,
    Tail,
    around,
    doubt,
    if_normal,
    leave_out_error,
    left_out_reach,
    normal,
    quantiles,
    redrawn,
    tail_of,
)
from klimit.estimate.kernel import Floats, Grid, weight_sums
from klimit.estimate.members import calibrated, front, middle_of, with_left_out
from klimit.estimate.pass_rates import Bands as RateBands
from klimit.estimate.pass_rates import gain_of_rate, pass_rate_bands
from klimit.estimate.rates_by_prompt import likely_means
from klimit.estimate.repeats import repeats
from klimit.estimate.result import Frontier, Settings
from klimit.estimate.samples import Block, Integers, Samples, nearly_all
from klimit.estimate.shape import PredictedBias, centred_log_mean, log_mean, predicted_bias
from klimit.estimate.slope import SlopeReach, together
from klimit.estimate.statistics import (
    FEWEST,
    GROUPS,
    by_group,
    correctable,
    deal,
    redrawn_log_mgf,
    slices,
)

_BIAS_PROMPTS = 2048  # fewer than elsewhere: fronts of subsets cost more than their sums
_RATE_BUDGETS = 26
_LEFT = 0.5  # a correction at fixed KL leaves about half the bias that one at fixed tilts does
_NEAR = 0.5  # as much of what mixtures near the best differ by is likely bias
_SEEN = 8  # subsets of one kind that are looked at


@dataclass(frozen=True)
class _Fronts:
    """Group sums of per-prompt fronts at the nodes, (groups, nodes); and the prompts in each group.

    `moments` is (3, nodes): summed second to fourth moments when samples are drawn again.
    """

    prompts: Floats
    full: Floats
    moments: Floats
    biased: Floats
    eighth: Floats
    half: Floats
    quarter: Floats


def solve(column: RewardColumn, samples: Samples, settings: Settings, shared: Frontier) -> Frontier:
    """The per-prompt frontier; see `klimit.frontier`. It is never above the `shared` budget's."""
    if samples.scale == 0:
        return Frontier.flat(column, samples, settings)
    grid = _grid(samples)
    kl = kl_nodes(float(np.log(samples.counts.max())))
    correct = correctable(samples, settings.estimator)
    ranks = settings.objective == "win-rate"
    sums = _read(samples, grid, kl, settings.seed, correct, ranks=ranks)
    counts = np.maximum(sums.prompts, 1)[:, None]
    weights = sums.prompts / sums.prompts.sum()
    full = with_left_out(sums.full / counts, weights)
    cap = average.reward_cap(samples, settings)
    tail = LIGHT
    candidates, rates = full[None], None
    if correct:
        biased = np.maximum(sums.biased, 1)[:, None]
        bias_weights = sums.biased / sums.biased.sum()
        model = predicted_bias(samples, grid, seed=settings.seed)
        discrete = ranks or shared_levels(column.values) is not None
        again = 0.0 if discrete else repeats(samples)
        tail = LIGHT if discrete else tail_of(model.residuals).lighter(again)
        total, change = _model_bias(samples, model, kl, settings.seed)
        eighth, half, quarter = (x / biased for x in (sums.eighth, sums.half, sums.quarter))
        candidates = _candidates(full, eighth, half, quarter, bias_weights, total, change)
        if again > 0:  # the model has no voice
            candidates = candidates[:2]
        mixes = not ranks and average.shows_mixture(samples, settings)
        binary = average.two_levels(column, samples) if mixes else None
        modes = two_modes.find(samples) if mixes and binary is None else None
        if binary is not None:
            successes, step, number = binary
            rates = _rates(successes, number, kl, step, settings)
        elif modes is not None:
            jack = with_left_out(eighth, bias_weights)
            rates = _rates_and_rest(modes, full, jack, weights, kl, shared, settings)
            tail = modes.tail
    chosen = candidates.mean(axis=0) if len(candidates) == 2 else middle_of(candidates)
    if rates is not None:
        chosen += rates.value - chosen[0]
    chosen = np.maximum(chosen, full)
    if correct:
        chosen *= np.minimum(shared.curve.at_kl(kl).gain / chosen[0], 1.0)
    curve = _curve(kl, chosen[0], grid, cap)
    moments = sums.moments / float(samples.prompts) ** np.array([[2], [3], [4]])
    bands = _bands(
        kl, curve, full, chosen, candidates[:, 0], weights, moments, tail, samples, settings,
        correct, rates,
    )  # fmt: skip
    if ranks:  # as far up as the shared budget's, which has lowered this one
        above = bands.gain * shared.bands.share(shared.bands.high, kl)
        bands = replace(bands, high=np.fmax(bands.high, above))
    return Frontier(column.ids, column.name, samples, settings, curve, None, bands, tail, cap)


def _grid(samples: Samples) -> Grid:
    """Tilts for every prompt's own range of them."""
    spread = np.sqrt(samples.variances[samples.variances > 0])
    low, high = np.log2(spread.min() / samples.scale), np.log2(spread.max() / samples.scale)
    below = int(np.clip(np.ceil(high - 1e-9), 0, 8)) + 2  # the smallest budgets need smaller tilts
    octaves = average.OCTAVES + below + int(np.clip(np.ceil(-low - 1e-9), 0, 8))
    return Grid(average.START / samples.scale / 2.0**below, octaves, average.PER_OCTAVE)


def _read(
    samples: Samples, grid: Grid, kl: Floats, seed: int, correct: bool, *, ranks: bool = False
) -> _Fronts:
    """Subsets of `ranks` are ranked anew."""
    from klimit.estimate.win_rate import win_rates

    groups = min(GROUPS, samples.prompts)
    shape = (groups, len(kl))

    def work(part: tuple[Block, bool]) -> _Fronts:
        block, _ = part
        use = (samples.rank[block.prompts] < _BIAS_PROMPTS) & (block.counts >= FEWEST)
        group = samples.rank[block.prompts] % groups
        gaps = block.rewards - block.rewards[:, -1:]
        tops = block.rewards[:, -1:]
        offset = grid.tilts * tops
        sums = weight_sums(gaps, grid.longer(1))
        log_mgf = np.log(sums / block.counts[:, None])
        count = len(grid.tilts)
        found = front(log_mgf[:, :count] + offset, grid, kl)
        still = samples.variances[block.prompts] == 0
        np.minimum(found.gain, tops, out=found.gain)  # beyond the last tilt
        found.gain[still] = 0.0
        tilt = np.clip(found.tilt, grid.tilts[0], grid.tilts[-1])
        noise = _noise(
            log_mgf, grid, tilt, samples.variances[block.prompts], block.counts, found.gain
        )
        eighth, half, quarter = (np.zeros(shape) for _ in range(3))
        number, (skew, fourth) = np.zeros(groups), np.zeros((2, len(kl)))
        if correct and use.any():
            rng = np.random.default_rng([seed, 5, int(samples.rank[block.prompts[0]])])
            hands, sizes = deal(gaps[use], block.counts[use], rng)
            rows, parts, width = hands.shape
            pieces = weight_sums(hands.reshape(rows * parts, width), grid).reshape(rows, parts, -1)
            best, totals = hands.max(axis=2), hands.sum(axis=2, where=hands > -np.inf)
            full = found.gain[use]
            moving = ~still[use][:, None]

            def union_front(chosen: list[int]) -> Floats:
                size = np.maximum(sizes[:, chosen].sum(axis=1), 1)[:, None]
                if ranks:
                    rates = win_rates(np.sort(hands[:, chosen].reshape(rows, -1)), size[:, 0])
                    values, top = log_mean(rates, grid, size[:, 0]), rates[:, -1:]
                    return np.where(moving, np.minimum(front(values, grid, kl).gain, top), 0.0)
                weight = np.maximum(pieces[:, chosen].sum(axis=1), 1e-280)
                top = best[:, chosen].max(axis=1)[:, None]
                values = np.maximum(np.log(weight), grid.tilts * top) - np.log(size)
                gain = np.minimum(front(values, grid, kl).gain, top)
                value = gain - totals[:, chosen].sum(axis=1)[:, None] / size
                return np.where(moving, value, 0.0)

            def mean_front(unions: list[tuple[int, ...]]) -> Floats:
                return np.asarray(sum(union_front(list(union)) for union in unions) / len(unions))

            left_out = np.stack(
                [union_front([*range(i), *range(i + 1, parts)]) for i in range(parts)]
            )
            seven = left_out.mean(axis=0)
            moves = seven - left_out
            noise[use] = (moves**2).sum(axis=0) * (parts - 1) / parts
            skew = (moves**3).sum(axis=(0, 1)) * ((parts - 1) / parts) ** 3
            fourth = (moves**4).sum(axis=(0, 1))
            halves = mean_front(_pairs(parts, parts // 2))
            quarters = mean_front(
                [tuple(range(i, i + parts // 4)) for i in range(0, parts, parts // 4)]
            )
            eighth = by_group((parts - 1) * (full - seven), group[use], groups)
            half = by_group(full - halves, group[use], groups)
            quarter = by_group(halves - quarters, group[use], groups)
            number = np.bincount(group[use], minlength=groups).astype(float)
        prompts = np.bincount(group, minlength=groups).astype(float)
        moments = np.stack([noise.sum(axis=0), skew, fourth])
        return _Fronts(prompts, by_group(found.gain, group, groups), moments, number, eighth, half,
                       quarter)  # fmt: skip

    found = list(mapped(work, slices(samples)))
    fields = _Fronts.__dataclass_fields__
    return _Fronts(*(sum(getattr(x, name) for x in found) for name in fields))


def _pairs(parts: int, take: int) -> list[tuple[int, ...]]:
    """Balanced halves of the hands: each and its complement."""
    halves = [tuple((i + j) % parts for j in range(take)) for i in range(parts // 2)]
    return [u for h in halves for u in (h, tuple(sorted(set(range(parts)) - set(h))))][:_SEEN]


def _noise(
    log_mgf: Floats, grid: Grid, tilt: Floats, variance: Floats, counts: Integers, gain: Floats
) -> Floats:
    """Variance that a redraw of a prompt's samples would give its front, at first order."""
    place = np.log2(tilt / grid.tilts[0]) * grid.per_octave
    left = np.clip(place.astype(int), 0, len(grid.tilts) - 2)
    index = np.arange(len(tilt))[:, None]

    def at(shift: int) -> Floats:
        a, b = log_mgf[index, left + shift], log_mgf[index, left + 1 + shift]
        return np.asarray(a + (place - left) * (b - a))

    moved = redrawn_log_mgf(at(0), at(grid.per_octave), tilt, tilt * gain, variance, counts)
    return np.where(variance[:, None] > 0, moved / tilt**2, 0.0)


def _model_bias(
    samples: Samples, model: PredictedBias, kl: Floats, seed: int
) -> tuple[Floats, Floats]:
    """Bias at M of the mean front, and its change from M/2, if all prompts share the pooled shape."""
    size = int(np.median(samples.counts[samples.counts >= FEWEST]))
    grid = Grid(average.START / 2, average.OCTAVES + 2, average.PER_OCTAVE)
    rng = np.random.default_rng([seed, 6, len(model.residuals)])
    hands = max(1, min(400, len(model.residuals) // size))
    dealt = rng.permutation(model.residuals)[: hands * size]
    if len(dealt) < size:
        dealt = rng.choice(model.residuals, size)

    def gains(size: int) -> Floats:
        rows = dealt[: len(dealt) // size * size].reshape(-1, size)
        return np.asarray(front(centred_log_mean(rows, grid), grid, kl).gain.mean(axis=0))

    level = gains(len(dealt))
    of = (size, max(size // 2, 2), max(size - size // 2, 2))  # of 5: 5, 2 and 3
    whole, *parts = (np.maximum(level - gains(each), 0.0) for each in of)

    moving = samples.variances > 0
    scale = float(model.scales.mean()) * float(moving.mean())
    return scale * whole, scale * np.maximum((parts[0] + parts[1]) / 2 - whole, 1e-15)


def _candidates(
    full: Floats, eighth: Floats, half: Floats, quarter: Floats, weights: Floats, total: Floats,
    change: Floats,
) -> Floats:  # fmt: skip
    """Grouped jackknife, Aitken and calibrated model at fixed KL, each with every group left out."""
    jack, halves, quarters = (with_left_out(x, weights) for x in (eighth, half, quarter))
    tiny = 1e-12 * float(full[0].max())
    ratio = np.clip(halves / np.where(np.abs(quarters) < tiny, tiny, quarters), 0.3, 0.8)
    aitken = halves * ratio / (1 - ratio)
    strength, _ = calibrated(halves, change, weights)
    return np.stack([full + jack, full + aitken, full + strength * total])


def _rates(
    successes: Floats, counts: Integers, kl: Floats, step: Floats | float, settings: Settings
) -> RateBands:
    """What pass rates say of the mean gain at every node; `step` is what passing gains.

    The interval is that of the mixtures which the counts allow; the value is the median of their middle and
    two means that read each prompt by itself, since few samples of some prompts hide from a mixture what
    others show. Where one prompt in twenty has fewer, an end moves along when the value leaves the middle
    towards it.
    """
    from scipy.interpolate import PchipInterpolator

    points = np.geomspace(kl[0], kl[-1], _RATE_BUDGETS)
    bands = partial(
        pass_rate_bands, successes, counts, points,
        quantile=average.rate_quantile(settings, len(counts)), of_rate=gain_of_rate,
    )  # fmt: skip
    these = bands(fixed=True)
    found = these if settings.prompts == "fixed" else replace(bands(fixed=False), near=these.near)
    likely = likely_means(successes, counts, gain_of_rate, points)
    value = np.median([found.value, *likely], axis=0)
    off = (value - found.value) * (nearly_all(counts) < counts.max())
    low, high = found.low + np.minimum(off, 0.0), found.high + np.maximum(off, 0.0)
    found = replace(found, value=value, low=np.minimum(low, value), high=np.maximum(high, value))
    # a gain over the root of its KL hardly bends
    smooth = PchipInterpolator(np.log(points), np.stack(astuple(found)) / np.sqrt(points), axis=1)
    return RateBands(*(step * np.sqrt(kl) * smooth(np.log(kl))))


def _rates_and_rest(
    modes: two_modes.Modes, full: Floats, jackknife: Floats, weights: Floats, kl: Floats,
    shared: Frontier, settings: Settings,
) -> RateBands:  # fmt: skip
    """The same of verdicts with a remainder: a pass gains what it does at the tilt of that budget."""
    assert shared.members is not None
    tilts = shared.members.grid.tilts
    tilt = np.clip(shared.curve.at_kl(kl).tilt, tilts[0], tilts[-1])
    step = modes.felt(tilt) / tilt
    verdicts = modes.verdicts
    own = _read(verdicts, _grid(verdicts), kl, settings.seed, True)
    own_jack = with_left_out(
        own.eighth / np.maximum(own.biased, 1)[:, None], own.biased / own.biased.sum()
    )
    own_full = with_left_out(modes.group_means(gain_of_rate, kl), weights)
    rest = two_modes.Rest.of(
        full - step * own_full, jackknife - step * own_jack, weights, modes.tail
    )
    quantile = average.rate_quantile(settings, verdicts.prompts)
    return rest.added_to(_rates(*modes.counted(), kl, step, settings), quantile)


def _curve(kl: Floats, gain: Floats, grid: Grid, cap: float) -> Curve:
    """The concave curve through the nodes, as the convex function it is the transform of."""
    tilts = Grid(grid.start, grid.octaves, 8).tilts
    values = tilts[:, None] * gain - kl
    best = values.argmax(axis=1)
    inside = np.flatnonzero((best > 0) & (best < len(kl) - 1))
    a, b, c = (values[inside, best[inside] + step] for step in (-1, 0, 1))
    bend = a - 2 * b + c
    convex = np.where(bend < 0, b - (a - c) ** 2 / (8 * np.where(bend < 0, bend, -1.0)), b)
    most = float(gain.max())  # a parabola across a bend may pass it
    return Curve.convex(
        tilts[inside], np.maximum(convex, 0.0), ceiling_gain=most, cap=min(cap, most),
        ceiling_kl=float(kl[min(int(np.argmax(gain >= most * (1 - 1e-12))), len(kl) - 1)]),
    )  # fmt: skip


def _bands(
    kl: Floats, curve: Curve, full: Floats, chosen: Floats, candidates: Floats, weights: Floats,
    moments: Floats, tail: Tail, samples: Samples, settings: Settings, correct: bool,
    rates: RateBands | None,
) -> Bands:  # fmt: skip
    fixed = settings.prompts == "fixed"
    plain_error = leave_out_error(full[1:], full[0], weights)
    error = leave_out_error(chosen[1:], chosen[0], weights)
    two_sided, one_sided = quantiles(settings.level, 10**6 if fixed else int((weights > 0).sum()))
    if fixed:
        plain_error = np.sqrt(moments[0])
        error, sampling = redrawn(moments, 1.0, chosen - full, weights, settings.level)
    else:
        sampling = left_out_reach(chosen[1:], chosen[0], weights, settings.level)
    gain = curve.at_kl(kl).gain
    correction = np.maximum(gain - full[0], 0.0)
    spread = np.ptp(candidates, axis=0)
    reach = if_normal(sampling, gain, kl, samples, tail, settings.level) if fixed else sampling
    ranks = settings.objective == "win-rate"  # few overstate what more show: the lowest may be true
    leap = np.maximum(gain - candidates.min(axis=0), 0.0) if ranks else 0.0
    low, high = around(gain, reach, correction, spread, tail, leap)
    shaky = _LEFT * doubt(gain, correction, spread, tail)
    wall = average.horizon(samples)
    if rates is None:
        wall = min(wall, average.saturation(samples))
        if not np.isnan(tail.shape):
            wall -= ALONE / samples.prompts
    else:
        low, high, shaky = rate_limits(
            rates.low, rates.high, _NEAR * rates.near, gain, error, two_sided
        )
        high = past_reach(kl, high, wall, tail)
    bound = np.maximum.accumulate(np.maximum(full[0] - one_sided * plain_error, 0.0))
    trusted = edge_of_trust(kl, shaky, wall) if correct else 0.0
    return Bands(
        kl, gain, np.minimum(full[0], gain), np.maximum.accumulate(np.maximum(low, 0.0)), high,
        *sampling, error, bound, shaky, trusted, np.ones(len(kl)), 1.0, rates is not None,
        _slopes(kl, full, chosen, candidates, weights, error, tail, samples, settings),
    )  # fmt: skip


def _slopes(
    kl: Floats, full: Floats, chosen: Floats, candidates: Floats, weights: Floats, error: Floats,
    tail: Tail, samples: Samples, settings: Settings,
) -> SlopeReach:  # fmt: skip
    """How far the mean slope over prompts may be off; `error` is that of the gain."""
    plain, own, others = (
        np.log(np.maximum(np.gradient(x, kl, axis=-1), 1e-300))
        for x in (full[0], chosen, candidates)
    )
    if settings.prompts == "drawn":
        chance = left_out_reach(own[1:], own[0], weights, settings.level, uneven=True)
    else:
        # as the gain's, and no less than if these prompts' rewards were normal
        drawn = (leave_out_error(x[1:], x[0], weights) for x in (own, chosen))
        with np.errstate(divide="ignore", invalid="ignore"):  # of one prompt neither is known
            noise = np.nan_to_num(np.divide(*drawn) * error, nan=np.inf, posinf=np.inf)
        chance = (normal(settings.level) * np.maximum(noise, tilt_if_normal(kl, samples)),) * 2
    return together(kl, chance, own[0] - plain, np.ptp(others, axis=0), tail)
