"""What one framework's dump is recognised by, and how it becomes the table that klimit knows."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import polars as pl

Record = Mapping[str, Any]
Records = Iterable[Record]
Flat = Iterator[dict[str, Any]]
Rows = Callable[[Records, str], Flat]


@dataclass(frozen=True)
class Shaped:
    """A dump under canonical names.

    Attributes
    ----------
    lazy : the table; columns that klimit has no name for are still there
    keys : the columns that together say which samples share a prompt; empty: found by name
    rewards : the columns that are rewards; None: found by name and type
    functions : numeric columns, reward functions first, where the trainer's reward is their
        weighted sum and the dump has no total
    unique : a column in which a value repeats only where a sample was written twice
    """

    lazy: pl.LazyFrame
    keys: tuple[str, ...] = ()
    rewards: tuple[str, ...] | None = None
    functions: tuple[str, ...] = ()
    unique: str = ""


Shape = Callable[["pl.LazyFrame", str], Shaped]


@cache  # so that two readers of one shape are seen to be alike
def keyed(*keys: str, rewards: tuple[str, ...] | None = None) -> Shape:
    """A table that needs no change beyond saying what is what; what is not said is found by name."""
    return lambda lazy, _: Shaped(lazy, keys, rewards)


@dataclass(frozen=True)
class Source:
    """One framework's way to write rollouts.

    Attributes
    ----------
    name : as the line says it that tells what was read
    columns : names that must all be there; "a|b" asks for one of several, "a*" for a beginning;
        empty where the file's format says whose it is
    without : names that must not be there
    files : pattern of the path; its groups tell apart what is never read together, such as two
        runs, or training and validation; of files that agree in a group `digest` one is read, and a
        group `policy` holds what tells policies apart
    distinct : whether such a file is known by its name, so that others beside it are no rollouts
    yields_to : the source whose files, where there are any, make these needless
    shape : (table, path) -> the same under canonical names
    rows : (records, path) -> flat records, for dumps too nested for a table; `shape` comes after
    """

    name: str
    columns: tuple[str, ...]
    without: tuple[str, ...] = ()
    files: str = ""
    distinct: bool = False
    yields_to: str = ""
    shape: Shape = field(default_factory=keyed)
    rows: Rows | None = None

    def fits(self, columns: Iterable[str]) -> bool:
        """Whether these are the columns of such a dump."""
        there = list(columns)
        if not self.columns or not set(self.without).isdisjoint(there):
            return False
        return all(
            any(fnmatchcase(name, one) for name in there for one in choice.split("|"))
            for choice in self.columns
        )

    def beats(self, other: Source, path: str) -> bool:
        """Whether this is the better reading: of more columns, or of a path that fits."""
        if (self.part(path) is None) != (other.part(path) is None):
            return other.part(path) is None
        return set(self.columns) > set(other.columns)

    def reads_like(self, other: Source) -> bool:
        """Whether both make the same of a table."""
        return (self.shape, self.rows) == (other.shape, other.rows)

    def part(self, path: str) -> tuple[str, ...] | None:
        r"""Which part of which run a path belongs to; None: it is no such file.

        Examples
        --------
        >>> log = Source("a log", (), files=r"(?P<part>train|val)_step\d+[.]jsonl$")
        >>> log.part("run/val_step3.jsonl"), log.part("run/notes.jsonl")
        (('val',), None)
        """
        found = self._match(path)
        if not found:
            return None
        said = found.groupdict().items()
        return tuple(text or "" for name, text in said if name not in ("digest", "policy"))

    def group(self, name: str, path: str) -> str | None:
        """What a group of the pattern, `digest` or `policy`, finds in a path."""
        found = self._match(path)
        return found.groupdict().get(name) if found else None

    def _match(self, path: str) -> re.Match[str] | None:
        return re.search(self.files, path.replace("\\", "/")) if self.files else None
