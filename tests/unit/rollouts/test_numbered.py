"""A row per prompt and a column per sample, as spreadsheets have it."""

import numpy as np
import polars as pl
import pytest
from numpy.testing import assert_equal

from klimit.rollouts import read

STEMS = ["score_", "Score ", "sample_", "attempt", "reward.", "quality_score_", ""]


def sheet(stem, *, first=0, count=4, **more):
    scores = {f"{stem}{first + at}": [float(at), 10.0 + at] for at in range(count)}
    return pl.DataFrame({"prompt": ["a", "b"], **more, **scores})


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("stem", STEMS)
def test_numbered_columns_are_samples_of_one_reward(stem, first, as_dict, tmp_path):
    path = tmp_path / "sheet.csv"
    sheet(stem, first=first).write_csv(path)
    base = read(path)
    assert as_dict(base, *base.rewards) == {
        "a": [0.0, 1.0, 2.0, 3.0],
        "b": [10.0, 11.0, 12.0, 13.0],
    }


def test_samples_stand_in_the_order_of_their_numbers_and_empty_cells_are_missing(as_dict):
    table = sheet("score_", first=1, count=11)
    table = table.select(table.columns[:1] + table.columns[:0:-1])
    table = table.with_columns(score_10=pl.Series([None, 1.0]))
    expected = [*np.arange(9.0), np.nan, 10.0]
    assert_equal(as_dict(read(table), "score")["a"], expected)


def test_proxy_and_gold_may_each_have_their_columns(as_dict):
    table = sheet("proxy_score_").hstack(sheet("gold_score_").drop("prompt"))
    base = read(table)
    assert base.rewards == ("proxy_score", "gold_score")
    assert as_dict(base, "gold_score")["b"] == [10.0, 11.0, 12.0, 13.0]


@pytest.mark.parametrize(
    "table",
    [
        sheet("rm_"),  # four reward models, say
        sheet("rouge_"),
        sheet("score_", first=2),
        sheet("score_", count=3),
        sheet("score_").drop("score_2"),
        sheet("score_", completion=["x", "y"]),  # four scores of one answer
        sheet("score_", quality=[0.5, 1.0]),
        sheet("score_").with_columns(prompt=pl.lit("a")),  # a row is a sample
    ],
    ids=["scorers", "metrics", "from 2", "three", "a gap", "one answer", "other", "rows"],
)
def test_what_may_be_several_rewards_stays_several(table):
    assert len(read(table).rewards) == len(table.select(pl.selectors.numeric()).columns)


def test_a_column_that_is_asked_for_is_a_reward_of_its_own():
    assert read(sheet("score_"), reward="score_1").rewards == ("score_1",)
    assert str(read(sheet("score_"), reward="score")) == "read 2 prompts x 4 samples, reward: score"
