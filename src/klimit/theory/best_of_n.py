"""Best-of-N: draw N answers, keep the one of highest reward; exactly, with and without ties."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from klimit._errors import ArgumentError
from klimit.theory._check import Floats, broadcast, choice, count, fraction, numbers, same_leading
from klimit.theory._outcomes import Outcomes, change_terms, kl_terms, reweighted
from klimit.theory.tilt import known


@dataclass(frozen=True, slots=True, eq=False)
class KnownBestOfN:
    """The policy of best-of-N on a known base, and what it costs and gains.

    Attributes
    ----------
    n : (...) numbers of draws
    policy : (..., outcomes) probabilities
    gain : (...) mean reward over the base's, reward units
    kl : (...) KL(policy || base), nats; at most log n - (n - 1) / n under uniform tie-breaking
    win_rate : (...) chance to beat one draw of the base, ties counting half
    """

    n: Floats
    policy: Floats
    gain: Floats
    kl: Floats
    win_rate: Floats


@dataclass(frozen=True, slots=True, eq=False)
class _Levels:
    """Outcomes in ascending order of reward, each with its reward level.

    mass is the level's probability, log_cdf the log probability of a reward at most as high, share
    the level's part of that, win the chance to beat a draw of the base (ties half).
    """

    order: NDArray[np.intp]
    prob: Floats
    mass: Floats
    log_cdf: Floats
    share: Floats
    win: Floats


def _levels(law: Outcomes, *, merged: bool) -> _Levels:
    """Sort outcomes by reward; equal rewards form one level, or (not merged) rank by index."""
    order = np.argsort(law.below_top, axis=-1, kind="stable")
    reward = np.take_along_axis(law.below_top, order, axis=-1)
    prob = np.take_along_axis(law.prob, order, axis=-1)
    position = np.broadcast_to(np.arange(prob.shape[-1]), prob.shape)
    begins = np.ones(prob.shape, dtype=bool)
    if merged:
        begins[..., 1:] = reward[..., 1:] != reward[..., :-1]
    starts = np.flatnonzero(begins)
    sums = np.add.reduceat(prob.ravel(), starts)
    mass = np.repeat(sums, np.diff(starts, append=prob.size)).reshape(prob.shape)
    ends = np.ones(prob.shape, dtype=bool)
    ends[..., :-1] = begins[..., 1:]
    last = np.where(ends, position, prob.shape[-1])
    end = np.minimum.accumulate(last[..., ::-1], axis=-1)[..., ::-1]
    # The lower tail is summed from below and the upper tail from above, so that both keep their
    # digits when they are tiny.
    lower = np.take_along_axis(np.cumsum(prob, axis=-1), end, axis=-1)
    from_above = np.cumsum(prob[..., ::-1], axis=-1)[..., ::-1]
    beyond = np.concatenate([from_above[..., 1:], np.zeros_like(prob[..., :1])], axis=-1)
    upper = np.take_along_axis(beyond, end, axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        log_cdf = np.where(upper < 0.5, np.log1p(-np.minimum(upper, 0.5)), np.log(lower))
        share = np.minimum(mass / np.exp(log_cdf), 1.0)
    lowest = np.maximum.accumulate(np.where(begins, position, 0), axis=-1) == 0
    share = np.where(lowest & (mass > 0), 1.0, share)
    return _Levels(order, prob, mass, log_cdf, share, np.exp(log_cdf) - 0.5 * mass)


def best_of_n(
    base: ArrayLike,
    reward: ArrayLike,
    n: ArrayLike,
    *,
    ties: Literal["uniform", "fixed"] = "uniform",
) -> KnownBestOfN:
    """What does best-of-N do to a base that is known exactly, ties included?

    With the rewards' levels v of mass m(v) and cumulative probability F(v), level v is kept with
    probability ``q = F(v)^n - F(v-)^n``, and ``KL = sum q log(q / m)`` under uniform tie-breaking.

    Parameters
    ----------
    base : (..., outcomes) probabilities that sum to one along the last axis (within 1e-6); shorter
        prompts may be padded with zeros, and the rewards there are never read
    reward : (..., outcomes) reward units, broadcast against `base`
    n : (...) draws, at least 1, not necessarily whole and as large as a float holds; broadcast
        against the axes before the outcomes (see `tilt`)
    ties : "uniform" keeps any of the best with equal chances; "fixed" keeps the one of highest
        index, which costs more KL for the same gain

    Returns
    -------
    KnownBestOfN

    Raises
    ------
    ArgumentError
        Where `base` is no distribution, a reward is not finite, `n` is below one or not finite, or
        shapes do not broadcast.

    Notes
    -----
    ``log n - (n - 1) / n`` is the KL only for rewards without ties; with a pass rate of .1 and
    n = 4 it says .636 for the true .217.

    References
    ----------
    BOND, arXiv 2407.14622, theorem 1 (exact law with ties); Beirami et al., arXiv 2401.01879 (the
    bound on the KL).

    Examples
    --------
    >>> best = best_of_n([0.9, 0.1], [0.0, 1.0], n=[1, 4, 1e12])
    >>> best.gain.round(4).tolist(), best.kl.round(6).tolist()
    ([0.0, 0.2439, 0.9], [0.0, 0.217398, 2.302585])
    """
    choice(ties, "ties", ("uniform", "fixed"))
    law, draws = known(base, reward), count(n)
    same_leading(law.prob, draws, "n")
    ranked = _levels(law, merged=ties == "uniform")
    big_n = draws[..., None]
    possible = ranked.prob > 0
    with np.errstate(divide="ignore", invalid="ignore"):
        # log q = n log F + log(1 - (F- / F)^n): no power is ever formed, so n may be e^40
        log_q = big_n * ranked.log_cdf + np.log(-np.expm1(big_n * np.log1p(-ranked.share)))
        u = np.where(possible & (big_n > 1), log_q - np.log(ranked.mass), 0.0)
        policy = reweighted(ranked.prob, np.log(ranked.prob), u)
    change = change_terms(ranked.prob, policy, u)
    shape = policy.shape
    order = np.broadcast_to(ranked.order, shape)
    centred = np.take_along_axis(np.broadcast_to(law.centred, shape), order, axis=-1)
    win = ranked.win if ties == "uniform" else _merged_win(law)
    in_place = np.empty(shape)
    np.put_along_axis(in_place, order, policy, axis=-1)
    return KnownBestOfN(
        n=np.broadcast_to(draws, shape[:-1]),
        policy=in_place,
        gain=law.total(centred * change),
        kl=law.total(kl_terms(ranked.prob, policy, u)),
        win_rate=law.total(policy * win),
    )


def _merged_win(law: Outcomes) -> Floats:
    return _levels(law, merged=True).win


def win_probability(base: ArrayLike, reward: ArrayLike) -> Floats:
    """How likely does each outcome beat one draw of the base, ties counting half?

    The reward whose mean is the win rate: ``frontier(base, win_probability(base, reward))`` plus
    one half is the best win rate that a KL budget buys. Strictly increasing transforms of the
    reward change nothing.

    Parameters
    ----------
    base : (..., outcomes) probabilities that sum to one along the last axis (within 1e-6)
    reward : (..., outcomes) reward units, broadcast against `base`

    Returns
    -------
    (..., outcomes) between 0 and 1; its mean under the base is one half. Where the base has no
    probability the number means nothing.

    Raises
    ------
    ArgumentError
        Where `base` is no distribution or a reward is not finite.

    Examples
    --------
    >>> win_probability([0.5, 0.3, 0.2], [0.0, 1.0, 1.0]).tolist()
    [0.25, 0.75, 0.75]
    """
    law = known(base, reward)
    ranked = _levels(law, merged=True)
    wins = np.empty(ranked.prob.shape)
    np.put_along_axis(wins, ranked.order, ranked.win, axis=-1)
    return wins


def pass_at_k(pass_rate: ArrayLike, k: ArrayLike) -> Floats:
    """How likely is at least one of k draws right? Best-of-k for 0/1 rewards.

    ``1 - (1 - q)^k``, with all its digits for tiny q and huge k.

    Parameters
    ----------
    pass_rate : (...) q, between 0 and 1
    k : (...) draws, at least 1

    Returns
    -------
    (...) between 0 and 1

    Raises
    ------
    ArgumentError
        Where `pass_rate` is no probability or `k` is below one.

    Examples
    --------
    >>> pass_at_k(0.1, [1, 4, 64]).round(4).tolist()
    [0.1, 0.3439, 0.9988]
    """
    q, draws = broadcast(pass_rate=fraction(pass_rate, "pass_rate"), k=count(k, "k"))
    with np.errstate(divide="ignore"):
        return -np.expm1(draws * np.log1p(-q))


@dataclass(frozen=True, slots=True, eq=False)
class ContinuousBestOfN:
    """Divergences of best-of-N from its base for any reward without ties.

    They depend on n alone: the density against the base is ``n u^(n-1)`` in the reward's quantile
    u. With ties each is an upper bound (`renyi` for alpha > 0). Nats where there is a unit.

    Attributes
    ----------
    n : (...) draws, at least 1
    """

    n: Floats

    @property
    def kl(self) -> Floats:
        """KL(best-of-N || base) = log n - (n - 1) / n."""
        return np.maximum(np.log(self.n) - (self.n - 1) / self.n, 0.0)

    @property
    def forward_kl(self) -> Floats:
        """KL(base || best-of-N) = n - 1 - log n."""
        return np.maximum(self.n - 1 - np.log(self.n), 0.0)

    @property
    def jeffreys(self) -> Floats:
        """KL both ways = (n - 1)^2 / n."""
        return (self.n - 1) * ((self.n - 1) / self.n)

    @property
    def chi_square(self) -> Floats:
        """Chi-square(best-of-N || base) = (n - 1)^2 / (2n - 1); reversed, infinite from 2 on."""
        return (self.n - 1) * ((self.n - 1) / (2 * self.n - 1))

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
        return (np.sqrt(self.n) - 1) ** 2 / (self.n + 1)

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
        integrand = w * (np.log(2.0) - np.log1p(np.exp(-log_w))) + np.log(2.0) - np.log1p(w)
        density = np.exp(-y / unit) / unit
        weighed = integrand * density * np.tile(node_weights, 4) * (length / 8)
        tail = np.log(2.0) * np.exp(-length / unit)[..., 0] * (n[..., 0] > 2.0)
        return np.asarray(0.5 * (np.maximum(weighed.sum(axis=-1), 0.0) + tail))

    def renyi(self, *, alpha: float) -> Floats:
        """Renyi divergence = log(n^a / (a (n - 1) + 1)) / (a - 1); infinite if a (n - 1) <= -1.

        At alpha 1 it is the KL.
        """
        a = _finite(alpha)
        if a == 1.0:
            return self.kl
        return self._log_power(a) / (a - 1.0)

    def cressie_read(self, *, alpha: float) -> Floats:
        """Power divergence = (n^a / (a (n - 1) + 1) - 1) / (a (a - 1)).

        At alpha 1 it is the KL, at 0 the forward KL; infinite if a (n - 1) <= -1.
        """
        a = _finite(alpha)
        if a in (0.0, 1.0):
            return self.kl if a else self.forward_kl
        with np.errstate(over="ignore"):
            return np.expm1(self._log_power(a)) / (a * (a - 1.0))

    def _log_power(self, a: float) -> Floats:
        """Return log E_base (policy / base)^a."""
        rest = a * (self.n - 1) + 1
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(rest > 0, a * np.log(self.n) - np.log(rest), np.inf)


def continuous_best_of_n(n: ArrayLike) -> ContinuousBestOfN:
    """How far is best-of-N from its base if rewards never tie?

    Parameters
    ----------
    n : (...) draws, at least 1, not necessarily whole

    Returns
    -------
    ContinuousBestOfN
        With kl, forward_kl, jeffreys, chi_square, total_variation, hellinger_squared,
        jensen_shannon, win_rate, renyi(alpha=) and cressie_read(alpha=).

    Raises
    ------
    ArgumentError
        Where `n` is below one or not finite.

    References
    ----------
    arXiv 2406.05883 (divergences through exponential order statistics); Beirami et al.,
    arXiv 2401.01879 (KL).

    Examples
    --------
    >>> best = continuous_best_of_n([1, 4, 16])
    >>> best.kl.round(4).tolist(), best.win_rate.round(4).tolist()
    ([0.0, 0.6363, 1.8351], [0.5, 0.8, 0.9412])
    """
    return ContinuousBestOfN(count(n))


def _finite(alpha: float) -> float:
    a = numbers(alpha, "alpha")
    if a.ndim or not np.isfinite(a):
        raise ArgumentError(f"alpha must be a finite number; got {str(alpha)[:40]!r}.")
    return float(a)
