"""Samples of the base model as candidates: prompts of one size together, in a canonical order.

Subsets are dealt at random, and the deal must not follow the order of a file: within a prompt
samples ascend by proxy and then gold, and prompts are ordered by their content.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from klimit.estimate.best_of_n.candidates import Candidates
from klimit.estimate.best_of_n.ranked import Ranked, ranked_pairs
from klimit.estimate.kernel import Floats
from klimit.estimate.samples import Integers

_CHUNK = 2**18  # numbers handled at once


@dataclass(frozen=True)
class Sheet:
    """Prompts with the same number of samples.

    Attributes
    ----------
    prompts : (rows,) index of each row's prompt
    proxy : (rows, samples) what selects, ascending, less the prompt's best
    gold : (rows, samples) what is read, centred at the prompt's mean
    """

    prompts: Integers
    proxy: Floats
    gold: Floats

    @property
    def samples(self) -> int:
        """Samples of each prompt."""
        return int(self.proxy.shape[1])

    def ranked(self, *, by_gold: bool) -> Ranked:
        """The same for `by_prompt` of best-of-N; read by the proxy itself unless `by_gold`."""
        proxy = self.proxy - self.proxy.mean(axis=1, keepdims=True)
        return Ranked(self.prompts, self.proxy, self.gold if by_gold else proxy)

    def pieces(self, *, width: int = 1) -> Iterator[slice]:
        """Rows that are handled at once if each of their numbers becomes `width` numbers."""
        step = max(1, _CHUNK // (self.samples * max(width, 1)))
        for start in range(0, len(self.prompts), step):
            yield slice(start, start + step)


def sheets(found: Candidates) -> list[Sheet]:
    """All prompts, one sheet per number of samples."""
    chunks: dict[int, list[Ranked]] = {}
    for chunk in ranked_pairs(found.rewards, found.read, found.lengths):
        chunks.setdefault(chunk.samples, []).append(chunk)
    made = []
    for size in sorted(chunks):
        parts = chunks[size]
        prompts = np.concatenate([part.prompts for part in parts])
        proxy = np.concatenate([part.rewards for part in parts])
        gold = np.concatenate([part.read for part in parts])
        proxy = proxy - proxy[:, -1:]
        order = _by_content(proxy, gold)
        made.append(Sheet(prompts[order], proxy[order], gold[order]))
    return made


def pooled_scale(made: list[Sheet]) -> float:
    """Standard deviation of the proxy within prompts, which weigh equally; reward units."""
    each = np.concatenate([sheet.proxy.var(axis=1, ddof=1) for sheet in made])
    return float(np.sqrt(np.sort(each).mean()))


def _by_content(proxy: Floats, gold: Floats) -> Integers:
    uneven = np.random.default_rng(proxy.shape[1]).random((2, proxy.shape[1]))
    keys = []
    for values, weight in zip((proxy, gold), uneven, strict=True):
        scale = float(np.abs(values).max()) or 1.0
        keys.append(np.round(np.einsum("ij,j->i", values, weight) / scale, 9))
    return np.lexsort(keys)
