"""What one pass leaves behind, against the plain way: deleting samples, choosing subsets, drawing anew."""

from dataclasses import replace
from itertools import combinations
from threading import Barrier, get_ident

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import logsumexp

from klimit._threads import mapped
from klimit.estimate.kernel import Grid
from klimit.estimate.samples import collect
from klimit.estimate.statistics import (
    BIAS_PROMPTS,
    GROUPS,
    plugin_statistics,
    slices,
    statistics,
)

GRID = Grid(2.0**-5, 13, 8)


def one_pass(rows, grid=GRID, seed=0):
    values = np.concatenate([np.asarray(row, float) for row in rows])
    samples = collect(values, np.array([len(row) for row in rows]), seed=seed)
    return samples, statistics(samples, grid, seed=seed)


def log_mgf(row, centre, grid=GRID):
    x = np.asarray(row) - centre
    return np.array([logsumexp(tilt * x) for tilt in grid.tilts]) - np.log(len(x))


def mean_over(groups, weights):
    return np.einsum("g,gt->t", weights, groups)


@pytest.mark.parametrize("size", [4, 5, 8, 9, 13, 40])
def test_the_jackknife_from_power_sums_is_the_naive_one(size):
    """Exact up to eight samples; above, five digits or, where one sample stands alone, a few percent."""
    rng = np.random.default_rng(size)
    for row in (
        rng.normal(size=size),
        rng.exponential(size=size) ** 3,
        rng.integers(0, 3, size) + np.r_[1e-9, np.zeros(size - 1)],
        np.r_[np.zeros(size - 1), 50.0],
    ):
        row = row / row.std()
        centre = row.mean()
        full = log_mgf(row, centre)
        left = np.mean([log_mgf(np.delete(row, i), centre) for i in range(size)], axis=0)
        found = one_pass([row])[1].jackknife[0]
        wanted = (size - 1) * (full - left)
        if size <= 8:
            assert_allclose(found, wanted, rtol=1e-10, atol=1e-12)
        else:
            assert_allclose(found, wanted, rtol=0.05, atol=2e-5)
            assert_allclose(found[wanted < 1], wanted[wanted < 1], rtol=1e-3, atol=2e-5)


@pytest.mark.parametrize("size", [8, 16, 64])
def test_noise_and_its_moments_are_those_of_deleting_samples_where_few_have_the_weight(size):
    row = np.random.default_rng(size).gumbel(size=size)
    without = [log_mgf(rest, rest.mean()) for rest in (np.delete(row, i) for i in range(size))]
    moves = np.mean(without, axis=0) - without
    found, steep = one_pass([row])[1], GRID.tilts > 2.0
    noise, third = (size - 1) / size * (moves**2).sum(axis=0), (moves**3).sum(axis=0)
    assert_allclose(found.noise[steep], noise[steep], rtol=0.15)
    assert_allclose(found.skew[steep], third[steep], rtol=0.15)
    assert_allclose(found.fourth[steep], (moves**4).sum(axis=0)[steep], rtol=0.15)


def all_subsets(row, size, grid=GRID):
    parts = np.array(list(combinations(row - row.mean(), size)))
    return np.mean([logsumexp(parts * t, axis=1) for t in grid.tilts], axis=1) - np.log(size)


