"""Which column is what."""

import polars as pl
import pytest

from klimit import ArgumentError, DataError
from klimit.rollouts import read
from klimit.rollouts.layout import detect
from klimit.rollouts.names import never_reward

TEXT, REAL, WHOLE, YES = pl.String(), pl.Float64(), pl.Int64(), pl.Boolean()
TOKENS = pl.List(pl.Int64())

# What users have -> key, rewards, what else was recognised.
TABLES = [
    (
        {"prompt_id": TEXT, "prompt": TEXT, "completion": TEXT, "reward": REAL, "logprob": REAL,
         "ref_logprob": REAL, "tokens": WHOLE, "step": WHOLE, "policy": TEXT},
        "prompt_id", ("reward",),
        {"prompt", "completion", "logprob", "ref_logprob", "tokens", "step", "policy"},
    ),
    (  # TRL with log_completions
        {"step": WHOLE, "prompt": TEXT, "completion": TEXT, "reward_len": REAL, "format": REAL,
         "advantage": REAL},
        "prompt", ("reward_len", "format"), {"prompt", "completion", "step"},
    ),
    (  # verl
        {"input": TEXT, "output": TEXT, "gts": TEXT, "score": REAL, "step": WHOLE, "acc": YES},
        "input", ("score", "acc"), {"prompt", "completion", "step"},
    ),
    (  # prime-rl
        {"run_id": TEXT, "problem_id": WHOLE, "sample_id": WHOLE, "prompt": TEXT,
         "completion": TEXT, "reward": REAL, "advantage": REAL, "num_input_tokens": WHOLE,
         "num_output_tokens": WHOLE},
        "problem_id", ("reward",), {"prompt", "completion", "tokens"},
    ),
    (  # a folder of this project's own development data
        {"prompt_id": TEXT, "task": TEXT, "sample_id": WHOLE, "prompt": TEXT, "completion": TEXT,
         "n_tokens": WHOLE, "finished_eos": YES, "logprob": REAL, "sum_cond_entropy": REAL,
         "token_ids": TOKENS, "token_logprobs": pl.List(REAL), "vader": REAL},
        "prompt_id", ("vader",), {"prompt", "completion", "tokens", "logprob"},
    ),
    (  # wide
        {"prompt": TEXT, "answers": pl.List(TEXT), "proxy_scores": pl.List(REAL),
         "gold_scores": pl.List(REAL)},
        "prompt", ("proxy_scores", "gold_scores"), {"prompt", "completion"},
    ),
    (
        {"questionId": TEXT, "Response": TEXT, "Score": REAL},
        "questionId", ("Score",), {"completion"},
    ),
    (
        {"id": TEXT, "epoch": WHOLE, "input": TEXT, "score_match": REAL},
        "input", ("score_match",), {"prompt"},
    ),
]  # fmt: skip


@pytest.mark.parametrize(("schema", "key", "rewards", "others"), TABLES)
def test_the_tables_that_people_have_are_understood(schema, key, rewards, others):
    found = detect(schema)
    assert found.prompt_key == key
    assert found.rewards == rewards
    assert set(found.columns) == others


@pytest.mark.parametrize(
    "name",
    ["step", "global_step", "epoch", "tokens", "n_tokens", "completion_length", "advantage",
     "logprob",
     "ref_logprob", "policy_log_prob", "logprobs", "sample_id", "request_idx", "index", "seed",
     "temperature", "top_p", "max_new_tokens", "entropy", "kl", "Unnamed: 0", "timestamp", "label",
     "reward_std", "reward_id", "finished", "truncated", "difficulty", "promptLength",
     "advantages", "prediction", "extracted_answer", "finalAnswer", "expected"],
)  # fmt: skip
def test_bookkeeping_is_never_a_reward(name):
    assert never_reward(name)


@pytest.mark.parametrize(
    "name",
    ["reward", "rm", "toxicity", "rougeL", "rewards/vader", "reward_len", "is_correct", "pass",
     "score_1",
     "length_reward", "helpfulness", "gold", "bleu", "pred_ok", "rm_logit", "format_score",
     "predicted_score", "final_answer_correct"],
)  # fmt: skip
def test_what_measures_an_answer_is_a_reward(name):
    assert not never_reward(name)


def test_prompt_and_reward_override_what_was_found():
    table = pl.DataFrame(
        {"prompt": ["a", "a"], "topic": ["x", "y"], "rm": [0.5, 1.0], "length": [3, 4]}
    )
    base = read(table, prompt="topic", reward="length")
    assert base.prompt_key == "topic"
    assert base.rewards == ("length",)
    assert base.grouped().columns["length"].tolist() == [3.0, 4.0]


def test_several_rewards_can_be_named():
    table = pl.DataFrame({"prompt": ["a"], "rm": [0.5], "rouge": [0.1], "other": [1.0]})
    assert read(table, reward=["rouge", "rm"]).rewards == ("rouge", "rm")


def test_several_columns_can_be_the_key_together():
    table = pl.DataFrame({"task": ["t", "t", "u"], "idx": [0, 0, 0], "rm": [0.5, 1.0, 2.0]})
    base = read(table, prompt=["task", "idx"])
    assert base.grouped().lengths.tolist() == [2, 1]


def test_samples_can_be_read_before_they_are_scored():
    base = read(pl.DataFrame({"prompt": ["a"], "completion": ["x"]}), reward=())
    assert base.rewards == ()
    assert str(base.describe()).startswith("read 1 prompt x 1 sample, rewards: none")
    with pytest.raises(DataError, match="read without rewards; join scores first"):
        base.one_reward()


@pytest.mark.parametrize("asked", [{"prompt": "promt"}, {"reward": "tocixity"}])
def test_a_name_that_is_no_column_is_answered_with_the_nearest(asked):
    table = pl.DataFrame({"prompt": ["a"], "toxicity": [0.5]})
    with pytest.raises(ArgumentError, match=r"is no column here.* Did you mean (prompt|toxicity)"):
        read(table, **asked)


@pytest.mark.parametrize("asked", [{"prompt": 3}, {"reward": [1]}, {"reward": {"a": 1}.values()}])
def test_only_names_name_columns(asked):
    with pytest.raises(ArgumentError, match="names no column"):
        read(pl.DataFrame({"prompt": ["a"], "rm": [0.5]}), **asked)


def test_metadata_comes_from_columns_that_do_not_vary():
    table = pl.DataFrame(
        {
            "prompt": ["a", "a"],
            "rm": [0.5, 1.0],
            "temperature": [1.0, 1.0],
            "top_p": [0.9, 1.0],
            "max_new_tokens": [32, 32],
        }
    )
    assert read(table).metadata == {"temperature": 1.0, "max_tokens": 32}
    assert read(table).rewards == ("rm",)


def test_the_summary_names_policy_temperature_and_step():
    table = pl.DataFrame(
        {
            "prompt": ["a", "a"],
            "quality": [0.5, 1.0],
            "model": ["SmolLM2"] * 2,
            "temperature": [1.0] * 2,
            "step": [0, 0],
        }
    )
    assert (
        str(read(table))
        == "read 1 prompt x 2 samples of SmolLM2 (temperature 1) at step 0, reward: quality"
    )
