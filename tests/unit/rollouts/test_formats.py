"""The same samples come out of every kind of file."""

import gzip
import json

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from numpy.testing import assert_equal

from klimit import DataError, DataWarning
from klimit.rollouts import read
from klimit.rollouts.formats import delimited, jsonlines, suffix


def write_jsonl(frame, path):
    frame.write_ndjson(path)


def write_json(frame, path):
    path.write_text(json.dumps(frame.to_dicts()))


def write_indented(frame, path):
    path.write_text(json.dumps(frame.to_dicts(), indent=2))


def write_columns(frame, path):
    path.write_text(json.dumps(frame.to_dict(as_series=False)))


def write_wrapped(frame, path):
    path.write_text(json.dumps({"rollouts": frame.to_dicts()}))


def write_csv(frame, path):
    frame.write_csv(path)


def write_tsv(frame, path):
    frame.write_csv(path, separator="\t")


def write_parquet(frame, path):
    frame.write_parquet(path)


def write_arrow(frame, path):
    frame.write_ipc(path)


def write_stream(frame, path):
    frame.write_ipc_stream(path)


def gzipped(write):
    def inner(frame, path):
        plain = path.parent / "plain"
        write(frame, plain)
        path.write_bytes(gzip.compress(plain.read_bytes()))

    return inner


KINDS = {
    "a.jsonl": write_jsonl,
    "a.ndjson": write_jsonl,
    "a.json": write_json,
    "indented.json": write_indented,
    "columns.json": write_columns,
    "wrapped.json": write_wrapped,
    "lines.json": write_jsonl,
    "array.jsonl": write_json,
    "a.jsonl.gz": gzipped(write_jsonl),
    "a.json.gz": gzipped(write_json),
    "a.csv": write_csv,
    "a.tsv": write_tsv,
    "a.csv.gz": gzipped(write_csv),
    "a.parquet": write_parquet,
    "a.pq": write_parquet,
    "a.arrow": write_arrow,
    "stream.arrow": write_stream,
    "no_suffix": write_parquet,
    "odd.suffix": write_jsonl,
}


@pytest.mark.parametrize("name", KINDS)
def test_every_format_gives_the_same_rewards(name, samples, expected, as_dict, tmp_path):
    KINDS[name](samples, tmp_path / name)
    base = read(tmp_path / name)
    assert str(base) == "read 3 prompts x 2 to 4 samples (9 in all), rewards: rm, ok"
    assert_equal(as_dict(base), expected)
    assert as_dict(base, "ok")["a"] == [0.0, 0.0]


@pytest.mark.parametrize("name", ["a.jsonl.zst", "a.csv.zst", "a.json.zst"])
def test_zstd_is_read_without_a_library_of_its_own(name, samples, expected, as_dict, tmp_path):
    KINDS[name.removesuffix(".zst")](samples, tmp_path / "plain")
    packed = pa.Codec("zstd").compress((tmp_path / "plain").read_bytes(), asbytes=True)
    (tmp_path / name).write_bytes(packed)
    assert_equal(as_dict(read(tmp_path / name)), expected)


def test_folders_globs_and_lists_are_read_as_one(samples, expected, as_dict, tmp_path):
    (tmp_path / "deep").mkdir()
    samples.head(4).write_parquet(tmp_path / "deep" / "part-0.parquet")
    samples.tail(5).write_parquet(tmp_path / "deep" / "part-1.parquet")
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / ".hidden.parquet").write_bytes(b"no")
    parts = [tmp_path / "deep" / f"part-{i}.parquet" for i in (0, 1)]
    for source in (
        tmp_path,
        str(tmp_path),
        str(tmp_path / "*" / "part-?.parquet"),
        str(tmp_path / "**" / "*.parquet"),
        str(tmp_path / "d*"),
        parts,
        tuple(str(part) for part in parts),
    ):
        assert_equal(as_dict(read(source)), expected)


def test_a_file_that_is_named_twice_is_read_once(samples, tmp_path):
    samples.write_parquet(tmp_path / "a.parquet")
    assert len(read([tmp_path / "a.parquet", str(tmp_path / "*.parquet")])) == 9


