"""Samples to label, as a table to hand to people: the first ones, and those after."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from klimit._errors import ArgumentError
from klimit.estimate.checks import check_seed, positive, whole
from klimit.estimate.labels.choosing import Choice, choose
from klimit.estimate.labels.reading import (
    CHANCE,
    ROUND,
    Known,
    proxy_frontier,
    read_known,
    sample_names,
    texts,
)
from klimit.estimate.labels.tilting import tilting

if TYPE_CHECKING:
    import polars as pl

    from klimit.estimate.result import Frontier


def first_labels(
    base: Any,
    *,
    proxy: Any = None,
    n: int,
    kl: float = 1.0,
    pairs: bool = False,
    seed: int = 0,
    limit: Frontier | None = None,
) -> pl.DataFrame:
    """Which samples should be labelled first to know the proxy's gold gain at `kl` nats?

    Parameters
    ----------
    base, proxy : as `klimit.hacking` takes them
    n : labels, in pairs within prompts: an odd number is rounded down; or judgements
    kl : nats of interest
    pairs : ask for pairs to judge, not for samples to label
    seed : of the draw
    limit : the proxy's frontier on the same samples, if it is known already

    Returns
    -------
    polars frame, a row per sample
        prompt_id, sample (its id, or place within the prompt from 0), prompt and completion where
        known, the proxy, `label_chance` and `label_round`. Add a column with the labels and hand it to
        `klimit.hacking` as `gold`. For pairs: sample_a and sample_b, completion_a and completion_b; add
        `preferred` and hand it over as `judgements`.

    Raises
    ------
    ArgumentError
        Where the samples show no policy at `kl` nats.

    Examples
    --------
    >>> proxy = np.random.default_rng(0).normal(size=(100, 64))
    >>> first_labels(proxy, n=200, kl=0.5).head(2)["prompt_id", "sample"].rows()
    [('0', '8'), ('0', '46')]
    """
    check_seed(seed)
    n, kl = whole("n", n, "labels"), positive("kl", kl, "nats")
    known = read_known(base, proxy, None, seed=seed)
    most = int(known.whole.lengths.max(initial=1))
    if kl > np.log(most):
        raise ArgumentError(
            f"kl={kl:g} nats were asked for; {most:,} samples a prompt show policies up to "
            f"{np.log(most):.2g} nats, the logarithm of their number. Ask for less, or draw more samples."
        )
    if limit is None:
        limit = proxy_frontier(known, prompts="drawn", level=0.95, seed=0)
    if pairs:
        from klimit.estimate.labels.preferences import pairs_frame

        return pairs_frame(known, limit, n, kl, 1, seed=seed)
    tilted = tilting(known.rows, float(limit.curve.at_kl(kl).tilt))
    ones = np.ones(len(known.gold))
    picked = choose(known.rows, tilted.coefficient, ones, ones, n // 2, seed=seed)
    return frame_of(known, picked, 1)


def frame_of(known: Known, picked: Choice, round_: int) -> pl.DataFrame:
    """Chosen samples as a table, in the order of the caller's data."""
    import polars as pl

    order = np.argsort(known.origin[picked.place])
    origin = known.origin[picked.place[order]]
    ends = np.cumsum(known.whole.lengths)
    prompt = np.searchsorted(ends, origin, side="right")
    names = sample_names(known.base, known.whole)
    columns: dict[str, Any] = {
        "prompt_id": [str(known.whole.ids[at]) for at in prompt],
        "sample": [names[at] for at in origin],
    }
    for name in ("prompt", "completion"):
        said = texts(known.base, name, origin)
        columns |= {} if said is None else {name: said}
    columns[known.column.name] = known.whole.values[origin]
    columns[CHANCE] = picked.chance[order]
    columns[ROUND] = np.full(len(origin), round_, dtype=np.int64)
    types = {"prompt_id": pl.String, "sample": pl.String}
    return pl.DataFrame(columns, schema_overrides=types)
