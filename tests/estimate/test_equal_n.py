"""Which best-of-N spends a KL, where rewards tie and prompts have unlike numbers of samples."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

import klimit
from klimit._errors import ArgumentError
from klimit.estimate.best_of_n.equal_n import distinct_n, n_kl, n_spending, tied_kl, too_small
from klimit.estimate.samples import collect


def graded(lengths, seed=0):
    rng = np.random.default_rng(seed)
    return collect(rng.integers(0, 5, sum(lengths)).astype(float), np.array(lengths))


def test_one_short_prompt_does_not_hide_what_the_others_show():
    few, many = graded([2] + [32] * 39), graded([32] * 39, seed=0)
    assert n_spending(few, 0.7) == n_spending(many, 0.7)
    assert_allclose(n_kl(few, 16), n_kl(graded([32] * 39, seed=0), 16), rtol=0.05)
    assert n_spending(few, 2.5) is None


def test_more_than_one_in_twenty_do():
    few = graded([2] * 5 + [32] * 35)
    assert n_spending(few, 0.7) is None
    with pytest.raises(ArgumentError, match="a prompt has only 2 samples"):
        n_kl(few, 16)


def test_several_sizes_at_once_are_each_alone():
    few = graded([2] + [32] * 39)
    sizes = [1, 2, 3, 8, 32]
    assert tied_kl(few, sizes)[1:] == [n_kl(few, n) for n in sizes[1:]]


@pytest.mark.parametrize("tied", [False, True])
def test_one_answer_spends_nothing_whether_rewards_tie_or_not(tied):
    rows = np.random.default_rng(0).normal(size=640)
    samples = collect(rows.round() if tied else rows, np.full(40, 16))
    assert n_spending(samples, 0.0) == 1


def test_a_budget_far_below_best_of_two_has_no_n():
    rows = np.random.default_rng(0).normal(size=(40, 16))
    plan = klimit.plan(rows, kl=0.02)
    assert plan.n is None
    assert "keep the best of" not in str(plan)
    assert klimit.plan(rows, kl=0.15).n == 2
    assert too_small(graded([16] * 40), 0.02)


def test_no_kl_asks_for_one_answer_little_for_two_and_what_no_number_spends_for_none():
    assert [distinct_n(kl) for kl in (0.0, 0.1, 32.0)] == [1, 2, None]
