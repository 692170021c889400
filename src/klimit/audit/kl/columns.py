"""The columns that a KL is measured from, checked: impossible values are errors, never numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from klimit._errors import DataError
from klimit.rollouts.grouped import Floats, Integers
from klimit.rollouts.rollouts import Rollouts
from klimit.rollouts.words import counted, quoted

LOGPROB, REF_LOGPROB, KL_RB, TOKENS = "logprob", "ref_logprob", "kl_rb", "tokens"

_ROUNDING = 1e-3  # nats: sums of low-precision numbers may end this far on the wrong side of 0


@dataclass(frozen=True)
class Scores:
    """What was stored of each sample; nan where missing.

    Attributes
    ----------
    ids : (prompts,)
    codes : (samples,) number of each sample's prompt
    logprob, ref_logprob : (samples,) under the policy and under the base
    kl_rb : (samples,) exact KL of the next token, summed along the completion, nats
    tokens : (samples,) lengths, in tokens, or in characters where tokens are not known
    """

    ids: list[str]
    codes: Integers
    logprob: Floats
    ref_logprob: Floats
    kl_rb: Floats
    tokens: Floats
    in_tokens: bool

    @property
    def log_ratio(self) -> Floats:
        """``log policy - log base``, (samples,)."""
        return self.logprob - self.ref_logprob


def scores(policy: Rollouts) -> Scores:
    """Read and check the columns."""
    policy.check_one_policy()
    there = policy.table.names
    logprob, ref, kl_rb, tokens = (
        _column(policy, name) for name in (LOGPROB, REF_LOGPROB, KL_RB, TOKENS)
    )
    missing = [name for name in (LOGPROB, REF_LOGPROB) if name not in there]
    if missing and KL_RB not in there:
        raise DataError(
            f"{policy.source} has no {' and no '.join(missing)}: the KL takes the log-probability of "
            "each completion under the policy and under the base (logprob, ref_logprob), summed, "
            "in nats. Score both checkpoints: klimit rescore, or klimit.audit.rescore."
        )
    for name, values in ((LOGPROB, logprob), (REF_LOGPROB, ref)):
        _check_log_probabilities(policy, name, values)
    _check_exact(policy, kl_rb)
    in_tokens = bool(np.isfinite(tokens).any())
    if not in_tokens and "completion" in there:
        text = policy.table.column("completion")
        if str(text.dtype) == "String":
            tokens = text.str.len_chars().cast(float).fill_null(np.nan).to_numpy()
    return Scores(
        policy.ids, policy.groups.codes.astype(np.int64), logprob, ref, kl_rb, tokens, in_tokens
    )


def _column(policy: Rollouts, name: str) -> Floats:
    import polars as pl

    if name not in policy.table.names:
        return np.full(len(policy), np.nan)
    column = policy.table.column(name)
    if not (column.dtype.is_numeric() or column.dtype == pl.Null):
        raise DataError(
            f"column {name} of {policy.source} holds {column.dtype}; numbers were expected "
            "(null where one is missing)."
        )
    return column.cast(pl.Float64).fill_null(np.nan).to_numpy()


def _check_log_probabilities(policy: Rollouts, name: str, values: Floats) -> None:
    infinite = np.flatnonzero(np.isinf(values))
    if infinite.size:
        what = f"{name} is {values[infinite[0]]} {_place(policy, int(infinite[0]))}"
        if name == REF_LOGPROB and values[infinite[0]] < 0:
            raise DataError(
                f"{what}: the base cannot draw this completion, so the KL would be infinite. "
                "Score the base over its whole vocabulary, without top-k or top-p."
            )
        raise DataError(
            f"{what}; a finite number was expected. Make it missing (null) or score it again."
        )
    with np.errstate(invalid="ignore"):
        positive = np.flatnonzero(values > _ROUNDING)
    if not positive.size:
        return
    seen = values[np.isfinite(values)]
    example = f"{values[positive[0]]:.4g} {_place(policy, int(positive[0]))}"
    what = f"{name} is positive in {len(positive):,} of {counted(len(seen), 'sample')} ({example})"
    if (seen >= 0).all() and seen.max() <= 1:
        raise DataError(f"{what}: these look like probabilities; take their logarithm.")
    if (seen >= 0).mean() > 0.9:
        raise DataError(
            f"{what}: these look like losses (minus the log-probability); turn the sign."
        )
    raise DataError(
        f"{what}; log-probabilities of completions are never positive. Score these samples again, "
        "or make them missing (null)."
    )


def _check_exact(policy: Rollouts, values: Floats) -> None:
    with np.errstate(invalid="ignore"):
        wrong = np.flatnonzero(np.isinf(values) | (values < -_ROUNDING))
    if wrong.size:
        raise DataError(
            f"{KL_RB} is {values[wrong[0]]:.4g} {_place(policy, int(wrong[0]))}; the exact KL of next "
            "tokens, summed, is finite and never negative. A sampled log ratio belongs in logprob and "
            "ref_logprob."
        )


def _place(policy: Rollouts, at: int) -> str:
    prompt = policy.ids[int(policy.groups.codes[at])]
    return f"for a sample of prompt {quoted(prompt)} (row {policy.table.row(at):,})"
