"""Rollouts small enough to read by eye, and two ways to run the program."""

import json
import os
import subprocess
import sys
from typing import NamedTuple

import numpy as np
import polars as pl
import pytest

from klimit.cli import program


class Done(NamedTuple):
    """How a run ended: the exit code, and what it printed."""

    code: int
    out: str
    err: str


@pytest.fixture
def klimit(capsys):
    """Run a command in this process."""

    def run(*args):
        with pytest.raises(SystemExit) as end:
            program.main([str(arg) for arg in args], prog_name="klimit")
        return Done(end.value.code, *capsys.readouterr())

    return run


@pytest.fixture
def klimit_process():
    """Run a command in a process of its own."""

    def run(*args, **environment):
        done = subprocess.run(
            [sys.executable, "-m", "klimit", *map(str, args)],
            capture_output=True,
            text=True,
            env=os.environ | environment,
            timeout=120,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    return run


def long_form(rewards, name="quality"):
    """Return a row per sample."""
    prompts, samples = rewards.shape
    return pl.DataFrame(
        {
            "prompt_id": [f"p{i}" for i in range(prompts) for _ in range(samples)],
            "completion": [f"answer {j}" for _ in range(prompts) for j in range(samples)],
            name: rewards.ravel(),
        }
    )


@pytest.fixture
def quality(tmp_path):
    """40 prompts x 32 samples of a continuous reward."""
    path = tmp_path / "quality.parquet"
    long_form(np.random.default_rng(1).normal(3.0, 1.0, size=(40, 32))).write_parquet(path)
    return path


@pytest.fixture
def solved(tmp_path):
    """60 prompts x 16 samples of a 0/1 reward; some prompts are never solved."""
    rng = np.random.default_rng(2)
    rates = np.where(rng.random((60, 1)) < 0.3, 0.0, rng.beta(1, 2, size=(60, 1)))
    path = tmp_path / "solved.parquet"
    long_form((rng.random((60, 16)) < rates).astype(int), "correct").write_parquet(path)
    return path


@pytest.fixture
def write_jsonl(tmp_path):
    """Write records as JSONL; return the path."""

    def write(records, name="rows.jsonl"):
        path = tmp_path / name
        path.write_text("".join(json.dumps(record) + "\n" for record in records))
        return path

    return write


@pytest.fixture
def rows():
    """20 prompts x 8 samples as records."""
    rng = np.random.default_rng(3)
    return [
        {
            "prompt_id": f"p{i}",
            "completion": f"answer {j}",
            "quality": round(float(rng.normal()), 4),
        }
        for i in range(20)
        for j in range(8)
    ]
