"""The bounds on the gain that the literature offers, beside the frontier that they bound.

`klimit.Frontier.bounds` estimates the same bounds, under the same names, from samples.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from klimit.theory import _check, _cumulants
from klimit.theory._check import Floats
from klimit.theory._cumulants import Cumulants
from klimit.theory._outcomes import Outcomes, measure, outcomes
from klimit.theory._pair import Pair
from klimit.theory._spend import padded
from klimit.theory.divergence_bounds import (
    chi_square_bound,
    hellinger_bound,
    renyi_bound,
    total_variation_bound,
)
from klimit.theory.frontier import KnownFrontier, frontier
from klimit.theory.tail_bounds import (
    bennett_bound,
    bernstein_bound,
    hoeffding_bound,
    sub_exponential_bound,
    sub_gamma_bound,
    sub_gaussian_bound,
)

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import ArrayLike, NDArray

_ORDERS = [k / 10 for k in range(1, 10)]

SOURCES = {
    "sub-Gaussian, best variance proxy": "arXiv 2406.05883",
    "range (Hoeffding)": "arXiv 2406.05883",
    "Bernstein": "Boucheron, Lugosi, Massart 2013",
    "Bennett": "Boucheron, Lugosi, Massart 2013",
    "sub-gamma, best scale": "Boucheron, Lugosi, Massart 2013",
    "sub-exponential": "arXiv 2406.05883",
    "Renyi of the optimum": "arXiv 2406.05883",
    "chi-square of the optimum": "Hammersley, Chapman, Robbins",
    "total variation of the optimum": "arXiv 2406.05883",
    "Hellinger of the optimum": "arXiv 2406.05883",
}


@dataclass(frozen=True, slots=True, eq=False)
class GainBounds:
    """Bounds on the gain at some KL budgets, and the frontier under them.

    Attributes
    ----------
    kl : (...) budgets, nats
    frontier : (...) what can be gained, reward units: beta times the Jeffreys divergence
    names : (bounds,) which bound, in words
    values : (bounds, ...) what each says, reward units, never below the frontier
    sources : (bounds,) where each comes from
    """

    kl: Floats
    frontier: Floats
    names: tuple[str, ...]
    values: Floats
    sources: tuple[str, ...]

    @property
    def over_frontier(self) -> Floats:
        """By which factor each bound overstates the frontier, (bounds, ...); 1 where none gains."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(self.frontier > 0, self.values / self.frontier, 1.0)

    @property
    def tightest(self) -> NDArray[np.str_]:
        """The name of the lowest bound at each budget, (...); of equal ones the first."""
        return np.asarray(np.array(self.names)[self._order()[0]])

    def _order(self) -> NDArray[np.intp]:
        """Rank the bounds at each budget, (bounds, ...); what differs by rounding counts as equal."""
        over = self.over_frontier
        with np.errstate(invalid="ignore"):
            return np.argsort(np.where(over < 1e6, over.round(9), over), axis=0, kind="stable")

    def rows(self) -> Iterator[dict[str, Any]]:
        """Every bound at every budget, tightest first: kl, bound, value, over_frontier, source."""
        over, order = self.over_frontier, self._order()
        for index in np.ndindex(self.kl.shape):
            for i in order[(slice(None), *index)]:
                yield {
                    "kl": float(self.kl[index]),
                    "bound": self.names[i],
                    "value": float(self.values[(i, *index)]),
                    "over_frontier": float(over[(i, *index)]),
                    "source": self.sources[i],
                }

    def to_frame(self) -> pl.DataFrame:
        """`rows` as a polars frame."""
        import polars as pl

        return pl.DataFrame(list(self.rows()))

    def __str__(self) -> str:
        lines: list[str] = []
        rows = self.rows()
        for kl, gain in zip(self.kl.ravel(), self.frontier.ravel(), strict=True):
            lines.append(f"at {kl:.4g} nats the frontier is {gain:+.4g}; the bounds on it:")
            lines += [
                f"{row['over_frontier']:9.3f} x  {row['value']:+.4g}  {row['bound']}"
                for row in islice(rows, len(self.names))
            ]
        return "\n".join(lines)


