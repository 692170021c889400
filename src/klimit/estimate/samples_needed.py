"""How many prompts, and how many samples of each, make the gain as exact as is wanted.

The squared error of an estimated gain has three parts, and each falls in its own way:

* how prompts differ: between / K, bought down by prompts alone;
* which samples were drawn: within / (K M^a), bought down by either;
* bias: as M^-a, bought down by samples alone, however many prompts there are.

The exponent a is measured from the data at hand: 1 where no weight dominates, less near the
largest KL that the samples reach. Variance and bias of a log-mgf share it, both being its
chi-square over M.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from klimit.estimate.intervals import DOUBT, leave_out_error
from klimit.estimate.kernel import Floats
from klimit.estimate.members import front
from klimit.estimate.statistics import FEWEST
from klimit.estimate.tilted import redrawn_gain

if TYPE_CHECKING:
    from klimit.estimate.bands import Bands
    from klimit.estimate.result import Frontier

FEWEST_PROMPTS = 10  # fewer do not show how much prompts differ
FURTHEST = 1e5  # times the least samples that are needed: no plan asks for more
ROOM = 2.0  # nats from a budget to log M: nearer, corrections are large and may be off


@dataclass(frozen=True)
class ErrorSplit:
    """Where the error of a gain comes from, at the sizes at hand.

    Attributes
    ----------
    prompts, samples : K, and M (the geometric mean where prompts differ)
    between, within : standard error, over the gain
    bias : likely size of what is left of the bias, over the gain
    rate : exponent a of the fall in M

    Examples
    --------
    >>> split = ErrorSplit(50, 64.0, between=0.04, within=0.02, bias=0.02, rate=1.0)
    >>> round(split.error(), 4), round(split.error(prompts=200, samples=64), 4)
    (0.049, 0.03)
    >>> split.next_purchase
    'prompts'
    """

    prompts: int
    samples: float
    between: float
    within: float
    bias: float
    rate: float

    def error(self, *, prompts: float | None = None, samples: float | None = None) -> float:
        """Root mean square error over the gain, with so many prompts and samples of each."""
        fewer_prompts = self.prompts / (self.prompts if prompts is None else prompts)
        fewer_samples = (self.samples / (self.samples if samples is None else samples)) ** self.rate
        spread = fewer_prompts * (self.between**2 + self.within**2 * fewer_samples)
        return float(np.sqrt(spread + (self.bias * fewer_samples) ** 2))

    @property
    def next_purchase(self) -> str:
        """``"prompts"`` or ``"samples"``: which lowers the error more, reward for reward.

        One percent more rewards, spent on prompts, takes one percent off ``between^2 + within^2``;
        spent on samples of the same prompts, ``rate`` percent off ``within^2`` and twice that off ``bias^2``.
        """
        return "prompts" if self.favour >= 0 else "samples"

    @property
    def favour(self) -> float:
        """By how much prompts lower the error more, over what both do: -1 to 1."""
        by_prompts = self.between**2 + self.within**2
        by_samples = self.rate * (self.within**2 + 2 * self.bias**2)
        return (by_prompts - by_samples) / max(by_prompts + by_samples, 1e-300)

    def cheapest(self, error: float, *, least_samples: float) -> tuple[int, int]:
        """Prompts and samples of each that reach `error` with the fewest rewards in all.

        The spread at hand is itself measured on few prompts, so it is taken at its upper limit
        (one-sided, 80 %); numbers are rounded up to two digits.
        """
        samples = np.geomspace(least_samples, FURTHEST * least_samples, 4001)
        best = int(np.argmin(samples * self._prompts_for(error, samples)))
        per_prompt = up(float(samples[best]))
        return up(float(self._prompts_for(error, np.array([float(per_prompt)]))[0])), per_prompt

    def least_bias(self, least_samples: float) -> float:
        """What is left of the bias, over the gain, with the most samples that `cheapest` looks at."""
        return float(self.bias * (self.samples / (FURTHEST * least_samples)) ** self.rate)

    def _prompts_for(self, error: float, samples: Floats) -> Floats:
        """Prompts that reach `error` with so many samples of each; inf if bias alone is more."""
        falling = (self.samples / samples) ** self.rate
        room = error**2 - (self.bias * falling) ** 2
        spread = self._margin * self.prompts * (self.between**2 + self.within**2 * falling)
        needed = np.where(room > 0, spread / np.where(room > 0, room, 1.0), np.inf)
        return np.maximum(needed, FEWEST_PROMPTS)

    @property
    def _margin(self) -> float:
        """Upper limit of a variance over its estimate from so many prompts."""
        from scipy.special import chdtri

        return float((self.prompts - 1) / chdtri(self.prompts - 1, 0.8))


def error_split(limit: Frontier, kl: float) -> ErrorSplit:
    """Where the error of ``limit.gain(kl)`` comes from, for prompts drawn from a population.

    The draw of samples is told from how prompts differ by the influence of each sample on its
    prompt's log-mgf, ``w - 1 - tilt * x`` with w the sample's weight. What the correction adds to
    the plug-in's variance is counted as due to samples.
    """
    members = limit.members
    assert members is not None
    budget, grid = np.array([kl]), members.grid
    plain, chosen = (front(x, grid, budget) for x in (members.uncorrected, members.corrected))
    plain_error, error = (
        float(leave_out_error(x.gain[1:], x.gain[0], members.weights)[0]) for x in (plain, chosen)
    )
    samples, tilt = limit.samples, float(plain.tilt[0, 0])
    within = min(redrawn_gain(samples, tilt) + max(error**2 - plain_error**2, 0.0), error**2)
    gain = float(limit.curve.at_kl(kl).gain)
    bias, rate = bias_at(limit.bands, kl)
    return ErrorSplit(
        prompts=samples.prompts,
        samples=samples.size,
        between=float(np.sqrt(error**2 - within)) / gain,
        within=float(np.sqrt(within)) / gain,
        bias=bias,
        rate=rate,
    )


def bias_at(bands: Bands, kl: float) -> tuple[float, float]:
    """Likely size of the remaining bias over the gain, and the exponent with which samples cure it."""
    at, nodes = np.log(max(kl, bands.kl[0])), np.log(bands.kl)
    doubt = np.nan_to_num(bands.doubt, posinf=1.0)
    rising = np.maximum.accumulate(doubt)  # a dip is luck
    return float(np.interp(at, nodes, rising)), float(np.interp(at, nodes, bands.rate))


def least_samples(split: ErrorSplit, kl: float) -> float:
    """Samples of a prompt below which `kl` nats would not be trusted, or only just."""
    by_bias = split.samples * float((split.bias / DOUBT) ** (1 / split.rate))
    return max(float(FEWEST), by_bias, float(np.exp(kl + ROOM)))


def up(number: float) -> int:
    """Rounded up to two digits."""
    digits = 10 ** max(int(np.floor(np.log10(number))) - 1, 0)
    return int(np.ceil(round(number / digits, 9)) * digits)
