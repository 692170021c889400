"""The simulation judges rightly: known estimates get the figures that they deserve."""

import json
import shlex

import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner
from numpy.testing import assert_allclose

from benchmarks import accuracy, accuracy_page, score, simulate, verdict
from benchmarks.simulate import Cell

KL = (0.25, 1.0)


def cell(**changes):
    settings = {"family": "dev/normal", "prompts": 12, "samples": 64, "target": "fixed",
                "kl": KL, "reps": 4, "seed": 3}  # fmt: skip
    return Cell(**(settings | changes))


def record(estimator, value, low=None, high=None, trusted=None, **changes):
    """A made-up record of two KLs and four repetitions, truth 1 and 2."""
    made = cell(**changes)
    shape = (made.reps, len(made.kl))
    rows = {"value": value, "low": low, "high": high, "trusted": trusted}
    return {
        "cell": json.loads(json.dumps(made.__dict__)),
        "estimator": estimator,
        "truth": [1.0, 2.0],
        "slope": [1.0, 0.5],
        "saturated": np.zeros(shape, bool).tolist(),
        **{k: None if v is None else np.broadcast_to(v, shape).tolist() for k, v in rows.items()},
    }


@pytest.mark.parametrize(
    ("kl", "samples", "expected"),
    [(2.15, 64, "lo"), (2.2, 64, "hi"), (3.65, 64, "hi"), (3.7, 64, None), (0.25, 8, "hi")],
)
def test_zones_end_two_and_a_half_nats_below_log_samples(kl, samples, expected):
    assert score.zone(kl, samples) == expected


def test_the_ratio_is_relative_error_over_the_plug_ins():
    records = [record("plugin", [0.9, 1.6]), record("corrected", [1.05, 1.9])]
    small, large = score.points(records, "corrected")
    assert_allclose([small.ratio, large.ratio], [0.5, 0.25])
    assert_allclose(score.error_ratio([small, large]), np.sqrt(0.125))
    assert_allclose([small.bias, large.bias], [0.05, -0.05])


def test_the_noise_floor_is_the_spread_of_the_plug_in():
    wobble = 0.9 + 0.05 * np.array([[1], [-1], [1], [-1]])
    point = score.points([record("plugin", wobble)], "plugin")[0]
    assert_allclose(point.floor, 0.05)


def test_coverage_counts_each_repetition_and_a_missing_upper_end_is_infinite():
    low = [[0.9, 1.0], [0.9, 1.0], [1.1, 1.0], [0.9, 2.1]]
    high = [[1.1, None]] * 3 + [[0.95, None]]
    made = record("corrected", [1.0, 2.0])
    made |= {"low": low, "high": high}
    small, large = score.points([made], "corrected", "corrected")
    assert_allclose(small.covered.mean(), 0.5)
    assert_allclose(large.covered.mean(), 0.75)
    assert_allclose(score.coverage([small, large])["dev/normal"], 0.625)
    assert_allclose(score.coverage([small, large], "two-sided")["dev/normal"], 0.5)
    assert_allclose(score.misses([small, large]), [0.25, 0.125])


def test_trust_has_a_precision_and_a_recall():
    value = [[1.0, 2.0], [1.0, 2.0], [1.2, 2.0], [1.2, 2.0]]
    trusted = [[True, False], [False, False], [True, False], [False, False]]
    points = score.points([record("corrected", value, trusted=trusted)], "corrected", "corrected")
    found = score.trust(points[:1])
    assert (found.share, found.precision, found.recall) == (0.5, 0.5, 0.5)


def test_a_perfect_estimate_passes_every_target_that_it_can():
    near = np.array([1.001, 1.999])
    sizes = {"prompts": 50, "samples": 64}
    records = [
        record("plugin", near * 0.9, **sizes),
        record("corrected", near, near - 0.1, near + 0.1, True, **sizes),
    ]
    lines = verdict.judge(score.points(records, "corrected"))
    found = {line.verdict for line in lines} - {"stated"}
    assert found == {"pass", "above"}  # covering always is above a band


def test_an_estimate_worse_than_the_plug_in_fails():
    sizes = {"prompts": 50, "samples": 64}
    records = [record("plugin", [0.9, 1.8], **sizes), record("corrected", [1.5, 3.0], **sizes)]
    lines = verdict.judge(score.points(records, "corrected"))
    assert {line.verdict for line in lines if "error ratio" in line.target} == {"fail"}


def test_a_worst_case_near_its_limit_is_decided_by_repetitions_of_its_own():
    sizes = {"prompts": 50, "samples": 64}
    plugin = record("plugin", [0.9, 1.8], **sizes)
    first = [plugin, record("corrected", [1.11, 2.02], **sizes)]
    points = score.points(first, "corrected")
    assert verdict.in_doubt(points) == {("dev/normal", "K=50 M=64")}
    assert not verdict.in_doubt(
        score.points([plugin, record("corrected", [1.05, 2.02], **sizes)], "corrected")
    )

    anew = [plugin, record("corrected", [1.02, 2.02], **sizes)]
    text = "worst point lo with plug-in error >= 2 %, unsaturated <= 1.06"
    ratios = [
        {line.target: line for line in verdict.judge(points, again)}[text].found
        for again in ([], score.points(anew, "corrected"))
    ]
    assert_allclose(ratios, [1.1, 0.2])


