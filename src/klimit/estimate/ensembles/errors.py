"""How wrong the members are, how much of that they share, and what averaging leaves.

Member i of the mean is ``b_i gold + e_i``, with e_i uncorrelated with gold within prompts (least
squares). In units of gold, that is divided by the mean b, errors have the mean variance tau^2 and
between two members the correlation rho; a mean of k members has ``v_k = tau^2 (rho + (1 - rho)/k)``
and correlates with gold by ``1 / sqrt(1 + v_k / var(gold))``, which for normal rewards is the share
of gold's own frontier that is reached at every KL (theory.md, d5 and d6; arXiv 2605.07105, section
4). Without gold only ``tau^2 (1 - rho)``, what members disagree about, can be seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from klimit._estimate import Estimate
from klimit.estimate.ensembles.moments import Moments
from klimit.estimate.kernel import Floats

if TYPE_CHECKING:
    import polars as pl


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


def errors_with_gold(found: Moments, names: tuple[str, ...], level: float) -> Errors:
    """Errors against gold, from prompts with two gold labels or more."""
    members = found.members
    scalars = found.estimate(_with_gold, level)
    each = found.estimate(_each_member, level)
    pairs = found.estimate(_pairs, level)
    part = [scalars[i] for i in range(10)]
    return Errors(
        disagreement=_at_least_zero(part[0]), agreed_share=part[1], multiplier=part[2],
        multiplier_limit=_endless(part[1]), error_variance=_at_least_zero(part[3]),
        correlation=_share(part[4]), floor=part[5], gold_variance=part[6],
        efficiency=_share(part[7]), efficiency_limit=_share(part[8]), efficiency_one=part[9],
        names=names,
        accuracy=each[:members], slope=each[members:], pairs=_square(pairs, members),
        prompts=len(found.prompts),
    )  # fmt: skip


def errors_without_gold(found: Moments, names: tuple[str, ...], level: float) -> Errors:
    """What members alone can tell."""
    seen = found.estimate(_without_gold, level)
    part = [seen[i] for i in range(3)]
    return Errors(
        _at_least_zero(part[0]), part[1], part[2], _endless(part[1]), None, None, None, None, None, None,
        None, names, None, None, None, len(found.prompts),
    )  # fmt: skip


def _without_gold(s: Floats) -> Floats:
    """Disagreement, shared part of the variance, and what averaging multiplies the gain by."""
    members = s.shape[-1]
    own, shared = _own_and_shared(s)
    with np.errstate(divide="ignore", invalid="ignore"):
        whole = shared + (own - shared) / members
        many = np.sqrt(own / np.maximum(whole, 1e-300))
    return np.stack([own - shared, shared / own, many], axis=-1)


def _endless(agreed: Estimate) -> Estimate:
    """``1 / sqrt(agreed share)``, where members are seen to agree; it has no upper end where they may not."""
    value, low, high = (float(x) for x in (agreed.value, agreed.low, agreed.high))
    shown = low > 0
    note = "" if shown else "the proxies are not seen to agree, and without that there is no limit"
    root = [x**-0.5 if x > 0 else np.nan for x in (value, high)]
    return Estimate(root[0], root[1], low**-0.5 if shown else np.inf, agreed.level, shown, note)


def _with_gold(s: Floats) -> Floats:
    members = s.shape[-1] - 1
    blind = _without_gold(s[..., :-1, :-1])
    gold = s[..., -1, -1]
    slope = s[..., -1, :-1] / gold[..., None]
    error = s[..., :-1, :-1] - gold[..., None, None] * slope[..., :, None] * slope[..., None, :]
    own, shared = _own_and_shared(error)
    unit = slope.mean(axis=-1) ** 2
    with np.errstate(divide="ignore", invalid="ignore"):
        tau2, floor = own / unit, shared / unit
        left = floor + (tau2 - floor) / members
        root = np.sign(slope.mean(axis=-1))
        accuracy = _accuracy(s)
        parts = [
            tau2 - floor, blind[..., 1], blind[..., 2], tau2, shared / own, floor,
            gold, root / np.sqrt(1 + left / gold),
            root / np.sqrt(np.maximum(1 + floor / gold, 1e-12)), accuracy.mean(axis=-1),
        ]  # fmt: skip
    return np.stack(parts, axis=-1)


def _each_member(s: Floats) -> Floats:
    """Correlation with gold, and slope on gold, of each member."""
    return np.concatenate([_accuracy(s), s[..., -1, :-1] / s[..., -1:, -1]], axis=-1)


def _accuracy(s: Floats) -> Floats:
    own = np.diagonal(s, axis1=-2, axis2=-1)
    return np.asarray(s[..., -1, :-1] / np.sqrt(own[..., :-1] * own[..., -1:]))


def _pairs(s: Floats) -> Floats:
    """Correlation of errors between members, row by row."""
    gold = s[..., -1:, -1:]
    cross = s[..., :-1, -1]
    error = s[..., :-1, :-1] - cross[..., :, None] * cross[..., None, :] / gold
    size = np.sqrt(np.maximum(np.diagonal(error, axis1=-2, axis2=-1), 1e-300))
    found = error / size[..., :, None] / size[..., None, :]
    return np.asarray(found.reshape(*found.shape[:-2], -1))


def _own_and_shared(s: Floats) -> tuple[Floats, Floats]:
    """Mean variance, and mean covariance between two."""
    members = s.shape[-1]
    own = np.trace(s, axis1=-2, axis2=-1) / members
    every = s.sum(axis=(-2, -1)) / members**2
    return own, (every * members - own) / (members - 1)


def _at_least_zero(estimate: Estimate) -> Estimate:
    value, low, high = (max(float(x), 0.0) for x in (estimate.value, estimate.low, estimate.high))
    return Estimate(value, low, high, estimate.level, estimate.trusted, estimate.note)


def _share(estimate: Estimate) -> Estimate:
    value, low, high = (
        float(np.clip(x, -1.0, 1.0)) for x in (estimate.value, estimate.low, estimate.high)
    )
    return Estimate(value, low, high, estimate.level, estimate.trusted, estimate.note)


def _square(estimate: Estimate, members: int) -> Estimate:
    shape = (members, members)
    value, low, high = (
        np.clip(np.asarray(x).reshape(shape), -1.0, 1.0)
        for x in (estimate.value, estimate.low, estimate.high)
    )
    return Estimate(value, low, high, estimate.level, np.ones(shape, dtype=bool), "")
