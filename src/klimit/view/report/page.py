"""From findings to one HTML file, and the policy that keeps it from fetching or running anything else."""

from __future__ import annotations

import base64
import hashlib
import math
import platform
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from klimit._errors import KlimitError
from klimit._text import safe
from klimit.audit.audits import SIZES
from klimit.view import audit as audit_view
from klimit.view import colours, words
from klimit.view import hacking as hacking_view
from klimit.view import limit as limit_view
from klimit.view.best_of_n import at, each
from klimit.view.report import budget, small_charts
from klimit.view.report.advice import steps
from klimit.view.report.chart import pixels
from klimit.view.report.findings import verdicts
from klimit.view.report.frontier_chart import frontier_chart, largest_kl
from klimit.view.report.gold import gold_section
from klimit.view.report.prompts import SATURATED, table
from klimit.view.report.texts import as_script, clean, share_shown, side_by_side

if TYPE_CHECKING:
    from jinja2 import Environment

    from klimit.estimate.best_of_n import BestOfN
    from klimit.estimate.result import Frontier
    from klimit.view.report import Made
    from klimit.view.report.findings import Findings


SCRIPTS = ("words.js", "budget.js", "prompts.js", "folded.js")


def page(found: Findings, made: Made) -> str:
    """Write the page: what was found, and how the page came about."""
    limit, audits = found.limit, found.audits
    flat = limit.samples.scale == 0
    sizes = [n for n in found.beside.sizes.values() if n is not None]
    grid = {} if flat else budget.grid(limit, largest_kl(found), found.budgets, sizes)
    rows = table(found)
    texts = side_by_side(found, rows.pop("places"))
    context = {
        **_head((*SCRIPTS, "live.js") if made.live else SCRIPTS, live=bool(made.live)),
        "live": bool(made.live),
        "title": f"klimit report: {safe(limit.reward, longest=60)}",
        "reward": safe(limit.reward, longest=60),
        "read": list(made.read),
        "verdicts": verdicts(found),
        "notes": _notes(found),
        "steps": steps(found, f"{made.source} {found.chosen}".strip() if made.source else ""),
        "flat": flat,
        "focus": found.focus,
        "at_focus": words.nats(found.focus),
        "now": {} if flat else _now(found),
        "level": words.level(limit.settings.level),
        "charts": _charts(found, grid, rows),
        "limit_table": limit_view.cells(limit, found.budgets, found.beside.shown),
        "limit_legend": limit_view.legend(limit),
        "audit_table": audit_view.cells(audits, _few(found.beside.best)) if audits else None,
        "audit_legend": audit_view.legend(audits) if audits else "",
        "rewards": _reward_rows(found),
        "unshown": _unshown(found),
        "gold": gold_section(found.hack, found.gold),
        "prompts": rows,
        "first": rows["rows"][:20],
        "saturated": SATURATED,
        "texts": texts,
        "texts_shown": share_shown(texts),
        "checks": found.checks,
        "settled": "" if found.convergence is None else small_charts.settled(found.convergence),
        "sources": sources(made.paths),
        "versions": versions(),
        "settings": _settings(found),
        "command": made.command,
        "data": as_script(_data(found, grid, rows, texts, made.live)),
    }
    return _rendered("page.html", context)


def waiting_page(status: str) -> str:
    """The live page before anything is read."""
    context = {
        **_head(("words.js", "live.js"), live=True),
        "status": status,
        "data": as_script({"schema": "klimit.report/1", "version": "waiting"}),
    }
    return _rendered("waiting.html", context)


def _head(scripts: Sequence[str], *, live: bool) -> dict[str, str]:
    """Scripts, style and the policy that admits just these."""
    script = "\n".join(map(asset, scripts))
    style = f"{_palette()}\n{asset('page.css')}"
    policy = content_policy(script=script, style=style, live=live)
    return {"policy": policy, "script": script, "style": style}


@cache
def asset(name: str) -> str:
    """A script or a style of the package."""
    return files("klimit.view.report").joinpath("assets", name).read_text(encoding="utf-8")


