"""Answers at the edges: nothing asked, nothing seen, more than samples show."""

import json
import shutil

import numpy as np
import polars as pl
import pytest

from tests.cli.conftest import long_form

NORMAL = np.random.default_rng(0).normal(size=(12, 16))


@pytest.fixture
def rewards(tmp_path):
    """Write rewards, and return where they are."""

    def write(values, **others):
        path = tmp_path / "rewards.parquet"
        more = [pl.Series(name, np.ravel(x)) for name, x in others.items()]
        long_form(np.asarray(values, dtype=float), "rm").with_columns(more).write_parquet(path)
        return path

    return write


@pytest.mark.parametrize("kl", ["0", "0,0.5", "1e-300"])
def test_a_budget_of_nothing_gains_nothing(klimit, rewards, kl):
    done = klimit("limit", rewards(NORMAL), "--kl", kl, "--json")
    assert done.code == 0
    assert json.loads(done.out)["limit"][0]["gain"]["value"] == pytest.approx(0, abs=1e-100)
    said = klimit("limit", rewards(NORMAL), "--kl", kl).out
    assert "unknown share" not in said  # of nothing there is none


def test_where_nothing_is_asked_words_speak_of_the_usual_budget(klimit, rewards):
    gold = 0.8 * NORMAL + 0.6 * np.random.default_rng(1).normal(size=NORMAL.shape)
    path = rewards(NORMAL, rm2=NORMAL + gold, human=gold)
    for args in (
        ("hacking", path, "--proxy", "rm", "--gold", "human"),
        ("ensemble", path, "--proxies", "rm,rm2", "--gold", "human"),
    ):
        assert klimit(*args, "--kl", "0").out.split("\n")[2] == klimit(*args).out.split("\n")[2]


@pytest.mark.parametrize("ask", [("--kl", "100"), ("-n", "100000"), ("--kl", "1e308")])
def test_no_plan_is_made_of_what_no_sample_shows(klimit, rewards, ask):
    done = klimit("plan", rewards(NORMAL), *ask)
    assert done.code == 2
    assert "16 samples of a prompt show nothing beyond" in done.err


def test_the_error_of_a_plan_is_the_same_share_of_any_tiny_gain(klimit, rewards):
    path = rewards(NORMAL)
    errors = [
        json.loads(klimit("plan", path, "--kl", kl, "--json").out)["error_now"]
        for kl in ("1e-3", "1e-6")
    ]
    assert errors[0] == errors[1]


@pytest.mark.parametrize(("times", "words"), [(1e300, "the largest"), (1e-300, "the range")])
@pytest.mark.parametrize("verb", ["limit", "best-of-n"])
def test_rewards_beyond_what_can_be_computed_with(klimit, rewards, verb, times, words):
    done = klimit(verb, rewards(NORMAL * times))
    assert done.code == 1
    assert words in done.err
    assert "Multiply all rewards by one number" in done.err


def test_a_policy_whose_rewards_cannot_be_computed_with_is_refused_in_one_line(klimit, rewards):
    path = rewards(NORMAL * 1e300)
    done = klimit("audit", path, shutil.copy(path, path.with_name("policy.parquet")))
    assert done.code == 1
    assert done.err.startswith("error: the largest reward is 2.")
    assert done.err.count("\n") == 1, done.err


@pytest.mark.parametrize("values", [np.ones((12, 8)), NORMAL[:, :2], NORMAL[:1]])
def test_no_plan_is_suggested_where_none_can_be_made(klimit, rewards, values):
    assert "klimit plan" not in klimit("limit", rewards(values)).out
    assert "next: klimit plan" in klimit("limit", rewards(NORMAL)).out


def test_the_plan_that_is_suggested_speaks_of_what_is_trusted(klimit, rewards):
    path, few = rewards(NORMAL), np.random.default_rng(0).exponential(size=(12, 4)) ** 2
    assert "--kl 0.5   (settings for trainers)" in klimit("limit", path, "--kl", "0,0.5,8").out
    assert "klimit plan" not in klimit("limit", path, "--kl", "100").out  # which is an error
    said = klimit("limit", rewards(few), "--kl", "0.35,1").out
    assert "--kl 0.35   (how much to sample first)" in said


