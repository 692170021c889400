"""What many tilts of the same prompts cost and gain, by power series around a few of them.

Write v >= 0 for how far the tilt by L lowers an outcome's log weight against the best one's. Then
the tilt by l = (1 - t) L has ``Z = E e^(-v (1 - t)) = sum_k T_k t^k`` with ``T_k = E[e^-v v^k / k!]``.
These are Poisson probabilities: none is negative, so that nothing cancels, and together they are
one, so that the terms from order K on add at most t^K. The rungs L form a geometric ladder, shared
by all prompts, and are computed when a tilt just below them is first asked for.
"""

import numpy as np
from numpy.typing import NDArray

from klimit._threads import in_threads
from klimit.theory._check import Floats
from klimit.theory._outcomes import Outcomes
from klimit.theory._spend import (
    STEEPEST,
    Spend,
    Spent,
    blocks,
    from_sums,
    moments,
    near_base,
    padded,
    spend,
)

_PER_OCTAVE = 3
_LOWEST, _HIGHEST = -1, 10  # octaves: log2 of how far a rung lowers the worst outcome, in nats
_RUNGS = 2.0 ** (np.arange(_LOWEST * _PER_OCTAVE, _HIGHEST * _PER_OCTAVE + 1) / _PER_OCTAVE)
_FRESH = 4 * _PER_OCTAVE  # rungs after which exponentials start anew: squares double the rounding
_ORDER = 32  # of the series; a power of two
_FARTHEST = 1.0 - 2.0 ** (-1.0 / _PER_OCTAVE)
_LOST = _ORDER * (_ORDER - 1) * _FARTHEST ** (_ORDER - 2)  # at most, of Z and two derivatives
_DIGITS = 1e-12
_TABLE = 1 << 16  # numbers: powers that are held at once stay in the second-level cache
_TOGETHER = 256  # prompts, at most, whose tilts are summed at once
_PAIRS = 1 << 13  # the same, in pairs of a prompt and a tilt
_WIDE = 32  # outcomes per prompt from which exponentials are slower
_PAYS = 4  # a rung is computed for all prompts of a block once a quarter as many tilts want it
_MANY = 8  # tilts per prompt from which rungs pay
_LARGE = 1 << 20  # outcomes times tilts, of all prompts, from which they do
_ALIKE = 1 << 11  # outcomes per block from which they do
_BUSY = 1 << 15  # outcomes times tilts per block from which they do, once they are there


def spender(known: Outcomes) -> Spend:
    """Return the fastest `spend` for many tilts of these prompts."""
    return Ladder(known) if known.prob.size >= _WIDE * max(known.top.size, 1) else spend


