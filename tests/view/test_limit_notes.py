"""What the notes under a limit say of prompts that show one reward only."""

import numpy as np
import pytest

import klimit
from klimit.view import limit
from klimit.view.limit import notes


def verdicts(low, high, solved):
    rng = np.random.default_rng(5)
    rates = np.where(np.arange(60) < 15, 0.0, rng.beta(1, 2, size=60)) if solved else np.zeros(60)
    return np.where(rng.random((60, 8)) < rates[:, None], high, low)


@pytest.mark.parametrize("how", [{}, {"reward_range": (0.0, 1.0)}])
def test_prompts_without_a_success_are_told_of_alike_whether_the_range_is_stated_or_implied(how):
    said = " ".join(notes(klimit.frontier(verdicts(0.0, 1.0, True), **how)))
    assert "have no success among their samples" in said
    assert "count as gaining nothing" not in said


def test_verdicts_of_unknown_range_that_never_pass_are_judged_by_those_that_do():
    said = " ".join(notes(klimit.frontier(verdicts(-1.0, 1.0, True))))
    assert "show one reward only; what they may gain is told by the others" in said


def test_graded_prompts_of_one_reward_count_as_gaining_nothing():
    rng = np.random.default_rng(6)
    rewards = np.where(np.arange(40)[:, None] < 5, 1.0, rng.normal(size=(40, 8)))
    assert any("count as gaining nothing" in note for note in notes(klimit.frontier(rewards)))


def test_for_these_very_prompts_it_is_said_that_intervals_of_best_of_n_are_for_others_too():
    gold, error = np.random.default_rng(7).normal(size=(2, 30, 16))
    base = {"rm": gold + error, "human": gold}
    hack = klimit.hacking(base, proxy="rm", gold="human", prompts="fixed")
    limit = klimit.frontier(gold, prompts="fixed")
    placed = limit.place(kl=0.2, gain=0.4)
    for result in (hack, limit, placed):
        said = " ".join(str(result).split())
        assert "these very prompts, not for others like them; those of best-of-N hold for" in said
    alone = str(klimit.frontier(gold[:1], prompts="fixed"))
    assert "note: intervals are for these very prompts, not for others like them.\n" in alone + "\n"
    few = np.where(np.arange(16) < 3, gold, np.nan)
    sparse = klimit.hacking(
        {"rm": gold + error, "human": few}, proxy="rm", gold="human", prompts="fixed"
    )
    assert "best-of-N" not in str(sparse)


@pytest.mark.parametrize(("still", "said"), [(1, "it counts as"), (5, "they count as")])
def test_prompts_of_one_reward_are_said_to_gain_nothing_in_a_whole_sentence(still, said):
    rewards = np.random.default_rng(6).normal(size=(40, 8))
    rewards[:still] = 1.0
    assert any(
        f"one reward only; {said} gaining nothing." in note
        for note in notes(klimit.frontier(rewards))
    )


def test_where_0_1_rewards_bound_the_limit_from_above_too_not_only_lower_bounds_are_known():
    rewards = (np.random.default_rng(77).random((60, 16)) < 0.004).astype(float)
    said = limit.text(klimit.frontier(rewards), [0.1, 2.0])
    assert "With 16 samples a prompt only bounds are known; " in said


def test_where_only_0_nats_are_asked_of_too_few_samples_nothing_is_called_trusted():
    rewards = (np.random.default_rng(77).random((60, 16)) < 0.004).astype(float)
    assert "so all of this is" not in limit.text(klimit.frontier(rewards), [0.0])
