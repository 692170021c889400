"""`klimit prompts`: lists as JSON lines, to stdout or to a file."""

import json

import numpy as np
import polars as pl
import pytest

import klimit as package


def parsed(text):
    return [json.loads(line, parse_constant=pytest.fail) for line in text.splitlines()]


def test_the_largest_headroom_comes_first(klimit, quality):
    done = klimit("prompts", quality, "--kl", "0.5", "--top", "3")
    assert done.code == 0
    found = parsed(done.out)
    frame = package.frontier(package.read(quality)).prompts(0.5, by="headroom")
    assert [row["prompt_id"] for row in found] == frame["prompt_id"].head(3).to_list()
    assert found[0]["gain"] == frame["gain"][0]
    assert list(found[0]) == [
        *("prompt_id", "samples", "mean_reward", "gain", "kl", "headroom", "ess", "trusted"),
        *("at_top", "no_signal"),
    ]
    assert done.err == "40 of 40 prompts by headroom, the largest first; the first 3 are listed\n"


def test_a_single_one_is_listed(klimit, quality):
    said = klimit("prompts", quality, "--kl", "0.5", "--top", "1").err
    assert said == "40 of 40 prompts by headroom, the largest first; the first one is listed\n"


def test_prompts_of_one_reward_give_no_signal(klimit, solved):
    done = klimit("prompts", solved, "--by", "zero-signal")
    table = pl.read_parquet(solved).group_by("prompt_id").agg(pl.col("correct").n_unique())
    still = set(table.filter(pl.col("correct") == 1)["prompt_id"])
    assert {row["prompt_id"] for row in parsed(done.out)} == still
    assert len(still) > 10
    others = parsed(klimit("prompts", solved).out)
    half = [row["no_signal"] for row in others if row["prompt_id"] not in still]
    assert min(row["no_signal"] for row in parsed(done.out)) > np.mean(half)
    assert done.err.startswith(f"{len(still)} of 60 prompts whose samples all have one reward")


def test_saturated_prompts_are_those_that_nearly_all_samples_solve(klimit, solved):
    done = klimit("prompts", solved, "--by", "saturated", "--nearly", "0.75")
    means = pl.read_parquet(solved).group_by("prompt_id").agg(pl.col("correct").mean())
    solved_ids = set(means.filter(pl.col("correct") >= 0.75)["prompt_id"])
    assert {row["prompt_id"] for row in parsed(done.out)} == solved_ids
    assert solved_ids


@pytest.fixture
def policy(tmp_path):
    """A policy at two steps, of which the last goes far on one prompt that has little to gain."""
    rng = np.random.default_rng(5)
    found = [
        {"prompt_id": f"p{i}", "step": step, "quality": float(rng.normal(3.5)), "logprob": -20.0,
         "ref_logprob": -20.0 - (6.0 if (i, step) == (7, 100) else 0.3) + float(rng.normal(0, 0.05))}
        for step in (50, 100) for i in range(40) for _ in range(8)
    ]  # fmt: skip
    path = tmp_path / "grpo.parquet"
    pl.DataFrame(found).write_parquet(path)
    return path


def test_wasteful_prompts_are_those_of_the_policy_at_its_last_step(klimit, quality, policy):
    done = klimit("prompts", quality, "--by", "wasteful", "--policy-path", policy)
    assert done.code == 0, done.err
    first, *_ = parsed(done.out)
    assert first["prompt_id"] == "p7"
    assert first["kl"] == pytest.approx(6, abs=0.1)
    assert "prompts on which grpo step 100 seems to spend more KL than the optimum" in done.err


@pytest.mark.parametrize("options", [["--by", "wasteful"], ["--policy-path", "x.parquet"]])
def test_wasteful_ones_and_a_policy_go_together(klimit, quality, options):
    done = klimit("prompts", quality, *options)
    assert done.code == 2
    assert done.err.count("\n") == 1
    assert "go together" in done.err


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet"])
def test_output_writes_the_list(klimit, quality, tmp_path, suffix):
    target = tmp_path / f"train{suffix}"
    done = klimit("prompts", quality, "--top", "5", "-o", target)
    assert done.code == 0
    assert not done.err
    assert "prompts by headroom, the largest first; the first 5 are listed" in done.out
    reader = {".jsonl": pl.read_ndjson, ".csv": pl.read_csv, ".parquet": pl.read_parquet}[suffix]
    assert reader(target)["prompt_id"].to_list() == [
        row["prompt_id"] for row in parsed(klimit("prompts", quality, "--top", "5").out)
    ]


def test_text_stands_beside_the_id_if_asked_for(klimit, write_jsonl, rows):
    path = write_jsonl([row | {"prompt": f"Tell me of {row['prompt_id']}."} for row in rows])
    first, *_ = klimit("prompts", path, "--text").out.splitlines()
    found = json.loads(first)
    assert list(found)[:2] == ["prompt_id", "prompt"]
    assert found["prompt"] == f"Tell me of {found['prompt_id']}."


def test_messages_stay_messages(klimit, write_jsonl, rows):
    chat = [{"role": "user", "content": "hello"}]
    path = write_jsonl([row | {"prompt": [*chat, {"role": "user", "content": row["prompt_id"]}]}
                        for row in rows])  # fmt: skip
    first, *_ = klimit("prompts", path, "--text", "--prompt", "prompt_id").out.splitlines()
    assert json.loads(first)["prompt"][0] == chat[0]


def test_ids_that_would_steer_a_terminal_are_escaped(klimit, write_jsonl, rows):
    nasty = "\x1b[31m\u202e</script>\x7f\x9b\n"
    path = write_jsonl([row | {"prompt_id": nasty + row["prompt_id"]} for row in rows])
    done = klimit("prompts", path, "--top", "1")
    assert done.out.isascii()
    assert done.out[:-1].isprintable()
    assert json.loads(done.out)["prompt_id"].startswith(nasty)


def test_a_budget_that_was_chosen_is_named(klimit, quality):
    done = klimit("prompts", quality, "--top", "2")
    assert "; gain and KL at a budget of" in done.err
    assert "(--kl)" in done.err
