"""Tables and what is known of their columns -> Rollouts, checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from klimit._errors import DataError, warn
from klimit.rollouts import names, twins
from klimit.rollouts.copies import say_same
from klimit.rollouts.guard import reading
from klimit.rollouts.keys import KEY, TEXT, Groups, groups, key_columns, the_key
from klimit.rollouts.layout import PER_TOKEN, Layout, is_text
from klimit.rollouts.policies import (
    FILE,
    OTHER,
    POLICY,
    STEP,
    Told,
    by_files,
    by_number,
    may_tell,
    named,
    told,
)
from klimit.rollouts.refusals import check_key, check_rewards
from klimit.rollouts.rollouts import Rollouts
from klimit.rollouts.sources.shaping import Dump, Given, shaped
from klimit.rollouts.sources.values import summed
from klimit.rollouts.sources.weights import Total, drawn, given, reward_weights
from klimit.rollouts.steps import in_paths
from klimit.rollouts.table import BESIDE, Scan, Table, stamp
from klimit.rollouts.unify import before_the_answer, flatten, one_table
from klimit.rollouts.wide import (
    ROW,
    as_lists,
    check_lengths,
    check_per_sample,
    long_form,
    numbered,
    unnested,
)
from klimit.rollouts.words import counted, quoted, shown


def rollouts_of(
    scans: Mapping[str, Scan], prompt: Given, reward: Given, weights: Any = None
) -> Rollouts:
    """Find the columns, tell the prompts apart, and keep in memory what is small."""
    where = _where(list(scans))
    files = {path: Path(path) for path, scan in scans.items() if not scan.whole}
    stamps = {path: stamp(file.stat()) for path, file in files.items() if file.is_file()}
    with reading(where):
        scans = {name: replace(scan, lazy=as_lists(scan.lazy)) for name, scan in scans.items()}
        dump = shaped(scans, prompt, reward)
        weighed = weights if isinstance(weights, Mapping) else ()
        asked = (*(dump.prompt or ()), *(dump.reward or ()), *map(str, weighed))
        tables = {
            name: replace(scan, lazy=before_the_answer(flatten(one, asked)))
            for name, scan in dump.tables.items()
            for one in [scan.lazy if dump.read_as else unnested(scan.lazy, asked)]
        }
        if not dump.read_as:
            tables = {
                name: replace(scan, lazy=numbered(scan.lazy, asked))
                for name, scan in _by_paths(tables).items()
            }
        total = _total(tables, dump, weights, named=reward is not None)
        stated = _common([scan.metadata for scan in tables.values()])
        if dump.functions:
            stated = drawn(next(iter(tables))) | stated
        wanted = tuple(total.weights) if total else dump.reward or _stated(stated, tables)
        raw, layout = one_table(tables, prompt=dump.prompt, reward=wanted)
        labels: list[str] = []
        numbers: list[int] = []
        if len(tables) > 1 and dump.called and len(set(dump.called)) < 2:
            raw = raw.drop(FILE)  # its reader knows that the files belong together
        elif len(tables) > 1:
            labels = by_files(dump.called or tables)
            numbers = [] if dump.read_as else by_number(tables, folders=bool(labels))
        check_key(raw, layout, where)
        if dump.unique:
            column = pl.col(dump.unique)
            raw = raw.filter(column.is_null() | column.is_first_distinct())
        if dump.reward == () and not total:
            layout = replace(layout, rewards=())
        else:
            check_rewards(raw, layout, where, given=wanted is not None)
        whole = all(scan.whole for scan in tables.values())
        at_hand = layout.lists if whole else layout.rewards  # texts stay unread if they can
        if layout.lists and len(at_hand) > 1:
            check_lengths(raw, at_hand, source=where)
        if layout.lists and layout.rewards:
            check_per_sample(raw, layout, source=where)
    table, layout, who = _table(
        raw, layout, where, total, whole=whole,
        files={"files": labels, "numbers": numbers, "known": bool(dump.read_as)},
    )  # fmt: skip
    if who.by_files or f"{BESIDE}{FILE}" in table.core.columns:
        say_same(map(Path, scans))
    table, said = replace(table, stamps=stamps), str(total) if total else ""
    return Rollouts(
        table, layout.rewards, layout.prompt_key, stated, dump.read_as, said,
        who.by_files,
    )  # fmt: skip


def _by_paths(tables: dict[str, Scan]) -> dict[str, Scan]:
    """With the steps that the files' names tell, where no column does: never pooled."""
    columns = (name for scan in tables.values() for name in scan.lazy.collect_schema())
    found = in_paths(tables)
    if not found or names.spelling(columns, names.CANONICAL["step"]):
        return tables
    return {
        name: replace(scan, lazy=scan.lazy.with_columns(pl.lit(found[name]).alias("step")))
        for name, scan in tables.items()
    }


