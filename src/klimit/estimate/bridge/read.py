"""Draws from rollouts: rewards and log-ratios in nats per completion."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from klimit.estimate.bridge.draws import Draws
from klimit.estimate.inputs import reward_column
from klimit.estimate.kernel import Floats

if TYPE_CHECKING:
    from klimit.estimate.result import Frontier
    from klimit.estimate.samples import Integers
    from klimit.rollouts import Rollouts

_SAME = 1e-2  # nats: below, two models are one, up to rounding


def draws(rollouts: Rollouts, reward: str | None, ids: Sequence[str]) -> Draws:
    """Samples of one model on these prompts, with ``logprob - ref_logprob`` where both are stored.

    A policy's own dump has both of its own samples. The base's has both after it was scored again
    under policy and base (`klimit rescore`); a base that was scored by itself alone tells nothing of
    the policy, and counts as not scored.

    Parameters
    ----------
    ids : prompts, in the order that is wanted; those that are not there have no samples
    """
    column = reward_column(rollouts, reward)
    ratios = log_ratios(rollouts)
    places = {str(name): at for at, name in enumerate(column.ids)}
    starts = np.cumsum(column.lengths) - column.lengths
    take, lengths = [], []
    for name in ids:
        at = places.get(str(name))
        number = 0 if at is None else int(column.lengths[at])
        lengths.append(number)
        if at is not None:
            take.append(np.arange(starts[at], starts[at] + number))
    rows = np.concatenate(take) if take else np.empty(0, dtype=np.int64)
    return Draws(column.values[rows], np.array(lengths, dtype=np.int64), ratios[None, rows])


def carried(
    limit: Frontier, base: Rollouts, policy: Rollouts, *, reward: str | None = None,
    base_ids: Sequence[str] = (), policy_ids: Sequence[str] = (), name: str = "the policy",
    rank: Integers | None = None,
) -> Frontier:  # fmt: skip
    """The limit that a policy is measured against, carried further by its own samples if they can.

    Parameters
    ----------
    limit : of the base, on the prompts that follow, in their order
    base, policy : what the samples are in; a policy without log-probabilities leaves the limit alone
    base_ids, policy_ids : (prompts,) what either side calls the prompts that `limit` was computed
        from, those without a use included; `limit.ids` if not given, which arrays do not have
    rank : see `klimit.estimate.bridge.bridge`

    Returns
    -------
    A `Bridged`, whose `notes` say what was done; or `limit` itself, where there is nothing to do with.
    """
    from klimit.estimate.bridge.verb import bridge

    settings = limit.settings
    if (settings.objective, settings.budget) != ("reward", "average"):
        return limit
    theirs = draws(policy, reward, policy_ids or base_ids or limit.ids)
    if np.isnan(theirs.log_ratios).all():
        return limit
    ours = draws(base, reward, base_ids or limit.ids)
    return bridge(limit, ours, [theirs], names=(name,), rank=rank)


def log_ratios(rollouts: Rollouts) -> Floats:
    """(samples,) log policy - log base, prompt after prompt; NaN where it is not stored."""
    from klimit.audit.kl.columns import scores
    from klimit.audit.kl.units import in_nats

    if not {"logprob", "ref_logprob"} <= set(rollouts.table.names):
        return np.full(len(rollouts), np.nan)
    found, _ = in_nats(scores(rollouts), None)
    ratio = found.log_ratio
    with np.errstate(invalid="ignore"):
        if not (np.abs(ratio) > _SAME).any():
            ratio = np.full(len(ratio), np.nan)
    return ratio[np.argsort(found.codes, kind="stable")]
