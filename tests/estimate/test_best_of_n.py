"""Best-of-N from samples: exact where it can be enumerated, and as the theory says elsewhere."""

from itertools import combinations, product
from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

import klimit
from benchmarks.best_of_n_coverage import prompt_estimates
from klimit import ArgumentError, DataError
from klimit.estimate.best_of_n.judged_wins import wins_over_earlier
from klimit.estimate.best_of_n.kl import Draws, pass_rate_kl, tie_scores
from klimit.estimate.best_of_n.order_weights import chance_below, order_weights
from klimit.estimate.best_of_n.prompt_means import mean_of_prompts
from klimit.estimate.best_of_n.prompts import by_prompt
from klimit.estimate.best_of_n.ranked import ranked_pairs, ranked_samples
from klimit.estimate.samples import collect
from klimit.theory import best_of_n as known_best_of_n
from klimit.theory import continuous_best_of_n

SAMPLE = [0.3, -1.2, 2.5, 0.7, 1.1]


def estimated(rewards, sizes, judge=None):
    """Gain, KL and win rate of each prompt, without a frontier; each (sizes, prompts)."""
    rewards = np.atleast_2d(np.asarray(rewards, float))
    lengths = np.full(len(rewards), rewards.shape[1])
    if judge is None:
        chunks = ranked_samples(collect(rewards.ravel(), lengths))
    else:
        chunks = ranked_pairs(rewards.ravel(), np.asarray(judge, float).ravel(), lengths)
    return by_prompt(chunks, sizes, len(rewards), judged=judge is not None)


def enumerated(rewards, read, n):
    """Mean over all n-subsets, ties broken evenly: what is kept, and its wins over a draw left."""
    kept, wins = [], []
    for subset in combinations(range(len(rewards)), n):
        top = max(rewards[i] for i in subset)
        best = [i for i in subset if rewards[i] == top]
        rest = [i for i in range(len(rewards)) if i not in subset]
        kept.append(np.mean([read[i] for i in best]))
        wins += [
            np.mean([(read[i] > read[k]) + (read[i] == read[k]) / 2 for i in best]) for k in rest
        ]
    return np.mean(kept) - np.mean(read), np.mean(wins) if wins else np.nan


few = st.lists(st.integers(0, 3), min_size=2, max_size=6).map(lambda x: [float(v) for v in x])
mixed = st.lists(st.floats(-3, 3).map(lambda x: round(x, 3)), min_size=2, max_size=6)


@settings(max_examples=60, deadline=None)
@given(rewards=st.one_of(few, mixed), data=st.data())
def test_gain_and_win_rate_are_the_means_over_all_subsets(rewards, data):
    n = data.draw(st.integers(1, len(rewards)))
    found = estimated(rewards, [n])
    gain, wins = enumerated(rewards, rewards, n)
    assert_allclose(found.gain[0, 0], gain, atol=1e-12)
    assert_allclose(found.win_rate[0, 0], wins, atol=1e-12)


@settings(max_examples=60, deadline=None)
@given(
    pairs=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3)), min_size=2, max_size=6),
    data=st.data(),
)
def test_a_judge_reads_the_mean_over_all_subsets_and_over_ties(pairs, data):
    rewards, judge = (np.array(x, float) for x in zip(*pairs, strict=True))
    n = data.draw(st.integers(1, len(rewards)))
    found = estimated(rewards, [n], judge)
    gain, wins = enumerated(rewards, judge, n)
    assert_allclose(found.gain[0, 0], gain, atol=1e-12)
    assert_allclose(found.win_rate[0, 0], wins, atol=1e-12)


def test_the_known_estimates_of_a_few_samples_are_met():
    assert_allclose(estimated(SAMPLE, [3]).gain[0, 0] + np.mean(SAMPLE), 1.9)  # T55
    gold = [1, 2, -1, 0.5, 3]
    assert_allclose(estimated(SAMPLE, [3], gold).gain[0, 0] + np.mean(gold), 0.35)  # T56
    proxy, gold = [1, 1, 0, 2, 2, 2], [5, 1, 0, 3, 0, 7]
    tied = estimated(proxy, [2], gold)
    assert_allclose(tied.gain[0, 0] + np.mean(gold), 3.26666666667, rtol=1e-11)  # T57


