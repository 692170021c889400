"""What few labels, or few judgements, say of a proxy: the gain, what predictions saved, what is left."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from klimit._estimate import Estimate
from klimit.estimate.labels.preferences import FewJudgements
from klimit.view import words
from klimit.view.hacking import costs, focus
from klimit.view.limit import around, spoken_for
from klimit.view.records import CONSTANT, columns, framed, heading, number

if TYPE_CHECKING:
    import polars as pl

    from klimit.estimate.labels.result import Sparse, Split

PARTS = ("prompts", "samples", "labels", "saved", "allowed", "possible")


def budgets(few: Sparse, asked: Sequence[float] | None = None) -> list[float]:
    """KL budgets (nats): those that were asked for; else the last few trusted round ones, or the first."""
    if asked is not None:
        return [float(kl) for kl in asked]
    found = around(few.trusted_kl)
    return [kl for kl in found if kl <= few.trusted_kl] or found


def text(few: Sparse, kl: Sequence[float] | None = None) -> str:
    """The verdict, the table and the notes; this is ``str(few)``."""
    kl = budgets(few, kl)
    return words.result(verdict(few, kl), rows(few, kl), legend(few), notes=notes(few))


def verdict(few: Sparse, kl: Sequence[float]) -> str:
    """What gold gains, how much shorter the proxy made the interval, what is left, where gold turns."""
    budget = focus(few, kl)
    lines = [confirmed(few, budget)]
    if few.gold_gain(budget).trusted:
        lines += [saved(few, budget), left(few, budget), turning(few)]
    return "\n".join(filter(None, lines))


def confirmed(few: Sparse, kl: float) -> str:
    """What gold makes of the proxy's optimum."""
    proxy, gold = words.both(few.names)
    real = few.gold_gain(kl)
    where = f"Optimising {proxy} at a KL of {words.nats(kl, exact=True)}"
    by = f"by {few.number:,} {few._what} in {words.counted(few.labelled_prompts, 'prompt')}"
    if not real.trusted:
        bounds = "" if _open(few, real) else f"; it gains {words.signed(real, unit=gold)}"
        return (
            f"{where}: these samples and {few._what} do not show what {gold} makes of it{bounds}. klimit "
            f"labels says which {few._what} would show most."
        )
    if isinstance(few, FewJudgements):
        rate = few.win_rate(kl)
        sure = "beats" if real.low > 0 else "loses to" if real.high < 0 else "may or may not beat"
        share, between = words.share(rate)
        return f"{where} {sure} a draw of the base: it is preferred {share} of the time{between}, {by}."
    if real.low > 0 or real.high < 0:
        verb = "gains" if real.low > 0 else "costs: it gains"
        return f"{where} {verb} {words.signed(real, unit=gold)}, {by}."
    return f"{where} may gain {gold} or cost some: {words.signed(real)}, {by}."


def saved(few: Sparse, kl: float) -> str:
    """How much shorter predictions made the interval."""
    split = few.split(kl)
    proxy, _ = words.both(few.names)
    total = len(few.known.gold)
    if split.saved <= 0.005 and split.allowed > 0.05:
        return (
            f"Predictions by {proxy} make the interval no shorter: hardly any label stands where its optimum "
            "puts weight. klimit labels says which to add."
        )
    if split.saved <= 0.005:
        return f"Predictions by {proxy} make the interval no shorter: it says too little of gold."
    said = (
        f"{proxy} of all {total:,} samples makes that interval {words.percent(split.saved)} shorter than the "
        f"{few._what} alone"
    )
    if isinstance(few, FewJudgements):
        return f"{said}."
    if math.isfinite(split.allowed):
        said += (
            f", where the split below and a correlation of {few.among_labels:.2f} among them promise "
            f"{words.percent(split.allowed)}"
        )
    return f"{said}; a label on every sample would make it {words.percent(split.possible)} shorter."


def left(few: Sparse, kl: float) -> str:
    """Where the variance that is left comes from."""
    split = few.split(kl)
    unknown = "samples without a label"
    if isinstance(few, FewJudgements):
        unknown = "pairs that were not judged"
    parts = [
        (split.prompts, "which prompts were drawn (more prompts)"),
        (split.samples, "which samples were drawn (more samples)"),
        (split.labels, f"{unknown} (more {few._what})"),
    ]
    said = [f"{words.percent(share)} {what}" for share, what in parts if share > 0.005]
    return f"Its variance, and what would shrink each part: {words.listed(said)}."


def turning(few: Sparse) -> str:
    """Where gold is highest, or that it is not seen to turn."""
    gold = words.both(few.names)[1]
    stop = few.stop_kl
    if not stop.trusted:
        return ""
    if not math.isfinite(stop.high):
        reach = words.nats(few.trusted_kl, down=True)
        if few.turns:
            seems = f"{gold} seems highest at {words.nats(stop.value)}"
            return f"{seems}, but a peak at the end of the trusted {reach} is not ruled out."
        return f"{gold} is not seen to turn down within the trusted {reach}: no peak is shown."
    between = f"[{words.short(stop.low)}, {words.short(stop.high)}]"
    if stop.value == 0:
        return f"{gold} is highest at the base model itself {between}: {costs(few, few.names)}."
    return f"Stop at {words.nats(stop.value)} {between}: there {gold} is highest."


