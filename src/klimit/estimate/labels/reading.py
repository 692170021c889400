"""Proxy for all samples, gold for some: read, checked and put into an order of their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from klimit._errors import ArgumentError, DataError
from klimit._text import safe
from klimit.estimate.frontier import frontier
from klimit.estimate.inputs import RewardColumn, reward_column
from klimit.estimate.kernel import Floats
from klimit.estimate.labels.entry import is_table
from klimit.estimate.labels.minded import answered
from klimit.estimate.labels.tilting import Rows
from klimit.estimate.proxy.read import mapped, read_rewards
from klimit.estimate.result import Frontier
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
    base, whole : what the caller gave, and its proxy, missing ones included
    rows : proxies of prompts with two or more
    gold : (samples,) NaN where not labelled
    chance, round : (samples,) chance with which its round chose a labelled sample and it was labelled,
        and which round; NaN and 0 where labels are at random
    others : (columns, samples) further numbers for the prediction
    origin : (samples,) place in the caller's data, prompt after prompt
    ids : (prompts,) prompt ids
    samples : what the frontier reads of the proxy
    column : the proxy, as the frontier takes it
    gold_name : of the gold reward
    lost : labels of samples without a proxy, or of prompts with one sample
    minded : what to mind of the labels, in words
    """

    base: Any
    whole: RewardColumn
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
    minded: tuple[str, ...] = ()


def read_known(base: Any, proxy: Any, gold: Any, nuisance: Any = None, *, seed: int = 0) -> Known:
    """Read what is known of every sample.

    Parameters
    ----------
    base, proxy, nuisance : as `klimit.hacking` takes them
    gold : the same, missing where not labelled; or a table of prompt_id, sample and gold, with
        columns `label_chance` and `label_round` where `next` chose the samples
    """
    if gold is None or is_table(gold):
        column = proxy_column(base, proxy, () if nuisance is None else (nuisance,))
        rest = _none(column) if nuisance is None else column.others[nuisance][None]
        blank = np.full((2, len(column.values)), np.nan)
        found = ("gold", *blank, blank[0], "") if gold is None else _from_table(base, column, gold)
        name, values, chance, round_, said = found
        return _ordered(base, column, values, chance, round_, rest, name, said, seed)
    rewards = read_rewards(base, proxy, gold, nuisance)
    rest = _none(rewards.proxy) if rewards.nuisance is None else rewards.nuisance[None]
    chance, round_ = _stored_chances(base, rewards.proxy)
    given, name = ~np.isnan(rewards.gold), rewards.names[1]
    check_chances(chance[given])
    chance, said = answered(chance, round_, given, len(given), np.arange(len(given)))
    return _ordered(base, rewards.proxy, rewards.gold, chance, round_, rest, name, said, seed)


def _none(column: RewardColumn) -> Floats:
    return np.empty((0, len(column.values)))


def _stored_chances(base: Any, column: RewardColumn) -> tuple[Floats, Floats]:
    """Chances and rounds that were joined to the base with the labels."""
    there = _columns(base)
    if CHANCE not in there:
        none = np.full(len(column.values), np.nan)
        return none, none
    table = base.table.columns([x for x in (CHANCE, ROUND) if x in there])
    chance, round_ = numbers_of(table, (CHANCE, ROUND))[:, base.groups.order]
    return chance, round_ if ROUND in there else np.ones(len(chance))


def _columns(base: Any) -> Sequence[str]:
    return getattr(getattr(base, "table", None), "names", ())


def numbers_of(table: pl.DataFrame, names: Sequence[str]) -> Floats:
    """(names, rows) numbers of these columns; NaN where one is missing, or the column is."""
    out = np.full((len(names), table.height), np.nan)
    for row, name in enumerate(names):
        if name in table.columns:
            column = table[name].cast(float, strict=False)
            text = table[name].filter(column.is_null() & table[name].is_not_null())
            if len(text):
                raise DataError(
                    f"{quoted(name)} of a table of labels holds {quoted(text[0])}; numbers were expected, "
                    "nothing where one is missing."
                )
            out[row] = column.fill_null(np.nan).to_numpy()
    return out


def proxy_frontier(known: Known, *, prompts: Any, level: float, seed: int) -> Frontier:
    """The proxy's own frontier, over all samples."""
    rows = np.split(known.rows.proxy, known.rows.starts[1:])
    return frontier(rows, reward=known.column.name, prompts=prompts, level=level, seed=seed)


def proxy_column(base: Any, proxy: Any, others: tuple[str, ...] = ()) -> RewardColumn:
    """The proxy's rewards, of all that `klimit.hacking` takes as a base."""
    if isinstance(base, Mapping):
        grouped = mapped(base, (proxy, *others))
        rest = {name: grouped.columns[name] for name in others}
        return RewardColumn(grouped.columns[proxy], grouped.lengths, grouped.ids, str(proxy), rest)
    return reward_column(base, proxy, others=others)


