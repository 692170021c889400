"""k1, k2, k3 and Rao-Blackwell against enumeration and quadrature."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from klimit.audit.kl import measured_kl
from klimit.audit.kl.estimators import excess, heavy, k1, k2, k3, proves_mismatch
from tests.audit.two_tokens import KL, exact_hundred, rollouts


def gaussian_mean(values):
    """E of values(log ratio) with x ~ N(.1, 1) against N(0, 1)."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(80)
    log_ratio = 0.1 * (nodes + 0.1) - 0.005
    return float((weights / weights.sum()) @ values(log_ratio))


def test_t113_the_mean_of_k2_of_two_gaussians():
    assert_allclose(gaussian_mean(k2), 0.0050125, rtol=1e-10)


def test_t114_the_spread_of_k3_of_two_gaussians():
    second = gaussian_mean(lambda x: k3(x) ** 2)
    assert_allclose(np.sqrt(second - gaussian_mean(k3) ** 2), 0.00708287259295, rtol=1e-9)


def test_t117_the_variance_of_k3_of_three_outcomes():
    q, p = np.array([0.5, 0.3, 0.2]), np.array([0.4, 0.4, 0.2])
    values = k3(np.log(q / p))
    assert_allclose(q @ values, q @ np.log(q / p), rtol=1e-12)
    assert_allclose(q @ values**2 - (q @ values) ** 2, 0.000254594202443, rtol=1e-9)


def test_t118_every_unbiased_estimator_has_the_enumerated_kl_as_its_mean():
    assert_allclose(KL, 0.9038300598, rtol=1e-9)
    run = rollouts(exact_hundred())
    for name in ("k1", "k3", "rao-blackwell"):
        found = measured_kl(run, estimator=name, prompts="fixed")
        assert_allclose(float(found.kl), KL, rtol=1e-12)


def test_t119_the_variance_of_the_rao_blackwell_values():
    found = measured_kl(rollouts(exact_hundred()), prompts="fixed")
    assert found.estimator == "rao-blackwell"
    assert_allclose(found.variance_within[0] * 99 / 100, 2.465253268e-05, rtol=1e-8)


def test_the_variances_of_the_alternatives_are_those_of_theory_h9():
    found = measured_kl(rollouts(exact_hundred()), prompts="fixed")
    variance = {one.estimator: one.variance * 99 / 100 for one in found.alternatives}
    assert_allclose([variance["k1"], variance["k3"]], [1.207, 6.20], rtol=2e-3)


distributions = st.lists(st.floats(0.02, 1.0), min_size=3, max_size=8)


@settings(max_examples=60)
@given(one=distributions, other=distributions)
def test_k1_and_k3_are_unbiased_and_k2_and_k3_never_negative(one, other):
    size = min(len(one), len(other))
    q, p = np.array(one[:size]) / sum(one[:size]), np.array(other[:size]) / sum(other[:size])
    log_ratio = np.log(q / p)
    kl = q @ log_ratio
    assert_allclose([q @ k1(log_ratio), q @ k3(log_ratio)], kl, atol=1e-12)
    assert (k2(log_ratio) >= 0).all()
    assert (k3(log_ratio) >= -1e-15).all()
    assert_allclose(q @ excess(log_ratio), 0, atol=1e-12)


def test_k3_reads_low_by_the_mass_that_the_policy_never_draws():
    base = np.array([0.4, 0.35, 0.25])
    policy = np.array([0.0, 0.5, 0.5])
    drawn = policy > 0
    log_ratio = np.log(policy[drawn] / base[drawn])
    missing = policy[drawn] @ k1(log_ratio) - policy[drawn] @ k3(log_ratio)
    assert_allclose(missing, base[0], rtol=1e-12)


def test_a_ratio_beyond_all_floats_stays_a_number():
    assert np.isfinite(k3(np.array([-1e4])) ** 2).all()


def test_samples_of_the_policy_are_rarely_proof_of_a_mismatch():
    rng = np.random.default_rng(3)
    wrong = 0
    for _ in range(400):
        sd = rng.uniform(0.1, 4.0)
        wrong += proves_mismatch(rng.normal(sd**2 / 2, sd, 300))
    assert wrong <= 2


@pytest.mark.parametrize("scale", [1.3, 0.4])
def test_samples_of_another_policy_are_proof(scale):
    rng = np.random.default_rng(4)
    log_ratio = rng.normal(0.0, 1.0, 2000) * scale  # mean 0 where a policy's own would be sd^2 / 2
    assert proves_mismatch(log_ratio)


def test_a_ratio_with_a_power_tail_is_heavy_and_a_bounded_one_is_not():
    rng = np.random.default_rng(5)
    power = (1 - rng.random(2000)) ** -0.9
    assert heavy(-np.log(power))
    assert not heavy(-np.log(rng.uniform(0.5, 1.5, 2000)))
