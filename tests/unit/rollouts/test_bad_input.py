"""What is wrong is said in one line: what was seen, what was expected, what to do."""

import gzip
import json
import os
import pickle
import zipfile

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from klimit import ArgumentError, DataError, KlimitError
from klimit.rollouts import read
from klimit.rollouts.formats import parquet

GOOD = [{"prompt": "a", "rm": 0.5}, {"prompt": "a", "rm": 1.0}]


def says(source, *words, error=DataError, **options):
    """Reading fails, on one printable line that holds these words."""
    with pytest.raises(error) as caught:
        read(source, **options).grouped()
    message = str(caught.value)
    assert message.isprintable(), message
    assert "Traceback" not in message
    for word in words:
        assert word in message, message
    assert type(caught.value) in (DataError, ArgumentError)
    assert caught.value.__cause__ is None
    return message


def test_no_prompt_key_says_why_one_is_needed(jsonl):
    path = jsonl([{"text": "x", "rm": 0.5}])
    says(
        path,
        "no prompt key",
        "text, rm",
        "prompt= (--prompt)",
        "pooling prompts overstates the gain",
    )


def test_no_reward_column(jsonl):
    path = jsonl([{"prompt": "a", "completion": "x", "tokens": 3}])
    says(path, "no reward column", "prompt, completion, tokens", "reward= (--reward)")


def test_preference_pairs_are_named(jsonl):
    says(jsonl([{"chosen": "x", "rejected": "y"}]), "preference pairs")


def test_a_trainers_log_is_named(jsonl):
    says(jsonl([{"loss": 0.1, "learning_rate": 1e-5, "reward": 0.5, "step": 1}]), "trainer's log")


def test_text_in_a_reward_shows_the_text_and_its_row(jsonl):
    path = jsonl([*GOOD, {"prompt": "b", "rm": "n/a"}])
    says(path, "'rm' holds text: 'n/a' in row 3", reward="rm")
    path = jsonl([{"prompt": "a", "score": 1}, {"prompt": "a", "score": "bad"}])
    says(path, "'score' holds text: 'bad' in row 2")


def test_numbers_between_quotes_are_text(jsonl):
    says(jsonl([{"prompt": "a", "reward": "0.5"}]), "holds text: '0.5' in row 1")
    says(jsonl([{"prompt": "a", "reward": x} for x in (0.5, 1, "NaN")]), "text: 'NaN' in row 3")


def test_a_reward_of_another_kind_is_refused():
    table = pl.DataFrame({"prompt": ["a"], "meta": [{"x": 1}], "rm": [1.0]})
    says(table, "'meta' holds Struct", reward="meta")


@pytest.mark.parametrize("value", ["Infinity", "-Infinity"])
def test_an_infinite_reward_names_column_prompt_and_row(jsonl, value):
    path = jsonl(
        [
            '{"prompt": "a", "rm": 1}',
            '{"prompt": "b", "rm": 2}',
            f'{{"prompt": "b", "rm": {value}}}',
        ]
    )
    says(
        path,
        "'rm' is " + ("-inf" if value[0] == "-" else "inf"),
        "prompt 'b'",
        "sample 2 of 2 (row 3)",
    )


def test_an_infinite_reward_names_its_row_where_prompts_alternate():
    table = pl.DataFrame({"prompt": ["a", "b", "a"], "rm": [1.0, 2.0, float("inf")]})
    says(table, "prompt 'a'", "sample 2 of 2 (row 3)")


def test_an_infinite_reward_names_the_row_of_the_source_after_a_filter():
    table = pl.DataFrame(
        {"prompt": ["a", "b", "a"], "rm": [1.0, 2.0, float("inf")], "step": [0, 1, 1]}
    )
    with pytest.raises(DataError, match=r"prompt 'a', sample 1 of 1 \(row 3\)"):
        read(table).filter(step=1).grouped()


def test_every_prompt_without_rewards():
    table = pl.DataFrame(
        {"prompt": ["a", "b"], "rm": [None, float("nan")]}, schema_overrides={"rm": pl.Float64}
    )
    says(table, "every one of the 2 samples lacks reward 'rm'")
    says(table.select("prompt", reward=None), "column 'reward' is empty in every row")


def test_a_reward_that_is_null_throughout_is_not_zero():
    table = pl.DataFrame({"prompt": ["a", "b"], "rm": [0.5, 1.0], "reward": [None, None]})
    base = read(table)
    assert base.rewards == ("rm",)


