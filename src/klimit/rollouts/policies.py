"""Which samples are of one policy at one step: as columns tell, or files' names where none does."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from klimit._errors import warn
from klimit.rollouts import names
from klimit.rollouts.grouped import Integers
from klimit.rollouts.layout import Layout, is_number, is_text, sides
from klimit.rollouts.paths import stem
from klimit.rollouts.steps import is_base, unlike
from klimit.rollouts.table import BESIDE
from klimit.rollouts.words import counted, listing

FILE = "__file"
"""The number of the file that a row is from, where there are several."""

STEP, POLICY, OTHER = "__step ", "__policy ", "__other "
"""What a column that may tell steps, policies or seeds is called in memory; its own name follows."""

_FEW = 50  # values of a setting, at most
_LOOK = 1000  # rows of a first look
_DAY = 8  # digits of one, which is no step
_LONG = 100  # characters of a text, such as a document, that stays unread

_YES_NO = ("true", "1", "1.0", "yes", "y"), ("false", "0", "0.0", "no", "n")

_KINDS, _LABEL = (STEP, POLICY, OTHER, FILE), "__label"
_PART = re.compile(  # shards, seeds and steps; 7b, v2, 1e-5, 0.1, epoch_1 and model_a are no such
    r"(?:^|(?<!\de)(?<!epoch)(?<!model)(?<!policy)(?<!exp)(?<!arm)(?<!method)(?<!version)(?<!config)"
    r"(?<!variant)[-_ ])(?:(?:part|shard|rank|worker|chunk|batch|gpu|node|proc|seed|file|of|step"
    r"|global_step|checkpoint|ckpt|iter|iteration)?[-_ ]?[0-9]+|more|extra|first|second|third"
    r"|one|two|three|[a-z])(?=[-_ ]|$)",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Told:
    """What tells samples of one prompt apart.

    Attributes
    ----------
    step, policy : the column that says it; empty where there is none
    policies : (rows,) names of policies, where it takes several columns or the files' names
    steps : (rows,) steps, where the files' names are these
    by_files : what takes the files' names, of "policy" and "step"
    beside : (rows,) codes, each under `BESIDE`, of what differs among samples of one policy
    """

    step: str
    policy: str
    policies: pl.Series | None
    steps: pl.Series | None
    by_files: tuple[str, ...]
    beside: tuple[pl.Series, ...]


def told(
    core: pl.DataFrame, codes: Integers, files: Sequence[str], *, known: bool,
    numbers: Sequence[int] = (),
) -> Told:  # fmt: skip
    """Find the step and the policy of each row.

    A column that holds one value tells nothing. The first one that differs is believed; a further one,
    or the files' names, where it differs among samples of one prompt that would be one policy's.

    Parameters
    ----------
    core : with `FILE` and all columns that may tell, best first
    codes : (rows,) number of each row's prompt
    files : what each file's name calls its policy (`by_files`)
    known : whether a reader knows what the columns say, so that nothing is said of them
    numbers : what each file is called (`by_number`): steps, where most prompts come again; else parts
    """
    kept = core.filter(codes >= 0) if codes.min(initial=0) < 0 else core
    told_by = [x for x in kept.columns if x.startswith(_KINDS) and _chosen(kept[x])]
    seen = {name: _coded(kept[name]) for name in told_by}
    if files:
        seen[_LABEL] = np.unique(files, return_inverse=True)[1][kept[FILE]]
    steps, policies, others = ([x for x in seen if x.startswith(one)] for one in _KINDS[:3])
    if known:  # epochs of evaluations
        steps = [x for x in steps if not _is(x, names.EPOCHS)]
    prompts = codes[codes >= 0]
    columns = [name for name in policies if _says_policy(name)]

    models = [*columns, *([FILE] if FILE in seen else [])]
    each = _within(prompts, *(seen[name] for name in models))
    varied = [x for x in steps if _differs(seen[x]) and not _counts_samples(kept[x], each, seen[x])]
    constant = [x for x in steps if not _is(x, names.EPOCHS)]
    group = _within(prompts, *(seen[x] for x in varied[:1]))

    differ = [name for name in columns if _differs(seen[name])]
    differ.sort(key=lambda x: (kept[x].drop_nulls().n_unique() < 2, _names(x)))  # flags first
    chosen = differ[:1]
    group = _within(group, *(seen[x] for x in chosen))
    for name in policies:
        if name not in chosen and _meet(group, seen[name]) and _tells(name, kept, group, seen):
            chosen.append(name)
            group = _within(group, seen[name])
    named = not chosen and not varied and unlike(files)
    if files and (named or _meet(group, seen[_LABEL])):
        chosen.append(_LABEL)
        group = _within(group, seen[_LABEL])
    from_files = ["policy"] if _LABEL in chosen else []
    if numbers and not varied and FILE in seen:
        at = np.asarray(numbers)[kept[FILE]]
        if 2 * _number(_within(prompts, at)) > 3 * _number(prompts):
            group, from_files = _within(group, at), [*from_files, "step"]
        elif not in_a_row(numbers):
            warn(
                f"files called {listing(sorted(set(numbers)), most=3)} share hardly any prompt and are "
                "read as parts of one policy. If they are steps, call them step_0, step_50, ..."
            )
    several = len(chosen) > 1 or _LABEL in chosen
    who = [core[x].cast(pl.String) for x in chosen if x != _LABEL]
    if _LABEL in chosen:
        who.append(pl.Series(_LABEL, files)[core[FILE]])
    policy = "" if several else next(iter([*chosen, *columns]), "")
    asked = [FILE] if known else [FILE, *steps, *policies, *others]
    row = np.where(codes >= 0, np.cumsum(codes >= 0) - 1, 0)
    return Told(
        next(iter([*varied, *constant]), "").removeprefix(STEP),
        policy.removeprefix(POLICY),
        _joined(pl.DataFrame(who)) if several else None,
        pl.Series("step", numbers)[core[FILE]] if "step" in from_files else None,
        tuple(from_files),
        tuple(pl.Series(f"{BESIDE}{x}", seen[x][row]) for x, _ in _together(group, seen, asked)),
    )


def together(core: pl.DataFrame, codes: Integers) -> tuple[str, ...]:
    """What differs among samples that are taken for those of one policy, at one step, of one prompt."""
    parts = (_coded(core[x]) for x in ("policy", "step") if x in core.columns)
    beside = {
        x.removeprefix(BESIDE): core[x].to_numpy() for x in core.columns if x.startswith(BESIDE)
    }
    group = _within(codes, *parts)
    return tuple(said for _, said in _together(group, beside, beside))


def may_tell(
    raw: pl.LazyFrame, long: pl.LazyFrame, layout: Layout, *, whole: bool, known: bool
) -> dict[str, tuple[str, ...]]:
    """Columns that are to be read since they may tell steps or policies, or what else differs.

    Not those of which the first rows show that somebody measured or counted them; and long texts of
    unknown names only where the `whole` file is parsed anyway. A text that calls a sample base tells.
    """
    schema, (steps, policies) = (
        long.collect_schema(),
        (layout.telling[x] for x in ("step", "policy")),
    )
    used = {*layout.columns.values(), *layout.rewards, *layout.keys, *steps, *policies, FILE}
    used.update(names.spelling(schema, names.CANONICAL["completion"]))
    free = [name for name in schema if name not in used and not name.startswith("__")]
    texts = [x for x in free if is_text(schema[x])]
    others = [x for x in free if is_number(schema[x]) or schema[x] in (pl.Date, pl.Datetime)]
    look = [x for x in (*policies, *texts, *others) if x not in layout.lists]
    first = raw.select(look).head(_LOOK).collect() if look else pl.DataFrame()

    def kept(kind: str, found: Sequence[str]) -> tuple[str, ...]:
        return tuple(
            x for x in found if x not in first.columns or _chosen(first[x].alias(f"{kind}{x}"))
        )

    looked = [x for x in kept(OTHER, texts) if x in first.columns]
    values = {x: first[x].unique().drop_nulls().cast(pl.String) for x in looked}
    based = [x for x in values if any(map(is_base, values[x])) and not names.is_verdict(x)]
    short = [
        x for x in texts
        if x not in based and (whole or (x in values and max(map(len, values[x]), default=0) < _LONG))
    ]  # fmt: skip
    beside = () if known else kept(OTHER, (*short, *others))
    return {"step": steps, "policy": (*kept(POLICY, policies), *based), "other": beside}


def named(column: str, dtype: pl.DataType) -> pl.Expr:
    """What a column that may tell policies calls that of each row."""
    text = pl.col(column).cast(pl.String).replace({"": None})  # an empty name is none
    said = sides(column, dtype)
    if not said:
        return text
    known = {x: side for side, words in zip(said, _YES_NO, strict=True) for x in words}
    return text.str.strip_chars().str.to_lowercase().replace(known)


def by_files(paths: Iterable[str]) -> list[str]:
    """What each file's name calls its policy; empty where all may be parts of one.

    Examples
    --------
    >>> by_files(["run/ppo_1.jsonl", "run/ppo_2.jsonl", "run/dpo-0.5.jsonl"])
    ['ppo', 'ppo', 'dpo-0.5']
    >>> by_files(["base/a.csv", "grpo/a.csv"]), by_files(["out_1.csv", "out_2.csv"])
    (['base', 'grpo'], [])
    """
    full = _own_parts(paths)
    bare = [[_PART.sub("", part) for part in one] for one in full]
    told = [next(filter(is_base, one), "") or "/".join(_own(one, bare)) for one in bare]
    if len(set(told)) < 2:
        return []
    return [
        name if name and (is_base(name) or told.count(name) > 1) else "/".join(_own(one, full))
        for name, one in zip(told, full, strict=True)
    ]


def by_number(paths: Iterable[str], *, folders: bool = False) -> list[int]:
    """The number that each file, or its folder, is called; empty where not all are, or as parts are.

    Parts are 00000 and 00001; also 0 and 1 where `folders` are policies.

    Examples
    --------
    >>> by_number(["val/0.jsonl", "val/50.jsonl"]), by_number(["00000.csv", "00001.csv"])
    ([0, 50], [])
    """
    parts = [[x for x in one if x.isdecimal() and len(x) < _DAY] for one in _own_parts(paths)]
    if any(len(one) != 1 for one in parts):
        return []
    found = [int(one[0]) for one in parts]
    padded = any(str(number) != one[0] for number, one in zip(found, parts, strict=True))
    return [] if (padded or folders) and in_a_row(found) else found


def in_a_row(numbers: Iterable[int]) -> bool:
    """Whether numbers count on from 0 or 1, as those of parts do."""
    known = set(numbers)
    return known in ({*range(len(known))}, {*range(1, len(known) + 1)})


def _own_parts(paths: Iterable[str]) -> list[list[str]]:
    """Folders and name of each path, without the folders that all lie in."""
    parts = [[*Path(path).parts[:-1], stem(Path(path))] for path in paths]
    shared = len(os.path.commonprefix(parts))  # noqa: RUF071 - of lists
    return [one[shared:] for one in parts]


def _own(parts: Sequence[str], all_parts: Sequence[Sequence[str]]) -> list[str]:
    """Parts of a path that not every path has."""
    return [part for part in parts if part and not all(part in one for one in all_parts)]


def _is(name: str, spellings: tuple[str, ...]) -> bool:
    return bool(names.spelling([name.split(" ", 1)[-1]], spellings))


def _names(name: str) -> bool:
    """Whether a column names policies, rather than say which is the base."""
    return _is(name, names.CANONICAL["policy"])


def _says_policy(name: str) -> bool:
    return _names(name) or names.sides(name.split(" ", 1)[-1], boolean=True) is not None


def _chosen(values: pl.Series) -> bool:
    """Whether somebody may have chosen these values, rather than measured or counted them."""
    if values.name.startswith(OTHER) and not _is(values.name, names.SAMPLES):
        return values.n_unique() <= _FEW
    sure = not values.name.startswith(POLICY) or _says_policy(values.name)
    return sure or values.n_unique() <= max(_FEW, len(values) // 4)


def _coded(values: pl.Series) -> Integers:
    """Each value as a number from 0; a missing one has a number too."""
    if values.dtype.is_numeric() and values.n_unique() < 2:
        return np.zeros(len(values), np.int64)
    if values.dtype != pl.Categorical:
        values = values.cast(pl.String).cast(pl.Categorical(pl.Categories.random()))
    return (values.to_physical().cast(pl.Int64) + 1).fill_null(0).to_numpy()


def _within(group: Integers, *codes: Integers) -> Integers:
    """The groups, each taken apart by these values."""
    for one in codes:
        if group.max(initial=0) > 1 << 32:
            group = np.unique(group, return_inverse=True)[1]
        group = group * (one.max(initial=0) + 1) + one
    return group


def _number(codes: Integers) -> int:
    return pl.Series(codes).n_unique()


def _differs(codes: Integers) -> bool:
    return bool((codes != codes[:1]).any())


def _meet(group: Integers, codes: Integers) -> bool:
    """Whether values differ within some of these groups."""
    return _differs(codes) and _number(_within(group, codes)) > _number(group)


def _recur(group: Integers, codes: Integers, *, evenly: bool = False) -> bool:
    """Whether a value stands for several samples of a prompt, mostly, or for nearly as many in each."""
    each = np.unique(_within(group, codes), return_counts=True)[1]
    return 2 * len(each) <= len(codes) and (not evenly or each.max() <= 2 * each.min())


def _tells(name: str, rows: pl.DataFrame, group: Integers, seen: Mapping[str, Integers]) -> bool:
    """Whether a column that differs among samples of a prompt is of policies, not of the samples."""
    if _says_policy(name):
        return True
    if FILE in seen and _number(_within(seen[FILE], seen[name])) == _number(seen[FILE]):
        return True
    named = _is(name, names.LABELS) and not any(
        map(is_base, rows[name].unique().drop_nulls().cast(pl.String))
    )
    return not named and _recur(group, seen[name])


def _counts_samples(step: pl.Series, group: Integers, codes: Integers) -> bool:
    """Whether an epoch is a sample's number, as in evaluations, rather than a pass of training."""
    if not _is(step.name, names.EPOCHS) or (step != step.round()).any():
        return False
    return _number(_within(group, codes)) == len(codes)


