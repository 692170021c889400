"""`klimit hacking`: what it says, as words, as JSON and as files."""

import json

import numpy as np
import polars as pl
import pytest

import klimit as package
from klimit.view.words import plain
from tests.cli.test_schema import documented, entries, fits


@pytest.fixture
def pairs(tmp_path):
    """40 prompts x 32 samples: gold follows the proxy, length is part of it."""
    rng = np.random.default_rng(4)
    quality, length = rng.normal(size=(2, 40, 32))
    path = tmp_path / "pairs.parquet"
    pl.DataFrame({
        "prompt_id": [f"p{i}" for i in range(40) for _ in range(32)],
        "completion": [f"answer {j}" for _ in range(40) for j in range(32)],
        "rm": (quality + 0.5 * length).ravel(),
        "human": (quality - 0.2 * length + rng.normal(size=quality.shape)).ravel(),
        "length": (20 + 5 * length).ravel(),
    }).write_parquet(path)  # fmt: skip
    return path


def test_the_verdict_says_how_much_is_confirmed_and_whether_gold_turns(klimit, pairs):
    done = klimit("hacking", pairs, "--proxy", "rm", "--gold", "human", "--kl", "0.1,0.5")
    assert done.code == 0
    assert not done.err
    said = " ".join(done.out.split())
    assert "Optimising rm at a KL of 0.5 nats gains +1." in said
    assert "and human confirms it: +0." in said
    assert "human is not seen to turn down" in said
    assert "Trusted up to" in said
    assert "best of N by rm" in said


def test_a_nuisance_is_named_with_its_share(klimit, pairs):
    done = klimit("hacking", pairs, "--proxy", "rm", "--gold", "human", "--nuisance", "length",
                  "--kl", "0.25")  # fmt: skip
    assert done.code == 0
    said = " ".join(done.out.split())
    assert "of that rm gain is length" in said
    assert "With mean length held where the base has it, human gains +0." in said


def test_a_column_that_is_not_there_is_called_as_it_was_typed(klimit, pairs):
    done = klimit("hacking", pairs, "--proxy", "rm", "--gold", "human", "--nuisance", "lenght")
    assert done.code == 2
    assert "'lenght' is no column here" in done.err
    assert "Did you mean length?" in done.err
    assert "reward=" not in done.err


def test_json_keeps_its_schema_and_its_numbers(klimit, pairs):
    done = klimit("hacking", pairs, "--proxy", "rm", "--gold", "human", "--kl", "0.1,9", "--json")
    document = json.loads(done.out)
    assert list(document) == [
        *("schema", "version", "read", "proxy", "gold", "nuisance", "settings", "data"),
        *(
            "trusted_kl",
            "correlation",
            "stop_kl",
            "stop_n",
            "along",
            "best_of_n",
            "verdict",
            "notes",
        ),
    ]
    assert document["schema"] == "klimit.hacking/1"
    near, far = document["along"]
    assert list(near) == [
        *("kl", "proxy_gain", "gold_gain", "gold_limit", "efficiency", "beta"),
        *("share_of_bootstrap_curves_peaking_below", "gaps", "certified_gold_gain"),
    ]
    hack = package.hacking(package.read(pairs), proxy="rm", gold="human")
    assert near["gold_gain"]["value"] == hack.gold_gain(0.1).value
    assert far["gold_gain"]["trusted"] is False
    assert far["gold_gain"]["reason"]
    assert document["stop_kl"]["high"] is None
    assert "no peak" in document["stop_kl"]["reason"]


def test_the_document_is_as_documented(klimit, pairs):
    done = klimit("hacking", pairs, "--proxy", "rm", "--gold", "human", "--nuisance", "length",
                  "--kl", "0.2,9", "--json")  # fmt: skip
    document = json.loads(done.out, parse_constant=lambda name: pytest.fail(f"{name} in JSON"))
    kinds, found = documented("klimit.hacking/1"), list(entries(document))
    assert {path for path, _ in found} == {path for path in kinds if not path.startswith("run.")}
    for path, value in found:
        assert fits(value, kinds[path]), (path, value, kinds[path])


def test_output_writes_a_row_per_budget(klimit, pairs, tmp_path):
    target = tmp_path / "hack.csv"
    done = klimit(
        "hacking", pairs, "--proxy", "rm", "--gold", "human", "--kl", "0.1,0.5", "-o", target
    )
    assert done.code == 0
    frame = pl.read_csv(target)
    assert frame["kl"].to_list() == [0.1, 0.5]
    assert {"gold_gain", "fixed_kl_gap_high", "efficiency_low"} <= set(frame.columns)


@pytest.fixture
def policies(pairs, tmp_path):
    """Samples of two trained policies, the second of which has more of the proxy."""
    found = []
    for at, shift in enumerate((0.5, 1.0)):
        found.append(tmp_path / f"policy{at}.parquet")
        frame = pl.read_parquet(pairs).with_columns(pl.col("rm") + shift, pl.col("human") + 0.2)
        frame.write_parquet(found[-1])
    return found


@pytest.mark.parametrize(
    "given", [["--policy-kl", "0.3,0.9"], ["--policy-kl", "0.3", "--policy-kl", "0.9"]]
)
def test_with_policies_output_writes_a_row_per_checkpoint(klimit, pairs, policies, tmp_path, given):
    target = tmp_path / "run.csv"
    asked = ("hacking", pairs, *policies, "--proxy", "rm", "--gold", "human", *given)
    done = klimit(*asked, "--output", target)
    assert done.code == 0, done.err
    frame = pl.read_csv(target)
    assert frame["checkpoint"].to_list() == ["policy0", "policy1"]
    assert frame["kl"].to_list() == [0.3, 0.9]
    document = json.loads(klimit(*asked, "--json").out)
    rows = document["run"]["checkpoints"]
    assert frame["gold_gain"].to_list() == [row["gold_gain"]["value"] for row in rows]
    assert frame["predicted_low"].to_list() == [row["predicted"]["low"] for row in rows]


