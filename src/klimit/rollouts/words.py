"""Phrases for messages: lists that stay short, numbers in words, the nearest right spelling."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from klimit._text import safe

UNNAMED = "unnamed"
"""What calls samples that name no policy, or no step, beside others that do."""


def quoted(text: object) -> str:
    r"""A name or a value between quotes, fit for a terminal.

    Examples
    --------
    >>> quoted("a" + chr(27) + "[31m")
    "'a\\x1b[31m'"
    """
    return f"'{safe(text)}'"


def shown(path: object) -> str:
    """A path as messages have it."""
    return safe(path, longest=200)


def listing(items: Iterable[object], *, most: int = 8) -> str:
    """Names with commas, the rest counted.

    Examples
    --------
    >>> listing(["a", "b", "c"]), listing(range(12), most=3)
    ('a, b, c', '0, 1, 2 and 9 more')
    """
    shown = [UNNAMED if item is None else safe(item, longest=60) or "(unnamed)" for item in items]
    if len(shown) <= most + 1:
        return ", ".join(shown) or "none"
    return f"{', '.join(shown[:most])} and {len(shown) - most:,} more"


def counted(number: int, noun: str) -> str:
    """A number with its noun.

    Examples
    --------
    >>> counted(1, "prompt"), counted(2310, "sample")
    ('1 prompt', '2,310 samples')
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def close_to(name: str, known: Iterable[str]) -> str:
    """A sentence that suggests the nearest known names; empty where none is near."""
    near = difflib.get_close_matches(name, list(known), n=2)
    return f" Did you mean {' or '.join(safe(word) for word in near)}?" if near else ""
