"""Prompts are never pooled, and never split in two."""

import warnings

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from klimit import DataError, DataWarning
from klimit.rollouts import read
from klimit.rollouts.keys import agree, groups


def rewards(n):
    return [float(i) for i in range(n)]


def test_two_keys_that_group_differently_are_an_error_that_names_both():
    table = pl.DataFrame(
        {"question_id": [1, 1, 2, 2], "task_id": ["x", "x", "x", "y"], "rm": rewards(4)}
    )
    with pytest.raises(
        DataError, match=r"disagree: 'question_id' makes 2 prompts, 'task_id' makes 2"
    ):
        read(table)
    with pytest.raises(DataError, match=r"prompt='question_id' or prompt='task_id'"):
        read(table)
    assert read(table, prompt="task_id").grouped().lengths.tolist() == [3, 1]


def test_two_keys_that_group_alike_are_one():
    table = pl.DataFrame({"question_id": [5, 5, 2], "group_id": ["x", "x", "y"], "rm": rewards(3)})
    assert read(table).grouped().ids == ["5", "2"]


def test_prompt_id_is_preferred_over_other_keys_and_over_the_text():
    table = pl.DataFrame(
        {
            "prompt_id": ["p", "p", "q"],
            "task_id": [1, 2, 3],
            "prompt": ["a", "a", "b"],
            "rm": rewards(3),
        }
    )
    assert read(table).prompt_key == "prompt_id"


def test_two_texts_that_group_differently_are_an_error_that_names_both():
    table = pl.DataFrame({"question": ["a", "a"], "context": ["x", "y"], "rm": rewards(2)})
    with pytest.raises(DataError, match="'question' makes 1 prompt, 'context' makes 2"):
        read(table)


def test_one_text_under_two_ids_is_merged_with_a_warning():
    table = pl.DataFrame(
        {"prompt_id": ["p", "q", "p", "r"], "prompt": ["a", "a", "a", "b"], "rm": rewards(4)}
    )
    with pytest.warns(
        DataWarning, match=r"1 prompt text under more than one id \(such as 'p' and 'q'\)"
    ):
        base = read(table)
    grouped = base.grouped()
    assert grouped.ids == ["p", "r"]
    assert grouped.columns["rm"].tolist() == [0.0, 1.0, 2.0, 3.0]


@pytest.mark.parametrize("rows", [1, 2])
@pytest.mark.parametrize("column", ["task", "reference", "temperature"])
def test_one_text_under_two_ids_with_other_metadata_is_an_error(rows, column):
    values = [0.5, 0.7] if column == "temperature" else ["x", "y"]
    table = pl.DataFrame(
        {
            "prompt_id": ["p"] * rows + ["q"] * rows,
            "prompt": ["a"] * 2 * rows,
            "rm": rewards(2 * rows),
            column: [values[0]] * rows + [values[1]] * rows,
        }
    )
    with pytest.raises(
        DataError, match=f"two ids that differ in '{column}': 'p' has '{values[0]}'"
    ):
        read(table)
    assert len(read(table, prompt="prompt_id").grouped()) == 2
    assert len(read(table, prompt="prompt").grouped()) == 1


def test_columns_that_vary_within_a_prompt_do_not_keep_twins_apart():
    table = pl.DataFrame(
        {
            "prompt_id": ["p", "p", "q", "q"],
            "prompt": ["a"] * 4,
            "rm": rewards(4),
            "finish_reason": ["stop", "length", "stop", "stop"],
            "request": ["1", "2", "3", "4"],
        }
    )
    with pytest.warns(DataWarning, match="merged"):
        assert len(read(table).grouped()) == 1


def test_an_id_of_every_row_is_merged_by_text():
    table = pl.DataFrame(
        {
            "prompt_id": ["1", "2", "3"],
            "prompt": ["a", "a", "b"],
            "rm": rewards(3),
            "uuid": ["x", "y", "z"],
        }
    )
    with pytest.warns(DataWarning, match="merged"):
        assert read(table).grouped().lengths.tolist() == [2, 1]


def test_one_id_with_two_texts_is_an_error():
    table = pl.DataFrame({"prompt_id": [0, 0, 1], "prompt": ["a", "b", "c"], "rm": rewards(3)})
    with pytest.raises(
        DataError, match=r"'prompt_id' '0' stands for different prompts \(rows 1 and 2\)"
    ):
        read(table)


def test_ids_that_begin_anew_in_every_step_give_way_to_the_text():
    table = pl.DataFrame(
        {
            "prompt_idx": [0, 1, 0, 1],
            "prompt": ["a", "b", "b", "c"],
            "step": [0, 0, 1, 1],
            "rm": rewards(4),
        }
    )
    base = read(table)
    assert base.prompt_key == "prompt"
    assert base.filter(step=1).grouped().ids == ["b", "c"]


def test_missing_texts_say_nothing_about_ids():
    table = pl.DataFrame(
        {"prompt_id": ["p", "q", "p"], "prompt": [None, None, "a"], "rm": rewards(3)}
    )
    assert len(read(table).grouped()) == 2


def test_the_warning_points_at_the_line_that_read():
    table = pl.DataFrame({"prompt_id": ["p", "q"], "prompt": ["a", "a"], "rm": rewards(2)})
    with pytest.warns(DataWarning, match="merged") as caught:
        read(table)
    assert caught[0].filename == __file__
    with pytest.warns(DataWarning, match="left out") as caught:
        read(pl.DataFrame({"prompt": ["a", None], "rm": rewards(2)}))
    assert caught[0].filename == __file__


