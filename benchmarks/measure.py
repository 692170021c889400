"""Wall time, CPU time and peak memory of a call or of a whole process, in a child of its own.

This module and its importer stay small (no numpy): a child's peak memory, as the system reports it,
is never less than that of the process that started it.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ABSENT = 3  # exit code of a child that lacks a module, whose name it printed
_KILOBYTE = 1 if sys.platform == "darwin" else 1024  # unit of ru_maxrss


@dataclass(frozen=True)
class Patience:
    """How often something is run: `runs` times, but no longer than `seconds`; once at least."""

    runs: int = 7
    seconds: float = 15.0


@dataclass(frozen=True)
class Call:
    """A contender of `benchmarks.peers`, called with rewards after a call with few prompts."""

    module: str
    function: str
    rewards: str
    prompts: int
    samples: int


@dataclass(frozen=True)
class Command:
    """A whole process; `first` is run once before, so that files and caches are warm."""

    argv: tuple[str, ...]
    first: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Measured:
    """What it took.

    Attributes
    ----------
    wall, cpu : seconds; user and system time of all threads; medians over `runs`
    peak : bytes, the process with its imports and data
    added : bytes that the call added to them, where it was measured
    said : a word of the contender about its answer
    """

    wall: float
    cpu: float
    peak: float
    runs: int
    added: float | None = None
    said: str = ""
    versions: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Absent:
    """A module that is not installed."""

    module: str


def measure(job: Call | Command, patience: Patience, python: str) -> Measured | Absent:
    """Run a job in a child process; a missing module is no error."""
    if isinstance(job, Call):
        return _call(job, patience, python)
    return _command(job, patience)


def _call(job: Call, patience: Patience, python: str) -> Measured | Absent:
    what = json.dumps([asdict(job), asdict(patience)])
    argv = [python, "-W", "ignore", "-m", "benchmarks.peers.worker", what]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, env=_environment())
    if done.returncode == ABSENT:
        return Absent(_last(done.stdout))
    if done.returncode:
        raise RuntimeError(f"{job.module}.{job.function}: {done.stderr[-2000:]}")
    return Measured(**json.loads(_last(done.stdout)))


def _command(job: Command, patience: Patience) -> Measured | Absent:
    found = _run(job.first) if job.first else None
    if isinstance(found, Absent):
        return found
    took: list[tuple[float, float, float]] = []
    started = time.perf_counter()
    while not took or (
        len(took) < patience.runs and time.perf_counter() - started < patience.seconds
    ):
        once = _run(job.argv)
        if isinstance(once, Absent):
            return once
        took.append(once)
    wall, cpu, peak = zip(*took, strict=True)
    return Measured(statistics.median(wall), statistics.median(cpu), max(peak), len(took))


def _run(argv: tuple[str, ...]) -> tuple[float, float, float] | Absent:
    """Seconds, CPU seconds and peak bytes of one process."""
    started = time.perf_counter()
    with subprocess.Popen(
        argv, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=_environment()
    ) as child:
        assert child.stdout is not None
        said = child.stdout.read().decode(errors="replace")
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    wall = time.perf_counter() - started
    if child.returncode == ABSENT:
        return Absent(_last(said))
    if child.returncode:
        raise RuntimeError(f"{' '.join(argv)[:200]}: {said[-2000:]}")
    return wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * _KILOBYTE


def _environment() -> dict[str, str]:
    """The caller's, with the klimit of this tree where none is installed."""
    paths = [str(ROOT / "src"), os.environ.get("PYTHONPATH", "")]
    return os.environ | {"PYTHONPATH": os.pathsep.join(path for path in paths if path)}


def _last(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1] if lines else ""


def high_water() -> float:
    """Peak memory of this process so far, bytes."""
    try:  # of this program alone; getrusage also remembers what ran here before exec
        status = Path("/proc/self/status").read_text()
        return float(status.split("VmHWM:")[1].split()[0]) * 1024
    except (OSError, IndexError):
        import resource

        return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _KILOBYTE)
