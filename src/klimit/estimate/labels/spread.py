"""How far gold lies from its prediction, as a function of the proxy.

The coefficients of gold are known for every sample, so what labels add to the variance needs only the
typical square of a residual at each of them, not the squares of the few heavy ones themselves.
"""

from __future__ import annotations

import numpy as np

from klimit.estimate.kernel import Floats
from klimit.estimate.labels.tilting import Rows
from klimit.estimate.samples import Integers

_HELD = 4.0  # label equivalents by which each slope is held at 0
_STEPS = 12
_FURTHEST = 2.5  # standardised proxy beyond which the spread is taken to stay as it is


def squares(rows: Rows, place: Integers, residual: Floats) -> Floats:
    """(samples,) expected square of gold less its prediction, by a log-linear quasi-likelihood.

    It may depend on the proxy within the prompt (a parabola in the logarithm) and on how far the
    prompt's proxies spread.

    Parameters
    ----------
    place, residual : (labels,) labelled samples, and gold less its prediction, gold units
    """
    inside = rows.centred(rows.proxy)
    variance = rows.mean(inside**2)
    scale = float(np.sqrt(variance.mean()))
    mean = float((residual**2).mean())
    if not mean > 0:
        return np.zeros(len(inside))
    columns = [np.ones(len(inside))]
    if scale > 0:
        z = np.clip(inside / scale, -_FURTHEST, _FURTHEST)
        columns += [z, (z**2 - 1) / np.sqrt(2)]
        width = 0.5 * np.log(np.maximum(variance / scale**2, 1e-4))
        if float(width.std()) > 0.05:
            columns.append(((width - width.mean()) / width.std())[rows.prompt])
    x = np.stack(columns)
    at, y = x[:, place], residual**2 / mean
    held = np.diag([0.0] + [_HELD] * (len(x) - 1))
    beta = np.zeros(len(x))
    for _ in range(_STEPS):  # Fisher scoring of the gamma likelihood, log link
        ratio = np.minimum(y * np.exp(-(beta @ at)), 50.0)
        score = at @ (ratio - 1) - held @ beta
        step = np.linalg.solve(at @ at.T + held + 1e-9 * np.eye(len(x)), score)
        beta = beta + np.clip(step, -1.0, 1.0)
        if np.abs(step).max() < 1e-6:
            break
    found = mean * np.exp(np.clip(beta @ x, -6.0, 6.0))
    return np.asarray(found * float((residual**2).sum() / max(found[place].sum(), 1e-300)))
