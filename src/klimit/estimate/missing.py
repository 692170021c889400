"""Gold that is missing where the proxy is high, or low: what is left says something else then."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from klimit._errors import warn
from klimit._text import safe
from klimit.estimate.kernel import Floats
from klimit.estimate.samples import Integers, shown

if TYPE_CHECKING:
    from numpy.typing import NDArray

_FAR = 5.0  # standard errors that labels at random never lie off


def lacking(proxy: Floats, gold: Floats, lengths: Integers, names: tuple[str, str]) -> str:
    """What to say, and is warned of, where the samples that lack gold lie at one end of the proxy.

    Parameters
    ----------
    proxy, gold : (samples,) prompt after prompt, NaN where missing
    lengths : (prompts,) samples of each
    """
    scored = ~np.isnan(proxy)
    known = ~np.isnan(gold[scored])
    if known.all() or not known.any():
        return ""
    number = shown(scored, lengths)
    said = follows(proxy[scored], number[number > 0], known, names)
    if said:
        warn(said)
    return said


def follows(
    proxy: Floats, lengths: Integers, labelled: NDArray[np.bool_], names: tuple[str, str]
) -> str:
    """What to say where labels at random, as they are taken to be, lie at one end of the proxy.

    Their ranks within prompts have a known mean and variance if they were drawn without replacement.

    Parameters
    ----------
    proxy : (samples,) prompt after prompt, none missing
    lengths : (prompts,) samples of each, one or more
    labelled : (samples,) whether a sample has a label that nothing says the chance of
    names : of proxy and gold
    """
    prompt, starts = np.repeat(np.arange(len(lengths)), lengths), np.cumsum(lengths) - lengths
    order = np.lexsort((proxy, prompt))
    new = np.r_[True, (np.diff(proxy[order]) != 0) | (np.diff(prompt[order]) != 0)]
    tie = np.cumsum(new) - 1
    rank = np.empty(len(order))
    rank[order] = (np.bincount(tie, np.arange(len(order))) / np.bincount(tie))[tie]
    rank -= (np.add.reduceat(rank, starts) / lengths)[prompt]
    number = np.add.reduceat(labelled.astype(float), starts)
    each = np.add.reduceat(rank**2, starts) / np.maximum(lengths - 1, 1)
    each *= number * (lengths - number) / lengths
    total, error = float((rank * labelled).sum()), float(np.sqrt(each.sum()))
    if not abs(total) > _FAR * error:
        return ""
    chooser, gold = (safe(name, longest=40) for name in names)
    return (
        f"labels of {gold} go to answers that {chooser} scores {'high' if total > 0 else 'low'} "
        f"({abs(total) / error:.0f} standard errors off labels at random): intervals hold only for labels "
        "at random within prompts. Label at random, or what klimit.first_labels (klimit labels) chooses."
    )