@pytest.mark.parametrize(
    "name",
    ["step_{}.jsonl", "checkpoint-{}/a.jsonl", "global_step_{}/rank_0.jsonl", "step={}/a.jsonl"],
)
def test_steps_that_only_the_names_of_files_tell_are_not_pooled(name, jsonl, tmp_path, as_dict):
    rows = [{"prompt": "a", "rm": 0.0}, {"prompt": "a", "rm": 1.0}]
    paths = [jsonl(rows, name.format(step)) for step in (0, 20, 100)]
    run = read(tmp_path)
    assert run.steps == (0, 20, 100)
    with pytest.raises(DataError, match="3 steps"):
        run.grouped("rm")
    assert as_dict(run.filter(step=20)) == {"a": [0.0, 1.0]}
    assert read(paths[1]).steps == ()  # one file is one step, whatever its name


@pytest.mark.parametrize("base", ["base.jsonl", "base/rank_0.jsonl", "ref_policy.jsonl"])
def test_what_is_called_base_beside_numbered_steps_is_step_0(base, jsonl, tmp_path):
    for name in (base, "checkpoint-100.jsonl"):
        jsonl([{"prompt": "a", "rm": 0.0}], name)
    assert read(tmp_path).steps == (0, 100)


def test_no_file_is_step_0_for_the_folder_that_holds_them_all(jsonl, tmp_path):
    for name in ("base/final.jsonl", "base/checkpoint-100.jsonl"):
        jsonl([{"prompt": "a", "rm": 0.0}], name)
    assert read(tmp_path).steps == (100, None)


def test_tables_of_a_tracker_tell_their_steps(tmp_path):
    for step in (0, 10):
        table = {"columns": ["prompt", "score"], "data": [["a", 0.0], ["a", 1.0 + step]]}
        name = f"rollouts_{step}_{'0f' * 10}.table.json"
        (tmp_path / name).write_text(json.dumps(table))
    assert read(tmp_path).steps == (0, 10)


def test_parts_of_one_step_are_read_together(jsonl, tmp_path, as_dict):
    for part in (0, 1):
        jsonl([{"prompt": "a", "rm": part}], f"step_20/part_{part}.jsonl")
    assert as_dict(read(tmp_path)) == {"a": [0.0, 1.0]}


def test_sizes_of_models_and_times_in_names_of_files_are_no_steps(jsonl, tmp_path):
    for name in ("ckpt7B/a.jsonl", "ckpt8B/a.jsonl", f"step_{'9' * 20}/a.jsonl"):
        jsonl([{"prompt": "a", "rm": 1.0}], name)
    assert read(tmp_path).steps == ()


def test_a_column_of_steps_goes_before_the_names_of_files(jsonl, tmp_path):
    for step in (1, 2):
        jsonl([{"prompt": "a", "rm": step, "global_step": 7}], f"step_{step}.jsonl")
    assert read(tmp_path).steps == (7,)


@pytest.mark.parametrize("column", ["model_path", "generator"])
def test_models_are_told_apart_by_the_column_that_names_them(column, jsonl):
    path = jsonl([{"prompt": "a", "rm": 0.5, column: model} for model in ("base", "ppo")])
    assert read(path).policies == ("base", "ppo")


def test_formats_may_be_mixed(samples, expected, as_dict, tmp_path):
    samples.head(4).write_csv(tmp_path / "one.csv")
    samples.tail(5).write_ndjson(tmp_path / "two.jsonl")
    assert_equal(as_dict(read([tmp_path / "one.csv", tmp_path / "two.jsonl"])), expected)


def test_a_path_with_glob_characters_is_first_of_all_a_path(samples, tmp_path):
    for name in ("run[1].parquet", "run[1].arrow", "run[1].jsonl", "run*.csv"):
        KINDS[f"a.{name.split('.')[1]}"](samples, tmp_path / "plain")
        (tmp_path / "plain").rename(tmp_path / name)
        assert len(read(tmp_path / name)) == 9


def test_integers_beside_floats_and_columns_that_some_files_lack_are_fine(tmp_path, as_dict):
    pl.DataFrame({"prompt": ["a", "a"], "rm": [1, 2], "rouge": [0.5, 0.25]}).write_parquet(
        tmp_path / "1.parquet"
    )
    pl.DataFrame({"prompt": ["a", "b"], "rm": [0.5, 1.5], "note": ["x", "y"]}).write_parquet(
        tmp_path / "2.parquet"
    )
    base = read(tmp_path)
    assert base.rewards == ("rm", "rouge")
    assert as_dict(base) == {"a": [1.0, 2.0, 0.5], "b": [1.5]}
    assert_equal(as_dict(base, "rouge"), {"a": [0.5, 0.25, np.nan], "b": [np.nan]})


