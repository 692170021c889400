"""The tables of a run, as plain data and as text."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks import score, verdict
from benchmarks.tables import row

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.score import Point
    from benchmarks.simulate import Record

ZONES = ("lo", "hi")
BASELINES = ("plugin", "grid")


def baseline(estimators: Sequence[str]) -> str:
    """The estimator that the others' errors are relative to."""
    return next((e for e in BASELINES if e in estimators), estimators[0])


def summarise(
    records: Sequence[Record], estimators: Sequence[str], again: Sequence[Record] = ()
) -> dict[str, Any]:
    """Everything the text shows, and every point, as JSON can hold it; `again`: see `verdict.judge`."""
    plugin = baseline(estimators)
    out: dict[str, Any] = {"baseline": plugin, "estimators": {}}
    for name in estimators:
        points = score.points(records, name, plugin)
        lines = verdict.judge(points, score.points(again, name, plugin)) if name != plugin else []
        out["estimators"][name] = {
            "sizes": [_size(group, *key) for key, group in _grouped(points).items()],
            "families": [_family(group, *key) for key, group in _by_family(points).items()],
            "verdicts": [asdict(line) for line in lines],
            "points": [_point(p) for p in points],
            "prompts": _prompt_table([r for r in records if r["estimator"] == name]),
        }
    return out


def _grouped(points: Sequence[Point]) -> dict[tuple[str, str, str], list[Point]]:
    found = score.by([p for p in points if p.counted], lambda p: (p.target, p.config, p.zone))
    return found | score.by([p for p in points if p.counted], lambda p: (p.target, "all", p.zone))


def _by_family(points: Sequence[Point]) -> dict[tuple[str, str, str], list[Point]]:
    return score.by(points, lambda p: (p.target, p.family, p.zone))


def _size(points: Sequence[Point], target: str, config: str, zone: str) -> dict[str, Any]:
    free = [p for p in points if not p.saturated]
    covers = score.coverage(points)
    worst, worst_name = score.worst_config(points)
    worst_free, worst_free_name = score.worst_config(free)
    below, above = score.misses(points)
    said = score.trust(points)
    kept = score.coverage(points, "trusted")
    return {
        "target": target,
        "config": config,
        "zone": zone,
        "ratio": score.error_ratio(points),
        "ratio_unsaturated": score.error_ratio(free),
        "floor": score.geometric(p.floor / p.plugin for p in points),
        "worst": worst,
        "worst_family": worst_name,
        "worst_unsaturated": worst_free,
        "worst_unsaturated_family": worst_free_name,
        "bias": float(np.mean([p.bias for p in points])),
        "slope_ratio": score.geometric(p.slope_rmse / p.slope_plugin for p in points),
        "slope_coverage": _share([p.slope_held for p in points]),
        "coverage": _mean(covers),
        "coverage_least": min(covers.values(), default=float("nan")),
        "coverage_two_sided": _mean(score.coverage(points, "two-sided")),
        "truth_below": below,
        "truth_above": above,
        "width": score.width(points),
        "trusted_share": said.share,
        "trusted_precision": said.precision,
        "trusted_recall": said.recall,
        "trusted_coverage": said.coverage,
        "trusted_coverage_least": min(kept.values(), default=float("nan")),
    }


def _family(points: Sequence[Point], target: str, family: str, zone: str) -> dict[str, Any]:
    said = score.trust(points)
    return {
        "target": target,
        "family": family,
        "zone": zone,
        "light": points[0].light,
        "ratio": score.error_ratio(points),
        "floor": score.geometric(p.floor / p.plugin for p in points),
        "rmse": score.geometric(p.rmse for p in points),
        "plugin": score.geometric(p.plugin for p in points),
        "bias": float(np.mean([p.bias for p in points])),
        "slope": score.geometric(p.slope_rmse for p in points),
        "coverage": _mean(score.coverage(points)),
        "width": score.width(points),
        "trusted_share": said.share,
        "trusted_precision": said.precision,
        "trusted_coverage": said.coverage,
    }


def _point(p: Point) -> dict[str, Any]:
    return {
        "family": p.family,
        "config": p.config,
        "target": p.target,
        "kl": p.kl,
        "zone": p.zone,
        "saturated": p.saturated,
        "truth": p.truth,
        "rmse": p.rmse,
        "plugin": p.plugin,
        "floor": p.floor,
        "bias": p.bias,
        "slope_rmse": p.slope_rmse,
        "slope_plugin": p.slope_plugin,
        "coverage": float(p.covered.mean()),
        "trusted": float(p.trusted.mean()),
        "close": float(p.close.mean()),
    }


