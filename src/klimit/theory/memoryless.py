"""The memoryless model: independent tokens, and a reward that is the sum of the tokens' rewards.

The base draws every token from one law p, and ``R = r(y_1) + ... + r(y_m)``. Everything here is
per token, with Lambda(s) = log E_p exp(s r) and l = 1 / beta.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from klimit._errors import ArgumentError
from klimit.theory._check import Floats, broadcast, budget, distribution, finite, numbers
from klimit.theory._outcomes import measure
from klimit.theory._prompts import filled
from klimit.theory.frontier import frontier
from klimit.theory.tilt import known, tilt

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

_TINY = -690.0  # e^-690 is still a float of full precision


@dataclass(frozen=True, slots=True, eq=False)
class Memoryless:
    """The optimal policy of the memoryless model, per token.

    Attributes
    ----------
    kl : (...) budget, nats per token
    beta : (...) reward units per nat; 0 from ``-log P(highest reward)`` on, infinite at kl 0
    policy : (..., letters) law of a token
    reward : (...) mean reward per token, what the reward per token tends to on long sequences
    gain : (...) that over the base's
    variance : (...) of a token's reward under the policy, reward units squared
    """

    kl: Floats
    beta: Floats
    policy: Floats
    reward: Floats
    gain: Floats
    variance: Floats
    _base: Floats = field(repr=False)
    _letters: Floats = field(repr=False)
    _log_policy: Floats = field(repr=False)

    def rate(self, average: ArrayLike) -> Floats:
        """How fast do other rewards per token die out? The rate function under the policy.

        ``P_policy(R / m near t)`` decays as ``exp(-m I(t))`` with
        ``I(t) = Lambda*(t) - l t + Lambda(l)``, 0 at t = `reward` only (arXiv 2404.01730).

        Parameters
        ----------
        average : (...) t, reward per token; broadcast against `kl`

        Returns
        -------
        (...) nats per token; infinite where no sequence has that average
        """
        numbered = np.arange(float(self.kl.size)).reshape(self.kl.shape)
        which, t = broadcast(kl=numbered, average=finite(average, "average"))
        rates = np.empty(t.shape)
        for k, index in enumerate(np.ndindex(self.kl.shape)):
            here = which == k
            if self._lost[index]:
                tail = (t[here] - self.reward[index]) / self.beta[index] + self.kl[index]
                own = rate_function(self._base, self._letters, t[here]) - tail
                rates[here] = np.maximum(own, 0.0)
            else:
                rates[here] = rate_function(self.policy[index], self._letters, t[here])
        return rates

    def scaled_cumulant(self, s: ArrayLike) -> Floats:
        """Scaled cumulant generating function of the total reward under the policy.

        ``log E_policy exp(s R) / m = Lambda(l + s) - Lambda(l)``, the same at every length m
        (arXiv 2404.01730). For ``r = log q + constant`` it is made of Renyi cross-entropies, see
        `renyi_cross_entropy`.

        Parameters
        ----------
        s : (...) any finite numbers, per reward unit; broadcast against `kl`

        Returns
        -------
        (...) nats per token
        """
        _, slope = broadcast(kl=self.kl, s=finite(s, "s"))
        signed = np.where(slope[..., None] < 0, -self._letters, self._letters)
        policies = np.broadcast_to(self.policy, signed.shape)
        with np.errstate(divide="ignore", over="ignore"):
            beta = 1.0 / np.abs(slope)
        in_logs = np.logaddexp.reduce(self._log_policy + slope[..., None] * self._letters, axis=-1)
        return np.where(self._lost, in_logs, tilt(policies, signed, beta=beta).log_partition)

    @property
    def _lost(self) -> NDArray[np.bool_]:
        """Whether letters are so improbable under the policy that a float has no number for it."""
        tiny = (self._log_policy < _TINY) & np.isfinite(self._log_policy)
        return np.asarray(tiny.any(axis=-1))


def memoryless(base: ArrayLike, reward: ArrayLike, *, kl: ArrayLike) -> Memoryless:
    """What is the best policy of a memoryless model at so many nats per token?

    The i.i.d. tilt ``p e^(r / beta) / Z`` of a token, with beta such that
    ``l Lambda'(l) - Lambda(l) = kl``. A budget of m kl nats on sequences of m tokens buys m times
    its gain, at every m.

    Parameters
    ----------
    base : (letters,) law of a token, sums to one (within 1e-6)
    reward : (letters,) a token's reward, finite, reward units
    kl : (...) budgets, nats per token, at least 0

    Returns
    -------
    Memoryless

    Raises
    ------
    ArgumentError
        Where an argument is not as above.

    References
    ----------
    arXiv 2404.01730 (memoryless model with linear reward: rate function and scaled cumulants).

    Examples
    --------
    >>> best = memoryless([0.5, 0.3, 0.2], [0.0, 1.0, 2.0], kl=0.2)
    >>> float((1 / best.beta).round(6)), float(best.reward.round(6))
    (0.775175, 1.211386)
    >>> float(best.rate(1.5).round(6)), float(best.scaled_cumulant(0.5).round(6))
    (0.069281, 0.680721)
    """
    prob, letters = token(base, reward)
    budgets, law = budget(kl), known(prob, letters)
    beta = frontier(prob, letters).beta(budgets)
    best = measure(law, beta)
    return Memoryless(
        kl=budgets,
        beta=beta,
        policy=best.policy,
        reward=law.mean + best.gain,
        gain=best.gain,
        variance=best.variance,
        _base=prob,
        _letters=letters,
        _log_policy=law.log_prob + best.log_ratio,
    )


def rate_function(base: ArrayLike, reward: ArrayLike, average: ArrayLike) -> Floats:
    """How fast do unusual rewards per token die out? Cramer's rate function.

    ``P(R / m near t)`` decays as ``exp(-m Lambda*(t))`` with
    ``Lambda*(t) = sup_s (s t - Lambda(s))``, which is also the least KL, per token, of a policy
    with mean reward t: best-of-N with N = exp(m kl) reaches the t at which ``Lambda*(t) = kl``.

    Parameters
    ----------
    base, reward : (letters,) as for `memoryless`
    average : (...) t, reward per token, finite

    Returns
    -------
    (...) nats per token; 0 at the mean, infinite below the lowest and above the highest reward

    Raises
    ------
    ArgumentError
        Where an argument is not as above.

    References
    ----------
    Cramer's theorem; arXiv 2404.01730.

    Examples
    --------
    >>> rate_function([0.5, 0.5], [0.0, 1.0], [0.5, 0.8, 1.0, 1.1]).round(6).tolist()
    [0.0, 0.192745, 0.693147, inf]
    """
    prob, letters = token(base, reward)
    t = finite(average, "average")
    possible = letters[prob > 0]
    upper, lower = frontier(prob, letters), frontier(prob, -letters)
    # from the ends, so that these are met exactly
    above = (t - possible.max()) + upper.saturation.gain
    below = (possible.min() - t) + lower.saturation.gain
    return np.where(above >= 0, upper.kl(above), lower.kl(below))


def renyi_cross_entropy(base: ArrayLike, other: ArrayLike, *, alpha: ArrayLike) -> Floats:
    """How surprising is one law under another, in Renyi's sense?

    ``H_a(p; q) = log(sum p q^(a - 1)) / (1 - a)``; at a = 1 the cross-entropy ``-sum p log q``. If a
    token's reward is ``log q`` up to a constant, ``log E_p exp(s r) = -s H_{1+s}(p; q)`` up to s
    times the constant: scaled cumulants are Renyi cross-entropies.

    Parameters
    ----------
    base, other : (..., outcomes) p and q, as for `kl`
    alpha : (...) any finite order; broadcast against the axes before the outcomes

    Returns
    -------
    (...) nats; falls with alpha; infinite where q excludes what p allows (alpha <= 1), or all of it

    Raises
    ------
    ArgumentError
        Where an argument is not as above.

    References
    ----------
    arXiv 2404.01730 (scaled cumulants as a Renyi cross-entropy).

    Examples
    --------
    >>> p, q = [0.5, 0.3, 0.2], [0.2, 0.3, 0.5]
    >>> renyi_cross_entropy(p, q, alpha=[0.5, 1.0, 2.0]).round(6).tolist()
    [1.334222, 1.30454, 1.237874]
    """
    base, other = filled(base=base, other=other)
    p, q = broadcast(base=distribution(base), other=distribution(other, "other"))
    a = finite(alpha, "alpha")
    s, _ = broadcast(alpha=a - 1.0, base=p[..., 0])
    p, q = (np.broadcast_to(law, (*s.shape, p.shape[-1])) for law in (p, q))
    shared = (p > 0) & (q > 0)
    kept = np.where(shared, p, 0.0).sum(axis=-1)
    some = kept > 0
    law = np.where(some[..., None], np.where(shared, p, 0.0), q)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        surprise = np.where(law > 0, -np.log(q), 0.0)
        sign = np.where(s < 0, 1.0, -1.0)
        tilted = known(law / law.sum(axis=-1)[..., None], sign[..., None] * surprise)
        psi = measure(tilted, 1.0 / np.abs(s)).forward_kl
        found = sign * tilted.mean - np.where(s == 0, 0.0, (psi + np.log(kept)) / s)
    lost = ~some | ((s <= 0) & ((p > 0) & ~shared).any(axis=-1))
    return np.where(lost, np.inf, found)


def token(base: ArrayLike, reward: ArrayLike) -> tuple[Floats, Floats]:
    """Check the law and the rewards of one token."""
    prob, letters = distribution(base), numbers(reward, "reward")
    if prob.ndim != 1 or letters.shape != prob.shape:
        raise ArgumentError(
            "base and reward must be (letters,), the law of one token and its rewards; "
            f"got shapes {prob.shape} and {letters.shape}."
        )
    return prob, np.where(prob > 0, letters, 0.0)
