"""Each framework's golden dump is read as what it is (docs/reading-dumps.md says how each was made)."""

import re
from pathlib import Path

import pytest
from numpy.testing import assert_allclose

import klimit
from klimit import DataError

GOLDEN = Path(__file__).parent


def golden(path, **options):
    return klimit.read(str(GOLDEN / path), **options)


# Path, what the line begins with, prompts, samples of each, steps, rewards.
DUMPS = [
    ("trl/grpo", "TRL completions", 4, (4, 4), 3, ("reward",)),
    ("trl/rloo", "TRL completions table", 4, (4, 4), 3, ("length_reward", "sun_reward")),
    ("trl/card", "TRL completions", 3, (4, 4), 2, ("reward",)),
    ("verl/rollouts", "verl rollouts", 3, (4, 4), 2, ("score",)),
    ("verl/rollouts_v1", "verl rollouts", 3, (4, 4), 1, ("score",)),
    ("open_instruct/traces", "open-instruct traces", 4, (4, 4), 2, ("reward",)),
    ("open_instruct/rejection", "open-instruct rejection sampling", 3, (4, 4), 0, ("rm-a", "rm-b")),
    ("nemo_rl/train_*.jsonl", "NeMo-RL data", 3, (4, 4), 2, ("reward",)),
    ("nemo_rl/val_*.jsonl", "NeMo-RL data", 3, (1, 1), 1, ("reward",)),
    ("prime_rl/run", "prime-rl traces", 2, (4, 4), 2, ("reward",)),
    ("prime_rl/platform", "prime-rl samples", 3, (4, 4), 2, ("reward",)),
    ("tinker/**/train*.jsonl", "tinker-cookbook rollouts", 6, (4, 4), 2, ("reward",)),
    ("tinker/**/eval*.jsonl", "tinker-cookbook rollouts", 3, (4, 4), 2, ("reward",)),
    ("ms_swift/run", "ms-swift completions", 2, (4, 4), 2, ("reward",)),
    ("ms_swift/older", "ms-swift completions", 3, (4, 4), 2, ("reward",)),
    ("reward_bench/answers", "reward-bench outputs", 3, (4, 4), 0, ("reward",)),
    ("reward_bench/pairs", "reward-bench pairs", 3, (1, 1), 0, ("reward",)),
    ("reward_bench/best_of_n", "reward-bench best-of-N scores", 3, (4, 4), 0, ("scores",)),
    ("best_of_n/answers", "best-of-N answers", 3, (8, 8), 0, ("proxy_scores", "gold_scores")),
    ("inspect/zstd.eval", "Inspect log", 3, (4, 4), 0, ("match", "brevity", "graded")),
    ("inspect/deflate.eval", "Inspect log", 3, (4, 4), 0, ("match", "brevity", "graded")),
    ("lm_eval", "lm-eval samples", 4, (3, 3), 0, ("exact_match,strict", "exact_match,digits")),
    ("batch/output.jsonl", "batch output", 3, (4, 4), 0, ()),
]


@pytest.mark.parametrize(("path", "name", "prompts", "samples", "steps", "rewards"), DUMPS)
def test_a_dump_is_read_with_no_option(path, name, prompts, samples, steps, rewards):
    base = golden(path)
    assert base.read_as == name
    assert str(base).startswith(f"read as {name}: {prompts} prompts x ")
    assert str(base).endswith("(--prompt, --reward override)")
    assert base.shape.prompts == prompts
    assert (base.shape.fewest, base.shape.most) == samples
    assert len(base.steps) == steps
    assert base.rewards == rewards


def test_trl_rewards_add_up_by_the_weights_of_the_runs_configuration():
    base = golden("trl/grpo")
    assert base.total == "length_reward + 0.5 sun_reward (weights of config.json)"
    frame = base.frame()
    assert_allclose(frame["reward"], frame["length_reward"] + 0.5 * frame["sun_reward"])
    assert base.metadata == {"temperature": 1.0}


def test_trl_advantages_follow_from_the_total():
    """The trainer's own advantages are the totals, centred and scaled within prompt and step."""
    import polars as pl

    group = ["prompt", "step"]
    reward = pl.col("reward")
    centred = reward - reward.mean().over(group)
    scaled = centred / (reward.std().over(group) + 1e-4)
    frame = golden("trl/grpo").frame().with_columns(scaled.alias("again"))
    assert_allclose(frame["again"], frame["advantage"], atol=1e-3)


def test_a_component_of_the_total_is_there_by_name():
    base = golden("trl/grpo").filter(step=1)
    assert set(base.grouped("sun_reward").columns["sun_reward"]) <= {0.0, 1.0}
    assert golden("trl/grpo", reward="n_words").rewards == ("n_words",)


def test_the_same_table_logged_twice_counts_once():
    """W&B keeps the last table of a run under two names that end in the same digest."""
    files = sorted((GOLDEN / "trl" / "rloo").glob("*.json"))
    assert len(files) == 4
    assert len(golden("trl/rloo")) == 3 * 8


def test_a_verl_rollout_of_several_turns_is_one_sample_with_the_score_of_its_last():
    lines = (GOLDEN / "verl/rollouts_v1/3.jsonl").read_text().splitlines()
    base = golden("verl/rollouts_v1")
    assert len(lines) == 15
    assert len(base) == 12
    assert base.ids == ["What is 2 + 2?", "What is 3 + 5?", "What is 7 - 6?"]


def test_prompts_of_verl_recur_over_steps():
    base = golden("verl/rollouts")
    assert base.filter(step=1).ids == base.filter(step=2).ids


