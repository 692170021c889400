"""What a frontier answers: one concave curve, its slope and its inverse, and errors that say what to do."""

import json
import math
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

import klimit
from klimit import ArgumentError
from tests.estimate.drawn import normal_prompts, pass_rates, reward_rows

KL = np.array([1e-3, 0.01, 0.1, 0.3, 0.6, 1.0, 1.5, 2.0, 3.0, 5.0])
OPTIONS = [
    {},
    {"estimator": "plugin"},
    {"budget": "per-prompt"},
    {"budget": "per-prompt", "estimator": "plugin"},
    {"objective": "win-rate"},
    {"prompts": "fixed"},
    {"reward_range": (-99.0, 99.0)},
]


def rewards_of(law, prompts=24, samples=13, seed=0):
    rng = np.random.default_rng(seed)
    return {
        "normal": lambda: normal_prompts(rng, prompts, samples)[0],
        "skewed": lambda: rng.exponential(size=(prompts, samples)) ** 2,
        "coin": lambda: pass_rates(rng, prompts, samples)[0],
        "rubric": lambda: rng.integers(1, 6, size=(prompts, samples)).astype(float),
        "ragged": lambda: [rng.normal(size=m) for m in rng.integers(2, 60, size=prompts)],
    }[law]()


@pytest.fixture(scope="module")
def limits():
    """One frontier of each law and option, made when first asked for."""
    made = {}

    def get(law, option):
        key = law, tuple(option.items())
        if key not in made:
            made[key] = klimit.frontier(rewards_of(law), **option)
        return made[key]

    return get


every_law = pytest.mark.parametrize("law", ["normal", "skewed", "coin", "rubric", "ragged"])
every_option = pytest.mark.parametrize(
    "option", OPTIONS, ids=lambda o: "-".join(map(str, o.values()))
)


@every_law
@every_option
def test_gain_rises_and_bends_down(limits, law, option):
    limit = limits(law, option)
    kl = np.concatenate([[0.0], np.geomspace(1e-4, 9, 80)])
    gain = limit.gain(kl).value
    slope = np.diff(gain) / np.diff(kl)
    assert gain[0] == 0.0
    assert (np.diff(gain) >= -1e-9 * gain[-1]).all()
    assert (np.diff(slope) <= 1e-7 * slope[0]).all()


@every_law
@every_option
def test_beta_is_the_slope_of_the_gain(limits, law, option):
    limit = limits(law, option)
    beta, step = limit.beta(KL).value, 1e-4
    rise = limit.gain(KL * (1 + step)).value - limit.gain(KL * (1 - step)).value
    assert_allclose(beta, rise / (2 * step * KL), rtol=0.02, atol=1e-3 * beta[3])
    assert (np.diff(beta) <= 1e-9 * beta[0]).all()
    assert limit.beta(0.0).value == math.inf


@every_law
@every_option
def test_the_least_kl_of_a_gain_is_the_kl_that_gains_it(limits, law, option):
    limit = limits(law, option)
    kl = KL[limit.beta(KL).value > 0]
    assert_allclose(limit.kl(limit.gain(kl).value).value, kl, rtol=1e-6)


@every_law
@every_option
def test_limits_lie_around_the_value(limits, law, option):
    limit = limits(law, option)
    kl = np.concatenate([[0.0], KL, [40.0]])
    for e in (limit.gain(kl), limit.beta(KL), limit.kl(limit.gain(kl).value * 0.8)):
        assert (e.low <= e.value).all()
        assert (e.value <= e.high).all()
        json.dumps(e.to_dict(), allow_nan=False)
    assert_array_equal(limit.gain(kl).trusted, kl <= limit.trusted_kl)