def test_an_id_that_is_null_throughout_gives_way_to_the_text(jsonl):
    assert read(jsonl([{"prompt_id": None, "prompt": "a", "rm": 1}])).prompt_key == "prompt"
    table = pl.DataFrame({"prompt_id": ["", None], "rm": rewards(2)})
    with pytest.raises(DataError, match="prompt_id is empty in every row"):
        read(table.filter(pl.col("prompt_id").is_null()))


def test_a_row_id_is_no_prompt_key():
    table = pl.DataFrame({"id": [1, 2, 3], "rm": rewards(3)})
    with pytest.raises(DataError, match="no prompt key: id differs from row to row"):
        read(table)


def test_an_id_that_repeats_is_a_prompt_key():
    assert read(pl.DataFrame({"id": [1, 2, 1], "rm": rewards(3)})).grouped().ids == ["1", "2"]


def test_rows_without_a_key_are_left_out_and_counted():
    table = pl.DataFrame({"prompt": ["a", None, "a", None], "rm": rewards(4)})
    with pytest.warns(DataWarning, match="2 rows without 'prompt' left out"):
        base = read(table)
    assert base.grouped().columns["rm"].tolist() == [0.0, 2.0]
    assert base.frame().height == 2


def test_keys_of_any_type_are_told_apart():
    for values in (
        [1, 2, 1],
        [1.0, 2.0, 1.0],
        [b"x", b"y", b"x"],
        [True, False, True],
        [{"a": 1}, {"a": 2}, {"a": 1}],
        [[{"role": "user", "content": "x"}], [{"role": "user", "content": "y"}]] * 1
        + [[{"role": "user", "content": "x"}]],
        [["x"], ["y"], ["x"]],
    ):
        base = read(pl.DataFrame({"prompt": values, "rm": rewards(3)}))
        assert base.grouped().lengths.tolist() == [2, 1]
    assert read(pl.DataFrame({"prompt_id": [1.0, 2.0], "rm": rewards(2)})).grouped().ids == [
        "1",
        "2",
    ]


def test_steps_and_policies_are_never_pooled():
    table = pl.DataFrame(
        {
            "prompt": ["a"] * 4,
            "rm": rewards(4),
            "step": [0, 0, 10, 10],
            "policy": ["x", "x", "x", "x"],
        }
    )
    base = read(table)
    assert base.steps == (0, 10)
    assert str(base) == "read 1 prompt x 2 samples of x over 2 steps (0 to 10), reward: rm"
    with pytest.raises(
        DataError, match=r"2 steps \(0, 10\), which are never pooled.*\.filter\(step=0\)"
    ):
        base.grouped()
    assert base.filter(step=10).grouped().columns["rm"].tolist() == [2.0, 3.0]


def test_files_of_several_policies_are_told_apart_by_a_label(jsonl):
    for name in ("base", "ppo"):
        jsonl([{"question": "a", "rm": 0.5, "label": name}] * 3, f"probe_{name}.jsonl")
    base = read(jsonl([], "empty/x").parent.parent / "probe_*.jsonl")
    assert base.policies == ("base", "ppo")
    assert base.filter(policy="ppo").grouped().lengths.tolist() == [3]


def test_files_with_a_label_of_their_own_prompts_are_one_policy(jsonl, tmp_path):
    jsonl([{"question": "a", "rm": 0.5, "label": "safe"}] * 3, "1.jsonl")
    jsonl([{"question": "b", "rm": 0.5, "label": "unsafe"}] * 3, "2.jsonl")
    assert read(tmp_path).grouped().lengths.tolist() == [3, 3]


def test_samples_that_name_no_policy_are_not_pooled_with_those_that_do():
    table = pl.DataFrame({"prompt": ["a", "a"], "rm": rewards(2), "policy": ["ppo", None]})
    with pytest.raises(DataError, match="2 policies"):
        read(table).grouped()


@given(st.lists(st.sampled_from(["a", "b", "c", "d", None]), min_size=1, max_size=40), st.randoms())
def test_groups_depend_on_equality_alone(values, random):
    found = groups(pl.Series(values, dtype=pl.Categorical))
    for i, one in enumerate(values):
        assert (found.codes[i] < 0) == (one is None)
        for j, other in enumerate(values):
            if one is not None and other is not None:
                assert (found.codes[i] == found.codes[j]) == (one == other)
    names = ["w", "x", "y", "z"]
    random.shuffle(names)
    renamed = [None if value is None else names["abcd".index(value)] for value in values]
    assert agree(found, groups(pl.Series(renamed, dtype=pl.Categorical)))


@given(st.data())
def test_the_order_of_rows_changes_no_prompt(data):
    keys = data.draw(st.lists(st.integers(0, 4), min_size=1, max_size=30))
    values = np.arange(len(keys), dtype=float)
    order = data.draw(st.permutations(range(len(keys))))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        one = read({"prompt_id": keys, "rm": values})
        other = read({"prompt_id": [keys[i] for i in order], "rm": values[order]})

    def by_prompt(base):
        grouped = base.grouped()
        parts = np.split(grouped.columns["rm"], grouped.starts[1:])
        return {key: sorted(part) for key, part in zip(grouped.ids, parts, strict=True)}

    assert by_prompt(one) == by_prompt(other)


def test_a_text_put_to_the_model_in_two_ways_is_two_prompts():
    rows = {"prompt": ["p", "p", "q", "q"], "prompt_type": ["QA", "chat"] * 2, "rm": [1.0, 2, 3, 4]}
    assert len(read(rows).ids) == 4
    assert len(read(rows, prompt="prompt").ids) == 2
