"""Plans: the four numbers agree, the sizes reach the error, and what is wrong is said."""

import json
from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose

import klimit
from benchmarks.simulate import find_family
from klimit import ArgumentError, theory
from klimit.estimate.best_of_n.equal_n import distinct_n, n_kl, n_spending
from klimit.estimate.plan.settings import spread_of_rewards
from klimit.estimate.plan.verb import _point
from klimit.estimate.samples import collect
from klimit.estimate.samples_needed import ErrorSplit, error_split, least_samples


@pytest.fixture(scope="module")
def normal():
    """Standard normal rewards: at 1/2 nat the gain is 1, beta 1."""
    return np.random.default_rng(0).normal(size=(100, 64))


@pytest.fixture(scope="module")
def binary():
    """0/1 rewards of mixed pass rates."""
    rng = np.random.default_rng(1)
    return (rng.random((100, 16)) < rng.beta(1.0, 3.0, size=(100, 1))).astype(float)


# the four numbers


def test_a_budget_gives_beta_gain_and_n(normal):
    found = klimit.plan(normal, kl=0.5)
    assert float(found.kl) == 0.5
    assert_allclose([float(found.beta), float(found.gain)], 1.0, rtol=0.1)
    assert found.n == 4


def test_each_of_the_four_leads_back_to_the_others(normal):
    first = klimit.plan(normal, kl=0.8)
    by_beta = klimit.plan(normal, beta=float(first.beta))
    by_gain = klimit.plan(normal, gain=float(first.gain))
    for other in (by_beta, by_gain):
        numbers = [float(x) for x in (other.kl, other.beta, other.gain)]
        assert_allclose(numbers, [0.8, float(first.beta), float(first.gain)], rtol=1e-6)
        assert other.n == first.n
    assert [p.asked for p in (first, by_beta, by_gain)] == ["kl", "beta", "gain"]


def test_samples_at_hand_are_whole_where_prompts_have_as_many():
    rewards = np.random.default_rng(0).normal(size=(20, 16))  # 16 is exp(log 16) but for a rounding
    assert klimit.plan(rewards, kl=0.2).to_dict()["at_hand"]["samples"] == 16


def test_beta_and_gain_are_those_of_the_frontier(normal):
    found, limit = klimit.plan(normal, kl=1.0, level=0.9), klimit.frontier(normal, level=0.9)
    assert found.beta == limit.beta(1.0)
    assert found.gain == limit.gain(1.0)


def test_best_of_n_spends_the_bound_where_rewards_are_distinct(normal):
    found = klimit.plan(normal, n=16)
    assert float(found.kl) == np.log(16) - 15 / 16
    assert found.n == 16


def test_best_of_n_spends_what_the_levels_say_where_rewards_tie(binary):
    kl = float(klimit.best_of_n(binary, n=4).kl)
    assert_allclose(float(klimit.plan(binary, n=4).kl), kl, rtol=1e-9)
    assert klimit.plan(binary, kl=0.999 * kl).n == 4


def test_the_kl_of_an_n_is_as_uncertain_as_samples_that_tie_leave_it(normal, binary):
    spent, same = klimit.plan(binary, n=4).kl, klimit.best_of_n(binary, n=4).kl
    assert_allclose([spent.low, spent.high], [same.low, same.high], rtol=1e-9)
    known = klimit.plan(normal, n=16).kl
    assert known.low == known.value == known.high


def test_what_an_n_gains_and_which_beta_reaches_a_gain_is_covered():
    rates = np.linspace(0.05, 0.6, 200)
    laws = np.c_[1 - rates, rates], np.tile([0.0, 1.0], (200, 1))
    kl = float(theory.best_of_n(*laws, 4).kl.mean())
    population = theory.frontier(*laws)
    gain, slope = float(population.gain(kl)), float(population.beta(kl))
    rng, held = np.random.default_rng(3), []
    for _ in range(40):
        passed = rng.random((40, 16)) < rng.choice(rates, size=(40, 1))
        limit = klimit.frontier(passed.astype(float))
        by_n, by_gain = _point(limit, "n", 4), _point(limit, "gain", gain)
        truths = zip((*by_n, *by_gain[:2]), (kl, slope, gain, kl, slope), strict=True)
        held.append([found.low <= truth <= found.high for found, truth in truths])
    assert (np.mean(held, axis=0) > 0.9).all()


