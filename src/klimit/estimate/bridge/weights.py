"""Weights that make samples of base and policies one sample of the base.

Any shares ``s_k(y)`` that add up to 1 over the models give an unbiased mean under the base,

    ``E_base f = sum over models k of E_k [f s_k base / k]``    (Veach and Guibas, 1995),

and the balance heuristic ``s_k = M_k k / sum of M_j j`` has hardly more variance than any other.
With normalised log-probabilities it is what the multistate Bennett acceptance ratio becomes, and the
weight of every sample, whoever drew it, is ``1 / sum over j of M_j exp(l_j)`` with ``l_j = log
(policy j / base)``: for one policy ``w = 1 / (a + (1 - a) e^l) / M``, a the base's share of all M.

That takes `l_j` of every sample under every policy. Training logs have it for the policy's own
samples only, so where it is missing the share is made to depend on what is known everywhere, the
reward: any function of the reward will do without bias, and the best one puts

    ``rho_j(r) = E_j[e^-l | r] / E_j[e^-2l | r]``

in place of ``e^l_j`` (a least-variance share; for a ratio that the reward decides it is the ratio
itself). It is fitted as a line of `l_j` on the reward with log-normal scatter of variance v around
it: ``log rho = a_x + b_x (r - mean) - c (r - mean)^2 / variance_x - 1.5 v``. The bend c is one for all
prompts and there only where samples show it: a policy that avoids low rewards, as best-of-n does, has
a ratio that falls ever faster towards them, where it draws nothing that could tell.

Shares may depend on the samples, only never on the one that they are a share of: a sample whose
log-ratio is large by chance lifts its own line, and would be weighed down for it twice (by
``e^(v / n)`` of n samples). So every sample of a policy is read off a line that the others of its
prompt have drawn.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from klimit.estimate.bridge.draws import Pool
from klimit.estimate.kernel import Floats

if TYPE_CHECKING:
    from numpy.typing import NDArray

_ABOVE = 0.25  # nats by which chance may lift a line there
_FLAT = 1e-6  # two levels of reward show no bend


@dataclass(frozen=True)
class Line:
    """``log rho = height + slope x - bend x^2``, x = reward - middle; all (prompts, 1) or wider.

    Past its top it falls again, as for a policy that answers alike: a share of what it never draws would
    hide what the base has there.
    """

    height: Floats
    slope: Floats
    middle: Floats
    bend: Floats

    def at(self, rewards: Floats) -> Floats:
        """(prompts, width) log rho."""
        x = rewards - self.middle
        return self.height + self.slope * x - self.bend * x**2


def log_weights(pool: Pool, chosen: NDArray[np.bool_], log_rho: Floats | None = None) -> Floats:
    """(prompts, width) log weight of each sample, if these were all there are; -inf for the others.

    Parameters
    ----------
    chosen : (prompts, width) samples that count
    log_rho : (states, prompts, width) as `log_shares` finds it, if it is known already

    Returns
    -------
    Weights whose sum over a prompt is 1 in expectation.
    """
    log_rho = log_shares(pool) if log_rho is None else log_rho
    total = np.full(pool.rewards.shape, -np.inf)
    own = np.zeros(pool.rewards.shape)
    for k in range(pool.states):
        from_k = (pool.origin == k) & chosen
        number = from_k.sum(axis=1)
        with np.errstate(divide="ignore"):
            total = np.logaddexp(total, np.log(number)[:, None] + log_rho[k])
        if k:
            own[from_k] = log_rho[k][from_k] - pool.log_ratios[k][from_k]
    return np.where(chosen & (pool.origin >= 0), own - total, -np.inf)


def log_shares(pool: Pool) -> Floats:
    """(states, prompts, width) what stands for the log-ratio of each model in the shares."""
    bend = bends(pool)
    found = np.zeros((pool.states, *pool.rewards.shape))
    for k in range(1, pool.states):
        exact = pool.log_ratios[k]
        if pool.known[k].all():
            found[k] = exact
            continue
        fitted = fit(pool.rewards, exact, pool.origin == k, bend[k])
        found[k] = np.where(pool.known[k][:, None], exact, fitted)
    return found


def bends(pool: Pool) -> Floats:
    """(states, prompts) how much each policy's line bends down: one number over each prompt's variance.

    What is left of log-ratios and of squared rewards after a prompt's own straight line, one against
    the other; 0 where fewer than two standard errors tell of it.
    """
    ours = pool.origin == 0
    variance = np.where(ours, pool.rewards**2, 0.0).sum(axis=1) / np.maximum(ours.sum(axis=1), 1)
    safe = np.where(variance > 0, variance, np.inf)
    found = np.zeros((pool.states, len(pool.rewards)))
    for k in range(1, pool.states):
        drawn = pool.origin == k
        number = drawn.sum(axis=1)
        x, y = (centred(values, drawn) for values in (pool.rewards, pool.log_ratios[k]))
        q = centred(x**2 / safe[:, None], drawn)
        square = (x**2).sum(axis=1)
        use = (number > 2) & (square > 0)
        per = np.where(use, square, np.inf)[:, None]
        q, y = (
            np.where(use[:, None], one - (x * one).sum(axis=1, keepdims=True) / per * x, 0.0)
            for one in (q, y)
        )
        spread, freedom = float((q**2).sum()), int((number[use] - 2).sum()) - 1
        if freedom < 1 or spread < _FLAT * freedom:
            continue
        bend = float((q * y).sum()) / spread
        error = (float(((y - bend * q) ** 2).sum()) / freedom / spread) ** 0.5
        found[k] = max(-bend, 0.0) / safe if -bend > 2 * error else 0.0
    return found


def centred(values: Floats, drawn: NDArray[np.bool_]) -> Floats:
    """Less the mean of a prompt's drawn ones; 0 elsewhere."""
    kept = np.where(drawn, values, 0.0)
    mean = kept.sum(axis=1, keepdims=True) / np.maximum(drawn.sum(axis=1, keepdims=True), 1)
    return np.where(drawn, kept - mean, 0.0)


