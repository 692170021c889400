"""Do `klimit.ensemble` and `klimit.select.compare` cover the truth where it is known?

Run ``python -m benchmarks.ensemble_check --seed 1`` from the repository root; it writes
``docs/tables/ensembles.md``. Every repetition draws new prompts and samples of an ensemble of
`benchmarks.ensemble_laws`. Finished parts are kept in ``--cache``, so that a run may be cut with
``--seconds`` and goes on where it stopped.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import click
import numpy as np

from benchmarks.ensemble_laws import LAWS, OVERRATED, Array, Law, truth
from benchmarks.tables import row, write_page

BUDGETS = (0.25, 0.5, 1.0)
ERRORS = (
    "error_variance",
    "correlation",
    "floor",
    "disagreement",
    "efficiency",
    "efficiency_limit",
)
SIZES = ((40, 16), (150, 32))
GAINED = (60, 32)
LABELLED = (60, 48, 6)  # prompts, samples, and how many of those have gold
AGGREGATES = ("mean", "learned", "minimum")
GAIN_LAWS = tuple(law for law in LAWS if law.name != "scales")


def rng_of(*key: Any) -> np.random.Generator:
    """A generator of its own for every repetition."""
    return np.random.default_rng(zlib.crc32(repr(key).encode()))


def errors(law: Law, prompts: int, samples: int, labels: float, seed: int, rep: int) -> list[Any]:
    """(value, low, high) of every error, gold known of a share `labels` of each prompt's samples."""
    from klimit.estimate.ensembles.errors import errors_with_gold, errors_without_gold
    from klimit.estimate.ensembles.moments import moments
    from klimit.estimate.ensembles.panel import panel

    rng = rng_of(law.name, prompts, samples, labels, seed, rep)
    data = law.sample(rng, prompts, samples)
    if labels < 1:
        data["gold"][:, int(labels * samples) :] = np.nan
    found = panel(data, None, "gold", "pooled")
    alone = errors_without_gold(moments(found, with_gold=False), found.names, 0.95)
    seen = errors_with_gold(moments(found, with_gold=True), alone, 0.95)
    return [_three(getattr(seen, name)) for name in ERRORS]


def gains(law: Law, seed: int, rep: int) -> dict[str, Any]:
    """Gold gain of aggregates, their difference from the mean, and what averaging brings."""
    return _gains(law.sample(rng_of(law.name, "gains", seed, rep), *GAINED))


def labelled_gains(law: Law, seed: int, rep: int) -> dict[str, Any]:
    """The same with gold of few samples at random."""
    prompts, samples, known = LABELLED
    rng = rng_of(law.name, "labelled", seed, rep)
    data = law.sample(rng, prompts, samples)
    place = np.argsort(rng.random((prompts, samples)), axis=1)
    data["gold"][place >= known] = np.nan
    return _gains(data)


def _gains(data: dict[str, Array]) -> dict[str, Any]:
    import klimit

    found = klimit.ensemble(data, gold="gold", penalty=0.5)
    out: dict[str, Any] = {}
    for kl in BUDGETS:
        for name in AGGREGATES:
            out[f"{name} {kl}"] = _three(found.gold_gain(kl, name), trust=True)
            if name != "mean":
                out[f"{name} - mean {kl}"] = _three(found.difference(name, "mean", kl), trust=True)
        sizes = found.by_size(kl)
        out[f"one {kl}"] = _three(sizes[0].gold_gain, trust=True)
        out[f"mean - one {kl}"] = _three(sizes[-1].gained, trust=True)
    return out


RULES = (("soft best-of-n", 2.0), ("soft best-of-n", 0.4), ("pessimism", 2.0), ("pessimism", 0.4))
CHOICES = ((LAWS[0], 16), (LAWS[4], 16), (OVERRATED, 32))  # and how many candidates
SHOWN = ("best-of-4", "best-of-16", "soft best-of", "pessimism, beta", "difference")


def rules(law: Law, seed: int, drawn: int, rep: int) -> dict[str, Any]:
    """Gold gain of rules of choosing by the mean of the members, and of the tuned ones."""
    data = law.sample(rng_of(law.name, "rules", seed, rep), 60, 32)
    return _rules(data, drawn)


def _rules(data: dict[str, Array], drawn: int) -> dict[str, Any]:
    from klimit import select

    gold = data["gold"]
    proxy = np.mean([x for name, x in data.items() if name != "gold"], axis=0)
    betas = [beta for _, beta in RULES]
    found = select.compare(proxy, gold=gold, n=[1, 2, 4, 8, 16], candidates=drawn, beta=betas)
    out: dict[str, Any] = {}
    for at, setting in enumerate(found.settings):
        if setting.n > 1 and (setting.beta is None or (setting.rule, setting.beta) in RULES):
            out[str(setting)] = _three(found.gold[at])
    for name, tuned in found.tuned.items():
        out[f"{name}, tuned"] = _three(tuned.gold)
        out[f"{name}, apparent"] = _three(tuned.apparent)
        at = found.settings.index(tuned.setting)
        out[f"{name}, chosen"] = at
    out["difference"] = _three(found.difference(1 + 2, 1 + 1))  # best-of-8 less best-of-4
    return out


