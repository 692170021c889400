"""The answer of `klimit.frontier`, and every question that can be put to it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from klimit._errors import ArgumentError
from klimit._estimate import Estimate, beyond
from klimit._text import safe
from klimit.estimate.bands import ALONE, Bands, kl_nodes, unseen_gain
from klimit.estimate.checks import numbers
from klimit.estimate.curve import Curve
from klimit.estimate.fixed_beta import Tilted, optimum
from klimit.estimate.inputs import RewardColumn
from klimit.estimate.intervals import DOUBT, LIGHT, Tail, quantiles
from klimit.estimate.kernel import Floats
from klimit.estimate.members import Members
from klimit.estimate.samples import Samples, ordered_mean
from klimit.estimate.samples_needed import bias_at, up
from klimit.estimate.slope import SlopeReach, slope_reach
from klimit.estimate.statistics import FEWEST, correctable

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import ArrayLike

    from klimit.audit import Audit
    from klimit.estimate.convergence import Convergence

AT_THE_BEST = "every prompt is at its best sample"

_DENSER = 8  # than the bands' own budgets, a twelfth apart: straight lines are then off by 1e-5


@dataclass(frozen=True)
class Settings:
    """How a frontier was asked for."""

    reward: str
    budget: str
    prompts: str
    estimator: str
    objective: str
    reward_range: tuple[float, float] | None
    range_implied: bool
    level: float
    seed: int


@dataclass(frozen=True, eq=False, repr=False)
class Frontier:
    """The largest gain in reward that any method can reach at a KL, from samples of the base.

    Made by `klimit.frontier`. KL in nats per sequence, gains in reward units over the base's mean.

    Attributes
    ----------
    reward : what is gained
    ids : of the prompts given; `samples.kept` says which of them count
    samples : the rewards that count, and what was left out
    settings : the options of `klimit.frontier`
    tail : how heavy the rewards' pooled upper tail is; `tail.heavy` if exponential or heavier
    curve, members, bands, cap : what it is computed from
    """

    ids: Any
    reward: str
    samples: Samples
    settings: Settings
    curve: Curve
    members: Members | None
    bands: Bands
    tail: Tail
    cap: float

    @classmethod
    def flat(cls, column: RewardColumn, samples: Samples, settings: Settings) -> Frontier:
        """Every prompt is constant: nothing is gained at any KL, though a stated range may leave room."""
        tilts = np.array([1.0, 2.0])
        zero = np.zeros(2)
        curve = Curve.smooth(
            tilts, zero, zero, zero, variance=0.0, ceiling_gain=0.0, ceiling_kl=0.0
        )
        kl = kl_nodes(1.0)
        none, one = np.zeros(len(kl)), np.ones(len(kl))
        stated = settings.reward_range if settings.objective == "reward" else None
        room = np.inf if stated is None else stated[1] - ordered_mean(samples.means, samples)
        trusted_kl = 0.0 if 0 < room < np.inf else np.inf
        doubt = none if trusted_kl else none + np.inf
        bands = Bands(
            kl, none, none, none, none, none, none, none, none, doubt, trusted_kl, one, 1.0
        )  # fmt: skip
        return cls(column.ids, column.name, samples, settings, curve, None, bands, LIGHT, room)

    def __repr__(self) -> str:
        samples = self.samples
        return (
            f"<Frontier of {safe(self.reward, longest=40)}: {samples.prompts} prompts, "
            f"{int(samples.counts.sum())} samples, trusted to {nats(self.trusted_kl)}>"
        )

    @property
    def base_reward(self) -> float:
        """Mean reward of the base, prompts weighing equally; of win rates that is one half."""
        if self.settings.objective == "win-rate":
            return 0.5
        return ordered_mean(self.samples.means, self.samples)

    @property
    def trusted_kl(self) -> float:
        """Nats up to which the estimate is trusted with these samples."""
        return self.bands.trusted_kl

    @property
    def alone(self) -> bool:
        """Whether it rests on the base's samples alone; a `Bridged` rests on policies' too."""
        return True

    @property
    def notes(self) -> tuple[str, ...]:
        """What to say beside its numbers, as sentences."""
        return ()

    def gain(self, kl: ArrayLike) -> Estimate:
        """How much reward can any method gain at `kl` nats?

        Examples
        --------
        >>> from klimit.estimate.frontier import frontier
        >>> limit = frontier([[0.0, 1.0, 2.0, 3.0]] * 8, estimator="plugin")
        >>> round(limit.gain(kl=0.5).value, 6)
        1.051022
        """
        budget = _budgets(kl)
        return self._estimate(self._point(budget)[0], budget)

    def _point(self, kl: Floats) -> tuple[Floats, Floats]:
        """Gain and slope at budgets of any shape."""
        if self._solves_prompts:
            from klimit.estimate.tilted import mean_front

            solved = [mean_front(self.samples, float(x)) for x in np.ravel(kl)]
            gain, slope = np.array(solved).reshape(-1, 2).T
            return gain.reshape(np.shape(kl)), slope.reshape(np.shape(kl))
        point = self.curve.at_kl(kl)
        with np.errstate(divide="ignore"):
            return point.gain, 1 / point.tilt

    @property
    def _solves_prompts(self) -> bool:
        """Whether every budget is solved prompt by prompt: the plug-in is then exact."""
        settings = self.settings
        return settings.budget == "per-prompt" and not correctable(self.samples, settings.estimator)

    def _estimate(self, value: Floats, kl: Floats) -> Estimate:
        bands = self.bands
        low = value * bands.share(bands.low, kl)
        with np.errstate(invalid="ignore"):  # 0 nats, where the interval of one prompt has no end
            high = value * bands.share(bands.high, kl)
        trusted = kl <= bands.trusted_kl
        bound = bands.share(bands.bound, kl) * value
        if self._sure is not None and not np.all(trusted):  # and what best-of-N gains can be gained
            bound = np.maximum(bound, np.interp(kl, *self._sure))
        if self._trusted_low > 0:
            # no concave curve that starts lower at the end of trust rises faster
            bound = np.clip(bound, self._trusted_low, self._trusted_low * kl / bands.trusted_kl)
        low = np.where(trusted, low, np.minimum(bound, value))
        cap = np.asarray(self.cap_limit())
        if np.isfinite(cap):  # and rewards within a range gain no more than this (Hoeffding)
            least, most = self.settings.reward_range or (0.0, 0.0)
            cap = np.minimum(cap, (most - least) * np.sqrt(kl / 2))
        if self.settings.objective == "win-rate":  # nothing wins more than where no rewards tie
            from klimit.theory import uniform_frontier

            cap = np.minimum(cap, uniform_frontier(kl).gain)
        high = np.minimum(high, cap)
        if not bands.honest:  # where all rewards are the best there can be, the cap alone is known
            high = np.where(trusted & (self.cap > 0), high, cap)
        done = kl == 0
        low, high = np.where(done, 0.0, low), np.where(done, 0.0, high)
        note = "" if bool(np.all(trusted)) else self._note(kl, trusted)
        high = np.maximum(high, value)
        return Estimate.of(value, low, high, level=self.settings.level, trusted=trusted, note=note)

    @cached_property
    def _slope_reach(self) -> SlopeReach:
        return slope_reach(self)

    @cached_property
    def _band(self) -> tuple[Floats, Estimate]:
        """Budgets so dense that straight lines between them do, and the gain at each."""
        nodes = np.log(self.bands.kl)
        place = np.linspace(0, len(nodes) - 1, _DENSER * (len(nodes) - 1) + 1)
        kl = np.exp(np.interp(place, np.arange(len(nodes)), nodes))
        return kl, self._estimate(self.curve.at_kl(kl).gain, kl)

    @cached_property
    def _sure(self) -> tuple[Floats, Floats] | None:
        """KL and sure gain of best-of-N; not of win rates, whose samples are ranks among themselves."""
        if self.settings.objective != "reward" or self.samples.scale == 0:
            return None
        from klimit.estimate.best_of_n.sure_gain import sure_gain

        per_prompt = self.settings.budget == "per-prompt"
        return sure_gain(self.samples, self.settings.level, per_prompt=per_prompt)

    @cached_property
    def _trusted_low(self) -> float:
        edge = self.bands.trusted_kl
        if edge <= 0 or not np.isfinite(edge):
            return 0.0
        value = float(self.curve.at_kl(edge).gain)
        return value * float(self.bands.share(self.bands.low, np.asarray(edge)))

    def cap_limit(self) -> float:
        """The most that `reward_range` allows, with the error of the base's mean; inf where not stated."""
        samples = self.samples
        if not np.isfinite(self.cap):
            return float("inf")
        low, high = self.settings.reward_range or (0.0, 0.0)
        if self.settings.objective == "win-rate":
            low = self.base_reward  # which every prompt's base has
        if self.cap <= 0:
            fixed = self.settings.prompts == "fixed"
            return unseen_gain(samples, high - low, level=self.settings.level, fixed=fixed)
        if self.settings.prompts == "drawn":
            middle = ordered_mean(samples.means, samples)
            spread = ordered_mean((samples.means - middle) ** 2, samples)
            error = (spread / max(1 - 1 / samples.prompts, 0.5)) ** 0.5
        else:
            error = ordered_mean(samples.variances / (samples.counts - 1), samples) ** 0.5
        quantile = quantiles(self.settings.level, samples.prompts)[0]
        return float(min(self.cap + quantile * error / samples.prompts**0.5, high - low))

    @property
    def ceilings(self) -> tuple[float, float] | None:
        """The pair of largest gains: unresolved prompts stay unsolved, and all prompts are solved.

        Known where the range of rewards is (0/1 rewards imply it), else None. A prompt is
        unresolved while none of its samples has the best possible reward; `unresolved` counts them.
        """
        if not np.isfinite(self.cap):
            return None
        return ordered_mean(self.samples.tops, self.samples), float(self.cap)

    @property
    def unresolved(self) -> int | None:
        """Prompts of which no sample has the best possible reward; None where that is not known."""
        stated = self.settings.reward_range
        if stated is None or self.settings.objective == "win-rate":
            return None
        best = self.samples.means + self.samples.tops
        return int((best < stated[1] - 1e-9 * (stated[1] - stated[0])).sum())

    def _note(self, kl: Floats, trusted: Any) -> str:
        if self.settings.estimator == "plugin":
            return "the plug-in estimate is low at every sample size: a lower bound"
        first = float(np.atleast_1d(kl)[~np.atleast_1d(trusted)].min())
        needed = self.samples_needed(first)
        some = f"about {needed:,}" if needed < 1_000_000 else "over a million"
        asked = f"{nats(first)} would take {some} samples a prompt"
        if self.exhausted(first):
            asked = AT_THE_BEST
        if self.trusted_kl <= 0:
            return f"no KL is trusted with these samples: a lower bound; {asked}"
        return f"{beyond(self.trusted_kl)}: a lower bound; {asked}"

    @property
    def spenders(self) -> float:
        """Share of the prompts that all KL is spent on: constant ones may yet vary if levels are few."""
        return 1.0 if np.isnan(self.tail.shape) else self.samples.moving

    def exhausted(self, kl: float) -> bool:
        """Whether at `kl` nats every prompt is at the best that its samples show, time and again.

        More samples of such rewards (grades, answers that come back) reach no further than these.
        """
        wall = self.spenders * (np.log(self.samples.size) - 0.5)
        return not self.bands.honest and max(self.curve.ceiling_kl, self.trusted_kl) < min(kl, wall)

    def samples_needed(self, kl: float) -> int:
        """Samples a prompt that would bring `kl` nats into the trusted range (an extrapolation).

        1e15, more than anybody can draw, where no number would (`exhausted`).
        """
        if self.exhausted(kl):
            return 10**15
        size = self.samples.size
        doubt, rate = bias_at(self.bands, kl)
        by_bias = size * max(doubt / DOUBT, 1.0) ** (1 / rate)
        few = 0.0  # nats by which few prompts fall short of what many show
        if not (self.bands.honest or np.isnan(self.tail.shape)):
            few = ALONE / self.samples.prompts
        needed = min(
            max(by_bias, float(np.exp(min((kl + few) / self.spenders, 600.0) + 0.5)), FEWEST), 1e15
        )
        if kl <= self.trusted_kl:
            return min(up(needed), round(size))
        return up(max(needed, size + 1))

    def kl(self, gain: ArrayLike) -> Estimate:
        """What is the least KL, in nats, at which any method can gain so much?

        inf where `reward_range` proves the gain impossible; nan, with `low` a bound, where the
        samples do not show it.
        """
        wanted = numbers("gain", gain, "numbers in reward units")
        if np.isnan(wanted).any():
            raise ArgumentError("gain must be a number; got nan.")
        flat = np.atleast_1d(wanted).ravel()
        value = self._least(flat)
        nodes, band = self._band
        rising = np.maximum.accumulate(np.where(np.isfinite(band.high), band.high, np.inf))
        low = _first_reach(nodes, rising, flat)
        high = _first_reach(nodes, np.maximum.accumulate(band.low), flat)
        trusted = (value <= self.trusted_kl) & np.isfinite(high)
        impossible = flat > self.cap_limit() * (1 + 1e-12)
        lost = np.isnan(value)
        value = np.where(impossible, np.inf, value)
        low = np.where(
            impossible,
            np.inf,
            np.where(lost, np.minimum(low, self.curve.ceiling_kl), np.fmin(low, value)),
        )
        high = np.where(impossible | lost, np.inf, np.fmax(high, value))
        value = np.where(flat <= 0, 0.0, value)
        low, high = np.where(flat <= 0, 0.0, low), np.where(flat <= 0, 0.0, high)
        trusted = trusted | (flat <= 0) | impossible
        reasons = [
            (impossible, "the range of rewards does not allow this gain"),
            (lost, "no sample of these prompts shows such a gain"),
            (value > self.trusted_kl, beyond(self.trusted_kl)),
            (~trusted, "the lower end of the limit stays below this gain: no upper end"),
        ]
        places, words = zip(*reasons, strict=True)
        notes = np.select(list(places), list(words), default="")
        note = next((why for where, why in reasons if where.any()), "")
        return Estimate.of(
            value, low, high, level=self.settings.level, trusted=trusted, note=note, by_place=notes,
            shape=wanted.shape,
        )  # fmt: skip

    def _least(self, gain: Floats) -> Floats:
        if not self._solves_prompts:
            return np.atleast_1d(self.curve.at_gain(gain).kl).astype(float)
        from klimit.estimate.tilted import least_kl

        return np.array([least_kl(self.samples, float(x)) for x in gain])

    def beta(self, kl: ArrayLike) -> Estimate:
        """Which KL coefficient (reward units per nat) makes a KL penalty spend `kl` nats?

        The slope of the frontier, dG/dKL; with ``budget="per-prompt"`` the mean slope over prompts.
        """
        budget = _budgets(kl)
        value = self._point(budget)[1]
        trusted = budget <= self.trusted_kl
        least, most = self._slope_reach.factors(budget)
        with np.errstate(divide="ignore", invalid="ignore"):  # at 0 nats it has no end
            low = np.where(trusted & (least > 0), value * least, 0.0)
            high = np.where(most < np.inf, value * most, np.inf)
            chord = np.asarray(self.gain(budget).high) / budget  # no concave curve is steeper
        high = np.where(trusted, np.fmax(np.fmin(high, chord), value), np.inf)
        note = "" if bool(np.all(trusted)) else beyond(self.trusted_kl)
        return Estimate.of(
            value, low, high, level=self.settings.level, trusted=trusted, note=note,
            by_place=np.where(trusted, "", note),
        )  # fmt: skip

    def at(self, *, beta: ArrayLike) -> Tilted:
        """What does the optimal policy at this KL coefficient gain and spend?

        The point where the frontier has slope `beta`: it maximises gain - beta KL. gain = beta *
        Jeffreys.
        """
        return optimum(self, beta)

    def place(self, kl: Any, gain: Any) -> Audit:
        """Where does a policy known only by its KL and gain stand? See `klimit.audit.Audit`."""
        from klimit.audit.placement import place

        return place(self, kl, gain)

    def bounds(self, kl: float) -> pl.DataFrame:
        """Which known bounds on the gain hold here, tightest first? See `klimit.estimate.bounds`."""
        from klimit.estimate.bounds import bounds

        return bounds(self, _one_budget(kl))

    def prompts(self, kl: float, by: str | None = None, **how: Any) -> pl.DataFrame:
        """What does each prompt gain and spend at the optimum? See `klimit.estimate.prompts`.

        Parameters
        ----------
        by : a list to train on or to leave out: ``"headroom"``, ``"zero-signal"`` or
            ``"saturated"``; with `how` as `klimit.estimate.prompt_lists` takes it
        """
        from klimit.estimate.prompt_lists import prompt_list
        from klimit.estimate.prompts import prompts

        budget = _one_budget(kl)
        return prompts(self, budget) if by is None else prompt_list(self, budget, by, **how)

    def convergence(self, kl: float) -> Convergence:
        """Would more samples move the estimate? See `klimit.estimate.convergence`."""
        from klimit.estimate.convergence import convergence

        return convergence(self, kl)

    def plot(self, ax: Any = None, what: str = "limit", **options: Any) -> Any:
        """Draw the limit, or what else is asked for, into `ax` or new axes; return the axes.

        Parameters
        ----------
        what : ``"limit"``, ``"beta"``, ``"bounds"``, ``"allocation"`` (across prompts) or
            ``"convergence"`` (as samples are added)
        options : of the function of that name in `klimit.view.plots`
        """
        from klimit.view.plots import draw

        return draw(self, what, ax, **options)

    def _repr_html_(self) -> str:
        from klimit.view.notebook import limit

        return limit(self)

    def __str__(self) -> str:
        """The verdict in words, a table, and what to mind."""
        from klimit.view.limit import text

        return text(self)

    def to_dict(self, kl: ArrayLike | None = None) -> dict[str, Any]:
        """Plain values for JSON, schema ``klimit.limit/1`` (docs/cli.md); budgets are chosen if not given."""
        from klimit.view.records import limit_record

        return limit_record(self, _asked(kl))

    def to_frame(self, kl: ArrayLike | None = None) -> pl.DataFrame:
        """A polars frame with a row per budget: gain and beta with their limits; null where not finite."""
        from klimit.view.records import limit_frame

        return limit_frame(self, _asked(kl))


