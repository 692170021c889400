"""Lists of prompts to train on, or to leave out: by what their own samples show."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from klimit._errors import ArgumentError, DataError
from klimit._text import safe
from klimit.estimate.best_of_n.order_weights import chance_below
from klimit.estimate.checks import check_choice, is_number, whole
from klimit.estimate.kernel import Floats
from klimit.estimate.rates_by_prompt import Passes

if TYPE_CHECKING:
    import polars as pl

    from klimit.estimate.result import Frontier
    from klimit.estimate.samples import Samples

LISTS = ("headroom", "zero-signal", "saturated")
NEARLY = 0.9  # share of samples at the best possible reward from which a prompt is saturated
GROUP = 8  # completions of a prompt in a batch of GRPO


def prompt_list(
    limit: Frontier, kl: float, by: str, *, nearly: float = NEARLY, group: int = GROUP
) -> pl.DataFrame:
    """Which prompts have the most to gain, which give no gradient, and which are solved?

    Parameters
    ----------
    kl : nats per sequence, for gain and kl of each prompt
    by : ``"headroom"``: all prompts, the largest headroom first. ``"zero-signal"``: those whose
        samples all have one reward; a group of equal rewards gives GRPO and RLOO no gradient.
        ``"saturated"``: those of whose samples nearly all have the best possible reward
    nearly : share of samples that makes a prompt saturated
    group : completions in a group, for `no_signal`

    Returns
    -------
    polars frame
        The columns of `Frontier.prompts`, and: at_top, the share of samples with the best possible
        reward (the upper end of `reward_range`, stated or implied by 0/1 rewards; else the best
        reward seen, and 0 where all rewards are one); no_signal, the chance that `group` new
        samples have one reward. Of two-valued rewards by what the pass rate of the prompt may be,
        given all prompts; else by drawing `group` of its samples, without bias, and null where it
        has fewer.

    Raises
    ------
    ArgumentError
        For another `by`, or where `nearly` or `group` cannot be.

    Examples
    --------
    >>> from klimit.estimate.frontier import frontier
    >>> limit = frontier([[0, 0, 0, 1], [1, 1, 1, 1], [0, 0, 0, 0], [0, 1, 0, 1]])
    >>> prompt_list(limit, 0.5, "zero-signal")["prompt_id"].to_list()
    [1, 2]
    >>> prompt_list(limit, 0.5, "headroom", group=2)["no_signal"].round(2).to_list()
    [0.61, 0.6, 0.69, 0.99]
    """
    import polars as pl

    check_choice("by", by, LISTS)
    if not is_number(nearly) or not 0 < nearly <= 1:
        raise ArgumentError(
            f"nearly={safe(nearly, longest=40)} was given; a share of samples was expected: 0.9."
        )
    group = whole("group", group, "completions")
    if limit.settings.objective != "reward":
        raise DataError(
            "the samples of a win-rate limit are ranks; lists need rewards: objective='reward'."
        )
    samples = limit.samples
    frame = limit.prompts(kl).with_columns(
        pl.Series("at_top", at_top(limit)),
        pl.Series("no_signal", _no_signal(samples, group)).fill_nan(None),
    )
    if by == "headroom":
        return frame.sort("headroom", "gain", descending=True, maintain_order=True)
    if by == "zero-signal":
        keep = frame.filter(pl.Series(samples.variances == 0))
        return keep.sort("samples", descending=True, maintain_order=True)
    keep = frame.filter(pl.col("at_top") >= nearly)
    return keep.sort("at_top", "samples", descending=True, maintain_order=True)


def at_top(limit: Frontier) -> Floats:
    """(prompts,) share of samples with the best possible reward.

    Where no range says what that is, it is the best of all rewards; none is where all are equal.
    """
    samples, stated = limit.samples, limit.settings.reward_range
    best = samples.means + samples.tops
    if stated is None and samples.scale == 0 and np.ptp(best) == 0:
        return np.zeros(samples.prompts)
    top = float(best.max()) if stated is None or not np.isfinite(stated[1]) else stated[1]
    width = max(samples.scale, abs(top) * 1e-3, 1e-300)
    return np.where(best >= top - 1e-6 * width, samples.ties / samples.counts, 0.0)


def _no_signal(samples: Samples, group: int) -> Floats:
    """(prompts,) as `no_signal`; of verdicts what the pass rate is likely to be says, from all prompts."""
    passes = Passes.of(samples)
    if passes is None:
        return no_signal(samples, group)
    return passes.expected(lambda rate: rate**group + (1 - rate) ** group)[0]


def no_signal(samples: Samples, group: int) -> Floats:
    """(prompts,) chance that so many samples, without replacement, are equal; nan where there are fewer."""
    chance = np.full(samples.prompts, np.nan)
    for prompt, rewards in samples.rewards_by_prompt():
        if len(rewards) >= group:
            runs = np.diff(np.flatnonzero(np.diff(rewards, prepend=-np.inf, append=np.inf)))
            chance[prompt] = chance_below(group, len(rewards))[runs].sum()
    return chance
