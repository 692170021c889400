"""Whose dump is it, and what its columns mean."""

import json
from contextlib import suppress
from pathlib import Path

import polars as pl
import pytest

import klimit
from klimit import ArgumentError, DataError
from klimit.rollouts import read
from klimit.rollouts.sources import SOURCES, recognise
from klimit.rollouts.sources.inspect_log import grade, scores

TRL = {"step": 1, "prompt": "a", "completion": "x", "acc": 1.0, "form": 0.5, "advantage": 0.0}
GOLDEN = Path(__file__).parents[2] / "golden"
VERL = {"input": "a", "output": "x", "gts": "y", "score": 1.0, "step": 1}


def test_a_table_that_is_nobodys_is_read_by_its_names():
    base = read(pl.DataFrame({"prompt": ["a", "a"], "reward": [0.5, 1.0]}))
    assert base.read_as == ""
    assert str(base) == "read 1 prompt x 2 samples, reward: reward"


def test_frames_and_records_are_recognised_as_files_are(jsonl):
    rows = [TRL, TRL | {"acc": 0.0}]
    for source in (rows, pl.DataFrame(rows), str(jsonl(rows))):
        base = read(source)
        assert base.read_as == "TRL completions"
        assert base.rewards == ("acc", "form")


def test_two_readers_that_fit_are_an_error_that_names_both(jsonl):
    path = jsonl([TRL | VERL])
    with pytest.raises(DataError, match="may be TRL completions or verl rollouts"):
        read(path)


def test_prompt_and_reward_settle_which_of_two_is_meant(jsonl):
    base = read(jsonl([TRL | VERL]), prompt="input", reward="score")
    assert (base.prompt_key, base.rewards) == ("input", ("score",))


def test_a_path_can_settle_which_of_two_is_meant():
    columns = {**TRL, **VERL}
    assert recognise(columns, "run/completions_00001.parquet").name == "TRL completions"
    assert recognise(columns, "run/7.jsonl").name == "verl rollouts"


def test_more_columns_of_one_reader_beat_fewer_of_another():
    platform = next(one for one in SOURCES if one.name == "prime-rl samples")
    assert recognise(platform.columns) is platform  # they hold those of TRL as well


@pytest.mark.parametrize("source", [one for one in SOURCES if one.columns], ids=lambda s: s.name)
def test_every_reader_is_found_by_its_own_columns(source):
    columns = [name.split("|")[0].replace("*", "x") for name in source.columns]
    path = "r/completions.table.json" if source.name == "TRL completions table" else ""
    assert recognise(columns, path).name.replace("effective ", "") == source.name.replace(
        "effective ", ""
    )


def test_files_of_two_frameworks_do_not_belong_together(jsonl):
    paths = [str(jsonl([TRL], "a.jsonl")), str(jsonl([VERL], "b.jsonl"))]
    with pytest.raises(DataError, match="do not belong together: TRL completions and verl"):
        read(paths)


def test_two_runs_in_one_folder_are_never_pooled(tmp_path):
    for run in ("one", "two"):
        (tmp_path / run / "completions").mkdir(parents=True)
        path = tmp_path / run / "completions" / "completions_00001.parquet"
        pl.DataFrame([TRL, TRL]).write_parquet(path)
    with pytest.raises(DataError, match="never read together"):
        read(tmp_path)
    with pytest.raises(DataError, match="never read together"):
        read(str(tmp_path / "*" / "completions" / "*.parquet"))
    assert len(read(tmp_path / "one")) == 2


def test_other_files_of_a_run_are_left_out(tmp_path, jsonl):
    (tmp_path / "completions").mkdir()
    pl.DataFrame([TRL, TRL]).write_parquet(tmp_path / "completions" / "completions_00001.parquet")
    jsonl([{"loss": 0.5, "learning_rate": 1e-5}], "trainer_log.jsonl")
    assert read(tmp_path).read_as == "TRL completions"


def test_a_prompt_of_messages_is_one_prompt():
    chat = [{"role": "user", "content": "why?"}]
    answer = [{"role": "assistant", "content": "because"}]
    rows = [TRL | {"prompt": chat, "completion": answer}] * 2
    assert read(pl.DataFrame(rows)).shape.most == 2


def test_a_tracker_that_spells_nan_as_a_word_is_understood(tmp_path):
    path = tmp_path / "completions_3_0a1b.table.json"
    rows = [[1, "a", "NaN", 0.5, 0.0], [1, "a", "y", "NaN", 0.0]]
    names = ["step", "prompt", "completion", "acc", "advantage"]
    path.write_text(json.dumps({"columns": names, "data": rows}))
    frame = read(path).frame()
    assert frame["acc"].to_list() == [0.5, None]
    assert frame["completion"].to_list() == ["NaN", "y"]


