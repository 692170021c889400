"""`klimit.hacking` with policies: the prediction from base samples beside what training did."""

import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner

import klimit
from klimit import DataError
from klimit.cli import program
from tests.cli.test_schema import documented, entries, fits

PROMPTS = 30


@pytest.fixture(scope="module")
def run():
    """A base whose gold follows the proxy at .6, and three steps that follow it less and less."""
    rng = np.random.default_rng(0)
    ids = [f"p{i}" for i in range(PROMPTS)]
    proxy = rng.normal(size=PROMPTS * 32)
    rows = [
        pl.DataFrame(
            {
                "prompt_id": np.repeat(ids, 32),
                "rm": proxy,
                "human": 0.6 * proxy + 0.8 * rng.normal(size=len(proxy)),
                "step": 0,
                "logprob": -10.0,
                "ref_logprob": -10.0,
            }
        )
    ]
    for step, (shift, gold) in enumerate([(0.7, 0.4), (1.2, 0.5), (3.0, 0.1)], start=1):
        number = PROMPTS * 8
        rows.append(
            pl.DataFrame(
                {
                    "prompt_id": np.repeat(ids, 8),
                    "rm": shift + rng.normal(size=number),
                    "human": gold + rng.normal(size=number),
                    "step": 10 * step,
                    "logprob": -10.0,
                    "ref_logprob": -10.0 - shift**2 / 2 + 0.3 * rng.normal(size=number),
                }
            )
        )
    return pl.concat(rows)


def both(run):
    whole = klimit.read(run)
    return whole.filter(step=0), whole.filter(step=[10, 20, 30])


def test_without_policies_there_is_no_run(run):
    base, _ = both(run)
    found = klimit.hacking(base, proxy="rm", gold="human")
    assert found.run is None
    assert "run" not in found.to_dict()


def test_each_checkpoint_stands_beside_the_prediction_at_its_kl(run):
    base, steps = both(run)
    found = klimit.hacking(base, steps, proxy="rm", gold="human")
    assert [one.label for one in found.run] == ["step 10", "step 20", "step 30"]
    for one in found.run:
        assert one.predicted == found.gold_gain(float(one.kl.value))
    assert found.run.checkpoints[0].predicted.trusted
    assert not found.run.checkpoints[2].predicted.trusted
    assert "step 30" in str(found)


def test_a_run_that_holds_its_base_is_taken_apart(run):
    base, steps = both(run)
    apart = klimit.hacking(base, steps, proxy="rm", gold="human")
    whole = klimit.hacking(klimit.read(run), proxy="rm", gold="human")
    assert whole.gold_gain(0.5) == apart.gold_gain(0.5)
    assert [one.gold_gain for one in whole.run] == [one.gold_gain for one in apart.run]


def test_policies_of_which_one_is_called_base_are_a_run_and_others_are_not(run):
    called = (
        pl.when(pl.col("step") == 0)
        .then(pl.lit("base"))
        .otherwise("ppo-" + pl.col("step").cast(str))
    )
    named = run.with_columns(policy=called).drop("step")
    whole = klimit.hacking(klimit.read(named), proxy="rm", gold="human")
    apart = klimit.hacking(*both(run), proxy="rm", gold="human")
    assert [one.label for one in whole.run] == ["ppo-10", "ppo-20", "ppo-30"]
    assert [one.gold_gain for one in whole.run] == [one.gold_gain for one in apart.run]
    strangers = named.with_columns(pl.col("policy").str.replace("base", "alice"))
    with pytest.raises(DataError, match="which are never pooled"):
        klimit.hacking(klimit.read(strangers), proxy="rm", gold="human")


def test_the_last_step_of_a_run_is_the_one_of_the_largest_number_in_text_too(run):
    named = run.with_columns(step=(pl.col("step") * 5).cast(str))  # "0", "50", "100", "150"
    said = " ".join(str(klimit.hacking(klimit.read(named), proxy="rm", gold="human").run).split())
    assert said.startswith("step 150 gained +")


def test_policies_beside_arrays_are_refused(run):
    values = np.random.default_rng(1).normal(size=(20, 8))
    pair = {"rm": values, "human": values[:, ::-1]}
    with pytest.raises(klimit.ArgumentError, match="policies were given beside arrays"):
        klimit.hacking(pair, values, proxy="rm", gold="human")


def test_checkpoints_that_gained_more_than_their_kl_allows_are_named(run):
    base, later = both(run)
    in_tokens = klimit.hacking(base, later, proxy="rm", gold="human", kl=[2.0, 0.03, 0.0])
    said = [note.split(": this is more than any method")[0] for note in in_tokens.run.notes]
    assert "'rm': step 20, step 30" in said
    honest = klimit.hacking(base, later, proxy="rm", gold="human")
    assert not any("more than any method" in note for note in honest.run.notes)


def test_a_kl_of_no_policy_is_refused(run):
    base, _ = both(run)
    with pytest.raises(klimit.ArgumentError, match="none was given"):
        klimit.hacking(base, proxy="rm", gold="human", kl=2.0)


def test_the_command_takes_policies_after_the_base(run, tmp_path):
    base, steps = tmp_path / "base.parquet", tmp_path / "grpo.parquet"
    run.filter(step=0).write_parquet(base)
    run.filter(pl.col("step") > 0).write_parquet(steps)
    names = ["--proxy", "rm", "--gold", "human"]
    done = CliRunner().invoke(program, ["hacking", str(base), str(steps), *names])
    assert done.exit_code == 0, done.output
    assert "grpo step 30" in done.output
    done = CliRunner().invoke(program, ["hacking", str(base), str(steps), *names, "--json"])
    assert '"checkpoint": "grpo step 10"' in done.output


def test_the_document_of_a_run_is_as_documented(run):
    base, steps = both(run)
    document = klimit.hacking(base, steps, proxy="rm", gold="human").to_dict()
    kinds = documented("klimit.hacking/1")
    found = list(entries(document))
    for path, value in found:
        assert fits(value, kinds[path]), (path, value)
    assert {path for path in kinds if path.startswith("run.")} - {path for path, _ in found} <= {
        f"run.runs[].curves[].{name}" for name in ("form", "a", "b", "misfit")
    } | {"run.notes[]"}  # three checkpoints have no curve


def test_the_checkpoint_that_lacks_gold_is_named(run):
    base, later = both(run)
    bare = run.filter(pl.col("step") == 20).with_columns(human=pl.lit(None, pl.Float64))
    without = klimit.read(pl.concat([run.filter(pl.col("step") != 20), bare]))
    with pytest.raises(DataError, match="policy step 20: every one of the 240 samples lacks"):
        klimit.hacking(without, proxy="rm", gold="human")
    named = {"good": later.filter(step=10), "bare": klimit.read(bare.drop("human", "step"))}
    with pytest.raises(klimit.ArgumentError, match=r"^bare: no reward 'human'"):
        klimit.hacking(base, named, proxy="rm", gold="human")
