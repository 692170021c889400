"""Dumps whose layout invites to take several prompts, policies or answers for one."""

import json

import pandas as pd
import polars as pl
import pytest

from klimit import DataError, DataWarning
from klimit.rollouts import read

REWARDS = [1.0, 2.0, 3.0, 5.0]
ROWS = [{"prompt": p, "completion": str(r), "rm": r} for p, r in zip("aabb", REWARDS, strict=True)]


def shape(source, **how):
    base = read(source, **how)
    return base.shape.prompts, base.shape.rows


@pytest.mark.parametrize("options", [{}, {"indent": 2}, {"index": "named"}])
def test_a_table_as_pandas_writes_it_has_a_row_per_row(options, tmp_path):
    frame = pd.DataFrame(ROWS)
    if options.pop("index", None):
        frame.index = list("wxyz")
    frame.to_json(tmp_path / "a.json", **options)
    base = read(tmp_path / "a.json")
    assert base.ids == ["a", "b"]
    assert base.grouped().columns["rm"].tolist() == REWARDS
    frame.groupby("prompt", as_index=False).agg(list).to_json(tmp_path / "wide.json")
    assert read(tmp_path / "wide.json").grouped("rm").columns["rm"].tolist() == REWARDS


@pytest.mark.parametrize("text", ["question", "post", "input"])
def test_a_prompt_that_is_several_questions_is_asked_about(text):
    rows = [{"prompt": "Answer in brief.", text: row["prompt"], "rm": row["rm"]} for row in ROWS]
    with pytest.raises(DataError, match=f"'prompt' makes 1 prompt, '{text}' makes 2"):
        read(rows)
    assert shape(rows, prompt=text) == shape(rows, prompt=["prompt", text]) == (2, 4)
    assert shape(rows, prompt="prompt") == (1, 4)


def test_other_texts_beside_a_prompt_are_let_be():
    whole = [
        row | {"input": row["prompt"] + row["completion"]} for row in ROWS
    ]  # each sample's own
    finer = [row | {"prompt": f"{row['prompt']}?", "question": "?"} for row in ROWS]
    assert shape(whole) == shape(finer) == (2, 4)
    assert shape([*whole, whole[0]]) == (2, 5)  # an answer that came back


def test_only_the_prompt_itself_has_to_be_in_every_file(jsonl, tmp_path):
    jsonl([row | {"question": row["prompt"]} for row in ROWS[:2]], "run/a.jsonl")
    jsonl(ROWS[2:], "run/b.jsonl")
    assert shape(tmp_path / "run") == (2, 4)


@pytest.mark.parametrize("name", ["prompt_id", "group_ids", "task_id"])
def test_ids_in_lists_belong_to_the_samples(name, jsonl):
    path = jsonl([{"step": step, name: [7, 7, 8, 8], "rewards": REWARDS} for step in (1, 2)])
    assert shape(path) == (2, 8)
    assert read(path).filter(step=2).grouped().columns["rewards"].tolist() == REWARDS


@pytest.mark.parametrize("name", ["prompt", "prompt_ids"])
def test_tokens_of_a_prompt_are_one_prompt(name, jsonl):
    rows = [{name: [1, 2, end, 4], "rewards": REWARDS} for end in (5, 6)]
    base = read(jsonl(rows))
    assert (base.shape.prompts, base.shape.most) == (2, 4)
    assert base.grouped().columns["rewards"].tolist() == REWARDS * 2


@pytest.mark.parametrize("folders", [False, True])
def test_what_is_called_base_is_another_policy_than_what_is_not(folders, jsonl, tmp_path):
    for name in ("base", "grpo"):
        for rank in range(2 if folders else 1):
            jsonl(ROWS, f"run/{name}/{rank}.jsonl" if folders else f"run/{name}.jsonl")
    base = read(tmp_path / "run")
    assert base.policies == ("base", "grpo")
    assert base.shape.most == (4 if folders else 2)
    with pytest.raises(DataError, match="samples of 2 policies"):
        base.grouped()


def test_more_of_the_base_is_the_base_and_versions_stay_apart(jsonl, tmp_path):
    for name in ("base", "base_2", "base-more"):
        jsonl(ROWS, f"run/{name}.jsonl")
    assert read(tmp_path / "run").policies == ()
    for name in ("base", "grpo.v1", "grpo.v2"):
        jsonl(ROWS, f"runs/{name}.jsonl")
    assert read(tmp_path / "runs").policies == ("base", "grpo.v1", "grpo.v2")


def test_iterations_are_steps(jsonl, tmp_path):
    for name in ("iter_10", "iter20"):
        jsonl(ROWS, f"run/{name}.jsonl")
    assert read(tmp_path / "run").steps == (10, 20)


@pytest.mark.parametrize("names", ["0 100 200", "50 100", "0 1 2", "1 2 3", "000 050 100"])
def test_files_that_are_called_numbers_are_steps_where_the_prompts_come_again(
    names, jsonl, tmp_path
):
    for name in names.split():
        jsonl(ROWS, f"run/{name}.jsonl")
        jsonl(ROWS, f"folders/{name}/samples.jsonl")
    for folder in ("run", "folders"):
        base = read(tmp_path / folder)
        assert base.steps == tuple(map(int, names.split()))
        assert (base.shape.most, base.policies) == (2, ())
        assert "steps by the names of files" in str(base)
        with pytest.raises(DataError, match=r"Choose one: .*; or put files of one step into one"):
            base.grouped()
        last = base.filter(step=base.steps[-1])
        assert last.frame()["step"].unique().to_list() == [base.steps[-1]]


