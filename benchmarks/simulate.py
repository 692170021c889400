"""One cell of the simulation: a family, a size, a target, and what each estimator says of it.

A cell's data depend on the seed and the cell alone, never on the estimator, so estimators are
compared on the same samples.  Results are kept as JSON lines keyed by every setting and, for
klimit's estimators, by a digest of the package's source: after a change only what changed is run
again.
"""

from __future__ import annotations

import hashlib
import json
import warnings
import zlib
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks import truth
from benchmarks.families import Family, family_sets

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.laws import Laws
    from benchmarks.shapes import Array

ROOT = Path(__file__).resolve().parent.parent
Record = dict[str, Any]


@dataclass(frozen=True)
class Cell:
    """Every setting that decides the data and the question.

    `family` reads "dev/normal", "generated/17" or "real/file.parquet#reward"; `target` is "fixed"
    (the same prompts in every repetition, truth: these prompts) or "drawn" (new prompts each time,
    truth: the population); `unequal` draws each prompt's sample size from [samples / 4, samples];
    `first` repetitions are passed over.
    """

    family: str
    prompts: int
    samples: int
    target: str
    kl: tuple[float, ...]
    reps: int
    seed: int
    budget: str = "average"
    objective: str = "reward"
    unequal: bool = False
    capped: bool = False
    details: bool = False  # also slopes, and for fixed prompts per-prompt gains and KLs
    first: int = 0

    def key(self, estimator: str, version: str) -> str:
        """One line that names this cell, this estimator and its source."""
        return json.dumps([asdict(self), estimator, version], sort_keys=True)

    @property
    def size(self) -> str:
        """Prompts and samples, as tables show them."""
        return f"K={self.prompts} M={self.samples}"

    @property
    def effective(self) -> float:
        """The sample size that bias sees: the harmonic mean where sizes differ."""
        return float(self.samples * (0.75 / np.log(4.0) if self.unequal else 1.0))


