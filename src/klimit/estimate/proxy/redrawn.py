"""How noisy the proxy's policy beside gold's own is if the samples of these very prompts are drawn again.

Both are read from the same samples, so that what a sample moves one of them by mostly moves the other
as well. To first order a sample moves a tilted mean, and a log-mgf, by its influence on it, and a
difference of them by the difference of its influences.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from klimit.estimate.kernel import Floats
from klimit.estimate.proxy.bands import slope_along

if TYPE_CHECKING:
    from klimit.estimate.proxy.pairs import Chunk, Pairs
    from klimit.estimate.proxy.result import Hacking

# what is read, each without correction: gold at the tilt that spends a KL, and that KL over the tilt;
# gold's own frontier; gold's own policy less the proxy's in gold and in regularised gold, at a beta
READ, SPENT, LIMIT, FIXED_BETA, REGULARISED = np.eye(5)
_LEAST = 1e-4  # nats, below which all of it goes by the root of the KL


def redrawn_covariances(hack: Hacking, kl: Floats, tilt: Floats) -> Floats:
    """(2, budgets, 5, 5) covariances: samples of these prompts drawn again, and prompts with theirs.

    Parameters
    ----------
    kl, tilt : (budgets,) nats, and the tilt that is the inverse of the beta
    """
    grid = hack.gold.members.grid if hack.gold.members else hack.path.grid
    own, spent = _own(hack, kl), np.maximum(kl, _LEAST)
    best = np.clip(hack.gold.curve.at_kl(spent).tilt, grid.tilts[0] / 100, grid.tilts[-1])
    held = np.clip(tilt, hack.path.known[0] / 100, hack.path.known[-1])
    places = zip(own, best, held, strict=True)
    found = np.array([_covariances(hack.pairs, *place) for place in places]).reshape(-1, 2, 5, 5)
    return np.swapaxes(found, 0, 1) * (kl / spent)[:, None, None]


def along_parts(hack: Hacking, kl: Floats) -> Floats:
    """(budgets, 5) how gold along the proxy's tilt is made of them: a KL is spent, so the tilt moves too."""
    path = hack.path
    slope = slope_along(hack.readings.read.chosen, path.gains, path, _own(hack, kl)[None])
    return np.asarray(READ - slope[:, None] * SPENT)


def _own(hack: Hacking, kl: Floats) -> Floats:
    """(budgets,) tilt of the proxy that spends each KL, or the least that is told apart."""
    return np.asarray(np.minimum(hack.path.tilt_at(np.maximum(kl, _LEAST))[0], hack.path.known[-1]))


def _covariances(pairs: Pairs, own: float, best: float, held: float) -> Floats:
    """(2, 5, 5) at one budget, of which `own` is the proxy's tilt and `best` gold's, and at one beta."""
    within, each = np.zeros((5, 5)), np.empty((5, pairs.prompts))
    for chunk in pairs.chunks(pairs.gold):
        parts = _parts(chunk, own, best, held)
        moves, each[:, chunk.prompts] = parts[..., :-1], parts[..., -1]
        count = moves.shape[-1]
        within += np.einsum("aij,bij->ab", moves, moves) / (count * (count - 1))
    return np.stack([within / pairs.prompts**2, np.cov(each) / pairs.prompts])


def _parts(chunk: Chunk, own: float, best: float, held: float) -> Floats:
    """(5, rows, samples + 1) influences of the samples; last, what the prompt itself shows."""
    proxy, gold = chunk.proxy, chunk.reads[0]

    def tilted(values: Floats, tilt: float) -> tuple[Floats, Floats, Floats]:
        """Gains of proxy and gold, and the log-mgf of what is tilted."""
        power = tilt * values
        top = power.max(axis=1, keepdims=True)
        weights = np.exp(power - top)
        total = weights.mean(axis=1, keepdims=True)
        weights /= total
        means = [(weights * read).mean(axis=1, keepdims=True) for read in (proxy, gold)]
        moved, read = (
            np.hstack([weights * (x - mean) - x, mean])
            for x, mean in zip((proxy, gold), means, strict=True)
        )
        return moved, read, np.hstack([weights - 1 - power, np.log(total) + top])

    moved, along, log_mgf = tilted(proxy, own)
    spent = moved - log_mgf / own
    limit = tilted(gold, best)[2] / best
    moved, read, log_mgf = tilted(proxy, held)
    _, most, of_gold = tilted(gold, held)
    regularised = (of_gold - log_mgf) / held - read + moved
    return np.stack([along, spent, limit, most - read, regularised])
