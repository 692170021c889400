"""Pairs for code: the proxy is the share of visible tests that an answer passes, gold is hidden tests.

A prompt has 3 to 14 visible tests and ten hidden ones; an answer passes each with a chance of its own,
which is drawn from a beta law of the prompt. Some answers are written for the visible tests alone: they
pass them all, and no hidden one. Everything is a table of a prompt's shares, so the truth is a sum.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Array = NDArray[np.float64]

MOST, HIDDEN = 14, 10
CHANCES = (np.arange(60) + 0.5) / 60  # of passing a test


@dataclass(frozen=True)
class Prompts:
    """Tables of prompts, (prompts, MOST + 1): shares passed, their chances, and mean gold at each."""

    shares: Array
    chances: Array
    gold: Array

    @property
    def scale(self) -> Array:
        """(prompts, 1) standard deviation of the proxy."""
        mean = (self.chances * self.shares).sum(axis=1, keepdims=True)
        square = (self.chances * (self.shares - mean) ** 2).sum(axis=1, keepdims=True)
        return np.asarray(np.sqrt(square))

    def take(self, where: Array) -> Prompts:
        """Only some of them, perhaps repeated."""
        return Prompts(*(x[where] for x in (self.shares, self.chances, self.gold)))


@dataclass(frozen=True)
class TestsFamily:
    """Gold is that all hidden tests pass; `written_for` is how many answers see the visible ones alone."""

    __test__ = False
    name: str
    written_for: float

    def prompts(self, rng: np.random.Generator, number: int) -> Prompts:
        """Prompts of all difficulties."""
        size = (number, 1, 1)
        tests, mean = rng.integers(3, MOST + 1, size), rng.beta(1.0, 1.2, size)
        quality = stats.beta.pdf(CHANCES[:, None], 2 * mean + 0.1, 2 * (1 - mean) + 0.1)
        quality /= quality.sum(axis=1, keepdims=True)
        passed = np.arange(MOST + 1)
        joint = quality * stats.binom.pmf(passed, tests, CHANCES[:, None])
        seen, good = joint.sum(axis=1), (joint * CHANCES[:, None] ** HIDDEN).sum(axis=1)
        written = rng.beta(1.0, 1 / max(self.written_for, 1e-9), (number, 1))
        top = passed == tests[:, 0]
        chances = (1 - written) * seen + written * top
        gold = (1 - written) * good / np.maximum(chances, 1e-300)
        return Prompts(np.minimum(passed / tests[:, 0], 1.0), chances, gold)

    def draw(self, rng: np.random.Generator, prompts: Prompts, samples: int) -> tuple[Array, Array]:
        """(prompts, samples) proxy and gold."""
        edges = prompts.chances.cumsum(axis=1)[:, None, :-1]
        place = (rng.random((len(edges), samples, 1)) > edges).sum(axis=2)
        proxy, rate = (np.take_along_axis(x, place, axis=1) for x in (prompts.shares, prompts.gold))
        return proxy, (rng.random(rate.shape) < rate).astype(float)

    def truth(self, prompts: Prompts, tilts: Array) -> tuple[Array, Array, Array]:
        """KL, proxy gain and gold gain at shared tilts, the mean over prompts; (tilts,) each."""
        kl, proxy, gold = (np.empty(len(tilts)) for _ in range(3))
        for at, tilt in enumerate(tilts):
            weights = prompts.chances * np.exp(tilt * (prompts.shares - 1))
            total = weights.sum(axis=1, keepdims=True)
            new = weights / total
            moved = (new - prompts.chances) * prompts.shares, (new - prompts.chances) * prompts.gold
            proxy[at], gold[at] = (x.sum(axis=1).mean() for x in moved)
            log = tilt * (prompts.shares - 1) - np.log(total)
            kl[at] = (new * log).sum(axis=1).mean()
        return kl, proxy, gold

    def best_of_n(self, prompts: Prompts, sizes: Array) -> Array:
        """Mean gold gain of best-of-N selected by the proxy, at each N."""
        above = np.minimum(prompts.chances.cumsum(axis=1), 1.0)
        below = np.c_[np.zeros(len(above)), above[:, :-1]]
        moved = np.stack([above**n - below**n for n in sizes]) - prompts.chances
        return np.asarray((moved * prompts.gold).sum(axis=2).mean(axis=1))


TESTS = (TestsFamily("hidden tests", 0.0), TestsFamily("written for visible tests", 0.08))
