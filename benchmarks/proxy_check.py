"""Does `klimit.hacking` say what is true? Bias, coverage and trust on pairs whose truth is known.

Run ``python -m benchmarks.proxy_check --seed 1`` from the repository root; it writes
``docs/tables/proxy.md``. It runs in slices: what is done is kept in a folder, ``--most 300`` stops
after so many seconds, and the next run goes on from there.
"""

from __future__ import annotations

import json
import time
import warnings
import zlib
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np

from benchmarks.proxy_laws import DEV, HELD_OUT, PairFamily, Truth
from benchmarks.tables import row, write_page

BUDGETS = np.array([0.05, 0.1, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0])
SETTINGS = ((50, 16, "drawn"), (100, 64, "drawn"), (200, 64, "drawn"), (30, 256, "drawn"),
            (200, 16, "fixed"), (60, 64, "fixed"))  # fmt: skip
POPULATION = 400
HEAD = ("family", "plug-in bias", "bias", "error", "trusted", "coverage", "below", "above",
        "peak covered", "peak shown", "N covered")  # fmt: skip
TEXT = """\
# Proxy against gold: bias, coverage and trust

`{command}`. Each row pools the settings {settings} (prompts x samples, drawn from a population of
{population} prompts or held fixed), {repeats} repeats each, and the budgets {budgets} nats. Bias and
error (root mean square) are shares of gold's spread within prompts times sqrt(2 KL), about what gold's
own optimum gains there, over the trusted budgets. *Trusted*: how many budgets up to log M - 2 are.
*Coverage*: trusted 95 % intervals that hold the truth; *below*, *above*: those that lie wholly
below or above it. *Peak covered*: intervals of `stop_kl` that hold the KL at which gold is truly highest
within the trusted range; where it still rises at the end of that range the right answer is an interval
without end. *Peak shown*: how many intervals end. *N covered*: the same for `stop_n`, up to N = M.
"""


@dataclass(frozen=True)
class Job:
    """One family at one setting."""

    family: str
    prompts: int
    samples: int
    about: str
    repeats: int
    seed: int

    @property
    def name(self) -> str:
        """Of the file that keeps it."""
        family = self.family.replace("/", "").replace(" ", "-").replace(",", "")
        return (
            f"{family}_{self.prompts}x{self.samples}_{self.about}_{self.repeats}_{self.seed}.json"
        )


def family_named(name: str) -> PairFamily:
    """A family of either set."""
    return next(family for family in (*DEV, *HELD_OUT) if family.name == name)


def best_of_n_truth(family: PairFamily, prompts: object, sizes: np.ndarray) -> np.ndarray:
    """Mean gold gain of best-of-N selected by the proxy, exactly."""
    order = np.argsort(family.shape.nodes)
    nodes, weights = family.shape.nodes[order], family.shape.weights[order]
    mean = prompts.gold_scale * np.broadcast_to(
        family.mean(nodes[None, :], prompts), (len(prompts.scale), len(nodes))
    )
    above = np.minimum(np.cumsum(weights), 1.0)
    below = np.r_[0.0, above[:-1]]
    chances = np.stack([above**n - below**n for n in sizes])
    return (chances @ mean.T - weights @ mean.T).mean(axis=1)


def run(job: Job) -> list[dict]:
    """Draw and ask, so many times."""
    import klimit

    family = family_named(job.family)
    tag = zlib.crc32(f"{job.family} {job.prompts} {job.samples} {job.about}".encode())
    population = family.prompts(np.random.default_rng([job.seed, 77]), POPULATION)
    whole = Truth.of(family, population)
    found = []
    for repeat in range(job.repeats):
        rng = np.random.default_rng([job.seed, tag, repeat])
        prompts = population.take(rng.integers(POPULATION, size=job.prompts))
        proxy, gold = family.draw(rng, prompts, job.samples)
        truth = whole if job.about == "drawn" else Truth.of(family, prompts)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            hack = klimit.hacking({"proxy": proxy, "gold": gold}, proxy="proxy", gold="gold", prompts=job.about, seed=repeat)  # fmt: skip
        found.append(measured(hack, truth, family, population if job.about == "drawn" else prompts))
    return found


def measured(hack: object, truth: Truth, family: PairFamily, prompts: object) -> dict:
    """What one data set said, beside the truth."""
    spread = hack.readings.spread
    inside = BUDGETS[hack.trusted_kl >= BUDGETS]
    real = truth.gold_at(inside)
    known = ~np.isnan(real)
    inside, real = inside[known], real[known]
    said = hack.gold_gain(inside) if len(inside) else None
    scale = spread * np.sqrt(2 * inside)
    near = np.exp(np.log(np.median(hack.pairs.lengths)) - 2)
    limit = np.log(near) >= BUDGETS
    ceiling = ~np.isnan(truth.gold_at(BUDGETS))
    part = {
        "trusted_kl": hack.trusted_kl,
        "kl": inside.tolist(),
        "bias": [] if said is None else ((said.value - real) / scale).tolist(),
        "plugin": [] if said is None else ((hack.readings.bands.at(hack.readings.bands.plugin, inside) - real) / scale).tolist(),
        "low": [] if said is None else (np.asarray(said.low) <= real).tolist(),
        "high": [] if said is None else (np.asarray(said.high) >= real).tolist(),
        "error": (hack.readings.bands.at(hack.readings.bands.error, inside) / scale).tolist(),
        "wrong": (hack.readings.bands.at(hack.readings.bands.wrong, inside) / scale).tolist(),
        "reachable": int((limit & ceiling).sum()),
        "reached": int((limit & ceiling & (hack.trusted_kl >= BUDGETS)).sum()),
    }  # fmt: skip
    return part | stops(hack, truth, family, prompts)


