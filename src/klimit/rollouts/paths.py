"""Paths, globs, folders and lists of them -> files."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePath

from klimit._errors import DataError
from klimit._text import safe
from klimit.rollouts.formats import ENDINGS, JSON, PACKED, by_suffix, suffix
from klimit.rollouts.guard import reading
from klimit.rollouts.sources import SOURCES
from klimit.rollouts.words import close_to, counted, listing, shown

Kind = tuple[str, tuple[str, ...]]


def files(source: str | os.PathLike[str]) -> list[Path]:
    """The files that a path stands for, sorted.

    A folder stands for the data files in it and below; hidden ones are left out, and `.json` files
    (configurations, mostly) count only where there is nothing else. Of a framework's output folder
    only the rollouts count, where they are known by name.
    """
    text = os.fspath(source)
    if not text:
        raise DataError(
            "an empty path was given; a file, folder or glob was expected ('.' is here)."
        )
    name = shown(text)
    if "://" in text:
        raise DataError(f"{name} is an address; a path was expected. Download it first.")
    path = Path(text).expanduser()
    with reading(name):
        if path.is_dir():
            return _in_folder(path)
        if path.exists():
            if not path.is_file():
                raise DataError(f"{name} is no regular file; a file, folder or glob was expected.")
            return [path]
    if not glob.has_magic(text):
        raise _missing(path)
    matches = sorted(Path(match) for match in glob.glob(str(path), recursive=True))  # noqa: PTH207
    found = [match for match in matches if match.is_file()]
    for folder in () if found else matches:
        found += _in_folder(folder)
    if not found:
        raise DataError(f"no file matches {name}; check the pattern from {safe(Path.cwd())}.")
    return _once(found)


def once_each(found: Iterable[Path]) -> list[Path]:
    """The files, of which none is there again by a link: its samples would count twice.

    A file that is there by its own name goes by it, since names may tell the step.
    """
    names: dict[Path, Path] = {}
    for path in sorted(found, key=lambda path: sum(map(Path.is_symlink, (path, *path.parents)))):
        names.setdefault(path.resolve(), path)
    return list(names.values())


def _in_folder(folder: Path) -> list[Path]:
    found = []
    for path in sorted(folder.rglob("*")):
        hidden = any(part.startswith((".", "_")) for part in path.relative_to(folder).parts)
        if by_suffix(path) and not hidden and path.is_file():
            found.append(path)
    found = found or sorted(folder.glob("*.pt"))  # refused, with what to do instead
    if not found:
        inside = listing((path.name for path in sorted(folder.iterdir())), most=4)
        raise DataError(
            f"no rollouts in folder {shown(folder)} (it holds: {inside}); one of these "
            f"was expected: {ENDINGS}, {JSON.suffixes[0]}{PACKED[0]}, ..."
        )
    chosen = _rollouts_in(folder, found)
    return _once([path for path in chosen if suffix(path) != ".json"] or chosen)


def _once(found: list[Path]) -> list[Path]:
    """The files, none of which may be another one in a second format: its samples would count twice."""
    names: dict[Path, Path] = {}
    for path in found:
        other = names.setdefault(path.with_name(stem(path).lower()), path)
        if other != path:
            raise DataError(
                f"{shown(other)} and {safe(path.name, longest=120)} look like one table in "
                "two formats, whose samples would count twice; name one of them, or both one by one."
            )
    return found


def stem(path: PurePath) -> str:
    """The name of a file without what its format and compression add."""
    name = path.name
    for ending in (*PACKED, suffix(path)) if by_suffix(path) else ():
        name = name[: len(name) - len(ending)] if name.lower().endswith(ending) else name
    return name


def _missing(path: Path) -> DataError:
    for part in (path, *path.parents):
        if part.is_symlink() and not part.exists():
            return DataError(
                f"{shown(part)} is a link that leads nowhere; mend it, or name the file itself."
            )
        if part.is_file():
            return DataError(f"no file {shown(path)}: {safe(part.name)} is no folder.")
    folder = path.parent
    while not folder.is_dir() and folder != folder.parent:
        folder = folder.parent
    lost = path.relative_to(folder).parts[0]
    near = close_to(lost, _names(folder))
    where = "here" if folder == Path() else f"in {safe(folder, longest=120)}"
    return DataError(f"no file {shown(path)}: there is no {safe(lost)} {where}.{near}")


def _names(folder: Path) -> Iterable[str]:
    try:
        return [entry.name for entry in folder.iterdir()]
    except OSError:
        return []


def _rollouts_in(folder: Path, found: Sequence[Path]) -> list[Path]:
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
