"""Gold along the tilt of a 0/1 proxy: pass rates, and how much better passed answers are than failed ones.

A tilt moves a prompt's pass rate q up by h(q) and leaves passed and failed answers as they are, so gold
gains ``E h(q) d`` with d the mean gold of passed answers less that of failed ones. Where a prompt shows
both, their means differ by d whatever the count s of passes was. So ``c(s) (difference)``, 0 where all
pass or all fail, has the mean ``E (sum_s c(s) P(s | q)) d``: c is chosen such that the sum follows h
where pass rates lie, as closely as noise allows, for a d that may change with the pass rate.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from klimit.estimate.kernel import Floats
from klimit.estimate.members import with_left_out
from klimit.estimate.proxy.pairs import Pairs

MOST = 128  # samples of a prompt; with more the general corrections do
_FEW = 4.0  # samples that leave the law of pass rates itself so open that the error may be twice as large
_FLOOR = 0.4  # variance of d between prompts, at least, of what gold and its slope show
# how d may change with the angle of the pass rate: a constant, a line, and more at random
_LINE, _MIDDLE, _ROUGH, _NEAR = 8.0, 0.6, 4.0, 0.5


@dataclass(frozen=True)
class PassRead:
    """Gold that does not move with the proxy, along its tilts.

    Attributes
    ----------
    rest : (1 + groups, tilts) its gain, of all prompts, then without each group
    open : (tilts,) standard error of what no weights of so few samples follow
    """

    rest: Floats
    open: Floats


def pass_read(
    pairs: Pairs, read: Floats, tilts: Floats, weights: Floats, *, slope: float, spread: float
) -> PassRead | None:
    """Gold less ``slope * proxy`` along the tilt of a proxy of two values; None for other proxies.

    Parameters
    ----------
    read : (samples,) gold
    weights : (groups,) share of the prompts in each
    spread : of gold within prompts
    """
    from klimit.estimate.pass_rates import gain_at_tilt
    from klimit.estimate.rate_law import RATES, rate_chances

    low, high = float(pairs.proxy.min()), float(pairs.proxy.max())
    if pairs.lengths.max() > MOST or ((pairs.proxy > low) & (pairs.proxy < high)).any():
        return None
    step = high - low
    count = pairs.lengths
    passes = np.add.reduceat((pairs.proxy > low).astype(np.int64), np.cumsum(count) - count)
    mixed = (passes > 0) & (passes < count)
    gap, noise = _differences(pairs, read - slope * pairs.proxy)
    worth = (passes * (count - passes) / count)[mixed]
    varied = max(
        (worth @ gap[mixed] ** 2 - noise * mixed.sum()) / worth.sum(),
        _FLOOR * (spread**2 + (slope * step) ** 2),
    )
    angle = np.arcsin(np.sqrt(RATES))
    alike = 1 + _LINE * np.outer(angle - _MIDDLE, angle - _MIDDLE)
    alike += _ROUGH * np.exp(-np.abs(angle[:, None] - angle) / _NEAR)
    chances = rate_chances(passes.astype(float), count.astype(float))
    alike *= varied * chances[:, None] * chances
    wanted = np.stack([gain_at_tilt(RATES, float(x)) for x in tilts * step], axis=1)
    groups = len(weights)
    total, left = np.zeros((groups, len(tilts))), np.zeros(len(tilts))
    for size in np.unique(count):
        here = count == size
        factors, off = _weigh(int(size), alike, chances, wanted, noise, varied, pairs.prompts)
        place = np.flatnonzero(here) % groups * (size + 1) + passes[here]
        sums = np.bincount(place, gap[here], groups * (size + 1)).reshape(groups, size + 1)
        total += sums[:, 1:-1] @ factors
        left += here.mean() * off
    number = np.bincount(np.arange(pairs.prompts) % groups, minlength=groups)
    return PassRead(with_left_out(total / np.maximum(number, 1)[:, None], weights), left)


def _differences(pairs: Pairs, read: Floats) -> tuple[Floats, float]:
    """(prompts,) mean read of passed less that of failed answers, 0 of either alone; variance in both."""
    gap, square, spare = np.zeros(pairs.prompts), 0.0, 0
    for chunk in pairs.chunks(read):
        (values,), hit = chunk.reads, chunk.proxy > 0
        mixed = hit.any(axis=1)  # all that pass are as constant, and centred to 0, as all that fail
        values, hit = values[mixed], hit[mixed]
        mean = [np.einsum("ij,ij->i", values, one) / one.sum(axis=1) for one in (hit, ~hit)]
        rest = values - np.where(hit, *(x[:, None] for x in mean))
        square += float(np.einsum("ij,ij->", rest, rest))
        spare += len(values) * (values.shape[1] - 2)
        gap[chunk.prompts[mixed]] = mean[0] - mean[1]
    return gap, square / max(spare, 1)


def _weigh(
    size: int, alike: Floats, chances: Floats, wanted: Floats, noise: float, varied: float, prompts: int
) -> tuple[Floats, Floats]:  # fmt: skip
    """(size - 1, tilts) weights of the counts 1 to size - 1; (tilts,) how far their mean may be off.

    The least squared error over laws of d of this covariance, `alike`, between pass rates.
    """
    from klimit.estimate.pass_rates import binomial
    from klimit.estimate.rate_law import RATES

    count = np.arange(1, size)
    seen = binomial(count, size, RATES[:, None])
    error = (chances @ seen) * (noise * (1 / count + 1 / (size - count)) + varied) / prompts
    moved = seen.T @ alike
    square = moved @ seen
    square[np.diag_indices(size - 1)] += error + 1e-12 * error.max()
    factors: Any = np.linalg.solve(square, moved @ wanted)
    off = seen @ factors - wanted
    error = np.sqrt(np.maximum(np.einsum("it,it->t", off, alike @ off), 0.0))
    return factors, error * (1 + (_FEW / size) ** 2)
