"""Populations of prompts with known reward laws: the families on which estimators are judged.

A family turns coordinates ``u`` in the unit cube into the reward law of a prompt.  Prompts are
drawn by drawing ``u``; the population is a low-discrepancy set of ``u``.  `DEV` are the thirteen
families on which the estimators were tuned (and a truncated lognormal, on which all fail, left out
of means), `HELDOUT` eight that were not, `RLVR` pass rates, `VERDICTS` pass rates and a
remainder, `PARTIAL` partial credit up to a best value, `ANSWERS` short answers that come back, `TIES`
scores that tie now and then; fresh ones come from `benchmarks.generator.random_family`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import inf
from typing import TYPE_CHECKING

import numpy as np
from scipy import special, stats

from benchmarks import truth
from benchmarks.laws import Laws, Levels, Mixture, Part
from benchmarks.shapes import (
    ATOM,
    BETA,
    EXPONENTIAL,
    GAMMA,
    GUMBEL,
    LOGNORMAL,
    NORMAL,
    SIGMOID,
    STUDENT,
    UNIFORM,
    WEIBULL,
    Array,
)

if TYPE_CHECKING:
    from collections.abc import Callable

POPULATION = 1024
MANY = 8192  # where laws are finite, and may jump with the coordinate


@dataclass(frozen=True)
class Family:
    """A population of prompts.

    Attributes
    ----------
    name : short, unique
    law : coordinates (prompts, dims) in the unit cube -> the laws of these prompts
    dims : how many coordinates a prompt has
    light_tailed : every reward law has tails lighter than exponential
    discrete : every reward law has few levels
    in_means : whether family means count it
    size : how many prompts stand for the population, where that is known
    """

    name: str
    law: Callable[[Array], Laws]
    dims: int = 1
    light_tailed: bool = True
    discrete: bool = False
    in_means: bool = True
    size: int | None = None

    def prompts(self, rng: np.random.Generator, count: int) -> Laws:
        """`count` prompts drawn from the population."""
        return self.law(rng.random((count, self.dims)))

    def draw(self, rng: np.random.Generator, laws: Laws, samples: int) -> Array:
        """(prompts, samples) rewards."""
        return laws.draw(rng, samples)

    def log_mgf(self, laws: Laws, lam: Array) -> Array:
        """(prompts, len(lam)) exact centred log-mgf."""
        return laws.log_mgf(np.asarray(lam, float))

    def population(self, size: int | None = None) -> Laws:
        """An even set of prompts, `size` of them, that stands for the whole population."""
        size = size or self.size or (MANY if self.discrete else POPULATION)
        if self.dims == 1:
            return self.law((np.arange(size)[:, None] + 0.5) / size)
        points = stats.qmc.Sobol(self.dims, scramble=False).random(size)
        return self.law(points + 0.5 / size)

    def gain(self, kl: Array, laws: Laws | None = None, *, budget: str = "average") -> Array:
        """The true frontier, reward units: of these prompts, or of the population."""
        return self.front(kl, laws, budget=budget).gain

    def front(self, kl: Array, laws: Laws | None = None, *, budget: str = "average") -> truth.Front:
        """The true frontier and its slope: of these prompts, or of the population."""
        if laws is None:
            return _population_front(self, tuple(np.atleast_1d(kl).tolist()), budget)
        solve = truth.average if budget == "average" else truth.per_prompt
        return solve(laws, np.atleast_1d(np.asarray(kl, float)))


@lru_cache(maxsize=4096)
def _population_front(family: Family, kl: tuple[float, ...], budget: str) -> truth.Front:
    return family.front(np.array(kl), family.population(), budget=budget)


# How coordinates become laws


def _scale(u: Array) -> Array:
    return 0.5 * 3.0 ** u[:, 0]


def _gauss(u: Array) -> Array:
    """A standard normal of the coordinate, held within three deviations."""
    g: Array = np.clip(special.ndtri(u), -3.0, 3.0)
    return g


def scaled(*parts: Part, cap: float = inf) -> Callable[[Array], Laws]:
    """Prompts that differ by a scale, log-uniform on [.5, 1.5]; clipped at `cap` scales."""

    def law(u: Array) -> Laws:
        s = _scale(u)
        moved = tuple(Part(p.shape, p.weight, s * p.loc, s * p.scale, p.a, p.b) for p in parts)
        return Mixture(len(u), moved, (-cap * s, cap * s))

    return law


def pass_rates(quantile: Callable[[Array], Array]) -> Callable[[Array], Laws]:
    """0/1 rewards whose pass rate is `quantile` of the coordinate."""

    def law(u: Array) -> Laws:
        p = quantile(u[:, 0])
        return Levels(np.array([0.0, 1.0]), np.column_stack([1 - p, p]))

    return law


def beta_rates(a: float, b: float, *, unsolvable: float = 0.0) -> Callable[[Array], Array]:
    """Pass rates of a beta law, a share of them exactly zero."""

    def quantile(u: Array) -> Array:
        v = np.clip((u - unsolvable) / (1 - unsolvable), 0.0, 1.0)
        return np.where(u < unsolvable, 0.0, special.betaincinv(a, b, v))

    return quantile


def atoms_of_rates(
    rates: tuple[float, ...], weights: tuple[float, ...]
) -> Callable[[Array], Array]:
    """Pass rates of finitely many kinds of prompts."""
    upper = np.cumsum(weights)[:-1]
    return lambda u: np.asarray(rates, float)[np.searchsorted(upper, u, side="right")]


def graded(levels: int, *, centre: tuple[float, float], spread: float) -> Callable[[Array], Laws]:
    """Grades 0 to levels - 1, bell-shaped about a centre that moves with the prompt."""
    values = np.arange(levels, dtype=float)

    def law(u: Array) -> Laws:
        middle = centre[0] + (centre[1] - centre[0]) * u
        mass = np.exp(-0.5 * ((values - middle) / spread) ** 2)
        return Levels(values, mass / mass.sum(axis=1, keepdims=True))

    return law


def rubric(points: int, a: float, b: float) -> Callable[[Array], Laws]:
    """Points met out of `points`, binomial, the chance of each drawn from a beta law per prompt."""
    values = np.arange(points + 1, dtype=float)

    def law(u: Array) -> Laws:
        p = special.betaincinv(a, b, u)
        return Levels(values, stats.binom.pmf(values, points, p))

    return law


def _kinds(u: Array) -> Laws:
    """A quarter each of normal, uniform, beta and gamma(4) prompts."""
    kind, s = np.minimum((4 * u[:, 1]).astype(int), 3), _scale(u)
    shapes = (
        (NORMAL, 1.0, 1.0, 1.0),
        (UNIFORM, 3.0, 1.0, 1.0),
        (BETA, 5.0, 2.0, 5.0),
        (GAMMA, 0.3, 4.0, 1.0),
    )
    return Mixture(
        len(u),
        tuple(
            Part(shape, (kind == i).astype(float), 0.0, s * unit, a, b)
            for i, (shape, unit, a, b) in enumerate(shapes)
        ),
    )


def _gamma_shapes(u: Array) -> Laws:
    """Gamma rewards of unit variance per scale whose shape runs from .45 to 3.6 with the prompt."""
    a = 0.45 * 8.0 ** u[:, 1]
    return Mixture(len(u), (Part(GAMMA, scale=_scale(u) / np.sqrt(a), a=a),))


def _lognormal_scales(part: Part, spread: float) -> Callable[[Array], Laws]:
    def law(u: Array) -> Laws:
        s = np.exp(spread * _gauss(u[:, 0]))
        return Mixture(len(u), (Part(part.shape, scale=part.scale * s, a=part.a, b=part.b),))

    return law


def _skewed_sigmoid(u: Array) -> Laws:
    return Mixture(len(u), (Part(SIGMOID, scale=2.0, a=-2.0 + 4.0 * u[:, 0], b=1.0),))


def _bimodal(u: Array) -> Laws:
    w = 0.05 + 0.6 * u[:, 0]
    return Mixture(len(u), (Part(NORMAL, 1 - w, -0.5, 0.4), Part(NORMAL, w, 1.0, 0.4)))


def verdicts(
    rate: Callable[[Array], Array], passed: Part, failed: Part, *, own: float = 0.0
) -> Callable[[Array], Laws]:
    """A verdict of 0 or 1 and a remainder; prompts' remainders differ by up to `own` in size.

    Harder prompts have longer answers, so the remainders are the larger the lower the pass rate.
    """

    def law(u: Array) -> Laws:
        q = rate(u[:, 0])
        size = 1 + own * (1 - 2 * u[:, 0])
        good, bad = (
            Part(p.shape, w, base + size * p.loc, size * p.scale, p.a, p.b)
            for p, w, base in ((passed, q, 1.0), (failed, 1 - q, 0.0))
        )
        return Mixture(len(u), (bad, good))

    return law


def passing_tests(
    rate: Callable[[Array], Array], *, outright: Callable[[Array], Array] | None = None
) -> Callable[[Array], Laws]:
    """Share of tests passed, of 3 to 30 tests a prompt: an answer passes many of them, or few.

    With `outright`, so many answers pass all tests whatever they do otherwise.
    """

    def law(u: Array) -> Laws:
        tests = np.floor(3 + 28 * u[:, 1:2])
        alike = 1 + 5 * u[:, 2:3]
        mean = np.clip(rate(u[:, :1]), 0.01, 0.99)
        passed = np.arange(31.0)
        probs = stats.betabinom.pmf(passed, tests, mean * alike, (1 - mean) * alike)
        if outright is not None:
            solved = outright(u[:, 2:3])
            probs = (1 - solved) * probs + solved * (passed == tests)
        return Levels(np.minimum(passed / tests, 1.0), probs / probs.sum(axis=1, keepdims=True))

    return law


def _overlap(u: Array) -> Laws:
    """Overlap with an answer: nothing, word for word, or part of it."""
    exact, nothing = 0.6 * u[:, 0] ** 2, 0.4 * u[:, 1]
    rest = Part(BETA, 1 - exact - nothing, a=1 + 3 * u[:, 2], b=4 - 3 * u[:, 2])
    return Mixture(len(u), (rest, Part(ATOM, exact, 1.0), Part(ATOM, nothing)))


def _cut_off(place: Callable[[Array], Array]) -> Callable[[Array], Laws]:
    """Normal scores about a place of the prompt's own, cut off at one best score for all."""

    def law(u: Array) -> Laws:
        scale = 0.3 * 3.0 ** u[:, 1]
        return Mixture(len(u), (Part(NORMAL, loc=place(u[:, 0]), scale=scale),), (-inf, 1.0))

    return law