@every_law
@pytest.mark.parametrize("option", [{}, {"estimator": "plugin"}, {"objective": "win-rate"}])
def test_the_point_of_a_beta_obeys_the_identities_of_the_optimal_policy(limits, law, option):
    limit = limits(law, option)
    beta = limit.beta(KL).value
    kl, beta = KL[beta > 0], beta[beta > 0]
    at = limit.at(beta=beta)
    inner = kl < 0.9 * limit.curve.at_tilt(np.nextafter(limit.curve.knots[-1], 0)).kl
    assert_allclose(at.kl.value[inner], kl[inner], rtol=1e-5)
    assert_allclose(at.gain.value, beta * at.jeffreys.value, rtol=1e-12)
    assert_allclose(at.forward_kl.value, at.jeffreys.value - at.kl.value, rtol=1e-12)
    assert_allclose(
        at.log_partition.value, at.gain.value / beta - at.kl.value, rtol=1e-6, atol=1e-12
    )
    for other in (0.7 * kl, 1.3 * kl):  # at() maximises gain - beta KL
        there = limit.gain(other).value - beta * other
        assert (at.gain.value - beta * at.kl.value >= there - 1e-9 * at.gain.value).all()
    for name in ("kl", "gain", "jeffreys", "forward_kl", "log_partition"):
        estimate = getattr(at, name)
        assert (estimate.low <= estimate.value).all()
        assert (estimate.value <= estimate.high).all()


@every_law
@pytest.mark.parametrize("estimator", ["corrected", "plugin"])
def test_one_shared_beta_is_never_worse_than_the_same_kl_everywhere(limits, law, estimator):
    average = limits(law, {"estimator": estimator}).gain(KL).value
    each = limits(law, {"estimator": estimator, "budget": "per-prompt"}).gain(KL).value
    assert (average >= each * (1 - 2e-3)).all()


@every_law
@pytest.mark.parametrize("option", [{}, {"budget": "per-prompt"}])
def test_the_corrected_estimate_is_never_below_the_plug_in(limits, law, option):
    corrected = limits(law, option).gain(KL).value
    plugin = limits(law, option | {"estimator": "plugin"}).gain(KL).value
    assert (corrected >= plugin * (1 - 1e-3)).all()


@settings(max_examples=15, deadline=None)
@given(
    rows=reward_rows(max_prompts=6, max_samples=12),
    option=st.sampled_from([{}, {"budget": "per-prompt"}, {"objective": "win-rate"}]),
)
def test_any_rewards_give_a_rising_concave_gain(rows, option):
    limit = klimit.frontier(rows, **option)
    kl = np.concatenate([[0.0], np.geomspace(1e-3, 9, 40)])
    gain = limit.gain(kl)
    slope = np.diff(gain.value) / np.diff(kl)
    assert (slope >= -1e-9 * slope[0]).all()
    assert (np.diff(slope) <= 1e-6 * slope[0]).all()
    assert (gain.low <= gain.value).all()
    assert (gain.value <= gain.high).all()


def test_a_gain_that_the_range_of_rewards_forbids_takes_infinite_kl():
    rewards, _ = pass_rates(np.random.default_rng(1), 40, 8)
    least = klimit.frontier(rewards).kl([0.0, -1.0, 0.1, 1.01])
    assert_array_equal(least.value[[0, 1, 3]], [0.0, 0.0, np.inf])
    assert 0 < least.value[2] < 1
    assert least.low[3] == np.inf
    assert "does not allow this gain" in least.note


def test_a_gain_that_no_sample_shows_takes_an_unknown_kl_above_a_bound():
    rewards, _ = normal_prompts(np.random.default_rng(2), 40, 8)
    least = klimit.frontier(rewards).kl(50.0)
    assert math.isnan(least.value)
    assert 0 < least.low < 4
    assert least.high == math.inf
    assert not least.trusted
    assert "no sample" in least.note
    assert str(least).startswith("at least")
    assert klimit.frontier(rewards).kl(math.inf).high == math.inf


def test_no_gain_exceeds_what_the_stated_range_leaves_room_for():
    rewards, _ = normal_prompts(np.random.default_rng(3), 40, 16)
    top = float(rewards.max()) + 0.01
    for budget in ("average", "per-prompt"):
        limit = klimit.frontier(rewards, reward_range=(-9.0, top), budget=budget)
        room = top - limit.base_reward
        gain = limit.gain([0.5, 2.0, 5.0, 50.0])
        assert (gain.value <= room * (1 + 1e-12)).all()
        assert np.isfinite(gain.high).all()
        assert gain.high.max() < 1.2 * room


