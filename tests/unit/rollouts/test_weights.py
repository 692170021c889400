"""Several reward functions as one reward."""

import json

import polars as pl
import pytest

from klimit import ArgumentError
from klimit.rollouts import read

ROWS = [
    {"step": 1, "prompt": "a", "completion": "x", "acc": 1.0, "form": 0.5, "advantage": 0.0},
    {"step": 1, "prompt": "a", "completion": "y", "acc": None, "form": 1.0, "advantage": 0.0},
    {"step": 1, "prompt": "a", "completion": "z", "acc": None, "form": None, "advantage": 0.0},
]


def rewards(base):
    return base.frame()["reward"].to_list()


@pytest.fixture
def run(tmp_path):
    """A TRL run with two reward functions, and a configuration if one is given."""

    def make(name="", text=""):
        folder = tmp_path / "run" / "completions"
        folder.mkdir(parents=True, exist_ok=True)
        pl.DataFrame(ROWS).write_parquet(folder / "completions_00001.parquet")
        if name:
            (folder.parent / name).write_text(text)
        return folder.parent

    return make


def test_weights_make_one_reward_of_several(run):
    base = read(run(), weights={"acc": 1, "form": 0.2})
    assert base.rewards == ("reward",)
    assert base.total == "acc + 0.2 form"
    assert str(base).split(", ")[1].startswith("reward: reward = acc + 0.2 form (--prompt")
    assert base.one_reward("acc") == "acc"


def test_trl_leaves_a_reward_out_that_does_not_apply_to_a_sample(run):
    """As the trainer does, which sums what is there; where nothing is, the total is missing."""
    assert rewards(read(run(), weights={"acc": 1, "form": 0.2})) == [1.1, 0.2, None]


def test_elsewhere_the_total_is_missing_where_a_part_is():
    table = pl.DataFrame({"prompt": ["a", "a"], "rm": [0.5, None], "len": [2.0, 1.0]})
    assert rewards(read(table, weights={"rm": 2, "len": -1})) == [-1.0, None]


def test_lists_of_rewards_are_weighed_sample_by_sample(as_dict):
    table = pl.DataFrame(
        {"prompt": ["a"], "proxy_scores": [[1.0, 2.0]], "gold_scores": [[0.5, 1.0]]}
    )
    base = read(table, weights={"proxy_scores": 1, "gold_scores": 2})
    assert as_dict(base, "reward") == {"a": [2.0, 4.0]}


def test_a_total_does_not_take_a_name_that_is_there():
    table = pl.DataFrame({"prompt": ["a", "a"], "reward": [0.5, 1.0], "gold": [1, 0]})
    base = read(table, weights={"reward": 1, "gold": 1})
    assert base.rewards == ("total",)


def test_rollouts_can_be_weighed_again():
    base = read(pl.DataFrame({"prompt": ["a"], "rm": [0.5], "gold": [1.0]}))
    assert rewards(read(base, weights={"rm": 1, "gold": 1})) == [1.5]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("args.json", json.dumps({"reward_weights": [1.0, 0.2]})),
        ("config.json", json.dumps({"reward_weights": {"value": [1.0, 0.2]}})),
        ("grpo.yaml", "model: x\nreward_weights: [1.0, 0.2]  # in this order\n"),
        (
            "config.yaml",
            "reward_weights:\n    desc: null\n    value:\n        - 1\n        - 0.2\n",
        ),
        ("training_args.yml", "reward_weights:\n- 1.0\n- .2\nseed: 1\n"),
    ],
)
def test_weights_are_found_in_the_configuration_beside_the_dump(run, name, text):
    base = read(run(name, text))
    assert base.total == f"acc + 0.2 form (weights of {name})"


def test_no_weights_in_a_configuration_mean_1_for_what_is_a_reward_by_name(run):
    folder = run("args.json", '{"reward_weights": null}')
    logged = pl.DataFrame(ROWS).with_columns(pl.lit(3).alias("n_words"))
    logged.write_parquet(folder / "completions" / "completions_00001.parquet")
    assert read(folder).total == "acc + form (weights of args.json)"


@pytest.mark.parametrize(
    "text",
    ["", "{", "[1]", '{"reward_weights": "x"}', '{"reward_weights": [1, 2, 3]}', "[" * 5000,
     '{"reward_weights": [1, null]}', '{"reward_weights": [NaN, 1]}', '{"reward_weights": []}',
     '{"reward_weights": [1e999, 1]}', '{"architectures": ["x"]}'],
)  # fmt: skip
def test_a_configuration_that_says_nothing_of_use_leaves_rewards_apart(run, text):
    assert read(run("config.json", text)).rewards == ("acc", "form")


def test_configurations_that_disagree_say_nothing(run):
    folder = run("args.json", '{"reward_weights": [1, 2]}')
    (folder / "grpo.yaml").write_text("reward_weights: [1, 3]\n")
    assert read(folder).rewards == ("acc", "form")


def test_a_reward_that_is_named_is_not_summed(run):
    base = read(run("args.json", '{"reward_weights": [1, 2]}'), reward="form")
    assert (base.rewards, base.total) == (("form",), "")


def test_how_samples_were_drawn_is_taken_from_the_configuration(run):
    base = read(
        run("args.json", '{"temperature": 0.7, "max_completion_length": 64, "top_p": null}')
    )
    assert base.metadata == {"temperature": 0.7, "max_tokens": 64}


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        ({"acc": 1, "fromat": 2}, "is no column here"),
        ({"acc": "x"}, "a number was expected"),
        ({"acc": float("nan")}, "a number was expected"),
        ({"acc": True}, "a number was expected"),
        ({"acc": 0}, "all weights are 0"),
        ({}, "a dict of rewards"),
        ([1, 2], "a dict of rewards"),
    ],
)
def test_weights_that_cannot_be_are_refused(run, weights, words):
    with pytest.raises(ArgumentError, match=words):
        read(run(), weights=weights)


def test_reward_and_weights_exclude_each_other(run):
    with pytest.raises(ArgumentError, match="weights make the reward"):
        read(run(), reward="acc", weights={"acc": 1})


def test_text_cannot_be_weighed(run):
    with pytest.raises(Exception, match="'completion' holds text"):
        read(run(), weights={"completion": 1})
