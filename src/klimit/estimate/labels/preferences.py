"""Judged pairs instead of gold: the answer of `klimit.hacking` with judgements."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from klimit._errors import DataError
from klimit._estimate import Estimate
from klimit._text import safe
from klimit.estimate.checks import check_seed, whole
from klimit.estimate.labels.choosing import none_twice, shares, systematic
from klimit.estimate.labels.entry import LEAST, LEAST_PROMPTS
from klimit.estimate.labels.judged import read_judgements
from klimit.estimate.labels.pairwise import Pairing
from klimit.estimate.labels.powered import Powered
from klimit.estimate.labels.reading import CHANCE, ROUND, Known, proxy_frontier, sample_names, texts
from klimit.estimate.labels.result import Sparse
from klimit.estimate.proxy.checks import check_varies
from klimit.estimate.result import Frontier

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import ArrayLike

_EVEN = 0.1


@dataclass(frozen=True, repr=False)
class FewJudgements(Sparse):
    """How often the proxy's best policy beats a draw of the base, from judged pairs of base samples.

    Made by `klimit.hacking` with judgements. KL in nats per sequence.

    Attributes
    ----------
    known : the samples with their proxies
    proxy : frontier of the proxy over all samples
    pairing : the judgements, with what predicts them
    """

    known: Known
    proxy: Frontier
    pairing: Pairing
    _what = "judgements"

    @property
    def names(self) -> tuple[str, str]:
        """Of the proxy and of what judges it."""
        return self.known.column.name, "win rate"

    @property
    def number(self) -> int:
        """How many judgements are used."""
        return len(self.pairing.judgements.won)

    @property
    def labelled_prompts(self) -> int:
        """How many prompts have a judged pair."""
        return len(self.pairing.labels.prompts)

    @property
    def ties(self) -> float:
        """Share of judgements that are ties."""
        return float((self.pairing.judgements.won == 0.5).mean())

    @property
    def agreement(self) -> Estimate:
        """How often judges prefer the sample that the proxy prefers, ties half; of the pairs as judged."""
        judged, proxy = self.pairing.judgements, self.known.rows.proxy
        side = np.sign(proxy[judged.first] - proxy[judged.second])
        agree = 0.5 + side * (judged.won - 0.5)
        labels = self.pairing.labels
        each, weight = labels.sum(agree), labels.counts.astype(float)
        mean = float(each.sum() / weight.sum())
        error = math.sqrt(float(((each - mean * weight) ** 2).sum())) / float(weight.sum())
        level = self.proxy.settings.level
        from klimit.estimate.labels.result import quantile

        reach = quantile(level, max(len(weight) - 1, 1)) * error
        return Estimate(mean, max(mean - reach, 0.0), min(mean + reach, 1.0), level)

    def win_rate(self, kl: ArrayLike) -> Estimate:
        """How often does the proxy's best policy at `kl` nats beat a draw of the base, ties half?"""
        found = self.gold_gain(kl)
        ends = (np.clip(np.asarray(x) + 0.5, 0, 1) for x in (found.value, found.low, found.high))
        return Estimate.of(*ends, level=found.level, trusted=found.trusted, note=found.note)

    @property
    def _spread(self) -> float:
        return 12**-0.5  # of a win rate

    def _found(self, kl: float, *, seeing: bool) -> Powered:
        return self.pairing.at(self._tilting(kl), seeing=seeing)

    def next(self, n: int, *, kl: float | None = None, seed: int | None = None) -> pl.DataFrame:
        """Which pairs should be judged next to know the win rate at `kl` nats best?

        Parameters
        ----------
        n : judgements
        kl : nats of interest; the trusted KL, or 1 nat if that is less, if not given
        seed : of the draw

        Returns
        -------
        polars frame, a row per pair
            prompt_id, sample_a and sample_b (ids, or places within the prompt from 0, in random order),
            prompt, completion_a and completion_b where known, label_chance and label_round, to be kept
            beside `preferred`.
        """
        n = whole("n", n, "judgements", least=1)
        seed = self.proxy.settings.seed if seed is None else seed
        check_seed(seed)
        last = int(self.pairing.judgements.round.max(initial=0))
        return pairs_frame(self.known, self.proxy, n, self._interest(kl), last + 1, seed=seed)