def test_coins_imply_their_range_and_say_so():
    rewards, _ = pass_rates(np.random.default_rng(4), 40, 8)
    limit = klimit.frontier(rewards)
    assert (limit.settings.reward_range, limit.settings.range_implied) == ((0.0, 1.0), True)
    stated = klimit.frontier(rewards, reward_range=(0.0, 1.0))
    assert stated.settings.range_implied is False
    assert_array_equal(stated.gain(KL).value, limit.gain(KL).value)
    assert klimit.frontier(rewards * 2).settings.reward_range is None


def test_beyond_trust_the_answer_is_a_bound_that_says_how_many_samples_it_would_take():
    rewards, _ = normal_prompts(np.random.default_rng(5), 60, 16)
    limit = klimit.frontier(rewards)
    gain = limit.gain([0.1, 4.0])
    assert_array_equal(gain.trusted, [True, False])
    assert gain.high[1] == np.inf
    assert gain.low[1] >= gain.low[0]
    assert "samples a prompt" in gain.note
    assert limit.samples_needed(4.0) > limit.samples_needed(3.0) > 16


def test_where_every_prompt_is_at_its_best_no_number_of_samples_is_promised():
    rewards = np.random.default_rng(0).choice([0.0, 1.0, 2.0], p=[0.5, 0.3, 0.2], size=(100, 64))
    limit = klimit.frontier(rewards)
    assert limit.trusted_kl == pytest.approx(np.log(1 / 0.2), rel=0.05)
    assert [limit.exhausted(kl) for kl in (0.5, 1.5, 2.0, 3.0)] == [False, False, True, True]
    assert limit.gain(2.0).note.endswith("every prompt is at its best sample")
    assert "at 2 nats every prompt is at its best sample." in str(limit)
    assert limit.samples_needed(2.0) > 1e6
    rare, _ = normal_prompts(np.random.default_rng(5), 60, 16)
    assert not klimit.frontier(rare).exhausted(4.0)


def test_shapes_of_budgets_are_kept():
    limit = klimit.frontier(rewards_of("normal"))
    grid = np.array([[0.1, 0.5], [1.0, 2.0]])
    assert limit.gain(grid).value.shape == (2, 2)
    assert limit.kl(limit.gain(grid).value).value.shape == (2, 2)
    assert limit.beta(grid).value.shape == (2, 2)
    assert limit.at(beta=grid).kl.value.shape == (2, 2)
    assert isinstance(limit.gain(1).value, float)
    assert isinstance(limit.gain(1).trusted, bool)
    assert limit.gain(grid).value[1, 0] == limit.gain(1.0).value
    assert limit.gain([]).value.shape == (0,)


@pytest.mark.parametrize("kl", [-1e-9, -3, math.nan, [0.5, math.nan], -math.inf])
def test_negative_and_missing_budgets_are_refused(kl):
    limit = klimit.frontier(rewards_of("rubric"))
    for ask in (limit.gain, limit.beta, limit.bounds, limit.prompts):
        with pytest.raises(
            ArgumentError, match=r"kl must be zero or more nats per sequence; got -|nan"
        ):
            ask(kl)


def test_what_is_no_number_is_refused_by_every_question():
    limit = klimit.frontier(rewards_of("rubric"))
    for name, ask in (
        ("kl", limit.gain),
        ("gain", limit.kl),
        ("beta", lambda x: limit.at(beta=x)),
    ):
        for wrong in ("x", [[1.0], [1.0, 2.0]]):
            with pytest.raises(ArgumentError, match=rf"{name}=.* was given; .*numbers .*expected"):
                ask(wrong)
    for ask in (limit.bounds, limit.prompts):
        with pytest.raises(ArgumentError, match=r"kl=\[1, 2\] was given; one number of nats"):
            ask([1, 2])


