"""`klimit limit`: what it says, as words, as JSON and as files."""

import json
import re
import shlex

import numpy as np
import polars as pl
import pytest
from numpy.testing import assert_allclose

import klimit as package


def test_the_verdict_says_what_was_read_what_can_be_gained_and_how_far_to_trust_it(klimit, quality):
    done = klimit("limit", quality, "--kl", "0.2,0.5,6")
    assert done.code == 0
    assert not done.err
    lines = done.out.splitlines()
    assert lines[0] == "read 40 prompts x 32 samples, reward: quality"
    assert re.match(
        r"At a KL of 0.5 nats the best any method can do is \+\d\.\d+ quality \[", lines[2]
    )
    assert "with beta = " in lines[2]
    assert lines[3].startswith("That lifts the mean from the base model's ")
    assert re.match(
        r"Best-of-\d spends .* and reaches \d+ % of what is possible there \[", lines[4]
    )
    assert re.match(r"Trusted up to \S+ nats with 32 samples a prompt; 6 nats would take", lines[5])
    assert re.search(r"^  6.0    at least \d\.\d+ +-  +N = 1,096$", done.out, re.MULTILINE)
    assert done.out.splitlines()[-1].startswith(f"next: klimit plan {quality} --kl 0.5 ")


def test_no_best_of_n_is_told_of_where_no_kl_is_spent(klimit, quality):
    done = klimit("limit", quality, "--kl", "0")
    assert "nothing is gained" in done.out
    assert "Best-of-1" not in done.out


def test_the_numbers_are_those_of_the_library(klimit, quality):
    done = klimit("limit", quality, "--kl", "0.5,1", "--json")
    limit = package.frontier(package.read(quality))
    for row in json.loads(done.out)["limit"]:
        assert row["gain"]["value"] == limit.gain(row["kl"]).value
        assert row["beta"]["low"] == limit.beta(row["kl"]).low


def test_without_budgets_it_shows_the_trusted_range_and_one_step_past_it(klimit, quality):
    document = json.loads(klimit("limit", quality, "--json").out)
    trusted = [row["gain"]["trusted"] for row in document["limit"]]
    assert trusted == [True] * (len(trusted) - 1) + [False]
    assert len(trusted) >= 3


def test_frontier_is_the_same_command(klimit, quality):
    assert klimit("frontier", quality, "--kl", "1") == klimit("limit", quality, "--kl", "1")


def test_str_of_a_frontier_is_what_the_command_says_of_it(klimit, quality):
    said = klimit("limit", quality).out
    for line in str(package.frontier(package.read(quality))).splitlines():
        assert line in said or line.startswith("  ")  # the command's table has one column more


def test_solved_or_not_rewards_say_what_unsolved_prompts_decide(klimit, solved):
    done = klimit("limit", solved, "--kl", "0.2,3")
    assert done.code == 0
    assert re.search(r"note: \d+ of 60 prompts have no success among their samples", done.out)
    assert re.search(r"^  3.0    between 0\.\d+ and 0\.\d+ +-", done.out, re.MULTILINE)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--budget", "per-prompt"], "If every prompt spends 1 nat the best"),
        (
            ["--objective", "win-rate"],
            "lifts the chance to beat an answer of the base model from 0.5",
        ),
        (["--prompts", "fixed"], "note: intervals are for these very prompts"),
        (["--estimator", "plugin"], "low at every sample size"),
        (["--level", "0.8"], "with a 80 % interval"),
    ],
)
def test_each_option_is_heard(klimit, quality, options, said):
    done = klimit("limit", quality, "--kl", "0.5,1", *options)
    assert done.code == 0
    assert said in " ".join(done.out.split())


def test_what_was_left_out_is_said(klimit, write_jsonl, rows):
    for row in rows[:8]:
        row["quality"] = None
    rows[9]["quality"] = None
    rows.append({"prompt_id": "alone", "completion": "x", "quality": 1.0})
    out = " ".join(klimit("limit", write_jsonl(rows), "--kl", "0.2").out.split())
    assert "note: 9 of 161 rewards are missing and left out." in out
    assert "2 of 21 prompts are left out: 1 with no reward and 1 with one reward, which" in out


def test_prompts_that_never_vary_leave_nothing_to_gain(klimit, write_jsonl, rows):
    path = write_jsonl([row | {"quality": 1.0} for row in rows])
    done = klimit("limit", path, "--kl", "1")
    assert done.code == 0
    assert "Nothing is left to gain here: all rewards are 1, the best of 0 and 1" in done.out
    document = json.loads(klimit("limit", path, "--kl", "1", "--json").out)
    assert document["trusted_kl"] == {
        "value": None,
        "reason": "every prompt's rewards are all equal",
    }