def _total(tables: Mapping[str, Scan], dump: Dump, weights: Any, *, named: bool) -> Total | None:
    """Several reward functions as one: by the caller's weights, or by the run's configuration."""
    if weights is not None:
        there = [*dict.fromkeys(x for one in tables.values() for x in one.lazy.collect_schema())]
        return Total(given(weights, there), partial=bool(dump.functions))
    if named or not dump.functions or len(dump.reward or ()) < 2:
        return None
    found = reward_weights(next(iter(tables)), dump.functions, dump.reward or ())
    return Total(found[0], partial=True, by=found[1]) if found else None


def _table(
    raw: pl.LazyFrame, layout: Layout, where: str, total: Total | None, *, whole: bool,
    files: Mapping[str, Any],
) -> tuple[Table, Layout, Told]:  # fmt: skip
    """The rows that have a prompt, with their key in memory; `files` is what `told` takes of them."""
    given_layout = layout
    with reading(where):
        long = long_form(raw, layout.lists) if layout.lists else raw
        if total:
            name = total.name(long.collect_schema().names())
            long = long.with_columns(total.column().alias(name))
            layout = replace(layout, rewards=(name,))
        layout = replace(
            layout, telling=may_tell(raw, long, layout, whole=whole, known=files["known"])
        )
        small = _canonical(long, layout, whole=whole)[1]
        try:
            core = long.select(small).collect(engine="streaming")
        except pl.exceptions.PolarsError:
            if len(layout.lists) > 1:  # texts are among the lists only now
                check_lengths(raw, layout.lists, source=where)
            raise
    if not core.height:
        raise DataError(f"{where} holds no rows; samples with rewards were expected.")
    key = the_key(core, layout, source=where)
    found = groups(key)
    who = told(core, found.codes.astype(np.int64), **files)
    core, layout = _with_policies(core, layout, who)
    lazy = long.select(_canonical(long, layout, whole=whole)[0])
    if TEXT in core.columns:
        odd = twins.other_texts(found, core[TEXT])
        if len(odd) and twins.recycled(found, core):  # ids that count from 0 in every step
            by_text = replace(given_layout, keys=(layout.columns["prompt"],), kind="text")
            return _table(raw, by_text, where, total, whole=whole, files=files)
        if len(odd):
            at = int(odd[0])
            rows = f"rows {int(found.first[found.codes[at]]) + 1:,} and {at + 1:,}"
            raise DataError(
                f"{where}: {quoted(layout.keys[0])} {quoted(key.cast(str)[at])} stands for "
                f"different prompts ({rows}). Choose a key that names one prompt: "
                f"prompt={layout.columns['prompt']!r} (--prompt)."
            )
        key = _one_id_each(key, found, core, lazy, layout, where)
    helpers = [name for name in core.columns if name.startswith("__")]
    core = core.drop(helpers).with_columns(key.alias("prompt_id"), *who.beside)
    table = Table(lazy, core, None, where)
    without = key.null_count()
    if without:
        warn(f"{where}: {counted(without, 'row')} without {quoted(layout.prompt_key)} left out.")
        table = table.take(key.is_not_null().to_numpy())
    return table, layout, who


def _with_policies(core: pl.DataFrame, layout: Layout, who: Told) -> tuple[pl.DataFrame, Layout]:
    """With step and policy of each row, and the columns that they are from."""
    columns = {x: name for x, name in layout.columns.items() if x not in ("step", "policy")}
    if who.step:
        columns["step"] = who.step
        core = core.with_columns(pl.col(f"{STEP}{who.step}").alias("step"))
    if who.policy:
        columns["policy"] = who.policy
        core = core.with_columns(pl.col(f"{POLICY}{who.policy}").cast(pl.String).alias("policy"))
    named_by = [x for x in (who.policies, who.steps) if x is not None]
    core = core.with_columns(named_by)
    return core, replace(layout, columns=columns)


