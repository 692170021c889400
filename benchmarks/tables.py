"""Tables of the documentation, written in one piece."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def write_table(
    path: str, title: str, text: str, head: Sequence[str], rows: Sequence[Sequence[str]]
) -> str:
    """Write a Markdown page of one table, and return it."""
    lines = [f"# {title}", "", text, "", row(head), "|---" * len(head) + "|"]
    return write_page(path, "\n".join([*lines, *map(row, rows)]) + "\n")


def write_page(path: str | Path, page: str) -> str:
    """Write a page whole or not at all, and return it."""
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=target.parent, delete=False) as file:
        file.write(page)
    Path(file.name).chmod(0o644)
    os.replace(file.name, target)
    return page


def row(cells: Sequence[str]) -> str:
    """A row of a Markdown table."""
    return f"| {' | '.join(cells)} |"
