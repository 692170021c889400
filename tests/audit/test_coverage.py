"""Intervals of audits hold the truth as often as they say; benchmarks/audit_check.py has the families."""

from dataclasses import replace

import numpy as np
import pytest

import klimit
from klimit.audit.kl import measured_kl
from tests.audit.tables import read, shifted


@pytest.mark.slow
def test_intervals_hold_the_truth_and_the_mean_error_is_small():
    rng = np.random.default_rng(8)
    truth = {"efficiency": 0.8, "gap_nats": 0.2, "least_kl": 0.32, "excess_kl": 0.18}
    held, errors = dict.fromkeys(truth, 0), dict.fromkeys(truth, 0.0)
    for _ in range(40):
        found = klimit.audit(
            read(rng.normal(size=(40, 32))), shifted(rng, 40, 8, shift=0.8, aside=0.6)
        )
        for name, true in truth.items():
            estimate = getattr(found, name)
            held[name] += estimate.low <= true <= estimate.high
            errors[name] += (estimate.value - true) / 40
    assert min(held.values()) >= 34  # of 38 expected, four deviations below
    assert max(map(abs, errors.values())) < 0.02


def test_two_samples_of_prompts_hold_the_truth_too():
    rng = np.random.default_rng(9)
    held = 0
    for _ in range(40):
        found = klimit.audit(
            read(rng.normal(size=(40, 32))),
            shifted(rng, 40, 8, shift=0.8, aside=0.6, mark="q"),
            paired=False,
        )
        held += found.efficiency.low <= 0.8 <= found.efficiency.high
    assert held >= 34


def test_nats_of_a_policy_far_from_the_optimum_cover_for_these_very_prompts():
    """Their error is also that of the slope: without it intervals held the truth in half of the draws."""
    rng = np.random.default_rng(10)
    held = 0
    for _ in range(30):
        base, lost = read(rng.normal(size=(20, 32))), shifted(rng, 20, 8, shift=-0.6)
        found = klimit.audit(base, lost, prompts="fixed")
        held += found.gap_nats.low <= 0.72 <= found.gap_nats.high
    assert held >= 27


def test_rewards_and_log_ratios_of_the_same_answers_move_together():
    """Where a policy goes against the reward, noise that lowers its gain raises its KL and so its limit."""
    rng = np.random.default_rng(11)
    base, lost = read(rng.normal(size=(40, 64))), shifted(rng, 40, 8, shift=-0.6)
    found = klimit.audit(base, lost, prompts="fixed")
    of_others = replace(measured_kl(lost), estimator="logged")
    apart = klimit.audit(base, lost, prompts="fixed", kl=of_others)
    for name in ("gap_reward", "gap_nats"):
        one, other = getattr(found, name), getattr(apart, name)
        assert one.high - one.low > 1.1 * (other.high - other.low)


def test_a_kl_in_stated_units_is_taken_for_these_very_prompts_too():
    rng = np.random.default_rng(12)
    z, tokens = rng.normal(0.6, 1, size=(40, 8)), rng.integers(10, 200, size=(40, 8))
    logs = {"logprob": -((z - 0.6) ** 2) / 2 - 2 * tokens, "ref_logprob": -(z**2) / 2 - 2 * tokens}
    means = {name: values / tokens for name, values in logs.items()}
    base, policy = read(rng.normal(size=(40, 32))), read(z, tokens=tokens, **means)
    kl = measured_kl(policy, units="nats per token")
    assert klimit.audit(base, policy, kl=kl, prompts="fixed").gap_nats.trusted


def test_differences_on_these_very_prompts_are_as_unsure_as_their_samples_alone():
    """Policies that shift prompts unequally, which moves no difference: intervals were twice as long."""
    rng = np.random.default_rng(13)
    one, other = (mean + 0.6 * rng.normal(size=(20, 1)) for mean in (0.8, 0.3))
    truth = {"gain": np.mean(one - other), "kl": np.mean(one**2 - other**2) / 2}
    found = {name: [] for name in truth}
    for _ in range(40):
        policies = {name: shifted(rng, 20, 8, shift=x) for name, x in (("a", one), ("b", other))}
        audits = klimit.audit(read(rng.normal(size=(20, 16))), policies, prompts="fixed")
        for name, seen in found.items():
            apart = getattr(audits.compare("a", "b"), name)
            seen.append((apart.low, apart.value, apart.high))
    for name, seen in found.items():
        low, value, high = np.array(seen).T
        assert np.sum((low <= truth[name]) & (truth[name] <= high)) >= 34  # of 38 expected
        assert 0.7 < np.mean(high - low) / (2 * 1.96 * value.std()) < 1.4
