"""What `measured_kl` answers, and what it says with the answer."""

import warnings

import numpy as np
import polars as pl
import pytest
from numpy.testing import assert_allclose

import klimit
from klimit import ArgumentError, DataError, DataWarning, EstimateWarning
from klimit.audit.kl import measured_kl, sampling_notes, settings_differ
from tests.audit.two_tokens import KL, draw, rollouts


def gaussian(rng, *, prompts=40, samples=4, kl=0.5, **more):
    """Log ratios N(D, 2 D) on prompts whose D differ, so that the policy's identity holds."""
    own = kl * rng.uniform(0.5, 1.5, prompts)
    ratio = rng.normal(own, np.sqrt(2 * own), (samples, prompts)).ravel()
    columns = {"ref_logprob": -60 + rng.normal(0, 5, ratio.size)}
    columns["logprob"] = columns["ref_logprob"] + ratio
    return rollouts(columns, prompts=prompts, **more)


def test_prompts_weigh_equally_whatever_their_samples():
    columns = {"logprob": [-1.0] * 9 + [-1.0], "ref_logprob": [-2.0] * 9 + [-5.0]}
    run = rollouts(columns, prompt_id=["many"] * 9 + ["one"])
    found = measured_kl(run)
    assert_allclose(float(found.kl), 2.5)
    assert found.counts.tolist() == [9, 1]
    assert found.ids == ("many", "one")
    assert_allclose(found.by_prompt, [1.0, 4.0])
    assert found.variance_within[0] == 0
    assert np.isnan(found.variance_within[1])


def test_no_digit_depends_on_the_order_of_rows():
    rng = np.random.default_rng(0)
    run = gaussian(rng)
    frame = run.frame()
    other = klimit.read(frame.sample(fraction=1.0, shuffle=True, seed=1), reward="rm")
    one, two = measured_kl(run), measured_kl(other)
    assert one.kl == two.kl
    assert dict(zip(one.ids, one.by_prompt, strict=True)) == dict(
        zip(two.ids, two.by_prompt, strict=True)
    )


def test_missing_scores_are_left_out_and_counted():
    columns = {"logprob": [-1.0, None, -1.0, float("nan")], "ref_logprob": [-2.0, -2.0, -3.0, -2.0]}
    plain = {name: list(values) for name, values in columns.items()}
    run = klimit.read(
        {"prompt_id": ["a", "a", "b", "c"], "rm": [0.0] * 4, "temperature": [1.0] * 4, **plain}
    )
    with pytest.warns(
        DataWarning, match="2 samples of 4 without scores left out, and with them 1 prompt"
    ):
        found = measured_kl(run)
    assert found.ids == ("a", "b")
    assert_allclose(float(found.kl), 1.5)
    assert "left out" in found.notes[0]


def test_exact_values_are_preferred_where_stored_for_all_and_k1_where_not():
    columns = draw(np.random.default_rng(1), 400)
    assert measured_kl(rollouts(columns, prompts=40)).estimator == "rao-blackwell"
    some = {**columns, "kl_rb": [None, *columns["kl_rb"][1:]]}
    run = klimit.read({"prompt_id": ["a"] * 400, "rm": [0.0] * 400, "temperature": [1.0] * 400,
                       **{name: list(values) for name, values in some.items()}})  # fmt: skip
    assert measured_kl(run, prompts="fixed").estimator == "k1"


def test_exact_values_alone_are_enough():
    run = rollouts({"kl_rb": [0.5, 0.7, 0.9, 0.7]}, prompts=2)
    found = measured_kl(run)
    assert_allclose(float(found.kl), 0.7)
    assert not found.alternatives


def test_exact_values_may_be_stored_per_token():
    run = rollouts({"kl_rb": [0.5, 0.7]}, kl_rb=[[0.25, 0.25], [0.3, 0.4]])
    assert_allclose(float(measured_kl(run, prompts="fixed").kl), 0.6)