@pytest.mark.parametrize("kl", [0.01, 0.2, 1.0, 3.0, 10.0, 30.0])
def test_n_is_the_smallest_that_spends_the_budget(kl):
    n = distinct_n(kl)
    assert np.log(n) - (n - 1) / n >= kl * (1 - 1e-12)
    assert np.log(n - 1) - (n - 2) / (n - 1) < kl


def test_n_is_not_given_where_the_samples_at_hand_show_none(binary):
    found = klimit.plan(binary, kl=1.5)
    assert found.n is None
    assert "keep the best" not in str(found)
    assert any("answers tie" in note for note in found.notes)


def test_n_above_the_samples_is_fine_for_distinct_rewards_only(normal, binary):
    assert klimit.plan(normal, n=1000).n == 1000
    with pytest.raises(klimit.ArgumentError, match="rewards tie and a prompt has only 16 samples"):
        klimit.plan(binary, n=17)


def test_n_spending_never_looks_beyond_the_shortest_prompt():
    rewards = np.array([0.0, 1.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 1.0])
    samples = collect(rewards, np.array([4, 5]))
    assert n_spending(samples, 5.0) is None
    assert n_kl(samples, 4) > n_kl(samples, 2) > 0


# how many prompts and samples

SPLIT = ErrorSplit(50, 64.0, between=0.05, within=0.03, bias=0.03, rate=0.7)


@pytest.mark.parametrize("error", [0.02, 0.05, 0.2])
def test_the_cheapest_sizes_reach_the_error_and_none_is_much_cheaper(error):
    prompts, samples = SPLIT.cheapest(error, least_samples=8)
    assert SPLIT.error(prompts=prompts, samples=samples) <= error
    for other in np.geomspace(8, 4000, 60):
        needed = 10
        while SPLIT.error(prompts=needed, samples=other) > error and needed < 1e6:
            needed = int(np.ceil(1.02 * needed))
        assert prompts * samples < 1.5 * needed * other  # 20 % margin, rounding to two digits


def test_the_next_purchase_is_the_one_that_lowers_the_error_more():
    for bias in (0.01, 0.05, 0.1):
        split = ErrorSplit(50, 64.0, between=0.05, within=0.03, bias=bias, rate=0.7)
        more_prompts = split.error(prompts=50 * 1.001)
        more_samples = split.error(samples=64 * 1.001)
        assert (split.next_purchase == "prompts") == (more_prompts < more_samples)


def test_an_error_that_bias_alone_exceeds_is_refused_and_the_one_named_is_not(normal):
    with pytest.raises(klimit.ArgumentError, match=r"error=1e-09 was given.*such as ") as refused:
        klimit.plan(normal, kl=1.0, error=1e-9)
    named = float(str(refused.value).split()[-1][:-1])
    assert klimit.plan(normal, kl=1.0, error=named).prompts >= 10


def test_bias_is_bought_down_by_samples_alone():
    assert SPLIT.error(prompts=10**9) == pytest.approx(SPLIT.bias, rel=1e-3)
    assert SPLIT.error(prompts=10**9, samples=6400) < 0.1 * SPLIT.bias


def test_prompts_alike_leave_the_draw_of_samples_and_prompts_unlike_leave_the_prompts():
    rng = np.random.default_rng(2)
    alike = rng.normal(size=(200, 32))
    unlike = alike * np.exp(rng.normal(size=(200, 1)))
    same, other = (error_split(klimit.frontier(x), 0.5) for x in (alike, unlike))
    assert same.within > same.between
    assert other.between > 2 * other.within


