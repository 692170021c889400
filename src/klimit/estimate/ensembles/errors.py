"""How wrong the members are, how much of that they share, and what averaging leaves.

Member i of the mean is ``b_i gold + e_i``, with e_i uncorrelated with gold within prompts (least
squares). In units of gold, that is divided by the mean b, errors have the mean variance tau^2 and
between two members the correlation rho; a mean of k members has ``v_k = tau^2 (rho + (1 - rho)/k)``
and correlates with gold by ``1 / sqrt(1 + v_k / var(gold))``, which for normal rewards is the share
of gold's own frontier that is reached at every KL (arXiv 2605.07105, section 4). Without gold only
``tau^2 (1 - rho)``, what members disagree about, can be seen.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from klimit._errors import ArgumentError
from klimit._estimate import Estimate
from klimit.estimate.checks import positive
from klimit.estimate.ensembles.moments import Moments
from klimit.estimate.kernel import Floats

if TYPE_CHECKING:
    import polars as pl

_EDGE = 1e-9  # how near a correlation of 1 is told apart from it


@dataclass(frozen=True)
class Errors:
    """Errors of the members against gold, in units of gold; without gold what can still be known.

    Attributes
    ----------
    disagreement : tau^2 (1 - rho), the part of a member's error variance that averaging removes.
        Gold units squared; without gold in units of the scaled members
    agreed_share : share of a member's variance that any other member shares, gold and shared error
        together: the correlation between members, known without gold
    multiplier : how many times the gold gain of one member all of them have at the same KL, if
        rewards are normal; known without gold
    multiplier_limit : the same for endlessly many such members
    error_variance : tau^2; None without gold, as all below
    correlation : rho
    floor : rho tau^2, what no number of members removes
    gold_variance : within prompts
    efficiency : correlation of the mean of all members with gold
    efficiency_limit : the same for endlessly many such members
    efficiency_one : mean correlation of one member with gold
    names, accuracy, slope : of each member: correlation with gold; gold units per unit of member
    pairs : (members, members) correlation of errors between two members
    prompts : that these rest on
    """

    disagreement: Estimate
    agreed_share: Estimate
    multiplier: Estimate
    multiplier_limit: Estimate
    error_variance: Estimate | None
    correlation: Estimate | None
    floor: Estimate | None
    gold_variance: Estimate | None
    efficiency: Estimate | None
    efficiency_limit: Estimate | None
    efficiency_one: Estimate | None
    names: tuple[str, ...]
    accuracy: Estimate | None
    slope: Estimate | None
    pairs: Estimate | None
    prompts: int

    def variance(self, members: int) -> float:
        """v_k, what the mean of so many members leaves of the error; without gold what disagrees."""
        own = float(self.disagreement.value) / members
        return own if self.floor is None else float(self.floor.value) + own

    def members_for(self, share: float = 0.1) -> Estimate:
        """How many such members until disagreement is at most `share` of what their mean varies by?

        Known without gold: ``(1 - a) (1 - share) / (share a)`` of the agreed share a, rounded up. The
        rest of that variance is what all members share, gold and shared error together; if rewards
        are normal, so many members gain ``sqrt(1 - share)`` of what endlessly many such would, 95 %
        at a tenth.

        Parameters
        ----------
        share : of the variance of the mean within prompts, above 0 and below 1

        Returns
        -------
        Estimate
            Whole numbers; without an upper end where members are not seen to agree.

        Raises
        ------
        ArgumentError
            For a share that is not between 0 and 1.
        """
        if positive("share", share, "parts of one") >= 1:
            raise ArgumentError(
                f"share={share:g} was given; a part of the variance of the mean was expected, above 0 and "
                "below 1, such as 0.1."
            )
        agreed = self.agreed_share

        def number(a: float) -> float:
            if not a > 0:
                return np.inf
            return max(1.0, math.ceil((1 - a) * (1 - share) / (share * a) - 1e-9))

        value, low, high = (number(float(a)) for a in (agreed.value, agreed.high, agreed.low))
        note = "" if high < np.inf else "the proxies are not seen to agree"
        value = value if value < np.inf else np.nan
        return Estimate(value, low, high, agreed.level, bool(high < np.inf), note)

    def member_frame(self) -> pl.DataFrame | None:
        """A row per member: correlation with gold, and its slope; None without gold."""
        import polars as pl

        if self.accuracy is None or self.slope is None:
            return None
        columns: dict[str, object] = {"proxy": list(self.names)}
        for name, estimate in (("correlation", self.accuracy), ("slope", self.slope)):
            columns[name] = estimate.value
            columns[f"{name}_low"], columns[f"{name}_high"] = estimate.low, estimate.high
        return pl.DataFrame(columns)


def errors_with_gold(found: Moments, alone: Errors, level: float) -> Errors:
    """Errors against gold, from prompts with two gold labels or more.

    Parameters
    ----------
    alone : of all samples, labelled or not, which show how far members agree
    """
    members = found.members
    part = found.estimate(_with_gold, level)
    reached = _shares(found, _efficiencies, level)
    return replace(
        alone, disagreement=_within(part[0], 0.0), error_variance=_within(part[1], 0.0),
        correlation=_shares(found, _correlation, level, members)[0], floor=part[2],
        gold_variance=_within(part[3], 0.0), efficiency=reached[0],
        efficiency_limit=_within(part[4], -1.0, 1.0), efficiency_one=reached[1],
        accuracy=_shares(found, _accuracy, level), slope=found.estimate(_slope, level),
        pairs=_square(_shares(found, _pairs, level), members), prompts=len(found.prompts),
    )  # fmt: skip


def errors_without_gold(found: Moments, names: tuple[str, ...], level: float) -> Errors:
    """What members alone can tell."""
    agreed = _shares(found, _agreed, level, found.members)[0]
    apart = _within(found.estimate(_disagreement, level)[0], 0.0)
    return Errors(
        apart, agreed, _multiplier(agreed, found.members), _endless(agreed), None, None, None, None, None,
        None, None, names, None, None, None, len(found.prompts),
    )  # fmt: skip


def _shares(
    found: Moments, question: Callable[[Floats], Floats], level: float, members: int = 2
) -> Estimate:
    """Correlations by Fisher's transform, so that no interval leaves what correlations can be.

    A mean correlation between `members` is at least ``-1 / (members - 1)`` (Fisher 1925, section 40).
    """
    seen = found.estimate(lambda s: _to_z(question(s), members), level)
    value, low, high = (_from_z(np.asarray(x), members) for x in (seen.value, seen.low, seen.high))
    return Estimate(value, low, high, level, seen.trusted)


def _to_z(r: Floats, members: int) -> Floats:
    rest = members - 1
    inside = np.clip(r, -(1 - _EDGE) / rest, 1 - _EDGE)
    return np.log((1 + rest * inside) / (1 - inside)) / 2


def _from_z(z: Floats, members: int) -> Floats:
    with np.errstate(over="ignore"):
        return 1 - members / (np.exp(2 * z) + members - 1)


def _multiplier(agreed: Estimate, members: int) -> Estimate:
    """``1 / sqrt(a + (1 - a) / members)`` of the agreed share a: the less they agree the more it is."""
    shares = np.array([float(x) for x in (agreed.value, agreed.high, agreed.low)])
    with np.errstate(divide="ignore"):
        value, low, high = (np.maximum(shares + (1 - shares) / members, 0.0) ** -0.5).tolist()
    return Estimate(value, low, high, agreed.level)


def _disagreement(s: Floats) -> Floats:
    own, shared = _own_and_shared(s)
    return (own - shared)[..., None]


def _agreed(s: Floats) -> Floats:
    """Share of a member's variance that any other shares: the mean correlation between two."""
    own, shared = _own_and_shared(s)
    return (shared / own)[..., None]