def _three(estimate: Any, *, trust: bool = False) -> list[float]:
    numbers = [float(estimate.value), float(estimate.low), float(estimate.high)]
    return [*numbers, float(bool(estimate.trusted))] if trust else numbers


# ---- tables


def held(found: Array, exact: float) -> str:
    """Coverage, bias with its Monte Carlo error, mean half-length; where trusted if that is told."""
    if found.shape[1] == 4:
        found = found[found[:, 3] > 0]
        if len(found) < 20:
            return "-"
    value, low, high = found[:, :3].T
    share = np.mean((low <= exact + 1e-12) & (exact <= high + 1e-12))
    bias, noise = value.mean() - exact, value.std() / np.sqrt(len(value))
    return f"{share:.1%} ({bias:+.4f} ± {noise:.4f}; ± {np.mean(high - low) / 2:.3f})"


class Cache:
    """Results by key, a line each, so that a run can be cut and go on."""

    def __init__(self, path: Path, seconds: float) -> None:
        self.path, self.end = path, time.monotonic() + seconds
        lines = path.read_text().splitlines() if path.exists() else []
        self.known: dict[str, Any] = dict(json.loads(line) for line in lines)
        self.cut = False

    def get(self, key: tuple[Any, ...], work: Callable[[], Any]) -> Any:
        """What is known under this key, or else worked out; None when time is up."""
        name = repr(key)
        if name not in self.known:
            if time.monotonic() > self.end:
                self.cut = True
                return None
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self.known[name] = work()
            with self.path.open("a") as file:
                file.write(json.dumps([name, self.known[name]]) + "\n")
        return self.known[name]

    def all(self, key: tuple[Any, ...], reps: int, work: Callable[[int], Any]) -> list[Any]:
        """Results of all repetitions that there was time for."""
        found = (self.get((*key, rep), partial(work, rep)) for rep in range(reps))
        return [result for result in found if result is not None]


def error_rows(cache: Cache, seed: int, reps: int) -> Iterator[str]:
    """First table."""
    yield row(["ensemble", "prompts x samples", "gold known", *ERRORS])
    yield "|---" * (3 + len(ERRORS)) + "|"
    for law in LAWS:
        exact = truth(law, BUDGETS).errors
        for prompts, samples, labels in [(*size, 1.0) for size in SIZES] + [(150, 32, 0.125)]:
            key = ("errors", law.name, prompts, samples, labels, seed)
            found = np.array(
                cache.all(key, reps, partial(errors, law, prompts, samples, labels, seed))
            )
            if len(found):
                cells = [held(found[:, at], exact[name]) for at, name in enumerate(ERRORS)]
                yield row([law.name, f"{prompts} x {samples}", f"{labels:.0%}", *cells])


def gain_rows(
    cache: Cache, seed: int, reps: int, what: str = "gains", work: Any = gains
) -> Iterator[str]:
    """Second table; and the same by few labels."""
    yield row(["ensemble", "what", *(f"{kl:g} nats" for kl in BUDGETS)])
    yield "|---" * (2 + len(BUDGETS)) + "|"
    for law in GAIN_LAWS:
        exact = truth(law, BUDGETS).gains
        found = cache.all((what, law.name, seed), reps, partial(work, law, seed))
        if not found:
            continue
        whats = [*AGGREGATES, "one", *(f"{a} - mean" for a in AGGREGATES[1:]), "mean - one"]
        for name in whats:
            cells = []
            for kl in BUDGETS:
                want = _exact(exact, name, kl)
                seen = np.array([result[f"{name} {kl}"] for result in found])
                trusted = f", trusted in {seen[:, 3].mean():.0%}" if seen[:, 3].mean() < 1 else ""
                cells.append(held(seen, want) + trusted)
            yield row([law.name, name, *cells])


def _exact(known: dict[tuple[str, float], float], what: str, kl: float) -> float:
    if (what, kl) in known:
        return known[what, kl]
    first, second = what.rsplit(" - ", 1)
    return known[first, kl] - known[second, kl]


