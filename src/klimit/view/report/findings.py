"""All that a report shows, measured once: the limit, best-of-N, policies, further rewards, the data."""

from __future__ import annotations

import shlex
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from klimit._errors import EstimateWarning, KlimitError
from klimit._text import safe
from klimit.estimate.samples import nearly_all
from klimit.rollouts.steps import called, present
from klimit.view import audit as audit_view
from klimit.view import limit as limit_view
from klimit.view.best_of_n import Beside, best_of_n_beside, enough
from klimit.view.report.checks import Check, checks

if TYPE_CHECKING:
    from klimit.audit import Audit
    from klimit.audit.path import TrainedPath
    from klimit.estimate.best_of_n import BestOfN
    from klimit.estimate.convergence import Convergence
    from klimit.estimate.labels.result import Sparse
    from klimit.estimate.proxy import Hacking
    from klimit.estimate.result import Frontier
    from klimit.rollouts import Rollouts


STEPS = 40  # steps of one policy that are placed
LARGEST = 1024  # best-of-N drawn on the frontier, at most


@dataclass(frozen=True)
class Findings:
    """What was found.

    Attributes
    ----------
    base : samples of the base, of the prompts that are compared
    limit : their frontier
    budgets, focus : budgets of the table, and the one that the page starts at, nats
    beside : best-of-N at those budgets, in words and at powers of 2
    audits : a placement per policy and step, in the order in which they were given
    policies : name of a policy -> its samples at the last step
    others : further rewards of the base
    gold : the reward that is really wanted, if one was named
    hack : what the reward's gain is worth in gold, along the optimum of the reward
    convergence : the limit from a quarter, half and all of the samples; None where they are too few
    checks : of the data
    notes : what to mind beyond those of the results
    chosen : options that choose the base out of what was read, where it is a part of that
    """

    base: Rollouts
    limit: Frontier
    budgets: list[float]
    focus: float
    beside: Beside
    audits: tuple[Audit, ...]
    policies: Mapping[str, Rollouts]
    others: tuple[OtherReward, ...]
    gold: str | None
    hack: Hacking | Sparse | None
    convergence: Convergence | None
    checks: tuple[Check, ...]
    notes: tuple[str, ...]
    chosen: str = ""

    @property
    def main(self) -> Audit | None:
        """The placement that the verdict speaks of: the one with the largest gain."""
        return audit_view.best(self.audits) if self.audits else None

    @property
    def trained(self) -> TrainedPath | None:
        """The policies in the reward and in gold, where both are known."""
        return getattr(self.hack, "run", None)


def verdicts(found: Findings) -> list[tuple[str, list[str]]]:
    """What the page says first, each part with its heading, in the words of the results."""
    from klimit.view import path as path_view

    said = []
    if found.trained is not None:
        said.append(("What training made of both rewards", path_view.verdict(found.trained)))
    if found.audits:
        name = safe(found.limit.reward, longest=40)
        said.append((f"How near the limit of {name}", audit_view.verdict(found.audits)))
    limit = limit_view.verdict(found.limit, found.budgets, found.beside.sentence)
    said.append(("What there is to gain", limit))
    return [(heading, text.split("\n")) for heading, text in said]


def gather(
    base: Rollouts, policies: Any = None, *, reward: str | None = None, gold: str | None = None,
    kl: Any = None, focus: float | None = None, paired: bool | None = None,
    warned: Sequence[str] = (), done: Callable[[], object] = lambda: None, **how: Any,
) -> Findings:  # fmt: skip
    """Measure everything; `done` is called after each of `STAGES` but the last.

    Parameters
    ----------
    base, policies, reward, kl, paired, how : as `klimit.audit` takes them
    gold : another reward of the same samples, which is what is really wanted
    focus : the budget that the page starts at, nats
    warned : what was warned of while reading, to be noted on the page
    """
    from klimit.estimate.frontier import frontier

    run = base
    base, policies, said = _sides(base, policies)
    name = base.one_reward(reward)
    audits = _placed(base, policies, name, kl, paired, how)
    done()
    limit = _limit_of(audits)
    if limit is None:
        limit = frontier(base, reward=name, **how)
    elif limit.samples.prompts < len(base.ids):
        matched = len(limit.ids) < len(base.ids)  # else they lack samples
        base = base.filter(prompts=[limit.ids[i] for i in limit.samples.kept])
        limit = frontier(base, reward=name, **how)
        if matched:
            said.append(
                f"the limit is that of the {limit.samples.prompts:,} prompts that base and policies share."
            )
    budgets = limit_view.budgets(limit)
    main = focus if focus is not None else _start(limit, budgets)
    budgets = sorted({*budgets, main})
    done()
    stated = how.get("reward_range")
    beside = best_of_n_beside(base, limit, budgets, reward_range=stated, also=_sizes(limit))
    done()
    others = other_rewards(base, limit, beside.best, gold=gold, how=how)
    done()
    found = _last_steps(policies)
    return Findings(
        base=base, limit=limit, budgets=budgets, focus=main, beside=beside,
        audits=tuple(audits), policies=found, others=others, gold=gold,
        hack=_hacking(base, limit, gold, policies, audits, kl, paired),
        convergence=_convergence(limit, main),
        checks=checks(base, limit, found), notes=(*said, *warned), chosen=_chosen(run, base),
    )  # fmt: skip