def test_best_of_k_of_right_and_wrong_answers_is_pass_at_k():
    rewards = np.array([[1.0] * 3 + [0.0] * 7])
    found = estimated(rewards, [5])
    assert_allclose(found.gain[0, 0] + 0.3, 0.916666666667, rtol=1e-11)  # T58
    right = np.array([0, 1, 3, 9, 10])
    answers = (np.arange(10) < right[:, None]).astype(float)
    best = klimit.best_of_n(answers, n=[1, 2, 5, 10])
    pass_at = [np.mean([1 - comb(10 - c, k) / comb(10, k) for c in right]) for k in (1, 2, 5, 10)]
    assert_allclose(best.pass_at_k.value, pass_at, rtol=1e-13)
    assert_allclose(best.base_reward + best.gain.value, pass_at, rtol=1e-13)
    assert klimit.best_of_n(answers + 1, n=2).pass_at_k is None
    assert klimit.best_of_n(answers, n=2, judge=answers).pass_at_k is None


LAWS = [  # chances of few levels, from even to lopsided
    [0.9, 0.1],
    [0.5, 0.5],
    [0.02, 0.98],
    [0.2, 0.5, 0.3],
    [0.7, 0.05, 0.25],
    [0.4, 0.3, 0.1, 0.2],
]


def expectation(probs, samples, sizes):
    """Mean gain, KL and win rate over every outcome of drawing `samples` from a law."""
    outcomes = np.array(
        [c for c in product(range(samples + 1), repeat=len(probs)) if sum(c) == samples]
    )
    log_factorial = np.cumsum(np.log(np.maximum(np.arange(samples + 1), 1)))
    chance = np.exp(
        log_factorial[samples] - log_factorial[outcomes].sum(axis=1) + outcomes @ np.log(probs)
    )
    rewards = np.array([np.repeat(np.arange(len(probs)), c) for c in outcomes], float)
    found = estimated(rewards, sizes)
    means = rewards.mean(axis=1)
    gain = (found.gain + means) @ chance - np.arange(len(probs)) @ np.array(probs)
    return gain, found.kl @ chance, found.win_rate @ chance


@pytest.mark.parametrize("probs", LAWS)
@pytest.mark.parametrize(
    ("samples", "sizes"), [(4, [4]), (6, [4, 5]), (8, [3, 4, 8]), (10, [2, 8, 9])]
)
def test_gain_and_win_rate_are_unbiased_and_the_kl_very_nearly(probs, samples, sizes):
    gain, kl, wins = expectation(probs, samples, sizes)
    truth = known_best_of_n(probs, np.arange(len(probs)), sizes)
    assert_allclose(gain, truth.gain, rtol=1e-11)
    below = np.array(sizes) < samples
    assert_allclose(wins[below], truth.win_rate[below], rtol=1e-11)
    # T48: .217398 for a pass rate of .1 and N = 4, T43 and T52 are of this kind
    assert_allclose(kl, truth.kl, rtol=0.012)
    deep = np.array(sizes) >= 8
    assert_allclose(kl[deep], truth.kl[deep], rtol=2e-4)


def test_the_plug_in_kl_would_be_far_too_low():
    counts = np.arange(9)
    chance = np.array([comb(8, c) * 0.1**c * 0.9 ** (8 - c) for c in counts])
    plug = np.array([0.0, *pass_rate_kl(counts[1:-1] / 8, 8), 0.0]) @ chance
    truth = pass_rate_kl(np.array([0.1]), 8)[0]
    assert_allclose([plug, truth], [0.467, 0.673], atol=6e-4)
    assert_allclose(expectation([0.9, 0.1], 8, [8])[1], truth, rtol=2e-4)


@pytest.mark.parametrize("n", [8, 9, 16, 33, 64, 65, 100, 1000, 10**6])
def test_scores_of_ties_follow_the_kl_at_every_pass_rate(n):
    assert tie_scores(n, n).error < 3e-4
    scores = tie_scores(n, n)(np.arange(0, min(n, 400) + 1))
    assert scores[0] == 0
    assert_allclose(scores[1], np.log(n) - (n - 1) / n, rtol=1e-12)
    assert np.all(np.diff(scores[2:]) < 0)
    if n <= 400:
        assert scores[-1] == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(("n", "most"), [(2, 0.02), (3, 2e-3), (4, 5e-4), (7, 5e-4)])
def test_small_n_takes_its_scores_from_more_draws(n, most):
    assert tie_scores(n, 16).error < most