def test_several_rewards_and_none_chosen():
    base = read(pl.DataFrame({"prompt": ["a"], "rm": [1.0], "gold": [0.0]}))
    with pytest.raises(
        ArgumentError, match=r"several rewards \(rm, gold\); say which: reward='rm'"
    ):
        base.one_reward()
    with pytest.raises(ArgumentError, match=r"no reward 'glod'.* Did you mean gold\?"):
        base.one_reward("glod")


@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.csv", "a.parquet", "a.npy", "a.arrow"])
def test_an_empty_file(name, tmp_path):
    (tmp_path / name).touch()
    says(tmp_path / name, f"{name} is empty")


def test_files_without_rows(tmp_path):
    (tmp_path / "a.csv").write_text("prompt,rm\n")
    says(tmp_path / "a.csv", "no rows")
    pl.DataFrame(
        {"prompt": [], "rm": []}, schema={"prompt": pl.String, "rm": pl.Float64}
    ).write_parquet(tmp_path / "a.parquet")
    says(tmp_path / "a.parquet", "no rows")
    (tmp_path / "a.json").write_text("[]")
    says(tmp_path / "a.json", "there are no rows")
    (tmp_path / "a.jsonl").write_text("\n\n")
    says(tmp_path / "a.jsonl", "a.jsonl is empty")


@pytest.mark.parametrize("name", ["a.jsonl.gz", "a.csv.gz", "a.json.gz"])
@pytest.mark.parametrize("cut", [30, -40])
def test_a_truncated_gzip_file(name, cut, tmp_path):
    rows = [{"prompt": f"p{i // 8}", "rm": i * 0.37} for i in range(2000)]
    if "csv" in name:
        text = "prompt,rm\n" + "".join(f"{row['prompt']},{row['rm']}\n" for row in rows)
    else:
        text = (
            json.dumps(rows)
            if name == "a.json.gz"
            else "".join(json.dumps(row) + "\n" for row in rows)
        )
    (tmp_path / name).write_bytes(gzip.compress(text.encode())[:cut])
    message = says(tmp_path / name, name, "cut short")
    if name == "a.jsonl.gz" and cut < 0:
        assert "after line 19" in message


def test_a_truncated_zstd_file(tmp_path):
    text = "".join(json.dumps({"prompt": f"p{i // 8}", "rm": i * 0.37}) + "\n" for i in range(2000))
    (tmp_path / "a.jsonl.zst").write_bytes(
        pa.Codec("zstd").compress(text.encode(), asbytes=True)[:-40]
    )
    says(tmp_path / "a.jsonl.zst", "a.jsonl.zst", "cut short")


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz"])
@pytest.mark.parametrize(
    "bad",
    [
        '{"prompt": "a", "rm": ',
        '{"prompt": "a" "rm": 1}',
        "{'prompt': 'a'}",
        "not json",
        '{"rm": 1} {"rm": 2}',
    ],
)
def test_broken_json_names_the_file_and_the_line(jsonl, name, bad):
    path = jsonl([*GOOD, "", bad, *GOOD], name)
    says(path, f"{name}, line 4: broken JSON")


def test_a_line_that_is_no_record(jsonl):
    says(jsonl([*GOOD, "[1, 2]"]), "line 3: a record such as")


def test_the_file_at_fault_among_many_is_named(jsonl, tmp_path):
    for i in range(4):
        jsonl([*GOOD, "{" if i == 2 else GOOD[0]], f"part-{i}.jsonl")
    says(tmp_path / "*.jsonl", "part-2.jsonl, line 3")


def test_broken_json_in_a_document_names_line_and_column(tmp_path):
    path = tmp_path / "a.json"
    path.write_text('[\n {"prompt": "a", "rm": 1},\n {"prompt": "b", "rm": }\n]')
    says(path, "a.json, line 3, column 24: broken JSON")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"config": {"lr": 1}}', "a.json"),
        ('{"a": 1}\n', "a.json"),
        ("[1, 2]", "a.json"),
        ('{"x": [1, 2], "prompt": ["a"]}', "different lengths"),
        ("[[1], {}]", "a.json"),
        ("5", "a.json"),
    ],
)
def test_json_of_another_shape(tmp_path, text, words):
    path = tmp_path / "a.json"
    path.write_text(text)
    says(path, words, error=KlimitError)


