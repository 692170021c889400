"""The rules of choosing: probabilities against an optimiser, closed forms and enumeration."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import minimize

from klimit import ArgumentError, DataError, select
from klimit.theory import f_tilt, tilt

numbers = st.floats(-5, 5).map(lambda x: round(x, 2))
candidates = st.lists(numbers, min_size=1, max_size=8).map(np.array)
betas = st.floats(0.01, 20)
RULES = [
    select.best_of_n,
    lambda r: select.soft_best_of_n(r, beta=0.7),
    lambda r: select.pessimism(r, beta=0.7),
]


@pytest.mark.parametrize("rule", RULES)
@given(rewards=candidates, offset=numbers)
def test_probabilities_sum_to_one_and_see_no_offset_of_the_prompt(rule, rewards, offset):
    kept = rule(rewards)
    assert_allclose(kept.sum(), 1.0)
    assert (kept >= 0).all()
    assert_allclose(rule(rewards + offset), kept, atol=1e-9)


@pytest.mark.parametrize("rule", RULES)
@given(rewards=candidates)
def test_a_higher_reward_is_never_kept_less_and_equals_are_kept_alike(rule, rewards):
    kept = rule(rewards)
    for i, j in product(range(len(rewards)), repeat=2):
        if rewards[i] >= rewards[j]:
            assert kept[i] >= kept[j] - 1e-12
    assert_allclose(rule(np.concatenate([rewards, rewards]))[: len(rewards)], kept / 2, atol=1e-12)


@pytest.mark.parametrize("rule", RULES)
def test_a_candidate_without_a_reward_is_never_kept_and_changes_nothing(rule):
    kept = rule([[1.0, np.nan, 3.0, 2.5]])
    assert kept[0, 1] == 0
    assert_allclose(kept[0, [0, 2, 3]], rule([1.0, 3.0, 2.5]))


def objective(weights, rewards, beta):
    """E[reward] - beta / 2 E[w^2] of the weights w = N probability."""
    return float(np.mean(weights * rewards) - beta / 2 * np.mean(weights**2))


@pytest.mark.parametrize("seed", range(8))
def test_pessimism_is_what_an_optimiser_finds(seed):
    rng = np.random.default_rng(seed)
    rewards, beta = rng.normal(size=6), float(rng.uniform(0.05, 2.0))
    start = np.ones(6)
    found = minimize(
        lambda w: -objective(w, rewards, beta), start, method="SLSQP", bounds=[(0, None)] * 6,
        constraints={"type": "eq", "fun": lambda w: np.mean(w) - 1}, options={"ftol": 1e-14, "maxiter": 500},
    )  # fmt: skip
    ours = 6 * select.pessimism(rewards, beta=beta)
    assert objective(ours, rewards, beta) >= -found.fun - 1e-9
    assert_allclose(ours, found.x, atol=2e-4)


@given(rewards=candidates, beta=betas)
def test_pessimism_is_the_chi_square_optimum_of_a_uniform_base(rewards, beta):
    base = np.full(len(rewards), 1 / len(rewards))
    known = f_tilt(base, rewards, divergence="chi-square", beta=beta / 2)
    assert_allclose(select.pessimism(rewards, beta=beta), known.policy, atol=1e-9)


@given(rewards=candidates, beta=betas)
def test_weights_of_pessimism_are_clipped_lines_whose_mean_is_one(rewards, beta):
    weights = len(rewards) * select.pessimism(rewards, beta=beta)
    assert_allclose(weights.mean(), 1.0)
    kept = weights > 1e-9
    thresholds = rewards[kept] - beta * weights[kept]
    assert_allclose(thresholds, thresholds[0], atol=1e-7)
    assert (rewards[~kept] <= thresholds[0] + 1e-7).all()


@given(rewards=candidates, beta=betas, scale=st.floats(0.1, 10))
def test_beta_is_in_the_units_of_the_reward(rewards, beta, scale):
    for rule in (select.soft_best_of_n, select.pessimism):
        assert_allclose(
            rule(scale * rewards, beta=scale * beta), rule(rewards, beta=beta), atol=1e-9
        )


@given(rewards=candidates)
def test_between_no_choice_and_best_of_n(rewards):
    for rule in (select.soft_best_of_n, select.pessimism):
        assert_allclose(rule(rewards, beta=np.inf), 1 / len(rewards))
        assert_allclose(rule(rewards, beta=1e-7), select.best_of_n(rewards), atol=1e-6)


@given(rewards=candidates, beta=st.floats(0.2, 5))
def test_soft_best_of_n_is_the_tilt_of_a_uniform_base(rewards, beta):
    base = np.full(len(rewards), 1 / len(rewards))
    assert_allclose(
        select.soft_best_of_n(rewards, beta=beta),
        tilt(base, rewards, beta=beta).policy,
        atol=1e-12,
    )


def test_rejection_keeps_the_first_that_is_accepted():
    rewards, beta, bound = np.array([0.2, 1.0, -0.5, 0.9]), 0.6, 1.1
    accepted = np.exp((rewards - bound) / beta)
    expected = np.zeros(4)
    for pattern in product([False, True], repeat=4):
        chance = np.prod(np.where(pattern, accepted, 1 - accepted))
        if any(pattern):
            expected[np.argmax(pattern)] += chance
        else:
            expected += chance * select.soft_best_of_n(rewards, beta=beta)
    found = select.rejection(rewards, beta=beta, bound=bound)
    assert_allclose(found, expected)
    assert_allclose(found.sum(), 1.0)


def test_what_rejection_accepts_follows_the_tilt():
    values = np.array([0.0, 0.5, 1.0])
    draws = np.random.default_rng(1).choice(3, size=(20_000, 60), p=[0.6, 0.3, 0.1])
    kept = select.rejection(values[draws], beta=0.4, bound=1.0)
    share = [kept[draws == outcome].sum() / len(draws) for outcome in range(3)]
    assert_allclose(share, tilt([0.6, 0.3, 0.1], values, beta=0.4).policy, atol=0.01)


def test_draw_keeps_candidates_as_often_as_their_probability_says():
    chance = np.array([0.0, 0.2, 0.5, 0.3, 0.0])
    kept = select.draw(np.tile(chance, (40_000, 1)), seed=3)
    assert_allclose(np.bincount(kept, minlength=5) / 40_000, chance, atol=0.01)
    assert not np.isin(kept, [0, 4]).any()
    assert_array_equal(select.draw(np.tile(chance, (40_000, 1)), seed=3), kept)
    assert select.draw([0.0, 1.0]).shape == ()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: select.best_of_n(3.0), "rewards must be numbers in an array"),
        (lambda: select.best_of_n(["a"]), "rewards must be numbers in an array"),
        (lambda: select.best_of_n(np.empty((2, 0))), "rewards must be numbers in an array"),
        (lambda: select.pessimism([1.0], beta=0.0), "beta must be a positive number"),
        (lambda: select.pessimism([1.0], beta="x"), "beta must be a positive number"),
        (lambda: select.soft_best_of_n([1.0], beta=np.nan), "beta must be a positive number"),
        (lambda: select.rejection([1.0], beta=1.0, bound=0.5), "a finite bound"),
        (lambda: select.rejection([1.0], beta=1.0, bound=None), "a finite bound"),
        (lambda: select.draw([0.2, 0.2]), "sum to one"),
        (
            lambda: select.draw([0.5, 0.5], seed=-1),
            "seed must be zero or a positive integer; got -1",
        ),
        (lambda: select.draw([[0.5, 0.5], [1.0]]), "sum to one"),
        (lambda: select.draw([1.5, -0.5]), "sum to one"),
    ],
)
def test_a_wrong_argument_is_said_on_one_line(call, words):
    with pytest.raises(ArgumentError, match=words) as raised:
        call()
    assert "\n" not in str(raised.value)


def test_no_prompts_keep_nothing():
    none = np.empty((0, 4))
    assert select.best_of_n(none).shape == none.shape
    assert select.rejection(none, beta=1.0, bound=1.0).shape == none.shape


def test_infinite_rewards_and_prompts_without_any_are_refused():
    with pytest.raises(DataError, match="infinite"):
        select.best_of_n([1.0, np.inf])
    with pytest.raises(DataError, match="1 of the prompts have no candidate"):
        select.best_of_n([[1.0, 2.0], [np.nan, np.nan]])