DEV = (
    Family("normal", scaled(Part(NORMAL))),
    Family("uniform", scaled(Part(UNIFORM, scale=2.0))),
    Family("gumbel", scaled(Part(GUMBEL, scale=0.8)), light_tailed=False),
    Family("exp", scaled(Part(EXPONENTIAL)), light_tailed=False),
    Family("beta25", scaled(Part(BETA, scale=4.0, a=2.0, b=5.0))),
    Family("bern.1", pass_rates(lambda u: 0.1 + 0.0 * u), discrete=True),
    Family("betamix", pass_rates(beta_rates(0.3, 0.7)), discrete=True),
    Family("likert7", graded(7, centre=(2.0, 4.0), spread=1.3), discrete=True),
    Family(
        "mix3",
        scaled(
            Part(NORMAL, 0.6, -0.5, 0.3), Part(NORMAL, 0.35, 0.5, 0.3), Part(NORMAL, 0.05, 2.0, 0.4)
        ),
    ),
    Family("t4clip", scaled(Part(STUDENT, scale=0.7, a=4.0), cap=7.0), light_tailed=False),
    Family("hetshape", _kinds, dims=2, light_tailed=False),
    Family("hetshape2", _gamma_shapes, dims=2, light_tailed=False),
    Family("rlvr0", pass_rates(beta_rates(0.65, 0.8, unsolvable=0.2)), discrete=True),
    Family(
        "logn",
        scaled(Part(LOGNORMAL, a=1.0), cap=110.0),
        light_tailed=False,
        in_means=False,
    ),
)

