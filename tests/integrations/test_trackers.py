"""Results in trackers, as their own packages keep them; nothing leaves the machine."""

import json
import os
import sqlite3
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

import klimit
from klimit.integrations import trackers
from klimit.view.hacking import budgets


@pytest.fixture(scope="module")
def base():
    return np.random.default_rng(0).normal(size=(40, 32))


@pytest.fixture(scope="module")
def limit(base):
    return klimit.frontier(base, reward="rm")


@pytest.fixture(scope="module")
def steps(base):
    """Three steps of one policy."""
    rng = np.random.default_rng(1)
    rows = {
        "prompt_id": [f"p{i}" for _ in range(3) for i in range(40) for _ in range(8)],
        "step": np.repeat([10, 20, 30], 320).tolist(),
        "rm": rng.normal(np.repeat([0.2, 0.4, 0.5], 320)).tolist(),
    }
    ours = {"prompt_id": np.repeat([f"p{i}" for i in range(40)], 32).tolist()}
    named = klimit.read(ours | {"rm": base.ravel().tolist()}, prompt="prompt_id")
    return klimit.audit(named, klimit.read(rows, prompt="prompt_id"), kl=[0.1, 0.2, 0.4])


class Run:
    """What a tracker's run is asked to log."""

    def __init__(self):
        self.rows = []

    def log(self, values, **where):
        self.rows.append((where, values))

    def define_metric(self, *names, **how):
        self.defined = names, how


def run_of(tracker):
    """Return a stand-in that says that it comes from this package."""
    return type("Run", (Run,), {"__module__": f"{tracker}.somewhere"})()


def test_numbers_are_those_of_the_result(limit, base):
    ((step, numbers),) = trackers.scalars(limit)
    assert step is None
    assert numbers["limit/trusted_kl"] == limit.trusted_kl
    assert numbers["limit/gain_at_0.5_nats"] == limit.gain(0.5).value
    assert numbers["limit/gain_low_at_0.5_nats"] == limit.gain(0.5).low
    assert numbers["limit/beta_at_0.5_nats"] == limit.beta(0.5).value
    plan = klimit.plan(base, kl=0.5)
    ((_, numbers),) = trackers.scalars(plan)
    assert numbers["plan/beta"] == plan.beta.value
    assert numbers["plan/n"] == plan.n


def test_a_proxy_is_logged_with_the_gold_that_it_brings(base):
    hack = klimit.hacking(base, gold=base + np.random.default_rng(2).normal(size=base.shape))
    ((_, numbers),) = trackers.scalars(hack)
    assert numbers["hacking/trusted_kl"] == hack.trusted_kl
    assert numbers["hacking/gold_gain_at_0.5_nats"] == hack.gold_gain(0.5).value
    assert numbers["hacking/proxy_gain_low_at_0.5_nats"] == hack.proxy_gain(0.5).low


def test_gold_is_logged_where_it_is_trusted(base):
    hack = klimit.hacking(base, gold=base**3)
    ((_, numbers),) = trackers.scalars(hack)
    shown = [kl for kl in budgets(hack) if hack.gold_gain(kl).trusted]
    logged = [name for name in numbers if "gold_gain_at" in name]
    assert logged == [f"hacking/gold_gain_at_{kl:g}_nats" for kl in shown]


def test_what_is_not_known_is_not_logged(base):
    placed = klimit.audit(base, base[:, :8] + 0.5)
    ((_, numbers),) = trackers.scalars(placed)
    assert {"frontier/gain", "frontier/least_kl"} <= set(numbers)
    assert not {"frontier/kl", "frontier/efficiency"} & set(numbers)
    assert np.isfinite(list(numbers.values())).all()


def test_placements_have_the_names_that_a_running_training_logs(steps):
    rows = trackers.scalars(steps)
    assert [step for step, _ in rows] == [10, 20, 30]
    wanted = {"gain", "gain_low", "gain_high", "least_kl", "kl", "limit", "efficiency", "trusted"}
    assert {f"frontier/{name}" for name in wanted} <= set(rows[0][1])
    assert rows[1][1]["frontier/efficiency"] == steps[1].efficiency.value


def test_several_policies_are_told_apart(base):
    both = klimit.audit(base, {"grpo": base[:, :8] + 0.5, "ppo": base[:, 8:16] + 0.3}, kl=[1, 2])
    ((_, numbers),) = trackers.scalars(both)
    assert numbers["frontier/grpo/kl"] == 1
    assert numbers["frontier/ppo/kl"] == 2


