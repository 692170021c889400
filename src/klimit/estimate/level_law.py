"""The laws of few-level rewards that prompts share: exponential tilts of one law, and noise about them.

Grades that move up with the prompt, points met out of n, bells about a centre: in all of them prompts
differ by a tilt, ``chance of level v = base(v) exp(t v) / Z(t)``. The base law and the mixture of tilts
are found by likelihood (EM); how far prompts stray from any tilt is the concentration of a Dirichlet
law about it. One tilt for all prompts is the Dirichlet model alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from klimit.estimate.kernel import Floats

# of levels stretched to [-1, 1]: from nearly all prompts' rewards at the worst to nearly all at the best
_TILTS = np.linspace(-16.0, 16.0, 65)
_ROUNDS = 60  # of EM; more would make a few atoms of the mixture
_CONCENTRATIONS = np.geomspace(1.0, 3000.0, 14)
_TRIED = 300  # prompts that the concentration is found from, at most
_LEAST = 1e-6  # share of prompts below which a tilt is left out


@dataclass(frozen=True)
class LevelLaw:
    """What prompts' chances of the levels are drawn from.

    Attributes
    ----------
    laws : (tilts, levels) chances of the levels at each tilt
    share : (tilts,) of the prompts
    concentration : of the Dirichlet law about them, in samples
    """

    laws: Floats
    share: Floats
    concentration: float

    @classmethod
    def fit(cls, counts: Floats, levels: Floats) -> LevelLaw:
        """From how often each prompt showed each level, (prompts, levels)."""
        laws, share = _mixture(counts, levels)
        some = counts[:_TRIED]
        fits = [
            float(_logsumexp(_likelihood(some, laws, c) + np.log(share)).sum())
            for c in _CONCENTRATIONS
        ]
        return cls(laws, share, float(_CONCENTRATIONS[int(np.argmax(fits))]))

    def posterior(self, counts: Floats) -> Floats:
        """(prompts, tilts) chance of each tilt given a prompt's counts."""
        log = _likelihood(counts, self.laws, self.concentration) + np.log(self.share)
        return np.exp(log - _logsumexp(log)[:, None])


def _mixture(counts: Floats, levels: Floats) -> tuple[Floats, Floats]:
    """Laws at the tilts that some prompts have, and the shares of prompts."""
    place = (levels - (levels[0] + levels[-1]) / 2) / ((levels[-1] - levels[0]) / 2)
    slopes = np.outer(_TILTS, place)
    total, size = counts.sum(axis=0), counts.sum(axis=1)
    base = np.log((total + 0.01) / total.sum())
    share = np.full(len(_TILTS), 1 / len(_TILTS))
    for _ in range(_ROUNDS):
        tilted = base + slopes
        scale = _logsumexp(tilted)[:, None]
        log = counts @ (tilted - scale).T + np.log(np.maximum(share, 1e-300))
        given = np.exp(log - _logsumexp(log)[:, None])
        share = given.mean(axis=0)
        # the base law whose tilts expect each level as often as it was seen
        base = np.log((total + 1e-6) / ((size @ given) @ np.exp(slopes - scale)))
        base -= _logsumexp(base[None])[0]
    use = share > _LEAST
    laws = base + slopes[use]
    return np.exp(laws - _logsumexp(laws)[:, None]), share[use] / share[use].sum()


def _likelihood(counts: Floats, laws: Floats, concentration: float) -> Floats:
    """(prompts, tilts) log-likelihood of counts, Dirichlet-multinomial, but for what no tilt changes."""
    from scipy.special import gammaln

    prior = concentration * np.maximum(laws, 1e-12)
    seen = gammaln(counts[:, None, :] + prior).sum(axis=2) - gammaln(prior).sum(axis=1)
    whole = gammaln(concentration) - gammaln(counts.sum(axis=1) + concentration)
    return np.asarray(seen + whole[:, None])


def _logsumexp(log: Floats) -> Floats:
    """Over the last axis; scipy's is far slower for many small rows."""
    top = log.max(axis=-1)
    return np.asarray(top + np.log(np.exp(log - top[..., None]).sum(axis=-1)))