def test_correlation_gaps_and_what_is_certain_are_said_of_one_budget(klimit, pairs):
    asked = ("hacking", pairs, "--proxy", "rm", "--gold", "human", "--kl", "0.1,0.5,9")
    said = " ".join(klimit(*asked).out.split())
    hack = package.hacking(package.read(pairs), proxy="rm", gold="human")
    gaps, sure = hack.gaps(0.5), hack.certified(0.5)
    assert f"rm and human correlate at {plain(hack.correlation)} within prompts" in said
    assert f"at 0.5 nats, human would gain {plain(gaps.fixed_kl)} more" in said
    assert f"the same beta {plain(gaps.fixed_beta)} more" in said
    assert f"human - beta KL would gain {plain(gaps.regularised)} more" in said
    assert f"makes {plain(sure.moment)} of what rm brings there certain" in said
    assert f"leaves {100 * sure.looseness:.0f} % of it open" in said
    far = klimit(*asked[:-1], "9").out
    assert "correlate" in far
    assert "would gain" not in far


def test_what_cannot_be_is_one_line_and_a_code(klimit, pairs, tmp_path):
    for arguments, code, said in [
        (("--proxy", "rm", "--gold", "rm"), 2, "named twice"),
        (("--proxy", "rm", "--gold", "judge"), 2, "judge"),
        (("--proxy", "rm"), 2, "--gold"),
        (("--proxy", "rm", "--gold", "human", "--kl", "-1"), 2, "kl must be zero or more"),
        (("--proxy", "rm", "--gold", "human", "--reward", "rm"), 2, "leave --reward"),
    ]:
        done = klimit("hacking", pairs, *arguments)
        assert done.code == code, done
        assert said in done.err
        assert len(done.err.strip().splitlines()[-1]) < 400
        assert not done.out
    single = tmp_path / "single.parquet"
    frame = pl.read_parquet(pairs).group_by("prompt_id", maintain_order=True).first()
    frame.write_parquet(single)
    done = klimit("hacking", single, "--proxy", "rm", "--gold", "human")
    assert done.code == 1
    assert "several samples of every prompt of one base model" in done.err


def test_one_prompt_is_said_to_tell_no_interval_and_has_no_bootstrap(klimit, tmp_path):
    proxy, noise = np.random.default_rng(5).normal(size=(2, 64))
    path = tmp_path / "one.parquet"
    pl.DataFrame({"prompt_id": ["p"] * 64, "rm": proxy, "human": proxy + noise}).write_parquet(path)
    asked = ("hacking", path, "--proxy", "rm", "--gold", "human")
    said = " ".join(klimit(*asked).out.split())
    assert "human; whether human gains at all, one prompt cannot tell." in said
    assert "one prompt cannot tell. Best-of-64" in said
    for wrong in ("may not gain", "neither to gain", "bootstrap", "correlate"):
        assert wrong not in said
    document = json.loads(klimit(*asked, "--json").out)
    share = document["along"][0]["share_of_bootstrap_curves_peaking_below"]
    assert share == {"value": None, "reason": "a bootstrap of prompts needs two or more"}
    fixed = klimit(*asked, "--prompts", "fixed")
    assert "cannot tell" not in fixed.out
    assert "bootstrap" not in fixed.out


def test_verdict_and_share_of_curves_agree_where_a_peak_is_likely_but_not_shown(klimit, tmp_path):
    rng = np.random.default_rng(2)
    level = rng.integers(0, 4, size=(10, 16))
    chance = np.array([0.1, 0.4, 0.7, 0.45])[level]
    path = tmp_path / "levels.parquet"
    pl.DataFrame({
        "prompt_id": np.repeat(np.arange(10), 16), "rm": level.ravel() / 3,
        "human": (rng.random(level.shape) < chance).ravel() * 1.0,
    }).write_parquet(path)  # fmt: skip
    found = package.hacking(package.read(path), proxy="rm", gold="human")
    assert found.stop_kl.high == np.inf
    assert found.share_peaking_below(0.99 * found.trusted_kl) > 0.9
    said = " ".join(klimit("hacking", path, "--proxy", "rm", "--gold", "human").out.split())
    assert "it is open whether human turns down: it seems highest at" in said
    assert "not seen to turn down" not in said


def test_soft_best_lists_a_kl_that_weights_cannot_pass_once(klimit, tmp_path):
    rng = np.random.default_rng(4)
    solved = rng.random((60, 4)) < rng.random((60, 1))
    path = tmp_path / "verdicts.parquet"
    pl.DataFrame({
        "prompt_id": np.repeat(np.arange(60), 4), "seen": solved.ravel() * 1.0,
        "hidden": (solved & (rng.random(solved.shape) < 0.8)).ravel() * 1.0,
    }).write_parquet(path)  # fmt: skip
    said = klimit("hacking", path, "--proxy", "seen", "--gold", "hidden", "--kl", "0.1,0.9").out
    rows = said.split("gold gain" if "gold gain" in said else "hidden gain")[1].split("\n\n")[0]
    gains = [line.split("  ")[-1] for line in rows.strip().split("\n")]
    assert len(set(gains)) == len(gains)  # .5, .9 and 1.4 nats had one row each, all the same