def _endless(agreed: Estimate) -> Estimate:
    """``1 / sqrt(agreed share)``, where members are seen to agree; it has no upper end where they may not."""
    value, low, high = (float(x) for x in (agreed.value, agreed.low, agreed.high))
    shown = low > 0
    note = "" if shown else "the proxies are not seen to agree, and without that there is no limit"
    root = [x**-0.5 if x > 0 else np.nan for x in (value, high)]
    return Estimate(root[0], root[1], low**-0.5 if shown else np.inf, agreed.level, shown, note)


def _with_gold(s: Floats) -> Floats:
    """Disagreement, tau^2, the floor, gold's variance, efficiency of endlessly many."""
    gold, slope, own, shared = _against_gold(s)
    unit = slope.mean(axis=-1) ** 2
    tau2, floor = own / unit, shared / unit
    endless = np.sign(slope.mean(axis=-1)) / np.sqrt(np.maximum(1 + floor / gold, 1e-12))
    return np.stack([tau2 - floor, tau2, floor, gold, endless], axis=-1)


def _correlation(s: Floats) -> Floats:
    """Mean correlation between errors of two members."""
    _, _, own, shared = _against_gold(s)
    return (shared / own)[..., None]


def _efficiencies(s: Floats) -> Floats:
    """Correlation with gold of the mean, and of one member on average."""
    mean = s[..., :-1, :-1].mean(axis=(-2, -1))
    together = s[..., -1, :-1].mean(axis=-1)
    return np.stack(
        [together / np.sqrt(mean * s[..., -1, -1]), _accuracy(s).mean(axis=-1)], axis=-1
    )


