"""Which column is what: found from names and types alone, before any row is read."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING

from klimit._errors import ArgumentError, DataError
from klimit.rollouts import names
from klimit.rollouts.words import close_to, listing, quoted

if TYPE_CHECKING:
    import polars as pl

Schema = Mapping[str, "pl.DataType"]

PER_TOKEN = ("logprob", "ref_logprob", "kl_rb")
"""What may be a list with an entry per token: it is summed."""

_EXPECTED = "samples were expected: one row per sample with prompt, completion and reward."

_PAIR = re.compile(rf"\b(({'|'.join(names.CANONICAL['completion'])})_?[1a]) .*?\b(\2_?[2b])\b")


@dataclass(frozen=True)
class Layout:
    """Where a table keeps what the verbs need.

    Attributes
    ----------
    keys : candidates for the prompt key, which must all group the rows alike; if given by the
        caller, they are the key together. Empty: a row is a prompt
    kind : "given" by the caller (or a text and how it was put to the model), "id", "text", "weak" (a
        key only if it repeats) or "row"
    columns : canonical name -> the table's own, for what was found beside keys and rewards
    rewards : names of the reward columns
    lists : columns of a wide table that hold one entry per sample
    telling : "step", "policy" -> all columns that may tell them, best first
    beside : columns in which samples of one prompt have to agree: other texts, data sets, scorers
    """

    keys: tuple[str, ...]
    kind: str
    columns: Mapping[str, str] = field(default_factory=dict)
    rewards: tuple[str, ...] = ()
    lists: tuple[str, ...] = ()
    telling: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    beside: tuple[str, ...] = ()

    @property
    def prompt_key(self) -> str:
        """The column that says which samples share a prompt."""
        return self.keys[0] if self.keys else "row"


def detect(
    schema: Schema, *, prompt: Sequence[str] | None = None, reward: Sequence[str] | None = None
) -> Layout:
    """Which column is the prompt key, which are rewards, is a row a sample or a prompt?

    Examples
    --------
    >>> import polars as pl
    >>> found = detect({"question": pl.String(), "score": pl.Float64(), "step": pl.Int64()})
    >>> found.keys, found.rewards, dict(found.columns)
    (('question',), ('score',), {'prompt': 'question', 'step': 'step'})
    """
    if not schema:
        raise DataError("there are no rows; samples with rewards were expected.")
    meant = [
        name if name in schema else names.same_reward(name, schema) or name for name in reward or ()
    ]
    given = _given(meant, schema, "reward") if reward else ()
    rewards = given or open_rewards(schema)
    pair = () if given or names.spelling(schema, names.ANSWERS) else _pair(schema, rewards)
    if pair:
        raise DataError(f"columns {' and '.join(pair)} look like preference pairs; {_EXPECTED}")
    wide = any(_is_list(schema[name]) for name in rewards)
    if wide and not given:
        rewards = tuple(name for name in rewards if _is_list(schema[name]))
    telling = _telling(schema, rewards, wide=wide)
    columns = _canonical(schema, telling["step"], wide=wide)
    keys, kind = _keys(schema, prompt, wide=wide)
    ids = names.spelling(keys, names.PROMPT_IDS)
    lists = tuple(
        name
        for name in dict.fromkeys((*rewards, *columns.values(), *chain(*telling.values()), *ids))
        if wide and _per_sample(schema[name], prompt=name == columns.get("prompt"))
    )
    texts = names.spelling(schema, names.PROMPT_TEXTS)
    sets = (*names.DATASETS, *names.SETS) if kind in ("id", "weak") and not texts else ()
    ways = (*names.SCORES, *names.PARTS, *names.TEMPLATES)
    told = (x for x in names.spelling(schema, (*sets, *ways)) if _tells_apart(x, schema[x]))
    others = (name for name in texts if keys == ("prompt",) and name != "prompt")
    beside = (*others, *told) if keys and kind != "given" else ()
    return Layout(keys, kind, columns, rewards, lists, telling, beside)


def _pair(schema: Schema, rewards: Sequence[str]) -> tuple[str, ...]:
    """Columns of two answers that are compared, where no reward is of one of them."""
    low = [names.plain(name) for name in schema]
    if {"chosen", "rejected"} <= {word for name in low for word in name.split("_")}:
        return "chosen", "rejected"
    own = any(_is_list(schema[x]) or names.plain(x)[-1:] in ("1", "2", "a", "b") for x in rewards)
    found = None if own else _PAIR.search(" ".join(sorted(low)))
    return found.group(1, 3) if found else ()


def _given(asked: Sequence[str], schema: Schema, what: str) -> tuple[str, ...]:
    if not asked:
        raise ArgumentError(
            f"{what}={asked!r} names no column; give a column's name or a list of them."
        )
    for name in asked:
        if name not in schema:
            raise ArgumentError(
                f"{quoted(name)} is no column here; there are {listing(schema)}."
                f"{close_to(name, schema)}"
            )
    return tuple(dict.fromkeys(asked))


def _keys(
    schema: Schema, prompt: Sequence[str] | None, *, wide: bool
) -> tuple[tuple[str, ...], str]:
    if prompt is not None:
        return _given(prompt, schema, "prompt"), "given"
    filled = [name for name in schema if str(schema[name]) != "Null"]
    flat = [name for name in filled if not schema[name].is_nested()]
    entries = [x for x in filled if x != "prompt_ids" and not _inner(schema[x]).is_nested()]
    for kind, candidates, best in (
        ("id", names.spelling(entries if wide else flat, names.PROMPT_IDS), "prompt_id"),
        ("text", names.spelling(filled, names.PROMPT_TEXTS), "prompt"),
        ("text", names.spelling(filled, names.CHATS)[:1], ""),
        ("weak", names.spelling(flat, names.WEAK_IDS)[:1], ""),
    ):
        if kind == "text" and len(candidates) == 1 and not wide:
            ways = names.spelling(flat, names.TEMPLATES)
            if ways:
                return (candidates[0], *ways), "given"
        if best in candidates:  # the canonical name is not one of two equally good
            return (best,), kind
        if candidates:
            return tuple(candidates), kind
    if wide:
        return (), "row"
    if len([name for name in schema if names.plain(name) in names.TRAINER_LOG]) > 1:
        raise DataError(f"the columns look like a trainer's log, a mean per step; {_EXPECTED}")
    raise DataError(
        f"no prompt key: none of the columns {listing(schema)} says which samples share a prompt. "
        "Name it with prompt= (--prompt). Without one nothing is estimated, "
        "since pooling prompts overstates the gain."
    )


def _canonical(schema: Schema, steps: Sequence[str], *, wide: bool) -> dict[str, str]:
    """Canonical name -> column, for everything but keys and rewards."""
    found = {}
    texts = names.spelling(schema, (*names.PROMPT_TEXTS, *names.CHATS))
    if texts:
        found["prompt"] = texts[0]
    for canonical, spellings in names.CANONICAL.items():
        for name in names.spelling(schema, spellings):
            dtype = _inner(schema[name]) if wide else schema[name]
            counts = canonical == "policy" and name in steps  # a checkpoint's number
            if fits(canonical, dtype) and name not in found.values() and not counts:
                found[canonical] = name
                break
    return found


def _telling(schema: Schema, rewards: Sequence[str], *, wide: bool) -> dict[str, tuple[str, ...]]:
    """All columns that may tell the step, or the policy, of a sample."""
    dtypes = {name: _inner(schema[name]) if wide else schema[name] for name in schema}
    steps, policies = (
        [name for name in names.spelling(schema, names.CANONICAL[one]) if fits(one, dtypes[name])]
        for one in ("step", "policy")
    )
    counts = [x for x in names.spelling(schema, names.COUNTS) if dtypes[x].is_numeric()]
    flags = [x for x in schema if sides(x, dtypes[x]) and x not in rewards]
    texts = [x for x in schema if names.may_be_policy(x) and is_text(dtypes[x])]
    policies = [name for name in policies if name not in (*counts, *flags)] + flags
    return {"step": (*steps, *counts), "policy": tuple(dict.fromkeys((*policies, *texts)))}


def fits(canonical: str, dtype: pl.DataType) -> bool:
    """Whether a column of this type can be what its name says."""
    if canonical == "completion":
        return not dtype.is_numeric()
    if canonical in ("step", "policy"):
        return not (dtype.is_nested() or (canonical == "policy" and dtype.is_float()))
    if canonical in PER_TOKEN and dtype is not _inner(dtype):
        return _inner(dtype).is_float()
    return dtype.is_numeric()


def open_rewards(schema: Schema) -> tuple[str, ...]:
    """Numbers and booleans that nothing marks as something else.

    Lists of numbers are rewards of a wide table where their name says so, or where no plain number
    could be a reward: a sample's own list (token ids, embeddings) is none.
    """
    open_ = [x for x in schema if not (names.never_reward(x) or sides(x, _inner(schema[x])))]
    scalars = tuple(name for name in open_ if is_number(schema[name]))
    lists = tuple(name for name in open_ if _is_list(schema[name]))
    named = tuple(name for name in lists if names.names_reward(name))
    if named and not any(names.names_reward(name) for name in scalars):
        return lists
    return scalars or lists


def _per_sample(dtype: pl.DataType, *, prompt: bool) -> bool:
    """Whether a column of a wide table has an entry per sample; messages or tokens are one prompt."""
    inner = _inner(dtype)
    return inner is not dtype and not (prompt and (inner.is_nested() or inner.is_numeric()))


def is_number(dtype: pl.DataType) -> bool:
    """Whether a column of this type can be a reward: numbers, or true and false."""
    return dtype.is_numeric() or str(dtype) == "Boolean"


def could_be_reward(name: str, dtype: pl.DataType) -> bool:
    """Whether a column holds numbers that its name does not mark as something else."""
    return is_number(dtype) and not (names.never_reward(name) or sides(name, dtype))


def sides(name: str, dtype: pl.DataType) -> tuple[str, str] | None:
    """What true and false of a column say of a sample's policy; None where they say nothing."""
    return names.sides(name, boolean=str(dtype) == "Boolean")


def _tells_apart(name: str, dtype: pl.DataType) -> bool:
    return is_text(dtype) or (dtype.is_integer() and names.plain(name) != "turns")


def is_text(dtype: pl.DataType) -> bool:
    """Whether a column of this type holds text."""
    return str(dtype).split("(")[0] in ("String", "Categorical", "Enum")


def _is_list(dtype: pl.DataType) -> bool:
    return _inner(dtype) is not dtype and is_number(_inner(dtype))


def entries(dtype: pl.DataType) -> dict[str, pl.DataType]:
    """What a list of records has in each; empty where it is none."""
    return dict(getattr(getattr(dtype, "inner", None), "to_schema", dict)())


def _inner(dtype: pl.DataType) -> pl.DataType:
    """What a list holds; the type itself where it is no list."""
    inner: pl.DataType = getattr(dtype, "inner", None) or dtype
    return inner