def test_an_infinite_budget_buys_the_ceiling():
    rows = rewards_of("rubric")
    limit = klimit.frontier(rows, estimator="plugin")
    assert_allclose(limit.gain(math.inf).value, np.mean(rows.max(axis=1) - rows.mean(axis=1)))
    assert limit.beta(math.inf).value == 0.0


def test_past_trust_a_beta_gains_at_least_what_the_last_trusted_one_does():
    limit = klimit.frontier(np.random.default_rng(5).normal(size=(40, 16)))  # trusted to 1.8
    betas = np.geomspace(9.0, 0.3, 400)
    trusted = limit.at(beta=betas).kl.trusted
    edge = betas[trusted].min()
    assert (trusted == (betas >= edge)).all()
    end = float(limit.beta(limit.trusted_kl).value)  # of the frontier's own trust
    inside, outside = limit.at(beta=edge), limit.at(beta=[0.9 * edge, 1.01 * end, 0.3 * end])
    for name in ("kl", "gain", "jeffreys", "forward_kl", "log_partition"):
        near, far = getattr(inside, name), getattr(outside, name)
        assert near.trusted
        assert not far.trusted.any()
        assert (np.diff(far.low) >= 0).all()
        assert near.low < far.low[0]
        assert_allclose(far.low[2], far.low[1], rtol=0.1)
        assert (far.high == math.inf).all()


@pytest.mark.parametrize("wrong", [True, np.True_, [0.5, True], np.array([True, False])])
def test_true_and_false_are_no_numbers(wrong):
    limit = klimit.frontier(rewards_of("rubric"))
    asks = [limit.gain, limit.kl, limit.beta, lambda x: limit.at(beta=x)]
    asks += [lambda x: klimit.plan(rewards_of("rubric"), kl=x)]
    asks += [lambda x: klimit.best_of_n(rewards_of("rubric"), n=x)]
    if np.ndim(wrong) == 0:  # several are refused there because one policy has one KL
        asks += [lambda x: klimit.audit(rewards_of("rubric"), rewards_of("rubric"), kl=x)]
    for ask in asks:
        with pytest.raises(ArgumentError, match=r"True.* (was|were) (given|expected)|is no KL"):
            ask(wrong)


def test_a_beta_is_trusted_where_its_interval_holds_what_it_spends_though_a_bias_feeds_on_itself():
    betas = 1 / np.sqrt(2 * np.array([0.54, 1.1, 2.1]))  # a normal law spends tilt^2 / 2
    misses = trusted = 0
    for seed in range(40):
        limit = klimit.frontier(np.random.default_rng(seed).normal(size=(60, 32)))
        at = limit.at(beta=betas)
        for name, truth in (("kl", 0.5 / betas**2), ("gain", 1 / betas)):
            found = getattr(at, name)
            assert np.isfinite(found.high[found.trusted]).all()
            misses += int((found.trusted & ((found.high < truth) | (truth < found.low))).sum())
            trusted += int(found.trusted.sum())
    assert trusted > 60
    assert misses < 0.08 * trusted


@pytest.mark.filterwarnings("error")
def test_intervals_at_large_betas_shrink_with_what_they_hold():
    limit = klimit.frontier(np.random.default_rng(0).normal(size=(40, 64)))
    one, far = limit.at(beta=30.0), limit.at(beta=[1e3, 1e6])
    for name, power in (("gain", 1), ("kl", 2), ("jeffreys", 2), ("log_partition", 2)):
        near, small = getattr(one, name), getattr(far, name)
        for end in ("low", "value", "high"):
            scaled = getattr(small, end) * np.array([1e3, 1e6]) ** power
            assert_allclose(scaled, getattr(near, end) * 30**power, rtol=0.02)
    assert limit.at(beta=math.inf).gain.high == 0


@pytest.mark.parametrize("beta", [0.0, -1.0, math.nan, [0.5, 0.0], np.zeros(1000)])
def test_a_kl_coefficient_that_is_not_positive_is_refused_in_one_line(beta):
    with pytest.raises(ArgumentError, match="beta must be positive") as raised:
        klimit.frontier(rewards_of("rubric")).at(beta=beta)
    assert "\n" not in str(raised.value)


