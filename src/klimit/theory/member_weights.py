"""The weighted mean of an ensemble's members that leaves the least error."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from klimit._errors import ArgumentError
from klimit.theory._check import ArrayLike, Floats, numbers


class MemberWeights(NamedTuple):
    """The best weighted mean of an ensemble.

    Attributes
    ----------
    weights : (..., members) they sum to one
    variance : (...) error variance that they leave, reward units squared
    """

    weights: Floats
    variance: Floats


def optimal_member_weights(
    error_covariance: ArrayLike, *, nonnegative: bool = False
) -> MemberWeights:
    """Which weighted mean of members has the least error?

    ``S^-1 1 / (1' S^-1 1)`` for the covariance S of the members' errors, leaving the variance
    ``1 / (1' S^-1 1)``. Each member must report gold on the same scale.

    Parameters
    ----------
    error_covariance : (..., members, members) covariance of the members' errors against gold,
        symmetric and positive semidefinite. It must come from gold labels: what members disagree
        about does not show the error that they share.
    nonnegative : whether to keep weights at or above 0. Without, a member whose error goes with
        another's may get a negative weight, which a slightly wrong covariance makes harmful.

    Returns
    -------
    MemberWeights
        Where several are as good (identical members), those of least sum of squares; any of them
        if `nonnegative`.

    Raises
    ------
    ArgumentError
        Where an argument is not as above.

    References
    ----------
    Bates and Granger (1969), for forecasts; the weighted mean of arXiv 2605.07105, section 4.

    Examples
    --------
    >>> best = optimal_member_weights([[1.0, 0.0], [0.0, 4.0]])
    >>> best.weights.round(4).tolist(), float(best.variance.round(4))
    ([0.8, 0.2], 0.8)
    """
    covariance = _covariance(error_covariance)
    size = covariance.shape[-1]
    flat = covariance.reshape(-1, size, size)
    each = [_least_variance(matrix, nonnegative) for matrix in flat]
    weights = np.reshape(each, covariance.shape[:-1])
    left = np.einsum("...i,...ij,...j->...", weights, covariance, weights)
    return MemberWeights(weights, np.maximum(left, 0.0))


def _least_variance(covariance: Floats, nonnegative: bool) -> Floats:
    """Minimise ``w' S w`` over weights that sum to one, by least squares.

    ``w' S w + (sum w - 1)^2`` has its minimum on the same ray: for w = t v with sum v = 1 the best
    t leaves q / (1 + q), rising in q = v' S v. Hence no constraint, only a rescaling.
    """
    from scipy.optimize import nnls

    scale = np.abs(covariance).max()
    unit = covariance / scale if scale > 0 else covariance
    values, vectors = np.linalg.eigh(unit)
    # what an eigenvalue of 0 comes out as
    rounding = 8 * len(unit) * np.finfo(float).eps * values[-1]
    root = np.sqrt(np.where(values > rounding, values, 0.0))[:, None] * vectors.T
    stacked = np.vstack([root, np.ones(len(unit))])
    target = np.zeros(len(stacked))
    target[-1] = 1.0
    found = (
        nnls(stacked, target)[0] if nonnegative else np.linalg.lstsq(stacked, target, rcond=None)[0]
    )
    return np.asarray(found / found.sum())


def _covariance(values: ArrayLike) -> Floats:
    matrix = numbers(values, "error_covariance")
    if matrix.ndim < 2 or matrix.shape[-1] != matrix.shape[-2] or matrix.shape[-1] == 0:
        raise ArgumentError(
            f"error_covariance must be square, (..., members, members); got {matrix.shape}."
        )
    if not np.isfinite(matrix).all():
        raise ArgumentError("error_covariance must be finite; got nan or inf.")
    size = np.abs(matrix).max(axis=(-2, -1), initial=0.0)
    turned = np.abs(matrix - np.swapaxes(matrix, -1, -2)).max(axis=(-2, -1), initial=0.0)
    lowest = np.linalg.eigvalsh(matrix)[..., 0]
    if (turned > 1e-10 * size).any() or (lowest < -1e-10 * size).any():
        raise ArgumentError(
            "error_covariance must be symmetric and positive semidefinite (within 1e-10 of its "
            f"largest entry); its least eigenvalue is {float(np.min(lowest)):.3g}."
        )
    return matrix
