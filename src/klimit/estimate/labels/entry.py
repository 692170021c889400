"""Where `klimit.hacking` turns to few labels: gold in a table, gold of few samples, judgements."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from klimit._errors import ArgumentError
from klimit._text import safe

if TYPE_CHECKING:
    from klimit.estimate.kernel import Floats
    from klimit.estimate.labels.result import Sparse
    from klimit.estimate.samples import Integers

LEAST, LEAST_PROMPTS = 50, 10
"""Labels, and prompts with one, from which gold is predicted for other samples."""
# share of the samples with a proxy of which gold is known, below which gold is predicted: the few
# samples that lack it above are left out, which costs little and keeps every question open; below
# the second share, too many would be left out even where there are labels for nothing else
_FEW, _FAR_TOO_FEW = 0.9, 0.5


def is_table(gold: Any) -> bool:
    """Whether labels stand in a table of their own."""
    one = gold[0] if isinstance(gold, list) and gold else gold  # a list of records is one
    return hasattr(type(one), "columns") or isinstance(one, Mapping) or hasattr(gold, "__fspath__")


def known_of_few(proxy: Floats, gold: Floats, lengths: Integers) -> bool:
    """Whether gold is known of some samples with a proxy, but of too few to leave out the others.

    Parameters
    ----------
    proxy, gold : (samples,) prompt after prompt, NaN where missing
    lengths : (prompts,) samples of each
    """
    scored = ~np.isnan(proxy)
    both = scored & ~np.isnan(gold)
    number, share = int(both.sum()), both.sum() / max(int(scored.sum()), 1)
    prompts = len(np.unique(np.repeat(np.arange(len(lengths)), lengths)[both]))
    enough = number >= LEAST and prompts >= LEAST_PROMPTS
    return bool(0 < share < (_FEW if enough else _FAR_TOO_FEW))


def sparse(
    base: Any, proxy: Any, gold: Any, judgements: Any, nuisance: Any, *,
    reward_range: Any, prompts: Literal["drawn", "fixed"], level: float, seed: int,
) -> Sparse:  # fmt: skip
    """The answer from few labels, or from judged pairs."""
    if reward_range is not None:
        few = "few labels" if judgements is None else "judgements"
        raise ArgumentError(
            f"reward_range={safe(reward_range, longest=40)} was given beside {few}, whose estimate makes "
            "no use of it. Leave it out."
        )
    from klimit.estimate.labels.preferences import judged
    from klimit.estimate.labels.verb import few_labels

    if judgements is None:
        return few_labels(
            base, proxy=proxy, gold=gold, nuisance=nuisance, prompts=prompts, level=level, seed=seed
        )
    if gold is not None or nuisance is not None:
        extra = "gold" if gold is not None else "nuisance"
        raise ArgumentError(
            f"{extra}= and judgements= were both given; a win rate is read from judgements alone. "
            f"Leave {extra} out."
        )
    return judged(base, proxy=proxy, judgements=judgements, prompts=prompts, level=level, seed=seed)
