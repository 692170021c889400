"""What a `Hacking` says: how much of the proxy's gain is real, where gold turns, and tables."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from klimit._text import safe
from klimit.view import limit as limit_view
from klimit.view import path, words
from klimit.view.limit import LADDER, around, spoken_for
from klimit.view.records import CONSTANT, columns, framed, heading, number, numbers, settings_record

if TYPE_CHECKING:
    import polars as pl

    from klimit.estimate.labels.result import Sparse
    from klimit.estimate.proxy import Hacking

ALONG = ("proxy_gain", "gold_gain", "gold_limit", "efficiency", "beta")
ASKED = ("prompts", "reward_range", "range_implied", "level", "seed")
GAPS = ("fixed_beta", "fixed_kl", "regularised")
BOUNDS = ("moment", "sub_gaussian", "variance", "sup_norm")
NO_CURVES = "a bootstrap of prompts needs two or more"
HELD = ("shift", "share", "proxy_part", "proxy_rest", "fixed_proxy_gain", "fixed_gold_gain")


def budgets(hack: Hacking, asked: Sequence[float] | None = None) -> list[float]:
    """KL budgets (nats): those that were asked for, or else some that show where gold goes."""
    return around(hack.trusted_kl) if asked is None else [float(kl) for kl in asked]


def text(hack: Hacking, kl: Sequence[float] | None = None) -> str:
    """The verdict, the tables and the notes; this is ``str(hack)``."""
    kl = budgets(hack, kl)
    along = words.table(*cells(hack, kl)) if hack.trusted_kl > 0 else soft_rows(hack, kl)
    parts = along, apart(hack, kl), by_n(hack), legend(hack)
    said = words.result(verdict(hack, kl), *parts, notes=notes(hack))
    return said if hack.run is None else f"{said}\n\n{path.text(hack.run)}"


def focus(hack: Hacking | Sparse, kl: Sequence[float]) -> float:
    """The budget that the verdict speaks of; a usual one where only 0 nats were asked."""
    return limit_view.focus(hack, kl if max(kl) > 0 else around(hack.trusted_kl))


def verdict(hack: Hacking, kl: Sequence[float]) -> str:
    """How much is confirmed, where gold turns, what a nuisance carries, how far that is trusted."""
    if hack.trusted_kl == 0:
        lines = [trust(hack), best_n(hack)]
    else:
        lines = [confirmed(hack, kl), turning(hack), best_n(hack), carried(hack, kl), trust(hack)]
    return "\n".join(filter(None, lines))


def confirmed(hack: Hacking, kl: Sequence[float]) -> str:
    """What the proxy gains, what gold makes of it, and which share of gold's own limit that is."""
    proxy, gold = words.both(hack.pairs.names)
    budget = focus(hack, kl)
    gained, real = hack.proxy_gain(budget), hack.gold_gain(budget)
    where = f"Optimising {proxy} at a KL of {words.nats(budget, exact=True)}"
    if not real.trusted:
        few = words.counted(int(np.median(hack.pairs.lengths)), "sample")
        return f"{where}: {few} a prompt do not show what {gold} makes of it."
    said = f"{where} gains {words.signed(gained, unit=proxy)}"
    if real.low > 0:
        said += f", and {gold} confirms it: {words.signed(real)} {gold}"
    elif real.high < 0:
        said += f", and {gold} falls: {words.signed(real)} {gold}"
    elif not words.bounded(real):
        said += f" and {words.signed(real)} {gold}; whether {gold} gains at all, {_who(hack)} cannot tell"
    else:
        said += f", but {gold} may not gain at all: {words.signed(real)} {gold}"
    part = hack.efficiency(budget)
    if part.trusted and real.low > 0:
        share, between = words.share(part)
        said += f". That is {share} of what {gold} itself could gain at this KL{between}"
    return f"{said}."


def turning(hack: Hacking) -> str:
    """Where gold is highest, or that it is not seen to turn."""
    proxy, gold = words.both(hack.pairs.names)
    stop = hack.stop_kl
    if not stop.trusted:
        return ""
    reach = words.nats(hack.trusted_kl, down=True)
    if not math.isfinite(stop.high):
        along = hack.gold_gain(np.geomspace(0.02, 1.0, 24) * hack.trusted_kl)
        if not words.bounded(along[-1]) or (along.high < 0).any():
            return f"Where {gold} is highest up to {reach}, {_who(hack)} cannot tell."
        likely, gains = peaking(hack) > 0.5, hack.gold_gain(stop.value).low > 0
        if not (along.low > 0).any() and (stop.low == 0 or not likely):
            return f"Up to {reach}, {gold} is seen neither to gain from {proxy} nor to lose."
        early = gains and 0 < stop.low < 0.8 * hack.trusted_kl
        since = f" (a peak before {words.nats(stop.low, down=True)} is ruled out)" if early else ""
        if likely:  # what the note says of the curves that are drawn again
            seems = f": it seems highest at {words.nats(stop.value)}" if hack.turns else ""
            return f"Up to {reach}, it is open whether {gold} turns down{seems}{since}."
        return (
            f"Up to {reach}, {gold} is not seen to turn down{since}; what lies beyond is not known."
        )
    between = f"[{words.short(stop.low)}, {words.short(stop.high)}]"
    if stop.value == 0:
        return f"{gold} is highest at the base model itself: {costs(hack, hack.pairs.names)}."
    best, last = hack.gold_gain(stop.value), hack.gold_gain(hack.trusted_kl)
    return (
        f"Stop at {words.nats(stop.value)} {between}: there {gold} is highest, {words.signed(best)}. "
        f"Beyond, more {proxy} costs {gold}: at {reach} it is {words.signed(last)}."
    )


