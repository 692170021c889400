"""Ensembles from samples: algebra against the theory room, closed forms, and honest intervals."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.optimize import brentq

import klimit
from klimit import ArgumentError, Estimate, theory
from klimit.estimate.ensembles.aggregates import aggregates, learned
from klimit.estimate.ensembles.errors import (
    _agreed,
    _correlation,
    _efficiencies,
    _multiplier,
    _with_gold,
    errors_with_gold,
    errors_without_gold,
)
from klimit.estimate.ensembles.gains import Curve
from klimit.estimate.ensembles.moments import moments
from klimit.estimate.ensembles.panel import panel
from klimit.estimate.ensembles.sizes import _plugin, subsets
from klimit.view import ensemble as view
from tests.estimate.members import MEMBERS, RHO, TAU2, normal_ensemble


@pytest.fixture(scope="module")
def normal():
    """80 prompts x 48 samples of normal rewards, and their ensemble."""
    return klimit.ensemble(normal_ensemble(np.random.default_rng(0), 80, 48), gold="gold")


@pytest.fixture(scope="module")
def blind():
    """The same without gold."""
    data = normal_ensemble(np.random.default_rng(0), 40, 32)
    return klimit.ensemble({k: v for k, v in data.items() if k != "gold"})


def seen(data, *, scale="none", gold="gold"):
    """Errors and nothing else."""
    found = panel(data, None, gold, scale)
    alone = errors_without_gold(moments(found, with_gold=False), found.names, 0.95)
    return errors_with_gold(moments(found, with_gold=True), alone, 0.95)


# ---- errors


@st.composite
def covariances(draw):
    """Covariance matrices of 2 to 4 members and gold that follow from their rewards."""
    size = draw(st.integers(2, 4))
    seed = draw(st.integers(0, 10_000))
    rows = np.random.default_rng(seed).normal(size=(size + 1, 30))
    rows[:-1] += draw(st.floats(0.5, 2)) * rows[-1]
    return np.cov(rows)


@given(s=covariances())
def test_errors_are_those_of_the_theory_room(s):
    members = len(s) - 1
    apart, tau2, floor, variance, _ = _with_gold(s)
    rho, efficiency = _correlation(s)[0], _efficiencies(s)[0]
    assert_allclose(floor, rho * tau2)
    assert_allclose(apart, tau2 * (1 - rho))
    left = floor + tau2 * (1 - rho) / members
    assert_allclose(efficiency, 1 / np.sqrt(1 + left / variance))
    if rho >= 0:
        known = theory.ensemble_error(members, error_variance=tau2, correlation=rho)
        assert_allclose(known.variance, left)
        assert_allclose(known.efficiency(gold_variance=variance), efficiency)


@given(s=covariances())
def test_efficiency_is_the_correlation_of_the_mean_with_gold(s):
    mean = np.append(np.full(len(s) - 1, 1 / (len(s) - 1)), 0.0)
    gold = np.append(np.zeros(len(s) - 1), 1.0)
    correlation = mean @ s @ gold / np.sqrt((mean @ s @ mean) * (gold @ s @ gold))
    assert_allclose(_efficiencies(s)[0], correlation, rtol=1e-9)


@given(s=covariances())
def test_what_averaging_multiplies_the_gain_by_is_known_without_gold(s):
    agreed = Estimate(*(float(_agreed(s[:-1, :-1])[0]),) * 3)
    slope = s[-1, :-1].mean() / s[-1, -1]
    single = slope * np.sqrt(s[-1, -1]) / np.sqrt(np.trace(s[:-1, :-1]) / (len(s) - 1))
    many = _multiplier(agreed, len(s) - 1).value
    assert_allclose(many * single, _efficiencies(s)[0], rtol=1e-9)


def test_without_gold_only_the_disagreement_of_members_is_seen(blind):
    names = ["rm0", "rm1", "rm2", "rm3"]
    data = normal_ensemble(np.random.default_rng(0), 40, 32)
    known = theory.member_disagreement([data[name] for name in names], np.full(32, 1 / 32))
    plain = klimit.ensemble({name: data[name] for name in names}, scale="none")
    assert_allclose(plain.errors.disagreement.value, known.mean() * 32 / 31, rtol=1e-9)
    for name in ("floor", "correlation", "error_variance", "efficiency"):
        assert getattr(blind.errors, name) is None


def test_an_error_that_all_members_share_moves_the_floor_and_no_disagreement():
    rng = np.random.default_rng(1)
    data = normal_ensemble(rng, 60, 32)
    shared = rng.normal(size=(60, 32))
    biased = {name: x + (shared if name != "gold" else 0) for name, x in data.items()}
    before, after = seen(data), seen(biased)
    assert after.floor.value > before.floor.value + 0.8
    blind = [
        klimit.ensemble({k: v for k, v in x.items() if k != "gold"}, scale="none").errors
        for x in (data, biased)
    ]
    assert_allclose(blind[0].disagreement.value, blind[1].disagreement.value, rtol=1e-9)


def test_constants_of_a_prompt_and_units_of_members_change_nothing():
    rng = np.random.default_rng(2)
    data = normal_ensemble(rng, 30, 16)
    shifted = {
        name: 3.0 * x + rng.normal(size=(30, 1)) for name, x in data.items() if name != "gold"
    }
    before, after = (
        seen(data, scale="pooled"),
        seen({**shifted, "gold": data["gold"]}, scale="pooled"),
    )
    for name in ("error_variance", "correlation", "floor", "efficiency_limit"):
        assert_allclose(getattr(before, name).value, getattr(after, name).value, rtol=1e-9)


def test_intervals_of_error_correlation_and_floor_hold_the_truth():
    rng = np.random.default_rng(3)
    exact = {"error_variance": TAU2, "correlation": RHO, "floor": RHO * TAU2}
    held = dict.fromkeys(exact, 0)
    for _ in range(120):
        found = seen(normal_ensemble(rng, 40, 16))
        for name, value in exact.items():
            estimate = getattr(found, name)
            held[name] += estimate.low <= value <= estimate.high
    assert all(count >= 120 * 0.88 for count in held.values()), held


def test_errors_of_labelled_samples_alone_are_unbiased():
    rng = np.random.default_rng(4)
    values = []
    for _ in range(60):
        data = normal_ensemble(rng, 60, 16)
        data["gold"][:, 3:] = np.nan
        values.append(float(seen(data, scale="pooled").correlation.value))
    assert abs(np.mean(values) - RHO) < 4 * np.std(values) / np.sqrt(60)


def test_where_few_prompts_decide_an_interval_has_as_few_degrees_of_freedom():
    rng = np.random.default_rng(17)
    data = normal_ensemble(rng, 40, 100, members=2)
    even = moments(panel(data, None, "gold", "none"), with_gold=True)
    scale = np.where(np.arange(40) == 0, 10.0, 1.0)[:, None]
    uneven = moments(
        panel({name: x * scale for name, x in data.items()}, None, "gold", "none"), with_gold=True
    )
    assert even._independent() > 30
    assert uneven._independent() < 1.1


@pytest.mark.filterwarnings("ignore:.*proxies, but only")
def test_correlations_stay_within_one_however_few_the_prompts():
    rng = np.random.default_rng(21)
    for prompts, samples, members in ((3, 4, 15), (6, 3, 6), (2, 8, 3)):
        found = seen(normal_ensemble(rng, prompts, samples, members=members))
        for name in (
            "accuracy", "pairs", "correlation", "agreed_share", "efficiency", "efficiency_one"
        ):  # fmt: skip
            estimate = getattr(found, name)
            assert (np.asarray(estimate.low) >= -1).all(), name
            assert (np.asarray(estimate.high) <= 1).all(), name
            assert (np.asarray(estimate.low) <= estimate.value).all(), name
        assert found.multiplier.high <= np.sqrt(members) * (1 + 1e-6) or prompts == 2


def test_intervals_of_correlations_hold_the_truth_of_few_prompts():
    held = []
    for seed in range(200):
        found = seen(normal_ensemble(np.random.default_rng([22, seed]), 6, 4, members=3))
        one = 1 / np.sqrt(1 + TAU2)
        efficiency = 1 / np.sqrt(1 + TAU2 * (RHO + (1 - RHO) / 3))
        pairs = (found.accuracy[0], one), (found.efficiency, efficiency), (found.correlation, RHO)
        held.append([e.low <= truth <= e.high for e, truth in pairs])
    assert (np.mean(held, axis=0) > 0.91).all(), np.mean(held, axis=0)


# ---- aggregates


def test_aggregates_are_those_of_the_theory_room():
    data = normal_ensemble(np.random.default_rng(5), 3, 6, members=3)
    found = panel(data, None, "gold", "none")
    # a panel has an order of samples of its own
    made = {
        x.name: np.sort(x.values.reshape(3, 6), axis=1) for x in aggregates(found, penalties=(0.5,))
    }
    rewards, base = [data[f"rm{i}"] for i in range(3)], np.full(6, 1 / 6)
    for name, how, price in (
        ("mean", "mean", None), ("minimum", "minimum", None), ("mean - 0.5 var", "uncertainty", 0.5),
    ):  # fmt: skip
        known = theory.ensemble_reward(rewards, how=how, penalty=price, base=base)
        assert_allclose(made[name], np.sort(known, axis=1), atol=1e-12)
    centred = np.array(rewards) - np.mean(rewards, axis=2, keepdims=True)
    assert_allclose(made["median"], np.sort(np.median(centred, axis=0), axis=1))


def test_given_weights_are_read_by_name_and_sum_to_one():
    data = normal_ensemble(np.random.default_rng(6), 4, 8, members=2)
    found = panel(data, None, "gold", "none")
    made = {x.name: x for x in aggregates(found, weights={"rm1": 3.0, "rm0": 1.0})}
    assert_allclose(made["weighted"].weights, [0.25, 0.75])
    assert_allclose(made["weighted"].values, np.array([0.25, 0.75]) @ found.members)


def test_learned_weights_are_least_squares_and_near_the_best_there_are():
    rng = np.random.default_rng(7)
    gold, own = rng.normal(size=(80, 16)), rng.normal(size=(2, 80, 16))
    found = panel({"a": gold + own[0], "b": gold + 2 * own[1], "gold": gold}, None, "gold", "none")
    _, weights = learned(found)
    best = theory.optimal_member_weights([[1.0, 0.0], [0.0, 4.0]]).weights
    assert_allclose(weights / weights.sum(), best, atol=0.04)


def test_learned_weights_are_not_flattered_by_the_prompts_that_taught_them():
    rng = np.random.default_rng(8)
    inside, outside = [], []
    for _ in range(20):
        noise = {f"rm{i}": rng.normal(size=(30, 6)) for i in range(6)}
        found = panel({**noise, "gold": rng.normal(size=(30, 6))}, None, "gold", "pooled")
        values, weights = learned(found)
        gold = found.gold - np.repeat(found.gold.reshape(30, 6).mean(axis=1), 6)
        outside.append(np.corrcoef(values, gold)[0, 1])
        inside.append(np.corrcoef(weights @ found.members, gold)[0, 1])
    assert np.mean(inside) > 0.08
    assert abs(np.mean(outside)) < 0.06


# ---- gold gain


def test_gold_gain_of_the_mean_is_the_closed_form_for_normal_rewards(normal):
    known = theory.ensemble_error(MEMBERS, error_variance=TAU2, correlation=RHO)
    efficiency = float(known.efficiency(gold_variance=1.0))
    for kl in (0.25, 0.5):
        gain = normal.gold_gain(kl)
        assert gain.trusted
        assert gain.low <= efficiency * np.sqrt(2 * kl) <= gain.high
        assert_allclose(gain.value, efficiency * np.sqrt(2 * kl), rtol=0.05)


def test_an_aggregate_is_a_proxy_to_hacking(normal):
    values = normal.parts["minimum"].values.reshape(80, 48)
    alone = klimit.hacking(values, gold=normal.panel.gold.reshape(80, 48))
    assert_allclose(normal.gold_gain(0.5, "minimum").value, alone.gold_gain(0.5).value, rtol=5e-3)


def test_members_needed_follow_the_closed_form(normal):
    frame = normal.members_needed(0.5)
    assert frame["members"].to_list() == [1, 2, 3, 4]
    known = theory.ensemble_error(np.arange(1, 5), error_variance=TAU2, correlation=RHO)
    assert_allclose(frame["gold_gain"], known.efficiency(gold_variance=1.0), rtol=0.04)
    assert_allclose(frame["gold_gain"][-1], normal.gold_gain(0.5).value, rtol=1e-3)
    assert (frame["gained_low"][1:] > 0).all()
    assert_allclose(frame["normal"], frame["gold_gain"], rtol=0.03)


def test_few_members_are_estimated_as_their_mean_would_be_on_its_own(normal):
    members = normal.panel.members
    each = [
        float(normal.course.along(members[list(some)].mean(axis=0), "two").gold_gain(0.5).value)
        for some in subsets(4, 3)
    ]
    assert_allclose(normal.members_needed(0.5)["gold_gain"][2], np.mean(each), rtol=5e-3)


def test_subsets_hold_every_member_equally_often():
    for members, size in ((4, 2), (8, 3), (9, 4), (5, 5)):
        chosen = subsets(members, size)
        often = np.bincount(np.concatenate(chosen), minlength=members)
        assert len(set(chosen)) == len(chosen)
        assert (often == often[0]).all()


def test_plug_in_gain_of_a_subset_is_the_tilt_of_the_samples(normal):
    pairs = normal.course.pairs
    values = normal.panel.members[0][normal.course.rows]
    x, y = values.reshape(80, 48), pairs.gold.reshape(80, 48)

    def weights(tilt):
        raw = np.exp(tilt * x)
        return raw / raw.mean(axis=1, keepdims=True)

    tilt = brentq(lambda t: np.mean(weights(t) * np.log(weights(t))) - 0.5, 0.1, 10)
    expected = np.mean(weights(tilt) * (y - y.mean(axis=1, keepdims=True)))
    like = Curve.of(normal.hacking("mean"))
    assert_allclose(_plugin(values, pairs, 0.5, like).value, expected, rtol=1e-6)


def test_differences_between_aggregates_are_paired(normal):
    apart = normal.difference("minimum", "mean", 0.5)
    back = normal.difference("mean", "minimum", 0.5)
    assert_allclose([apart.value, apart.low, apart.high], [-back.value, -back.high, -back.low])
    alone = normal.gold_gain(0.5)
    assert apart.high - apart.low < 0.8 * (alone.high - alone.low)
    same = normal.difference("mean", "mean", [0.25, 1.0])
    assert_allclose([same.value, same.low, same.high], 0, atol=1e-12)


def test_bounds_stand_beside_what_was_measured(normal):
    frame = normal.bounds([0.25, 0.5])
    assert (frame["measured"] < frame["limit"]).all()
    assert_allclose(frame["normal"], frame["measured"], rtol=0.03)
    assert (frame["endless"] > frame["normal"]).all()
    assert (frame["regret"] > frame["regret_floor"]).all()
    beta = 1 / np.sqrt(2 * frame["kl"].to_numpy())
    known = theory.ensemble_error(MEMBERS, error_variance=TAU2, correlation=RHO)
    assert_allclose(frame["regret"], known.regret(beta=beta), rtol=0.15)


def test_where_gold_may_still_rise_the_end_of_trust_is_recommended(normal):
    best = normal.recommended("mean")
    assert best.at_the_end
    assert_allclose(best.kl.value, normal.hacking("mean").trusted_kl, rtol=0.05)
    assert best.kl.high == np.inf
    assert_allclose(best.beta.value, normal.own("mean").beta(best.kl.value).value)
    assert best.n == 32
    assert best.largest_n


def test_a_curve_that_rises_to_its_last_place_is_recommended_at_the_end():
    rng = np.random.default_rng(0)
    gold, shared = rng.normal(size=(40, 16)), 0.5 * rng.normal(size=(40, 16))
    members = {f"r{i}": gold + shared + 0.8 * rng.normal(size=gold.shape) for i in range(3)}
    team = klimit.ensemble({**members, "gold": gold}, gold="gold")
    assert not team.hacking("mean").turns
    assert team.recommended("mean").at_the_end


def test_where_gold_turns_the_peak_is_recommended():
    rng = np.random.default_rng(9)
    shared = rng.normal(size=(100, 64))
    gold = shared - 0.35 * shared**2 + 0.3 * rng.normal(size=shared.shape)
    members = {f"rm{i}": shared + 0.2 * rng.normal(size=shared.shape) for i in range(3)}
    best = klimit.ensemble({**members, "gold": gold}, gold="gold").recommended("mean")
    assert not best.at_the_end
    assert 0.4 < best.kl.value < 1.2
    assert best.n in (2, 4, 8)


# ---- what a person sees


def test_the_verdict_and_all_tables_have_one_interval_of_one_number(normal):
    rows, gain = normal.by_size(0.5), normal.gold_gain(0.5)
    assert (rows[-1].gold_gain.low, rows[-1].gold_gain.high) == (gain.low, gain.high)


def test_what_normal_rewards_would_gain_is_not_told_past_trust_in_gold(normal):
    far = normal.limit.trusted_kl * 1.2
    assert normal.members_needed(far)["normal"].null_count() == 4
    assert normal.bounds(far)["endless"].is_nan().all()
    assert "if normal" not in view.size_rows(normal, far)
    assert "if normal" in view.size_rows(normal, 0.25)


def test_the_verdict_tells_what_is_shared_and_stays(normal):
    said = " ".join(str(normal).split())
    assert "% of what any method can gain there." in said
    assert re.search(r"the errors of two proxies correlate by 0\.\d+ \[0\.\d+, 0\.\d+\]", said)
    assert "is shared and stays however many such proxies are averaged" in said
    assert "To use it: train on the mean with beta = " in said


def test_without_gold_the_verdict_says_that_the_floor_cannot_be_known(blind):
    said = " ".join(str(blind).split())
    assert "How much gold that is cannot be known from the proxies" in said
    assert "averaging never removes a shared error" in said
    for ask in (
        lambda: blind.gold_gain(0.5), lambda: blind.members_needed(0.5), lambda: blind.bounds(0.5),
        lambda: blind.recommended(), lambda: blind.limit, lambda: blind.difference("mean", "mean", 1),
    ):  # fmt: skip
        with pytest.raises(ArgumentError, match="needs gold rewards"):
            ask()


def test_without_gold_the_ratio_of_many_members_to_one_is_told(blind):
    whole = 1 + RHO * TAU2 + (1 - RHO) * TAU2 / MEMBERS
    ratio = np.sqrt((1 + TAU2) / whole)
    assert blind.errors.multiplier.low <= ratio <= blind.errors.multiplier.high


def test_one_label_a_prompt_tells_no_error_and_is_said():
    data = normal_ensemble(np.random.default_rng(10), 20, 8)
    data["gold"][:, 1:] = np.nan
    found = klimit.ensemble(data, gold="gold")
    assert found.errors.floor is None
    assert any("label two or more answers to the same prompt" in note for note in found.notes)


def test_a_labelled_part_is_enough_for_errors_and_is_said():
    data = normal_ensemble(np.random.default_rng(11), 60, 32)
    data["gold"][:, 8:] = np.nan
    found = klimit.ensemble(data, gold="gold")
    assert found.errors.correlation.low < RHO < found.errors.correlation.high
    assert any("gold is known of 480 of 1,920 samples" in note for note in found.notes)


def test_a_verdict_without_trust_says_what_the_samples_do_not_show():
    data = normal_ensemble(np.random.default_rng(18), 20, 6, members=2)
    data["gold"][:, 2:] = np.nan
    said = " ".join(str(klimit.ensemble(data, gold="gold", penalty=0.5)).split())
    assert "is not known from these samples: they are too few" in said
    assert "with gold known of 2 or more answers a prompt" in said
    assert "train on" not in said


def test_the_order_of_rows_and_prompts_and_ids_change_no_digit():
    rng = np.random.default_rng(0)
    rows = {f"p{i}": rng.normal(size=(int(rng.integers(4, 9)), 3)) for i in range(12)}

    def asked(names, shuffle):
        table = {name: [] for name in ("prompt_id", "a", "b", "gold")}
        for name in names:
            for row in rows[name][rng.permutation(len(rows[name]))] if shuffle else rows[name]:
                for key, value in zip(table, [name + "'" * shuffle, *row], strict=True):
                    table[key].append(value)
        return klimit.ensemble(klimit.read(table), proxies=["a", "b"], gold="gold").to_dict()

    one, other = asked(list(rows), False), asked(list(rng.permutation(list(rows))), True)
    assert repr(one) == repr(other)


def test_rollouts_name_their_proxies_or_take_all_but_gold():
    data = normal_ensemble(np.random.default_rng(13), 20, 8, members=2)
    table = {"prompt": np.repeat(np.arange(20), 8)} | {k: v.ravel() for k, v in data.items()}
    base = klimit.read({k: list(v) for k, v in table.items()}, prompt="prompt")
    assert klimit.ensemble(base, gold="gold").names == ("rm0", "rm1")
    assert klimit.ensemble(base, proxies=["rm1", "rm0"], gold="gold").names == ("rm1", "rm0")
    assert klimit.ensemble(base).names == ("rm0", "rm1", "gold")


def test_next_to_no_kl_and_past_all_that_samples_show_an_ensemble_answers():
    found = klimit.ensemble(normal_ensemble(np.random.default_rng(4), 20, 8), gold="gold")
    one, other = (found.members_needed(kl)["gold_gain"].to_numpy() for kl in (1e-12, 1e-14))
    assert_allclose(one, 10 * other, rtol=1e-3)  # the gain goes by the root of the KL
    assert found.members_needed(np.inf)["trusted"].sum() == 0
    # past the samples' reach a difference stays what it was there
    far, further = (found.difference("mean", "minimum", kl) for kl in (1e3, np.inf))
    assert not further.trusted
    assert_allclose(further.value, far.value)
