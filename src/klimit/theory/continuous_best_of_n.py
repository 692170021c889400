"""Best-of-N for rewards without ties: everything follows from N alone, in closed form."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from klimit.theory._check import ArrayLike, Floats, count, order
from klimit.theory._outcomes import exp_excess, kl_terms


@dataclass(frozen=True, slots=True, eq=False)
class ContinuousBestOfN:
    """Divergences of best-of-N from its base for any reward without ties.

    With ties each is an upper bound (`renyi` for alpha > 0). Nats where there is a unit. They keep
    their digits from n = 1 + 1e-12 to n = 1e300.

    Attributes
    ----------
    n : (...) draws, at least 1
    """

    n: Floats

    @property
    def kl(self) -> Floats:
        """KL(best-of-N || base) = log n - (n - 1) / n."""
        return exp_excess(-np.log(self.n))

    @property
    def forward_kl(self) -> Floats:
        """KL(base || best-of-N) = n - 1 - log n."""
        log_n = np.log(self.n)
        return np.where(self.n < 1.25, exp_excess(np.minimum(log_n, 1.0)), self.n - 1 - log_n)

    @property
    def jeffreys(self) -> Floats:
        """KL both ways = (n - 1)^2 / n."""
        return (self.n - 1) * ((self.n - 1) / self.n)

    @property
    def chi_square(self) -> Floats:
        """Chi-square(best-of-N || base) = (n - 1)^2 / (2n - 1)."""
        return (self.n - 1) * ((self.n - 1) / (self.n + (self.n - 1)))

    @property
    def forward_chi_square(self) -> Floats:
        """Chi-square(base || best-of-N) = (n - 1)^2 / (n (2 - n)); infinite from n = 2 on."""
        below = np.minimum(self.n, 2.0)
        with np.errstate(divide="ignore"):
            return (below - 1) ** 2 / (below * (2.0 - below))

    @property
    def total_variation(self) -> Floats:
        """Half the L1 distance = (n - 1) n^(-n / (n - 1))."""
        rise = self.n - 1
        with np.errstate(divide="ignore", invalid="ignore"):
            exponent = -self.n * (np.log(self.n) / rise)
        return np.where(rise > 0, rise * np.exp(exponent), 0.0)

    @property
    def hellinger_squared(self) -> Floats:
        """1 - sum sqrt(policy base) = (sqrt n - 1)^2 / (n + 1)."""
        rise = (self.n - 1) / (np.sqrt(self.n) + 1)
        return np.asarray(rise * (rise / (self.n + 1)))

    @property
    def win_rate(self) -> Floats:
        """Chance to beat one draw of the base = n / (n + 1)."""
        return self.n / (self.n + 1)

    @property
    def jensen_shannon(self) -> Floats:
        """Jensen-Shannon divergence, by quadrature (to about 1e-13)."""
        # y runs over -log u in units in which n u^(n-1) = n e^-y (or smoother, below n = 2); what
        # lies beyond the last node differs from a ratio of 0, integrand log 2, by less than 1e-18.
        n = self.n[..., None]
        unit = np.maximum(n - 1.0, 1.0)
        length = np.log(n) + 50.0
        nodes, node_weights = np.polynomial.legendre.leggauss(64)
        panels = (np.arange(4)[:, None] + 0.5 * (nodes + 1.0)).ravel() / 4
        y = length * panels
        log_w = np.log(n) - (n - 1.0) * (y / unit)
        w = np.exp(log_w)
        middle, half = 0.5 * (1.0 + w), np.tanh(0.5 * log_w)
        with np.errstate(divide="ignore"):
            integrand = kl_terms(middle, w, np.log1p(half))
            integrand += kl_terms(middle, np.ones_like(w), np.log1p(-half))
        density = np.exp(-y / unit) / unit
        weighed = integrand * density * np.tile(node_weights, 4) * (length / 8)
        tail = np.log(2.0) * np.exp(-length / unit)[..., 0] * (n[..., 0] > 2.0)
        return np.asarray(0.5 * (weighed.sum(axis=-1) + tail))

    def renyi(self, *, alpha: float) -> Floats:
        """Renyi divergence(best-of-N || base) = log(n^a / (a (n - 1) + 1)) / (a - 1).

        At alpha 1 it is the KL, at infinity log n. Alpha may be negative here; infinite if
        a (n - 1) <= -1.
        """
        if np.ndim(alpha) == 0 and alpha == np.inf:
            return np.log(self.n)
        return self._renyi(order(alpha, -np.inf))

    def forward_renyi(self, *, alpha: float) -> Floats:
        """Renyi divergence(base || best-of-N) of order alpha > 0; infinite from n = a / (a - 1) on.

        For alpha below 1 it is alpha / (1 - alpha) times `renyi` of order 1 - alpha.
        """
        a = order(alpha, 0.0)
        if a == 1.0:
            return self.forward_kl
        if a == np.inf:
            return np.where(self.n > 1, np.inf, 0.0)
        return self._renyi(1.0 - a) * (a / (1.0 - a))

    def cressie_read(self, *, alpha: float) -> Floats:
        """Power divergence(best-of-N || base) = (n^a / (a (n - 1) + 1) - 1) / (a (a - 1)).

        At alpha 1 it is the KL, at 0 the forward KL; infinite if a (n - 1) <= -1. 1 - alpha turns
        it round.
        """
        a = order(alpha, -np.inf)
        if a in (0.0, 1.0):
            return self.kl if a else self.forward_kl
        with np.errstate(over="ignore"):
            return np.expm1(self._log_power(a)) / (a * (a - 1.0))

    def _renyi(self, a: float) -> Floats:
        return self.kl if a == 1.0 else self._log_power(a) / (a - 1.0)

    def _log_power(self, a: float) -> Floats:
        """Return log E_base (policy / base)^a = a x - log(1 + a (e^x - 1)) at x = log n.

        Where it is small, through ``e^-it = 1 + (1-a)(e^-ax - 1 + ax) + a (e^(1-a)x - 1 - (1-a)x)``.
        """
        x, rest = np.log(self.n), a * (self.n - 1) + 1
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            moved = (1.0 - a) * exp_excess(-a * x) + a * exp_excess((1.0 - a) * x)
            close = np.abs(moved) < 0.5
            log_power = np.where(close, -np.log1p(moved), a * x - np.log(rest))
        return np.where(rest > 0, log_power, np.inf)


def continuous_best_of_n(n: ArrayLike) -> ContinuousBestOfN:
    """How far is best-of-N from its base if rewards never tie?

    As far as the density ``n u^(n-1)`` of the reward's quantile u is from the uniform one, whatever
    the reward: ``KL = log n - (n - 1) / n``.

    Parameters
    ----------
    n : (...) draws, finite, at least 1, not necessarily whole

    Returns
    -------
    ContinuousBestOfN

    Raises
    ------
    ArgumentError
        Where an argument is not as above.

    References
    ----------
    arXiv 2406.05883 (divergences through exponential order statistics); Beirami et al.,
    arXiv 2401.01879, sections 3 (KL) and 5 (win rate).

    Examples
    --------
    >>> best = continuous_best_of_n([1, 4, 16])
    >>> best.kl.round(4).tolist(), best.win_rate.round(4).tolist()
    ([0.0, 0.6363, 1.8351], [0.5, 0.8, 0.9412])
    >>> best.forward_chi_square.tolist()  # a finite mean of base / policy needs n below 2
    [0.0, inf, inf]
    """
    return ContinuousBestOfN(count(n))
