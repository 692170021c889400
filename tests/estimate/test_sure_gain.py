"""Past trust, no limit lies below what best-of-N is sure to gain."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

import klimit
from klimit.estimate.best_of_n.sure_gain import sure_gain


@pytest.mark.parametrize("budget", ["average", "per-prompt"])
def test_past_trust_the_limit_is_at_least_what_best_of_n_surely_gains(budget):
    rng = np.random.default_rng(0)
    laws = rng.exponential(size=(60, 64)), rng.standard_t(3, size=(60, 64))
    ragged = [row[: 16 if i % 3 else 64] for i, row in enumerate(laws[0])]
    for rewards in (*laws, ragged):
        limit = klimit.frontier(rewards, budget=budget)
        best = klimit.best_of_n(rewards, n=[16] if rewards is ragged else [4, 16, 64])
        gain = limit.gain(best.kl_bound.value)
        assert not gain.trusted.any()
        assert (gain.low >= best.gain.low - 1e-9).all()
        assert limit.kl(best.gain.low[-1]).high <= 1.1 * best.kl_bound.value[-1]


def test_what_best_of_n_surely_gains_is_read_from_prompts_of_all_sizes():
    rewards = np.random.default_rng(0).normal(size=(40, 8))
    limit = klimit.frontier([*rewards, [0.0, 1.0]])
    kl, gain = sure_gain(limit.samples, 0.95)
    best = klimit.best_of_n(rewards, n=[1, 2, 4, 8])
    assert (kl <= best.kl_bound.value).all()
    assert_allclose(kl, best.kl_bound.value, rtol=0.03)
    assert_allclose(gain, best.gain.low, atol=0.05)


def test_where_every_prompt_spends_the_same_the_largest_n_is_what_it_costs():
    wide, narrow = np.random.default_rng(0).normal(size=(2, 40, 64))
    samples = klimit.frontier([*(9 * wide), *narrow[:, :2]]).samples
    kl, gain = sure_gain(samples, 0.95, per_prompt=True)
    assert_allclose(kl, [np.log(n) - 1 + 1 / n for n in (1, 2, 4, 8, 16, 32, 64)])
    average = sure_gain(samples, 0.95)
    assert (kl[1:] >= average[0][1:] - 1e-12).all()
    assert kl[-1] > 1.5 * average[0][-1]
    assert_allclose(gain, average[1])