STAGES = (
    "placing policies",
    "finding the limit",
    "best-of-N beside it",
    "other rewards",
    "convergence",
)


def _sides(base: Rollouts, policies: Any) -> tuple[Rollouts, dict[str, Rollouts], list[str]]:
    """The base, and every policy with the steps that are placed; both may be in one dump."""
    from klimit.audit.runs import within
    from klimit.rollouts import read

    said: list[str] = []
    if policies is None and (len(base.policies) > 1 or len(base.steps) > 1):
        run, (base, parts, found) = base, within(base)
        said = list(found)
        if len(run.policies) > 1:
            names = [one for one in present(run.policies) if one not in base.policies]
            policies = {name: run.filter(policy=name) for name in names}
        else:
            policies = {"policy": run.filter(step=[part.step for part in parts])}
    elif policies is None:
        policies = {}
    elif not isinstance(policies, Mapping):
        policies = {"policy": policies}
    chosen = {}
    for name, samples in policies.items():
        chosen[str(name)], left_out = _thinned(read(samples))
        if left_out:
            said.append(f"{STEPS} of {STEPS + left_out} steps are placed, evenly apart.")
    return base, chosen, said


def _chosen(run: Rollouts, base: Rollouts) -> str:
    """What the command line says to get the base out of a run."""
    found = []
    if len(run.policies) > 1 and len(base.policies) == 1:
        found += ["--policy", str(base.policies[0])]
    if len(run.steps) > 1 and len(base.steps) == 1:
        found += ["--step", str(base.steps[0])]
    return shlex.join(found)


def _thinned(samples: Rollouts) -> tuple[Rollouts, int]:
    """Samples of at most `STEPS` steps, first and last among them; and how many are left out."""
    steps = present(samples.steps)
    if len(steps) <= STEPS:
        return samples, 0
    chosen = np.unique(np.linspace(0, len(steps) - 1, STEPS).round().astype(int))
    return samples.filter(step=[steps[i] for i in chosen]), len(steps) - len(chosen)


def _placed(
    base: Rollouts, policies: Mapping[str, Rollouts], reward: str, kl: Any, paired: bool | None,
    how: dict[str, Any],
) -> Sequence[Audit]:  # fmt: skip
    if not policies:
        return []
    from klimit.audit.verb import audit

    named = reward if all(reward in one.rewards for one in policies.values()) else None
    return audit(base, dict(policies), reward=named, kl=kl, paired=paired, **how).each()


def _limit_of(audits: Sequence[Audit]) -> Frontier | None:
    """The frontier that most placements were measured against, under the prompts' own names."""
    cases = [one.case for one in audits if one.case is not None]
    if not cases:
        return None
    case = max(cases, key=lambda case: (len(case.ids), case.limit.trusted_kl))
    ids = [str(one) for one in case.limit.ids]
    for place, name in zip(case.limit.samples.kept, case.ids, strict=True):
        ids[place] = str(name)
    return replace(case.limit, ids=ids)


def _start(limit: Frontier, budgets: list[float]) -> float:
    """The main budget of the verdict; or, if it is mostly wasted, the one that is worth its KL."""
    if limit.samples.scale == 0:
        return min(budgets)
    worth = limit_view.worthwhile(limit, budgets)
    return worth if worth in budgets else float(f"{worth:.2g}")


