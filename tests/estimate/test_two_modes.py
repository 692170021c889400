"""A verdict of 0 or 1 and a small remainder: found where it is, corrected as verdicts are."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

import klimit
from klimit.estimate import two_modes
from klimit.estimate.frontier import OCTAVES, PER_OCTAVE, START
from klimit.estimate.kernel import Grid
from klimit.estimate.samples import collect
from klimit.estimate.statistics import statistics
from klimit.theory import frontier as known

KL = np.array([0.1, 0.3, 0.6])
GRADES = np.linspace(-0.3, 0.0, 31)  # what the length of an answer costs


def penalised(rng, rates, samples):
    verdict = rng.random((len(rates), samples)) < rates[:, None]
    return verdict + rng.choice(GRADES, size=verdict.shape)


def truth(rates, kl, **options):
    each = np.full((len(rates), len(GRADES)), 1 / len(GRADES))
    chances = np.hstack([(1 - rates)[:, None] * each, rates[:, None] * each])
    levels = np.concatenate([GRADES, 1 + GRADES])
    return known(chances, np.broadcast_to(levels, chances.shape), **options).gain(kl)


def modes_of(rewards):
    rewards = np.asarray(rewards, float)
    return two_modes.find(collect(rewards.ravel(), np.full(len(rewards), rewards.shape[1])))


@pytest.mark.parametrize("budget", ["average", "per-prompt"])
def test_verdicts_under_a_length_penalty_are_known_better_than_the_plug_in_does(budget):
    rng = np.random.default_rng(1)
    errors, plugin, hits = [], [], []
    for _ in range(6):
        rates = rng.beta(0.6, 1.4, size=150)
        rewards = penalised(rng, rates, 8)
        wanted = truth(rates, KL, budget=budget)
        limit = klimit.frontier(rewards, prompts="fixed", budget=budget)
        gain = limit.gain(KL)
        assert budget == "per-prompt" or limit.trusted_kl > 0.3
        assert np.isfinite(gain.high).all()
        errors.append(gain.value / wanted - 1)
        plain = klimit.frontier(rewards, estimator="plugin", budget=budget)
        plugin.append(plain.gain(KL).value / wanted - 1)
        hits.append((gain.low <= wanted) & (wanted <= gain.high))
    assert np.abs(np.mean(errors, axis=0)).max() < 0.03
    assert np.mean(plugin, axis=0).max() < -0.03
    assert np.mean(hits) >= 0.85


@pytest.mark.slow
def test_the_interval_covers_for_prompts_whose_answers_differ_in_length():
    rng = np.random.default_rng(2)
    hits = []
    for _ in range(10):
        rates = rng.beta(1, 2, size=120)
        weights = np.exp(-np.outer(2 * (1 - rates), -GRADES / 0.3))
        weights /= weights.sum(axis=1, keepdims=True)
        chances = np.hstack([(1 - rates)[:, None] * weights, rates[:, None] * weights])
        levels = np.concatenate([GRADES, 1 + GRADES])
        drawn = np.array([rng.choice(levels, size=16, p=row) for row in chances])
        wanted = known(chances, np.broadcast_to(levels, chances.shape)).gain(KL)
        gain = klimit.frontier(drawn, prompts="fixed").gain(KL)
        assert gain.trusted[:2].all()
        hits.append((gain.low <= wanted) & (wanted <= gain.high))
    assert np.mean(hits) >= 0.85


def test_of_verdicts_alone_nothing_is_left():
    rng = np.random.default_rng(3)
    rewards = (rng.random((60, 8)) < rng.beta(1, 1, size=60)[:, None]) * 2.0 - 1
    samples = collect(rewards.ravel(), np.full(60, 8))
    modes = two_modes.find(samples)
    limit = klimit.frontier(rewards)
    stats = statistics(samples, Grid(START / samples.scale, OCTAVES, PER_OCTAVE), seed=0)
    members, rest = two_modes.split(modes, stats, seed=0)
    assert_allclose(rest.value, 0, atol=1e-4 * members.plugin.max())
    assert_allclose(members.chosen, limit.members.chosen, rtol=1e-3)
    assert_allclose(modes.felt(np.array([0.5, 3.0])), [1.0, 6.0])


def test_the_verdicts_of_ragged_prompts_are_counted_in_canonical_order():
    rng = np.random.default_rng(4)
    sizes = rng.integers(4, 30, size=50)
    rewards = [
        penalised(rng, np.array([q]), m)[0] for q, m in zip(rng.random(50), sizes, strict=True)
    ]
    samples = collect(np.concatenate(rewards), sizes)
    modes = two_modes.find(samples)
    passed, counts = modes.counted()
    order = np.argsort(samples.rank)
    assert passed.tolist() == [float((rewards[i] > 0.5).sum()) for i in order]
    assert counts.tolist() == sizes[order].tolist()


def test_two_modes_are_found_at_any_place_and_scale():
    rng = np.random.default_rng(5)
    rewards = penalised(rng, rng.random(40), 8)
    found = modes_of(rewards)
    moved = modes_of(3 - 2 * (1 - rewards))
    assert_allclose(moved.verdicts.means, found.verdicts.means)
    assert_allclose(moved.felt(np.array([1.0])), found.felt(np.array([2.0])))


def laws():
    rng = np.random.default_rng(6)
    shape = (60, 16)
    two_kinds = np.where(np.arange(60) < 30, 0.0, 5.0)[:, None]
    verdict = rng.random(shape) < 0.4
    return {
        "normal": rng.normal(size=shape),
        "exponential": rng.exponential(size=shape),
        "likert": rng.integers(1, 6, size=shape),
        "a power tail": rng.pareto(1.5, size=shape),
        "two kinds of prompts, each with one mode": two_kinds + 0.3 * rng.normal(size=shape),
        "modes as wide as the way between them": verdict + rng.uniform(-0.6, 0.6, size=shape),
        "an upper mode of two halves": np.where(verdict, rng.choice([0.5, 1.0], shape), 0.0),
        "seven that pass of all": (np.arange(960).reshape(shape) < 7) + rng.uniform(-0.1, 0, shape),
        "all alike": np.ones(shape),
    }


@pytest.mark.parametrize("law", laws())
def test_other_rewards_are_not_taken_for_verdicts(law):
    assert modes_of(laws()[law]) is None


def test_no_digit_depends_on_the_order_of_rows_and_prompts():
    rng = np.random.default_rng(7)
    rewards = penalised(rng, rng.random(40), 8)
    shuffled = rng.permuted(rewards, axis=1)[rng.permutation(40)]
    gains = [klimit.frontier(x).gain(KL) for x in (rewards, shuffled)]
    assert_allclose(gains[0].value, gains[1].value, rtol=1e-12)
    assert_allclose(gains[0].high, gains[1].high, rtol=1e-12)


def test_past_the_reach_of_verdicts_the_remainder_is_still_gained():
    rng = np.random.default_rng(8)
    rates = rng.beta(2, 2, size=100)
    gain = klimit.frontier(penalised(rng, rates, 256), prompts="fixed").gain(np.array([3.0, 4.5]))
    wanted = truth(rates, np.array([3.0, 4.5]))
    assert wanted[1] > wanted[0]
    assert ((gain.low <= wanted) & (wanted <= gain.high)).all()


def test_a_tail_of_the_upper_mode_is_no_small_remainder():
    # scores with a long tail above, and -5 for answers that break off
    kl, shape = np.array([0.25, 1.5, 3.0]), 2.0
    tilts = np.geomspace(1e-3, 0.999, 4000)
    for seed in range(3):
        rng = np.random.default_rng(seed)
        lost, scale = rng.uniform(0.05, 0.25, (150, 1)), rng.uniform(0.2, 0.5, (150, 1))
        kept = rng.random((150, 16)) >= lost
        rewards = np.where(kept, rng.gamma(shape, scale, kept.shape), -5.0)
        assert modes_of(rewards) is not None
        tilt = tilts / scale.max()
        mean = (1 - lost) * shape * scale - 5 * lost
        log_mgf = np.log((1 - lost) * (1 - tilt * scale) ** -shape + lost * np.exp(-5 * tilt))
        log_mgf = (log_mgf - tilt * mean).mean(axis=0)
        wanted = ((kl[:, None] + log_mgf) / tilt).min(axis=1)
        gain = klimit.frontier(rewards, prompts="fixed").gain(kl)
        assert gain.trusted.tolist() == [True, False, False]
        assert (gain.high[1:] >= wanted[1:]).all()
        assert np.isinf(gain.high[2])
