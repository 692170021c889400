"""Text that came with the data, made fit for a terminal, a log or a page."""

from __future__ import annotations

import unicodedata

# control, format (also right-to-left), surrogates
_UNSEEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def safe(text: object, *, longest: int = 80) -> str:
    r"""Show `text` on one line: what would steer a terminal is spelt out, what is too long is cut.

    The cut is in the middle, since long names tend to begin alike.

    Parameters
    ----------
    text : anything; ``str(text)`` is shown
    longest : characters to keep, the cut included

    Examples
    --------
    >>> safe("quality"), safe("red\x1b[31m\n"), safe("reward-v2-long", longest=10)
    ('quality', 'red\\x1b[31m\\n', 'rew...long')
    """
    whole = str(text)
    if len(whole) > 2 * longest:
        whole = whole[:longest] + whole[-longest:]
    shown = "".join(
        char.encode("unicode_escape").decode("ascii")
        if unicodedata.category(char) in _UNSEEN
        else char
        for char in whole
    )
    if len(shown) <= longest:
        return shown
    begin, end = (longest - 3) // 2, (longest - 2) // 2
    return f"{shown[:begin].rstrip()}...{shown[-end:].lstrip()}"
