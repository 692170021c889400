"""Best-of-N, soft best-of-N and pessimism side by side, chosen by a proxy and judged by gold."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from klimit._errors import ArgumentError, DataError
from klimit._estimate import Estimate
from klimit._text import safe
from klimit.estimate.best_of_n.candidates import Candidates, candidates, sizes_asked
from klimit.estimate.best_of_n.prompt_means import mean_of_prompts
from klimit.estimate.checks import check_level, check_seed, only, whole
from klimit.estimate.proxy.checks import check_scales, check_two, check_varies
from klimit.estimate.samples import collect, nearly_all
from klimit.estimate.tuning import tune, tuned_mean
from klimit.select.measure import RULES, Kept, best_of, of_rule, pooled_scale, sheets
from klimit.select.result import Choices, Setting, Tuned

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

_MILDEST, _SETTINGS = 4.0, 8  # beta in standard deviations of the proxy; how many betas


def compare(
    base: Any,
    *,
    proxy: str | None = None,
    gold: Any,
    n: ArrayLike | None = None,
    candidates: int | None = None,
    beta: ArrayLike | None = None,
    level: float = 0.95,
    seed: int = 0,
) -> Choices:
    """Which rule of choosing among answers by a proxy keeps the best answers by gold?

    Best-of-N keeps the proxy's favourite, so it falls for whatever the proxy overrates; soft
    best-of-N and pessimism spread the choice. What each keeps is estimated from samples that both
    rewards have scored, without running anything: as a mean over sets of N of a prompt's samples.

    Parameters
    ----------
    base : Rollouts, or rewards of the proxy as a (prompts, samples) array (NaN = missing) or a
        sequence of 1-D arrays
    proxy : which reward chooses, where there are several
    gold : the reward that judges: a column's name, or an array where `base` is one
    n : sizes of best-of-N; by default powers of two up to the samples that nearly all prompts have
    candidates : of how many answers soft best-of-N and pessimism choose; by default the largest `n`
    beta : settings of soft best-of-N and pessimism, proxy units; by default from 4 standard
        deviations of the proxy within prompts down to where the rule is nearly best-of-N
    level : of intervals, which are for the population that the prompts came from
    seed : of the random sets of candidates; the same seed gives the same digits whatever the order
        of rows and prompts

    Returns
    -------
    Choices
        Estimates over settings, and each rule tuned: the setting of the highest gold gain, where
        each half of the prompts judges what the other half chooses.

    Raises
    ------
    ArgumentError
        Where a size is no whole number from 1 to the most samples that a prompt has, or a beta is
        not positive.
    DataError
        Where no prompt has two samples with both rewards, a reward is infinite, or one is the same
        for all samples of every prompt.

    Warns
    -----
    DataWarning
        Where both rewards are one, or the proxy is on a far larger scale for some prompts.

    References
    ----------
    Huang et al., arXiv 2503.21878 (pessimism); arXiv 2505.03156 (soft best-of-n).

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> gold = rng.normal(size=(100, 64))
    >>> proxy = gold + rng.standard_t(2, size=(100, 64))  # now and then it is far off
    >>> found = compare(proxy, gold=gold)
    >>> print(found.tuned["best-of-n"].setting, found.tuned["best-of-n"].gold)
    best-of-16 0.68 [0.62, 0.75]
    >>> print(found.difference("best-of-n", "soft best-of-n"))
    0.13 [-0.01, 0.27]
    """
    check_level(level)
    check_seed(seed)
    data, sizes = _data(base, proxy, gold, n)
    drawn = sizes[-1]
    if candidates is not None:
        drawn = whole("candidates", candidates, "answers", least=1)
        most = int(data.lengths.max())
        if drawn > most:
            raise ArgumentError(
                f"candidates={drawn:,} was asked, but no prompt has more than {most:,} samples with "
                f"both rewards; ask for up to {most:,}, or draw more samples a prompt."
            )
    data = data.enough(max(sizes[-1], drawn))
    _check(data)
    made, prompts = sheets(data), len(data.lengths)
    kept = best_of(made, sizes, prompts)
    settings = [Setting("best-of-n", size) for size in sizes]
    nearly_best = {"soft best-of-n": 1 / 64, "pessimism": 1 / (4 * drawn)}
    for name, rule in RULES.items():
        betas = _betas(beta, pooled_scale(made), nearly_best[name])
        kept = kept + of_rule(rule, made, betas, drawn, prompts, seed=seed)
        settings += [Setting(name, drawn, price) for price in betas]
    width = 1.0 if only(data.read, 0.0, 1.0) else np.inf
    estimates = _estimates(kept, settings, best_of(made, [drawn], prompts), level, width)
    if any(len(sheet.ranked(by_gold=False).runs.row) for sheet in made):
        estimates["coverage"] = _of_ties(estimates["coverage"])
    order = np.concatenate([sheet.prompts for sheet in made])
    tunings = {
        name: tune(kept.gold[[s.rule == name for s in settings]], order, seed=seed)
        for name in ("best-of-n", *RULES)
    }
    tuned = {}
    for name, found in tunings.items():
        row = [i for i, s in enumerate(settings) if s.rule == name][found.chosen]
        tuned[name] = Tuned(
            settings[row], tuned_mean(found, level), estimates["gold"][row], found.agreed
        )
    ends = np.cumsum(data.lengths)
    means = np.add.reduceat(data.read, ends - data.lengths) / data.lengths
    return Choices(
        settings=tuple(settings), **estimates, tuned=tuned,
        proxy_name=data.name, gold_name=data.read_name, base_gold=float(np.sort(means).mean()),
        prompts=prompts, samples=(int(data.lengths.min()), int(data.lengths.max())),
        level=level, notes=_notes(data, tuned, settings), kept=kept, tunings=tunings,
    )  # fmt: skip


def _data(base: Any, proxy: str | None, gold: Any, n: Any) -> tuple[Candidates, list[int]]:
    if gold is None:
        raise ArgumentError("gold is missing; name the reward that judges the kept answers.")
    named = hasattr(base, "one_reward")
    data = candidates(base, proxy if named else proxy or "proxy", gold, "gold")
    if named and data.name == data.read_name:
        raise ArgumentError(
            f"{safe(data.name)!r} was named twice; proxy and gold must be different columns. What "
            "choosing by one reward gains of it, klimit.best_of_n says."
        )
    several = int((data.lengths >= 2).sum())
    if several < 2:
        seen = "no prompt has" if several == 0 else "only one prompt has"
        raise DataError(
            f"{seen} two samples with both {safe(data.name)} and {safe(data.read_name)}; two or more were "
            "expected. Score several samples of each prompt by both rewards."
        )
    if n is None:
        most = nearly_all(data.lengths)
        return data, [2**k for k in range(20) if 2**k <= max(most, 2)]
    return data, np.unique(sizes_asked(n)).tolist()


def _check(data: Candidates) -> None:
    """Refuse rewards that can show nothing; warn of those that show something else than is thought."""
    proxy, gold = (safe(name, longest=40) for name in (data.name, data.read_name))
    for name, values in ((proxy, data.rewards), (gold, data.read)):
        check_varies(values, data.lengths, name)
        collect(values, data.lengths)  # refuses numbers too large or too small to compute with
    check_two(data.rewards, data.read, (proxy, gold))
    check_scales(data.rewards, data.lengths, proxy)


def _betas(beta: Any, scale: float, strongest: float) -> list[float]:
    """From the mildest to the strongest."""
    if beta is None:
        unit = scale if scale > 0 else 1.0
        return [float(f"{x:.3g}") for x in unit * np.geomspace(_MILDEST, strongest, _SETTINGS)]
    try:
        asked = np.asarray(beta, dtype=float).ravel()
    except (TypeError, ValueError):
        asked = np.empty(0)
    if not asked.size or not ((asked > 0) & (asked < np.inf)).all():
        raise ArgumentError(
            f"beta={safe(beta, longest=40)} was given; positive numbers (proxy units) were expected."
        )
    return sorted(set(asked.tolist()), reverse=True)


def _estimates(
    kept: Kept, settings: Sequence[Setting], best: Kept, level: float, width: float
) -> dict[str, Estimate]:
    """Every estimate over settings.

    Parameters
    ----------
    best : best-of-N of as many candidates as the other rules have
    width : the widest difference of two gold rewards, if it is known
    """
    number = np.array([s.n for s in settings], dtype=float)
    bound = np.array([s.beta is not None for s in settings])
    most = np.log(number) - (number - 1) / number
    kl = mean_of_prompts(kept.kl, level, least=0.0, most=most)
    wide = np.where(number > 1, width, 0.0)
    coverage = mean_of_prompts(kept.coverage, level, least=1.0, most=number**2 / (2 * number - 1))
    return {
        "gold": mean_of_prompts(kept.gold, level, span=(-wide, wide)),
        "proxy": mean_of_prompts(kept.proxy, level, least=0.0),
        "kl": _bounded(kl, bound, mean_of_prompts(best.kl, level, least=0.0, most=most[-1]), 0.0),
        "coverage": _bounded(coverage, bound, mean_of_prompts(best.coverage, level), 1.0),
    }


def _bounded(found: Estimate, bound: NDArray[np.bool_], best: Estimate, least: float) -> Estimate:
    """Where it is a bound alone it says nothing from below, and best-of-N's own bounds it too.

    A weight rises with the reward, and the kept answer is at most the best one: so both policies have
    a density that rises in the base's quantile, and that of best-of-N lies further up.
    """
    value, high = (np.where(bound, np.minimum(x, most), x)
                   for x, most in ((found.value, best.value), (found.high, best.high)))  # fmt: skip
    low = np.where(bound, least, found.low)
    note = "an upper bound on average for soft best-of-n and pessimism"
    return replace(found, value=value, low=low, high=high, note=note)


def _of_ties(coverage: Estimate) -> Estimate:
    """Best-of-N's too is then a bound alone: the more answers share the top, the less often each is kept."""
    note = "an upper bound on average for every rule, since answers tie"
    return replace(coverage, low=np.ones_like(coverage.low), note=note)


def _notes(
    data: Candidates, tuned: dict[str, Tuned], settings: Sequence[Setting]
) -> tuple[str, ...]:
    notes = list(data.notes())
    for name, best in tuned.items():
        last = [s for s in settings if s.rule == name][-1]
        if best.setting == last and best.apparent.low > 0:
            more = "a larger N" if last.beta is None else "a smaller beta"
            notes.append(f"the best setting of {name} is the strongest one; {more} may be better.")
    return tuple(notes)