def test_json_keeps_its_schema(klimit, quality):
    document = json.loads(klimit("limit", quality, "--kl", "0.5,6", "--json").out)
    assert list(document) == [
        *("schema", "version", "read", "settings", "data", "base_reward", "trusted_kl", "limit"),
        *("verdict", "notes"),
    ]
    assert document["schema"] == "klimit.limit/1"
    assert document["version"] == package.__version__
    assert list(document["settings"]) == [
        *("reward", "budget", "prompts", "estimator", "objective", "reward_range"),
        *("range_implied", "level", "seed"),
    ]
    assert document["data"] == {
        "prompts": 40,
        "prompts_used": 40,
        "prompts_without_reward": 0,
        "prompts_with_one_reward": 0,
        "samples_used": 1280,
        "samples_per_prompt_least": 32,
        "samples_per_prompt_most": 32,
        "rewards_missing": 0,
    }
    near, far = document["limit"]
    assert list(near) == ["kl", "gain", "beta", "samples_needed", "best_of_n"]
    assert list(near["gain"]) == ["value", "low", "high", "level", "trusted"]
    assert near["best_of_n"] == {"value": 4}
    assert near["samples_needed"] == {"value": None, "reason": "these samples reach this KL"}
    assert far["gain"]["high"] is None
    assert "lower bound" in far["gain"]["reason"]
    assert far["samples_needed"]["value"] > 32


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_output_writes_the_table_whole_and_leaves_nothing_else(klimit, quality, tmp_path, suffix):
    target = tmp_path / f"limit.{suffix}"
    before = set(tmp_path.iterdir())
    assert klimit("limit", quality, "--kl", "0.5,6", "-o", target).code == 0
    assert set(tmp_path.iterdir()) - before == {target}
    table = pl.read_csv(target) if suffix == "csv" else pl.read_parquet(target)
    assert table.columns == [
        *("kl", "gain", "gain_low", "gain_high", "beta", "beta_low", "beta_high"),
        *("trusted", "reason"),
    ]
    limit = package.frontier(package.read(quality))
    assert_allclose(table["gain"], limit.gain([0.5, 6.0]).value)
    assert table["gain_high"].is_null().to_list() == [False, True]
    assert table["reason"].is_null().to_list() == [True, False]


def test_a_frame_has_the_same_types_whatever_is_missing(quality):
    limit = package.frontier(package.read(quality))
    assert limit.to_frame([0.5]).schema == limit.to_frame([6.0]).schema
    assert limit.to_dict([0.5])["schema"] == "klimit.limit/1"


def test_a_step_can_be_chosen(klimit, write_jsonl, rows):
    path = write_jsonl([row | {"step": step} for step in (0, 100) for row in rows])
    assert klimit("limit", path, "--kl", "0.2").code == 1
    done = klimit("limit", path, "--kl", "0.2", "--step", "100")
    assert done.code == 0
    assert "at step 100" in done.out.splitlines()[0]
    assert "--step 100 --kl" in done.out.splitlines()[-1]


def test_of_very_many_prompts_best_of_n_is_read_from_some(klimit, quality, monkeypatch):
    monkeypatch.setattr("klimit.view.best_of_n.MANY", 640)
    out = " ".join(klimit("limit", quality, "--kl", "0.5").out.split())
    assert "note: best-of-N is read from 20 prompts of 40, drawn by the seed." in out
    assert "Best-of-4 spends 0.64 nats and reaches " in out


def test_the_verdict_speaks_of_the_n_that_the_table_has_unless_that_is_past_trust(klimit, quality):
    limit = package.frontier(package.read(quality))
    for kl in (0.5, round(limit.trusted_kl - 1e-3, 3)):
        out = klimit("limit", quality, "--kl", f"{kl:g}").out
        said, shown = (int(re.search(x, out)[1]) for x in (r"Best-of-(\d+) spends", r"N = (\d+)"))
        within = np.log(shown) - (shown - 1) / shown <= limit.trusted_kl
        assert said == (shown if within else shown - 1)


def test_the_next_command_asks_the_same_question(klimit, quality):
    asked = ("--reward-range=-20,30", "--level", "0.9", "--seed", "3")
    said = klimit("limit", quality, "--kl", "0.5", *asked).out
    command = said.split("next: klimit ")[1].split("   (")[0]
    for part in ("--level 0.9", "--seed 3", "--reward-range=-20,30"):
        assert part in command
    assert klimit(*shlex.split(command)).code == 0


def test_a_key_of_two_columns_may_be_typed(klimit, tmp_path):
    ids = np.repeat(np.arange(8), 16)
    frame = pl.DataFrame({"dataset": np.where(ids < 4, "gsm", "math"), "doc_id": ids % 4})
    path = tmp_path / "evals.parquet"
    frame.with_columns(score=np.random.default_rng(0).normal(size=128)).write_parquet(path)
    assert "two prompt keys that disagree" in klimit("limit", path).err
    done = klimit("limit", path, "-p", "dataset", "--prompt", "doc_id")
    assert done.out.startswith("read 8 prompts x 16 samples")
    assert "--prompt dataset --prompt doc_id" in done.out
