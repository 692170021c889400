"""What a `Frontier` says: a verdict in words, a table, and notes on what to mind."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from klimit._estimate import Estimate, two_digits
from klimit.estimate.rates_by_prompt import Passes
from klimit.estimate.result import AT_THE_BEST
from klimit.view import colours, words

if TYPE_CHECKING:
    from klimit.estimate.labels.result import Sparse
    from klimit.estimate.proxy import Hacking
    from klimit.estimate.result import Frontier

MOST_SAMPLES = 1_000_000  # a prompt; past it, naming a number would be a joke
LADDER = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 10.0, 15.0, 20.0)


def budgets(limit: Frontier, asked: Sequence[float] | None = None) -> list[float]:
    """KL budgets (nats): those that were asked for, or else some that show a limit."""
    if asked is not None:
        return [float(kl) for kl in asked]
    return around(limit.trusted_kl) if math.isfinite(limit.trusted_kl) else [0.5, 1.0, 2.0]


def around(trusted_kl: float) -> list[float]:
    """Round KL budgets (nats): the last few trusted ones, and one past them."""
    within = [kl for kl in LADDER if kl <= trusted_kl]
    past = [kl for kl in LADDER if kl > trusted_kl]
    if not within:
        return [kl for kl in past if kl >= 0.1][:3]
    return within[-4:] + past[:1]


def text(
    limit: Frontier, kl: Sequence[float] | None = None, spends: Mapping[float, str] | None = None,
    companion: str = "", more: Sequence[str] = (),
) -> str:  # fmt: skip
    """The verdict, the table and the notes; this is ``str(limit)``.

    Parameters
    ----------
    kl : budgets to show, nats; chosen where not given
    spends : for each budget, which best-of-N spends it, in words
    companion : a sentence on best-of-N that follows the headline
    more : further notes
    """
    kl = budgets(limit, kl)
    parts = []
    if limit.samples.scale > 0:
        parts = [words.table(*cells(limit, kl, spends)), legend(limit)]
    return words.result(verdict(limit, kl, companion), *parts, notes=[*notes(limit), *more])


def verdict(limit: Frontier, kl: Sequence[float], companion: str = "") -> str:
    """What the limit is, what best-of-N makes of it, and how far to trust it: a line each."""
    if limit.samples.scale == 0:
        return _constant(limit)
    lines = [headline(limit, kl), lifted(limit, kl), companion, trust(limit, kl)]
    return "\n".join(line for line in lines if line)


def _constant(limit: Frontier) -> str:
    """The verdict where no prompt's rewards differ."""
    counts = f"{words.counted(limit.samples.prompts, 'prompt')}, {per_prompt(limit)}"
    if limit.ceilings is None:
        return (
            f"Nothing can be gained here: every prompt's rewards are all equal ({counts}). Draw more "
            "samples, or score them with a finer reward."
        )
    if limit.ceilings[1] <= 0:
        best = "1, the best of 0 and 1" if limit.settings.range_implied else "the best there can be"
        return (
            f"Nothing is left to gain here: all rewards are {best} ({counts}). Failures "
            f"too rare to show would leave {_at_most(limit.cap_limit())} at the most."
        )
    seen = "No gain is seen: every prompt's rewards are all equal"
    if limit.settings.range_implied and limit.base_reward == 0:
        seen = "No success is seen: all rewards are 0"
    return (
        f"{seen} ({counts}), so what can be gained is not known: anything from 0 to "
        f"{_at_most(limit.ceilings[1])}. Draw more samples, or add easier prompts."
    )


def _at_most(gain: float) -> str:
    return words.plus(gain, max(two_digits(gain) + 1, 0), up=True)


def focus(limit: Frontier | Hacking | Sparse, kl: Sequence[float]) -> float:
    """The budget that the verdict speaks of: the largest trusted one, else the smallest."""
    within = [budget for budget in kl if budget <= limit.trusted_kl]
    return max(within) if within else min(kl)


def worthwhile(limit: Frontier, kl: Sequence[float]) -> float:
    """The main budget; or, if it is mostly wasted, the KL that buys nine tenths of a trusted gain."""
    budget = focus(limit, kl)
    if budget > limit.trusted_kl:
        return budget
    nearly = float(limit.kl(0.9 * limit.gain(budget).value).value)
    return nearly if nearly < 0.6 * budget else budget


