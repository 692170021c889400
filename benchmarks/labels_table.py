"""The page of few gold labels: coverage, lengths, what chosen labels save, from what is done."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.labels_laws import Floats
from benchmarks.tables import row

if TYPE_CHECKING:
    from benchmarks.labels_check import Cell


@dataclass(frozen=True)
class Numbers:
    """The repetitions of one cell and KL: ``numbers("fixed with length")``."""

    look: Callable[..., Floats]
    cell: Cell
    kl: float

    def __call__(self, name: str) -> Floats:
        return self.look(self.cell, "random", self.kl, name)

    def covered(self, name: str, *, trusted: bool = False) -> str:
        """Percent of intervals that hold the truth, of the trusted ones alone if so asked."""
        hits = self(f"{name} in")
        return _share(hits[self("trusted") > 0] if trusted else hits)

    def shorter(self, name: str, way: str, than: str) -> float:
        """How much shorter the median interval of one way is than that of another."""
        return float(
            1 - np.median(self(f"{name} {way} length")) / np.median(self(f"{name} {than} length"))
        )

    @property
    def named(self) -> list[str]:
        """What a row begins with."""
        cell = self.cell
        name = cell.law + (", length known" if cell.nuisance else "")
        return [name, f"{cell.labels}", f"{self.kl:g}"]


def coverage_row(get: Numbers) -> list[str]:
    """Bias, trust and coverage."""
    return [
        *get.named, f"{get('truth')[0]:.3f}", f"{get('fixed with error').mean():+.3f}",
        _share(get("trusted")), *(get.covered(f"{n} with", trusted=True) for n in BOTH),
        *(get.covered(f"{n} {way}") for way in ("with", "without", "subset") for n in BOTH),
    ]  # fmt: skip


def length_row(get: Numbers) -> list[str]:
    """How much shorter intervals are, and how much of what the split allows for drawn prompts that is."""
    subset, alone = (
        {n: get.shorter(n, "with", than) for n in BOTH} for than in ("subset", "without")
    )
    allowed = float(
        np.median(get("drawn allowed"))
    )  # than alone; the same interval, than the subset's:
    more = 1 - (1 - allowed) * (1 - get.shorter("drawn", "without", "subset"))
    true = (1 - get(f"{n} with error").std() / get(f"{n} without error").std() for n in BOTH)
    parts = [
        *subset.values(), more, _reached(subset["drawn"], more), *alone.values(), allowed,
        _reached(alone["drawn"], allowed), *true, *(get.shorter(n, "best", "without") for n in BOTH),
        float(np.median(get("drawn all labelled"))),
    ]  # fmt: skip
    return [*get.named, *("-" if np.isnan(part) else f"{part:.0%}" for part in parts)]


def _reached(shorter: float, allowed: float) -> float:
    return (
        shorter / allowed if allowed > 0.02 else np.nan
    )  # where nothing is allowed, nothing is reached


BOTH = ("fixed", "drawn")


def few_rows(cells: list[Cell], look: Callable[..., Floats]) -> list[list[str]]:
    """200 labels and less, at random and chosen."""
    lines = []
    for cell in cells:
        for way in cell.ways:
            for kl in cell.kl:

                def get(name: str, cell: Cell = cell, way: str = way, kl: float = kl) -> Floats:
                    return look(cell, way, kl, name)

                mine = np.median(get("fixed with length"))
                first = np.median(look(cell, cell.ways[0], kl, "fixed with length"))
                lines.append([
                    cell.law, f"{cell.labels} over {cell.prompts}", way, f"{get('truth')[0]:.3f}",
                    f"{get('fixed with error').mean():+.3f}",
                    _share(get("fixed with in")), _share(get("drawn with in")),
                    f"{mine / 2:.3f}", f"{np.median(get('drawn with length')) / 2:.3f}",
                    f"{np.median(get('fixed without length')) / 2:.3f}",
                    "-" if way == cell.ways[0] else f"{(mine / first) ** 2:.0%}",
                    _share(get("trusted")),
                ])  # fmt: skip
    return lines


def _share(hits: Floats) -> str:
    return f"{100 * hits.mean():.0f}" if len(hits) else "-"


TEXT = """\
# Few gold labels

