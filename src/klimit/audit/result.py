"""Where one policy stands: the answer of `klimit.audit` for one policy, or one step of a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from klimit._errors import ArgumentError
from klimit._estimate import Estimate
from klimit.rollouts.steps import apart, labelled

if TYPE_CHECKING:
    import polars as pl

    from klimit.audit.case import Case
    from klimit.estimate.result import Frontier

NO_SPLIT = "known by its numbers only: the gap is not split"


def missing(note: str, level: float = 0.95) -> Estimate:
    """A number that is not known, and why."""
    return Estimate(float("nan"), float("nan"), float("nan"), level, False, note)


class Shown:
    """What one placement and several have in common: words, a picture, JSON."""

    def each(self) -> Sequence[Audit]:
        """Every placement: each of several, or the one alone."""
        raise NotImplementedError

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, schema ``klimit.audit/1`` (docs/cli.md)."""
        from klimit.view.records import audit_record

        return audit_record(self.each())

    def plot(self, ax: Any = None, **options: Any) -> Any:
        """Draw it in the plane of gain against KL; see `klimit.view.plots.audits`."""
        from klimit.view.plots import audits

        return audits(self.each(), ax, **options)

    def _repr_html_(self) -> str:
        from klimit.view.notebook import audits

        return audits(self.each())

    def __str__(self) -> str:
        """The verdict in words, and what to mind."""
        from klimit.view.audit import text

        return text(self.each())


@dataclass(frozen=True, eq=False)
class Audit(Shown):
    """How near a policy comes to the best that its KL could buy.

    Made by `klimit.audit` and by `Frontier.place` (there the estimates may be arrays).

    Attributes
    ----------
    kl, gain : of the policy, nats per sequence and reward units over the base's mean
    limit : the most that any method gains at this KL
    efficiency : gain / limit; an upper bound where not trusted
    gap_reward : limit - gain
    gap_nats : ``KL(policy || the optimal policy of the same KL) = gap_reward / beta``; nan
        where the frontier is flat (beta = 0), with the reason in its note
    least_kl : the least KL that could have bought the same gain
    excess_kl : kl - least_kl, what was spent beyond
    allocation : the part of the gap that is KL spent on the wrong prompts,
        ``G(mean K_x) - mean G_x(K_x)``; nan, with the reason, where it cannot be told
    shape : the part of the gap within prompts, ``mean [G_x(K_x) - gain_x]``
    name, step : which policy, and which step of its training
    reward : what is gained
    base_reward : mean reward of the base on the same prompts
    trusted_kl : nats up to which the limit is trusted
    paired : whether base and policy have the same prompts; None for a point known by its numbers
    shared : number of prompts that the comparison rests on
    samples : least and most samples of the policy per prompt
    estimator : how the KL was estimated; empty where it was given
    notes : what to mind, in words
    frontier : the limit that it is placed against
    case : what it was computed from; None for a point known by its numbers
    """

    kl: Estimate
    gain: Estimate
    limit: Estimate
    efficiency: Estimate
    gap_reward: Estimate
    gap_nats: Estimate
    least_kl: Estimate
    excess_kl: Estimate
    allocation: Estimate = field(default_factory=lambda: missing(NO_SPLIT))
    shape: Estimate = field(default_factory=lambda: missing(NO_SPLIT))
    name: str = "policy"
    step: Any = None
    reward: str = "reward"
    base_reward: float = float("nan")
    trusted_kl: float = float("nan")
    paired: bool | None = None
    shared: int = 0
    samples: tuple[int, int] = (0, 0)
    estimator: str = ""
    notes: tuple[str, ...] = ()
    frontier: Frontier | None = field(default=None, repr=False, compare=False)
    case: Case | None = field(default=None, repr=False, compare=False)

    @property
    def run(self) -> str:
        """The name without the step, which several checkpoints of one run share."""
        return apart(self.name, self.step) or "policy"

    @property
    def label(self) -> str:
        """Name and step, as tables and `Audits.compare` call it."""
        return labelled(self.name, self.step)

    def prompts(self, by: str | None = None) -> pl.DataFrame:
        """Which prompts waste most? A row per prompt, the largest loss first.

        Parameters
        ----------
        by : ``"wasteful"``: only prompts on which the policy spends more KL than the optimal one
            of the same mean KL, and loses reward by it

        Returns
        -------
        polars frame
            prompt_id; samples of the base and of the policy; gain and kl of the policy; best_gain
            and best_kl of the optimal policy of the same mean KL; loss: the prompt's part of the
            gap, ``beta KL(policy || optimal)`` on this prompt, so that its mean over prompts is
            `gap_reward`; nats: the same without beta. kl, loss and nats are null where the
            policy's KL is not known by prompt.

        Raises
        ------
        ArgumentError
            For a point known by its numbers only, or prompts that base and policy do not share; of
            wasteful ones, where the KL is not known by prompt.
        """
        import polars as pl

        if by not in (None, "wasteful"):
            raise ArgumentError(f"by must be 'wasteful', or be left out; got {by!r}.")
        case = self.case
        if case is None:
            raise ArgumentError(
                "this policy is known by its numbers only; prompts need its rollouts: "
                "klimit.audit(base, policy)."
            )
        if not case.paired:
            raise ArgumentError(
                "base and policy are not compared prompt by prompt, so no prompt's loss is known; sample "
                "the base on the policy's prompts."
            )
        if by and case.joint_kl is None:
            raise ArgumentError(
                "the KL of this policy is not known by prompt, so none can be said to waste it; give "
                "rollouts with logprob and ref_logprob (klimit rescore writes them)."
            )
        none = np.full(len(case.ids), np.nan)
        gain = case.policy.reward - case.limit.samples.means
        own = none if case.joint_kl is None else case.joint_kl
        best_gain = best_kl = loss = nats = none
        if case.kl is not None:
            # KL(policy || optimal) prompt by prompt: 0 for the optimal policy and
            # positive for any other, up to noise
            best = case.limit.prompts(case.spent)
            best_gain, best_kl = best["gain"].to_numpy(), best["kl"].to_numpy()
            beta = float(case.beta.value) if case.spent > 0 else 0.0
            loss = best_gain - gain + (beta * (own - best_kl) if beta > 0 else 0.0)
            nats = loss / beta if beta > 0 else none
        frame = pl.DataFrame(
            {
                "prompt_id": list(case.ids),
                "samples": case.limit.samples.counts,
                "policy_samples": case.policy.counts,
                "gain": gain,
                "kl": own,
                "best_gain": best_gain,
                "best_kl": best_kl,
                "loss": loss,
                "nats": nats,
            }
        ).with_columns(pl.selectors.float().fill_nan(None))
        order = ["loss", "gain", "prompt_id"]
        frame = frame.sort(order, descending=[True, False, False], nulls_last=True)
        overpaid = (pl.col("kl") > pl.col("best_kl")) & (pl.col("loss") > 0)
        return frame.filter(overpaid) if by else frame

    def each(self) -> Sequence[Audit]:
        """Itself alone."""
        return [self]

    def to_frame(self) -> pl.DataFrame:
        """A polars frame with one row (or a row per point): each estimate with its limits."""
        from klimit.view.records import audit_frame

        return audit_frame([self])
