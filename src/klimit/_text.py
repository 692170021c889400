"""Text that came with the data, made fit for a terminal, a log or a page."""

from __future__ import annotations

import unicodedata

_UNSEEN = {
    "Cc",
    "Cf",
    "Cs",
    "Co",
    "Cn",
    "Zl",
    "Zp",
}  # control, format (also right-to-left), surrogates


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
