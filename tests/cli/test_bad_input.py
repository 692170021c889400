"""Whatever is wrong: one line on stderr, exit code 1 or 2, no traceback, nothing written."""

import gzip
import json
import os
import pickle
import struct

import polars as pl
import pytest

FAILED, USAGE = 1, 2


def edited(rows, **changes):
    """Every record with these entries; one that is ... is taken out."""
    changed = [row | changes for row in rows]
    return [{k: v for k, v in row.items() if v is not ...} for row in changed]


@pytest.fixture
def refused(klimit, tmp_path, monkeypatch):
    """Run a command that must fail in the agreed way; return the code and the line."""
    monkeypatch.chdir(tmp_path)

    def run(*args):
        before = sorted(tmp_path.iterdir())
        output = [] if args[0] == "describe" else ["--output", "out.csv"]
        done = klimit(*args, *output)
        assert done.out == ""
        assert done.err.startswith("error: ")
        assert done.err.count("\n") == 1
        assert done.err.endswith("\n")
        assert len(done.err) < 1200
        assert done.err.isprintable() or done.err[:-1].isprintable()
        assert sorted(tmp_path.iterdir()) == before
        return done.code, done.err

    return run


@pytest.mark.parametrize("command", [["limit"], ["best-of-n", "-n", "2"], ["plan", "--kl", "1"]])
def test_a_path_that_does_not_exist(refused, command):
    name, *options = command
    code, line = refused(name, "nowhere.parquet", *options)
    assert code == FAILED
    assert "nowhere.parquet" in line


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"prompt_id": ...}, "prompt"),
        ({"quality": ...}, "reward"),
        ({"quality": "good"}, "reward"),
        ({"quality": float("inf")}, "finite"),
        ({"quality": None}, "reward"),
    ],
    ids=["no prompt key", "no reward column", "text for rewards", "infinite", "all missing"],
)
def test_columns_that_cannot_be_used(refused, write_jsonl, rows, changes, said):
    code, line = refused("limit", write_jsonl(edited(rows, **changes)))
    assert code == FAILED
    assert said in line


def test_an_infinite_reward_in_a_parquet_file(refused, tmp_path, rows):
    path = tmp_path / "rows.parquet"
    pl.DataFrame(edited(rows, quality=float("-inf"))).write_parquet(path)
    code, line = refused("limit", path)
    assert code == FAILED
    assert "finite" in line


def test_one_sample_of_every_prompt(refused, write_jsonl, rows):
    code, line = refused("limit", write_jsonl(rows[::8]))
    assert code == FAILED
    assert "sample" in line or "two rewards" in line


def test_a_reward_that_is_not_there(refused, write_jsonl, rows):
    code, line = refused("limit", write_jsonl(rows), "--reward", "qualty")
    assert code == USAGE
    assert "Did you mean quality?" in line


def test_several_rewards_and_none_named(refused, write_jsonl, rows):
    code, line = refused("limit", write_jsonl(edited(rows, gold=0.5)))
    assert code == USAGE
    assert "--reward" in line


def test_two_equally_good_prompt_keys(refused, write_jsonl, rows):
    two = [row | {"question_id": f"q{i % 40}"} for i, row in enumerate(edited(rows, prompt_id=...))]
    two = [row | {"group_id": f"g{i % 20}"} for i, row in enumerate(two)]
    code, line = refused("limit", write_jsonl(two))
    assert code == FAILED
    assert "question_id" in line
    assert "group_id" in line


def test_one_text_under_two_ids_that_carry_different_metadata(refused, write_jsonl, rows):
    twins = [row | {"prompt": "the same words", "task": row["prompt_id"]} for row in rows]
    code, line = refused("limit", write_jsonl(twins))
    assert code == FAILED
    assert "p0" in line


@pytest.mark.parametrize("name", ["empty.jsonl", "empty.csv", "empty.parquet", "empty.jsonl.gz"])
def test_an_empty_file(refused, tmp_path, name):
    (tmp_path / name).touch()
    code, line = refused("limit", tmp_path / name)
    assert code == FAILED
    assert name in line


def test_an_empty_folder(refused, tmp_path):
    (tmp_path / "dumps").mkdir()
    code, line = refused("limit", tmp_path / "dumps")
    assert code == FAILED
    assert "dumps" in line


def test_a_glob_that_matches_nothing(refused):
    code, line = refused("limit", "*.jsonl")
    assert code == FAILED
    assert "*.jsonl" in line


