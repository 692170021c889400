"""Ids against texts: one prompt under two ids is merged, two prompts under one id are an error."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import polars as pl

from klimit._errors import DataError, warn
from klimit.rollouts import names
from klimit.rollouts.grouped import Integers
from klimit.rollouts.keys import TEXT, Groups
from klimit.rollouts.policies import FILE
from klimit.rollouts.words import counted, quoted

# Words of columns that say something of the prompt, not of the sample. Asked only where every id
# has one row, so that no other sign tells the two apart.
_OF_PROMPT = names.words(
    """
    task dataset source category topic domain subject system reference target gold answer truth
    language lang type kind tag tags stratum metadata difficulty level split temperature top max
    """
)


def other_texts(found: Groups, text: pl.Series) -> Integers:
    """Rows whose prompt text differs from the one that their id began with."""
    hashes, missing = text.fill_null(0).to_numpy(), text.is_null().to_numpy()
    first = found.first[found.codes]
    differs = (hashes != hashes[first]) & ~missing & ~missing[first] & (found.codes >= 0)
    return np.flatnonzero(differs)


def recycled(found: Groups, core: pl.DataFrame) -> bool:
    """Whether ids name one prompt each within a step (policy, file), and another in the next."""
    within = [name for name in ("policy", "step", FILE) if name in core.columns]
    if not within:
        return False
    per = core.select(pl.Series("__code", found.codes), *within, TEXT).group_by("__code", *within)
    return bool(per.agg(pl.col(TEXT).drop_nulls().n_unique() <= 1)[TEXT].all())


def same_text(found: Groups, text: pl.Series) -> list[Integers]:
    """Sets of prompts that share one text, each in order of appearance."""
    hashes = text.fill_null(0).to_numpy()[found.first]
    prompts = np.flatnonzero(~text.is_null().to_numpy()[found.first])
    order = prompts[np.argsort(hashes[prompts], kind="stable")]
    sets = np.split(order, np.flatnonzero(np.diff(hashes[order])) + 1)
    return [twins for twins in sets if len(twins) > 1]


def check_alike(
    key: pl.Series,
    found: Groups,
    twins: list[Integers],
    columns: Iterable[pl.Series],
    *,
    source: str,
) -> None:
    """Twins may be merged only if what is known of the prompts does not differ."""
    of = np.full(len(found) + 1, -1)  # the last place is that of -1, rows without a prompt
    for at, several in enumerate(twins):
        of[several] = at
    involved = of[found.codes] >= 0
    codes = found.codes[involved]
    single = len(np.unique(codes)) == len(codes)
    for column in columns:
        values = column.filter(involved)
        if values.null_count() == len(values) or (single and not _of_prompt(column.name)):
            continue
        rows = pl.DataFrame({"twins": of[codes], "code": codes, "value": values.rank("dense")})
        value = pl.col("value")
        ids = rows.drop_nulls().group_by("twins", "code").agg(value.max(), low=value.min())
        if (ids["low"] < ids["value"]).any():
            continue  # it varies between samples of one prompt: it says nothing of the prompt
        odd = ids.filter(value.n_unique().over("twins") > 1).sort("twins", "value", "code")
        if odd.height:
            odd = odd.filter(pl.col("twins") == odd["twins"][0]).unique(
                "value", keep="first", maintain_order=True
            )
            one, two = sorted(int(found.first[odd["code"][at]]) for at in (0, -1))
            first, other = map(quoted, key[[one, two]].cast(str))
            raise DataError(
                f"{source}: one prompt text stands under two ids that differ in "
                f"{quoted(column.name)}: {first} has {quoted(column[one])}, "
                f"{other} has {quoted(column[two])}. Say whether they are one prompt: "
                "prompt='prompt' groups by text, prompt='prompt_id' by id "
                "(with the names of your columns)."
            )


def merged(key: pl.Series, found: Groups, twins: list[Integers], *, source: str) -> pl.Series:
    """The key with every set of twins under its first id, and a warning that says so."""
    stands_for = np.arange(len(found))
    for several in twins:
        stands_for[several] = several[0]
    ids = key[found.first[twins[0][:2]].tolist()].cast(str).to_list()
    warn(
        f"{source}: {counted(len(twins), 'prompt text')} under more than one id "
        f"(such as {quoted(ids[0])} and {quoted(ids[1])}): merged, each is one prompt. "
        "Give prompt= to keep the ids apart."
    )
    rows = np.where(found.codes >= 0, found.first[stands_for[found.codes]], np.arange(len(key)))
    return key[rows]


def _of_prompt(name: str) -> bool:
    return bool(set(names.plain(name).split("_")) & _OF_PROMPT)
