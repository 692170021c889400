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
a ratio that falls ever faster towards them, where it draws nothing that could tell. A scatter of many
nats makes the share of that policy vanish by itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from klimit.estimate.bridge.draws import Pool
from klimit.estimate.kernel import Floats

if TYPE_CHECKING:
    from numpy.typing import NDArray

_PRIOR = 8.0  # samples' worth of the common slope in each prompt's own
_FLAT = 1e-6  # two levels of reward show no bend


@dataclass(frozen=True)
class Line:
    """``log rho = height + slope x - bend x^2`` of each prompt, x = reward - middle; all (prompts,).

    Past its top the line is level: no policy turns from what it seeks.
    """

    height: Floats
    slope: Floats
    middle: Floats
    bend: Floats

    def at(self, rewards: Floats) -> Floats:
        """(prompts, width) log rho."""
        slope, bend = self.slope[:, None], self.bend[:, None]
        x = rewards - self.middle[:, None]
        top = slope / np.where(bend > 0, 2 * bend, 1.0)
        level = np.where(slope >= 0, np.minimum(x, top), np.maximum(x, top))
        x = np.where(bend > 0, level, x)
        found: Floats = self.height[:, None] + slope * x - bend * x**2
        return found


def log_weights(pool: Pool, chosen: NDArray[np.bool_], bend: Floats | None = None) -> Floats:
    """(prompts, width) log weight of each sample, if these were all there are; -inf for the others.

    Parameters
    ----------
    chosen : (prompts, width) samples that count
    bend : (states, prompts) of the lines, if it is known already (`bends`)

    Returns
    -------
    Weights whose sum over a prompt is 1 in expectation.
    """
    bend = bends(pool) if bend is None else bend
    total = np.full(pool.rewards.shape, -np.inf)
    own = np.zeros(pool.rewards.shape)
    for k in range(pool.states):
        from_k = (pool.origin == k) & chosen
        number = from_k.sum(axis=1)
        log_rho = _log_rho(pool, k, from_k, bend[k])
        with np.errstate(divide="ignore"):
            total = np.logaddexp(total, np.log(number)[:, None] + log_rho)
        if k:
            own[from_k] = log_rho[from_k] - pool.log_ratios[k][from_k]
    found: Floats = np.where(chosen & (pool.origin >= 0), own - total, -np.inf)
    return found


def _log_rho(pool: Pool, k: int, drawn: NDArray[np.bool_], bend: Floats) -> Floats:
    """(prompts, width) what stands for the log-ratio of model k in the shares."""
    if k == 0:
        return np.zeros(pool.rewards.shape)
    exact: Floats = pool.log_ratios[k]
    if pool.known[k].all():
        return exact
    fitted = line(pool.rewards, exact, drawn, bend).at(pool.rewards)
    return np.asarray(np.where(pool.known[k][:, None], exact, fitted))


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
        x, y = (_centred(values, drawn) for values in (pool.rewards, pool.log_ratios[k]))
        q = _centred(x**2 / safe[:, None], drawn)
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


def _centred(values: Floats, drawn: NDArray[np.bool_]) -> Floats:
    """Less the mean of a prompt's drawn ones; 0 elsewhere."""
    kept = np.where(drawn, values, 0.0)
    mean = kept.sum(axis=1, keepdims=True) / np.maximum(drawn.sum(axis=1, keepdims=True), 1)
    found: Floats = np.where(drawn, kept - mean, 0.0)
    return found


def line(rewards: Floats, log_ratios: Floats, drawn: NDArray[np.bool_], bend: Floats) -> Line:
    """Fit each prompt's line by least squares, its slope drawn towards that of all prompts."""
    number = drawn.sum(axis=1)
    safe = np.maximum(number, 1)
    middle = np.where(drawn, rewards, 0.0).sum(axis=1) / safe
    x = _centred(rewards, drawn)
    values = np.where(drawn, log_ratios, 0.0) + bend[:, None] * x**2
    height = values.sum(axis=1) / safe
    y = _centred(values, drawn)
    square, product = (x * x).sum(axis=1), (x * y).sum(axis=1)
    all_square, seen = square.sum(), number.sum()
    common = product.sum() / all_square if all_square > 0 else 0.0
    prior = _PRIOR * all_square / max(seen, 1)
    slope = (product + prior * common) / (square + prior) if prior > 0 else 0.0 * square
    rest = np.where(drawn, y - slope[:, None] * x, 0.0)
    freedom = max(seen - (number > 0).sum() - 1, 1)
    scatter = float((rest**2).sum() / freedom)
    return Line(height - 1.5 * scatter, slope, middle, bend)
