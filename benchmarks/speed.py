"""How long it takes and how much memory, beside what people use today.

Run ``python -m benchmarks.speed --help`` from the repository root; `benchmarks/README.md` explains
the columns.
"""

from __future__ import annotations

import math
import os
import platform
import re
import shlex
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from benchmarks.contests import Contest, Entry, contests
from benchmarks.measure import ROOT, Absent, Call, Measured, Patience, measure
from benchmarks.tables import row, write_page

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

NAMES = ("start", "frontier", "scaling", "best-of-n", "pass-at-k", "tail", "parquet", "jsonl")
LINEAR = 1.1  # the exponent that still counts as linear
HEAD = ("", "wall, s", "CPU, s", "memory, MB", "x wall", "x memory", "target",
        "what it leaves out; how near it comes")  # fmt: skip


@click.command()
@click.option("--quick", is_flag=True, help="Tiny sizes: to try the command, not to be quoted.")
@click.option("--large", is_flag=True, help="Also 1e8 rewards.")
@click.option("--only", default=",".join(NAMES), show_default=True, help="Commas between.")
@click.option("--verl", default=sys.executable, help="A Python that has verl, if not this one.")
@click.option("--folder", type=click.Path(file_okay=False, exists=True, path_type=Path),
              help="Where files of some gigabytes are written for a while.")  # fmt: skip
@click.option("--output", type=click.Path(path_type=Path), help="Write the page here as well.")
def main(
    *, quick: bool, large: bool, only: str, verl: str, folder: Path | None, output: Path | None
) -> None:
    """Run klimit and its peers, and print the tables."""
    wanted = [name.strip() for name in only.split(",") if name.strip()]
    for name in wanted:
        if name not in NAMES:
            raise click.BadParameter(f"no contest called {name!r}; there are {', '.join(NAMES)}")
    patience = Patience(1, 0.0) if quick else Patience()
    before = os.getloadavg()[0]
    versions: dict[str, str] = {}
    parts = []
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        for contest in contests(Path(scratch), quick=quick, large=large):
            if contest.name in wanted:
                rows = list(run(contest, patience, verl, versions))
                parts.append(section(contest, rows))
                click.echo(f"\n{parts[-1]}")
                for path, *_ in contest.dumps:
                    Path(path).unlink()
    versions |= installed()
    head = heading(versions, before, os.getloadavg()[0])
    click.echo(f"\n{head}")
    if output:
        write_page(output, "\n\n".join([head, *parts]) + "\n")


def run(
    contest: Contest, patience: Patience, verl: str, versions: dict[str, str]
) -> Iterator[tuple[Entry, Measured | Absent]]:
    """Write what the contest needs, then measure its contenders one after the other."""
    for path, rows, prompts in contest.dumps:
        writer = (sys.executable, "-m", "benchmarks.peers.dump", path, str(rows), str(prompts))
        subprocess.run(writer, cwd=ROOT, check=True)
    for entry in contest.entries:
        click.echo(f"{contest.name}: {entry.name}", err=True)
        found = measure(entry.job, patience, verl if entry.verl else sys.executable)
        if isinstance(found, Measured):
            versions |= found.versions
        yield entry, found


def section(contest: Contest, rows: Sequence[tuple[Entry, Measured | Absent]]) -> str:
    """One contest as Markdown."""
    first = rows[0][1]
    assert isinstance(first, Measured)
    lines = [f"## {contest.title}", "", contest.text, "", row(HEAD), "|---" * len(HEAD) + "|"]
    lines += [row(cells(entry, found, first)) for entry, found in rows]
    if contest.scaling:
        lines += ["", growth(rows)]
    return "\n".join(lines)