class Ladder:
    """`klimit.theory._spend.spend`, for one set of prompts that is asked about again and again."""

    def __init__(self, known: Outcomes) -> None:
        self._known = known
        self._blocks: list[_Block] = []
        self._least: float = max(_MANY * known.prob.size, _LARGE)  # outcomes times tilts

    def __call__(
        self, known: Outcomes, beta: Floats, prompts: NDArray[np.intp] | None = None
    ) -> Spent:
        """Say what tilts cost and gain."""
        count = known.top.size
        shape = np.broadcast_shapes(beta.shape, (count,)) if prompts is None else beta.shape
        work = int(np.prod(shape)) * (known.prob.size // count)
        if known is not self._known or work < self._least:
            return spend(known, beta, prompts)
        if not self._blocks:
            self._blocks = _cut(known)
            alike = known.prob.size >= _ALIKE * len(self._blocks)
            self._least = _BUSY * len(self._blocks) if alike else np.inf
            return self(known, beta, prompts)
        if prompts is None:
            flat = beta.reshape(-1, beta.shape[-1])
            found, precise = self._table(flat)
            mostly = 2 * precise.sum(axis=1) < count  # whole rows are faster than pairs
            found[:, mostly] = spend(known, flat[mostly])
            precise[mostly] = True
            at, which = np.nonzero(~precise)
            rest = np.broadcast_to(flat, precise.shape)[at, which]
            found[:, at, which] = spend(known, rest, which)
        else:
            found, precise = self._pairs(beta, prompts)
            (at,) = np.nonzero(~precise)
            found[:, at] = spend(known, beta[at], prompts[at])
        return Spent(*found.reshape(3, *shape))

    def _table(self, beta: Floats) -> tuple[Floats, NDArray[np.bool_]]:
        """Tilts (betas, prompts) or (betas, 1): KL, gain and variance, and where they are precise."""
        count = self._known.top.size
        found, precise = np.empty((3, len(beta), count)), np.empty((len(beta), count), dtype=bool)

        def work(block: _Block) -> None:
            own = beta[:, block.prompts] if beta.shape[1] == count else beta
            found[..., block.prompts], precise[:, block.prompts] = block.spent(own)

        in_threads(work, self._blocks)
        return found, precise

    def _pairs(self, beta: Floats, prompts: NDArray[np.intp]) -> tuple[Floats, NDArray[np.bool_]]:
        """The same, one tilt for each of these prompts."""
        found, precise = np.empty((3, beta.size)), np.empty(beta.size, dtype=bool)
        owner, row = np.empty((2, self._known.top.size), dtype=np.intp)
        for k, block in enumerate(self._blocks):
            owner[block.prompts], row[block.prompts] = k, np.arange(block.prompts.size)
        order = np.argsort(owner[prompts], kind="stable")
        ends = np.cumsum(np.bincount(owner[prompts], minlength=len(self._blocks)))

        def work(k: int) -> None:
            at = order[ends[k - 1] if k else 0 : ends[k]]
            found[:, at], precise[at] = self._blocks[k].spent(beta[at], row[prompts[at]])

        in_threads(work, range(len(self._blocks)))
        return found, precise


def _cut(known: Outcomes) -> list["_Block"]:
    """Prompts in blocks of one rung above their ranges of rewards, and of similar lengths."""
    span = known.width()
    rung = np.ceil(_PER_OCTAVE * np.log2(np.where(span > 0, span, 1.0))).astype(np.intp)
    parts = ((r, np.flatnonzero(rung == r)) for r in np.unique(rung))
    return [
        _Block(known, some[part], r)
        for r, some in parts
        for part in blocks(known, some, most=_TOGETHER)
    ]


class _Block:
    """Some prompts, all with rewards that far apart, and the rungs that were needed of them."""

    def __init__(self, known: Outcomes, prompts: NDArray[np.intp], span: int) -> None:
        self.prompts = prompts
        self._top = known.top[prompts]
        self._prob, below = padded(known, prompts)
        self._unit = below / -np.exp2(span / _PER_OCTAVE)
        self._reach = np.maximum(self._top, -(below.min(axis=-1) + self._top))
        self._moments = moments(self._prob, below + self._top[:, None], self._reach)
        self._lowest = _LOWEST * _PER_OCTAVE - span
        self._ready = np.zeros(_RUNGS.size, dtype=bool)
        self._terms = np.empty((_RUNGS.size, _ORDER, prompts.size))

    def spent(
        self, beta: Floats, row: NDArray[np.intp] | None = None
    ) -> tuple[Floats, NDArray[np.bool_]]:
        """KL, gain and variance, and where they keep twelve digits.

        Of tilts (betas, rows) or (betas, 1) or, with `row`, one for each of these.
        """
        with np.errstate(all="ignore"):
            steep = np.minimum(1.0 / beta, STEEPEST)
            step = np.ceil(_PER_OCTAVE * np.log2(steep))
            rung, far = step - self._lowest, np.exp2(step / _PER_OCTAVE)
            t = 1.0 - steep / far
            inside = (rung >= 0) & (rung < _RUNGS.size)
            rung = np.where(inside, rung, 0).astype(np.intp)
            shared = row is None and beta.shape[1] == 1
            row = np.arange(self.prompts.size) if row is None else row
            self._build(rung[inside], 1 if shared else max(1, self.prompts.size // _PAYS))
            inside &= self._ready[rung]
            if shared:
                z, slope, bend = self._shared(rung[:, 0], t[:, 0])
            else:
                z, slope, bend = self._own(rung, row, t)
            top = self._top[row]
            found, precise = from_sums(z, -slope / far, bend / (far * far), top, steep)
            kl, _, variance = found
            precise &= inside & (_DIGITS * z * np.minimum(kl, steep * steep * variance) > _LOST)
            gentle = ~precise & (steep * self._reach[row] <= 1.0)
            if gentle.any():
                r, x = (np.broadcast_to(part, gentle.shape)[gentle] for part in (row, steep))
                terms = [term[r] for term in self._moments]
                found[:, gentle] = near_base(terms, self._reach[r], x)
        return found, precise | gentle

    def _shared(self, rung: NDArray[np.intp], t: Floats) -> Floats:
        """Sums of T_k t^k and their first two derivatives in t, (3, t, rows)."""
        k = np.arange(1.0, _ORDER)
        scale = np.zeros((3, _ORDER, t.size))
        scale[0] = _powers(np.ones(t.size), t)
        scale[1, 1:] = scale[0, :-1] * k[:, None]
        scale[2, 1:] = scale[1, :-1] * k[:, None]
        sums = np.empty((3, t.size, self.prompts.size))
        for one in np.unique(rung):
            (at,) = np.nonzero(rung == one)
            sums[:, at] = scale[..., at].transpose(0, 2, 1) @ self._terms[one]
        return sums

    def _own(self, rung: NDArray[np.intp], row: NDArray[np.intp], t: Floats) -> Floats:
        """The same where every row has its own t, by Horner's scheme: (3, ...)."""
        terms, rows = self._terms.ravel(), self.prompts.size
        first = rung * (_ORDER * rows) + (_ORDER - 1) * rows + row
        sums = np.zeros((3, first.size))
        for begin in range(0, first.size, _PAIRS):
            some = slice(begin, begin + _PAIRS)
            at, x, (z, slope, half) = first.ravel()[some].copy(), t.ravel()[some], sums[:, some]
            term = terms[at]
            z += term
            for _ in range(_ORDER - 1):
                at -= rows
                half *= x
                half += slope
                slope *= x
                slope += z
                z *= x
                z += np.take(terms, at, out=term, mode="clip")
            half *= 2.0
        return sums.reshape(3, *first.shape)

    def _build(self, wanted: NDArray[np.intp], least: int) -> None:
        """Compute the rungs that are missing between those that at least so many tilts want."""
        often = np.bincount(wanted, minlength=_RUNGS.size) >= least
        above, below = (np.logical_or.accumulate(one) for one in (often, often[::-1]))
        rungs = np.flatnonzero(above & below[::-1] & ~self._ready)
        if rungs.size == 0:
            return
        width = self._unit.shape[1]
        step = max(1, _TABLE // (width * _ORDER))
        weights, powers = np.empty((rungs.size, step, width)), np.empty((_ORDER, step, width))
        factors = np.cumprod(_RUNGS[rungs, None] / np.arange(1.0, _ORDER), axis=1)
        factors = np.concatenate([np.ones((rungs.size, 1)), factors], axis=1)  # L^k / k!
        for at in range(0, self.prompts.size, step):
            unit = self._unit[at : at + step]
            weight, power = weights[:, : len(unit)], powers[:, : len(unit)]
            _powers(self._prob[at : at + step], unit, power)
            for k, rung in enumerate(rungs):
                octave_lower = k - _PER_OCTAVE
                if k % _FRESH < _PER_OCTAVE or rungs[octave_lower] != rung - _PER_OCTAVE:
                    np.exp(-_RUNGS[rung] * unit, out=weight[k])
                else:
                    np.square(weight[octave_lower], out=weight[k])
            terms = weight.transpose(1, 0, 2) @ power.transpose(1, 2, 0) * factors
            self._terms[rungs, :, at : at + step] = terms.transpose(1, 2, 0)
        self._ready[rungs] = True


def _powers(first: Floats, base: Floats, out: Floats | None = None) -> Floats:
    """`first` times the powers of `base` from 0 on, (orders, ...)."""
    powers = np.empty((_ORDER, *base.shape)) if out is None else out
    powers[0] = first
    done, power = 1, base
    while done < _ORDER:
        np.multiply(powers[:done], power, out=powers[done : 2 * done])
        done, power = 2 * done, power * power
    return powers
