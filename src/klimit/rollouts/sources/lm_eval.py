"""lm-eval: `--log_samples` writes `samples_{task}_{date}.jsonl`."""

from __future__ import annotations

import re
from pathlib import PurePath
from typing import Any

from klimit.rollouts.sources.source import Flat, Record, Records, Source, keyed
from klimit.rollouts.sources.values import mapping, number, said

_FILE = r"^(?P<policy>(?:.*/)?)samples_(?P<task>.+)_\d{4}-\d\d-\d\dT[\d:.-]+\.jsonl$"


def rows(lines: Records, path: str) -> Flat:
    """A row per document: lines of one document that differ in their filter are one sample.

    A metric of several filters is one reward per filter, `exact_match,strict-match`, as lm-eval
    names it in its results. The policy is the folder, which lm-eval names after the model.
    """
    task = re.search(_FILE, path.replace("\\", "/"))
    folder = PurePath(path).parent.name
    found: dict[Any, dict[str, Any]] = {}
    filters: dict[Any, dict[str, dict[str, float]]] = {}
    for line in lines:
        document = line.get("doc_id", line.get("doc_hash"))
        if document not in found:
            found[document] = {
                "prompt_id": f"{task['task']}/{document}" if task else str(document),
                "prompt": _prompt(line),
                "completion": _answer(line.get("filtered_resps"), line.get("resps")),
                "policy": folder if "__" in folder else None,
            }
        named = line.get("metrics")
        scores = {
            name: value
            for name in (named if isinstance(named, list) else ())
            if (value := number(line.get(name))) is not None
        }
        filters.setdefault(document, {})[str(line.get("filter", "none"))] = scores
    several = len({one for each in filters.values() for one in each}) > 1
    for document, row in found.items():
        for named_filter, scores in filters[document].items():
            for name, value in scores.items():
                row[f"{name},{named_filter}" if several else name] = value
        yield row


def _prompt(line: Record) -> str | None:
    arguments = line.get("arguments")
    first = mapping(arguments).get("gen_args_0") if isinstance(arguments, dict) else arguments
    while isinstance(first, list) and first:
        first = first[0]
    text = mapping(first).get("arg_0", first)
    return said(text) if isinstance(text, str | list) and text else None


def _answer(*candidates: Any) -> str | None:
    for found in candidates:
        while isinstance(found, list) and found:
            found = found[0]
        if isinstance(found, str):
            return found
    return None


SAMPLES = Source(
    "lm-eval samples",
    ("doc_id|doc_hash", "resps", "filtered_resps", "target"),
    files=_FILE,
    distinct=True,
    rows=rows,
    shape=keyed("prompt_id"),
)
