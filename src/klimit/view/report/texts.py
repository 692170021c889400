"""Texts that came with the data, made fit for a page, and the completions behind a prompt side by side."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from klimit._text import safe

if TYPE_CHECKING:
    from klimit.rollouts import Rollouts
    from klimit.view.report.findings import Findings


LONGEST = 4000  # characters of one text

# A null and what is no character show as the replacement sign, other controls as their pictures.
_SIGNS: dict[int, str | int] = {code: 0x2400 + code for code in range(1, 0x20)}
_SIGNS |= dict.fromkeys([0, *range(0x80, 0xA0), *range(0xD800, 0xE000), 0xFFFE, 0xFFFF], 0xFFFD)
_SIGNS |= {0x7F: 0x2421}
for _kept in (0x09, 0x0A):
    del _SIGNS[_kept]


def clean(text: str) -> str:
    r"""`text` with every control character visible; line ends and tabs stay.

    Examples
    --------
    >>> clean("\x1b[31mred"), clean("one\r\ntwo"), clean("a\0b") == "a\ufffdb"
    ('␛[31mred', 'one\ntwo', True)
    """
    return text.replace("\r\n", "\n").replace("\r", "\n").translate(_SIGNS)


def cut(text: str, longest: int = LONGEST) -> str:
    r"""The start of a text, cleaned, and a last line that says how much is not shown.

    Examples
    --------
    >>> cut("short"), cut("x" * 2_000_000, 4)
    ('short', 'xxxx\n... 1,999,996 more characters are not shown.')
    """
    shown = clean(text[:longest])
    rest = len(text) - longest
    return shown if rest <= 0 else f"{shown}\n... {rest:,} more characters are not shown."


def words_of(value: Any, longest: int = LONGEST) -> str | None:
    """A prompt or a completion as text; chats as ``role: content``, a turn per paragraph.

    Examples
    --------
    >>> words_of([{"role": "user", "content": "2 + 2?"}])
    'user: 2 + 2?'
    """
    if value is None or isinstance(value, str):
        return None if value is None else cut(value, longest)
    if isinstance(value, list) and value and all(_is_turn(turn) for turn in value):
        return cut("\n\n".join(f"{turn['role']}: {turn['content']}" for turn in value), longest)
    return cut(json.dumps(value, ensure_ascii=False, default=str), longest)


def _is_turn(turn: Any) -> bool:
    return isinstance(turn, Mapping) and isinstance(turn.get("content"), str) and "role" in turn


def as_script(value: Any) -> str:
    r"""JSON that can stand in a script element: nothing in it can end the element or start another.

    Examples
    --------
    >>> as_script({"said": "</script><script>"})
    '{"said":"\\u003c/script>\\u003cscript>"}'
    """
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for sign in "<\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text


ROOM = 900_000  # bytes of texts on the page
SHORTEST = 600  # characters of one text, where there are many
POLICIES = 3  # policies whose texts are shown
WORTH = 250  # prompts that texts are made short for


def side_by_side(found: Findings, places: Sequence[int]) -> dict[str, Any] | None:
    """Texts of as many prompts as have room.

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
        self.order = rollouts.groups.order
        self.codes = rollouts.groups.codes[self.order]
        self.places = {name: at for at, name in enumerate(rollouts.ids)}

    def rows(self, prompt: str) -> list[int]:
        """Rows of a prompt with a reward, in an order that the file does not decide."""
        at = self.places.get(prompt)
        if at is None:
            return []
        start, end = np.searchsorted(self.codes, [at, at + 1])
        rows = self.order[start:end].tolist()
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