def _against_gold(s: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """Gold's variance, members' slopes, variance of an error and covariance of two."""
    gold = s[..., -1, -1]
    slope = s[..., -1, :-1] / gold[..., None]
    error = s[..., :-1, :-1] - s[..., :-1, -1, None] * slope[..., None, :]
    return gold, slope, *_own_and_shared(error)


def _slope(s: Floats) -> Floats:
    """Of each member on gold."""
    return s[..., -1, :-1] / s[..., -1:, -1]


def _accuracy(s: Floats) -> Floats:
    """Correlation of each member with gold."""
    own = np.diagonal(s, axis1=-2, axis2=-1)
    return s[..., -1, :-1] / np.sqrt(own[..., :-1] * own[..., -1:])


def _pairs(s: Floats) -> Floats:
    """Correlation of errors between members, row by row."""
    gold = s[..., -1:, -1:]
    cross = s[..., :-1, -1]
    error = s[..., :-1, :-1] - cross[..., :, None] * cross[..., None, :] / gold
    size = np.sqrt(np.maximum(np.diagonal(error, axis1=-2, axis2=-1), 1e-300))
    found = error / size[..., :, None] / size[..., None, :]
    return found.reshape(*found.shape[:-2], -1)


def _own_and_shared(s: Floats) -> tuple[Floats, Floats]:
    """Mean variance, and mean covariance between two."""
    members = s.shape[-1]
    own = np.trace(s, axis1=-2, axis2=-1) / members
    every = s.sum(axis=(-2, -1)) / members**2
    return own, (every * members - own) / (members - 1)


def _within(estimate: Estimate, least: float, most: float = np.inf) -> Estimate:
    ends = (estimate.value, estimate.low, estimate.high)
    value, low, high = (float(np.clip(x, least, most)) for x in ends)
    return replace(estimate, value=value, low=low, high=high)


def _square(estimate: Estimate, members: int) -> Estimate:
    shape, same = (members, members), np.eye(members, dtype=bool)
    value, low, high = (
        np.where(same, 1.0, np.asarray(x).reshape(shape))
        for x in (estimate.value, estimate.low, estimate.high)
    )
    return Estimate(value, low, high, estimate.level, np.ones(shape, dtype=bool), "")
