"""Alignment against several reference models: the optimum under reverse and under forward KL.

Under reverse KL the normalised geometric mean of the references is the one base that stands for
them, under forward KL their arithmetic mean; each leaves a cost that no policy avoids. Mixing
references token by token is neither of the two.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from klimit._errors import ArgumentError
from klimit.theory._check import Floats, distribution, numbers, positive, same_leading
from klimit.theory._outcomes import kl_terms, log_sum, reweighted
from klimit.theory._pair import pair
from klimit.theory._prompts import filled_stack
from klimit.theory.f_tilt import f_tilt
from klimit.theory.tilt import known, tilt

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

Direction = Literal["reverse", "forward"]


class GeometricMean(NamedTuple):
    """The normalised geometric mean of several distributions.

    Attributes
    ----------
    policy : (..., outcomes) probabilities ``prod_i p_i^a_i / F``
    log_overlap : (...) log F = log sum prod_i p_i^a_i, nats, at most 0; 0 where all are equal
    """

    policy: Floats
    log_overlap: Floats


@dataclass(frozen=True, slots=True, eq=False)
class ReferenceTilt:
    """The optimal policy against several references at one gamma.

    Attributes
    ----------
    policy : (..., outcomes) probabilities
    mean_reward : (...) reward units
    gain : (...) mean reward over that of the cheapest policy, reward units
    kl : (...) weighted KL to (or from) the references, nats
    unavoidable_kl : (...) the part of `kl` that the cheapest policy pays as well, nats
    gamma : (...) 1 / beta, nats per reward unit
    """

    policy: Floats
    mean_reward: Floats
    gain: Floats
    kl: Floats
    unavoidable_kl: Floats
    gamma: Floats

    @property
    def value(self) -> Floats:
        """The maximised ``E[reward] - kl / gamma``, reward units."""
        return self.mean_reward - self.kl / self.gamma


def geometric_mean(references: ArrayLike, *, mixture: ArrayLike | None = None) -> GeometricMean:
    """Which one base stands for several references under reverse KL, and what do they cost?

    ``sum_i a_i KL(policy || p_i) = KL(policy || geometric mean) - log F`` for every policy, with
    ``F = sum prod_i p_i^a_i``: so -log F is paid by all, and the geometric mean pays nothing else.

    Parameters
    ----------
    references : (references, ..., outcomes), each as `base` for `tilt`, ragged prompts included
    mixture : (references,) weights a_i, not negative, sum one (within 1e-6); equal by default. A
        reference of weight 0 counts for nothing, whatever it excludes.

    Returns
    -------
    GeometricMean
        Supported where every reference (of positive weight) is.

    Raises
    ------
    ArgumentError
        Where an argument is not as above, or the references share no outcome: then every policy is
        infinitely far from one of them.

    References
    ----------
    arXiv 2502.01203, section 5 (reverse KL to several references).

    Examples
    --------
    >>> mean = geometric_mean([[0.7, 0.2, 0.1], [0.2, 0.3, 0.5]], mixture=[0.6, 0.4])
    >>> mean.policy.round(4).tolist(), float(np.exp(mean.log_overlap).round(6))
    ([0.4991, 0.2768, 0.224], 0.849684)
    """
    prob, share = _references(references, mixture)
    return geometric(prob, share)


def reverse_kl_tilt(
    references: ArrayLike,
    reward: ArrayLike,
    *,
    gamma: ArrayLike,
    mixture: ArrayLike | None = None,
) -> ReferenceTilt:
    """What is the best policy if the KL to several references is charged?

    The maximiser of ``E[reward] - (1 / gamma) sum_i a_i KL(policy || p_i)`` is the geometric mean
    of the references times ``exp(gamma reward)``, not their arithmetic mixture.

    Parameters
    ----------
    references, mixture : (references, ..., outcomes) and (references,), as for `geometric_mean`
    reward : (..., outcomes) finite, reward units, broadcast against one reference
    gamma : (...) nats per reward unit, positive; broadcast against the axes before the outcomes

    Returns
    -------
    ReferenceTilt
        Gains are over the geometric mean's mean reward.

    Raises
    ------
    ArgumentError
        Where an argument is not as above, or the references share no outcome.

    References
    ----------
    arXiv 2502.01203, section 5 (reverse KL to several references).

    Examples
    --------
    >>> p = [[0.7, 0.2, 0.1], [0.2, 0.3, 0.5]]
    >>> best = reverse_kl_tilt(p, [0.0, 1.0, 0.5], gamma=2.0, mixture=[0.6, 0.4])
    >>> float(best.kl.round(6)), float(best.unavoidable_kl.round(6))
    (0.504679, 0.162891)
    """
    references, reward = filled_stack(references, "references", reward=reward)
    base, log_overlap = geometric_mean(references, mixture=mixture)
    scale = positive(gamma, "gamma")
    same_leading(base, scale, "gamma")
    best = tilt(base, reward, beta=1.0 / scale)
    return _against_all(best.policy, best.gain, best.kl, -log_overlap, base, reward, scale)


def forward_kl_tilt(
    references: ArrayLike,
    reward: ArrayLike,
    *,
    gamma: ArrayLike,
    mixture: ArrayLike | None = None,
) -> ReferenceTilt:
    """What is the best policy if the KL from several references is charged?

    The maximiser of ``E[reward] - (1 / gamma) sum_i a_i KL(p_i || policy)`` over policies on the
    references' outcomes is ``pbar / (gamma (Z - reward))`` with their arithmetic mean pbar. Z lies
    between ``max reward + pbar(best outcomes) / gamma`` and ``max reward + 1 / gamma``, and is
    ``mean_reward + 1 / gamma`` of the result.

    Parameters
    ----------
    references, gamma, mixture : as for `reverse_kl_tilt`
    reward : (..., outcomes) finite, reward units, broadcast against one reference; never read where no
        reference (of positive weight) goes

    Returns
    -------
    ReferenceTilt
        Gains are over the arithmetic mean's mean reward, and ``unavoidable_kl`` is
        ``sum_i a_i KL(p_i || pbar)``, finite for disjoint references too.

    Raises
    ------
    ArgumentError
        Where an argument is not as above.

    References
    ----------
    arXiv 2502.01203, section 6 (forward KL from several references).

    Examples
    --------
    >>> p = [[0.7, 0.2, 0.1], [0.2, 0.3, 0.5]]
    >>> best = forward_kl_tilt(p, [0.0, 1.0, 0.5], gamma=2.0, mixture=[0.6, 0.4])
    >>> best.policy.round(4).tolist()
    [0.2086, 0.6052, 0.1862]
    >>> float((best.mean_reward + 1 / best.gamma).round(6))
    1.198283
    """
    references, reward = filled_stack(references, "references", reward=reward)
    base, cost = arithmetic(*_references(references, mixture))
    scale = positive(gamma, "gamma")
    same_leading(base, scale, "gamma")
    best = f_tilt(base, reward, divergence="forward-kl", beta=1.0 / scale)
    return _against_all(best.policy, best.gain, best.divergence, cost, base, reward, scale)


def _against_all(
    policy: Floats,
    gain: Floats,
    spent: Floats,
    cost: Floats,
    base: Floats,
    reward: ArrayLike,
    gamma: Floats,
) -> ReferenceTilt:
    """Add what all policies pay to what this one spends against the one base."""
    unavoidable = np.broadcast_to(cost, spent.shape)
    return ReferenceTilt(
        policy=policy,
        mean_reward=known(base, reward).mean + gain,
        gain=gain,
        kl=spent + unavoidable,
        unavoidable_kl=unavoidable,
        gamma=np.broadcast_to(gamma, spent.shape),
    )


def _references(references: ArrayLike, mixture: ArrayLike | None) -> tuple[Floats, Floats]:
    """Check references and weights, and leave out references that count for nothing."""
    prob = numbers(filled_stack(references, "references")[0], "references")
    if prob.ndim < 2 or len(prob) == 0:
        raise ArgumentError(
            "references must be (references, ..., outcomes), one distribution per row; "
            f"got shape {prob.shape}."
        )
    share = read_mixture(mixture, prob.shape[0])
    return distribution(prob, "references")[share > 0], share[share > 0]


def read_mixture(values: ArrayLike | None, references: int) -> Floats:
    """Return what each reference counts for, summing to one."""
    if values is None:
        return np.full(references, 1.0 / references)
    share = distribution(values, "mixture")
    if share.shape != (references,):
        raise ArgumentError(
            f"mixture must be one weight per reference, ({references},); got shape {share.shape}."
        )
    return share


def geometric(
    prob: Floats, share: Floats, prompts: NDArray[np.intp] | None = None
) -> GeometricMean:
    """Work in log ratios to the first reference, so that near references keep their digits."""
    first = prob[0]
    shared = (prob > 0).all(axis=0)
    alone = ~shared.any(axis=-1)
    if alone.any():
        at = int(np.argmax(alone.ravel()))
        where = f" (prompt {at if prompts is None else prompts[at]})" if alone.ndim else ""
        raise ArgumentError(
            f"references share no outcome{where}: every policy is infinitely far from one of them; "
            "give overlapping references, or charge the forward KL."
        )
    ratios = np.where(shared, pair(prob, first).u, 0.0)
    mixed = np.tensordot(share, ratios, axes=1)
    with np.errstate(divide="ignore", over="ignore"):
        log_first = np.log(first)
        far = log_sum(np.where(shared, log_first + mixed, -np.inf))
        change = np.where(shared, first * np.expm1(mixed), -first).sum(axis=-1)
    near = np.abs(change) < 0.5
    log_total = np.where(near, np.log1p(np.where(near, change, 0.0)), far)[..., None]
    u = np.where(shared, mixed - log_total, -np.inf)
    policy = np.where(shared, reweighted(first, log_first, u), 0.0)
    # -log F = sum_i a_i KL(policy || p_i), a sum of terms that are never negative
    spent = np.sum(kl_terms(prob, policy, u - ratios), axis=-1)
    return GeometricMean(policy, 0.0 - np.tensordot(share, spent, axes=1))


def arithmetic(prob: Floats, share: Floats) -> tuple[Floats, Floats]:
    """Return pbar and sum_i a_i KL(p_i || pbar)."""
    average = np.tensordot(share, prob, axes=1)
    average = np.where((prob == prob[0]).all(axis=0), prob[0], average)  # no rounding where equal
    return average, np.asarray(np.tensordot(share, pair(prob, average).kl(), axes=1))
