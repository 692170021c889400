"""What tilts cost and gain: many prompts at many coefficients, without the policies.

Three formulas, each where it keeps twelve digits: while the tilt moves no log weight by more than
one, the power series of the cumulant generating function in the reward's central moments; beyond,
the textbook sums of ``exp((reward - highest) / beta)``; where those cancel, `measure`.
"""

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from klimit._threads import in_threads
from klimit.theory._check import Floats
from klimit.theory._outcomes import Outcomes, measure

_BLOCK = 1 << 17  # numbers: a megabyte, so that blocks stay in the second-level cache
_DIGITS = 1e-12 / (4 * np.finfo(float).eps)  # how much a sum may cancel and keep twelve digits
_ORDERS = range(2, 21)
STEEPEST = 1e300  # largest 1 / beta: what is below the top vanishes long before


class Spent(NamedTuple):
    """What a tilt costs and gains, per prompt (or per pair of a prompt and a coefficient).

    Attributes
    ----------
    kl : nats (for another divergence: its units)
    gain : reward units
    variance : of the reward, reward units squared; with it d KL / dl = l variance and
        d gain / dl = variance, where l = 1 / beta
    """

    kl: Floats
    gain: Floats
    variance: Floats


class Spend(Protocol):
    """How `spend` is called: the frontier of another divergence brings its own."""

    def __call__(
        self, known: Outcomes, beta: Floats, prompts: NDArray[np.intp] | None = None
    ) -> Spent:
        """Coefficients broadcast against (..., prompts), or one for each of `prompts`."""


