"""What the verdict on a proxy says of steps that cost gold: only what is shown of each of them."""

import numpy as np
import pytest

import klimit


def verdict(seed, prompts, samples, slope, curve=0.0, noise=1.0):
    rng = np.random.default_rng(seed)
    proxy = rng.normal(size=(prompts, samples))
    gold = slope * proxy + curve * proxy**2 + noise * rng.normal(size=proxy.shape)
    return " ".join(str(klimit.hacking(proxy, gold=gold)).split())


def test_every_step_costs_where_that_is_shown_of_each():
    said = verdict(0, 40, 32, -0.6)
    assert "Best-of-N by proxy lowers gold for every N" in said
    assert "any step towards proxy costs it" in said


def test_best_of_n_lowers_only_where_that_is_shown_of_every_n():
    said = verdict([3, 60], 60, 64, -0.06)
    assert (
        "Best-of-N by proxy is not shown to raise gold for any N, and lowers it at the largest"
        in said
    )


@pytest.mark.parametrize(("curve", "seed", "fallen"), [(-0.15, 2, False), (-0.2, 2, True)])
def test_no_step_is_said_to_cost_where_that_is_not_shown_of_each(curve, seed, fallen):
    said = verdict(seed, 20, 16, 0.03 if not fallen else 0.0, curve, 0.7)
    assert "any step" not in said
    assert "proxy is not shown to raise it at any KL" in said
    assert ("gold has fallen" in said) == fallen


def test_gold_that_confirms_a_gain_is_not_said_to_show_none():
    said = verdict(7, 30, 12, 0.25)
    assert "and gold confirms it" in said
    assert "neither to gain" not in said


def test_gold_that_falls_is_not_said_to_lose_nothing():
    said = verdict(4, 30, 12, -0.15)
    assert "and gold falls" in said
    assert "Where gold is highest up to 0.71 nats, these samples cannot tell" in said


@pytest.mark.filterwarnings("ignore::klimit.EstimateWarning")
def test_a_negative_gap_is_said_to_be_less_not_negative_and_more():
    rng = np.random.default_rng(12)
    gold = rng.normal(size=(60, 64))
    proxy = 2 * gold + rng.normal(size=(60, 64))  # at one beta it spends four times the nats
    said = str(klimit.hacking({"rm": proxy, "human": gold}, proxy="rm", gold="human"))
    said = " ".join(said.split())
    assert "more; with the same beta 0." in said
    assert "] less, and human - beta KL would gain 0." in said
