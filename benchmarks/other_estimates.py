"""Estimates that no other table covers: do their intervals hold what is true?

Run ``python -m benchmarks.other_estimates --seed 1`` from the repository root; it writes
docs/tables/other_estimates.md. What is done is kept: `--most 300` stops after so many seconds, and the
next run goes on from there. `benchmarks.other_laws` has prompts whose answers are equally likely, each with
a proxy and a gold reward, so that every truth is a sum; only the chances that soft best-of-N and pessimism
keep an answer are means over many sets of others.
"""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import click
import numpy as np

from benchmarks.kept import go_on
from benchmarks.other_laws import BETAS, KL, OUTCOMES, SIZES, Array, World, spends, worlds
from benchmarks.tables import row, write_page

Answer = tuple[str, Any, Any]  # what, its Estimate, its truth

SETTINGS = ((15, 128), (40, 32), (100, 16), (200, 8), (60, 0))  # no samples: 8 to 64 of a prompt

TEXT = """# Estimates that other tables leave out

`{command}`. {repeats} data sets of each size (prompts x samples; *unequal*: 8 to 64 samples of a prompt) and
of each of these rewards: {worlds}. Prompts differ in scale from .5 to 1.5, or in pass rate from 0 to .9, and
are drawn anew each time unless they are said to be *fixed*. *Trusted*: share that is; *coverage*: trusted
95 % intervals that hold the truth, then by size, and of the rewards where it is *least*; *length*: half
intervals over 1.96 times the root mean square error, the median of all cells.
"""


@dataclass(frozen=True, eq=False)
class Job:
    """Data sets of one size from one world, the so-manieth of all."""

    seed: int
    number: int
    world: World
    prompts: int
    samples: int

    @property
    def size(self) -> str:
        """As the table calls it."""
        return f"{self.prompts} x {self.samples}" if self.samples else f"{self.prompts}, unequal"

    @property
    def name(self) -> str:
        """Of the file that keeps what it found."""
        return f"{self.number}_{self.prompts}x{self.samples}_{self.seed}"


def served(world: World, base: Any) -> Iterator[Answer]:
    """What stands beside the gain of best-of-N, by the proxy itself and read by gold."""
    import klimit

    by_n = list(world.served.values())
    gain, gold = (
        np.array([world.over(one.table, x) for one in by_n]) for x in (world.proxy, world.gold)
    )
    own = np.array([world.own_limits[one.name].mean() for one in by_n])
    found = klimit.best_of_n(base, n=SIZES, reward="proxy")
    yield "best of n: kept_reward", found.kept_reward, world.proxy.mean() + gain
    yield "best of n: per_doubling", found.per_doubling[1:], _per_doubling(gain)
    yield "best of n: limit", found.limit[1:], np.array([one.limit for one in by_n[1:]])
    yield "best of n: own_limit", found.own_limit[1:], own[1:]
    yield "best of n: tokens", found.tokens, np.array(SIZES) * world.tokens.mean()
    judged = klimit.best_of_n(base, n=SIZES, reward="proxy", judge="gold")
    yield "judged: gain", judged.gain[1:], gold[1:]
    yield "judged: kept_reward", judged.kept_reward, world.gold.mean() + gold
    yield "judged: per_doubling", judged.per_doubling[1:], _per_doubling(gold)
    for n, one in zip(SIZES[1:], by_n[1:], strict=True):
        yield "judged: win_rate", judged.win_rate[SIZES.index(n)], world.wins(one.table)


def _per_doubling(gain: Array) -> Array:
    return np.diff(gain) / np.diff(np.log2(SIZES))


def chosen(world: World, base: Any, seed: int) -> Iterator[Answer]:
    """Rules of choosing side by side, and tuned."""
    from klimit.select import compare

    found = compare(base, proxy="proxy", gold="gold", n=SIZES, beta=BETAS, seed=seed)
    laws = [
        world.served[s.n].table if s.beta is None else world.rules[s.rule, s.beta]
        for s in found.settings
    ]
    gold = np.array([world.over(table, world.gold) for table in laws])
    true = {
        "gold": gold,
        "proxy": np.array([world.over(table, world.proxy) for table in laws]),
        "kl": np.array([spends(table).mean() for table in laws]),
        "coverage": np.array([OUTCOMES * (table**2).sum(axis=1).mean() for table in laws]),
    }
    for name, truth in true.items():
        yield f"compare: {name}", getattr(found, name)[1:], truth[1:]
    kept = {rule: gold[found.settings.index(best.setting)] for rule, best in found.tuned.items()}
    for rule, best in found.tuned.items():
        yield "compare: tuned", best.gold, kept[rule]


def planned(world: World, base: Any) -> Iterator[Answer]:
    """What a plan expects, whichever of the four numbers is given."""
    import klimit

    gain, beta = world.base.limit(KL)
    best = world.served[SIZES[1]]
    true = {"kl": KL, "gain": gain, "beta": beta}
    for asked, number in (*true.items(), ("n", SIZES[1])):
        found = klimit.plan(base, reward="proxy", error=0.5, **{asked: number})
        truth = {"kl": best.kl, "gain": best.limit, "beta": best.beta} if asked == "n" else true
        for name in (name for name in truth if name != asked):
            yield f"plan by {asked}: {name}", getattr(found, name), truth[name]