def source_version(estimator: str) -> str:
    """A digest of klimit's source, so that cached results of older code are not reused."""
    if estimator == "grid":
        return "-"
    digest = hashlib.sha256()
    for path in sorted((ROOT / "src" / "klimit" / "estimate").rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


@lru_cache(maxsize=256)
def find_family(name: str) -> Family:
    """The family called "dev/normal", "generated/17", ..."""
    group, _, rest = name.partition("/")
    if group == "generated":
        from benchmarks.generator import random_family

        return random_family(int(rest))
    if group == "real":
        from benchmarks.real import real_family

        return real_family(rest)
    return next(f for f in family_sets()[group] if f.name == rest)


def plugin_by_grid(rewards: Sequence[Array], kl: Array, budget: str = "average") -> Array:
    """The plug-in frontier by a dense grid of tilts: an oracle for klimit's own plug-in."""
    rows = []
    spread = np.sqrt(np.mean([r.var() for r in rewards])) or 1.0
    tilts = truth.TILTS / spread
    for r in rewards:
        x = r - r.mean()
        top = x.max()
        rows.append(np.log(np.exp(tilts[:, None] * (x - top)).mean(axis=1)) + tilts * top)
    table = np.array(rows)
    if budget == "average":
        return truth.front(table.mean(axis=0), kl, tilts).gain
    gain: Array = truth.front(table, kl, tilts).gain.mean(axis=0)
    return gain


def run_cell(cell: Cell, versions: dict[str, str]) -> list[Record]:
    """Simulate a cell; one record per estimator in `versions`, each with (reps, kl) arrays."""
    family = find_family(cell.family)
    kl = np.array(cell.kl)
    tag = zlib.crc32(cell.family.encode())
    rng = np.random.default_rng([cell.seed, tag, cell.prompts])
    real = cell.family.startswith("real/")  # real prompts, as fixed ones, are those that exist
    fixed = family.population(cell.prompts) if real else family.prompts(rng, cell.prompts)
    facts = _truth(cell, family, fixed, kl)
    if facts is None:
        return []
    rows: dict[str, list[Record]] = {e: [] for e in versions}
    saturated = []
    for rep in range(cell.first, cell.first + cell.reps):
        key = [cell.seed, tag, cell.prompts, cell.samples, cell.unequal, cell.target == "drawn"]
        rng = np.random.default_rng([*(int(k) for k in key), rep])
        laws = family.prompts(rng, cell.prompts) if cell.target == "drawn" else fixed
        data = _draw(cell, family, laws, rng)
        saturated.append((kl >= _cap(data)).tolist())
        for name in versions:
            try:
                rows[name].append(_estimate(cell, name, data, kl, facts))
            except Exception as error:
                error.add_note(f"estimator {name}, repetition {rep} of {cell}")
                raise
    shared = {**facts, "saturated": saturated}
    return [
        {
            "key": cell.key(name, version),
            "cell": {**asdict(cell), "kl": list(cell.kl)},
            "estimator": name,
            **shared,
            **{field: [r[field] for r in rows[name]] for field in rows[name][0]},
        }
        for name, version in versions.items()
    ]


def _truth(cell: Cell, family: Family, fixed: Laws, kl: Array) -> Record | None:
    """True gains and slopes; None where the question has no closed answer."""
    laws = fixed if cell.target == "fixed" else family.population()
    ranked = truth.win_rate_laws(laws) if cell.objective == "win-rate" else laws
    if ranked is None:
        return None
    if cell.objective == "win-rate" or cell.target == "fixed":
        front = family.front(kl, ranked, budget=cell.budget)
    else:
        front = family.front(kl, budget=cell.budget)
    facts: Record = {"truth": front.gain.tolist(), "slope": front.beta.tolist()}
    if cell.details and cell.target == "fixed" and cell.budget == "average":
        gain, spent = truth.spending(ranked, kl)
        facts["prompt_gain"], facts["prompt_kl"] = gain.tolist(), spent.tolist()
    return facts


def _draw(cell: Cell, family: Family, laws: Laws, rng: np.random.Generator) -> list[Array]:
    table = family.draw(rng, laws, cell.samples)
    if not cell.unequal:
        return list(table)
    sizes = rng.integers(max(2, cell.samples // 4), cell.samples + 1, size=cell.prompts)
    return [row[:size] for row, size in zip(table, sizes, strict=True)]


def _cap(data: Sequence[Array]) -> float:
    """The KL beyond which the plug-in is flat: mean log(samples / ties at the maximum)."""
    return float(np.mean([np.log(len(r) / (r == r.max()).sum()) for r in data]))


def _estimate(cell: Cell, name: str, data: list[Array], kl: Array, facts: Record) -> Record:
    if name == "grid":
        gain = plugin_by_grid(data, kl, cell.budget)
        return {"value": gain.tolist(), "low": None, "high": None, "trusted": None}
    import klimit

    options: dict[str, Any] = {}
    if cell.capped:
        options["reward_range"] = find_family(cell.family).population().support()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        limit = klimit.frontier(
            data if cell.unequal else np.array(data),
            estimator=name,
            prompts=cell.target,
            budget=cell.budget,
            objective=cell.objective,
            seed=0,
            **options,
        )
        row = _row(limit.gain(kl=kl))
        if cell.details:
            slope = _row(limit.beta(kl=kl))
            row |= {f"slope_{k}": v for k, v in slope.items() if k != "trusted"}
            if "prompt_gain" in facts:
                row |= _prompt_errors(limit, kl, facts)
    return row


def _row(estimate: Any) -> Record:
    """Lists with None for what is not finite."""

    def plain(x: Any) -> list[float | None]:
        return [float(v) if np.isfinite(v) else None for v in np.atleast_1d(x)]

    return {
        "value": plain(estimate.value),
        "low": plain(estimate.low),
        "high": plain(estimate.high),
        "trusted": [
            bool(t) for t in np.broadcast_to(estimate.trusted, np.shape(kl_like(estimate)))
        ],
    }


def kl_like(estimate: Any) -> Array:
    """The values as an array of at least one dimension."""
    return np.atleast_1d(np.asarray(estimate.value, float))


def _prompt_errors(limit: Any, kl: Array, facts: Record) -> Record:
    """Per KL: the root mean square error over prompts of gain and of KL, over their true means."""
    true_gain, true_kl = np.array(facts["prompt_gain"]), np.array(facts["prompt_kl"])
    gain_error, kl_error = [], []
    for i, budget in enumerate(kl):
        frame = limit.prompts(kl=float(budget))
        gain, spent = (frame[c].to_numpy() for c in ("gain", "kl"))
        gain_error.append(_relative(gain, true_gain[:, i]))
        kl_error.append(_relative(spent, true_kl[:, i]))
    return {"prompt_gain_error": gain_error, "prompt_kl_error": kl_error}


def _relative(got: Array, want: Array) -> float:
    return float(np.sqrt(np.mean((got - want) ** 2)) / max(float(want.mean()), 1e-12))