def test_one_beta_for_all_prompts_is_refused_where_each_has_its_own():
    with pytest.raises(ArgumentError, match="gives each prompt its own"):
        klimit.frontier(rewards_of("rubric"), budget="per-prompt").at(beta=0.5)


def test_a_gain_that_is_no_number_is_refused():
    with pytest.raises(ArgumentError, match="gain must be a number"):
        klimit.frontier(rewards_of("rubric")).kl(math.nan)


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ({"budget": "pooled"}, "budget must be one of 'average', 'per-prompt'"),
        ({"prompts": "random"}, "prompts must be one of 'drawn', 'fixed'"),
        ({"estimator": "jackknife"}, "estimator must be one of"),
        ({"objective": "winrate"}, "objective must be one of"),
        ({"level": 95}, "level must lie between 0 and 1; got 95"),
        ({"level": 0.0}, "level must lie between 0 and 1"),
        ({"level": "high"}, "level must lie between 0 and 1"),
        ({"reward_range": (2.0, 9.0)}, "outside reward_range"),
        ({"reward_range": (9.0, 0.0)}, "9 lies above 0"),
        ({"reward_range": 5.0}, "reward_range"),
        ({"reward_range": np.zeros(1000)}, "reward_range must be two numbers"),
        ({"reward": np.zeros(1000)}, "the name of a reward was expected"),
        ({"reward_range": (0.0, math.nan)}, "nan is no number"),
        ({"seed": -1}, "seed"),
        ({"seed": "abc"}, "seed"),
    ],
)
def test_options_that_make_no_sense_are_refused_with_the_choices(option, said):
    with pytest.raises(ArgumentError, match=said) as raised:
        klimit.frontier(rewards_of("rubric"), **option)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("beta", [1.2, 0.9])
def test_what_an_optimum_spends_errs_for_these_very_prompts_as_their_samples_drawn_again_say(beta):
    rng = np.random.default_rng(6)
    rewards = rng.normal(size=(100, 64)) * rng.uniform(0.5, 1.5, size=(100, 1))

    def spent(rows):
        weights = np.exp(rows / beta)
        weights /= weights.sum(axis=1, keepdims=True)
        return (weights * np.log(weights * rows.shape[1])).sum(axis=1)

    left_out = np.stack([spent(np.delete(rewards, i, axis=1)) for i in range(64)])
    error = np.sqrt(63 * left_out.var(axis=0).sum()) / 100  # the jackknife's
    kl = klimit.frontier(rewards, prompts="fixed").at(beta=beta).kl
    assert kl.trusted
    assert kl.value - kl.low > 1.9 * error


def test_many_betas_for_these_very_prompts_cost_about_what_the_limit_does():
    rewards = np.random.default_rng(0).normal(size=(400, 256))
    clock = [time.process_time()]
    limit = klimit.frontier(rewards, prompts="fixed")
    clock.append(time.process_time())
    limit.at(beta=np.geomspace(0.5, 5, 40))
    clock.append(time.process_time())
    once, betas = np.diff(clock)
    assert betas < 3 * once


def test_the_price_of_all_there_is_has_no_upper_end_however_many_prompts_there_are():
    rng = np.random.default_rng(0)
    passed = (rng.random((1000, 32)) < rng.beta(2, 2, size=(1000, 1))).astype(float)
    limit = klimit.frontier(passed)
    found = limit.kl(0.99 * (1 - passed.mean()))
    assert found.high == np.inf
    assert "few prompts" not in found.note
    assert "stays below this gain" in found.note


@pytest.mark.parametrize(("prompts", "shape"), [("drawn", (40, 32)), ("fixed", (1, 128))])
def test_a_beta_is_trusted_no_further_because_samples_miss_the_high_rewards_by_chance(
    prompts, shape
):
    kl = np.array([0.4, 0.6, 1.0, 1.5, 2.0, 2.5])
    scales = np.array([0.6, 1.0, 1.6]) if prompts == "drawn" else np.ones(1)
    betas = np.sqrt(np.mean(scales**2) / (2 * kl))  # normal laws spend (scale / beta)^2 / 2
    misses = trusted = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        rewards = rng.normal(size=shape) * rng.choice(scales, size=(shape[0], 1))
        spent = klimit.frontier(rewards, prompts=prompts).at(beta=betas).kl
        assert np.isfinite(spent.high[spent.trusted]).all()
        misses += int((spent.trusted & (spent.high < kl)).sum())
        trusted += int(spent.trusted.sum())
    assert trusted >= 30
    assert misses <= 0.1 * trusted


