"""Whose dump is it? One small module per framework, found by columns and by path.

A reader is a `Source`: what it is recognised by, and a function that says what is what. It reads no
files (`klimit.rollouts.formats` does) and estimates nothing. A new one joins `SOURCES`.
"""

from __future__ import annotations

from collections.abc import Iterable

from klimit._errors import DataError
from klimit._text import safe
from klimit.rollouts.sources import (
    batch,
    inspect_log,
    lm_eval,
    ms_swift,
    nemo_rl,
    open_instruct,
    prime_rl,
    reward_bench,
    tinker,
    trl,
    verl,
)
from klimit.rollouts.sources.source import Shaped, Source

__all__ = ["SOURCES", "Shaped", "Source", "recognise"]

SOURCES = (
    *(trl.COMPLETIONS, trl.TABLES, trl.CARD, verl.DUMP),
    *(open_instruct.TRACES, open_instruct.REJECTION, nemo_rl.DATA),
    *(prime_rl.TRACES, prime_rl.EFFECTIVE, prime_rl.PLATFORM, tinker.SUMMARIES),
    *(ms_swift.COMPLETIONS, ms_swift.OLDER),
    *(reward_bench.ANSWERS, reward_bench.PAIRS, reward_bench.BEST_OF_N),
    *(reward_bench.SCORED, reward_bench.MEANS),
    *(inspect_log.LOG, inspect_log.FRAME, lm_eval.SAMPLES, batch.OUTPUT),
)
"""All readers; the first of several that read a table alike gives it its name."""


def recognise(columns: Iterable[str], path: str = "", *, decided: bool = False) -> Source | None:
    """Whose dump has these columns; None where nobody's is known to.

    Parameters
    ----------
    columns : names of the columns, or keys of a record
    path : where the table came from; empty for tables in memory
    decided : whether the caller has named prompt key and reward, so that nothing is open

    Examples
    --------
    >>> recognise(["input", "output", "gts", "score", "step", "acc"]).name
    'verl rollouts'
    >>> recognise(["prompt", "reward"]) is None
    True
    """
    names = list(columns)
    fitting = [source for source in SOURCES if source.fits(names)]
    best = [one for one in fitting if not any(other.beats(one, path) for other in fitting)]
    if not best:
        return None
    others = [one for one in best if not one.reads_like(best[0])]
    if not others:
        return best[0]
    if decided:
        return None
    raise DataError(
        f"{safe(path or 'the table', longest=200)} may be {best[0].name} or {others[0].name}: the "
        "columns of both are there. Name prompt key and reward: prompt= and reward= "
        "(--prompt, --reward)."
    )
