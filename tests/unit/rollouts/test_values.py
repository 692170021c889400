"""Every value is kept as it is, and counts once."""

import json

import numpy as np
import polars as pl
import pytest
from numpy.testing import assert_equal

from klimit import DataError, DataWarning
from klimit.rollouts import read
from klimit.rollouts.formats import delimited


@pytest.mark.parametrize(
    "rewards",
    [
        [[1, None], [0.5, 0.7]],
        [[None, 1], [None, 0.7]],
        [(1, 0), (0.5, 0.7)],
        [[1, 0.5], [1, 0]],
        [[True, 0.5], [1, 0]],
        [[np.int64(1), 0], [np.float64(0.5), 0.7]],
        [np.array([1, 0]), [0.5, 0.7]],
    ],
)
def test_whole_numbers_first_make_no_whole_numbers_of_the_others(rewards):
    """polars takes a list's type from the first entries, and would cut 0.5 to 0."""
    expected = [float("nan") if x is None else float(x) for row in rewards for x in row]
    for source in (
        {"prompt": ["a", "b"], "rm": rewards},
        [{"prompt": key, "rm": row} for key, row in zip("ab", rewards, strict=True)],
    ):
        assert_equal(read(source).grouped().columns["rm"], expected)


def test_lists_with_nan_between_whole_numbers_are_rewards(jsonl):
    path = jsonl(['{"prompt": "a", "rm": [1, NaN, 0.5]}', '{"prompt": "b", "rm": [1, 0]}'])
    assert_equal(read(path).grouped().columns["rm"], [1, float("nan"), 0.5, 1, 0])


def test_a_reward_that_the_first_record_lacks_is_found():
    rows = [{"prompt": "a", "rewards": {"rm": 1}}, {"prompt": "a", "rewards": {"rm": 0.5, "ok": 1}}]
    base = read(rows)
    assert base.rewards == ("rm", "ok")
    assert base.grouped("rm").columns["rm"].tolist() == [1.0, 0.5]


@pytest.mark.parametrize("kind", [np.uint64, np.float64, object])
def test_ids_past_63_bits_are_ids(kind):
    ids = np.array([2**63, 2**63, 2**63 + 2**40, 3], dtype=kind)
    rewards = [0.0, 1.0, 2.0, 3.0]
    for source in (
        {"prompt_id": ids, "rm": rewards},
        [{"prompt_id": key, "rm": rm} for key, rm in zip(ids.tolist(), rewards, strict=True)],
    ):
        assert read(source).grouped().lengths.tolist() == [2, 1, 1]


def test_ids_of_any_length_differ_where_one_digit_does():
    rows = [{"prompt_id": 2**70 + i // 2, "rm": float(i)} for i in range(4)]
    assert len(read(rows).ids) == 2


@pytest.mark.parametrize("key", ["prompt", "prompt_id"])
def test_prompts_that_are_all_empty_are_not_pooled(key):
    table = pl.DataFrame({key: ["", ""], "rm": [0.0, 1.0]})
    with pytest.raises(DataError, match=f"prompt key {key} is empty in every row"):
        read(table)
    if key == "prompt":
        assert read(table, prompt=key).ids == [""]


def test_an_empty_id_is_a_missing_one():
    table = {"prompt_id": ["", " ", "a", "a"], "rm": [0.0, 9.0, 1.0, 2.0]}
    for named in (None, "prompt_id"):
        with pytest.warns(DataWarning, match="2 rows without 'prompt_id' left out"):
            base = read(table, prompt=named)
        assert base.ids == ["a"]


ROWS = [{"prompt": "a", "rm": 0.5}, {"prompt": "a", "rm": 1.0}]


def test_a_link_does_not_count_its_file_twice(jsonl, tmp_path):
    jsonl(ROWS, "run/step_1.jsonl")
    (tmp_path / "run" / "latest.jsonl").symlink_to("step_1.jsonl")
    (tmp_path / "run" / "again").symlink_to(".")
    for source in (tmp_path / "run", str(tmp_path / "**" / "*.jsonl"), [tmp_path / "run"] * 2):
        base = read(source)
        assert (len(base), base.source) == (2, str(tmp_path / "run" / "step_1.jsonl"))


def test_a_link_that_leads_nowhere_and_a_file_that_is_no_folder_are_named(jsonl, tmp_path):
    (tmp_path / "loop.jsonl").symlink_to("loop.jsonl")
    with pytest.raises(DataError, match=r"loop\.jsonl is a link that leads nowhere"):
        read(tmp_path / "loop.jsonl")
    with pytest.raises(DataError, match=r"a\.jsonl is no folder"):
        read(jsonl(ROWS, "a.jsonl") / "b.jsonl")


def test_a_name_twice_in_a_record_is_not_chosen_between(jsonl):
    path = jsonl(['{"prompt": "a", "rm": 0, "rm": 1}', '{"prompt": "a", "rm": 1, "rm": 0}'])
    with pytest.raises(DataError, match="the first record has 'rm' twice"):
        read(path)


def test_numbers_past_all_floats_are_infinite_and_those_past_all_ints_are_refused(jsonl):
    rows = [*map(json.dumps, ROWS), '{"prompt": "a", "rm": %s}']
    with pytest.raises(DataError, match=r"'rm' is inf for prompt 'a', sample 3 of 3 \(row 3\)"):
        read(jsonl([*rows[:2], rows[2] % ("9" * 2000)])).grouped()
    with pytest.raises(DataError, match=r"line 3: broken JSON \(a number of thousands of digits"):
        read(jsonl([*rows[:2], rows[2] % ("9" * 9000)]))


def test_utf_16_is_named_in_every_text_format(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(json.dumps(ROWS[0]).encode("utf-16"))
    with pytest.raises(DataError, match="UTF-16; UTF-8 was expected"):
        read(path)


def test_flags_of_the_first_rows_make_no_flags_of_the_others(tmp_path, monkeypatch):
    monkeypatch.setattr(delimited, "_SMALL", 0)
    monkeypatch.setattr(delimited, "_SAMPLE", 2)
    path = tmp_path / "a.csv"
    path.write_text("prompt,rm\na,true\na,False\na,half\n")
    with pytest.raises(DataError, match="'rm' holds text: 'true'"):
        read(path, reward="rm")


def test_a_parquet_file_that_is_written_over_mixes_no_rows(tmp_path):
    path = tmp_path / "a.parquet"
    for reward in (0.0, 1.0):
        table = pl.DataFrame(
            {"prompt": ["a", "b"], "rm": [reward] * 2, "completion": [str(reward)] * 2}
        )
        table.write_parquet(path)
        if not reward:
            base = read(path)
    for why in ("written over since it was read", "not there any more"):
        with pytest.raises(DataError, match=why):
            base.frame()
        path.unlink(missing_ok=True)


@pytest.mark.parametrize("kept", [["a", "b"], ["b"]])
def test_a_file_that_changes_after_it_was_read_makes_no_missing_texts(kept, jsonl):
    rows = [{"prompt": key, "completion": f"{key}{i}", "rm": i} for key in "ab" for i in range(2)]
    base = read(jsonl(rows)).filter(prompts=kept)
    expected = [row["completion"] for row in rows if row["prompt"] in kept]
    jsonl([*rows, *rows])  # a run that goes on
    assert base.frame()["completion"].to_list() == expected
    jsonl(rows[:3])
    with pytest.raises(DataError, match="fewer rows than when it was read"):
        base.frame()
