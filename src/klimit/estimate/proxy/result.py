"""The answer of `klimit.hacking`, and every question that can be put to it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from klimit._errors import ArgumentError
from klimit._estimate import Estimate, _scalar, beyond
from klimit._notebook import InNotebooks, Numbers
from klimit._text import safe
from klimit.estimate.kernel import Floats
from klimit.estimate.proxy.bands import PAST_TRUST, GoldBands, chance_along
from klimit.estimate.proxy.correction import TiltedRead
from klimit.estimate.proxy.pairs import Pairs
from klimit.estimate.proxy.path import TINY, Path, flat_budgets
from klimit.estimate.proxy.statistics import Reads
from klimit.estimate.proxy.tail_law import TailLaw
from klimit.estimate.result import Frontier, Settings, _asked, _budgets, _one_budget

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import ArrayLike

    from klimit.estimate.best_of_n import BestOfN
    from klimit.estimate.proxy.by_n import BestByProxy
    from klimit.estimate.proxy.certified import Certified
    from klimit.estimate.proxy.gaps import Gaps
    from klimit.estimate.proxy.nuisance import Nuisance
    from klimit.estimate.proxy.peak import Peak
    from klimit.estimate.proxy.soft import SoftBest


@dataclass(frozen=True)
class Readings:
    """Gold, or a nuisance, read along the proxy's tilt.

    Attributes
    ----------
    read : by tilt
    bands : by KL
    spread : pooled standard deviation within prompts
    covariance : (1 + prompts,) with the proxy, within prompts: the mean, then each prompt's own
    law : of the pooled pairs; None where prompts share no shape
    """

    read: TiltedRead
    bands: GoldBands
    spread: float
    covariance: Floats
    law: TailLaw | None


@dataclass(frozen=True, eq=False, repr=False)
class Hacking(InNotebooks):
    """What a proxy's gain is worth in gold, from samples of the base. Made by `klimit.hacking`.

    KL in nats per sequence. Proxy gains in the proxy's units, everything else in gold's, over the
    base's mean.

    Attributes
    ----------
    proxy : the proxy's frontier
    run : trained policies beside the prediction (`klimit.audit.path.TrainedPath`); None without
    settings : the options of `klimit.hacking`
    pairs, path, reads, readings, nuisance_readings : what it is computed from
    """

    proxy: Frontier
    pairs: Pairs
    path: Path
    reads: Reads
    readings: Readings
    nuisance_readings: Readings | None
    settings: Settings
    run: Any = None

    def __repr__(self) -> str:
        proxy, gold = (safe(name, longest=40) for name in self.pairs.names[:2])
        return (
            f"<Hacking of {proxy} judged by {gold}: "
            f"{self.pairs.prompts} prompts, {len(self.pairs.gold)} samples, "
            f"trusted to {self.trusted_kl:.3g} nats>"
        )

    @property
    def trusted_kl(self) -> float:
        """Nats up to which the gold gain along the proxy's tilt is trusted with these samples."""
        return self.readings.bands.trusted_kl

    @cached_property
    def gold(self) -> Frontier:
        """Gold's own frontier, over the same samples."""
        from klimit.estimate.proxy.verb import in_order

        return in_order(self.pairs, self.pairs.gold, self.settings)

    # ---- along the proxy's own tilt

    def proxy_gain(self, kl: ArrayLike) -> Estimate:
        """How much of the proxy can any method gain at `kl` nats? The proxy's own frontier."""
        return self.proxy.gain(kl)

    def gold_gain(self, kl: ArrayLike) -> Estimate:
        """How much does gold gain where the proxy's best policy spends `kl` nats?

        What a method that sees only the proxy can be expected to gain at the most of its proxy
        gain; another policy at this KL may gain more of gold (`gold_limit`).
        """
        budget = _budgets(kl)
        return self._gold(budget, self._along(budget))

    def _gold(self, budget: Floats, value: Floats, sampling: Floats | None = None) -> Estimate:
        """Gold gain at these budgets, with its interval.

        Parameters
        ----------
        sampling : (2, ...) how far the truth may lie below and above by chance, where the tilt is
            given; otherwise the tilt is the one that spends the budget, and its error is counted
        """
        bands = self.readings.bands
        trusted = budget <= bands.trusted_kl
        sampling = bands.at(bands.sampling, budget) if sampling is None else sampling
        off = bands.at(bands.off, budget)
        below, above = np.hypot(sampling, off)
        low, high = value - below, value + above
        note = ""
        if not np.all(trusted):
            least, most = (x.reshape(budget.shape) for x in self._any_policy(np.atleast_1d(budget)))
            value = np.where(trusted, value, np.clip(value, least, most))
            known = (budget <= bands.kl[-1]) & bands.corrected
            below, above = np.where(known, np.hypot(sampling, PAST_TRUST * off), np.inf)
            least, most = np.maximum(least, value - below), np.minimum(most, value + above)
            low = np.where(trusted, low, np.minimum(least, value))
            high = np.where(trusted, high, np.maximum(most, value))
            note = (
                f"{beyond(bands.trusted_kl)}: what is corrected may be wrong "
                "three times as much, up to what any policy at this KL can lose and gain"
            )
        value, low, high = (np.where(budget == 0, 0.0, x) for x in (value, low, high))
        worst, best = self._range_limits()
        if np.isfinite(best):
            value = np.clip(value, -self._losses.cap, self.gold.cap)
        low = np.minimum(np.maximum(low, worst), value)
        high = np.maximum(np.minimum(high, best), value)
        return Estimate.of(value, low, high, level=self.settings.level, trusted=trusted, note=note)

    def gold_limit(self, kl: ArrayLike) -> Estimate:
        """How much of gold can any method gain at `kl` nats? Gold's own frontier."""
        return self.gold.gain(kl)

    def beta(self, kl: ArrayLike) -> Estimate:
        """Which coefficient of the KL makes the proxy's best policy spend `kl` nats?"""
        return self.proxy.beta(kl)

    def at(self, *, beta: ArrayLike) -> ProxyPoint:
        """What does the proxy's best policy at this KL coefficient spend and gain?

        `beta` in the proxy's units per nat.
        """
        tilted = self.proxy.at(beta=beta)
        budget = np.asarray(tilted.kl.value, dtype=float)
        with np.errstate(divide="ignore"):
            tilt = 1 / np.atleast_1d(np.asarray(tilted.beta, dtype=float)).ravel()
        tilt = np.clip(tilt, TINY, self.path.known[-1])
        value, sampling = self._held(tilt)
        value, sampling = value.reshape(budget.shape), sampling.reshape(2, *budget.shape)
        return ProxyPoint(tilted.beta, tilted.kl, tilted.gain, self._gold(budget, value, sampling))

    def _held(self, tilt: Floats) -> tuple[Floats, Floats]:
        """(tilts,) gold gain at tilts that are given, and (2, tilts) how far it may lie off by chance."""
        fixed, level = self.settings.prompts == "fixed", self.settings.level
        read, law = self.readings.read, self.readings.law
        chance = chance_along(
            read, self.reads, self.path, (0, 1), law, tilt[None], level=level, fixed=fixed
        )
        return self.path.at(read.chosen[:1], tilt[None])[0], chance.sampling

    def _along(self, kl: Floats) -> Floats:
        """Gold gain where the proxy's tilt spends `kl`."""
        flat = flat_budgets(kl)
        safe = np.maximum(flat, TINY)
        tilt = np.minimum(self.proxy.curve.at_kl(safe).tilt, self.path.known[-1])
        found = self.path.at(self.readings.read.chosen[:1], tilt[None])[0]
        return np.asarray(found * np.sqrt(flat / safe)).reshape(np.shape(kl))

    def _any_policy(self, kl: Floats) -> tuple[Floats, Floats]:
        """The most that any policy can lose and gain of gold, with their intervals."""
        return -np.atleast_1d(self._losses.gain(kl).high), np.atleast_1d(self.gold.gain(kl).high)

    @cached_property
    def _losses(self) -> Frontier:
        """The frontier of minus gold: how much can be lost."""
        from dataclasses import replace

        from klimit.estimate.proxy.verb import in_order

        stated = self.settings.reward_range
        settings = self.settings
        if stated is not None:
            settings = replace(settings, reward_range=(-stated[1], -stated[0]))
        return in_order(self.pairs, -self.pairs.gold, settings)

    def _range_limits(self) -> tuple[float, float]:
        """The least and the most that the range of gold allows."""
        if self.settings.reward_range is None:
            return -np.inf, np.inf
        return -self._losses.cap_limit(), self.gold.cap_limit()

    # ---- where gold turns

    @cached_property
    def _peak(self) -> Peak | None:
        """Where gold is highest within the trusted range; None where nothing is trusted."""
        from klimit.estimate.intervals import normal
        from klimit.estimate.proxy.peak import peak

        bands = self.readings.bands
        if bands.kl[0] > bands.trusted_kl * (1 + 1e-9):
            return None
        parts = bands.value, bands.moves, bands.signed_wrong, bands.bend, bands.unlucky[0]
        return peak(
            *map(self._from_zero, (bands.kl, *parts)), level=self.settings.level,
            widen=bands.quantile / normal(self.settings.level), seed=self.settings.seed,
        )  # fmt: skip

    def _from_zero(self, values: Floats) -> Floats:
        """(..., nodes) of the bands within the trusted range, and first what they are at 0 nats: 0."""
        bands = self.readings.bands
        inside = bands.kl <= bands.trusted_kl * (1 + 1e-9)
        return np.pad(values[..., inside], [(0, 0)] * (values.ndim - 1) + [(1, 0)])

    @property
    def stop_kl(self) -> Estimate:
        """At how many nats of the proxy's path is gold highest, within `trusted_kl`?

        The interval holds every KL at which these samples do not rule out the highest gold. `high`
        is inf where the end of the trusted range is among them: gold may still rise there, and a
        peak, if there is one, lies beyond.
        """
        from klimit.estimate.proxy.peak import stop_at

        return stop_at(self._peak, self.settings.level, "no KL is trusted with these samples")

    @property
    def turns(self) -> bool:
        """Whether the estimate of gold is highest before the end of the trusted range."""
        return self._peak is not None and self._peak.inside

    @property
    def stop_n(self) -> Estimate:
        """At which N of best-of-N, selected by the proxy, is gold highest, up to the samples?"""
        return self.best_by_proxy.stop

    def share_peaking_below(self, kl: ArrayLike) -> Any:
        """Share of prompt-bootstrap curves whose maximum lies below `kl`.

        Curves of prompts drawn again with replacement, within the trusted range; nan beyond it and of
        one prompt. It is no probability that gold has its peak there.
        """
        from klimit.estimate.proxy.peak import share_below

        budget = _budgets(kl)
        bands = self.readings.bands
        if not bands.trusted_kl > 0 or self.pairs.prompts < 2:
            return _scalar(np.full(budget.shape, np.nan))
        along = self.path.at(self.readings.read.chosen, self.path.tilt_at(bands.kl))
        weights = self.reads.weights
        pulls = (1 - weights)[:, None] * (along[0] - along[1:])
        place, value, pulls = map(self._from_zero, (bands.kl, bands.value, pulls[weights > 0]))
        place[-1] = max(place[-1], bands.trusted_kl)  # the last one stands for the end of the range
        found = share_below(place, value, pulls, budget.ravel(), seed=self.settings.seed)
        return _scalar(
            np.where(budget <= place[-1] * (1 + 1e-9), found.reshape(budget.shape), np.nan)
        )

    # ---- against gold's own optimum

    @cached_property
    def correlation(self) -> Estimate:
        """Correlation of proxy and gold within prompts, over the base's samples.

        For rewards that are normal together it is the efficiency at every KL
        (`klimit.theory.gaussian_proxy`).
        """
        from klimit.estimate.proxy.gaps import correlation

        return correlation(self, self.pairs.gold, self.readings.covariance)

    def efficiency(self, kl: ArrayLike) -> Estimate:
        """Which share of what gold could gain at `kl` nats does the proxy's best policy gain?"""
        from klimit.estimate.proxy.gaps import efficiency

        return efficiency(self, _budgets(kl))

    def gaps(self, kl: ArrayLike | None = None, *, beta: ArrayLike | None = None) -> Gaps:
        """How much gold is lost by optimising the proxy instead? Three gaps that answer three questions.

        Exactly one of `kl` (nats) and `beta` (reward units per nat). See
        `klimit.estimate.proxy.gaps.Gaps`.
        """
        from klimit.estimate.proxy.gaps import gaps

        if (kl is None) == (beta is None):
            raise ArgumentError(
                "kl or beta must be given, exactly one of them; got "
                f"{'neither' if kl is None else 'both'}."
            )
        if kl is not None:
            return gaps(self, _budgets(kl), None)
        point = self.proxy.at(beta=beta)  # type: ignore[arg-type]
        return gaps(self, np.asarray(point.kl.value, dtype=float), np.asarray(beta, dtype=float))

    @cached_property
    def _error(self) -> tuple[float, Frontier]:
        """Gold per unit of proxy, and the frontier of the error."""
        from klimit.estimate.proxy.certified import error_of

        return error_of(self)

    def certified(self, kl: ArrayLike) -> Certified:
        """How much of the proxy's gain must be gold, given only how large the error is?"""
        from klimit.estimate.proxy.certified import certified

        return certified(self, _budgets(kl))

    # ---- best-of-N, nuisance

    @cached_property
    def best_by_proxy(self) -> BestByProxy:
        """Gold gain of best-of-N selected by the proxy, for every N that the samples allow."""
        from klimit.estimate.proxy.by_n import best_by_proxy

        return best_by_proxy(self)

    def best_of_n(self, n: ArrayLike) -> BestOfN:
        """What does best-of-N gain of gold if the proxy selects? Unbiased; see `klimit.best_of_n`."""
        from klimit.estimate.best_of_n import best_of_n

        return best_of_n(
            self.pairs.rows(self.pairs.proxy), judge=self.pairs.rows(self.pairs.gold), n=n,
            reward=self.pairs.names[0], reward_range=self.settings.reward_range,
            level=self.settings.level, seed=self.settings.seed,
        )  # fmt: skip

    def soft_best(self, kl: ArrayLike) -> SoftBest:
        """What does soft best-of-M gain, M the samples of a prompt, where it spends at most `kl` nats?

        Unbiased up to log M, however few the samples.
        """
        from klimit.estimate.proxy.soft import soft_best

        return soft_best(self, _budgets(kl))

    def nuisance(self, kl: float) -> Nuisance:
        """How much of the proxy's gain is the nuisance, and what is gained at a fixed mean of it?"""
        from klimit.estimate.proxy.nuisance import nuisance

        return nuisance(self, _one_budget(kl))

    @cached_property
    def _apart(self) -> tuple[float, Hacking]:
        """Proxy per unit of nuisance, and the same question for a proxy without that part."""
        from klimit.estimate.proxy.nuisance import apart

        return apart(self)

    # ---- saying it

    def plot(self, ax: Any = None, **options: Any) -> Any:
        """Draw gold against KL; see `klimit.view.plots.hacking`."""
        from klimit.view.plots import hacking

        return hacking(self, ax, **options)

    def __str__(self) -> str:
        """The verdict in words, a table, and what to mind."""
        from klimit.view.hacking import text

        return text(self)

    def to_dict(self, kl: ArrayLike | None = None) -> dict[str, Any]:
        """Plain values for JSON, schema ``klimit.hacking/1`` (docs/cli.md)."""
        from klimit.view.hacking import record

        return record(self, _asked(kl))

    def to_frame(self, kl: ArrayLike | None = None) -> pl.DataFrame:
        """A polars frame with a row per budget: every number with its limits, null where not finite."""
        from klimit.view.hacking import frame

        return frame(self, _asked(kl))


@dataclass(frozen=True)
class ProxyPoint(Numbers):
    """The proxy's best policy at one KL coefficient: `Estimate`s; nats, proxy and gold units."""

    beta: Any
    kl: Estimate
    proxy_gain: Estimate
    gold_gain: Estimate
