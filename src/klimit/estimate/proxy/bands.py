"""Gold gain on a grid of KL budgets: value, interval, and how far it is trusted.

The interval has four parts: what the choice of prompts (or, for these very prompts, of samples)
moves, the tilt that spends the budget included, and further to the side of rare ones that move much;
how far the correction may be wrong, to either side since its sign is not known beforehand; how far
the proxy's own frontier may have misplaced the tilt; and, where gold bends away from the proxy, how
much further it may have bent where few samples are, to that side alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from klimit.estimate.intervals import (
    leave_out_error,
    normal,
    quantiles,
    skewed_quantiles,
    uneven_quantiles,
)
from klimit.estimate.kernel import Floats
from klimit.estimate.members import front
from klimit.estimate.proxy.correction import TiltedRead
from klimit.estimate.proxy.path import Path
from klimit.estimate.proxy.statistics import Reads
from klimit.estimate.proxy.tail_law import TailLaw

NODES = 60
DOUBT = 0.03  # of the gold reward's spread times sqrt(2 KL), which is what its own optimum gains
# how far each may be wrong, as shares of its size: the correction, the range of its candidates, the
# shift of the tilt, the proxy's own correction (which shows how thin the samples are, whatever the
# corrections of gold say), and the pooled model's noise; and the same as trust counts them
_WRONG = (0.3, 0.7, 0.5, 0.2, 1.0)
_WARY = (0.25, 0.25, 0.25, 0.15, 0.5)
# and of the proxy's correction, where gold is told and not where it turns: gold may bend where
# nothing was drawn, and where the proxy's tail is exponential much was not drawn
_BENT, _LONG = 0.3, 0.7
# and of the bend, as a multiple of the share of the proxy's gain that few samples hide: where the far
# samples are missing, gold looks straight and its error small at once
_BEND = 4.0
_LOPSIDED = 1.5  # skewness, from which a first order says no more
# past trust all of this may be wrong by three times as much: that held in 2,000 data sets
PAST_TRUST = 3.0


@dataclass(frozen=True)
class GoldBands:
    """All arrays (nodes,) over ascending KL budgets.

    Attributes
    ----------
    kl : nats
    value, plugin : gold gain at the tilt that spends it; and uncorrected, at that tilt
    moves : (units, nodes) what each unit of the sample moves it by: the squares sum to the variance
    error : standard error
    sampling : (2, nodes) how far the truth may lie below and above by chance
    unlucky : (2, nodes) the part of it that samples do not show: what squares add to the rest
    wrong : how far correction and tilt may be off, to either side
    bend : how far gold may bend on beyond that, to the side it bends to: negative where below
    signed_wrong : the same with the sign of what was corrected: differences between nodes are wrong
        together
    quantile : two-sided, of errors that do not lean: those of gaps and of what is beside gold
    doubt : likely size of the remaining bias, in shares of spread times sqrt(2 KL)
    trusted_kl : nats
    corrected : whether there were samples enough to correct anything
    """

    kl: Floats
    value: Floats
    plugin: Floats
    moves: Floats
    error: Floats
    sampling: Floats
    unlucky: Floats
    wrong: Floats
    bend: Floats
    signed_wrong: Floats
    quantile: float
    doubt: Floats
    trusted_kl: float
    corrected: bool

    @property
    def off(self) -> Floats:
        """(2, nodes) how far correction, tilt and bend may be off below and above the value."""
        return two_sided(self.wrong, self.bend)

    def at(self, which: Floats, kl: Floats) -> Floats:
        """One of these between nodes; towards 0 nats all of them vanish as the root of the KL."""
        root = np.sqrt(self.kl)
        if which.ndim == 2:
            return np.stack([self.at(row, kl) for row in which])
        with np.errstate(invalid="ignore"):  # at 0 nats, of what has no end past it
            found = np.interp(np.sqrt(kl), root, which / root) * np.sqrt(kl)
        return np.where(kl > 0, found, 0.0)


def two_sided(wrong: Floats, bend: Floats) -> Floats:
    """(2, ...) below and above: what may be wrong to either side, and to the side of the bend."""
    return np.stack([np.hypot(wrong, np.minimum(bend, 0)), np.hypot(wrong, np.maximum(bend, 0))])


def gold_bands(
    read: TiltedRead, reads: Reads, path: Path, which: tuple[int, int], law: TailLaw | None, *,
    spread: float, horizon: float, level: float, fixed: bool, correctable: bool,
) -> GoldBands:  # fmt: skip
    """Bands of the gold gain.

    Parameters
    ----------
    which : places of gold and proxy in `reads`
    law : of the pooled pairs; None where prompts share no shape
    spread : pooled standard deviation of gold within prompts
    horizon : nats past which trust must end whatever else
    """
    kl = np.linspace(0.03, max(horizon, 0.1) ** 0.5, NODES) ** 2
    tilt = path.tilt_at(kl)
    value = path.at(read.chosen[:1], tilt[:1])[0]
    plugin = path.at(read.plugin[:1], tilt[:1])[0]
    chance = chance_along(read, reads, path, which, law, tilt, level=level, fixed=fixed)
    misplaced = np.abs(path.at(read.chosen[:1], tilt[:1] * _misplaced(path, kl))[0] - value)
    dissent = np.ptp(path.at(read.candidates, np.repeat(tilt[:1], len(read.candidates), 0)), axis=0)
    unit = spread * np.sqrt(2 * kl)  # about what gold's own optimum gains
    own = path.at(path.gains[:1], tilt[:1])[0]
    uncorrected = np.einsum("i,ij->j", reads.weights, reads.full[which[1]])[None]
    hidden = np.abs(1 - path.at(uncorrected, tilt[:1])[0] / np.maximum(own, 1e-300))
    thin = unit * hidden
    noise = path.at(read.noise[None], tilt[:1])[0]
    parts = np.stack([np.abs(value - plugin), dissent, misplaced, thin, noise])
    wrong, wary = (
        np.sqrt(((np.array(x)[:, None] * parts) ** 2).sum(axis=0)) for x in (_WRONG, _WARY)
    )
    # where gold turns is held without what was not drawn: docs/tables/proxy.md
    signed = np.where(value >= plugin, wrong, -wrong)
    wrong = np.hypot(wrong, max(_BENT, _LONG * path.limit.tail.long) * thin)
    straight = own * value[0] / own[0] if own[0] > 0 else value
    bend = _BEND * hidden * (value - straight)
    if read.passed is not None:  # and the linear part by as much as the proxy's frontier
        linear, wary = path.at(read.passed, np.repeat(tilt[:1], 2, axis=0))
        wrong = np.hypot(normal(level) * wary, linear * _unexplained(path, kl))
        signed, bend = np.where(value >= plugin, wrong, -wrong), np.zeros(len(kl))
    doubt = wary / np.maximum(unit, 1e-300)
    wall = min(horizon, path.limit.trusted_kl)
    unsure = (doubt > DOUBT) | (kl > wall) | (not correctable)
    first = int(np.argmax(unsure)) if unsure.any() else len(kl)
    groups = int((reads.weights > 0).sum())
    quantile = quantiles(level, 10**6 if fixed else groups)[0]
    trusted = 0.0 if first == 0 else float(kl[first - 1])
    if 0 < first < len(kl) and doubt[first] <= DOUBT:
        trusted = float(wall)
    return GoldBands(
        kl, value, plugin, chance.moves, chance.error, chance.sampling, chance.unlucky, wrong, bend,
        signed, quantile, doubt, trusted, correctable,
    )  # fmt: skip


def _misplaced(path: Path, kl: Floats) -> Floats:
    """Factor between the plug-in's tilt at a KL and the corrected one."""
    plain = front(path.members.plugin, path.grid, kl).tilt
    used = path.limit.curve.at_kl(kl).tilt
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.clip(np.nan_to_num(plain / used, nan=1.0), 0.25, 4.0)


