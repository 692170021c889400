"""The run in `examples/train/overoptimized.parquet` is what its README says."""

import json
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
TRAIN = EXAMPLES / "train"


@pytest.fixture(scope="module")
def table():
    return pl.read_parquet(TRAIN / "overoptimized.parquet")


@pytest.fixture
def lexicon(monkeypatch):
    monkeypatch.syspath_prepend(str(TRAIN))
    monkeypatch.delitem(sys.modules, "lexicon", raising=False)
    import lexicon

    return lexicon.lexicon


def test_step_0_is_the_bundled_base_in_its_order(table):
    base, posts = table.filter(step=0), pl.read_parquet(EXAMPLES / "posts.parquet")
    assert base["prompt_id"].to_list() == posts["prompt_id"].to_list()
    assert np.allclose(base["quality"], posts["quality"], atol=1e-5)


def test_every_checkpoint_answers_every_post_of_the_base(table):
    prompts = set(table.filter(step=0)["prompt_id"])
    for step, rows in table.filter(pl.col("step") > 0).group_by("step"):
        counts = rows["prompt_id"].value_counts()
        assert set(counts["prompt_id"]) == prompts, step
        assert counts["count"].n_unique() == 1, step
        assert rows.select("logprob", "ref_logprob").null_count().row(0) == (0, 0)


def test_the_proxy_is_the_sum_of_the_words_weights(table, lexicon):
    posts = pl.read_parquet(EXAMPLES / "posts.parquet")
    base = table.filter(step=0)
    assert np.allclose(base["lexicon"], lexicon(posts["completion"].to_list()), atol=1e-5)
    trained = table.filter(pl.col("step") > 0)
    assert np.allclose(trained["lexicon"], lexicon(trained["completion"].to_list()), atol=1e-5)


def test_no_word_of_the_lexicon_was_seen_less_than_five_times_in_200_labels():
    weights = json.loads((TRAIN / "lexicon.json").read_text(encoding="utf-8"))
    assert 50 < len(weights) < 200
    assert all(np.isfinite(list(weights.values())))
