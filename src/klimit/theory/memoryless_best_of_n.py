"""Best-of-N of the memoryless model at a finite length, exactly, for any N."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from klimit._errors import ArgumentError
from klimit.theory._check import ArrayLike, Floats, broadcast, budget, numbers, require
from klimit.theory._outcomes import change_terms, kl_terms
from klimit.theory._types import TotalReward, total_reward
from klimit.theory.frontier import frontier
from klimit.theory.memoryless import memoryless, token
from klimit.theory.tilt import known


@dataclass(frozen=True, slots=True, eq=False)
class MemorylessBestOfN:
    """Best-of-N over sequences of independent tokens, N = exp(length kl), beside the optimum.

    All arrays (...); everything but `length` and `log_n` is per token.

    Attributes
    ----------
    length : tokens in a sequence, m
    log_n : log N = m kl
    reward : mean reward of best-of-N per token, E max / m
    gain : that over the base's
    kl : KL(best-of-N || base) / m, nats; below log N / m
    kl_to_optimum : KL(best-of-N || optimal policy) / m, nats; infinite from saturation on
    efficiency : gain over what is possible at best-of-N's own KL; NaN where N is 1 or nothing can
        be gained
    limit : what `reward` tends to as the length grows: the optimal policy's reward per token
    """

    length: Floats
    log_n: Floats
    reward: Floats
    gain: Floats
    kl: Floats
    kl_to_optimum: Floats
    efficiency: Floats
    limit: Floats


def memoryless_best_of_n(
    base: ArrayLike, reward: ArrayLike, length: ArrayLike, *, kl: ArrayLike
) -> MemorylessBestOfN:
    """How near to the optimal policy is best-of-N on sequences of this length?

    Both grow with the length m: N = exp(m kl), against the optimum for a budget of m kl nats. In
    the limit best-of-N has the same reward per token, and ``KL(best-of-N || optimum) / m`` vanishes
    (arXiv 2404.01730). This is the exact law at finite m, summed over the types of sequences, with
    ties shared evenly.

    Parameters
    ----------
    base, reward : (letters,) as for `memoryless`; a sequence has the sum of its tokens' rewards
    length : (...) m, whole numbers of at least 1. Letters of equal reward count as one; with two
        different rewards lengths of many thousands are exact, with three up to 1,998, with four up
        to 226 (two million types).
    kl : (...) nats per token, finite, at least 0; broadcast against `length`. For a fixed N,
        ``log(N) / length``.

    Returns
    -------
    MemorylessBestOfN

    Raises
    ------
    ArgumentError
        Where an argument is not as above.

    Notes
    -----
    The approach is slow: the reward per token falls short of its limit by about
    ``beta log(m) / (2 m)``, since ``P(R > m t)`` is ``exp(-m Lambda*(t))`` over the root of m. At an
    N that anybody draws, at most a few thousand, the limit says little.

    References
    ----------
    arXiv 2404.01730 (asymptotic equivalence of best-of-N and the KL-constrained optimum).

    Examples
    --------
    >>> best = memoryless_best_of_n([0.7, 0.3], [0.0, 1.0], [20, 100, 400, 1600], kl=0.1)
    >>> best.reward.round(6).tolist(), float(best.limit[0].round(6))
    ([0.444367, 0.492886, 0.507426, 0.512363], 0.514629)
    >>> best.kl_to_optimum.round(5).tolist(), best.efficiency.round(3).tolist()
    ([0.01904, 0.00918, 0.00387, 0.00139], [0.911, 0.952, 0.98, 0.993])
    """
    prob, letters = token(base, reward)
    m, budgets = broadcast(length=_lengths(length), kl=budget(kl))
    if np.isinf(budgets).any():
        raise ArgumentError("kl must be finite, nats per token: N = exp(length * kl); got inf.")
    law, limit = known(prob, letters), frontier(prob, letters)
    optimum = memoryless(prob, letters, kl=budgets)
    with np.errstate(divide="ignore"):
        tilts = 1.0 / optimum.beta
    laws = {one: total_reward(prob, law.centred, int(one)) for one in np.unique(m)}
    each = zip(m.ravel(), (m * budgets).ravel(), tilts.ravel(), strict=True)
    totals = [_best(laws[length], log_n, tilt) for length, log_n, tilt in each]
    gain, spent, apart = np.reshape(totals, (-1, 3)).T.reshape(3, *m.shape) / m
    with np.errstate(divide="ignore", invalid="ignore"):
        efficiency = np.where(gain > 0, gain / limit.gain(spent), np.nan)
    return MemorylessBestOfN(
        length=m,
        log_n=m * budgets,
        reward=law.mean + gain,
        gain=gain,
        kl=spent,
        kl_to_optimum=apart,
        efficiency=efficiency,
        limit=optimum.reward,
    )


def _best(law: TotalReward, log_n: float, tilt: float) -> tuple[float, float, float]:
    """Gain, KL to the base and KL to the tilt by `tilt`, of the best of exp(log_n) sequences."""
    log_q = _log_kept(law, log_n)
    mass, kept = np.exp(law.log_mass), np.exp(log_q)
    u = log_q - law.log_mass
    gain = float(law.total @ change_terms(mass, kept, u))
    spent = float(kl_terms(mass, kept, u).sum())
    if law.total.size == 1:
        return gain, spent, 0.0
    if tilt == np.inf:
        return gain, spent, np.inf
    log_optimum = law.log_mass + tilt * (law.total - law.total[-1])
    log_optimum -= np.logaddexp.reduce(log_optimum)
    apart = kl_terms(np.exp(log_optimum), kept, log_q - log_optimum).sum()
    return gain, spent, float(apart)


def _log_kept(law: TotalReward, log_n: float) -> Floats:
    """Log probability that the best of N is at each level: log(F^N - (F-)^N).

    That is N log F + log(1 - (F- / F)^N), with N, -log F and -log(F- / F) as logarithms, so that N
    may be e^3000 and a tail e^-3000.
    """
    if log_n == 0:
        return law.log_mass
    with np.errstate(divide="ignore", over="ignore", under="ignore"):
        exponent = np.exp(log_n + _log_minus_log1m(law.log_sf, law.log_cdf))
        below = np.append(-np.inf, law.log_cdf[:-1])
        share = law.log_mass - law.log_cdf
        log_power = log_n + _log_minus_log1m(share, below - law.log_cdf)
        power = np.exp(log_power)
        rest = np.where(power < 1e-17, log_power, np.log(-np.expm1(-power)))
        return rest - exponent


def _log_minus_log1m(log_x: Floats, log_rest: Floats) -> Floats:
    """Return log(-log(1 - x)), from log x where x is small and from log(1 - x) elsewhere."""
    x = np.exp(np.minimum(log_x, -0.5))
    near = log_x + np.log(np.where(x > 0, -np.log1p(-x) / np.where(x > 0, x, 1.0), 1.0))
    return np.where(log_x < -0.5, near, np.log(-log_rest))


def _lengths(values: ArrayLike) -> Floats:
    m = numbers(values, "length")
    whole = (m >= 1) & (m == np.floor(m)) & (m < 2**53)
    return require(m, whole, "length must be a whole number of tokens, at least 1")
