"""A row per sample, a row per prompt, and plain arrays."""

import json

import numpy as np
import polars as pl
import pytest
from numpy.testing import assert_equal

import klimit
from klimit import ArgumentError, DataError
from klimit.rollouts import group_arrays, read


def test_a_row_per_prompt_with_lists_is_unrolled(jsonl, as_dict):
    path = jsonl(
        [
            {"prompt": "a", "responses": ["x", "y", "z"], "rewards": [0.5, None, 1]},
            {"prompt": "b", "responses": ["w"], "rewards": [2]},
        ]
    )
    base = read(path)
    assert str(base) == "read 2 prompts x 1 to 3 samples (4 in all), reward: rewards"
    assert_equal(as_dict(base, "rewards"), {"a": [0.5, np.nan, 1.0], "b": [2.0]})
    assert base.frame()["completion"].to_list() == ["x", "y", "z", "w"]


def test_lists_of_unequal_length_are_named_with_their_row(tmp_path):
    path = tmp_path / "wide.parquet"
    lists = {"responses": [["x", "y"], ["z", "w", "v"]], "rewards": [[0.1, 0.2], [0.3, 0.4]]}
    pl.DataFrame({"prompt": ["a", "b"], **lists}).write_parquet(path)
    with pytest.raises(DataError, match="row 2: 'rewards' has 2 entries and 'responses' 3"):
        read(path)


def test_reward_finds_the_lone_column_rewards(jsonl):
    base = read(jsonl([{"prompt": "a", "rewards": [0.5, 1.0]}]), reward="reward")
    assert base.one_reward("reward") == base.one_reward("score") == "rewards"


def test_several_lists_are_several_rewards(as_dict):
    table = pl.DataFrame(
        {
            "prompt": ["a", "b"],
            "answers": [["x", "y"], ["z", "w"]],
            "proxy_scores": [[0.1, 0.2], [0.3, 0.4]],
            "gold_scores": [[1, 0], [1, 1]],
            "difficulty": [0.5, 0.7],
            "step": [3, 3],
        }
    )
    base = read(table)
    assert base.rewards == ("proxy_scores", "gold_scores")
    assert as_dict(base, "gold_scores") == {"a": [1.0, 0.0], "b": [1.0, 1.0]}
    assert base.steps == (3,)


def test_lists_of_a_sample_are_no_rewards():
    table = pl.DataFrame(
        {
            "prompt": ["a", "a"],
            "rm": [0.5, 1.0],
            "token_ids": [[1, 2], [3]],
            "embedding": [[0.1], [0.2]],
        }
    )
    assert read(table).rewards == ("rm",)


def test_rows_with_lists_need_no_prompt_column(as_dict):
    base = read(pl.DataFrame({"rewards": [[0.5, 1.0], [0.0, 2.0]]}))
    assert as_dict(base, "rewards") == {"0": [0.5, 1.0], "1": [0.0, 2.0]}
    assert base.prompt_key == "row"


def test_two_rows_of_one_prompt_are_one_prompt(as_dict):
    base = read(pl.DataFrame({"id": ["a", "b", "a"], "rewards": [[0.5], [1.0], [0.0]]}))
    assert as_dict(base, "rewards") == {"a": [0.5, 0.0], "b": [1.0]}


def test_empty_and_missing_lists_are_a_prompt_without_rewards(as_dict):
    base = read(pl.DataFrame({"prompt": ["a", "b", "c"], "rewards": [[0.5, 1.0], [], None]}))
    assert_equal(as_dict(base, "rewards"), {"a": [0.5, 1.0], "b": [np.nan], "c": [np.nan]})


def test_lists_that_hold_a_prompt_per_sample_are_not_pooled(jsonl, as_dict):
    """A batch per line, as ms-swift writes it."""
    line = {
        "step": [1, 1, 1],
        "prompt": ["a", "a", "b"],
        "completion": ["x", "y", "z"],
        "acc": [1, 0, 1],
    }
    base = read(jsonl([line, {**line, "prompt": ["b", "b", "c"]}]))
    assert as_dict(base, "acc") == {"a": [1.0, 0.0], "b": [1.0, 1.0, 0.0], "c": [1.0]}
    assert base.frame()["prompt"].to_list() == ["a", "a", "b", "b", "b", "c"]


def test_the_id_of_a_conversation_is_its_json():
    chat = [{"role": "user", "content": "why?"}, {"role": "user", "content": "so?"}]
    (found,) = read({"prompt": [chat, chat], "rm": [0.5, 1.0]}).ids
    assert json.loads(found) == chat


def test_messages_are_one_prompt():
    chat = [[{"role": "user", "content": text}] for text in ("hi", "bye")]
    base = read(pl.DataFrame({"prompt": chat, "rewards": [[0.5, 1.0], [2.0]]}))
    assert base.grouped().lengths.tolist() == [2, 1]


