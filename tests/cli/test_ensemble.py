"""`klimit ensemble` and `klimit choose`: what they say, as words, as JSON and as files; what they refuse."""

import json

import numpy as np
import polars as pl
import pytest

import klimit as package
from tests.cli.conftest import long_form
from tests.cli.test_schema import documented, entries, fits


@pytest.fixture
def proxies(tmp_path):
    """24 prompts x 16 samples scored by three proxies and by gold."""
    rng = np.random.default_rng(4)
    gold, shared = rng.normal(size=(2, 24, 16))
    frame = long_form(gold, "gold")
    for i in range(3):
        values = gold + 0.6 * shared + 0.8 * rng.normal(size=gold.shape)
        frame = frame.with_columns(pl.Series(f"rm{i}", values.ravel()))
    labels = pl.Series(np.where(np.arange(16) < 5, gold, np.nan).ravel()).fill_nan(None)
    frame = frame.with_columns(labels.alias("some"))
    path = tmp_path / "proxies.parquet"
    frame.write_parquet(path)
    return path


def test_the_verdict_speaks_of_gain_shared_error_and_settings(klimit, proxies):
    done = klimit("ensemble", proxies, "--proxies", "rm0,rm1", "--gold", "gold", "--penalty", "0.5")
    assert done.code == 0, done.err
    said = " ".join(done.out.split())
    assert "the mean of 2 proxies spends" in said
    assert "the errors of two proxies correlate by" in said
    assert "To use it: train on the mean with beta" in said
    assert "over the mean" in said


def test_without_gold_it_says_what_cannot_be_known(klimit, proxies):
    done = klimit("ensemble", proxies, "--proxies", "rm0,rm1,rm2")
    assert done.code == 0, done.err
    said = " ".join(done.out.split())
    assert "cannot be known from the proxies" in said
    assert "not what gold would confirm" in said


def test_gold_that_is_constant_within_prompts_is_refused_on_one_line(klimit, proxies, tmp_path):
    frame = pl.read_parquet(proxies).with_columns(flat=pl.col("gold").first().over("prompt_id"))
    path = tmp_path / "flat.parquet"
    frame.write_parquet(path)
    done = klimit("ensemble", path, "--proxies", "rm0,rm1", "--gold", "flat")
    assert done.code == 1
    assert "never differs between the answers to a prompt" in done.err
    assert done.err.count("\n") == 1


def test_json_has_a_row_per_aggregate_and_the_numbers_of_the_package(klimit, proxies):
    args = ("--proxies", "rm0,rm1", "--gold", "gold", "--kl", "0.25", "--penalty", "0.5")
    document = json.loads(klimit("ensemble", proxies, *args, "--json").out)
    assert document["schema"] == "klimit.ensemble/1"
    names = [row["aggregate"] for row in document["aggregates"]]
    assert names == ["mean", "learned", "minimum", "mean - 0.5 var"]
    found = package.ensemble(
        package.read(proxies), proxies=["rm0", "rm1"], gold="gold", penalty=0.5
    )
    assert document["errors"]["floor"]["value"] == found.errors.floor.value
    gain = document["aggregates"][0]["gains"][0]["gold_gain"]
    assert gain["value"] == found.gold_gain(0.25).value
    assert [row["members"] for row in document["sizes"]] == [1, 2]


@pytest.mark.parametrize(
    "args",
    [
        ["ensemble", "--proxies", "rm0,rm1", "--gold", "gold", "--kl", "0.25", "--penalty", "0.5"],
        ["ensemble", "--proxies", "rm0,rm1", "--gold", "some", "--kl", "0.1,3"],
        ["ensemble", "--proxies", "rm0,rm1"],
        ["choose", "--proxy", "rm0", "--gold", "gold", "-n", "1,4", "--beta", "0.5"],
    ],
    ids=" ".join,
)
def test_documents_are_as_documented(klimit, proxies, args):
    done = klimit(args[0], proxies, *args[1:], "--json")
    assert done.code == 0, done.err
    document = json.loads(done.out, parse_constant=lambda name: pytest.fail(f"{name} in JSON"))
    kinds = documented(document["schema"])
    found = list(entries(document))
    empty = tuple(f"{name}[]" for name, value in document.items() if value == [])
    assert {path for path, _ in found} == {path for path in kinds if not path.startswith(empty)}
    for path, value in found:
        assert fits(value, kinds[path]), (path, value, kinds[path])


