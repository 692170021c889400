"""The columns that a KL is measured from, checked: impossible values, and units as far as the data tell."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from klimit._errors import ArgumentError, DataError
from klimit.audit.kl.means import ByPrompt
from klimit.rollouts.grouped import Floats, Integers
from klimit.rollouts.rollouts import Rollouts
from klimit.rollouts.words import counted, quoted

LOGPROB, REF_LOGPROB, KL_RB, TOKENS = "logprob", "ref_logprob", "kl_rb", "tokens"

PER_TOKEN = "nats per token"
FACTORS = {"nats": 1.0, "bits": math.log(2), "log10": math.log(10)}

_ROUNDING = 1e-3  # nats: sums of low-precision numbers may end this far on the wrong side of 0
_LONG = 8  # tokens: below, a mean and a sum cannot be told apart
_FLAT = 0.5  # log-log slope of surprise on length: 1 for sums, 0 for means
_WIDEST = 12.0  # nats: no mean over tokens exceeds the log of a vocabulary
_FAINT = 0.015  # nats per token: a base model is not this sure of long texts
_CHANCE = 4.4  # standard errors: 3.9 are exceeded once in 10,000, by skewed log ratios more often
_UNSEEN = math.log(10_000)  # over samples: the chance of an answer that 1 of 10,000 sets misses
_WHERE = " to klimit.audit.kl.measured_kl, whose answer an audit takes as kl="


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


def in_nats(policy: Rollouts, units: str | None = None) -> tuple[Scores, list[str]]:
    """Log-probabilities in nats per sequence, and what is odd about them.

    Parameters
    ----------
    units : "nats", "bits", "log10" or "nats per token", believed; None looks for what cannot be
        nats per sequence
    """
    found = scores(policy)
    if units is None:
        return found, [*_per_token(found), *_against_exact(found)]
    if units == PER_TOKEN and not found.in_tokens:
        raise ArgumentError(
            "units='nats per token' needs the column tokens, the length of each completion."
        )
    factors: dict[str, Floats | float] = {**FACTORS, PER_TOKEN: found.tokens}
    if units not in factors:
        raise ArgumentError(
            f"units={units!r} is not known; one of {', '.join(factors)} was expected."
        )
    factor = factors[units]
    scaled = replace(found, logprob=found.logprob * factor, ref_logprob=found.ref_logprob * factor)
    return scaled, []


def _per_token(scores: Scores) -> list[str]:
    """Sums grow with length; means do not."""
    columns = [-x for x in (scores.logprob, scores.ref_logprob) if np.isfinite(x).any()]
    usable = np.isfinite(scores.tokens) & (scores.tokens > 0)
    for surprise in columns:
        with np.errstate(invalid="ignore"):
            usable &= surprise > 1e-9
    if not columns or usable.sum() < 30:
        return []
    length = scores.tokens[usable]
    middle = float(np.median(length))
    surprises = [surprise[usable] for surprise in columns]
    if middle < _LONG or max(np.quantile(surprise, 0.95) for surprise in surprises) > _WIDEST:
        return []
    if all(_slope_below(surprise, length) for surprise in surprises):
        measure = "tokens" if scores.in_tokens else "characters"
        raise DataError(
            f"log-probabilities do not grow with length (median {np.median(surprises[0]):.3g} at "
            f"{middle:,.0f} {measure}): they look like means over tokens, and sums over the "
            "sequence were expected. Multiply by tokens, or say units='nats per token' "
            f"(units='nats' if they are sums){_WHERE}."
        )
    if scores.in_tokens and all(np.median(surprise / length) < _FAINT for surprise in surprises):
        return [
            f"log-probabilities are very near 0 for their length (median {np.median(surprises[0]):.3g} "
            f"nats at {middle:,.0f} tokens): if they are means over tokens, not sums, say "
            f"units='nats per token'{_WHERE}"
        ]
    return []


def _slope_below(surprise: Floats, length: Floats) -> bool:
    x, y = np.log(length), np.log(surprise)
    x, y = x - x.mean(), y - y.mean()
    if x.std() < 0.25:
        return False
    slope = float((x * y).sum() / (x**2).sum())
    rest = y - slope * x
    error = math.sqrt(float((rest**2).sum()) / max(len(x) - 2, 1) / float((x**2).sum()))
    return slope + 3 * error < _FLAT


def _against_exact(scores: Scores) -> list[str]:
    """k1 and the exact KL of next tokens have one mean; their ratio tells the unit.

    A unit is named that leaves less than half of the gap, where chance does not explain the gap but what
    is left.
    """
    both = np.isfinite(scores.log_ratio) & np.isfinite(scores.kl_rb)
    if both.sum() < 2:
        return []
    codes, sampled, exact = scores.codes[both], scores.log_ratio[both], scores.kl_rb[both]
    mean, true = (float(ByPrompt.of(values, codes).means.mean()) for values in (sampled, exact))
    gap, by_chance = _gap(sampled - exact, codes, true)
    if gap <= max(0.01 * true, by_chance):
        return []
    factors: dict[str, Floats | float] = {**FACTORS}
    if scores.in_tokens:
        factors[PER_TOKEN] = scores.tokens[both]
    for name, factor in factors.items():
        rest, by_chance = _gap(sampled * factor - exact, codes, true)
        if rest <= min(by_chance, gap / 2):
            raise DataError(
                f"log-probabilities say {mean:.4g} and the exact KL of next tokens (kl_rb) {true:.4g} "
                f"nats: the ratio is that of {name}. Convert to nats per sequence, or say "
                f"units={name!r} (units='nats' if they are nats per sequence){_WHERE}."
            )
    return [
        f"k1 ({mean:.4g} nats) and the exact KL of next tokens ({true:.4g}) disagree beyond chance: the "
        "samples were not drawn from the distribution that scored them, or one of the two is wrong"
    ]


def _gap(difference: Floats, codes: Integers, kl: float) -> tuple[float, float]:
    """How far the mean over prompts is from 0, and how far chance brings it in one of 10,000 draws.

    Where the units agree every sample's difference has mean 0, so their squares tell the error, and a
    sum over its own root of squares has lighter tails than a t value if it is skewed. An answer so
    rare that it may not have been drawn, of chance e, is not seen in the squares: it moves the mean by
    ``e L``, where L, the log ratio by which the base draws it more often, costs a KL of at least
    ``e (exp(L) - 1 - L)``.
    """
    found = ByPrompt.of(difference, codes)
    weights = np.repeat(1 / found.counts, found.counts) / len(found.counts)
    error = math.sqrt(float(np.sum((weights * found.values) ** 2)))
    rare = _UNSEEN * float(np.sum(weights**2))
    cost = max(kl, 0.0) / rare
    unseen = rare * math.log1p(cost + math.sqrt(2 * cost))
    return abs(float(found.means.mean())), _CHANCE * error + unseen