def _rendered(name: str, context: dict[str, Any]) -> str:
    html: str = _environment().get_template(name).render(context)
    return html


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    found = Environment(
        loader=PackageLoader("klimit.view.report"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, finalize=_shown,
    )  # fmt: skip
    found.filters |= {
        "px": pixels,
        "cell": _cell,
        "kilobytes": _kilobytes,
        "together": words.together,
    }
    return found


def _shown(value: Any) -> Any:
    """What the data say is cleaned; our own markup is left alone."""
    return clean(value) if type(value) is str else value


def _cell(value: Any, key: str) -> str:
    """A cell of the table of prompts, as the page's script would write it."""
    if value is None:
        return "-"
    if key == "share":
        return f"{100 * value:.{value < 0.1:d}f} %"
    if isinstance(value, float):
        value = float(f"{value * (1 + 1e-12):.3g}")  # halves up
    return value if isinstance(value, str) else f"{value:,.12g}"


def _kilobytes(size: int) -> str:
    return f"{size / 1000:,.0f} kB" if size < 10_000_000 else f"{size / 1e6:,.0f} MB"


def _palette() -> str:
    """Colours of both kinds of paper as custom properties."""

    def rules(one: colours.Palette) -> str:
        named = {name: getattr(one, name) for name in ("paper", "ink", "quiet", "grid", "limit")}
        named |= {"best": one.best_of_n, **{f"policy-{i}": one.policy(i) for i in range(4)}}
        return "".join(f"--{name}:{value};" for name, value in named.items())

    dark = f"@media screen and (prefers-color-scheme: dark) {{:root{{{rules(colours.DARK)}}}}}"
    return f":root{{{rules(colours.LIGHT)}}}\n{dark}"


def _notes(found: Findings) -> list[str]:
    from klimit.estimate.proxy import Hacking

    said = [*limit_view.notes(found.limit), *found.beside.notes]
    if found.audits:
        said += audit_view.notes(found.audits)
    if isinstance(found.hack, Hacking):
        said += hacking_view.notes(found.hack)
    notes = dict.fromkeys(filter(None, [*found.notes, *said]))
    return [
        f"{line[0].upper()}{line[1:]}{'' if line.endswith(('.', '!', '?')) else '.'}"
        for line in notes
    ]


def _charts(found: Findings, grid: dict[str, Any], rows: dict[str, Any]) -> dict[str, Any]:
    if not grid:
        return {"frontier": [], "steps": [], "prompts": None, "convergence": None, "rewards": None}
    keys = [column["key"] for column in rows["columns"]]
    gains = [row[keys.index("gain")] for row in rows["rows"]]
    label = colours.gain(found.limit.reward, objective=found.limit.settings.objective)
    others = [one for one in found.others if one.limit.samples.scale > 0]
    return {
        "frontier": [frontier_chart(found, grid, narrow=narrow) for narrow in (False, True)],
        "steps": small_charts.over_steps(found),
        "prompts": small_charts.across_prompts([x or 0.0 for x in gains], found.focus, label)
        if len(gains) >= 8 else None,
        "convergence": None if found.convergence is None else small_charts.converging(found.convergence),
        "rewards": small_charts.reward_lines(found.limit, others, grid["kl"][-1]) if others else None,
    }  # fmt: skip


def _now(found: Findings) -> dict[str, str]:
    """What the budget control shows where it starts; the page's script says the same."""
    limit, kl = found.limit, found.focus
    gain, beta = limit.gain(kl), limit.beta(kl)
    if gain.trusted:
        mean = f"mean {limit_view.ends(limit.base_reward, gain)}"
        needed, trust = "enough", "trusted at this KL"
    else:
        mean, samples = "beyond what these samples show", limit.samples_needed(kl)
        needed = f"about {samples:,}" if samples <= limit_view.MOST_SAMPLES else "over a million"
        needed = "none would do" if limit.exhausted(kl) else needed
        trust = f"trusted up to {_reach(limit)}" if limit.trusted_kl > 0 else "no KL is trusted yet"
    return {
        "gain": words.plain(gain),
        "mean": mean,
        "beta": words.short(beta.value) if beta.trusted and beta.value > 0 else "-",
        "n": found.beside.shown.get(kl, "-"),
        "needed": needed,
        "trust": trust,
    }


def _few(best: BestOfN | None) -> BestOfN | None:
    """Best-of-N at the sizes that people know."""
    if best is None:
        return None
    keep = np.flatnonzero(np.isin(best.n, SIZES))
    return at(best, keep) if keep.size else None


def _reward_rows(found: Findings) -> list[list[str]]:
    """A row per reward: base mean, its own limit, and what best-of-N of the main one does to it."""
    if not found.others:
        return []
    kl, limit = found.focus, found.limit
    sizes = each(found.beside.best)
    last = max((place for place, one in enumerate(sizes) if one.n <= 16), default=0)
    gained = words.signed(sizes[last].gain) if sizes else ""
    rows = [_reward_row(limit.reward, limit, words.plain(limit.gain(kl)), gained)]
    for one in found.others:
        moved = "-" if one.moved is None else words.signed(one.moved.gain[last])
        own = "-" if one.limit.samples.scale == 0 else words.plain(one.limit.gain(kl))
        rows.append(_reward_row(one.name, one.limit, own, moved))
    n = f"{sizes[last].n:,}" if sizes else "N"
    return [[f"best-of-{n} by {safe(limit.reward, longest=20)}"], *rows]


def _unshown(found: Findings) -> str:
    """Rewards that do not stand side by side, where some do."""
    shown = {found.limit.reward, *(one.name for one in found.others)}
    left = [safe(name, longest=40) for name in found.base.rewards if name not in shown]
    return words.listed(left) if found.others else ""


def _reward_row(name: str, limit: Frontier, gain: str, moved: str) -> list[str]:
    spread = limit.samples.scale / math.sqrt(max(limit.samples.prompts, 1))
    mean = words.fixed(limit.base_reward, words.decimals(spread))
    return [safe(name, longest=40), mean, gain, _reach(limit), moved]


def _reach(limit: Frontier) -> str:
    if not math.isfinite(limit.trusted_kl):
        return "-"
    return words.nats(limit.trusted_kl, down=True) if limit.trusted_kl > 0 else "nothing yet"


def _settings(found: Findings) -> list[tuple[str, str]]:
    one = found.limit.settings
    pairs = [("seed", str(one.seed)), ("intervals", words.level(one.level)), ("prompts", one.prompts),
             ("estimator", one.estimator)]  # fmt: skip
    if one.reward_range is not None:
        implied = ", implied by 0/1 rewards" if one.range_implied else ""
        pairs.append(
            ("rewards", f"from {one.reward_range[0]:g} to {one.reward_range[1]:g}{implied}")
        )
    return pairs


def _data(
    found: Findings, grid: dict[str, Any], rows: dict[str, Any], texts: Any, live: str
) -> dict[str, Any]:
    limit = found.limit
    return {
        "schema": "klimit.report/1",
        "version": live,
        "reward": colours.unit(limit.reward, objective=limit.settings.objective),
        "level": limit.settings.level,
        "base": limit.base_reward,
        "focus": found.focus,
        "grid": grid or None,
        "prompts": rows,
        "texts": texts,
    }


def content_policy(*, script: str, style: str, live: bool) -> str:
    """A Content-Security-Policy that admits this script and this style by their hash.

    Parameters
    ----------
    live : whether the page may ask the server that it came from for news
    """
    rules = {
        "default-src": "'none'",
        "script-src": _hashed(script),
        "style-src": _hashed(style),
        "img-src": "data:",
        "connect-src": "'self'" if live else "'none'",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    return "; ".join(f"{name} {admitted}" for name, admitted in rules.items())


def _hashed(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


LIBRARIES = ("numpy", "scipy", "polars", "jinja2")
MOST_BYTES = 2**30  # past that, files are named without a hash


@dataclass(frozen=True)
class Source:
    """One path that was read.

    Attributes
    ----------
    name : as it was typed
    files, size : how many files, and their bytes
    sha256 : of the file, or of the files one after the other; empty where there are too many bytes
    """

    name: str
    files: int
    size: int
    sha256: str


def sources(paths: Iterable[str]) -> list[Source]:
    """What is on disk under these paths; those that stand for no file are left out."""
    from klimit.rollouts.paths import files

    found = []
    for path in dict.fromkeys(paths):
        try:
            inside = files(path)
            size = sum(one.stat().st_size for one in inside)
            digest = _hash(inside) if size <= MOST_BYTES else ""
        except (KlimitError, OSError):
            continue
        found.append(Source(safe(path, longest=200), len(inside), size, digest))
    return found


def _hash(paths: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            while block := file.read(2**20):
                digest.update(block)
    return digest.hexdigest()


def versions() -> list[tuple[str, str]]:
    """klimit, Python and the libraries that the numbers depend on."""
    import klimit

    found = [("klimit", klimit.__version__), ("Python", platform.python_version())]
    for name in LIBRARIES:
        try:
            found.append((name, version(name)))
        except PackageNotFoundError:
            continue
    return found
