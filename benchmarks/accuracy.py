"""How near the truth, how often the interval holds it, and whether `trusted` can be trusted.

Run ``python -m benchmarks.accuracy --help`` from the repository root; `benchmarks/README.md`
explains every table.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
import time
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from benchmarks import report, score, verdict
from benchmarks.families import family_sets
from benchmarks.simulate import Cell, Record, run_cell, source_version
from benchmarks.tables import write_page

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_MORE = 10  # times as many repetitions where a worst case is in doubt
KL = (0.25, 0.5, 1.0, 2.0, 3.0, 4.0, 5.0)


def _numbers(_: Any, __: Any, text: str) -> tuple[float, ...]:
    return tuple(float(part) for part in text.split(",") if part)


def _words(_: Any, __: Any, text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


@click.command()
@click.option("--seed", default=1, show_default=True, help="Data and generated families.")
@click.option(
    "--families",
    default="dev",
    show_default=True,
    callback=_words,
    help="dev, heldout, rlvr, verdicts, partial, answers, ties, generated, dev/normal, "
    "real/FILE.parquet#REWARD; commas between.",
)
@click.option("--count", default=16, show_default=True, help="How many generated families.")
@click.option("--prompts", default="50,200", show_default=True, callback=_numbers)
@click.option("--samples", default="16,64,256", show_default=True, callback=_numbers)
@click.option(
    "--targets",
    default="fixed,drawn",
    show_default=True,
    callback=_words,
    help="fixed: errors and intervals for the same prompts; drawn: for the population.",
)
@click.option("--kl", default=",".join(f"{d:g}" for d in KL), show_default=True, callback=_numbers)
@click.option("--reps", default=20, show_default=True)
@click.option(
    "--estimators",
    default="plugin,corrected",
    show_default=True,
    callback=_words,
    help="plugin, corrected, or grid (a plug-in of this harness's own).",
)
@click.option("--budget", type=click.Choice(["average", "per-prompt"]), default="average")
@click.option("--objective", type=click.Choice(["reward", "win-rate"]), default="reward")
@click.option("--unequal", is_flag=True, help="Samples per prompt between M/4 and M.")
@click.option("--capped", is_flag=True, help="Tell the estimator the range of the rewards.")
@click.option("--details", is_flag=True, help="Also slopes, per-prompt gains and KLs.")
@click.option("--jobs", default=2, show_default=True)
@click.option(
    "--cache",
    type=click.Path(path_type=Path),
    default=Path(".accuracy.jsonl"),
    show_default=True,
    help="Cells already run; safe to interrupt.",
)
@click.option("--any-version", is_flag=True, help="Accept cached cells of older source.")
@click.option("--seconds", default=float("inf"), help="Start no new cell after this long.")
@click.option("--output", type=click.Path(path_type=Path), help="All figures as JSON.")
def main(**options: Any) -> None:
    """Simulate, and say of every target whether it is met."""
    todo = list(cells(options))
    records, again = judged(
        todo,
        options["estimators"],
        options["cache"],
        jobs=options["jobs"],
        seconds=options["seconds"],
        any_version=options["any_version"],
    )
    done = {json.dumps(r["cell"], sort_keys=True) for r in records}
    click.echo(
        f"{len(done)} of {len(todo)} cells, {options['reps']} repetitions each, "
        f"seed {options['seed']}"
    )
    summary = report.summarise(records, options["estimators"], again)
    click.echo(report.text(summary))
    if options["output"]:
        settings = {k: str(v) if isinstance(v, Path) else v for k, v in options.items()}
        payload = {"settings": settings, **summary}
        write_page(options["output"], json.dumps(payload, indent=1, default=asdict))


def cells(options: dict[str, Any]) -> Iterator[Cell]:
    """The cells that these options ask for."""
    names: list[str] = []
    for group in options["families"]:
        if group == "generated":
            first = 1000 * options["seed"]
            names += [f"generated/{first + i}" for i in range(options["count"])]
        elif "/" in group:
            names.append(group)
        else:
            if group not in family_sets():
                raise click.BadParameter(
                    f"no families called {group!r}; try dev, heldout, rlvr, verdicts, generated"
                )
            names += [f"{group}/{f.name}" for f in family_sets()[group]]
    for name in names:
        for prompts in options["prompts"]:
            for samples in options["samples"]:
                top = np.log(samples) - 0.5
                kl = tuple(d for d in options["kl"] if d <= top)
                for target in options["targets"] if kl else ():
                    yield Cell(
                        name, int(prompts), int(samples), target, kl, options["reps"],
                        options["seed"], options["budget"], options["objective"],
                        options["unequal"], options["capped"], options["details"],
                    )  # fmt: skip


def judged(
    cells: Sequence[Cell], estimators: Sequence[str], cache: Path, **how: Any
) -> tuple[list[Record], list[Record]]:
    """Records of all cells; and those in doubt for a worst case again, with more repetitions, all new."""
    records = run(cells, estimators, cache, **how)
    baseline = report.baseline(estimators)
    doubts = set().union(*(
        verdict.in_doubt(score.points(records, e, baseline)) for e in estimators if e != baseline
    ))  # fmt: skip
    more = [
        replace(cell, reps=_MORE * cell.reps, first=cell.reps)
        for cell in cells
        if cell.target == "fixed" and (cell.family, cell.size) in doubts
    ]
    return records, run(more, estimators, cache, **how) if more else []


def run(
    cells: Sequence[Cell],
    estimators: Sequence[str],
    cache: Path,
    *,
    jobs: int = 2,
    seconds: float = float("inf"),
    any_version: bool = False,
) -> list[Record]:
    """Records of all cells, from the cache where it has them, else simulated and added to it."""
    known = _load(cache, any_version)
    versions = {e: source_version(e) for e in estimators}
    shown = {e: "*" if any_version else v for e, v in versions.items()}
    todo = []
    for cell in cells:
        missing = {e: versions[e] for e in estimators if cell.key(e, shown[e]) not in known}
        if missing:
            todo.append((cell, missing))
    if todo and cache.exists() and not cache.read_bytes().endswith(b"\n"):
        with cache.open("a") as file:  # end the line that an interrupted run left behind
            file.write("\n")
    for record in _simulate(todo, jobs, time.monotonic() + seconds) if todo else ():
        with cache.open("a") as file:
            file.write(json.dumps(record) + "\n")
        known[_key(record, any_version)] = record
    keys = [cell.key(e, shown[e]) for cell in cells for e in estimators]
    return [known[k] for k in keys if k in known]


def _key(record: Record, any_version: bool) -> str:
    if not any_version:
        return str(record["key"])
    cell, estimator, _ = json.loads(record["key"])
    return json.dumps([cell, estimator, "*"], sort_keys=True)


def _load(cache: Path, any_version: bool) -> dict[str, Record]:
    known = {}
    if cache.exists():
        for line in cache.read_text().splitlines():
            try:
                record = json.loads(line)
            except json.JSONDecodeError:  # half a line
                continue
            known[_key(record, any_version)] = record
    return known


def _simulate(
    todo: list[tuple[Cell, dict[str, str]]], jobs: int, deadline: float
) -> Iterator[Record]:
    """Run cells in worker processes of one thread each, starting none after the deadline."""
    for name in (
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "MKL_NUM_THREADS",
        "POLARS_MAX_THREADS",
    ):
        os.environ[name] = "1"
    queue, total, done = iter(todo), len(todo), 0
    with ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn")) as pool:
        running: set[Future[list[Record]]] = set()
        while True:
            while len(running) < 2 * jobs and time.monotonic() < deadline:
                job = next(queue, None)
                if job is None:
                    break
                running.add(pool.submit(run_cell, *job))
            if not running:
                break
            finished, running = wait(running, return_when=FIRST_COMPLETED)
            for future in finished:
                done += 1
                if sys.stderr.isatty():
                    end = done == total
                    click.echo(f"\r{done} of {total} cells", nl=end, err=True)
                yield from future.result()


if __name__ == "__main__":
    main()
