"""The rollouts in `examples/` are what their data card says."""

import json
import re
from pathlib import Path

import polars as pl
import pytest

import klimit

EXAMPLES = Path(__file__).parents[2] / "examples"
REWARDS = {
    "posts": ("quality", "similarity", "rouge"),
    "replies": ("nontoxic", "clean", "sentiment"),
    "truth": ("quality", "similarity", "rouge"),
}
SAMPLES = {"posts": 256, "replies": 64, "truth": 2048}
BOUNDS = {"similarity": (-1, 1), "rouge": (0, 1), "nontoxic": (0, 1), "clean": (0, 1)}
BOUNDS |= {"sentiment": (-1, 1)}


@pytest.fixture(params=["posts", "replies", "truth"])
def task(request):
    return request.param


@pytest.fixture
def table(task):
    return pl.read_parquet(EXAMPLES / f"{task}.parquet")


def test_all_prompts_have_the_same_number_of_samples(task, table):
    counts = table.group_by("prompt_id").len()
    assert len(counts) >= {"posts": 40, "replies": 40, "truth": 10}[task]
    assert set(counts["len"]) == {SAMPLES[task]}


def test_the_rewards_are_complete_and_in_range(task, table):
    for name in REWARDS[task]:
        low, high = BOUNDS.get(name, (0, 6))
        assert table[name].null_count() == 0
        assert table[name].is_finite().all()
        assert table[name].is_between(low, high).all()


def test_klimit_reads_them_without_being_told(task):
    base = klimit.read(EXAMPLES / f"{task}.parquet")
    assert base.rewards == REWARDS[task]
    assert base.metadata["temperature"] == 1.0
    assert base.metadata["top_p"] == 1.0


@pytest.mark.parametrize("task", ["posts", "replies"], indirect=True)
def test_log_probabilities_and_token_counts_are_possible(table):
    assert (table["logprob"] < 0).all()
    assert table["tokens"].is_between(1, 32).all()
    per_token = -table["logprob"].sum() / table["tokens"].sum()
    assert 1 < per_token < 6  # a small model at temperature 1


@pytest.mark.parametrize("task", ["posts", "replies"], indirect=True)
def test_the_prompts_are_those_of_the_list(task, table):
    lines = (EXAMPLES / "make" / f"{task}.jsonl").read_text(encoding="utf-8").splitlines()
    listed = {row["prompt_id"]: row["prompt"] for row in map(json.loads, lines)}
    shipped = table.select("prompt_id", "prompt").unique()
    assert dict(shipped.iter_rows()) == listed


def test_the_truth_is_of_ten_of_the_posts():
    posts = set(pl.read_parquet(EXAMPLES / "posts.parquet")["prompt_id"])
    truth = pl.read_parquet(EXAMPLES / "truth.parquet")
    assert truth.columns == ["prompt_id", *REWARDS["truth"]]
    assert truth["prompt_id"].n_unique() == 10
    assert set(truth["prompt_id"]) <= posts


@pytest.mark.parametrize("task", ["posts", "replies"], indirect=True)
def test_no_completion_holds_an_e_mail_address(table):
    assert not table["completion"].str.contains(r"\w@\w+\.\w").any()


def test_all_of_it_is_under_eight_megabytes():
    assert sum(path.stat().st_size for path in EXAMPLES.rglob("*.*")) < 8e6


def test_the_data_card_counts_what_is_there():
    card = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    for task, samples in SAMPLES.items():
        row = re.search(rf"`{task}\.parquet` \| (\S+)[^|]*\| ([\d,]+)", card)
        prompts = pl.read_parquet(EXAMPLES / f"{task}.parquet")["prompt_id"].n_unique()
        assert row[1] == {10: "ten"}.get(prompts, str(prompts))
        assert int(row[2].replace(",", "")) == samples
