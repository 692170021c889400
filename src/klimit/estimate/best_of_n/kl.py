"""The KL of best-of-N from how many of the draws tie at the top.

Reward levels v with cumulative chances F(v) make ``KL = sum over v of F(v)^N K(m(v) / F(v))``,
where m(v) is the level's own chance and ``K(q)`` the KL of best-of-N for a 0/1 reward of pass rate
q: with chance ``F(v)^N`` no draw lies above v, and then the best is either on v or below (the chain
rule, from the top down). ``K`` is a smooth function, so a polynomial of degree N follows it to a
few millionths: there are scores with ``E score(ties) = K(q)`` for the number of N draws that tie at
the top. Hence the mean score over all N-subsets of the samples has the KL as its mean, whatever the
ties. Where rewards are distinct, one draw is at the top and the score is ``log N - (N - 1) / N``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from klimit.estimate.best_of_n.order_weights import chance_below, order_weights
from klimit.estimate.kernel import Floats
from klimit.estimate.pass_rates import binomial, log_choose
from klimit.estimate.samples import Integers

_FITTED = 64  # beyond so many ties the score is a difference of harmonic numbers
_DEEP = 8  # from this N on, N draws tell all; for smaller N the scores are those of up to 16 draws
_FEW_DEPTH = 16
_RIDGE = 1e-6  # keeps scores near the plug-in's where the polynomial leaves them open
_TABLE = 256  # samples a prompt up to which scores of all (top, ties) are remembered


@dataclass(frozen=True)
class TieScores:
    """Scores by the number of draws at the top; see the module.

    Attributes
    ----------
    depth : draws
    few : (most + 1,) scores of 0, 1, ... ties
    error : largest relative error of the mean score over all pass rates
    """

    depth: int
    few: Floats
    error: float

    def __call__(self, ties: Integers) -> Floats:
        """Scores of so many ties, nats."""
        last = len(self.few) - 1
        near = self.few[np.minimum(ties, last)]
        if last == self.depth:
            return near
        from scipy.special import digamma

        return np.where(ties <= last, near, digamma(self.depth + 1.0) - digamma(ties + 1.0))


@lru_cache(maxsize=1024)
def tie_scores(n: int, depth: int) -> TieScores:
    """Scores of the ties at the top of `depth` draws, whose mean is the KL at any pass rate.

    The KL is that of best-of-n for 0/1 rewards; `depth` is at least n.

    Least squares of the relative error over pass rates. Three scores are known: none for no tie and
    for nothing but ties, and one tie scores what distinct rewards need. For many ties ``K(q) = -log
    q``, whose score is ``H(depth) - H(ties)`` with harmonic numbers H (Schuermann, arXiv
    cond-mat/0403192).

    Examples
    --------
    >>> tie_scores(4, 4).few.round(3).tolist(), tie_scores(8, 8).error < 1e-3
    ([0.0, 0.636, 0.631, 0.248, 0.0], True)
    """
    from scipy.special import digamma

    all_fitted = depth <= _FITTED
    last = depth if all_fitted else _FITTED
    shown = depth if all_fitted else min(depth, 4 * _FITTED + 100)
    widest = 1.0 if all_fitted else min(1.0, (2 * _FITTED + 20) / depth)
    rate = widest * (1 - np.cos((np.arange(240) + 0.5) / 240 * np.pi)) / 2
    truth = pass_rate_kl(rate, n)
    ties = np.arange(shown + 1)
    scores = digamma(depth + 1.0) - digamma(ties + 1.0)
    scores[0] = 0.0
    scores[1] = (n * np.log(n) - (n - 1)) / depth
    chance = binomial(ties, depth, rate[:, None])
    open_scores = np.arange(2, min(depth, last + 1))
    if len(open_scores):
        known = scores.copy()
        known[open_scores] = 0.0
        prior = pass_rate_kl(open_scores / depth, n)
        hold = np.sqrt(_RIDGE * len(rate))
        design = np.vstack([chance[:, open_scores] / truth[:, None], np.diag(hold / prior)])
        wanted = np.concatenate([1 - chance @ known / truth, np.full(len(prior), hold)])
        scores[open_scores] = np.linalg.lstsq(design, wanted, rcond=None)[0]
    error = float(np.abs(chance @ scores / truth - 1).max())
    return TieScores(depth, scores[: last + 1], error)


def pass_rate_kl(rate: Floats, n: int) -> Floats:
    """KL of best-of-n for 0/1 rewards with pass rates strictly between 0 and 1, nats.

    Examples
    --------
    >>> pass_rate_kl(np.array([0.1]), 4).round(6).tolist()
    [0.217398]
    """
    fail = np.log1p(-rate)
    solved = -np.expm1(n * fail)
    kl: Floats = (n - 1) * np.exp(n * fail) * fail + solved * np.log(solved / rate)
    return kl


class Draws:
    """Best-of-n from prompts of one sample size: which samples are kept, and what tied levels cost.

    Parameters
    ----------
    n : draws, 2 or more
    samples : M, at least n

    Attributes
    ----------
    below : (M + 1,) chance that all draws come from so many of the lowest samples
    weights : (M,) chance of each sample, in ascending order, to be kept
    bound : KL where no rewards tie, nats
    """

    def __init__(self, n: int, samples: int) -> None:
        self.n, self.samples = n, samples
        self.below = chance_below(n, samples)
        self.weights = order_weights(n, samples)
        self.bound = float(np.log(n) - (n - 1) / n)
        self._known = np.full((samples + 1) ** 2 if samples <= _TABLE else 0, np.nan)

    @property
    def error(self) -> float:
        """Largest relative error of the mean score."""
        return tie_scores(self.n, min(self.samples, _depth(self.n))).error

    def share(self, top: Integers, ties: Integers) -> Floats:
        """KL that levels of `ties` samples contribute, the highest `top`-th from below; nats."""
        code = top * (self.samples + 1) + ties
        if not len(self._known):
            pairs, inverse = np.unique(code, return_inverse=True)
            return self._score(pairs)[inverse]
        unseen = np.unique(code[np.isnan(self._known[code])])
        if len(unseen):
            self._known[unseen] = self._score(unseen)
        return np.asarray(self._known[code])

    def distinct(self, top: Integers, ties: Integers) -> Floats:
        """What as many distinct rewards would contribute, nats."""
        return np.asarray(self.bound * (self.below[top] - self.below[top - ties]))

    def _score(self, code: Integers) -> Floats:
        top, ties = np.divmod(code, self.samples + 1)
        out = np.zeros(len(code))
        depth = _depth(self.n)
        deep = top >= depth
        if deep.any():
            out[deep] = _thinned(tie_scores(self.n, depth), top[deep], ties[deep])
        for size in np.unique(top[~deep & (top >= self.n)]):
            here = top == size
            out[here] = tie_scores(self.n, int(size))(ties[here])
        return self.below[top] * out


def _depth(n: int) -> int:
    return n if n >= _DEEP else _FEW_DEPTH


def _thinned(scores: TieScores, top: Integers, ties: Integers) -> Floats:
    """Mean score when `scores.depth` are drawn from `top` samples, `ties` of them at the top."""
    depth = scores.depth
    share = ties / top
    spread = np.sqrt(depth * share * (1 - share) * (top - depth) / np.maximum(top - 1, 1))
    middle, reach = depth * share, 8 * spread + 8
    low = np.maximum(np.maximum(0, depth - (top - ties)), np.floor(middle - reach).astype(int))
    high = np.minimum(np.minimum(depth, ties), np.ceil(middle + reach).astype(int))
    terms = high - low + 1
    first = np.cumsum(terms) - terms
    drawn = np.arange(int(terms.sum())) - np.repeat(first - low, terms)
    n, rest = np.repeat(ties, terms), np.repeat(top - ties, terms)

    log_chance = log_choose(n, drawn) + log_choose(rest, depth - drawn)
    log_chance -= np.repeat(np.maximum.reduceat(log_chance, first), terms)
    chance = np.exp(log_chance)
    total = np.add.reduceat(chance * scores(drawn), first)
    return total / np.add.reduceat(chance, first)