def test_a_truncated_gzip(refused, tmp_path, rows):
    whole = gzip.compress("\n".join(map(json.dumps, rows)).encode())
    path = tmp_path / "rows.jsonl.gz"
    path.write_bytes(whole[: len(whole) // 2])
    code, line = refused("limit", path)
    assert code == FAILED
    assert "rows.jsonl.gz" in line


def test_broken_json_names_its_line(refused, write_jsonl, rows):
    path = write_jsonl(rows)
    lines = path.read_text().splitlines()
    lines[6] = lines[6][:20]
    path.write_text("\n".join(lines))
    code, line = refused("limit", path)
    assert code == FAILED
    assert "line 7" in line


def test_mixed_schemas_in_one_glob(refused, write_jsonl, rows, tmp_path):
    write_jsonl(rows, "a.jsonl")
    write_jsonl([{"question": "?", "score": 1.0}] * 4, "b.jsonl")
    code, line = refused("limit", tmp_path / "*.jsonl")
    assert code == FAILED
    assert "b.jsonl" in line


@pytest.mark.parametrize("damage", ["footer", "cut"])
def test_a_parquet_file_that_declares_absurd_sizes(refused, quality, damage):
    whole = quality.read_bytes()
    huge = whole[:-8] + struct.pack("<I", 0x7FFFFFFF) + whole[-4:]
    quality.write_bytes(huge if damage == "footer" else whole[:200] + whole[-400:])
    code, line = refused("limit", quality)
    assert code == FAILED
    assert "quality.parquet" in line


@pytest.mark.parametrize("name", ["rows.pkl", "rows.pt", "rows.jsonl"])
def test_a_pickle_is_never_loaded(refused, tmp_path, name):
    class Trap:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "trapped"),))

    (tmp_path / name).write_bytes(pickle.dumps(Trap()))
    code, line = refused("limit", tmp_path / name)
    assert code == FAILED
    assert "pickle" in line


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root reads everything")
def test_a_file_that_may_not_be_read(refused, quality):
    quality.chmod(0)
    code, line = refused("limit", quality)
    assert code == FAILED
    assert "permission" in line.lower()


@pytest.mark.parametrize("kl", ["-1", "nan", "0.5,-0.1", "inf", "one", "", "1,,2"])
def test_a_kl_that_cannot_be(refused, quality, kl):
    assert refused("limit", quality, "--kl", kl)[0] == USAGE


@pytest.mark.parametrize("n", ["0", "-4", "64", "1,64", "1.5", "four", "99999999999999999999999"])
def test_an_n_that_cannot_be(refused, quality, n):
    assert refused("best-of-n", quality, "-n", n)[0] == USAGE


@pytest.mark.parametrize(
    "options",
    [
        ["--kl", "-1"],
        ["--kl", "nan"],
        ["--gain", "nan"],
        ["-n", "0"],
        ["--beta", "0"],
        ["--kl", "1", "--error", "0"],
        ["--kl", "1", "--group-size", "1"],
        ["--gain", "1e9"],
        [],
    ],
)
def test_a_plan_that_cannot_be(refused, quality, options):
    assert refused("plan", quality, *options)[0] == USAGE


@pytest.mark.parametrize(
    "options",
    [
        ["--level", "0"],
        ["--level", "95"],
        ["--level", "nan"],
        ["--seed", "-1"],
        ["--reward-range", "5,1"],
        ["--reward-range", "1"],
        ["--reward-range", "nan,1"],
        ["--reward-range", "0,0.5"],
        ["--budget", "each"],
        ["--step", "7"],
        ["--policy", "x"],
        ["--nonsense"],
    ],
)
def test_an_option_that_cannot_be(refused, quality, options):
    assert refused("limit", quality, *options)[0] == USAGE


@pytest.mark.parametrize("target", ["out.txt", "out", "no/such/folder/out.csv", ""])
def test_an_output_that_cannot_be(klimit, quality, tmp_path, monkeypatch, target):
    monkeypatch.chdir(tmp_path)
    done = klimit("limit", quality, "--kl", "1", "--output", target)
    assert done.code == USAGE
    assert done.out == ""
    assert done.err.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["quality.parquet"]


def test_an_input_is_never_written_over(klimit, quality):
    before = quality.read_bytes()
    done = klimit("limit", quality, "--kl", "1", "--output", quality)
    assert done.code == USAGE
    assert quality.read_bytes() == before


@pytest.mark.parametrize("typed", ["*.parquet", "."])
def test_an_input_behind_a_glob_or_in_a_folder_is_never_written_over(klimit, quality, typed):
    before = quality.read_bytes()
    done = klimit("limit", quality.parent / typed, "--kl", "1", "--output", quality)
    assert done.code == USAGE
    assert "also read from" in done.err
    assert quality.read_bytes() == before


@pytest.mark.parametrize(
    "command",
    [
        ["hacking", "--proxy", "quality", "--labels"],
        ["hacking", "--proxy", "quality", "--judgements"],
        ["prompts", "--by", "wasteful", "--policy-path"],
    ],
)
def test_a_file_that_an_option_names_is_never_written_over(klimit, quality, tmp_path, command):
    other = tmp_path / "other.csv"
    other.write_text("prompt_id,sample,gold\np0,0,1\n")
    before = other.read_bytes()
    done = klimit(command[0], quality, *command[1:], other, "--output", other)
    assert done.code == USAGE
    assert "also read from" in done.err
    assert other.read_bytes() == before


def test_a_command_that_is_not_there(klimit):
    done = klimit("lmit")
    assert done.code == USAGE
    assert "limit" in done.err
    assert done.err.count("\n") == 1


def test_an_option_given_twice_is_refused_unless_it_may_be(klimit, quality):
    twice = klimit("limit", quality, "--kl", "1", "--kl", "2")
    assert (twice.code, twice.out) == (2, "")
    assert twice.err == "error: --kl was given twice; give it once. See klimit limit --help.\n"
    assert klimit("limit", quality, "--json", "--json", "--kl", "1").code == 0
