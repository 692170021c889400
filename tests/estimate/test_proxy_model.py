"""The pooled model of proxy and gold: its bias is used as far as it is more than noise."""

import numpy as np

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