def _together(
    group: Integers, seen: Mapping[str, Integers], columns: Iterable[str]
) -> Iterator[tuple[str, str]]:
    """What differs within the samples of a policy, and how that is said."""
    for name in columns:
        if name in seen and _meet(group, seen[name]):
            both = np.unique(_within(group, seen[name])) // (seen[name].max() + 1)
            number = int(np.unique(both, return_counts=True)[1].max())
            bare = name.split(" ", 1)[-1]
            if name == FILE:
                yield name, f"{counted(number, 'source')} together"
            elif name.startswith(STEP) or _recur(group, seen[name], evenly=True):
                sample = _is(name, names.SAMPLES)
                values = f"{number:,} values of {bare} together"
                yield name, f"several rows of one {bare}" if sample else values


def _joined(columns: pl.DataFrame) -> pl.Series:
    """One name per row: the first column's, with that of the next where it takes it."""
    known = columns.unique(maintain_order=True)
    after: dict[tuple[Any, ...], set[Any]] = {}
    for row in known.rows():
        for at, value in enumerate(row):
            after.setdefault(row[:at], set()).add(value)
    found = [
        " ".join(x for at, x in enumerate(row) if x and (not at or len(after[row[:at]]) > 1))
        for row in known.rows()
    ]
    key = known.with_columns(pl.Series("policy", [x or None for x in found], dtype=pl.String))
    joined = columns.join(
        key, on=columns.columns, how="left", nulls_equal=True, maintain_order="left"
    )
    return joined["policy"]