def rows(few: Sparse, kl: Sequence[float]) -> str:
    """A row per budget."""
    proxy, gold = words.both(few.names, 20)
    judged = isinstance(few, FewJudgements)
    gained = gold if judged else f"{gold} gain"
    headings = ["KL", f"{proxy} gain", gained, "without proxy", "shorter by"]
    lines = []
    for budget, shown in zip(kl, words.aligned(kl), strict=True):
        real, alone = few.gold_gain(budget), few.without_proxy(budget)
        if judged:
            real, alone = _rate(real), _rate(alone)
        known = bool(real.trusted) and budget > 0
        lines.append([
            shown, words.plain(few.proxy_gain(budget)), "-" if _open(few, real) else words.plain(real),
            words.plain(alone) if known else "-",
            words.percent(max(few.split(budget).saved, 0.0)) if known else "-",
        ])  # fmt: skip
    return words.table(headings, lines)


def _open(few: Sparse, gain: Estimate) -> bool:
    """Whether nothing is known of a gain: of judged pairs nothing is said past trust."""
    if isinstance(few, FewJudgements):
        return not gain.trusted
    return not words.bounded(gain)


def legend(few: Sparse) -> str:
    """What the columns mean, for somebody who meets them for the first time."""
    level = words.level(few.proxy.settings.level)
    proxy, _ = words.both(few.names)
    start = (
        "Win rates are over a draw of the base"
        if isinstance(few, FewJudgements)
        else "Gains are over the base's mean"
    )
    return words.paragraph(
        f"{words.KL}. {start}, with {level} intervals. "
        f"Without proxy: from the same {few._what}, without predicting the rest by {proxy}."
    )


def notes(few: Sparse) -> list[str]:
    """What was assumed, and what to mind."""
    found = list(few.known.minded)
    if not _by_design(few):
        found.append(
            f"{few._what} are taken to be at random within prompts, and prompts without any to be so at "
            f"random. What klimit labels chooses tells more than {few._what} at random."
        )
    if len(few.known.others):
        found.append(
            "beside few labels a nuisance only helps to predict them. How far it moves is told where it "
            "is named as gold."
        )
    lost = few.known.lost
    if lost:
        found.append(
            f"{words.counted(lost, 'label')} without the proxy, or alone in a prompt, are left out."
        )
    return found + spoken_for(few.proxy.settings.prompts, few.known.rows.prompts, served=False)


def _by_design(few: Sparse) -> bool:
    if isinstance(few, FewJudgements):
        return bool((few.pairing.judgements.round > 0).all())
    return bool((few.known.round[~np.isnan(few.known.gold)] > 0).all())


def _rate(gain: Any) -> Any:
    ends = {x: min(max(float(getattr(gain, x)) + 0.5, 0.0), 1.0) for x in ("value", "low", "high")}
    return replace(gain, **ends)


# ---- for programs


def record(few: Sparse, kl: Sequence[float] | None = None, *, read: str = "") -> dict[str, Any]:
    """Return ``klimit.labels/1``: a row per budget."""
    kl = budgets(few, kl)
    settings = few.proxy.settings
    return {
        **heading("klimit.labels/1", read),
        "proxy": few.names[0],
        "gold": few.names[1],
        "what": few._what,
        "settings": {"prompts": settings.prompts, "level": settings.level, "seed": settings.seed},
        "data": {
            "prompts": few.known.rows.prompts,
            "prompts_labelled": few.labelled_prompts,
            "samples": len(few.known.gold),
            "labels": few.number,
            "labels_left_out": few.known.lost,
        },
        "trusted_kl": number(few.trusted_kl, CONSTANT),
        "stop_kl": few.stop_kl.to_dict(),
        "along": [_row(few, budget) for budget in kl],
        "verdict": verdict(few, kl).split("\n"),
        "notes": notes(few),
    }


def _row(few: Sparse, kl: float) -> dict[str, Any]:
    split: Split = few.split(kl)
    unknown = "the correlation of proxy and gold is not known"
    return {
        "kl": kl,
        "proxy_gain": few.proxy_gain(kl).to_dict(),
        "gold_gain": few.gold_gain(kl).to_dict(),
        "without_proxy": few.without_proxy(kl).to_dict(),
        "variance": {name: getattr(split, name) for name in PARTS[:3]},
        "shorter_by": split.saved,
        "shorter_allowed": number(split.allowed, unknown),
        "shorter_with_all_labels": split.possible,
    }


def frame(few: Sparse, kl: Sequence[float] | None = None) -> pl.DataFrame:
    """Return a row per budget: each number with its limits, null where not finite."""
    lines = []
    for budget in budgets(few, kl):
        split = few.split(budget)
        line: dict[str, Any] = {"kl": budget}
        for name in ("proxy_gain", "gold_gain", "without_proxy"):
            line |= columns(name, getattr(few, name)(budget))
        line |= {name: getattr(split, name) for name in PARTS}
        line["allowed"] = split.allowed if math.isfinite(split.allowed) else None
        lines.append(line | {"trusted": bool(few.gold_gain(budget).trusted)})
    return framed(lines)
