"""Samples of policies carry the limit further, or are refused."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from klimit._errors import ArgumentError
from klimit.estimate.bridge import Draws, bridge
from klimit.estimate.bridge.draws import pool
from klimit.estimate.bridge.weights import _Slopes, bends, fit, log_weights
from klimit.estimate.frontier import frontier
from tests.estimate.bridges import PROMPTS, SECOND, normal, of


def limit_of(base, **options):
    return frontier(base.rewards.reshape(len(base.lengths), -1), **options)


def pooled(base, *policies):
    every = np.arange(len(base.lengths))
    found = pool(base, policies, every, every, np.zeros(len(every)))
    return found, np.exp(log_weights(found, found.origin >= 0))


# ---- weights


def test_one_policy_is_pooled_by_the_balance_heuristic():
    rng = np.random.default_rng(0)
    base, policy = normal(rng, base=6, policy=2, noise=1.0, scored=True)
    found, weights = pooled(base, policy)
    share = 6 / 8
    expected = 1 / (share + (1 - share) * np.exp(found.log_ratios[1])) / 8
    assert_allclose(weights, expected, rtol=1e-12)


def test_several_scored_policies_are_pooled_as_mbar_does():
    rng = np.random.default_rng(1)
    rewards = [rng.normal(size=(5, size)) for size in (4, 3, 2)]
    ratios = [rng.normal(size=(2, *x.shape)) for x in rewards]
    draws = [of(x, *y) for x, y in zip(rewards, ratios, strict=True)]
    found, weights = pooled(*draws)
    total = 4 + 3 * np.exp(found.log_ratios[1]) + 2 * np.exp(found.log_ratios[2])
    assert_allclose(weights, 1 / total, rtol=1e-12)


def test_balance_weights_are_unbiased_on_a_law_that_can_be_enumerated():
    rng = np.random.default_rng(2)
    base, policy = rng.dirichlet(np.ones(6)), rng.dirichlet(np.ones(6))
    value, ratio = rng.normal(size=6), np.log(policy / base)
    mean = 0.0
    for i in range(6):
        for j in range(6):
            pair = of(value[[[i]]], ratio[[[i]]]), of(value[[[j]]], ratio[[[j]]])
            found, weights = pooled(*pair)
            mean += base[i] * policy[j] * (weights * found.rewards).sum()
    assert_allclose(mean, base @ value, rtol=1e-10)


def test_shares_by_the_reward_are_the_balance_heuristic_where_the_reward_decides_the_ratio():
    scored = normal(np.random.default_rng(3), scored=True)
    plain = normal(np.random.default_rng(3), scored=False)
    assert_allclose(pooled(*plain)[1], pooled(*scored)[1], rtol=1e-6)


def test_shares_by_the_reward_are_unbiased_under_noise():
    rng = np.random.default_rng(4)
    sums = []
    for _ in range(40):
        found, weights = pooled(*normal(rng, base=16, policy=16, kl=1.0, noise=1.0))
        sums.append([weights.sum(axis=1).mean(), (weights * found.rewards).sum(axis=1).mean()])
    error = np.std(sums, axis=0) / 40**0.5
    assert (np.abs(np.mean(sums, axis=0) - [1, 0]) < 3 * error + 0.01).all()


def test_shares_by_the_reward_are_unbiased_of_few_samples_too():
    """Where a sample has a part in the line that it is read off, 3 to 4 % are lost here."""
    rng = np.random.default_rng(40)
    found = [pooled(*normal(rng, base=8, policy=4, kl=0.5, noise=1.0))[1].sum(axis=1).mean()
             for _ in range(100)]  # fmt: skip
    assert abs(np.mean(found) - 1) < 3 * np.std(found) / 10


@pytest.mark.parametrize("bend", [0.0, 0.1])
def test_every_sample_is_read_off_the_line_that_the_others_drew(monkeypatch, bend):
    shared = _Slopes(common=1.0, scatter=0.3, apart=0.2)
    monkeypatch.setattr(_Slopes, "of", lambda *sums: shared)
    rng = np.random.default_rng(41)
    rewards, ratios = rng.normal(size=(2, PROMPTS, 6))
    drawn, bends = rng.random(rewards.shape) < 0.8, np.full(PROMPTS, bend)
    found = fit(rewards, ratios, drawn, bends)
    for at in range(6):
        others = drawn & (np.arange(6) != at)
        without = fit(rewards, ratios, others, bends)
        assert_allclose(found[drawn[:, at], at], without[drawn[:, at], at], rtol=1e-9)


def test_slopes_that_differ_are_each_their_own_and_chance_is_no_difference():
    rng = np.random.default_rng(42)
    x = rng.normal(size=(200, 8))
    x -= x.mean(axis=1, keepdims=True)
    own = np.resize([0.0, 3.0], 200)[:, None]
    for slope, noise in ((own, 0.0), (own, 0.3), (np.ones((200, 1)), 1.0)):
        y = slope * x + noise * rng.normal(size=x.shape)
        y -= y.mean(axis=1, keepdims=True)
        sums = [(one * two).sum(axis=1, keepdims=True) for one, two in ((x, x), (x, y), (y, y))]
        slopes = _Slopes.of(*sums, np.full((200, 1), 8.0))
        assert_allclose(slopes.scatter, noise**2, rtol=0.1, atol=1e-12)
        assert_allclose(slopes.at(*sums[:2]), slope, atol=2 * noise + 1e-12)
    assert slopes.apart == 0
    assert_allclose(slopes.common, 1, atol=0.1)


def test_no_share_is_guessed_where_a_policy_draws_one_reward_alone():
    """On half of the prompts all eight answers have the best grade: how rarely others, none has seen."""
    rng = np.random.default_rng(43)
    law = np.full((PROMPTS, 7), 1 / 7)
    tilt = np.where(np.arange(PROMPTS) % 2 == 0, 4.0, 0.0)[:, None]
    trained = law * np.exp(tilt * np.arange(7.0))
    trained /= trained.sum(axis=1, keepdims=True)

    def drawn(law, size):
        return (rng.random((PROMPTS, size, 1)) > law.cumsum(axis=1)[:, None, :-1]).sum(axis=2)

    totals = []
    for _ in range(10):
        ours, theirs = drawn(law, 64), drawn(trained, 8)
        ratio = np.take_along_axis(np.log(trained / law), theirs, axis=1)
        base, policy = of(ours - 3.0, np.full(ours.shape, np.nan)), of(theirs - 3.0, ratio)
        totals.append(pooled(base, policy)[1].sum(axis=1))
    assert np.min(totals) > 0.8
    assert_allclose(np.mean(totals), 1, atol=0.01)


def test_a_reward_that_only_a_policy_without_a_share_has_drawn_is_not_there():
    rng = np.random.default_rng(44)
    found = []
    for best in (0.0, 4.5):
        ours, theirs = rng.normal(size=(PROMPTS, 64)), rng.normal(1.5, 1.0, size=(PROMPTS, 16))
        ratio = 1.5 * theirs - 1.5**2 / 2
        theirs[:4], ratio[:4] = best, 7.0  # one reward, a thousand times as likely
        base, policy = of(ours, np.full(ours.shape, np.nan)), of(theirs, ratio)
        limit = bridge(limit_of(base), base, [policy])
        assert limit.used
        found.append(limit.gain(2.0).value)
    assert_allclose(found, 2.0, rtol=0.05)


def test_what_a_policy_cannot_draw_weighs_as_the_base_alone_would_have_it():
    rewards = np.zeros((1, 2))
    base = of(rewards, np.array([[-np.inf, np.log(2)]]))
    _, weights = pooled(base, of(np.zeros((1, 2)), np.full((1, 2), np.log(2))))
    assert_allclose(np.sort(weights[0]), [1 / 6, 1 / 6, 1 / 6, 1 / 2])


def test_shares_of_a_policy_that_avoids_low_rewards_bend_with_its_ratio():
    """Best-of-8: the ratio falls ever faster towards low rewards, where nothing is drawn."""
    from scipy.special import ndtr

    rng = np.random.default_rng(31)
    ours = rng.normal(size=(PROMPTS, 64))
    theirs = rng.normal(size=(PROMPTS, 16, 8)).max(axis=2)
    ratio = np.log(8) + 7 * np.log(ndtr(theirs))
    base, policy = of(ours, np.full(ours.shape, np.nan)), of(theirs, ratio)
    found, weights = pooled(base, policy)
    assert (bends(found)[1] > 0).all()
    low = found.rewards < -1
    exact = 1 / (64 + 16 * 8 * ndtr(found.rewards) ** 7)
    assert_allclose(weights[low], exact[low], rtol=0.1)
    assert_allclose(weights.sum(axis=1).mean(), 1, atol=0.02)
    assert not bridge(limit_of(base), base, [policy]).refused


def test_a_straight_ratio_and_two_levels_of_reward_show_no_bend():
    rng = np.random.default_rng(32)
    found, _ = pooled(*normal(rng, policy=16))
    assert_allclose(bends(found), 0, atol=1e-9)
    levels = of((rng.random((PROMPTS, 8)) < 0.4).astype(float), rng.normal(size=(PROMPTS, 8)))
    found, _ = pooled(levels, levels)
    assert (bends(found) == 0).all()


# ---- the limit


@pytest.mark.parametrize("scored", [False, True])
@pytest.mark.parametrize("noise", [0.0, 1.0])
def test_a_policy_carries_the_limit_beyond_its_own_kl(scored, noise):
    base, policy = normal(np.random.default_rng(5), noise=noise, scored=scored)
    limit = limit_of(base, prompts="fixed")
    found = bridge(limit, base, [policy])
    kl = np.array([1.0, 3.0, 6.0])
    truth = np.sqrt(2 * kl * SECOND)
    assert found.used
    assert found.scored == (scored,)
    assert found.trusted_kl > 6 > limit.trusted_kl
    assert_allclose(found.gain(kl).value, truth, rtol=0.04)
    assert abs(limit.gain(6.0).value / truth[2] - 1) > 0.05


def test_identities_of_the_optimal_policy_hold_on_a_bridge():
    base, policy = normal(np.random.default_rng(6))
    found = bridge(limit_of(base), base, [policy])
    point = found.at(beta=0.5)
    assert_allclose(point.gain.value, 0.5 * point.jeffreys.value)
    assert_allclose(found.gain(float(point.kl.value)).value, point.gain.value, rtol=1e-6)
    assert_allclose(found.kl(2.5).value, found.kl(found.gain(found.kl(2.5).value).value).value)
    frame = found.prompts(kl=4.0)
    assert_allclose(frame["gain"].mean(), found.gain(4.0).value, rtol=1e-9)
    assert_allclose(frame["kl"].mean(), 4.0, rtol=1e-9)
    assert frame["trusted"].all()


def test_no_digit_depends_on_the_order_of_samples_or_prompts():
    rng = np.random.default_rng(8)
    base, policy = normal(rng, base=16, policy=8, noise=0.5)
    turned = []
    prompts = rng.permutation(PROMPTS)
    for one in (base, policy):
        size = one.lengths[0]
        at = np.concatenate([p * size + rng.permutation(size) for p in prompts])
        turned.append(Draws(one.rewards[at], one.lengths, one.log_ratios[:, at]))
    first = bridge(limit_of(base), base, [policy])
    second = bridge(limit_of(turned[0]), turned[0], [turned[1]])
    kl = [1.0, 4.0]
    assert first.used
    assert_array_equal(first.gain(kl).value, second.gain(kl).value)
    assert_array_equal(first.gain(kl).high, second.gain(kl).high)


def test_rare_successes_of_the_base_are_told_by_a_policy_that_has_many():
    rng = np.random.default_rng(8)
    rate = rng.uniform(0.02, 0.3, size=(60, 1))
    better = rate * np.e**2 / (1 - rate + rate * np.e**2)
    ours, theirs = ((rng.random((60, 8)) < p).astype(float) for p in (rate, better))
    ratio = 2 * theirs - np.log(1 - rate + rate * np.e**2)
    base = of(ours, np.full(ours.shape, np.nan))
    limit = limit_of(base, prompts="fixed")
    found = bridge(limit, base, [of(theirs, ratio)])
    tilts = np.geomspace(0.01, 50, 4000)
    truth = ((1.0 + np.log1p(rate * np.expm1(tilts)).mean(axis=0)) / tilts).min() - rate.mean()
    estimate = found.gain(1.0)
    assert found.trusted_kl > 1.0
    assert estimate.low <= truth <= estimate.high
    alone = limit.gain(1.0)
    assert estimate.high - estimate.low < (alone.high - alone.low) / 3


def test_unsolved_prompts_take_trust_away():
    rng = np.random.default_rng(9)
    rate = np.where(np.arange(60) < 30, 0.2, 0.0)[:, None]
    better = rate * np.e**2 / (1 - rate + rate * np.e**2)
    ours, theirs = ((rng.random((60, 8)) < p).astype(float) for p in (rate, better))
    ratio = 2 * theirs - np.log(1 - rate + rate * np.e**2)
    base = of(ours, np.full(ours.shape, np.nan))
    found = bridge(limit_of(base), base, [of(theirs, ratio)])
    assert found.trusted_kl < 1.0


# ---- refusals


@pytest.mark.parametrize("scored", [False, True])
def test_a_policy_that_never_draws_a_part_of_the_base_is_refused(scored):
    base, policy = normal(np.random.default_rng(10), noise=1.0, scored=scored, cut=0.5)
    limit = limit_of(base)
    found = bridge(limit, base, [policy])
    assert not found.used
    assert "never draws" in found.notes[0]
    assert_array_equal(found.gain([1.0, 4.0]).value, limit.gain([1.0, 4.0]).value)
    assert found.trusted_kl == limit.trusted_kl


def test_scores_of_another_checkpoint_are_refused():
    base, policy = normal(np.random.default_rng(11))
    stale = Draws(policy.rewards, policy.lengths, 1.3 * policy.log_ratios)
    assert "not from the law that scored them" in bridge(limit_of(base), base, [stale]).reason


def test_too_little_falls_back_to_the_base_and_says_why():
    base, policy = normal(np.random.default_rng(12), policy=2)
    assert "4 scored samples" in bridge(limit_of(base), base, [policy]).reason
    few = [Draws(x.rewards[: 4 * 64], x.lengths[:4], x.log_ratios[:, : 4 * 64])
           for x in normal(np.random.default_rng(13))]  # fmt: skip
    assert "8 prompts" in bridge(limit_of(few[0]), few[0], [few[1]]).reason
    base, policy = normal(np.random.default_rng(14))
    plain = limit_of(base, estimator="plugin")
    assert "plug-in" in bridge(plain, base, [policy]).reason
    with pytest.raises(ArgumentError, match="average budget"):
        bridge(limit_of(base, budget="per-prompt"), base, [policy])


def test_noise_that_drowns_the_ratio_leaves_the_base_alone():
    base, policy = normal(np.random.default_rng(15), kl=1.0, noise=5.0)
    limit = limit_of(base)
    found = bridge(limit, base, [policy])
    assert found.trusted_kl <= 1.2 * limit.trusted_kl


def test_samples_without_log_probabilities_are_left_out_and_counted():
    base, policy = normal(np.random.default_rng(19))
    holes = policy.log_ratios.copy()
    holes[0, ::10] = np.nan
    some = Draws(policy.rewards, policy.lengths, holes)
    found = bridge(limit_of(base), base, [some])
    assert found.pool.unscored == holes[0, ::10].size
    assert "256 policy samples without" in found.notes[1]


@pytest.mark.parametrize("width", [0.2, 0.3, 0.5])
def test_a_narrow_policy_does_not_hide_the_top_of_the_base(width):
    # its ratio to the base turns down above its own answers, where only the base can tell
    missed, trusted = 0, 0
    for seed in range(12):
        rng = np.random.default_rng(seed)
        ours, theirs = rng.normal(size=(40, 64)), rng.normal(2.0, width, size=(40, 16))
        ratio = theirs**2 / 2 - ((theirs - 2.0) / width) ** 2 / 2 - np.log(width)
        base = of(ours, np.full(ours.shape, np.nan))
        spent = 2.0 + (width**2 - 1 - 2 * np.log(width)) / 2
        found = bridge(limit_of(base), base, [of(theirs, ratio)]).gain(spent)
        trusted += found.trusted
        missed += found.trusted and not found.low <= (2 * spent) ** 0.5 <= found.high
    assert trusted > 6
    assert missed <= 2


def test_a_policy_that_answers_alike_does_not_carry():
    rng = np.random.default_rng(3)
    ours, theirs = rng.normal(size=(40, 64)), rng.normal(3.0, 0.1, size=(40, 16))
    ratio = theirs**2 / 2 - ((theirs - 3.0) / 0.1) ** 2 / 2 - np.log(0.1)
    base = of(ours, np.full(ours.shape, np.nan))
    assert not bridge(limit_of(base), base, [of(theirs, ratio)]).used
