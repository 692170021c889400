"""How samples were drawn: what makes them another model's, or another text's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from klimit._text import safe
from klimit.audit.kl.columns import in_nats
from klimit.audit.kl.means import ByPrompt
from klimit.rollouts.names import METADATA
from klimit.rollouts.rollouts import Rollouts
from klimit.rollouts.steps import called, number

if TYPE_CHECKING:
    import polars as pl

_CUT = ("length", "max_tokens", "max_length")  # how servers say that a completion was cut
_OFTEN, _ENOUGH = 0.1, 8  # share of the completions, of so many or more, that a limit cuts,
_LONG = 16  # tokens: and not the end of short answers
_START = 0.5  # nats that rounding and engines may leave between a policy and itself


def sampling_notes(rollouts: Rollouts, *, base: bool = False) -> list[str]:
    """What is odd about how these samples were drawn; empty where they are the model's own.

    A model sampled at another temperature, or from the top of its distribution, is another model: a
    policy's KL to the one says nothing of the limit of the other (docs/kl.md, traps of sampling).

    Examples
    --------
    >>> import klimit
    >>> cold = klimit.read({"prompt": ["a", "a"], "rm": [0.0, 1.0], "temperature": [0.7, 0.7]})
    >>> sampling_notes(cold, base=True)[0][:50]
    'the base was sampled at temperature 0.7: a base at'
    """
    who, metadata = "the base" if base else "the policy", rollouts.metadata
    changes = [f"{name} {value:g}" for name, value in metadata.items() if _changes(name, value)]
    why = (
        "the KL is that of this other policy, and only if logprob is of the distribution that drew "
        "(renormalised), with ref_logprob of the base at temperature 1. Otherwise draw"
    )
    if base:
        why = (
            "a base at other settings is another base. KL measured to the model at temperature 1 does not "
            "compare with its limit; draw"
        )
    found = []
    if changes:
        found.append(
            f"{who} was sampled at {' and '.join(changes)}: {why} it again at temperature 1 without top-p or "
            "top-k"
        )
    found += [
        f"{who} was sampled at more than one {name}, or some rows do not say which"
        for name in ("temperature", "top_p", "top_k")
        if name not in metadata and name in rollouts.table.names
    ]
    return found


def settings_differ(base: Rollouts, policy: Rollouts) -> list[str]:
    """Settings that both state, and state differently."""
    cut = "completions that are cut elsewhere are other completions"
    found = []
    for name in METADATA:
        one, other = base.metadata.get(name), policy.metadata.get(name)
        if one is not None and other is not None:
            if float(one) != float(other):
                why = cut if name == "max_tokens" else "the two were not sampled alike"
                found.append(f"{name} is {one:g} for the base and {other:g} for the policy: {why}")
        elif name == "max_tokens":
            ours, theirs = _cut_at(base), _cut_at(policy)
            if ours and theirs and ours != theirs:
                found.append(
                    f"completions of the base end at {ours:,} tokens and those of the policy at {theirs:,}, "
                    f"many of them at just so many: {cut}"
                )
    return found


def _cut_at(rollouts: Rollouts) -> int | None:
    """The largest length, where so many completions have it that it must be a limit."""
    if "tokens" not in rollouts.table.names:
        return None
    tokens = rollouts.table.column("tokens").cast(float).drop_nulls().to_numpy()
    if tokens.size < _ENOUGH or tokens.max() < _LONG:
        return None
    return int(tokens.max()) if np.mean(tokens == tokens.max()) > _OFTEN else None


def start_notes(base: Rollouts) -> list[str]:
    """What is odd about the first step of a run: the policy was still the base, so their KL is 0.

    Examples
    --------
    >>> import klimit
    >>> rows = {"prompt": list("aabbccdd"), "rm": [0.0, 1] * 4, "logprob": [-20.0, -21] * 4}
    >>> start_notes(klimit.read(rows | {"ref_logprob": [-30.0, -32] * 4}))[0][:52]
    'the run starts 10 nats from the base by its own log-'
    """
    if not {"logprob", "ref_logprob"} <= set(base.table.names):
        return []
    found, _ = in_nats(base)
    used = np.isfinite(found.log_ratio)
    samples = ByPrompt.of(found.log_ratio[used], found.codes[used])
    if len(samples.counts) < 2:
        return []
    kl = samples.estimate(level=0.99, prompts="drawn")
    later = [step for step in base.steps if number(step) > 1]
    if later and kl.low > 0:
        return [
            f"the base is {safe(called(later[0]))}, which by its own log-probabilities is {float(kl):.2g} "
            "nats from the model that ref_logprob speaks of: the KL of the others is to that model, not to "
            "this base"
        ]
    if not (kl.low > 0 and float(kl) > _START):
        return []
    return [
        f"the run starts {float(kl):.2g} nats from the base by its own log-probabilities, where about 0 was "
        "expected: it was sampled at another temperature or top-p, or by another engine, than it was "
        "scored at, and the KL of later steps is off by as much"
    ]


def truncated_share(rollouts: Rollouts) -> float | None:
    """Share of the samples that were cut at the token limit; None where nothing tells.

    Examples
    --------
    >>> import klimit
    >>> cut = {"prompt": ["a"] * 4, "rm": [0.0, 1, 2, 3], "finish_reason": ["stop", "length"] * 2}
    >>> truncated_share(klimit.read(cut))
    0.5
    """
    share = cuts(rollouts).mean()
    return None if share is None else float(share)  # type: ignore[arg-type]


def cuts(rollouts: Rollouts) -> pl.Series:
    """Whether each sample was cut at the token limit; null where nothing tells."""
    import polars as pl

    there = rollouts.table.names
    for name in ("finish_reason", "stop_reason"):
        if name in there:
            said = rollouts.table.column(name)
            if said.null_count() < len(said) and said.dtype in (pl.String, pl.Categorical):
                return said.cast(pl.String).str.to_lowercase().is_in(_CUT)
    limit = rollouts.metadata.get("max_tokens")
    if limit is None or "tokens" not in there:
        return pl.Series([None] * len(rollouts), dtype=pl.Boolean)
    return rollouts.table.column("tokens").cast(float).fill_nan(None) >= float(limit)


def _changes(name: str, value: Any) -> bool:
    """Whether this setting makes the sampled distribution another than the model's."""
    if value is None:
        return False
    number = float(value)
    return {"temperature": number != 1, "top_p": number < 1, "top_k": number > 0}.get(name, False)
