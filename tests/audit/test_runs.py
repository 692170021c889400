"""Base and policies inside one dump: who is who, and a path over steps."""

import numpy as np
import polars as pl
import pytest

import klimit
from klimit import ArgumentError, Audits, DataError, DataWarning, EstimateWarning
from klimit.audit.runs import within
from tests.audit.tables import rows


def run(steps, *, recur=False, prompts=20, samples=12, policy=None):
    """Samples of a policy that gains a tenth per step, on other prompts in every step or the same."""
    rng = np.random.default_rng(1)
    frames = []
    for at, step in enumerate(steps):
        z = rng.normal(size=(prompts, samples)) + 0.1 * at
        logs = {"logprob": -((z - 0.1 * at) ** 2) / 2 - 9, "ref_logprob": -(z**2) / 2 - 9}
        frame = pl.DataFrame(rows(z, mark="p" if recur else f"s{step}_", **logs))
        frame = frame.with_columns(step=pl.lit(step))
        frames.append(frame if policy is None else frame.with_columns(policy=pl.lit(policy(at))))
    return klimit.read(pl.concat(frames))


def test_step_0_is_the_base_and_every_other_step_is_placed_on_its_own():
    found = klimit.audit(run([0, 10, 20, 30]))
    assert isinstance(found, Audits)
    assert [one.step for one in found] == [10, 20, 30]
    assert [one.label for one in found] == ["step 10", "step 20", "step 30"]
    assert all(one.notes[0] == "step 0 of the run is the base." for one in found)
    assert found["step 30"].gain.value > found["10"].gain.value
    assert found.to_frame()["step"].to_list() == [10, 20, 30]


def test_steps_on_other_prompts_are_two_samples_from_one_population():
    (found,) = klimit.audit(run([0, 1]))
    assert found.paired is False
    assert found.gain.low < 0.1 < found.gain.high
    assert "not compared prompt by prompt" in found.allocation.note


def test_steps_are_paired_where_prompts_recur():
    apart = klimit.audit(run([0, 1, 2]))
    found = klimit.audit(run([0, 1, 2], recur=True, samples=32))
    assert all(one.paired for one in found)
    assert np.isfinite(found[-1].allocation.value)
    assert found.compare("step 2", "step 1").paired
    assert not apart.compare("step 2", "step 1").paired


@pytest.mark.parametrize("restarts", [True, False])
def test_ids_that_count_anew_in_each_step_pair_no_prompts(restarts):
    rng = np.random.default_rng(2)
    own = rng.normal(size=(40, 1))
    steps = [
        pl.DataFrame(rows(rng.normal(size=(40, 8)) + (rng.permutation(own) if restarts else own)))
        for _ in range(3)
    ]
    frame = pl.concat([one.with_columns(step=pl.lit(at)) for at, one in enumerate(steps)])
    assert klimit.audit(klimit.read(frame))[0].paired  # whose name says that it is of one prompt
    again = klimit.read(frame.rename({"prompt_id": "group_id"}))
    if not restarts:
        assert [one.paired for one in klimit.audit(again)] == [True, True]
        return
    with pytest.warns(DataWarning, match="'group_id' at one step and another have nothing in"):
        assert [one.paired for one in klimit.audit(again)] == [False, False]
    assert [one.paired for one in klimit.audit(again, paired=True)] == [True, True]
    text = frame.with_columns(prompt="why " + pl.col("prompt_id"))  # which says what is one prompt
    assert klimit.audit(klimit.read(text))[0].paired


def test_samples_without_a_step_or_a_policy_are_left_out_and_counted():
    frame = run([0, 1, 2], recur=True).frame()
    lost = klimit.read(frame.with_columns(step=pl.col("step").replace(2, None)))
    with pytest.warns(DataWarning, match="240 samples of .* without a step left out"):
        (found,) = klimit.audit(lost)
    assert (found.step, found.samples) == (1, (12, 12))
    named = frame.with_columns(policy=pl.when(pl.col("step") < 2).then(pl.lit("a")))
    base = klimit.read(frame.filter(pl.col("step") == 0).drop("step"))
    with pytest.warns(DataWarning, match="240 samples of .* without a policy left out"):
        klimit.audit(base, klimit.read(named.filter(pl.col("step") > 0)))
    assert "over 2 steps (0 to 1) and at none that is named" in str(lost)
    assert "of a and of none that is named over 3 steps" in str(klimit.read(named))


def test_a_stated_kl_is_that_of_one_policy_at_one_step():
    base = run([0], recur=True)
    frame = run([0, 1, 2], recur=True).frame().filter(pl.col("step") > 0)
    policy = {"grpo": klimit.read(frame.drop("logprob", "ref_logprob"))}
    with pytest.raises(ArgumentError, match=r"'grpo', which stands for 2 placements \(1, 2\)"):
        klimit.audit(base, policy, kl={"grpo": 0.5})
    for said in ({1: 0.1, 2: 0.2}, {"grpo step 1": 0.1, "step 2": 0.2}):
        assert [float(one.kl) for one in klimit.audit(base, policy, kl=said)] == [0.1, 0.2]


