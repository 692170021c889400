"""What is not installed is said before any work, in the same words everywhere."""

import sys

import pytest

FAILED = 1
COMMANDS = [
    ("report", "jinja2", ["report", "gone.parquet"]),
    ("report", "jinja2", ["watch", "gone.parquet"]),
    ("plot", "matplotlib", ["plot", "gone.parquet", "-o", "x.png"]),
    ("trackers", "wandb", ["limit", "gone.parquet", "--track", "wandb"]),
    ("trackers", "trackio", ["best-of-n", "gone.parquet", "--n", "4", "--track", "trackio"]),
    ("trackers", "matplotlib", ["audit", "gone.parquet", "--track", "wandb"]),
    ("hf", "torch", ["rescore", "gone.parquet", "--policy-model", "a", "--base-model", "b",
                     "-o", "x.parquet"]),
]  # fmt: skip


@pytest.mark.parametrize(("extra", "module", "command"), COMMANDS)
def test_a_missing_module_is_told_before_a_missing_file(
    klimit, monkeypatch, tmp_path, extra, module, command
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, module, None)
    done = klimit(*command)
    assert (done.code, done.out) == (FAILED, "")
    assert module in done.err
    assert done.err.startswith("error: ")
    assert done.err.endswith(f": pip install 'klimit[{extra}]'.\n")
    assert done.err.count("\n") == 1


def test_the_package_runs_as_a_module(klimit_process):
    done = klimit_process("--version")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("klimit ")