def test_the_draw_of_samples_is_told_from_what_each_moves_its_prompt_by():
    rewards = np.random.default_rng(5).normal(size=(40, 32)) * np.linspace(0.5, 2, 40)[:, None]
    limit = klimit.frontier(rewards, estimator="plugin")
    tilt, centred = 1 / limit.beta(0.5).value, rewards - rewards.mean(axis=1, keepdims=True)
    weight = np.exp(tilt * centred)
    move = weight / weight.mean(axis=1, keepdims=True) - 1 - tilt * centred
    error = np.sqrt(move.var(axis=1, ddof=1).mean() / 32 / 40) / tilt
    assert_allclose(error_split(limit, 0.5).within * limit.gain(0.5).value, error, rtol=1e-3)


def test_the_error_at_hand_is_that_of_the_frontier(normal):
    limit = klimit.frontier(normal)
    split = error_split(limit, 0.5)
    node = float(np.interp(np.log(0.5), np.log(limit.bands.kl), limit.bands.error))
    assert_allclose(np.hypot(split.between, split.within) * limit.gain(0.5).value, node, rtol=0.02)


def test_more_samples_are_asked_for_a_larger_budget_and_more_prompts_for_a_smaller_error(normal):
    plans = [klimit.plan(normal, kl=kl) for kl in (0.5, 2.0, 4.0)]
    samples = [found.samples for found in plans]
    assert samples == sorted(samples)
    coarse, fine = (klimit.plan(normal, kl=1.0, error=e) for e in (0.1, 0.01))
    assert fine.prompts * fine.samples > 20 * coarse.prompts * coarse.samples


def test_samples_asked_for_leave_two_nats_to_log_m():
    assert least_samples(SPLIT, 3.0) >= np.exp(5.0)


@pytest.mark.parametrize("name", ["dev/normal", "dev/likert7", "heldout/rubric5"])
def test_the_error_that_was_promised_is_reached(name):
    """The table of `benchmarks.plan_check` in small: two pilots, eight data sets of each size."""
    family, kl, error = find_family(name), 0.5, 0.1
    truth = float(family.gain(np.array([kl]))[0])
    rng = np.random.default_rng(4)
    errors = []
    for _ in range(2):
        found = klimit.plan(family.draw(rng, family.prompts(rng, 60), 32), kl=kl, error=error)
        for _ in range(8):
            prompts = family.prompts(rng, found.prompts)
            gain = klimit.frontier(family.draw(rng, prompts, found.samples)).gain(kl)
            errors.append(float(gain) / truth - 1)
    assert np.sqrt(np.mean(np.square(errors))) < 1.4 * error  # 16 draws: their own spread is 18 %


# what does not matter, and what is wrong


def test_the_order_of_rows_and_prompts_changes_no_digit(normal, binary):
    rng = np.random.default_rng(5)
    for rewards in (normal, binary):
        shuffled = rng.permuted(rewards[rng.permutation(len(rewards))], axis=1)
        assert klimit.plan(rewards, kl=0.4).to_dict() == klimit.plan(shuffled, kl=0.4).to_dict()


