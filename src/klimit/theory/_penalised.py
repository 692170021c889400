"""The optimum of ``E_policy[reward] - beta D_f(policy || base)``: row by row, and what it costs."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from klimit.theory._check import Floats
from klimit.theory._generators import Generator
from klimit.theory._outcomes import LARGE, Outcomes, change_terms, reweighted
from klimit.theory._pair import Pair
from klimit.theory._root import increasing_root
from klimit.theory._spend import Spent, by_rows, rows

_FAR = 1e300  # drops beyond this are as good as infinite
_OFF = 1e-9  # a sum that misses one by more has jumped across it
_SIDE = 4e-15  # how far apart, relative to the anchor, both sides of a jump are looked at


@dataclass(frozen=True, slots=True, eq=False)
class Optimum:
    """Rows of penalised optima: policy (rows, outcomes), the rest (rows,).

    `anchor` is the log ratio of the best outcome, `variance` what d gain / d(1 / beta) is.
    """

    policy: Floats
    anchor: Floats
    divergence: Floats
    gain: Floats
    variance: Floats


def optimum(f: Generator, prob: Floats, below: Floats, top: Floats, beta: Floats) -> Optimum:
    """Solve rows (rows, outcomes) at coefficients (rows,), positive, possibly infinite."""
    with np.errstate(all="ignore"):
        log_prob = np.log(prob)
        drop = np.where(below < 0, np.minimum(-below / (beta * f.scale)[:, None], _FAR), 0.0)

        every = (prob, log_prob, drop)

        def excess(anchor: Floats, index: NDArray[np.intp]) -> tuple[Floats, Floats]:
            whole = index.size == beta.size
            p, log_p, d = every if whole else (part[index] for part in every)
            u = f.log_ratio(anchor[:, None], d)
            if anchor.max(initial=0.0) < LARGE:
                more = np.einsum("ij,ij->i", p, np.expm1(u))
            else:
                more = change_terms(p, reweighted(p, log_p, u), u).sum(axis=-1)
            moves = np.einsum("ij,ij->i", p, f.motion(u, anchor[:, None], d))
            return np.log1p(more), moves / (1.0 + more)

        least = -np.log1p((prob * np.expm1(-drop)).sum(axis=-1))  # exact for KL
        most = -np.log(np.where(drop == 0, prob, 0.0).sum(axis=-1))
        start = f.anchor(np.clip(least, 0.0, np.maximum(most, 0.0)))
        anchor = increasing_root(excess, start)
        u = f.log_ratio(anchor[:, None], drop)
        policy = reweighted(prob, log_prob, u)
        change = change_terms(prob, policy, u)
        off = np.flatnonzero(~(np.abs(change.sum(axis=-1)) < _OFF))
        if off.size:
            # The best outcome is so rare and so far ahead that its ratio drowns those of the others
            # in rounding: the policies on both sides of the root are mixed.
            side = _SIDE * np.maximum(np.abs(anchor[off]), np.finfo(float).tiny)
            p, d = prob[off], drop[off]
            near, far = (f.log_ratio((anchor[off] + s * side)[:, None], d) for s in (-1.0, 1.0))
            less, more = (reweighted(p, log_prob[off], u) for u in (near, far))
            down, up = change_terms(p, less, near), change_terms(p, more, far)
            low, high = (part.sum(axis=-1, keepdims=True) for part in (down, up))
            share = np.clip(-low / (high - low), 0.0, 1.0)
            policy[off], change[off] = less + share * (more - less), down + share * (up - down)
            u[off] = np.where(p > 0, np.log(policy[off]) - log_prob[off], 0.0)
        # The root leaves a remainder of rounding: taken out of all in proportion.
        rest = change.sum(axis=-1, keepdims=True)
        policy, change = policy / (1.0 + rest), (change - rest * prob) / (1.0 + rest)
        u = np.where(prob > 0, u - np.log1p(rest), 0.0)
        divergence = f.divergence(Pair(policy, prob, u))
        gain = np.maximum(((below + top[:, None]) * change).sum(axis=-1), 0.0)
        mass = np.where(prob > 0, prob * f.motion(u, anchor[:, None], drop), 0.0)
        variance = _spread(mass, below) / (f.scale * f.rise(anchor))
    return Optimum(policy, anchor, divergence, gain, variance)


def _spread(mass: Floats, reward: Floats) -> Floats:
    """Mass times the variance of the reward, row by row.

    Measured from the heaviest outcome, so that nothing cancels where it has nearly all the mass.
    """
    heaviest = mass.argmax(axis=-1)[:, None]
    apart = reward - np.take_along_axis(reward, heaviest, axis=-1)
    moved = (mass * apart).sum(axis=-1)
    spread = (mass * apart**2).sum(axis=-1) - moved * (moved / mass.sum(axis=-1))
    return np.where(spread > 0, spread, 0.0)


@dataclass(frozen=True, slots=True)
class Penalised:
    """`klimit.theory._spend.Spend` for another divergence."""

    f: Generator

    def __call__(
        self, known: Outcomes, beta: Floats, prompts: NDArray[np.intp] | None = None
    ) -> Spent:
        """Say what the optima cost and gain."""
        return Spent(*self._found(known, beta, prompts, "divergence", "gain", "variance"))

    def anchors(self, known: Outcomes, beta: Floats) -> Floats:
        """Return the log ratio of the best outcome, (..., prompts) as `beta`."""
        (found,) = self._found(known, beta, None, "anchor")
        return np.asarray(found)

    def _found(
        self, known: Outcomes, beta: Floats, prompts: NDArray[np.intp] | None, *names: str
    ) -> Floats:
        """These fields of the optima, (fields, ...)."""
        count = known.top.size
        if prompts is None:
            beta = np.broadcast_to(beta, np.broadcast_shapes(beta.shape, (count,)))
            prompts = np.tile(np.arange(count), beta.size // count)
        flat, found = beta.ravel(), np.empty((len(names), beta.size))
        for some, prob, below in rows(known, prompts):
            best = optimum(self.f, prob, below, known.top[prompts[some]], flat[some])
            found[:, some] = [getattr(best, name) for name in names]
        return found.reshape(len(names), *beta.shape)

    def policy(self, known: Outcomes, beta: Floats) -> Floats:
        """Return the optima of all prompts, laid end to end."""
        return by_rows(
            known,
            lambda some, prob, below: (
                optimum(self.f, prob, below, known.top[some], beta[some]).policy
            ),
        )

    def limit(self, known: Outcomes) -> Floats:
        """Return what a policy on the best outcomes alone costs, per prompt."""
        log_ratio = known.saturation_kl()
        rest = known.total(np.where(known.below_top < 0, known.prob, 0.0))
        policy = np.stack([np.ones_like(rest), np.zeros_like(rest)], axis=-1)
        base = np.stack([np.exp(-log_ratio), rest], axis=-1)
        u = np.stack([log_ratio, np.where(rest > 0, -np.inf, 0.0)], axis=-1)
        with np.errstate(over="ignore", invalid="ignore"):
            return self.f.divergence(Pair(policy, base, u))
