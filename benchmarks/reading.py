"""How fast a large JSONL dump and a large Inspect log are read.

Run ``python -m benchmarks.reading`` from the repository root; it writes ``docs/tables/reading.md`` and
needs 2 GB of temporary space. Every reading is a process of its own, with the file in the system's cache,
polars and klimit in turn; the fastest of each counts, since other work only slows them down.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

import click

from benchmarks.tables import write_table

GOLDEN = Path("tests/golden/inspect/deflate.eval")
TEXT = """\
`{command}`: the fastest of {runs} processes each, after imports, in seconds; *CPU* is the time of all
threads in that process. Load average {load:.1f} at the end, on {cores} cores.
The JSONL dump has {size:.2f} GB in {rows:,} rows: an id of 30 characters, a prompt of 200, a completion of
700 and a reward. polars reads the id and the reward; klimit finds out what the columns are, reads,
checks and groups. The Inspect log is the golden one with {logged:,} samples, header, summaries and
samples deflated, {log_size:.0f} MB."""
READERS = {
    "polars, two columns": (
        "import polars as pl",
        "pl.scan_ndjson(PATH).select('prompt_id', 'reward').collect()",
    ),
    "klimit.read and group": ("import klimit, polars", "klimit.read(PATH).grouped()"),
}
LOG = ("import klimit, polars", "klimit.read(PATH, reward='match').grouped()")


def write_jsonl(path: Path, size: int) -> int:
    """Write rows until the file has `size` bytes; how many there are."""
    rows = 0
    with path.open("w") as file:
        while file.tell() < size:
            lines = []
            for _ in range(5_000):
                prompt = rows // 64
                row = {
                    "prompt_id": f"prompt-{prompt:023d}",
                    "prompt": f"{prompt:08d} what is to be said? " * 6,
                    "completion": f"{rows:09d} is what was answered, " * 20,
                    "reward": (rows * 7919 % 10_007) / 10_007,
                }
                lines.append(json.dumps(row))
                rows += 1
            file.write("\n".join(lines) + "\n")
    return rows


def write_log(path: Path, samples: int) -> None:
    """Write the golden log with more samples."""
    with zipfile.ZipFile(GOLDEN) as small:
        header, few = small.read("header.json"), json.loads(small.read("summaries.json"))
        one = small.read("samples/sum-0_epoch_1.json")
    many = [
        few[at % len(few)] | {"id": f"sum-{at // 4}", "epoch": at % 4 + 1} for at in range(samples)
    ]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as log:
        for row in many:
            log.writestr(f"samples/{row['id']}_epoch_{row['epoch']}.json", one)
        log.writestr("summaries.json", json.dumps(many))
        log.writestr("header.json", header)


def timed(reader: tuple[str, str], path: Path) -> tuple[float, float]:
    """Wall and CPU seconds of one reading in a process of its own."""
    code = (
        f"from benchmarks.reading import clock\nclock({reader[0]!r}, {reader[1]!r}, {str(path)!r})"
    )
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    wall, cpu = json.loads(found.stdout)
    return wall, cpu


def clock(imports: str, call: str, path: str) -> None:
    """In the child: print what the call took."""
    known: dict[str, object] = {"PATH": path}
    exec(imports, known)
    wall, cpu = time.perf_counter(), _cpu()
    exec(call, known)
    print(json.dumps([time.perf_counter() - wall, _cpu() - cpu]))


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


@click.command()
@click.option("--size", default=1.0, show_default=True, help="Of the JSONL dump, GB.")
@click.option("--samples", default=10_000, show_default=True, help="Of the Inspect log.")
@click.option("--runs", default=3, show_default=True)
@click.option("--output", default="docs/tables/reading.md", show_default=True)
def main(size: float, samples: int, runs: int, output: str) -> None:
    """Write both files, read them, and write the table."""
    with tempfile.TemporaryDirectory() as folder:
        dump, log = Path(folder) / "dump.jsonl", Path(folder) / "log.eval"
        number = write_jsonl(dump, int(size * 1e9))
        write_log(log, samples)
        jobs = {name: (reader, dump) for name, reader in READERS.items()}
        jobs |= {f"an Inspect log of {samples:,} samples": (LOG, log)}
        walls: dict[str, list[tuple[float, float]]] = {name: [] for name in jobs}
        for _ in range(runs):
            for name, job in jobs.items():
                walls[name].append(timed(*job))
        sizes = dump.stat().st_size / 1e9, log.stat().st_size / 1e6
    best = {name: tuple(map(min, zip(*found, strict=True))) for name, found in walls.items()}
    first, own, logged = best
    share = best[first][0] / best[own][0]
    said = ["", f"half the speed of polars: {'pass' if share >= 0.5 else 'fail'} ({share:.2f})",
            f"2 s: {'pass' if best[logged][0] <= 2 else 'fail'}"]  # fmt: skip
    table = [
        [name, f"{wall:.2f}", f"{cpu:.2f}", target]
        for (name, (wall, cpu)), target in zip(best.items(), said, strict=True)
    ]
    command = "python -m benchmarks.reading" + (f" --size {size:g}" if size != 1 else "")
    text = TEXT.format(
        command=command, runs=runs, load=os.getloadavg()[0], cores=os.cpu_count(), size=sizes[0],
        rows=number, logged=samples, log_size=sizes[1],
    )  # fmt: skip
    head = ["what", "wall", "CPU", "target"]
    click.echo(write_table(output, "Reading large dumps", text, head, table), nl=False)


if __name__ == "__main__":
    main()
