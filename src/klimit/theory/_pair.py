"""Two distributions and their log ratio: every divergence between them, all sums of like signs.

The log ratio is kept beside the probabilities because it outlives them: best-of-1e12 leaves a poor
answer a probability of e^-1e11, which is 0 to a float, while ``KL(base || policy)`` is still finite.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from klimit.theory._check import ArrayLike, Floats, broadcast, distribution
from klimit.theory._outcomes import LARGE, change_terms, exp_excess, kl_terms, log_sum
from klimit.theory._prompts import filled


def log_ratio(p: Floats, q: Floats) -> Floats:
    """Return log(p / q), precise also where p is close to q; 0 where both vanish."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        change = (p - q) / q
        ratio = np.where(np.abs(change) < 0.5, np.log1p(change), np.log(p) - np.log(q))
    return np.where((p == 0) & (q == 0), 0.0, ratio)


def _times_expm1(p: Floats, x: Floats) -> Floats:
    """Return p (e^x - 1), also where e^x alone would overflow; 0 where p is."""
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        far = np.exp(np.log(p) + x)
        return np.where(p == 0, 0.0, np.where(x < LARGE, p * np.expm1(np.minimum(x, LARGE)), far))


@dataclass(frozen=True, slots=True, eq=False)
class Pair:
    """A policy p, its base q and u = log(p / q), of one shape; outcomes on the last axis.

    u is 0 where both vanish, plus infinity where only the base does and minus infinity where only
    the policy does (a policy of 0 with a finite u has merely underflowed).
    """

    p: Floats
    q: Floats
    u: Floats

    def reversed(self) -> Pair:
        """Swap policy and base."""
        return Pair(self.q, self.p, -self.u)

    def kl(self) -> Floats:
        """KL(policy || base)."""
        missing = self.u == np.inf
        terms = kl_terms(self.q, self.p, np.where(missing, 0.0, self.u))
        return np.asarray(np.where(missing, np.inf, terms).sum(axis=-1))

    def change(self) -> Floats:
        """Policy minus base."""
        return change_terms(self.q, self.p, self.u)

    def jeffreys(self) -> Floats:
        """KL both ways."""
        return np.asarray((self.change() * self.u).sum(axis=-1))

    def chi_square(self) -> Floats:
        """E_base (policy / base - 1)^2."""
        below = self.change() * np.expm1(np.minimum(self.u, 1.0))
        above = _times_expm1(self.p, self.u) - (self.p - self.q)
        return np.asarray(np.where(self.u > 1.0, above, below).sum(axis=-1))

    def total_variation(self) -> Floats:
        """Half the L1 distance."""
        return np.asarray(0.5 * np.abs(self.change()).sum(axis=-1))

    def hellinger_squared(self) -> Floats:
        """1 - sum sqrt(policy base)."""
        larger = np.where(self.u > 0, self.p, self.q)
        return np.asarray(0.5 * (larger * np.expm1(-0.5 * np.abs(self.u)) ** 2).sum(axis=-1))

    def jensen_shannon(self) -> Floats:
        """Half the KL of both to their even mixture m."""
        middle = 0.5 * (self.p + self.q)
        half = np.tanh(0.5 * np.clip(self.u, -1.0, 1.0))

        def to_middle(part: Floats, u: Floats, near: Floats) -> Floats:
            log = np.where(np.abs(u) < 1.0, np.log1p(near), np.log(2.0) - np.logaddexp(0.0, -u))
            return kl_terms(middle, part, log)

        terms = to_middle(self.p, self.u, half) + to_middle(self.q, -self.u, -half)
        return np.asarray(0.5 * terms.sum(axis=-1))

    def cressie_read(self, a: float) -> Floats:
        """(sum p^a q^(1-a) - 1) / (a (a - 1)), by its generator, which is never negative."""
        pair = self if a >= 0.5 else self.reversed()
        return pair._power(a if a >= 0.5 else 1.0 - a)

    def _power(self, a: float) -> Floats:
        """Cressie-Read of alpha at least 1/2: terms q phi(p / q), b = a - 1, times 1 / a.

        ``q phi = (KL term) + p (e^(bu) - 1 - bu) / b``, and where p is much the larger, so that
        these two would cancel, ``p ((e^(bu) - 1) / b - 1) + q``.
        """
        if a == 1.0:
            return self.kl()
        b = a - 1.0
        u = np.clip(self.u, -LARGE, 1.0)
        with np.errstate(over="ignore"):
            near = (
                kl_terms(self.q, self.p, np.minimum(self.u, 1.0)) + self.p * exp_excess(b * u) / b
            )
        above = np.maximum(self.u, 1.0)
        far = _times_expm1(self.p, b * above) / b - self.p + self.q
        return np.asarray(np.where(self.u < 1.0, near, far).sum(axis=-1) / a)

    def renyi(self, a: float) -> Floats:
        """log(sum p^a q^(1-a)) / (a - 1)."""
        if a == 1.0:
            return self.kl()
        apart = (self.p > 0) | (self.q > 0)
        if a == np.inf:
            return np.asarray(np.where(apart, self.u, -np.inf).max(axis=-1))
        # Close distributions: through the power divergence, which keeps its digits. Far: in logs.
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            moved = a * (a - 1.0) * self.cressie_read(a)
            from_p, from_q = np.log(self.p) + (a - 1.0) * self.u, np.log(self.q) + a * self.u
            logs = np.where(apart, np.where(self.u > 0, from_p, from_q), -np.inf)
            return np.where(np.abs(moved) < 0.5, np.log1p(moved), log_sum(logs)) / (a - 1.0)


def pair(policy: ArrayLike, base: ArrayLike) -> Pair:
    """Check two distributions and broadcast them."""
    policy, base = filled(policy=policy, base=base)
    p, q = broadcast(policy=distribution(policy, "policy"), base=distribution(base, "base"))
    return Pair(p, q, log_ratio(p, q))