def judged(
    base: Any, *, proxy: Any = None, judgements: Any,
    prompts: Literal["drawn", "fixed"] = "drawn", level: float = 0.95, seed: int = 0,
    limit: Frontier | None = None,
) -> FewJudgements:  # fmt: skip
    """How often does the proxy's best policy beat a draw of the base, by judged pairs of base samples?

    `klimit.hacking` comes here with `judgements`: pairs at random within prompts, or chosen by `next`.

    Parameters
    ----------
    base, proxy, judgements, prompts, level, seed : as `klimit.hacking` takes them
    limit : the proxy's frontier on the same samples, if it is known already
    """
    read = read_judgements(base, proxy, judgements, seed=seed)
    prompts_judged = len(np.unique(read.known.rows.prompt[read.first]))
    if len(read.won) < LEAST or prompts_judged < LEAST_PROMPTS:
        raise DataError(
            f"{len(read.won):,} judgements in {prompts_judged:,} prompts are usable; at least {LEAST} "
            f"in {LEAST_PROMPTS} prompts are needed. klimit labels --pairs, or klimit.first_labels(..., "
            "pairs=True), says which to judge."
        )
    if (read.won == 0.5).all():
        raise DataError(
            f"all {len(read.won):,} judgements are ties; nothing can be won or lost. Check the column "
            "preferred (a, b or tie), or judge with a finer question."
        )
    if limit is None:
        limit = proxy_frontier(read.known, prompts=prompts, level=level, seed=seed)
    return FewJudgements(read.known, limit, Pairing.of(read))


def pairs_frame(
    known: Known, limit: Frontier, n: int, kl: float, round_: int, *, seed: int
) -> pl.DataFrame:
    """Pairs of base samples to judge, chosen in proportion to how unequally the tilt weighs them."""
    import polars as pl

    from klimit.estimate.labels.tilting import tilting

    rows = known.rows
    check_varies(rows.proxy, rows.lengths, safe(known.column.name, longest=40))
    tilted = tilting(rows, float(limit.curve.at_kl(kl).tilt))
    share = tilted.weight / tilted.total[rows.prompt]
    even = rows.sum(rows.centred(share) ** 2) * rows.lengths / (rows.lengths - 1)
    rng = np.random.default_rng([seed, 12, n])
    most = rows.lengths * (rows.lengths - 1) / 2
    wanted = shares(np.sqrt(even), most, float(n))
    hits = systematic(wanted, rng)
    first, second, chance = [], [], []
    for prompt in np.flatnonzero(hits):
        at = np.arange(rows.starts[prompt], rows.starts[prompt] + rows.lengths[prompt])
        i, j = np.triu_indices(len(at), 1)
        gap = np.abs(share[at][i] - share[at][j])
        total = float(gap.sum())
        odds = (
            (1 - _EVEN) * gap / total + _EVEN / len(i) if total > 0 else np.full(len(i), 1 / len(i))
        )
        drawn, odds = none_twice(odds, float(wanted[prompt]), float(hits[prompt]), rng)
        first.append(at[i[drawn]])
        second.append(at[j[drawn]])
        chance.append(odds)
    a, b, c = (np.concatenate(x) for x in (first, second, chance))
    turn = rng.random(len(a)) < 0.5
    a, b = known.origin[np.where(turn, b, a)], known.origin[np.where(turn, a, b)]
    order = np.lexsort((b, a, np.searchsorted(np.cumsum(known.whole.lengths), a, side="right")))
    names = sample_names(known.base, known.whole)
    prompt_of = np.searchsorted(np.cumsum(known.whole.lengths), a[order], side="right")
    said = {
        "prompt": texts(known.base, "prompt", a[order]),
        "completion_a": texts(known.base, "completion", a[order]),
        "completion_b": texts(known.base, "completion", b[order]),
    }
    return pl.DataFrame(
        {
            "prompt_id": [str(known.whole.ids[x]) for x in prompt_of],
            "sample_a": [names[x] for x in a[order]],
            "sample_b": [names[x] for x in b[order]],
            **{name: rows for name, rows in said.items() if rows is not None},
            CHANCE: c[order],
            ROUND: np.full(len(a), round_, dtype=np.int64),
        }
    )
