"""`klimit best-of-n`: what it says, as words, as JSON and as files."""

import json
import re

import numpy as np
import polars as pl
import pytest

import klimit as package


def test_the_verdict_says_what_the_largest_n_gains_and_how_near_the_limit_it_is(klimit, quality):
    done = klimit("best-of-n", quality, "-n", "1,2,4")
    assert done.code == 0
    assert not done.err
    lines = done.out.splitlines()
    assert re.match(
        r"Best-of-4 gains \+1\.\d+ quality \[.*\] over the base model's \d.*0.64 nats", lines[2]
    )
    assert re.match(r"That is \d+ % of what any method can gain at this KL \[", lines[3])
    assert lines[4].startswith("It beats an answer of the base model 80 % of the time.")
    assert re.search(r"^  1    0 +0.00 +- +50 %$", done.out, re.MULTILINE)


def test_sizes_are_chosen_if_not_given(klimit, quality):
    document = json.loads(klimit("best-of-n", quality, "--json").out)
    assert [row["n"] for row in document["best_of_n"]] == [1, 2, 4, 8, 16, 32]


@pytest.mark.parametrize(("missing", "most"), [(0.1, 8), (0.5, 4)])
def test_sizes_are_those_that_rewards_show_not_rows(klimit, write_jsonl, missing, most):
    rng = np.random.default_rng(5)
    path = write_jsonl([
        {"prompt_id": f"p{i}", "reward": None if rng.random() < missing else rng.normal()}
        for i in range(30) for _ in range(16)
    ])  # fmt: skip
    done = klimit("best-of-n", path, "--json")
    assert done.code == 0, done.err
    document = json.loads(done.out)
    assert document["best_of_n"][-1]["n"] == most
    assert document["data"]["prompts_used"] >= 27


def test_solved_or_not_rewards_show_pass_at_n(klimit, solved):
    out = klimit("best-of-n", solved, "-n", "4").out
    assert re.search(r"^pass@4 is 0\.\d+ \[", out, re.MULTILINE)
    assert "(no ties: 0.64)" in out


def test_a_judge_reads_what_the_reward_selects(klimit, write_jsonl, rows):
    path = write_jsonl([row | {"gold": -row["quality"]} for row in rows])
    done = klimit("best-of-n", path, "-n", "2", "--reward", "quality", "--judge", "gold")
    assert done.code == 0
    assert "Best-of-2, selected by quality, gains -0." in done.out


@pytest.mark.parametrize("n", [[], ["-n", "2"]])
def test_a_judge_of_other_samples_is_one_line(klimit, write_jsonl, n):
    path = write_jsonl([
        {"prompt_id": f"p{i // 8}", "rm": i if i % 2 else None, "gold": None if i % 2 else i}
        for i in range(80)
    ])  # fmt: skip
    done = klimit("best-of-n", path, *n, "--reward", "rm", "--judge", "gold")
    assert (done.code, done.out, done.err.count("\n")) == (1, "", 1)
    assert "no sample has both rewards, rm and gold; score the same samples" in done.err


def test_json_keeps_its_schema(klimit, quality):
    document = json.loads(klimit("best-of-n", quality, "-n", "1,4", "--json").out)
    assert list(document) == [
        *("schema", "version", "read", "reward", "judge", "level", "data", "base_reward"),
        *("trusted_kl", "best_of_n", "verdict", "notes"),
    ]
    assert document["schema"] == "klimit.best-of-n/1"
    one, four = document["best_of_n"]
    assert list(four) == [
        *("n", "gain", "kl", "kl_bound", "efficiency", "limit", "own_limit", "win_rate"),
        *("per_doubling", "kept_reward", "pass_at_k", "tokens"),
    ]
    assert four["gain"]["value"] == package.best_of_n(package.read(quality), n=4).gain.value
    assert one["efficiency"]["value"] is None
    assert one["efficiency"]["reason"]
    assert four["tokens"]["reason"] == "the data has no token counts"


def test_output_writes_a_row_per_n(klimit, quality, tmp_path):
    target = tmp_path / "best.csv"
    assert klimit("best-of-n", quality, "-n", "1,4", "-o", target).code == 0
    assert pl.read_csv(target)["n"].to_list() == [1, 4]
