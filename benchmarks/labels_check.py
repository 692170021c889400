"""Few gold labels: whether intervals cover, how much shorter the proxy makes them, what to label next.

Run ``python -m benchmarks.labels_check --seed 1`` from the repository root; it writes
``docs/tables/labels.md``. Repetitions are kept in ``.labels_check.jsonl`` as they finish, so a run may
be cut into slices (``--seconds``).
"""

from __future__ import annotations

import json
import time
import warnings
import zlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
import numpy as np
import polars as pl

from benchmarks.labels_laws import HELD_OUT, Floats, Pair, Prompts, even_prompts
from benchmarks.labels_table import text
from benchmarks.tables import write_page


@dataclass(frozen=True)
class Cell:
    """One setting: prompts with a proxy, and one or several ways to label some of their samples.

    `labels` is a prompt's where all prompts have as many, else the number in all.
    """

    part: str
    law: str
    prompts: int
    ways: tuple[str, ...]
    labels: int
    kl: tuple[float, ...] = (0.1, 0.25, 0.5)
    nuisance: bool = False

    @property
    def key(self) -> str:
        """What the cache knows it by."""
        return " ".join(map(str, vars(self).values()))


TENTH = [Cell("tenth", law, 60, ("random",), 6) for law in HELD_OUT]
TENTH.insert(5, Cell("tenth", "length-confounded", 60, ("random",), 6, nuisance=True))
MORE = [Cell("more", "Gaussian", 60, ("random",), labels, (0.25,)) for labels in (16, 38, 54)]
FEW = [
    Cell("few", "Gaussian", 200, ("one a prompt", "chosen", "half and half"), 200, (0.25,)),
    Cell("few", "0/1 gold", 200, ("one a prompt", "chosen", "half and half"), 200, (0.25,)),
    Cell("few", "Gaussian", 60, ("spread", "chosen", "half and half"), 200, (0.25,)),
    Cell("few", "Gaussian", 12, ("spread", "chosen"), 60, (0.25,)),
    Cell("few", "0/1 gold", 60, ("one a prompt", "chosen"), 60, (0.25,)),
]
PAIRS = [
    Cell("pairs", "Gaussian", number, ("random", "chosen"), 400, (0.25,)) for number in (60, 200)
]
CELLS = {"tenth": TENTH, "more": MORE, "few": FEW, "pairs": PAIRS}
SAMPLES = 64


def repetition(cell: Cell, seed: int) -> dict[str, Any]:
    """Draw prompts and samples, label some in each way, and ask."""
    from klimit.estimate.labels.reading import proxy_frontier, read_known

    law = HELD_OUT[cell.law]
    rng = np.random.default_rng([seed, zlib.crc32(cell.key.encode())])
    prompts = law.prompts(rng, cell.prompts)
    proxy, gold, expected, nuisance = law.draw(rng, prompts, SAMPLES)
    out: dict[str, Any] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        limit = proxy_frontier(read_known(proxy, None, None), prompts="drawn", level=0.95, seed=0)
        for way in cell.ways:
            if cell.part == "pairs":
                found = _judged(cell, way, rng, proxy, gold, limit)
                truths = {kl: (_beats(prompts, kl), _beats(None, kl)) for kl in cell.kl}
            else:
                found = _labelled(cell, way, rng, proxy, gold, nuisance, limit)
                truths = {kl: (law.truth(prompts, kl), of_population(law, kl)) for kl in cell.kl}
            subset = _subset(found) if cell.part in ("tenth", "more") else {}
            for kl in cell.kl:
                said = _say(found, *truths[kl], kl)
                if cell.part in ("tenth", "more"):
                    best = _best_mean(cell, expected, proxy, nuisance, prompts)
                    said |= _with_best(found, best, kl) | _say_alone(subset, *truths[kl], kl)
                out[f"{way} {kl:g}"] = said
    return out


