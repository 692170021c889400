"""One policy beside its base: what is known of both, prompt by prompt, before any verdict."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from klimit._estimate import Estimate
from klimit.audit.measure import Left, apart, numbers
from klimit.estimate.best_of_n.prompt_means import pairing_rank
from klimit.estimate.bridge import Bridged
from klimit.estimate.members import Members, with_left_out
from klimit.estimate.result import Frontier
from klimit.rollouts.grouped import Floats, Integers

MOST_GROUPS = 200  # groups of the policy's prompts where they are not the base's


@dataclass(frozen=True)
class Policy:
    """A policy's samples, prompt by prompt.

    Attributes
    ----------
    reward, counts, variance : (prompts,) mean reward, samples, variance of one sample (nan of one)
    kl : (prompts,) KL from the base in nats, None where it is not known by prompt
    kl_variance : (prompts,) variance of one sample's log ratio, nan of a single one; None where
        unknown
    covariance : (prompts,) of one sample's reward and log ratio; None where unknown
    """

    reward: Floats
    counts: Integers
    variance: Floats
    kl: Floats | None = None
    kl_variance: Floats | None = None
    covariance: Floats | None = None


@dataclass(frozen=True)
class Case:
    """A policy and the limit that it is measured against.

    Attributes
    ----------
    limit : frontier of the base; on the policy's prompts where `paired`
    ids : (prompts,) of the limit's prompts
    policy : aligned with `ids` where `paired`
    kl : the policy's KL in nats; None where nothing is known of it
    paired : whether both have the same prompts
    """

    limit: Frontier
    ids: Any
    policy: Policy
    kl: Estimate | None
    paired: bool

    @cached_property
    def gain(self) -> float:
        """Mean reward of the policy above the base's; 0 where rounding alone tells them apart."""
        return float(apart(ordered(self.policy.reward), self.limit.base_reward))

    @property
    def members(self) -> Members:
        """The log-mgfs that the limit comes from, where anything can be gained."""
        assert self.limit.members is not None
        return self.limit.members

    @cached_property
    def least(self) -> Estimate:
        """The least KL of the gain, with the limit's own error only."""
        return self.limit.kl(self.gain)

    @cached_property
    def best(self) -> Estimate:
        """The limit at the policy's KL, with the limit's own error only."""
        return self.limit.gain(self.spent)

    @cached_property
    def beta(self) -> Estimate:
        """The limit's slope at the policy's KL."""
        return self.limit.beta(self.spent)

    @property
    def spent(self) -> float:
        """The policy's KL, where it is known: a negative estimate spends nothing."""
        assert self.kl is not None
        return max(float(self.kl.value), 0.0)

    @cached_property
    def joint_kl(self) -> Floats | None:
        """KL by prompt, if the KL that counts is its mean."""
        return self.policy.kl if self.kl is not None else None

    def numbers(self) -> Floats:
        """(numbers,) with all prompts, from the corrected log-mgf that is left out from."""
        kl = np.nan if self.kl is None else float(self.kl.value)
        return self.numbers_at(np.array([self.gain]), np.array([kl]))[:, 0]

    def numbers_at(self, gain: Floats, kl: Floats) -> Floats:
        """(numbers, rows) for other gains and KLs than the policy's."""
        log_mgf = np.tile(self.members.chosen, (len(kl), 1))
        return numbers(log_mgf, self.members.grid, gain, kl)

    def left(self, rank: Integers | None = None) -> list[Left]:
        """The parts with every group of prompts left out: of both sides at once, or of each in turn.

        `rank` are canonical places (prompts,), which decide the groups; the case's own if not given.
        """
        limit, policy, members = self.limit, self.policy, self.members
        kl = self.kl.value if self.kl is not None else np.nan
        by_prompt = np.full(len(policy.reward), kl) if self.joint_kl is None else self.joint_kl
        base = limit.samples.means
        if self.paired:
            weights = members.weights
            group = (common_rank(self) if rank is None else rank) % len(weights)
            ours, theirs = (_without(x, group, weights) for x in (base, policy.reward))
            spent = _without(by_prompt, group, weights) + (kl - ordered(by_prompt))
            return [Left(members.chosen_without, ours, theirs, spent, weights)]
        group = pairing_rank(limit.samples, base[None]) % len(members.weights)
        still = np.ones(len(members.weights))
        one = Left(
            members.chosen_without, _without(base, group, members.weights),
            still * ordered(policy.reward), still * kl, members.weights,
        )  # fmt: skip
        groups = min(MOST_GROUPS, len(policy.reward))
        order = np.lexsort((by_prompt, policy.reward))
        group = np.empty(len(order), dtype=np.int64)
        group[order] = np.random.default_rng(limit.settings.seed).permutation(len(order)) % groups
        weights = np.bincount(group, minlength=groups) / len(group)
        still = np.ones(groups)
        other = Left(
            np.broadcast_to(members.chosen, (groups, len(members.chosen))),
            still * limit.base_reward, _without(policy.reward, group, weights),
            _without(by_prompt, group, weights) + (kl - ordered(by_prompt)), weights,
        )  # fmt: skip
        return [one, other]

    def marks(self) -> Floats:
        """(rows, prompts) what tells prompts of equal base rewards apart."""
        return np.stack([x for x in (self.policy.reward, self.joint_kl) if x is not None])

    def samples(self) -> list[Floats]:
        """Rewards of the base on the limit's prompts, as `klimit.frontier` takes them."""
        from klimit.estimate.convergence import restored

        means = self.limit.samples.means
        rows = dict(self.limit.samples.rewards_by_prompt())
        return restored([rows[at] + means[at] for at in range(len(means))], self.limit)


def common_rank(*cases: Case) -> Integers:
    """(prompts,) canonical places of prompts that the cases share: they decide the groups left out.

    A limit that policies carry has its own, since their samples are part of its groups; the base's
    groups stay as they are, whichever of its like prompts stands in which.
    """
    for case in cases:
        if isinstance(case.limit, Bridged):
            return case.limit.rank
    return pairing_rank(cases[0].limit.samples, np.concatenate([case.marks() for case in cases]))


def ordered(values: Floats) -> float:
    """A mean of which no digit depends on the order of prompts."""
    return float(np.sort(values).mean()) if len(values) else float("nan")


def _without(values: Floats, group: Integers, weights: Floats) -> Floats:
    """(groups,) mean with each group left out."""
    order = np.lexsort((values, group))
    sums = np.bincount(group[order], values[order], minlength=len(weights))
    number = np.bincount(group, minlength=len(weights))
    mean = sums / np.maximum(number, 1)
    found: Floats = with_left_out(mean[:, None], weights)[1:, 0]
    return found
