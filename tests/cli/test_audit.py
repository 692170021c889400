"""`klimit audit` and `klimit gate`: what they say, as words, as JSON, as files and as exit codes."""

import json

import numpy as np
import polars as pl
import pytest

import klimit as package
from klimit.cli.source import short_names
from klimit.rollouts.formats import FORMATS
from tests.audit.tables import rows
from tests.cli.conftest import long_form
from tests.cli.test_schema import documented


@pytest.fixture
def grpo(tmp_path):
    """A policy on the prompts of `quality`: 40 prompts x 8 samples, half a nat away."""
    rng = np.random.default_rng(5)
    z, y = rng.normal(size=(40, 8)) + 0.8, rng.normal(size=(40, 8)) + 0.6
    frame = long_form(z + 3).with_columns(
        logprob=pl.Series(-((z - 0.8) ** 2 + (y - 0.6) ** 2).ravel() / 2 - 20),
        ref_logprob=pl.Series(-(z**2 + y**2).ravel() / 2 - 20),
    )
    path = tmp_path / "grpo.parquet"
    frame.write_parquet(path)
    return path


@pytest.fixture
def run(tmp_path):
    """Three steps of a run, on other prompts in each, without log-probabilities."""
    rng = np.random.default_rng(6)
    frames = [
        pl.DataFrame(rows(rng.normal(size=(12, 8)) + 0.4 * step, mark=f"s{step}_")).with_columns(
            step=pl.lit(step)
        )
        for step in range(3)
    ]
    path = tmp_path / "run.jsonl"
    pl.concat(frames).write_ndjson(path)
    return path


def test_the_verdict_says_what_was_gained_what_it_could_cost_and_what_is_missing(
    klimit, quality, grpo
):
    done = klimit("audit", quality, grpo)
    assert done.code == 0, done.err
    assert not done.err
    assert "grpo gained +0." in done.out
    assert "The best any method can do at that KL is +0.9" in done.out
    assert "The same gain needs 0.3" in done.out
    assert "nats [" in done.out
    assert "best-of-16" in done.out


def test_policies_whose_long_names_begin_alike_are_told_apart(klimit, quality, grpo, tmp_path):
    path, name = tmp_path / "runs.parquet", "llama-3.1-8b-instruct-grpo-helpfulness-lr1e-6-seed"
    names = [f"{name}{seed}" for seed in (1, 2)]
    runs = [pl.read_parquet(grpo).with_columns(pl.lit(one).alias("policy")) for one in names]
    pl.concat(runs).write_parquet(path)
    done = klimit("audit", quality, path)
    rows = [x.split("    ")[0] for x in done.out.splitlines() if x.startswith("  runs ")]
    assert [row[-5:] for row in rows] == ["seed1", "seed2"], done.out


def test_a_note_says_of_which_policies_it_is_where_not_of_all(klimit, quality, grpo, tmp_path):
    hot = tmp_path / "hot.parquet"
    pl.read_parquet(grpo).with_columns(temperature=pl.lit(0.5)).write_parquet(hot)
    assumed = "how the policy was sampled is not stored: temperature 1 without top-p is assumed."
    for policies, note in [((grpo, hot), f"grpo: {assumed}"), ((grpo,), assumed)]:
        done = klimit("audit", quality, *policies, "--json")
        assert note in json.loads(done.out)["notes"], done.out


def test_a_base_without_a_name_is_chosen_by_what_the_error_says(klimit, quality, grpo, tmp_path):
    path = tmp_path / "both.jsonl"
    named = pl.read_parquet(grpo).with_columns(model=pl.lit("grpo"))
    pl.concat([pl.read_parquet(quality), named], how="diagonal_relaxed").write_ndjson(path)
    assert "(--base-policy unnamed)" in klimit("audit", path).err
    assert "(--policy unnamed)" in klimit("limit", path).err
    done = klimit("audit", path, "--base-policy", "unnamed")
    assert not done.err
    assert done.out.split("\n\n")[1] == klimit("audit", quality, grpo).out.split("\n\n")[1]
    alone = klimit("limit", path, "--policy", "unnamed")
    assert alone.out.startswith("read 40 prompts x 32 samples, reward: quality")
    assert klimit("limit", path, "--step", "None").code == 2