def test_lists_of_fixed_size_are_lists(as_dict):
    table = pl.DataFrame(
        {"prompt": ["a"], "rewards": [[0.5, 1.0]]},
        schema_overrides={"rewards": pl.Array(pl.Float64, 2)},
    )
    assert as_dict(read(table), "rewards") == {"a": [0.5, 1.0]}


def test_one_reward_in_a_list_is_the_reward_of_its_answer(as_dict):
    table = pl.DataFrame(
        {"prompt": ["a", "a"], "completion": ["x", "y"], "rewards": [[0.5], [1.0]]}
    )
    assert as_dict(read(table), "rewards") == {"a": [0.5, 1.0]}


@pytest.mark.parametrize(
    ("name", "who", "what", "model"),
    [("messages", "role", "content", "assistant"), ("conversations", "from", "value", "gpt")],
)
def test_the_answer_at_the_end_of_a_conversation_is_no_part_of_the_prompt(name, who, what, model):
    def chat(*turns):
        return [{who: role, what: text} for role, text in turns]

    asked = [("system", "Be brief."), ("user", "hi"), (model, "yes?")]
    table = pl.DataFrame(
        {
            name: [
                chat(*asked, ("user", "why?"), (model, "so")),
                chat(*asked, ("user", "why?"), (model, "look"), ("tool", "42"), (model, "42")),
                chat(*asked, ("user", "how?"), (model, "so")),
                chat(*asked, ("user", "how?"), (model, "so")),
            ],
            "rm": [0.0, 1.0, 0.5, 0.5],
        }
    )
    base = read(table)
    assert base.shape.prompts == 2
    frame = base.frame()
    assert frame["completion"].to_list() == ["so", "42", "so", "so"]
    assert frame["prompt"][1].to_list() == chat(*asked, ("user", "why?"))
    with_ids = table.with_columns(prompt_id=pl.Series([7, 7, 8, 8]))
    assert read(with_ids).ids == ["7", "8"]


def test_a_conversation_beside_its_answer_is_the_prompt_as_it_stands():
    chat = [{"role": "user", "content": "why?"}, {"role": "assistant", "content": "Because"}]
    base = read(pl.DataFrame({"messages": [chat] * 2, "response": ["so", "no"], "rm": [0.0, 1.0]}))
    assert base.frame()["prompt"][0].to_list() == chat


def test_lists_that_differ_in_length_are_refused_with_their_row():
    table = pl.DataFrame(
        {
            "prompt": ["a", "b"],
            "responses": [["x", "y"], ["z"]],
            "rewards": [[0.5, 1.0], [1.0, 2.0]],
        }
    )
    with pytest.raises(DataError, match="row 2: 'rewards' has 2 entries and 'responses' 1"):
        read(table)


def test_lists_written_to_csv_are_lists(tmp_path, as_dict):
    path = tmp_path / "a.csv"
    path.write_text('prompt,rewards\na,"[0.5, 1, -2e-1]"\nb,"[3]"\n')
    assert as_dict(read(path), "rewards") == {"a": [0.5, 1.0, -0.2], "b": [3.0]}


@pytest.mark.parametrize(
    "rewards",
    [
        np.array([[0.5, 1.0], [2.0, np.nan]]),
        [[0.5, 1.0], [2.0, None]],
        np.ma.masked_invalid([[0.5, 1.0], [2.0, np.nan]]),
        [np.array([0.5, 1.0]), np.array([2.0, np.nan])],
        [np.array([0.5, 1.0]), np.ma.masked_greater([2.0, 9.0], 5)],
        list(np.ma.masked_greater([[0.5, 1.0], [2.0, 9.0]], 5)),
        {"reward": np.array([[0.5, 1.0], [2.0, np.nan]])},
        pl.DataFrame({"a": [0.5, 2.0], "b": [1.0, None]}).to_numpy(),
    ],
)
def test_arrays_are_prompts_by_samples(rewards, as_dict):
    expected = {"0": [0.5, 1.0], "1": [2.0, np.nan]}
    assert_equal(as_dict(read(rewards), "reward"), expected)
    grouped = group_arrays(rewards)
    assert_equal(grouped.columns["reward"], [0.5, 1.0, 2.0, np.nan])
    assert grouped.lengths.tolist() == [2, 2]


def test_prompts_may_have_different_numbers_of_samples():
    grouped = group_arrays([np.array([1, 0, 1]), np.array([0.5])])
    assert grouped.lengths.tolist() == [3, 1]
    assert grouped.columns["reward"].tolist() == [1.0, 0.0, 1.0, 0.5]


def test_a_full_array_of_float64_is_not_copied():
    rewards = np.random.default_rng(0).normal(size=(5, 7))
    assert np.shares_memory(group_arrays(rewards).columns["reward"], rewards)


