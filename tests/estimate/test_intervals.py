"""Intervals: standard errors from groups left out, the tail of rewards, and what a correction adds."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats

import klimit
from klimit.estimate.best_of_n.prompt_means import mean_of_prompts
from klimit.estimate.intervals import (
    LIGHT,
    Tail,
    around,
    doubt,
    leave_out_error,
    left_out_reach,
    pareto_shape,
    quantiles,
    redrawn_quantiles,
    skewed_reach,
    small,
    tail_of,
)
from klimit.estimate.kernel import Grid
from klimit.estimate.members import front, with_left_out


def test_leaving_prompts_out_gives_the_standard_error_of_a_mean():
    values = np.random.default_rng(1).normal(size=(40, 3))
    weights = np.full(40, 1 / 40)
    means = with_left_out(values, weights)
    assert_allclose(means[0], values.mean(axis=0))
    assert_allclose(means[5], np.delete(values, 4, axis=0).mean(axis=0))
    wanted = values.std(axis=0, ddof=1) / np.sqrt(40)
    assert_allclose(leave_out_error(means[1:], means[0], weights), wanted, rtol=1e-9)


def test_one_group_alone_has_no_known_error():
    assert np.isinf(leave_out_error(np.zeros((1, 2)), np.zeros(2), np.ones(1))).all()


@pytest.mark.parametrize(("level", "groups"), [(0.95, 30), (0.9, 2), (0.99, 200)])
def test_quantiles_are_those_of_students_law(level, groups):
    two, one = quantiles(level, groups)
    assert_allclose(two, stats.t.ppf((1 + level) / 2, groups - 1), rtol=1e-9)
    assert_allclose(one, stats.t.ppf(level, groups - 1), rtol=1e-9)


def test_the_pareto_shape_is_the_number_known_from_elsewhere():
    u = (np.arange(1, 101) - 0.5) / 100
    assert_allclose(pareto_shape(((1 - u) ** -0.5 - 1) / 0.5), 0.504492784502, rtol=1e-8)  # T112
    assert pareto_shape(np.zeros(10)) == -1.0


def test_tails_are_told_apart():
    rng, n = np.random.default_rng(2), 20_000
    laws = {"uniform": rng.random(n), "normal": rng.normal(size=n),
            "exponential": rng.exponential(size=n), "pareto": rng.pareto(2, size=n)}  # fmt: skip
    tails = {name: tail_of(x) for name, x in laws.items()}
    shapes = [tails[name].shape for name in laws]
    assert shapes == sorted(shapes)
    assert [tails[name].heavy for name in laws] == [False, False, True, True]
    assert tails["pareto"].long == 1.0
    assert tails["uniform"].long == 0.0
    assert not LIGHT.heavy


def test_a_few_residuals_show_no_end_of_the_rewards():
    few = tail_of(np.random.default_rng(2).random(16))
    assert (few.long, few.wide) == (1.0, 1.0)
    assert 0.5 < few.wary < 1
    assert not few.heavy
    assert tail_of(np.random.default_rng(2).random(2000)).wide == 0.0


@pytest.mark.parametrize("budget", ["average", "per-prompt"])
def test_samples_that_miss_the_high_rewards_by_chance_make_no_interval_short(budget):
    kl, rank = 2.0, (np.arange(64) + 0.5) / 64
    missed = stats.norm.ppf(0.96 * rank)[None]
    gain = klimit.frontier(missed, prompts="fixed", budget=budget).gain(kl)
    assert gain.trusted
    error = np.sqrt((np.exp(2 * kl) - 1 - 2 * kl) / 64) / (2 * kl)  # of a normal law's gain
    assert gain.high - gain.value > 1.95 * error * gain.value


@pytest.mark.parametrize(
    ("samples", "law", "kl", "truth"),
    [
        (16, "normal", [0.25, 0.7, 1.5], np.sqrt([0.5, 1.4, 3.0])),
        (64, "weibull", [1.5, 2.0], [0.92157357, 1.08039782]),
    ],
)
def test_trusted_intervals_of_one_prompt_hold_the_truth(samples, law, kl, truth):
    held = trusted = 0
    for seed in range(150):
        rng = np.random.default_rng([seed, samples])
        rewards = (
            rng.normal(size=(1, samples))
            if law == "normal"
            else rng.weibull(2.0, size=(1, samples))
        )
        gain = klimit.frontier(rewards, prompts="fixed").gain(kl)
        held += int((gain.trusted & (gain.low <= truth) & (truth <= gain.high)).sum())
        trusted += int(gain.trusted.sum())
    assert trusted > 150
    assert held > 0.88 * trusted


def test_trusted_intervals_hold_where_a_few_wide_prompts_spend_more_than_samples_show():
    kl = np.array([1.0, 2.0])
    held = trusted = 0
    for seed in range(40):
        rng = np.random.default_rng([seed, 5])
        scales = np.exp(0.7 * rng.normal(size=(60, 1)))
        truth = np.sqrt(2 * kl * np.mean(scales**2))
        gain = klimit.frontier(scales * rng.normal(size=(60, 64)), prompts="fixed").gain(kl)
        held += int((gain.trusted & (gain.low <= truth) & (truth <= gain.high)).sum())
        trusted += int(gain.trusted.sum())
    assert trusted > 30
    assert held > 0.85 * trusted


def test_an_interval_is_long_upwards_where_much_was_corrected():
    value, sampling = np.array([1.0]), (np.array([0.2]), np.array([0.2]))
    low, high = around(value, sampling, np.zeros(1), np.zeros(1), LIGHT)
    assert_allclose([low[0], high[0]], [0.8, 1.2])
    low, high = around(value, sampling, np.array([0.3]), np.array([0.1]), LIGHT)
    assert high[0] - 1 > 1 - low[0] > 0.2


def test_doubt_grows_with_the_correction_and_the_disagreement():
    gain, zero, some = np.array([1.0]), np.zeros(1), np.array([0.1])
    assert doubt(gain, zero, zero, LIGHT) == 0
    assert 0 < doubt(gain, some, zero, LIGHT) < doubt(gain, some, some, LIGHT)
    assert doubt(zero, zero, zero, LIGHT) == 0


@pytest.mark.parametrize(("shape", "less"), [(np.nan, 1.0), (-0.3, 1.0), (0.0, 0.5), (0.1, 0.0)])
def test_what_holds_for_any_law_is_no_doubt_unless_few_extremes_make_the_variance(shape, less):
    gain, zero, some, known = np.array([1.0]), np.zeros(1), np.array([0.1]), np.array([0.04])
    tail = Tail(shape, 0.0, 0.0, 0.0)
    whole = doubt(gain, some, zero, tail)
    assert_allclose(doubt(gain, some, zero, tail, known), whole - 0.25 * less * known)
    assert doubt(gain, known, zero, LIGHT, some) == 0


def test_a_budget_is_small_up_to_two_nats_below_the_log_of_the_samples():
    kl = np.array([0.0, 0.4, 0.8, 2.0])
    assert_allclose(small(kl, 2.8 - 0.5), [1, 0.5, 0, 0], atol=1e-12)
    assert not small(kl[1:], np.log(4) - 0.5).any()


def test_where_residuals_look_heavy_by_chance_small_budgets_of_normal_rewards_stay_trusted():
    said = [normal_frontier(seed) for seed in range(40)]
    assert np.mean([limit.tail.wary > 0 for limit in said]) > 0.15
    assert min(limit.trusted_kl for limit in said) >= 0.02
    held = [limit.gain(0.02).low <= 0.2 <= limit.gain(0.02).high for limit in said]
    assert np.mean(held) >= 0.85


def normal_frontier(seed):
    return klimit.frontier(np.random.default_rng(seed).normal(size=(50, 16)))


def test_the_front_of_a_normal_law_is_the_root_of_twice_the_kl():
    grid = Grid(2.0**-5, 13, 8)
    kl = np.array([0.01, 0.5, 3.0])
    found = front(grid.tilts**2 / 2, grid, kl)
    assert_allclose(found.gain, np.sqrt(2 * kl), rtol=1e-5)
    assert_allclose(found.tilt, np.sqrt(2 * kl), rtol=1e-2)
    many = front(np.stack([grid.tilts**2 / 2, 2 * grid.tilts**2]), grid, kl)
    assert_allclose(many.gain[1], 2 * many.gain[0], rtol=1e-4)


def test_what_is_left_out_of_a_mean_gives_the_interval_of_a_mean():
    values = np.random.default_rng(2).exponential(size=(3, 12))
    whole = values.mean(axis=1)
    without = (values.sum(axis=1) - values.T) / 11
    below, above = left_out_reach(without, whole, np.full(12, 1 / 12), 0.9)
    known = mean_of_prompts(values, 0.9)
    assert_allclose(whole - below, known.low)
    assert_allclose(whole + above, known.high)
    assert (above > below).all()


def test_one_prompt_alone_has_no_interval():
    below, above = left_out_reach(np.ones((1, 2)), np.ones(2), np.ones(1), 0.95)
    assert np.isinf([below, above]).all()


def test_for_these_very_prompts_the_error_is_that_of_drawing_their_samples_again():
    # ten prompts: 2 nats are read from the few highest samples of each, whose weight counts
    rng = np.random.default_rng(0)
    scales = rng.uniform(0.5, 1.5, 10)[:, None]
    found = [
        klimit.frontier(scales * rng.normal(size=(10, 64)), prompts="fixed") for _ in range(60)
    ]
    gains = [limit.gain(2.0) for limit in found]
    spread = np.std([gain.value for gain in gains], ddof=1)
    errors = [float(limit.bands.share(limit.bands.error, np.array(2.0))) for limit in found]
    error = np.mean(errors) * np.mean([gain.value for gain in gains])
    assert 0.8 < error / spread < 1.5
    truth = np.sqrt(4 * np.mean(scales**2))
    held = [
        np.interp(2.0, b.kl, b.low) <= truth <= np.interp(2.0, b.kl, b.high)
        for b in (limit.bands for limit in found)
    ]
    assert np.mean(held) >= 0.9


@pytest.mark.parametrize("budget", ["average", "per-prompt"])
def test_more_kl_is_not_said_to_gain_less_by_few_prompts(budget):
    for seed in range(12):
        rewards = np.random.default_rng(seed).normal(size=(3, 64))
        low = klimit.frontier(rewards, budget=budget).bands.low
        assert (np.diff(low) >= 0).all()


def test_few_samples_that_make_a_variance_leave_it_unknown():
    alike = np.array([500.0, 50.0, 5.0])  # samples that move the mean, each as much
    found = redrawn_quantiles(np.ones(3), 1 / alike, 0.95)
    assert_allclose(found, stats.t.ppf(0.975, 2 * alike))
    assert_allclose(
        redrawn_quantiles(np.ones(1), np.zeros(1), 0.95), stats.norm.ppf(0.975), rtol=1e-5
    )


def test_tied_ranks_of_these_very_prompts_are_as_uncertain_as_another_draw_shows():
    rng = np.random.default_rng(1)
    chances = rng.dirichlet(np.ones(5), size=10)
    found = []
    for _ in range(40):
        drawn = np.stack([rng.choice(5, size=32, p=p) for p in chances]).astype(float)
        found.append(klimit.frontier(drawn, objective="win-rate", prompts="fixed").gain(0.5))
    spread = np.std([one.value for one in found], ddof=1)
    reach = np.mean([one.high - one.low for one in found]) / (2 * 1.96)
    assert 0.9 < reach / spread < 2.0


def test_a_gain_that_rests_on_a_few_wide_prompts_is_less_sure_than_one_that_rests_on_all():
    held = []
    for seed in range(120):
        rng = np.random.default_rng(seed)
        wide = np.exp(rng.normal(size=(100, 1)))
        gain = klimit.frontier(wide * rng.normal(size=(100, 32))).gain(0.1)
        if gain.trusted:
            held.append(gain.low <= np.sqrt(0.2 * np.exp(2)) <= gain.high)
    assert len(held) > 80
    # of 2,000 draws .926 do; without skewness .76, and .86 as if all counted alike
    assert np.mean(held) > 0.87


def test_a_little_more_skewness_lengthens_an_interval_a_little():
    skew = np.arange(0, 6, 0.01)
    far, short = skewed_reach(skew, 1.96)
    growth = np.diff(far) / far[:-1]
    assert growth.min() > 0
    assert growth.max() < 0.03  # a cube root's steep part makes it .3
    assert np.diff(short).max() < 0
    assert_allclose(skewed_reach(-skew, 1.96), (short, far), rtol=1e-5)