`{command}`: {repeats} repetitions
of each setting. Prompts have 64 samples, proxies on scales from .5 to
1.5, golds with offsets of their own (standard deviation 1; 0/1 gold: pass rates that differ by prompt).
Nothing was tuned on these laws but what trust asks of labels.
Coverage is in percent, of 95 % intervals; {least} repetitions leave it
open by {margin:.0f} points. *These*: for these very prompts. *Drawn*: for the population of prompts.
*Alone*: without predictions by the proxy, from labels and the proxy's weights of all samples.
*Subset*: the labelled samples alone, as if no other had been drawn, by `klimit.hacking`.

## A tenth of each prompt's samples labelled

60 prompts, 6 labels each at random. *Trusted*: percent of repetitions in which this KL is trusted;
*where trusted*: the coverage of those, and then that of all; coverage where it is not trusted is not
promised. Of the labelled subset, six samples a prompt, no KL is trusted here.

{tenth}

How much shorter the median interval is:

* *Than the subset*: than that of the labelled samples alone. *Allowed*: how much shorter than that the
  split of the variance and the correlation of proxy and gold let the interval for drawn prompts be;
  *reached*: the share of it that is.
* *Than alone*: than without predictions, which is harder to beat since that has the proxy's weights of all
  samples. *Allowed* and *reached* against it, as `split(kl)` prints them; *in truth* the standard
  deviations of the errors of both.
* *Best*: than alone, with the best prediction there is, the mean of gold given all that is known and what
  is not (each prompt's own law), which no estimate from these labels can be shorter than. *All
  labelled*: if every sample had a label (`split(kl).possible`).

{tenth_lengths}

## More labels

{more}

{more_lengths}

## 200 labels and fewer

At 0.25 nats. *One a prompt* and *spread*: at random; *chosen*: all by `klimit.first_labels`; *half and
half*: one half at random, then one half by `.next`. *Labels needed*: the share of labels that would
give the interval of labels at random, for these prompts (length ratio squared).

{few}

## Judged pairs

At 0.25 nats. Judges prefer the better sample with the chance that Bradley and Terry give. The number is
the win rate over a base draw, less one half; *random* pairs, or *chosen* by
`klimit.first_labels(..., pairs=True)`.

{pairs}
"""

COVERAGE_HEAD = ["law", "labels each", "KL", "truth", "bias", "trusted", "where trusted: these", "drawn",
                 "all: these", "drawn", "alone: these", "drawn", "subset: these", "drawn"]  # fmt: skip
LENGTH_HEAD = ["law", "labels each", "KL", "than the subset: these", "drawn", "allowed: drawn",
               "reached", "than alone: these", "drawn", "allowed: drawn", "reached", "in truth: these",
               "drawn", "best: these", "drawn", "all labelled: drawn"]  # fmt: skip
FEW_HEAD = ["law", "labels over prompts", "how", "truth", "bias", "covers: these", "drawn",
            "half length: these", "drawn", "alone: these", "labels needed", "trusted"]  # fmt: skip


def table(head: list[str], lines: list[list[str]]) -> str:
    """A Markdown table."""
    return "\n".join([row(head), "|---" * len(head) + "|", *map(row, lines)])


def text(
    command: str, counts: list[int], cells: dict[str, list[Cell]], look: Callable[..., Floats]
) -> str:
    """The page; `counts` are the repetitions of each cell."""
    parts = {}
    for part in ("tenth", "more"):
        numbers = [Numbers(look, cell, kl) for cell in cells[part] for kl in cell.kl]
        parts[part] = table(COVERAGE_HEAD, [coverage_row(get) for get in numbers])
        parts[f"{part}_lengths"] = table(LENGTH_HEAD, [length_row(get) for get in numbers])
    for part in ("few", "pairs"):
        parts[part] = table(FEW_HEAD, few_rows(cells[part], look))
    return TEXT.format(
        command=command, least=min(counts),
        repeats=" to ".join(map(str, sorted({min(counts), max(counts)}))),
        margin=100 * 1.96 * (0.95 * 0.05 / min(counts)) ** 0.5, **parts,
    )  # fmt: skip
