"""Which beta spends this budget? Roots in log(1 / beta), where KL and gain both rise.

A solved beta is exact to about 1e-14; it is 0 where a prompt (or the average) is saturated and
infinite where nothing is to be spent. `spend` and `limit` (the KL at saturation, per prompt) may be
those of another divergence whose f has f''(1) = 1: the derivatives are the same.
"""

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from klimit.theory._check import Floats
from klimit.theory._outcomes import Outcomes
from klimit.theory._root import FARTHEST, increasing_root
from klimit.theory._spend import Spend, Spent

_AT_LIMIT = 1.0 - 1e-14  # budgets from this fraction of the limit on count as saturated
_RESOLUTION = 1e-16  # of log beta: no float is nearer to its neighbours
NODES = 16  # tilts that are looked at first where as many or more are searched for
_BEYOND = 2.0  # how much further, in log(1 / beta), than small KLs suggest

What = Literal["kl", "gain"]


def mean(weights: Floats, by_prompt: Floats) -> Floats:
    """Average over prompts; one of weight 0 counts for nothing, even where it is infinite."""
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(weights > 0, weights * by_prompt, 0.0).sum(axis=-1))


class Solved(NamedTuple):
    """Betas for budgets, and the tangents to the frontier where the search last looked.

    A tangent's beta is within 1e-8 of the solved one, so that the gain (or cost) read off it is
    exact to second order.

    Attributes
    ----------
    beta : the slope that spends the budget
    near : the tangent's slope
    cost, gain : where it touches
    """

    beta: Floats
    near: Floats
    cost: Floats
    gain: Floats

    def gain_at(self, cost: Floats) -> Floats:
        """Return gains on the tangents; flat beyond saturation, where the slope is 0."""
        with np.errstate(invalid="ignore"):
            return self.gain + np.where(self._priced, self.near * (cost - self.cost), 0.0)

    def cost_at(self, gain: Floats) -> Floats:
        """Return costs on the tangents."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return self.cost + np.where(self._priced, (gain - self.gain) / self.near, 0.0)

    @property
    def _priced(self) -> NDArray[np.bool_]:
        return (self.near > 0) & (self.near < np.inf)


def _settled(
    wanted: Floats, limit: Floats, cost: Floats, gain: Floats
) -> tuple[Solved, NDArray[np.intp]]:
    """Betas settled without a search (0 at saturation, infinite at nothing), and which need one."""
    beta = np.where(wanted >= limit * _AT_LIMIT, 0.0, np.inf)
    full = beta == 0
    solved = Solved(beta, beta.copy(), np.where(full, cost, 0.0), np.where(full, gain, 0.0))
    return solved, np.flatnonzero((wanted > 0) & ~full)


def own_betas(
    known: Outcomes, kl: Floats, spend: Spend, limit: Floats, guess: Floats | None = None
) -> Solved:
    """Each prompt's beta at its own KL budgets, (budgets, prompts); `guess` is where to begin."""
    solved, searched = _settled(kl, limit, limit, known.top)
    if searched.size == 0:
        return solved
    beta, near, cost, gain = (part.ravel() for part in solved)
    wanted, prompts = kl.ravel()[searched], searched % kl.shape[1]

    def mismatch(log_l: Floats, index: NDArray[np.intp]) -> tuple[Floats, Floats]:
        where = searched[index]
        near[where] = np.exp(-log_l)
        if 2 * where.size > kl.size:  # nearly all pairs: whole rows are faster
            table = np.where((near > 0) & (near < np.inf), near, 1.0).reshape(kl.shape)
            found = Spent(*(part.ravel()[where] for part in spend(known, table)))
        else:
            found = spend(known, near[where], prompts[index])
        cost[where], gain[where] = found.kl, found.gain
        return np.log(found.kl / wanted[index]), np.exp(2 * log_l) * found.variance / found.kl

    with np.errstate(all="ignore"):
        unit = np.log(known.sd())
        start = 0.5 * np.log(2 * kl) - unit
        if guess is not None:
            start = np.where(np.isfinite(np.log(guess)), -np.log(guess), start)
        elif len(kl) >= NODES:
            nodes = _spread(0.5 * np.log(2 * wanted))[:, None] - unit
            nodes = np.clip(nodes, -FARTHEST, FARTHEST)
            found = spend(known, np.exp(-nodes))
            slope = np.exp(2 * nodes) * found.variance / found.kl
            start = between(np.log(kl), np.log(found.kl), nodes, slope, start)
    start = start.ravel()[searched]
    beta[searched] = np.exp(-increasing_root(mismatch, start, _RESOLUTION))
    return solved