@pytest.mark.parametrize("names", ["0 1 2", "1 2", "00000 00001"])
def test_files_that_are_called_numbers_are_parts_where_each_has_its_prompts(names, jsonl, tmp_path):
    for name in names.split():
        jsonl([row | {"prompt": row["prompt"] + name} for row in ROWS], f"run/{name}.jsonl")
    base = read(tmp_path / "run")
    assert (base.steps, base.shape.prompts) == ((), 2 * len(names.split()))
    base.grouped()


def test_numbers_that_may_count_steps_or_rows_are_said(jsonl, tmp_path):
    for name in ("0", "50", "100"):
        jsonl([row | {"prompt": row["prompt"] + name} for row in ROWS], f"run/{name}.jsonl")
    with pytest.warns(DataWarning, match=r"0, 50, 100 share hardly any prompt.*call them step_0"):
        base = read(tmp_path / "run")
    assert (base.steps, base.shape.prompts) == ((), 6)


def test_a_column_of_steps_or_a_number_that_is_not_alone_goes_before_numbers(jsonl, tmp_path):
    for at, name in enumerate(("100", "200")):
        jsonl([row | {"step": at} for row in ROWS], f"column/{name}.jsonl")
        jsonl(ROWS, f"run/grpo/{name}.jsonl")
    jsonl(ROWS, "run/base/0.jsonl")
    assert read(tmp_path / "column").steps == (0, 1)
    both = read(tmp_path / "run")
    assert (both.policies, both.steps) == (("base", "grpo"), (0, 100, 200))
    for name in ("00000", "00001"):
        jsonl(ROWS, f"parts/{name}.jsonl")
    assert read(tmp_path / "parts").together == ("2 sources together",)


def test_scores_of_pairs_are_no_two_rewards_of_one_answer():
    pairs = [{"prompt": "a", "chosen_score": 1.0, "rejected_score": 0.5}] * 4
    for rows in (pairs, [row | {"chosen": "x", "rejected": "y"} for row in pairs]):
        with pytest.raises(DataError, match="chosen and rejected look like preference pairs"):
            read(rows)
        assert read(rows, reward="chosen_score").rewards == ("chosen_score",)
    assert read([row | {"completion": "z", "rm": 1.0} for row in pairs], reward="rm").rewards == (
        "rm",
    )


@pytest.mark.parametrize("name", ["task", "data_source", "split"])
def test_ids_that_count_anew_in_every_data_set_are_asked_about(name):
    rows = [
        {name: one, "doc_id": i // 2, "score": float(i)}
        for one in ("gsm", "math")
        for i in range(4)
    ]
    with pytest.raises(DataError, match=f"'doc_id' makes 2 prompts, '{name}' makes 2"):
        read(rows)
    assert shape(rows, prompt=[name, "doc_id"]) == (4, 8)
    with pytest.raises(DataError, match=f"'{name}' makes 2"):
        read(rows[::2])  # an answer each
    assert shape([row | {"doc_id": f"{row[name]}-{row['doc_id']}"} for row in rows]) == (4, 8)
    text = [
        row | {"prompt": f"{row['doc_id']}?"} for row in rows
    ]  # the same prompt, wherever it is from
    assert shape(text) == (2, 8)


@pytest.mark.parametrize("name", ["metric", "judge"])
def test_a_row_per_score_is_no_row_per_sample(name):
    rows = [row | {name: one} for row in ROWS for one in ("acc", "format")]
    with pytest.raises(DataError, match="of a row per score make a column per score"):
        read(rows)
    assert shape([row for row in rows if row[name] == "acc"]) == (2, 4)


@pytest.mark.parametrize(("name", "kind"), [("method", "policies"), ("policy_version", "steps")])
def test_methods_are_policies_and_versions_of_the_policy_are_steps(name, kind):
    values = ["ppo", "dpo"] if kind == "policies" else [3, 4]
    base = read([row | {name: one} for row in ROWS for one in values])
    assert set(getattr(base, kind)) == set(values)
    assert base.shape.most == 2


def test_names_in_other_letters_are_names():
    judges = pl.DataFrame({"prompt": ["a", "b"]} | {f"评委{n}": [1.0, 2.0] for n in range(1, 5)})
    assert read(judges).rewards == ("评委1", "评委2", "评委3", "评委4")
    assert read(pl.DataFrame({"prompt": ["a"], "报酬": [1.0]})).rewards == ("报酬",)


def test_a_nested_reward_is_named():
    rows = [{"prompt": "a", "rewards": [{"name": "rm", "score": 1.0}]}] * 2
    with pytest.raises(DataError, match="reward 'rewards' holds List"):
        read(rows)


def test_log_probabilities_of_other_tokens_are_none_of_this_sample(tmp_path):
    policy, base = [[-1.0, -1.0], [-1.0, -2.0], None], [[-1.5, -1.5, -9.0], [-1.5, -2.0], [-1.0]]
    table = pl.DataFrame(
        {"prompt": ["a"] * 3, "rm": [1.0] * 3, "logprobs": policy, "ref_logprobs": base}
    )
    table = table.rename({"logprobs": "token_logprobs", "ref_logprobs": "ref_token_logprobs"})
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in table.to_dicts()))
    frame = read(tmp_path / "a.jsonl").frame()
    assert frame["logprob"].to_list() == [None, -3.0, None]
    assert frame["ref_logprob"].to_list() == [None, -3.5, -1.0]
