"""Best-of-N of missing, constant and tied rewards, and where none or all pass."""

import json

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import ndtr

import klimit
from benchmarks.best_of_n_coverage import prompt_estimates
from klimit import select, theory
from klimit.estimate.best_of_n.candidates import candidates
from klimit.estimate.best_of_n.prompt_means import mean_of_prompts


def test_prompts_with_too_few_samples_are_left_out_for_every_n_and_counted():
    rng = np.random.default_rng(8)
    rows = [rng.normal(size=m) for m in (4, 16, 16, 9, 32, 16)]
    best = klimit.best_of_n(rows, n=[2, 16])
    assert (best.prompts, best.left_out, best.samples) == (4, 2, (16, 32))
    assert "2 of 6 prompts" in best.notes[0]
    assert "note: 2 of 6 prompts" in str(best)
    same = klimit.best_of_n([row for row in rows if len(row) >= 16], n=[2, 16])
    assert_array_equal(best.gain.value, same.gain.value)
    assert klimit.best_of_n(rows, n=[2, 4]).left_out == 0


def test_missing_rewards_are_left_out_and_counted():
    rng = np.random.default_rng(10)
    rewards, judge = rng.normal(size=(2, 10, 8))
    gaps = rewards.copy()
    gaps[:, 6:] = np.nan
    best = klimit.best_of_n(gaps, n=[2, 6])
    assert best.missing == 20
    assert_array_equal(best.gain.value, klimit.best_of_n(rewards[:, :6], n=[2, 6]).gain.value)
    judge[:, 0] = np.nan
    read = klimit.best_of_n(gaps, n=[2, 5], judge=judge)
    assert read.missing == 30
    same = klimit.best_of_n(rewards[:, 1:6], n=[2, 5], judge=judge[:, 1:6])
    assert_allclose(read.gain.value, same.gain.value, rtol=1e-12)


def test_constant_rewards_gain_nothing_and_spend_nothing():
    best = klimit.best_of_n(np.ones((6, 8)), n=[1, 4, 8])
    for name in ("gain", "kl", "limit", "own_limit"):
        assert_array_equal(getattr(best, name).value, 0)
    assert np.isnan(best.efficiency.value).all()
    assert "nothing can be gained" in best.efficiency.note
    json.dumps(best.to_dict(), allow_nan=False)


def test_prompts_that_all_pass_do_not_prove_that_all_others_would():
    best = klimit.best_of_n([[1.0] * 8] * 50, n=[4])
    assert_allclose(best.pass_at_k.value, 1)
    assert_allclose(best.pass_at_k.low, 0.025 ** (1 / 50))
    assert_allclose(klimit.best_of_n([[0.0] * 8] * 50, n=[4]).pass_at_k.high, 1 - 0.025 ** (1 / 50))


@pytest.mark.parametrize("seed", range(6))
def test_more_answers_pass_no_less_often_even_at_the_ends_of_intervals(seed):
    rng = np.random.default_rng([seed, 20])
    rates = rng.beta(0.3, 2, size=(20, 1))
    best = klimit.best_of_n((rng.random((20, 16)) < rates).astype(float), n=[1, 2, 4, 8, 16])
    for end in (best.pass_at_k.low, best.pass_at_k.high):
        assert (np.diff(end) >= 0).all()


def test_two_prompts_that_happen_to_be_alike_are_not_known_exactly():
    rewards = [[1.0] * 7 + [0.0]] * 2
    passed = klimit.best_of_n(rewards, n=[1]).pass_at_k[0]
    assert passed.low < 0.2
    assert passed.high > 0.97


def test_few_prompts_that_seldom_pass_are_covered():
    rng = np.random.default_rng(21)
    population = rng.beta(0.05, 3, size=100_000)
    passed = rng.binomial(8, rng.choice(population, size=(400, 10))) / 8
    alone = mean_of_prompts(passed, 0.95, least=0.0, most=1.0)
    found = mean_of_prompts(passed, 0.95, least=0.0, most=1.0, span=(0.0, 1.0))
    wanted = population.mean()
    assert np.mean((found.low <= wanted) & (wanted <= found.high)) > 0.95
    assert np.mean((alone.low <= wanted) & (wanted <= alone.high)) < 0.75


def test_wins_of_prompts_that_seldom_pass_are_covered():
    rng = np.random.default_rng(22)
    held = 0
    for _ in range(200):
        _, _, wins = prompt_estimates((rng.random((100, 4)) < 0.005).astype(float), (2,))
        held += wins.low[0] <= 0.5 + 0.005 * 0.995 / 2 <= wins.high[0]  # ties count half
    assert held / 200 > 0.93


def test_rewards_without_ties_win_as_often_as_is_known():
    wins = klimit.best_of_n(np.random.default_rng(0).random((9, 8)), n=[2, 4]).win_rate
    assert_allclose([wins.low, wins.high], [[2 / 3, 4 / 5]] * 2, rtol=1e-12)


