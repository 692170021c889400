"""Prompts of different lengths, and what each counts for, in the functions that take arrays."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from klimit import _errors, theory
from tests.strategies import distributions, draw_counts, ragged_prompts

# every function of a base and rewards, as numbers by prompt (or by outcome: filled up)
OF_REWARDS = {
    "tilt": lambda p, r: (lambda t: [t.gain, t.kl, t.policy])(theory.tilt(p, r, beta=0.7)),
    "ceiling": lambda p, r: list(theory.ceiling(p, r)),
    "covariance_gain": lambda p, r: [theory.covariance_gain(p, r, log_weight=r)],
    "best_of_n": lambda p, r: (lambda b: [b.gain, b.kl, b.policy])(theory.best_of_n(p, r, 4)),
    "soft": lambda p, r: (lambda b: [b.gain, b.kl])(theory.soft_best_of_n(p, r, 4, beta=0.7)),
    "poisson": lambda p, r: (lambda b: [b.gain, b.kl])(theory.best_of_poisson(p, r, 3.0)),
    "rejection": lambda p, r: [theory.rejection_sampling(p, r, beta=0.7).log_expected_draws],
    "f_tilt": lambda p, r: [theory.f_tilt(p, r, divergence="chi-square", beta=0.7).policy],
    "variance_proxy": lambda p, r: [theory.variance_proxy(p, r, tail="both")],
    "sub_gamma_scale": lambda p, r: [theory.sub_gamma_scale(p, r)],
    "expansion": lambda p, r: [theory.small_kl_expansion(p, r, 0.1)],
    "reverse": lambda p, r: [theory.reverse_kl_tilt([p, p], r, gamma=1.5).policy],
    "forward": lambda p, r: [theory.forward_kl_tilt([p, p], r, gamma=1.5).policy],
    "ensemble": lambda p, r: [theory.ensemble_reward([r, r], base=p, how="minimum")],
    "disagreement": lambda p, r: [theory.member_disagreement([r, [0 * x for x in r]], p)],
}
OF_POLICIES = {
    name: getattr(theory, name)
    for name in ("kl", "jeffreys", "chi_square", "total_variation", "jensen_shannon")
} | {
    "gain": lambda p, q: theory.gain(p, q, [np.arange(row.size) for row in p]),
    "jeffreys_gain": lambda p, q: theory.jeffreys_gain(p, q, beta=2.0),
    "renyi": lambda p, q: theory.renyi(p, q, alpha=0.5),
    "f_divergence": lambda p, q: theory.f_divergence(p, q, lambda t: (t - 1) ** 2),
    "importance": lambda p, q: theory.importance_draws(p, q),
    "cross_entropy": lambda p, q: theory.renyi_cross_entropy(p, q, alpha=2.0),
}


def rows(prompts):
    return list(zip(prompts.base, prompts.reward, strict=True))


@pytest.mark.parametrize("name", OF_REWARDS)
@settings(max_examples=5)
@given(prompts=ragged_prompts(min_prompts=2))
def test_ragged_prompts_get_what_each_gets_alone(name, prompts):
    together = OF_REWARDS[name](prompts.base, prompts.reward)
    for k, (base, reward) in enumerate(rows(prompts)):
        for part, alone in zip(together, OF_REWARDS[name]([base], [reward]), strict=True):
            if part.ndim == 1:
                assert_allclose(part[k], alone[0], rtol=1e-9, atol=1e-13)
            else:
                assert_allclose(part[k, : base.size], alone[0], rtol=1e-9, atol=1e-13)
                assert (part[k, base.size :] == 0).all()


@pytest.mark.parametrize("name", OF_POLICIES)
@settings(max_examples=5)
@given(data=st.data(), sizes=st.lists(st.integers(1, 5), min_size=2, max_size=4))
def test_ragged_policies_are_compared_one_by_one(name, data, sizes):
    policies, bases = ([data.draw(distributions(n, zeros=False)) for n in sizes] for _ in range(2))
    together = OF_POLICIES[name](policies, bases)
    alone = [OF_POLICIES[name]([p], [q])[0] for p, q in zip(policies, bases, strict=True)]
    assert_allclose(together, alone, rtol=1e-10, atol=1e-13)


@given(prompts=ragged_prompts(min_prompts=2), n=draw_counts(100))
def test_weighted_averages_over_prompts_lie_below_the_average_frontier(prompts, n):
    best = theory.best_of_n(prompts.base, prompts.reward, [[1], [n]])
    share = prompts.weights / prompts.weights.sum()
    average = best.over_prompts(prompts.weights)
    assert average.gain.shape == (2,)
    for name in average._fields:
        assert_allclose(getattr(average, name), getattr(best, name) @ share, rtol=1e-12)
    limit = theory.frontier(prompts.base, prompts.reward, weights=prompts.weights)
    assert (average.gain <= limit.gain(average.kl) * (1 + 1e-10) + 1e-12).all()


def test_averages_leave_out_prompts_of_weight_zero_and_are_the_prompt_where_it_is_alone():
    base, reward = [[0.5, 0.5], [0.2, 0.3, 0.5]], [[0.0, 1.0], [0.0, 0.0, 1e6]]
    best = theory.best_of_n(base, reward, 1e12)
    alone = theory.best_of_n(base[0], reward[0], 1e12)
    assert best.over_prompts([1, 0]) == tuple(
        getattr(alone, name) for name in ("gain", "kl", "forward_kl", "win_rate")
    )
    assert alone.over_prompts().kl == alone.kl
    with pytest.raises(_errors.ArgumentError, match="weights must be one per prompt"):
        best.over_prompts([1.0, 1.0, 1.0])


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda p, r: theory.best_of_n(p, r[::-1], 4), "prompt 0 has 2 and 3"),
        (lambda p, r: theory.best_of_n(p, r[:1], 4), r"one row per prompt|prompt 1 has 3 and 2"),
        (lambda p, r: theory.tilt(p, [0, 1, 2], beta=1), "prompt 0 has 2 and 3"),
        (lambda p, r: theory.kl(p, [[0.5, 0.5]] * 2), "policy and base .* prompt 1 has 3 and 2"),
        (lambda p, r: theory.gain(p, p, r * 2), "one row per prompt; got .2,. and .4,."),
        (lambda p, r: theory.geometric_mean([p, p[::-1]]), r"references\[0\] and references\[1\]"),
        (lambda p, r: theory.ensemble_reward([r, r[::-1]]), r"members\[0\] and members\[1\]"),
        (lambda p, r: theory.tilt([p, [0.5]], r, beta=1), "equal rows"),
        (lambda p, r: theory.tilt([[0.5, 0.5], ["a"]], r, beta=1), "equal rows"),
    ],
)
def test_lengths_that_disagree_are_an_error_that_says_where(call, words):
    with pytest.raises(_errors.ArgumentError, match=words):
        call([[0.5, 0.5], [0.2, 0.3, 0.5]], [[0.0, 1.0], [0.0, 1.0, 2.0]])
