"""What a frontier says at the edges of what can be known."""

import numpy as np
import pytest

import klimit
from klimit.view import limit as view
from klimit.view import words


def normal(prompts, samples, scale=1.0):
    return np.random.default_rng(7).normal(0.0, scale, size=(prompts, samples))


@pytest.mark.parametrize("samples", [2, 3])
def test_two_or_three_samples_give_lower_bounds_and_advice(samples):
    said = str(klimit.frontier(normal(50, samples)))
    assert "is at least +0." in said
    assert "only lower bounds are known: draw 4 at the least" in said
    assert "with beta" not in said


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_one_prompt_has_a_gain_without_an_interval():
    said = str(klimit.frontier(normal(1, 64)))
    assert "is about +" in said
    assert "inf" not in said
    assert (
        'note: one prompt says nothing of others: --prompts fixed (prompts="fixed") gives its own'
        in said
    )


def test_nothing_is_gained_without_kl():
    said = view.headline(klimit.frontier(normal(40, 32)), [0.0])
    assert said.startswith("At a KL of 0 nats nothing is gained")
    assert "beta" not in said


def test_few_prompts_are_noted():
    assert "note: 6 prompts only" in str(klimit.frontier(normal(6, 32)))


def test_tiny_rewards_keep_their_digits():
    said = view.headline(klimit.frontier(normal(40, 32, scale=1e-7)), [1.0])
    assert "e-07 reward [" in said


def test_what_needs_more_samples_than_anybody_can_draw_is_not_given_a_number():
    limit = klimit.frontier(normal(40, 32))
    assert "more samples than anybody can draw" in view.trust(limit, [1.0, 20.0])


def test_a_solved_task_says_that_more_kl_gains_nothing():
    solvable = (np.random.default_rng(8).random((100, 16)) < 0.4).astype(float)
    said = view.verdict(klimit.frontier(solvable), [0.2, 1.5])
    assert "90 % of it takes only" in said or "More KL gains nothing" in said


def test_heavy_tails_are_noted():
    heavy = np.random.default_rng(9).lognormal(sigma=1.5, size=(100, 64))
    assert "heavy tail" in " ".join(str(klimit.frontier(heavy)).split())


@pytest.mark.parametrize("samples", [5, 8])
def test_copies_of_every_row_are_noted(samples):
    once = np.random.default_rng(10).normal(size=(20, samples))
    assert "comes twice" in " ".join(str(klimit.frontier(np.hstack([once, once]))).split())
    assert "comes twice" not in " ".join(str(klimit.frontier(once)).split())
    ragged = [np.repeat(row[: 2 + i % 3], 2) for i, row in enumerate(once)]
    assert "comes twice" in " ".join(str(klimit.frontier(ragged)).split())


@pytest.mark.parametrize("trusted", [0.005, 0.6, 3.7, 12.0, np.inf])
def test_budgets_are_round_and_lie_on_both_sides_of_trust(trusted):
    class Limit:
        trusted_kl = trusted

    chosen = view.budgets(Limit)
    assert chosen == sorted(set(chosen))
    assert 2 <= len(chosen) <= 5
    if 0.01 <= trusted < 20:
        assert chosen[-2] <= trusted < chosen[-1]


def test_gains_that_start_and_end_on_the_page_add_up():
    said = view.lifted(klimit.frontier(normal(50, 64) + 3.4795), [0.5])
    before, after = (float(x.rstrip(".")) for x in said.split("model's ")[1].split(" to "))
    gain = words.signed(klimit.frontier(normal(50, 64)).gain(0.5)).split()[0]
    assert after - before == pytest.approx(float(gain), abs=1e-9)


def test_what_one_prompt_would_take_is_more_than_it_has():
    rewards = np.random.default_rng(0).normal(size=(1, 200))
    limit = klimit.frontier(rewards)
    assert 3 < limit.trusted_kl < 4
    assert limit.samples_needed(4.0) > np.exp(4 + 0.5 + 1.4)
    for kl in (limit.trusted_kl + 1e-3, 3.5):
        assert limit.samples_needed(kl) > 200


def test_one_prompt_has_a_share_of_the_limit_and_no_interval_of_it():
    rewards = np.random.default_rng(0).normal(size=(1, 200))
    said = str(klimit.best_of_n(rewards, n=[4, 16]))
    assert "[0 %, 100 %]" not in said
    assert "That is about " in said
