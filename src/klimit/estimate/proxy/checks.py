"""What is wrong with a pair of rewards before anything is estimated from it."""

from __future__ import annotations

import numpy as np

from klimit._errors import DataError, warn
from klimit._text import safe
from klimit.estimate.kernel import Floats
from klimit.estimate.proxy.pairs import Pairs
from klimit.estimate.samples import Integers, centred, collect

_SHOWN = 4  # samples that a prompt's spread is read from
_ROUNDING = 1e-6  # of the spread: what single precision leaves between a reward and its copy
_UNEVEN = 8.0  # ratio of spreads, 90th to 10th percentile of prompts, that is worth a warning


def check_pairs(pairs: Pairs) -> None:
    """Refuse pairs that can show nothing; warn of those that show something else than is thought."""
    proxy, gold = (safe(name, longest=40) for name in pairs.names[:2])
    if not pairs.prompts:
        raise DataError(_no_pairs(pairs, proxy, gold))
    for name, values in zip(pairs.names, (pairs.proxy, pairs.gold, pairs.nuisance), strict=True):
        if values is not None:
            check_varies(values, pairs.lengths, safe(name, longest=40))
            collect(values, pairs.lengths)  # refuses numbers too large or too small to compute with
    check_two(pairs.proxy, pairs.gold, (proxy, gold))
    check_scales(pairs.proxy, pairs.lengths, proxy)
    if pairs.nuisance is not None:
        _check_apart(pairs, pairs.nuisance, proxy, safe(pairs.names[2], longest=40))


def _check_apart(pairs: Pairs, nuisance: Floats, proxy: str, name: str) -> None:
    """Refuse a nuisance on a line with the proxy within prompts: without it nothing can be gained."""
    x, y = (centred(values, pairs.lengths) for values in (nuisance, pairs.proxy))
    slope = _line(x, y)
    if slope is not None:
        raise DataError(
            f"{proxy} is {slope:.3g} times {name} for every sample, plus what its prompt has in common: all "
            f"of the gain is {name}, and none is left where its mean is held. Name another nuisance, or none."
        )


def _line(x: Floats, y: Floats) -> float | None:
    """How many times x is y, up to rounding; None where it is no multiple."""
    slope = float(x @ y / (x @ x))
    return slope if np.abs(y - slope * x).max() <= _ROUNDING * np.abs(y).max() else None


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


def check_varies(values: Floats, lengths: Integers, name: str) -> None:
    """Refuse a reward that is the same for all samples of every prompt."""
    if (values == np.repeat(values[np.cumsum(lengths) - lengths], lengths)).all():
        raise DataError(
            f"{name} is the same for all samples of every prompt ({len(values):,} samples); nothing "
            "can be gained or lost in it. Check the column, or score with a finer reward."
        )


def check_two(proxy: Floats, gold: Floats, names: tuple[str, str]) -> None:
    """Warn where both rewards are one, in whatever unit."""
    if np.array_equal(proxy, gold):
        warn(
            f"{names[0]} and {names[1]} hold the same numbers: this is the limit of one reward "
            "(klimit.frontier)."
        )
        return
    x, y = proxy - proxy.mean(), gold - gold.mean()
    if len(x) < 3 or not x.any():  # two samples lie on a line whatever they are
        return
    slope = _line(x, y)
    if slope is not None:
        offset = float(gold.mean() - slope * proxy.mean())
        warn(
            f"{names[1]} is {slope:.3g} times {names[0]} plus {offset:.3g} for every sample: "
            + "this is the limit of one reward (klimit.frontier), in two units." * (slope > 0)
            + "what the one gains the other loses." * (slope < 0)
        )


def check_scales(proxy_values: Floats, lengths: Integers, proxy: str) -> None:
    """Warn where some prompts have a proxy on a far larger scale than others have."""
    rest = centred(proxy_values, lengths)
    spread = np.sqrt(np.add.reduceat(rest**2, np.cumsum(lengths) - lengths) / lengths)
    spread = spread[spread > 1e-9 * spread.max()]
    if len(spread) < 10 or np.median(lengths) < _SHOWN:
        return
    low, high = np.quantile(spread, [0.1, 0.9])
    if high > _UNEVEN * low:
        warn(
            f"{proxy} spreads {high / low:.0f} times as far on some prompts as on others (90th and "
            "10th percentile): under one beta nearly all KL goes to those. If its scale differs by "
            "prompt for no reason, bring it to one scale first."
        )
