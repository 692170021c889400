"""Where the gap is: every prompt's part of it, the largest first."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from klimit._errors import ArgumentError

if TYPE_CHECKING:
    import polars as pl

    from klimit.audit.result import Audit


def prompts(audit: Audit) -> pl.DataFrame:
    """See `Audit.prompts`.

    With beta the slope of the frontier at the policy's mean KL, a prompt's part of the gap is ``beta
    KL(policy || optimal) = best_gain - beta best_kl + beta kl - gain`` (theory.md 1g, prompt by
    prompt): zero for the optimal policy and positive for any other, up to noise.
    """
    import polars as pl

    case = audit.case
    if case is None:
        raise ArgumentError(
            "this policy is known by its numbers only; prompts need its rollouts: "
            "klimit.audit(base, policy)."
        )
    if not case.paired:
        raise ArgumentError(
            "base and policy have no prompts in common, so no prompt's loss is known; sample the "
            "base on the policy's prompts."
        )
    limit, policy = case.limit, case.policy
    number = len(case.ids)
    none = np.full(number, np.nan)
    gain = policy.reward - limit.samples.means
    best_gain, best_kl, loss, nats = none, none, none, none
    own = none if case.joint_kl is None else case.joint_kl
    if case.kl is not None:
        spent = max(float(case.kl.value), 0.0)
        best = limit.prompts(spent)
        best_gain, best_kl = best["gain"].to_numpy(), best["kl"].to_numpy()
        beta = float(limit.beta(spent).value) if spent > 0 else 0.0
        loss = best_gain - gain + (beta * (own - best_kl) if beta > 0 else 0.0)
        nats = loss / beta if beta > 0 else none
    frame = pl.DataFrame(
        {
            "prompt_id": list(case.ids),
            "samples": limit.samples.counts,
            "policy_samples": policy.counts,
            "gain": gain,
            "kl": own,
            "best_gain": best_gain,
            "best_kl": best_kl,
            "loss": loss,
            "nats": nats,
        }
    )
    missing = pl.selectors.float().fill_nan(None)
    order = ["loss", "gain", "prompt_id"]
    return frame.with_columns(missing).sort(order, descending=[True, False, False], nulls_last=True)


def wasteful(audit: Audit) -> pl.DataFrame:
    """Of these prompts those that are paid too much: more KL than the optimum spends, and a loss by it."""
    import polars as pl

    frame = prompts(audit)
    if not frame["kl"].count():
        raise ArgumentError(
            "the KL of this policy is not known by prompt, so none can be said to waste it; give "
            "rollouts with logprob and ref_logprob (klimit rescore writes them)."
        )
    return frame.filter((pl.col("kl") > pl.col("best_kl")) & (pl.col("loss") > 0))