def test_json_is_what_the_library_says(klimit, quality, grpo):
    document = json.loads(klimit("audit", quality, grpo, "--json").out)
    assert document["schema"] == "klimit.audit/1"
    (row,) = document["audits"]
    found = package.audit(package.read(quality), package.read(grpo))
    for name in ("kl", "gain", "limit", "efficiency", "gap_nats", "least_kl", "allocation"):
        assert row[name] == getattr(found, name).to_dict(), name
    assert len(row["prompts"]) == 10
    assert row["prompts"][0]["prompt_id"] == found.prompts()["prompt_id"][0]
    assert [one["n"] for one in document["best_of_n"]] == [4, 16]


def test_one_path_is_a_run_that_holds_its_base(klimit, run):
    done = klimit("audit", run)
    assert done.code == 0, done.err
    assert "step 2 gained" in done.out
    assert "note: step 0 of the run is the base." in done.out
    assert "not known" in done.out
    named = klimit("audit", run, "--base-step", "1", "--json")
    assert [row["step"] for row in json.loads(named.out)["audits"]] == [0, 2]


def test_a_folder_whose_base_is_named_by_a_word_needs_no_option(klimit, quality, grpo, tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    pl.read_parquet(quality).write_parquet(folder / "rollouts_ref.parquet")
    pl.read_parquet(grpo).write_parquet(folder / "rollouts_grpo.parquet")
    done = klimit("audit", folder)
    assert done.code == 0, done.err
    assert "policy rollouts_ref of the same dump is the base" in " ".join(done.out.split())
    assert "--policy rollouts_ref" in klimit("limit", folder).err


def test_a_base_that_does_not_come_first_is_said(klimit, quality, grpo, tmp_path):
    ref = tmp_path / "ref.parquet"
    pl.read_parquet(quality).write_parquet(ref)
    assert "grpo, which comes first, is the base, not ref" in klimit("audit", grpo, ref).err
    assert not klimit("audit", ref, grpo).err


def test_a_point_is_placed_by_its_numbers(klimit, quality):
    done = klimit("audit", quality, "--at", "5.1,0.61", "--at", "0.5,0.8")
    assert done.code == 0, done.err
    assert "point 1" in done.out
    assert "at most" in done.out
    one = json.loads(klimit("audit", quality, "--at", "0.5,0.8", "--json").out)["audits"][0]
    limit = package.frontier(package.read(quality))
    assert one["efficiency"]["value"] == limit.place(0.5, 0.8).efficiency.value
    wrong = klimit("audit", quality, quality, "--at", "0.5,0.8")
    assert (wrong.code, wrong.out) == (2, "")


def test_names_of_policies_are_their_files_without_what_any_format_adds():
    suffixes = [word for one in FORMATS for word in (*one.suffixes, f"{one.suffixes[0]}.zstd")]
    assert {short_names((f"runs/grpo{suffix}",))[0] for suffix in suffixes} == {"grpo"}


def test_a_step_that_names_and_columns_repeat_is_said_once(klimit, tmp_path):
    """Checkpoints whose file and column of policies both name their step are one run."""
    z = np.random.default_rng(1).normal(size=(12, 8))
    long_form(z).write_parquet(tmp_path / "probe_base.parquet")
    for step in (200, 500):
        frame = long_form(z + step / 1000).with_columns(
            label=pl.lit(f"step-{step}"), step=pl.lit(step)
        )
        frame.write_parquet(tmp_path / f"probe_step-{step}.parquet")
    base, found = tmp_path / "probe_base.parquet", []
    steps = [tmp_path / f"probe_step-{step}.parquet" for step in (200, 500)]
    for paths in ([tmp_path / "probe_step-*.parquet"], steps, [tmp_path / "*_step-*.parquet"]):
        asked = ("audit", base, *paths, "--kl", "0.1,0.2")
        done, record = klimit(*asked).out, json.loads(klimit(*asked, "--json").out)
        found.append(done[done.index("Of 2") :])
        assert [one["step"] for one in record["audits"]] == [200, 500]
        assert record["audits"][0]["policy"] in ("probe", "probe_step-200", "policy")
    assert found[0] == found[1]
    assert "probe step 200   " in found[0]
    assert "\n  step 200  " in found[2]
    assert not any(word in text for text in found for word in ("step-", "*"))


def test_a_kl_may_be_typed(klimit, quality, run, grpo):
    document = json.loads(klimit("audit", quality, grpo, "--kl", "0.5", "--json").out)
    assert document["audits"][0]["kl"]["value"] == 0.5
    done = klimit("audit", run, "--kl", "0.5")
    assert done.code == 2
    assert "1 number for 2 policies or steps" in done.err
    assert "in their order (step 1, step 2)" in done.err


def test_output_writes_a_row_per_placement(klimit, quality, grpo, run, tmp_path):
    target = tmp_path / "out.csv"
    assert klimit("audit", quality, grpo, "-o", target).code == 0
    assert pl.read_csv(target)["policy"].to_list() == ["grpo", "best-of-4", "best-of-16"]
    assert klimit("audit", quality, grpo, "-o", grpo).code == 2


def test_strangers_are_one_line_on_stderr_and_nothing_on_stdout(klimit, quality, tmp_path):
    other = tmp_path / "other.parquet"
    values = np.random.default_rng(7).normal(3.0, 1.0, size=(9, 4))
    pl.DataFrame(rows(values, mark="q", name="quality")).write_parquet(other)
    done = klimit("audit", quality, other)
    assert (done.code, done.out) == (1, "")
    assert "no prompt in common" in done.err
    assert done.err.count("\n") == 1
    assert klimit("audit", quality, other, "--unpaired").code == 0


@pytest.mark.parametrize(
    ("asked", "code", "said"),
    [
        (["--min-efficiency", "0.7", "--max-kl", "10"], 0, "passes: grpo: share of the limit 0."),
        (["--min-efficiency", "0.97"], 3, "falls short: grpo: share of the limit 0."),
        (["--max-kl", "0.1"], 3, "at most 0.1 asked"),
        (["--min-gain", "0.5", "--sure"], 0, "passes"),
        (["--max-kl", "0.52", "--sure"], 3, "at most 0.52 asked for sure"),
    ],
)
def test_the_gate_passes_or_says_why_not_in_one_line(klimit, quality, grpo, asked, code, said):
    done = klimit("gate", quality, grpo, *asked)
    assert done.code == code, done.err
    assert said in done.out
    assert done.out.count("\n") == 1


def test_the_gate_never_passes_what_it_does_not_know(klimit, quality, grpo, run):
    done = klimit("gate", run, "--max-kl", "10")
    assert (done.code, done.out) == (1, "")
    assert "is not known" in done.err
    impossible = klimit("gate", quality, grpo, "--kl", "0.001", "--min-efficiency", "0.7")
    assert (impossible.code, impossible.out) == (1, "")
    assert "more than any method can do" in impossible.err
    nothing = klimit("gate", run)
    assert nothing.code == 2
    assert "nothing is asked" in nothing.err


def test_the_gate_lets_an_upper_bound_pass_unless_it_is_too_low(klimit, quality, grpo):
    assert klimit("gate", quality, grpo, "--kl", "9", "--min-efficiency", "0.2").code == 0
    done = klimit("gate", quality, grpo, "--kl", "9", "--min-efficiency", "0.8")
    assert done.code == 3
    assert "at most 0." in done.out


def test_the_gate_answers_in_json(klimit, quality, grpo):
    done = klimit("gate", quality, grpo, "--max-kl", "0.1", "--json")
    document = json.loads(done.out)
    assert done.code == 3
    assert document["passed"] is False
    assert document["checks"][0]["number"] == "kl"


@pytest.mark.parametrize("asked", [["audit"], ["gate", "--max-kl", "0.1"]], ids=str)
def test_documents_are_as_documented(klimit, quality, grpo, asked):
    command, *rest = asked
    document = json.loads(klimit(command, quality, grpo, *rest, "--json").out)
    kinds = documented(document["schema"])
    rows = {"audits": "audits[]", "best_of_n": "best_of_n[]", "checks": "checks[]"}
    found = {name for name in document if name not in {*rows, "verdict", "notes"}}
    found |= {f"{name}[]" for name in ("verdict", "notes") if name in document}
    for name, path in rows.items():
        for row in document.get(name, ()):
            for entry, value in row.items():
                where = f"{path}.{entry}" + ("[]" if entry == "prompts" else "")
                found.add(where)
                if kinds[where] == "estimate":
                    assert set(value) >= {"value", "low", "high", "level", "trusted"}
                    assert value["value"] is not None or value["reason"]
    assert found == set(kinds)
