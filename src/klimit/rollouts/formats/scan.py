"""What a format hands over."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import polars as pl

    from klimit.rollouts.sources.source import Source


@dataclass(frozen=True)
class Scan:
    """A table that has not been read yet.

    Attributes
    ----------
    lazy : the table
    metadata : what the file says of itself: rewards, temperature, top_p, ...
    whole : whether reading one column costs as much as reading all (JSON, CSV)
    source : the reader for which the file was parsed, if it is known already
    """

    lazy: pl.LazyFrame
    metadata: Mapping[str, Any] = field(default_factory=dict)
    whole: bool = False
    source: Source | None = None