def nats(kl: float) -> str:
    """``1 nat``, ``0.5 nats``."""
    text = f"{kl:.3g}"
    return f"{text} nat" if text == "1" else f"{text} nats"


def _budgets(kl: ArrayLike) -> Floats:
    budget = numbers("kl", kl, "numbers of nats")
    bad = ~(budget >= 0)
    if bad.any():
        seen = np.atleast_1d(budget)[np.atleast_1d(bad)][0]
        raise ArgumentError(
            f"kl must be zero or more nats per sequence; got {seen:g}. "
            "A measured KL below zero is noise around zero: ask for kl=0."
        )
    return budget


def _asked(kl: ArrayLike | None) -> list[float] | None:
    """Budgets as a list; None where they are left to be chosen."""
    return None if kl is None else np.atleast_1d(_budgets(kl)).tolist()


def _one_budget(kl: ArrayLike) -> float:
    budget = _budgets(kl)
    if budget.size != 1:
        raise ArgumentError(
            f"kl={safe(kl, longest=40)} was given; one number of nats was expected."
        )
    return float(budget.item())


def _first_reach(kl: Floats, rising: Floats, wanted: Floats) -> Floats:
    """KL at which a rising curve first reaches `wanted`; inf where it never does."""
    place = np.searchsorted(rising, wanted, side="left")
    out = np.full(len(wanted), np.inf)
    for i, (j, target) in enumerate(zip(place, wanted, strict=True)):
        if j == 0:
            first = rising[0]
            out[i] = kl[0] * (target / first) ** 2 if first > 0 and np.isfinite(first) else 0.0
        elif j < len(kl):
            a, b = rising[j - 1], rising[j]
            share = (target - a) / (b - a) if np.isfinite(b) else 0.0
            out[i] = kl[j - 1] + share * (kl[j] - kl[j - 1])
    return out
