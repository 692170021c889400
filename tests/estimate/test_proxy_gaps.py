"""The proxy's policy beside gold's own: how sure their difference is for these very prompts."""

import numpy as np
import pytest

from klimit.estimate.proxy import hacking

RHO = 0.7


@pytest.fixture(scope="module")
def asked():
    """Efficiency, and three gaps, of 60 data sets of prompts that differ much, at .1 nats."""
    found, truth = [], []
    for seed in range(60):
        rng = np.random.default_rng([seed, 3])
        scale = rng.uniform(0.5, 1.5, (30, 1))
        proxy, noise = scale * rng.normal(size=(2, 30, 64))
        gold = RHO * proxy + (1 - RHO**2) ** 0.5 * noise
        hack = hacking({"rm": proxy, "human": gold}, proxy="rm", gold="human", prompts="fixed")
        gaps = hack.gaps(0.1)
        found.append([hack.efficiency(0.1), gaps.fixed_kl, gaps.fixed_beta, gaps.regularised])
        gap = (1 - RHO) * float((0.2 * (scale**2).mean()) ** 0.5)
        truth.append([RHO, gap, gap, gap])
    return found, np.array(truth)


def test_intervals_hold_what_is_true_of_these_very_prompts(asked):
    found, truth = asked
    low, high = (
        np.array([[getattr(x, end) for x in row] for row in found]) for end in ("low", "high")
    )
    held = ((low <= truth) & (truth <= high)).mean(axis=0)
    assert (held > 0.88).all()  # of the efficiency .8, its noise taken in proportion to gold's


def test_the_regularised_gap_is_as_sure_as_the_gap_at_one_kl(asked):
    found, _ = asked
    half = np.median([[x.high - x.low for x in row] for row in found], axis=0)
    assert half[3] < 1.2 * half[1]  # to first order they are one


def test_what_is_certified_is_as_unsure_as_it_differs():
    found = []
    for seed in range(30):
        rng = np.random.default_rng([seed, 4])
        proxy, noise = rng.uniform(0.5, 1.5, (20, 1)) * rng.normal(size=(2, 20, 64))
        gold = RHO * proxy + (1 - RHO**2) ** 0.5 * noise
        sure = hacking({"rm": proxy, "human": gold}, proxy="rm", gold="human").certified(0.25)
        found.append([sure.moment, sure.sub_gaussian])
    value, low, high = (
        np.array([[getattr(x, end) for x in row] for row in found])
        for end in ("value", "low", "high")
    )
    truth = (1 - (1 - RHO**2) ** 0.5) / RHO * (0.5 * (1 + 1 / 12)) ** 0.5
    assert ((low <= truth) & (truth <= high)).mean() > 0.88
    # the error moves with the proxy, and each frontier's interval holds chance already
    assert (np.median(high - low, axis=0) / 2 < 3.5 * value.std(axis=0)).all()
