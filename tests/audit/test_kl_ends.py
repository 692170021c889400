"""What is known of a policy's KL: on which prompts, near 0, without an upper end, at another level."""

import numpy as np
import polars as pl
import pytest
from numpy.testing import assert_allclose

import klimit
from klimit import ArgumentError, Estimate
from klimit.audit.kl import logged_kl, measured_kl
from klimit.audit.measure import NUMBERS, numbers
from klimit.estimate.kernel import Grid
from tests.audit.tables import read, shifted

STEPS = np.arange(320.0).reshape(20, 16) % 7


def test_a_kl_that_was_measured_on_more_prompts_counts_on_those_that_are_compared():
    rng = np.random.default_rng(0)
    spread = np.repeat([0.4, 1.6], 20)[:, None]
    z = rng.normal(size=(40, 8)) + spread
    policy = read(z, logprob=-((z - spread) ** 2) / 2 - 20, ref_logprob=-(z**2) / 2 - 20)
    base = read(rng.normal(size=(20, 64)))  # the first half of the policy's prompts
    for prompts in ("drawn", "fixed"):
        itself = klimit.audit(base, policy, prompts=prompts)
        told = klimit.audit(base, policy, kl=measured_kl(policy, prompts=prompts), prompts=prompts)
        for name in ("kl", "limit", "efficiency", "gap_reward", "gap_nats", "excess_kl"):
            one, other = getattr(itself, name), getattr(told, name)
            assert_allclose([other.value, other.low, other.high], [one.value, one.low, one.high])
        assert np.isclose(told.prompts()["loss"].mean(), told.gap_reward.value)
        assert any("20 prompts that are compared, of 40" in note for note in told.notes)


def test_the_limit_of_a_kl_that_is_not_told_from_0_is_known_to_no_more_than_the_kl_is():
    truth, held, negative = 0.05, [], None
    for seed in range(40):
        rng = np.random.default_rng(seed)
        base, policy = read(rng.normal(size=(30, 32))), shifted(rng, 30, 4, shift=truth)
        found = klimit.audit(base, policy)
        held.append(found.limit.low <= truth <= found.limit.high)
        negative = found if found.kl.value < 0 < found.kl.high else negative
    assert np.mean(held) > 0.9
    assert negative.limit.low == negative.limit.value == 0 < negative.limit.high
    assert "not told from 0" in negative.efficiency.note
    said = " ".join(str(negative).split())
    assert "Its KL is not told from 0: the best any method can do at that KL is 0.0" in said
    assert "No KL was spent" not in said


@pytest.mark.parametrize("high", [np.inf, 30.0])
def test_a_stated_kl_without_an_end_that_samples_show_leaves_the_limit_without_one(high):
    rng = np.random.default_rng(2)
    base, policy = (rng.normal(shift, 1, size=(40, 32)) for shift in (0, 0.8))
    said = Estimate(1.0, 0.5, high)
    limit = klimit.frontier(base)
    for found in (klimit.audit(base, policy, kl=said), limit.place(kl=said, gain=0.8)):
        assert found.limit.high == found.gap_reward.high == found.gap_nats.high == np.inf
        assert found.efficiency.low < 0.1 < 0.7 < found.efficiency.high < 1.1


def test_a_stated_kl_that_may_be_0_leaves_the_share_without_an_upper_end():
    rng = np.random.default_rng(3)
    base, policy = (rng.normal(shift, 1, size=(40, 32)) for shift in (0, 0.3))
    said = Estimate(0.05, -0.05, 0.15)
    limit = klimit.frontier(base)
    for found in (klimit.audit(base, policy, kl=said), limit.place(kl=said, gain=0.3)):
        assert found.limit.low == 0
        assert found.efficiency.high == np.inf


def test_a_kl_that_was_stated_at_another_level_is_taken_at_that_of_the_audit():
    rng = np.random.default_rng(4)
    base, policy = read(rng.normal(size=(40, 32))), shifted(rng, 40, 8)
    half, most = Estimate(0.5, 0.4663, 0.5337, level=0.5), Estimate(0.5, 0.402, 0.598)
    for found, other in (
        [klimit.audit(base, policy, kl=kl) for kl in (half, most)],
        [klimit.frontier(base).place(kl=kl, gain=0.8) for kl in (half, most)],
        [klimit.audit(base, policy, kl=measured_kl(policy, level=level)) for level in (0.5, 0.95)],
    ):
        for name in ("kl", "limit", "efficiency", "gap_reward", "excess_kl"):
            one, same = getattr(found, name), getattr(other, name)
            assert one.level == same.level == 0.95
            assert_allclose([one.low, one.high], [same.low, same.high], rtol=0.01, atol=3e-3)


