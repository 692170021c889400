"""Inspect's `.eval`: a zip archive whose summaries hold what is needed of every sample."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from klimit._errors import DataError, warn
from klimit._text import safe
from klimit.rollouts.formats.archive import Archive
from klimit.rollouts.formats.jsonlines import scan_log
from klimit.rollouts.table import Scan

_JOURNAL = re.compile(r"^_journal/summaries/(\d+)\.json$")
_SAMPLE = re.compile(r"^samples/.+\.json$")


def scan(path: Path, care: int = 0) -> Scan:
    """The samples of one log; transcripts stay unread unless nothing else is there."""
    archive = Archive(path)
    header = _header(archive)
    status = header.get("status", "started")
    if status != "success":
        warn(
            f"{archive.name} is the log of an evaluation that did not finish (status "
            f"{safe(status, longest=20)}): the samples that it has are read."
        )
    return scan_log(_summaries(archive), header)


def _header(archive: Archive) -> Mapping[str, Any]:
    for name in ("header.json", "_journal/start.json"):
        if name in archive:
            found = _parsed(archive, name)
            if isinstance(found, dict):
                return found
    raise DataError(f"{archive.name} is no Inspect log: header.json is missing.")


def _summaries(archive: Archive) -> Iterator[dict[str, Any]]:
    """Those of the whole log, else of its journal (it was cut off), else of the samples (old)."""
    journal = {int(match[1]): name for name in archive.members if (match := _JOURNAL.match(name))}
    if "summaries.json" in archive:
        parts: Iterable[Any] = [_parsed(archive, "summaries.json")]
    elif journal:
        parts = (_parsed(archive, journal[at]) for at in sorted(journal))
    else:
        samples = sorted(name for name in archive.members if _SAMPLE.match(name))
        parts = ([_parsed(archive, name)] for name in samples)
    found = 0
    for part in parts:
        if not isinstance(part, list) or not all(isinstance(one, dict) for one in part):
            raise DataError(f"{archive.name}: its summaries are no list of samples.")
        found += len(part)
        yield from part
    if not found:
        raise DataError(f"{archive.name} holds no samples; an evaluation that ran was expected.")


def _parsed(archive: Archive, name: str) -> Any:
    try:
        return json.loads(archive.read(name))  # Inspect writes NaN, which Python's parser takes
    except (ValueError, RecursionError):
        raise DataError(
            f"{archive.name}: member {safe(name)} is no readable JSON. Write the log again."
        ) from None