def test_a_judge_that_sees_no_difference_anywhere_may_see_one_elsewhere_to_either_side():
    chosen = np.tile([[1.0, 2, 3, 4]], (12, 1))
    judge = np.tile([[0.0, 1, 1, 0], [1, 0, 0, 1]], (6, 1))  # as often right for either of two
    gain = klimit.best_of_n(chosen, judge=judge, n=[2]).gain[0]
    assert gain.value == pytest.approx(0.0, abs=1e-12)
    hack = klimit.hacking(chosen, gold=judge)
    found = hack.best_by_proxy.gold_gain[1]
    kept = select.compare(chosen, gold=judge, n=[2], beta=[1.0]).gold[0]
    for one in (gain, found, kept):
        assert -0.5 < one.low < -0.1
        assert 0.1 < one.high < 0.5  # in one of 12 such studies a prompt in five is not seen
    wins = klimit.best_of_n(chosen, judge=judge, n=[2]).win_rate[0]
    assert 0.25 < wins.low < 0.45
    assert 0.55 < wins.high < 0.75
    first = np.tile([[0.0, 0, 0, 0]], (12, 1))
    first[0] = [0, 0, 0, 1]
    assert klimit.best_of_n(chosen, judge=first, n=[4]).gain[0].low < 0  # the judge may disagree


def test_no_success_at_all_does_not_prove_that_none_is_possible():
    best = klimit.best_of_n([[0.0] * 8] * 50, n=[4], reward_range=(0, 1))
    assert best.gain.value[0] == 0
    assert_allclose(best.gain.high[0], 1 - 0.025 ** (1 / 50))
    assert 0 < best.kl.high[0] < 0.05


def test_rewards_that_differ_by_rounding_alone_are_named():
    rng = np.random.default_rng(0)
    rewards = rng.integers(0, 3, size=(30, 16)) / 2
    klimit.best_of_n(rewards, n=[4])
    rewards[::2] *= 1 - 2**-53
    klimit.best_of_n(rewards, n=[4])  # no prompt has both
    rewards[:, ::2] *= 1 + 2**-52
    with pytest.warns(
        klimit.DataWarning, match=r"such as 0\.49999999999999994 and 0\.5; .*round them"
    ):
        klimit.best_of_n(rewards, n=[4])


def test_continuous_rewards_are_not_said_to_be_rounded():
    rewards = np.random.default_rng(0).random((2, 200_000))
    candidates(rewards, None, None).warn_of_near_ties()
    candidates(rewards.astype(np.float32), None, None).warn_of_near_ties()


def test_the_limit_is_no_less_than_the_gain_where_noise_would_put_it_there():
    rng = np.random.default_rng(0)
    seen = 0
    for _ in range(20):
        rates = 0.1 * rng.beta(0.4, 0.8, size=(30, 1))
        best = klimit.best_of_n((rng.random((30, 16)) < rates).astype(float), n=[16])
        assert (
            best.gain.value[0]
            <= best.own_limit.value[0]
            <= best.limit.value[0]
            <= best.limit.high[0]
        )
        raised = best.limit.value[0] > best.frontier.gain(best.kl.value[0]).value
        seen += raised
        assert best.efficiency.value[0] == 1 if raised else best.efficiency.value[0] <= 1
    assert seen


def test_ties_below_the_best_of_all_samples_leave_the_kl_open():
    # half of the rewards are 0, the others differ: all eight are 0 once in 256 prompts
    truth = 1.19970
    missed = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        rewards = np.where(rng.random((60, 8)) < 0.5, 0.0, 1 + rng.random((60, 8)))
        kl = klimit.best_of_n(rewards, n=8).kl
        assert kl.low < kl.high
        missed += not kl.low <= truth <= kl.high
    assert missed <= 1


def test_without_any_tie_the_kl_of_the_best_of_all_samples_is_known():
    kl = klimit.best_of_n(np.random.default_rng(0).normal(size=(60, 8)), n=8).kl
    assert kl.low == kl.high == np.log(8) - 7 / 8


def test_where_a_judge_says_yes_or_no_prompts_are_not_on_their_own_frontiers():
    rng = np.random.default_rng(3)
    rewards = rng.normal(size=(60, 16))
    passed = rewards + rng.normal(size=rewards.shape) > 0
    best = klimit.best_of_n(rewards, n=[2, 8], judge=passed * 1.0)
    assert (best.own_limit.value > 1.2 * best.gain.value).all()


def test_the_interval_of_a_mean_moves_and_grows_with_what_prompts_show():
    passed = np.array([[0.0, 0.0, 0.0, 1.0, 0.0, 0.0]])
    one, other = (
        mean_of_prompts(scale * passed + start, 0.95, span=(start, start + scale))
        for start, scale in ((0.0, 1.0), (5.0, 2.0))
    )
    for name in ("value", "low", "high"):
        assert_allclose(getattr(other, name), 5 + 2 * getattr(one, name))


def test_of_few_samples_own_spending_is_read_from_how_it_falls_with_them():
    scale = np.where(np.arange(400) % 2, 0.5, 1.5)[:, None]
    few = klimit.best_of_n(scale * np.random.default_rng(1).normal(size=(400, 16)), n=8)
    assert_allclose(
        few.own_limit.value / few.limit.value, 0.894, atol=0.02
    )  # .924 as the samples have it


