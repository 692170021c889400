"""The families that judge the estimators are themselves exact."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import integrate, optimize, special, stats

from benchmarks import truth
from benchmarks.families import DEV, HELDOUT, PARTIAL, RLVR
from benchmarks.generator import random_family

NAMED = [*DEV, *HELDOUT, *RLVR, *PARTIAL]
FRESH = [random_family(seed) for seed in range(12)]
KL = np.array([0.25, 1.0, 3.0])


def names(families):
    return [f.name for f in families]


@pytest.mark.parametrize("family", [*NAMED, *FRESH], ids=names([*NAMED, *FRESH]))
def test_the_exact_log_mgf_agrees_with_a_big_sample(family):
    rng = np.random.default_rng(5)
    laws = family.prompts(rng, 4)
    x = family.draw(rng, laws, 40_000)
    x = x - x.mean(axis=1, keepdims=True)
    spread = x.std()
    # where tails are heavy a sample knows its own error only at small tilts
    tilts = (-0.5, 0.2, 0.5) if family.light_tailed else (-0.5, 0.1) if family.in_means else (-0.3,)
    for tilt in np.array(tilts) / spread:
        exact = family.log_mgf(laws, np.array([tilt]))[:, 0]
        weight = np.exp(tilt * x)
        seen = np.log(weight.mean(axis=1))
        influence = weight / weight.mean(axis=1, keepdims=True) - 1 - tilt * x
        error = influence.std(axis=1) / np.sqrt(x.shape[1])
        assert np.all(np.abs(seen - exact) <= 5 * error + 1e-12), family.name


def dual(log_mgf, kl):
    """The frontier by another road: a scalar minimiser over log tilts."""
    found = optimize.minimize_scalar(
        lambda t: (kl + log_mgf(np.exp(t))) / np.exp(t),
        bounds=(-5.0, 8.0),
        method="bounded",
        options={"xatol": 1e-10},
    )
    return found.fun


def named(name):
    return next(f for f in NAMED if f.name == name)


@pytest.mark.parametrize(
    ("name", "density", "low", "high"),
    [
        ("beta25", lambda x, s: stats.beta(2, 5, scale=4 * s).pdf(x), 0.0, 4.0),
        ("gumbel", lambda x, s: stats.gumbel_r(scale=0.8 * s).pdf(x), -4.0, 60.0),
        ("gamma4", lambda x, s: stats.gamma(4, scale=0.5 * s).pdf(x), 0.0, 60.0),
        ("exp", lambda x, s: stats.expon(scale=s).pdf(x), 0.0, 120.0),
    ],
)
def test_the_truth_of_one_prompt_agrees_with_quadrature_of_its_density(name, density, low, high):
    family = named(name)
    u = np.array([[0.3]])
    s = 0.5 * 3.0**0.3
    high = high * s
    mean = integrate.quad(lambda x: x * density(x, s), low, high, limit=400)[0]

    def log_mgf(tilt):
        with np.errstate(over="ignore"):
            value = integrate.quad(
                lambda x: np.exp(tilt * (x - mean)) * density(x, s), low, high, limit=400
            )[0]
        return np.log(value) if np.isfinite(value) else np.inf

    for kl in (0.25, 1.0, 2.0):
        lam = 1 / family.front([kl], family.law(u)).beta[0]
        at_best = (kl + log_mgf(lam)) / lam
        assert_allclose(family.gain([kl], family.law(u))[0], at_best, rtol=2e-4)
        # and no other tilt does better: the dual is smooth, so its neighbours are higher
        assert (kl + log_mgf(0.9 * lam)) / (0.9 * lam) > at_best * (1 - 1e-6)
        assert (kl + log_mgf(1.05 * lam)) / (1.05 * lam) > at_best * (1 - 1e-6)


def test_clipped_student_agrees_with_quadrature_and_its_atoms():
    family = named("t4clip")
    s = 0.5 * 3.0**0.3
    law = stats.t(4, scale=0.7 * s)
    cap = 7.0 * s

    def log_mgf(tilt):
        inner = integrate.quad(
            lambda x: np.exp(tilt * (x - cap)) * law.pdf(x), -cap, cap, limit=400
        )[0]
        ends = law.sf(cap) * (1 + np.exp(-2 * tilt * cap))
        return np.log(inner + ends) + tilt * cap

    for kl in KL:
        exact = dual(log_mgf, kl)
        assert_allclose(family.gain([kl], family.law(np.array([[0.3]])))[0], exact, rtol=1e-3)


def test_the_normal_population_has_the_closed_form():
    mean_square = 0.25 * 8 / np.log(9)  # of a scale log-uniform on [.5, 1.5]
    assert_allclose(named("normal").gain(KL), np.sqrt(2 * KL * mean_square), rtol=1e-4)


def test_a_population_of_pass_rates_agrees_with_quadrature():
    def log_mgf(tilt):
        def one(p):
            return np.log1p(p * np.expm1(tilt)) - tilt * p

        # a power of v near each end takes the beta density's poles away
        left = integrate.quad(
            lambda v: one(special.betaincinv(0.3, 0.7, v**3)) * 3 * v**2, 0, 1, limit=400
        )
        return left[0]

    for kl in (0.2, 0.5, 1.0, 2.0):
        exact = dual(log_mgf, kl)
        assert_allclose(named("beta.3.7").gain([kl])[0], exact, rtol=1e-3)


def test_pass_rates_reach_the_figures_of_the_theory():
    # Beta(.3, .7): ceiling .700, and .2100, .3315, .4619 at .2, .5 and 1 nat
    family = named("beta.3.7")
    assert_allclose(family.gain([0.2, 0.5, 1.0]), [0.2100, 0.3315, 0.4619], atol=4e-4)
    assert_allclose(family.gain([20.0]), [0.7], atol=1e-3)


@pytest.mark.parametrize("family", FRESH[:6], ids=names(FRESH[:6]))
def test_a_fresh_familys_population_is_what_many_drawn_prompts_average_to(family):
    rng = np.random.default_rng(6)
    laws = family.prompts(rng, 600)
    x = family.draw(rng, laws, 700)
    x = x - x.mean(axis=1, keepdims=True)
    kl = np.array([0.1, 0.25])
    tilts = np.exp(np.linspace(-2, 4, 30)) / x.std()
    with np.errstate(over="ignore"):
        seen = np.array(
            [(np.log(np.exp(t * (x - 3 * x.std())).mean(axis=1)) + t * 3 * x.std()).mean()
             for t in tilts]
        )  # fmt: skip
    plugin = truth.front(seen, kl, tilts).gain
    assert_allclose(plugin, family.gain(kl), rtol=0.06)


@pytest.mark.parametrize("family", [*NAMED, *FRESH[:8]], ids=names([*NAMED, *FRESH[:8]]))
def test_the_truth_obeys_the_theory(family):
    laws = family.prompts(np.random.default_rng(7), 12)
    kl = np.linspace(0.1, 2.0, 20)
    front = family.front(kl, laws)
    assert np.all(np.diff(front.gain) >= -1e-9)  # nondecreasing
    assert np.all(np.diff(front.gain, 2) <= 1e-6 * front.gain[0])  # concave
    assert np.all(np.diff(front.beta) <= 1e-6 * front.beta[0])  # its slope falls
    # concave with these slopes: each lies between the chords on its two sides
    chords = np.diff(front.gain) / np.diff(kl)
    assert np.all(front.beta[1:] <= chords * (1 + 1e-4) + 1e-6)
    free = front.beta[:-1] > 0  # where saturated the slope is reported as none
    assert np.all((chords <= front.beta[:-1] * (1 + 1e-4) + 1e-6)[free])
    assert np.all(family.gain(kl, laws, budget="per-prompt") <= front.gain * (1 + 1e-3))


@pytest.mark.parametrize("name", ["normal", "likert7", "hetshape", "bimodal"])
def test_what_prompts_spend_and_gain_averages_to_the_frontier(name):
    family = named(name)
    laws = family.prompts(np.random.default_rng(8), 30)
    kl = np.array([0.3, 1.0])
    gain, spent = truth.spending(laws, kl)
    assert_allclose(spent.mean(axis=0), kl, rtol=1e-3)
    assert_allclose(gain.mean(axis=0), family.gain(kl, laws), rtol=1e-3)


def test_the_win_rate_of_continuous_rewards_has_one_truth():
    laws = named("normal").prompts(np.random.default_rng(9), 5)
    uniform = truth.win_rate_laws(laws)
    exact = dual(lambda t: np.log(np.expm1(t) / t) - t / 2, 1.0)
    assert_allclose(truth.average(uniform, [1.0]).gain, exact, rtol=1e-5)


def test_ranks_share_ties():
    laws = named("bern.1").prompts(np.random.default_rng(9), 2)
    assert_allclose(laws.ranked().values, [[0.45, 0.95]] * 2)


def test_the_generator_is_decided_by_its_seed():
    for seed in range(12):
        one, two = random_family(seed), random_family(seed)
        u = np.random.default_rng(1).random((7, one.dims))
        tilts = np.array([0.3, 1.0])
        assert one.name == two.name
        assert np.array_equal(one.law(u).log_mgf(tilts), two.law(u).log_mgf(tilts))


def test_different_seeds_make_different_families():
    seen = set()
    for seed in range(30):
        family = random_family(seed)
        u = np.random.default_rng(1).random((3, family.dims))
        seen.add(float(family.law(u).log_mgf(np.array([0.7]))[0, 0]))
    assert len(seen) == 30


def test_generated_families_are_of_many_kinds():
    made = [random_family(seed) for seed in range(100)]
    kinds = {f.name.split("-")[0] for f in made}
    assert kinds == {"mixture", "grades", "rubric", "rates"}
    assert 0.2 < np.mean([f.discrete for f in made]) < 0.6
    assert 0.02 < np.mean([not f.light_tailed for f in made]) < 0.4


@pytest.mark.parametrize("family", [*NAMED, *FRESH], ids=names([*NAMED, *FRESH]))
def test_rewards_stay_within_the_stated_support(family):
    rng = np.random.default_rng(10)
    laws = family.prompts(rng, 20)
    low, high = laws.support()
    x = family.draw(rng, laws, 500)
    assert low - 1e-9 <= x.min()
    assert x.max() <= high + 1e-9
