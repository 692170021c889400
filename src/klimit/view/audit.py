"""What audits say: a verdict in words, a table of all policies, and what to mind."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from klimit._estimate import Estimate, two_digits
from klimit._text import safe
from klimit.audit.wording import UNLIKELY, impossible, open_share
from klimit.rollouts.words import listing
from klimit.view import limit as limit_view
from klimit.view import words
from klimit.view.best_of_n import each, near_limit

if TYPE_CHECKING:
    from klimit.audit.compare import Comparison
    from klimit.audit.result import Audit
    from klimit.estimate.best_of_n import BestOfN

NO_KL = (
    "Its KL is not known, so neither is the limit at it: add log-probabilities under both models "
    "(klimit rescore), or state it (kl=, --kl)."
)
_WRONG = "its KL, its rewards or the base are not those of this comparison"
PLACED = ("kl", "gain", "limit", "efficiency", "gap_reward", "gap_nats", "least_kl", "excess_kl")
SHOWN = 3  # prompts that are named
UNEVEN = 0.3  # share of the loss in a tenth of the prompts from which it is called uneven
MANY = 12  # rows of a path that are shown in full


def text(audits: Sequence[Audit], beside: BestOfN | None = None) -> str:
    """The verdict, the table and the notes.

    Parameters
    ----------
    beside : best-of-N of the same base, to stand in the table
    """
    shown = words.table(*cells(audits, beside))
    return words.result(verdict(audits), shown, legend(audits), notes=notes(audits))


def verdict(audits: Sequence[Audit]) -> str:
    """What the policy gained, what its KL could have bought, and where the rest is, a line each.

    Of several policies the one with the largest gain is spoken of.
    """
    if len(audits) == 1:
        return "\n".join(_sentences(audits[0]))
    first = best(audits)
    lead = f"Of {len(audits)} placements {safe(first.label, longest=60)} gains most."
    return "\n".join([lead, *_sentences(first)])


def best(audits: Sequence[Audit]) -> Audit:
    """The placement with the largest gain."""
    return max(audits, key=lambda one: float(np.nan_to_num(one.gain.value, nan=-np.inf)))


def by_name(audits: Sequence[Audit]) -> dict[str, list[Audit]]:
    """Placements by run, each in the order of its steps."""
    runs = dict.fromkeys(one.run for one in audits)
    return {run: [one for one in audits if one.run == run] for run in runs}


def _sentences(audit: Audit) -> list[str]:
    if np.ndim(audit.kl.value):
        return [f"{len(audit.kl)} points are placed."]
    known = math.isfinite(audit.kl.value)
    lines = [_gained(audit)]
    if audit.kl.high < 0 and not audit.kl.trusted:
        lines += [
            "A KL below 0 does not exist, so no limit belongs to it (see the note).",
            _least(audit),
        ]
    elif not known:
        lines += [_least(audit), NO_KL]
    elif not audit.limit.trusted:
        lines += [_least(audit), _bounded(audit)]
    else:
        lines += [_limit(audit), _least(audit), _far(audit)]
    lines += [_split(audit), _wasted(audit)]
    return [line for line in lines if line]


def _gained(audit: Audit) -> str:
    unit = safe(audit.reward, longest=40)
    who = safe(audit.label, longest=60)
    gain = words.signed(audit.gain, unit=unit)
    if audit.gain.low == audit.gain.high:
        won = float(audit.gain.value)
        digits = max(min(two_digits(won) + 1, 2), words.decimals(abs(won)))
        gain = f"{words.plus(won, digits)} {unit}"
    if not math.isfinite(audit.kl.value):
        return f"{who} gained {gain} over the base model's mean."
    return f"{who} gained {gain} at a KL of {words.spent(audit.kl)}."


def _limit(audit: Audit) -> str:
    if not math.isfinite(audit.efficiency.value):
        if audit.kl.value > 0:
            return (
                "The base's rewards are all equal within every prompt, so its samples show no limit: draw "
                "more of them, or score them with a finer reward."
            )
        if audit.limit.high > 0:
            most = (
                "Its KL is not told from 0: the best any method can do at that KL is "
                f"{words.signed(audit.limit)}"
            )
            return f"{most}, and it did more: {_WRONG}." if impossible(audit) else f"{most}."
        if impossible(audit):
            return f"No KL was spent, so nothing can be gained, and yet it did: {_WRONG}."
        return "No KL was spent, so there is nothing to gain: no share of it is defined."
    part, between = _share(audit.efficiency)
    best = words.signed(audit.limit)
    if audit.gain.value <= 0:
        return f"The best any method can do at that KL is {best}."
    if impossible(audit):
        return f"The best any method can do at that KL is {best}: more than that is impossible, so {_WRONG}."
    return f"The best any method can do at that KL is {best}, so it reached {part} of it{between}."


def _bounded(audit: Audit) -> str:
    """What is left to say where the limit is known from below only."""
    best, share = audit.limit, audit.efficiency
    reach = "these samples reach " + words.nats(audit.trusted_kl, down=True)
    if not audit.trusted_kl > 0:
        reach = "the base has too few samples a prompt to reach any KL"
    line = f"At its own KL the limit is {words.signed(best)} ({reach})"
    if not math.isfinite(best.high) and best.low <= max(float(audit.gain.low), 0.0):
        return f"At its own KL these samples show no more of the limit than it gained ({reach})."
    if math.isfinite(share.value) and math.isfinite(share.high) and share.high < 1:
        line += f": it reached {words.share(share)[0]} of it"
    if (
        audit.gap_nats.note
        and not math.isfinite(audit.gap_nats.value)
        and best.high < math.inf
        and best.value > max(audit.gain.value, 0.0)
    ):
        line += f", {_number(audit.gap_reward)} short of what could be gained"
    return f"{line}."


def _least(audit: Audit) -> str:
    least = audit.least_kl
    if audit.gain.value <= 0:
        return "It gained nothing over the base model, which costs no KL at all."
    if math.isinf(least.value):
        return "The range of rewards does not allow such a gain; check the rewards."
    if not math.isfinite(least.value):
        return "No sample of the base shows such a gain: more of them would show its price."
    if not least.trusted and not least.low > 0:
        return "What KL such a gain needs is not known from these samples."
    price = words.spent(least) if least.trusted else words.nats(least.low, down=True)
    if not least.trusted and math.isfinite(audit.kl.value):
        price = f"at least {price}"
        if math.isfinite(least.high):
            price = f"about {words.nats(least.value)} (not trusted)"
    if not math.isfinite(audit.kl.value):
        return f"No method can gain as much for less than {price}."
    return f"The same gain needs {price}{_beyond(audit)}."


def _beyond(audit: Audit) -> str:
    spent, least = float(audit.kl.value), float(audit.least_kl.value)
    if spent <= least or not audit.excess_kl.low > 0:
        return ""
    more = words.nats(spent - least)
    return f"; {more} {'were' if more.endswith('s') else 'was'} spent beyond that"


def _far(audit: Audit) -> str:
    gap, nats = audit.gap_reward, audit.gap_nats
    if not audit.kl.high > 0:
        return ""
    if not math.isfinite(nats.value):
        if not math.isfinite(gap.value) or float(audit.limit.value) <= 0:
            return ""
        return (
            f"The frontier is flat at that KL, more KL gains nothing; {_number(gap)} reward is "
            "missing."
        )
    if not math.isfinite(gap.high) or impossible(audit):
        return ""
    if gap.high < 0:
        return f"{UNLIKELY[0].upper()}{UNLIKELY[1:]}."
    if gap.low <= 0:
        return "That is as near to the optimal policy of this KL as these samples can tell."
    return f"It is {words.spent(nats)} from the optimal policy of the same KL."


def _split(audit: Audit) -> str:
    part, gap = audit.allocation, audit.gap_reward
    if not parted(audit):
        return ""
    return (
        f"Of the {words.short(float(gap.value))} that is missing, KL spent on the wrong prompts "
        f"accounts for {_number(part)}, and what the policy does within prompts for "
        f"{_number(audit.shape)}."
    )


def parted(audit: Audit) -> bool:
    """Whether a gap is shown, and told apart into its two parts."""
    known = math.isfinite(audit.allocation.value) and audit.limit.trusted
    return bool(known and audit.gap_reward.low > 0)


def _wasted(audit: Audit) -> str:
    if audit.case is None or not audit.case.paired or not audit.gap_reward.low > 0:
        return ""
    frame = audit.prompts()
    loss = frame["loss"].drop_nulls().to_numpy()
    if len(loss) < 10 or not loss.sum() > 0:
        return ""
    names = [_name(name) for name in frame["prompt_id"][:SHOWN].to_list()]
    tenth = max(len(loss) // 10, 1)
    share = loss[:tenth].sum() / loss.sum()
    if share < UNEVEN:
        return (
            f"The loss is spread over the prompts; the largest parts are in {words.listed(names)}."
        )
    return (
        f"{words.percent(min(share, 1.0))} of the loss sits in a tenth of the prompts; most in "
        f"{words.listed(names)}."
    )


def _name(prompt: str) -> str:
    """An id, or the beginning of a prompt between quotes."""
    name = safe(words.asked(prompt), longest=30)
    return f'"{name}"' if " " in name else name


def cells(
    audits: Sequence[Audit], beside: BestOfN | None = None
) -> tuple[list[str], list[list[str]]]:
    """Headings, and a row per placement, then best-of-N."""
    headings = ["policy", "KL", "gain", "of the limit", "nats from optimal", "least KL"]
    lines = [_row(one) for audit in _thinned(audits) for one in points(audit)]
    for one in each(beside):
        part, kl = "".join(near_limit(one)), words.short(one.kl.value)
        lines.append([f"best-of-{one.n}", kl, words.plain(one.gain), part, "-", "-"])
    return headings, lines


def _row(audit: Audit) -> list[str]:
    known = math.isfinite(audit.kl.value)
    gain, share, nats = audit.gain, audit.efficiency, audit.gap_nats
    part = "-"
    if known:
        part = "".join(_share(share)) if share.trusted or share.high < 1 else "not known"
    away = words.measured(nats) if math.isfinite(nats.value) and nats.trusted else "-"
    return [
        safe(audit.label, longest=40), words.measured(audit.kl) if known else "not known",
        words.short(gain.value) if gain.low == gain.high else words.plain(gain), part, away,
        _price(audit.least_kl),
    ]  # fmt: skip


def _price(least: Estimate) -> str:
    if not math.isfinite(least.value):
        return "-"
    if least.trusted:
        return words.measured(least)
    if math.isfinite(least.high):
        return f"{words.measured(least)} (not trusted)"
    if not least.low > 0:
        return "not known"
    return f"at least {words.nats(least.low, down=True).split(' ')[0]}"


def _share(share: Estimate) -> tuple[str, str]:
    """A share and its interval; a few prompts may leave it open by any factor."""
    if share.trusted and open_share(share):
        return "an unknown share", ""
    return words.share(share)


def points(audit: Audit) -> list[Audit]:
    """The placements of an array one by one."""
    if not np.ndim(audit.kl.value):
        return [audit]
    names = [name for name in PLACED if np.ndim(getattr(audit, name).value)]
    return [
        replace(audit, name=f"point {i + 1}", **{name: getattr(audit, name)[i] for name in names})
        for i in range(len(audit.kl))
    ]


def _thinned(audits: Sequence[Audit]) -> Sequence[Audit]:
    """Of a long path as many rows as one looks at: first, last and best among them."""
    if len(audits) <= MANY:
        return audits
    shown = np.linspace(0, len(audits) - 1, MANY).astype(int)
    most = [*map(id, audits)].index(id(best(audits)))
    if most not in shown:
        shown[1 + np.abs(shown[1:-1] - most).argmin()] = most
    return [audits[i] for i in shown]


def legend(audits: Sequence[Audit]) -> str:
    """What the columns mean, for somebody who meets them for the first time."""
    thin = ""
    if len(audits) > MANY:
        thin = f" {MANY} of {len(audits)} placements are shown; klimit audit --output writes all."
    return words.paragraph(
        f"{words.DISTANCE}; of the limit: share of what any method can gain at this KL; nats from "
        "optimal: KL from the best policy of the same KL; least KL: what the same gain costs at best. "
        f"{words.brackets(audits[0].gain.level)}{thin}"
    )


def notes(audits: Sequence[Audit]) -> list[str]:
    """What was left out, how the KL was measured, and what may surprise; each line once.

    Where a line is not of all placements, it says of which.
    """
    limit = audits[0].frontier
    found = dict.fromkeys(limit_view.assumed(limit) if limit is not None else [])
    for note in dict.fromkeys(
        note for audit in audits for note in audit.notes if note not in found
    ):
        whose = [one.label for one in audits if note in one.notes]
        found[note if len(whose) == len(audits) else f"{listing(whose, most=3)}: {note}"] = None
    return list(found)


def comparison(found: Comparison) -> str:
    """The differences in words."""
    a, b = safe(found.a, longest=60), safe(found.b, longest=60)
    how = f"prompt by prompt on {words.counted(found.shared, 'prompt')}"
    if not found.paired:
        how = "as two independent placements"
    lines = [f"{a} against {b}, {how}:"]
    for label, estimate in (
        ("gain", found.gain),
        ("KL, nats", found.kl),
        ("efficiency", found.efficiency),
        ("nats from optimal", found.gap_nats),
        ("least KL, nats", found.least_kl),
    ):
        said = words.signed(estimate) if math.isfinite(estimate.value) else "not known"
        if math.isfinite(estimate.value):
            said += "" if estimate.trusted else " (not trusted)"
            said += "" if estimate.low <= 0 <= estimate.high else "  *"
        lines.append(f"  {label}: {said}")
    if any(line.endswith("*") for line in lines):
        lines.append(f"* more than chance, at {100 * found.gain.level:g} %")
    return "\n".join(lines)


def _number(estimate: Estimate) -> str:
    if not math.isfinite(estimate.high):
        return f"at least {words.fixed(max(estimate.low, 0.0), 2, up=False)}"
    return words.measured(estimate)
