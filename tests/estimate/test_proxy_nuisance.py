"""How much of a proxy's gain is a nuisance such as length, and what is left where it is held."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from klimit.estimate.proxy import hacking, verb


def test_the_nuisance_takes_its_share_and_can_be_held():
    rng = np.random.default_rng(16)
    quality, length = rng.normal(size=(2, 100, 64))
    proxy = quality + length
    base = {"rm": proxy, "human": quality - 0.5 * length, "length": length}
    hack = hacking(base, proxy="rm", gold="human", nuisance="length")
    found = hack.nuisance(0.25)
    assert found.share.value == pytest.approx(0.5, abs=0.03)
    total = found.proxy_part.value + found.proxy_rest.value
    assert total == pytest.approx(hack.proxy_gain(0.25).value, rel=1e-6)
    # held, the proxy is quality alone: sqrt(2 KL) of each
    assert found.price.value == pytest.approx(1, abs=0.05)
    assert found.price.low < 1 < found.price.high
    assert found.correlation.low < 0.5**0.5 < found.correlation.high
    assert found.fixed_gold_gain.value == pytest.approx(0.5**0.5, abs=0.05)
    assert found.fixed_gold_gain.value > hack.gold_gain(0.25).value


def test_the_path_that_every_kl_of_a_nuisance_starts_from_is_solved_once(monkeypatch):
    rng = np.random.default_rng(16)
    quality, length = rng.normal(size=(2, 60, 16))
    base = {"rm": quality + length, "human": quality, "length": length}
    hack = hacking(base, proxy="rm", gold="human", nuisance="length")
    solved, along = [], verb.along
    monkeypatch.setattr(verb, "along", lambda *x: solved.append(1) or along(*x))
    alone = [
        hacking(base, proxy="rm", gold="human", nuisance="length").nuisance(x) for x in (0.1, 0.3)
    ]
    apart = len(solved) - 2
    solved.clear()
    together = [hack.nuisance(x) for x in (0.1, 0.3)]
    assert len(solved) == apart - 1
    assert together == alone


@pytest.mark.filterwarnings("ignore::klimit.EstimateWarning")
def test_where_no_price_holds_the_nuisance_nothing_held_is_trusted():
    rng = np.random.default_rng(3)
    length = rng.exponential(size=(60, 16))
    gold = rng.normal(size=(60, 16)) + 0.3 * length
    base = {"rm": length**2, "human": gold, "length": length}
    hack = hacking(base, proxy="rm", gold="human", nuisance="length")
    found = hack.nuisance(0.5)
    for held in (found.fixed_proxy_gain, found.fixed_gold_gain, found.price):
        assert not held.trusted
        assert held.high == np.inf
        assert "no price was found" in held.note
    # value and price are of one policy
    own = hacking(base | {"rm": length**2 - found.price.value * length}, proxy="rm", gold="human")
    assert_allclose(found.fixed_proxy_gain.value, own.proxy_gain(0.5).value)


@pytest.mark.filterwarnings("ignore::klimit.EstimateWarning")
def test_the_share_is_no_surer_than_the_slope_that_it_rests_on():
    held = []
    for seed in range(60):
        quality, length = np.random.default_rng(seed).normal(size=(2, 20, 16))
        base = {"rm": quality + 0.6 * length, "human": quality, "length": length}
        share = hacking(base, proxy="rm", gold="human", nuisance="length").nuisance(0.1).share
        held.append(share.low <= 0.36 / 1.36 <= share.high)
    assert np.mean(held) > 0.9  # .85 with the slope taken as known
