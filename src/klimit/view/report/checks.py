"""What the data are worth: counts, ties, cuts and settings, and whether each should worry anybody."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from klimit.audit.kl.sampling import sampling_notes, truncated_share
from klimit.estimate.best_of_n.ranked import ranked_samples
from klimit.view import words

if TYPE_CHECKING:
    from klimit.estimate.result import Frontier
    from klimit.rollouts import Rollouts

GOOD, MIND, BAD, OPEN = "good", "mind", "bad", "open"
FEW_SAMPLES, FEW_PROMPTS = 16, 20
CUT, REPEATED, MISSING = 0.1, 0.25, 0.05  # shares from which to mind


@dataclass(frozen=True)
class Check:
    """One property of the data.

    Attributes
    ----------
    what : in a word or two
    found : what it is
    verdict : ``"good"``, ``"mind"``, ``"bad"`` or, where nothing tells, ``"open"``
    why : what that does to the numbers, and what to do about it; empty where nothing
    """

    what: str
    found: str
    verdict: str = GOOD
    why: str = ""


def checks(base: Rollouts, limit: Frontier, policies: Mapping[str, Rollouts]) -> tuple[Check, ...]:
    """All checks, in the order in which they are shown."""
    return (
        _prompts(limit),
        _samples(limit),
        _missing(limit),
        _ties(base, limit),
        _sampling(base),
        *_truncated({"the base": base, **policies}),
        *_repeated(base),
        *_same_texts(base),
        *_tail(limit),
    )


def _minded(what: str, found: str, why: str) -> Check:
    """A check that is good unless there is a reason to mind."""
    return Check(what, found, MIND, why) if why else Check(what, found)


def _prompts(limit: Frontier) -> Check:
    seen = limit.samples
    gone = seen.empty + seen.single
    said = f"{seen.prompts:,}"
    if gone:
        said += f" of {seen.total:,}; {gone:,} have too few rewards"
    if limit.settings.prompts == "drawn" and seen.prompts < FEW_PROMPTS:
        why = "Intervals that speak for others like them need 20 prompts or so."
        return Check("Prompts", said, MIND, why)
    return Check("Prompts", said, MIND if gone > MISSING * seen.total else GOOD)


def _samples(limit: Frontier) -> Check:
    counts = limit.samples.counts
    said = words.span(counts)
    said += "" if " to " in said else " each"
    if np.median(counts) < 4:
        return Check("Samples a prompt", said, BAD, "Fewer than 4 give lower bounds only.")
    few = np.median(counts) < FEW_SAMPLES
    why = "16 or more would let the limit be trusted further." if few else ""
    return _minded("Samples a prompt", said, why)


def _missing(limit: Frontier) -> Check:
    missing, used = limit.samples.missing, int(limit.samples.counts.sum())
    total = missing + used + limit.samples.single
    if not missing:
        return Check("Missing rewards", "none")
    share = missing / total
    why = "They are left out, never counted as 0. If they are missing for a reason, what is left is biased."
    verdict = MIND if share < 4 * MISSING else BAD
    return Check("Missing rewards", f"{missing:,} of {total:,} ({_percent(share)})", verdict, why)


def _ties(base: Rollouts, limit: Frontier) -> Check:
    samples = limit.samples
    tied = sum(int(part.runs.ties.sum()) for part in ranked_samples(samples)) / samples.counts.sum()
    levels = base.table.column(limit.reward).n_unique()
    said = f"{_percent(tied)} of the samples share their reward with another of the same prompt"
    if limit.settings.range_implied:
        return Check("Ties", f"rewards are 0 and 1: {said}")
    if tied > 0.5 and levels > 20:
        why = "Ties among many levels: check that the reward is not rounded or clipped."
        return Check("Ties", said, MIND, why)
    return Check("Ties", "none" if tied == 0 else said)


def _sampling(base: Rollouts) -> Check:
    known = base.metadata
    said = ", ".join(
        f"{name.replace('_', '-')} {value:g}" for name, value in known.items()
        if name != "max_tokens" and isinstance(value, int | float)
    )  # fmt: skip
    notes = sampling_notes(base, base=True)
    if notes:
        return Check("Sampling", said or "mixed", BAD, f"{notes[0][0].upper()}{notes[0][1:]}.")
    if "temperature" not in known:
        why = "Not stored: temperature 1 without top-p or top-k is assumed. Anything else is another base."
        return Check("Sampling", said or "not known", MIND, why)
    return Check("Sampling", said)


def _truncated(sides: Mapping[str, Rollouts]) -> Iterable[Check]:
    for name, rollouts in sides.items():
        share = truncated_share(rollouts)
        what = "Cut at the token limit" + ("" if name == "the base" else f", {name}")
        if share is None:
            if name == "the base":
                said = "not known: there is no finish reason, nor tokens and their limit"
                yield Check(what, said, OPEN)
            continue
        limit = rollouts.metadata.get("max_tokens")
        said = f"{_percent(share)} of the samples" + (f" ({limit:,g} tokens)" if limit else "")
        why = "The limit is that of answers cut there; longer ones may score otherwise."
        yield _minded(what, said, why if share > CUT else "")


def _repeated(base: Rollouts) -> Iterable[Check]:
    import polars as pl

    if "completion" not in base.table.names:
        return
    column = base.table.column("completion")
    if column.dtype != pl.String or not column.count():
        return
    keyed = pl.DataFrame({"prompt": base.groups.codes, "text": column.hash(0)})
    share = 1 - keyed.unique().height / keyed.height
    said = f"{_percent(share)} repeat another answer to the same prompt" if share else "none"
    why = "Many answers are alike: the base has little to choose from, or was not sampled at temperature 1."
    yield _minded("Repeated answers", said, why if share > REPEATED else "")


def _same_texts(base: Rollouts) -> Iterable[Check]:
    import polars as pl

    if "prompt" not in base.table.names:
        return
    column = base.table.column("prompt")[base.groups.first]
    if column.dtype != pl.String:
        return
    again = column.count() - column.drop_nulls().n_unique()
    said = words.counted(again, "prompt text") + f" under more than one id (of {len(column):,})"
    why = "Each counts as a prompt of its own, which makes intervals too narrow. Merge them."
    yield _minded("Duplicate prompts", said if again else "none", why if again else "")


def _tail(limit: Frontier) -> Iterable[Check]:
    if limit.tail.heavy:
        why = "High rewards are rare and far apart: the limit may well lie above what these samples show."
        yield Check("Tail of the rewards", "heavy", MIND, why)
    elif limit.samples.scale > 0:
        yield Check("Tail of the rewards", "light")


def _percent(share: float) -> str:
    """A share, two digits where it is small.

    Examples
    --------
    >>> _percent(0.352), _percent(0.00058), _percent(0.0)
    ('35 %', '0.058 %', '0 %')
    """
    return f"{100 * share:.0f} %" if share >= 0.01 or not share else f"{100 * share:.2g} %"
