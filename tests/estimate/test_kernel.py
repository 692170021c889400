"""Weight sums on a grid of tilts: what squaring weights gives is what exponentials give."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.special import logsumexp

from klimit.estimate.kernel import BLOCK, Grid, tilted_moments, weight_sums

GRID = Grid(2.0**-5, 15, 8)


def padded(rows):
    """Ascending rewards, padded in front with -inf, and their counts."""
    width = max(map(len, rows))
    matrix = np.full((len(rows), width), -np.inf)
    for i, row in enumerate(rows):
        matrix[i, width - len(row) :] = np.sort(row)
    return matrix, np.array([len(row) for row in rows])


def log_sums(gaps, grid):
    """One exponential per tilt, the plain way."""
    return np.stack([logsumexp(tilt * gaps, axis=1) for tilt in grid.tilts], axis=1)


@pytest.mark.parametrize("spread", [1e-12, 1e-3, 1.0, 30.0, 1e6])
def test_weight_sums_are_the_direct_exponentials_over_the_whole_grid(spread):
    rng = np.random.default_rng(1)
    matrix, _ = padded([spread * rng.normal(size=m) for m in (2, 3, 7, 40, 64)])
    gaps = matrix - matrix[:, -1:]
    assert_allclose(np.log(weight_sums(gaps, GRID)), log_sums(gaps, GRID), rtol=1e-10, atol=1e-10)


def test_weight_sums_hold_for_rows_longer_than_a_block_and_for_many_short_rows():
    rng = np.random.default_rng(2)
    coarse = Grid(2.0**-5, 13, 1)
    for shape in ((2, BLOCK + 1), (BLOCK // 3 + 5, 5)):
        rewards = rng.normal(size=shape)
        gaps = rewards - rewards.max(axis=1, keepdims=True)
        assert_allclose(np.log(weight_sums(gaps, coarse)), log_sums(gaps, coarse), atol=1e-10)


def test_padding_weighs_nothing_at_any_tilt():
    rng = np.random.default_rng(3)
    row = np.sort(rng.normal(size=6))
    alone = weight_sums((row - row[-1])[None], GRID)
    beside, _ = padded([row, rng.normal(size=50)])
    assert_allclose(weight_sums(beside - beside[:, -1:], GRID)[:1], alone, rtol=1e-14)


def test_a_longer_grid_continues_the_same_tilts():
    assert_allclose(GRID.longer(2).tilts[: len(GRID.tilts)], GRID.tilts, rtol=0)
    assert_allclose(GRID.tilts[GRID.per_octave :], 2 * GRID.tilts[: -GRID.per_octave], rtol=1e-14)


@pytest.mark.parametrize("octaves", [15, 40])
def test_tilted_moments_are_the_moments_of_the_reweighted_samples(octaves):
    rng = np.random.default_rng(4)
    grid = Grid(2.0**-6, octaves, 3)
    rows = [rng.normal(size=m) for m in (2, 5, 8, 33)]
    rows.append(np.array([0.0, 1.0, 1.0, 1.0 + 1e-6]))  # told apart by the largest tilts alone
    matrix, counts = padded([row - row.mean() for row in rows])
    found = tilted_moments(matrix, counts, grid)
    for i, row in enumerate(rows):
        x = row - row.mean()
        for t, tilt in enumerate(grid.tilts):
            weight = np.exp(tilt * (x - x.max()))
            weight /= weight.sum()
            mean = weight @ x
            log_mgf = logsumexp(tilt * x) - np.log(len(x))
            assert_allclose(found.log_mgf[i, t], log_mgf, rtol=1e-11, atol=1e-12)
            assert_allclose(found.mean[i, t], mean, rtol=1e-10, atol=1e-12)
            assert_allclose(found.variance[i, t], weight @ (x - mean) ** 2, rtol=1e-9, atol=1e-12)


def test_tilted_moments_hold_for_a_prompt_longer_than_a_block():
    rng = np.random.default_rng(5)
    x = np.sort(rng.normal(size=2 * BLOCK + 7))
    x -= x.mean()
    grid = Grid(0.5, 3, 1)
    found = tilted_moments(x[None], np.array([len(x)]), grid)
    for t, tilt in enumerate(grid.tilts):
        weight = np.exp(tilt * (x - x[-1]))
        assert_allclose(found.mean[0, t], weight @ x / weight.sum(), rtol=1e-12)
