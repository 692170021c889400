"""How labels came about: with which chance each was asked for, round by round.

Labels without a stated chance are missing completely at random: within each labelled prompt, and
prompts without any were left out at random. Later rounds choose among what is not yet labelled, with
chances that may depend on everything known before. Each round alone gives an unbiased estimate in
which earlier labels stand for themselves and its own for ``1 / chance`` samples; rounds are mixed by
weights that no label decides (active inference, arXiv 2403.03208, section 5, without its restriction
to one label at a time).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from klimit.estimate.kernel import Floats
from klimit.estimate.labels.prediction import Labels
from klimit.estimate.samples import Integers


@dataclass(frozen=True)
class Weighing:
    """The labels' weights at one tilt.

    Attributes
    ----------
    times : (labels,) v: how many samples each label stands for
    own : (labels,) the part of it that its own round's chance gives
    excess : (labels,) what the square of a label's residual adds to the variance, over A squared
    """

    times: Floats
    own: Floats
    excess: Floats


@dataclass(frozen=True)
class Design:
    """Chances of labels.

    Attributes
    ----------
    inverse : (labels,) 1 / chance in the label's own round
    round : (labels,) 0 where at random
    chosen : share of prompts with a label at random; 1 if all have, or none is at random
    """

    inverse: Floats
    round: Integers
    chosen: float

    @classmethod
    def of(cls, labels: Labels, chance: Floats, round_: Integers) -> Design:
        """Read chances; labels without one are at random.

        Parameters
        ----------
        chance : (labels,) NaN where at random
        round_ : (labels,) which round asked for the label; 0 where at random
        """
        random = np.isnan(chance)
        inverse = 1 / np.where(random, 1.0, chance)
        counts = np.bincount(labels.group[random], minlength=len(labels.counts))
        chosen = float((counts > 0).sum()) / labels.rows.prompts if random.any() else 1.0
        lengths = labels.rows.lengths[labels.prompts]
        at_random = lengths / np.maximum(counts, 1) / max(chosen, 1e-300)
        inverse = np.where(random, at_random[labels.group], inverse)
        return cls(inverse, np.where(random, 0, round_), chosen)

    def weigh(self, coefficient: Floats) -> Weighing:
        """The labels' weights where gold has these (labels,) coefficients in what is estimated."""
        rounds = np.unique(self.round)
        noise = self.inverse * (self.inverse - 1)
        each = np.array([(coefficient**2 * noise)[self.round == one].sum() for one in rounds])
        everything = np.array([not noise[self.round == one].any() for one in rounds])
        share = everything.astype(float) if everything.any() else inverse_to(each)
        share = share / share.sum()
        at = np.searchsorted(rounds, self.round)
        later = np.concatenate([np.cumsum(share[::-1])[::-1][1:], [0.0]])
        own = share[at] * self.inverse
        return Weighing(own + later[at], own, share[at] ** 2 * noise)


def inverse_to(noise: Floats) -> Floats:
    """Weights of rounds in inverse proportion to their noise; none to one whose labels bear on nothing."""
    bearing = noise > 0
    return np.where(bearing, 1 / np.where(bearing, noise, 1.0), 0.0 if bearing.any() else 1.0)
