"""The completions behind a prompt, side by side: a draw of the base, its best of N, the policies'."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from klimit._text import safe
from klimit.view.report.cleaning import words_of

if TYPE_CHECKING:
    from klimit.rollouts import Rollouts
    from klimit.view.report.findings import Findings

ROOM = 900_000  # bytes of texts on the page
SHORTEST, LONGEST = 600, 4000  # characters of one text
POLICIES = 3  # policies whose texts are shown
WORTH = 250  # prompts that texts are made short for


def side_by_side(found: Findings, places: Sequence[int]) -> dict[str, Any] | None:
    """Texts of as many prompts as there is room for.

    Parameters
    ----------
    places : (rows,) prompts of the table as indices into ``base.ids``, in the order of its rows

    Returns
    -------
    None where the base has no completions; else `sides` (headings), `n`, and `rows`: place in the
        table -> the prompt's text and, for each side, text, reward and tokens
    """
    base, reward = found.base, found.limit.reward
    if "completion" not in base.table.names:
        return None
    ids = [str(found.limit.ids[i]) for i in places]
    n = _size(found)
    shared = {
        safe(name, longest=60): _Side(one, reward)
        for name, one in found.policies.items()
        if {reward, "completion"} <= set(one.table.names) and not set(ids).isdisjoint(one.ids)
    }
    names = list(shared)[:POLICIES]
    sides = [_Side(base, reward), *(shared[name] for name in names)]
    seed = found.limit.settings.seed
    chosen = _by_turns(len(places))
    longest = int(np.clip(ROOM / ((len(sides) + 2) * min(len(places), WORTH)), SHORTEST, LONGEST))
    rows, used = {}, 0
    for at in chosen:
        row = _row(sides, ids[at], n, seed, longest)
        used += sum(len(str(part).encode()) for part in row)
        if used > ROOM:
            break
        rows[at] = row
    return {
        "sides": ["a draw of the base", f"the best of {n:,} draws", *names],
        "n": n,
        "rows": {str(at): rows[at] for at in sorted(rows)},
        "total": len(places),
    }


def _size(found: Findings) -> int:
    """The N that the verdict speaks of, as far as there are samples for it."""
    spends = found.beside.sizes.get(found.focus)
    least = int(found.limit.samples.counts.min())
    return max(min(spends or least, least), 2)


def _by_turns(rows: int) -> list[int]:
    """Which rows get texts first: the top of the table, then evenly over the rest."""
    top = min(rows, 50)
    rest = np.arange(top, rows)
    stride = np.argsort((rest * 0.6180339887) % 1.0, kind="stable")
    return [*range(top), *rest[stride].tolist()]


class _Side:
    """One model's samples, by prompt."""

    def __init__(self, rollouts: Rollouts, reward: str) -> None:
        wanted = ["completion", reward]
        wanted += [name for name in ("tokens", "prompt") if name in rollouts.table.names]
        self.frame = rollouts.table.columns(list(dict.fromkeys(wanted)))
        self.rewards = self.frame[reward].cast(float).fill_null(np.nan).to_numpy()
        codes = rollouts.groups.codes
        self.order = np.argsort(codes, kind="stable")
        self.ends = np.cumsum(np.bincount(codes[codes >= 0], minlength=len(rollouts.ids)))
        self.order = self.order[len(codes) - int(self.ends[-1]) :]
        self.places = {name: at for at, name in enumerate(rollouts.ids)}

    def rows(self, prompt: str) -> list[int]:
        """Rows of a prompt that have a reward, in an order that the file does not decide."""
        at = self.places.get(prompt)
        if at is None:
            return []
        start = 0 if at == 0 else int(self.ends[at - 1])
        rows = [int(i) for i in self.order[start : int(self.ends[at])]]
        rewards = self.rewards[rows]
        texts = [""] * len(rows)
        if len(np.unique(rewards)) < len(rows):  # only ties need more to be told apart by
            texts = list(map(str, self.frame["completion"].gather(rows).to_list()))
        keyed = zip(rewards.tolist(), texts, rows, strict=True)
        return [row for _, _, row in sorted(x for x in keyed if x[0] == x[0])]

    def shown(self, row: int, longest: int) -> list[Any]:
        """Text, reward and tokens of one sample."""
        tokens = self.frame["tokens"][row] if "tokens" in self.frame.columns else None
        text = words_of(_plain(self.frame["completion"][row]), longest)
        return [text, float(f"{self.rewards[row]:.6g}"), None if tokens is None else float(tokens)]


def _row(sides: Sequence[_Side], prompt: str, n: int, seed: int, longest: int) -> list[Any]:
    """The prompt's text, then a draw of each side that the seed decides; None where there is none."""
    base, *policies = sides
    rng = np.random.default_rng([seed, zlib.crc32(prompt.encode("utf-8", "replace"))])
    rows = base.rows(prompt)
    mixed = [rows[i] for i in rng.permutation(len(rows))][:n]
    best = max(mixed, key=lambda row: base.rewards[row], default=None)
    text = None
    if "prompt" in base.frame.columns and rows:
        text = words_of(_plain(base.frame["prompt"][rows[0]]), longest)
    found: list[Any] = [text, base.shown(mixed[0], longest) if mixed else None]
    found.append(None if best is None else base.shown(best, longest))
    for side in policies:
        theirs = side.rows(prompt)
        one = theirs[int(rng.integers(len(theirs)))] if theirs else None
        found.append(None if one is None else side.shown(one, longest))
    return found


def _plain(value: Any) -> Any:
    """Lists of polars as lists of Python."""
    return value.to_list() if hasattr(value, "to_list") else value


def share_shown(texts: Mapping[str, Any] | None) -> str:
    """How many prompts have texts on the page, in words; empty where all have."""
    if texts is None or len(texts["rows"]) >= texts["total"]:
        return ""
    return f"Texts of {len(texts['rows']):,} of {texts['total']:,} prompts are in this file."
