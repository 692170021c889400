"""`klimit.hacking`: what a proxy's gain is worth before training, and what training made of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

from klimit._errors import ArgumentError
from klimit.audit.path import trained_path
from klimit.audit.runs import is_run, within
from klimit.estimate.labels.result import Sparse
from klimit.estimate.proxy import Hacking
from klimit.estimate.proxy import hacking as from_base


def hacking(
    base: Any,
    policy: Any = None,
    *,
    proxy: Any = None,
    gold: Any = None,
    judgements: Any = None,
    kl: Any = None,
    nuisance: Any = None,
    prompts: Literal["drawn", "fixed"] = "drawn",
    reward_range: tuple[float, float] | None = None,
    level: float = 0.95,
    seed: int = 0,
    paired: bool | None = None,
) -> Hacking | Sparse:
    """How much of a proxy reward's gain does the gold reward confirm, and where does it stop?

    Whoever optimises a proxy (a reward model, a judge, a heuristic) moves along the proxy's tilt
    ``base * exp(proxy / beta) / Z`` at best. Base samples scored by both rewards show, before any
    training, what the gold reward (a human, a verifier, a better model) gains along it:
    ``E_x [E w gold / E w - E gold]`` with ``w = exp(proxy / beta)``. With policies, each is placed in
    both rewards beside that prediction.

    Parameters
    ----------
    base : Rollouts; or a mapping of names to (prompts, samples) arrays of one shape (NaN = missing)
        or sequences of 1-D arrays; or the proxy's own rewards as such an array, with `gold` another.
        Rollouts of several steps are a run whose first step is the base; so are those of several
        policies of which one is called base
    policy : trained policies, as `klimit.audit` takes them: rollouts, of which each step is a
        checkpoint, or ``{name: rollouts}``
    proxy, gold : which rewards: the one that is optimised and the one that counts. Gold may be
        missing for most samples, or stand in a table of prompt_id, sample and gold: the answer is then
        a `klimit.estimate.labels.FewLabels` (docs/few-labels.md)
    judgements : instead of gold, a table of judged pairs: prompt_id, sample_a, sample_b (ids, or places
        within the prompt from 0) and preferred (a, b or tie; or 1, 0 and .5)
    kl : the policies' KL from the base, as for `klimit.audit`; None: measured
    nuisance : another column, such as the length of the completions, whose part in the proxy's gain
        is asked for
    prompts : ``"drawn"``: intervals for the population that the prompts came from; ``"fixed"``: for
        these
    reward_range : what gold rewards can be, if known; 0/1 rewards imply (0, 1)
    level : of intervals
    seed : of random splits, as for `klimit.frontier`
    paired : as for `klimit.audit`

    Returns
    -------
    Hacking; FewLabels or FewJudgements where gold is known in few places
        KL in nats per sequence; proxy gains in the proxy's units, all others in gold's. With
        policies the `run` of a `Hacking` is a `TrainedPath`.

    Raises
    ------
    ArgumentError
        For an option that is not one of those above, the same reward as proxy and as gold, or
        policies beside arrays.
    DataError
        Where no prompt has two samples with both rewards, gold is missing nearly everywhere, or one
        of them is the same for all samples of every prompt.

    Notes
    -----
    arXiv 2605.07105, section 4 (proxy and gold); 2406.05883 (from proxy to gold); 2210.10760 (runs).
    The correction of few samples and what it reaches are in ``docs/hacking.md``.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> proxy = rng.normal(size=(100, 64))
    >>> gold = 0.6 * proxy + 0.8 * rng.normal(size=(100, 64))
    >>> hack = hacking({"rm": proxy, "human": gold}, proxy="rm", gold="human")
    >>> print(hack.gold_gain(kl=0.5))  # the truth is 0.6
    0.604 [0.575, 0.636]
    """
    shared: dict[str, Any] = {"prompts": prompts, "level": level, "seed": seed}
    whole = base
    many = policy is None and is_run(base)
    if many:
        base, _, _ = within(base)
    found = from_base(
        base, proxy=proxy, gold=gold, judgements=judgements, nuisance=nuisance,
        reward_range=reward_range, **shared,
    )  # fmt: skip
    if policy is None and not many:
        if kl is not None:
            raise ArgumentError("kl= is that of policies, and none was given.")
        return found
    if not isinstance(found, Hacking):
        raise ArgumentError(
            "policies were given beside few labels or judgements, which place no policy; give gold for "
            "their samples too, or leave the policies out."
        )
    if not hasattr(base, "grouped"):
        raise ArgumentError(
            "policies were given beside arrays; rollouts with both rewards were expected: "
            "klimit.hacking(klimit.read(base), klimit.read(policy), proxy=..., gold=...)."
        )
    run = trained_path(
        whole, policy, proxy=found.pairs.names[0], gold=found.pairs.names[1], kl=kl,
        prediction=found, paired=paired, **shared,
    )  # fmt: skip
    return replace(found, run=run)
