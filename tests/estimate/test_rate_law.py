"""0/1 rewards: the bias that a beta law of pass rates predicts, and what the frontier gains by it."""

import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats

import klimit
from klimit.estimate.rate_law import RATES, RateLaw, _shortfall, predicted_bias, rate_chances

TILTS = np.geomspace(0.1, 30.0, 25)


def log_mgf(rate, tilt):
    with np.errstate(divide="ignore"):
        return np.logaddexp(np.log1p(-rate), np.log(rate) + tilt) - rate * tilt


@pytest.mark.parametrize("size", [7, 64])
def test_the_shortfall_is_the_expectation_over_a_binomial_count(size):
    at = np.array([40, 90, 150])
    weights = np.zeros(len(RATES))
    weights[at] = 0.2, 0.5, 0.3
    seen = np.arange(size + 1)
    expected = 0.0
    for rate, weight in zip(RATES[at], weights[at], strict=True):
        chance = stats.binom.pmf(seen, size, rate)
        short = log_mgf(rate, TILTS) - chance @ log_mgf(seen[:, None] / size, TILTS)
        expected = expected + weight * short
    assert_allclose(_shortfall(size, weights, TILTS), expected, atol=1e-12)


def drawn(seed, prompts, samples, a, b, unsolvable=0.0):
    rng = np.random.default_rng(seed)
    rates = np.where(rng.random(prompts) < unsolvable, 0.0, rng.beta(a, b, prompts))
    return rates, rng.binomial(samples, rates).astype(float), rng


def test_prompts_that_no_answer_solves_are_told_from_hard_ones():
    counts = np.full(400, 64.0)
    _, some, _ = drawn(0, 400, 64, 2.0, 2.0, unsolvable=0.25)
    law, turned = (RateLaw.fit(x, counts, ends=True) for x in (some, 64 - some))
    assert law.never == pytest.approx(0.25, abs=0.06)
    assert_allclose([turned.always, turned.second], [law.never, law.first], rtol=0.02)
    assert rate_chances(some, counts)[0] == pytest.approx(0.25, abs=0.06)
    never = [rate_chances(drawn(seed, 400, 64, 0.3, 0.7)[1], counts)[0] for seed in range(8)]
    assert np.median(never) < 0.02


def test_the_predicted_bias_is_the_simulated_one_also_of_unequal_samples():
    rng = np.random.default_rng(1)
    counts = rng.integers(8, 65, size=2000).astype(float)
    rates = rng.beta(0.6, 1.4, size=2000)
    successes = rng.binomial(counts.astype(int), rates).astype(float)
    full, change = predicted_bias(successes, counts, TILTS)
    short = np.zeros((2, len(TILTS)))
    for at, sizes in enumerate((counts.astype(int), counts.astype(int) // 2)):
        for _ in range(20):
            seen = rng.binomial(sizes, rates) / sizes
            short[at] += (log_mgf(rates[:, None], TILTS) - log_mgf(seen[:, None], TILTS)).mean(
                axis=0
            )
    short /= 20
    assert_allclose(full, short[0], rtol=0.1)
    assert_allclose(change, short[1] - short[0], rtol=0.1)


def test_a_few_short_prompts_do_not_pass_for_long_ones():
    rng = np.random.default_rng(3)
    counts = np.repeat([4.0, 64.0], [200, 2200])
    rates = rng.beta(0.6, 1.4, size=len(counts))
    successes = rng.binomial(counts.astype(int), rates).astype(float)
    full, _ = predicted_bias(successes, counts, TILTS)
    each = [predicted_bias(successes[counts == n], counts[counts == n], TILTS)[0] for n in (4, 64)]
    assert_allclose(full, (200 * each[0] + 2200 * each[1]) / 2400, rtol=0.1)


def test_two_levels_are_those_of_their_step():
    _, _, rng = drawn(4, 1, 1, 1.0, 1.0)
    passed = (rng.random((60, 20)) < rng.beta(0.5, 1.0, size=(60, 1))).astype(float)
    one, other = klimit.frontier(passed), klimit.frontier(2.5 + 4.5 * passed)
    for kl in (0.2, 1.0, 2.5):
        assert_allclose(other.gain(kl).value, 4.5 * one.gain(kl).value, rtol=1e-6)


def test_the_order_of_prompts_changes_no_digit():
    _, some, rng = drawn(2, 300, 32, 0.5, 1.0, unsolvable=0.1)
    counts = np.full(300, 32.0)
    order = rng.permutation(300)
    for one, other in zip(
        predicted_bias(some, counts, TILTS), predicted_bias(some[order], counts, TILTS), strict=True
    ):
        assert (one == other).all()


def frontiers(law, prompts, samples, kl, seeds):
    """Relative errors of the frontier for these very prompts."""
    errors = []
    for seed in seeds:
        rates, _, rng = drawn(seed, prompts, 1, *law)
        tilts = np.geomspace(0.05, 5000.0, 5000)
        mean = np.array([log_mgf(rates, tilt).mean() for tilt in tilts])
        truth = float(((kl + mean) / tilts).min())
        rewards = (rng.random((prompts, samples)) < rates[:, None]).astype(float)
        said = klimit.frontier(rewards, prompts="fixed").gain(kl)
        errors.append(float(said.value) / truth - 1)
    return np.array(errors)


def test_unsolvable_prompts_are_not_counted_on():
    errors = frontiers((0.65, 0.8, 0.2), 200, 64, 2.0, range(6))
    assert errors.mean() < 0.05  # 0.1 where a law without them predicted the bias
    assert np.sqrt((errors**2).mean()) < 0.08


def test_sixteen_rewards_of_mixed_prompts_show_two_nats():
    errors = frontiers((0.3, 0.7), 200, 16, 2.0, range(6))
    assert abs(errors.mean()) < 0.05  # -0.1 by the middle of the mixtures that fit


@pytest.mark.parametrize("levels", [2, 4])
def test_one_prompt_of_thousands_with_samples_enough_is_found(levels):
    for seed in range(3):
        rng = np.random.default_rng(seed)
        rows = [rng.integers(levels, size=2).astype(float) for _ in range(3000)]
        rows[1500] = rng.integers(levels, size=8).astype(float)
        with warnings.catch_warnings():
            warnings.simplefilter("error", RuntimeWarning)  # 0 / 0
            assert np.isfinite(klimit.frontier(rows, seed=seed).gain(0.3).low)
