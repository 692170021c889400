"""Commands take a framework's dump with no option where it says all that is needed."""

import json
from pathlib import Path

import pytest

from klimit.cli import program

GOLDEN = Path(__file__).parent


@pytest.fixture
def klimit(capsys):
    def run(*args):
        with pytest.raises(SystemExit) as end:
            program.main([str(arg) for arg in args], prog_name="klimit")
        return end.value.code, *capsys.readouterr()

    return run


DUMPS = [
    "trl/grpo", "trl/rloo", "trl/card", "verl/rollouts", "open_instruct/traces", "nemo_rl/val*",
    "open_instruct/rejection", "prime_rl/run", "prime_rl/platform", "tinker/**/eval*", "ms_swift/run",
    "reward_bench/answers", "best_of_n/answers", "inspect/zstd.eval", "lm_eval", "batch/output.jsonl",
]  # fmt: skip


@pytest.mark.parametrize("path", DUMPS)
def test_describe_says_what_was_inferred_and_how_to_override_it(klimit, path):
    code, out, err = klimit("describe", GOLDEN / path)
    assert (code, err) == (0, "")
    assert out.startswith("read as ")
    assert "(--prompt, --reward override)" in out
    assert "prompts told apart by" in out


RUNS = [
    "trl/grpo", "verl/rollouts", "open_instruct/traces", "nemo_rl/train*", "prime_rl/run",
    "prime_rl/platform", "tinker/**/train*", "tinker/**/eval*", "ms_swift/run", "ms_swift/older",
]  # fmt: skip


@pytest.mark.parametrize("path", RUNS)
def test_a_run_is_audited_with_no_option(klimit, path):
    code, out, err = klimit("audit", GOLDEN / path)
    assert (code, err) == (0, "")
    assert "gained" in out
    assert "is the base." in out


@pytest.mark.parametrize("path", ["verl/rollouts_v1", "reward_bench/answers"])
def test_a_dump_of_one_model_is_audited_against_another(klimit, path):
    code, out, err = klimit("audit", GOLDEN / path, GOLDEN / path)
    assert (code, err) == (0, "")
    assert "gained nothing over the base model" in out


MISSING = [
    ("trl/rloo", "say which: reward='length_reward' (--reward length_reward), or weigh them"),
    ("trl/card", "starts at step 10, when the policy has been trained already"),
    ("verl/rollouts_v1", "Give the base as another file: klimit audit BASE POLICY"),
    ("reward_bench/pairs", "give the base apart"),
    ("nemo_rl", "never read together"),
]


@pytest.mark.parametrize(("path", "what"), MISSING)
def test_what_a_dump_lacks_for_an_audit_is_said(klimit, path, what):
    code, out, err = klimit("audit", GOLDEN / path)
    assert code in (1, 2)
    assert out == ""
    assert what in err


@pytest.mark.parametrize(
    ("path", "options"),
    [
        ("trl/rloo", ["--weights", "length_reward=1,sun_reward=0.5"]),
        ("trl/card", ["--base-step", "10"]),
    ],
)
def test_the_option_that_the_error_names_is_enough(klimit, path, options):
    code, out, err = klimit("audit", GOLDEN / path, *options)
    assert (code, err) == (0, "")
    assert "gained" in out


@pytest.mark.parametrize("path", ["inspect/zstd.eval", "lm_eval", "open_instruct/rejection"])
def test_of_several_rewards_an_audit_asks_for_one(klimit, path):
    code, _, err = klimit("audit", GOLDEN / path, GOLDEN / path)
    assert code == 2
    reward = err.split("(--reward ")[1].split(")")[0]
    code, out, _ = klimit("audit", GOLDEN / path, GOLDEN / path, "--reward", reward)
    assert code == 0
    assert "gained nothing" in out


def test_an_audit_of_answers_without_scores_says_so(klimit):
    code, _, err = klimit("audit", GOLDEN / "batch/output.jsonl", GOLDEN / "batch/output.jsonl")
    assert code == 1
    assert "join scores first" in err


def test_a_base_of_several_steps_is_to_be_chosen(klimit):
    code, _, err = klimit("audit", GOLDEN / "trl/grpo", GOLDEN / "trl/grpo")
    assert code == 1
    assert "(--base-step 1)" in err
    code, out, _ = klimit("audit", GOLDEN / "trl/grpo", GOLDEN / "trl/grpo", "--base-step", "1")
    assert code == 0
    assert "Of 3 placements" in out


def test_limit_needs_no_option_where_a_dump_has_one_reward_and_one_step(klimit):
    code, out, err = klimit("limit", GOLDEN / "verl/rollouts_v1")
    assert (code, err) == (0, "")
    assert out.startswith("read as verl rollouts: 3 prompts x 4 samples at step 3, reward: score")


def test_limit_of_a_run_asks_which_step(klimit):
    code, out, err = klimit("limit", GOLDEN / "trl/grpo")
    assert (code, out) == (1, "")
    assert "samples of 3 steps (1, 2, 3), which are never pooled" in err
    assert "(--step 1)" in err
    code, out, _ = klimit("limit", GOLDEN / "trl/grpo", "--step", "1")
    assert code == 0
    assert "reward = length_reward + 0.5 sun_reward (weights of config.json)" in out


def test_limit_of_several_rewards_asks_for_one_or_for_weights(klimit):
    code, _, err = klimit("limit", GOLDEN / "trl/rloo", "--step", "1")
    assert code == 2
    assert "(--reward length_reward), or weigh them" in err
    weights = "length_reward=1,sun_reward=0.5"
    path = GOLDEN / "trl/rloo"
    code, out, _ = klimit("limit", path, "--step", "1", "--weights", weights, "--json")
    assert code == 0
    assert json.loads(out)["settings"]["reward"] == "reward"
    code, out, _ = klimit("limit", path, "--step", "1", "--weights", weights)
    assert f"--step 1 --weights {weights} --kl" in out


def test_a_reward_whose_name_holds_a_comma_can_be_weighed(klimit):
    weights = "exact_match,strict=1,exact_match,digits=0.5"
    code, out, _ = klimit("describe", GOLDEN / "lm_eval", "--weights", weights)
    assert code == 0
    assert "reward = exact_match,strict + 0.5 exact_match,digits" in out


def test_batch_output_says_that_scores_are_missing(klimit):
    code, _, err = klimit("limit", GOLDEN / "batch/output.jsonl")
    assert code == 1
    assert "join scores first" in err


@pytest.mark.parametrize("weights", ["acc", "acc=", "=1", "acc=x", ","])
def test_weights_that_cannot_be_read_are_shown(klimit, weights):
    code, out, err = klimit("describe", GOLDEN / "trl/rloo", "--weights", weights)
    assert (code, out) == (2, "")
    assert "names with weights were expected, such as acc=1,format=0.2" in err


def test_reward_and_weights_exclude_each_other(klimit):
    code, _, err = klimit("limit", GOLDEN / "trl/rloo", "--reward", "a", "--weights", "b=1")
    assert code == 2
    assert "weights make the reward" in err