def cells(entry: Entry, found: Measured | Absent, first: Measured) -> tuple[str, ...]:
    """One row; times and memory are also given over the first row's."""
    if isinstance(found, Absent):
        return (entry.name, f"absent ({found.module} is not installed)", *[""] * 6)
    memory = f"{found.peak / 1e6:,.0f}"
    if found.added is not None:
        memory += f" (+{found.added / 1e6:,.0f})"
    return (
        entry.name,
        seconds(found.wall),
        seconds(found.cpu),
        memory,
        times(found.wall / first.wall),
        times(found.peak / first.peak),
        "; ".join(targets(entry, found)),
        "; ".join(filter(None, (entry.lacks, found.said))),
    )


def targets(entry: Entry, found: Measured) -> Iterator[str]:
    """What is promised here, and whether it is kept."""
    if entry.seconds is not None:
        yield f"{entry.seconds:g} s: {'pass' if found.wall <= entry.seconds else 'fail'}"
    if entry.arrays is not None and isinstance(entry.job, Call):
        arrays = found.peak / (8 * entry.job.prompts * entry.job.samples)
        verdict = "pass" if arrays <= entry.arrays else "fail"
        yield f"memory of {entry.arrays:g} arrays: {verdict} ({arrays:.2f})"


def growth(rows: Sequence[tuple[Entry, Measured | Absent]]) -> str:
    """The power of the number of rewards that time grows with, by least squares in logarithms."""
    known = [(entry.job, found) for entry, found in rows
             if isinstance(entry.job, Call) and isinstance(found, Measured)]  # fmt: skip
    size = [math.log(job.prompts * job.samples) for job, _ in known]
    wall, cpu = (
        statistics.linear_regression(size, [math.log(getattr(found, kind)) for _, found in known])
        for kind in ("wall", "cpu")
    )
    verdict = "pass" if wall.slope <= LINEAR else "fail"
    return (
        f"Wall time grows as rewards^{wall.slope:.2f}, CPU time as rewards^{cpu.slope:.2f}. "
        f"Target: linear (at most {LINEAR:g}): {verdict}."
    )


def heading(versions: dict[str, str], before: float, after: float) -> str:
    """What was run, where, and how to read it."""
    command = shlex.join(["python", "-m", "benchmarks.speed", *_shown(sys.argv[1:])])
    names = ", ".join(f"{name} {number}" for name, number in sorted(versions.items()))
    busy = before > 1 or after > 3  # it makes a load of one or two by itself
    shared = "; other work ran beside it, so walls are longer than they need be" * busy
    return (
        "# Speed and memory, beside what people use today\n\n"
        f"`{command}` on a machine with {_machine()}, {platform.system()}, "
        f"Python {platform.python_version()}. Load average {before:.1f} when it began, "
        f"{after:.1f} when it ended{shared}. "
        f"Versions: {names}.\n\n"
        "Medians of up to seven runs (fewer where they take long; 15 s in all), each contender in "
        "a process of its own after a call with few prompts, with as many threads as it takes by "
        "itself. CPU is the time of all threads. Memory is the peak of the process, with its "
        "imports and data, and in brackets what the call added. *x wall* and *x memory* are over "
        "the first row's. klimit's promises are for two cores that do nothing else."
    )


def installed() -> dict[str, str]:
    """Versions of what runs as a process of its own."""
    from importlib.metadata import PackageNotFoundError, version

    found = {}
    for name in ("klimit", "numpy", "scipy", "polars", "pandas", "duckdb", "pyarrow"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def seconds(value: float) -> str:
    """Two or three figures, never exponents."""
    digits = 4 if value < 0.1 else 3 if value < 1 else 2 if value < 10 else 1
    return f"{value:,.{digits}f}"


def times(ratio: float) -> str:
    """A ratio to two figures or whole, never in exponents."""
    return f"{ratio:.{2 if ratio < 0.1 else 1 if ratio < 10 else 0}f}"


def _machine() -> str:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{cores} cores and {memory:.0f} GiB of memory"


def _shown(options: Sequence[str]) -> list[str]:
    """Options without the folders of this machine."""
    return [re.sub(r"(^|=)[/\\~].*[/\\]", r"\1", option) for option in options]


if __name__ == "__main__":
    main()
