"""Results as plain values: JSON documents of a stable schema, and frames for files.

What is not finite is null and a `reason` beside it says why; ``docs/cli.md`` describes the schema.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from klimit._estimate import Estimate
from klimit.estimate.result import AT_THE_BEST
from klimit.view import audit as audit_view
from klimit.view import best_of_n as best_of_n_view
from klimit.view import limit as limit_view
from klimit.view import plan as plan_view
from klimit.view.best_of_n import each

if TYPE_CHECKING:
    import polars as pl

    from klimit.audit import Audit
    from klimit.audit.gate import Check
    from klimit.estimate.best_of_n import BestOfN
    from klimit.estimate.plan import Plan
    from klimit.estimate.plan.settings import Setting
    from klimit.estimate.result import Frontier
    from klimit.estimate.samples import Samples
    from klimit.rollouts import Rollouts

BEST_OF_N = (
    *("gain", "kl", "kl_bound", "efficiency", "limit", "own_limit", "win_rate"),
    *("per_doubling", "kept_reward", "pass_at_k", "tokens"),
)
AUDITED = (*audit_view.PLACED, "allocation", "shape")
BESIDE = ("gain", "kl", "limit", "efficiency")
WASTED = 10  # prompts with the largest loss that each placement lists
NO_LOSS = "the policy's KL is not known by prompt, or the frontier is flat at its KL"
ABSENT = {"tokens": "the data has no token counts", "pass_at_k": "rewards are not 0 and 1 only"}
CONSTANT = "every prompt's rewards are all equal"
NO_N = "no N that these samples can show spends this KL"
NO_LENGTH = "the length of completions is not known, or the KL differs by prompt"
NO_SPAN = "no sample has this reward, or one is infinite"
UNSPLIT = "the error is too small or too large to split"
FEW = "no number of samples that one could draw"


def limit_record(
    limit: Frontier, kl: Sequence[float] | None = None, *, read: str = "",
    best_of_n: Mapping[float, int | None] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Return ``klimit.limit/1``: what was asked, what was read, and a row per budget.

    Parameters
    ----------
    kl : budgets, nats; chosen where not given
    read : the line that says what was read
    best_of_n : for each budget the N that spends it; None where no N is known to
    """
    kl = limit_view.budgets(limit, kl)
    rows: list[dict[str, Any]] = [
        {
            "kl": budget,
            "gain": limit.gain(budget).to_dict(),
            "beta": limit.beta(budget).to_dict(),
            "samples_needed": _needed(limit, budget),
        }
        for budget in kl
    ]
    if best_of_n is not None:
        rows = [row | {"best_of_n": number(best_of_n[row["kl"]], NO_N)} for row in rows]
    return {
        **heading("klimit.limit/1", read),
        "settings": settings_record(limit),
        "data": samples_record(limit.samples),
        "base_reward": limit.base_reward,
        "trusted_kl": number(limit.trusted_kl, CONSTANT),
        "limit": rows,
        "verdict": limit_view.verdict(limit, kl).split("\n"),
        "notes": limit_view.notes(limit),
    }


def settings_record(limit: Frontier) -> dict[str, Any]:
    """How the limit was asked for."""
    found = asdict(limit.settings)
    if limit.settings.reward_range is not None:
        found["reward_range"] = [
            x if math.isfinite(x) else None for x in limit.settings.reward_range
        ]
    return found


def _needed(limit: Frontier, kl: float) -> dict[str, Any]:
    if kl <= limit.trusted_kl:
        return {"value": None, "reason": "these samples reach this KL"}
    if limit.exhausted(kl):
        return {"value": None, "reason": AT_THE_BEST}
    return number(limit.samples_needed(kl), FEW)