def stops(hack: object, truth: Truth, family: PairFamily, prompts: object) -> dict:
    """Whether the intervals of the peak hold it."""
    found = {}
    stop, edge = hack.stop_kl, hack.trusted_kl
    if edge > 0:
        edge = min(edge, float(truth.kl[-1]))
        peak = truth.peak(edge)
        flat = np.nanmax(np.abs(truth.gold)) < 1e-9
        found["peak_shown"] = bool(np.isfinite(stop.high))
        if flat:
            found["peak_covered"] = stop.low == 0 and not found["peak_shown"]
        elif peak > edge * 0.999:
            found["peak_covered"] = not found["peak_shown"]
        else:
            found["peak_covered"] = bool(stop.low <= peak <= stop.high)
    sizes = hack.best_by_proxy.n
    curve = best_of_n_truth(family, prompts, sizes)
    best, stop = int(sizes[np.argmax(curve)]), hack.stop_n
    if np.abs(curve).max() < 1e-9:
        found["n_covered"] = stop.low == 1 and not np.isfinite(stop.high)
    elif best == sizes[-1]:
        found["n_covered"] = not np.isfinite(stop.high)
    else:
        found["n_covered"] = bool(stop.low <= best <= stop.high)
    return found


def summary(name: str, runs: list[dict]) -> list[str]:
    """A line of the table."""

    def pooled(key: str) -> np.ndarray:
        return (
            np.concatenate([np.asarray(x[key], dtype=float) for x in runs]) if runs else np.empty(0)
        )

    bias, plugin, low, high = (pooled(key) for key in ("bias", "plugin", "low", "high"))
    reachable = sum(x["reachable"] for x in runs)
    reached = sum(x["reached"] for x in runs)
    peaks = [x for x in runs if "peak_covered" in x]

    def share(part: list[bool] | np.ndarray) -> str:
        return f"{100 * np.mean(part):.0f} %" if len(part) else "-"

    if not len(bias):
        return [name, "-", "-", "-", share([reached / max(reachable, 1)]), "-", "-", "-", "-", "-", share([x["n_covered"] for x in runs])]  # fmt: skip
    return [
        name, f"{100 * plugin.mean():+.1f} %", f"{100 * bias.mean():+.1f} %", f"{100 * np.sqrt((bias**2).mean()):.1f} %",
        share([reached / max(reachable, 1)]), share((low * high).astype(float)), share(1 - high), share(1 - low),
        share([x["peak_covered"] for x in peaks]), share([x["peak_shown"] for x in peaks]),
        share([x["n_covered"] for x in runs]),
    ]  # fmt: skip


@click.command()
@click.option("--seed", default=1, show_default=True)
@click.option("--repeats", default=8, show_default=True)
@click.option("--families", default="", help="Commas between; all if not given.")
@click.option("--settings", default="", help="Such as 50x16drawn,200x16fixed; all if not given.")
@click.option("--most", default=1e9, help="Seconds after which to stop; what is done is kept.")
@click.option("--store", default="build/proxy_check", show_default=True, help="Where it is kept.")
@click.option("--output", default="docs/tables/proxy.md", show_default=True)
def main(seed: int, repeats: int, families: str, settings: str, most: float, store: str, output: str) -> None:  # fmt: skip
    """Run what is not done yet, and write the table if all is."""
    start, folder = time.monotonic(), Path(store)
    folder.mkdir(parents=True, exist_ok=True)
    chosen = families.split(";") if families else [f.name for f in (*DEV, *HELD_OUT)]
    wanted = [s for s in SETTINGS if not settings or f"{s[0]}x{s[1]}{s[2]}" in settings.split(",")]
    results: dict[str, list[dict]] = {}
    by_setting: dict[tuple, list[dict]] = {}
    for setting in wanted:
        for family in chosen:
            job = Job(family, *setting, repeats, seed)
            path = folder / job.name
            if not path.exists():
                if time.monotonic() - start > most:
                    click.echo("not done yet: run again to go on", err=True)
                    return
                part = path.with_suffix(".part")
                part.write_text(json.dumps(run(job)))
                part.replace(path)
            runs = json.loads(path.read_text())
            click.echo("  ".join(summary(f"{family} {setting}", runs)), err=True)
            results.setdefault(family, []).extend(runs)
            by_setting.setdefault(setting, []).extend(runs)
    lines = [TEXT.format(
        command=f"python -m benchmarks.proxy_check --seed {seed}" + (f" --repeats {repeats}" if repeats != 8 else ""),
        settings=", ".join(f"{k} x {m} {about}" for k, m, about in wanted), population=POPULATION,
        repeats=repeats, budgets=", ".join(f"{x:g}" for x in BUDGETS),
    )]  # fmt: skip
    for title, names in (("Looked at while the estimator was made", DEV), ("Held out", HELD_OUT)):
        names = [f.name for f in names if f.name in results]
        if names:
            rows = [summary(name, results[name]) for name in names]
            rows.append(summary("all", [x for name in names for x in results[name]]))
            lines.append(section(title, rows))
    rows = [summary(f"{k} x {m}, {about}", runs) for (k, m, about), runs in by_setting.items()]
    lines.append(section("By setting", rows, "prompts x samples"))
    write_page(output, "\n".join(lines))


def section(title: str, rows: list[list[str]], first: str = "family") -> str:
    """A heading and a table."""
    head = (first, *HEAD[1:])
    return (
        "\n".join([f"## {title}", "", row(head), "|---" * len(head) + "|", *map(row, rows)]) + "\n"
    )


if __name__ == "__main__":
    main()
