"""What to do next: from the verdict to a few steps, each with its reason and, if one helps, a command."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from klimit._text import safe
from klimit.audit.wording import surely_above
from klimit.estimate.plan.verb import plannable
from klimit.estimate.result import AT_THE_BEST
from klimit.view import words
from klimit.view.audit import parted
from klimit.view.best_of_n import each, near_limit
from klimit.view.limit import MOST_SAMPLES, worthwhile
from klimit.view.report.checks import BAD

if TYPE_CHECKING:
    from klimit.audit import Audit
    from klimit.audit.path import Checkpoint, TrainedPath
    from klimit.estimate.result import Frontier
    from klimit.view.report.findings import Findings

NEAR = 0.9  # share of the limit from which a policy is as good as done
FAR = 1.3  # KL over the least KL for the same gain from which to act
WIDE = 0.25  # half an interval over its value from which more prompts come first
MANY = 0.05  # share of prompts without signal from which to leave them out
MOST = 5


@dataclass(frozen=True)
class Step:
    """One thing to do.

    Attributes
    ----------
    todo : in an imperative sentence
    why : what was found that speaks for it
    command : what to type; empty where there is nothing to type
    """

    todo: str
    why: str
    command: str = ""


def steps(found: Findings, source: str = "") -> list[Step]:
    """The most useful steps first, at most `MOST`.

    Parameters
    ----------
    source : the base and how it is read, as the command line takes it; empty: no commands
    """
    made = [*_data(found), *_checkpoints(found), *_run(found), *_gold(found)]
    made += [*_training(found, source), *_further(found, source)]
    return made[:MOST]


def _data(found: Findings) -> Iterator[Step]:
    """What must be mended before any number is worth reading."""
    for check in found.checks:
        if check.verdict == BAD and check.what == "Sampling":
            yield Step("Draw the base again at temperature 1, without top-p or top-k.", check.why)
    limit = found.limit
    if limit.samples.scale == 0:
        why = "No prompt has two different rewards, so there is nothing to choose between."
        yield Step("Draw more samples, or score them with a finer reward.", why)
    elif np.median(limit.samples.counts) < 4:
        why = "With fewer than 4 a prompt only lower bounds are known."
        yield Step("Draw 16 samples of every prompt or more.", why)
    elif limit.trusted_kl == 0:
        needed, asked = limit.samples_needed(found.focus), words.nats(found.focus)
        price = f"{asked} would take about {needed:,} samples a prompt"
        if limit.exhausted(found.focus):
            price = AT_THE_BEST
        elif needed > MOST_SAMPLES:
            price = f"{asked} would take more samples than anybody can draw"
        yield Step("Draw more samples of every prompt.", f"No KL is trusted yet; {price}.")


def _run(found: Findings) -> Iterator[Step]:
    """What to do with the policy that the verdict speaks of."""
    audit = found.main
    if audit is None or audit.case is None:
        return
    name = safe(audit.label, longest=60)
    if audit.gain.value <= 0:
        why = (
            f"It gained {words.signed(audit.gain)}; check the reward that it trained on, and its KL "
            "coefficient."
        )
        yield Step(f"Do not use {name}.", why)
        return
    if not math.isfinite(audit.kl.value):
        why = "Without it neither the limit at its KL nor what it wasted is known."
        yield Step(
            f"Measure the KL of {name}: log-probabilities under policy and base, or --kl.", why
        )
    yield from _spending(found, audit)
    share = audit.efficiency
    if share.trusted and math.isfinite(share.low):
        if surely_above(share.value, share.low, 1.0):
            why = (
                "It gained more than is possible at its KL: the KL, the rewards or the base are not those "
                "of this comparison."
            )
            yield Step(f"Check how the KL of {name} was measured.", why)
        elif share.low >= NEAR and _hollow(found) is None:
            why = (
                f"It reached {words.share(share)[0]} of what any method can gain at its KL: more reward "
                "takes more KL, a better base or another reward."
            )
            yield Step(f"Keep {name}.", why)
    yield from _serving(found, audit, name)
    yield from _misplaced(audit, name)


def _spending(found: Findings, audit: Audit) -> Iterator[Step]:
    least, spent = audit.least_kl, audit.kl.value
    if not (0 < FAR * least.value < spent < math.inf and audit.excess_kl.low > 0):
        return
    reach = found.limit.trusted_kl
    slope = found.limit.beta(min(least.value, reach or math.inf))
    way = "stop earlier, or train with a larger KL coefficient"
    if slope.trusted and slope.value > 0:
        beta = words.short(slope.value)
        way = f"stop earlier, or train with a KL coefficient of about {beta}"
        if least.value > reach:  # the slope only falls from there on
            way = f"stop earlier, or train with a larger KL coefficient, at most {beta}"
    price = words.nats(least.value)
    if not least.trusted and math.isinf(least.high):
        price = f"at least {words.nats(least.low, down=True)}"
    elif not least.trusted:
        price = f"about {price} (not trusted)"
    why = f"Its gain needs {price}, and it spent {words.nats(spent)}."
    yield Step(f"Spend less KL: {way}.", why)


def _serving(found: Findings, audit: Audit, name: str) -> Iterator[Step]:
    """Best-of-N that gains as much as the policy, from the base that there is."""
    enough = (one for one in each(found.beside.best) if one.gain.low >= audit.gain.value)
    one = next(enough, None)
    if one is not None:
        why = (
            f"It gains {words.signed(one.gain)} for {words.nats(one.kl.value)}, without training; {name} "
            f"gained {words.signed(audit.gain)}."
        )
        yield Step(f"Compare with serving best-of-{one.n:,} of the base.", why)


def _misplaced(audit: Audit, name: str) -> Iterator[Step]:
    part, gap = audit.allocation, audit.gap_reward
    if parted(audit) and part.low > 0 and part.value > 0.5 * gap.value:
        why = (
            f"More than half of what {name} misses is KL spent on the wrong prompts: the table of prompts "
            "shows which."
        )
        yield Step("Train on other prompts, or weigh them anew.", why)


def _checkpoints(found: Findings) -> Iterator[Step]:
    """Which of the policies has most gold, where that is not the one with most reward."""
    path, last = found.trained, _hollow(found)
    if path is None or last is None:
        return
    gold, best = safe(path.gold, longest=40), _most_gold(path)
    name, other = safe(best.label, longest=60), safe(last.label, longest=60)
    if best.gold_gain.low > 0:
        why = f"It gained {words.signed(best.gold_gain, unit=gold)}, {other} {words.signed(last.gold_gain)}."
        yield Step(f"Use {name} rather than {other}.", why)
    else:
        why = f"The most {gold} that any gained is {words.signed(best.gold_gain)}, by {name}."
        yield Step(f"Use none of these: none shows more {gold} than the base.", why)


def _hollow(found: Findings) -> Checkpoint | None:
    """The policy with most reward, where it has less gold than another, or none."""
    path, main = found.trained, found.main
    if path is None or main is None:
        return None
    least = max(_most_gold(path).gold_gain.low, 0.0)
    own = next((one for one in path if one.by_proxy.label == main.label), None)
    if own is None or not math.isfinite(own.gold_gain.value):
        return None
    return own if own.gold_gain.high < least else None


def _most_gold(path: TrainedPath) -> Checkpoint:
    return max(path, key=lambda one: float(np.nan_to_num(one.gold_gain.value, nan=-np.inf)))


def _gold(found: Findings) -> Iterator[Step]:
    """Where gold turns down, if it does within trust."""
    from klimit.estimate.proxy import Hacking
    from klimit.view.hacking import turning

    hack = found.hack
    if not isinstance(hack, Hacking):
        return

    stop = hack.stop_kl
    if stop.trusted and math.isfinite(stop.high):
        name = safe(hack.gold.reward, longest=40)
        todo = f"Stop at {words.nats(stop.value)}, where {name} is highest."
        if stop.value == 0:
            todo = f"Do not optimise {safe(hack.proxy.reward, longest=40)}: it costs {name} from the start."
        yield Step(todo, turning(hack))


def _training(found: Findings, source: str) -> Iterator[Step]:
    """What to set, if there is no policy yet or another is due."""
    limit = found.limit
    if limit.samples.scale == 0 or not limit.trusted_kl > 0:
        return
    kl = worthwhile(limit, found.budgets)
    gain, beta = limit.gain(kl), limit.beta(kl)
    if found.main is not None and found.main.gain.value > gain.value:
        yield from _cheaper(found, source)
        return
    if not (gain.trusted and gain.value > 0 and beta.trusted and beta.value > 0):
        return
    again = "the next run" if found.audits else "a run"
    most = words.signed(gain, unit=safe(limit.reward, longest=40))
    why = f"At {words.nats(kl)} the best any method can do is {most}."
    command = _plan(limit, source, kl)
    yield Step(f"Plan {again} with beta = {words.short(beta.value)}.", why, command)
    if not found.audits:
        yield from _instead(found)


def _instead(found: Findings) -> Iterator[Step]:
    """Best-of-N that spends about what is worth its KL."""
    n = found.beside.sizes.get(found.focus)
    within = [one for one in each(found.beside.best) if n is None or one.n <= max(n, 2)]
    if within and within[-1].efficiency.trusted and math.isfinite(within[-1].efficiency.value):
        one = within[-1]
        part, between = near_limit(one)
        why = (
            f"It gains {words.signed(one.gain)} for {words.nats(one.kl.value)}, {part} of what any method "
            f"can gain there{between}."
        )
        yield Step(f"Or serve best-of-{one.n:,} and train nothing.", why)


def _cheaper(found: Findings, source: str) -> Iterator[Step]:
    """How to gain as much at the least KL, where the samples show how."""
    main, limit = found.main, found.limit
    if main is None or not main.least_kl.trusted or not math.isfinite(main.least_kl.value):
        return
    least = float(main.least_kl.value)
    beta = limit.beta(least)
    if beta.trusted and beta.value > 0:
        why = f"Its best policy gains as much as {safe(main.label, longest=60)} for {words.nats(least)}."
        command = _plan(limit, source, least)
        yield Step(f"Plan the next run with beta = {words.short(beta.value)}.", why, command)


def _plan(limit: Frontier, source: str, kl: float) -> str:
    """The command, where the base's own samples tell of that KL: plans know of no policies."""
    base = getattr(limit, "base", limit)
    told = source and kl <= base.trusted_kl and plannable(base)
    return f"klimit plan {source} --kl {kl:.2g}" if told else ""