def rule_rows(cache: Cache, seed: int, reps: int) -> Iterator[str]:
    """Third table: the truth is what the rules keep on 4,000 other prompts."""
    yield row(["ensemble", "candidates", "rule", "truth", "coverage (bias; half-length)"])
    yield "|---" * 5 + "|"
    for law, drawn in CHOICES:
        key = ("rules", law.name, drawn, seed)
        big = cache.get((*key, "truth"), partial(_big, law, drawn))
        found = cache.all(key, reps, partial(rules, law, seed, drawn))
        if big is None or not found:
            continue
        picked = ("tuned", "apparent", "chosen")
        shown = [n for n in found[0] if n.startswith(SHOWN) and not n.endswith(picked)]
        wanted = {name: big[name][0] for name in shown}
        if law is OVERRATED:  # where the strongest setting is not the best one
            for rule in ("best-of-n", "soft best-of-n", "pessimism"):
                chosen = [result[f"{rule}, chosen"] for result in found]
                mean = float(np.mean([big["settings"][at] for at in chosen]))
                wanted |= {f"{rule}, tuned": mean, f"{rule}, apparent": mean}
        for name, exact in wanted.items():
            seen = np.array([result[name] for result in found])
            yield row([law.name, str(drawn), name, f"{exact:.4f}", held(seen, exact)])


def _big(law: Law, drawn: int) -> dict[str, Any]:
    from klimit import select

    data = law.sample(rng_of(law.name, "rules", "truth"), 4000, 32)
    out = _rules(data, drawn)
    gold = data["gold"]
    proxy = np.mean([x for name, x in data.items() if name != "gold"], axis=0)
    found = select.compare(
        proxy, gold=gold, n=[1, 2, 4, 8, 16], candidates=drawn, beta=[beta for _, beta in RULES]
    )
    out["settings"] = [float(x) for x in found.gold.value]
    return out


TEXT = """\
{laws}

Cells: how often the 95 % interval holds the truth, and in brackets the bias with its Monte Carlo
error and the mean half-length of the intervals. New prompts and samples in every repetition; the
truth is that of the population, from {population} samples of evenly spaced prompts."""
GAINS = """\
## Gold gain along the tilt of each aggregate

{prompts} prompts x {samples} samples, {reps} repetitions, all samples with gold. *one*: a single
member, mean over members; differences are paired by prompt. Where an estimate was not trusted in some
repetitions, the coverage is of the others."""
LABELLED_TEXT = """\
## Gold gain where few samples have gold

{prompts} prompts x {samples} samples, {known} of each prompt's with gold, at random; {reps} repetitions. The
truth of *learned* is that of the best weights: those that few labels show fall short of them, which
*learned - mean* measures and counts as a miss."""
RULES_TEXT = """\
## Rules of choosing among N answers

60 prompts x 32 samples, {reps} repetitions, chosen by the plain mean of the members. *tuned*: each
half of the prompts judges what the other half chooses; *apparent*: the same setting judged by the
prompts that chose it. The truth of both is the mean truth of the settings that were chosen, that of the
others what the rules keep on 4,000 prompts; *difference*: best-of-8 less best-of-4, paired."""


@click.command()
@click.option("--seed", default=1, show_default=True)
@click.option("--reps", default=300, show_default=True, help="Repetitions of errors and rules.")
@click.option("--gain-reps", default=25, show_default=True, help="Repetitions of gold gains.")
@click.option("--few-reps", default=25, show_default=True, help="Repetitions by few labels.")
@click.option(
    "--cache", default=".ensemble_check.jsonl", show_default=True, type=click.Path(path_type=Path)
)
@click.option("--seconds", default=1e9, help="Stop after so long; run again to go on.")
@click.option("--output", default="docs/tables/ensembles.md", show_default=True)
def main(
    seed: int, reps: int, gain_reps: int, few_reps: int, cache: Path, seconds: float, output: str
) -> None:
    """Simulate ensembles of known truth and write the table of coverage."""
    kept = Cache(cache, seconds)
    command = (
        f"python -m benchmarks.ensemble_check --seed {seed} --reps {reps} --gain-reps {gain_reps} "
        f"--few-reps {few_reps}"
    )
    laws = "\n".join(f"* **{law.name}**: {law.what}" for law in (*LAWS, OVERRATED))
    population = f"{200 * 1000:,}"
    parts = [
        f"<!-- {command} -->", "", "# Ensembles and choosing: bias and coverage", "",
        TEXT.format(laws=laws, population=population), "",
        f"## Error of the members\n\n{reps} repetitions. Units of gold.", "",
        *error_rows(kept, seed, reps), "",
        RULES_TEXT.format(reps=reps), "", *rule_rows(kept, seed, reps),
    ]  # fmt: skip
    if gain_reps:
        about = GAINS.format(prompts=GAINED[0], samples=GAINED[1], reps=gain_reps)
        parts += ["", about, "", *gain_rows(kept, seed, gain_reps)]
    if few_reps:
        sizes = dict(zip(("prompts", "samples", "known"), LABELLED, strict=True))
        about = LABELLED_TEXT.format(**sizes, reps=few_reps)
        few = gain_rows(kept, seed, few_reps, "labelled", labelled_gains)
        parts += ["", about, "", *few]
    page = "\n".join(parts) + "\n"
    click.echo(page)
    if kept.cut:
        click.echo("time is up: run again to go on; nothing was written.", err=True)
        sys.exit(1)
    write_page(output, page)


if __name__ == "__main__":
    main()