def test_the_limit_is_as_uncertain_as_the_kl_that_it_stands_at():
    held, n = [], [4]
    for seed in range(16):
        rng = np.random.default_rng(seed)
        best = klimit.best_of_n((rng.random((100, 8)) < rng.random((100, 1)) ** 2) * 1.0, n=n)
        rates = ((np.arange(2000) + 0.5) / 2000) ** 2
        base, rewards = np.stack([1 - rates, rates], axis=1), np.tile([0.0, 1.0], (2000, 1))
        spent = theory.best_of_n(base, rewards, 4).kl.mean()
        truth = theory.frontier(base, rewards).gain(spent)
        held.append(best.limit.low[0] <= truth <= best.limit.high[0])
    assert np.mean(held) > 0.85

    distinct = np.random.default_rng(0).normal(size=(40, 16))  # whose KL is known
    best = klimit.best_of_n(distinct, n=n)
    alone = klimit.frontier(distinct).gain(best.kl.value)
    assert_allclose([best.limit.low, best.limit.high], [alone.low, alone.high], rtol=2e-3)


@pytest.mark.parametrize("judged", [False, True])
def test_the_best_of_one_is_the_base_whatever_the_prompts(judged):
    rewards, judge = np.random.default_rng(8).normal(size=(2, 1, 32))
    one = klimit.best_of_n(rewards, n=1, judge=judge if judged else None)
    for found, known in ((one.gain, 0.0), (one.kl, 0.0), (one.win_rate, 0.5)):
        assert (found.value, found.low, found.high) == (known, known, known)


@pytest.mark.parametrize("rewards", [np.zeros((40, 16)), np.ones((40, 16))])
def test_prompts_that_show_no_gain_per_doubling_do_not_prove_that_others_have_none(rewards):
    found = klimit.best_of_n(rewards, n=[1, 16])
    per_doubling = found.per_doubling[1]
    assert (per_doubling.value, per_doubling.low) == (0, 0)
    assert_allclose(per_doubling.high, found.gain[1].high / 4)


def test_a_doubling_of_n_never_loses_what_selects():
    rewards = np.random.default_rng(9).normal(size=(60, 32))
    rewards[0, 0] = 1e6  # a tail that leaves the mean open
    found = klimit.best_of_n(rewards, n=[1, 2, 4]).per_doubling
    assert_array_equal(found.low[1:], [0, 0])


def test_a_loss_is_known_to_be_a_share_of_the_limit_only_as_far_as_the_limit_is_known_from_above():
    rewards = np.random.default_rng(0).normal(size=(30, 8))
    best = klimit.best_of_n(rewards, n=[2, 8], judge=-rewards)
    share = best.efficiency
    assert share.trusted.tolist() == [True, False]
    assert share.high[0] < -0.5
    assert share.high[1] == best.gain.value[1] / best.limit.high[1] == 0
    assert "at most 0 %" in str(best)


def test_a_gain_is_no_surer_than_the_pass_rate_it_leads_to_where_all_prompts_pass():
    successes, rng = np.array([1, 2, 3, 5, 8, 2, 1, 4]), np.random.default_rng(0)
    rewards = rng.permuted(np.arange(16) < successes[:, None], axis=1).astype(float)
    found = klimit.best_of_n(rewards, n=[16])
    kept, gain = found.kept_reward[0], found.gain[0]
    assert (kept.value, round(kept.low, 2)) == (1.0, 0.63)  # an eighth that fails may be unseen
    assert gain.value - gain.low > kept.value - kept.low


def test_gains_of_verdicts_are_covered_where_all_prompts_pass_by_chance():
    rate, size = 0.1, 16
    truth = 1 - (1 - rate) ** size - rate
    held = []
    for seed in range(30):
        rewards = (np.random.default_rng([seed, 5]).random((5, size)) < rate).astype(float)
        gain = klimit.best_of_n(rewards, n=size).gain
        held.append(gain.low <= truth <= gain.high)
    assert np.mean(held) >= 0.93  # 0.77 where the failures that were not seen were left out


@pytest.mark.parametrize("floor", [0.0, 0.3])
@pytest.mark.parametrize(("prompts", "samples", "n"), [(10, 16, 16), (50, 16, 16), (20, 16, 8)])
def test_ties_that_no_top_shows_are_within_the_intervals_of_kl_and_wins(prompts, samples, n, floor):
    """Rounded to a tenth, the best of all samples is rarely tied, and the KL is below the closed form."""
    values = np.arange(-60, 61) / 10
    edges = np.concatenate(([-np.inf], (values[1:] + values[:-1]) / 2, [np.inf]))
    law = (1 - floor) * np.diff(ndtr(edges)) + floor * (values == values[0])
    truth = theory.best_of_n(law, values, n)
    held = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        _, kl, wins = prompt_estimates(rng.choice(values, (prompts, samples), p=law), (n,))
        held.append(kl.low[0] <= truth.kl <= kl.high[0])
        if n < samples:
            held.append(wins.low[0] <= truth.win_rate <= wins.high[0])
    assert np.mean(held) > 0.85
