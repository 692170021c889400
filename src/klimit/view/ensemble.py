"""What an `Ensemble` says: what averaging buys, what all members get wrong, and what to set; plain values."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from klimit._estimate import Estimate
from klimit._text import safe
from klimit.estimate.ensembles.gains import Course
from klimit.view import words
from klimit.view.records import CONSTANT, columns, framed, heading, number, numbers

if TYPE_CHECKING:
    import polars as pl

    from klimit.estimate.ensembles import Ensemble


def text(found: Ensemble, kl: Sequence[float] | None = None) -> str:
    """The verdict, the tables and the notes."""
    at = budget(found, kl)
    if found.course is None:
        parts = [own_rows(found, at), words.paragraph(_own_legend(found, at))]
    else:
        parts = [rows(found, at), words.paragraph(_legend(found, at))]
        parts += [member_rows(found, at), size_rows(found, at)]
    return words.result(verdict(found, kl), *parts, notes=found.notes)


def budget(found: Ensemble, kl: Sequence[float] | None) -> float:
    """The budget that the words speak of: the largest asked that is trusted."""
    if not kl or not max(kl) > 0:
        return found.usual_kl()
    inside = [float(x) for x in kl if x <= found.trusted_kl * (1 + 1e-9)]
    return max(inside) if inside else float(min(kl))


def verdict(found: Ensemble, kl: Sequence[float] | None = None) -> str:
    """What averaging gains, what is shared and stays, which aggregate is best, what to set."""
    at = budget(found, kl)
    if found.course is None:
        lines = _blind(found)
    else:
        first = best(found, at)
        lines = [*_gained(found, at), *_shared(found, at), _best(found, first, at)]
        lines.append(_set(found, first if _beats_the_mean(found, first, at) else "mean"))
    return "\n".join(filter(None, lines))


def _gained(found: Ensemble, at: float) -> list[str]:
    size, gold = len(found.names), safe(found.gold, longest=40)
    if not found.gold_gain(at).trusted:
        return [_untrusted(found, at)]
    sizes = found.by_size(at)
    gain = sizes[-1].gold_gain
    limit = found.limit.gain(at)
    said = (
        f"Where the best policy for the mean of {size} proxies spends {words.nats(at)}, it gains "
        f"{words.signed(gain, unit=gold)} over the base model"
    )
    if limit.trusted and limit.value > 0:
        share = words.percent(gain.value / limit.value)
        said += f", {share} of what any method can gain there."
    else:
        said += "."
    more = sizes[-1].gained
    alone = f"One proxy alone gains {words.plain(sizes[0].gold_gain)} on average: "
    if not more.trusted:
        return [said]
    if more.low > 0 or more.high < 0:
        return [said, f"{alone}averaging brings {words.more(more)}."]
    return [said, f"{alone}that averaging brings more is not shown ({words.plain(more)})."]


def _untrusted(found: Ensemble, at: float) -> str:
    gold, edge = safe(found.gold, longest=40), found.hacking("mean").trusted_kl
    told = found.course.told if found.course is not None else "no answer"
    reach = f"they reach {words.nats(edge, down=True)}" if edge > 0 else "they are too few"
    return (
        f"What {gold} gains where the best policy for the mean of {len(found.names)} proxies spends "
        f"{words.nats(at)} is not known from these samples: {reach}, with {gold} known of {told}."
    )


def _shared(found: Ensemble, at: float) -> list[str]:
    errors: Any = found.errors  # all are known beside gold
    gold = safe(found.gold, longest=40)
    size = errors.error_variance.value / errors.gold_variance.value
    first = (
        f"In units of {gold} a proxy's error has {words.short(size)} times the variance of {gold} "
        f"itself, and the errors of two proxies correlate by {words.plain(errors.correlation)}."
    )
    if not math.isfinite(errors.efficiency_limit.high):
        return [f"So few prompts do not show what the proxies' errors against {gold} share."]
    if not _follow(found):
        return [f"The proxies hardly follow {gold}: their error is not measured in its units."]
    if errors.correlation.high <= 0.05:
        return [f"{first} Hardly any of it is shared, so more proxies go on helping."]
    share = max(errors.correlation.value, 0.0)
    stays = (
        f"So about {words.percent(share)} of that error is shared and stays however many such proxies "
        "are averaged"
    )
    limit = found.limit.gain(at)
    known = limit.trusted and limit.value > 0
    reached = found.gold_gain(at).value / limit.value if known else 0.0
    if reached > errors.efficiency_limit.high:
        return [first, f"{stays}; these rewards lose less by it than normal ones would."]
    second = (
        f"{stays}: endlessly many would reach {_percent(errors.efficiency_limit)} of the limit, "
        f"these {len(found.names)} reach {_percent(errors.efficiency)} (if rewards are normal)."
    )
    return [first, second]


def best(found: Ensemble, at: float) -> str:
    """The aggregate that gains most over the mean."""
    return max(found.aggregates, key=lambda name: float(found.difference(name, "mean", at).value))


def _beats_the_mean(found: Ensemble, name: str, at: float) -> bool:
    """Whether the best of several is shown to be better, that it was picked taken into account."""
    from scipy.special import ndtri

    apart = found.difference(name, "mean", at)
    tail = (1 - found.settings.level) / 2
    picked = float(ndtri(tail / max(len(found.aggregates) - 1, 1)) / ndtri(tail))
    return bool(apart.trusted and apart.value - picked * (apart.value - apart.low) > 0)


def _best(found: Ensemble, first: str, at: float) -> str:
    if not found.gold_gain(at).trusted:
        return ""
    if first == "mean":
        return "No other aggregate gains more than the mean."
    apart = found.difference(first, "mean", at)
    if _beats_the_mean(found, first, at):
        return f"The best aggregate is {_called(first)}: {words.plain(apart)} more than the mean."
    tried = len(found.aggregates) - 1
    return (
        f"Of {words.counted(tried, 'other aggregate')} none is shown to gain more than the mean; the "
        f"highest is {_called(first)} ({words.plain(apart)} more)."
    )


def _called(name: str) -> str:
    return {"learned": "the mean with learned weights", "weighted": "the weighted mean"}.get(
        name, f"the {name}"
    )


def _set(found: Ensemble, name: str) -> str:
    advice = found.recommended(name)
    said = []
    shown = advice.gold_gain.low > 0
    if shown and advice.trainable:
        where = "where gold peaks"
        if advice.at_the_end:
            where = "the end of the trusted range, where gold may still rise"
        elif math.isinf(advice.kl.high):
            where = "where gold is highest, though a peak beyond is not ruled out"
        said.append(
            f"train on {_called(name)} with beta = {words.short(advice.beta.value)} for "
            f"{words.nats(advice.kl.value)}, {where} ({words.signed(advice.gold_gain)})"
        )
    if advice.n is not None and advice.n > 1 and advice.best_of_n.low > 0:
        more = "; more may be better" if advice.largest_n else ""
        said.append(f"keep the best of {advice.n:,} by it ({words.signed(advice.best_of_n)}{more})")
    if not said and not found.hacking(name).trusted_kl > 0:
        return ""
    if not said and shown:
        return (
            f"Gold is highest at {words.nats(advice.kl.value)}, but no beta is shown to spend them: "
            "there the rewards are nearly as high as they get. Train to a smaller KL."
        )
    if not said:
        return "No setting is shown to gain anything in gold: do not optimise these proxies."
    return f"To use it: {', or '.join(said)}."


def _blind(found: Ensemble) -> list[str]:
    errors, size = found.errors, len(found.names)
    apart = 1 - errors.agreed_share.value
    left = apart / size
    many, endless, needed = errors.multiplier, errors.multiplier_limit, errors.members_for(0.1)
    two = "The two proxies" if size == 2 else f"Two of these {size} proxies"
    return [
        f"{two} agree by a correlation of {words.plain(errors.agreed_share)} "
        f"within prompts: {words.percent(apart)} of what one says is its own, and "
        f"{words.percent(left)} is left of that in the mean of {size}.",
        f"If rewards are normal, the mean of {size} gains {words.plain(many)} times as much of any "
        "gold reward as one proxy at the same KL"
        + (f", endlessly many would {words.plain(endless)} times." if endless.trusted else "."),
        f"From {_whole(needed)} such proxies on at most 10 % of what their mean varies by is disagreement: "
        "they gain 95 % of what endlessly many would."
        if needed.trusted
        else "",
        "How much gold that is cannot be known from the proxies: what they agree on may be gold or an "
        "error that all of them share, and averaging never removes a shared error. Label some of "
        "these samples and give them as gold.",
    ]


def _follow(found: Ensemble) -> bool:
    """Whether the proxies follow gold, so that their error can be measured in its units."""
    one = found.errors.efficiency_one
    return one is not None and one.low > 0


def rows(found: Ensemble, at: float) -> str:
    """A row per aggregate."""
    lines = []
    for name in found.aggregates:
        best = found.recommended(name)
        apart = found.difference(name, "mean", at)
        train = (
            f"{words.short(best.beta.value)} ({words.nats(best.kl.value)}"
            f"{', the end' if best.at_the_end else ''})"
            if best.trainable
            else "-"
        )
        serve = "-" if best.n is None else f"N = {best.n:,}: {words.plain(best.best_of_n)}"
        over = "-" if name == "mean" or not apart.trusted else words.plain(apart)
        lines.append([name, words.plain(found.gold_gain(at, name)), over, train, serve])
    gold = safe(found.gold, longest=20)
    return words.table(
        ["aggregate", f"{gold} at {words.nats(at)}", "over the mean", "beta (KL)", "best-of-N"],
        lines,
    )


def _legend(found: Ensemble, at: float) -> str:
    most = found.limit.gain(at)
    paired = "paired by prompt"
    if not isinstance(found.course, Course):
        paired += ", an estimate of its own, which knows more than the gains beside it"
    limit = f"What any method can gain at {words.nats(at)}: {words.plain(most)}. "
    if not most.trusted:
        limit = "What any method can gain there is not known from the samples with gold alone. "
    return (
        f"{limit}over the mean: {paired}; "
        "beta (KL): the coefficient and the KL at which gold is highest within trust (the end: it may "
        "still rise), in units of the aggregate per nat; best-of-N: at the N that other prompts chose. "
        f"{words.brackets(found.settings.level)}"
    )


def member_rows(found: Ensemble, at: float) -> str:
    """A row per proxy: how it goes with gold, and what it gains alone."""
    errors: Any = found.errors  # all are known beside gold
    lines = []
    for place, name in enumerate(found.names):
        others = np.delete(np.asarray(errors.pairs.value)[place], place)
        lines.append([
            safe(name, longest=30),
            words.plain(errors.accuracy[place]),
            words.fixed(others.mean(), 2) if _follow(found) else "-",
            words.plain(found.member(name).gold_gain(at)),
        ])  # fmt: skip
    head = ["proxy", "correlation with gold", "shared error", f"alone at {words.nats(at)}"]
    return words.table(head, lines)


def size_rows(found: Ensemble, at: float) -> str:
    """A row per number of members; what normal rewards would gain only where gold's limit is trusted."""
    sizes = found.by_size(at)
    normal = [row.normal for row in sizes] + [float(found.bounds(at)["endless"][0])]
    lines = [
        [f"{row.members}", words.plain(row.gold_gain), words.plain(row.gained)] for row in sizes
    ]
    lines[0][2] = "-"
    heads = ["members", "gold gain of their mean", "over one"]
    if _follow(found) and math.isfinite(normal[-1]):
        heads.append("if normal")
        lines.append(["endless", "-", "-"])
        lines = [[*line, f"{x:.3g}"] for line, x in zip(lines, normal, strict=True)]
    return words.table(heads, lines)


