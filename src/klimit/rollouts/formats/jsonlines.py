"""JSON: a record per line, an array of records, a dict of lists, or what a tracker or a log holds."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import polars as pl

from klimit._errors import DataError
from klimit._text import safe
from klimit.rollouts.formats.inflated import lines, packing
from klimit.rollouts.records import from_columns, from_records
from klimit.rollouts.sources import inspect_log, recognise
from klimit.rollouts.table import Scan
from klimit.rollouts.words import quoted, shown

_SMALL = 64 << 20  # bytes; up to here every line decides on the types
_BLOCKS, _BLOCK = 64, 1 << 16  # above, so many blocks of so many bytes, evenly spaced
_FEW = 16  # lines that tell records from a document
_BATCH = 20_000  # lines parsed at a time where polars cannot


def scan(path: Path, care: int = 0) -> Scan:
    """A lazy table of one file, whichever of the three it is."""
    first = _first_record(path)
    if first is None:
        return _document(path)
    source = recognise(first, str(path), decided=True) if first else None
    if source and source.rows:
        flat = in_batches(source.rows(records(path), str(path)))
        return Scan(flat.lazy(), whole=True, source=source)
    if care == 2:
        try:
            return Scan(pl.read_ndjson(path, infer_schema_length=None).lazy())
        except (pl.exceptions.PolarsError, OSError):
            return Scan(in_batches(records(path)).lazy())
    schema = _sampled(path) if care == 0 else None
    if schema is None:
        return Scan(pl.scan_ndjson(path, infer_schema_length=None), whole=True)
    return Scan(pl.scan_ndjson(path, schema=schema), whole=True)


def _first_record(path: Path) -> dict[str, Any] | None:
    """The first line's, empty where that is broken; None where the file is one document."""
    first, *more = [line.strip() for line in lines(path, _FEW) if line.strip()] or [b"{"]
    first = first.removeprefix(b"\xef\xbb\xbf")
    if first[:1] == b"[":
        return None
    try:
        record = json.loads(first, object_pairs_hook=partial(_each_once, path))
    except ValueError:  # a broken line, or the first one of an indented document
        document = first == b"{" or ".json" in [part.lower() for part in path.suffixes]
        return None if document else {}
    if not isinstance(record, dict):
        return {}
    columns = all(isinstance(value, list) for value in record.values()) or _by_row(record)
    return record if more or not (columns or _is_log(record)) else None


def _by_row(record: Any) -> bool:
    """Whether every column is a dict by row, as pandas writes a table unless it is told otherwise."""
    columns = list(record.values()) if isinstance(record, dict) else []
    return len(columns) > 1 and _all(columns, dict) and len({tuple(x) for x in columns}) == 1


def _each_once(path: Path, entries: list[tuple[str, Any]]) -> dict[str, Any]:
    """The dict of these entries; of one name twice, parsers differ in which of the two they keep."""
    found: dict[str, Any] = {}
    for name, value in entries:
        if name in found:
            raise DataError(
                f"{shown(path)}: the first record has {quoted(name)} twice, and which of the two "
                "counts is open. Rename or remove one of them."
            )
        found[name] = value
    return found


