"""Does `klimit.hacking` say what is true? Bias, coverage and trust on pairs whose truth is known.

Run ``python -m benchmarks.proxy_check --seed 1`` from the repository root; it writes
``docs/tables/proxy.md``. What is done is kept in a folder: ``--most 300`` stops after so many seconds,
writes the table of what there is, and the next run goes on from there.
"""

from __future__ import annotations

import warnings
import zlib
from collections.abc import Callable
from dataclasses import dataclass

import click
import numpy as np

from benchmarks.kept import go_on
from benchmarks.proxy_laws import DEV, HELD_OUT, PairFamily, Truth
from benchmarks.proxy_tests import TESTS, TestsFamily
from benchmarks.tables import row, write_page

BUDGETS = np.array([0.05, 0.1, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0])
SETTINGS = ((50, 16, "drawn"), (100, 64, "drawn"), (200, 64, "drawn"), (30, 256, "drawn"),
            (200, 16, "fixed"), (60, 64, "fixed"))  # fmt: skip
POPULATION = 300
ALL = (*DEV, *HELD_OUT, *TESTS)
KINDS = {
    "Gaussian": ("normal",),
    "heavy-tailed error": ("exponential error", "Laplace error", "t3 gold"),
    "correlated ensemble": ("ensemble",),
    "gold that turns": (
        "turns down",
        "breaks",
        "turns by scale",
        "turns late",
        "sine",
        "two humps",
    ),
    "length-confounded": ("length",),
    "0/1 gold": ("0/1 gold", "0/1 gold, hacked", "0/1 gold, window", "0/1 both"),
}
HEAD = ("family", "data sets", "plug-in bias", "bias", "error", "trusted", "coverage", "below", "above",
        "at the edge", "past trust", "peak covered", "peak shown", "N covered")  # fmt: skip
TEXT = """\
# Proxy against gold: bias, coverage and trust

`{command}`. Data sets of {settings} (prompts x samples; drawn from a population of {population} prompts
of its own each, or held fixed) are drawn from each family in turn, {repeats} of each.{labelled}
Budgets: {budgets} nats. Bias and error (root mean square) are shares of gold's spread within prompts times
sqrt(2 KL), about what gold's own optimum gains there, over the trusted budgets. *Trusted*: how many budgets
up to log M - 2 are.
*Coverage*: trusted 95 % intervals that hold the truth; *below*, *above*: those that lie wholly below or
above it; *at the edge*: those at the largest trusted budget of each data set. Budgets of one data set go
together, so a row of 48 data sets is good to about 3 points, one of 240 to about 1.4.
*Past trust*: the same for intervals at budgets that are not trusted, which say so.
*Peak covered*: intervals of `stop_kl` that hold the KL at which gold is truly highest within the trusted
range; where it still rises at the end of that range, or is flat, the right answer is an interval without
end. *Peak shown*: how many intervals end. *N covered*: the same for `stop_n`, up to N = M.
"""


@dataclass(frozen=True)
class Job:
    """Data sets of one family at one setting."""

    family: str
    prompts: int
    samples: int
    about: str
    seed: int
    labelled: float = 1.0

    @property
    def name(self) -> str:
        """Of the file that keeps what it found."""
        family = self.family.replace("/", "").replace(" ", "-").replace(",", "")
        name = f"{family}_{self.prompts}x{self.samples}_{self.about}_{self.seed}"
        return name + ("" if self.labelled == 1 else f"_{self.labelled:g}")


def family_named(name: str) -> PairFamily | TestsFamily:
    """A family of any set."""
    return next(family for family in ALL if family.name == name)


