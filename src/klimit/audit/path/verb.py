"""A training run, checkpoint by checkpoint, in the reward it was trained on and in the one that counts."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from klimit._errors import ArgumentError, EstimateWarning
from klimit._estimate import Estimate
from klimit.audit.path.points import points
from klimit.audit.path.result import Checkpoint, TrainedPath
from klimit.audit.path.turn import Turn, turn, unknown
from klimit.audit.result import Audit, missing
from klimit.audit.verb import audit
from klimit.audit.wording import IMPOSSIBLE, impossible
from klimit.rollouts.words import listing, quoted

if TYPE_CHECKING:
    from klimit.estimate.proxy import Hacking

UNKNOWN = "no prediction from base samples was given"
_NUMBERED = re.compile(r"(.*?)[-_ ]*(\d+)")


def trained_path(
    base: Any,
    policy: Any = None,
    *,
    proxy: str,
    gold: str,
    kl: Any = None,
    prediction: Hacking | None = None,
    level: float = 0.95,
    seed: int = 0,
    prompts: Literal["drawn", "fixed"] = "drawn",
    paired: bool | None = None,
) -> TrainedPath:
    """What did training on a proxy do to gold, and did the base samples say so?

    Every checkpoint is placed twice, in the proxy and in gold, on the same samples. Where a run has
    five checkpoints or more, the curves of Gao et al. are fitted to its gold gains, with errors that
    leave prompts out of all checkpoints at once, and say where gold turns down.

    Parameters
    ----------
    base : Rollouts of the base; with no `policy`, one run that holds both
    policy : as for `klimit.audit`: rollouts (each step is a checkpoint), or ``{name: rollouts}``
    proxy, gold : rewards that all of them have
    kl : as for `klimit.audit`
    prediction : what the base samples say, such as ``klimit.hacking(base, proxy=..., gold=...)``
    level, seed, prompts, paired : as for `klimit.audit`; the fitted curves are for drawn prompts

    Returns
    -------
    TrainedPath

    Raises
    ------
    ArgumentError
        Where proxy and gold are one reward, or are not there.
    DataError
        As for `klimit.audit`.

    References
    ----------
    Gao et al., arXiv 2210.10760 (the two forms).
    """
    if proxy == gold:
        raise ArgumentError(
            f"proxy and gold are both {quoted(proxy)}; two rewards of the same samples were expected."
        )
    how: dict[str, Any] = {
        "kl": kl, "level": level, "seed": seed, "prompts": prompts, "paired": paired,
    }  # fmt: skip
    in_gold = audit(base, policy, reward=gold, **how).each()
    with warnings.catch_warnings():  # what is to be minded has just been said
        warnings.simplefilter("ignore", EstimateWarning)
        in_proxy = audit(base, policy, reward=proxy, **how).each()
    return joined(in_proxy, in_gold, prediction)


def joined(
    in_proxy: Sequence[Audit], in_gold: Sequence[Audit], prediction: Hacking | None
) -> TrainedPath:
    """The same from placements in both rewards, checkpoint by checkpoint."""
    proxy, gold, level = in_proxy[0].reward, in_gold[0].reward, in_gold[0].gain.level
    runs = _runs(in_gold)
    checkpoints = tuple(
        _checkpoint(ours, theirs, run, prediction)
        for ours, theirs, run in zip(in_proxy, in_gold, runs, strict=True)
    )
    turns = {
        run: _turn([one for one in checkpoints if one.run == run], level)
        for run in dict.fromkeys(runs)
    }
    return TrainedPath(checkpoints, turns, proxy, gold, level, _notes(in_proxy, in_gold))


def _notes(in_proxy: Sequence[Audit], in_gold: Sequence[Audit]) -> tuple[str, ...]:
    """What to mind of both placements once; of one of them with the name of its reward."""
    by = {
        name: dict.fromkeys([*_impossible(audits), *(note for one in audits for note in one.notes)])
        for name, audits in (
            (quoted(in_gold[0].reward), in_gold),
            (quoted(in_proxy[0].reward), in_proxy),
        )
    }
    first, second = by.values()
    both = [note for note in first if note in second]
    own = [f"{name}: {note}" for name, notes in by.items() for note in notes if note not in both]
    return (*both, *own)


def _impossible(audits: Sequence[Audit]) -> list[str]:
    odd = [one.label for one in audits if impossible(one)]
    return [f"{listing(odd)}: {IMPOSSIBLE}."] if odd else []


def _runs(audits: Sequence[Audit]) -> list[str]:
    """The run of each checkpoint: one policy's steps, or names that differ by a number only."""
    if any(one.step is not None for one in audits):
        return [one.run for one in audits]
    names = [(_NUMBERED.fullmatch(one.name), one.name) for one in audits]
    return [found[1] or "run" if found and len(names) > 1 else name for found, name in names]


def _checkpoint(
    in_proxy: Audit, in_gold: Audit, run: str, prediction: Hacking | None
) -> Checkpoint:
    level = in_gold.gain.level
    kl, least = in_gold.kl, in_proxy.least_kl
    no = "the KL is not known"

    def predicted(at: Estimate, reason: str) -> Estimate:
        if prediction is None:
            return missing(UNKNOWN, level)
        if not np.isfinite(at.value):
            return missing(at.note or reason, level)
        return prediction.gold_gain(max(float(at.value), 0.0))

    return Checkpoint(
        in_gold.label, run, kl, in_proxy.gain, in_gold.gain, in_proxy.limit, in_gold.limit, least,
        predicted(kl, no), predicted(least, "no sample of the base shows such a proxy gain"),
        in_proxy, in_gold,
    )  # fmt: skip


def _turn(checkpoints: Sequence[Checkpoint], level: float) -> Turn:
    placed = [one.by_gold.case for one in checkpoints]
    cases = [case for case in placed if case is not None and case.paired]
    if len(cases) < len(placed):
        return unknown("base and checkpoints are not compared prompt by prompt", level)
    ids = {name: at for at, name in enumerate(sorted({i for case in cases for i in case.ids}))}
    spent, gained = (np.full((len(cases), len(ids)), np.nan) for _ in range(2))
    error = np.zeros(len(cases))
    for row, case in enumerate(cases):
        at = [ids[name] for name in case.ids]
        gained[row, at] = case.policy.reward - case.limit.samples.means
        if case.kl is None or not np.isfinite(case.kl.value):
            continue  # its gold counts, its place along the KL is not known
        spent[row, at] = case.kl.value if case.joint_kl is None else case.joint_kl
        if case.joint_kl is None:
            error[row] = _error(case.kl, level)
    return turn(points(spent, gained, error), level)


def _error(kl: Estimate, level: float) -> float:
    """Standard error of a KL that was stated with an interval."""
    from scipy.special import ndtri

    width = float(kl.high) - float(kl.low)
    return float(width / (2 * ndtri(0.5 + level / 2))) if np.isfinite(width) else 0.0