HELDOUT = (
    Family("weibull1.5", _lognormal_scales(Part(WEIBULL, a=1.5), 0.4)),
    Family("beta.5.5", scaled(Part(BETA, scale=2.0, a=0.5, b=0.5))),
    Family("sigmoid", _skewed_sigmoid),
    Family("gamma4", scaled(Part(GAMMA, scale=0.5, a=4.0)), light_tailed=False),
    Family("normal.6", _lognormal_scales(Part(NORMAL), 0.6)),
    Family("bimodal", _bimodal),
    Family("rubric5", rubric(5, 1.5, 2.0), discrete=True),
    Family(
        "rates3",
        pass_rates(atoms_of_rates((0.05, 0.3, 0.8), (0.4, 0.3, 0.3))),
        discrete=True,
    ),
)

RLVR = (
    Family("beta.3.7", pass_rates(beta_rates(0.3, 0.7)), discrete=True),
    Family("beta1.3", pass_rates(beta_rates(1.0, 3.0)), discrete=True),
    Family("unsolved20", pass_rates(beta_rates(0.5, 1.0, unsolvable=0.2)), discrete=True),
    Family(
        "spikes",
        pass_rates(atoms_of_rates((0.02, 0.1, 0.5, 0.9), (0.25, 0.25, 0.25, 0.25))),
        discrete=True,
    ),
    Family(
        "allornothing",
        pass_rates(atoms_of_rates((0.0, 0.5, 1.0), (0.4, 0.3, 0.3))),
        discrete=True,
    ),
)


