"""Tables as they were scanned -> tables under canonical names, by the reader that knows them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from klimit._errors import DataError
from klimit._text import safe
from klimit.rollouts.paths import never_together
from klimit.rollouts.records import from_records
from klimit.rollouts.sources import recognise
from klimit.rollouts.sources.source import Shaped, Source
from klimit.rollouts.table import Scan

Given = tuple[str, ...] | None


@dataclass(frozen=True)
class Dump:
    """What is to be read.

    Attributes
    ----------
    tables : source -> its table
    prompt, reward : columns that are the key and the rewards, by the caller or by the reader; None
        where they are still to be found
    functions, unique : see `Shaped`
    read_as : the reader's name; empty where none knows the dump
    called : per table the part of its name that tells policies; None where no reader knows the names
    """

    tables: Mapping[str, Scan]
    prompt: Given
    reward: Given
    functions: tuple[str, ...] = ()
    unique: str = ""
    read_as: str = ""
    called: tuple[str, ...] | None = None


def shaped(scans: Mapping[str, Scan], prompt: Given, reward: Given) -> Dump:
    """Every table by the one reader that knows them all; as they are where none does."""
    decided = prompt is not None and reward is not None
    known = {name: _source(scan, name, decided=decided) for name, scan in scans.items()}
    (first, source), *others = known.items()
    for name, other in others:
        if other is not source and not (source and other and source.reads_like(other)):
            what = [one.name if one else "rows that no reader knows" for one in (source, other)]
            raise DataError(
                f"{safe(first, longest=120)} and {safe(name, longest=120)} do not belong together: "
                f"{' and '.join(what)}. Read them one by one, or choose files with a narrower path."
            )
    if source is None:
        return Dump(scans, prompt, reward)
    kept = _once(source, list(scans))
    tables = {name: _shape(source, scans[name], name) for name in kept}
    one = next(iter(tables.values()))
    return Dump(
        {name: replace(scans[name], lazy=found.lazy) for name, found in tables.items()},
        prompt if prompt is not None else one.keys or None,
        reward if reward is not None else one.rewards,
        one.functions,
        one.unique,
        source.name,
        tuple(source.group("policy", path) or "" for path in kept)
        if all(source.part(path) is not None for path in kept)
        else None,
    )


def _source(scan: Scan, path: str, *, decided: bool) -> Source | None:
    if scan.source or "rewards" in scan.metadata:  # the latter: written by klimit itself
        return scan.source
    return recognise(scan.lazy.collect_schema(), path, decided=decided)


def _shape(source: Source, scan: Scan, path: str) -> Shaped:
    lazy = scan.lazy
    if source.rows and scan.source is None:  # no file that was parsed for this reader
        records = lazy.collect().iter_rows(named=True)
        lazy = from_records(list(source.rows(records, path))).lazy()
    return source.shape(lazy, path)


def _once(source: Source, paths: list[str]) -> list[str]:
    """The files to read: one of each content, and of one part of one run."""
    parts: dict[tuple[str, ...], list[Path]] = {}
    for path in paths:
        part = source.part(path)
        if part is not None:
            parts.setdefault(part, []).append(Path(path))
    if len(parts) > 1:
        raise never_together(list(parts.values()), [source.name] * len(parts))
    digests = [source.group("digest", path) or path for path in paths]
    first_of = dict(zip(reversed(digests), reversed(paths), strict=True))
    return [path for path, one in zip(paths, digests, strict=True) if first_of[one] == path]
