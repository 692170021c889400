"""An `Ensemble` as plain values: a JSON document of a stable schema, and a frame for files."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from klimit._estimate import Estimate
from klimit.view.ensemble import budget, verdict
from klimit.view.records import CONSTANT, columns, framed, heading, number, numbers

if TYPE_CHECKING:
    import polars as pl

    from klimit.estimate.ensembles import Ensemble

NO_GOLD = "needs gold rewards of some of these samples"
MISSING = Estimate(math.nan, math.nan, math.nan, trusted=False, note=NO_GOLD)
_NO_LIMIT = "gold's limit is flat or not trusted there"
ERRORS = (
    *("disagreement", "agreed_share", "multiplier", "multiplier_limit", "error_variance"),
    *("correlation", "floor", "gold_variance", "efficiency", "efficiency_limit", "efficiency_one"),
)


def record(found: Ensemble, kl: Sequence[float] | None = None, *, read: str = "") -> dict[str, Any]:
    """Return ``klimit.ensemble/1``."""
    asked = _asked(found, kl)
    at = budget(found, kl)
    panel, gold = found.panel, found.course is not None
    return {
        **heading("klimit.ensemble/1", read),
        "proxies": list(found.names),
        "gold": found.gold or None,
        "scale": panel.scale,
        "level": found.settings.level,
        "data": {
            "prompts_used": len(panel.lengths),
            "samples_used": int(panel.members.shape[1]),
            "samples_with_gold": panel.labelled,
            "samples_without_a_proxy": panel.missing,
        },
        "trusted_kl": number(found.trusted_kl, CONSTANT),
        "errors": {name: _or_missing(getattr(found.errors, name)) for name in ERRORS},
        "aggregates": [_aggregate(found, name, asked) for name in found.aggregates],
        "members": [_member(found, place, at) for place in range(len(found.names))],
        "sizes": [
            {
                "kl": at, "members": row.members, "subsets": row.subsets,
                **numbers(row, ("gold_gain", "gained")),
                "normal": number(row.normal, _NO_LIMIT),
            }
            for row in (found.by_size(at) if gold else [])
        ],
        "bounds": [
            {
                name: x if name == "kl" else number(x, _NO_LIMIT)
                for name, x in bound.items()
            }
            for bound in (found.bounds(asked).to_dicts() if gold else [])
        ],
        "verdict": verdict(found, kl).split("\n"),
        "notes": list(found.notes),
    }  # fmt: skip


def _asked(found: Ensemble, kl: Sequence[float] | None) -> list[float]:
    return [float(x) for x in kl or [found.usual_kl()]]


def _aggregate(found: Ensemble, name: str, asked: Sequence[float]) -> dict[str, Any]:
    weights = found.parts[name].weights
    best = None if found.course is None else found.recommended(name)
    return {
        "aggregate": name,
        "weights": [] if weights is None else [float(w) for w in weights],
        "gains": [
            {"kl": kl}
            | {key: one.to_dict() for key, one in _along(found, name, kl).items()}
            for kl in asked
        ],
        **{
            f"best_{key}": _or_missing(None if best is None else getattr(best, key))
            for key in ("kl", "beta", "gold_gain", "best_of_n")
        },
        "best_n": number(best.n, "few prompts") if best is not None else number(None, NO_GOLD),
        "at_the_end": best is not None and best.at_the_end,
    }  # fmt: skip


def _along(found: Ensemble, name: str, kl: float) -> dict[str, Estimate]:
    own, judged = found.own(name), found.course is not None
    return {
        "gold_gain": found.gold_gain(kl, name) if judged else MISSING,
        "over_mean": found.difference(name, "mean", kl) if judged else MISSING,
        "own_gain": own.gain(kl),
        "beta": own.beta(kl),
    }


def _member(found: Ensemble, place: int, at: float) -> dict[str, Any]:
    errors, name = found.errors, found.names[place]
    judged = found.course is not None
    return {
        "proxy": name,
        "spread": float(found.panel.spreads[place]),
        "correlation": _or_missing(None if errors.accuracy is None else errors.accuracy[place]),
        "slope": _or_missing(None if errors.slope is None else errors.slope[place]),
        "kl": at,
        "gold_gain": _or_missing(found.member(name).gold_gain(at) if judged else None),
    }


def _or_missing(estimate: Estimate | None) -> dict[str, Any]:
    return (MISSING if estimate is None else estimate).to_dict()


def frame(found: Ensemble, kl: Sequence[float] | None = None) -> pl.DataFrame:
    """A row per aggregate and budget: each number with its limits, null where missing."""
    rows = []
    for name in found.aggregates:
        for at in _asked(found, kl):
            row: dict[str, Any] = {"aggregate": name, "kl": at}
            told = _along(found, name, at)
            for key, one in told.items():
                row |= columns(key, one)
            row["trusted"] = None if found.course is None else bool(told["gold_gain"].trusted)
            rows.append(row)
    return framed(rows, text=["aggregate"])