def audited(
    world: World, base: Any, at: Array, rng: np.random.Generator, about: str
) -> Iterator[Answer]:
    """Policies whose KL is the exact one of every next token, as `klimit.rescore` has it; two compared."""
    import klimit
    from klimit.audit.compare import COMPARED, compare

    found, true = [], []
    for policy in world.trained:
        dump = klimit.read(world.of_policy(policy, at, rng), reward="proxy")
        spent = klimit.audit.kl.measured_kl(dump, units="nats", prompts=about)
        found.append(klimit.audit(base, dump, reward="proxy", prompts=about, kl=spent))
        true.append(world.truth(policy, at if about == "fixed" else np.arange(len(world.proxy))))
        for name, truth in true[-1].items():
            yield f"audit, {about}: {name}", getattr(found[-1], name), truth
    apart = compare(*found[1:3])
    for name in COMPARED:
        yield f"compared, {about}: {name}", getattr(apart, name), true[1][name] - true[2][name]


def answers(
    world: World, prompts: int, samples: int, rng: np.random.Generator, seed: int
) -> Iterator[Answer]:
    """All that is asked of one data set."""
    import klimit

    at = rng.integers(len(world.proxy), size=prompts)
    base = klimit.read(world.of_base(at, samples, rng), reward=["proxy", "gold"])
    yield from served(world, base)
    yield from chosen(world, base, seed)
    yield from planned(world, base)
    for about in ("drawn", "fixed"):
        yield from audited(world, base, at, rng, about)


def line(of: dict[tuple[str, str], list[Array]], sizes: list[str], names: list[str]) -> list[str]:
    """Trust and coverage in all, by size and where it is least, and how long intervals are."""

    def held(where: Any) -> float:
        _, low, high, trusted, truth = joined(where)
        near = 1e-4 * np.abs(truth) + 1e-9  # truths are sums over so many answers
        inside = ((low <= truth + near) & (truth - near <= high))[trusted > 0]
        return float(inside.mean()) if len(inside) else np.nan

    def joined(where: Any) -> Array:
        return np.concatenate(
            [x for cell, found in of.items() if where(cell) for x in found], axis=1
        )

    def length(cell: tuple[str, str]) -> float:
        value, low, high, trusted, truth = joined(lambda other: other == cell)
        two = (trusted > 0) & np.isfinite(high - low)
        error = np.sqrt(np.mean((value - truth)[two] ** 2)) if two.any() else 0.0
        return float((high - low)[two].mean() / 2 / 1.96 / error) if error > 0 else np.nan

    shares = [held(lambda _: True), *(held(lambda cell, s=size: cell[0] == s) for size in sizes)]
    by_name = {name: held(lambda cell, n=name: cell[1] == n) for name in names}
    least = min(names, key=lambda name: np.nan_to_num(by_name[name], nan=1.0))
    said = [joined(lambda _: True)[3].mean(), *shares]
    return [
        *("-" if np.isnan(x) else f"{100 * x:.0f} %" for x in said),
        f"{100 * by_name[least]:.0f} %, {least}",
        f"{np.nanmedian([length(cell) for cell in of]):.1f}",
    ]


def run(job: Job, repeat: int) -> list[tuple[str, list[list[float]]]]:
    """Value, interval, trust and truth of each answer about one data set."""
    rng = np.random.default_rng([job.seed, job.number, job.prompts, job.samples, repeat])
    said = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for what, one, truth in answers(job.world, job.prompts, job.samples, rng, repeat):
            parts = one.value, one.low, one.high, one.trusted, truth
            said.append((what, [np.ravel(np.asarray(x, dtype=float)).tolist() for x in parts]))
    return said


@click.command()
@click.option("--seed", default=1, show_default=True)
@click.option("--repeats", default=12, show_default=True)
@click.option("--only", multiple=True, metavar="REWARDS", help="These rewards alone.")
@click.option("--most", default=1e9, help="Seconds after which to stop; what is done is kept.")
@click.option(
    "--store", default="build/other_estimates", show_default=True, help="Where it is kept."
)
@click.option("--output", default="docs/tables/other_estimates.md", show_default=True)
def main(
    seed: int, repeats: int, only: tuple[str, ...], most: float, store: str, output: str
) -> None:
    """Draw, ask, and write the table."""
    jobs = [
        Job(seed, number, world, *setting)
        for number, world in enumerate(worlds())
        for setting in SETTINGS
        if not only or world.name in only
    ]
    kept = go_on(run, {job: job.name for job in jobs}, repeats=repeats, folder=store, most=most)
    said: dict[str, dict[tuple[str, str], list[Array]]] = defaultdict(lambda: defaultdict(list))
    for job, runs in kept.items():
        for what, parts in (answer for one in runs for answer in one):
            found = np.array(parts)
            said[what][job.size, job.world.name].append(found[:, np.isfinite(found[0])])
    sizes = list(dict.fromkeys(job.size for job in jobs))
    names = list(dict.fromkeys(job.world.name for job in jobs))
    head = ("number", "trusted", "coverage", *sizes, "least", "length")
    lines = [row(head), "|---" * len(head) + "|"]
    lines += [row([what, *line(of, sizes, names)]) for what, of in said.items()]
    command = f"python -m benchmarks.other_estimates --seed {seed}"
    command += "" if repeats == 12 else f" --repeats {repeats}"
    command += "".join(f' --only "{name}"' for name in only)
    numbers = sorted({len(runs) for runs in kept.values()})
    each = " to ".join(map(str, sorted({numbers[0], numbers[-1]})))
    text = TEXT.format(command=command, repeats=each, worlds=", ".join(names))
    write_page(output, "\n".join([text, *lines, ""]))


if __name__ == "__main__":
    main()