def headline(limit: Frontier, kl: Sequence[float]) -> str:
    """One sentence with the number that was asked for."""
    budget = focus(limit, kl)
    gain, beta = limit.gain(budget), limit.beta(budget)
    where = f"At a KL of {words.nats(budget, exact=True)}"
    if limit.settings.budget == "per-prompt":
        where = f"If every prompt spends {words.nats(budget, exact=True)}"
    if budget == 0:
        return f"{where} nothing is gained: only the base model itself spends nothing."
    if words.signed(gain) == "not known":
        return f"{where} these samples do not show the limit."
    unit = colours.unit(limit.reward, objective=limit.settings.objective)
    found = f"{where} the best any method can do is {words.signed(gain, unit=unit)}"
    if beta.trusted and beta.value > 0:
        found += f", with beta = {words.short(beta.value)}"
    return f"{found}."


def lifted(limit: Frontier, kl: Sequence[float]) -> str:
    """Where that starts and ends, and whether less KL would do nearly as well."""
    budget = focus(limit, kl)
    gain = limit.gain(budget)
    if not gain.trusted or budget == 0:
        return ""
    line = f"That lifts the mean from the base model's {ends(limit.base_reward, gain)}."
    if limit.settings.objective == "win-rate":
        line = f"That lifts the chance to beat an answer of the base model from {ends(0.5, gain)}."
    if limit.beta(budget).value == 0:
        return f"{line} More KL gains nothing."
    nearly = worthwhile(limit, kl)
    if nearly < budget:
        line += f" 90 % of it takes only {words.nats(nearly)}."
    return line


def ends(start: float, gain: Estimate) -> str:
    """From where to where a gain lifts a mean, in the digits of the gain."""
    digits = words.places(gain)
    before, added = round(start, digits), round(float(gain.value), digits)
    return f"{words.fixed(before, digits)} to {words.fixed(before + added, digits)}"


def trust(limit: Frontier, kl: Sequence[float]) -> str:
    """How far the samples reach, and what it would take to reach further."""
    if limit.settings.estimator == "plugin":
        return "The plug-in estimate is low at every sample size, so these are lower bounds."
    if np.median(limit.samples.counts) < 4:
        few = f"With {per_prompt(limit)} {_known(limit, kl)}"
        return f"{few}: draw 4 at the least, better 16 or more."
    beyond = [budget for budget in kl if budget > limit.trusted_kl]
    reach = f"Trusted up to {words.nats(limit.trusted_kl, down=True)} with {per_prompt(limit)}"
    if not limit.alone:
        reach += " of the base and those of the policies"
    if limit.trusted_kl == 0:
        reach = f"With {per_prompt(limit)} {_known(limit, kl)}"
    if not beyond:
        return f"{reach}, so all of this is." if limit.trusted_kl > 0 else f"{reach}."
    budget = min(beyond)
    needed, asked = limit.samples_needed(budget), words.nats(budget, exact=True)
    if limit.exhausted(budget):
        return f"{reach}; at {asked} {AT_THE_BEST}."
    if needed > MOST_SAMPLES:
        return f"{reach}; {asked} would take more samples than anybody can draw."
    return f"{reach}; {asked} would take about {needed:,}."


def _known(limit: Frontier, kl: Sequence[float]) -> str:
    """0/1 rewards bound the limit from above as well."""
    bounded = np.isfinite(limit.gain(kl).high).all()
    return f"only {'' if bounded else 'lower '}bounds are known"


def cells(
    limit: Frontier, kl: Sequence[float], spends: Mapping[float, str] | None = None
) -> tuple[list[str], list[list[str]]]:
    """Headings, and a row per budget."""
    headings = ["KL", "gain", "beta"]
    lines = []
    for budget, shown in zip(kl, words.aligned(kl), strict=True):
        gain, beta = limit.gain(budget), limit.beta(budget)
        slope = words.short(beta.value) if beta.trusted and budget > 0 else "-"
        lines.append([shown, words.plain(gain), slope])
        if spends is not None:
            lines[-1].append(spends.get(budget, "-"))
    return [*headings, *([] if spends is None else ["best-of-N at this KL"])], lines


