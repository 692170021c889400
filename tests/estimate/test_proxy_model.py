"""The pooled model of proxy and gold: its bias is used as far as it is more than noise."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from klimit.estimate.kernel import Grid
from klimit.estimate.proxy import hacking
from klimit.estimate.proxy.model import _lacking


def test_the_noise_of_the_pooled_model_is_that_of_drawing_other_pairs():
    """Deals of fresh pairs, over and over, spread as one deal says they do."""

    rng = np.random.default_rng(41)
    grid = Grid(0.25, 4, 1)

    def deal():
        x = rng.normal(size=400 * 16)
        pool = np.stack([x, np.tanh(x) + rng.normal(size=x.shape)])
        (whole, _), variance = _lacking(pool, (16, 8), grid, rng)
        return whole[1], variance[0]

    lacking, variance = map(np.array, zip(*(deal() for _ in range(200)), strict=True))
    ratio = lacking.var(axis=0) / np.median(variance, axis=0)
    assert ((ratio > 0.6) & (ratio < 1.5)).all(), ratio


def test_a_steep_tilt_that_few_pooled_pairs_carry_is_not_corrected_by_their_noise():
    """Gold of a bounded proxy is known near its end; the corrected curve strays no further than the plain."""
    away = []
    for seed in range(6):
        rng = np.random.default_rng([42, seed])
        scale = rng.uniform(0.6, 2.0, size=(60, 1))
        x = rng.uniform(-1.5, 1.5, size=(60, 64))
        gold = np.sin(1.3 * x) + 0.6 * rng.normal(size=x.shape)
        bands = hacking(scale * x, gold=gold).readings.bands
        last = int(np.searchsorted(bands.kl, 3.2))
        away.append(abs(bands.value[last] - bands.plugin[last]) / bands.error[last])
    assert np.median(away) < 1.5, away


@pytest.mark.parametrize(("proxy_unit", "gold_unit"), [(1e-9, 1.0), (1e9, 1.0), (1e30, 1e-30)])
def test_prompts_of_unequal_scale_are_read_alike_in_any_units(proxy_unit, gold_unit):
    rng = np.random.default_rng(43)
    scale = rng.uniform(0.5, 2.0, size=(30, 1))
    proxy, noise = scale * rng.normal(size=(30, 16)), rng.normal(size=(30, 16))
    gold = 0.5 * proxy + noise
    plain, other = hacking(proxy, gold=gold), hacking(proxy_unit * proxy, gold=gold_unit * gold)
    kl = [0.1, 0.5, 1.0, 2.0]
    for end in ("value", "low", "high"):
        expected = gold_unit * getattr(plain.gold_gain(kl), end)
        assert_allclose(getattr(other.gold_gain(kl), end), expected, rtol=1e-8)
        assert_allclose(getattr(other.stop_kl, end), getattr(plain.stop_kl, end), rtol=1e-8)
