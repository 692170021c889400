"""Which files of a folder are the rollouts, where a framework writes more than these."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from klimit._errors import DataError
from klimit._text import safe
from klimit.rollouts.sources import SOURCES
from klimit.rollouts.words import counted

Kind = tuple[str, tuple[str, ...]]


def rollouts_in(folder: Path, found: Sequence[Path]) -> list[Path]:
    """Of a folder's files those whose names say that they are rollouts; all where none says so."""
    kinds: dict[Kind, list[Path]] = {}
    for path in found:
        kind = _kind(path.relative_to(folder).as_posix())
        if kind:
            kinds.setdefault(kind, []).append(path)
    there = {name for name, _ in kinds}
    needless = {one.name for one in SOURCES if one.yields_to in there}
    kinds = {kind: paths for kind, paths in kinds.items() if kind[0] not in needless}
    if not kinds:
        return list(found)
    if len(kinds) > 1:
        raise never_together(list(kinds.values()), [name for name, _ in kinds])
    return next(iter(kinds.values()))


def never_together(files: Sequence[Sequence[Path]], names: Sequence[str]) -> DataError:
    """The error that names two kinds of files, and the patterns that choose one of them."""
    patterns = [f"'{safe(_pattern(paths[0]), longest=160)}'" for paths in files[:2]]
    held = [
        f"{counted(len(paths), 'file')} of {name}"
        for paths, name in zip(files[:2], names, strict=False)
    ]
    more = f" (and {len(files) - 2:,} more kinds)" if len(files) > 2 else ""
    return DataError(
        f"found {held[0]} at {patterns[0]} and {held[1]} at {patterns[1]}{more}: they are never "
        "read together. Give one of these patterns."
    )


def _kind(path: str) -> Kind | None:
    for source in SOURCES:
        part = source.part(path) if source.distinct else None
        if part is not None:
            return source.name, part
    return None


def _pattern(path: Path) -> str:
    """A glob for a file and its like: `val_data_step12.jsonl` -> `val_data_step*.jsonl`."""
    named = re.sub(r"\d+", "*", path.name)
    parent = re.sub(r"(step|iteration)_\d+", r"\1_*", path.parent.as_posix())
    return f"{parent}/{named}" if parent != "." else named