def run(job: Job, repeat: int) -> dict:
    """Draw a data set and ask."""
    import klimit

    family = family_named(job.family)
    tag = zlib.crc32(f"{job.family} {job.prompts} {job.samples} {job.about}".encode())
    population = family.prompts(np.random.default_rng([job.seed, 77, repeat]), POPULATION)
    rng = np.random.default_rng([job.seed, tag, repeat])
    prompts = population.take(rng.integers(POPULATION, size=job.prompts))
    proxy, gold = family.draw(rng, prompts, job.samples)
    if job.labelled < 1:
        gold = np.where(rng.random(gold.shape) < job.labelled, gold, np.nan)
    about = population if job.about == "drawn" else prompts
    truth = Truth.of(family, about)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        hack = klimit.hacking(proxy, gold=gold, prompts=job.about, seed=repeat)
        return measured(hack, truth, family, about)


def measured(hack: object, truth: Truth, family: PairFamily | TestsFamily, prompts: object) -> dict:
    """What one data set said, beside the truth."""
    from klimit.estimate.labels.few import FewLabels

    inside = BUDGETS[hack.trusted_kl >= BUDGETS]
    outside = BUDGETS[(hack.trusted_kl < BUDGETS) & ~np.isnan(truth.gold_at(BUDGETS))]
    real = truth.gold_at(inside)
    known = ~np.isnan(real)
    inside, real = inside[known], real[known]
    few = isinstance(hack, FewLabels)
    scale = (hack._spread if few else hack.readings.spread) * np.sqrt(2 * inside)
    limit = np.log(np.median(hack.proxy.samples.counts)) - 2 >= BUDGETS
    limit &= ~np.isnan(truth.gold_at(BUDGETS))
    part = {
        "trusted_kl": hack.trusted_kl,
        "kl": inside.tolist(),
        "reachable": int(limit.sum()),
        "reached": int((limit & (hack.trusted_kl >= BUDGETS)).sum()),
    }
    if not few:
        bands = hack.readings.bands
        part["plugin"] = ((bands.at(bands.plugin, inside) - real) / scale).tolist()
    part |= {"bias": [], "low": [], "high": [], "past": []}
    if len(outside):
        said, beyond = hack.gold_gain(outside), truth.gold_at(outside)
        part["past"] = ((said.low <= beyond) & (beyond <= said.high)).tolist()
    if len(inside):
        said = hack.gold_gain(inside)
        part["bias"] = ((said.value - real) / scale).tolist()
        part["low"] = (np.asarray(said.low) <= real).tolist()
        part["high"] = (np.asarray(said.high) >= real).tolist()
    return part | _peak(hack, truth) | ({} if few else _best_n(hack, family, prompts))


def _peak(hack: object, truth: Truth) -> dict:
    """Whether the interval of the peak holds it."""
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
    return found


def _best_n(hack: object, family: PairFamily | TestsFamily, prompts: object) -> dict:
    """Whether the interval of the best N holds it."""
    found = {}
    sizes = hack.best_by_proxy.n
    curve = family.best_of_n(prompts, sizes)
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
        return np.concatenate([np.asarray(x.get(key, []), dtype=float) for x in runs])

    def share(part: list[bool] | np.ndarray) -> str:
        return f"{100 * np.mean(part):.0f} %" if len(part) else "-"

    bias, plugin, low, high = (pooled(key) for key in ("bias", "plugin", "low", "high"))
    reach = sum(x["reached"] for x in runs) / max(sum(x["reachable"] for x in runs), 1)
    peaks = [x for x in runs if "peak_covered" in x]
    errors = ["-", "-", "-"]
    if len(bias):
        root = np.sqrt((bias**2).mean())
        errors = [f"{100 * plugin.mean():+.1f} %" if len(plugin) else "-"]
        errors += [f"{100 * bias.mean():+.1f} %", f"{100 * root:.1f} %"]
    edge = [x["low"][-1] and x["high"][-1] for x in runs if x["low"]]
    covered = [share(x) for x in (low * high, 1 - high, 1 - low, edge, pooled("past"))]
    shown = [share([x[key] for x in peaks]) for key in ("peak_covered", "peak_shown")]
    tail = [*covered, *shown, share([x["n_covered"] for x in runs if "n_covered" in x])]
    return [name, str(len(runs)), *errors, share([reach]), *tail]


