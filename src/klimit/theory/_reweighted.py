"""What a policy that reweights a known base gains, and how far it is from that base."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from klimit.theory._check import ArrayLike, Floats, order
from klimit.theory._outcomes import Outcomes, reweighted
from klimit.theory._pair import Pair
from klimit.theory._prompts import read_weights
from klimit.theory._solve import mean


class PromptAverage(NamedTuple):
    """What a policy gains and costs on average over prompts.

    Attributes
    ----------
    gain : (...) mean reward over the base's, reward units
    kl : (...) KL(policy || base), nats: the budget to compare it with on an average `frontier`
    forward_kl : (...) KL(base || policy), nats
    win_rate : (...) chance to beat one draw of the base, ties counting half
    """

    gain: Floats
    kl: Floats
    forward_kl: Floats
    win_rate: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Reweighted:
    """A policy that reweights a known base; the divergences are exact, ties included.

    Attributes
    ----------
    policy : (..., outcomes) probabilities
    gain : (...) mean reward over the base's, reward units
    win_rate : (...) chance to beat one draw of the base, ties counting half
    """

    policy: Floats
    gain: Floats
    win_rate: Floats
    _pair: Pair = field(repr=False)

    @property
    def kl(self) -> Floats:
        """KL(policy || base), nats."""
        return self._pair.kl()

    @property
    def forward_kl(self) -> Floats:
        """KL(base || policy), nats."""
        return self._pair.reversed().kl()

    @property
    def jeffreys(self) -> Floats:
        """KL both ways, nats."""
        return self._pair.jeffreys()

    @property
    def chi_square(self) -> Floats:
        """Chi-square(policy || base), the variance of policy / base under the base."""
        return self._pair.chi_square()

    @property
    def forward_chi_square(self) -> Floats:
        """Chi-square(base || policy)."""
        return self._pair.reversed().chi_square()

    @property
    def total_variation(self) -> Floats:
        """Half the L1 distance."""
        return self._pair.total_variation()

    @property
    def hellinger_squared(self) -> Floats:
        """1 - sum sqrt(policy base)."""
        return self._pair.hellinger_squared()

    @property
    def jensen_shannon(self) -> Floats:
        """Jensen-Shannon divergence, nats, at most log 2."""
        return self._pair.jensen_shannon()

    def over_prompts(self, weights: ArrayLike | None = None) -> PromptAverage:
        """Average over prompts, the last axis of `gain`; equal weights by default.

        Prompts of weight 0 count for nothing. No policy of this mean KL gains more than
        ``frontier(base, reward, weights=weights).gain(kl)``.
        """
        share = read_weights(weights, np.atleast_1d(self.gain).shape[-1])
        by_prompt = (self.gain, self.kl, self.forward_kl, self.win_rate)
        return PromptAverage(*(mean(share, np.atleast_1d(part)) for part in by_prompt))

    def renyi(self, *, alpha: float) -> Floats:
        """Renyi divergence(policy || base) of order alpha > 0, nats; infinity: the largest log ratio."""
        return self._pair.renyi(order(alpha, 0.0))

    def forward_renyi(self, *, alpha: float) -> Floats:
        """Renyi divergence(base || policy) of order alpha > 0, nats."""
        return self._pair.reversed().renyi(order(alpha, 0.0))

    def cressie_read(self, *, alpha: float) -> Floats:
        """Power divergence (sum policy^a base^(1-a) - 1) / (a (a - 1)); 1 - alpha turns it round."""
        return self._pair.cressie_read(order(alpha, -np.inf))


def measured(law: Outcomes, log_ratio: Floats, win: Floats) -> dict[str, Any]:
    """Return the fields of a `Reweighted` whose policy is ``base * exp(log_ratio)``.

    `win` is every outcome's chance to beat a draw of the base.
    """
    policy = reweighted(law.prob, law.log_prob, log_ratio)
    pair = Pair(policy, np.broadcast_to(law.prob, policy.shape), log_ratio)
    return {
        "policy": policy,
        "gain": law.total(law.centred * pair.change()),
        "win_rate": law.total(policy * win),
        "_pair": pair,
    }