def peaking(hack: Hacking) -> float:
    """Share of prompt-bootstrap curves whose maximum lies before the end of the trusted range."""
    return float(hack.share_peaking_below(hack.trusted_kl * (1 - 1e-9)))


def costs(found: Hacking | Sparse, names: Sequence[str]) -> str:
    """What steps away from the base cost where gold is highest there, as far as it is shown of each."""
    proxy, gold = words.both(names)
    reach, first = found.trusted_kl, found.stop_kl.high
    kl = np.geomspace(0.02 * reach, reach, 24)
    if (found.gold_gain(kl[kl >= first]).high < 0).all():
        least = "any step" if first < 0.01 else f"any step beyond {words.nats(first)}"
        return f"{least} towards {proxy} costs it"
    said = f"{proxy} is not shown to raise it at any KL"
    last = found.gold_gain(reach)
    if last.high < 0:
        said += f", and at {words.nats(reach, down=True)} {gold} has fallen: {words.signed(last)}"
    return said


def best_n(hack: Hacking) -> str:
    """The same for best-of-N."""
    proxy, gold = words.both(hack.pairs.names)
    found = hack.best_by_proxy
    if len(found.n) < 2:
        return ""
    stop, most = found.stop, int(found.n[-1])
    place = len(found.n) - 1
    if math.isfinite(stop.high):
        if stop.value == 1:
            last = found.gold_gain[place]
            at = f"{words.signed(last)} at N = {most:,}"
            if (np.asarray(found.gold_gain.high)[1:] < 0).all():
                return f"Best-of-N by {proxy} lowers {gold} for every N: {at}."
            fallen = f", and lowers it at the largest: {at}" if last.high < 0 else f": {at}"
            return f"Best-of-N by {proxy} is not shown to raise {gold} for any N{fallen}."
        place = int(np.searchsorted(found.n, stop.value))
        between = f"[{stop.low:,.0f}, {stop.high:,.0f}]"
        lead = f"Best-of-N by {proxy}: {gold} is highest at N = {int(stop.value):,} {between}, and goes"
    else:
        lead = f"Best-of-{most:,} by {proxy} takes {gold}"
    gain = found.gold_gain[place]
    digits = max(words.places(gain), 2)
    start = hack.gold.base_reward
    ends = f"{words.fixed(start, digits)} to {words.fixed(start + gain.value, digits)}"
    return f"{lead} from {ends}: {words.signed(gain)}."


def carried(hack: Hacking, kl: Sequence[float]) -> str:
    """What a nuisance carries of the proxy's gain."""
    if hack.nuisance_readings is None:
        return ""
    budget = focus(hack, kl)
    found = hack.nuisance(budget)
    proxy, gold = words.both(hack.pairs.names)
    name = safe(found.name, longest=40)
    if not found.share.trusted:
        return f"How much of the gain is {name}, these samples do not show."
    share, between = words.share(found.share)
    said = f"{share} of that {proxy} gain is {name}{between}, which moves by {words.signed(found.shift)}"
    held = found.fixed_gold_gain
    if not held.trusted:
        return f"{said}."
    return (
        f"{said}. With mean {name} held where the base has it, {gold} gains {words.signed(held)}."
    )


def trust(hack: Hacking) -> str:
    """How far the samples reach."""
    shown = f"{words.span(hack.pairs.lengths)} samples"
    if hack.trusted_kl == 0:
        return (
            f"With {shown} a prompt no KL of the proxy's optimum is trusted. What is shown needs no "
            "correction: best-of-N, and its soft version."
        )
    return f"Trusted up to {words.nats(hack.trusted_kl, down=True)} with {shown} a prompt."