def test_deeply_nested_json_is_refused(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"prompt": ' + "[" * 100_000 + "]" * 100_000 + ', "rm": NaN}\n')
    says(path, "a.jsonl is nested too deeply")


def test_mixed_schemas_name_two_files_and_their_columns(tmp_path):
    pl.DataFrame({"prompt": ["a"], "rm": [0.5], "x": [1]}).write_parquet(tmp_path / "1.parquet")
    other = tmp_path / "2.parquet"
    pl.DataFrame({"question": ["a"], "rm": [0.5], "x": [1]}).write_parquet(other)
    says(
        tmp_path,
        "1.parquet",
        "2.parquet",
        "prompt key 'prompt', the second has not",
        "prompt, question",
    )
    pl.DataFrame({"prompt": ["a"], "rouge": [0.5]}).write_parquet(other)
    says(tmp_path, "1.parquet", "2.parquet", "none of the rewards rm, x", "rm, rouge, x")
    pl.DataFrame({"prompt": ["a"], "rm": ["high"], "x": [1]}).write_parquet(other)
    says(tmp_path, "column 'rm' holds numbers in the first, text in the second")
    pl.DataFrame({"prompt": ["a"], "rm": [[0.5]], "x": [1]}).write_parquet(other)
    says(tmp_path, "column 'rm' holds numbers in the first, lists in the second")


def test_a_parquet_file_that_declares_absurd_sizes(tmp_path, monkeypatch):
    """A footer that claims 2**40 rows is refused; nothing of that size is allocated."""
    rows = 100_003
    path = tmp_path / "a.parquet"
    pl.DataFrame({"prompt": ["a"] * rows, "rm": [1.0] * rows}).write_parquet(
        path, statistics=False, row_group_size=rows
    )
    raw = path.read_bytes()
    size = int.from_bytes(raw[-8:-4], "little")
    body, footer = raw[: -8 - size], raw[-8 - size : -8]

    def varint(number):
        groups = [number >> shift & 127 for shift in range(0, max(number.bit_length(), 1), 7)]
        return bytes(group | 128 for group in groups[:-1]) + bytes(groups[-1:])

    assert varint(2 * rows) in footer
    for claim in (10**9, 2**40, 2**62):
        forged = footer.replace(varint(2 * rows), varint(2 * claim))
        path.write_bytes(body + forged + len(forged).to_bytes(4, "little") + b"PAR1")
        monkeypatch.setattr(parquet, "memory", lambda: 8 << 30)
        says(path, f"a.parquet declares {claim:,} rows")


@pytest.mark.parametrize("damage", ["cut", "tail", "footer", "length"])
def test_a_damaged_parquet_file(tmp_path, samples, damage):
    path = tmp_path / "a.parquet"
    samples.write_parquet(path)
    raw = path.read_bytes()
    size = int.from_bytes(raw[-8:-4], "little")
    damaged = {
        "cut": raw[: len(raw) // 2],
        "tail": raw[:-4] + b"XXXX",
        "footer": raw[: -8 - size] + bytes(size) + raw[-8:],
        "length": raw[:-8] + b"\xff\xff\xff\x7f" + b"PAR1",
    }[damage]
    path.write_bytes(damaged)
    says(path, "a.parquet cannot be read")


@pytest.mark.parametrize("name", ["a.pkl", "a.pt", "a.bin", "a.jsonl", "a"])
def test_a_pickle_is_refused_whatever_its_name(name, tmp_path):
    path = tmp_path / name
    path.write_bytes(pickle.dumps(GOOD))
    says(path, "is a pickle, which can run code", "convert it once", "write_parquet")


@pytest.mark.parametrize("name", ["a.bin", "a.pt", "a.pkl", "a.joblib"])
def test_only_what_begins_as_a_pickle_is_called_one(name, tmp_path):
    path = tmp_path / name
    path.write_bytes(np.random.default_rng(0).bytes(64))
    says(path, "is none of the files that klimit reads")
    path.write_text("".join(json.dumps(row) + "\n" for row in GOOD))
    assert read(path).rewards == ("rm",)


def test_a_torch_archive_is_refused_and_the_conversion_shown(tmp_path):
    path = tmp_path / "rollouts"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(GOOD))
    says(path, "torch.load(FILE, weights_only=False)", "prompt_id", "reward")
    path.rename(tmp_path / "0.pt")  # as slime leaves them, and nothing else
    says(tmp_path, "0.pt is a pickle", "torch.load(FILE, weights_only=False)")


