"""The page of accuracy and coverage in the documentation, from runs of `benchmarks.accuracy`.

Run ``python -m benchmarks.accuracy_page`` from the repository root; it writes
``docs/tables/accuracy.md``. Cells that a cache holds are not simulated again, so the page can be made
in slices.
"""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import click

from benchmarks import accuracy, report
from benchmarks.tables import write_page

REAL = ",".join(f"real/examples/truth.parquet#{r}" for r in ("quality", "similarity", "rouge"))
RUNS = (
    (
        "The thirteen families of development, and a truncated lognormal",
        "--families dev --prompts 50,200 --samples 8,16,64,256 --reps 40",
    ),
    (
        "Families that a generator makes from a fresh seed",
        "--seed 3 --families generated --count 12 --prompts 50,200 --samples 16,64 --reps 40",
    ),
    (
        "Another fresh seed",
        "--seed 2 --families generated --count 10 --prompts 100 --samples 16,64 --reps 20",
    ),
    (
        "A third, the hardest of six that were tried",
        "--seed 12 --families generated --count 12 --prompts 50,200 --samples 16,64 --reps 40",
    ),
    (
        "Eight families held out from the tuning of the point estimate",
        "--families heldout --prompts 100 --samples 16,32,64 --reps 30",
    ),
    (
        "0/1 rewards with mixed pass rates, unsolvable prompts among them",
        "--families rlvr --prompts 200 --samples 4,8,16,64 --reps 60 --kl .1,.2,.5,1,2",
    ),
    (
        "Verdicts with a remainder: a penalty on length, noise of a judge",
        "--families verdicts --prompts 200 --samples 8,16,64 --reps 20 --kl .1,.2,.5,1,2",
    ),
    (
        "Partial credit up to a best value: tests passed, overlaps, scores cut off at a cap",
        "--families partial --prompts 200 --samples 8,16,64 --reps 20 --kl .1,.2,.5,1,2",
    ),
    (
        "Short answers that come back, each prompt with rewards of its own",
        "--families answers --prompts 100 --samples 8,16,64 --reps 20 --kl .1,.2,.5,1,2",
    ),
    (
        "Scores that are rounded, have a floor, are often zero, or count",
        "--families ties --prompts 30,100 --samples 16,64 --reps 40",
    ),
    ("Few prompts", "--families dev --prompts 10,30 --samples 64,256 --reps 20"),
    (
        "Unequal samples per prompt, M/4 to M",
        "--families dev --prompts 100 --samples 16,64 --targets drawn --reps 40 --unequal",
    ),
    (
        "Every prompt spends the same KL",
        "--families dev --prompts 100 --samples 16,64 --targets drawn --reps 40 --budget per-prompt",
    ),
    (
        "Win rate instead of reward",
        "--families dev --prompts 100 --samples 16,64 --targets drawn --reps 16 --objective win-rate",
    ),
    (
        "Win rate where rewards tie now and then",
        "--families ties --prompts 30,100 --samples 16,64 --targets drawn --reps 60 --objective win-rate",
    ),
    (
        "The slope, on families that a generator makes from another fresh seed",
        "--seed 5 --families generated --count 12 --prompts 20,100 --samples 16,64 --reps 20 --details",
    ),
    (
        "Real rewards: 64 samples of a prompt against all 2,048, ten prompts",
        f"--families {REAL} --prompts 10 --samples 64 --targets fixed --reps 40",
    ),
)
SHOWN = ("target", "config", "zone", "ratio", "floor", "worst", "bias", "coverage",
         "coverage_least", "width", "trusted_share", "trusted_coverage")  # fmt: skip
BY_FAMILY = ("target", "family", "zone", "ratio", "rmse", "plugin", "bias", "coverage", "width",
             "trusted_share", "trusted_coverage")  # fmt: skip
HEAD = """\
# Accuracy and coverage of the frontier

Made by `python -m benchmarks.accuracy_page`; above each table stands the command that makes it alone,
and `benchmarks/README.md` explains every column. In short: `ratio` is the error (root mean square,
relative) over the plug-in's, geometric mean over families; `floor` the same for a plug-in whose bias
is removed exactly, which nobody can do; `cover` the coverage of 95 % intervals, `least` that of the
worst family; `trusted` the share of estimates that say they are trusted and `t.cover` the coverage of
those, all families together; `slope` and `s.cover` are the error ratio of beta and the coverage of its
trusted intervals. `lo` are budgets up to log M - 2 nats, `hi` those up to log M - 0.5.
`fixed`: the truth is that of these very prompts; `drawn`: that of their population. Targets carry the
standard error of their figures; `above` is a coverage that overshot its band, `stated` a figure of
which nothing is asked. The estimators were tuned on the first table's families, the tail rule also
on the held-out ones, of which three were seen when trust was cut where prompts differ much in scale;
trust past log M - 3 nats was cut on the generated families of seeds 3, 11, 12, 13 and 15, on which nothing
else was tuned. A worst case that comes near its limit is decided by ten
times as many repetitions, all new.
"""


@click.command()
@click.option("--cache", type=click.Path(path_type=Path), default=Path(".accuracy.jsonl"))
@click.option("--jobs", default=2, show_default=True)
@click.option("--seconds", default=float("inf"), help="Start no new cell after this long.")
@click.option("--output", type=click.Path(path_type=Path), default=Path("docs/tables/accuracy.md"))
def main(cache: Path, jobs: int, seconds: float, output: Path) -> None:
    """Simulate what the cache lacks, and write the page."""
    parts = [HEAD]
    for title, options in RUNS:
        params = accuracy.main.make_context("accuracy", shlex.split(options)).params
        cells = list(accuracy.cells(params))
        records, again = accuracy.judged(
            cells, params["estimators"], cache, jobs=jobs, seconds=seconds, any_version=False
        )
        # some families have no closed answer to some questions, and so no records
        if seconds < float("inf") and len(records) < len(cells) * len(params["estimators"]):
            raise click.ClickException(f"{title}: cells are missing still; run it again.")
        summary = report.summarise(records, params["estimators"], again)
        found = summary["estimators"]["corrected"]
        parts.append(section(title, options, found))
        click.echo(title)
    write_page(output, "\n".join(parts))


def section(title: str, options: str, found: dict[str, Any]) -> str:
    """One run: its command, its table and its targets."""
    lines = [f"## {title}", "", f"    python -m benchmarks.accuracy {options}", ""]
    slopes = ("slope_ratio", "slope_coverage") if "--details" in options else ()
    lines += [*report.markdown(found["sizes"], report.SIZE_COLUMNS, (*SHOWN, *slopes)), ""]
    if slopes:
        return "\n".join(lines)
    if "real/" in options:
        lines += [*report.markdown(found["families"], report.FAMILY_COLUMNS, BY_FAMILY), ""]
    return "\n".join([*lines, "```text", *map(report.verdict_line, found["verdicts"]), "```", ""])


if __name__ == "__main__":
    main()
