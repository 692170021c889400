"""Learning against several references: how many samples it takes, and the DPO loss."""

from __future__ import annotations

import numpy as np

from klimit._errors import ArgumentError
from klimit.theory._check import (
    ArrayLike,
    Floats,
    broadcast,
    choice,
    count,
    interior,
    numbers,
    positive,
    require,
)
from klimit.theory.references import Direction, read_mixture


def reference_gap_bound(
    n: ArrayLike,
    *,
    direction: Direction,
    reward_range: ArrayLike,
    coverage: ArrayLike,
    classes: ArrayLike,
    delta: ArrayLike = 0.05,
    gamma: ArrayLike | None = None,
) -> Floats:
    """How far from optimal may a policy be that was trained on n preferences?

    With probability 1 - delta the regularised objective falls short by at most
    ``gamma C 128 e^(4R) R^2 log(classes / delta) / n`` under reverse KL, and by at most
    ``16 C e^(2R) R sqrt(log(classes / delta) / n)`` under forward KL.

    Parameters
    ----------
    n : (...) preference pairs, at least 1
    direction : "reverse" (falls as 1 / n) or "forward" (as 1 / sqrt n)
    reward_range : (...) R: rewards lie in [0, R], positive
    coverage : (...) C, how well the references cover the policies in question, positive
    classes : (...) number of reward functions to choose from, at least 1
    delta : (...) chance that the bound fails, above 0 and below 1
    gamma : (...) nats per reward unit, positive; for "reverse" alone

    Returns
    -------
    (...) reward units. The constants are large: a statement about rates rather than a forecast.

    Raises
    ------
    ArgumentError
        Where an argument is not as above, or the bound exceeds what a float holds.

    References
    ----------
    arXiv 2502.01203, sections 5 (reverse KL) and 6 (forward KL).

    Examples
    --------
    >>> known = {"reward_range": 1.0, "coverage": 2.0, "classes": 100}
    >>> gaps = reference_gap_bound([1e6, 4e6], direction="reverse", gamma=1.0, **known)
    >>> gaps.round(4).tolist()
    [0.1062, 0.0266]
    >>> reference_gap_bound([1e6, 4e6], direction="forward", **known).round(4).tolist()
    [0.6519, 0.3259]
    """
    draws = count(n)
    factor, power = _gap_factor(direction, reward_range, coverage, classes, delta, gamma)
    draws, factor = broadcast(n=draws, bound=factor)
    return factor / draws**power


def reference_samples_needed(
    gap: ArrayLike,
    *,
    direction: Direction,
    reward_range: ArrayLike,
    coverage: ArrayLike,
    classes: ArrayLike,
    delta: ArrayLike = 0.05,
    gamma: ArrayLike | None = None,
) -> Floats:
    """How many preferences guarantee a policy this close to optimal?

    The inverse of `reference_gap_bound`, rounded up: four times as many for half the gap under
    forward KL, twice as many under reverse KL.

    Parameters
    ----------
    gap : (...) how much of the regularised objective may be lost, reward units, positive
    direction, reward_range, coverage, classes, delta, gamma : as for `reference_gap_bound`

    Returns
    -------
    (...) preference pairs, whole numbers, at least 1

    Raises
    ------
    ArgumentError
        As `reference_gap_bound`.

    References
    ----------
    arXiv 2502.01203, sections 5 (reverse KL) and 6 (forward KL).

    Examples
    --------
    >>> known = {"reward_range": 1.0, "coverage": 2.0, "classes": 100}
    >>> reference_samples_needed([0.2, 0.1], direction="reverse", gamma=1.0, **known).tolist()
    [531194.0, 1062388.0]
    """
    wanted = positive(gap, "gap")
    factor, power = _gap_factor(direction, reward_range, coverage, classes, delta, gamma)
    wanted, factor = broadcast(gap=wanted, bound=factor)
    with np.errstate(over="ignore"):
        return _finite(np.maximum(np.ceil((factor / wanted) ** (1.0 / power)), 1.0))


