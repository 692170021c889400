"""Filtering, joining, describing and writing."""

import json

import numpy as np
import polars as pl
import pytest
from numpy.testing import assert_equal

from klimit import ArgumentError, DataError, DataWarning
from klimit.rollouts import Rollouts, read
from klimit.rollouts.steps import in_order, number


def test_rollouts_are_frozen_and_read_again_as_they_are(samples):
    base = read(samples)
    assert read(base) is base
    assert read(base, reward="ok").rewards == ("ok",)
    with pytest.raises(AttributeError):
        base.rewards = ()
    assert repr(base) == "<Rollouts: 3 prompts x 2 to 4 samples (9 in all), rewards: rm, ok>"


def test_the_frame_has_canonical_names(jsonl):
    base = read(jsonl([{"question": "a", "response": "x", "score": 1, "n_tokens": 3, "task": "t"}]))
    frame = base.frame()
    assert frame.columns == ["prompt_id", "prompt", "completion", "score", "tokens", "task"]
    assert frame.row(0) == ("a", "a", "x", 1.0, 3, "t")


def test_grouped_columns_are_aligned(samples):
    grouped = read(samples).grouped("rm", "ok", "tokens")
    assert grouped.columns["tokens"].tolist() == [10, 12, 15, 17, 11, 14, 13, 16, 18]
    assert_equal(grouped.columns["rm"], [0.5, 0.25, 0.0, 0.75, -1.0, 2.0, np.nan, 1.5, -0.5])
    assert_equal(grouped.columns["ok"], [1, 1, np.nan, 0, 0, 0, 1, 1, 1])
    assert grouped.lengths.dtype == np.int64
    assert all(column.dtype == np.float64 for column in grouped.columns.values())


def test_prompts_keep_their_order_of_appearance_and_sorted_rows_are_not_moved(samples):
    base = read(samples.sort("prompt_id", maintain_order=True))
    assert base.grouped("tokens").ids == ["a", "b", "c"]
    assert base.grouped("tokens").columns["tokens"].tolist() == [11, 14, 10, 12, 15, 17, 13, 16, 18]


@pytest.mark.parametrize("kind", ["memory", "parquet", "jsonl"])
def test_a_filter_by_prompt_keeps_rows_aligned_with_columns_read_later(kind, samples, tmp_path):
    path = tmp_path / f"a.{kind}"
    if kind == "parquet":
        samples.write_parquet(path)
    elif kind == "jsonl":
        samples.write_ndjson(path)
    base = read(samples if kind == "memory" else path)
    some = base.filter(prompts=["c", "a"])
    assert some.grouped("tokens").columns["tokens"].tolist() == [11, 14, 13, 16, 18]
    assert some.frame()["completion"].to_list() == [f"because {i}" for i in (1, 3, 4, 6, 8)]
    assert some.filter(prompts="a").grouped("tokens").ids == ["a"]
    assert len(base) == 9


def test_what_does_not_occur_cannot_be_filtered_for(samples):
    base = read(samples.with_columns(step=pl.lit(3)))
    with pytest.raises(ArgumentError, match=r"no prompt 'z'.* there are b, a, c"):
        base.filter(prompts="z")
    with pytest.raises(ArgumentError, match=r"no step '4'.* there are 3"):
        base.filter(step=4)
    with pytest.raises(ArgumentError, match=r"no policy 'x'.* there are none"):
        base.filter(policy="x")


@pytest.mark.parametrize("step", [10.0, np.float64(10), [10.0, 10]])
def test_a_step_is_found_by_its_value_whatever_its_type(step):
    run = read({"prompt": ["a"] * 4, "rm": [0.0, 1.0, 2.0, 3.0], "step": [0, 0, 10, 10]})
    assert run.filter(step=step).grouped().columns["rm"].tolist() == [2.0, 3.0]


@pytest.mark.parametrize("key", ["prompt", "problem"])
def test_a_join_may_name_the_prompt_key_as_both_tables_have_it(key, as_dict):
    base = read({key: ["a", "a", "b"], "completion": ["x", "y", "x"], "rm": [0.0, 1.0, 2.0]})
    scores = {key: ["b", "a", "a"], "completion": ["x", "y", "x"], "gold": [3.0, 2.0, 1.0]}
    both = base.join(scores, on=[key, "completion"])
    assert as_dict(both, "gold") == {"a": [1.0, 2.0], "b": [3.0]}
    hard = base.join({key: ["b", "a"], "difficulty": [0.5, 0.25]}, on=key)
    assert hard.frame()["difficulty"].to_list() == [0.25, 0.25, 0.5]