def _labelled(
    cell: Cell, way: str, rng: np.random.Generator, proxy: Floats, gold: Floats,
    nuisance: Floats | None, limit: Any,
) -> Any:  # fmt: skip
    """The answer from the labels that this way of labelling yields."""
    from klimit.estimate.labels import few_labels, first_labels

    count, width = proxy.shape
    seed, kl = int(rng.integers(2**31)), cell.kl[0]
    if way == "chosen":
        table = _with_gold(first_labels(proxy, n=cell.labels, kl=kl, seed=seed, limit=limit), gold)
    elif way == "half and half":
        first = _at_random(rng, count, width, cell.labels // 2, gold)
        chosen = few_labels(proxy, gold=first, limit=limit).next(cell.labels // 2, kl=kl, seed=seed)
        table = pl.concat([first, _with_gold(chosen, gold)], how="diagonal")
    else:
        total = cell.labels * count if way == "random" else cell.labels
        table = _at_random(rng, count, width, total, gold)
    if cell.nuisance:
        base = {"proxy": proxy, "nuisance": nuisance}
        return few_labels(base, proxy="proxy", gold=table, nuisance="nuisance", limit=limit)
    return few_labels(proxy, gold=table, limit=limit)


def _at_random(
    rng: np.random.Generator, count: int, width: int, total: int, gold: Floats
) -> pl.DataFrame:
    """Labels spread over prompts as evenly as can be, at random within them."""
    each = np.full(count, total // count)
    each[rng.permutation(count)[: total % count]] += 1
    prompt = np.repeat(np.arange(count), each)
    sample = np.concatenate([rng.choice(width, n, replace=False) for n in each])
    frame = pl.DataFrame({"prompt_id": prompt.astype(str), "sample": sample.astype(str)})
    return _with_gold(frame, gold)


def _with_gold(frame: pl.DataFrame, gold: Floats) -> pl.DataFrame:
    place = frame["prompt_id"].cast(int).to_numpy(), frame["sample"].cast(int).to_numpy()
    kept = [name for name in frame.columns if name not in ("proxy", "reward")]
    return frame.select(kept).with_columns(gold=pl.Series(gold[place]))


def _say(found: Any, truth: float, population: float, kl: float) -> dict[str, float]:
    """Errors and lengths for the prompts' population and for these prompts, with and without the proxy."""
    out: dict[str, float] = {"truth": population}
    for way, seeing in (("with", True), ("without", False)):
        for name, true in (("drawn", population), ("fixed", truth)):
            value, low, high = _interval(found, kl, seeing=seeing, drawn=name == "drawn")
            tag = f"{name} {way}"
            out[f"{tag} error"], out[f"{tag} length"] = value - true, high - low
            out[f"{tag} in"] = float(low <= true <= high)
    out["trusted"] = float(found._sure(kl))
    one = found._at(kl, seeing=True)
    least = 2 * 1.96 * max(one.drawn - one.labels, 0.0) ** 0.5
    out["drawn all labelled"] = 1 - least / out["drawn without length"]
    out["drawn allowed"] = found.split(kl).allowed
    return out


def _interval(found: Any, kl: float, *, seeing: bool, drawn: bool) -> tuple[float, float, float]:
    """What gold_gain says, for drawn or for fixed prompts, without asking again how far it is trusted."""
    from klimit.estimate.labels.result import interval

    at = found._at(kl, seeing=seeing)
    below, above = found._off(kl)
    if seeing:
        below, above = np.hypot((below, above), found._unchecked(kl)).tolist()
    value, low, high = interval(at, 0.95, drawn=drawn, below=below, above=above)
    lift = found._lift(kl)
    return value + lift, low + lift, high + lift


def _with_best(few: Any, expected: Floats, kl: float) -> dict[str, float]:
    """Lengths if the prediction were the best there is: the mean of gold given all that is known."""
    best = expected.reshape(-1)[few.known.origin]
    none = np.zeros(len(best))
    known = replace(few, predictions=replace(few.predictions, seeing=best, seeing_own=none))
    out = {}
    for name in ("drawn", "fixed"):
        _, low, high = _interval(known, kl, seeing=True, drawn=name == "drawn")
        out[f"{name} best length"] = high - low
    return out


def _subset(few: Any) -> dict[str, Any]:
    """What the labelled samples alone say, as if no other had been drawn."""
    import klimit

    known, prompts = few.known, len(few.index.prompts)
    proxy, gold = (
        values[few.index.place].reshape(prompts, -1) for values in (known.rows.proxy, known.gold)
    )
    return {name: klimit.hacking(proxy, gold=gold, prompts=name) for name in ("drawn", "fixed")}


def _say_alone(
    subset: dict[str, Any], truth: float, population: float, kl: float
) -> dict[str, float]:
    """Lengths and hits of the labelled samples alone."""
    out = {}
    for name, true in (("drawn", population), ("fixed", truth)):
        said = subset[name].gold_gain(kl=kl)
        out[f"{name} subset length"] = said.high - said.low
        out[f"{name} subset in"] = float(said.low <= true <= said.high)
    return out


def _best_mean(
    cell: Cell, expected: Floats, proxy: Floats, nuisance: Floats | None, prompts: Prompts
) -> Floats:
    if not cell.nuisance or nuisance is None:
        return expected
    scale = prompts.scale[:, None]
    quality = proxy / scale * 1.36**0.5 - 0.6 * nuisance
    return scale * (quality - 0.1 * nuisance) + prompts.offset[:, None]


def of_population(law: Pair, kl: float) -> float:
    """Gold gain for the population of prompts."""
    key = (law.name, kl)
    if key not in _TRUTHS:
        _TRUTHS[key] = law.truth(even_prompts(), kl)
    return _TRUTHS[key]


_TRUTHS: dict[tuple[str, float], float] = {}


# ---- judged pairs


def _judged(
    cell: Cell, way: str, rng: np.random.Generator, proxy: Floats, gold: Floats, limit: Any
) -> Any:
    """Judges prefer the better sample with the chance that Bradley and Terry give, twice as sharp."""
    from klimit.estimate.labels import first_labels
    from klimit.estimate.labels.preferences import judged

    count, width = proxy.shape
    if way == "chosen":
        seed = int(rng.integers(2**31))
        frame = first_labels(
            proxy, n=cell.labels, kl=cell.kl[0], seed=seed, pairs=True, limit=limit
        )
    else:
        prompt = np.repeat(np.arange(count), -(-cell.labels // count))[: cell.labels]
        a = rng.integers(width, size=cell.labels)
        b = (a + rng.integers(1, width, size=cell.labels)) % width
        columns = zip(("prompt_id", "sample_a", "sample_b"), (prompt, a, b), strict=True)
        frame = pl.DataFrame({name: values.astype(str) for name, values in columns})
    at = [frame[name].cast(int).to_numpy() for name in ("prompt_id", "sample_a", "sample_b")]
    gap = gold[at[0], at[1]] - gold[at[0], at[2]]
    wins = rng.random(len(gap)) < 1 / (1 + np.exp(-_SHARP * gap))
    table = frame.with_columns(preferred=pl.Series(np.where(wins, "a", "b")))
    return judged(proxy, judgements=table, limit=limit)


_SHARP = 2.0


def _beats(prompts: Prompts | None, kl: float) -> float:
    """Win rate over a base draw less 1/2; gold of the tilt is the base's, moved by .8 t s^2."""
    known = even_prompts() if prompts is None else prompts
    tilt = (2 * kl / float((known.scale**2).mean())) ** 0.5
    move = 0.8 * tilt * known.scale**2
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    gap = move[:, None] + known.scale[:, None] * 2**0.5 * nodes
    return float((weights / weights.sum() / (1 + np.exp(-_SHARP * gap))).sum(axis=1).mean()) - 0.5


# ---- what is done


class Cache:
    """Repetitions that are done."""

    def __init__(self, path: Path, seed: int) -> None:
        self.path, self.seed = path, seed
        self.done: dict[str, dict[int, dict[str, Any]]] = {}
        if path.exists():
            for line in path.read_text().splitlines():
                entry = json.loads(line)
                if entry["seed"] == seed:
                    self.done.setdefault(entry["cell"], {})[entry["rep"]] = entry["said"]

    def fill(self, cells: list[Cell], start: int, reps: int, seconds: float) -> bool:
        """Run what is missing, all cells a few repetitions at a time; False where time is up."""
        stop = time.monotonic() + seconds
        for rep in range(start, reps):
            for cell in cells:
                if rep in self.done.get(cell.key, {}):
                    continue
                if time.monotonic() > stop:
                    return False
                said = repetition(cell, 1_000_003 * self.seed + rep)
                self.done.setdefault(cell.key, {})[rep] = said
                with self.path.open("a") as file:
                    file.write(
                        json.dumps({"seed": self.seed, "cell": cell.key, "rep": rep, "said": said})
                        + "\n"
                    )
        return True

    def column(self, cell: Cell, way: str, kl: float, name: str, reps: int) -> Floats:
        """One number of every repetition."""
        found = self.done.get(cell.key, {})
        kept = [found[rep][f"{way} {kl:g}"][name] for rep in range(reps) if rep in found]
        return np.array(kept, dtype=float)


@click.command()
@click.option("--seed", default=1, show_default=True)
@click.option("--reps", default=200, show_default=True)
@click.option("--start", default=0, help="First repetition, to share the work.")
@click.option("--seconds", default=1e9, help="Stop after so long; the same command goes on.")
@click.option("--partial", is_flag=True, help="Write the table when time is up, of what is done.")
@click.option("--parts", default="tenth,more,few,pairs", show_default=True)
@click.option("--cache", default=".labels_check.jsonl", show_default=True)
@click.option("--output", default="docs/tables/labels.md", show_default=True)
def main(
    seed: int,
    reps: int,
    start: int,
    seconds: float,
    partial: bool,
    parts: str,
    cache: str,
    output: str,
) -> None:
    """Write the table of few gold labels."""
    kept = Cache(Path(cache), seed)
    cells = [cell for part in parts.split(",") for cell in CELLS[part]]
    if not kept.fill(cells, start, reps, seconds) and not partial:
        least = min(len(kept.done.get(cell.key, {})) for cell in cells)
        click.echo(f"{least} of {reps} repetitions are done; run it again to go on.", err=True)
        return

    def look(cell: Cell, way: str, kl: float, name: str) -> Floats:
        return kept.column(cell, way, kl, name, reps)

    cells = [cell for part in CELLS.values() for cell in part]
    counts = [sum(rep < reps for rep in kept.done.get(cell.key, ())) for cell in cells]
    if not min(counts):
        click.echo("no page yet: some parts have no repetition.", err=True)
        return
    command = f"python -m benchmarks.labels_check --seed {seed}"
    command += f" --reps {reps}" if reps != 200 else ""
    command += " --partial" if partial else ""
    page = text(command, counts, CELLS, look)
    click.echo(write_page(output, page), nl=False)


if __name__ == "__main__":
    main()
