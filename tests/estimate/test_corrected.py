"""The corrected estimate: far nearer than the plug-in, covered by its interval, and sober with odd data."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

import klimit
from klimit.theory import exponential_frontier
from klimit.theory import frontier as known
from tests.estimate.drawn import normal_prompts

LEVELS, CHANCES = np.arange(1.0, 6.0), np.array([0.1, 0.2, 0.35, 0.25, 0.1])
KL = np.array([0.1, 0.3, 0.6, 1.0])
LAWS = {
    "normal": (lambda rng, shape: rng.normal(size=shape), lambda kl: np.sqrt(2 * kl)),
    "exponential": (
        lambda rng, shape: rng.exponential(size=shape),
        lambda kl: exponential_frontier(kl).gain,
    ),
    "rubric": (
        lambda rng, shape: rng.choice(LEVELS, p=CHANCES, size=shape),
        lambda kl: known(CHANCES, LEVELS).gain(kl),
    ),
}


def fluctuations(value, wanted):
    return float(np.sqrt(np.mean((np.array(value) / wanted - 1) ** 2)))


@pytest.mark.parametrize(("law", "share"), [("normal", 0.6), ("exponential", 0.8), ("rubric", 0.7)])
def test_the_error_is_a_fraction_of_the_plug_ins(law, share):
    draw, limit_of = LAWS[law]
    rng, wanted = np.random.default_rng(1), limit_of(KL)
    found, plugin = [], []
    for seed in range(8):
        rewards = draw(rng, (50, 16))
        found.append(klimit.frontier(rewards, seed=seed).gain(KL).value)
        plugin.append(klimit.frontier(rewards, estimator="plugin").gain(KL).value)
    assert fluctuations(found, wanted) < share * fluctuations(plugin, wanted)
    assert np.abs(np.mean(found, axis=0) / wanted - 1).max() < 0.15


@pytest.mark.parametrize("budget", ["average", "per-prompt"])
@pytest.mark.parametrize("prompts", ["drawn", "fixed"])
@pytest.mark.parametrize("law", ["normal", "rubric"])
def test_the_interval_covers(law, prompts, budget):
    draw, limit_of = LAWS[law]
    rng, wanted = np.random.default_rng(2), limit_of(KL[:3])
    hits, trusted = [], []
    for seed in range(12):
        limit = klimit.frontier(draw(rng, (40, 16)), prompts=prompts, budget=budget, seed=seed)
        gain = limit.gain(KL[:3])
        hits.append((gain.low <= wanted) & (wanted <= gain.high))
        trusted.append(limit.trusted_kl)
    assert np.mean(hits) >= 0.85
    assert np.median(trusted) > 0.1


def test_prompts_that_differ_widen_the_interval_unless_they_are_fixed():
    rng = np.random.default_rng(3)
    rewards = rng.normal(size=(60, 256)) * rng.lognormal(0, 0.7, size=(60, 1))
    drawn, fixed = (klimit.frontier(rewards, prompts=p).gain(0.3) for p in ("drawn", "fixed"))
    assert drawn.value == fixed.value
    assert drawn.high - drawn.low > 2 * (fixed.high - fixed.low)


@pytest.mark.parametrize("prompts", [2, 3, 10])
def test_few_prompts_give_wide_intervals_and_not_less_trust(prompts):
    rng = np.random.default_rng(4)
    hits = []
    for _ in range(30):
        limit = klimit.frontier(rng.normal(size=(prompts, 64)))
        gain = limit.gain(0.3)
        hits.append(gain.low <= np.sqrt(0.6) <= gain.high)
        assert np.isfinite(gain.high)
    assert np.mean(hits) >= 0.85
    assert limit.trusted_kl > 0.3


@pytest.mark.parametrize("budget", ["average", "per-prompt"])
def test_one_prompt_says_nothing_of_others_and_much_of_itself(budget):
    rewards = np.random.default_rng(5).normal(size=(1, 400))
    drawn = klimit.frontier(rewards, budget=budget)
    gain = drawn.gain(0.3)
    assert (gain.low, gain.high, gain.trusted) == (0.0, np.inf, True)
    assert gain.to_dict()["high"] is None
    fixed = klimit.frontier(rewards, budget=budget, prompts="fixed").gain(0.3)
    assert fixed.low < np.sqrt(0.6) < fixed.high
    assert fixed.high - fixed.low < 0.4
    assert_allclose(fixed.value, gain.value)


@pytest.mark.parametrize("samples", [2, 3])
@pytest.mark.parametrize("budget", ["average", "per-prompt"])
def test_two_or_three_samples_give_the_plug_in_as_a_lower_bound(samples, budget):
    rewards, square = normal_prompts(np.random.default_rng(6), 80, samples)
    limit = klimit.frontier(rewards, budget=budget)
    plugin = klimit.frontier(rewards, budget=budget, estimator="plugin")
    gain = limit.gain(KL)
    assert_allclose(gain.value, plugin.gain(KL).value, rtol=1e-12)
    assert not gain.trusted.any()
    assert (gain.low < np.sqrt(2 * KL * square)).all()
    assert limit.trusted_kl == 0


@pytest.mark.parametrize("samples", [4, 5, 6, 7, 9, 11, 13, 15, 17, 23])
@pytest.mark.parametrize("budget", ["average", "per-prompt"])
def test_any_number_of_samples_will_do(samples, budget):
    rewards = np.random.default_rng(samples).normal(size=(200, samples))
    gain = klimit.frontier(rewards, budget=budget).gain(KL[:3])
    assert_allclose(gain.value, np.sqrt(2 * KL[:3]), rtol=0.08)


@pytest.mark.parametrize("budget", ["average", "per-prompt"])
def test_wildly_different_numbers_of_samples_will_do(budget):
    rng = np.random.default_rng(7)
    sizes = np.r_[3000, 2, 3, rng.choice([4, 8, 30, 300], size=97)]
    rows = [rng.normal(size=m) for m in sizes]
    limit = klimit.frontier(rows, budget=budget)
    gain = limit.gain(0.2)
    assert_allclose(gain.value, np.sqrt(0.4), rtol=0.08)
    assert gain.low <= np.sqrt(0.4) <= gain.high
    plugin = klimit.frontier(rows, budget=budget, estimator="plugin").gain(0.2).value
    assert plugin < gain.value


def test_one_giant_prompt_will_do():
    rewards = np.random.default_rng(8).normal(size=60_000)
    limit = klimit.frontier([rewards], prompts="fixed")
    assert_allclose(limit.gain([0.5, 2.0]).value, [1.0, 2.0], rtol=0.02)
    assert limit.trusted_kl > 3
    beside = klimit.frontier([rewards, rewards[:16]], prompts="fixed").gain(0.5)
    assert beside.low < 1.0 < beside.high


def test_heavy_tails_are_flagged_and_not_trusted():
    rng = np.random.default_rng(9)
    limit = klimit.frontier(rng.pareto(1.5, size=(100, 64)))
    assert limit.tail.heavy
    assert limit.trusted_kl < 0.2
    gain = limit.gain(1.0)
    assert not gain.trusted
    assert gain.high == np.inf
    assert not klimit.frontier(rng.normal(size=(100, 64))).tail.heavy
    assert not klimit.frontier(rng.random(size=(100, 64))).tail.heavy


@pytest.mark.parametrize("scale", [1e-12, 1e-6, 1e6, 1e12])
@pytest.mark.parametrize("budget", ["average", "per-prompt"])
def test_tiny_and_huge_rewards_are_the_same_question(scale, budget):
    rewards, _ = normal_prompts(np.random.default_rng(10), 30, 12)
    one, other = (klimit.frontier(x, budget=budget) for x in (rewards, scale * rewards))
    assert_allclose(other.gain(KL).value, scale * one.gain(KL).value, rtol=1e-6)
    assert_allclose(other.gain(KL).low, scale * one.gain(KL).low, rtol=1e-5)
    assert_allclose(other.beta(KL).value, scale * one.beta(KL).value, rtol=1e-5)
    assert_allclose(other.trusted_kl, one.trusted_kl, rtol=1e-5)
    if budget == "average":
        first, second = one.at(beta=0.5), other.at(beta=0.5 * scale)
        assert_allclose(second.kl.value, first.kl.value, rtol=1e-5)
        assert_allclose(second.gain.high, scale * first.gain.high, rtol=1e-5)


def test_offsets_between_prompts_are_not_seen():
    rng = np.random.default_rng(11)
    rewards, _ = normal_prompts(rng, 30, 12)
    one = klimit.frontier(rewards)
    other = klimit.frontier(rewards + rng.normal(size=(30, 1)) * 20)
    assert_allclose(other.gain(KL).value, one.gain(KL).value, rtol=1e-7)
    assert_allclose(other.gain(KL).high, one.gain(KL).high, rtol=1e-5)


def test_rewards_that_hardly_vary_are_read_as_they_are():
    rng = np.random.default_rng(12)
    steps = rng.integers(0, 50, size=(30, 12)) * 2.0**-40
    one, other = klimit.frontier(steps), klimit.frontier(1000 + steps)
    assert_allclose(other.gain(KL).value, one.gain(KL).value, rtol=1e-6)
    jitter = klimit.frontier(0.3 + rng.integers(-1, 2, size=(10, 8)) * 1e-16)
    assert 0 <= jitter.gain(1.0).value < 1e-15


def test_single_precision_changes_nothing_that_can_be_seen():
    rewards, _ = normal_prompts(np.random.default_rng(13), 30, 12)
    narrow = klimit.frontier(rewards.astype(np.float32)).gain(KL).value
    assert_allclose(narrow, klimit.frontier(rewards).gain(KL).value, rtol=1e-4)


def test_a_stated_range_never_lets_the_estimate_above_it():
    rng = np.random.default_rng(14)
    rewards = rng.beta(2, 2, size=(40, 8))
    for budget in ("average", "per-prompt"):
        limit = klimit.frontier(rewards, reward_range=(0, 1), budget=budget)
        gain = limit.gain([0.5, 2.0, 9.0])
        assert (gain.value <= 1 - limit.base_reward + 1e-12).all()
        assert np.isfinite(gain.high).all()


def test_repeating_a_question_with_more_prompts_narrows_the_interval():
    rng = np.random.default_rng(15)
    few, many = (klimit.frontier(rng.normal(size=(k, 64))).gain(0.3) for k in (20, 500))
    assert many.value - many.low < 0.5 * (few.value - few.low)


def test_what_a_few_prompts_gain_far_beyond_their_samples_is_not_trusted():
    errors = []
    for seed in (0, 3, 7):
        rng = np.random.default_rng(seed)
        scales = np.exp(1.5 * rng.normal(size=30))
        rewards = scales[:, None] * rng.normal(size=(30, 64))
        gain = klimit.frontier(rewards, prompts="fixed").gain(np.array([0.02, 2.0]))
        assert gain.trusted.tolist() == [True, False]  # at 2 nats the widest spend over ten
        errors.append(gain.value[1] / np.sqrt(4 * (scales**2).mean()) - 1)
    assert np.max(errors) < -0.1


def test_few_wide_prompts_make_most_of_the_gain_only_where_prompts_differ_in_spread():
    kl = np.log(16) - 15 / 16  # best-of-16; from two fifths of the gain on, trust is careful
    shares = []
    for seed in range(6):
        rng = np.random.default_rng(seed)
        for scales in (0.5 * 3.0 ** rng.random((100, 1)), np.exp(1.5 * rng.normal(size=(100, 1)))):
            limit = klimit.frontier(scales * rng.random((100, 16)))
            shares.append(np.interp(kl, *limit.members.beyond))
    alike, unlike = np.reshape(shares, (6, 2)).T
    assert np.median(alike) < 0.3
    assert np.median(unlike) > 0.5


def test_prompts_whose_rewards_never_vary_change_no_trust_and_no_upper_limit():
    """All KL is spent on the others: 3 nats each, which 64 samples of two prompts cannot judge."""
    held = []
    for seed in range(12):
        rng = np.random.default_rng([31, seed])
        rewards = rng.normal(size=(10, 64))
        rewards[2:] = 0.3
        alone, among = (klimit.frontier(x, prompts="fixed") for x in (rewards[:2], rewards))
        assert among.trusted_kl * 5 < np.log(64) - 0.5 - 1.5 / 2 + 1e-9  # of two prompts
        assert not among.gain(0.6).trusted
        high = among.gain(0.1).high * 5 / alone.gain(0.5).high
        slope = among.beta(0.1).high / alone.beta(0.5).high
        held.append((high, slope))
    assert np.abs(np.mean(held, axis=0) - 1).max() < 0.05


def test_more_samples_are_asked_for_of_the_prompts_that_vary():
    rewards = np.random.default_rng(32).normal(size=(60, 16))
    rewards[12:] = 0.3
    alone, among = klimit.frontier(rewards[:12]), klimit.frontier(rewards)
    assert not among.exhausted(0.5)  # 2.5 nats of the prompts that vary
    needed = among.samples_needed(0.5)
    assert np.exp(2.5 + 0.5) < needed < 4 * alone.samples_needed(2.5)
    assert "best sample" not in among.gain(0.5).note