def test_numpy_objects_are_refused(tmp_path):
    np.save(tmp_path / "a.npy", np.array([{"a": 1}, None], dtype=object), allow_pickle=True)
    says(tmp_path / "a.npy", "is a pickle", "np.load(FILE, allow_pickle=True)")
    np.savez(tmp_path / "a.npz", r=np.array([[1, "x"], [None, 2]], dtype=object))
    says(tmp_path / "a.npz", "is a pickle")


def test_numpy_files_that_declare_too_much_are_refused(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((2, 3)))
    raw = (tmp_path / "a.npy").read_bytes()
    forged = raw.replace(b"(2, 3), }" + b" " * 12, b"(2000000000, 30), }  ")
    assert len(forged) == len(raw)
    assert forged != raw
    (tmp_path / "b.npy").write_bytes(forged)
    says(tmp_path / "b.npy", "b.npy is no readable NumPy file")
    with zipfile.ZipFile(tmp_path / "c.npz", "w") as archive:
        archive.writestr("r.npy", forged)
    says(tmp_path / "c.npz", "c.npz declares an array of 480,000,000,000 bytes")


def test_a_path_that_does_not_exist_is_answered_with_the_nearest(tmp_path, jsonl):
    jsonl(GOOD, "rollouts.jsonl")
    says(
        tmp_path / "rolouts.jsonl",
        "no file",
        "there is no rolouts.jsonl in",
        "Did you mean rollouts.jsonl?",
    )
    says(tmp_path / "nowhere" / "a.jsonl", "there is no nowhere in")
    says(str(tmp_path / "*.parquet"), "no file matches")


def test_a_folder_without_rollouts(tmp_path):
    (tmp_path / "notes.md").write_text("x")
    says(tmp_path, "no rollouts in folder", "it holds: notes.md", ".parquet")


def test_addresses_and_devices_are_no_files(tmp_path):
    says("s3://bucket/a.parquet", "is an address", "Download it")
    says("/dev/null", "no regular file")
    says("a\0b.jsonl", "no file a\\x00b.jsonl")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(jsonl):
    path = jsonl(GOOD)
    path.chmod(0)
    says(path, "permission denied", "Change its mode or owner")


