"""`klimit plan` and `klimit describe`: what they say, as words, as JSON and as files."""

import json

import numpy as np
import polars as pl
import pytest

import klimit as package

DRAWING = pytest.mark.extras("matplotlib")


@pytest.mark.parametrize(
    "target", [("--kl", "1"), ("--gain", "0.5"), ("-n", "4"), ("--beta", "0.7")]
)
def test_a_plan_says_what_to_set_what_to_sample_and_what_to_type(klimit, quality, target):
    done = klimit("plan", quality, *target, "--error", "0.1")
    assert done.code == 0
    assert not done.err
    assert "To spend " in done.out
    assert "train with beta = " in done.out
    assert "\nTo know " in done.out
    assert "\n  TRL RLOO (logs kl)\n      beta=" in done.out
    assert "\n  TRL GRPO, scaled by group (the default)\n" in done.out


@pytest.mark.parametrize("targets", [(), ("--kl", "1", "-n", "4")])
def test_exactly_one_target_is_asked_for(klimit, quality, targets):
    done = klimit("plan", quality, *targets)
    assert done.code == 2
    assert "exactly one of kl, gain, n and beta" in done.err


def test_json_keeps_its_schema(klimit, quality):
    document = json.loads(klimit("plan", quality, "--kl", "1", "--json").out)
    assert list(document) == [
        *("schema", "version", "read", "asked", "reward", "kl", "beta", "gain", "n", "prompts"),
        *("samples", "error", "error_now", "at_hand", "next", "settings", "notes", "verdict"),
    ]
    assert document["schema"] == "klimit.plan/1"
    plan = package.plan(package.read(quality), kl=1.0)
    assert document["beta"]["value"] == plan.beta.value
    assert document["n"] == {"value": plan.n}
    assert list(document["settings"][0]) == [
        *("trainer", "options", "coefficient", "exact", "logs", "logged", "note"),
    ]
    assert document["settings"][-1]["coefficient"]["value"] is None
    assert "differs by prompt" in document["settings"][-1]["coefficient"]["reason"]


def test_output_writes_the_plan(klimit, quality, tmp_path):
    target = tmp_path / "plan.parquet"
    assert klimit("plan", quality, "--kl", "1", "-o", target).code == 0
    assert {"kl", "beta", "gain", "prompts"} <= set(pl.read_parquet(target)["quantity"])


def test_describe_says_what_is_read(klimit, write_jsonl, rows):
    path = write_jsonl([row | {"toxicity": 0.5} for row in rows])
    done = klimit("describe", path)
    assert done.code == 0
    assert done.out.startswith("read 20 prompts x 8 samples, rewards: quality, toxicity\n")
    document = json.loads(klimit("describe", path, "--json").out)
    assert document["schema"] == "klimit.describe/1"
    assert [row["reward"] for row in document["rewards"]] == ["quality", "toxicity"]
    assert document["prompt_key"] == "prompt_id"


@pytest.mark.parametrize(
    "command",
    [
        ["limit", "--reward", "rm"],
        ["plan", "--kl", "0.5", "--reward", "rm"],
        ["audit", "--at", "1,0.5", "--reward", "rm"],
        ["best-of-n", "--reward", "rm"],
        ["prompts", "--reward", "rm"],
        ["hacking", "--proxy", "rm", "--gold", "gold"],
        ["choose", "--proxy", "rm", "--gold", "gold"],
        ["ensemble", "--proxies", "rm,gold"],
        ["labels", "--proxy", "rm", "-n", "10", "-o", "ask.csv"],
        pytest.param(["plot", "--reward", "rm", "-o", "x.svg"], marks=DRAWING),
        pytest.param(["plot", "--proxy", "rm", "--gold", "gold", "-o", "x.svg"], marks=DRAWING),
    ],
)
def test_samples_of_another_temperature_are_warned_of_once(klimit, tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    path = tmp_path / "cold.jsonl"
    rows = [
        {"prompt": f"p{i % 30}", "rm": x, "gold": x + y, "temperature": 0.7}
        for i, (x, y) in enumerate(rng.normal(size=(480, 2)))
    ]
    path.write_text("\n".join(map(json.dumps, rows)))
    found = klimit(command[0], str(path), *command[1:])
    assert found.code == 0
    assert found.err.count("warning: the base was sampled at temperature 0.7") == 1


def test_a_description_and_scores_of_a_policy_warn_of_no_base(klimit, write_jsonl):
    path = write_jsonl([{"prompt": "a", "rm": x, "temperature": 0.7} for x in (0.0, 1.0)])
    assert not klimit("describe", path).err