def test_step_1_was_sampled_before_the_first_update():
    found = klimit.audit(run([1, 2]))
    assert found[0].step == 2
    assert "step 1, sampled before the first update, is the base." in found[0].notes


def test_a_run_that_does_not_start_at_its_base_is_warned_of():
    """A public log had 10.4 nats before any learning: its sampler was at another temperature."""
    frame = run([1, 2]).frame()
    odd = frame.with_columns(logprob=pl.col("logprob") + 3, ref_logprob=pl.col("ref_logprob") - 7.4)
    with pytest.warns(EstimateWarning, match="starts 10 nats from the base"):
        found = klimit.audit(klimit.read(odd))
    assert any("KL of later steps is off by as much" in note for note in found[0].notes)


def test_a_base_of_several_steps_is_to_be_chosen():
    several = run([1, 2])
    with pytest.raises(DataError, match=r"samples of 2 steps .* \(--base-step 1\)"):
        klimit.audit(several, several)


def test_a_run_that_starts_later_has_no_base():
    with pytest.raises(DataError, match="starts at step 100"):
        klimit.audit(run([100, 200]))


@pytest.mark.parametrize("name", ["base", "Base model", "reference", "ref_policy", "step-0", "sft"])
def test_a_policy_called_base_is_the_base(name):
    both = run([1, 2], recur=True, policy=lambda at: "grpo" if at else name)
    base, parts, _ = within(both.filter(policy=[name, "grpo"]))
    assert base.policies == (name,)
    assert [part.name for part in parts] == ["grpo"]


def test_policies_of_which_none_is_called_base_are_not_guessed_at():
    both = run([1, 2], recur=True, policy=lambda at: ("dpo", "grpo")[at])
    with pytest.raises(DataError, match="none is called"):
        klimit.audit(both)


@pytest.mark.parametrize("column", ["policy", "step"])
def test_samples_without_a_name_may_be_the_base_and_have_to_be_chosen(column):
    named = {"policy": "grpo", "step": 5}[column]
    first = pl.when(pl.col("step") == 1).then(pl.lit(named))
    frame = run([0, 1], recur=True).frame().with_columns(first.alias(column))
    both = klimit.read(frame if column == "step" else frame.drop("step"))
    asked = rf"\({named}, unnamed\) .*filter\({column}='unnamed'\).*--base-{column} unnamed"
    with pytest.raises(DataError, match=asked):
        klimit.audit(both)
    with pytest.raises(DataError, match=rf"--base-{column} unnamed"):
        klimit.audit(both, both)
    found = klimit.audit(*(both.filter(**{column: x}) for x in ("unnamed", named)))
    assert (found.shared, found.samples) == (20, (12, 12))


def test_what_has_no_name_beside_a_base_is_the_policy():
    both = run([0, 1], recur=True, policy=lambda at: None if at else "base")
    (found,) = klimit.audit(klimit.read(both.frame().drop("step")))
    assert (found.name, found.shared) == ("policy", 20)


def test_what_has_no_step_beside_step_0_is_the_policy():
    frame = run([0, 1], recur=True).frame()
    (found,) = klimit.audit(klimit.read(frame.with_columns(step=pl.col("step").replace(1, None))))
    assert (found.name, found.step, found.shared) == ("policy", None, 20)


def test_a_base_without_step_beside_late_steps_has_to_be_chosen():
    frame = run([0, 100, 200], recur=True).frame()
    late = klimit.read(frame.with_columns(step=pl.col("step").replace(0, None)))
    with pytest.raises(DataError, match="--base-step unnamed"):
        klimit.audit(late)


def test_one_policy_at_one_step_holds_no_base():
    with pytest.raises(DataError, match="one policy at one step"):
        klimit.audit(run([5]))


@pytest.mark.parametrize("name", ["{}", "step_{}", "global_step_{}", "ckpt-{}.pt"])
def test_steps_that_are_text_stand_in_the_order_of_their_numbers(name):
    found = klimit.audit(run([name.format(step) for step in (100, 0, 20, 5)], prompts=8))
    assert [one.step for one in found] == [name.format(step) for step in (5, 20, 100)]
    assert found[0].notes[0] == "step 0 of the run is the base."


def test_a_step_that_is_called_a_step_is_not_called_so_twice():
    found = klimit.audit(run(["step_0", "step_5"], prompts=8))
    assert [one.label for one in found] == ["step_5"]
    with pytest.raises(DataError, match="starts at step_100, when the policy has been trained"):
        klimit.audit(run(["step_100", "step_200"], prompts=8))


@pytest.mark.parametrize("first", ["epoch_1", "step_1k", "early"])
def test_a_first_step_that_tells_no_number_is_not_taken_for_the_base(first):
    with pytest.raises(DataError, match="does not say how long the policy had been trained"):
        klimit.audit(run([first, f"{first}_x"], prompts=8))


def test_a_base_apart_and_a_run_over_steps_make_a_path():
    base = klimit.read(rows(np.random.default_rng(2).normal(size=(20, 32))))
    found = klimit.audit(base, run([0, 1, 2], recur=True))
    assert [one.step for one in found] == [0, 1, 2]
    assert found[0].gain.low < 0 < found[0].gain.high
