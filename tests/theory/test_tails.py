"""The constants of the bounds, against direct maximisation and closed forms."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.special import logsumexp

from klimit import _errors
from klimit.theory import (
    bernoulli_variance_proxy,
    frontier,
    sub_gamma_scale,
    tilt,
    variance_proxy,
)
from tests.strategies import budgets, reward_tables


def cumulant(table, tilts):
    """psi at each l > 0, by the textbook formula."""
    centred = table.reward - table.base @ table.reward
    with np.errstate(divide="ignore"):
        return logsumexp(np.log(table.base) + np.multiply.outer(tilts, centred), axis=-1)


def moments(table):
    centred = table.reward - table.base @ table.reward
    return table.base @ centred**2, np.ptp(table.reward[table.base > 0])


@settings(max_examples=50)
@given(table=reward_tables(), scale=st.sampled_from([0.0, 0.5, 20.0]))
def test_the_proxy_is_the_supremum_of_a_dense_grid(table, scale):
    variance, width = moments(table)
    found = float(variance_proxy(table.base, table.reward, scale=scale))
    if width == 0:
        assert found == 0
        return
    tilts = np.geomspace(1e-2, 1e3, 20_000) / width
    tilts = tilts[tilts * scale <= 1]
    ratio = 2 * cumulant(table, tilts) / tilts**2
    # the grid may fall short of the supremum, and small l cost the textbook formula digits
    assert found >= max(ratio.max(initial=0), variance) * (1 - 1e-9)
    assert found <= max(ratio.max(initial=0), variance) * (1 + 1e-3)
    assert found <= width**2 / 4 * (1 + 1e-12)


@settings(max_examples=50)
@given(table=reward_tables())
def test_the_proxy_is_the_least_that_bounds_the_frontier_at_every_budget(table):
    found = float(variance_proxy(table.base, table.reward))
    if found == 0:
        return
    best = tilt(table.base, table.reward, beta=1 / np.geomspace(1e-5, 300, 2000) * np.sqrt(found))
    needed = best.gain**2 / (2 * best.kl)
    assert needed.max() <= found * (1 + 1e-9)
    assert needed.max() >= found * (1 - 1e-3)


@settings(max_examples=50)
@given(table=reward_tables(), kl=budgets())
def test_the_two_tails_are_those_of_the_mirrored_reward(table, kl):
    upper, lower, both = (
        variance_proxy(table.base, table.reward, tail=tail) for tail in ("upper", "lower", "both")
    )
    assert_allclose(lower, variance_proxy(table.base, -table.reward), rtol=1e-12)
    assert both == max(upper, lower)


def test_the_proxy_of_a_pass_rate_is_that_of_kearns_and_saul():
    q = np.array([1e-300, 1e-12, 0.1, 0.4999999, 0.5, 0.5000001, 0.9, 1 - 1e-12])
    coins = np.stack([1 - q, q], axis=-1)
    for tail in ("upper", "lower", "both"):
        found = variance_proxy(coins, [0.0, 1.0], tail=tail)
        assert_allclose(found, bernoulli_variance_proxy(q, tail=tail), rtol=1e-10)
    assert bernoulli_variance_proxy([0.0, 1.0], tail="both").tolist() == [0.0, 0.0]
    assert bernoulli_variance_proxy(0.5) == 0.25
    assert_allclose(bernoulli_variance_proxy(0.1), (1 - 0.2) / (2 * np.log(9)), rtol=1e-14)
    assert_allclose(bernoulli_variance_proxy(0.9), 0.09, rtol=1e-14)


def test_two_peaks_of_unlike_height_are_told_apart():
    # an outcome of e^-5 and one of e^-500, each with a peak of its own
    for far in (40.0, 60.0, 80.0):
        reward = np.array([0.0, 1.0, far])
        base = np.array([0.0, np.exp(-5), np.exp(-500)])
        base[0] = 1 - base.sum()
        tilts = np.geomspace(1e-3, 300, 200_000)
        logs = np.log(base) + np.multiply.outer(tilts, reward - base @ reward)
        ratio = 2 * logsumexp(logs, axis=-1) / tilts**2
        assert_allclose(variance_proxy(base, reward), ratio.max(), rtol=1e-6)


@settings(max_examples=50)
@given(table=reward_tables())
def test_the_sub_gamma_scale_bounds_psi_and_cannot_be_smaller(table):
    variance, width = moments(table)
    scale = float(sub_gamma_scale(table.base, table.reward))
    if width == 0:
        assert scale == 0
        return
    centred = table.reward - table.base @ table.reward
    assert scale <= centred[table.base > 0].max() / 3 * (1 + 1e-9)
    tilts = np.geomspace(1e-2, 1e3, 20_000) / width
    ratio = (1 - variance * tilts**2 / (2 * cumulant(table, tilts))) / tilts
    skew = table.base @ centred**3 / (3 * variance)
    assert_allclose(scale, max(ratio.max(), skew, 0.0), rtol=1e-3, atol=1e-8 * width)


@given(table=reward_tables(prompts=3))
@settings(max_examples=30)
def test_prompts_are_done_one_by_one(table):
    found = variance_proxy(table.base, table.reward), sub_gamma_scale(table.base, table.reward)
    for k in range(3):
        single = table.base[k], table.reward[k]
        assert_allclose(found[0][k], variance_proxy(*single), rtol=1e-10)
        assert_allclose(found[1][k], sub_gamma_scale(*single), rtol=1e-8, atol=1e-10)


def test_scales_broadcast_against_prompts():
    base, reward = [[0.5, 0.5], [0.9, 0.1], [0.2, 0.8]], [0.0, 2.0]
    found = variance_proxy(base, reward, scale=[[0.0], [1.0]])
    assert found.shape == (2, 3)
    assert_allclose(found[1], variance_proxy(base, reward, scale=1.0), rtol=1e-12)
    assert variance_proxy(base[1], reward, scale=[0.0, 1.0]).shape == (2,)
    assert (found[1] <= found[0] * (1 + 1e-12)).all()
    deep = variance_proxy(np.reshape(base * 2, (2, 3, 2)), reward)
    assert_allclose(deep, np.tile(found[0], (2, 1)), rtol=1e-12)


def test_extreme_laws_keep_their_proxy():
    base, reward = [1 - 1e-300, 1e-300], [1e6, 1e6 + 1]
    assert_allclose(variance_proxy(base, reward), bernoulli_variance_proxy(1e-300), rtol=1e-10)
    assert_allclose(variance_proxy(base, [0.0, 1e6]), 1e12 * bernoulli_variance_proxy(1e-300))
    assert variance_proxy([1.0], [7.0]) == 0 == sub_gamma_scale([1.0], [7.0])
    assert variance_proxy([0.5, 0.5], [3.0, 3.0]) == 0
    assert_allclose(sub_gamma_scale(base, [0.0, 1e6]), 1e6 / 3, rtol=1e-10)


def test_a_wrong_argument_is_named():
    with pytest.raises(_errors.ArgumentError, match='tail must be "upper" or "lower" or "both"'):
        variance_proxy([0.5, 0.5], [0, 1], tail="left")
    with pytest.raises(_errors.ArgumentError, match="scale must be at least 0 and finite; got -1"):
        variance_proxy([0.5, 0.5], [0, 1], scale=-1)
    with pytest.raises(_errors.ArgumentError, match=r"scale must broadcast .* got shape \(2,\)"):
        variance_proxy([[0.5, 0.5]] * 3, [0, 1], scale=[1, 2])
    with pytest.raises(_errors.ArgumentError, match="pass_rate must lie between 0 and 1"):
        bernoulli_variance_proxy(1.5)
    with pytest.raises(_errors.ArgumentError, match="base must sum to one"):
        sub_gamma_scale([0.5, 0.4], [0, 1])


def test_normal_rewards_have_their_variance_for_a_proxy():
    x = np.linspace(-10, 10, 401)
    base = np.exp(-(x**2) / 2)
    base /= base.sum()
    assert_allclose(variance_proxy(base, 3 * x), 9.0, rtol=1e-9)
    assert_allclose(sub_gamma_scale(base, 3 * x), 0.0, atol=1e-6)
    assert_allclose(frontier(base, 3 * x).gain(0.5), 3.0, rtol=1e-9)