def _sampled(path: Path) -> pl.Schema | None:
    """The columns of a big file from blocks of it; None where all of it has to be looked at."""
    size = path.stat().st_size
    if size <= _SMALL or packing(path):
        return None
    sample: list[bytes] = []
    with path.open("rb") as file:
        for at in range(0, size - _BLOCK, size // _BLOCKS):
            file.seek(at)
            if at:
                file.readline()  # the rest of a line
            sample += [*file.readlines(_BLOCK), b"\n"]
    schema = pl.read_ndjson(b"".join(sample), infer_schema_length=None).schema
    return None if "Null" in str(schema) else schema


def in_batches(rows: Iterable[Mapping[str, Any]]) -> pl.DataFrame:
    """Records as a table, so many at a time."""
    left = iter(rows)
    parts = [from_records(batch) for batch in iter(lambda: list(islice(left, _BATCH)), [])]
    return pl.concat(parts, how="diagonal_relaxed") if parts else pl.DataFrame()


def scan_log(summaries: Iterable[Mapping[str, Any]], header: Mapping[str, Any]) -> Scan:
    """The samples of one log of Inspect."""
    table = in_batches(inspect_log.samples(summaries, header))
    return Scan(table.lazy(), inspect_log.drawn(header), whole=True, source=inspect_log.LOG)


def records(path: Path) -> Iterator[dict[str, Any]]:
    """What Python's parser makes of each line: it takes NaN, and names the line at fault."""
    number = 0
    try:
        for number, line in enumerate(lines(path), start=1):
            text = line.decode("utf-8-sig" if number == 1 else "utf-8").strip()
            if not text:
                continue
            record = json.loads(text)
            if not isinstance(record, dict):
                raise DataError(
                    f"{shown(path)}, line {number}: a record such as "
                    f'{{"prompt": ..., "reward": ...}} was expected; got {safe(text, longest=40)}.'
                )
            yield record
    except (ValueError, RecursionError) as error:
        other = "a number of thousands of digits"
        if isinstance(error, RecursionError):
            other = "nested too deeply"
        reason = getattr(error, "msg", None) or getattr(error, "reason", None) or other
        raise DataError(
            f"{shown(path)}, line {number}: broken JSON ({reason}). "
            "Mend or remove that line; if it is the last one, the file was cut short."
        ) from None
    except (EOFError, OSError) as error:
        raise DataError(
            f"{shown(path)} is cut short or damaged after line {number} "
            f"({safe(error)}). Copy or download it again."
        ) from None


def _document(path: Path) -> Scan:
    """An array of records, a dict of lists, an array of arrays, a tracker's table, a log."""
    data = b"".join(lines(path)).removeprefix(b"\xef\xbb\xbf")
    if data.lstrip()[:1] == b"[":
        try:
            return Scan(pl.read_json(data, infer_schema_length=None).lazy())
        except pl.exceptions.PolarsError:
            pass  # NaN, mixed types, or broken: Python's parser knows which, and where
    try:
        found = json.loads(data)
    except json.JSONDecodeError as error:
        raise DataError(
            f"{shown(path)}, line {error.lineno}, column {error.colno}: "
            f"broken JSON ({error.msg}). Mend the file; one record per line (.jsonl) is safer."
        ) from None
    except (ValueError, RecursionError):
        raise DataError(
            f"{shown(path)} is no readable JSON: not UTF-8, nested too deeply, or with "
            "numbers of thousands of digits."
        ) from None
    if isinstance(found, dict) and _is_log(found):
        return scan_log(found["samples"], found)
    return Scan(_table(path, found).lazy())


def _is_log(record: Mapping[str, Any]) -> bool:
    """Whether this is a log of Inspect, written as JSON."""
    samples = record.get("samples")
    return isinstance(record.get("eval"), dict) and (samples == [] or _all(samples, dict))


def _spelt_out(values: list[Any]) -> list[Any]:
    """Numbers among which a tracker has written NaN as a word."""
    if {x for x in values if isinstance(x, str)} != {"NaN"}:
        return values
    return [None if isinstance(x, str) else x for x in values]


def _all(values: Any, kind: type) -> bool:
    """Whether this is a list of such things, and not empty."""
    return isinstance(values, list) and bool(values) and all(isinstance(x, kind) for x in values)


def _table(path: Path, found: Any) -> pl.DataFrame:
    if isinstance(found, dict) and {"columns", "data"} <= found.keys():  # what trackers write
        names, rows = found["columns"], found["data"]
        if (
            isinstance(names, list)
            and _all(rows, list)
            and {len(row) for row in rows} == {len(names)}
        ):
            columns = zip(names, zip(*rows, strict=True), strict=True)
            return from_columns({str(name): _spelt_out(list(column)) for name, column in columns})
    if isinstance(found, dict) and len(found) == 1:  # {"rollouts": [...]}
        (only,) = found.values()
        if isinstance(only, list) and only and isinstance(only[0], dict):
            found = only
    if _by_row(found):
        found = {name: list(column.values()) for name, column in found.items()}
    if _all(found, dict):
        return from_records(found)
    if _all(found, list):
        return from_columns({"reward": found})
    if isinstance(found, dict) and _all([*found.values()], list):
        return from_columns(found)
    raise DataError(
        f"{shown(path)} holds no rollouts: an array of records, a dict of equally long "
        "lists, or one record per line was expected."
    )
