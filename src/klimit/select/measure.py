"""What each rule keeps, prompt by prompt, from samples of which N are the candidates.

Best-of-N is averaged over all N-subsets exactly, by order weights. The other rules are averaged
over disjoint subsets that are dealt at random, of all samples where N is all. Every subset is a draw
of N answers of the base model, so the mean is unbiased for any N. The deal must not follow the order of
a file: within a prompt samples ascend by proxy and then gold, and prompts are ordered by their content.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from klimit.estimate.best_of_n.candidates import Candidates
from klimit.estimate.best_of_n.prompts import by_prompt
from klimit.estimate.best_of_n.ranked import Ranked, ranked_pairs
from klimit.estimate.kernel import Floats
from klimit.estimate.samples import Integers
from klimit.select.rules import pessimistic_weights, soft_weights

Rule = Callable[[Floats, object, float], Floats]
RULES: dict[str, Rule] = {"soft best-of-n": soft_weights, "pessimism": pessimistic_weights}
_CHUNK = 2**18  # numbers handled at once
_DEALT = 2**22  # candidates dealt in all, at about which more deals add nothing but time


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


@dataclass(frozen=True)
class Kept:
    """All arrays (settings, prompts); rewards are those of the kept answer over the base's mean.

    Attributes
    ----------
    gold, proxy : reward units
    kl : nats: of best-of-N by reward levels; of the other rules an upper bound on average
    coverage : mean of policy / base under the policy, an upper bound on average
    """

    gold: Floats
    proxy: Floats
    kl: Floats
    coverage: Floats

    def __add__(self, other: Kept) -> Kept:
        pairs = ((getattr(self, name), getattr(other, name)) for name in self.__annotations__)
        return Kept(*(np.concatenate(pair) for pair in pairs))


def best_of(made: Sequence[Sheet], sizes: Sequence[int], prompts: int) -> Kept:
    """Best-of-N for every size."""
    gold = by_prompt([s.ranked(by_gold=True) for s in made], sizes, prompts, judged=True)
    proxy = by_prompt([s.ranked(by_gold=False) for s in made], sizes, prompts, judged=False)
    number = np.asarray(sizes, dtype=float)
    cover = np.broadcast_to((number**2 / (2 * number - 1))[:, None], gold.gain.shape)
    return Kept(gold.gain, proxy.gain, gold.kl, np.array(cover))


def of_rule(
    rule: Rule, made: Sequence[Sheet], betas: Sequence[float], n: int, prompts: int, *, seed: int
) -> Kept:
    """A rule that chooses among `n` candidates, at every beta."""
    shape = (len(betas), prompts)
    out = Kept(*(np.zeros(shape) for _ in range(4)))
    total = sum(sheet.proxy.size for sheet in made)
    for sheet in made:
        whole = n == sheet.samples
        deals = 1 if whole else int(np.clip(_DEALT // (total * len(betas)), 2, 16))
        rng = np.random.default_rng([seed, sheet.samples, n])
        for rows in sheet.pieces(width=deals):
            proxy, gold, to = sheet.proxy[rows], sheet.gold[rows], sheet.prompts[rows]
            place = _deal(rng, len(to), sheet.samples, n, deals)
            x = np.take_along_axis(proxy, place, axis=1).reshape(len(to), -1, n)
            y = np.take_along_axis(gold, place, axis=1).reshape(x.shape)
            below, sets = x - x.max(axis=-1, keepdims=True), x.shape[1]
            for i, beta in enumerate(betas):
                chance = rule(below, True, beta)
                more = chance - 1 / n  # over the mean of its own set, whose luck then cancels
                out.gold[i, to] = np.einsum("abc,abc->a", more, y) / sets
                out.proxy[i, to] = np.einsum("abc,abc->a", more, x) / sets
                _spend(out, i, to, chance.reshape(len(to), -1) * n, place, sheet.samples)
    return out


def _deal(rng: np.random.Generator, rows: int, samples: int, n: int, deals: int) -> Integers:
    """(rows, sets * n) places of samples: `deals` random splits into disjoint sets of n."""
    if n == samples:
        return np.broadcast_to(np.arange(samples), (rows, samples))
    used = samples // n * n
    parts = [np.argsort(rng.random((rows, samples)), axis=1)[:, :used] for _ in range(deals)]
    return np.concatenate(parts, axis=1)


def _spend(out: Kept, at: int, to: Integers, weight: Floats, place: Integers, samples: int) -> None:
    """KL and coverage of the mean weight that each sample has over the sets that it is dealt to.

    A weight given some candidates is the policy's ratio to the base plus noise, and both are convex
    in it: what is found is too much on average, and the less so the more sets a sample is in.
    """
    rows = np.arange(len(to))[:, None] * samples
    flat = (rows + place).ravel()
    total = np.bincount(flat, weight.ravel(), minlength=len(to) * samples)
    often = np.bincount(flat, minlength=len(to) * samples)
    mean = (total / np.maximum(often, 1)).reshape(len(to), samples)
    share = often.reshape(len(to), samples) / place.shape[1]
    with np.errstate(divide="ignore", invalid="ignore"):
        spent = np.where(mean > 0, mean * np.log(mean), 0.0)
    out.kl[at, to] = np.maximum((share * spent).sum(axis=1), 0.0)
    out.coverage[at, to] = (share * mean**2).sum(axis=1)