def test_the_alternatives_come_with_variance_interval_and_a_word_of_caution():
    found = measured_kl(gaussian(np.random.default_rng(2)))
    names = {one.estimator: one for one in found.alternatives}
    assert set(names) == {"k2", "k3"}
    assert not names["k2"].kl.trusted
    for one in names.values():
        assert one.kl.low < float(one.kl) < one.kl.high
        assert one.variance > 0
    assert "not bounded" in names["k3"].misleads


def test_k3_over_long_sequences_is_not_trusted():
    run = gaussian(np.random.default_rng(3), kl=6.0, samples=16)
    with pytest.warns(EstimateWarning, match="k3"):
        found = measured_kl(run, estimator="k3")
    assert not found.kl.trusted


def test_a_small_negative_estimate_is_said_to_be_consistent_with_zero():
    ratio = np.array([0.1, -0.2, 0.15, -0.1, 0.05, -0.05])
    run = rollouts({"logprob": -20 + ratio, "ref_logprob": [-20.0] * 6}, prompts=3)
    found = measured_kl(run)
    assert float(found.kl) < 0 < found.kl.high
    assert any("consistent with zero" in note for note in found.notes)


def test_an_interval_below_zero_means_that_sampling_is_not_scoring():
    run = gaussian(np.random.default_rng(4))
    swapped = run.frame().rename({"logprob": "ref_logprob", "ref_logprob": "logprob"})
    with pytest.warns(DataWarning, match="below 0, which no KL does"):
        found = measured_kl(klimit.read(swapped, reward="rm"))
    assert "in each other's place" in found.notes[0]


def test_a_positive_estimate_of_another_policys_samples_is_found_out():
    rng = np.random.default_rng(5)
    ratio = rng.normal(0.2, 1.2, 2000)  # of its own samples the mean would be .72
    run = rollouts({"logprob": -50 + ratio, "ref_logprob": [-50.0] * 2000}, prompts=100)
    with pytest.warns(DataWarning, match="where at most 1 is possible"):
        assert float(measured_kl(run).kl) > 0


@pytest.mark.parametrize(("name", "value"), [("temperature", 0.7), ("top_p", 0.9), ("top_k", 50)])
def test_a_policy_sampled_otherwise_is_another_policy(name, value):
    run = gaussian(np.random.default_rng(6), **{name: [value] * 160})
    with pytest.warns(DataWarning, match=f"{name} {value:g}: the KL is that of this other policy"):
        measured_kl(run)
    assert "another base" in sampling_notes(run, base=True)[0]


def test_settings_that_differ_between_base_and_policy_are_named():
    size = {"max_tokens": [64] * 160}, {"max_tokens": [128] * 160}
    base, run = (gaussian(np.random.default_rng(7), **more) for more in size)
    assert "max_tokens is 64 for the base and 128 for the policy" in settings_differ(base, run)[0]
    assert not settings_differ(base, base)


def test_completions_that_end_at_other_lengths_are_noticed_where_no_limit_is_stated():
    rng = np.random.default_rng(7)
    base, run = (
        gaussian(rng, tokens=np.minimum(rng.integers(20, 60, 160), cut).tolist())
        for cut in (48, 32)
    )
    assert "base end at 48 tokens and those of the policy at 32" in settings_differ(base, run)[0]
    free = gaussian(rng, tokens=list(range(20, 180)))
    assert not settings_differ(base, free)


def test_a_kl_that_cannot_be_is_not_trusted():
    columns = {"logprob": [-52.0, -51.0] * 40, "ref_logprob": [-50.0] * 80}
    with pytest.warns(DataWarning, match="lies below 0"):
        found = measured_kl(rollouts(columns, prompts=20))
    assert not found.kl.trusted
    assert "which no KL does" in found.kl.note


