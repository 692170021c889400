"""What trainers log as "kl", and which of it is a KL of sequences to the base."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from klimit._errors import ArgumentError, DataError
from klimit._estimate import Estimate
from klimit.estimate.checks import check_level, numbers
from klimit.rollouts.words import close_to, listing, quoted


@dataclass(frozen=True)
class LoggedKL:
    """What one metric of one trainer measures, as its source computes it.

    Attributes
    ----------
    framework, metric : how users know it; `also` has other spellings of the metric
    between : "policy || base", or what else it compares
    estimator : of each token
    reduction : "sequence": summed over the completion, mean over the batch; "token": one mean over
        all tokens of the batch; "mean of means": over the tokens of each completion, then over
        the batch
    refused : why it cannot be made a KL of sequences; empty where it can
    caveat : what to know where it can
    """

    framework: str
    metric: str
    between: str
    estimator: str
    reduction: str
    refused: str = ""
    caveat: str = ""
    also: tuple[str, ...] = ()


_BASE, _OLD = "policy || base", "policy before || after an update"
_MEANS = (
    "each completion's mean over its own tokens is averaged, so long completions count too little, "
    "and no length brings their sum back"
)
_CUT = "the k3 of each token is cut at 10, just where k3 has its mass when policies are far apart"
_UPDATE = "it compares the policy with itself before an update, not with the base"
_TEMPERED = "both models are at the training temperature"
_ENDED = (
    "with mask_truncated_completions it is of completions that ended alone, and its tokens are "
    "completions/mean_terminated_length"
)

LOGGED = (
    LoggedKL(
        "trl-grpo", "kl", _BASE, "k3", "token", also=("train/kl", "eval/kl"),
        caveat="absent with beta = 0; with gradient accumulation a mean of its micro-batches' means, exact "
        f"only if those are about as long; {_TEMPERED}; with use_bias_correction_kl it is weighted by the "
        f"ratio to the policy that sampled; {_ENDED}",
    ),
    LoggedKL(
        "trl-rloo", "kl", _BASE, "k1", "token", also=("train/kl", "eval/kl"),
        caveat=f"a mean over tokens, though the penalty is of the sum; {_TEMPERED}; {_ENDED}",
    ),
    LoggedKL(
        "trl-ppo", "objective/kl", _BASE, "k1 (or k3)", "sequence",
        caveat=f"{_TEMPERED}, which is 0.7 unless it was set",
    ),
    LoggedKL("trl-ppo", "policy/approxkl_avg", _OLD, "k2", "token", refused=_UPDATE),
    LoggedKL(
        "verl", "actor/reward_kl_penalty", _BASE, "kl_penalty: k1, abs, k2 or k3", "mean of means",
        refused=_MEANS,
    ),
    LoggedKL(
        "verl", "actor/kl_loss", _BASE, "kl_loss_type: k3 by default", "loss_agg_mode", also=("kl_loss",),
        refused=f"{_CUT}; and it is taken during the update, averaged as loss_agg_mode says",
    ),
    LoggedKL("verl", "actor/ppo_kl", _OLD, "k1", "token", refused=_UPDATE, also=("ppo_kl",)),
    LoggedKL(
        "openrlhf", "kl", _BASE, "k1, k2 or k3, each token cut at 10", "mean of means",
        refused=f"{_MEANS}; values of tokens are cut at 10",
    ),
    LoggedKL(
        "openrlhf", "ppo_kl", _OLD, "k1", "token", refused=_UPDATE
    ),
    LoggedKL(
        "open-instruct", "objective/kl0_avg", _BASE, "k1", "token",
        caveat="log ratios of tokens are cut at 40, which binds for no ordinary token; a masked mean "
        "over all tokens is taken (the default axis)",
    ),
    LoggedKL(
        "open-instruct", "objective/kl2_avg", _BASE, "k3", "token",
        caveat="versions that start at objective/kl_avg number otherwise: there kl2 is k2; log ratios of "
        "tokens are cut at 40, which binds for no ordinary token",
    ),
    LoggedKL(
        "open-instruct", "objective/kl1_avg", _BASE, "k2", "token",
        refused="k2 equals the KL to second order only",
    ),
    LoggedKL(
        "open-instruct", "objective/kl3_avg", _BASE, "k1 times the ratio of an update", "token",
        refused="it is weighted by the update's ratio, and older versions log k3 under this name; "
        "objective/kl0_avg of the same run converts",
    ),
    LoggedKL("nemo-rl", "kl_penalty", _BASE, "k3", "token", refused=_CUT, also=("train/kl_penalty",)),
    LoggedKL(
        "nemo-rl", "gen_kl_error", "sampler || trainer", "k3", "token", also=("policy_kl_error",),
        refused="it compares the engine that samples with the trainer, not with the base",
    ),
    LoggedKL(
        "prime-rl", "mismatch_kl", "trainer || sampler", "k3", "mean of means",
        refused="it compares the trainer with the engine that samples, not with the base",
    ),
)  # fmt: skip
"""The metrics that are known. The first of each framework is meant where none is named."""


def logged_kl(
    value: Any,
    *,
    framework: str,
    metric: str | None = None,
    tokens: Any = None,
    level: float = 0.95,
) -> Estimate:
    """What does a number that a trainer logged as its KL say, in nats per completion?

    Parameters
    ----------
    value : as logged, nats; a number, an array over steps, or an `Estimate`
    framework : "trl-grpo", "trl-rloo", "trl-ppo", "verl", "openrlhf", "open-instruct", "nemo-rl" or
        "prime-rl"
    metric : its name in the log; by default the framework's KL to the base
    tokens : mean tokens of a completion in the same batches (TRL: completions/mean_length; with
        mask_truncated_completions completions/mean_terminated_length), needed where the metric is a
        mean over tokens
    level : stated on the result; a logged mean has no interval of its own

    Returns
    -------
    Estimate
        With `low` and `high` equal to `value`: a trainer logs no spread. Its note says what was assumed.

    Raises
    ------
    ArgumentError
        Where framework or metric is not known, or tokens is missing where it is needed.
    DataError
        Where the metric cannot be made a KL of sequences to the base; the message says why.

    Notes
    -----
    ``sum of k over tokens / number of tokens * tokens / completion = sum of k / completion``: exact
    where both means are of the same completions and one mean runs over all their tokens.

    Examples
    --------
    >>> float(logged_kl(0.0125, framework="trl-grpo", tokens=220.0))
    2.75
    >>> logged_kl(0.02, framework="verl", metric="actor/ppo_kl")
    Traceback (most recent call last):
    klimit._errors.DataError: 'actor/ppo_kl' of verl is no KL of sequences to the base: ...
    """
    check_level(level)
    record = _record(framework, metric)
    if record.refused:
        raise DataError(
            f"{quoted(record.metric)} of {record.framework} is no KL of sequences to the base: "
            f"{record.refused}. Score samples of the policy with both checkpoints instead: "
            "klimit rescore."
        )
    given = value if isinstance(value, Estimate) else None
    parts = (given.value, given.low, given.high) if given else (value, value, value)
    logged = [numbers("value", x, "finite nats, as logged,") for x in parts]
    if not np.isfinite(logged[0]).all():
        raise ArgumentError(f"value={value!r} was given; finite nats, as logged, were expected.")
    factor = _factor(record, tokens)
    if np.ndim(factor) and np.shape(factor) != logged[0].shape:
        raise ArgumentError(
            f"value of shape {logged[0].shape} and tokens of shape {np.shape(factor)} were given; one "
            "mean length for each value, or one for all, was expected."
        )
    negative = "below 0 by chance, or sampled from another policy than scored"
    if record.estimator == "k3":
        negative = "below 0, which k3 is by rounding alone"
    sentences = [
        f"{record.framework} logs {record.metric} ({record.estimator}, "
        + ("sum over tokens)" if record.reduction == "sequence" else "mean over tokens)"),
        record.caveat,
        negative if np.any(logged[0] < 0) else "",
        given.note if given else "a logged mean, without an interval",
    ]
    value, low, high = (x * factor for x in logged)
    note = "; ".join(part for part in sentences if part)
    given = given or Estimate(value, low, high, level)
    return Estimate.of(value, low, high, level=given.level, trusted=given.trusted, note=note)


def _factor(record: LoggedKL, tokens: Any) -> Any:
    if record.reduction == "sequence":
        return 1.0
    if tokens is None:
        raise ArgumentError(
            f"{record.metric} of {record.framework} is a mean over tokens: the mean length in the same "
            "batches makes it a KL of completions; pass tokens= (TRL logs it as completions/mean_length)."
        )
    lengths = numbers("tokens", tokens, "mean tokens of a completion")
    if not (np.isfinite(lengths).all() and (lengths >= 1).all()):
        raise ArgumentError(
            f"tokens={tokens!r} was given; mean tokens of a completion, 1 or more, were expected."
        )
    return lengths


def _record(framework: str, metric: str | None) -> LoggedKL:
    names = list(dict.fromkeys(one.framework for one in LOGGED))
    asked = str(framework).lower().replace("_", "-").replace(" ", "-")
    theirs = [one for one in LOGGED if one.framework == asked]
    if not theirs:
        raise ArgumentError(
            f"framework {quoted(framework)} is not known; one of {listing(names)} was expected."
            f"{close_to(asked, names)}"
        )
    if metric is None:
        return theirs[0]
    for one in theirs:
        if metric in (one.metric, *one.also):
            return one
    raise ArgumentError(
        f"{asked} logs no {quoted(metric)} that is known here; there are "
        f"{listing(one.metric for one in theirs)}.{close_to(metric, [one.metric for one in theirs])}"
    )