def test_scores_of_many_draws_and_of_few_agree_on_large_samples():
    # thinning to N draws loses nothing: the mean over subsets is that of the whole
    few_draws, draws = tie_scores(8, 8), Draws(8, 40)
    right = np.arange(1, 40)
    chance = [[comb(r, t) * comb(40 - r, 8 - t) / comb(40, 8) for t in range(9)] for r in right]
    assert_allclose(
        draws.share(np.full(39, 40), right), np.array(chance) @ few_draws(np.arange(9)), rtol=1e-10
    )
    assert_allclose(
        draws.share(np.array([40]), np.array([1])), few_draws(np.array([1]))[0] / 5, rtol=1e-12
    )


def test_without_ties_the_kl_is_the_closed_form_to_the_last_digit():
    best = klimit.best_of_n(np.random.default_rng(0).normal(size=(20, 16)), n=[1, 2, 4, 16])
    assert_array_equal(best.kl.value, best.kl_bound.value)
    assert_array_equal(best.kl.low, best.kl.high)
    assert_allclose(best.kl.value, continuous_best_of_n([1, 2, 4, 16]).kl, rtol=1e-14)
    assert_allclose(best.win_rate.value[:3], [1 / 2, 2 / 3, 4 / 5], rtol=1e-12)


@st.composite
def tables(draw):
    prompts, samples = draw(st.integers(2, 5)), draw(st.integers(2, 6))
    value = draw(
        st.sampled_from(
            [st.integers(0, 1), st.integers(0, 3), st.floats(-3, 3).map(lambda x: round(x, 2))]
        )
    )
    row = st.lists(value, min_size=samples, max_size=samples)
    return np.array(draw(st.lists(row, min_size=prompts, max_size=prompts)), float)


@settings(max_examples=8, deadline=None)
@given(rewards=tables(), seed=st.integers(0, 5))
def test_one_draw_is_the_mean_and_all_draws_the_maximum(rewards, seed):  # P6
    judge = np.random.default_rng(seed).normal(size=rewards.shape)
    samples = rewards.shape[1]
    best = klimit.best_of_n(rewards, n=[1, samples])
    assert best.gain.value[0] == 0
    assert best.kl.value[0] == 0
    assert_allclose(best.kept_reward.value[1], rewards.max(axis=1).mean(), rtol=1e-12, atol=1e-12)
    read = klimit.best_of_n(rewards, n=[1, samples], judge=judge)
    tops = np.where(rewards == rewards.max(axis=1, keepdims=True), judge, np.nan)
    assert read.gain.value[0] == 0
    assert_allclose(
        read.kept_reward.value[1], np.nanmean(tops, axis=1).mean(), rtol=1e-10, atol=1e-12
    )


@settings(max_examples=8, deadline=None)
@given(rewards=tables())
def test_the_kl_never_passes_its_bound_nor_the_efficiency_one(rewards):  # P7
    best = klimit.best_of_n(rewards, n=np.arange(1, rewards.shape[1] + 1))
    for kl in (best.kl.value, best.kl.low, best.kl.high):
        assert np.all((kl >= 0) & (kl <= best.kl_bound.value + 1e-12))
    assert not np.any(best.efficiency.value > 1)
    assert np.all(best.gain.value >= 0)
    capped = best.own_limit.value <= best.limit.value + 1e-12
    assert np.all(capped | (best.own_limit.value == best.gain.value))


@settings(max_examples=8, deadline=None)
@given(rewards=tables(), seed=st.integers(0, 1000), judged=st.booleans())
def test_the_order_of_rows_and_prompts_changes_no_digit(rewards, seed, judged):
    rng = np.random.default_rng(seed)
    judge = rng.integers(0, 2, size=rewards.shape).astype(float)
    rows = np.argsort(rng.random(rewards.shape), axis=1)
    prompts = rng.permutation(len(rewards))
    sizes = [1, 2, rewards.shape[1]]
    first = klimit.best_of_n(rewards, n=sizes, judge=judge if judged else None)
    moved, moved_judge = (np.take_along_axis(x, rows, axis=1)[prompts] for x in (rewards, judge))
    second = klimit.best_of_n(moved, n=sizes, judge=moved_judge if judged else None)
    assert first.to_dict() == second.to_dict()


def test_the_order_changes_no_digit_for_many_prompts_that_look_alike():
    # more prompts than groups, and many of the same count of right answers
    rng = np.random.default_rng(3)
    proxy = rng.integers(0, 4, size=(450, 8)).astype(float)
    judge = (rng.random((450, 8)) < 0.4).astype(float)
    prompts = rng.permutation(450)
    first = klimit.best_of_n(proxy, n=[2, 8], judge=judge)
    second = klimit.best_of_n(proxy[prompts], n=[2, 8], judge=judge[prompts])
    assert first.to_dict() == second.to_dict()