def test_no_success_is_not_nothing_to_gain(klimit, rewards):
    said = " ".join(klimit("limit", rewards(np.zeros((12, 8)))).out.split())
    assert "what can be gained is not known: anything from 0 to +1.00" in said


def test_an_ensemble_of_few_labels_is_told_in_json(klimit, rewards):
    gold = np.where(np.random.default_rng(2).random(NORMAL.shape) < 0.3, NORMAL, np.nan)
    path = rewards(NORMAL, rm2=NORMAL + NORMAL**2, human=gold)
    done = klimit("ensemble", path, "--proxies", "rm,rm2", "--gold", "human", "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["schema"].startswith("klimit.ensemble/")


def test_proxies_that_oppose_gold_have_no_error_in_its_units(klimit, rewards):
    noise = np.random.default_rng(3).normal(size=NORMAL.shape)
    path = rewards(NORMAL, rm2=NORMAL + noise, human=-NORMAL)
    done = klimit("ensemble", path, "--proxies", "rm,rm2", "--gold", "human")
    assert "warning" not in done.err
    table = done.out.split("shared error")[1].split("\n")
    assert all(" -   " in line for line in table[1:3])


def test_labels_that_tell_nothing_are_not_asked_for(klimit, rewards, tmp_path):
    out = tmp_path / "ask.csv"
    done = klimit("labels", rewards(np.ones((12, 8))), "--proxy", "rm", "-n", 10, "-o", out)
    assert done.code == 1
    assert "worth a label" in done.err
    assert not out.exists()
    done = klimit("labels", rewards(NORMAL), "--proxy", "rm", "-n", 1000, "-o", out)
    assert "One round asks for no more" in " ".join(done.out.split())
    assert (
        klimit("labels", rewards(NORMAL), "--proxy", "rm", "-r", "x", "-n", 9, "-o", out).code == 2
    )


def test_a_second_round_asks_for_the_samples_that_one_round_left(klimit, rewards, tmp_path):
    path, first, rest = rewards(NORMAL), tmp_path / "first.csv", tmp_path / "rest.csv"
    klimit("labels", path, "--proxy", "rm", "-n", 1000, "-o", first)
    asked = pl.read_csv(first, schema_overrides={"prompt_id": pl.String, "sample": pl.String})
    assert 0 < asked.height < NORMAL.size
    asked.with_columns(gold=pl.col("rm")).write_csv(first)
    done = klimit("labels", path, "--proxy", "rm", "--labels", first, "-n", 1000, "-o", rest)
    assert done.code == 0
    assert pl.read_csv(rest).height == NORMAL.size - asked.height


def test_choosing_needs_two_prompts_with_gold(klimit, rewards):
    gold = np.full(NORMAL.shape, np.nan)
    gold[0] = NORMAL[0]
    done = klimit("choose", rewards(NORMAL, human=gold), "--proxy", "rm", "--gold", "human")
    assert done.code == 1
    assert "only one prompt has two samples with both rm and human" in done.err


def test_best_of_n_of_one_prompt_names_no_option_that_it_lacks(klimit, rewards):
    done = klimit("best-of-n", rewards(NORMAL[:1]))
    assert "note: one prompt says nothing of others." in done.out
    assert "--prompts" not in done.out


def test_one_short_prompt_does_not_leave_best_of_one_alone(klimit, tmp_path):
    path = tmp_path / "uneven.parquet"
    rows = long_form(NORMAL, "rm")
    rows.filter((pl.col("prompt_id") != "p0") | (pl.col("completion") == "answer 0")).write_parquet(
        path
    )
    sizes = [line.split()[0] for line in klimit("best-of-n", path).out.split("\n") if "%" in line]
    assert "8" in sizes


def test_prompts_of_one_sample_neither_choose_the_sizes_nor_are_they_left_out_twice(
    klimit, rewards
):
    drawn = np.random.default_rng(2).normal(size=(40, 16))
    drawn[::2, 1:] = np.nan
    path = rewards(drawn)
    assert "\n  16    " in klimit("best-of-n", path).out
    said = " ".join(klimit("limit", path, "--kl", "0.5").out.split())
    assert "20 of 40 prompts are left out: 20 with one reward" in said
    assert "best-of-4 is read without" not in said