def best_of_n_record(best: BestOfN, *, read: str = "") -> dict[str, Any]:
    """Return ``klimit.best-of-n/1``: a row per N."""
    missing = {
        name: Estimate(math.nan, math.nan, math.nan, best.level, note=note).to_dict()
        for name, note in ABSENT.items() if getattr(best, name) is None
    }  # fmt: skip
    return {
        **heading("klimit.best-of-n/1", read),
        "reward": best.reward,
        "judge": best.judge,
        "level": best.level,
        "data": {
            "prompts_used": best.prompts,
            "prompts_with_fewer_samples": best.left_out,
            "samples_per_prompt_least": best.samples[0],
            "samples_per_prompt_most": best.samples[1],
            "rewards_missing": best.missing,
        },
        "base_reward": best.base_reward,
        "trusted_kl": number(best.trusted_kl, CONSTANT),
        "best_of_n": [
            {"n": one.n}
            | {name: missing.get(name) or getattr(one, name).to_dict() for name in BEST_OF_N}
            for one in each(best)
        ],
        "verdict": best_of_n_view.verdict(best).split("\n"),
        "notes": best_of_n_view.notes(best),
    }


def plan_record(plan: Plan, *, read: str = "") -> dict[str, Any]:
    """Return ``klimit.plan/1``: what to set and what to sample."""
    found = plan.to_dict()
    at_hand = {name: number(value, UNSPLIT) for name, value in found["at_hand"].items()}
    return {
        **heading("klimit.plan/1", read),
        **found,
        "n": number(plan.n, NO_N),
        "error_now": number(plan.error_now, UNSPLIT),
        "at_hand": at_hand,
        "settings": [_setting(setting) for setting in plan.settings],
        "verdict": plan_view.verdict(plan).split("\n"),
    }


def _setting(setting: Setting) -> dict[str, Any]:
    return {
        "trainer": setting.trainer,
        "options": dict(setting.options),
        "coefficient": number(setting.value, setting.note),
        "exact": setting.exact,
        "logs": setting.logs,
        "logged": number(setting.logged, NO_LENGTH),
        "note": setting.note,
    }


def audit_record(
    audits: Sequence[Audit], *, read: str = "", beside: BestOfN | None = None
) -> dict[str, Any]:
    """Return ``klimit.audit/1``: a row per policy and step, and best-of-N of the same base."""
    first = audits[0]
    return {
        **heading("klimit.audit/1", read),
        "reward": first.reward,
        "level": first.gain.level,
        "audits": [_audit(audit) for audit in audits],
        "best_of_n": [{"n": one.n, **numbers(one, BESIDE)} for one in each(beside)],
        "verdict": audit_view.verdict(audits).split("\n"),
        "notes": audit_view.notes(audits),
    }


def _audit(audit: Audit) -> dict[str, Any]:
    losses = []
    if audit.case is not None and audit.case.paired:
        losses = audit.prompts().head(WASTED).to_dicts()
    return {
        "policy": audit.name,
        "step": audit.step,
        "paired": audit.paired,
        "prompts_compared": audit.shared,
        "policy_samples_least": audit.samples[0],
        "policy_samples_most": audit.samples[1],
        "kl_estimator": audit.estimator,
        "base_reward": number(audit.base_reward, "not known"),
        "trusted_kl": number(audit.trusted_kl, CONSTANT),
        **numbers(audit, AUDITED),
        "prompts": [
            {
                name: number(x, NO_LOSS) if isinstance(x, float | None) else x
                for name, x in row.items()
            }
            for row in losses
        ],
    }


def gate_record(checks: Sequence[Check], *, read: str = "") -> dict[str, Any]:
    """Return ``klimit.gate/1``: a row per placement and demand."""
    return {
        **heading("klimit.gate/1", read),
        "passed": all(check.passed for check in checks),
        "checks": [
            {
                "policy": check.label,
                "number": check.number,
                "asked": check.asked,
                "found": check.found.to_dict(),
                "passed": check.passed,
            }
            for check in checks
        ],
    }


