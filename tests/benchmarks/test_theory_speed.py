"""The speed table of the theory room."""

from click.testing import CliRunner

from benchmarks.theory_speed import main, verdict


def test_the_table_times_every_question_and_says_whether_targets_are_kept(tmp_path):
    output = tmp_path / "speed.md"
    sizes = ["--prompts", "30", "--outcomes", "5", "--budgets", "3", "--repeat", "1"]
    done = CliRunner().invoke(main, [*sizes, "--output", str(output)])
    assert done.exit_code == 0, done.output
    rows = [line for line in output.read_text(encoding="utf-8").splitlines() if "budget: " in line]
    assert len(rows) == 8
    assert all(row.endswith("| pass |") for row in rows)


def test_time_lost_to_other_programs_is_told_apart_from_slowness():
    assert verdict(1.0, 0.8, 0.8) == ("1", "pass")
    assert verdict(1.0, 1.4, 0.8) == ("1", "pass in CPU time")
    assert verdict(1.0, 1.4, 1.2) == ("1", "fail")
    assert verdict(None, 9.0, 9.0) == ("", "")
