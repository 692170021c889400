"""Several reward functions as one, by weights of the caller or of the configuration beside a dump.

That configuration also says how the samples were drawn.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from klimit._errors import ArgumentError
from klimit.rollouts.names import METADATA
from klimit.rollouts.words import close_to, listing, quoted

_NAMES = re.compile(
    r"(?:.*args.*|.*config.*|grpo.*|rloo.*|recipe.*)\.(?:json|ya?ml)", re.IGNORECASE
)
_LARGEST = 1 << 20  # bytes; a configuration is never that long
_WEIGHTS = "reward_weights"
_WANTED = (_WEIGHTS, *(spelling for spellings in METADATA.values() for spelling in spellings))

# One entry of a YAML file: a number, a list on one line or below, or (as trackers keep it) what
# stands under `value:`. The rest of the file stays unread.
_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_ENTRY = re.compile(
    rf"^[ \t]*({'|'.join(_WANTED)}):[ \t]*(?:(?:\n[ \t]+desc:.*)?\n[ \t]+value:[ \t]*)?"
    rf"({_NUMBER}|\[[^\]\n]*\]|(?:\n[ \t]*-[ \t]*{_NUMBER})+|null|~)?[ \t]*(?:#.*)?$",
    re.MULTILINE,
)


@dataclass(frozen=True)
class Total:
    """A reward made of others.

    Attributes
    ----------
    weights : reward -> its weight
    partial : whether rewards that a sample lacks are left out of its sum, as TRL does; else the
        sum is missing where one of them is
    by : who says so: a file's name; empty where the caller does
    """

    weights: Mapping[str, float]
    partial: bool = False
    by: str = ""

    def name(self, columns: Sequence[str]) -> str:
        """What the sum is called: no name that a column has."""
        return next(one for one in ("reward", "total", "total_") if one not in columns)

    def column(self) -> pl.Expr:
        """The sum; missing where all of its parts are."""
        parts = [pl.col(name).cast(pl.Float64).fill_nan(None) for name in self.weights]
        weighted = [
            part * weight for part, weight in zip(parts, self.weights.values(), strict=True)
        ]
        total = pl.sum_horizontal(weighted, ignore_nulls=self.partial)
        return pl.when(pl.any_horizontal(part.is_not_null() for part in parts)).then(total)

    def __str__(self) -> str:
        """The sum in words.

        Examples
        --------
        >>> print(Total({"acc": 1.0, "format": 0.2}, by="config.json"))
        acc + 0.2 format (weights of config.json)
        """
        terms = [name if w == 1 else f"{w:g} {name}" for name, w in self.weights.items()]
        return listing(terms).replace(", ", " + ") + (f" (weights of {self.by})" if self.by else "")


def given(weights: Any, columns: Sequence[str]) -> dict[str, float]:
    """The caller's weights, checked.

    Examples
    --------
    >>> given({"acc": 1, "format": 0.2}, ["acc", "format", "step"])
    {'acc': 1.0, 'format': 0.2}
    """
    if not isinstance(weights, Mapping) or not weights:
        raise ArgumentError("weights must be a dict of rewards, such as {'acc': 1, 'format': 0.2}.")
    for name, weight in weights.items():
        if name not in columns:
            raise ArgumentError(
                f"weights name {quoted(name)}, which is no column here; there are "
                f"{listing(columns)}.{close_to(str(name), columns)}"
            )
        if not _numbers([weight]):
            raise ArgumentError(
                f"the weight of {quoted(name)} is {quoted(weight)}; a number was expected."
            )
    if not any(weights.values()):
        raise ArgumentError("all weights are 0; at least one reward must count.")
    return {str(name): float(weight) for name, weight in weights.items()}


def reward_weights(
    path: str, numbers: Sequence[str], rewards: Sequence[str]
) -> tuple[dict[str, float], str] | None:
    """The weight of each reward function, and the file that says so; None where none does.

    Looked at are small JSON and YAML files called like a configuration, in the dump's folder and
    in the two above it; two that disagree say nothing. An empty entry means 1 for every reward, as
    it does in TRL.

    Parameters
    ----------
    path : a file of the dump
    numbers : its numeric columns, reward functions first and in their order
    rewards : those that are rewards by their names, which counts where there are no weights
    """
    found = [(name, said[_WEIGHTS]) for name, said in _beside(path) if _WEIGHTS in said]
    if not found:
        return None
    name, weights = found[0]
    values = [1.0] * len(rewards) if weights is None else _numbers(weights)
    agreed = all(other == weights for _, other in found)
    if not agreed or not values or len(values) > len(numbers):
        return None
    return dict(zip(rewards if weights is None else numbers, values, strict=False)), name


def drawn(path: str) -> dict[str, float]:
    """Temperature, top-p and the like, by their canonical names, as far as they are said."""
    for _, said in _beside(path):
        known = {
            canonical: said[spelling]
            for canonical, spellings in METADATA.items()
            for spelling in spellings
            if _numbers([said.get(spelling)])
        }
        if known:
            return known
    return {}


def _beside(path: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Configurations of the nearest folder that has any, and what they say of the wanted."""
    folder = Path(path).parent
    for place in (folder, folder.parent, folder.parent.parent):
        said = [(file.name, _entries(file)) for file in _configurations(place)]
        if any(entries for _, entries in said):
            yield from said
            return


def _configurations(folder: Path) -> list[Path]:
    try:
        named = sorted(file for file in folder.iterdir() if _NAMES.fullmatch(file.name))
        return [file for file in named if file.is_file() and file.stat().st_size <= _LARGEST]
    except OSError:
        return []


def _entries(file: Path) -> dict[str, Any]:
    try:
        text = file.read_text(encoding="utf-8")
        if file.suffix.lower() != ".json":
            entries = _ENTRY.findall(text)
            names = [name for name, _ in entries]
            return {name: _of_yaml(value) for name, value in entries if names.count(name) == 1}
        data = json.loads(text)
    except (OSError, ValueError, RecursionError):
        return {}
    found = {name: data[name] for name in _WANTED if name in data} if isinstance(data, dict) else {}
    return {name: x.get("value") if isinstance(x, dict) else x for name, x in found.items()}


def _of_yaml(value: str) -> Any:
    numbers = [float(one) for one in re.findall(_NUMBER, value.replace("- ", " "))]
    if value.strip()[:1] in ("[", "-") and not re.fullmatch(_NUMBER, value.strip()):
        return numbers
    return numbers[0] if numbers else None


def _numbers(values: Any) -> list[float]:
    """The values as floats; empty where one of them is no finite number."""
    if not isinstance(values, list):
        return []
    kept = [x for x in values if isinstance(x, int | float) and not isinstance(x, bool)]
    finite = len(kept) == len(values) and all(math.isfinite(x) for x in kept)
    return [float(x) for x in kept] if finite else []
