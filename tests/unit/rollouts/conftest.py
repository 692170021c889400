import gzip
import json

import polars as pl
import pytest


@pytest.fixture
def samples():
    """Three prompts with 4, 2 and 3 samples, in mixed order, one reward missing."""
    return pl.DataFrame(
        {
            "prompt_id": ["b", "a", "b", "c", "a", "b", "c", "b", "c"],
            "prompt": [f"why {key}?" for key in "babcabcbc"],
            "completion": [f"because {i}" for i in range(9)],
            "rm": [0.5, -1.0, 0.25, None, 2.0, 0.0, 1.5, 0.75, -0.5],
            "ok": [True, False, True, True, False, None, True, False, True],
            "tokens": list(range(10, 19)),
        }
    )


@pytest.fixture
def expected():
    """The samples' first reward, prompt after prompt in order of appearance."""
    nan = float("nan")
    return {"b": [0.5, 0.25, 0.0, 0.75], "a": [-1.0, 2.0], "c": [nan, 1.5, -0.5]}


@pytest.fixture
def as_dict():
    """Rewards by prompt."""

    def convert(rollouts, name="rm"):
        grouped = rollouts.grouped(name)
        ends = grouped.starts + grouped.lengths
        parts = [
            grouped.columns[name][a:b].tolist() for a, b in zip(grouped.starts, ends, strict=True)
        ]
        return dict(zip(grouped.ids, parts, strict=True))

    return convert


@pytest.fixture
def jsonl(tmp_path):
    """Write records, or raw lines, to a file."""

    def write(rows, name="samples.jsonl"):
        path = tmp_path / name
        text = "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
        return path

    return write