def bounds(
    base: ArrayLike | Sequence[ArrayLike],
    reward: ArrayLike | Sequence[ArrayLike],
    kl: ArrayLike,
    *,
    weights: ArrayLike | None = None,
) -> GainBounds:
    """Which bound on the gain is the tightest at this KL, and how far above the truth is it?

    Bounds in the KL (sub-Gaussian, range, Bernstein, Bennett, sub-gamma, sub-exponential) are
    evaluated at the budget with the best constants of this base: the least variance proxy, and the
    least sub-gamma scale at its variance; "sub-exponential" has scale ``max reward - mean`` and the
    least proxy for it. Bounds in another divergence (Renyi, chi-square, total variation, Hellinger)
    are evaluated at that divergence of the optimal policy of the budget; "Renyi" is the lowest over
    the orders .1, .2 ... .9.

    Parameters
    ----------
    base, reward, weights : as for `frontier`: one prompt, an array of prompts, or a sequence of 1-D
        arrays
    kl : (...) budgets, nats, at least 0: the average over prompts, with one beta for all

    Returns
    -------
    GainBounds
        Bounds in the KL are infinite at an infinite budget; everything else is finite.

    Raises
    ------
    ArgumentError
        Where an argument is not as above.

    Notes
    -----
    Over prompts the constants are those of the averaged cumulant generating function, mean squares
    of ranges, mean variances, the largest ``max reward - mean``, and means of divergences or of
    per-prompt bounds: averaged ranges or standard deviations would give no bounds.

    References
    ----------
    arXiv 2406.05883 (the bounds); arXiv 2605.07105 (beta times Jeffreys, exact where they are not).

    Examples
    --------
    >>> found = bounds([0.5, 0.3, 0.2], [0.0, 1.0, 4.0], [0.01, 1.0])
    >>> found.tightest.tolist()
    ['chi-square of the optimum', 'sub-Gaussian, best variance proxy']
    >>> print(bounds([0.5, 0.3, 0.2], [0.0, 1.0, 4.0], 1.0))
    at 1 nats the frontier is +2.396; the bounds on it:
        1.005 x  +2.408  sub-Gaussian, best variance proxy
        1.018 x  +2.44  Renyi of the optimum
        ...
        1.406 x  +3.369  sub-exponential
    """
    budgets = _check.budget(kl)
    limit = frontier(base, reward, weights=weights)
    law, share = _rectangular(limit)
    together = _cumulants.averaged(law, share)
    proxy = _cumulants.variance_proxy(together, np.asarray(0.0))
    by_kl = _from_kl(law, share, together, proxy, budgets)
    betas = [np.asarray(beta) for beta in limit.beta(budgets).ravel()]
    at_optimum = [_from_divergences(law, share, proxy, beta) for beta in betas]
    gain = limit.gain(budgets)
    values = np.concatenate([by_kl, np.reshape(at_optimum, (-1, 4)).T.reshape(4, *budgets.shape)])
    met = values > gain * (1 - 1e-12)  # rounding alone puts a bound that is met below
    return GainBounds(
        kl=budgets,
        frontier=gain,
        names=tuple(SOURCES),
        values=np.where(met, np.maximum(values, gain), values),
        sources=tuple(SOURCES.values()),
    )


def _rectangular(limit: KnownFrontier) -> tuple[Outcomes, Floats]:
    """Lay the prompts that count side by side, shorter ones filled up with probability 0."""
    counted = limit.weights > 0
    law = outcomes(*padded(limit._known, np.flatnonzero(counted)))
    return law, limit.weights[counted]


def _from_kl(
    law: Outcomes, weights: Floats, together: Cumulants, proxy: Floats, kl: Floats
) -> Floats:
    """Return the bounds that need nothing but the KL, (bounds, ...)."""
    v, above = together.variance, law.top.max()
    return np.stack(
        [
            sub_gaussian_bound(kl, variance_proxy=proxy),
            hoeffding_bound(kl, width=np.sqrt(law.width() ** 2 @ weights)),
            bernstein_bound(kl, variance=v, above=above),
            bennett_bound(kl, variance=v, above=above),
            sub_gamma_bound(kl, variance=v, scale=_cumulants.sub_gamma_scale(together)),
            sub_exponential_bound(
                kl, variance_proxy=_cumulants.variance_proxy(together, above), scale=above
            ),
        ]
    )


def _from_divergences(
    law: Outcomes, weights: Floats, base_proxy: Floats, beta: Floats
) -> list[Floats]:
    """Return the bounds in other divergences of the optimum at this beta, each a scalar."""
    best = measure(law, beta)
    pair = Pair(best.policy, law.prob, best.log_ratio)
    variance = law.variance()
    mirrored = outcomes(pair.p, np.where(pair.p > 0, -law.below_top, 0.0))
    lower = _cumulants.averaged(mirrored, weights)
    renyi = np.array([pair.renyi(a) @ weights for a in _ORDERS])
    by_prompt = [
        total_variation_bound(np.minimum(pair.total_variation(), 1.0), width=law.width()),
        hellinger_bound(
            np.minimum(pair.hellinger_squared(), 1.0),
            policy_moment=law.total(pair.p * law.centred**2),
            base_moment=variance,
        ),
    ]
    return [
        renyi_bound(
            renyi,
            alpha=_ORDERS,
            policy_proxy=_cumulants.variance_proxy(lower, np.asarray(0.0)),
            base_proxy=base_proxy,
        ).min(),
        chi_square_bound(pair.chi_square() @ weights, sd=np.sqrt(variance @ weights)),
        *(each @ weights for each in by_prompt),
    ]