def _prompt_table(records: Sequence[Record]) -> list[dict[str, Any]]:
    """Errors of single prompts' gains and KLs, where the run asked for details."""
    out = []
    for r in records:
        if "prompt_gain_error" in r:
            gain, spent = (np.mean(r[f"prompt_{k}_error"], axis=0) for k in ("gain", "kl"))
            cell = r["cell"]
            out.append(
                {
                    "family": cell["family"],
                    "config": f"K={cell['prompts']} M={cell['samples']}",
                    "kl": cell["kl"],
                    "gain_error": gain.tolist(),
                    "kl_error": spent.tolist(),
                }
            )
    return out


def _mean(found: dict[str, float]) -> float:
    return float(np.mean(list(found.values()))) if found else float("nan")


def _share(held: Sequence[np.ndarray]) -> float:
    found = np.concatenate(held)
    return float(found.mean()) if len(found) else float("nan")


SIZE_COLUMNS = {
    "target": "target", "config": "size", "zone": "zone", "ratio": "ratio",
    "ratio_unsaturated": "unsat",
    "floor": "floor", "worst": "worst", "worst_unsaturated": "w.unsat", "bias": "bias",
    "slope_ratio": "slope", "slope_coverage": "s.cover", "coverage": "cover", "coverage_least": "least",
    "coverage_two_sided": "2-sided", "truth_below": "below", "truth_above": "above",
    "width": "width", "trusted_share": "trusted", "trusted_precision": "prec",
    "trusted_recall": "recall", "trusted_coverage": "t.cover", "trusted_coverage_least": "t.least",
}  # fmt: skip
FAMILY_COLUMNS = {
    "target": "target", "family": "family", "zone": "zone", "ratio": "ratio", "floor": "floor",
    "rmse": "rmse", "plugin": "plugin", "bias": "bias", "slope": "slope", "coverage": "cover",
    "width": "width", "trusted_share": "trusted", "trusted_precision": "prec",
    "trusted_coverage": "t.cover",
}  # fmt: skip


def text(summary: dict[str, Any]) -> str:
    """The tables and verdicts of each estimator beside the baseline."""
    parts = []
    for name, found in summary["estimators"].items():
        heading = f"{name}: error over {summary['baseline']}'s"
        parts.append(f"\n{heading}\n{_grid(found['sizes'], SIZE_COLUMNS)}")
        if name != summary["baseline"]:
            parts.append(f"\n{name}, by family\n{_grid(found['families'], FAMILY_COLUMNS)}")
            if found["prompts"]:
                parts.append(f"\n{name}, single prompts\n{_prompts_text(found['prompts'])}")
            parts.append(f"\n{name}, targets\n" + "\n".join(map(verdict_line, found["verdicts"])))
    return "\n".join(parts)


def verdict_line(line: dict[str, Any]) -> str:
    """What was asked, what was found, and whether that will do."""
    where = f"  ({line['where']})" if line["where"] else ""
    return (
        f"{line['verdict']:8s} {line['found']:7.3f} +- {line['error']:.3f}  {line['target']}{where}"
    )


def _prompts_text(rows: Sequence[dict[str, Any]]) -> str:
    return "\n".join(
        f"{r['family']:22s} {r['config']:14s} "
        + "  ".join(
            f"D={d:g}: gain {g:.3f} kl {k:.3f}"
            for d, g, k in zip(r["kl"], r["gain_error"], r["kl_error"], strict=True)
        )
        for r in rows
    )


def _grid(rows: Sequence[dict[str, Any]], columns: dict[str, str]) -> str:
    cells = [[_cell(row[key]) for key in columns] for row in rows]
    table = [list(columns.values()), *cells]
    widths = [max(len(row[i]) for row in table) for i in range(len(columns))]
    return "\n".join(
        "  ".join(
            c.ljust(w) if i < 3 else c.rjust(w)
            for i, (c, w) in enumerate(zip(row, widths, strict=True))
        )
        for row in table
    )


def markdown(
    rows: Sequence[dict[str, Any]], columns: dict[str, str], shown: Sequence[str]
) -> list[str]:
    """The lines of a Markdown table of these columns."""
    cells = [[_cell(row[key]) for key in shown] for row in rows]
    head = [[columns[key] for key in shown], ["---"] * len(shown)]
    return [row(line) for line in head + cells]


def _cell(value: Any) -> str:
    if isinstance(value, str):
        return value
    return "-" if not np.isfinite(value) else f"{value:.3f}"