@settings(max_examples=8, deadline=None)
@given(rewards=tables(), scale=st.sampled_from([0.5, 2.0, 64.0]), offset=st.integers(-8, 8))
def test_offsets_change_nothing_and_scales_only_the_gain(rewards, scale, offset):  # P12
    n = rewards.shape[1]
    first = klimit.best_of_n(rewards, n=[n])
    second = klimit.best_of_n(rewards * scale + offset, n=[n])
    assert_allclose(second.gain.value, scale * first.gain.value, rtol=1e-7, atol=1e-10)
    assert_allclose(second.kl.value, first.kl.value, rtol=1e-9, atol=1e-12)


def test_a_judge_that_is_the_reward_changes_nothing():
    rewards = np.random.default_rng(1).integers(0, 5, size=(30, 12)).astype(float)
    own, judged = (klimit.best_of_n(rewards, n=[2, 5, 11], judge=j) for j in (None, rewards))
    for name in ("gain", "kl", "win_rate", "limit"):
        assert_allclose(getattr(own, name).value, getattr(judged, name).value, rtol=1e-9)


def test_a_judge_that_knows_nothing_of_the_reward_gains_nothing():
    rng = np.random.default_rng(2)
    rewards, judge = rng.normal(size=(2, 400, 32))
    best = klimit.best_of_n(rewards, n=[4, 16], judge=judge)
    assert np.all((best.gain.low < 0) & (best.gain.high > 0))
    assert np.all((best.win_rate.low < 0.5) & (best.win_rate.high > 0.5))
    assert np.all(best.efficiency.high < 0.2)


@pytest.mark.parametrize(("n", "expected"), [(4, 0.912), (16, 0.922)])
def test_best_of_n_of_normal_rewards_is_as_efficient_as_the_theory_says(n, expected):
    rewards = np.random.default_rng(4).normal(size=(200, 256))
    best = klimit.best_of_n(rewards, n=[n])
    assert best.efficiency.trusted[0]
    assert best.efficiency.low[0] <= expected <= best.efficiency.high[0]
    assert_allclose(best.efficiency.value[0], expected, atol=0.012)


def test_the_efficiency_is_the_gain_over_the_limit_of_the_same_samples():
    rewards = np.random.default_rng(15).normal(size=(40, 32))
    best, limit = klimit.best_of_n(rewards, n=[2, 8]), klimit.frontier(rewards)
    assert_allclose(best.limit.value, limit.gain(best.kl.value).value, rtol=1e-12)
    assert_allclose(best.efficiency.value, best.gain.value / best.limit.value, rtol=1e-12)


def test_prompts_of_different_scale_make_best_of_n_less_efficient():  # T69: .8245
    scale = np.where(np.arange(200) % 2, 0.5, 1.5)[:, None]
    best = klimit.best_of_n(scale * np.random.default_rng(5).normal(size=(200, 256)), n=16)
    assert best.efficiency.low <= 0.824498832801 <= best.efficiency.high
    assert_allclose(best.efficiency.value, 0.8245, atol=0.03)
    # what is lost to unequal scales is E s / sqrt(E s^2) = .894, the rest to each prompt's own law
    assert_allclose(best.own_limit.value / best.limit.value, 0.894, atol=0.03)
    assert np.all((best.own_limit.low > 0.9 * best.own_limit.value) & (best.own_limit.high < 3))


def test_two_reward_levels_are_on_each_prompts_own_frontier():  # P8
    rng = np.random.default_rng(6)
    best = klimit.best_of_n((rng.random((300, 16)) < rng.beta(1, 3, (300, 1))) * 1.0, n=[2, 8])
    assert_array_equal(best.own_limit.value, best.gain.value)
    assert np.all(best.efficiency.value > 0.95)


def test_past_the_trusted_kl_the_efficiency_is_an_upper_bound():
    best = klimit.best_of_n(np.random.default_rng(7).exponential(size=(60, 16)), n=[2, 16])
    assert not best.efficiency.trusted[1]
    assert "upper bound" in best.efficiency.note
    assert best.efficiency.low[1] <= 0.723 <= best.efficiency.high[1]
    assert "%" in str(best)