def test_rewards_in_a_struct_become_columns(jsonl, as_dict):
    path = jsonl(
        [
            {"prompt": "a", "rewards": {"rm": 0.5, "rouge": 1}},
            {"prompt": "a", "rewards": {"rm": 0.25, "judge": True}},
        ]
    )
    base = read(path)
    assert base.rewards == ("rm", "rouge", "judge")
    assert_equal(as_dict(base, "judge"), {"a": [np.nan, 1.0]})


def test_a_field_of_a_struct_can_be_named(jsonl):
    path = jsonl(
        [{"meta": {"doc": "x", "len": 3}, "rm": 0.5}, {"meta": {"doc": "y", "len": 4}, "rm": 1}]
    )
    base = read(path, prompt="meta.doc", reward="meta.len")
    assert base.grouped().ids == ["x", "y"]
    assert base.rewards == ("meta.len",)


def test_nan_in_json_is_missing(jsonl, as_dict):
    path = jsonl(['{"prompt": "a", "rm": NaN}', '{"prompt": "a", "rm": 2}', ""])
    assert_equal(as_dict(read(path)), {"a": [np.nan, 2.0]})


def test_json_numbers_of_any_spelling_and_length_are_numbers(jsonl, as_dict):
    long = "123456789012345678901234567890"
    path = jsonl([f'{{"prompt": 7, "rm": {number}}}' for number in ("1", "1e-3", "true", long)])
    assert as_dict(read(path)) == {"7": [1.0, 1e-3, 1.0, 123456789012345678901234567890.0]}


def test_json_with_a_byte_order_mark_and_windows_lines_is_read(tmp_path, as_dict):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"prompt": "a", "rm": 1}\r\n\r\n{"prompt": "a", "rm": 2}\r\n')
    assert as_dict(read(path)) == {"a": [1.0, 2.0]}


def test_lone_surrogates_do_not_stop_the_reading(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"prompt": "\\ud800", "rm": NaN}\n{"prompt": "b", "rm": 1}\n')
    assert len(read(path)) == 2


def test_a_big_json_file_is_sampled_and_a_late_surprise_is_not_lost(tmp_path, monkeypatch, as_dict):
    monkeypatch.setattr(jsonlines, "_SMALL", 1000)
    monkeypatch.setattr(jsonlines, "_BLOCK", 300)
    monkeypatch.setattr(jsonlines, "_BLOCKS", 4)
    rows = [{"prompt": f"p{i // 8}", "rm": i % 8} for i in range(400)]
    rows[203]["rm"] = 0.5  # not whole, among numbers that are
    rows[305]["rm"] = None
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = as_dict(read(path))
    assert found["p25"] == [0.0, 1.0, 2.0, 0.5, 4.0, 5.0, 6.0, 7.0]
    assert np.isnan(found["p38"][1])
    rows[399]["rm"] = "late"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(DataError, match=r"'rm' holds text: 'late' in row 400|no reward"):
        read(path, reward="rm")


def test_a_big_csv_file_is_sampled_and_late_text_is_found(tmp_path, monkeypatch):
    monkeypatch.setattr(delimited, "_SMALL", 100)
    monkeypatch.setattr(delimited, "_SAMPLE", 10)
    path = tmp_path / "a.csv"
    path.write_text("prompt,rm\n" + "".join(f"p{i // 8},{i}\n" for i in range(100)) + "p12,bad\n")
    with pytest.raises(DataError, match="'rm' holds text: 'bad' in row 101"):
        read(path, reward="rm")


