"""Read a dump and gather each prompt's rewards, as a process: ``python -m ... TOOL PATH``."""

from __future__ import annotations

import sys
from typing import Any

from benchmarks.measure import ABSENT


def klimit_(path: str) -> int:
    """Find the columns, check them, group the rewards."""
    import klimit

    return len(klimit.read(path).grouped("reward"))


def pandas(path: str) -> int:
    """Group by the id and gather lists."""
    import pandas as pd

    if path.endswith(".jsonl"):
        frame = pd.read_json(path, lines=True)
    else:
        frame = pd.read_parquet(path, columns=["prompt_id", "reward"])
    return len(frame.groupby("prompt_id")["reward"].agg(list))


def polars(path: str) -> int:
    """The same, lazily."""
    import polars as pl

    lazy: Any = pl.scan_ndjson(path) if path.endswith(".jsonl") else pl.scan_parquet(path)
    found: pl.DataFrame = lazy.group_by("prompt_id").agg("reward").collect(engine="streaming")
    return found.height


def duckdb(path: str) -> int:
    """The same in SQL."""
    import duckdb as db

    read = "read_json" if path.endswith(".jsonl") else "read_parquet"
    query = f"select prompt_id, list(reward) as reward from {read}(?) group by prompt_id"
    return len(db.execute(query, [path]).fetchnumpy()["reward"])


TOOLS = {"klimit": klimit_, "pandas": pandas, "polars": polars, "duckdb": duckdb}


if __name__ == "__main__":
    try:
        print(TOOLS[sys.argv[1]](sys.argv[2]), "prompts")
    except ModuleNotFoundError as error:
        print(error.name)
        sys.exit(ABSENT)
