"""The bias that a beta law of pass rates predicts for a log-mgf of few 0/1 rewards.

Prompts' pass rates follow a beta law, but for a share of prompts that no answer ever solves and a
share that every answer does, if the counts of successes speak for them. Given its own count, a
prompt's rate has a posterior law; how far the log-mgf of M rewards of that rate falls short is an
expectation over a binomial count, and is summed, not simulated.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from klimit.estimate.kernel import Floats
from klimit.estimate.pass_rates import binomial, log_choose, log_mgf_of_rate

# finer than those of `pass_rates`, which a least-squares fit would not tell apart
_RATES = np.concatenate(([0.0], np.geomspace(1e-5, 0.02, 50)[:-1], np.linspace(0.02, 0.5, 80)))
RATES: Floats = np.concatenate((_RATES, 1 - _RATES[-2::-1]))
_COST = 2.0  # log-likelihood that shares of prompts at 0 and 1 have to bring
_HELD = 1e-3  # holds logarithms of parameters at 0 where counts say nothing of them
_SIZES = 16  # numbers of samples that are told apart
_WIDEST = 12.0  # logarithms of a beta law's parameters, at most
_LARGEST = 2048  # samples past which the bias falls as 1 / M


@dataclass(frozen=True)
class RateLaw:
    """Pass rates of prompts: a beta law, and shares that are 0 or 1.

    Attributes
    ----------
    first, second : of the beta law, whose mean is ``first / (first + second)``
    never, always : shares of prompts with a rate of 0 and of 1
    misfit : negative log-likelihood of the counts, with what holds parameters that they do not show
    """

    first: float
    second: float
    never: float
    always: float
    misfit: float

    @classmethod
    def fit(cls, successes: Floats, counts: Floats, *, ends: bool) -> RateLaw:
        """By likelihood, from each prompt's successes among its rewards.

        Parameters
        ----------
        ends : whether rates may be 0 or 1
        """
        from scipy.optimize import minimize

        x, n, times = _table(successes, counts)
        mean = float(np.clip((times * x / n).sum() / times.sum(), 0.02, 0.98))
        starts = [np.log([mean * c, (1 - mean) * c]) for c in (0.5, 5.0)]
        if ends:
            half = [float((times * hit).sum() / times.sum()) / 2 for hit in (x == 0, x == n)]
            rest = np.log(np.maximum(half, 1e-3)) - np.log(1 - sum(half))
            starts = [np.concatenate([start, rest]) for start in starts]
        found = [minimize(_misfit, s, args=(x, n, times), method="L-BFGS-B") for s in starts]
        best = min(found, key=lambda one: float(one.fun))
        (a, b), (never, always, _) = _beta(best.x).tolist(), _shares(best.x[2:]).tolist()
        return cls(a, b, never, always, float(best.fun))

    @property
    def chances(self) -> Floats:
        """(rates,) share of prompts at, or nearest to, each of `RATES`; 0 and 1 are exact."""
        from scipy.special import betainc

        inner = RATES[1:-1]
        edges = np.concatenate(([0.0], (inner[1:] + inner[:-1]) / 2, [1.0]))
        inside = np.diff(betainc(self.first, self.second, edges))
        return np.concatenate(
            ([self.never], (1 - self.never - self.always) * inside, [self.always])
        )


def rate_chances(successes: Floats, counts: Floats) -> Floats:
    """(rates,) share of prompts at each of `RATES`, by the laws with and without rates of 0 and 1.

    Either counts by its likelihood, less what its parameters cost (Akaike weights).
    """
    from scipy.special import expit

    plain, ends = (RateLaw.fit(successes, counts, ends=x) for x in (False, True))
    share = float(expit(plain.misfit - ends.misfit - _COST))
    return share * ends.chances + (1 - share) * plain.chances


def predicted_bias(successes: Floats, counts: Floats, tilts: Floats) -> tuple[Floats, Floats]:
    """Bias of the mean log-mgf at M rewards of 0 or 1, and its change from M/2 to M; both (tilts,).

    Parameters
    ----------
    successes, counts : (prompts,) rewards of one, and rewards
    """
    chances = rate_chances(successes, counts)
    sizes = np.unique(counts)
    parts = [np.flatnonzero(counts == size) for size in sizes]
    if len(sizes) > _SIZES:
        parts = np.array_split(np.lexsort((successes, counts)), _SIZES)
    found = np.zeros((2, len(tilts)))
    for part in parts:
        x, n, times = _table(successes[part], counts[part])
        given = binomial(x[:, None], n[:, None], RATES) * chances
        given = times @ (given / np.maximum(given.sum(axis=1, keepdims=True), 1e-300))
        size = int(np.median(counts[part]))
        found += np.stack([_shortfall(m, given, tilts) for m in (size, size // 2)])
    full, half = found / len(counts)
    return full, half - full


def _shortfall(size: int, weights: Floats, tilts: Floats) -> Floats:
    """(tilts,) how far the log-mgf of so many rewards falls short, summed over weighted rates."""
    drawn = min(size, _LARGEST)
    outcomes = np.arange(drawn + 1.0)
    seen = binomial(outcomes[:, None], drawn, RATES) @ weights
    short = weights @ _log_mgf(RATES, tilts) - seen @ _log_mgf(outcomes / drawn, tilts)
    return short * drawn / size


def _log_mgf(rates: Floats, tilts: Floats) -> Floats:
    """(rates, tilts) centred log-mgf of a reward of 0 or 1."""
    return np.stack([log_mgf_of_rate(rates, float(tilt)) for tilt in tilts], axis=1)


def _table(successes: Floats, counts: Floats) -> tuple[Floats, Floats, Floats]:
    """Distinct successes and counts, ascending, and how many prompts show them."""
    (x, n), times = np.unique(np.stack([successes, counts]), axis=1, return_counts=True)
    return x, n, times.astype(float)


def _shares(logits: Floats) -> Floats:
    """Shares at 0, at 1 and between; all of it between where there are none."""
    if not len(logits):
        return np.array([0.0, 0.0, 1.0])
    odds = np.exp(np.append(logits, 0.0) - max(float(logits.max()), 0.0))
    return np.asarray(odds / odds.sum())


def _beta(free: Floats) -> Floats:
    return np.exp(np.clip(free[:2], -_WIDEST, _WIDEST))


def _misfit(free: Floats, x: Floats, n: Floats, times: Floats) -> float:
    """Negative log-likelihood of the logarithms of the law's parameters, held at 0."""
    from scipy.special import betaln  # much faster than scipy.stats, hundreds of times a fit

    a, b = _beta(free)
    never, always, rest = _shares(free[2:])
    inside = np.exp(log_choose(n, x) + betaln(x + a, n - x + b) - betaln(a, b))
    chance = rest * inside + never * (x == 0) + always * (x == n)
    held = _HELD * float((free[:2] ** 2).sum())
    return held - float((times * np.log(np.maximum(chance, 1e-300))).sum())
