"""Which of M samples is the best of N that are drawn from them without replacement?

The mean of the best over all N-subsets is unbiased; pass@k is its case for 0/1 rewards (Chen et al., arXiv
2107.03374; BOND, arXiv 2407.14622, for ties).
"""

from __future__ import annotations

import numpy as np

from klimit.estimate.kernel import Floats


def chance_below(n: int, samples: int) -> Floats:
    """How likely do all of `n` draws come from the lowest c samples? ``C(c, n) / C(samples, n)``.

    Returns
    -------
    (samples + 1,) for c = 0 to `samples`; exact zeros below c = n

    Examples
    --------
    >>> chance_below(2, 4).round(4).tolist()
    [0.0, 0.0, 0.1667, 0.5, 1.0]
    """
    found = np.zeros(samples + 1)
    # from the top down, where the weight is: C(c - 1, n) / C(c, n) = 1 - n / c
    steps = np.log1p(-n / np.arange(samples, n, -1, dtype=float))
    found[n:] = np.exp(np.concatenate(([0.0], np.cumsum(steps))))[::-1]
    return found


def order_weights(n: int, samples: int) -> Floats:
    """How likely is each sample, in ascending order, the best of `n`?

    ``C(i - 1, n - 1) / C(samples, n)`` for the i-th. Samples of equal reward share their sum.

    Returns
    -------
    (samples,) that sum to one

    Examples
    --------
    >>> order_weights(2, 4).round(4).tolist()
    [0.0, 0.1667, 0.3333, 0.5]
    """
    return chance_below(n, samples)[1:] * n / np.arange(1, samples + 1)