@pytest.mark.parametrize("size", [4, 8])
def test_halves_and_quarters_of_a_tiny_prompt_are_the_means_over_all_subsets(size):
    row = np.random.default_rng(size).normal(size=size)
    stats = one_pass([row])[1]
    half, quarter = all_subsets(row, size // 2), all_subsets(row, size // 4)
    assert_allclose(stats.half[0], log_mgf(row, row.mean()) - half, atol=1e-9)
    assert_allclose(stats.quarter[0], half - quarter, atol=1e-9)


@pytest.mark.parametrize("size", [6, 10])
def test_halves_and_quarters_are_unbiased_where_sizes_do_not_divide(size):
    rng = np.random.default_rng(size)
    row = rng.normal(size=size)
    grid = Grid(0.25, 3, 1)
    parts = 8 if size >= 8 else 4
    hands = [(size + parts - 1 - j) // parts for j in range(parts)]

    def expected(take):
        sizes = [sum(hands[j] for j in u) for u in combinations(range(parts), take)]
        means = {s: all_subsets(row, s, grid) for s in set(sizes)}
        return np.mean([means[s] for s in sizes], axis=0)

    full = log_mgf(row, row.mean(), grid)
    found = [one_pass([row], grid, seed)[1] for seed in range(150)]
    for seen, wanted in (
        ([x.half[0] for x in found], full - expected(parts // 2)),
        ([x.half[0] + x.quarter[0] for x in found], full - expected(parts // 4)),
    ):
        error = np.std(seen, axis=0) / len(seen) ** 0.5
        assert (np.abs(np.mean(seen, axis=0) - wanted) < 5 * error + 1e-9).all()


@pytest.mark.parametrize("law", ["normal", "uniform", "coin"])
def test_noise_is_the_variance_that_drawing_the_samples_anew_gives(law):
    rng = np.random.default_rng(7)
    draw = {
        "normal": lambda shape: rng.normal(size=shape),
        "uniform": lambda shape: rng.random(shape) * 3,
        "coin": lambda shape: (rng.random(shape) < 0.15).astype(float),
    }[law]
    rewards = draw((1000, 200))
    grid = Grid(0.25, 2, 8)
    x = rewards - rewards.mean(axis=1, keepdims=True)
    values = np.stack([np.log(np.exp(tilt * x).mean(axis=1)) for tilt in grid.tilts[4:]])
    samples, stats = one_pass(list(rewards), grid)
    assert_allclose(stats.noise[4:] * samples.prompts, values.var(axis=1), rtol=0.2)
    plain = plugin_statistics(samples, grid.longer(1))[0]
    assert_allclose(plain.noise[4:16], stats.noise[4:], rtol=0.06)


def test_the_mean_log_mgf_is_that_of_the_prompts_however_ragged():
    rng = np.random.default_rng(8)
    rows = [rng.normal(size=m) for m in (2, 3, 4, 7, 8, 9, 31, 64, 500)]
    wanted = np.mean([log_mgf(row, row.mean()) for row in rows], axis=0)
    samples, stats = one_pass(rows)
    assert_allclose(mean_over(stats.full, stats.weights), wanted, atol=1e-9)
    grid = Grid(2.0**-5, 13, 4)
    plain, _, _ = plugin_statistics(samples, grid)
    assert_allclose(mean_over(plain.full, plain.weights), wanted[::2], atol=1e-9)


def test_groups_weigh_as_many_prompts_as_they_hold():
    rng = np.random.default_rng(9)
    rows = list(rng.normal(size=(GROUPS + 57, 4)))
    stats = one_pass(rows, Grid(0.5, 2, 1))[1]
    assert_allclose(stats.weights.sum(), 1.0)
    assert sorted(set((stats.weights * len(rows)).round(9))) == [1.0, 2.0]


def test_any_number_of_threads_leaves_the_same_digits(monkeypatch):
    rng = np.random.default_rng(10)
    rows = [rng.normal(size=m) for m in rng.integers(2, 90, size=300)]
    found = []
    monkeypatch.setattr("klimit.estimate.statistics.BLOCK", 256)
    for cores in (1, 2, 7):
        monkeypatch.setattr("klimit._threads._cores", lambda cores=cores: cores)
        found.append(one_pass(rows, Grid(0.1, 4, 2))[1])
    for other in found[1:]:
        for name in ("full", "noise", "jackknife", "half", "quarter"):
            assert_array_equal(getattr(found[0], name), getattr(other, name))


def test_every_core_that_there_is_is_used(monkeypatch):
    used = set()

    def seen(part):
        used.add(get_ident())
        together.wait(timeout=60)  # nobody goes on before all are there
        return part

    together = Barrier(5)
    monkeypatch.setattr("klimit._threads._cores", lambda: 5)
    assert list(mapped(seen, range(10))) == list(range(10))
    assert len(used) == 5


def test_prompts_of_two_or_three_samples_have_no_halves():
    stats = one_pass([[0.0, 1.0], [0.0, 1.0, 5.0]], Grid(0.5, 2, 1))[1]
    assert not stats.bias_weights.any()
    assert not stats.half.any()


def test_prompts_in_any_order_make_no_more_pieces_than_their_rewards_fill():
    rng = np.random.default_rng(0)
    values = rng.normal(size=4 * 30_000)
    samples = collect(values, np.full(30_000, 4))
    samples = replace(samples, rank=rng.permutation(30_000))
    found = list(slices(samples))
    assert len(found) < 5  # it was thousands, each with tables of its own
    assert sum(len(block.prompts) for block, biased in found if biased) == BIAS_PROMPTS
