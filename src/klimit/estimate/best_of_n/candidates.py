"""The samples that best-of-N is estimated from: complete, aligned, and enough of every prompt."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from klimit._errors import ArgumentError, DataError, warn
from klimit._text import safe
from klimit.estimate.best_of_n.ranked import Ranked, ranked_pairs, ranked_samples
from klimit.estimate.checks import has_booleans
from klimit.estimate.inputs import beside, known_means, reward_column
from klimit.estimate.kernel import Floats
from klimit.estimate.missing import lacking
from klimit.estimate.samples import Integers, Samples, shown
from klimit.rollouts.words import counted

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

_SAME = 1e-12  # of the largest reward: two that are nearer are one in other arithmetic
_MANY = 0.01  # of the neighbours within prompts: fewer such pairs change nothing, or are luck
_LOOKED_AT = 2**17  # samples; so many show whether there are many


@dataclass(frozen=True)
class Candidates:
    """Answers to choose from, prompt after prompt, with a reward each.

    Attributes
    ----------
    rewards, read : (samples,) what selects, and what is read of the selected (the same without a
        judge)
    lengths : (prompts,) samples of each prompt
    tokens : (samples,) lengths of the answers, nan where missing; None where no column has them
    name, read_name : of the rewards
    judged : whether `read` is another reward than `rewards`
    total : prompts seen
    left_out, fewer : prompts with too few samples, and the most samples that one of them has
    missing : samples without reward
    minded : what to mind of those without the judge's, in words
    """

    rewards: Floats
    read: Floats
    lengths: Integers
    tokens: Floats | None
    name: str
    read_name: str
    judged: bool
    total: int
    left_out: int = 0
    fewer: int = 0
    missing: int = 0
    minded: str = ""

    def enough(self, most: int) -> Candidates:
        """Only prompts with `most` samples or more; one sample shows no spread, never enough."""
        largest = int(self.lengths.max(initial=0))
        if 1 <= largest < most:
            raise ArgumentError(
                f"n={most:,} was asked, but no prompt has more than {counted(largest, 'sample')} with "
                f"a reward; ask for n up to {largest:,}, or draw more samples a prompt."
            )
        stay = self.lengths >= max(most, 2)
        if stay.all() or not stay.any():  # where no prompt has two, the frontier says what is wrong
            return self
        rows = np.repeat(stay, self.lengths)
        rewards = self.rewards[rows]
        return replace(
            self,
            rewards=rewards,
            read=self.read[rows] if self.judged else rewards,
            lengths=self.lengths[stay],
            tokens=None if self.tokens is None else self.tokens[rows],
            left_out=int((~stay).sum()),
            fewer=int(self.lengths[~stay].max()),
        )

    def warn_of_near_ties(self) -> None:
        """Warn where rewards differ by rounding alone, so that ties go unseen."""
        some = self.rewards[:_LOOKED_AT]
        prompt = np.searchsorted(np.cumsum(self.lengths), np.arange(len(some)), side="right")
        sorted_ = some[np.lexsort((some, prompt))]
        largest = np.abs(sorted_).max(initial=0.0)
        gap = np.where(prompt[1:] == prompt[:-1], np.diff(sorted_), np.inf)
        near = (gap > 0) & (gap <= _SAME * largest)
        if near.sum() >= max(_MANY * np.isfinite(gap).sum(), 1):
            at = int(np.argmax(near))
            low, high = float(sorted_[at]), float(sorted_[at + 1])
            decimals = 10 - math.ceil(math.log10(largest))
            warn(
                f"reward {safe(self.name, longest=40)!r} has values that differ by rounding alone, such as "
                f"{low!r} and {high!r}; they do not tie, which raises the KL of best-of-N. If they are "
                f"meant to be equal, round them: round(reward, {decimals})."
            )

    def rows(self) -> Any:
        """What is read, as `klimit.frontier` takes it."""
        if len(self.lengths) and (self.lengths == self.lengths[0]).all():
            return self.read.reshape(len(self.lengths), int(self.lengths[0]))
        return np.split(self.read, np.cumsum(self.lengths)[:-1])

    def ranked(self, samples: Samples) -> Iterator[Ranked]:
        """Chunks of prompts in ascending order of what selects; `samples` are of what is read."""
        if self.judged:
            return ranked_pairs(self.rewards, self.read, self.lengths)
        return ranked_samples(samples)

    @property
    def two_levels(self) -> bool:
        """Whether only two rewards occur, and they select as well as read."""
        low, high = self.read.min(), self.read.max()
        return not self.judged and bool(((self.read == low) | (self.read == high)).all())

    @property
    def zero_one(self) -> bool:
        """Whether rewards are 0 and 1 and select as well as read, so that best-of-N is pass@N."""
        return not self.judged and bool(((self.read == 0) | (self.read == 1)).all())

    def token_means(self) -> Floats | None:
        """Mean tokens of an answer, prompt by prompt; prompts without a count are left out."""
        if self.tokens is None:
            return None
        means = known_means(self.tokens, self.lengths)
        return means if len(means) else None

    def notes(self) -> tuple[str, ...]:
        """What was left out, in words."""
        found = []
        if self.left_out:
            verb = "has" if self.left_out == 1 else "have"
            few = (
                f"at most {counted(self.fewer, 'sample')}" if self.fewer else "no sample to choose"
            )
            found.append(
                f"{self.left_out:,} of {self.total:,} prompts {verb} {few} and cannot show the largest N: "
                "left out for every N shown, so that all N speak of the same prompts."
            )
        if self.missing:
            what = "reward is" if self.missing == 1 else "rewards are"
            found.append(f"{self.missing:,} {what} missing and left out.")
        if self.minded:
            found.append(self.minded)
        return tuple(found)


def candidates(base: Any, reward: str | None, judge: Any, role: str = "judge") -> Candidates:
    """Read what selects and, if given, what judges in its role; a sample without either is left out."""
    named = isinstance(judge, str) and hasattr(base, "one_reward")
    wanted = [base.one_reward(judge)] if named else []
    column = reward_column(base, reward, others=(*wanted, *_counts(base)))
    tokens = column.others.get("tokens") if _counts(base) else None
    read, read_name = column.values, column.name
    if named:
        read, read_name = column.others[wanted[0]], wanted[0]
    elif judge is not None:
        read, read_name = beside(judge, column, role), role
    rewards, lengths = column.values, np.asarray(column.lengths, dtype=np.int64)
    missing = np.isnan(rewards) if judge is None else np.isnan(rewards) | np.isnan(read)
    gone, minded = int(missing.sum()), ""
    if gone:
        if missing.all():
            raise DataError(
                f"no sample has both rewards, {safe(column.name)} and {safe(read_name)}; score the same "
                "samples with both."
            )
        if judge is not None:
            minded = lacking(rewards, read, lengths, (column.name, read_name))
        lengths, rewards = shown(~missing, lengths), rewards[~missing]
        read = rewards if judge is None else read[~missing]
        tokens = None if tokens is None else tokens[~missing]
    return Candidates(
        rewards, read, lengths, tokens, column.name, read_name, judge is not None,
        total=len(lengths), missing=gone, minded=minded,
    )  # fmt: skip


def _counts(base: Any) -> tuple[str, ...]:
    """The column of token counts, where Rollouts have one."""
    table = getattr(base, "table", None)
    if table is None or "tokens" not in table.names:
        return ()
    column = table.columns(["tokens"])["tokens"]
    return ("tokens",) if column.dtype.is_numeric() and column.count() else ()


def sizes_asked(n: ArrayLike) -> Integers:
    """Numbers of draws as whole numbers, in the shape they were given."""
    try:
        asked = np.asarray(n)
    except ValueError:
        asked = np.empty((), dtype=object)
    expected = "whole numbers of draws, 1 or more, were expected, such as n=[1, 4, 16]"
    if asked.dtype.kind not in "iuf" or asked.ndim > 1 or has_booleans(n):
        raise ArgumentError(f"n={safe(n)} was given; {expected}.")
    if not asked.size:
        raise ArgumentError(f"n is empty; {expected}.")
    bad = ~(np.isfinite(asked) & (asked >= 1) & (asked == np.floor(asked)))
    if bad.any():
        raise ArgumentError(
            f"n={np.atleast_1d(asked)[np.atleast_1d(bad)][0]:g} was given; {expected}."
        )
    whole: Integers = np.minimum(asked, 2**62).astype(np.int64)
    return whole
