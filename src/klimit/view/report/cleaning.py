"""Texts that came with the data, made fit for a page: they are shown, and they do nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

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