def test_per_token_log_probabilities_are_summed_and_missing_where_one_token_is():
    table = pl.DataFrame(
        {
            "prompt": ["a", "a", "a"],
            "reward": [0.5, 1.0, 0.0],
            "token_logprobs": [[-0.5, -1.0], [-0.25, None], []],
            "ref_token_logprobs": [[-1.0, -1.0], [-2.0, -2.0], [-1.0]],
        }
    )
    frame = read(table).frame()
    assert frame["logprob"].to_list() == [-1.5, None, None]
    assert frame["ref_logprob"].to_list() == [-2.0, -4.0, -1.0]


@pytest.mark.parametrize(
    ("value", "expected"),
    [("C", 1.0), ("I", 0.0), ("P", 0.5), ("N", 0.0), (True, 1.0), (3, 3.0), ("yes", 1.0),
     ("0.5", 0.5), (float("nan"), None), ("inf", None), ("excellent", None), ([1], None)],
)  # fmt: skip
def test_a_grade_is_a_number_or_missing(value, expected):
    assert grade(value) == expected


def test_a_scorer_of_several_parts_makes_several_rewards():
    found = scores({"judge": {"value": {"style": "P", "truth": 1}}, "odd": None})
    assert found == {"judge/style": 0.5, "judge/truth": 1.0, "odd": None}


def test_samples_of_an_inspect_frame_are_graded(as_dict):
    table = pl.DataFrame(
        {"id": ["s", "s"], "epoch": [1, 2], "input": ["q", "q"], "target": ["t", "t"],
         "score_match": ["C", "I"]}
    )  # fmt: skip
    base = read(table)
    assert base.read_as == "Inspect samples"
    assert as_dict(base, "score_match") == {"s": [1.0, 0.0]}


def test_names_that_would_steer_a_terminal_are_spelt_out():
    rows = [TRL | {"acc\x1b[31m\u202e": 0.5, "form\n": 1.0}] * 2
    base = read(pl.DataFrame(rows), weights={"acc\x1b[31m\u202e": 1, "form\n": 2})
    assert str(base).isprintable()
    with pytest.raises(ArgumentError) as caught:
        read(pl.DataFrame(rows)).one_reward()
    assert str(caught.value).isprintable()


def test_a_nemo_log_without_prompts_says_what_is_missing(jsonl):
    path = jsonl([{"content": ["question and answer"], "rewards": [1.0], "idx": 0}])
    with pytest.raises(DataError, match="NeMo-RL data without prompts"):
        read(path)


def test_a_failed_request_of_a_batch_has_no_completion(jsonl):
    good = {"choices": [{"message": {"content": "x"}}], "model": "m"}
    rows = [
        {"id": "1", "custom_id": "a", "response": {"body": good}, "error": None},
        {"id": "2", "custom_id": "a", "response": None, "error": {"code": "timeout"}},
    ]
    frame = read(jsonl(rows)).frame()
    assert frame["completion"].to_list() == ["x", None]


def test_lists_of_ms_swift_that_differ_in_length_are_refused_with_their_row(jsonl):
    line = {"step": ["1", "1"], "prompt": ["a", "a"], "completion": ["x", "y"], "acc": [1.0],
            "advantages": [0.0, 0.0]}  # fmt: skip
    with pytest.raises(DataError, match="one of each per sample was expected"):
        read(jsonl([line, line], "completions.jsonl"))


@pytest.mark.parametrize("source", [one for one in SOURCES if one.rows], ids=lambda s: s.name)
@pytest.mark.parametrize("value", [None, 3, "x", [], [None], {}, {"a": [1]}, [[{}]], float("nan")])
def test_a_nested_dump_with_odd_values_is_no_traceback(source, value, jsonl):
    columns = [name.split("|")[0].replace("*", "x") for name in source.columns]
    path = jsonl([dict.fromkeys(columns, value)] * 2)
    with suppress(DataError, ArgumentError):
        assert str(read(path).describe())


def test_a_renamed_log_of_lm_eval_has_its_documents_for_prompts(tmp_path):
    log = next((GOLDEN / "lm_eval").rglob("samples_sums_*.jsonl"))
    (tmp_path / "renamed.jsonl").write_bytes(log.read_bytes())
    ids = klimit.read(tmp_path / "renamed.jsonl").ids
    assert [f"sums/{one}" for one in ids] == list(klimit.read(log).ids)