def test_a_reward_scored_elsewhere_is_joined(samples, as_dict):
    scores = pl.DataFrame(
        {
            "completion": [f"because {i}" for i in range(9)][::-1],
            "gold": [float(i) for i in range(9)][::-1],
        }
    )
    base = read(samples).join(scores)
    assert base.rewards == ("rm", "ok", "gold")
    assert as_dict(base, "gold") == {
        "b": [0.0, 2.0, 5.0, 7.0],
        "a": [1.0, 4.0],
        "c": [3.0, 6.0, 8.0],
    }
    assert as_dict(base.filter(prompts="a"), "gold") == {"a": [1.0, 4.0]}
    assert "gold" in base.frame().columns


def test_a_join_takes_files_other_names_and_says_what_found_no_match(samples, jsonl, as_dict):
    base = read(
        samples.rename({"prompt_id": "question_id"}).with_columns(sample_id=pl.int_range(9))
    )
    scores = jsonl(
        [{"question_id": key, "sample_id": i, "judge": i / 2} for i, key in enumerate("babca")]
    )
    with pytest.warns(
        DataWarning, match="4 samples of 9 found no match on prompt_id, sample_id: judge"
    ):
        joined = base.join(scores)
    assert_equal(as_dict(joined, "judge")["b"], [0.0, 1.0, np.nan, np.nan])
    assert joined.one_reward("judge") == "judge"


def test_samples_without_rewards_get_them_by_a_join(samples):
    base = read(samples.drop("rm", "ok"), reward=())
    joined = base.join(read(samples.select("prompt_id", "completion", "rm")))
    assert joined.rewards == ("rm",)


def test_joins_that_cannot_be_right_are_refused(samples):
    base = read(samples)
    with pytest.raises(ArgumentError, match="no key to join on"):
        base.join(pl.DataFrame({"other": ["x"], "gold": [1.0]}))
    for key in (3, ["prompt_id", 3]):
        with pytest.raises(ArgumentError, match="Name columns that both have"):
            base.join(samples.select("prompt_id", gold="rm"), on=key)
    with pytest.raises(ArgumentError, match="nothing that"):
        base.join(samples)
    with pytest.raises(DataError, match="2 rows that share prompt_id"):
        base.join(pl.DataFrame({"prompt_id": ["a", "a"], "gold": [1.0, 2.0]}))
    with pytest.raises(DataError, match=r"no row of .* has a match"):
        base.join(pl.DataFrame({"prompt_id": ["x"], "gold": [1.0]}))
    assert base.join(
        pl.DataFrame({"prompt_id": ["a", "b", "c"], "level": [1.0, 2.0, 3.0]})
    ).rewards == ("rm", "ok")


def test_the_description_counts_what_is_there_and_what_is_missing(samples):
    about = read(samples).describe()
    rm, ok = about.rewards.to_dicts()
    assert rm == {
        "reward": "rm", "samples": 8, "missing": 1, "distinct": 8, "min": -1.0,
        "mean": pytest.approx((0.375 + 0.5 + 0.5) / 3), "max": 2.0, "tied": 0.0,
    }  # fmt: skip
    assert ok["tied"] == 7 / 8
    assert ok["missing"] == 1
    assert str(about).startswith(
        "read 3 prompts x 2 to 4 samples (9 in all), rewards: rm, ok\nfrom the table; "
    )
    assert json.loads(json.dumps(about.to_dict()))["rewards"][0]["missing"] == 1


def test_a_description_covers_all_steps_and_a_reward_that_is_missing_everywhere():
    table = pl.DataFrame(
        {
            "prompt": ["a"] * 4,
            "rm": [1.0, 1.0, 1.0, 2.0],
            "step": [0, 0, 1, 1],
            "x": [None, None, None, 1.0],
        }
    )
    rm, x = read(table).filter(step=[0, 1]).describe().rewards.to_dicts()
    assert rm["tied"] == 0.5
    assert rm["mean"] == 1.25
    assert x["samples"] == 1
    last = str(read(table).filter(step=0).describe()).splitlines()[-1]
    assert last.split() == ["x", "0", "2", "0", "-", "-", "-", "-"]


