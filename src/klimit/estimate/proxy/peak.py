"""Where gold is highest along the proxy's path, and what these samples do not rule out.

The place of a maximum has no standard error that could be trusted: curves are flat at their peak,
and where gold never turns the peak is the end of what is seen. So the interval holds every place
that a test does not reject: a place is rejected if somewhere else gold is higher by more than noise
explains, further on also by more than rare bad samples that were not drawn would. Noise is
simulated from the moves of single groups of prompts, for all other places at once. Where the end of
the range is not rejected, the interval has no end.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from klimit._estimate import Estimate
from klimit.estimate.kernel import Floats

DRAWS = 600
_CURVES = 2000


@dataclass(frozen=True)
class Peak:
    """Where a curve is highest.

    Attributes
    ----------
    value : the place; the last one where the curve still rises there
    low, high : the interval; inf where the last place is not rejected
    inside : whether the curve turns down before the last place
    """

    value: float
    low: float
    high: float
    inside: bool


def peak(
    place: Floats, value: Floats, moves: Floats, wrong: Floats, bend: Floats, unlucky: Floats, *,
    level: float, widen: float, seed: int,
) -> Peak:  # fmt: skip
    """Find the peak of a curve.

    Parameters
    ----------
    place, value : (places,) ascending, and the curve there
    moves : (units, places) what each unit of the sample moves the curve by
    wrong : (places,) signed corrections, whose differences may be wrong as a whole
    bend : (places,) how far the curve may bend on: where it is negative a higher place may be none
    unlucky : (places,) how far the curve may be too high for want of rare bad samples
    widen : t quantile over the normal one
    """
    best = int(np.argmax(value))
    if len(moves) < 2:
        return Peak(float(place[best]), float(place[0]), float("inf"), best + 1 < len(place))
    gap = value[None, :] - value[:, None]  # (here, there)
    square = np.einsum("ui,uj->ij", moves, moves)
    own = np.diag(square)
    error = np.sqrt(np.maximum(own[None, :] + own[:, None] - 2 * square, 0.0))
    scale = np.maximum(error, 1e-6 * (error.max() or 1.0))
    rng = np.random.default_rng([seed, 9, len(moves)])
    noise = rng.standard_normal((DRAWS, len(moves))) @ moves
    worst = np.empty((DRAWS, len(place)))
    for here in range(len(place)):
        worst[:, here] = ((noise - noise[:, here : here + 1]) / scale[here]).max(axis=1)
    critical = np.quantile(worst, level, axis=0) * widen
    apart = np.hypot(wrong[None, :] - wrong[:, None], np.minimum(bend[None, :] - bend[:, None], 0))
    rare = np.triu(np.maximum(unlucky[None, :] - unlucky[:, None], 0))
    allowed = np.hypot(np.hypot(critical[:, None] * scale, apart), rare)
    kept = ~(gap > allowed).any(axis=1)
    kept[best] = True
    first, last = np.flatnonzero(kept)[[0, -1]]
    end = len(place) - 1
    low = float(place[max(first - 1, 0)]) if first < best else float(place[first])
    high = float("inf") if last == end else float(place[last + 1])
    return Peak(float(place[best]), min(low, float(place[best])), high, best < end)


def stop_at(found: Peak | None, level: float, unknown: str) -> Estimate:
    """The KL of the peak; where none is known, `unknown` says why."""
    if found is None:
        return Estimate(np.nan, 0.0, np.inf, level, False, unknown)
    note = "" if np.isfinite(found.high) else "no peak is shown within the trusted range"
    return Estimate(found.value, found.low, found.high, level, True, note)


def share_below(place: Floats, value: Floats, pulls: Floats, kl: Floats, *, seed: int) -> Floats:
    """Share of prompt-bootstrap curves whose maximum lies below `kl`.

    Parameters
    ----------
    place, value : (places,) KL, and the curve of all prompts
    pulls : (groups, places) what one more copy of each group of prompts moves the curve by
    """
    count = len(pulls)
    rng = np.random.default_rng([seed, 10, count])
    extra = rng.multinomial(count, np.full(count, 1 / count), size=_CURVES) - 1.0
    curves = value + extra @ pulls
    # of equal heights the last: a curve that stays level has not peaked
    level = curves >= curves.max(axis=1, keepdims=True) - 1e-9 * np.ptp(
        curves, axis=1, keepdims=True
    )
    found = place[len(place) - 1 - level[:, ::-1].argmax(axis=1)]
    return np.asarray((found[:, None] < kl[None, :]).mean(axis=0))