def _one_id_each(
    key: pl.Series,
    found: Groups,
    core: pl.DataFrame,
    lazy: pl.LazyFrame,
    layout: Layout,
    where: str,
) -> pl.Series:
    """The key, with a prompt that has several ids under the first of them."""
    same = twins.same_text(found, core[TEXT])
    if not same:
        return key
    canonical = {*layout.columns, *layout.rewards, *layout.keys}
    schema = lazy.collect_schema()
    rest = [name for name in schema if name not in canonical and not schema[name].is_nested()]
    with reading(where):
        known = lazy.select(rest).collect().get_columns() if rest else []
    twins.check_alike(key, found, same, known, source=where)
    return twins.merged(key, found, same, source=where)


def _canonical(
    long: pl.LazyFrame, layout: Layout, *, whole: bool
) -> tuple[list[pl.Expr], list[pl.Expr]]:
    """Every column under its canonical name, rewards as floats; and those that are read at once.

    These are keys, what may tell policies, and all small columns where the file is parsed anyway.
    """
    schema = dict(long.collect_schema())
    known = {canonical: name for canonical, name in layout.columns.items()
             if name not in layout.rewards}  # fmt: skip
    sampling = {}  # how the samples were
    for canonical, spellings in names.METADATA.items():
        for name in names.spelling(schema, spellings)[:1]:
            if schema[name].is_numeric() and name not in (*layout.rewards, *layout.keys):
                sampling[canonical] = name
    columns = {
        canonical: _typed(canonical, name, schema[name]) for canonical, name in known.items()
    }
    lists = {one: pl.col(known[one]).list.len().replace(0, None) for one in PER_TOKEN
             if one in known and isinstance(schema[known[one]], pl.List)}  # fmt: skip
    for one, length in lists.items():  # scores of other tokens are none of this sample
        other = pl.any_horizontal(length != each for each in lists.values()).fill_null(value=False)
        columns[one] = pl.when(~other).then(columns[one])
    columns |= {name: pl.col(name).cast(pl.Float64) for name in layout.rewards}
    columns |= {canonical: pl.col(name) for canonical, name in sampling.items()}
    small = [*PER_TOKEN, "tokens"] if whole else []
    small = [
        *(name for name in small if name in known),
        *sampling,
        *(layout.rewards if whole else ()),
    ]
    keys = key_columns(layout, schema)
    if not keys:
        key = pl.col(ROW).cast(pl.String).cast(pl.Categorical(pl.Categories.random()))
        keys = [key.alias(f"{KEY}0")]
    steps, policies, others = (layout.telling.get(x, ()) for x in ("step", "policy", "other"))
    keys += [pl.col(name).alias(f"{STEP}{name}") for name in steps]
    some = pl.Categorical(pl.Categories.random())
    keys += [named(x, schema[x]).cast(some).alias(f"{POLICY}{x}") for x in policies]
    keys += [
        (pl.col(x).cast(pl.String).hash() if is_text(schema[x]) else pl.col(x)).alias(f"{OTHER}{x}")
        for x in others
    ]
    keys += [pl.col(FILE)] if FILE in schema else []
    core = [*keys, *(columns[name].alias(name) for name in small)]
    used = {*layout.columns.values(), *layout.rewards, *sampling.values(), ROW, FILE}
    if layout.kind in ("id", "weak") or (layout.kind == "given" and len(layout.keys) == 1):
        used.add(layout.keys[0])
    for name in schema:
        if name not in used:
            free = name not in columns and name != "prompt_id"
            columns[name if free else f"{name}_"] = pl.col(name)
    return [column.alias(name) for name, column in columns.items()], core


def _typed(canonical: str, name: str, dtype: pl.DataType) -> pl.Expr:
    column = pl.col(name)
    if canonical in PER_TOKEN:
        return summed(name) if isinstance(dtype, pl.List) else column.cast(pl.Float64)
    return column.cast(pl.String) if canonical == "policy" else column


def _stated(stated: Mapping[str, Any], tables: Mapping[str, Scan]) -> Given:
    """The rewards that a file of klimit's own says it has."""
    known = stated.get("rewards")
    if not isinstance(known, list):
        return None
    there = set.intersection(*(set(scan.lazy.collect_schema()) for scan in tables.values()))
    return tuple(name for name in known if name in there) or None


def _common(metadata: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    first, *others = metadata
    return {key: said for key, said in first.items() if all(o.get(key) == said for o in others)}


def _where(sources: list[str]) -> str:
    first = shown(sources[0])
    return first if len(sources) == 1 else f"{first} and {len(sources) - 1:,} more"