def _unexplained(path: Path, kl: Floats) -> Floats:
    """How far the proxy's frontier may be off beyond chance, as a share of it."""
    bands = path.limit.bands
    reach, chance = (
        bands.share(wide, kl) / 2 for wide in (bands.high - bands.low, bands.below + bands.above)
    )
    with np.errstate(invalid="ignore"):  # where chance leaves all open nothing else is told
        return np.asarray(np.sqrt(np.maximum(reach**2 - chance**2, 0.0)))


def drawn_moves(along: Floats, weights: Floats) -> Floats:
    """(groups, ...) moves of a statistic by groups of prompts, from its values without each."""
    present = weights > 0
    count = int(present.sum())
    share = (1 - weights[present]).reshape(-1, *[1] * (along.ndim - 1))
    scale = (count / max(count - 1, 1)) ** 0.5
    return np.asarray(share * (along[0] - along[1:][present]) * scale)


@dataclass(frozen=True)
class Chance:
    """What chance moves the gold gain by, at every tilt.

    Attributes
    ----------
    moves : (units, tilts) by groups of prompts, or by hands of samples where prompts are fixed
    error : (tilts,) standard error
    sampling : (2, tilts) how far the truth may lie below and above
    unlucky : (2, tilts) the part of it that the law of the pairs adds
    """

    moves: Floats
    error: Floats
    sampling: Floats
    unlucky: Floats


