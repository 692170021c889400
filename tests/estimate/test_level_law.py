"""Few-level rewards: the law of tilts that prompts share, and how far the frontier takes it at its word."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats

import klimit
from klimit import theory
from klimit.estimate.few_levels import predicted_bias
from klimit.estimate.kernel import Grid
from klimit.estimate.level_law import LevelLaw

LEVELS = np.arange(7) / 6
GRID = Grid(0.5, 6, 4)


def points_met(rng, prompts):
    """Chances of points met out of six, whose rate differs by prompt: tilts of one another."""
    return stats.binom.pmf(np.arange(7), 6, rng.beta(1, 4, (prompts, 1)))


def log_mgf(chances):
    with np.errstate(divide="ignore"):
        log = np.log(chances)[:, None, :] + GRID.tilts[:, None] * LEVELS
    return np.logaddexp.reduce(log, axis=2) - GRID.tilts * (chances @ LEVELS)[:, None]


def rewards(rng, chances, samples):
    return np.stack([rng.choice(LEVELS, size=samples, p=p) for p in chances])


def test_the_law_of_points_met_is_found_with_next_to_no_noise_about_it():
    rng = np.random.default_rng(0)
    chances = points_met(rng, 300)
    counts = rng.multinomial(32, chances).astype(float)
    law = LevelLaw.fit(counts, LEVELS)
    found = law.posterior(counts) @ law.laws
    assert law.concentration > 300
    assert np.abs(found - chances).mean() < 0.6 * np.abs(counts / 32 - chances).mean()


def test_laws_of_no_common_kind_are_noise_about_it():
    rng = np.random.default_rng(1)
    counts = rng.multinomial(32, rng.dirichlet(np.full(7, 0.6), size=300)).astype(float)
    assert LevelLaw.fit(counts, LEVELS).concentration < 10


@pytest.mark.parametrize("samples", [8, 32])
def test_the_predicted_bias_is_that_of_drawing_again(samples):
    rng = np.random.default_rng(2)
    chances = points_met(rng, 300)
    short = [log_mgf(rng.multinomial(samples, chances) / samples).mean(axis=0) for _ in range(200)]
    true = log_mgf(chances).mean(axis=0) - np.mean(short, axis=0)
    counts = rng.multinomial(samples, chances).astype(float)
    total, change = predicted_bias(counts, LEVELS, GRID, seed=0)
    moderate = slice(8, 20)  # less is all noise, more is the chance of the best level alone
    assert_allclose(total[moderate], true[moderate], rtol=0.15)
    assert (change > 0).all()


def test_rubrics_reach_far_budgets_where_the_law_holds():
    off = []
    for seed in range(6):
        rng = np.random.default_rng([3, seed])
        chances = points_met(rng, 100)
        true = float(theory.frontier(chances, np.tile(LEVELS, (100, 1))).gain(2.0))
        off.append(
            klimit.frontier(rewards(rng, chances, 16), prompts="fixed").gain(2.0).value / true - 1
        )
    assert np.sqrt(np.mean(np.square(off))) < 0.03


def test_the_law_is_not_believed_against_the_data():
    # prompts whose answers reach a level and never one above it: no tilt of a common law does that
    for seed in range(3):
        rng = np.random.default_rng([4, seed])
        chances = np.exp(-((np.arange(7) - 3) ** 2) / 4) * (
            np.arange(7) <= rng.integers(2, 7, (150, 1))
        )
        chances /= chances.sum(axis=1, keepdims=True)
        found = klimit.frontier(rewards(rng, chances, 64), prompts="fixed")
        true = float(theory.frontier(chances, np.tile(LEVELS, (150, 1))).gain(1.5))
        assert found.gain(1.5).value / true - 1 < 0.02


@pytest.mark.parametrize("factor", [3.7, 0.1])
def test_the_limit_of_rubrics_scales_with_them(factor):
    for seed in range(4):
        rng = np.random.default_rng(seed)
        rubric = rng.binomial(4, rng.beta(1, 1, (60, 1)), (60, 8)) + 1.0
        plain, scaled = klimit.frontier(rubric), klimit.frontier(factor * rubric)
        assert_allclose(scaled.gain(0.5).value, factor * plain.gain(0.5).value, rtol=1e-9)
        assert_allclose(scaled.trusted_kl, plain.trusted_kl, rtol=1e-9)
