"""What to mind in labels as they came: asked ones without an answer, and ones that follow the proxy."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from klimit._text import safe
from klimit._warn import warn
from klimit.estimate.kernel import Floats
from klimit.estimate.labels.tilting import Rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from klimit.estimate.labels.reading import Known
    from klimit.estimate.samples import Integers

_FAR = 5.0  # standard errors that labels at random never lie off


def answered(
    chance: Floats, round_: Floats, given: NDArray[np.bool_], most: int, what: str = "labels"
) -> tuple[Floats, str]:
    """Chances of a label that was asked for and given, and what to say of those left blank.

    Nothing is known of why an asked label is blank, so the share that its round lacks is taken as left
    out at random.

    Parameters
    ----------
    chance, round_ : (rows,) of being asked for, and which round asked; no positive chance where none did
    given : (rows,) whether there is an answer
    most : how many could have been asked for. A round with chances below 1 did not ask for them all:
        where all have one, those that were not asked for have one too, and none is known to be blank
    what : labels or judgements
    """
    asked = chance > 0
    found, blank, total = chance.copy(), 0, 0
    for one in np.unique(round_[asked]):
        here = asked & (round_ == one)
        number, answers = int(here.sum()), int((here & given).sum())
        listed = number < most or bool((chance[here] == 1).all())
        # a round without any answer is still out, and says nothing
        if 0 < answers < number and listed:
            found[here] *= answers / number
            blank, total = blank + number - answers, total + number
    if not blank:
        return found, ""
    return found, (
        f"{blank:,} of {total:,} asked {what} are blank: taken as left out at random. Fill them in "
        "where that was not by chance."
    )


def minding(known: Known) -> Known:
    """Warn of all that is to be minded, labels at random among it, and keep it in words."""
    at_random = ~np.isnan(known.gold) & np.isnan(known.chance)
    said = follows(known.rows, at_random, (known.column.name, known.gold_name))
    known = replace(known, minded=(*known.minded, said) if said else known.minded)
    for line in known.minded:
        warn(line)
    return known


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
    prompt = np.repeat(np.arange(len(lengths)), lengths)[scored]
    number = np.bincount(prompt)
    said = follows(Rows.of(proxy[scored], number[number > 0]), known, names)
    if said:
        warn(said)
    return said


def follows(rows: Rows, labelled: NDArray[np.bool_], names: tuple[str, str]) -> str:
    """What to say where labels at random, as they are taken to be, lie at one end of the proxy.

    Their ranks within prompts have a known mean and variance if they were drawn without replacement.

    Parameters
    ----------
    labelled : (samples,) whether a sample has a label that nothing says the chance of
    names : of proxy and gold
    """
    order = np.lexsort((rows.proxy, rows.prompt))
    new = np.r_[True, (np.diff(rows.proxy[order]) != 0) | (np.diff(rows.prompt[order]) != 0)]
    tie = np.cumsum(new) - 1
    rank = np.empty(len(order))
    rank[order] = (np.bincount(tie, np.arange(len(order))) / np.bincount(tie))[tie]
    rank = rows.centred(rank)
    number, size = rows.sum(labelled.astype(float)), rows.lengths
    each = rows.sum(rank**2) / np.maximum(size - 1, 1) * number * (size - number) / size
    total, error = float((rank * labelled).sum()), float(np.sqrt(each.sum()))
    if not abs(total) > _FAR * error:
        return ""
    proxy, gold = (safe(name, longest=40) for name in names)
    return (
        f"labels of {gold} go to answers that {proxy} scores {'high' if total > 0 else 'low'} "
        f"({abs(total) / error:.0f} standard errors off labels at random): intervals hold only for labels "
        "at random within prompts. Label at random, or what klimit.first_labels (klimit labels) chooses."
    )
