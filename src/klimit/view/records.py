"""Results as plain values: JSON documents of a stable schema, and frames for files.

What is not finite is null and a `reason` beside it says why; ``docs/cli.md`` describes the schema.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from klimit._estimate import Estimate
from klimit.view.limit import budgets, notes, verdict

if TYPE_CHECKING:
    import polars as pl

    from klimit.estimate.result import Frontier
    from klimit.estimate.samples import Samples

CONSTANT = "every prompt's rewards are all equal"
FEW = "no number of samples that one could draw"


def limit_record(limit: Frontier, kl: Sequence[float] | None = None) -> dict[str, Any]:
    """Return ``klimit.limit/1``: what was asked, what was read, and a row per budget."""
    kl = budgets(limit) if kl is None else [float(budget) for budget in kl]
    return {
        **_heading("klimit.limit/1"),
        "settings": asdict(limit.settings) | {"reward": limit.reward},
        "data": samples_record(limit.samples),
        "base_reward": limit.base_reward,
        "trusted_kl": number(limit.trusted_kl, CONSTANT),
        "limit": [
            {
                "kl": budget,
                "gain": limit.gain(budget).to_dict(),
                "beta": limit.beta(budget).to_dict(),
                "samples_needed": _needed(limit, budget),
            }
            for budget in kl
        ],
        "verdict": verdict(limit, kl).split("\n"),
        "notes": notes(limit),
    }


def _needed(limit: Frontier, kl: float) -> dict[str, Any]:
    if kl <= limit.trusted_kl:
        return {"value": None, "reason": "these samples reach this KL"}
    return number(limit.samples_needed(kl), FEW)


def limit_frame(limit: Frontier, kl: Sequence[float] | None = None) -> pl.DataFrame:
    """Return a row per budget: kl, gain and beta with their limits, trusted, reason."""
    kl = budgets(limit) if kl is None else [float(budget) for budget in kl]
    rows = []
    for budget in kl:
        gain, beta = limit.gain(budget), limit.beta(budget)
        rows.append({"kl": budget, **columns("gain", gain), **columns("beta", beta),
                     "trusted": bool(gain.trusted), "reason": gain.note or None})  # fmt: skip
    return frame(rows, text=("reason",), flags=("trusted",))


def samples_record(samples: Samples) -> dict[str, int]:
    """Counts of what was used and what was left out."""
    return {
        "prompts": samples.total,
        "prompts_used": samples.prompts,
        "prompts_without_reward": samples.empty,
        "prompts_with_one_reward": samples.single,
        "samples_used": int(samples.counts.sum()),
        "samples_per_prompt_least": int(samples.counts.min()),
        "samples_per_prompt_most": int(samples.counts.max()),
        "rewards_missing": samples.missing,
    }


def number(value: float, reason: str) -> dict[str, Any]:
    """One number that may not be finite."""
    return {"value": value} if math.isfinite(value) else {"value": None, "reason": reason}


def columns(name: str, estimate: Estimate) -> dict[str, float | None]:
    """Columns `name`, `name`_low and `name`_high; null where not finite."""
    found = estimate.to_dict()
    return {name: found["value"], f"{name}_low": found["low"], f"{name}_high": found["high"]}


def frame(
    rows: Sequence[dict[str, Any]], *, text: Sequence[str] = (), flags: Sequence[str] = (),
    whole: Sequence[str] = (),
) -> pl.DataFrame:  # fmt: skip
    """Return a frame whose column types do not depend on which values are missing."""
    import polars as pl

    types = dict.fromkeys(text, pl.String) | dict.fromkeys(flags, pl.Boolean)
    types |= dict.fromkeys(whole, pl.Int64)
    schema = {name: types.get(name, pl.Float64) for name in rows[0]}
    return pl.DataFrame(rows, schema=schema)


def _heading(schema: str) -> dict[str, str]:
    import klimit

    return {"schema": schema, "version": klimit.__version__}
