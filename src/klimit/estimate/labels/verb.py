"""From a proxy of all samples and gold of a few to what the proxy's gain is worth."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from klimit._errors import DataError, warn
from klimit._text import safe
from klimit.estimate.labels.designs import Design
from klimit.estimate.labels.entry import LEAST, LEAST_PROMPTS
from klimit.estimate.labels.few import FewLabels
from klimit.estimate.labels.minded import minding
from klimit.estimate.labels.prediction import Labels, predict
from klimit.estimate.labels.reading import Known, proxy_frontier, read_known
from klimit.estimate.proxy.checks import check_scales, check_two, check_varies
from klimit.estimate.result import Frontier
from klimit.estimate.samples import collect
from klimit.rollouts.words import counted


def few_labels(
    base: Any, *, proxy: Any = None, gold: Any, nuisance: Any = None,
    prompts: Literal["drawn", "fixed"] = "drawn", level: float = 0.95, seed: int = 0,
    limit: Frontier | None = None,
) -> FewLabels:  # fmt: skip
    """How much of a proxy's gain does gold confirm, if gold is known of some samples only?

    `klimit.hacking` comes here where gold is missing for many samples.

    Parameters
    ----------
    base, proxy, gold, nuisance, prompts, level, seed : as `klimit.hacking` takes them; a nuisance helps
        to predict gold
    limit : the proxy's frontier on the same samples, if it is known already

    Notes
    -----
    Prediction-powered inference (arXiv 2301.09633) with tuned power (2311.01453) for a tilted mean;
    derived in `klimit.estimate.labels.powered`. Intervals hold if labels are missing completely at
    random within prompts, and prompts without any are so at random; or if samples were chosen by
    `next`, whose columns `label_chance` and `label_round` are then read.
    """
    known = read_known(base, proxy, gold, nuisance, seed=seed)
    index = Labels.of(known.rows, known.gold)
    _check(known, index)
    known = minding(known)
    chance, round_ = known.chance[index.place], known.round[index.place]
    if limit is None:
        limit = proxy_frontier(known, prompts=prompts, level=level, seed=seed)
    predictions = predict(known.rows, known.gold, known.others, np.isnan(known.chance))
    return FewLabels(known, limit, index, Design.of(index, chance, round_), predictions)


def _check(known: Known, index: Labels) -> None:
    """Refuse labels that can show nothing; warn of those that show something else than is thought."""
    proxy = safe(known.column.name, longest=40)
    name, number, prompts = safe(known.gold_name, longest=40), len(index.place), len(index.prompts)
    if number < LEAST or prompts < LEAST_PROMPTS:
        more = f"; {known.lost:,} more are on samples without the proxy" if known.lost else ""
        raise DataError(
            f"Few gold labels: {counted(number, 'sample')} of {counted(prompts, 'prompt')} have "
            f"{name}{more}, and at least {LEAST} in {LEAST_PROMPTS} prompts are needed. klimit labels, "
            "or klimit.first_labels, says which samples to label."
        )
    if (index.gold == index.gold[0]).all():
        raise DataError(
            f"all {number:,} labels of {name} are {index.gold[0]:g}; nothing can be gained or lost in "
            "it as far as they show. Label more samples, or with a finer gold reward."
        )
    collect(index.gold, np.array([number]))  # refuses sizes that cannot be computed with
    first = index.gold[np.cumsum(index.counts) - index.counts][index.group]
    if number >= 2 * prompts and (index.gold == first).all():
        warn(
            f"all labels of a prompt are the same number, in each of {prompts:,} prompts: as far as "
            f"{number:,} labels show, {name} does not tell its samples apart and nothing can be gained "
            "in it. Check the column, or label with a finer gold reward."
        )
    check_varies(known.rows.proxy, known.rows.lengths, proxy)
    check_two(known.rows.proxy[index.place], index.gold, (proxy, name))
    check_scales(known.rows.proxy, known.rows.lengths, proxy)
