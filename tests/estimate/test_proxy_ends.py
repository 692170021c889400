"""Proxy against gold at no budget at all, one without end, and one that no weights can spend."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.special import softmax

import klimit
from klimit.estimate.kernel import Grid
from klimit.estimate.proxy import certified
from klimit.estimate.proxy.pairs import Chunk
from klimit.estimate.proxy.peak import peak
from klimit.estimate.proxy.statistics import _chunk_reads


@pytest.mark.parametrize("prompts", ["drawn", "fixed"])
def test_no_budget_and_one_without_end_are_answered(prompts):
    rng = np.random.default_rng(3)
    proxy = rng.normal(size=(20, 8))
    hack = klimit.hacking(proxy, gold=proxy + rng.normal(size=proxy.shape), prompts=prompts)
    for question in (hack.efficiency, hack.gaps, hack.certified, hack.soft_best):
        question([])
        question(np.inf)
    assert len(hack.efficiency([])) == 0
    assert not hack.efficiency(np.inf).trusted
    assert hack.efficiency(np.inf).value == hack.efficiency(1e9).value


def test_soft_best_of_m_lists_no_kl_that_its_weights_cannot_spend():
    rng = np.random.default_rng(0)
    solved = (rng.random((60, 16)) < rng.choice([0.1, 0.5, 0.9], size=(60, 1))) * 1.0
    most = np.mean(np.log(16 / np.sum(solved == solved.max(axis=1, keepdims=True), axis=1)))
    hack = klimit.hacking(solved, gold=solved + rng.normal(size=solved.shape))
    kept = hack.soft_best([0.3, 1.2, 2.0])
    assert kept.kl[0] == 0.3
    assert_allclose(kept.kl[1:], most, rtol=1e-3)
    assert hack.soft_best(2.0).kl == kept.kl[2]


@pytest.mark.parametrize("seed", [1, 10, 12])
def test_gold_along_a_saturated_proxy_of_two_levels_does_not_jump(seed):
    """Without the best, all that tie for the second are left, however steep the tilt."""
    rng = np.random.default_rng(seed)
    rate = rng.beta(0.6, 1.2, size=(200, 1))
    passed = rng.random((200, 16)) < rate
    gold = np.where(passed, rng.random((200, 16)) < 0.7, rng.random((200, 16)) < 0.1) * 1.0
    value = klimit.hacking(passed * 1.0, gold=gold).gold_gain(np.linspace(1.5, 4, 60)).value
    assert np.abs(np.diff(value)).max() < 0.01  # it fell from .42 to .32 at once


def test_the_jackknife_of_a_prompt_with_one_far_best_is_that_of_deleting_samples():
    rng = np.random.default_rng(2)
    row, gold = np.r_[rng.normal(size=7), 400.0][None], rng.normal(size=(1, 8))
    gold -= gold.mean()
    order = np.argsort(row[0])
    chunk = Chunk(np.array([0]), row[:, order], gold[None, :, order])
    grid = Grid(0.25, 4, 1)
    found = _chunk_reads(chunk, grid, 4, rng, few=True)[0][1, 0, 0]

    def ratio(kept, tilt):
        return softmax(tilt * row[0, kept]) @ gold[0, kept]

    every = np.arange(8)
    wanted = [
        7 * (ratio(every, t) - np.mean([ratio(np.delete(every, i), t) for i in every]))
        for t in grid.tilts
    ]
    assert_allclose(found, wanted, rtol=1e-9)


def test_gold_gains_no_more_than_its_range_allows():
    rng = np.random.default_rng([8, 200])
    proxy = rng.normal(size=(200, 8))
    gold = (rng.random(proxy.shape) < 1 / (1 + np.exp(-4 * proxy))) * 1.0
    found = klimit.hacking(proxy, gold=gold).gold_gain(np.linspace(0.1, 3, 30))
    assert np.max(found.value) <= 1 - gold.mean() + 1e-12


@pytest.mark.parametrize("kl", [5e-324, 1e-300, 1e-12])
def test_a_tiny_kl_gains_in_proportion_to_its_root(kl):
    rng = np.random.default_rng(3)
    proxy = rng.normal(size=(40, 16))
    gold = 0.6 * proxy + 0.8 * rng.normal(size=proxy.shape)
    some = np.where(rng.random(gold.shape) < 0.3, gold, np.nan)
    for found in (klimit.hacking(proxy, gold=gold), klimit.hacking(proxy, gold=some)):
        near, tiny = found.gold_gain(1e-6), found.gold_gain(kl)
        for one in ("value", "low", "high"):
            wanted = getattr(near, one) * (kl / 1e-6) ** 0.5
            assert_allclose(getattr(tiny, one), wanted, rtol=1e-3)
    sure = klimit.hacking(proxy, gold=gold).certified(kl)
    assert_allclose(
        sure.variance.value, sure.sub_gaussian.value, rtol=0.2
    )  # chi-square is 2 KL there


def test_the_frontier_of_the_error_is_solved_once_for_all_budgets(monkeypatch):
    rng = np.random.default_rng(6)
    proxy = rng.normal(size=(30, 8))
    hack = klimit.hacking(proxy, gold=proxy + rng.normal(size=proxy.shape))
    asked, solve = [], certified.error_of
    monkeypatch.setattr(certified, "error_of", lambda found: asked.append(1) or solve(found))
    hack.to_dict(kl=[0.1, 0.2, 0.5])
    assert len(asked) == 1


def test_where_gold_may_not_gain_at_all_no_peak_is_ruled_out():
    rng = np.random.default_rng(1)
    proxy, noise = rng.normal(size=(2, 40, 16))
    gold = 0.6 * proxy + 0.8 * noise
    proxy[2:] = 0  # two prompts show something
    said = " ".join(str(klimit.hacking(proxy, gold=gold)).split())
    assert "gold may not gain at all" in said
    assert "gold is seen neither to gain from proxy nor to lose" in said
    assert "ruled out" not in said


def test_passes_of_one_prompt_as_the_proxy_are_no_warning():
    rng = np.random.default_rng(0)
    hack = klimit.hacking((rng.random((1, 16)) < 0.5) * 1.0, gold=rng.normal(size=(1, 16)))
    assert not hack.gold_gain(0.2).trusted


def test_rare_bad_samples_that_were_not_drawn_rule_out_no_earlier_peak():
    place, rise = np.arange(5.0), np.array([0.0, 1.0, 1.5, 1.8, 2.0])
    moves, none = np.full((20, 5), 0.001) * np.arange(5), np.zeros(5)
    unlucky = np.array([0.0, 0.0, 0.2, 0.6, 1.1])  # the last may be 1.1 too high

    def ends(value, unlucky):
        found = peak(place, value, moves, none, none, unlucky, level=0.95, widen=1.0, seed=0)
        return found.low, found.high

    assert ends(rise, none) == (4.0, np.inf)
    assert ends(rise, unlucky) == (1.0, np.inf)
    assert (
        ends(rise[::-1], unlucky) == ends(rise[::-1], none) == (0.0, 1.0)
    )  # a fall is as sure as before
