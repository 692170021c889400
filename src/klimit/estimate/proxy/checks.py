"""What is wrong with a pair of rewards before anything is estimated from it."""

from __future__ import annotations

import warnings

import numpy as np

from klimit._errors import DataError, DataWarning
from klimit._text import safe
from klimit.estimate.proxy.pairs import Pairs

_FEW = 0.1  # share of the proxy's samples with gold below which prompts are hardly seen by gold
_SHOWN = 8  # samples that a prompt's spread is read from
_UNEVEN = 8.0  # ratio of spreads, 90th to 10th percentile of prompts, that is worth a warning


def check_pairs(pairs: Pairs) -> None:
    """Refuse pairs that can show nothing; warn of those that show something else than is thought."""
    proxy, gold = (safe(name, longest=40) for name in pairs.names[:2])
    with_proxy, with_gold = pairs.seen - pairs.no_proxy, pairs.seen - pairs.no_gold
    both = len(pairs.proxy)
    if not pairs.prompts:
        raise DataError(_no_pairs(pairs, proxy, gold))
    if with_gold < _FEW * with_proxy:
        raise DataError(
            f"only {with_gold:,} of {pairs.seen:,} samples have {gold}; at least one in ten was "
            "expected. Few gold labels beside many proxy rewards want a prediction-powered estimate: "
            "see the few labels in docs/hacking.md."
        )
    for name, values in ((proxy, pairs.proxy), (gold, pairs.gold)):
        if _constant(pairs, values):
            raise DataError(
                f"{name} is the same for all samples of every prompt ({both:,} samples); nothing "
                "can be gained or lost in it. Check the column, or score with a finer reward."
            )
    if np.array_equal(pairs.proxy, pairs.gold):
        warnings.warn(
            f"{proxy} and {gold} hold the same numbers: this is the limit of one reward "
            "(klimit.frontier).", DataWarning, stacklevel=3,
        )  # fmt: skip
    _check_scales(pairs, proxy)


def _no_pairs(pairs: Pairs, proxy: str, gold: str) -> str:
    if pairs.no_proxy == pairs.seen or pairs.no_gold == pairs.seen:
        return f"every sample lacks {proxy if pairs.no_proxy == pairs.seen else gold}."
    if not pairs.missing:
        return (
            f"no prompt has two samples ({pairs.total:,} prompts, {pairs.seen:,} samples): a "
            "proxy's gain is read from several samples of every prompt of one base model. Draw at "
            "least 4 a prompt."
        )
    return (
        f"no prompt has two samples with both {proxy} and {gold} ({pairs.seen - pairs.no_proxy:,} "
        f"samples have {proxy}, {pairs.seen - pairs.no_gold:,} have {gold}). Score the same samples "
        "with both."
    )


def _constant(pairs: Pairs, values: np.ndarray) -> bool:
    first = np.repeat(values[np.cumsum(pairs.lengths) - pairs.lengths], pairs.lengths)
    return bool((values == first).all())


def _check_scales(pairs: Pairs, proxy: str) -> None:
    """Warn where some prompts have a proxy on a far larger scale than others have."""
    starts = np.cumsum(pairs.lengths) - pairs.lengths
    middle = np.add.reduceat(pairs.proxy, starts) / pairs.lengths
    rest = pairs.proxy - np.repeat(middle, pairs.lengths)
    spread = np.sqrt(np.add.reduceat(rest**2, starts) / pairs.lengths)
    spread = spread[spread > 1e-9 * spread.max()]
    if len(spread) < 10 or np.median(pairs.lengths) < _SHOWN:
        return
    low, high = np.quantile(spread, [0.1, 0.9])
    if high > _UNEVEN * low:
        warnings.warn(
            f"{proxy} spreads {high / low:.0f} times as far on some prompts as on others (90th and "
            "10th percentile): under one beta nearly all KL goes to those. If its scale differs by "
            "prompt for no reason, bring it to one scale first.", DataWarning, stacklevel=4,
        )  # fmt: skip
