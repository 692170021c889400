"""What a notebook shows of a result: the words of ``str(result)`` as HTML, its table as a table.

All text is escaped; there is no script and nothing is fetched. Colours are those of the page, light
or dark.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from types import ModuleType
from typing import TYPE_CHECKING, Any

from klimit.view import audit as audit_view
from klimit.view import best_of_n as best_of_n_view
from klimit.view import limit as limit_view
from klimit.view import plan as plan_view
from klimit.view.words import sentences

if TYPE_CHECKING:
    from klimit.audit import Audit
    from klimit.estimate.best_of_n import BestOfN
    from klimit.estimate.plan import Plan
    from klimit.estimate.result import Frontier

CELL = (
    "text-align:left;padding:.15em 1.2em .15em 0;white-space:nowrap;background:none;color:inherit"
)


def limit(found: Frontier) -> str:
    """The verdict, the table of budgets and the notes."""
    kl = limit_view.budgets(found)
    parts = [words(limit_view.verdict(found, kl))]
    if found.samples.scale > 0:
        parts += [table(*limit_view.cells(found, kl)), small(limit_view.legend(found))]
    return page([*parts, *notes(limit_view.notes(found))])


def best_of_n(found: BestOfN) -> str:
    """The verdict, a row per N and the notes."""
    return _whole(best_of_n_view, found)


def audits(placements: Sequence[Audit]) -> str:
    """The verdict, a row per placement and the notes."""
    return _whole(audit_view, placements)


def _whole(view: ModuleType, found: Any) -> str:
    parts = [words(view.verdict(found)), table(*view.cells(found)), small(view.legend(found))]
    return page([*parts, *notes(view.notes(found))])


def plan(found: Plan) -> str:
    """The verdict, what to type in each trainer, and the notes."""
    typed = "\n\n".join(escape(part) for part in plan_view.settings(found).split("\n\n") if part)
    parts = [words(plan_view.verdict(found))]
    if typed:
        parts.append(
            f"<details><summary>What to type in each trainer</summary><pre "
            f'style="background:none;color:inherit">{typed}</pre></details>'
        )
    return page([*parts, *notes(found.notes)])


def text(said: str) -> str:
    """Any other result from its own words: a verdict, tables that are indented, remarks."""
    verdict, *rest = said.split("\n\n")
    parts = [words(verdict)]
    for part in rest:
        plain = f'<pre style="background:none;color:inherit">{escape(part)}</pre>'
        parts.append(plain if part.startswith("  ") else small(part))
    return page(parts)


def page(parts: Sequence[str]) -> str:
    """The parts as one fragment."""
    return f'<div class="klimit" style="max-width:60em">{"".join(parts)}</div>'


def words(text: str) -> str:
    """Lines of a verdict, the first one in bold; lines that continue a sentence go on with it."""
    first, *rest = sentences(text)
    lines = [f"<b>{escape(first)}</b>", *map(escape, rest)]
    return f"<p>{'<br>'.join(lines)}</p>"


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A plain table."""
    head = "".join(f'<th style="{CELL}">{escape(cell)}</th>' for cell in headings)
    lines = ("".join(f'<td style="{CELL}">{escape(cell)}</td>' for cell in row) for row in rows)
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    return f'<table style="font-size:inherit"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'


def small(text: str) -> str:
    """What columns mean, or a note."""
    return f'<p style="font-size:.9em;opacity:.8">{escape(" ".join(text.split()))}</p>'


def notes(lines: Sequence[str]) -> list[str]:
    """Notes under a result."""
    return [small(f"note: {line}") for line in lines]