@pytest.mark.parametrize(
    ("n", "seen"),
    [
        (0, "n=0 was given"),
        ([4, -1], "n=-1 was given"),
        (2.5, "n=2.5 was given"),
        (float("nan"), "n=nan was given"),
        ([], "n is empty"),
        ("4", "n=4 was given"),
        (True, "n=True was given"),
        ([[1, 2]], "whole numbers"),
        (None, "n=None"),
        (9, "no prompt has more than 8 samples"),
        (1e300, "no prompt has more than 8 samples"),
    ],
)
def test_an_impossible_n_is_an_error_of_one_line(n, seen):
    with pytest.raises(ArgumentError) as error:
        klimit.best_of_n(np.random.default_rng(0).normal(size=(5, 8)), n=n)
    assert seen in str(error.value)
    assert "\n" not in str(error.value)


def test_an_impossible_level_or_seed_is_an_error():
    for options in ({"level": "a"}, {"level": 1.0}, {"seed": -1}):
        with pytest.raises(ArgumentError, match="must"):
            klimit.best_of_n(np.random.default_rng(0).normal(size=(5, 8)), n=2, **options)


def test_impossible_data_are_errors_of_one_line():
    with pytest.raises(DataError, match="several samples"):
        klimit.best_of_n(np.ones((5, 1)), n=1)
    with pytest.raises(DataError, match="finite numbers were expected"):
        klimit.best_of_n([[1.0, np.inf, 2.0]], n=1)
    with pytest.raises(DataError, match="lacks reward"):
        klimit.best_of_n(np.full((3, 4), np.nan), n=1)
    with pytest.raises(ArgumentError, match="names a column"):
        klimit.best_of_n(np.ones((5, 4)), n=1, judge="gold")
    with pytest.raises(ArgumentError, match="same samples"):
        klimit.best_of_n(np.ones((5, 4)), n=1, judge=np.ones((5, 3)))
    with pytest.raises(DataError, match="finite numbers were expected"):
        klimit.best_of_n([[np.inf, 1.0]] * 5, n=1, judge=[[0.0, 1.0]] * 5)


def test_answers_keep_the_shape_and_the_order_of_n():
    rewards = np.random.default_rng(11).normal(size=(30, 16))
    one = klimit.best_of_n(rewards, n=4)
    assert (one.n, isinstance(one.gain.value, float), isinstance(one.efficiency.trusted, bool)) == (
        4,
        True,
        True,
    )
    many = klimit.best_of_n(rewards, n=[8, 4, 4])
    assert many.n.tolist() == [8, 4, 4]
    assert many.gain.value[1] == many.gain.value[2] == one.gain.value
    frame = many.to_frame()
    assert frame["n"].to_list() == [8, 4, 4]
    assert frame["gain"].to_list() == many.gain.value.tolist()
    assert frame["tokens"].null_count() == 3
    assert one.to_frame().height == 1


def test_gain_per_doubling_is_since_the_next_smaller_n():
    rewards = np.random.default_rng(12).normal(size=(30, 16))
    best = klimit.best_of_n(rewards, n=[1, 4, 16])
    gain = best.gain.value
    assert np.isnan(best.per_doubling.value[0])
    assert_allclose(best.per_doubling.value[1:], [gain[1] / 2, (gain[2] - gain[1]) / 2], rtol=1e-12)


def test_tokens_are_what_all_draws_of_an_answer_take():
    rng = np.random.default_rng(13)
    columns = {
        "prompt": np.repeat(["a", "b", "c"], 4).tolist(),
        "rm": rng.normal(size=12).tolist(),
        "gold": rng.integers(0, 2, size=12).tolist(),
        "tokens": [10, 20, 30, 40] * 2 + [100, 100, 100, None],
    }
    base = klimit.read(columns)
    best = klimit.best_of_n(base, n=[1, 3], reward="rm", judge="gold")
    assert_allclose(best.tokens.value, [50, 150])
    assert (best.reward, best.judge) == ("rm", "gold")
    by_arrays = klimit.best_of_n(
        np.reshape(columns["rm"], (3, 4)), n=[1, 3], judge=np.reshape(columns["gold"], (3, 4))
    )
    assert_array_equal(best.gain.value, by_arrays.gain.value)
    assert by_arrays.tokens is None