def _further(found: Findings, source: str) -> Iterator[Step]:
    limit = found.limit
    still = int((limit.samples.variances == 0).sum())
    prompts = words.counted(limit.samples.prompts, "prompt")
    if limit.samples.scale > 0 and still > MANY * limit.samples.prompts:
        why = (
            f"{still:,} of {prompts} have equal rewards only: a group of them teaches nothing. Those that "
            "are never solved may be hard, not hopeless: more samples tell."
        )
        command = f"klimit prompts {source} --by zero-signal" if source else ""
        yield Step("Look at the prompts without signal before training.", why, command)
    gain = limit.gain(found.focus)
    if gain.trusted and gain.value > 0 and gain.high - gain.low > 2 * WIDE * gain.value:
        why = f"The interval is wide: {words.plain(gain)} from {prompts}."
        yield Step("Add prompts before samples.", why, _plan(limit, source, found.focus))
    yield from _reach(found)


def _reach(found: Findings) -> Iterator[Step]:
    """What it takes to judge the next KL that matters."""
    limit, wanted = found.limit, _wanted(found)
    if limit.samples.scale > 0 and 0 < limit.trusted_kl < wanted:
        needed = limit.samples_needed(wanted)
        if needed <= MOST_SAMPLES:
            why = f"These samples are trusted up to {words.nats(limit.trusted_kl, down=True)}."
            main = found.main
            if main is not None and math.isfinite(main.least_kl.high):
                name = safe(main.label, longest=60)
                why += f" Then the KL coefficient that buys what {name} gained is known."
            yield Step(
                f"To judge {words.nats(wanted)}, draw about {needed:,} samples a prompt.", why
            )


def _wanted(found: Findings) -> float:
    """The KL to see next: the policy's least, or the first budget past trust."""
    main = found.main
    if main is not None and math.isfinite(main.least_kl.high):
        return float(main.least_kl.value)
    beyond = [kl for kl in found.budgets if kl > found.limit.trusted_kl]
    return min(beyond, default=0.0)