def shared_betas(
    known: Outcomes, weights: Floats, wanted: Floats, what: What, spend: Spend, limit: Floats
) -> Solved:
    """Return the one beta of all prompts at which their mean KL or gain is as wanted, (wanted,)."""
    most = {"kl": mean(weights, limit), "gain": mean(weights, known.top)}
    solved, searched = _settled(wanted, most[what], most["kl"], most["gain"])
    if searched.size == 0:
        return solved
    goal = np.log(wanted[searched])
    power = 2 if what == "kl" else 1  # dKL / dlog l = l^2 Var, dgain / dlog l = l Var

    def at(log_l: Floats) -> tuple[Floats, Floats, Floats, Floats]:
        found = spend(known, np.exp(-log_l[:, None]))
        cost, gain, bend = (mean(weights, part) for part in found)
        value = cost if what == "kl" else gain
        with np.errstate(all="ignore"):  # nothing spent yet, or a tilt beyond all rewards
            return cost, gain, np.log(value), np.exp(power * log_l) * bend / value

    def mismatch(log_l: Floats, index: NDArray[np.intp]) -> tuple[Floats, Floats]:
        where = searched[index]
        solved.near[where] = np.exp(-log_l)
        solved.cost[where], solved.gain[where], value, slope = at(log_l)
        return value - goal[index], slope

    sd = known.sd()[weights > 0]
    spread = np.log((sd / sd.max()) ** 2 @ weights[weights > 0]) + 2.0 * np.log(sd.max())
    start = 0.5 * (np.log(2.0) + goal - spread) if what == "kl" else goal - spread
    if goal.size >= NODES:
        nodes = _spread(start)
        _, _, value, slope = at(nodes)
        start = between(goal, value, nodes, slope, start)
    solved.beta[searched] = np.exp(-increasing_root(mismatch, start, _RESOLUTION))
    return solved


def _spread(start: Floats) -> Floats:
    """A few tilts to look at for many searches: from where these begin to where most of them end."""
    return np.linspace(start.min(), start.max() + _BEYOND, NODES)


def between(x: Floats, value: Floats, nodes: Floats, slope: Floats, start: Floats) -> Floats:
    """Nearly where a rising function is `x`, from its values and slopes at ascending nodes.

    Cubic in x in each column of nodes; straight outside, and there at most one further; `start`
    where the nodes do not tell.
    """
    with np.errstate(all="ignore"):
        left = np.zeros(x.shape, dtype=np.intp)
        for v in value[1:-1]:
            left += v <= x
        low, high = (np.take_along_axis(value, left + k, axis=0) for k in (0, 1))
        a, b = (np.take_along_axis(nodes, left + k, axis=0) for k in (0, 1))
        da, db = ((high - low) / np.take_along_axis(slope, left + k, axis=0) for k in (0, 1))
        t = (x - low) / (high - low)
        inside = a + t * (da + t * (3 * (b - a) - 2 * da - db + t * (da + db - 2 * (b - a))))
        outside = np.where(t < 0, a + np.maximum(t * da, -1.0), b + np.minimum((t - 1.0) * db, 1.0))
        found = np.where((t < 0) | (t > 1), outside, np.clip(inside, a, b))
        return np.where((high > low) & np.isfinite(found), found, start)