def test_steps_that_are_text_are_logged_at_their_numbers(steps):
    named = [replace(one, step=f"step_{one.step}") for one in steps]
    assert [step for step, _ in trackers.scalars(klimit.Audits(tuple(named)))] == [10, 20, 30]


def test_steps_are_logged_at_their_own(steps):
    run = run_of("trackio")
    trackers.log(steps, to=run, figure=False)
    assert [where for where, _ in run.rows] == [{"step": 10}, {"step": 20}, {"step": 30}]
    run = run_of("wandb")
    trackers.log(steps, to=run, figure=False)
    assert run.defined == (("frontier/*",), {"step_metric": "frontier/step"})
    assert [(where, values["frontier/step"]) for where, values in run.rows] == [
        ({}, 10),
        ({}, 20),
        ({}, 30),
    ]


@pytest.mark.parametrize(
    ("to", "said"),
    [("mlflow", "'trackio', 'wandb' or a run"), (object(), "is no run of trackio or wandb")],
)
def test_other_trackers_are_refused(limit, to, said):
    with pytest.raises(klimit.ArgumentError, match=said):
        trackers.log(limit, to=to)


def test_what_is_no_result_is_refused():
    with pytest.raises(klimit.ArgumentError, match="int was given; a Frontier"):
        trackers.log(3, to=run_of("wandb"))


SCRIPT = """
import klimit, numpy as np
from klimit.integrations import trackers
from klimit.view.hacking import budgets
base = np.random.default_rng(0).normal(size=(40, 32))
both = klimit.audit(base, {"grpo": base[:, :8] + 0.5, "ppo": base[:, 8:16] + 0.3}, kl=[1, 2])
trackers.log(both, to="trackio", project="klimit-test", step=7)
trackers.log(klimit.best_of_n(base, n=[1, 4]), to="trackio", project="klimit-test")
"""


@pytest.mark.extras("trackio", "matplotlib")
def test_trackio_keeps_numbers_and_picture(tmp_path):
    folder = {"TRACKIO_DIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], env=os.environ | folder, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    (file,) = tmp_path.glob("klimit-test*.db")
    with sqlite3.connect(file) as database:
        rows = database.execute("select step, metrics from metrics order by step desc").fetchall()
    (step, placed), (_, best) = ((step, json.loads(metrics)) for step, metrics in rows)
    assert step == 7
    assert placed["frontier/grpo/kl"] == 1
    assert placed["frontier/figure"]["_type"] == "trackio.image"
    assert best["best_of_n/kl_at_1"] == 0
    assert len([path for path in tmp_path.rglob("*.png") if path.stat().st_size > 10_000]) == 2


@pytest.mark.extras("trackio", "matplotlib")
def test_a_command_logs_where_it_is_told_and_prints_what_it_prints(tmp_path):
    table = tmp_path / "base.csv"
    rewards = np.random.default_rng(0).normal(size=(20, 16))
    lines = [f"p{i},{x}" for i, row in enumerate(rewards) for x in row]
    table.write_text("\n".join(["prompt_id,rm", *lines]))
    done = subprocess.run(
        [sys.executable, "-m", "klimit", "limit", str(table), "--json", "--track", "trackio"],
        env=os.environ | {"TRACKIO_DIR": str(tmp_path / "kept"), "TRACKIO_PROJECT": "mine"},
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["schema"] == "klimit.limit/1"
    assert list((tmp_path / "kept").glob("mine*.db"))


@pytest.mark.extras("wandb", "matplotlib")
@pytest.mark.filterwarnings("default")
def test_wandb_keeps_numbers_and_picture_offline(limit, tmp_path, monkeypatch):
    import wandb

    for name, value in (("WANDB_MODE", "offline"), ("WANDB_SILENT", "true")):
        monkeypatch.setenv(name, value)
    run = wandb.init(project="klimit-test", dir=str(tmp_path))
    trackers.log(limit, to="wandb")  # the run that is active, which stays so
    assert wandb.run is run
    assert run.summary["limit/gain_at_0.5_nats"] == limit.gain(0.5).value
    assert run.summary["limit/figure"]["_type"] == "image-file"
    wandb.finish()
    assert [path for path in tmp_path.rglob("*.png") if path.stat().st_size > 10_000]
