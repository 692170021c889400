"""How far chance may move a tilted gold mean, by a smooth law of the pooled pairs.

Where the samples at the proxy's far end that would have shown gold turn were not drawn, gold looks
straight and its error, taken from the same samples, small: the error is smallest where the estimate is
furthest off. A law fitted to many samples follows that luck less: below a threshold the pooled pairs in
bins, above it a generalised Pareto tail of the proxy, and gold as it bends among the samples that are
highest. It is asked for the spread and the skewness of the estimate only, never for its level.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from klimit.estimate.intervals import tail_of
from klimit.estimate.kernel import Floats
from klimit.estimate.proxy.model import Pool
from klimit.estimate.samples import Integers

_BINS, _STEPS, _SCALES = 100, 60, 40  # of the law's body and tail, and of the prompts' scales
# share of the samples, the highest, that say how gold bends there; and how many at the least
_HIGH, _LEAST = 0.15, 60
# of a prompt's samples together, where one of them stops to count as more: so the law's error is that of
# repeated draws, and neither that of endless samples nor that seen within a prompt
_MOST = 10.0
_RARE = 20.0  # the law ends at what is drawn once in so many such data sets


@dataclass(frozen=True)
class TailLaw:
    """A law of one read and the proxy.

    Attributes
    ----------
    proxy, chances : (nodes,) on a common scale, and their probabilities
    means : (scales, nodes) of the read, given the proxy, less the prompt's mean
    noise : (nodes,) variance of the read about that
    scales : (scales,) of prompts that stand for all
    number : samples, as many as count for the error of the mean over prompts
    samples : of a prompt
    """

    proxy: Floats
    chances: Floats
    means: Floats
    noise: Floats
    scales: Floats
    number: float
    samples: float

    def by_chance(self, tilt: Floats, *, held: bool) -> tuple[Floats, Floats]:
        """(tilts,) standard error of the tilted mean by the choice of samples, and its skewness.

        Parameters
        ----------
        held : whether the tilt is given; otherwise it spends a given KL and moves with the samples
        """
        proxy = self.scales[:, None] * (self.proxy - self.proxy @ self.chances)
        error, skew = np.empty(len(tilt)), np.empty(len(tilt))
        for at, one in enumerate(tilt):
            weights = np.exp(one * (proxy - proxy.max(axis=1, keepdims=True)))
            weights /= (weights @ self.chances)[:, None]
            tilted = weights * self.chances
            moved, read = ((tilted * x).sum(axis=1, keepdims=True) for x in (proxy, self.means))
            away = proxy - moved
            # no sample has more weight than ten times all of its prompt's
            weights /= 1 + weights / (_MOST * self.samples)
            # what one sample moves the mean by, the base's mean included
            moves = weights * (self.means - read) - self.means
            if not held:
                rise, run = (tilted * away * self.means).sum(), (tilted * away**2).sum()
                slope = rise / max(run, 1e-300)
                moves -= slope * (weights * away - proxy - (weights - 1 - one * proxy) / one)
            own = (weights - 1) ** 2 * self.noise
            square = ((moves**2 + own) @ self.chances).mean()
            error[at] = np.sqrt(square / self.number)
            third = ((moves**2 + 3 * own) * moves @ self.chances).mean()
            skew[at] = third / square**1.5 / np.sqrt(self.number) if square > 1e-150 else 0.0
        return error, skew


def tail_law(pool: Pool, counts: Integers, row: int) -> TailLaw:
    """The law of one of the pooled reads.

    Parameters
    ----------
    counts : (prompts,) samples of each
    row : which of the reads
    """
    order = np.argsort(pool.values[0])
    proxy, read, spread = pool.values[0][order], pool.values[1 + row][order], pool.spread[order]
    known = pool.scales[pool.scales > 0]
    middle = float(known.mean())
    number = len(proxy)
    top = max(int(min(0.2 * number, 8 * np.sqrt(number))), 1)
    edges = np.linspace(0, number - top, min(_BINS, number - top) + 1).astype(int)
    sizes = np.diff(edges)
    body = np.add.reduceat(proxy[: number - top], edges[:-1]) / sizes
    start = proxy[number - top - 1]
    # a tail that seems light by chance goes with an estimate that is off: one standard error heavier; and
    # one heavier than exponential has no tilted mean
    shape = min(tail_of(proxy).shape + 1 / np.sqrt(top), -1e-9)
    width = float((proxy[number - top :] - start).mean()) * (1 - shape)
    rarity = np.geomspace(1.0, 1 / (_RARE * top), _STEPS + 1)
    rare = np.sqrt(rarity[1:] * rarity[:-1])
    high = start + width * np.expm1(-shape * np.log(rare)) / shape
    chances = np.concatenate([sizes / number, -np.diff(rarity) * top / number])
    highest = slice(max(number - max(int(_HIGH * number), top, _LEAST), 0), None)
    parts = [_bent(proxy[x], read[x], spread[x] / middle) for x in (slice(None), highest)]
    scales = np.sort(known)[np.linspace(0, len(known) - 1, min(len(known), _SCALES)).astype(int)]
    means = np.concatenate([
        np.stack([factors @ _features(x, one) for one in scales / middle])
        for (factors, _), x in zip(parts, (body, high), strict=True)
    ], axis=1)  # fmt: skip
    chances /= chances.sum()
    means = np.clip(means, read.min(), read.max())
    means -= (means @ chances)[:, None]
    noise = np.repeat([variance for _, variance in parts], [len(body), len(high)])
    each = 1 / float((1 / counts[pool.scales > 0]).mean())
    count = each * len(counts) ** 2 / len(known)  # prompts whose rewards do not vary add no error
    return TailLaw(np.concatenate([body, high]), chances, means, noise, scales, count, each)


def _features(proxy: Floats, scale: Floats | float) -> Floats:
    """(4, ...) what gold's mean is made of: it may bend, and where prompts are wider it may do so more."""
    own = scale * proxy
    return np.stack([np.ones_like(proxy), proxy, own, proxy * own])


def _bent(proxy: Floats, read: Floats, scale: Floats) -> tuple[Floats, float]:
    """Coefficients of the features, and the variance about them."""
    features = _features(proxy, scale)
    square, product = features @ features.T, features @ read
    factors = np.asarray(np.linalg.lstsq(square, product, rcond=1e-9)[0], dtype=np.float64)
    return factors, float(np.var(read - factors @ features))