@click.command()
@click.option("--seed", "seeds", type=int, multiple=True, default=(1,), show_default=True)
@click.option("--only", multiple=True, metavar="FAMILY", help="These families alone.")
@click.option("--labelled", default=1.0, help="Share of the samples with gold, at random.")
@click.option("--repeats", default=12, show_default=True)
@click.option("--most", default=1e9, help="Seconds after which to stop; what is done is kept.")
@click.option("--store", default="build/proxy_check", show_default=True, help="Where it is kept.")
@click.option("--output", default="docs/tables/proxy.md", show_default=True)
def main(
    seeds: tuple[int, ...],
    only: tuple[str, ...],
    labelled: float,
    repeats: int,
    most: float,
    store: str,
    output: str,
) -> None:
    """Run what is not done yet, and write the table of what is."""
    rounds = [  # so that every family meets every setting alike, wherever it stops
        Job(family.name, *SETTINGS[(place + turn) % len(SETTINGS)], seed, labelled)
        for turn in range(len(SETTINGS))
        for place, family in enumerate(ALL)
        for seed in seeds
        if not only or family.name in only
    ]
    names = {job: job.name for job in rounds}
    done = go_on(run, names, repeats=repeats, folder=store, most=most)
    asked = [f"--seed {seed}" for seed in seeds] + [f'--only "{name}"' for name in only]
    asked += [] if labelled == 1 else [f"--labelled {labelled:g}"]
    asked += [] if repeats == 12 else [f"--repeats {repeats}"]
    write_page(output, page(done, " ".join(["python -m benchmarks.proxy_check", *asked])))


def page(done: dict[Job, list[dict]], command: str) -> str:
    """Tables of families that were looked at, of those held out, of kinds of families and of settings."""
    numbers = sorted({len(runs) for runs in done.values()})
    (labelled,) = {job.labelled for job in done}
    parts = [TEXT.format(
        command=command,
        labelled="" if labelled == 1 else f" Gold is known of {labelled:.0%} of the samples, at random.",
        settings=", ".join(f"{k} x {m} {about}" for k, m, about in SETTINGS),
        population=POPULATION, budgets=", ".join(f"{x:g}" for x in BUDGETS),
        repeats=" to ".join(map(str, sorted({numbers[0], numbers[-1]}))),
    )]  # fmt: skip

    def pooled(keep: Callable[[Job], bool]) -> list[dict]:
        return [run for job, runs in done.items() if keep(job) for run in runs]

    for title, families in (
        ("Looked at while the estimator was made", DEV),
        ("Held out", HELD_OUT),
        ("Shares of visible tests passed, judged by hidden ones", TESTS),
    ):
        names = [family.name for family in families]
        found = {name: pooled(lambda job, name=name: job.family == name) for name in names}
        found["all"] = pooled(lambda job, names=names: job.family in names)
        lines = [summary(name, runs) for name, runs in found.items() if runs]
        parts += [section(title, lines)] if lines else []
    kinds = {kind: pooled(lambda job, n=names: job.family in n) for kind, names in KINDS.items()}
    lines = [summary(kind, runs) for kind, runs in kinds.items() if runs]
    parts += [section("By kind", lines, "kind")] if lines else []
    rows = []
    for setting in SETTINGS:
        runs = pooled(lambda job, s=setting: (job.prompts, job.samples, job.about) == s)
        if runs:
            rows.append(summary(f"{setting[0]} x {setting[1]}, {setting[2]}", runs))
    parts.append(section("By setting", rows, "prompts x samples"))
    return "\n".join(parts)


def section(title: str, rows: list[list[str]], first: str = "family") -> str:
    """A heading and a table."""
    head = (first, *HEAD[1:])
    return (
        "\n".join([f"## {title}", "", row(head), "|---" * len(head) + "|", *map(row, rows)]) + "\n"
    )


if __name__ == "__main__":
    main()