def spend(known: Outcomes, beta: Floats, prompts: NDArray[np.intp] | None = None) -> Spent:
    """Say what tilts cost and gain, for prompts in a flat layout; `beta` may be infinite."""
    if prompts is not None:
        found = np.empty((3, prompts.size))

        def pairs(some: NDArray[np.intp]) -> None:
            chosen = prompts[some]
            found[:, some] = _measured(known, chosen, beta[some, None])[..., 0]

        in_threads(pairs, blocks(known, prompts))
        return Spent(*found)
    count = known.top.size
    shape = np.broadcast_shapes(beta.shape, (count,))
    table = np.broadcast_to(beta, shape).reshape(math.prod(shape[:-1]), count)
    found = np.empty((3, *table.shape))
    longest = int(known.lengths.max(initial=1))
    step = max(1, _BLOCK // longest)  # coefficients at once

    def whole(part: tuple[int, NDArray[np.intp]]) -> None:
        at, some = part
        measured = _measured(known, some, table[at : at + step, some].T)
        found[:, at : at + step, some] = measured.transpose(0, 2, 1)

    starts = range(0, len(table), step)
    copies = min(step, len(table))
    in_threads(
        whole, ((at, some) for at in starts for some in blocks(known, np.arange(count), copies))
    )
    return Spent(*found.reshape(3, *shape))


def blocks(
    known: Outcomes, prompts: NDArray[np.intp], copies: int = 1
) -> Iterator[NDArray[np.intp]]:
    """Cut `prompts` into blocks, given by their indices, that fit the cache.

    Rows of similar length share a block.
    """
    lengths = known.lengths[prompts]
    order = np.argsort(-lengths, kind="stable")
    at = 0
    while at < order.size:
        size = max(1, _BLOCK // (int(lengths[order[at]]) * copies))  # the first row is the longest
        yield order[at : at + size]
        at += size


def padded(known: Outcomes, prompts: NDArray[np.intp]) -> tuple[Floats, Floats]:
    """Return (rows, outcomes) prob and below_top, filled up with outcomes of probability 0."""
    lengths = known.lengths
    width = int(lengths.max(initial=1))
    if known.prob.size == width * known.top.size:  # all of one length
        return known.prob.reshape(-1, width)[prompts], known.below_top.reshape(-1, width)[prompts]
    lengths = lengths[prompts]
    width = int(lengths.max(initial=1))
    inside = np.arange(width) < lengths[:, None]
    index = np.asarray(known.starts)[prompts, None] + np.where(inside, np.arange(width), 0)
    prob, below = (np.where(inside, part[index], 0.0) for part in (known.prob, known.below_top))
    return prob, below


def rows(
    known: Outcomes, prompts: NDArray[np.intp]
) -> Iterator[tuple[NDArray[np.intp], Floats, Floats]]:
    """Yield blocks of rows: which of `prompts` they are, (rows, outcomes) prob and below_top."""
    for some in blocks(known, prompts):
        yield some, *padded(known, prompts[some])


def by_rows(known: Outcomes, work: Callable[[NDArray[np.intp], Floats, Floats], Floats]) -> Floats:
    """Ask `work` for a number of each outcome, rows at once as from `rows`, and lay them end to end."""
    flat, starts, lengths = np.empty_like(known.prob), np.asarray(known.starts), known.lengths
    for some, prob, below in rows(known, np.arange(lengths.size)):
        column = np.arange(prob.shape[1])
        inside = column < lengths[some, None]
        flat[(starts[some, None] + column)[inside]] = work(some, prob, below)[inside]
    return flat


def _measured(known: Outcomes, prompts: NDArray[np.intp], beta: Floats) -> Floats:
    """KL, gain and variance (3, rows, betas) of prompts (rows,) at beta (rows, betas)."""
    prob, below = padded(known, prompts)
    top = known.top[prompts]
    with np.errstate(all="ignore"):
        steep = np.minimum(1.0 / beta, STEEPEST)
        found, precise = _from_top(prob, below, top[:, None], steep)
        if precise.all():
            return found
        reach = np.maximum(top, -(below.min(axis=-1) + top))
        gentle = ~precise & (steep * reach[:, None] <= 1.0)
        some = np.flatnonzero(gentle.any(axis=-1))
        if some.size:
            terms = _moments(prob[some], below[some] + top[some, None], reach[some])
            row, column = np.nonzero(gentle[some])
            r = some[row]
            found[:, r, column] = _near_base([t[row] for t in terms], reach[r], steep[r, column])
    row, column = np.nonzero(~(precise | gentle))
    step = max(1, _BLOCK // prob.shape[1])
    for at in range(0, row.size, step):
        r, c = row[at : at + step], column[at : at + step]
        again = measure(known.take(prompts[r]), beta[r, c])
        found[:, r, c] = again.kl, again.gain, again.variance
    return found


def _from_top(
    prob: Floats, below: Floats, top: Floats, steep: Floats
) -> tuple[Floats, NDArray[np.bool_]]:
    """KL, gain and variance (3, rows, betas) by the textbook sums, and where these keep twelve digits."""
    weight = steep[..., None] * below[:, None, :]
    np.exp(weight, out=weight)
    terms = np.empty((*prob.shape, 3))
    terms[..., 0] = prob
    terms[..., 1] = prob * below
    terms[..., 2] = terms[..., 1] * below
    z, mean, second = (weight @ terms).transpose(2, 0, 1)
    found = np.empty((3, *z.shape))
    mean, second = mean / z, second / z
    moved, log_z = steep * mean, np.log(z)
    kl = np.subtract(moved, log_z, out=found[0])
    gain = np.add(mean, top, out=found[1])
    variance = np.subtract(second, mean * mean, out=found[2])
    precise = (1.0 - moved - log_z < _DIGITS * kl) & (top - mean < _DIGITS * gain)
    precise &= second <= _DIGITS * variance
    return found, precise


def _moments(prob: Floats, centred: Floats, reach: Floats) -> list[Floats]:
    """Central moments of the reward in units of `reach`, over factorials, per row."""
    size = np.where(reach > 0, reach, 1.0)[:, None]
    unit = centred / size
    power = prob * unit
    terms, factorial = [], 1.0
    for k in _ORDERS:
        factorial *= k
        power *= unit
        terms.append(power.sum(axis=-1) / factorial)
    return terms


def _near_base(terms: list[Floats], reach: Floats, steep: Floats) -> Floats:
    """By the series of psi(steep) = log E exp(steep (reward - mean)) in x = steep reach, at most 1.

    KL = steep psi' - psi, gain = psi', variance = psi''.
    """
    x = steep * reach
    excess, slope, bend = (np.zeros_like(x) for _ in range(3))
    for k, term in reversed(list(zip(_ORDERS, terms, strict=True))):  # Horner's scheme
        excess = excess * x + term
        slope = slope * x + k * term
        bend = bend * x + k * (k - 1) * term
    slope, excess = slope * x, excess * x * x
    moved = slope / (1.0 + excess)
    variance = bend / (1.0 + excess) - moved * moved
    return np.stack([x * moved - np.log1p(excess), reach * moved, reach * reach * variance])
