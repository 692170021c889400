"""Checkpoints of one run, prompt by prompt: what they gained and spent, and without each group of prompts."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from klimit.rollouts.grouped import Floats, Integers

MOST_GROUPS = 200


@dataclass(frozen=True)
class Points:
    """Gold gain and KL of the checkpoints of one run, by prompt.

    All checkpoints share the prompts, so no errors are independent: every statistic is taken again with
    each group of prompts left out of all of them.

    Attributes
    ----------
    kl_by_prompt, gold_by_prompt : (points, prompts) nats and reward units over the base; nan where a
        checkpoint was not sampled on a prompt, and on all of them where its KL is not known; prompts
        in an order of their content, as `points` makes
    kl_error : (points,) standard error of a KL that was stated, not measured here
    """

    kl_by_prompt: Floats
    gold_by_prompt: Floats
    kl_error: Floats

    @cached_property
    def known(self) -> Integers:
        """Places of the checkpoints whose KL is known."""
        return np.flatnonzero(~np.isnan(self.kl_by_prompt).all(axis=1))

    def only(self, rows: Integers) -> Points:
        """These checkpoints, on the prompts that any of them was sampled on."""
        gold = self.gold_by_prompt[rows]
        there = ~np.isnan(gold).all(axis=0)
        return Points(self.kl_by_prompt[rows][:, there], gold[:, there], self.kl_error[rows])

    @cached_property
    def kl(self) -> Floats:
        """(points,) mean over prompts; below 0 it is noise about 0."""
        return np.asarray(np.maximum(np.nanmean(self.kl_by_prompt, axis=1), 0.0))

    @cached_property
    def gold(self) -> Floats:
        """(points,) mean over prompts."""
        return np.asarray(np.nanmean(self.gold_by_prompt, axis=1))

    @cached_property
    def kl_without(self) -> Floats:
        """(points, groups) KL with each group left out."""
        return np.maximum(self._without(self.kl_by_prompt), 0.0)

    @cached_property
    def gold_without(self) -> Floats:
        """(points, groups) gain with each group left out."""
        return self._without(self.gold_by_prompt)

    @cached_property
    def groups(self) -> Integers:
        """(prompts,) the group of each."""
        return np.arange(self.kl_by_prompt.shape[1]) % MOST_GROUPS

    def covariance(self, full: Floats, without: Floats) -> Floats:
        """Covariance of statistics from their values without each group.

        Parameters
        ----------
        full : (statistics,)
        without : (statistics, groups)
        """
        sizes = np.bincount(self.groups)
        share = 1 - sizes / sizes.sum()
        off = (without - full[:, None]) * share
        off = np.where(np.isfinite(off), off, 0.0)
        found: Floats = off @ off.T * (len(sizes) / max(len(sizes) - 1, 1))
        return found

    @property
    def degrees(self) -> int:
        """Degrees of freedom of what prompts vary."""
        return max(int(self.groups.max()), 1)

    def _without(self, values: Floats) -> Floats:
        number = int(self.groups.max()) + 1
        member = np.eye(number)[self.groups]
        seen = ~np.isnan(values)
        known = np.where(seen, values, 0.0)
        rest = seen.sum(axis=1, keepdims=True) - seen @ member
        sums = known.sum(axis=1, keepdims=True) - known @ member
        with np.errstate(invalid="ignore"):
            found: Floats = np.where(rest > 0, sums / np.maximum(rest, 1), np.nan)
        return found


def points(kl_by_prompt: Floats, gold_by_prompt: Floats, kl_error: Floats) -> Points:
    """Checkpoints whose prompts stand in an order of their content: no digit depends on the file's."""
    order = np.lexsort(np.nan_to_num(np.concatenate([kl_by_prompt, gold_by_prompt])))
    return Points(kl_by_prompt[:, order], gold_by_prompt[:, order], kl_error)