def legend(limit: Frontier) -> str:
    """What the columns mean, for somebody who meets them for the first time."""
    gained = "reward above the base's mean"
    if limit.settings.objective == "win-rate":
        gained = "the chance to beat an answer of the base model, above its own 1/2"
    slope = "the KL coefficient that spends this KL"
    if limit.settings.budget == "per-prompt":
        slope = "the mean of the prompts' KL coefficients"
    return words.paragraph(
        f"{words.KL}: best-of-4 spends up to 0.64 nats, best-of-16 up to 1.84. Gain is {gained}, with a "
        f"{words.level(limit.settings.level)} interval; beta is {slope}."
    )


def per_prompt(limit: Frontier) -> str:
    """How many samples the prompts have, in words."""
    return f"{words.span(limit.samples.counts)} samples a prompt"


def notes(limit: Frontier) -> list[str]:
    """What was left out, what was assumed, and what may surprise: a line each, most often none."""
    return [*_left_out(limit), *assumed(limit), *_surprises(limit)]


def _left_out(limit: Frontier) -> list[str]:
    seen, found = limit.samples, []
    if seen.missing:
        total = seen.missing + int(seen.counts.sum()) + seen.single
        verb = "is" if seen.missing == 1 else "are"
        rewards = words.counted(total, "reward")
        found.append(f"{seen.missing:,} of {rewards} {verb} missing and left out.")
    gone = [(seen.empty, "no reward"), (seen.single, "one reward, which shows no spread")]
    said = words.listed([f"{number:,} with {what}" for number, what in gone if number])
    if said:
        number = seen.empty + seen.single
        verb = "is" if number == 1 else "are"
        found.append(
            f"{number:,} of {words.counted(seen.total, 'prompt')} {verb} left out: {said}."
        )
    return found


def assumed(limit: Frontier, *, fixable: bool = True) -> list[str]:
    """Whom the intervals speak of, where that may surprise; `fixable` where --prompts can be given."""
    prompts, number = limit.settings.prompts, limit.samples.prompts
    if prompts == "drawn" and number == 1:
        advice = ': --prompts fixed (prompts="fixed") gives its own interval' if fixable else ""
        return [f"one prompt says nothing of others{advice}."]
    return spoken_for(prompts, number)


def spoken_for(prompts: str, number: int, *, served: bool = True) -> list[str]:
    """A note where intervals speak for no others, or hardly; best-of-N's, where `served`, always do."""
    if prompts == "fixed":
        more = "; those of best-of-N hold for others too" if served and number > 1 else ""
        return [f"intervals are for these very prompts, not for others like them{more}."]
    if number < 20:
        few = words.counted(number, "prompt")
        return [f"{few} only: intervals that speak for others like them need 20 or so."]
    return []


def _surprises(limit: Frontier) -> list[str]:
    found = []
    if limit.tail.heavy:
        found.append(
            "high rewards are rare and far apart (a heavy tail): the limit may well lie above what "
            "these samples show."
        )
    if limit.samples.paired():
        found.append(
            "every reward of every prompt comes twice, as if a file were read twice: copies tell "
            "nothing, and intervals take them for samples."
        )
    still = int((limit.samples.variances == 0).sum())
    # pass rates of all prompts say what those without a success may gain
    mixed = limit.bands.honest
    unsolved = limit.unresolved if mixed and Passes.of(limit.samples) is not None else None
    prompts = words.counted(limit.samples.prompts, "prompt")
    if unsolved and limit.ceilings and limit.settings.objective == "reward":
        low, high = limit.ceilings
        has = "has" if unsolved == 1 else "have"
        found.append(
            f"{unsolved:,} of {prompts} {has} no success among their samples. At any KL all "
            f"prompts together gain at most about +{low:.2f} if none of those can be solved, "
            f"+{high:.2f} if all can."
        )
    elif 0 < still < limit.samples.prompts:
        shows = "shows" if still == 1 else "show"
        they, count = ("it", "counts") if still == 1 else ("they", "count")
        told = f"what {they} may gain is told by the others"
        what = told if mixed else f"{they} {count} as gaining nothing"
        found.append(f"{still:,} of {prompts} {shows} one reward only; {what}.")
    return found