def _gap_factor(
    direction: Direction,
    reward_range: ArrayLike,
    coverage: ArrayLike,
    classes: ArrayLike,
    delta: ArrayLike,
    gamma: ArrayLike | None,
) -> tuple[Floats, float]:
    """Return the bound at n = 1, and the power of 1 / n with which it falls."""
    choice(direction, "direction", ("reverse", "forward"))
    if (gamma is None) == (direction == "reverse"):
        raise ArgumentError('gamma must be given for "reverse", and for "reverse" alone.')
    r, c, k, chance, scale = broadcast(
        reward_range=positive(reward_range, "reward_range"),
        coverage=positive(coverage, "coverage"),
        classes=count(classes, "classes"),
        delta=interior(delta, "delta"),
        gamma=positive(1.0 if gamma is None else gamma, "gamma"),
    )
    log_classes = np.log(k) - np.log(chance)
    with np.errstate(over="ignore"):
        if direction == "reverse":
            return _finite(128.0 * scale * c * np.exp(4.0 * r) * r * r * log_classes), 1.0
        return _finite(16.0 * c * np.exp(2.0 * r) * r * np.sqrt(log_classes)), 0.5


def _finite(values: Floats) -> Floats:
    if not np.isfinite(values).all():
        raise ArgumentError(
            "reward_range must be small enough for e^(4 reward_range) and what it multiplies to be "
            "numbers; the bound exceeds 1.8e308."
        )
    return values


def reference_dpo_margin(
    policy: ArrayLike,
    references: ArrayLike,
    *,
    beta: ArrayLike,
    mixture: ArrayLike | None = None,
) -> Floats:
    """What reward margin does DPO against several references read off log-probabilities?

    ``beta (d log policy - sum_i a_i d log p_i)`` with d the chosen answer's minus the rejected
    one's, whole sequences. The normaliser F of the references' geometric mean cancels in it.

    Parameters
    ----------
    policy : (..., 2) log-probabilities of the chosen and of the rejected answer, finite and at most
        0, nats
    references : (references, ..., 2) the same under each reference
    beta : (...) reward units per nat, positive
    mixture : (references,) weights a_i, not negative, sum one; equal by default. A reference of
        weight 0 counts for nothing, even where it excludes an answer.

    Returns
    -------
    (...) reward units

    Raises
    ------
    ArgumentError
        Where an argument is not as above.

    References
    ----------
    arXiv 2502.01203, appendix F (DPO with several references).

    Examples
    --------
    >>> references = [[-11.0, -11.5], [-13.0, -12.0]]
    >>> margin = reference_dpo_margin([-10.0, -12.0], references, beta=0.1, mixture=[0.6, 0.4])
    >>> float(margin.round(6))
    0.21
    """
    own, others = numbers(policy, "policy"), numbers(references, "references")
    if own.shape[-1:] != (2,) or others.ndim < 2 or others.shape[-1] != 2:
        raise ArgumentError(
            "policy must be (..., 2) and references (references, ..., 2), chosen before rejected; "
            f"got {own.shape} and {others.shape}."
        )
    share = read_mixture(mixture, others.shape[0])
    mixed = np.tensordot(share[share > 0], _log_probs(others[share > 0], "references"), axes=1)
    own, mixed = broadcast(policy=_log_probs(own, "policy"), references=mixed)
    moved = (own[..., 0] - own[..., 1]) - (mixed[..., 0] - mixed[..., 1])
    moved, scale = broadcast(policy=moved, beta=positive(beta, "beta"))
    return scale * moved


def reference_dpo_loss(
    policy: ArrayLike,
    references: ArrayLike,
    *,
    beta: ArrayLike,
    mixture: ArrayLike | None = None,
) -> Floats:
    """What is the DPO loss of each preference against several references?

    ``-log sigmoid(margin)`` of `reference_dpo_margin`.

    Parameters
    ----------
    policy, references, beta, mixture : as for `reference_dpo_margin`

    Returns
    -------
    (...) nats, at least 0; log 2 where the margin is 0

    Raises
    ------
    ArgumentError
        As `reference_dpo_margin`.

    References
    ----------
    arXiv 2502.01203, appendix F (DPO with several references).

    Examples
    --------
    >>> references = [[-11.0, -11.5], [-13.0, -12.0]]
    >>> loss = reference_dpo_loss([-10.0, -12.0], references, beta=0.1, mixture=[0.6, 0.4])
    >>> float(loss.round(6))
    0.59365
    """
    margin = reference_dpo_margin(policy, references, beta=beta, mixture=mixture)
    return np.asarray(np.logaddexp(0.0, -margin))


def _log_probs(values: Floats, name: str) -> Floats:
    usable = (values <= 1e-6) & (values > -np.inf)
    return require(values, usable, f"{name} must hold log-probabilities, finite and at most 0")
