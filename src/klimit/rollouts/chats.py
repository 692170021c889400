"""A conversation that ends with the model's answer -> what the model was given, and the answer."""

from __future__ import annotations

import polars as pl

from klimit.rollouts import names

_WAYS = (("role", "content"), ("from", "value"))
_MODEL = ("assistant", "gpt", "model", "bot", "tool", "function")
"""Whose turns make up an answer: the model's, and those of the tools that it called."""


def before_the_answer(lazy: pl.LazyFrame) -> pl.LazyFrame:
    """Without the turns that a conversation ends with where they are the model's.

    They differ between samples of one prompt, which the conversation as a whole would tell apart.
    Where the answer has a column of its own, the conversation is what the model was given.

    Examples
    --------
    >>> import polars as pl
    >>> turns = [{"role": "user", "content": "why?"}, {"role": "assistant", "content": "so"}]
    >>> row = before_the_answer(pl.LazyFrame({"messages": [turns]})).collect().row(0, named=True)
    >>> row["messages"], row["completion"]
    ([{'role': 'user', 'content': 'why?'}], 'so')
    """
    schema = lazy.collect_schema()
    if names.spelling(schema, names.ANSWERS):
        return lazy
    for name in names.spelling(schema, names.CHATS):
        fields = dict(getattr(getattr(schema[name], "inner", None), "to_schema", dict)())
        for who, what in _WAYS:
            if fields.get(who) == pl.String and what in fields:
                turn = pl.element()
                given = ~turn.struct.field(who).str.to_lowercase().is_in(_MODEL)
                follows = given.fill_null(value=True).cum_sum(reverse=True) == 0
                before = pl.col(name).list.eval(turn.filter(~follows))
                found = [pl.when(before.list.len() > 0).then(before).alias(name)]
                if fields[what] == pl.String and not names.spelling(
                    schema, names.CANONICAL["completion"]
                ):
                    said = pl.col(name).list.eval(turn.filter(follows).struct.field(what))
                    found.append(said.list.last().alias("completion"))
                return lazy.with_columns(found)
    return lazy