def test_log_probabilities_of_open_instruct_are_summed_over_tokens():
    import json

    lines = (GOLDEN / "open_instruct/traces/tiny_rollouts_000000.jsonl").read_text().splitlines()
    frame = golden("open_instruct/traces").frame()
    assert_allclose(frame["logprob"], [sum(json.loads(line)["logprobs"]) for line in lines])
    assert set(frame["tokens"]) == {3}


def test_nemo_rl_counts_only_the_tokens_that_were_trained_on():
    frame = golden("nemo_rl/train_*.jsonl").frame()
    assert set(frame["tokens"]) == {2}
    assert frame["logprob"].is_between(-2, 0, closed="none").all()


def test_prime_rl_has_log_probabilities_of_policy_and_reference():
    frame = golden("prime_rl/run").frame()
    assert_allclose(frame["logprob"] - frame["ref_logprob"], 0.2)
    assert_allclose(frame["reward"], frame["rewards/right"] + 0.2 * frame["rewards/short"])


def test_prime_rl_reads_all_episodes_rather_than_those_that_were_trained_on():
    assert len(golden("prime_rl/run")) == 16
    assert len(golden("prime_rl/run/**/effective/*.jsonl")) == 8


def test_evaluations_of_tinker_ask_the_same_prompts_again_and_training_does_not():
    evaluations, training = golden("tinker/**/eval*.jsonl"), golden("tinker/**/train*.jsonl")
    assert evaluations.filter(step=0).ids == evaluations.filter(step=10).ids
    assert not set(training.filter(step=0).ids) & set(training.filter(step=1).ids)


def test_weights_of_ms_swift_come_from_its_args_file():
    base = golden("ms_swift/run")
    assert base.total == "Accuracy + 0.2 Format (weights of args.json)"
    assert base.steps == (1, 2)


def test_the_two_sides_of_a_preference_pair_are_two_policies():
    assert golden("reward_bench/pairs").policies == ("chosen", "rejected")


def test_filters_of_lm_eval_are_rewards_and_not_samples():
    base = golden("lm_eval")
    assert base.policies == ("local__guesses",)
    frame = base.frame()
    assert (frame["exact_match,digits"] >= frame["exact_match,strict"]).all()
    assert frame["prompt"].to_list()[0] == "2 + 2 = ?"


@pytest.mark.parametrize("method", ["zstd", "deflate"])
def test_grades_of_inspect_are_numbers_and_nan_is_missing(method):
    base = golden(f"inspect/{method}.eval")
    frame = base.frame()
    assert set(frame["graded"]) == {0.0, 0.5, 1.0}
    assert set(frame["match"]) == {0.0, 1.0}
    assert frame["brevity"].null_count() > 0
    assert frame["brevity"].drop_nulls().is_between(-6, -1).all()
    assert set(frame["tokens"]) == {3}
    assert base.policies == ("mockllm/model",)


def test_both_ways_to_pack_an_inspect_log_read_the_same():
    rewards = ["prompt_id", "match", "brevity", "graded"]
    one, other = (golden(f"inspect/{x}.eval").frame().select(rewards) for x in ("zstd", "deflate"))
    assert one.equals(other)


def test_batch_output_is_joined_with_scores_made_elsewhere():
    answers = golden("batch/output.jsonl")
    with pytest.raises(DataError, match="read without rewards; join scores first"):
        answers.one_reward()
    scored = answers.join(str(GOLDEN / "batch/scores.jsonl"))
    assert scored.rewards == ("reward",)
    assert scored.grouped().lengths.tolist() == [4, 4, 4]
    assert scored.frame()["logprob"].null_count() == 0


@pytest.mark.parametrize(
    ("path", "patterns"),
    [
        ("nemo_rl", ("train_data_step*.jsonl", "val_data_step*.jsonl")),
        ("tinker", ("eval_sums_rollout_summaries.jsonl", "train_rollout_summaries.jsonl")),
        ("verl", ("rollouts/*.jsonl", "rollouts_v1/*.jsonl")),
    ],
)
def test_training_and_validation_are_never_read_together(path, patterns):
    with pytest.raises(DataError, match="never read together") as caught:
        golden(path)
    assert all(pattern in str(caught.value) for pattern in patterns)


def test_means_per_n_are_no_samples():
    with pytest.raises(DataError, match="one mean score per N"):
        golden("best_of_n/results")


def test_prompt_and_reward_override_what_a_reader_found():
    base = golden("verl/rollouts", prompt="gts", reward="acc")
    assert base.prompt_key == "gts"
    assert base.rewards == ("acc",)


def test_no_golden_file_names_a_machine():
    machine = re.compile(rb"/(?:root|home|work|tmp|Users)/")
    from klimit.rollouts.formats.archive import Archive

    for path in GOLDEN.rglob("*"):
        if path.suffix == ".eval":
            archive = Archive(path)
            texts = [archive.read(name) for name in archive.members]
        else:
            texts = [path.read_bytes()] if path.is_file() and path.suffix != ".py" else []
        assert not any(machine.search(text) for text in texts), path


@pytest.mark.parametrize("path", [dump[0] for dump in DUMPS if dump[-1]])
@pytest.mark.parametrize("name", ["again.parquet", "again.jsonl"])
def test_what_was_read_and_written_reads_back_the_same(path, name, tmp_path):
    base = golden(path)
    again = klimit.read(base.write(tmp_path / name), reward=base.rewards)
    assert again.ids == base.ids
    assert again.steps == base.steps
    assert again.frame().select(base.rewards).equals(base.frame().select(base.rewards))


def test_a_file_that_klimit_wrote_keeps_its_total(tmp_path):
    path = golden("trl/grpo").write(tmp_path / "again.parquet")
    assert klimit.read(path).rewards == ("reward",)
