"""Audits whose limit samples of the policies carry."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

import klimit
from klimit._errors import ArgumentError, DataError
from klimit.audit.bridge import bridged
from klimit.estimate.bridge import Draws, bridge
from klimit.estimate.frontier import frontier
from tests.estimate.bridges import PROMPTS, SCALES, SECOND, normal, of, rollouts

# ---- a limit from rollouts


def test_rollouts_are_bridged_as_draws_are():
    base, policy = normal(np.random.default_rng(16), noise=0.5)
    direct = bridge(frontier(base.rewards.reshape(PROMPTS, -1)), base, [policy])
    found = bridged(rollouts(base, scored=False), rollouts(policy))
    assert found.used
    assert found.scored == (False,)
    assert_allclose(found.gain(5.0).value, direct.gain(5.0).value, rtol=1e-10)
    assert "carry the limit to" in found.notes[0]


def test_a_base_that_was_scored_again_is_used_and_one_scored_by_itself_is_not():
    base, policy = normal(np.random.default_rng(17), noise=1.0, scored=True)
    assert bridged(rollouts(base), rollouts(policy)).scored == (True,)
    own = Draws(base.rewards, base.lengths, np.zeros(base.log_ratios.shape))
    assert bridged(rollouts(own), rollouts(policy)).scored == (False,)


def test_two_policies_reach_no_less_than_one():
    rng = np.random.default_rng(18)
    base, near = normal(rng, policy=16, kl=1.0)
    _, far = normal(rng, policy=16, kl=6.0)
    dump = rollouts(base, scored=False)
    alone = bridged(dump, rollouts(near))
    both = bridged(dump, {"near": rollouts(near), "far": rollouts(far)})
    assert both.policies == ("near", "far")
    assert both.trusted_kl > alone.trusted_kl
    assert_allclose(both.gain(6.0).value, np.sqrt(12 * SECOND), rtol=0.05)


def test_what_cannot_be_bridged_is_an_error_that_says_what_to_do():
    base = rollouts(normal(np.random.default_rng(21), base=4, scored=True)[0])
    strangers = klimit.read({"prompt_id": ["x"] * 4, "reward": [0.0, 1, 2, 3],
                             "logprob": [-1.0] * 4, "ref_logprob": [-2.0] * 4})  # fmt: skip
    with pytest.raises(DataError, match="no prompt in common"):
        bridged(base, strangers)
    plain = klimit.read({"prompt_id": ["p0"] * 4, "reward": [0.0, 1, 2, 3]})
    with pytest.raises(DataError, match="klimit rescore"):
        bridged(base, plain)
    with pytest.raises(ArgumentError, match="no policy"):
        bridged(base, {})


# ---- in an audit


def policies(seed, **said):
    """A base, and policies at these nats of the best tilt: ``{name: kl}``."""
    rng = np.random.default_rng(seed)
    base, _ = normal(rng)
    return rollouts(base, scored=False), {
        name: rollouts(normal(rng, policy=16, kl=kl, noise=0.5)[1]) for name, kl in said.items()
    }


def test_a_policy_beyond_the_base_is_placed_on_a_limit_that_its_samples_carry():
    base, runs = policies(22, run=5.0)
    found = klimit.audit(base, runs["run"])
    alone = klimit.frontier(base)
    assert found.kl.value > alone.trusted_kl
    assert found.limit.trusted
    assert found.trusted_kl > found.kl.value
    kl = 5.0 + 0.125
    best = np.sqrt(2 * kl * SECOND)
    truth = {"limit": best, "efficiency": (5 / kl) ** 0.5, "gap_nats": 2 * kl - (20 * kl) ** 0.5}
    for name, true in truth.items():
        estimate = getattr(found, name)
        assert estimate.low < true < estimate.high, name
    assert "carry the limit to" in found.notes[0]
    assert "not known well enough to split" in found.allocation.note
    assert_allclose(found.prompts()["loss"].mean(), found.gap_reward.value, rtol=1e-9)


def test_a_policy_within_the_bases_reach_keeps_the_bases_own_limit():
    base, runs = policies(23, near=1.0, far=6.0)
    near, far = klimit.audit(base, runs)
    assert near.case.limit.alone
    assert not far.case.limit.alone
    assert far.case.limit.policies == ("near", "far")
    assert_allclose(near.limit.value, klimit.audit(base, runs["near"]).limit.value, rtol=1e-12)


def test_a_checkpoint_that_is_still_the_base_carries_no_limit():
    base, runs = policies(23, far=6.0)
    drawn = np.random.default_rng(24).normal(size=(PROMPTS, 16)) * SCALES
    far = klimit.audit(base, {"still": rollouts(of(drawn, 0 * drawn))} | runs)["far"]
    assert far.case.limit.policies == ("far",)
    assert not any("without log-probabilities" in note for note in far.notes)


def test_policies_are_compared_on_the_limit_that_all_of_them_carry():
    base, runs = policies(24, a=4.0, b=6.0)
    found = klimit.audit(base, runs)
    one, other = found
    assert one.case.limit is other.case.limit
    both = found.compare("b", "a")
    assert both.paired
    assert both.efficiency.trusted
    apart = other.efficiency.value - one.efficiency.value
    assert_allclose(both.efficiency.value, apart, atol=1e-4)
    apart = np.hypot(*(x.efficiency.high - x.efficiency.low for x in found))
    assert both.efficiency.high - both.efficiency.low < apart


def test_a_policy_that_does_not_belong_to_the_base_is_left_out_and_said_so():
    base, runs = policies(25, good=5.0)
    rng = np.random.default_rng(26)
    _, policy = normal(rng, policy=16, kl=5.0)
    stale = Draws(policy.rewards, policy.lengths, 1.3 * policy.log_ratios)
    found = klimit.audit(base, runs | {"stale": rollouts(stale)})
    assert found["good"].limit.trusted
    assert found["good"].case.limit.policies == ("good",)
    assert any("stale: base and policy samples disagree" in note for note in found["good"].notes)


def test_policies_that_have_left_a_part_of_the_base_are_left_out_in_one_note():
    rng = np.random.default_rng(45)

    def turned(x):
        return x - x**2 / 4 + 0.5 * rng.normal(size=x.shape)

    x, runs = rng.normal(size=(PROMPTS, 64)), {}
    base = of(turned(x), np.full(x.shape, np.nan))
    for name, shift in (("near", 1.2), ("far", 3.0), ("further", 3.4)):
        y = shift + rng.normal(size=(PROMPTS, 16))
        runs[name] = rollouts(of(turned(y), shift * y - shift**2 / 2))
    (left,) = bridged(rollouts(base, scored=False), runs).left_out
    assert left.startswith("far, further: the policy hardly ever draws a part of")


def test_scores_under_every_policy_make_it_the_multistate_bennett_acceptance_ratio():
    rng = np.random.default_rng(29)
    base, _ = normal(rng, base=16)
    drawn = {"a": normal(rng, policy=8, kl=3.0)[1], "b": normal(rng, policy=8, kl=6.0)[1]}

    def under(rewards, kl):  # the exact log-ratio of each policy, of any reward
        tilt = np.sqrt(2 * kl / SECOND)
        return tilt * rewards - tilt**2 * SCALES**2 / 2

    def dump(draws, own=None):
        rewards = draws.rewards.reshape(PROMPTS, -1)
        ratios = {"a": under(rewards, 3.0).ravel(), "b": under(rewards, 6.0).ravel()}
        table = {f"logprob_{name}": x - 90 for name, x in ratios.items() if name != own}
        table["logprob"] = (ratios[own] if own else 0 * ratios["a"]) - 90
        if own:
            table["ref_logprob"] = np.full(len(draws.rewards), -90.0)
        ids = [f"p{i}" for i in np.repeat(np.arange(PROMPTS), draws.lengths)]
        return klimit.read({"prompt_id": ids, "reward": draws.rewards} | table)

    runs = {name: dump(one, name) for name, one in drawn.items()}
    found = klimit.audit(dump(base), runs)
    limit = found["b"].case.limit
    assert limit.scored == (True, True)
    pool = limit.pool
    there = pool.origin >= 0
    expected = 1 / (16 + 8 * np.exp(pool.log_ratios[1]) + 8 * np.exp(pool.log_ratios[2]))
    assert_allclose(limit.weights[there], expected[there], rtol=1e-10)
    assert found["b"].limit.trusted


def test_a_base_that_was_scored_under_another_policy_counts_as_not_scored():
    rng = np.random.default_rng(30)
    base, policy = normal(rng, kl=5.0, noise=0.5, scored=True)
    other = Draws(base.rewards, base.lengths, base.log_ratios[:, ::-1] * 0.3 - 1.0)
    found = klimit.audit(rollouts(other), rollouts(policy))
    assert not found.case.limit.alone
    assert found.case.limit.scored == (False,)


def test_a_stated_kl_carries_no_limit():
    base, runs = policies(27, run=5.0)
    found = klimit.audit(base, runs["run"], kl=5.0)
    assert found.case.limit.alone
    assert not found.limit.trusted


def test_for_these_very_prompts_a_carried_limit_is_known_no_less_well():
    base, runs = policies(28, run=5.0)
    drawn, fixed = (klimit.audit(base, runs["run"], prompts=x) for x in ("drawn", "fixed"))
    assert not fixed.case.limit.alone
    for name in ("efficiency", "gap_nats", "least_kl"):
        one, other = getattr(fixed, name), getattr(drawn, name)
        assert one.value == other.value
        assert one.high - one.low < 1.1 * (other.high - other.low)
