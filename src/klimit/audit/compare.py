"""Two policies against each other, on the prompts that both have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from klimit._estimate import Estimate, beyond
from klimit._notebook import InNotebooks
from klimit.audit.case import Case, Policy, common_rank
from klimit.audit.fixed import narrowed_apart
from klimit.audit.measure import NUMBERS, reach
from klimit.audit.placement import difference
from klimit.audit.placing import biases
from klimit.audit.result import Audit, missing
from klimit.estimate.best_of_n.prompt_means import mean_of_prompts
from klimit.estimate.kernel import Floats

if TYPE_CHECKING:
    import polars as pl

UNKNOWN = "not known of both"
COMPARED = ("gain", "kl", "efficiency", "gap_reward", "gap_nats", "least_kl", "excess_kl")


@dataclass(frozen=True)
class Comparison(InNotebooks):
    """Differences `a` - `b`, each with its interval.

    Attributes
    ----------
    a, b : labels of the two
    gain, kl, efficiency, gap_reward, gap_nats, least_kl, excess_kl : of `a` less of `b`
    paired : whether they were compared prompt by prompt
    shared : number of prompts
    """

    a: str
    b: str
    gain: Estimate
    kl: Estimate
    efficiency: Estimate
    gap_reward: Estimate
    gap_nats: Estimate
    least_kl: Estimate
    excess_kl: Estimate
    paired: bool
    shared: int

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        found = {name: getattr(self, name) for name in ("a", "b", "paired", "shared")}
        return found | {name: getattr(self, name).to_dict() for name in COMPARED}

    def to_frame(self) -> pl.DataFrame:
        """A polars frame with a row per number: difference, low, high, trusted."""
        from klimit.view.records import framed

        rows = []
        for name in COMPARED:
            found = getattr(self, name).to_dict()
            numbers = {key: found[key] for key in ("low", "high", "trusted")}
            rows.append({"number": name, "difference": found["value"], **numbers})
        return framed(rows, text=["number"])

    def __str__(self) -> str:
        from klimit.view.audit import comparison

        return comparison(self)


def compare(a: Audit, b: Audit) -> Comparison:
    """How much better is `a` than `b`?

    Where both have prompts in common with the base and with each other, the differences are of
    those prompts and their errors are joint: what is common to both drops out. Otherwise they are
    of two independent placements.
    """
    cases = _shared(a, b)
    if cases is None:
        found = {name: _apart(getattr(a, name), getattr(b, name)) for name in COMPARED}
        return Comparison(a.label, b.label, **found, paired=False, shared=0)
    found = _joint(*cases)
    for name in COMPARED:
        if np.isnan(float(getattr(a, name)) + float(getattr(b, name))):
            found[name] = missing(UNKNOWN, found[name].level)
    return Comparison(a.label, b.label, **found, paired=True, shared=len(cases[0].ids))


def _shared(a: Audit, b: Audit) -> tuple[Case, Case] | None:
    """Both cases on the prompts that both have."""
    if a.case is None or b.case is None or not (a.case.paired and b.case.paired):
        return None
    theirs = set(b.case.ids)
    both = [name for name in a.case.ids if name in theirs]
    if len(both) < 2 or a.case.limit.members is None or b.case.limit.members is None:
        return None
    if list(a.case.ids) == list(b.case.ids):
        return a.case, b.case
    rows = dict(zip(a.case.ids, a.case.samples(), strict=True))
    from klimit.estimate.frontier import frontier

    settings = a.case.limit.settings
    stated = None if settings.range_implied else settings.reward_range
    limit = frontier(
        [rows[name] for name in both], reward=settings.reward, prompts=settings.prompts,  # type: ignore[arg-type]
        reward_range=stated, level=settings.level, seed=settings.seed,
    )  # fmt: skip
    if limit.members is None:
        return None
    found = []
    for case in (a.case, b.case):
        place = {name: at for at, name in enumerate(case.ids)}
        at = np.array([place[name] for name in both])
        policy = case.policy
        own = policy.kl if policy.kl is None else policy.kl[at]
        kl = case.kl
        if kl is not None and own is not None:
            kl = mean_of_prompts(own[None], kl.level)[0]
        more = (None if x is None else x[at] for x in (policy.kl_variance, policy.covariance))
        part = Policy(policy.reward[at], policy.counts[at], policy.variance[at], own, *more)
        found.append(Case(limit, both, part, kl, paired=True))
    return found[0], found[1]


def _joint(a: Case, b: Case) -> dict[str, Estimate]:
    """Differences with joint errors; the numbers themselves are those of the placements."""
    level = a.limit.settings.level
    rank = common_rank(a, b)
    plain = a.numbers(), b.numbers()
    full = [_rows(found) for found in plain]
    left = [case.left(rank)[0] for case in (a, b)]
    without = [
        _rows(one.numbers(case.members.grid)) for one, case in zip(left, (a, b), strict=True)
    ]
    spread = reach(full[0] - full[1], [(without[0] - without[1], left[0].weights)], level)
    if a.limit.settings.prompts == b.limit.settings.prompts == "fixed":
        spread = narrowed_apart(a, b, plain, spread)
    slack = [biases(case, case.numbers()) for case in (a, b)]
    said = [_stated(case) for case in (a, b)]
    found = {}
    for name in COMPARED:
        row = {"least_kl": "root", "excess_kl": "excess"}.get(name, name)
        at = NUMBERS.index(row)
        value = float(full[0][at] - full[1][at])
        if not np.isfinite(value):
            found[name] = missing(UNKNOWN, level)
            continue
        part = "excess" if name == "least_kl" else row
        off = max(abs(slack[0][part][i] - slack[1][part][i]) for i in (0, 1))
        off = np.hypot(off, np.hypot(said[0][at], said[1][at]))
        low, high = np.hypot(spread.below[at], off), np.hypot(spread.above[at], off)
        if abs(value) + low + high < 1e-9 * abs(full[0][at]):  # the same, to rounding
            value = low = high = 0.0
        trusted = _trusted(name, a) and _trusted(name, b)
        reached = min(case.limit.trusted_kl for case in (a, b))
        note = "" if trusted else beyond(reached)
        found[name] = Estimate(value, value - low, value + high, level, trusted, note)
    return found


def _rows(found: Floats) -> Floats:
    """The numbers with the least KL itself in place of its root."""
    out = found.copy()
    at = NUMBERS.index("root")
    out[at] = np.where(found[at] > 0, found[at] ** 2 / 2, 0.0)
    return out


def _stated(case: Case) -> Floats:
    """How far a KL that was given with an interval moves each number."""
    if case.kl is None or case.joint_kl is not None:
        return np.zeros(len(NUMBERS))
    ends = np.array([case.kl.low, case.kl.high])
    if not np.isfinite(ends).all():
        return np.where(np.isin(NUMBERS, ("gain", "root")), 0.0, np.inf)
    moved = _rows(case.numbers_at(np.full(2, case.gain), ends))
    found: Floats = np.abs(moved - _rows(case.numbers())[:, None]).max(axis=1)
    return np.nan_to_num(found)


def _trusted(name: str, case: Case) -> bool:
    if name in ("gain", "kl"):
        return True
    if name in ("least_kl", "excess_kl"):
        return bool(case.least.trusted)
    return case.kl is not None and bool(case.best.trusted)


def _apart(a: Estimate, b: Estimate) -> Estimate:
    found = difference(a, b)
    return found if np.isfinite(found.value) else missing(found.note or UNKNOWN, a.level)