def test_ragged_and_missing_rewards_are_planned_for(normal):
    rewards = normal.copy()
    rewards[:50, 32:] = np.nan
    found = klimit.plan(rewards, kl=0.5)
    assert found.split.samples == pytest.approx(np.sqrt(32 * 64))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "got none of them"),
        ({"kl": 1.0, "n": 4}, "got kl=1.0 and n=4"),
        ({"kl": 0.0}, "kl=0.0 was given; nats per completion, more than 0"),
        ({"kl": float("nan")}, "kl=nan was given"),
        ({"kl": "three"}, "kl=three was given"),
        ({"kl": [1.0, 2.0]}, r"kl=\[1.0, 2.0\] was given"),
        ({"gain": -1.0}, "gain=-1.0 was given"),
        ({"gain": 100.0}, "no sample of these prompts shows such a gain"),
        ({"n": 1}, "n=1 was given; a whole number of answers, 2 or more"),
        ({"n": 2.5}, "n=2.5 was given"),
        ({"beta": float("inf")}, "beta=inf was given"),
        ({"kl": 1.0, "error": 0.0}, "error=0.0 was given"),
        ({"kl": 1.0, "error": 5}, "error=5 was given"),
        ({"kl": 1.0, "error": "small"}, "error=small was given"),
        ({"kl": 1.0, "group_size": 1}, "group_size=1 was given"),
        ({"kl": 1.0, "group_size": "a"}, "group_size='a' was given"),
        ({"kl": 1.0, "group_size": float("inf")}, "group_size=inf was given"),
    ],
)
def test_what_cannot_be_planned_for_is_said_in_a_line(normal, given, said):
    with pytest.raises(klimit.ArgumentError, match=said) as raised:
        klimit.plan(normal, **given)
    assert "\n" not in str(raised.value)


def test_a_gain_that_the_range_of_rewards_rules_out_is_refused(binary):
    with pytest.raises(klimit.ArgumentError, match="the range of rewards does not allow"):
        klimit.plan(binary, gain=0.99)


@pytest.mark.parametrize(
    ("rewards", "said"),
    [
        (np.ones((10, 8)), "no gain is seen to plan for.* harder"),
        (np.arange(16.0)[None], "one prompt does not show how prompts differ"),
        (np.random.default_rng(0).normal(size=(40, 3)), "fewer than 4 samples"),
    ],
)
def test_data_that_show_too_little_are_refused_in_a_line(rewards, said):
    with pytest.raises(klimit.DataError, match=said) as raised:
        klimit.plan(rewards, kl=0.5)
    assert "\n" not in str(raised.value)


def test_a_budget_beyond_trust_is_called_a_first_guess(normal):
    found = klimit.plan(normal, kl=5.0)
    assert "a KL of 5 lies beyond the trusted" in found.notes[0]
    assert "a first guess" in found.notes[0]
    assert found.samples > 64


def test_heavy_tails_are_told_that_the_samples_are_the_least():
    rewards = np.random.default_rng(6).lognormal(size=(50, 64))
    assert "an exponential tail or a heavier one" in str(klimit.plan(rewards, kl=0.5))


def test_no_coefficient_is_needed_where_the_gain_is_flat():
    rewards = np.tile([0.0, 1.0, 1.0, 1.0], (40, 8))
    found = klimit.plan(rewards, kl=3.0)
    assert float(found.beta) == 0
    for flat in (found, klimit.plan(rewards, beta=1e-3)):  # past its steepest tilt nothing varies
        assert flat.settings == ()
        assert "the gain is flat here" in str(flat)


# what it looks like


def test_the_verdict_says_what_to_set_what_to_expect_and_what_to_buy(normal):
    lines = str(klimit.plan(normal, kl=1.0)).split("\n")
    starts = (
        "To spend 1 nat, train with beta = ",
        "The most that any method can gain there is ",
        "To know that to 5 %, take ",
        "More ",
        "What to type, for example in TRL RLOO: beta=",
    )
    assert len(lines) == len(starts)
    assert all(line.startswith(start) for line, start in zip(lines, starts, strict=True))


@pytest.mark.parametrize("kl", [0.5, 5.0])
def test_a_plan_becomes_strict_json_and_a_frame(normal, kl):
    found = klimit.plan(normal, kl=kl)
    read = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert read["kl"]["value"] == kl
    assert len(read["settings"]) == len(found.settings)
    frame = found.to_frame()
    assert frame["quantity"].to_list()[:4] == ["kl", "beta", "gain", "n"]
    assert len(frame) == 8 + len(found.settings)


def test_a_plan_cannot_be_changed(normal):
    with pytest.raises(AttributeError):
        klimit.plan(normal, kl=1.0).n = 3