def own_rows(found: Ensemble, at: float) -> str:
    """A row per aggregate, without gold: what it promises itself."""
    lines = []
    for name in found.aggregates:
        limit = found.own(name)
        lines.append([name, words.plain(limit.gain(at)), words.short(limit.beta(at).value)])
    return words.table(["aggregate", f"its own gain at {words.nats(at)}", "beta"], lines)


def _own_legend(found: Ensemble, at: float) -> str:
    return (
        "its own gain: what the aggregate promises, in its own units, not what gold would confirm; beta: "
        "the coefficient with which training on it spends that KL. Best-of-N spends no more of it up to "
        f"N = {_within(at):,}. Which KL is best for gold cannot be told. "
        f"{words.brackets(found.settings.level)}"
    )


def _within(kl: float) -> int:
    """The largest N of which best-of-N spends at most `kl`, ``log N - (N - 1) / N``."""
    n = 1
    while n < 2**20 and math.log(n + 1) - n / (n + 1) <= kl:
        n += 1
    return n


def _whole(estimate: Estimate) -> str:
    value, low, high = (int(x) for x in (estimate.value, estimate.low, estimate.high))
    return f"{value:,}" if low == high else f"{value:,} [{low:,}, {high:,}]"


def _percent(share: Estimate) -> str:
    value, low, high = map(words.percent, (share.value, share.low, share.high))
    return f"{value} [{low}, {high}]"


# ---- for programs

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
