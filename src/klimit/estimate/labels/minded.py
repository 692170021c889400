"""What to mind in labels as they came: asked ones without an answer, and ones that follow the proxy."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from klimit._errors import warn
from klimit.estimate.kernel import Floats
from klimit.estimate.missing import follows
from klimit.estimate.samples import Integers

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from klimit.estimate.labels.reading import Known


def answered(
    chance: Floats, round_: Floats, given: NDArray[np.bool_], most: int, of: Integers, what: str = "labels",
) -> tuple[Floats, str]:  # fmt: skip
    """Chances of a label that was asked for and given, and what to say of those left blank.

    Nothing is known of why an asked label is blank, so the share that its round lacks is taken as left
    out at random.

    Parameters
    ----------
    chance, round_ : (rows,) of being asked for, and which round asked; no positive chance where none did
    given : (rows,) whether there is an answer
    most : how many could have been asked for. A round with chances below 1 did not ask for them all:
        where all have one, those that were not asked for have one too, and none is known to be blank
    of : (rows,) sample or pair; a blank row beside an answer to it is no lack of one
    what : labels or judgements
    """
    asked = chance > 0
    found, blank, total = chance.copy(), 0, 0
    for one in np.unique(round_[asked]):
        here = asked & (round_ == one)
        number, answers = (len(np.unique(of[x])) for x in (here, here & given))
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
    rows, names = known.rows, (known.column.name, known.gold_name)
    said = follows(rows.proxy, rows.lengths, at_random, names)
    known = replace(known, minded=(*known.minded, said) if said else known.minded)
    for line in known.minded:
        warn(line)
    return known