@pytest.mark.parametrize("budget", ["average", "per-prompt"])
def test_one_prompt_is_trusted_less_far_than_many_alike(budget):
    rewards = np.random.default_rng(3).normal(size=(60, 64))
    how = {"prompts": "fixed", "budget": budget}
    alone = [klimit.frontier(row[None], **how).trusted_kl for row in rewards[:20]]
    assert max(alone) <= np.log(64) - 2 + 1e-9
    assert klimit.frontier(rewards, **how).trusted_kl > np.log(64) - 2


@pytest.mark.parametrize("prompts", ["drawn", "fixed"])
def test_at_least_just_past_trust_is_the_lower_end_just_before_it(prompts):
    rng = np.random.default_rng(0)
    for count, samples in ((15, 16), (40, 64)):
        solved = rng.choice([0.05, 0.3, 0.9], size=(count, 1))
        limit = klimit.frontier((rng.random((count, samples)) < solved) * 1.0, prompts=prompts)
        edge = limit.trusted_kl
        assert 0 < edge < np.inf
        before, after = limit.gain(edge), limit.gain(edge * np.array([1.001, 1.1, 2.0]))
        assert_allclose(after.low[0], before.low, rtol=2e-3)
        assert (np.diff(after.low) >= 0).all()
        assert after.low[2] > 0.8 * before.low


def test_prompts_with_enough_samples_that_are_all_constant_correct_nothing():
    rows = [[0.0] * 8] * 5 + [[0.1 * i, 0.1 * i + 1.3] for i in range(30)]
    limit, plain = (klimit.frontier(rows, estimator=x) for x in ("corrected", "plugin"))
    assert limit.trusted_kl == 0
    assert_allclose(limit.gain(0.1).value, plain.gain(0.1).value, rtol=1e-3)


@pytest.mark.parametrize("budget", ["average", "per-prompt"])
def test_trust_ends_half_a_nat_before_log_m_however_light_the_tail(budget):
    limit = klimit.frontier(np.random.default_rng(0).random((100, 64)), budget=budget)
    assert np.log(64) - 0.6 < limit.trusted_kl <= np.log(64) - 0.5 + 1e-9


def test_a_known_range_bounds_small_budgets_by_hoeffding_whatever_is_trusted():
    kl = np.array([0.0, 1e-12, 0.01, 0.1])
    grades = np.random.default_rng(0).integers(1, 6, size=(40, 3)) * 1.0
    for rewards, known in ((grades, (1, 5)), (np.ones((30, 8)), (0, 1))):
        gain = klimit.frontier(rewards, reward_range=known).gain(kl)
        assert (gain.high <= (known[1] - known[0]) * np.sqrt(kl / 2) * (1 + 1e-12)).all()


@pytest.mark.parametrize("shape", [(1, 16), (1, 48), (2, 24)])
def test_few_rewards_in_all_are_trusted_no_further_than_many_of_few_prompts(shape):
    prompts, samples = shape
    edge = np.log(samples) - 0.5 - 1.5 / prompts
    for seed in range(12):
        rewards = np.random.default_rng(seed).normal(size=shape)
        assert klimit.frontier(rewards, prompts="fixed").trusted_kl <= edge + 1e-9


def test_a_beta_whose_likeliest_kl_is_trusted_is_not_said_to_lie_beyond():
    limit = klimit.frontier(np.random.default_rng(1).normal(size=(60, 16)))
    spent = limit.at(beta=float(limit.beta(limit.trusted_kl).value)).kl
    assert not spent.trusted
    assert spent.value <= limit.trusted_kl + 1e-9
    assert spent.note.startswith("its KL may lie beyond the trusted")