_SHORT = Part(UNIFORM, loc=-0.1, scale=0.1)
_LONG = Part(UNIFORM, loc=-0.3, scale=0.3)
_BEND = Part(BETA, loc=-0.4, scale=0.4, a=4.0, b=1.0)

VERDICTS = (
    Family("short", verdicts(beta_rates(0.6, 1.4), _SHORT, _SHORT)),
    Family("long", verdicts(beta_rates(1.0, 3.0, unsolvable=0.3), _LONG, _LONG)),
    Family("bend", verdicts(beta_rates(0.5, 4.0), _BEND, _BEND)),
    Family(
        "passed-only",
        verdicts(beta_rates(0.6, 1.4), Part(UNIFORM, loc=-0.5, scale=0.5), Part(ATOM)),
    ),
    Family("own", verdicts(beta_rates(1.0, 2.0), _LONG, _LONG, own=0.6)),
    Family(
        "noise", verdicts(beta_rates(2.0, 2.0), Part(NORMAL, scale=0.08), Part(NORMAL, scale=0.08))
    ),
)

PARTIAL = (
    Family("tests", passing_tests(beta_rates(1.0, 1.5)), dims=3, discrete=True),
    Family(
        "outright",
        passing_tests(beta_rates(2.0, 3.0), outright=beta_rates(0.6, 1.5)),
        dims=3,
        discrete=True,
    ),
    Family("overlap", _overlap, dims=3),
    Family("cut-off", _cut_off(lambda u: stats.norm.ppf(u) / 2), dims=2),
    Family("two-kinds", _cut_off(lambda u: np.where(u < 0.5, -1.5, 0.8)), dims=2),
)


