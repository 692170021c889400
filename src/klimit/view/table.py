"""A table that stays readable in a terminal, a log and an e-mail."""

from __future__ import annotations

from collections.abc import Sequence


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Lay cells out in columns, left-aligned, two spaces in.

    Examples
    --------
    >>> print(table(["KL", "gain"], [["0.5", "0.57 [0.54, 0.60]"], ["1", "at least 0.80"]]))
      KL     gain
      0.5    0.57 [0.54, 0.60]
      1      at least 0.80
    """
    lines = [list(headings), *map(list, rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(headings))]
    return "\n".join(
        "  "
        + "    ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )
