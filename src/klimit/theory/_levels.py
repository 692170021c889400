"""Where each outcome's reward stands among the rewards of its prompt, tiny tails included."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from klimit.theory._check import Floats
from klimit.theory._outcomes import Outcomes

Ties = Literal["uniform", "fixed"]


@dataclass(frozen=True, slots=True, eq=False)
class Levels:
    """The reward level of every outcome, in the order of the outcomes.

    Attributes
    ----------
    mass : probability m of the level
    lower : probability F- of a lower level
    upper : probability of a higher level
    log_cdf : log F, the log probability of a level at most as high
    log_below : log(F- / F); minus infinity for the lowest level
    win : chance to beat one draw of the base, ties counting half
    """

    mass: Floats
    lower: Floats
    upper: Floats
    log_cdf: Floats
    log_below: Floats
    win: Floats


def levels(law: Outcomes, ties: Ties = "uniform") -> Levels:
    """Rank outcomes by reward; equal rewards form one level or, with fixed ties, rank by index."""
    reward = law.reward  # below the top near rewards would tie
    order = np.argsort(reward, axis=-1, kind="stable")
    reward = np.take_along_axis(reward, order, axis=-1)
    prob = np.take_along_axis(law.prob, order, axis=-1)
    begins = np.ones(prob.shape, dtype=bool)
    if ties == "uniform":
        begins[..., 1:] = reward[..., 1:] != reward[..., :-1]
    starts = np.flatnonzero(begins)
    sizes, sums = np.diff(starts, append=prob.size), np.add.reduceat(prob.ravel(), starts)
    begin = starts % prob.shape[-1]
    mass, begin, end = (
        np.repeat(part, sizes).reshape(prob.shape) for part in (sums, begin, begin + sizes)
    )
    # The lower tail is summed from below and the upper tail from above, so that both keep their
    # digits when they are tiny.
    none = np.zeros_like(prob[..., :1])
    from_below = np.concatenate([none, np.cumsum(prob, axis=-1)], axis=-1)
    from_above = np.concatenate([np.cumsum(prob[..., ::-1], axis=-1)[..., ::-1], none], axis=-1)
    lower = np.take_along_axis(from_below, begin, axis=-1)
    upper = np.take_along_axis(from_above, end, axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        log_cdf = np.where(upper < 0.5, np.log1p(-np.minimum(upper, 0.5)), np.log(lower + mass))
        share = np.minimum(mass / np.exp(log_cdf), 0.5)
        log_below = np.where(lower < mass, np.log(lower) - log_cdf, np.log1p(-share))
    found = (mass, lower, upper, log_cdf, log_below, np.exp(log_cdf) - 0.5 * mass)
    place = np.argsort(order, axis=-1)
    return Levels(*(np.take_along_axis(values, place, axis=-1) for values in found))
