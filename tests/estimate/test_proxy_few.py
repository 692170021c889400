"""Proxy and gold of two to four samples a prompt: little is known, and is said to be."""

import numpy as np
import pytest

from klimit import DataWarning
from klimit.estimate.proxy import hacking


def both(proxy, gold, **options):
    return hacking({"rm": proxy, "human": gold}, proxy="rm", gold="human", **options)


@pytest.mark.parametrize("samples", [2, 3])
def test_the_correlation_of_few_samples_is_covered_for_these_very_prompts(samples):
    hits = 0
    for seed in range(12):
        proxy, noise = np.random.default_rng([seed, samples]).normal(size=(2, 30, samples))
        found = both(proxy, 0.6 * proxy + 0.8 * noise, prompts="fixed").correlation
        hits += found.low <= 0.6 <= found.high
    assert hits >= 10  # 19 in 20 are wanted; it was none, and two in three


def test_where_one_prompt_alone_has_gold_that_varies_its_correlation_is_not_known():
    proxy = np.random.default_rng(0).normal(size=(5, 2))
    gold = np.zeros((5, 2))
    gold[0] = [0, 1]
    found = both(proxy, gold)
    assert (found.correlation.low, found.correlation.high) == (-1, 1)
    for asked in ("drawn", "fixed"):
        gain = both(proxy, gold, prompts=asked).gold_gain(0.3)
        assert gain.low >= -1  # no 0/1 reward can lose more
        assert gain.high <= 1


def test_soft_best_of_two_is_as_unsure_for_these_very_prompts_as_their_samples_are():
    found = []
    for seed in range(8):
        proxy, noise = np.random.default_rng([seed, 31]).normal(size=(2, 40, 2))
        found.append(both(proxy, proxy + noise, prompts="fixed").soft_best(0.4).gold_gain)
    value = np.array([float(one.value) for one in found])
    half = np.array([one.high - one.low for one in found]) / 2
    assert np.mean(np.abs(value - value.mean()) < half) > 0.8
    assert np.median(half) > 1.2 * value.std()


def test_one_prompt_shows_no_error_of_soft_best():
    proxy, noise = np.random.default_rng(1).normal(size=(2, 1, 4))
    for asked in ("drawn", "fixed"):
        soft = both(proxy, proxy + noise, prompts=asked).soft_best([0.0, 0.2])
        assert soft.gold_gain[0].high == 0
        assert soft.gold_gain[1].low == -np.inf  # its interval had no length
        assert soft.proxy_gain[1].high > soft.proxy_gain[1].value


@pytest.mark.parametrize("asked", ["drawn", "fixed"])
def test_soft_best_is_as_unsure_as_gains_at_one_kl_are(asked):
    rng = np.random.default_rng(5)
    scale = rng.uniform(0.5, 1.5, (30, 1))
    found = []
    for _ in range(30):
        if asked == "drawn":
            scale = rng.uniform(0.5, 1.5, (30, 1))
        proxy = scale * rng.normal(size=(30, 16))
        found.append(both(proxy, proxy**2, prompts=asked).soft_best(0.5).proxy_gain)
    value = np.array([float(one.value) for one in found])
    half = np.array([one.high - one.low for one in found]) / 2
    assert np.mean(np.abs(value - value.mean()) < half) > 0.8
    assert np.median(half) < 3 * value.std()  # at one tilt gains differ by the square of the scale


def test_one_prompt_of_two_levels_is_answered_without_a_warning():
    proxy, gold = (np.random.default_rng(3).random((2, 1, 16)) < 0.5).astype(float)
    found = both(2 + 3 * proxy, gold).gold_gain(0.1)
    assert found.low <= found.value <= found.high


def test_gold_that_is_the_proxy_but_for_rounding_is_certified_without_a_further_warning():
    gold = np.stack([np.repeat([0.0, 1.0], 8), np.repeat([0.0, 1.0], [9, 7])])
    with pytest.warns(DataWarning, match="limit of one reward"):
        hack = both(9 * gold - 2, gold, prompts="fixed")
    found = hack.certified(0.3)
    assert found.moment.value == pytest.approx(found.gold_gain.value, rel=0.05)
    together = hack.correlation
    assert together.low <= together.value <= together.high
