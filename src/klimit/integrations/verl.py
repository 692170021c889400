"""verl's validation metrics with best@N as best-of-N really is: drawn without replacement.

verl draws N of a prompt's M samples *with* replacement, which misses the best of all with probability
``(1 - 1/M)^N``: the metric is too low. The mean of the best over all N-subsets is unbiased for every N up
to M (Chen et al., arXiv 2107.03374), and needs no draws.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from klimit._errors import ArgumentError
from klimit._text import safe
from klimit.estimate.best_of_n.order_weights import order_weights
from klimit.estimate.kernel import Floats

DRAWS = 1000  # random subsets for majority votes, as many as verl draws
Metrics = dict[str, float]


def process_validation_metrics(
    data_sources: Sequence[str],
    sample_uids: Sequence[str],
    infos_dict: Mapping[str, Sequence[Any]],
    seed: int = 42,
    expected_acc_counts: Mapping[tuple[str, str], int] | None = None,
) -> dict[str, dict[str, Metrics]]:
    """What verl's function of the same name answers, under the same keys, without its bias.

    ``mean@M`` and ``std@M`` are verl's. ``best@N/mean`` and ``worst@N/mean`` are exact means over subsets,
    ``maj@N/mean`` is over 1,000 random ones. Each ``/std`` is, as verl's, of draws with replacement.

    Parameters
    ----------
    data_sources : (samples,) where each prompt is from
    sample_uids : (samples,) its prompt
    infos_dict : per variable (samples,) values; None is left out, text is no metric, ``pred`` votes
    seed : of the random subsets
    expected_acc_counts : sessions that were started, by (data source, uid): those that failed count
        with ``acc`` 0 where a source has ``acc``

    Returns
    -------
    {data source: {variable: {metric: value}}}, each value a mean over prompts

    Raises
    ------
    ArgumentError
        Where columns are of unequal length.

    Examples
    --------
    >>> found = process_validation_metrics(["math"] * 8, ["p"] * 8, {"acc": [1] + [0] * 7})
    >>> {name: round(float(value), 2) for name, value in found["math"]["acc"].items() if "best" in name}
    {'best@2/mean': 0.25, 'best@2/std': 0.42, 'best@4/mean': 0.5, 'best@4/std': 0.49,
     'best@8/mean': 1.0, 'best@8/std': 0.47}
    """
    lengths = {"sample_uids": len(sample_uids)}
    lengths |= {f"infos_dict[{name!r}]": len(values) for name, values in infos_dict.items()}
    for name, length in lengths.items():
        if length != len(data_sources):
            raise ArgumentError(
                f"{safe(name)} holds {length} values beside {len(data_sources)} of data_sources; one for "
                "each sample was expected."
            )
    grouped = _grouped(data_sources, sample_uids, infos_dict)
    if expected_acc_counts:
        _count_failures(grouped, expected_acc_counts)
    found: dict[str, dict[str, Metrics]] = {}
    for source, prompts in grouped.items():
        collected: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
        for variables in prompts.values():
            for name, metrics in _of_prompt(variables, seed).items():
                for metric, value in metrics.items():
                    collected[name][metric].append(value)
        found[source] = {
            name: {metric: float(np.mean(values)) for metric, values in metrics.items()}
            for name, metrics in collected.items()
        }
    return found


def best_at(values: Sequence[float], n: int) -> float:
    """The mean of the best of `n`, over all subsets of the samples of one prompt.

    Examples
    --------
    >>> best_at([0.0, 0.0, 0.0, 1.0], 4), round(best_at([0.0, 0.0, 0.0, 1.0], 2), 6)
    (1.0, 0.5)
    """
    return float(order_weights(n, len(values)) @ np.sort(np.asarray(values, dtype=float)))


def _grouped(
    sources: Sequence[str], uids: Sequence[str], infos: Mapping[str, Sequence[Any]]
) -> dict[str, dict[str, dict[str, list[Any]]]]:
    found: dict[str, dict[str, dict[str, list[Any]]]] = defaultdict(
        lambda: defaultdict(lambda: defaultdict(list))
    )
    for at, (source, uid) in enumerate(zip(sources, uids, strict=True)):
        for name, values in infos.items():
            found[source][uid][name].append(values[at])
    return found


def _count_failures(
    grouped: dict[str, dict[str, dict[str, list[Any]]]], expected: Mapping[tuple[str, str], int]
) -> None:
    scored = {
        source
        for source, prompts in grouped.items()
        if any(x is not None for variables in prompts.values() for x in variables.get("acc", ()))
    }
    for (source, uid), count in expected.items():
        if source in scored:
            variables = grouped[source][uid]
            seen = [x for x in variables.get("acc", ()) if x is not None]
            variables["acc_success_only"] = seen
            variables["acc"] = seen + [0.0] * max(count - len(seen), 0)


def _of_prompt(variables: Mapping[str, list[Any]], seed: int) -> dict[str, Metrics]:
    votes = variables.get("pred")
    found: dict[str, Metrics] = {}
    for name, every in variables.items():
        given = [x for x in every if x is not None]
        if not given or isinstance(given[0], str):
            continue
        values = np.asarray(given, dtype=float)
        voting = votes is not None and len(votes) == len(given) and None not in votes
        found[name] = _metrics(values, votes if voting else None, seed)
    return found


def _metrics(values: Floats, votes: Sequence[Any] | None, seed: int) -> Metrics:
    samples = len(values)
    found = {f"mean@{samples}": float(values.mean())}
    if samples == 1:
        return found
    found[f"std@{samples}"] = float(values.std())
    ordered = np.sort(values)
    for n in _sizes(samples):
        for name, ranked in (("best", ordered), ("worst", ordered[::-1])):
            found[f"{name}@{n}/mean"] = float(order_weights(n, samples) @ ranked)
            found[f"{name}@{n}/std"] = _spread(ranked, n)
        if votes is not None:
            mean, spread = _majority(values, votes, n, seed)
            found |= {f"maj@{n}/mean": mean, f"maj@{n}/std": spread}
    return found


def _sizes(samples: int) -> list[int]:
    """2, 4, 8, ... below the number of samples, and that number."""
    return [2**k for k in range(1, samples.bit_length()) if 2**k < samples] + [samples]


def _spread(ranked: Floats, n: int) -> float:
    """Standard deviation of the last in rank of `n` draws with replacement."""
    weights = np.diff((np.arange(len(ranked) + 1) / len(ranked)) ** n)
    return float(np.sqrt(weights @ (ranked - weights @ ranked) ** 2))


def _majority(values: Floats, votes: Sequence[Any], n: int, seed: int) -> tuple[float, float]:
    """Mean value of the answer that most of `n` samples give, the first of equals; and its spread."""
    known: dict[Any, int] = {}
    codes = np.array([known.setdefault(vote, len(known)) for vote in votes])
    rng = np.random.default_rng(seed)
    every = np.tile(np.arange(len(codes)), (DRAWS, 1))
    chosen = rng.permuted(every, axis=1)[:, :n]
    again = rng.integers(len(codes), size=(DRAWS, n))
    return (
        float(np.mean(_elected(values, codes, chosen))),
        float(np.std(_elected(values, codes, again))),
    )


def _elected(values: Floats, codes: Any, drawn: Any) -> Floats:
    said, rows = codes[drawn], np.arange(len(drawn))
    ballots = np.zeros((len(drawn), codes.max() + 1), dtype=np.int64)
    np.add.at(ballots, (rows[:, None], said), 1)
    winner = np.take_along_axis(ballots, said, axis=1).argmax(axis=1)  # the first of equals
    found: Floats = values[drawn[rows, winner]]
    return found