def test_unknown_sampling_and_truncation_are_noted_without_a_warning():
    rng = np.random.default_rng(8)
    run = gaussian(rng, tokens=[32] * 40 + [20] * 120, max_tokens=[32] * 160)
    assert any(
        note.startswith("25% of the completions were cut") for note in measured_kl(run).notes
    )
    bare = klimit.read(run.frame().drop("temperature", "top_p"), reward="rm")
    assert any("not stored" in note for note in measured_kl(bare).notes)


def test_steps_and_policies_are_never_pooled():
    run = gaussian(np.random.default_rng(9), step=[0] * 80 + [10] * 80)
    with pytest.raises(DataError, match="never pooled"):
        measured_kl(run)
    assert measured_kl(run.filter(step=10)).counts.sum() == 80


def test_no_log_probabilities_is_an_error_that_names_the_way_out():
    run = klimit.read({"prompt_id": ["a", "a"], "rm": [0.0, 1.0], "logprob": [-1.0, -2.0]})
    with pytest.raises(DataError, match=r"no ref_logprob.*klimit rescore"):
        measured_kl(run)


def test_an_estimator_without_its_columns_is_an_error():
    run = gaussian(np.random.default_rng(10))
    with pytest.raises(DataError, match=r"no sample .* has kl_rb"):
        measured_kl(run, estimator="rao-blackwell")


@pytest.mark.parametrize(
    "wrong", [{"level": 95}, {"prompts": "few"}, {"estimator": "k4"}, {"units": "dB"}]
)
def test_options_that_are_none_are_errors(wrong):
    with pytest.raises(ArgumentError):
        measured_kl(gaussian(np.random.default_rng(11)), **wrong)


def test_one_prompt_has_no_interval_for_others_but_one_for_itself():
    run = rollouts(draw(np.random.default_rng(13), 50))
    drawn, fixed = (
        measured_kl(run, estimator="k1"),
        measured_kl(run, estimator="k1", prompts="fixed"),
    )
    assert np.isinf(drawn.kl.high)
    assert any("prompts='fixed'" in note for note in drawn.notes)
    assert np.isfinite(fixed.kl.high)
    first = klimit.read(run.frame().head(1), reward="rm")
    single = measured_kl(first, estimator="k1", prompts="fixed")
    assert any(note == "one sample says nothing of others" for note in single.notes)


@pytest.mark.filterwarnings("error::RuntimeWarning", "ignore:.*(k3|lies below 0)")
def test_ratios_of_hundreds_of_nats_say_neither_that_there_is_one_prompt_nor_what_numpy_does():
    rng = np.random.default_rng(20)
    for mean, spread in ((8.0, 4.0), (-500.0, 30.0)):
        ratio = rng.normal(mean, spread, 1000)
        columns = {"logprob": ratio - 900, "ref_logprob": np.full(1000, -900.0)}
        found = measured_kl(rollouts(columns, prompts=40), estimator="k3" if mean > 0 else "k1")
        assert not any("one prompt" in note for note in found.notes)


def test_the_answer_prints_and_converts():
    found = measured_kl(gaussian(np.random.default_rng(14)))
    assert str(found).startswith("KL(policy || base) = ")
    frame = found.to_frame()
    assert frame.columns == ["prompt_id", "samples", "kl", "variance"]
    assert isinstance(frame, pl.DataFrame)
    assert found.to_dict()["alternatives"]["k3"]["misleads"]


def test_a_policy_equal_to_its_base_is_exactly_zero():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = measured_kl(rollouts({"logprob": [-3.0] * 8, "ref_logprob": [-3.0] * 8}, prompts=4))
    assert (float(found.kl), found.kl.low, found.kl.high) == (0, 0, 0)


def test_the_measured_kl_of_model_1_is_near_the_enumerated_one():
    found = measured_kl(
        rollouts(draw(np.random.default_rng(15), 8000), prompts=100), estimator="k1"
    )
    assert abs(float(found.kl) - KL) < 0.05
    assert found.kl.low < KL < found.kl.high