def test_many_samples_and_huge_n_stay_exact():
    samples = 20_000
    uniform = (np.arange(samples) + 0.5) / samples
    best = estimated([uniform], [10, 1000, 19_999, 20_000])
    truth = np.array([10, 1000, 19_999, 20_000]) / (np.array([10, 1000, 19_999, 20_000]) + 1)
    assert_allclose(best.gain[:, 0] + 0.5, truth * (1 + 1 / samples) - 0.5 / samples, rtol=1e-9)
    levels = estimated([np.floor(10 * uniform)], [1000])
    assert_allclose(levels.kl[0, 0], np.log(10), rtol=1e-3)  # the top tenth, for sure


def test_chances_of_subsets_are_binomial_ratios():
    for n, m in ((1, 1), (1, 5), (3, 5), (5, 5), (7, 30)):
        expected = [comb(c, n) / comb(m, n) for c in range(m + 1)]
        assert_allclose(chance_below(n, m), expected, rtol=1e-12)
        assert_allclose(order_weights(n, m), np.diff(expected), rtol=1e-10, atol=1e-15)
    assert_array_equal(order_weights(5, 5), [0, 0, 0, 0, 1])


@given(values=st.lists(st.integers(0, 5), min_size=1, max_size=13))
def test_wins_over_earlier_values_are_counted_by_merging(values):
    expected = [sum((v > w) + (v == w) / 2 for w in values[:i]) for i, v in enumerate(values)]
    assert_array_equal(wins_over_earlier(np.array([values], float))[0], expected)


def test_intervals_of_skewed_prompts_hold_the_truth():
    rng = np.random.default_rng(14)
    held = []
    for _ in range(400):
        answers = (rng.random((50, 8)) < rng.beta(0.3, 0.7, (50, 1))) * 1.0
        gain, kl, _ = prompt_estimates(answers, (4,))
        # best-of-4 of pass rates from Beta(.3, .7): by quadrature
        held.append([gain.low[0] <= 0.20617 <= gain.high[0], kl.low[0] <= 0.20173 <= kl.high[0]])
    assert np.all(np.mean(held, axis=0) > 0.92)


def test_the_mean_over_prompts_says_nothing_where_one_is_unknown():
    found = mean_of_prompts(np.array([[1.0, np.nan], [1.0, 3.0]]), 0.95)
    assert np.isnan([found.value[0], found.low[0], found.high[0]]).all()
    assert found.value[1] == 2
    alone = mean_of_prompts(np.array([[2.0]]), 0.95, least=0.0)
    assert (alone.low[0], alone.value[0], alone.high[0]) == (0, 2, np.inf)


@pytest.mark.parametrize("judge", [None, "gold"])
def test_a_limit_that_is_there_already_gives_the_same_digits_and_is_not_estimated_anew(
    judge,
):
    from klimit.estimate.best_of_n.verb import beside

    rng = np.random.default_rng(4)
    rewards = rng.normal(size=(30, 16))
    rewards[3, 2] = rewards[7, 5:] = np.nan
    base = klimit.read({"rm": rewards, "gold": rewards + rng.normal(size=rewards.shape)})
    how = {"n": [2, 4], "reward": "rm", "judge": judge, "seed": 1}
    limit = klimit.frontier(base, reward=judge or "rm", seed=1)
    anew = klimit.best_of_n(base, **how).to_frame()
    assert beside([klimit.frontier(base, seed=2, reward="rm")], base, **how).to_frame().equals(anew)
    found = beside([limit], base, **how)
    assert found.frontier is limit
    assert found.to_frame().equals(anew)


def test_a_limit_of_other_samples_is_not_taken_for_that_of_these():
    from klimit.estimate.best_of_n.verb import beside

    rewards = np.random.default_rng(5).normal(size=(30, 16))
    other = klimit.frontier(rewards[::-1])
    found = beside([other], rewards, n=[2, 4])
    assert found.frontier is not other
    assert found.to_frame().equals(klimit.best_of_n(rewards, n=[2, 4]).to_frame())


def test_unequal_samples_are_each_weighted_as_their_own_number_asks():
    rng = np.random.default_rng(9)
    rows = [np.round(rng.normal(size=m), 1) for m in (5, 6, 8, 8, 13)]
    best = klimit.best_of_n(rows, n=[3, 5])
    for i, n in enumerate((3, 5)):
        expected = np.mean([enumerated(row, row, n)[0] for row in rows])
        assert_allclose(best.gain.value[i], expected, rtol=1e-10)
    assert np.isnan(best.win_rate.value[1])
    assert "N = 5" in best.win_rate.note
