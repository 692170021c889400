"""The KL of a policy to its base, measured on the policy's own samples."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
from numpy.typing import NDArray

from klimit._errors import DataError, EstimateWarning, warn
from klimit._estimate import Estimate
from klimit._notebook import InNotebooks, Numbers
from klimit.audit.kl.columns import KL_RB, Scores, in_nats
from klimit.audit.kl.estimators import (
    ESTIMATORS,
    MISLEADS,
    RAO_BLACKWELL,
    excess,
    heavy,
    proves_mismatch,
)  # fmt: skip
from klimit.audit.kl.means import ByPrompt, Prompts
from klimit.audit.kl.sampling import sampling_notes, truncated_share
from klimit.estimate.checks import check_choice, check_level
from klimit.rollouts.grouped import Floats, Integers
from klimit.rollouts.rollouts import Rollouts
from klimit.rollouts.words import counted

if TYPE_CHECKING:
    import polars as pl

Used = NDArray[np.bool_]

_SURE = 0.998  # coverage of an interval that lies below the truth once in a thousand times


@dataclass(frozen=True)
class Alternative(Numbers):
    """The same KL by another estimator.

    Attributes
    ----------
    estimator : "k1", "k2", "k3" or "rao-blackwell"
    kl : nats; not trusted where the estimator misleads here: k2's interval is that of its own mean,
        which is not the KL, and k3 is then a lower bound
    variance : of one sample about its prompt's mean, mean over prompts; nan without two samples
    misleads : when to beware of it, in words
    """

    estimator: str
    kl: Estimate
    variance: float
    misleads: str


@dataclass(frozen=True)
class MeasuredKL(InNotebooks):
    """``KL(policy || base)`` of whole completions, nats, mean over prompts that weigh equally.

    Attributes
    ----------
    kl : with a prompt-clustered t interval
    estimator : "k1", "k2", "k3" or "rao-blackwell"
    ids, by_prompt, counts : (prompts,) each prompt's id, mean and number of samples
    variance_within : (prompts,) variance of one sample about its prompt's mean, nan where only one
        was scored; so by_prompt is noisy by variance_within / counts
    alternatives : what the other estimators say
    notes : sentences to read with the number, most serious first
    """

    kl: Estimate
    estimator: str
    ids: tuple[str, ...]
    by_prompt: Floats
    counts: Integers
    variance_within: Floats
    alternatives: tuple[Alternative, ...]
    notes: tuple[str, ...]

    def __str__(self) -> str:
        size = counted(len(self.ids), "prompt")
        return f"KL(policy || base) = {self.kl} nats ({self.estimator}, {size})"

    def to_frame(self) -> pl.DataFrame:
        """A row per prompt: prompt_id, samples, kl, variance (of one sample)."""
        import polars as pl

        return pl.DataFrame(
            {
                "prompt_id": list(self.ids),
                "samples": self.counts,
                "kl": self.by_prompt,
                "variance": pl.Series(self.variance_within, nan_to_null=True, dtype=pl.Float64),
            }
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        others = {
            one.estimator: {
                **one.kl.to_dict(),
                "variance": one.variance if np.isfinite(one.variance) else None,
                "misleads": one.misleads,
            }
            for one in self.alternatives
        }
        return {
            "kl": self.kl.to_dict(),
            "estimator": self.estimator,
            "alternatives": others,
            "notes": list(self.notes),
        }


def measured_kl(
    policy: Rollouts,
    *,
    level: float = 0.95,
    prompts: Prompts = "drawn",
    estimator: str | None = None,
    units: str | None = None,
) -> MeasuredKL:
    """How far is the policy from its base, in nats per completion?

    ``KL(policy || base) = E_x E_{y ~ policy(x)} [log policy(y|x) - log base(y|x)]``, from samples of
    the policy scored by both models: columns `logprob` and `ref_logprob`, summed over the
    completion, nats; or `kl_rb`, the exact KL of each next token summed along the completion.

    Parameters
    ----------
    policy : samples of one policy and step; missing scores (null, NaN) are left out and counted
    level : coverage of the interval
    prompts : "drawn": for the population that the prompts came from, a t interval over prompts;
        "fixed": for these prompts, from the spread within each
    estimator : "k1", "k2", "k3" or "rao-blackwell"; by default the last where `kl_rb` is stored for
        every sample that is scored, else k1
    units : of the log-probabilities, where they are not nats per sequence: "bits", "log10" or "nats per
        token". "nats" vouches for them; by default what cannot be nats per sequence is looked for

    Raises
    ------
    ArgumentError
        Where an option has no such value, or the estimator's columns are not there.
    DataError
        Where several steps or policies stand together, nothing is scored, or values cannot be what
        they should (positive, infinite, per token, in bits).

    Warns
    -----
    DataWarning
        Where samples were left out, or were not drawn as they were scored.

    Notes
    -----
    The Rao-Blackwell estimator is that of arXiv 2504.10637; ``docs/kl.md`` compares them.

    Examples
    --------
    >>> import klimit
    >>> run = klimit.read({"prompt": list("aabb"), "rm": [0.0, 1, 0, 1], "temperature": [1.0] * 4,
    ...     "logprob": [-1.0, -2.0, -1.5, -1.0], "ref_logprob": [-2.0, -2.5, -2.0, -2.5]})
    >>> print(measured_kl(run, prompts="fixed"))
    KL(policy || base) = 0.9 [-0.9, 2.6] nats (k1, 2 prompts)
    """
    check_level(level)
    check_choice("prompts", prompts, get_args(Prompts))
    if estimator is not None:
        check_choice("estimator", estimator, (*ESTIMATORS, RAO_BLACKWELL))
    found, odd = in_nats(policy, units)
    chosen = estimator or _default(found)
    usable = np.isfinite(found.log_ratio)
    exact = np.isfinite(found.kl_rb)
    used = exact if chosen == RAO_BLACKWELL else usable
    if not used.any():
        columns = KL_RB if chosen == RAO_BLACKWELL else "logprob and ref_logprob of the same tokens"
        raise DataError(
            f"no sample of {policy.source} has {columns}, which estimator {chosen!r} takes. "
            "Score both checkpoints: klimit rescore."
        )
    every = [_by(name, found, usable, level, prompts) for name in ESTIMATORS if usable.any()]
    if exact.any():
        every.append(_by(RAO_BLACKWELL, found, exact, level, prompts))
    own = next(one for one in every if one.estimator == chosen)
    keep = np.unique(found.codes[used])
    samples = ByPrompt.of(_values(chosen, found)[used], found.codes[used])
    serious = [*_left_out(policy, found, used, len(keep)), *sampling_notes(policy), *odd]
    impossible = _mismatch(own, samples, found.log_ratio[usable], prompts)
    serious += impossible
    for sentence in serious:
        warn(f"{policy.source}: {sentence}.")
    if not own.kl.trusted:
        warn(f"{chosen}: {own.kl.note}.", EstimateWarning)
    kl = replace(own.kl, trusted=False, note=impossible[0]) if impossible else own.kl
    negative = float(own.kl) < 0 and not impossible
    return MeasuredKL(
        kl,
        chosen,
        tuple(found.ids[at] for at in keep),
        samples.means,
        samples.counts,
        samples.variances,
        tuple(one for one in every if one.estimator != chosen),
        (*serious, *_remarks(policy, own, samples.counts, prompts, negative=negative)),
    )


def _default(found: Scores) -> str:
    """Least variance where nothing is lost by it."""
    exact, sampled = np.isfinite(found.kl_rb), np.isfinite(found.log_ratio)
    return RAO_BLACKWELL if exact.any() and exact.sum() >= sampled.sum() else "k1"


def _values(name: str, found: Scores) -> Floats:
    return found.kl_rb if name == RAO_BLACKWELL else ESTIMATORS[name](found.log_ratio)


def _by(name: str, found: Scores, used: Used, level: float, prompts: Prompts) -> Alternative:
    samples = ByPrompt.of(_values(name, found)[used], found.codes[used])
    kl = samples.estimate(level=level, prompts=prompts, least=-np.inf if name == "k1" else 0.0)
    variances = samples.variances
    known = variances[np.isfinite(variances)]
    doubt = ""
    if name == "k2":
        doubt = "k2 is right to second order only: the interval is that of its mean, not of the KL"
    elif name == "k3":
        doubt = _doubt_k3(found.log_ratio[used], found.codes[used], level, prompts)
    if doubt:
        high = np.inf if name == "k3" else kl.high  # k3 misses what is rare and large
        kl = replace(kl, high=high, trusted=False, note=doubt)
    return Alternative(name, kl, float(known.mean()) if known.size else np.nan, MISLEADS[name])


def _doubt_k3(log_ratio: Floats, codes: Integers, level: float, prompts: Prompts) -> str:
    if heavy(log_ratio):
        return "base / policy is so heavy-tailed that k3 has no finite variance: a few samples decide it"
    missing = ByPrompt.of(-excess(log_ratio), codes).estimate(level=level, prompts=prompts)
    if missing.low > 0:
        return (
            f"k3 reads low by {float(missing):.2g} nats or so: the share of the base's completions that "
            "the policy practically never draws"
        )
    return ""


def _left_out(policy: Rollouts, found: Scores, used: Used, kept: int) -> list[str]:
    without, prompts = int((~used).sum()), len(found.ids) - kept
    if not without:
        return []
    gone = f", and with them {counted(prompts, 'prompt')}" if prompts else ""
    return [f"{counted(without, 'sample')} of {len(policy):,} without scores left out{gone}"]


def _mismatch(
    own: Alternative, samples: ByPrompt, log_ratio: Floats, prompts: Prompts
) -> list[str]:
    """Why a KL below 0, or a mean of base / policy above 1, cannot be chance, but once in a thousand.

    A policy that has hardly moved has its whole 95 % interval below 0 once in forty times.
    """
    causes = (
        "were scored by another model than drew them: another temperature or top-p, another "
        "checkpoint, chat template or inference engine, units other than nats, or logprob and "
        "ref_logprob in each other's place"
    )
    if own.estimator == "k1" and samples.estimate(level=_SURE, prompts=prompts).high < 0:
        return [f"the estimate {own.kl} lies below 0, which no KL does: these samples {causes}"]
    if log_ratio.size and proves_mismatch(log_ratio):
        mean = float(1 + excess(log_ratio).mean())
        return [
            f"base / policy averages {mean:.3g} over the policy's samples, where at most 1 is possible: "
            f"these samples {causes}"
        ]
    return []


def _remarks(
    policy: Rollouts, own: Alternative, counts: Integers, prompts: Prompts, *, negative: bool
) -> list[str]:
    remarks = []
    if negative:
        remarks.append(
            "a negative estimate is consistent with zero: single samples of k1 take either sign. Score "
            "more samples, or rescore for the exact KL of next tokens"
        )
    elif own.kl.low < 0 < float(own.kl) and own.estimator == "k1" and np.isfinite(own.kl.low):
        remarks.append("the interval reaches below 0, and a KL does not: read it as starting at 0")
    if counts.sum() == 1:
        remarks.append("one sample says nothing of others")
    elif len(counts) == 1 and prompts == "drawn":
        remarks.append("one prompt says nothing of others; prompts='fixed' is about this one")
    if "temperature" not in policy.metadata and "temperature" not in policy.table.names:
        remarks.append(
            "how the policy was sampled is not stored: temperature 1 without top-p is assumed"
        )
    share = truncated_share(policy)
    if share:
        remarks.append(
            f"{share:.0%} of the completions were cut at the token limit: the KL is that of completions cut "
            "there, and compares with base samples cut at the same limit"
        )
    return remarks