def test_control_characters_in_a_reward_name_never_reach_the_terminal(normal):
    rows = {
        "prompt": np.repeat([f"p{i}" for i in range(100)], 64).tolist(),
        "reward\x1b[31m": normal.ravel().tolist(),
    }
    found = klimit.plan(klimit.read(rows), kl=0.5, reward="reward\x1b[31m")
    assert "\x1b" not in str(found)


def test_two_rewards_are_planned_for_alike_whatever_they_are_called(binary):
    plans = [klimit.plan(rewards, kl=1.0) for rewards in (binary, 2.0 * binary - 1, 100.0 * binary)]
    assert_allclose([float(p.gain.value) for p in plans[1:]],
                    [scale * float(plans[0].gain.value) for scale in (2, 100)], rtol=1e-6)  # fmt: skip


def test_a_budget_below_that_of_best_of_2_is_said_to_be_too_small_and_nothing_ties(normal):
    (said,) = klimit.plan(normal, kl=0.1).notes
    assert said == "no N spends so little: best-of-2 spends 0.19 nats."


@pytest.mark.parametrize("size", [10, 24, 100])
def test_a_budget_that_is_trusted_needs_no_more_samples_than_there_are(size):
    limit = klimit.frontier(np.random.default_rng(0).normal(size=(300, size)))
    assert limit.trusted_kl > 0.1
    assert limit.samples_needed(0.1) <= size


def test_rewards_that_are_equal_kept_by_another_gain_nothing_at_all():
    gold = np.random.default_rng(0).normal(size=(20, 16))
    assert klimit.best_of_n(np.ones((20, 16)), n=4, judge=gold).gain.value == 0


@pytest.mark.parametrize("law", ["normal", "exponential"])
def test_more_nats_never_need_fewer_samples(law):
    rng = np.random.default_rng({"normal": 5, "exponential": 6}[law])
    limit = klimit.frontier(getattr(rng, law)(size=(20, 8)), budget="per-prompt")
    needed = [limit.samples_needed(kl) for kl in np.geomspace(0.01, 3, 60)]
    assert needed == sorted(needed)


def test_a_batch_of_verdicts_deviates_by_half_the_way_between_them_at_most():
    rng = np.random.default_rng(4)
    rates = np.where(rng.random(300) < 0.25, 0.0, rng.beta(0.6, 0.9, size=300))
    limit = klimit.frontier((rng.random((300, 8)) < rates[:, None]).astype(float))
    assert spread_of_rewards(limit, 1 / float(limit.beta(0.2))) <= 0.5


def test_an_n_that_spends_nothing_on_the_prompts_that_have_as_many_is_no_budget():
    with pytest.raises(ArgumentError, match="its best spends nothing"):
        klimit.plan([[0.0, 1.0] * 2] + [[1.0] * 16] * 39, n=10)


def test_a_plan_says_what_helps_more(normal):
    found = klimit.plan(normal, kl=0.5)
    for better, worse in (("prompts", "samples of each"), ("samples of each", "prompts")):
        said = str(replace(found, next=better.split()[0], split=SPLIT))
        assert f"More {better} help more than more {worse}" in " ".join(said.split())


def test_where_prompts_and_samples_help_alike_neither_is_said_to_help_more(normal):
    found = klimit.plan(normal, kl=0.5)
    assert found.split.within**2 > 0.9 * found.split.error() ** 2
    assert "More prompts and more samples of each help alike: the squared error" in str(found)


def test_a_plan_from_a_handful_of_prompts_says_that_they_hardly_show_how_prompts_differ(normal):
    assert any("2 prompts hardly show" in note for note in klimit.plan(normal[:2], kl=0.5).notes)
    assert not any("hardly show" in note for note in klimit.plan(normal[:20], kl=0.5).notes)


def test_a_gain_of_which_not_even_a_bound_is_known_is_called_so():
    rewards = np.random.default_rng(9).normal(size=(60, 32))
    rewards[0, 0] = 1e6
    said = str(klimit.plan(rewards, kl=0.1))
    assert "The most that any method can gain there is not known, in reward over the base." in said