def _ordered(
    base: Any, column: RewardColumn, gold: Floats, chance: Floats, round_: Floats, others: Floats, name: str,
    said: str, seed: int,
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
    samples = collect(
        column.values[kept], np.bincount(prompt[kept], minlength=len(lengths)), seed=seed
    )
    place = np.full(len(lengths), -1)
    place[samples.kept] = samples.rank
    order = kept[
        np.lexsort((*others[:, kept], gold[kept], column.values[kept], place[prompt[kept]]))
    ]
    at = np.empty(samples.prompts, dtype=np.int64)
    at[samples.rank] = samples.kept
    rounds = np.where(np.isnan(chance), 0, np.fmax(round_, 1))[order].astype(np.int64)
    return Known(
        base=base, whole=column, rows=Rows.of(column.values[order], np.bincount(place[prompt[order]])),
        gold=gold[order], chance=chance[order], round=rounds, others=others[:, order], origin=order,
        ids=[column.ids[i] for i in at], samples=samples,
        column=RewardColumn(column.values[kept], np.bincount(prompt[kept], minlength=len(lengths)),
                            column.ids, column.name, {}),
        gold_name=name, lost=int((labelled & ~there).sum()), minded=(said,) if said else (),
    )  # fmt: skip


def _finite(values: Floats, name: str) -> None:
    bad = values[~np.isfinite(values)]
    if len(bad):
        raise DataError(
            f"a label of {safe(name)!r} is {bad[0]}; finite numbers were expected, NaN where a sample "
            "is not labelled."
        )


def check_chances(chance: Floats) -> None:
    """Refuse chances that are none."""
    bad = chance[(chance <= 0) | (chance > 1)]
    if len(bad):
        raise DataError(
            f"a {CHANCE} is {bad[0]:g}; a chance in (0, 1] was expected, as `next` wrote it, and none "
            "for labels at random."
        )


def _from_table(
    base: Any, column: RewardColumn, gold: Any
) -> tuple[str, Floats, Floats, Floats, str]:
    """Name, labels, chances, rounds and what to mind of a table of prompt_id, sample and gold."""
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
    read = numbers_of(table, (left[0], CHANCE, ROUND))
    given = ~np.isnan(read[0])
    if len(np.unique(place[given])) < given.sum():
        raise DataError(
            "the table of labels has two labels of one sample; one was expected. Average them first."
        )
    check_chances(read[1, given])
    read[2] = np.where(np.isnan(read[1]), np.nan, np.nan_to_num(read[2], nan=1.0))
    read[1], said = answered(read[1], read[2], given, len(column.values), place)
    out = np.full((3, len(column.values)), np.nan)
    for rows in (~given, given):  # a sample that was asked for twice has its answer's chance
        out[:, place[rows]] = read[:, rows]
    return left[0], out[0], out[1], out[2], said


def sample_names(base: Any, column: RewardColumn) -> list[str]:
    """What each sample is called: by its own id, or its place (from 0) within the prompt."""
    found = _id_column(base)
    if found is not None:
        import polars as pl

        ids = base.table.columns([found])[found].cast(pl.String)
        return list(ids[base.groups.order].to_list())
    return [str(at) for length in column.lengths for at in range(int(length))]


def texts(base: Any, name: str, origin: Integers) -> list[str | None] | None:
    """A text of each of these samples, to be read by whoever labels; None where there is none."""
    import polars as pl

    if name not in _columns(base):
        return None
    rows = base.groups.order[origin]
    return list(base.table.columns([name])[name].cast(pl.String)[rows].to_list())


def places(base: Any, column: RewardColumn, prompts: pl.Series, samples: pl.Series) -> Integers:
    """(rows,) index of each named sample in the caller's data, prompt after prompt."""
    import polars as pl

    ours = np.repeat(np.arange(len(column.lengths)), column.lengths)
    by_id = _id_column(base) is not None
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
            elsewhere = next((p for (p, other) in table if other == str(name)), None)
            if by_id and elsewhere is not None:
                raise DataError(
                    f"row {at + 1:,} of the table names sample {quoted(name)} of prompt "
                    f"{quoted(prompt)}, but it belongs to prompt {quoted(column.ids[elsewhere])}; "
                    "samples of one prompt were expected together."
                )
            some = int(column.lengths[known[prompt]])
            called = "called by their ids" if by_id else f"called 0 to {some - 1:,}"
            raise DataError(
                f"row {at + 1:,} of the table names sample {quoted(name)} of prompt {quoted(prompt)}, "
                f"which has {counted(some, 'sample')} {called}."
            )
        found[at] = place
    return found


def _id_column(base: Any) -> str | None:
    return next((x for x in _SAMPLE_IDS if x in _columns(base)), None)
