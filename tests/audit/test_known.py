"""Finite alphabets, where the divergence from the optimal policy is a sum."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

import klimit
from klimit.theory import kl as divergence
from klimit.theory import tilt
from tests.audit.tables import enumerated

BASE = np.array([[0.5, 0.3, 0.2], [0.6, 0.35, 0.05], [0.1, 0.45, 0.45], [0.4, 0.4, 0.2]])
REWARD = np.array([[0.0, 1.0, 3.0], [0.0, 2.0, 3.0], [1.0, 0.0, 2.0], [0.0, 1.0, 2.0]])
POLICIES = {
    "towards the best": np.array(
        [[0.3, 0.3, 0.4], [0.4, 0.45, 0.15], [0.1, 0.3, 0.6], [0.25, 0.4, 0.35]]
    ),
    "on half the prompts": np.array(
        [[0.2, 0.2, 0.6], [0.6, 0.35, 0.05], [0.1, 0.45, 0.45], [0.1, 0.3, 0.6]]
    ),
}


def audited(policy):
    """Audit the policy on samples that hold both laws exactly."""
    ours, theirs, ratio = enumerated(BASE, policy, REWARD, size=2000)
    ids = [
        np.repeat([f"p{i}" for i in range(4)], [len(row) for row in part])
        for part in (ours, theirs)
    ]
    base = klimit.read({"prompt_id": ids[0], "rm": np.concatenate(ours)})
    scored = klimit.read(
        {"prompt_id": ids[1], "rm": np.concatenate(theirs), "logprob": np.full(len(ids[1]), -9.0),
         "ref_logprob": -9.0 - np.concatenate(ratio)}
    )  # fmt: skip
    return klimit.audit(base, scored)


@pytest.mark.parametrize("name", POLICIES)
def test_nats_from_optimal_are_the_divergence_from_the_best_policy_of_the_same_kl(name):
    policy = POLICIES[name]
    found = audited(policy)
    spent = float(np.mean(divergence(policy, BASE)))
    assert_allclose(found.kl.value, spent, rtol=1e-9)
    assert_allclose(found.gain.value, ((policy - BASE) * REWARD).sum(axis=1).mean(), rtol=1e-9)
    beta = float(found.case.limit.beta(spent).value)
    best = tilt(BASE, REWARD, beta=beta)
    assert_allclose(best.kl.mean(), spent, rtol=5e-3)
    away = divergence(policy, best.policy)
    assert_allclose(found.gap_nats.value, away.mean(), rtol=2e-2)
    rows = found.prompts().sort("prompt_id")
    assert_allclose(rows["nats"].to_numpy(), away, atol=5e-3)
    assert_allclose(rows["best_kl"].to_numpy(), best.kl, atol=5e-3)


@pytest.mark.parametrize("name", POLICIES)
def test_the_gap_splits_into_allocation_and_shape_as_the_laws_say(name):
    policy = POLICIES[name]
    found = audited(policy)
    own = [
        0.0 if k < 1e-12 else klimit.frontier([row], estimator="plugin").gain(k).value
        for k, row in zip(
            divergence(policy, BASE), enumerated(BASE, policy, REWARD)[0], strict=True
        )
    ]
    truth = found.limit.value - np.mean(own)
    assert_allclose(found.allocation.value, truth, atol=0.01)
    assert_allclose(found.shape.value, np.mean(own) - found.gain.value, atol=0.01)


def test_the_optimal_policy_is_fully_efficient_and_nothing_of_it_is_misallocated():
    best = np.round(tilt(BASE, REWARD, beta=1.0).policy, 3)
    best[:, 0] += 1 - best.sum(axis=1)
    found = audited(best)
    assert_allclose(found.efficiency.value, 1, atol=2e-3)
    assert_allclose(found.gap_nats.value, 0, atol=2e-3)
    assert_allclose(found.allocation.value, 0, atol=5e-3)
    assert_allclose(found.least_kl.value, found.kl.value, rtol=5e-3)
