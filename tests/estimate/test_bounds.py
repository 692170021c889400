"""Bounds from the literature: sorted, named, and above the frontier that they bound."""

import numpy as np
import polars as pl
import pytest
from hypothesis import assume, given, settings
from numpy.testing import assert_allclose

import klimit
from klimit.theory import frontier as known
from klimit.theory.bounds import SOURCES
from tests.estimate.drawn import base_of, normal_prompts, pass_rates, reward_rows
from tests.strategies import budgets

NAMES = {
    "frontier: beta * Jeffreys",
    "sub-Gaussian, best variance proxy",
    "range (Hoeffding)",
    "Bernstein",
    "Bennett",
    "chi-square of the optimum",
    "total variation of the optimum",
    "Hellinger of the optimum",
}


@pytest.mark.parametrize("seed", [1, 3, 4, 7])
def test_a_bound_that_is_met_stands_after_the_frontier(seed):
    rng = np.random.default_rng(seed)
    rewards = (rng.random((40, 8)) < rng.beta(0.6, 1.5, 40)[:, None]) * 1.0
    for kl in (0.1, 0.5, 1.0):
        table = klimit.frontier(rewards).bounds(kl)
        met = table["bound"].to_list()[:2]
        assert met == ["frontier: beta * Jeffreys", "total variation of the optimum"]
        assert table["over_frontier"][1] == 1.0


@pytest.mark.parametrize("kl", [1e-6, 0.1, 2.0])
def test_no_bound_of_samples_is_below_their_frontier(kl):
    rng = np.random.default_rng(0)
    for rewards in ((rng.random((1, 32)) < 0.1) * 1.0, rng.exponential(size=(300, 8))):
        table = klimit.frontier(rewards).bounds(kl)
        assert table["bound"][0] == "frontier: beta * Jeffreys"
        assert (table["over_frontier"] >= 1).all()


def test_bounds_at_no_end_of_the_kl_are_infinite_or_what_the_samples_hold():
    rewards = np.random.default_rng(2).normal(size=(20, 8))
    table = klimit.frontier(rewards).bounds(np.inf)
    bound = dict(table.select("bound", "value").iter_rows())
    assert bound["frontier: beta * Jeffreys"] == min(bound.values())
    assert all(np.isinf(bound[name]) for name in ("Bernstein", "Bennett", "range (Hoeffding)"))


@settings(max_examples=60, deadline=None)
@given(rows=reward_rows(), kl=budgets(1e-3, 5.0))
def test_every_bound_of_an_enumerated_law_is_above_its_frontier_and_they_are_sorted(rows, kl):
    assume(max(map(np.ptp, rows)) > 1e-3)
    table = klimit.frontier(rows, estimator="plugin").bounds(kl)
    truth = float(known(base_of(rows), rows).gain(kl))
    value = table["value"].to_numpy()
    assert (np.diff(value) >= 0).all()
    assert (value >= truth * (1 - 1e-6)).all()
    assert set(table["bound"]) <= NAMES
    assert_allclose(table["over_frontier"], value / truth, rtol=1e-6)


def test_a_bound_has_one_source_from_samples_and_in_theory():
    rewards, _ = normal_prompts(np.random.default_rng(0), 10, 8)
    table = klimit.frontier(rewards).bounds(0.5).filter(pl.col("bound").is_in(list(SOURCES)))
    assert len(table) == len(NAMES) - 1
    assert table["source"].to_list() == [SOURCES[name] for name in table["bound"]]


@pytest.mark.parametrize("kl", [0.1, 0.5, 1.0])
def test_bounds_of_samples_are_above_the_true_frontier_within_noise(kl):
    rng = np.random.default_rng(1)
    normal, square = normal_prompts(rng, 100, 64)
    coins, rates = pass_rates(rng, 300, 16)
    truths = [
        np.sqrt(2 * kl * square),
        known(np.stack([1 - rates, rates], axis=1), [[0.0, 1.0]] * len(rates)).gain(kl),
    ]
    for rewards, truth in zip((normal, coins), truths, strict=True):
        table = klimit.frontier(rewards).bounds(kl)
        assert set(table["bound"]) == NAMES
        assert (table["value"].to_numpy() >= 0.9 * truth).all()
        assert table["over_frontier"][0] > 0.97


def test_normal_rewards_are_where_the_sub_gaussian_bound_is_tight():
    rewards = np.random.default_rng(2).normal(size=(200, 256))
    table = klimit.frontier(rewards).bounds(0.5)
    row = dict(zip(table["bound"], table["value"], strict=True))
    assert_allclose(row["sub-Gaussian, best variance proxy"], 1.0, rtol=0.05)
    assert row["range (Hoeffding)"] > 2
    stated = klimit.frontier(rewards, reward_range=(-50, 50)).bounds(0.5)
    wide = dict(zip(stated["bound"], stated["value"], strict=True))
    assert_allclose(wide["range (Hoeffding)"], 100 * np.sqrt(0.25), rtol=1e-9)


@pytest.mark.parametrize("option", [{}, {"budget": "per-prompt"}, {"objective": "win-rate"}])
def test_at_no_kl_and_at_the_ceiling_there_are_still_bounds(option):
    rubric = np.random.default_rng(3).integers(1, 6, size=(20, 8)).astype(float)
    limit = klimit.frontier(rubric, **option)
    assert limit.bounds(0.0)["value"].to_list() == [0.0]
    assert np.isfinite(limit.bounds(40.0)["value"].to_numpy()).all()