def cells(hack: Hacking, kl: Sequence[float]) -> tuple[list[str], list[list[str]]]:
    """Headings, and a row per budget."""
    proxy, gold = words.both(hack.pairs.names, 20)
    headings = ["KL", "beta", f"{proxy} gain", f"{gold} gain", f"of {gold}'s limit"]
    lines = []
    for budget, shown in zip(kl, words.aligned(kl), strict=True):
        slope, real = hack.beta(budget), hack.gold_gain(budget)
        lines.append([
            shown, words.short(slope.value) if slope.trusted and budget > 0 else "-",
            words.plain(hack.proxy_gain(budget)), words.plain(real),
            "".join(words.share(hack.efficiency(budget))) if real.trusted and budget > 0 else "-",
        ])  # fmt: skip
    return headings, lines


def soft_rows(hack: Hacking, asked: Sequence[float] = ()) -> str:
    """A row per budget of soft best-of-M, those asked for among them, where no correction is possible."""
    proxy, gold = words.both(hack.pairs.names, 20)
    most = float(np.log(hack.pairs.lengths).mean())
    ladder = {budget for budget in LADDER if 0.1 <= budget < 0.95 * most}
    kl = [*sorted(ladder | {budget for budget in asked if 0 < budget < most}), most]
    found = hack.soft_best(kl)
    few = int(np.median(hack.pairs.lengths))
    lines = [
        [f"{spent:.2g}", words.plain(found.proxy_gain[i]), words.plain(found.gold_gain[i])]
        for i, spent in enumerate(found.kl)
        if spent not in found.kl[:i]  # where the best tie, larger ones spend no more
    ]
    return words.table(
        [f"soft best of {few}, KL of weights", f"{proxy} gain", f"{gold} gain"], lines
    )


def by_n(hack: Hacking) -> str:
    """A row per power of 2 past 1."""
    (_, *headings), (_, *lines) = n_cells(hack)
    proxy, _ = words.both(hack.pairs.names, 20)
    return words.table([f"best of N by {proxy}", *headings], lines) if lines else ""


def n_cells(hack: Hacking) -> tuple[list[str], list[list[str]]]:
    """Headings, and a row per power of 2, the first of 1."""
    proxy, gold = words.both(hack.pairs.names, 20)
    found = hack.best_by_proxy
    lines = [
        [f"{n:,}", f"{np.log(n) - 1 + 1 / n:.2f}", words.plain(found.proxy_gain[i]),
         words.plain(found.gold_gain[i])]
        for i, n in enumerate(found.n.tolist()) if n & (n - 1) == 0
    ]  # fmt: skip
    return ["N", "KL up to", f"{proxy} gain", f"{gold} gain"], lines


def apart(hack: Hacking, kl: Sequence[float]) -> str:
    """How far proxy and gold are apart, at the largest budget where gold and its limit are trusted."""
    proxy, gold = words.both(hack.pairs.names)
    lines, together = [], hack.correlation
    if together.high - together.low < 2:  # else nothing is known of it
        lines = [f"{proxy} and {gold} correlate at {words.plain(together)} within prompts."]
    known = [x for x in kl if 0 < x <= hack.trusted_kl]
    known = [x for x in known if x <= hack.gold.trusted_kl]  # made only where it is needed
    if known and hack.pairs.prompts > 1:  # one prompt shows no error of a difference
        budget = max(known)
        lines += [lost(hack, budget), certain(hack, budget)]
    return words.paragraph(" ".join(line for line in lines if line))


def lost(hack: Hacking, kl: float) -> str:
    """What is lost by optimising the proxy instead of gold: the three gaps."""
    gaps, gold = hack.gaps(kl), words.both(hack.pairs.names)[1]
    where = words.nats(kl, exact=True)
    said = f"Optimised itself at {where}, {gold} would gain {words.more(gaps.fixed_kl)}"
    if words.bounded(gaps.fixed_beta) and words.bounded(gaps.regularised):
        said += (
            f"; with the same beta {words.more(gaps.fixed_beta)}, and {gold} - beta KL would "
            f"gain {words.more(gaps.regularised)}, if both rewards are in one unit"
        )
    return f"{said}."


def certain(hack: Hacking, kl: float) -> str:
    """How much of gold's gain is certain where only the size of the error is known."""
    found, (proxy, gold) = hack.certified(kl), words.both(hack.pairs.names)
    if not found.gold_gain.low > 0:
        return ""
    if not found.moment.low > 0:
        return f"The size of the error alone makes no gain of {gold} there certain."
    return (
        f"The size of the error alone makes {words.plain(found.moment)} of what {proxy} brings there "
        f"certain and leaves {words.percent(max(found.looseness, 0.0))} of it open."
    )


def legend(hack: Hacking) -> str:
    """What the columns mean, for somebody who meets them for the first time."""
    proxy, gold = words.both(hack.pairs.names)
    level = words.level(hack.settings.level)
    said = f"{words.KL}. Gains are over the base's mean, with {level} intervals"
    if hack.trusted_kl == 0:
        return words.paragraph(
            f"{said}. Soft best of N keeps one of N at random, better ones more often; it spends at most "
            "the KL of its weights, and at most what best-of-N does."
        )
    return words.paragraph(
        f"{said}; beta is the KL coefficient that spends this KL on {proxy}. Of {gold}'s limit: share "
        f"of the most that any method gains of {gold} at this KL."
    )


