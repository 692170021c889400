"""The frontier of known prompts, against theorems and against direct optimisation."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy import optimize

from klimit import _errors
from klimit.theory import (
    best_of_n,
    ceiling,
    frontier,
    gain,
    kl,
    tilt,
    win_probability,
    win_rate_frontier,
)
from tests.strategies import budgets, distributions, ragged_prompts, reward_tables

FLAT = 1e-9  # budgets this near saturation are left out: the slope jumps there


def best_by_optimiser(base, reward, budget):
    """The largest gain found by a general optimiser over all policies of all prompts."""

    def policy(logits):  # relative to the base, the first outcome's fixed at 0
        weight = base * np.exp(np.pad(logits.reshape(len(base), -1), ((0, 0), (1, 0))))
        return weight / weight.sum(axis=1, keepdims=True)

    result = optimize.minimize(
        lambda logits: -np.mean(np.sum((policy(logits) - base) * reward, axis=1)),
        np.zeros(base.size - len(base)),
        method="SLSQP",
        constraints={
            "type": "ineq",
            "fun": lambda logits: budget - kl(policy(logits), base).mean(),
        },
        options={"maxiter": 500, "ftol": 1e-12},
    )
    assert result.success
    return -result.fun


@pytest.mark.parametrize("budget_kl", [0.05, 0.2, 0.5])
@pytest.mark.parametrize("prompts", [1, 3])
def test_no_optimiser_finds_more_and_it_finds_as_much(prompts, budget_kl):
    rng = np.random.default_rng(prompts)
    base = rng.dirichlet(np.full(4, 3.0), prompts)
    reward = rng.normal(size=(prompts, 4)) * np.array([0.5, 1.0, 2.0])[:prompts, None]
    found = best_by_optimiser(base, reward, budget_kl)
    assert_allclose(frontier(base, reward).gain(budget_kl), found, rtol=2e-6)


def test_a_dense_grid_over_the_simplex_finds_no_better_policy():
    base, reward = np.array([0.5, 0.3, 0.2]), np.array([0.0, 1.0, 4.0])
    side = np.linspace(0, 1, 101)
    a, b = np.meshgrid(side, side)
    policies = np.stack([a, b, 1 - a - b], axis=-1)[a + b <= 1]
    spent, gained = kl(np.clip(policies, 0, 1), base), (policies - base) @ reward
    limit = frontier(base, reward)
    assert (gained <= limit.gain(spent) + 1e-12).all()
    for budget_kl in (0.1, 0.5, 1.0):
        assert gained[spent <= budget_kl].max() > limit.gain(budget_kl) - 0.03


@given(prompts=ragged_prompts(), fraction=st.floats(0.02, 0.98))
def test_the_slope_of_the_frontier_is_beta(prompts, fraction):
    for budget in ("average", "per-prompt"):
        limit = frontier(prompts.base, prompts.reward, weights=prompts.weights, budget=budget)
        edges = np.array([ceiling(*t).kl for t in zip(prompts.base, prompts.reward, strict=True)])
        at = fraction * limit.saturation.kl
        assume(at > 1e-6)
        step = 1e-5 * at
        assume(budget == "average" or (np.abs(edges - at) > 2 * step).all())
        slope = (limit.gain(at + step) - limit.gain(at - step)) / (2 * step)
        assert_allclose(slope, limit.beta(at), rtol=1e-6, atol=1e-8)


@given(prompts=ragged_prompts(), fraction=st.floats(0.05, 0.8))
def test_the_slope_of_beta_is_the_curvature(prompts, fraction):
    for budget in ("average", "per-prompt"):
        limit = frontier(prompts.base, prompts.reward, weights=prompts.weights, budget=budget)
        edges = np.array([ceiling(*t).kl for t in zip(prompts.base, prompts.reward, strict=True)])
        at = fraction * limit.saturation.kl
        assume(at > 1e-6)
        step = 1e-4 * at
        assume(budget == "average" or (np.abs(edges - at) > 0.1 * at).all())
        bend = (limit.beta(at + step) - limit.beta(at - step)) / (2 * step)
        assert_allclose(bend, limit.curvature(at), rtol=1e-3, atol=1e-5)


@given(prompts=ragged_prompts(), budget_kl=budgets())
def test_sharing_beta_gains_at_least_as_much_as_sharing_kl(prompts, budget_kl):
    together = frontier(prompts.base, prompts.reward, weights=prompts.weights)
    each = frontier(prompts.base, prompts.reward, weights=prompts.weights, budget="per-prompt")
    assert together.gain(budget_kl) >= each.gain(budget_kl) - 1e-12
    tables = zip(prompts.base, prompts.reward, strict=True)
    alone = [frontier(base, reward).gain(budget_kl) for base, reward in tables]
    assert_allclose(each.gain(budget_kl), prompts.weights @ alone, rtol=1e-12, atol=1e-15)
    assert_allclose(each.gain_by_prompt(budget_kl), alone, rtol=1e-12, atol=1e-15)


@given(prompts=ragged_prompts(), budget_kl=budgets(1e-9, 20.0))
def test_what_prompts_spend_and_gain_adds_up(prompts, budget_kl):
    limit = frontier(prompts.base, prompts.reward, weights=prompts.weights)
    spent, gained = limit.kl_by_prompt(budget_kl), limit.gain_by_prompt(budget_kl)
    most = limit.saturation
    assert_allclose(prompts.weights @ spent, min(budget_kl, most.kl), rtol=1e-10, atol=1e-20)
    assert_allclose(prompts.weights @ gained, limit.gain(budget_kl), rtol=1e-10, atol=1e-20)
    beta = limit.beta(budget_kl)
    if 1e-2 < beta < 1e9:
        for k, (base, reward) in enumerate(zip(prompts.base, prompts.reward, strict=True)):
            best = tilt(base, reward, beta=beta)
            assert_allclose([spent[k], gained[k]], [best.kl, best.gain], rtol=1e-10, atol=1e-20)


@given(prompts=ragged_prompts(), budget_kl=budgets(1e-9, 20.0))
def test_least_kl_undoes_gain_below_saturation(prompts, budget_kl):
    for budget in ("average", "per-prompt"):
        limit = frontier(prompts.base, prompts.reward, weights=prompts.weights, budget=budget)
        assume(budget_kl < limit.saturation.kl * (1 - 1e-3))
        reached = limit.gain(budget_kl)
        # the inverse's error is the gain's divided by beta
        slack = 1e-13 * reached / limit.beta(budget_kl)
        assert_allclose(limit.kl(reached), budget_kl, rtol=1e-10, atol=slack)


@given(prompts=ragged_prompts(), budget_kl=budgets(), beta=budgets(1e-2, 1e2))
def test_every_beta_proves_a_bound_and_the_right_one_attains_it(prompts, budget_kl, beta):
    limit = frontier(prompts.base, prompts.reward, weights=prompts.weights)
    each = frontier(prompts.base, prompts.reward, weights=prompts.weights, budget="per-prompt")
    gain = limit.gain(budget_kl)
    assert limit.dual_bound(budget_kl, beta=beta) >= gain * (1 - 1e-12)
    assert each.dual_bound(budget_kl, beta=beta) >= each.gain(budget_kl) * (1 - 1e-12)
    right = limit.beta(budget_kl)
    if right > 0:
        assert_allclose(limit.dual_bound(budget_kl, beta=right), gain, rtol=1e-11)


@given(prompts=ragged_prompts(), budget_kl=budgets(1e-9, 20.0))
def test_the_policies_of_the_frontier_spend_the_budget_and_earn_the_gain(prompts, budget_kl):
    for budget in ("average", "per-prompt"):
        limit = frontier(prompts.base, prompts.reward, weights=prompts.weights, budget=budget)
        policies = limit.policies([budget_kl, np.inf])
        assert [p.shape for p in policies] == [(2, b.size) for b in prompts.base]
        spent = [kl(p[0], q) for p, q in zip(policies, prompts.base, strict=True)]
        assert_allclose(spent, limit.kl_by_prompt(budget_kl), rtol=1e-6, atol=1e-13)
        triples = zip(policies, prompts.base, prompts.reward, strict=True)
        earned = [gain(p, q, r) for p, q, r in triples]
        assert_allclose(np.transpose(earned) @ prompts.weights, limit.gain([budget_kl, np.inf]),
                        rtol=1e-8, atol=1e-12)  # fmt: skip


@given(data=st.data(), prompts=ragged_prompts(), beta=budgets(1e-1, 1e2))
def test_two_numbers_tell_how_far_a_method_is_from_the_optimum(data, prompts, beta):
    limit = frontier(prompts.base, prompts.reward, weights=prompts.weights)
    others = []
    for base in prompts.base:
        other = np.where(base > 0, data.draw(distributions(base.size)), 0.0)
        others.append(other / other.sum() if other.sum() > 0 else base)
    triples = list(zip(others, prompts.base, prompts.reward, strict=True))
    spent = prompts.weights @ [kl(p, q) for p, q, _ in triples]
    gained = prompts.weights @ [gain(p, q, r) for p, q, r in triples]
    best = [tilt(q, r, beta=beta).policy for _, q, r in triples]
    assume(all((b[p > 0] > 0).all() for b, p in zip(best, others, strict=True)))
    apart = prompts.weights @ [kl(p, b) for p, b in zip(others, best, strict=True)]
    found = limit.gap_nats(spent, gain=gained, beta=beta)
    assert_allclose(found, apart, rtol=1e-8, atol=1e-9)
    own = limit.beta(spent)
    if 0.05 < own < 1e6:  # at its own KL it is the shortfall, over the slope
        best = [tilt(q, r, beta=own).policy for _, q, r in triples]
        apart = prompts.weights @ [kl(p, b) for p, b in zip(others, best, strict=True)]
        assert_allclose(limit.gap_nats(spent, gain=gained), apart, rtol=1e-6, atol=1e-8)


def test_a_gap_has_no_meaning_without_a_tilt_to_measure_it_from():
    limit = frontier([0.9, 0.1], [0, 1])
    assert np.isnan(limit.gap_nats([0.0, 5.0], gain=0.0)).all()
    assert limit.gap_nats(0.5, gain=limit.gain(0.5)) == 0
    with pytest.raises(_errors.ArgumentError, match="one beta for all prompts"):
        frontier([0.9, 0.1], [0, 1], budget="per-prompt").gap_nats(0.5, gain=0.1)


@given(prompts=ragged_prompts(), beta=budgets(1e-1, 1e2))
def test_a_point_at_beta_satisfies_the_identities(prompts, beta):
    limit = frontier(prompts.base, prompts.reward, weights=prompts.weights)
    point = limit.at(beta=beta)
    tables = zip(prompts.base, prompts.reward, strict=True)
    best = [tilt(base, reward - base @ reward, beta=beta) for base, reward in tables]
    for name in ("kl", "gain", "forward_kl", "jeffreys", "log_partition"):
        expected = prompts.weights @ [getattr(one, name) for one in best]
        assert_allclose(getattr(point, name), expected, rtol=1e-9, atol=1e-13)
    if point.kl < limit.saturation.kl * (1 - FLAT):
        assert_allclose(limit.gain(point.kl), point.gain, rtol=1e-10, atol=1e-300)


@given(table=reward_tables(min_outcomes=2), budget_kl=budgets(), offset=st.floats(-100, 100))
def test_a_constant_added_to_rewards_changes_no_limit(table, budget_kl, offset):
    limit, moved = (frontier(table.base, table.reward + c) for c in (0.0, offset))
    assert_allclose(moved.gain(budget_kl), limit.gain(budget_kl), rtol=1e-9, atol=1e-12)
    scaled = frontier(table.base, 7.5 * table.reward)
    assert_allclose(scaled.gain(budget_kl), 7.5 * limit.gain(budget_kl), rtol=1e-11)
    assert_allclose(scaled.beta(budget_kl), 7.5 * limit.beta(budget_kl), rtol=1e-11)


@given(table=reward_tables(min_outcomes=2), budget_kl=budgets())
def test_the_win_rate_limit_sees_only_the_order_of_rewards(table, budget_kl):
    plain = frontier(table.base, win_probability(table.base, table.reward))
    bent = frontier(table.base, win_probability(table.base, np.exp(table.reward) + table.reward))
    assert_allclose(plain.gain(budget_kl), bent.gain(budget_kl), rtol=1e-12, atol=1e-15)
    assert plain.gain(budget_kl) <= 0.5


def test_the_win_rate_limit_tells_rewards_apart_that_lie_far_below_the_best():
    near, apart = (win_rate_frontier([0.25] * 4, r) for r in ([0, 1e-30, 1e-17, 1], [0, 1, 2, 3]))
    assert near.gain(0.5) == apart.gain(0.5)


@pytest.mark.parametrize("size", [1e-280, 1e-160, 1e160, 1e300])
@pytest.mark.parametrize("budget", ["average", "per-prompt"])
def test_rewards_whose_squares_are_no_floats_have_the_same_frontier(size, budget):
    base, reward = [[0.5, 0.3, 0.2], [0.1, 0.8, 0.1]], np.array([[0, 1, 4], [0, 2, 3]])
    plain, scaled = (frontier(base, r, budget=budget) for r in (reward, size * reward))
    for ask in ("gain", "beta", "gain_by_prompt"):
        wanted = getattr(plain, ask)([0.01, 0.4, 1.2])
        assert_allclose(getattr(scaled, ask)([0.01, 0.4, 1.2]) / size, wanted, rtol=1e-10)
    assert_allclose(scaled.kl(size * plain.gain([0.01, 0.4])), [0.01, 0.4], rtol=1e-10)


def test_the_win_rate_frontier_is_that_of_the_win_probabilities():
    base, reward = [[0.5, 0.3, 0.2], [0.4, 0.6]], [[0, 1, 4], [2, 2]]
    wins = [win_probability(p, r) for p, r in zip(base, reward, strict=True)]
    for budget in ("average", "per-prompt"):
        limit = win_rate_frontier(base, reward, weights=[1, 3], budget=budget)
        same = frontier(base, wins, weights=[1, 3], budget=budget)
        assert_allclose(limit.gain([0.1, 0.5, 9.0]), same.gain([0.1, 0.5, 9.0]), rtol=1e-14)


def test_where_the_search_for_many_budgets_starts_does_not_decide_where_it_ends():
    rng = np.random.default_rng(8)
    base, scale = rng.dirichlet(np.ones(4), 1500), rng.gamma(2, size=(1500, 1))
    limit = frontier(base, rng.normal(size=(1500, 4)) * scale)
    many = np.geomspace(1e-10, 3.0, 60)
    alone = np.array([limit.beta(d) for d in many])
    assert_allclose(limit.beta(many), alone, rtol=1e-12)
    assert_allclose(limit.gain(many), [limit.gain(d) for d in many], rtol=1e-13)
    assert_allclose(limit.kl(limit.gain(many)), np.minimum(many, limit.saturation.kl), rtol=1e-9)
    weights = np.where(np.arange(1500) % 5 == 0, 0.0, 1.0)
    light = frontier(base, rng.normal(size=(1500, 4)), weights=weights)
    assert_allclose(light.gain(many), [light.gain(d) for d in many], rtol=1e-13)


@given(q=st.floats(1e-9, 1 - 1e-9), n=st.integers(1, 1000))
def test_best_of_n_of_a_binary_reward_lies_on_the_frontier(q, n):
    best = best_of_n([1 - q, q], [0.0, 1.0], n)
    limit = frontier([1 - q, q], [0.0, 1.0], budget="per-prompt")
    assert_allclose(limit.gain(best.kl), best.gain, rtol=1e-11, atol=1e-12)


def test_best_of_n_at_one_n_is_below_the_shared_beta_limit_of_different_pass_rates():
    base, reward = [[0.9, 0.1], [1.0, 0.0], [0.1, 0.9], [0.5, 0.5]], [[0, 1]] * 4
    best = best_of_n(base, reward, 8)
    assert best.gain.mean() < frontier(base, reward).gain(best.kl.mean())
    # and above the per-prompt frontier at the mean KL, which is no limit for it
    each = frontier(base, reward, budget="per-prompt")
    assert_allclose(best.gain.mean() / each.gain(best.kl.mean()), 1.29, atol=0.005)
    own = [frontier(p, r).gain(d) for p, r, d in zip(base, reward, best.kl, strict=True)]
    assert_allclose(best.gain, own, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("budget", ["average", "per-prompt"])
def test_budgets_beyond_saturation_change_nothing(budget):
    base, reward = [[0.9, 0.1], [0.5, 0.5]], [[0, 1], [0, 3]]
    limit = frontier(base, reward, budget=budget)
    most = limit.saturation
    assert_allclose(most.gain, (0.9 + 1.5) / 2, rtol=1e-14)
    expected = {"average": np.log([10, 2]).mean(), "per-prompt": np.log(10)}[budget]
    assert_allclose(most.kl, expected, rtol=1e-14)
    beyond = [most.kl, most.kl + 1e-9, 50.0, np.inf]
    assert_allclose(limit.gain(beyond), most.gain, rtol=1e-14)
    assert limit.beta(beyond).tolist() == [0.0] * 4
    assert limit.curvature(beyond).tolist() == [0.0] * 4
    assert_allclose(limit.kl_by_prompt(np.inf), np.log([10, 2]), rtol=1e-14)
    assert limit.kl([most.gain * 1.001, np.inf]).tolist() == [np.inf, np.inf]
    assert_allclose(limit.kl(most.gain), most.kl, rtol=1e-12)


@pytest.mark.parametrize("budget", ["average", "per-prompt"])
def test_no_budget_buys_nothing_at_an_infinite_price(budget):
    limit = frontier([0.5, 0.3, 0.2], [0, 1, 4], budget=budget)
    assert (limit.gain(0), limit.kl(0), limit.kl(-1.0)) == (0, 0, 0)
    assert limit.beta(0) == np.inf
    assert limit.curvature(0) == -np.inf
    assert limit.kl_by_prompt(0).tolist() == [0]


@pytest.mark.parametrize("budget", ["average", "per-prompt"])
def test_constant_prompts_gain_and_spend_nothing(budget):
    limit = frontier([[0.5, 0.5], [0.5, 0.5]], [[2, 2], [0, 1]], budget=budget)
    assert limit.kl_by_prompt(0.2)[0] == 0
    assert limit.gain_by_prompt(0.2)[0] == 0
    flat = frontier([0.2, 0.8], [1e6, 1e6], budget=budget)
    assert (flat.gain(3.0), flat.beta(3.0), flat.saturation.kl) == (0, 0, 0)
    assert flat.kl(1e-9) == np.inf


def test_a_prompt_of_weight_zero_counts_for_nothing():
    base, reward = [[0.5, 0.5], [0.9, 0.1]], [[0, 1], [0, 100]]
    for budget in ("average", "per-prompt"):
        limit = frontier(base, reward, weights=[1, 0], budget=budget)
        alone = frontier(base[0], reward[0], budget=budget)
        assert_allclose(limit.gain([0.1, 1.0]), alone.gain([0.1, 1.0]), rtol=1e-13)
        assert limit.saturation == alone.saturation


def test_shapes_of_budgets_are_kept():
    limit = frontier([[0.5, 0.5], [0.9, 0.1]], [[0, 1], [0, 1]])
    grid = np.array([[0.1, 0.2, 0.3], [0.4, 0.5, 9.0]])
    for name in ("gain", "beta", "curvature", "kl"):
        assert getattr(limit, name)(grid).shape == (2, 3)
    assert limit.kl_by_prompt(grid).shape == (2, 3, 2)
    assert limit.at(beta=grid).gain.shape == (2, 3)
    assert limit.dual_bound(grid, beta=1.0).shape == (2, 3)
    assert limit.gain([]).shape == (0,)


def test_tiny_budgets_keep_their_digits():
    limit = frontier([0.5, 0.3, 0.2], [0, 1, 4])
    variance = 0.3 + 16 * 0.2 - 1.1**2
    tiny = np.array([1e-12, 1e-30])
    assert_allclose(limit.gain(tiny), np.sqrt(2 * variance * tiny), rtol=1e-6)
    assert_allclose(limit.kl(limit.gain(tiny)), tiny, rtol=1e-12)


@pytest.mark.parametrize("budget", ["average", "per-prompt"])
@pytest.mark.parametrize("fine", [1e-5, 1e-12, 1e-100])
def test_rewards_on_two_scales_leave_no_plateau_between_them(budget, fine):
    # past log(3/2) nats the coarse difference is used up and only the fine one is left
    limit = frontier([1 / 3] * 3, [0.0, fine, -3.0], budget=budget)
    beta = limit.beta(1.0)
    best = tilt([1 / 3] * 3, [0.0, fine, -3.0], beta=beta)
    assert_allclose(best.kl, 1.0, rtol=1e-12)
    assert 0.1 * fine < beta < fine
    assert_allclose(limit.gain(1.0), 1.0, rtol=2 * fine)
    if fine > 1e-6:  # below, the gain has no digits left to tell the KL from
        assert_allclose(limit.kl(limit.gain(1.0)), 1.0, rtol=1e-8)


def test_one_base_serves_many_rows_of_rewards_and_arrays_read_like_lists():
    rewards = [[0, 1, 4], [4, 1, 0]]
    one = frontier([0.5, 0.3, 0.2], rewards)
    many = frontier(np.array([[0.5, 0.3, 0.2]] * 2), np.array(rewards))
    ragged = frontier([[0.5, 0.3, 0.2, 0.0], [0.5, 0.3, 0.2]], [[0, 1, 4, np.nan], rewards[1]])
    assert_allclose([many.gain(0.4), ragged.gain(0.4)], one.gain(0.4), rtol=1e-14)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (([[0.5, 0.5], [1.0]], [[0, 1], [0, 1]]), "prompt 1 has 1 probabilities and 2 rewards"),
        (([[0.5, 0.5]] * 2, [[0, 1]] * 3), "one row per prompt; got 2 and 3"),
        (([[0.5, 0.5], [0.3, 0.3, 0.3]], [[0, 1], [0, 1, 2]]), r"base\[1\] must sum to one"),
        (([[0.5, 0.5]] * 2, [[0, 1], [0, np.inf]]), "got inf for prompt 1"),
        (([], []), "base must be"),
        (([[]], [[]]), "base must be"),
        ((0.5, 1.0), "base must be"),
        (("text", "text"), "base must be an array of real numbers"),
    ],
)
def test_unusable_prompts_are_an_error_that_names_them(arguments, words):
    with pytest.raises(_errors.ArgumentError, match=words):
        frontier(*arguments)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"weights": [1.0]}, "one per prompt"),
        ({"weights": [1.0, -1.0]}, "not negative"),
        ({"weights": [0.0, 0.0]}, "not all zero"),
        ({"weights": [np.nan, 1.0]}, "finite"),
        ({"budget": "shared"}, '"average" or "per-prompt"; got .shared.'),
    ],
)
def test_unusable_options_are_an_error_that_says_what_is_allowed(options, words):
    with pytest.raises(_errors.ArgumentError, match=words):
        frontier([[0.5, 0.5]] * 2, [[0, 1]] * 2, **options)


def test_unusable_questions_are_an_error():
    limit = frontier([0.5, 0.5], [0, 1])
    each = frontier([0.5, 0.5], [0, 1], budget="per-prompt")
    for ask, words in [
        (lambda: limit.gain(-0.1), "kl must be a KL budget"),
        (lambda: limit.gain([0.1, np.nan]), "got nan at index 1"),
        (lambda: limit.kl(np.nan), "gain must be a number"),
        (lambda: limit.at(beta=0), "beta must be positive"),
        (lambda: limit.dual_bound([1, 2], beta=[1, 2, 3]), "must broadcast"),
        (lambda: each.at(beta=1.0), "one beta for all prompts"),
    ]:
        with pytest.raises(_errors.ArgumentError, match=words):
            ask()


def test_a_frontier_says_what_it_is():
    said = str(frontier([[0.9, 0.1]], [[0, 1]], budget="per-prompt"))
    assert said == (
        "exact frontier of 1 prompt, per-prompt budget: at most +0.9, reached at 2.303 nats"
    )