def test_choose_names_the_best_rule_and_its_setting(klimit, proxies):
    done = klimit("choose", proxies, "--proxy", "rm0", "--gold", "gold", "-n", "1,2,8")
    assert done.code == 0, done.err
    assert "Chosen by rm0, " in done.out
    assert "  best-of-n *" in done.out


def test_choose_writes_a_row_per_setting(klimit, proxies, tmp_path):
    target = tmp_path / "choices.csv"
    args = ("--proxy", "rm0", "--gold", "gold", "-n", "1,2", "--beta", "0.5,0.1", "-o", target)
    assert klimit("choose", proxies, *args).code == 0
    assert len(pl.read_csv(target)) == 2 + 2 * 2


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--proxy", "rm0"], "--gold"),
        (["--proxy", "rm0", "--gold", "gold", "-n", "99"], "no prompt has more than 16 samples"),
        (["--proxy", "rm0", "--gold", "gold", "--beta", "0"], "positive numbers"),
        (["--proxy", "rm0", "--gold", "gold", "--reward", "rm1"], "leave --reward"),
    ],
)
def test_choose_refuses_on_one_line(klimit, proxies, options, words):
    done = klimit("choose", proxies, *options)
    assert done.code == 2
    assert words in done.err
    assert done.err.count("\n") == 1


def test_output_writes_a_row_per_aggregate_and_budget(klimit, proxies, tmp_path):
    target = tmp_path / "ensemble.csv"
    done = klimit("ensemble", proxies, "--proxies", "rm0,rm1", "--kl", "0.25,0.5", "-o", target)
    assert done.code == 0, done.err
    frame = pl.read_csv(target)
    assert frame["aggregate"].to_list() == [
        n for n in frame["aggregate"].unique(maintain_order=True) for _ in "ab"
    ]
    assert frame["kl"].to_list()[:2] == [0.25, 0.5]
    assert frame["gold_gain"].null_count() == len(frame)


def test_weights_make_an_aggregate_of_your_own(klimit, proxies):
    args = ("--proxies", "rm0,rm1", "--member-weights", "rm0=3,rm1=1", "--json")
    document = json.loads(klimit("ensemble", proxies, *args).out)
    row = next(row for row in document["aggregates"] if row["aggregate"] == "weighted")
    assert row["weights"] == [0.75, 0.25]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--proxies", "rm0"], "one proxy was given"),
        (["--proxies", "rm0,rm0"], "given twice"),
        (["--proxies", "rm0,,rm1"], "names were expected"),
        (["--proxies", "rm0,gold", "--gold", "gold"], "also among the proxies"),
        (["--proxies", "rm0,rm9"], "rm9"),
        (["--reward", "rm0"], "name the members"),
        (["--penalty", "0"], "positive numbers"),
        (["--scale", "loud"], "loud"),
    ],
)
def test_a_wrong_option_is_one_line_and_code_2(klimit, proxies, options, words):
    done = klimit("ensemble", proxies, *options)
    assert done.code == 2
    assert words in done.err
    assert done.err.startswith("error: ")
    assert done.err.count("\n") == 1
    assert not done.out


def test_equal_columns_are_a_fault_of_the_data(klimit, proxies, tmp_path):
    frame = pl.read_parquet(proxies)
    path = tmp_path / "same.parquet"
    frame.with_columns(rm9=pl.col("rm0")).write_parquet(path)
    done = klimit("ensemble", path, "--proxies", "rm0,rm9")
    assert done.code == 1
    assert "one reward under two names" in done.err