def answers(number: int, chances: Callable[[Array], Array]) -> Family:
    """So many answers to a prompt, each with a reward of its own; `chances` come of one coordinate each."""

    def law(u: Array) -> Laws:
        scale = 0.5 + u[:, -1:]
        weights = chances(u[:, number:-1])
        values = stats.norm.ppf(u[:, :number]) * scale
        return Levels(values, weights / weights.sum(axis=1, keepdims=True))

    return Family(f"{number} answers", law, dims=2 * number + 1, discrete=True)


def _weighted(u: Array) -> Laws:
    """A verdict that counts as much as the prompt is worth."""
    rate = 0.02 + 0.96 * stats.beta.ppf(u[:, :1], 0.6, 1.2)
    worth = np.concatenate([0 * rate, 0.5 + 1.5 * u[:, 1:2]], axis=1)
    return Levels(worth, np.concatenate([1 - rate, rate], axis=1))


def _points(u: Array) -> Laws:
    """Points of a prompt's own maximum, in units of its own."""
    most = np.floor(4 + 5 * u[:, 1:2])
    got = np.arange(9.0)
    probs = stats.binom.pmf(got, most, stats.beta.ppf(u[:, :1], 1.5, 2.0))
    return Levels((0.5 + 1.5 * u[:, 2:3]) * np.minimum(got / most, 1.0), probs)


def _binned(values: Array, cdf: Callable[[Array], Array]) -> Array:
    """Chances of values between which a law is rounded to the nearest."""
    edges = np.concatenate(([-np.inf], (values[1:] + values[:-1]) / 2, [np.inf]))
    return np.asarray(np.diff(cdf(edges), axis=1))


TENTHS = np.round(np.arange(-8.0, 8.05, 0.1), 1)


def _rounded(u: Array) -> Levels:
    return Levels(TENTHS, _binned(TENTHS, lambda x: special.ndtr(x / (0.5 + u[:, :1]))))


def _with_least(laws: Levels, share: Array) -> Laws:
    """But for this share of the answers, which get the least reward there is."""
    probs = laws.probs * (1 - share)
    probs[:, :1] += share
    return Levels(laws.values, probs)


def _floored(u: Array) -> Laws:
    return _with_least(_rounded(u), 0.1 + 0.4 * u[:, 1:2])


def _zeros(u: Array) -> Laws:
    """Overlaps with a reference: skewed, and none for a tenth to most of the answers."""
    values = np.linspace(0.0, 1.0, 201)
    b = 6 + 6 * u[:, :1]
    probs = _binned(values, lambda x: special.betainc(1.5, b, np.clip(x, 0.0, 1.0)))
    return _with_least(Levels(values, probs), 0.1 + 0.6 * u[:, 1:2])


def _counts(u: Array) -> Laws:
    values = np.arange(61.0)
    probs = stats.poisson.pmf(values, 1 + 9 * u[:, :1])
    return Levels(values, probs / probs.sum(axis=1, keepdims=True))


TIES = (
    Family("rounded", _rounded),
    Family("floored", _floored, dims=2),
    Family("zeros", _zeros, dims=2),
    Family("counts", _counts),
)

ANSWERS = (
    answers(3, lambda u: -np.log(u)),
    answers(5, lambda u: -np.log(u)),
    answers(10, lambda u: -np.log(u)),
    answers(20, lambda u: (np.arange(20) + 1.0) ** -(1 + u[:, :1])),  # a few of them frequent
    Family("weighted", _weighted, dims=2, discrete=True),
    Family("points", _points, dims=3, discrete=True),
)


def family_sets() -> dict[str, tuple[Family, ...]]:
    """The named sets; fresh families come from `benchmarks.generator`."""
    return {
        "dev": DEV, "heldout": HELDOUT, "rlvr": RLVR, "verdicts": VERDICTS, "partial": PARTIAL,
        "answers": ANSWERS, "ties": TIES,
    }  # fmt: skip
