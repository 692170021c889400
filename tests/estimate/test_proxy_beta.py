"""Gold at a coefficient of the KL, where the KL that it spends is itself unsure."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

import klimit


def scaled(rng, prompts=60, samples=64):
    """Prompts of unequal scale; at a tilt of 1 / beta gold gains 0.7 scale^2 / beta."""
    scale = rng.uniform(0.5, 1.5, size=(prompts, 1))
    proxy = scale * rng.normal(size=(prompts, samples))
    gold = 0.7 * proxy + 0.5 * scale * rng.normal(size=proxy.shape)
    return proxy, gold, float(np.mean(scale**2))


@pytest.mark.parametrize(("about", "least"), [("drawn", 36), ("fixed", 36)])
def test_at_a_beta_gold_is_as_unsure_as_the_kl_is(about, least):
    rng = np.random.default_rng(1)
    held = 0
    for _ in range(40):
        proxy, gold, square = scaled(rng)
        point = klimit.hacking(proxy, gold=gold, prompts=about).at(beta=2.0)
        truth = 0.35 * (square if about == "fixed" else 13 / 12)
        held += point.gold_gain.low <= truth <= point.gold_gain.high
    assert held >= least  # 28 of 40 where the KL was taken to be known


def test_gold_that_is_the_proxy_gains_at_a_beta_what_the_proxy_does():
    proxy, _, _ = scaled(np.random.default_rng(2))
    with pytest.warns(klimit.DataWarning, match="same numbers"):
        point = klimit.hacking(proxy, gold=proxy).at(beta=[1.5, 3.0])
    assert_allclose(point.gold_gain.value, point.proxy_gain.value, rtol=1e-4)
    widths = [x.high - x.low for x in (point.gold_gain, point.proxy_gain)]
    assert_allclose(widths[0], widths[1], rtol=0.3)


def test_no_beta_and_an_endless_one_have_an_answer():
    proxy, gold, _ = scaled(np.random.default_rng(3), prompts=20, samples=16)
    hack = klimit.hacking(proxy, gold=gold)
    far = hack.at(beta=1e9).gold_gain
    assert abs(far.value) < 1e-6
    assert far.low <= far.value <= far.high
    assert hack.at(beta=np.inf).gold_gain.value == 0
    steep = hack.at(beta=0.05).gold_gain
    assert not steep.trusted
    assert steep.low <= steep.value <= steep.high


def test_towards_the_base_every_gain_goes_by_the_root_of_the_kl():
    proxy, gold, _ = scaled(np.random.default_rng(4), prompts=20, samples=16)
    length = proxy + np.random.default_rng(5).normal(size=proxy.shape)
    hack = klimit.hacking(proxy, gold=gold, nuisance=length)

    def gains(kl):
        gaps, held = hack.gaps(kl), hack.nuisance(kl)
        found = [hack.gold_gain(kl), gaps.fixed_kl, gaps.fixed_beta, hack.certified(kl).moment]
        found += [held.shift, held.proxy_part, held.proxy_rest]
        return np.array([[x.value, x.low, x.high] for x in found])

    near, small = gains(1e-8), gains(1e-14)
    assert_allclose(small, near * 1e-3, rtol=1e-3)
    assert hack.nuisance(0).shift.value == 0
    assert_allclose(hack.at(beta=1e12).gold_gain.value * 1e8, hack.at(beta=1e4).gold_gain.value)
    assert_allclose(
        hack.gaps(beta=1e12).regularised.value * 1e8, hack.gaps(beta=1e4).regularised.value
    )
