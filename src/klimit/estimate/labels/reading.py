"""Proxy for all samples, gold for some: read, checked and put into an order of their own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from klimit._errors import ArgumentError, DataError
from klimit._text import safe
from klimit.estimate.inputs import RewardColumn, reward_column
from klimit.estimate.kernel import Floats
from klimit.estimate.labels.tilting import Rows
from klimit.estimate.samples import Integers, Samples, collect
from klimit.rollouts.words import counted, quoted

if TYPE_CHECKING:
    import polars as pl

CHANCE, ROUND = "label_chance", "label_round"
"""Columns that `next` writes beside the samples to label, and that are read back with the labels."""

_SAMPLE_IDS = ("sample_id", "sample_idx", "sample_index", "completion_id", "response_id")


@dataclass(frozen=True)
class Known:
    """Samples with a proxy, prompt after prompt; prompts and samples in an order by their content.

    Attributes
    ----------
    rows : proxies of prompts with two or more
    gold : (samples,) NaN where not labelled
    chance, round : (samples,) chance with which its round chose a labelled sample, and which round;
        NaN and 0 where labels are at random
    others : (columns, samples) further numbers for the prediction
    origin : (samples,) place in the caller's data, prompt after prompt
    ids : (prompts,) prompt ids
    samples : what the frontier reads of the proxy
    column : the proxy, as the frontier takes it
    gold_name : of the gold reward
    lost : labels of samples without a proxy, or of prompts with one sample
    """

    rows: Rows
    gold: Floats
    chance: Floats
    round: Integers
    others: Floats
    origin: Integers
    ids: list[Any]
    samples: Samples
    column: RewardColumn
    gold_name: str
    lost: int


def read_known(
    base: Any, proxy: str | None, gold: Any, others: Sequence[str] = (), *, seed: int = 0
) -> Known:
    """Read what is known of every sample.

    Parameters
    ----------
    base : Rollouts, or the proxy's rewards as arrays
    proxy : which reward is the proxy
    gold : a column's name; an array like the proxy's, NaN where not labelled; or a table of prompt_id,
        sample and gold; with columns `label_chance` and `label_round` where `next` chose the samples
    others : names of columns that help to predict gold
    """
    named = isinstance(gold, str) and hasattr(base, "grouped")
    wanted = tuple(others) + ((base.one_reward(gold),) if named else ())
    extra = tuple(
        name for name in (CHANCE, ROUND) if named and name in base.table.names
    )
    column = reward_column(base, proxy, others=(*wanted, *extra))
    number = len(column.values)
    chance, round_ = np.full(number, np.nan), np.zeros(number)
    if named:
        name = base.one_reward(gold)
        labels = column.others[name]
        if CHANCE in extra:
            chance = column.others[CHANCE]
            round_ = column.others.get(ROUND, np.where(np.isnan(chance), np.nan, 1.0))
    elif isinstance(gold, str):
        raise ArgumentError(
            f"gold={safe(gold)!r} names a column, but the proxy is an array; give gold as an array "
            "of the same shape, NaN where not labelled."
        )
    elif _is_table(gold):
        name, labels, chance, round_ = _from_table(base, column, gold)
    else:
        name = "gold"
        other = reward_column(gold, None)
        if not np.array_equal(other.lengths, column.lengths):
            raise ArgumentError(
                f"gold has {len(other.values):,} entries of {len(other.lengths):,} prompts, the proxy "
                f"{number:,} of {len(column.lengths):,}; both must be of the same samples, NaN where "
                "one is not labelled."
            )
        labels = other.values
    rest = np.stack([column.others[x] for x in others]) if others else np.empty((0, number))
    return _ordered(column, labels, chance, round_, rest, name, seed)


def _is_table(gold: Any) -> bool:
    return hasattr(gold, "columns") or isinstance(gold, dict) or hasattr(gold, "__fspath__")


def _ordered(
    column: RewardColumn, gold: Floats, chance: Floats, round_: Floats, others: Floats, name: str,
    seed: int,
) -> Known:  # fmt: skip
    lengths = np.asarray(column.lengths, dtype=np.int64)
    prompt = np.repeat(np.arange(len(lengths)), lengths)
    there = ~np.isnan(column.values) & ~np.isnan(others).any(axis=0)
    there &= (np.bincount(prompt[there], minlength=len(lengths)) >= 2)[prompt]
    labelled = ~np.isnan(gold)
    _finite(gold[labelled], name)
    if labelled.any() and not (there & labelled).any():
        raise DataError(
            f"all {int(labelled.sum()):,} labels of {safe(name)!r} are on samples without the proxy "
            f"{safe(column.name)!r}; both are needed of a labelled sample. Score it with the proxy."
        )
    kept = np.flatnonzero(there)
    if not len(kept):
        collect(column.values, lengths)  # says what is wrong
    _chances(chance[kept][labelled[kept]])
    samples = collect(column.values[kept], np.bincount(prompt[kept], minlength=len(lengths)), seed=seed)
    place = np.full(len(lengths), -1)
    place[samples.kept] = samples.rank
    order = kept[np.lexsort((*others[:, kept], gold[kept], column.values[kept], place[prompt[kept]]))]
    at = np.empty(samples.prompts, dtype=np.int64)
    at[samples.rank] = samples.kept
    rounds = np.where(np.isnan(chance) | np.isnan(round_), 0, round_)[order].astype(np.int64)
    return Known(
        rows=Rows.of(column.values[order], np.bincount(place[prompt[order]])),
        gold=gold[order], chance=chance[order], round=rounds, others=others[:, order], origin=order,
        ids=[column.ids[i] for i in at], samples=samples,
        column=RewardColumn(column.values[kept], np.bincount(prompt[kept], minlength=len(lengths)),
                            column.ids, column.name, {}),
        gold_name=name, lost=int((labelled & ~there).sum()),
    )  # fmt: skip


def _finite(values: Floats, name: str) -> None:
    bad = values[~np.isfinite(values)]
    if len(bad):
        raise DataError(
            f"a label of {safe(name)!r} is {bad[0]}; finite numbers were expected, NaN where a sample "
            "is not labelled."
        )


def _chances(chance: Floats) -> None:
    bad = chance[(chance <= 0) | (chance > 1)]
    if len(bad):
        raise DataError(
            f"a {CHANCE} is {bad[0]:g}; a chance in (0, 1] was expected, as `next` wrote it, and none "
            "for labels at random."
        )


def _from_table(base: Any, column: RewardColumn, gold: Any) -> tuple[str, Floats, Floats, Floats]:
    """Name, labels, chances and rounds from a table of prompt_id, sample and gold."""
    from klimit.rollouts.joining import plain_table

    table = plain_table(gold)
    keys = {"prompt_id", "sample"}
    if not keys <= set(table.columns):
        raise ArgumentError(
            f"the table of labels has columns {', '.join(map(safe, table.columns))}; prompt_id, sample "
            "(as `next` writes them) and the gold reward were expected."
        )
    shown = {*keys, "prompt", "completion", "proxy", column.name, CHANCE, ROUND}
    left = [x for x in table.columns if x not in shown and table[x].dtype.is_numeric()]
    left = ["gold"] if "gold" in table.columns else left
    if len(left) != 1:
        raise ArgumentError(
            f"the table of labels has {counted(len(left), 'column')} that may be the gold reward "
            f"({', '.join(map(safe, left)) or 'none'}); one was expected. Call it gold."
        )
    place = places(base, column, table["prompt_id"], table["sample"])
    out = np.full((3, len(column.values)), np.nan)
    for row, name in enumerate((left[0], CHANCE, ROUND)):
        if name in table.columns:
            out[row, place] = table[name].cast(float).fill_null(np.nan).to_numpy()
    values = table[left[0]].cast(float).fill_null(np.nan).to_numpy()
    twice = place[~np.isnan(values)]
    if len(np.unique(twice)) < len(twice):
        raise DataError(
            "the table of labels has two labels of one sample; one was expected. Average them first."
        )
    return left[0], out[0], out[1], np.where(np.isnan(out[1]), np.nan, np.nan_to_num(out[2], nan=1.0))


def sample_names(base: Any, column: RewardColumn) -> list[str]:
    """What each sample is called: by its own id, or its place (from 0) within the prompt."""
    names = getattr(getattr(base, "table", None), "names", ())
    found = next((x for x in _SAMPLE_IDS if x in names), None)
    if found is not None:
        import polars as pl

        ids = base.table.columns([found])[found].cast(pl.String)
        return list(ids[np.argsort(base.groups.codes, kind="stable")].to_list())
    return [str(at) for length in column.lengths for at in range(int(length))]


def places(base: Any, column: RewardColumn, prompts: pl.Series, samples: pl.Series) -> Integers:
    """(rows,) index of each named sample in the caller's data, prompt after prompt."""
    import polars as pl

    ours = np.repeat(np.arange(len(column.lengths)), column.lengths)
    known = {str(name): at for at, name in enumerate(column.ids)}
    table: dict[tuple[int, str], int] = {}
    for at, (prompt, name) in enumerate(zip(ours, sample_names(base, column), strict=True)):
        if table.setdefault((int(prompt), name), at) != at:
            raise DataError(
                f"two samples of prompt {quoted(column.ids[prompt])} are both called {quoted(name)}; "
                "samples need ids of their own to be told apart."
            )
    found = np.empty(len(prompts), dtype=np.int64)
    asked = zip(prompts.cast(pl.String), samples.cast(pl.String), strict=True)
    for at, (prompt, name) in enumerate(asked):
        if prompt not in known:
            raise DataError(
                f"row {at + 1:,} of the table names prompt {quoted(prompt)}, which the base does not "
                "have; check that both spell their prompts alike."
            )
        place = table.get((known[prompt], str(name)))
        if place is None:
            some = int(column.lengths[known[prompt]])
            raise DataError(
                f"row {at + 1:,} of the table names sample {quoted(name)} of prompt {quoted(prompt)}, "
                f"which has {counted(some, 'sample')} called by their ids, or 0 to {some - 1:,}."
            )
        found[at] = place
    return found