def test_what_is_in_doubt_is_drawn_again_with_new_repetitions(tmp_path, monkeypatch):
    made = [
        cell(prompts=50, reps=3),
        cell(prompts=50, samples=16, reps=3),
        cell(target="drawn", reps=3),
    ]
    monkeypatch.setattr(verdict, "in_doubt", lambda _: {("dev/normal", "K=50 M=16")})
    records, again = accuracy.judged(made, ["grid", "plugin"], tmp_path / "cache", jobs=1)
    assert len(records) == 6
    assert {(r["cell"]["samples"], r["cell"]["first"]) for r in again} == {(16, 3)}
    assert all(len(r["value"]) == 30 for r in again)
    assert not set(map(str, again[0]["value"])) & set(map(str, records[2]["value"]))


def test_a_cell_is_decided_by_its_settings():
    one, two = (simulate.run_cell(cell(), {"grid": "-"})[0] for _ in range(2))
    assert one == two
    other = simulate.run_cell(cell(seed=4), {"grid": "-"})[0]
    assert one["value"] != other["value"]


def test_the_plug_in_by_grid_agrees_with_the_closed_form_of_one_coin():
    coin = [np.array([0.0, 1.0])]
    kl = np.array([0.1, 0.5, 2.0])
    gain = simulate.plugin_by_grid(coin, kl)
    for budget, found in zip(kl, gain, strict=True):
        if budget > np.log(2):
            assert_allclose(found, 0.5, atol=1e-4)
        else:  # the KL of a coin of chance .5 + gain from a fair one is the budget
            p = 0.5 + found
            assert_allclose(np.log(2) + p * np.log(p) + (1 - p) * np.log(1 - p), budget, rtol=1e-3)


def test_unequal_samples_are_between_a_quarter_and_all():
    family = simulate.find_family("dev/normal")
    rng = np.random.default_rng(0)
    rows = simulate._draw(cell(unequal=True, prompts=200), family, family.prompts(rng, 200), rng)
    sizes = [len(row) for row in rows]
    assert 16 <= min(sizes) < 25 < 55 < max(sizes) <= 64
    effective = cell(unequal=True).effective
    assert_allclose(effective, 1 / np.mean(1 / np.arange(16, 65)), rtol=0.05)


def test_an_interrupted_run_resumes_from_its_cache(tmp_path, monkeypatch):
    cache = tmp_path / "cache.jsonl"
    cells = [cell(), cell(target="drawn")]
    first = accuracy.run(cells, ["grid"], cache, jobs=1)
    with cache.open("a") as file:
        file.write('{"key": "half a li')
    monkeypatch.setattr(accuracy, "_simulate", lambda *_: pytest.fail("simulated again"))
    assert accuracy.run(cells, ["grid"], cache) == first


def test_the_command_prints_verdicts_and_writes_json(tmp_path):
    out = tmp_path / "table.json"
    done = CliRunner().invoke(
        accuracy.main,
        ["--families", "dev/normal,dev/bern.1", "--estimators", "grid", "--prompts", "10",
         "--samples", "16", "--reps", "2", "--cache", str(tmp_path / "c"), "--output", str(out)],
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "4 of 4 cells" in done.output
    table = json.loads(out.read_text())
    assert table["settings"]["seed"] == 1
    assert {row["zone"] for row in table["estimators"]["grid"]["sizes"]} == {"lo", "hi"}


def test_an_unknown_set_of_families_is_named():
    done = CliRunner().invoke(accuracy.main, ["--families", "nonesuch"])
    assert done.exit_code == 2
    assert "nonesuch" in done.output


def test_real_rewards_are_their_own_truth(tmp_path):
    path = tmp_path / "many.parquet"
    rng = np.random.default_rng(1)
    rewards = rng.normal(size=(3, 500))
    pl.DataFrame(
        {"prompt_id": np.repeat(["a", "b", "c"], 500), "rm": rewards.ravel()}
    ).write_parquet(path)
    family = simulate.find_family(f"real/{path}#rm")
    same = simulate.plugin_by_grid(list(rewards), np.array(KL))
    assert_allclose(family.gain(KL, family.population(3)), same, rtol=1e-4)
    assert_allclose(family.gain(KL), same, rtol=1e-4)
    drawn = family.draw(rng, family.population(3), 64)
    assert all(np.isin(row, own).all() for row, own in zip(drawn, rewards, strict=True))


def test_every_run_of_the_page_is_one_that_the_command_takes():
    for _, options in accuracy_page.RUNS:
        params = accuracy.main.make_context("accuracy", shlex.split(options)).params
        assert list(accuracy.cells(params))
