"""Policies against the limit of their base: what is true of every audit."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

import klimit
from klimit import ArgumentError, Audit, Audits, DataError, Estimate, EstimateWarning
from klimit.audit.measure import numbers
from klimit.estimate.kernel import Grid
from tests.audit.tables import read, shifted

NUMBERS = ("kl", "gain", "limit", "efficiency", "gap_reward", "gap_nats", "least_kl", "excess_kl")


@pytest.fixture(scope="module")
def base():
    return read(np.random.default_rng(0).normal(size=(100, 64)))


@pytest.fixture(scope="module")
def policy():
    return shifted(np.random.default_rng(23), 100, 16, shift=0.8, aside=0.6)


@pytest.fixture(scope="module")
def found(base, policy):
    return klimit.audit(base, policy)


def test_one_policy_gives_one_audit_with_the_numbers_that_are_known_exactly(found):
    assert isinstance(found, Audit)
    for name, truth in {
        "kl": 0.5,
        "gain": 0.8,
        "limit": 1.0,
        "efficiency": 0.8,
        "gap_reward": 0.2,
        "gap_nats": 0.2,
        "least_kl": 0.32,
        "excess_kl": 0.18,
    }.items():
        estimate = getattr(found, name)
        assert estimate.low < truth < estimate.high, name
        assert estimate.trusted
    assert found.paired
    assert (found.shared, found.samples, found.estimator) == (100, (16, 16), "k1")


def test_numbers_of_an_audit_fit_together(found):
    assert_allclose(found.efficiency.value, found.gain.value / found.limit.value, rtol=1e-12)
    assert_allclose(found.gap_reward.value, found.limit.value - found.gain.value, rtol=1e-12)
    beta = found.case.limit.beta(found.kl.value).value
    assert_allclose(found.gap_nats.value, found.gap_reward.value / beta, rtol=1e-12)
    assert_allclose(found.excess_kl.value, found.kl.value - found.least_kl.value, rtol=1e-12)
    assert_allclose(
        found.allocation.value + found.shape.value, found.gap_reward.value, rtol=1e-9, atol=1e-12
    )


def test_a_base_audited_against_itself_gains_nothing_and_spends_nothing(base):
    values = np.random.default_rng(5).normal(size=(100, 16))
    log = -(values**2) / 2 - 20
    same = klimit.audit(base, read(values, logprob=log, ref_logprob=log))
    assert same.kl.value == 0
    assert math.isnan(same.efficiency.value)
    assert same.gain.low < 0 < same.gain.high
    assert same.efficiency.note


def test_rounding_is_no_gain():
    values = 0.1 + np.random.default_rng(5).normal(size=(40, 64)) / 3
    one, other = read(values), read(values[:, ::-1])
    gain = klimit.audit(one, other).gain
    assert gain.low == gain.value == gain.high == 0


def test_errors_that_base_and_policy_share_drop_out_of_what_is_paired():
    rng = np.random.default_rng(3)
    scale = np.exp(0.4 * rng.normal(size=(120, 1)))  # prompts differ
    z = rng.normal(size=(120, 16)) + 0.7 * scale
    logs = {"logprob": -((z - 0.7 * scale) ** 2) / 2 - 20, "ref_logprob": -(z**2) / 2 - 20}
    base = read(rng.normal(size=(120, 64)) * scale)
    paired = klimit.audit(base, read(z * scale, **logs))
    apart = klimit.audit(base, read(z * scale, **logs), paired=False)
    for name in ("efficiency", "gap_reward", "gap_nats", "excess_kl"):
        one, other = getattr(paired, name), getattr(apart, name)
        assert one.value == pytest.approx(other.value)
        assert one.high - one.low < 0.6 * (other.high - other.low), name
    independent = np.hypot(paired.gain.high - paired.gain.low, paired.limit.high - paired.limit.low)
    assert paired.gap_reward.high - paired.gap_reward.low < 0.6 * independent


def test_no_digit_depends_on_the_order_of_rows_and_prompts(base, policy, found):
    rng = np.random.default_rng(4)
    frames = [x.frame() for x in (base, policy)]
    frames = [frame[rng.permutation(frame.height)] for frame in frames]
    again = klimit.audit(*(klimit.read(frame) for frame in frames))
    for name in (*NUMBERS, "allocation", "shape"):
        one, other = getattr(found, name), getattr(again, name)
        assert_allclose(
            (one.value, one.low, one.high), (other.value, other.low, other.high), rtol=1e-9
        )


@settings(max_examples=8, deadline=None)
@given(scale=st.floats(1e-3, 1e3), offset=st.floats(-1e3, 1e3))
def test_an_audit_moves_with_the_units_of_the_reward(scale, offset):
    rng = np.random.default_rng(6)
    base, policy = rng.normal(size=(20, 16)), rng.normal(size=(20, 4)) + 0.5
    one = klimit.audit(base, policy, kl=0.3)
    other = klimit.audit(scale * base + offset, scale * policy + offset, kl=0.3)
    for name in ("gain", "limit", "gap_reward"):
        assert_allclose(
            getattr(other, name).value, scale * getattr(one, name).value, rtol=1e-5, atol=1e-7
        )
    for name in ("efficiency", "gap_nats", "least_kl"):
        assert_allclose(getattr(other, name).value, getattr(one, name).value, rtol=1e-5)


def test_only_the_policys_prompts_count_and_that_is_said(base):
    few = shifted(np.random.default_rng(7), 40, 8)
    found = klimit.audit(base, few)
    assert found.shared == 40
    assert any("40 prompts that the policy was sampled on, of 100" in note for note in found.notes)
    own = klimit.frontier(base.filter(prompts=[f"p{i}" for i in range(40)]))
    assert_allclose(found.limit.value, own.gain(found.kl.value).value, rtol=1e-12)


def test_prompts_that_the_base_lacks_are_left_out_and_that_is_said(base):
    more = shifted(np.random.default_rng(8), 130, 4)
    found = klimit.audit(base, more)
    assert found.shared == 100
    assert any("30 of the policy's 130 prompts are not in the base" in n for n in found.notes)


def test_prompts_meet_by_their_text_where_ids_do_not():
    rng = np.random.default_rng(9)
    texts = [f"What is {i} + {i}?" for i in range(30)]
    ours = klimit.read(
        {"prompt_id": np.repeat(np.arange(30), 16), "prompt": np.repeat(texts, 16),
         "rm": rng.normal(size=480)}
    )  # fmt: skip
    theirs = klimit.read({"prompt": np.repeat(texts[::-1], 4), "rm": rng.normal(size=120) + 1})
    found = klimit.audit(ours, theirs)
    assert found.paired
    assert found.shared == 30


def test_a_prompt_that_is_one_message_of_the_user_is_its_text():
    rng = np.random.default_rng(29)
    texts = [f"What is {i} + {i}?" for i in range(12)]
    said = [[{"role": "user", "content": text}] for text in texts]
    ours = klimit.read(
        {"prompt": [x for x in said for _ in range(8)], "rm": rng.normal(size=96).tolist()}
    )
    theirs = klimit.read({"prompt": np.repeat(texts[::-1], 4), "rm": rng.normal(size=48) + 1})
    for base, policy in ((ours, theirs), (theirs, ours)):
        found = klimit.audit(base, policy)
        assert found.paired
        assert found.shared == 12
    longer = [[{"role": "system", "content": "Be brief."}, *one] for one in said]
    other = klimit.read({"prompt": [x for x in longer for _ in range(2)], "rm": [0.5, 1.5] * 12})
    with pytest.raises(DataError, match="no prompt in common"):
        klimit.audit(theirs, other)


def test_without_any_kl_the_answer_is_the_least_kl_of_the_gain(base, policy):
    found = klimit.audit(base, read(policy.frame()["rm"].to_numpy().reshape(100, 16)))
    assert math.isnan(found.kl.value)
    assert "log-probabilities" in found.kl.note
    assert found.least_kl.low < 0.32 < found.least_kl.high
    assert found.limit.to_dict()["value"] is None
    assert "No method can gain as much for less than" in str(found)


@pytest.mark.parametrize("kl", [0.5, Estimate(0.5, 0.4, 0.6)])
def test_a_kl_may_be_stated(base, policy, kl):
    found = klimit.audit(base, policy, kl=kl)
    assert found.kl.value == 0.5
    assert found.estimator == ""
    assert found.efficiency.low < 0.8 < found.efficiency.high
    assert "not known by prompt" in found.allocation.note


def test_what_is_not_sure_of_a_stated_kl_widens_what_is_said(base, policy):
    sure = klimit.audit(base, policy, kl=0.5)
    vague = klimit.audit(base, policy, kl=Estimate(0.5, 0.3, 0.7))
    for name in ("efficiency", "gap_reward", "gap_nats", "limit", "excess_kl"):
        one, other = getattr(sure, name), getattr(vague, name)
        assert other.low < one.low < one.high < other.high, name
    assert_allclose(vague.least_kl.low, sure.least_kl.low)


def test_beyond_trust_the_limit_is_a_lower_and_efficiency_an_upper_bound(base, policy):
    found = klimit.audit(base, policy, kl=12.0)
    assert not found.limit.trusted
    assert not found.efficiency.trusted
    assert found.limit.high == math.inf
    assert found.efficiency.low <= 0
    assert 0.1 < found.efficiency.high < 0.5  # the truth is .163
    assert found.least_kl.trusted
    lines = str(found).split("\n")
    assert lines[1].startswith("The same gain needs 0.3")
    assert "at most" in lines[2]


def test_past_the_ceiling_nats_are_not_defined_and_the_reason_is_given():
    rng = np.random.default_rng(10)
    rate = rng.beta(2, 2, size=(40, 1))
    base = (rng.random((40, 64)) < rate).astype(float)
    policy = (rng.random((40, 8)) < rate**0.3).astype(float)
    found = klimit.audit(base, policy, kl=20.0)
    record = found.gap_nats.to_dict()
    assert (record["value"], record["low"], record["high"]) == (None, None, None)
    assert "flat" in record["reason"]
    assert found.gap_reward.low > 0
    assert found.excess_kl.low > 15
    assert "were spent beyond that" in str(found)
    assert "short of what could be gained" in str(found)


def test_more_than_is_possible_is_called_so(base):
    found = klimit.audit(base, shifted(np.random.default_rng(11), 100, 8, shift=1.5), kl=0.3)
    assert found.efficiency.low > 1
    assert "impossible" in str(found)


def test_a_policy_worse_than_the_base_has_a_negative_share_and_needs_no_kl(base):
    found = klimit.audit(base, shifted(np.random.default_rng(12), 100, 8, shift=-0.5))
    assert found.efficiency.high < 0
    assert (found.least_kl.value, found.least_kl.low) == (0.0, 0.0)
    assert "gained nothing" in str(found)


def test_where_every_prompt_is_constant_nothing_is_to_be_gained():
    found = klimit.audit(np.zeros((10, 8)), np.zeros((10, 4)), kl=0.5)
    assert found.gain.value == 0
    assert math.isnan(found.efficiency.value)
    assert "rewards are all equal within every prompt" in found.efficiency.note


def test_one_sample_a_prompt_places_a_policy_but_does_not_split_its_gap(base):
    found = klimit.audit(base, shifted(np.random.default_rng(13), 100, 1))
    assert found.efficiency.low < 1 < found.efficiency.high
    assert math.isnan(found.allocation.value)
    assert "fewer than 4" in found.allocation.note


def test_for_these_very_prompts_intervals_are_never_longer(base, policy, found):
    fixed = klimit.audit(base, policy, prompts="fixed")
    for name in NUMBERS:
        one, other = getattr(fixed, name), getattr(found, name)
        assert one.value == other.value
        assert one.high - one.low <= (other.high - other.low) * 1.2, name


def test_for_these_very_prompts_the_limit_is_as_uncertain_as_its_correction_makes_it():
    rng = np.random.default_rng(0)
    for kl in (1.0, 1.5):  # without the error that the correction adds it is a quarter shorter
        base, policy = (read(rng.normal(x, size=(60, 64))) for x in (0.0, 1.0))
        alone = klimit.frontier(base, prompts="fixed").gain(kl)
        beside = klimit.audit(base, policy, kl=kl, prompts="fixed").limit
        assert alone.trusted
        assert beside.high - beside.low > 0.85 * (alone.high - alone.low)


def test_missing_rewards_and_scores_are_left_out_and_counted(base, policy):
    import polars as pl

    frame = policy.frame().with_row_index()
    holes = frame.with_columns(
        rm=pl.when(pl.col("index") % 7 == 0).then(None).otherwise(pl.col("rm"))
    )
    with_holes = klimit.audit(base, klimit.read(holes.drop("index")))
    assert any("229 rewards of the policy missing" in note for note in with_holes.notes)
    gone = frame.with_columns(
        logprob=pl.when(pl.col("prompt_id").is_in(["p1", "p2"])).then(None).otherwise("logprob")
    )
    with pytest.warns(klimit.DataWarning):
        found = klimit.audit(base, klimit.read(gone.drop("index")))
    assert found.shared == 98


def test_several_policies_stand_side_by_side_and_are_found_by_name(base, policy):
    better = shifted(np.random.default_rng(14), 100, 16, shift=1.0)
    found = klimit.audit(base, {"grpo": policy, "ppo": better})
    assert isinstance(found, Audits)
    assert [one.name for one in found] == ["grpo", "ppo"]
    assert found["ppo"] is found[1]
    frame = found.to_frame(n=[4])
    assert frame["policy"].to_list() == ["grpo", "ppo", "best-of-4"]
    assert_allclose(frame["kl"][2], math.log(4) - 0.75)
    with pytest.raises(ArgumentError, match=r"Did you mean grpo\?"):
        found["grp"]


def test_two_policies_are_compared_prompt_by_prompt(base, policy):
    better = shifted(np.random.default_rng(14), 100, 16, shift=1.0)
    found = klimit.audit(base, {"grpo": policy, "ppo": better})
    ab, ba = found.compare("ppo", "grpo"), found.compare("grpo", "ppo")
    assert ab.paired
    assert ab.gain.low < 0.2 < ab.gain.high
    assert 0 < ab.efficiency.low < 0.2 < ab.efficiency.high
    assert_allclose(ab.efficiency.value, -ba.efficiency.value)
    assert_allclose(ab.least_kl.low, -ba.least_kl.high)
    apart = np.hypot(*(one.efficiency.high - one.efficiency.low for one in found))
    assert ab.efficiency.high - ab.efficiency.low <= apart
    same = found.compare("ppo", "ppo")
    assert (same.gain.value, same.gain.low, same.gain.high) == (0.0, 0.0, 0.0)
    assert ["* more than chance" in str(one) for one in (ab, same)] == [True, False]
    assert ab.to_frame().height == len(ab.to_dict()) - 4


def test_policies_on_different_prompts_are_compared_where_they_meet(base, policy):
    part = policy.filter(prompts=[f"p{i}" for i in range(30, 100)])
    rest = policy.filter(prompts=[f"p{i}" for i in range(60)])
    found = klimit.audit(base, {"a": part, "b": rest}).compare("a", "b")
    assert found.shared == 30
    assert found.gain.low <= 0 <= found.gain.high


def test_prompts_that_waste_most_come_first_and_average_to_the_gap(found):
    frame = found.prompts()
    assert frame.height == 100
    assert_allclose(frame["loss"].mean(), found.gap_reward.value, rtol=1e-9)
    assert_allclose(frame["nats"].mean(), found.gap_nats.value, rtol=1e-9)
    assert (np.diff(frame["loss"].to_numpy()) <= 0).all()
    assert_allclose(frame["gain"].mean(), found.gain.value)
    assert_allclose(frame["best_kl"].mean(), found.kl.value, rtol=1e-9)


def test_a_point_known_by_its_numbers_has_no_prompts(base):
    placed = klimit.frontier(base).place(0.5, 0.8)
    assert placed.case is None
    with pytest.raises(ArgumentError, match="numbers only"):
        placed.prompts()
    assert "policy gained +0.80 rm at a KL of 0.5 nats." in str(placed)
    assert klimit.frontier(base).place([0.5, 1.0], [0.8, 0.9]).to_frame().height == 2


def test_kl_is_zero_or_more_and_one_for_each_policy(base, policy):
    with pytest.raises(ArgumentError, match="zero or more"):
        klimit.audit(base, policy, kl=-1.0)
    with pytest.raises(ArgumentError, match="holds 3 numbers for 2"):
        klimit.audit(base, {"a": policy, "b": policy}, kl=[1.0, 2.0, 3.0])
    with pytest.raises(ArgumentError, match="names 'c'"):
        klimit.audit(base, {"a": policy, "b": policy}, kl={"a": 1.0, "c": 2.0})
    one, two = klimit.audit(base, {"a": policy, "b": policy}, kl={"a": 1.0})
    assert one.kl.value == 1.0
    assert two.estimator == "k1"
    with pytest.raises(ArgumentError, match="is no KL"):
        klimit.audit(base, policy, kl="much")


def test_no_gate_is_passed_by_a_kl_that_cannot_be(base, policy):
    from klimit.audit.gate import gate

    frame = policy.frame().rename({"logprob": "ref_logprob", "ref_logprob": "logprob"})
    with pytest.warns(klimit.DataWarning, match="lies below 0"):
        swapped = klimit.audit(base, klimit.read(frame))
    assert "A KL below 0 does not exist" in str(swapped)
    with pytest.raises(DataError, match="its KL cannot be trusted"):
        gate(swapped, max_kl=10)
    assert gate(swapped, min_gain=0.1)[0].passed


def test_different_rewards_are_no_comparison(base):
    rng = np.random.default_rng(15)
    other = read(rng.normal(size=(100, 4)), name="helpfulness")
    with pytest.raises(ArgumentError, match="different rewards"):
        klimit.audit(base, other)
    solved = read((rng.random((100, 16)) < 0.4).astype(float))
    with pytest.raises(ArgumentError, match="0 or 1 in the base"):
        klimit.audit(solved, base)
    score = read(rng.random((100, 16)))
    with pytest.raises(ArgumentError, match="0 or 1 in the policy"):
        klimit.audit(score, solved)
    partial = read(rng.integers(0, 9, size=(100, 16)) / 8)
    assert np.isfinite(klimit.audit(partial, solved).gain.value)


def test_strangers_are_refused_unless_the_user_says_otherwise(base):
    other = shifted(np.random.default_rng(16), 50, 8, mark="q")
    with pytest.raises(DataError, match="no prompt in common"):
        klimit.audit(base, other)
    found = klimit.audit(base, other, paired=False)
    assert found.paired is False
    assert any("two samples from one population" in note for note in found.notes)
    assert math.isnan(found.allocation.value)
    with pytest.raises(ArgumentError, match="not compared prompt by prompt"):
        found.prompts()


def test_one_id_for_two_texts_is_an_error():
    def dump(texts, samples):
        count = len(texts)
        return klimit.read(
            {"prompt_id": np.repeat(np.arange(count), samples), "prompt": np.repeat(texts, samples),
             "rm": np.random.default_rng(0).normal(size=count * samples)}
        )  # fmt: skip

    ours = dump([f"question {i}" for i in range(10)], 8)
    odd = dump([*(f"question {i}" for i in range(9)), "another"], 2)
    with pytest.raises(DataError, match="one id for one prompt"):
        klimit.audit(ours, odd)
    turned = dump([f"question {i}" for i in reversed(range(10))], 2)
    with pytest.warns(klimit.DataWarning, match="matched by their text"):
        assert klimit.audit(ours, turned).shared == 10


def test_a_base_sampled_at_another_temperature_is_warned_of(policy):
    rng = np.random.default_rng(17)
    cold = klimit.read(
        {"prompt_id": np.repeat([f"p{i}" for i in range(100)], 16), "rm": rng.normal(size=1600),
         "temperature": np.full(1600, 0.7)}
    )  # fmt: skip
    with pytest.warns(EstimateWarning, match=r"the base was sampled at temperature 0\.7"):
        found = klimit.audit(cold, policy)
    assert any("another base" in note for note in found.notes)


@pytest.mark.parametrize(
    ("policy", "message"),
    [(None, "one array was given"), ({}, "no policy was given"), (np.zeros((3, 2)), "3 prompts")],
)
def test_what_cannot_be_audited_is_said_in_one_line(policy, message):
    with pytest.raises(ArgumentError, match=message) as problem:
        klimit.audit(np.random.default_rng(0).normal(size=(10, 8)), policy)
    assert "\n" not in str(problem.value)


def test_the_numbers_of_normal_rewards_are_those_of_the_theory():
    grid = Grid(2.0**-8, 14, 8)
    row = grid.tilts[None] ** 2 / 2
    kl, gain = np.array([0.5, 2.0]), np.array([0.4, 1.5])
    found = numbers(np.repeat(row, 2, axis=0), grid, gain, kl)
    best = np.sqrt(2 * kl)
    expected = [gain, kl, best, gain / best, best - gain, best * (best - gain), gain]
    assert_allclose(found[:7], expected, rtol=2e-4)
    assert_allclose(found[7], kl - gain**2 / 2, rtol=1e-3)


def test_a_share_that_is_open_by_any_factor_is_not_shown(found):
    open_ = dataclasses.replace(found, efficiency=Estimate(0.5, -60.0, 61.0))
    assert "it reached an unknown share of it" in " ".join(str(open_).split())
    assert "000 %" not in str(open_)


def test_the_room_is_called_by_its_name_and_shows_the_signature_of_the_verb():
    import inspect

    from klimit.audit.verb import audit

    assert inspect.signature(klimit.audit) == inspect.signature(audit)
    assert klimit.audit.__call__.__doc__ == audit.__doc__ or klimit.audit is audit


def test_more_than_any_method_can_do_is_no_finding(base):
    rng = np.random.default_rng(70)
    better = read(rng.normal(2.0, 1.0, size=(40, 8)))
    found = klimit.audit(base, better, kl=0.1)
    assert found.efficiency.low > 1
    for one in (found.efficiency, found.gap_nats):
        assert not one.trusted
        assert "more than any method can do" in one.note
    assert "as near to the optimal" not in str(found)


def test_a_policy_whose_rewards_vary_far_more_than_the_bases_is_told(base):
    rng = np.random.default_rng(71)
    with pytest.warns(klimit.DataWarning, match="are both on one scale"):
        klimit.audit(base, read(100 * rng.normal(size=(40, 8))), kl=1.0)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"min_efficiency": 70}, "70 was asked; a share between 0 and 1"),
        ({"max_kl": -1.0}, "-1 was asked; 0 or more"),
        ({"min_gain": math.nan}, "nan was asked; a number"),
    ],
)
def test_gates_refuse_what_cannot_be_asked(base, policy, asked, message):
    from klimit.audit.gate import gate

    with pytest.raises(ArgumentError, match=message):
        gate(klimit.audit(base, policy), **asked)


def test_the_verdict_of_a_record_is_whole_sentences(base, policy):
    lines = klimit.audit(base, policy).to_dict()["verdict"]
    assert len(lines) > 1
    assert all(line.endswith((".", "]")) for line in lines)
