"""A best reward of each prompt's own that several samples reach: what is missed, and what that is worth."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import special

import klimit
from klimit import theory
from klimit.estimate.repeats import own_best
from klimit.estimate.samples import collect

CAP = 1.2  # standard deviations: 11.5 % of the samples reach it
KLS = np.array([0.5, 1.0, 2.0])


def found_in(rewards):
    rewards = [np.asarray(x, dtype=float) for x in rewards]
    return own_best(collect(np.concatenate(rewards), np.array([len(x) for x in rewards])))


def prompts(rng, number):
    return rng.normal(size=(number, 1)), np.exp(0.3 * rng.normal(size=(number, 1)))


def cut_off(rng, laws, samples, endless=0):
    """Normal rewards that end at the cap, but for the first so many prompts."""
    place, scale = laws
    rewards = rng.normal(size=(len(scale), samples))
    rewards[endless:] = np.minimum(rewards[endless:], CAP)
    return place + scale * rewards


def truth(laws, endless=0):
    """The limit of the same, by four thousand values of equal chances."""
    values = special.ndtri((np.arange(4000) + 0.5) / 4000)
    rewards = np.tile(values, (len(laws[1]), 1))
    rewards[endless:] = np.minimum(rewards[endless:], CAP)
    limit = theory.frontier(np.full((1, 4000), 1 / 4000), laws[1] * rewards)
    return np.array([limit.gain(kl) for kl in KLS])


def test_the_prompts_that_missed_their_best_are_told_from_those_that_show_it_once():
    for samples, seed in ((8, 0), (16, 1)):
        rng = np.random.default_rng(seed)
        laws = prompts(rng, 4000)
        rewards = cut_off(rng, laws, samples)
        reached = (rewards >= laws[0] + laws[1] * (CAP - 1e-9)).sum(axis=1)
        told = found_in(rewards)
        if samples == 8:  # more than a third of the prompts miss it, and may have none
            assert told is None
            continue
        assert told.belief == 1.0
        once, missed = (reached == 1).sum(), (reached == 0).sum()
        assert told.unseen == pytest.approx(missed / (once + missed), rel=0.1)
        assert told.expected == pytest.approx(16 * special.ndtr(-CAP), rel=0.1)


@pytest.mark.parametrize(
    "rewards",
    [
        np.random.default_rng(1).normal(size=(60, 16)),
        np.random.default_rng(2).normal(size=(60, 16)).round(1),
        np.random.default_rng(3).integers(0, 4, (60, 16)) * np.arange(1.0, 61.0)[:, None],
        [[0.0, 1.0, 1.0, 1.0]],
        [[2.0, 2.0], [3.0, 3.0]],
    ],
    ids=["continuous", "rounded", "few answers that come back", "one prompt", "constant"],
)
def test_other_rewards_have_no_best_of_their_own(rewards):
    assert found_in(rewards) is None


def test_prompts_without_a_best_among_the_others_are_noticed():
    rng = np.random.default_rng(4)
    rewards = cut_off(rng, prompts(rng, 300), 24)
    assert found_in(rewards).belief == 1.0
    rewards[:120] = rng.normal(size=(120, 24))
    assert found_in(rewards) is None


@pytest.mark.parametrize("sizes", [(16,), (12, 20)], ids=["equal", "unequal"])
def test_the_curve_does_not_overshoot_where_it_becomes_flat(sizes):
    """The other corrections take what few samples miss for a tail: 4 % too much at 2 nats."""
    laws = prompts(np.random.default_rng(5), 200)
    true, off = truth(laws), []
    for seed in range(6):
        rewards = cut_off(np.random.default_rng([6, seed]), laws, max(sizes))
        parts = [row[: sizes[i % len(sizes)]] for i, row in enumerate(rewards)]
        gain = klimit.frontier(parts, prompts="fixed").gain(KLS)
        assert ((gain.low <= true) & (true <= gain.high)).all()
        off.append(gain.value / true - 1)
    assert np.abs(np.mean(off, axis=0)).max() < 0.012
    assert np.sqrt(np.mean(np.square(off), axis=0)).max() < 0.02


def test_intervals_hold_where_a_fifth_of_the_prompts_have_no_best():
    """Ties of the others do not show it: the upper limit and trust are as if no law had been found."""
    laws = prompts(np.random.default_rng(7), 50)
    true, held, trusted, told = truth(laws, endless=10), [], [], 0
    for seed in range(12):
        rewards = cut_off(np.random.default_rng([8, seed]), laws, 16, endless=10)
        told += found_in(rewards) is not None
        gain = klimit.frontier(rewards, prompts="fixed").gain(KLS)
        held.append((gain.low <= true) & (true <= gain.high))
        trusted.append(gain.trusted)
    assert told > 6
    assert np.mean(held) > 0.95
    assert not np.any(trusted, axis=0)[2]


def test_shifts_scales_and_orders_change_nothing():
    rng = np.random.default_rng(8)
    rewards = cut_off(rng, prompts(rng, 80), 16)
    one = klimit.frontier(rewards).gain(KLS)
    other = klimit.frontier(4.0 * rewards[rng.permutation(80)][:, rng.permutation(16)] + 8).gain(
        KLS
    )
    assert found_in(rewards) is not None
    assert_allclose(other.value, 4 * one.value, rtol=1e-9)
    assert_allclose(other.high, 4 * one.high, rtol=1e-9)


def test_constant_prompts_before_all_others_are_passed_over():
    rng = np.random.default_rng(9)
    rewards = cut_off(rng, prompts(rng, 40), 16)
    still = np.broadcast_to(np.arange(3000.0)[:, None], (3000, 16))
    share = klimit.frontier(np.concatenate([rewards, still])).gain(KLS).value
    assert (share > 0).all()