def test_a_loss_is_no_larger_share_of_a_limit_that_is_higher():
    limit = klimit.frontier(np.random.default_rng(5).normal(size=(40, 64)))
    beyond = limit.place(kl=8.0, gain=-0.5).efficiency  # of normal rewards -1/8: outside, before
    assert beyond.low < -1 / 8 < beyond.high == 0
    within = limit.place(kl=1.0, gain=-0.5)
    best = within.limit
    assert_allclose(
        [within.efficiency.low, within.efficiency.high], [-0.5 / best.low, -0.5 / best.high]
    )


@pytest.mark.filterwarnings("ignore:.*lies below 0")
def test_a_policy_that_has_hardly_moved_is_not_accused_for_an_interval_that_chance_puts_below_0():
    below = accused = 0
    for seed in range(200):
        moved = np.random.default_rng(seed).normal(1e-4, np.sqrt(2e-4), size=(20, 16))
        columns = {"logprob": moved - 50, "ref_logprob": np.full(moved.shape, -50.0)}
        found = measured_kl(read(np.zeros(moved.shape), **columns))
        below += found.kl.high < 0
        accused += not found.kl.trusted
    assert accused <= 1 < below


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (
            lambda: logged_kl([0.1, 0.2, 0.3], framework="trl-grpo", tokens=[9, 9]),
            "one mean length for",
        ),
        (lambda: logged_kl("much", framework="trl-ppo"), "value=much was given; finite nats"),
        (lambda: logged_kl(0.1, framework="trl-grpo", tokens="long"), "tokens=long was given"),
        (lambda: klimit.frontier(STEPS).place(kl="much", gain=0.1), "kl=much was given; numbers"),
        (lambda: klimit.frontier(STEPS).place(kl=1.0, gain=np.inf), "gain must be finite"),
        (
            lambda: klimit.audit(STEPS, STEPS, kl=Estimate([1.0, 2.0], 0.5, 3.0)),
            "holds 2 numbers for 1",
        ),
        (
            lambda: klimit.audit(STEPS, STEPS, kl=[Estimate([1.0, 2.0], 0.5, 3.0)]),
            "Estimate of 2 numbers",
        ),
    ],
)
def test_what_is_no_kl_is_refused_in_one_line(asked, message):
    with pytest.raises(ArgumentError, match=message) as refused:
        asked()
    assert "\n" not in str(refused.value)


def test_a_kl_in_an_array_without_axes_is_a_number():
    assert klimit.audit(STEPS, STEPS, kl=np.array(0.1)).kl.value == 0.1


def test_what_a_log_says_of_several_steps_is_one_kl_for_each():
    logged = logged_kl([0.001, 0.002], framework="trl-grpo", tokens=100)
    for given in (logged, pl.Series([0.1, 0.2])):
        found = klimit.audit(STEPS, {"a": STEPS, "b": STEPS}, kl=given)
        assert_allclose([one.kl.value for one in found], [0.1, 0.2])


@pytest.mark.parametrize("prompts", ["drawn", "fixed"])
def test_the_least_kl_of_a_gain_about_0_reaches_as_far_as_the_gain_does(prompts):
    found = []
    for seed in range(15):
        rng = np.random.default_rng(seed)
        base, policy = (rng.normal(size=(40, m)) for m in (32, 8))
        found.append(klimit.audit(base, policy - policy.mean() + base.mean(), prompts=prompts))
    for audit in found:
        assert abs(audit.gain.value) < 1e-12
        assert audit.least_kl.high == pytest.approx(audit.gain.high**2 / 2, rel=0.5)


def test_below_the_first_tilt_of_the_grid_a_limit_and_a_least_kl_are_those_of_a_parabola():
    grid = Grid(0.03, 10, 8)
    gain = np.array([1e-6, 1e-3, 0.02, -1e-3])
    found = numbers(np.tile(2 * grid.tilts**2, (4, 1)), grid, gain, gain**2 / 8)
    limit, root = found[NUMBERS.index("limit")], found[NUMBERS.index("root")]
    assert_allclose(limit, abs(gain))
    assert_allclose(root, gain / 2)


def test_the_share_of_a_limit_that_may_be_far_higher_has_the_sign_of_the_gain():
    rng = np.random.default_rng(6)
    base, policy = (rng.normal(shift, 1, size=(60, 32)) for shift in (0, 0.5))
    said, limit = Estimate(1.0, 0.5, 50.0), klimit.frontier(base)
    for found in (
        klimit.audit(base, policy, kl=said),
        limit.place(kl=said, gain=Estimate(0.5, 0.4, 0.6)),
    ):
        assert found.gain.low > 0 == found.efficiency.low
    assert limit.place(kl=said, gain=Estimate(-0.5, -0.6, -0.4)).efficiency.high == 0


def test_a_kl_between_certain_ends_stays_between_them():
    found = klimit.frontier(STEPS[:, :8]).place(kl=Estimate(0.1, 0.05, 0.2, level=1.0), gain=0.5).kl
    assert (found.low, found.high, found.level) == (0.05, 0.2, 0.95)