def audit_frame(audits: Sequence[Audit], beside: BestOfN | None = None) -> pl.DataFrame:
    """Return a row per placement, then per N: each number with its limits, null where missing."""
    rows = []
    for audit in (point for one in audits for point in audit_view.points(one)):
        row = {"policy": audit.name, "step": audit.step, **all_columns(audit, AUDITED)}
        rows.append(row | {"trusted": bool(audit.limit.trusted), "paired": audit.paired})
    for best in each(beside):
        row = dict.fromkeys(rows[0]) | {"policy": f"best-of-{best.n}", "paired": True}
        rows.append(row | all_columns(best, BESIDE) | {"trusted": bool(best.efficiency.trusted)})
    steps = {type(row["step"]) for row in rows} - {type(None)}
    text, whole = ["policy"], ["step"] if steps <= {int} else []
    if not steps <= {int, float}:
        text.append("step")
        rows = [row | {"step": None if row["step"] is None else str(row["step"])} for row in rows]
    return framed(rows, text=text, whole=whole, truth=["trusted", "paired"])


def limit_frame(limit: Frontier, kl: Sequence[float] | None = None) -> pl.DataFrame:
    """Return a row per budget: kl, gain and beta with their limits, trusted, reason."""
    rows = []
    for budget in limit_view.budgets(limit, kl):
        gain, beta = limit.gain(budget), limit.beta(budget)
        rows.append({"kl": budget, **columns("gain", gain), **columns("beta", beta),
                     "trusted": bool(gain.trusted), "reason": gain.note or None})  # fmt: skip
    return framed(rows, text=["reason"])


def framed(
    rows: Sequence[dict[str, Any]], *, text: Sequence[str] = (), whole: Sequence[str] = (),
    truth: Sequence[str] = ("trusted",),
) -> pl.DataFrame:  # fmt: skip
    """Rows as a frame of numbers, but for the columns named; also where every value is missing."""
    import polars as pl

    types: dict[str, Any] = dict.fromkeys(rows[0], pl.Float64)
    for names, kind in ((text, pl.String), (whole, pl.Int64), (truth, pl.Boolean)):
        types |= dict.fromkeys(names, kind)
    return pl.DataFrame(rows, schema=types)


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


def number(value: float | None, reason: str) -> dict[str, Any]:
    """One number that may be missing or not finite."""
    known = value is not None and math.isfinite(value)
    return {"value": value} if known else {"value": None, "reason": reason}


def numbers(result: object, names: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Estimates of a result by their names."""
    return {name: getattr(result, name).to_dict() for name in names}


def all_columns(result: object, names: Iterable[str]) -> dict[str, float | None]:
    """Columns of several estimates of a result."""
    return {
        key: value for name in names for key, value in columns(name, getattr(result, name)).items()
    }


def columns(name: str, estimate: Estimate) -> dict[str, float | None]:
    """Columns `name`, `name`_low and `name`_high; null where not finite."""
    found = estimate.to_dict()
    return {name: found["value"], f"{name}_low": found["low"], f"{name}_high": found["high"]}


def rollouts_record(rollouts: Rollouts) -> dict[str, Any]:
    """Return ``klimit.describe/1``: what was read, and a row per reward."""
    measured = ("min", "mean", "max", "tied")
    rewards = [
        row | {name: number(row[name], NO_SPAN) for name in measured}
        for row in rollouts.describe().rewards.to_dicts()
    ]
    return {
        **heading("klimit.describe/1", str(rollouts)),
        "source": rollouts.source,
        "prompt_key": rollouts.prompt_key,
        "prompts": rollouts.shape.prompts,
        "samples": rollouts.shape.rows,
        "samples_per_prompt_least": rollouts.shape.fewest,
        "samples_per_prompt_most": rollouts.shape.most,
        "steps": list(rollouts.steps),
        "policies": list(rollouts.policies),
        "sampling": {
            name: value
            for name, value in rollouts.metadata.items()
            if not isinstance(value, float) or math.isfinite(value)
        },
        "rewards": rewards,
    }


def heading(schema: str, read: str = "") -> dict[str, str]:
    """Return what every document starts with."""
    import klimit

    found = {"schema": schema, "version": klimit.__version__}
    return found | {"read": read} if read else found
