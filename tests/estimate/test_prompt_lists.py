"""Lists of prompts: who is on them, in which order, and the chance of a group without signal."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import klimit
from klimit.estimate.prompt_lists import no_signal, prompt_list
from klimit.estimate.samples import collect

REWARDS = np.array(
    [
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 0],  # never solved
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
        [1, 0, 1, 0, 1, 0, 1, 0, 1, 0],
        [1, 1, 1, 1, 1, 1, 1, 1, 1, 0],
        [1, 1, 1, 1, 1, 1, 1, 1, 1, 1],  # always solved
    ],
    dtype=float,
)


def ids(frame):
    return frame["prompt_id"].to_list()


@settings(max_examples=60, deadline=None)
@given(
    rewards=st.lists(st.integers(0, 2), min_size=2, max_size=7),
    group=st.integers(2, 5),
)
def test_the_chance_of_a_group_without_signal_counts_all_groups(rewards, group):
    samples = collect(np.array(rewards, dtype=float), np.array([len(rewards)]))
    chance = no_signal(samples, group)[0]
    groups = list(itertools.combinations(rewards, group))
    if not groups:
        assert np.isnan(chance)
    else:
        equal = sum(len(set(one)) == 1 for one in groups)
        assert chance == pytest.approx(equal / len(groups), abs=1e-12)


def test_the_largest_headroom_comes_first_and_nobody_is_left_out():
    limit = klimit.frontier(REWARDS)
    frame = limit.prompts(0.5, by="headroom")
    assert ids(frame)[:3] == [1, 2, 3]
    assert frame.columns[:8] == limit.prompts(0.5).columns
    assert frame["headroom"].to_list() == sorted(limit.prompts(0.5)["headroom"], reverse=True)


def test_zero_signal_prompts_are_those_of_one_reward():
    assert ids(klimit.frontier(REWARDS).prompts(0.5, by="zero-signal")) == [0, 4]


def test_saturated_prompts_are_solved_by_nearly_all_samples():
    limit = klimit.frontier(REWARDS)
    assert ids(limit.prompts(0.5, by="saturated")) == [4, 3]
    assert ids(limit.prompts(0.5, by="saturated", nearly=1.0)) == [4]
    assert limit.prompts(0.5, by="saturated")["at_top"].to_list() == [1.0, 0.9]


def test_a_prompt_that_nobody_solves_is_not_saturated_even_if_all_its_rewards_are_its_best():
    assert 0 not in ids(klimit.frontier(REWARDS).prompts(0.5, by="saturated", nearly=0.01))


def test_nothing_is_saturated_where_all_rewards_are_one_and_no_range_says_that_it_is_the_best():
    """Verdicts of -1 and 1 that all failed, say."""
    failed = np.full((4, 8), -1.0)
    assert ids(klimit.frontier(failed).prompts(0.5, by="saturated")) == []
    known = klimit.frontier(failed, reward_range=(-2.0, -1.0))
    assert ids(known.prompts(0.5, by="saturated")) == [0, 1, 2, 3]


def test_a_stated_range_says_what_the_best_reward_is():
    limit = klimit.frontier(REWARDS * 0.5, reward_range=(0.0, 1.0))
    assert ids(limit.prompts(0.5, by="saturated")) == []
    assert ids(klimit.frontier(REWARDS * 0.5).prompts(0.5, by="saturated")) == [4, 3]


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"by": "luck"}, "by must be one of 'headroom', 'zero-signal', 'saturated'"),
        ({"by": "saturated", "nearly": 0.0}, "a share of samples"),
        ({"by": "headroom", "group": 1}, "a whole number of completions"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(how, said):
    with pytest.raises(klimit.ArgumentError, match=said):
        klimit.frontier(REWARDS).prompts(0.5, **how)


def test_ranks_are_no_rewards_to_list_by():
    limit = klimit.frontier(REWARDS, objective="win-rate")
    with pytest.raises(klimit.DataError, match="objective='reward'"):
        limit.prompts(0.5, by="headroom")


def test_one_group_does_not_say_whether_the_next_teaches_something():
    rng = np.random.default_rng(3)
    rates = np.repeat([0.05, 0.9], 200)
    limit = klimit.frontier((rng.random((400, 8)) < rates[:, None]).astype(float))
    frame = prompt_list(limit, 0.2, "headroom", group=8)
    truth = rates**8 + (1 - rates) ** 8
    assert abs(frame["no_signal"].mean() - truth.mean()) < 0.1
    assert frame["no_signal"].is_between(0.01, 0.99).all()


def test_a_mean_that_is_the_best_but_for_rounding_is_at_the_top():
    assert sum([-0.1] * 3) / 3 < -0.1
    limit = klimit.frontier([[-0.1] * 3] * 2, reward_range=(-1.0, -0.1))
    assert prompt_list(limit, 0.5, "saturated")["at_top"].to_list() == [1.0, 1.0]