def test_ids_in_csv_keep_their_zeros(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("question_id,score\n007,1\n7,0.5\n07,1\n")
    assert read(path).grouped().ids == ["007", "7", "07"]


@pytest.mark.parametrize(
    "ids",
    [
        ["1.1", "1.10"],
        ["1", "1.00", "+1", "1.0"],
        ["0e5", "1e00", "1e0"],
        ["True", "true"],
        ["9" * 20, "9" * 19 + "8"],
    ],
)
def test_prompts_of_a_csv_file_are_as_many_as_their_texts(ids, tmp_path):
    once = {"prompt_id": [x for x in ids for _ in range(2)], "score": [0.5, 1.0] * len(ids)}
    again = read(read(once).write(tmp_path / "a.csv"))
    assert again.grouped().ids == ids
    assert again.rewards == ("score",)


def test_a_key_that_is_named_keeps_its_text_and_rewards_are_numbers(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("rubric,score\n1.1,0.10\n1.10,1e-3\n1.1,+1\n")
    base = read(path, prompt="rubric")
    assert base.grouped("score").ids == ["1.1", "1.10"]
    assert_equal(base.grouped("score").columns["score"], [0.1, 1.0, 1e-3])


def test_an_id_that_is_not_a_number_is_missing(tmp_path):
    path = tmp_path / "ids.csv"
    path.write_text("prompt_id,reward\n1,.1\n1,.2\n2,.3\n2,.4\nNaN,.5\n", encoding="utf-8")
    with pytest.warns(DataWarning, match="1 row without 'prompt_id'"):
        assert read(path).grouped().ids == ["1", "2"]


def test_whole_ids_beside_missing_ones_are_whole(tmp_path):
    (tmp_path / "a.csv").write_text("prompt_id,score\n1.0,1\n1.0,0\n,1\n")
    with pytest.warns(DataWarning, match="1 row without 'prompt_id'"):
        assert read(tmp_path / "a.csv").grouped().ids == ["1"]


def test_an_id_that_is_no_number_is_found_below_the_sample(tmp_path, monkeypatch):
    monkeypatch.setattr(delimited, "_SMALL", 10)
    monkeypatch.setattr(delimited, "_SAMPLE", 10)
    path = tmp_path / "a.csv"
    path.write_text("prompt_id,rm\n" + "".join(f"{i // 8},{i}\n" for i in range(100)) + "+1,1\n")
    assert len(read(path).grouped().ids) == 14


def test_csv_takes_empty_fields_booleans_quotes_and_nan(tmp_path, as_dict):
    path = tmp_path / "a.csv"
    path.write_text('id;prompt;rm;ok\n1;"a; b\nc";0.5;True\n2;"a; b\nc";nan;False\n3;"a; b\nc";;\n')
    base = read(path)
    assert_equal(as_dict(base), {"a; b\nc": [0.5, np.nan, np.nan]})
    assert_equal(as_dict(base, "ok"), {"a; b\nc": [1.0, 0.0, np.nan]})


def test_columns_of_csv_are_named_without_blanks_and_empty_ones_are_no_rewards(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("prompt, response, quality ,notes,,\n" + "a, b, 0.5,,,\na, c, 1.5, ,,\n")
    base = read(path)
    assert base.rewards == ("quality",)
    assert {"prompt", "completion", "quality", "notes"} <= set(base.frame().columns)


def test_a_column_of_csv_is_not_empty_before_all_of_it_was_seen(tmp_path, monkeypatch):
    monkeypatch.setattr(delimited, "_SMALL", 0)
    monkeypatch.setattr(delimited, "_SAMPLE", 2)
    path = tmp_path / "a.csv"
    path.write_text("prompt,reward\na,\na,\na,1.5\n")
    assert read(path).describe().rewards["samples"].to_list() == [1]


def test_numpy_files_hold_prompts_by_samples(tmp_path, as_dict):
    rewards = np.array([[0.5, np.nan], [1.0, 2.0]])
    np.save(tmp_path / "a.npy", rewards)
    assert_equal(as_dict(read(tmp_path / "a.npy"), "reward"), {"0": [0.5, np.nan], "1": [1.0, 2.0]})
    np.savez(tmp_path / "a.npz", rm=rewards, gold=rewards > 0.7)
    base = read(tmp_path / "a.npz")
    assert base.rewards == ("rm", "gold")
    assert as_dict(base, "gold") == {"0": [0.0, 0.0], "1": [1.0, 1.0]}


def test_only_needed_columns_are_read(samples, tmp_path, monkeypatch):
    samples.write_parquet(tmp_path / "a.parquet")
    collect = pl.LazyFrame.collect
    plans = []

    def spy(self, *args, **kwargs):
        plans.append(self.explain())
        result = collect(self, *args, **kwargs)
        assert "completion" not in result.columns
        return result

    monkeypatch.setattr(pl.LazyFrame, "collect", spy)
    read(tmp_path / "a.parquet").grouped("rm")
    assert any("PROJECT 1/6 COLUMNS" in plan for plan in plans)
    assert not any("PROJECT */6 COLUMNS" in plan and "len()" not in plan for plan in plans)


@pytest.mark.parametrize(
    ("name", "found"),
    [("a.jsonl.gz", ".jsonl"), ("a.b/c.PARQUET", ".parquet"), ("x.gz", ""), ("x", "")],
)
def test_the_suffix_that_counts_is_the_one_before_the_compression(name, found):
    from pathlib import Path

    assert suffix(Path(name)) == found


def test_json_of_arrays_alone_is_a_prompt_for_each(tmp_path, as_dict):
    path = tmp_path / "a.json"
    path.write_text("[[0, 1.5], [2, 3, 4]]")
    assert list(as_dict(read(path), "reward").values()) == [[0.0, 1.5], [2.0, 3.0, 4.0]]