def fit(rewards: Floats, log_ratios: Floats, drawn: NDArray[np.bool_], bend: Floats) -> Floats:
    """(prompts, width) log rho by each prompt's line, of drawn samples by the line without them.

    Lines are those of least squares, their slopes drawn towards that of all prompts by as much as
    scatter explains how they differ. A log-ratio averages below 0 under the base, by Gibbs' inequality:
    a line that does not at the base's mean reward, 0, cannot be right (all samples have one reward, and
    nothing tells its slope) and gives no share, -inf; so does one that no sample is left to draw.
    """
    n = drawn.sum(axis=1, keepdims=True).astype(float)
    middle = np.where(drawn, rewards, 0.0).sum(axis=1, keepdims=True) / np.maximum(n, 1)
    bend = bend[:, None]
    x = np.where(drawn, rewards - middle, 0.0)
    values = np.where(drawn, log_ratios, 0.0) + bend * x**2
    height = values.sum(axis=1, keepdims=True) / np.maximum(n, 1)
    y = np.where(drawn, values - height, 0.0)
    square, product = ((x * z).sum(axis=1, keepdims=True) for z in (x, y))
    slopes = _Slopes.of(square, product, (y**2).sum(axis=1, keepdims=True), n)
    low = 1.5 * slopes.scatter
    whole = Line(height - low, slopes.at(square, product), middle, bend)
    # without a sample every mean moves by its distance over the number of the others
    others = np.maximum(n - 1, 1)
    moved, less = x / others, square - n / others * x**2
    turned = product - n / others * x * y + 2 * bend * moved * less  # it bends about its own middle
    less = np.where(less > 1e-9 * square, less, 0.0)
    without = Line(height - y / others - bend * moved**2 - low, slopes.at(less, turned),
                   middle - moved, bend)  # fmt: skip
    found, at_base = (np.where(drawn, without.at(r), whole.at(r)) for r in (rewards, 0 * rewards))
    return np.where((n > drawn) & (at_base < _ABOVE), found, -np.inf)


@dataclass(frozen=True)
class _Slopes:
    """What slopes of prompts have in common (DerSimonian and Laird 1986).

    Attributes
    ----------
    common : slope of all prompts
    scatter : variance of log-ratios about a prompt's own line
    apart : variance of the slopes themselves from prompt to prompt
    """

    common: float
    scatter: float
    apart: float

    @classmethod
    def of(cls, square: Floats, product: Floats, all_square: Floats, n: Floats) -> _Slopes:
        """By sums of each prompt, all (prompts, 1): of x², xy and y², and the number of samples.

        Slopes differ only as far as scatter would not make them differ by chance (two standard errors).
        """
        seen, total = square > 0, float(square.sum())
        own = product / np.where(seen, square, 1.0)
        common = float(product.sum()) / total if total > 0 else 0.0
        rest, freedom = (
            float((all_square - own * product).sum()),
            float((n - 1 - seen)[n > 0].sum()),
        )
        if freedom < 1:  # every line through all of its samples
            return cls(common, float((all_square - common * product).sum()), 0.0)
        scatter, others = max(rest, 0.0) / freedom, max(int(seen.sum()) - 1, 0)
        between = float((square * (own - common) ** 2).sum())
        between -= (others + 2 * (2 * others) ** 0.5) * scatter
        weight = total - float((square**2).sum()) / total if total > 0 else 0.0
        return cls(common, scatter, max(between / weight, 0.0) if weight > 0 else 0.0)

    def at(self, square: Floats, product: Floats) -> Floats:
        """Each slope by its own sums, drawn towards the common one."""
        own = product / np.where(square > 0, square, 1.0)
        told = self.apart * square
        share = told / np.maximum(told + self.scatter, 1e-300)
        return self.common + share * (own - self.common)