def chance_along(
    read: TiltedRead, reads: Reads, path: Path, which: tuple[int, int], law: TailLaw | None,
    tilt: Floats, *, level: float, fixed: bool,
) -> Chance:  # fmt: skip
    """Moves of the gold gain along the tilt, and what follows from them.

    Parameters
    ----------
    tilt : (1 + groups, tilts) where it is read, with all prompts and without each group: the tilts
        that spend a KL; (1, tilts) where tilts are given and none of that moves them
    """
    held, tilt = len(tilt) == 1, np.broadcast_to(tilt, (len(read.chosen), tilt.shape[1]))
    along = path.at(read.chosen, tilt)
    by_hands = fixed_moves(read.chosen, path.gains, reads, path, which, tilt[:1], held=held)
    seen = (by_hands**2).sum(axis=0)
    if fixed:
        # the corrections make noise of their own: what they add to the spread of prompts
        uncorrected = path.at(read.plugin, tilt)
        plain = leave_out_error(uncorrected[1:], uncorrected[0], reads.weights)
        drawn = leave_out_error(along[1:], along[0], reads.weights)
        with np.errstate(invalid="ignore"):
            more = np.nan_to_num(np.maximum(drawn**2 - plain**2, 0.0), nan=0.0, posinf=0.0)
        added = np.sqrt(1 + more / np.maximum(seen, 1e-300))
        moves = by_hands * (added * few_hands(by_hands, level))
    else:
        moves = drawn_moves(along, reads.weights)
    error, sampling = _by_chance(moves, reads.weights, level=level, fixed=fixed)
    if law is None:
        return Chance(moves, error, sampling, np.zeros(sampling.shape))
    # of what samples move: by the law instead, where that is more
    own, skew = law.by_chance(tilt[0], held=held)
    more = np.maximum(own**2 - seen, 0.0)
    reach = own * _lopsided(skew, normal(level))
    unlucky = np.sqrt(np.maximum(reach**2 - normal(level) ** 2 * seen, 0.0))
    moves = moves * np.sqrt(1 + more / np.maximum((moves**2).sum(axis=0), 1e-300))
    return Chance(moves, np.hypot(error, np.sqrt(more)), np.hypot(sampling, unlucky), unlucky)


def _lopsided(skew: Floats, quantile: float) -> Floats:
    """(2, tilts) how many standard errors the truth may lie below and above an estimate of this skewness.

    Johnson's modified t (Journal of the American Statistical Association 73, 1978): the first order of
    `skewed_reach`, which has no use for a skewness near 1.
    """
    shift = np.clip(skew, -_LOPSIDED, _LOPSIDED) * (2 * quantile**2 + 1) / 6
    return np.maximum(np.stack([quantile - shift, quantile + shift]), quantile / 2)


def few_hands(moves: Floats, level: float) -> Floats:
    """(tilts,) factor on errors: few hands may make most of the noise, and then its size is known badly."""
    return np.asarray(uneven_quantiles(moves.T, level) / normal(level))


def _by_chance(
    moves: Floats, weights: Floats, *, level: float, fixed: bool
) -> tuple[Floats, Floats]:
    """(tilts,) standard error of what has these moves, and (2, tilts) how far it may lie off by chance."""
    error = np.sqrt((moves**2).sum(axis=0))
    groups = int((weights > 0).sum())
    if not fixed and groups < 2:
        error = np.full(moves.shape[1], np.inf)
    units = -moves.T if fixed else moves.T  # what a hand moves is seen from without it
    with np.errstate(invalid="ignore"):
        wide = normal(level) if fixed else uneven_quantiles(units, level)
        above, below = skewed_quantiles(units, wide)
        return error, np.where(np.isfinite(error), np.stack([below, above]) * error, np.inf)


def fixed_moves(
    gold: Floats, gains: Floats, reads: Reads, path: Path, which: tuple[int, int], tilt: Floats, *,
    held: bool,
) -> Floats:  # fmt: skip
    """(groups x hands, tilts) moves by hands of samples, prompts held fixed.

    At a fixed KL, not where the tilt is `held`, the tilt moves too: by what the hand moves the
    proxy's KL, times `slope_along`.

    Parameters
    ----------
    gold, gains : (1 + groups, tilts) gold and proxy gain along the path
    which : places of gold and proxy in `reads`
    """
    at_gold, at_proxy = which
    flat = reads.hands.reshape(reads.hands.shape[0], -1, reads.hands.shape[-1])
    at = np.repeat(tilt, flat.shape[1], axis=0)
    if held:
        return path.at(flat[1 + at_gold], at)
    slope = slope_along(gold, gains, path, tilt)
    log_mgf, of_gold, of_proxy = (path.at(flat[row], at) for row in (0, 1 + at_gold, 1 + at_proxy))
    return np.asarray(of_gold - slope * (of_proxy - log_mgf / tilt[0]))


def slope_along(gold: Floats, gains: Floats, path: Path, tilt: Floats) -> Floats:
    """(tilts,) what gold gains per unit of proxy along the path, at (1, tilts)."""
    rise, run = (
        path.at(x[:1], tilt * 1.05)[0] - path.at(x[:1], tilt / 1.05)[0] for x in (gold, gains)
    )
    return np.asarray(rise / np.where(run > 0, run, np.inf))
