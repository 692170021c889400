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
itself). It is fitted as a straight line of `l_j` on the reward with log-normal scatter of variance
v around it: ``log rho = a_x + b_x (r - mean) - 1.5 v``. A scatter of many nats makes the share of
that policy vanish by itself.
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


@dataclass(frozen=True)
class Line:
    """``log rho = height + slope (reward - middle)`` of each prompt; all (prompts,)."""

    height: Floats
    slope: Floats
    middle: Floats

    def at(self, rewards: Floats) -> Floats:
        """(prompts, width) log rho."""
        found: Floats = self.height[:, None] + self.slope[:, None] * (
            rewards - self.middle[:, None]
        )
        return found


def log_weights(pool: Pool, chosen: NDArray[np.bool_]) -> Floats:
    """(prompts, width) log weight of each sample, if these were all there are; -inf for the others.

    Parameters
    ----------
    chosen : (prompts, width) samples that count

    Returns
    -------
    Weights whose sum over a prompt is 1 in expectation.
    """
    total = np.full(pool.rewards.shape, -np.inf)
    own = np.zeros(pool.rewards.shape)
    for k in range(pool.states):
        from_k = (pool.origin == k) & chosen
        number = from_k.sum(axis=1)
        log_rho = _log_rho(pool, k, from_k)
        with np.errstate(divide="ignore"):
            total = np.logaddexp(total, np.log(number)[:, None] + log_rho)
        if k:
            own[from_k] = log_rho[from_k] - pool.log_ratios[k][from_k]
    found: Floats = np.where(chosen & (pool.origin >= 0), own - total, -np.inf)
    return found


def _log_rho(pool: Pool, k: int, drawn: NDArray[np.bool_]) -> Floats:
    """(prompts, width) what stands for the log-ratio of model k in the shares."""
    if k == 0:
        return np.zeros(pool.rewards.shape)
    exact: Floats = pool.log_ratios[k]
    if pool.known[k].all():
        return exact
    fitted = line(pool.rewards, exact, drawn).at(pool.rewards)
    return np.asarray(np.where(pool.known[k][:, None], exact, fitted))


def line(rewards: Floats, log_ratios: Floats, drawn: NDArray[np.bool_]) -> Line:
    """Fit each prompt's line by least squares, its slope drawn towards that of all prompts."""
    number = drawn.sum(axis=1)
    safe = np.maximum(number, 1)
    values = np.where(drawn, log_ratios, 0.0)
    x = np.where(drawn, rewards, 0.0)
    middle, height = x.sum(axis=1) / safe, values.sum(axis=1) / safe
    x = np.where(drawn, rewards - middle[:, None], 0.0)
    y = np.where(drawn, values - height[:, None], 0.0)
    square, product = (x * x).sum(axis=1), (x * y).sum(axis=1)
    all_square, seen = square.sum(), number.sum()
    common = product.sum() / all_square if all_square > 0 else 0.0
    prior = _PRIOR * all_square / max(seen, 1)
    slope = (product + prior * common) / (square + prior) if prior > 0 else 0.0 * square
    rest = np.where(drawn, y - slope[:, None] * x, 0.0)
    freedom = max(seen - (number > 0).sum() - 1, 1)
    scatter = float((rest**2).sum() / freedom)
    return Line(height - 1.5 * scatter, slope, middle)
