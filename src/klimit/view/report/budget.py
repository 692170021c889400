"""The numbers that the budget control moves: the limit on a grid of budgets, for a page to read from."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from klimit.estimate.best_of_n.equal_n import tied_kl, ties
from klimit.estimate.kernel import Floats
from klimit.estimate.samples import nearly_all

if TYPE_CHECKING:
    from klimit.estimate.result import Frontier

NODES = 160  # budgets of the grid, even in sqrt(KL), where frontiers are nearly straight
BOUNDS = 12  # of these, how many have the bounds of the literature
MANY = 300_000  # rewards past which bounds are read at four of the budgets


def nodes(limit: Frontier, top: float, exact: Sequence[float] = ()) -> Floats:
    """Budgets from 0 to `top`, with the `exact` ones and both sides of the end of trust.

    Nothing may be interpolated across the end of trust: on its far side only a bound is known.
    """
    even = top * (np.arange(NODES) / (NODES - 1)) ** 2
    edge = limit.trusted_kl
    sides = [edge, edge * (1 + 1e-9)] if 0 < edge < top else []
    within = [kl for kl in exact if kl <= top]
    found: Floats = np.unique(np.concatenate([even, sides, within]))
    return found


def grid(
    limit: Frontier, top: float, exact: Sequence[float] = (), sizes: Iterable[int] = ()
) -> dict[str, Any]:
    """Everything that the control shows at a budget, as lists over the grid.

    `gain`, `low` and `high` are null where they are not known, `beta` is null where it is not
    trusted, and `needed` (samples a prompt) is null where these samples suffice.

    Parameters
    ----------
    top : where the grid ends, nats
    exact : budgets that are on the grid
    sizes : best-of-N that must be exact
    """
    kl = nodes(limit, top, exact)
    gain, beta = limit.gain(kl), limit.beta(kl)
    trusted = np.atleast_1d(gain.trusted)
    sure = trusted & (kl > 0)
    needed = [  # 0 where no number would do
        None if within else limit.samples_needed(at) * (not limit.exhausted(at))
        for at, within in zip(kl.tolist(), trusted, strict=True)
    ]
    return {
        "kl": _numbers(kl, 9),
        "gain": _numbers(np.where(trusted, gain.value, np.nan)),
        "low": _numbers(gain.low),
        "high": _numbers(gain.high),
        "beta": _numbers(np.where(sure, beta.value, np.nan)),
        "needed": needed,
        "edge": limit.trusted_kl if math.isfinite(limit.trusted_kl) else None,
        "bestOfN": spending(limit, sizes),
        "bounds": bounds(limit, top),
    }


def spending(limit: Frontier, also: Iterable[int] = ()) -> dict[str, Any]:
    """What best-of-N spends, for the N that are told from these samples.

    Without ties it is ``log N - (N - 1) / N`` for every N, which the page computes; then there are
    no sizes here. With ties it depends on the data: the page takes its ratio to that number between
    these sizes, where it is smooth, and past the last size nothing is known.

    Parameters
    ----------
    also : sizes that must be exact, each with the one below it
    """
    samples = limit.samples
    most = nearly_all(samples.counts)
    if limit.settings.objective != "reward" or not ties(samples):
        return {"most": most, "sizes": None, "kl": None}
    sizes = sizes_to(most, also)
    rising = np.maximum.accumulate(tied_kl(samples, sizes))
    return {"most": most, "sizes": sizes, "kl": _numbers(rising)}


def sizes_to(most: int, also: Iterable[int] = ()) -> list[int]:
    """1 to 4, then three to an octave, the last, and those that must be there.

    Examples
    --------
    >>> sizes_to(5), sizes_to(64, [20])
    ([1, 2, 3, 4, 5], [1, 2, 3, 4, 5, 6, 8, 10, 13, 16, 19, 20, 25, 32, 40, 51, 64])
    """
    octaves = max(math.log2(most), 2.0)
    spread = {round(2.0 ** (i / 3)) for i in range(6, int(3 * octaves) + 1)}
    exact = {n for one in also for n in (one - 1, one)}
    return sorted(n for n in {1, 2, 3, most} | spread | exact if 1 <= n <= most)


def bounds(limit: Frontier, top: float) -> dict[str, Any]:
    """The bounds of the literature at some budgets: a row of values for each of them."""
    if limit.samples.scale == 0 or limit.settings.objective != "reward" or not limit.trusted_kl > 0:
        return {"kl": [], "rows": []}  # samples that tell no limit are as low on its bounds
    kl = min(top, limit.trusted_kl) * (np.arange(1, BOUNDS + 1) / BOUNDS) ** 2
    if limit.samples.counts.sum() > MANY:
        kl = kl[[2, 5, 8, 11]]
    rows: dict[str, list[float]] = {}
    sources: dict[str, str] = {}
    for at in kl:
        frame = limit.bounds(float(at))
        for name, value, source in frame.select("bound", "value", "source").rows():
            rows.setdefault(name, []).append(value)
            sources[name] = source
    tightest = sorted(rows, key=lambda name: rows[name][-1])
    return {
        "kl": _numbers(kl, 9),
        "rows": [
            {"name": name, "source": sources[name], "value": _numbers(rows[name])}
            for name in tightest
        ],
    }


def _numbers(values: Any, digits: int = 6) -> list[float | None]:
    """Plain numbers of so many digits; null where not finite."""
    return [
        float(f"{x:.{digits}g}") if math.isfinite(x) else None
        for x in np.asarray(values, dtype=float).tolist()
    ]