def _sizes(limit: Frontier) -> list[int]:
    """Powers of 2, as far as half of the samples that nearly all prompts have."""
    if limit.members is None:
        return []
    most = min(nearly_all(limit.samples.counts) / 2, LARGEST)
    return [2**i for i in range(1, 11) if 2**i <= most]


def _last_steps(policies: Mapping[str, Rollouts]) -> dict[str, Rollouts]:
    """Samples of each policy at its last step: those whose texts are shown."""
    found = {}
    for name, samples in policies.items():
        steps = present(samples.steps)
        last = samples.filter(step=steps[-1]) if len(steps) > 1 else samples
        several = list(last.policies)
        if len(several) > 1:
            for one in several:
                found[f"{name} {one}".strip()] = last.filter(policy=one)
        else:
            label = name or (several[0] if several else "policy")
            found[f"{label}, {called(steps[-1])}" if len(steps) > 1 else label] = last
    return found


def _hacking(
    base: Rollouts, limit: Frontier, gold: str | None, policies: Mapping[str, Rollouts],
    audits: Sequence[Audit], kl: Any, paired: bool | None,
) -> Hacking | Sparse | None:  # fmt: skip
    """Gold along the optimum of the reward, and along the policies where all of them have it."""
    if gold is None:
        return None
    from klimit.audit.path import joined
    from klimit.estimate.proxy import Hacking, hacking

    one, name = limit.settings, base.one_reward(gold)
    how: dict[str, Any] = {"prompts": one.prompts, "level": one.level, "seed": one.seed}
    hack = hacking(base, proxy=limit.reward, gold=gold, **how)
    scored = all({limit.reward, name} <= set(samples.rewards) for samples in policies.values())
    if not audits or not scored or not isinstance(hack, Hacking):
        return hack
    with warnings.catch_warnings():  # what is to be minded was said of the reward
        warnings.simplefilter("ignore", EstimateWarning)
        try:
            in_gold = _placed(base, policies, name, kl, paired, how)
        except KlimitError:  # such as gold that is missing nearly everywhere
            return hack
    return replace(hack, run=joined(audits, in_gold, hack))


def _convergence(limit: Frontier, kl: float) -> Convergence | None:
    from klimit.estimate.convergence import convergence

    if limit.samples.scale == 0 or int(limit.samples.counts.max()) < 8 or kl == 0:
        return None
    try:
        return convergence(limit, kl, exact=False)
    except KlimitError:
        return None


MOST = 6  # further rewards that are shown


@dataclass(frozen=True)
class OtherReward:
    """One further reward.

    Attributes
    ----------
    name : of the reward
    limit : its own frontier
    moved : best-of-N selected by the main reward and read in this one; None where it is not known
    """

    name: str
    limit: Frontier
    moved: BestOfN | None


def other_rewards(
    base: Rollouts, limit: Frontier, best: BestOfN | None, *, gold: str | None,
    how: Mapping[str, Any],
) -> tuple[OtherReward, ...]:  # fmt: skip
    """Up to `MOST` other rewards of the base, the gold one first; unusable ones are left out."""
    from klimit.estimate.frontier import frontier

    names = [name for name in base.rewards if name != limit.reward]
    if gold is not None:
        gold = base.one_reward(gold)
        names = [gold, *(name for name in names if name != gold)]
    own = {name: value for name, value in how.items() if name != "reward_range"}
    few, _ = enough(base, limit)
    sizes = [] if best is None else np.atleast_1d(best.n).tolist()
    found = []
    for name in names[:MOST]:
        try:
            theirs = frontier(base, reward=name, **own)
            moved = _moved(few, limit, theirs, sizes)
        except KlimitError:  # such as labels on one sample a prompt, which show no limit
            continue
        found.append(OtherReward(name, theirs, moved))
    return tuple(found)


def _moved(base: Rollouts, limit: Frontier, theirs: Frontier, sizes: list[int]) -> BestOfN | None:
    from klimit.estimate.best_of_n.verb import beside

    if not sizes:
        return None
    settings = limit.settings
    return beside(
        [theirs], base, n=sizes, reward=limit.reward, judge=theirs.reward, level=settings.level,
        seed=settings.seed,
    )  # fmt: skip
