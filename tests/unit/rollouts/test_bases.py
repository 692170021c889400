"""Which of several files is the base, as their names tell."""

import json

import pytest

from klimit import DataError
from klimit.audit.runs import is_run, within
from klimit.rollouts import read


@pytest.fixture
def run(tmp_path):
    """Rollouts of files of these names, of the same prompts or each of its own."""

    def reads(*files, own=False):
        for at, name in enumerate(files):
            path = tmp_path / f"{name}.jsonl"
            path.parent.mkdir(parents=True, exist_ok=True)
            rows = [{"prompt": f"{p}{at * own}", "rm": i / 8} for p in "ab" for i in range(4)]
            path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return read(tmp_path)

    return reads


@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize(
    ("base", "policy"),
    [("rollouts_base", "rollouts_ppo"), ("base-rollouts", "ppo-rollouts"), ("x.ref", "x.grpo"),
     ("a_reference_model", "a_tuned"), ("sft_out", "dpo_out"), ("m-base/out", "m-ppo/out"),
     ("out_base", "out"), ("rolloutsBase", "rolloutsPPO")],
)  # fmt: skip
def test_the_file_whose_name_differs_by_a_word_for_the_base_is_the_base(run, base, policy, own):
    found = run(base, policy, own=own)
    assert is_run(found)
    start, parts, said = within(found)
    name = base.removesuffix("/out")
    assert start.policies == (name,)
    assert [part.name for part in parts] == [policy.removesuffix("/out")]
    assert said == (f"policy {name} of the same dump is the base.",)
    with pytest.raises(DataError, match=rf"Choose one: \.filter\(policy='{name}'\)"):
        found.grouped()


def test_parts_of_base_and_policies_stay_with_theirs(run):
    start, parts, _ = within(run("my_base_0", "my_base_1", "my_ppo_0", "my_ppo_1", "my_dpo"))
    assert (start.policies, len(start)) == (("my_base",), 16)
    assert [(part.name, len(part.samples)) for part in parts] == [("my_dpo", 8), ("my_ppo", 16)]


@pytest.mark.parametrize(
    "files",
    [("grpo", "grpo_ref"), ("t5-base", "t5-large", "t5-ppo"), ("m", "m-sft"), ("m-sft", "m-raw"),
     ("base_ppo", "base_dpo"), ("qwen-base", "llama-ppo"), ("baseline", "tuned"),
     ("m-base", "m-sft", "m-dpo")],
)  # fmt: skip
def test_a_word_that_may_mean_something_else_makes_no_base(run, files):
    found = run(*files)
    assert len(found.policies) == len(files)
    with pytest.raises(DataError, match=r"none is called base|may be the base"):
        within(found)


@pytest.mark.parametrize(
    "files",
    [("gsm_base", "gsm_ppo", "math_base", "math_ppo"), ("baseline", "tuned"), ("x_ppo", "x_dpo")],
)
def test_files_called_after_methods_are_never_parts_of_one_policy(run, files):
    assert set(run(*files, own=True).policies) == set(files)


def test_files_of_data_sets_are_parts_of_one_policy(run):
    assert run("gsm", "math", "database", own=True).policies == ()


def test_a_base_beside_numbered_steps_is_step_0(run):
    found = run("grpo_base", "grpo_step_100", "grpo_step_200")
    assert (found.steps, found.policies) == ((0, 100, 200), ())
