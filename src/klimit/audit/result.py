"""Where one policy stands: the answer of `klimit.audit` for one policy, or one step of a run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from klimit._errors import ArgumentError
from klimit._estimate import Estimate
from klimit.rollouts.steps import called

if TYPE_CHECKING:
    import polars as pl

    from klimit.audit.case import Case
    from klimit.estimate.result import Frontier

NO_SPLIT = "known by its numbers only: the gap is not split"


def missing(note: str, level: float = 0.95) -> Estimate:
    """A number that is not known, and why."""
    return Estimate(float("nan"), float("nan"), float("nan"), level, False, note)


@dataclass(frozen=True)
class Audit:
    """How near a policy comes to the best that its KL could buy.

    Made by `klimit.audit` and by `Frontier.place` (there the estimates may be arrays).

    Attributes
    ----------
    kl, gain : of the policy, nats per sequence and reward units over the base's mean
    limit : the most that any method gains at this KL
    efficiency : gain / limit; an upper bound where not trusted
    gap_reward : limit - gain
    gap_nats : ``KL(policy || the optimal policy of the same KL) = gap_reward / beta`` (theory.md
        1g); nan where the frontier is flat (beta = 0), with the reason in its note
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
    excess_kl: Estimate = field(default_factory=lambda: missing(NO_SPLIT))
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
    def label(self) -> str:
        """Name and step, as tables and `Audits.compare` call it."""
        if self.step is None:
            return self.name
        step = called(self.step)
        return step if self.name == "policy" else f"{self.name} {step}"

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
        from klimit.audit.waste import prompts, wasteful

        if by not in (None, "wasteful"):
            raise ArgumentError(f"by must be 'wasteful', or be left out; got {by!r}.")
        return prompts(self) if by is None else wasteful(self)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, schema ``klimit.audit/1`` (docs/cli.md)."""
        from klimit.view.records import audit_record

        return audit_record([self])

    def to_frame(self) -> pl.DataFrame:
        """A polars frame with one row (or a row per point): each estimate with its limits."""
        from klimit.view.records import audit_frame

        return audit_frame([self])

    def plot(self, ax: Any = None, **options: Any) -> Any:
        """Draw it in the plane of gain against KL; see `klimit.view.plots.audits`."""
        from klimit.view.plots import audits

        return audits([self], ax, **options)

    def _repr_html_(self) -> str:
        from klimit.view.notebook import audits

        return audits([self])

    def __str__(self) -> str:
        """The verdict in words, and what to mind."""
        from klimit.view.audit import text

        return text([self])