def notes(hack: Hacking) -> list[str]:
    """What was left out, and what to mind."""
    pairs = hack.pairs
    proxy, gold = words.both(hack.pairs.names)
    found = []
    if pairs.missing:
        parts = [
            f"{number:,} without {name}"
            for number, name in ((pairs.no_proxy, proxy), (pairs.no_gold, gold),
                                 (pairs.no_nuisance, safe(pairs.names[2], longest=40))) if number
        ]  # fmt: skip
        found.append(
            f"{pairs.missing:,} of {pairs.seen:,} samples are left out: {words.listed(parts)}."
        )
    if pairs.minded:
        found.append(pairs.minded)
    if pairs.left_out:
        verb = "is" if pairs.left_out == 1 else "are"
        found.append(
            f"{pairs.left_out:,} of {words.counted(pairs.total, 'prompt')} {verb} left out: fewer than "
            "two samples with both rewards."
        )
    share = peaking(hack)
    if math.isfinite(share):
        found.append(
            "share of prompt-bootstrap curves whose maximum lies below "
            f"{words.nats(hack.trusted_kl, down=True)}: {words.percent(share)}."
        )
    found += spoken_for(hack.settings.prompts, pairs.prompts)
    if hack.proxy.tail.heavy:
        found.append(
            f"high {proxy} rewards are rare and far apart (a heavy tail): what the last nats of the "
            "path do is read from few samples."
        )
    return found


def _who(hack: Hacking) -> str:
    return "one prompt" if hack.pairs.prompts == 1 else "these samples"


# ---- for programs


def record(hack: Hacking, kl: Sequence[float] | None = None, *, read: str = "") -> dict[str, Any]:
    """Return ``klimit.hacking/1``: a row per budget and per N."""
    kl = budgets(hack, kl)
    found, pairs = hack.best_by_proxy, hack.pairs
    settings = settings_record(hack.gold)
    return {
        **heading("klimit.hacking/1", read),
        "proxy": pairs.names[0],
        "gold": pairs.names[1],
        "nuisance": pairs.names[2] or None,
        "settings": {name: settings[name] for name in ASKED},
        "data": {
            "prompts": pairs.total,
            "prompts_used": pairs.prompts,
            "samples": pairs.seen,
            "samples_used": len(pairs.gold),
            "samples_without_proxy": pairs.no_proxy,
            "samples_without_gold": pairs.no_gold,
            "samples_per_prompt_least": int(pairs.lengths.min()),
            "samples_per_prompt_most": int(pairs.lengths.max()),
        },
        "trusted_kl": number(hack.trusted_kl, CONSTANT),
        **numbers(hack, ("correlation", "stop_kl", "stop_n")),
        "along": [_row(hack, budget) for budget in kl],
        "best_of_n": [
            {
                "n": int(n),
                "proxy_gain": found.proxy_gain[i].to_dict(),
                "gold_gain": found.gold_gain[i].to_dict(),
            }
            for i, n in enumerate(found.n)
        ],
        "verdict": verdict(hack, kl).split("\n"),
        "notes": notes(hack),
        **({} if hack.run is None else {"run": path.record(hack.run)}),
    }  # fmt: skip


def _row(hack: Hacking, kl: float) -> dict[str, Any]:
    gaps, sure = hack.gaps(kl), hack.certified(kl)
    row: dict[str, Any] = {"kl": kl}
    row |= {name: getattr(hack, name)(kl).to_dict() for name in ALONG}
    row["share_of_bootstrap_curves_peaking_below"] = number(
        hack.share_peaking_below(kl),
        NO_CURVES if hack.pairs.prompts < 2 else "beyond what is trusted",
    )
    row["gaps"] = numbers(gaps, GAPS)
    row["certified_gold_gain"] = numbers(sure, BOUNDS)
    if hack.nuisance_readings is not None:
        row["nuisance"] = numbers(hack.nuisance(kl), HELD)
    return row


def frame(hack: Hacking, kl: Sequence[float] | None = None) -> pl.DataFrame:
    """Return a row per budget: each number with its limits, null where not finite."""
    rows = []
    for budget in budgets(hack, kl):
        gaps = hack.gaps(budget)
        row: dict[str, Any] = {"kl": budget}
        for name in ALONG:
            row |= columns(name, getattr(hack, name)(budget))
        for name in GAPS:
            row |= columns(f"{name}_gap", getattr(gaps, name))
        row["trusted"] = bool(hack.gold_gain(budget).trusted)
        rows.append(row)
    return framed(rows)
