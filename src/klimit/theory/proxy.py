"""A proxy reward in place of the gold one, on known distributions: what is lost, and what is sure.

Three gaps answer three questions: what is lost at the same beta, at the same KL, and in the
regularised objective E[gold] - beta KL.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

import numpy as np

from klimit._errors import ArgumentError
from klimit.theory._check import ArrayLike, Floats, broadcast, budget, coefficient, fraction
from klimit.theory._outcomes import Measured, Outcomes, change_terms, measure, outcomes
from klimit.theory._prompts import lay_flat, read_rows, read_weights
from klimit.theory._solve import mean
from klimit.theory.frontier import KnownFrontier

T = TypeVar("T", "ProxyPoint", "ProxyBounds")


@dataclass(frozen=True, slots=True, eq=False)
class ProxyPoint:
    """What the proxy's optimal policy gains of proxy and gold, and three gaps to the gold optimum.

    Attributes
    ----------
    beta : (...) reward units per nat; 0 where the proxy is saturated, infinite where KL is 0
    kl : (...) nats that the proxy tilt spends
    proxy_gain, gold_gain : (...) reward units over the base's mean
    fixed_beta_gap : (...) gold gain of the gold tilt at the same beta, minus `gold_gain`; it may be
        zero or negative
    fixed_kl_gap : (...) gold gain that the same KL could buy, minus `gold_gain`; at least 0
    regret : (...) what is lost of E[gold] - beta KL; at least 0
    """

    beta: Floats
    kl: Floats
    proxy_gain: Floats
    gold_gain: Floats
    fixed_beta_gap: Floats
    fixed_kl_gap: Floats
    regret: Floats

    @property
    def gold_limit(self) -> Floats:
        """The gold gain that the same KL could buy, reward units."""
        with np.errstate(invalid="ignore"):
            return np.where(self.fixed_kl_gap < np.inf, self.gold_gain + self.fixed_kl_gap, np.inf)

    @property
    def efficiency(self) -> Floats:
        """Share of `gold_limit` that is reached; nan where nothing can be gained."""
        limit = self.gold_limit
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(limit > 0, self.gold_gain / limit, np.nan)


@dataclass(frozen=True, slots=True, eq=False)
class ProxyBounds:
    """What the size of the error alone proves about a proxy tilt.

    With R the range of the error on a prompt (offsets do not count) and chi^2 the divergences of
    the tilts from the base. Prompts are averaged as each bound allows, never by averaging ranges.

    Attributes
    ----------
    regret : (...) at most ``E[R^2] / (8 beta)``
    total_variation : (...) mean distance of the two tilts, at most ``E tanh(R / (4 beta))``
    fixed_beta_gap : (...) in size at most ``E[range(gold) tanh(R / (4 beta))]``
    l2_error_gain : (...) proxy gain minus gold gain, at most ``sqrt(E Var(e) E chi^2)``
    moment_error_gain : (...) the same, at most the error's own frontier at this KL, the best of all
        bounds by moment generating functions
    l2_regret : (...) at most ``sqrt(E Var(e)) (sqrt(E chi^2(proxy tilt)) + sqrt(E chi^2(gold)))``
    certified_gold_gain : (...) at least proxy gain minus the smaller error gain
    """

    regret: Floats
    total_variation: Floats
    fixed_beta_gap: Floats
    l2_error_gain: Floats
    moment_error_gain: Floats
    l2_regret: Floats
    certified_gold_gain: Floats


@dataclass(frozen=True, slots=True, eq=False)
class ProxyGold:
    """Prompts with a proxy and a gold reward, both known exactly.

    Methods take exactly one of `beta` (reward units per nat, shared by all prompts) and `kl` (nats,
    averaged over prompts), scalars or arrays of any shape, and answer in that shape.

    Attributes
    ----------
    proxy, gold, error : frontiers of the proxy, of the gold reward and of proxy minus gold, with an
        average budget; ``error.gain(kl)`` is the most by which a policy can look better than it is
    """

    proxy: KnownFrontier
    gold: KnownFrontier
    error: KnownFrontier

    def at(self, *, beta: ArrayLike | None = None, kl: ArrayLike | None = None) -> ProxyPoint:
        """What does optimising the proxy bring, and how far is that from optimising gold?"""
        betas = self._betas(beta, kl)
        point = self._each(betas, self._point, ProxyPoint)
        limit = self.gold.gain(point.kl)
        return replace(point, fixed_kl_gap=np.maximum(limit - point.gold_gain, 0.0))

    def gold_gain(self, kl: ArrayLike) -> Floats:
        """How much gold does the proxy's best policy at this KL gain?

        The ceiling for any method that sees only the proxy; it may fall as KL grows.
        """
        return self._each(self._betas(None, kl), self._point, ProxyPoint).gold_gain

    def bounds(self, *, beta: ArrayLike | None = None, kl: ArrayLike | None = None) -> ProxyBounds:
        """What would the size of the error alone have told?"""
        return self._each(self._betas(beta, kl), self._bound, ProxyBounds)

    def error_covariance(self, *, beta: ArrayLike, s: ArrayLike) -> Floats:
        """How do error and gold covary on the way from the gold tilt (s = 0) to the proxy's (s = 1)?

        The mean over prompts of Cov(gold, error) under the tilt of ``gold + s error``, reward units
        squared. Its integral over s, times -1 / beta, is the gap at fixed beta, which vanishes for
        an error independent of gold.
        """
        b, along = broadcast(beta=coefficient(beta), s=fraction(s, "s"))
        found = np.empty(b.shape)
        gold, error = self.gold._known, self.error._known
        for index in np.ndindex(b.shape):
            between = gold.centred + along[index] * error.centred
            moved = measure(outcomes(gold.prob, between, gold.starts), b[index])
            mean_gold, mean_error = (
                gold.each(gold.total(moved.policy * x.centred)) for x in (gold, error)
            )
            terms = moved.policy * (gold.centred - mean_gold) * (error.centred - mean_error)
            found[index] = self._mean(gold.total(terms))
        return found

    def _betas(self, beta: ArrayLike | None, kl: ArrayLike | None) -> Floats:
        is_beta, value = one_of(beta, kl)
        return value if is_beta else self.proxy.beta(value)

    def _each(self, betas: Floats, one: Callable[[Floats], Any], kind: type[T]) -> T:
        """Do `one` for every beta and gather the fields."""
        found = [one(np.asarray(b)) for b in betas.ravel()]
        names = fields(kind)
        columns = np.reshape(found, (betas.size, len(names))).T.reshape(len(names), *betas.shape)
        return kind(*columns)

    def _mean(self, by_prompt: Floats) -> Floats:
        return mean(self.gold.weights, by_prompt)

    def _point(self, beta: Floats) -> tuple[Floats, ...]:
        gold = self.gold._known
        chosen, best = measure(self.proxy._known, beta), measure(gold, beta)
        change = change_terms(gold.prob, chosen.policy, chosen.log_ratio)
        gold_gain = gold.total(gold.centred * change)
        # The proxy tilt is the gold tilt, tilted by the error: small errors keep their digits. Far
        # apart (or saturated, beta 0) the plain differences are as good.
        gap = best.gain - gold_gain
        with np.errstate(over="ignore", invalid="ignore"):  # what overflows is not used
            regret = gap - beta * (best.kl - chosen.kl)
            if beta > 0:
                moved = measure(_drawn_from(best, self.error._known), beta)
                change = change_terms(best.policy, moved.policy, moved.log_ratio)
                near = moved.kl < 1.0
                gap = np.where(near, -gold.total(gold.centred * change), gap)
                regret = np.where(near, beta * moved.kl if beta < np.inf else 0.0, regret)
        return (
            beta,
            self._mean(chosen.kl),
            self._mean(chosen.gain),
            self._mean(gold_gain),
            self._mean(gap),
            np.asarray(np.nan),  # the gap at fixed KL, for all betas together
            self._mean(np.maximum(regret, 0.0)),
        )

    def _bound(self, beta: Floats) -> tuple[Floats, ...]:
        error, gold = self.error._known, self.gold._known
        error_range, gold_range = error.width(), gold.width()
        chosen, best = measure(self.proxy._known, beta), measure(gold, beta)
        proxy_chi2, gold_chi2 = _chi_square(gold, chosen), _chi_square(gold, best)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            regret = np.where(error_range > 0, error_range * (error_range / beta) / 8, 0.0)
            apart = np.where(error_range > 0, np.tanh(error_range / (4 * beta)), 0.0)
        sd = np.sqrt(self._mean(error.variance()))
        proxy_root, gold_root = np.sqrt(self._mean(proxy_chi2)), np.sqrt(self._mean(gold_chi2))
        l2, moment = sd * proxy_root, self.error.gain(self._mean(chosen.kl))
        return (
            self._mean(regret),
            self._mean(apart),
            self._mean(gold_range * apart),
            l2,
            moment,
            sd * (proxy_root + gold_root),
            self._mean(chosen.gain) - np.minimum(l2, moment),
        )


def proxy_gold(
    base: ArrayLike | Sequence[ArrayLike],
    *,
    proxy: ArrayLike | Sequence[ArrayLike],
    gold: ArrayLike | Sequence[ArrayLike],
    weights: ArrayLike | None = None,
) -> ProxyGold:
    """How much of a proxy's gain is gold, if base, proxy and gold are known exactly?

    The proxy tilt at one beta for all prompts, seen by gold: the regularised regret is
    ``beta KL(proxy tilt || gold tilt)``, the gap at fixed beta is
    ``-(1 / beta) int_0^1 Cov_s(gold, error) ds``, and the gap at fixed KL is what the gold frontier
    has above the proxy tilt. None of them need grow as beta falls; only their bounds do.

    Parameters
    ----------
    base, weights : as for `frontier`: one prompt, an array of prompts, or a sequence of 1-D arrays
    proxy, gold : finite, reward units, in the shape of `base`; adding a constant on a prompt to
        either changes nothing

    Returns
    -------
    ProxyGold

    Raises
    ------
    ArgumentError
        Where an argument is not as above.

    References
    ----------
    arXiv 2605.07105, section 4 (proxy and gold); arXiv 2406.05883 (from proxy to gold).

    Examples
    --------
    >>> seen = proxy_gold([0.5, 0.3, 0.2], gold=[0, 1, 4], proxy=[0.5, 0.5, 4.0])
    >>> point = seen.at(beta=2.0)
    >>> float(point.proxy_gain.round(4)), float(point.gold_gain.round(4))
    (1.3648, 1.4135)
    >>> gaps = point.fixed_beta_gap, point.fixed_kl_gap, point.regret
    >>> [float(gap.round(4)) for gap in gaps]
    [0.0774, 0.0241, 0.0251]

    The regret is not monotone in beta, although its bound is:

    >>> seen.at(beta=[4, 1, 0.5]).regret.round(4).tolist()
    [0.0189, 0.0132, 0.0009]
    >>> seen.bounds(beta=[4, 1, 0.5]).regret.round(4).tolist()
    [0.0312, 0.125, 0.25]
    """
    rows = read_rows(base, "base")
    proxies, golds = read_rows(proxy, "proxy"), read_rows(gold, "gold")
    laws = {"proxy": lay_flat(rows, proxies, "proxy"), "gold": lay_flat(rows, golds, "gold")}
    if len(proxies) != len(golds):
        raise ArgumentError(
            "proxy and gold must have one row per prompt each; "
            f"got {len(proxies)} and {len(golds)} rows."
        )
    with np.errstate(invalid="ignore", over="ignore"):  # what the base never does may be anything
        errors = [p - g for p, g in zip(proxies, golds, strict=True)]
    share = read_weights(weights, laws["gold"].top.size)
    laws["error"] = lay_flat(rows, errors, "proxy minus gold")
    return ProxyGold(**{name: KnownFrontier(share, "average", law) for name, law in laws.items()})


def one_of(beta: ArrayLike | None, kl: ArrayLike | None) -> tuple[bool, Floats]:
    """Say which was given, beta (True) or kl, and return it."""
    if beta is not None and kl is None:
        return True, coefficient(beta)
    if kl is not None and beta is None:
        return False, budget(kl)
    raise ArgumentError(
        f"beta or kl must be given, exactly one of them; got {'neither' if kl is None else 'both'}."
    )


def _drawn_from(policy: Measured, known: Outcomes) -> Outcomes:
    """The same outcomes and rewards, drawn from a policy instead of the base."""
    drawn = replace(known, prob=policy.policy, log_prob=known.log_prob + policy.log_ratio)
    return drawn.recentred()


def _chi_square(known: Outcomes, policy: Measured) -> Floats:
    change = change_terms(known.prob, policy.policy, policy.log_ratio)
    with np.errstate(over="ignore"):
        return known.total(change * np.expm1(policy.log_ratio))
