"""A trainer's logged number: converted where that is exact, refused where it is not."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from klimit import ArgumentError, DataError, Estimate
from klimit.audit.kl import LOGGED, logged_kl
from klimit.integrations._kl import from_log


def logs(rng, *, rows=64, longest=40):
    """Per-token k1 and k3 of a batch, its mask, and the sequence KL that they estimate."""
    lengths = rng.integers(5, longest, rows)
    mask = np.arange(longest) < lengths[:, None]
    ratio = np.where(mask, rng.normal(0.02, 0.2, mask.shape), 0.0)
    return {"k1": ratio, "k3": np.expm1(-ratio) + ratio}, mask, lengths


@pytest.mark.parametrize(("framework", "metric", "kind"), [
    ("trl-grpo", None, "k3"), ("trl-rloo", "kl", "k1"),
    ("open-instruct", None, "k1"), ("open-instruct", "objective/kl2_avg", "k3"),
])  # fmt: skip
def test_a_mean_over_all_tokens_times_their_mean_number_is_the_mean_sum(framework, metric, kind):
    values, mask, lengths = logs(np.random.default_rng(0))
    logged = values[kind].sum() / mask.sum()
    found = logged_kl(logged, framework=framework, metric=metric, tokens=lengths.mean())
    assert_allclose(float(found), values[kind].sum(axis=1).mean(), rtol=1e-12)


def test_ppo_of_trl_logs_the_sum_already():
    found = logged_kl(5.1, framework="trl-ppo")
    assert (float(found), found.low, found.high) == (5.1, 5.1, 5.1)
    assert "0.7" in found.note


def test_a_mean_of_means_is_refused_since_one_logged_number_stands_for_many_kls():
    lengths = np.array([10, 100])
    sums = np.array([[1.0, 0.0], [0.0, 10.0]])  # nats of each completion in two batches
    assert_allclose(*(sums / lengths).mean(axis=1))  # logged alike
    assert len(set(sums.mean(axis=1))) == 2  # and not alike
    for framework, metric in (("verl", "actor/reward_kl_penalty"), ("openrlhf", "kl")):
        with pytest.raises(DataError, match="no length brings their sum back"):
            logged_kl(0.05, framework=framework, metric=metric, tokens=55)


@pytest.mark.parametrize(("framework", "metric", "why"), [
    ("trl-ppo", "policy/approxkl_avg", "with itself before an update"),
    ("verl", "actor/ppo_kl", "with itself before an update"),
    ("verl", "actor/kl_loss", "cut at 10"),
    ("nemo-rl", None, "cut at 10"),
    ("prime-rl", None, "the engine that samples"),
    ("open-instruct", "objective/kl1_avg", "second order"),
])  # fmt: skip
def test_what_is_no_kl_to_the_base_is_refused_with_the_reason(framework, metric, why):
    with pytest.raises(DataError, match=rf"{why}.*klimit rescore"):
        logged_kl(0.02, framework=framework, metric=metric, tokens=100)


def test_lengths_are_asked_for_where_they_are_needed():
    with pytest.raises(ArgumentError, match="completions/mean_length"):
        logged_kl(0.02, framework="trl-grpo")


@pytest.mark.parametrize("wrong", [{"value": np.nan}, {"tokens": 0}, {"framework": "trl-grp"},
                                   {"metric": "loss"}, {"level": 2}])  # fmt: skip
def test_wrong_arguments_say_what_would_do(wrong):
    plain = {"value": 0.02, "framework": "trl-grpo", "tokens": 100, **wrong}
    with pytest.raises(ArgumentError):
        logged_kl(plain.pop("value"), **plain)


def test_a_path_over_steps_and_an_estimate_pass_through():
    path = logged_kl([0.01, 0.02], framework="trl_grpo", tokens=[100, 200])
    assert_allclose(path.value, [1.0, 4.0])
    given = logged_kl(Estimate(0.01, 0.005, 0.02, 0.9), framework="trl-grpo", tokens=100)
    assert_allclose([given.low, given.high, given.level], [0.5, 2.0, 0.9])
    assert given.trusted
    doubted = Estimate(0.01, 0.005, np.inf, 0.9, trusted=False, note="cut at 10")
    kept = logged_kl(doubted, framework="trl-grpo", tokens=100)
    assert not kept.trusted
    assert kept.note.endswith("cut at 10")


def test_a_negative_number_is_converted_and_said_to_be_odd():
    assert "below 0" in logged_kl(-0.001, framework="trl-rloo", tokens=100).note
    k3 = logged_kl(-1e-8, framework="trl-grpo", tokens=100).note
    assert "rounding" in k3  # k3 itself is never negative
    assert "chance" not in k3


def test_every_record_says_why_it_is_refused_or_what_it_is():
    for one in LOGGED:
        assert bool(one.refused) or one.reduction in ("sequence", "token")
        assert one.between == "policy || base" or one.refused


def test_a_mean_that_leaves_out_cut_completions_is_times_the_tokens_of_those_that_ended():
    class Config:
        mask_truncated_completions = True

    values, mask, lengths = logs(np.random.default_rng(1))
    cut = lengths == lengths.max()
    mask[cut] = False
    log = {
        "kl": values["k3"][~cut].sum() / mask.sum(),
        "completions/mean_length": lengths.mean(),
        "completions/mean_terminated_length": lengths[~cut].mean(),
    }
    found = from_log(Config, log, 0.95)
    assert_allclose(float(found), values["k3"][~cut].sum(axis=1).mean(), rtol=1e-12)
    assert "completions/mean_terminated_length" in found.note
    none_ended = {
        "kl": 0.0,
        "completions/mean_length": 40.0,
        "completions/mean_terminated_length": 0.0,
    }
    assert from_log(Config, none_ended, 0.95) is None


@pytest.mark.parametrize("log", [
    {"kl": np.nan, "completions/mean_length": 40.0}, {"objective/kl": np.inf},
    {"kl": 0.1, "completions/mean_length": np.nan}, {"kl": 0.1, "completions/mean_length": 0.5},
])  # fmt: skip
def test_a_training_that_logs_no_number_goes_on_without_one(log):
    assert from_log(None, log, 0.95) is None
