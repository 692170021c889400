"""The estimate from a part of the samples: how it is dealt, and how it may move."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

import klimit
from klimit.estimate import convergence as module
from klimit.estimate.convergence import convergence
from tests.estimate.drawn import normal_prompts


def normal(prompts, samples):
    return normal_prompts(np.random.default_rng(7), prompts, samples)[0]


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    prompts=st.integers(1, 6),
    quarter=st.integers(2, 6),
    levels=st.sampled_from([2, 3, 1000]),
    kl=st.floats(0.01, 3.0),
)
def test_the_plug_in_never_falls_as_samples_are_added(seed, prompts, quarter, levels, kl):
    rng = np.random.default_rng(seed)
    scale = rng.uniform(0.1, 3.0, size=(prompts, 1))
    rewards = rng.integers(levels, size=(prompts, 4 * quarter)) / levels * scale
    found = convergence(klimit.frontier(rewards, estimator="plugin"), kl)
    assert len(found.plugin) == 3
    assert (np.diff(found.plugin) >= -1e-9 * max(abs(found.plugin))).all()


def test_all_samples_give_the_estimate_itself():
    rewards = normal(60, 64)
    limit = klimit.frontier(rewards)
    found = limit.convergence(0.7)
    whole = limit.gain(0.7)
    assert found.samples.tolist() == pytest.approx([16, 32, 64])
    assert found.parts == (4, 2, 1)
    assert [found.gain.value[-1], found.gain.low[-1], found.gain.high[-1]] == [
        whole.value,
        whole.low,
        whole.high,
    ]
    assert found.plugin[-1] == klimit.frontier(rewards, estimator="plugin").gain(0.7).value


def test_parts_have_no_sample_in_common_and_halves_hold_two_quarters():
    rows = [np.arange(11.0), np.arange(100.0, 116.0)]
    quarters, halves = (list(module._divided(rows, parts)) for parts in (4, 2))
    for at, row in enumerate(rows):
        dealt = np.concatenate([part[at] for part in quarters])
        assert len(dealt) == 4 * (len(row) // 4)
        assert len(set(dealt)) == len(dealt)
        assert_allclose(np.concatenate([part[at] for part in halves]), dealt)


@pytest.mark.parametrize("objective", ["reward", "win-rate"])
def test_neither_rows_nor_prompts_of_the_file_decide_what_is_dealt(objective):
    rng = np.random.default_rng(3)
    rewards = rng.normal(size=(20, 16)).round(1)
    mixed = rng.permuted(rewards, axis=1)[rng.permutation(20)]
    one, other = (
        convergence(klimit.frontier(x, objective=objective), 0.5) for x in (rewards, mixed)
    )
    assert one.to_frame().equals(other.to_frame())


def test_solved_or_not_rewards_stay_so():
    rewards = (np.random.default_rng(4).random((80, 24)) < 0.37).astype(float)
    found = convergence(klimit.frontier(rewards), 0.4)
    assert np.isfinite(found.gain.high).all()  # 0/1 rewards bound what is possible
    assert (found.gain.high <= 0.7).all()


@pytest.mark.parametrize("offset", [0, -1000])
def test_rewards_on_shared_levels_stay_on_them_and_in_their_range(offset):
    rewards = offset + np.random.default_rng(6).integers(-10, 3, size=(40, 7)) / 10
    ends = rewards.min(), rewards.max()
    dealt = module._dealt(klimit.frontier(rewards, reward_range=ends))
    assert len(set(np.concatenate(dealt))) == 13
    assert np.concatenate(dealt).min() == ends[0]
    assert np.concatenate(dealt).max() == ends[1]


def test_the_corrected_estimate_moves_less_than_the_plug_in():
    found = convergence(klimit.frontier(normal(200, 64)), 1.0)
    moved = abs(found.gain.value[0] / found.gain.value[-1] - 1)
    assert moved < 0.3 * abs(found.plugin[0] / found.plugin[-1] - 1)


def test_prompts_with_too_few_samples_are_left_out_at_every_size():
    rng = np.random.default_rng(5)
    many, few = [rng.normal(size=40), rng.normal(size=40)], [rng.normal(size=6)]
    found = convergence(klimit.frontier([*few, *many]), 0.3)
    assert found.left_out == 1
    assert found.gain.value[-1] == klimit.frontier(many).gain(0.3).value
    assert convergence(klimit.frontier(few * 2), 0.3).parts == (2, 1)


def test_fewer_than_four_samples_cannot_be_divided():
    with pytest.raises(klimit.ArgumentError, match="no prompt has 4 samples"):
        convergence(klimit.frontier(normal(10, 3)), 0.5)
