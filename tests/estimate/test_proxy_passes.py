"""Gold along a 0/1 proxy: pass rates decide how far it is moved, passed and failed answers what it gains."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

import klimit
from klimit.estimate.pass_rates import gain_at_tilt, kl_at_tilt

KL = np.array([0.1, 0.3, 0.5])


def drawn(rng, rates, passed, failed, samples):
    """0/1 proxy, and 0/1 gold of these means among passed and failed answers."""
    proxy = rng.random((len(rates), samples)) < rates[:, None]
    mean = np.where(proxy, passed[:, None], failed[:, None])
    return proxy.astype(float), (rng.random(mean.shape) < mean).astype(float)


def true_gain(rates, passed, failed):
    tilts = np.geomspace(0.02, 30, 120)
    kl = [np.nanmean(kl_at_tilt(rates, x)) for x in tilts]
    gain = [np.mean(gain_at_tilt(rates, x) * (passed - failed)) for x in tilts]
    return np.interp(np.sqrt(KL), np.sqrt(np.r_[0, kl]), np.r_[0, gain])


def weak_test(rng, prompts):
    """A fifth of the prompts is never passed, and what passes on hard ones is often wrong."""
    rates = np.where(rng.random(prompts) < 0.2, 0.0, rng.beta(0.6, 1.2, prompts))
    return rates, 0.2 + 0.7 * rates, 0.1 * np.ones(prompts)


def test_eight_samples_show_what_a_weak_test_is_worth_up_to_half_a_nat():
    truth = true_gain(*weak_test(np.random.default_rng(0), 50_000))
    held = []
    for seed in range(4):
        rng = np.random.default_rng(seed)
        proxy, gold = drawn(rng, *weak_test(rng, 300), 8)
        found = klimit.hacking(proxy, gold=gold).gold_gain(KL)
        assert found.trusted.all()
        held.append((found.low <= truth) & (truth <= found.high))
        assert (found.high - found.low < 0.9 * truth).all()
    assert np.mean(held) >= 0.92


def test_gold_that_is_the_verdict_gains_what_the_verdict_does():
    rng = np.random.default_rng(1)
    proxy, _ = drawn(rng, *weak_test(rng, 120), 8)
    gold = 3 * proxy + 1
    with pytest.warns(klimit.DataWarning, match="3 times"):
        hack = klimit.hacking(proxy, gold=gold)
    assert_allclose(hack.gold_gain(KL).value, 3 * hack.proxy_gain(KL).value, rtol=1e-3)
    assert hack.trusted_kl > 0.3


def test_what_two_rewards_are_called_and_how_many_samples_a_prompt_has_changes_nothing():
    rng = np.random.default_rng(2)
    proxy, gold = drawn(rng, *weak_test(rng, 150), 10)
    proxy[::3, 6:], gold[::3, 6:] = np.nan, np.nan
    here = klimit.hacking(proxy, gold=gold)
    there = klimit.hacking(7 - 2 * (1 - proxy), gold=gold)
    assert_allclose(there.gold_gain(KL).value, here.gold_gain(KL).value, rtol=1e-6)
    assert here.trusted_kl > 0.3
    again = rng.permutation(150)
    moved = klimit.hacking(proxy[again], gold=gold[again])
    assert (moved.gold_gain(KL).value == here.gold_gain(KL).value).all()


def test_prompts_that_all_pass_are_not_taken_for_prompts_that_all_fail():
    rng = np.random.default_rng(3)
    rates = rng.beta(1.2, 0.6, 400)
    law = rates, 0.5 + 0.4 * rates, 0.6 - 0.4 * rates
    proxy, gold = drawn(rng, *law, 6)
    found = klimit.hacking(proxy, gold=gold, prompts="fixed").gold_gain(KL[:2])
    truth = true_gain(*law)[:2]
    assert ((found.low <= truth) & (truth <= found.high)).all()
    assert_allclose(found.value, truth, atol=0.03)


def test_the_proxy_gains_what_its_frontier_says_where_prompts_repeat():
    rng = np.random.default_rng(4)
    proxy = (rng.uniform(size=(60, 16)) < rng.beta(0.6, 1.2, (60, 1))).astype(float)
    gold = proxy + rng.normal(size=proxy.shape)
    found = klimit.hacking({"p": proxy, "g": gold}, proxy="p", gold="g")
    kl, known = [0.1, 0.5], klimit.frontier(proxy)
    assert_allclose(found.proxy_gain(kl).value, known.gain(kl).value, rtol=1e-12)
    assert_allclose(found.beta(kl).value, known.beta(kl).value, rtol=1e-12)