def test_a_file_that_the_system_does_not_open(jsonl, monkeypatch):
    from pathlib import Path

    path = jsonl(GOOD)

    def refuse(self, *args, **kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    says(path, "samples.jsonl may not be read by this user", "Change its mode or owner")


def test_files_of_other_kinds_are_refused(tmp_path):
    (tmp_path / "a.txt").write_text("hello")
    says(tmp_path / "a.txt", "none of the files that klimit reads", ".parquet")
    (tmp_path / "a.parquet").write_text("hello there, this is no parquet")
    says(tmp_path / "a.parquet", "a.parquet cannot be read")
    (tmp_path / "a.parquet").write_text(
        "version https://git-lfs.github.com/spec/v1\noid sha256:4d\n"
    )
    says(tmp_path / "a.parquet", "the pointer to a file", "git lfs pull")
    (tmp_path / "a.csv").write_bytes("prompt,rm\na,1\n".encode("utf-16"))
    says(tmp_path / "a.csv", "UTF-16", "iconv")
    (tmp_path / "b.csv").write_bytes(b"prompt,rm\n\xff\xfe\xfa,1\n")
    says(tmp_path / "b.csv", "not UTF-8")
    (tmp_path / "c.csv").write_text('prompt,rm\n"a,1\nb,2\n')
    says(tmp_path / "c.csv", "c.csv cannot be read")
    (tmp_path / "d.csv").write_text("prompt,rm\na,1,2,3\n")
    says(tmp_path / "d.csv", "d.csv cannot be read")


@pytest.mark.parametrize("source", [3, None, [1, "a.jsonl"], [], object(), b"a.jsonl", [None]])
def test_what_is_no_source_is_refused(source):
    says(source, error=KlimitError)


EVIL = "\x1b]0;owned\x07\x1b[31m\u202e"


def test_control_characters_reach_no_message(jsonl, tmp_path):
    path = jsonl([{"prompt": EVIL, "rm": 1, EVIL: "x"}], f"{EVIL}.jsonl")
    says(path, "\\x1b[31m", reward=EVIL)
    says(path, prompt=f"{EVIL}x", error=ArgumentError)
    says(tmp_path / f"{EVIL}.parquet")
    inf = pl.DataFrame({"prompt": [EVIL], EVIL: [float("inf")]})
    says(inf, "\\x1b[31m")
    base = read(pl.DataFrame({"prompt": ["a"], EVIL: [1.0], "policy": [EVIL], "step": [0]}))
    for text in (str(base), repr(base), *str(base.describe()).splitlines()):
        assert text.isprintable()


def test_long_texts_are_never_shown_whole(jsonl):
    message = says(jsonl([{"prompt": "x" * 10**6, "reward": "y" * 10**6}]), "yyy...")
    assert len(message) < 1000
    wide = pl.DataFrame({f"column {i}" * 50: ["a"] for i in range(500)})
    assert len(says(wide, "no prompt key", "more")) < 2000


@pytest.mark.parametrize(
    ("prompt", "text", "reward"),
    [("prompt", "completion", "rewards"), ("input_prompt", "output_response", "score")],
)
def test_rewards_of_an_answers_tokens_are_not_samples(jsonl, prompt, text, reward):
    rows = [{prompt: "a", text: answer, reward: [0.0, 0.0, 1.0]} for answer in ("x", "y")]
    path = jsonl(rows)
    says(path, f"row 1: reward '{reward}' has 3 entries beside one '{text}'", "sums", "--reward")
    says(path, "tokens or turns", reward=reward)


@pytest.mark.parametrize(
    "turns", ['[{"role": "user", "content": "why?"}, {"role": "assistant", "content": "%s"}]',
              "User: why?\n\nAssistant: %s"],
)  # fmt: skip
def test_a_conversation_that_is_text_must_not_hold_the_answers(turns, jsonl):
    rows = [
        {"messages": turns % answer, "rm": rm}
        for answer, rm in zip("xxyy", [1, 1, 0, 0], strict=True)
    ]
    path = jsonl(rows)
    says(path, "'messages' is text that seems to hold the answers too (row 1)", "--prompt")
    assert len(read(path, prompt="messages").ids) == 2
    asked = jsonl([{"messages": "User: why?", "rm": rm} for rm in (0.0, 1.0)])
    assert len(read(asked).ids) == 1


def test_a_conversation_of_answers_alone_names_no_prompt(jsonl):
    rows = [{"messages": [{"role": "assistant", "content": "x"}], "rm": 0.5}] * 4
    says(jsonl(rows), "prompt key messages is empty in every row")


@pytest.mark.parametrize("second", ["a.parquet", "a.jsonl.gz"])
def test_one_table_in_two_formats_is_not_counted_twice(second, jsonl, tmp_path):
    path = jsonl(GOOD, "a.jsonl")
    if second.endswith("gz"):
        (tmp_path / second).write_bytes(gzip.compress(path.read_bytes()))
    else:
        pl.DataFrame(GOOD).write_parquet(tmp_path / second)
    for source in (tmp_path, str(tmp_path / "a*")):
        says(source, f"a.jsonl and {second}", "count twice", "name one of them")
    (tmp_path / second).rename(tmp_path / f"b{second}")
    assert len(read(tmp_path)) == 4


def test_an_empty_path_is_not_the_folder_at_hand(jsonl, tmp_path, monkeypatch):
    jsonl(GOOD)
    monkeypatch.chdir(tmp_path)
    says("", "an empty path")
    assert len(read(".")) == 2


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("reward", 1.0),
        ("prompt", "ab"),
        ("reward", np.array(1.0)),
        ("reward", {"a": 1.0, "b": 0.0}),
    ],
)
def test_a_dict_of_columns_holds_a_list_for_each(name, value):
    columns = {"prompt": ["a", "b"], "reward": [0.0, 1.0]} | {name: value}
    says(columns, f"under '{name}'", "one entry per row", error=ArgumentError)


@pytest.mark.parametrize(
    "turns", [
        "You are a helpful assistant. %s",
        "<|im_start|>user\n%s<|im_end|>\n<|im_start|>assistant\n",
        "<|start_header_id|>user<|end_header_id|>\n\n%s<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n",
        "User: hi\nAssistant: ho\nUser: %s\nAssistant:",
        '[{"role": "assistant", "content": "ho"}, {"role": "user", "content": "%s"}]',
    ],
)  # fmt: skip
def test_a_conversation_that_is_text_may_name_the_model_before_it_answers(turns, jsonl):
    rows = [{"messages": turns % asked, "rm": 0.5} for asked in "aabb"]
    assert read(jsonl(rows)).shape.prompts == 2