def test_a_dict_of_columns_is_a_table():
    base = read({"question": ["a", "b"], "score": np.array([0.5, 1.0])})
    assert base.prompt_key == "question"


def test_a_dict_with_a_named_key_is_a_table():
    base = read({"topic": ["a", "b"], "rewards": [[0.5, 1.0], [0.0]]}, prompt="topic")
    assert base.grouped().ids == ["a", "b"]
    with pytest.raises(DataError, match="no prompt key"):
        read({"rm": [0.5, 1.0]})


def test_records_are_a_table(as_dict):
    base = read([{"prompt": "a", "rm": 1}, {"prompt": "a", "rm": None, "note": "x"}])
    assert_equal(as_dict(base), {"a": [1.0, np.nan]})


@pytest.mark.parametrize(
    ("rewards", "error", "words"),
    [
        ([0.5, 1.0], ArgumentError, r"shape \(2,\); \(prompts, samples\) was expected"),
        (np.zeros((2, 2, 2)), ArgumentError, "shape"),
        ([[0.5, "x"]], DataError, "numbers were expected"),
        ([[[1, 2], [3]], [4, 5, 6]], DataError, r"holds \[1, 2\]; numbers were expected"),
        ([[10**400, 1], [2, 3]], DataError, "holds 10000"),
        ([[0.5, float("inf")]], DataError, "inf for prompt '0', sample 2 of 2"),
        (
            [np.array([0.5]), np.array([-np.inf, 1])],
            DataError,
            "-inf for prompt '1', sample 1 of 2",
        ),
        (np.full((2, 3), np.nan), DataError, "every one of the 6 samples lacks reward 'reward'"),
        (np.zeros((0, 3)), DataError, "no samples"),
        ({"a": [[1.0]], "b": [[1.0, 2.0]]}, ArgumentError, "differ in shape"),
        ({}, ArgumentError, "without rewards"),
        ([[[1.0]], [[1.0], [2.0]]], ArgumentError, "shape"),
    ],
)
def test_arrays_of_another_kind_are_refused(rewards, error, words):
    with pytest.raises(error, match=words):
        group_arrays(rewards)


@pytest.mark.parametrize("kind", ["polars", "lazy", "pandas", "arrow"])
def test_a_table_is_not_taken_for_an_array(kind):
    frame = pl.DataFrame({"prompt_id": [0, 0, 1, 1], "reward": [0.1, 0.2, 0.3, 0.4]})
    convert = {
        "polars": lambda: frame,
        "lazy": frame.lazy,
        "pandas": frame.to_pandas,
        "arrow": frame.to_arrow,
    }
    for ask in (
        klimit.frontier, lambda table: klimit.best_of_n(table, n=2),
        lambda table: klimit.hacking(table, proxy="reward", gold="reward"),
    ):  # fmt: skip
        with pytest.raises(ArgumentError, match=r"a table \(.*Read it first: klimit\.read"):
            ask(convert[kind]())


@pytest.mark.parametrize("name", ["samples", "completions", "outputs", "choices"])
@pytest.mark.parametrize("suffix", ["jsonl", "json", "parquet"])
def test_samples_that_are_records_in_a_list_have_a_row_each(name, suffix, tmp_path):
    rewards = {"a": [0.5, 1.0, 0.0], "b": [2.0, 3.0]}
    rows = [
        {"id": at, "prompt": p, "mean": 1.0, "model": "m"}
        | {name: [{"id": i, "text": str(r), "rm": r} for i, r in enumerate(several)]}
        for at, (p, several) in enumerate(rewards.items())
    ]
    path = tmp_path / f"a.{suffix}"
    if suffix == "parquet":
        pl.DataFrame(rows).write_parquet(path)
    else:
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        path.write_text(lines if suffix == "jsonl" else json.dumps(rows))
    base = read(path)
    assert str(base) == "read 2 prompts x 2 to 3 samples (5 in all) of m, reward: rm"
    assert base.grouped().columns["rm"].tolist() == [0.5, 1.0, 0.0, 2.0, 3.0]
    assert base.frame()["completion"].to_list()[:2] == ["0.5", "1.0"]
    assert read(path, reward="mean").shape.rows == 2


def test_records_beside_a_reward_of_the_row_are_not_its_samples():
    turns = [{"text": "x", "score": 1.0}, {"text": "y", "score": 2.0}]
    base = read([{"prompt": "a", "rollout": turns, "reward": r} for r in (0.5, 1.0)])
    assert base.grouped().columns["reward"].tolist() == [0.5, 1.0]
    wide = read([{"prompt": "a", "completions": turns, "rewards": [0.5, 1.0]}])
    assert wide.grouped().columns["rewards"].tolist() == [0.5, 1.0]
