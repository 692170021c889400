"""A table without a usable reward, and what to do about it."""

from __future__ import annotations

import polars as pl

from klimit._errors import DataError
from klimit._text import safe
from klimit.rollouts import names
from klimit.rollouts.layout import Layout, is_text
from klimit.rollouts.wide import ROW, first_row
from klimit.rollouts.words import listing, quoted


def check_rewards(raw: pl.LazyFrame, layout: Layout, where: str, *, given: bool) -> None:
    """There is a reward, and it holds numbers; `given`: rewards were named, rather than found."""
    schema = raw.collect_schema()
    for name in layout.rewards if given else schema:
        text = is_text(schema[name]) or schema[name] in (pl.Binary, pl.Object)
        if text and (given or names.plain(name) in names.REWARDS):
            _refuse_text(raw, name, where)
    for name in layout.rewards or (one for one in schema if names.plain(one) in names.REWARDS):
        if schema[name].is_nested() and name not in layout.lists:
            raise DataError(
                f"{where}: reward {quoted(name)} holds {safe(schema[name], longest=60)}; "
                "one number per sample was expected. Name a column of numbers with reward=."
            )
    if layout.rewards:
        return
    empty = [
        name for name in schema if schema[name].is_(pl.Null) and names.plain(name) in names.REWARDS
    ]
    if empty:
        raise DataError(
            f"{where}: column {quoted(empty[0])} is empty in every row; at least some rewards were "
            "expected. Check how they were joined or scored, or name another with reward= (--reward)."
        )
    numbers = [name for name in schema if schema[name].is_numeric()]
    instead = f" ({listing(numbers)}: no rewards by their names)" if numbers else ""
    raise DataError(
        f"{where} has no reward column: numbers under a name such as reward or score were "
        f"expected among {listing(schema)}{instead}. Name the column with reward= (--reward), "
        "or read with reward=() and join scores later."
    )


def check_key(raw: pl.LazyFrame, layout: Layout, where: str) -> None:
    """A conversation that was found as the key, and is text, does not end with an answer.

    It may name the model otherwise: in a system prompt, in earlier turns, where its answer is to start.
    """
    schema = raw.collect_schema()
    key = layout.prompt_key
    found = layout.kind == "text" and names.spelling([key], names.CHATS)
    if not found or not is_text(schema[key]) or names.spelling(schema, names.ANSWERS):
        return
    text = pl.col(key).cast(pl.String)
    rest = text.str.extract(f"(?is)^.*(?:{_turn('assistant|gpt')})(.*)$").fill_null("")
    answered = rest.str.replace_all(r"<?\|\w+\|>|<[^>]*>|\b(?:content|value)\b", "").str.contains(
        r"\w"
    )
    answered &= ~rest.str.contains(f"(?i){_turn('user|human|system')}")
    spoken = answered | text.str.contains(r"""(?i)["'](?:assistant|gpt)["']\s*\}\s*\]?\s*$""")
    if row := first_row(raw.select(key), spoken):
        raise DataError(
            f"{where}: {quoted(key)} is text that seems to hold the answers too (row "
            f"{row[ROW] + 1:,}), so it tells samples apart, not prompts. Keep what comes before the "
            f"answer in a column prompt, or give prompt={key!r} (--prompt) to take it as it stands."
        )


def _turn(speakers: str) -> str:
    """A pattern of how a turn starts: `user:`, `"role": "user",`, `<|user|>` or `<|im_start|>user`."""
    return (
        rf"""\b(?:{speakers})\s*:|["'](?:{speakers})["']\s*,|[|>\[<]\s*(?:{speakers})\s*[|>\]\n<]"""
    )


def _refuse_text(raw: pl.LazyFrame, name: str, where: str) -> None:
    number = pl.col(name).cast(pl.String).str.strip_chars().cast(pl.Float64, strict=False)
    rows = raw.select(name).with_row_index(ROW).filter(pl.col(name).is_not_null())
    # text first; then "NaN", and where there is none, a number between quotes
    example = rows.sort(number.is_finite(), maintain_order=True).head(1).collect()
    if not example.height:
        return
    row, value = example.row(0)
    raise DataError(
        f"{where}: reward {quoted(name)} holds text: '{safe(value, longest=40)}' in row "
        f"{row + 1:,}. Numbers were expected (null, or nothing in a CSV file, where one is missing): "
        "convert it, or name another column with reward= (--reward)."
    )
