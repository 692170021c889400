"""Text that came with the data, made fit for a terminal, a log or a page."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

# control, format (also right-to-left), surrogates
_UNSEEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def safe(text: object, *, longest: int = 80) -> str:
    r"""Show `text` on one line: what would steer a terminal is spelt out, what is too long is cut.

    Parameters
    ----------
    text : anything; ``str(text)`` is shown
    longest : characters to keep, the cut included

    Examples
    --------
    >>> safe("quality"), safe("red\x1b[31m\n"), safe("x" * 100, longest=8)
    ('quality', 'red\\x1b[31m\\n', 'xxxxx...')
    """
    whole = str(text)
    shown = "".join(
        char.encode("unicode_escape").decode("ascii")
        if unicodedata.category(char) in _UNSEEN
        else char
        for char in whole[: longest + 1]
    )
    return shown if len(shown) <= longest else shown[: longest - 3] + "..."


def distinct(names: Sequence[object], *, longest: int = 80) -> list[str]:
    """Names as `safe` shows them; where a cut would make two of them alike, it falls in the middle.

    Examples
    --------
    >>> distinct(["reward-v2-short", "reward-v2-long", "gold"], longest=10)
    ['rew...hort', 'rew...long', 'gold']
    """
    cut = [safe(name, longest=longest) for name in names]
    return [
        one if cut.count(one) == 1 else _middle(str(name), longest)
        for one, name in zip(cut, names, strict=True)
    ]


def _middle(name: str, longest: int) -> str:
    shown = safe(name, longest=len(name) * 10)
    begin, end = (longest - 3) // 2, (longest - 2) // 2
    return shown if len(shown) <= longest else f"{shown[:begin]}...{shown[-end:]}"
