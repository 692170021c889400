"""Simulations that may stop and go on: what is done is kept, a line for each data set."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

Job = TypeVar("Job")


def go_on(
    run: Callable[[Job, int], object], jobs: Mapping[Job, str], *, repeats: int, folder: str,
    most: float,
) -> dict[Job, list]:  # fmt: skip
    """What `run(job, repeat)` found, for every job, of as many repeats.

    Parameters
    ----------
    jobs : and the name of the file in `folder` that keeps what they found
    most : seconds after which nothing is begun any more
    """
    start, where = time.monotonic(), Path(folder)
    where.mkdir(parents=True, exist_ok=True)
    paths = {job: where / f"{name}.jsonl" for job, name in jobs.items()}
    done = {job: _lines(path)[:repeats] for job, path in paths.items()}
    for repeat in range(repeats):
        for job, path in paths.items():
            if len(done[job]) <= repeat and time.monotonic() - start < most:
                line = json.dumps(run(job, repeat))
                with path.open("a") as file:
                    file.write(line + "\n")
                done[job].append(json.loads(line))
    return done


def _lines(path: Path) -> list:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