@pytest.mark.parametrize(
    "name", ["a.parquet", "a.jsonl", "a.csv", "a.tsv", "a.jsonl.gz", "a.csv.gz"]
)
def test_what_is_written_reads_back_the_same(name, samples, tmp_path):
    base = read(
        samples.with_columns(temperature=pl.lit(0.7), policy=pl.lit("m"), notes=pl.lit("x"))
    )
    path = base.write(tmp_path / name)
    again = read(path)
    assert again.frame().equals(base.frame().select(again.frame().columns))
    assert again.metadata == base.metadata == {"temperature": 0.7}
    assert again.rewards == base.rewards
    assert str(again) == str(base)
    assert [entry.name for entry in tmp_path.iterdir()] == [name]


def test_chosen_rewards_and_metadata_survive_in_parquet(samples, tmp_path):
    base = read(samples, reward="tokens")
    assert read(base.write(tmp_path / "a.parquet")).rewards == ("tokens",)
    one = read(samples.with_columns(temperature=pl.lit(1.0))).write(tmp_path / "one.parquet")
    two = read(samples.with_columns(temperature=pl.lit(0.5))).write(tmp_path / "two.parquet")
    assert read(one).metadata == {"temperature": 1.0}
    assert read([one, two]).metadata == {}


def test_a_file_that_cannot_be_written_leaves_nothing_behind(samples, tmp_path, monkeypatch):
    base = read(samples)
    with pytest.raises(ArgumentError, match=r"cannot write .*a.xlsx: a name that ends in .parquet"):
        base.write(tmp_path / "a.xlsx")
    with pytest.raises(DataError, match=r"cannot be written: no such file or directory"):
        base.write(tmp_path / "no" / "a.jsonl")
    (tmp_path / "a.parquet").write_text("mine")

    def fail(self, file, **options):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pl.DataFrame, "write_parquet", fail)
    with pytest.raises(DataError, match="no space left"):
        base.write(tmp_path / "a.parquet")
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.parquet"]
    assert (tmp_path / "a.parquet").read_text() == "mine"


def test_nested_columns_are_written_to_csv_as_json(tmp_path):
    base = read(
        pl.DataFrame({"prompt": ["a"], "rm": [1.0], "tokens_ids": [[1, 2]], "meta": [{"x": 1}]})
    )
    text = base.write(tmp_path / "a.csv").read_text()
    assert '"[1, 2]"' in text
    assert isinstance(read(tmp_path / "a.csv"), Rollouts)


@pytest.mark.parametrize("name", ["{}", "step_{}"])
def test_steps_and_policies_that_are_text_are_in_the_order_of_their_numbers(name):
    said = [name.format(at) for at in (100, 5, 0, 20)]
    rows = {"prompt": ["a"] * 4, "rm": [0.0, 1.0, 2.0, 3.0]}
    wanted = tuple(name.format(at) for at in (0, 5, 20, 100))
    run = read(rows | {"step": said})
    assert run.steps == wanted
    assert f"over 4 steps ({wanted[0]} to {wanted[-1]})" in str(run)
    assert read(rows | {"policy": said}).policies == wanted


@pytest.mark.parametrize(
    ("steps", "wanted"),
    [
        ([20, 5, 100], [5, 20, 100]),
        ([0.5, 0.25], [0.25, 0.5]),
        (["0.5", "0.25", "1e2", "3"], ["0.25", "0.5", "3", "1e2"]),
        (["007", "7", "06"], ["06", "007", "7"]),
        (["e2_s5", "e1_s20", "e1_s5"], ["e1_s5", "e1_s20", "e2_s5"]),
        (["last", "step_9", "100", "step_10"], ["100", "step_9", "step_10", "last"]),
        (["s" + "1" * 5000, "s2"], ["s2", "s" + "1" * 5000]),
    ],
)
def test_whole_numbers_in_texts_compare_as_numbers(steps, wanted):
    assert in_order(steps) == wanted
    assert in_order(reversed(steps)) == wanted


def test_a_text_of_more_than_one_number_is_no_step():
    assert np.isnan([number(text) for text in ("1_500", "inf", "nan", "1k", "v1_2")]).all()
    assert [number(text) for text in ("20", "-1", "1e3", "step_20")] == [20, -1, 1000, 20]
    assert in_order(["2_100", "1_1000", "1_500"]) == ["1_500", "1_1000", "2_100"]


def test_the_description_is_a_table_too(samples):
    about = read(samples).describe()
    assert about.to_frame().equals(about.rewards)


def test_an_empty_column_of_text_that_is_called_reward_hides_no_other():
    schema = {"prompt": pl.String, "reward": pl.String, "rm": pl.Float64}
    rows = pl.DataFrame({"prompt": ["a", "a"], "reward": [None, None], "rm": [1.0, 2.0]}, schema)
    assert read(rows).rewards == ("rm",)
